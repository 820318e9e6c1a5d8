"""A real server in a thread with work that is made up, and readers of server-sent events."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx

from attrib.errors import InputError
from attrib.progress import Progress
from attrib.records import Explanation
from attrib.server.app import LIVE, Lengths, keep, make_app
from attrib.server.jobs import Jobs, Limits
from attrib.server.running import Server, bind, configure
from attrib.server.shelf import Shelf
from tests.make import make_explanation

Explain = Callable[[str, str | None, Progress], Explanation]
JSON = {"content-type": "application/json"}


class Explainer:
    """Explains when it is let through, telling of its progress until then."""

    def __init__(self) -> None:
        self.through = threading.Event()
        self.begun: list[str] = []

    def __call__(self, question: str, answer: str | None, progress: Progress) -> Explanation:
        self.begun.append(question)
        if question == "yours":
            raise InputError("question: this is\ntoo long")
        if question == "ours":
            raise RuntimeError("Traceback: secret of the house")
        if question == "deaf":
            self.through.wait(10)
        while not self.through.is_set():
            progress("thinking", 1, 10)
            time.sleep(0.002)
        return made(question, answer)


def made(question: str, answer: str | None = None) -> Explanation:
    explanation = make_explanation(sections=3)
    return replace(explanation, question=question, answer_source="given" if answer else "tuned")


class Live:
    """A server and a client of it."""

    def __init__(
        self,
        folder: Path,
        limits: Limits,
        token: str | None,
        lengths: Lengths,
        model: bool,
        explain: Explain | None,
        host: str,
    ) -> None:
        self.explainer = Explainer()
        self.shelf = Shelf(folder, LIVE if model else None)
        self.jobs = Jobs(keep(explain or self.explainer, self.shelf), limits) if model else None
        self.place = bind(host, 0)
        app = make_app(self.shelf, self.jobs, self.place.hosts, token=token or self.place.token, lengths=lengths)
        self.server = Server(configure(app), self.jobs, lambda: None)
        self.client = httpx.Client(base_url=httpx.URL(self.place.url).copy_with(query=None), timeout=10)

    def ask(self, question: str, answer: str | None = None) -> httpx.Response:
        return self.client.post("/api/jobs", json={"question": question, "answer": answer})

    def events(self, name: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """What one listener is told, until the server ends it."""
        with self.client.stream("GET", f"/api/jobs/{name}/events") as response:
            assert response.status_code == 200, response.read()
            yield from read_events(response)


def read_events(response: httpx.Response) -> Iterator[tuple[str, dict[str, Any]]]:
    assert response.headers["content-type"].startswith("text/event-stream")
    name = ""
    for line in response.iter_lines():
        if line.startswith("event: "):
            name = line.removeprefix("event: ")
        elif line.startswith("data: "):
            yield name, json.loads(line.removeprefix("data: "))


@contextmanager
def serving(
    folder: Path,
    *,
    limits: Limits | None = None,
    token: str | None = None,
    lengths: Lengths | None = None,
    model: bool = True,
    explain: Explain | None = None,
    host: str = "127.0.0.1",
) -> Iterator[Live]:
    limits = limits or Limits(heartbeat=0.05, patience=0.2)
    live = Live(folder, limits, token, lengths or Lengths(), model, explain, host)
    thread = threading.Thread(target=live.server.run, args=([live.place.socket],))
    thread.start()
    try:
        wait_for(lambda: live.server.started)
        yield live
    finally:
        live.explainer.through.set()
        live.server.should_exit = True
        thread.join(10)
        live.client.close()
        assert not thread.is_alive()


def wait_for(met: Any, seconds: float = 5) -> None:
    end = time.monotonic() + seconds
    while not met():
        assert time.monotonic() < end, "it did not come to pass"
        time.sleep(0.005)
