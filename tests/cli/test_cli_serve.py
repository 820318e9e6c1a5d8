"""``attrib serve`` as a process: tiny models, real sockets, signals."""

from __future__ import annotations

import shutil
import signal
import socket
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from attrib.progress import Progress
from attrib.records import storage
from tests.cli import commands
from tests.make import make_explanation
from tests.programs import Program, attrib, told
from tests.server.live import JSON, read_events, wait_for

QUESTION = "Who keeps the light?"
LONG = "Who keeps the light? " + "the pump " * 30
"""Takes the methods below longer than a browser is waited for."""
SLOW = ("--methods", "attention,smoothgrad,integrated_gradients,shapley")


@dataclass
class Process:
    """A running ``attrib serve``."""

    program: Program
    url: str

    @property
    def errors(self) -> str:
        return self.program.err

    def stop(self, number: int, seconds: float = 6) -> int:
        self.program.send_signal(number)
        return self.program.wait(seconds)


@contextmanager
def process(folder: Path, *arguments: str, serve: Callable[..., None] = attrib) -> Iterator[Process]:
    cache = {"ATTRIB_CACHE": str(folder / "cache")}
    started = Program(serve, "serve", "--port", "0", *arguments, **cache)
    try:
        started.wait_for(lambda: started.out.endswith("\n"))
        url = started.out.strip()
        assert url.startswith("http://"), started.err
        yield Process(started, url)
    finally:
        started.kill()


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("kept")


@pytest.fixture(scope="module")
def models(base_dir: Path, adapter_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("texts")
    (folder / "control.md").write_text("# Control\n\nThe board met at noon.\n\n## Two\n\nTurn the screw.\n")
    (folder / "docs").mkdir()
    (folder / "docs" / "light.md").write_text("# Lights\n\n## Point\n\nThe keeper of the light is Wilmet Dallin.\n")
    return [
        "--base", str(base_dir), "--tuned", str(adapter_dir), "--documents", str(folder / "docs"),
        "--control", str(folder / "control.md"), "--device", "cpu", "-o", "requests.queue=8",
    ]  # fmt: skip


@pytest.fixture(scope="module")
def server(models: Sequence[str], kept: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    with process(
        tmp_path_factory.mktemp("serve"), *models, "--out", str(kept), "--max-new-tokens", "64", *SLOW
    ) as running:
        yield running


def ask(client: httpx.Client, question: str = QUESTION) -> str:
    """A job's name; the long question is explained with the model's own answer, which takes long."""
    answer = "Wilmet" if question == QUESTION else None
    response = client.post("/api/jobs", json={"question": question, "answer": answer})
    assert response.status_code == 202, response.text
    return str(response.json()["id"])


def test_a_question_is_answered_and_the_first_progress_comes_within_a_second(server: Process, kept: Path) -> None:
    with httpx.Client(base_url=server.url, timeout=60) as client:
        began = time.monotonic()
        name = ask(client)
        told = []
        with client.stream("GET", f"/api/jobs/{name}/events") as response:
            for event in read_events(response):
                told.append((*event, time.monotonic() - began))
        assert next(when for what, _, when in told if what == "progress") < 1
        assert told[-1][0] == "done", told[-1]
        assert "answers" in {event["what"] for what, event, _ in told if what == "progress"}
        shown = client.get(told[-1][1]["url"])
        assert QUESTION in shown.text
        assert [storage.load(file).question for file in kept.glob("*.safetensors")] == [QUESTION]
        assert f"job {name} done" in server.errors


def test_a_wrong_host_ten_megabytes_and_a_foreign_page_are_refused(server: Process) -> None:
    with httpx.Client(base_url=server.url, timeout=30) as client:
        refused = [
            client.get("/", headers={"host": "evil.example"}),
            client.post("/api/jobs", content=b"a" * 10_000_000, headers=JSON),
            client.post("/api/jobs", json={"question": QUESTION}, headers={"origin": "http://evil.example"}),
        ]
        assert [response.status_code for response in refused] == [421, 413, 403]
        assert client.get("/").is_success


def test_fifty_clients_at_once_are_all_answered_and_the_list_is_shown_meanwhile(server: Process) -> None:
    def visit(number: int) -> tuple[int, str]:
        with httpx.Client(base_url=server.url, timeout=60) as client:
            asked = client.post("/api/jobs", json={"question": f"{QUESTION} {number}", "answer": "Wilmet"})
            assert client.get("/").is_success
            if asked.is_success:
                client.delete(f"/api/jobs/{asked.json()['id']}")
            return asked.status_code, asked.text

    with ThreadPoolExecutor(50) as clients:
        answers = list(clients.map(visit, range(50)))
    assert {status for status, _ in answers} <= {202, 503}
    assert not any("Traceback" in text for _, text in answers)
    assert sum(status == 202 for status, _ in answers) >= 9
    assert "Traceback" not in server.errors


def test_a_browser_that_goes_away_in_the_middle_cancels_and_the_server_goes_on(server: Process, kept: Path) -> None:
    before = set(kept.iterdir())
    with httpx.Client(base_url=server.url, timeout=60) as client:
        running, waiting = ask(client, LONG), ask(client, f"{LONG}!")
        for name in (waiting, running):
            with client.stream("GET", f"/api/jobs/{name}/events") as response:
                next(event for event in read_events(response) if event[0] == "progress" or name == waiting)
        wait_for(lambda: f"job {running} cancelled" in server.errors, 20)
        assert [event[0] for event in events(client, waiting)] == ["cancelled"]
        assert events(client, ask(client))[-1][0] == "done"
    assert len(set(kept.iterdir()) - before) <= 1


def events(client: httpx.Client, name: str) -> list[tuple[str, dict[str, Any]]]:
    with client.stream("GET", f"/api/jobs/{name}/events") as response:
        return list(read_events(response))


def test_ctrl_c_in_the_middle_of_a_question_ends_with_0_and_tells_the_listener(server: Process, kept: Path) -> None:
    before = set(kept.iterdir())
    with httpx.Client(base_url=server.url, timeout=60) as client:
        name = ask(client, LONG)
        with client.stream("GET", f"/api/jobs/{name}/events") as response:
            told = read_events(response)
            next(event for event in told if event[0] == "progress")
            began = time.monotonic()
            server.program.send_signal(signal.SIGINT)
            *_, (last, data) = told
    assert last == "failed"
    assert "stopped" in str(data["error"])
    assert server.program.wait(10) == 0
    assert time.monotonic() - began < 8
    assert set(kept.iterdir()) == before
    assert "Traceback" not in server.errors


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stored")
    storage.save(make_explanation(sections=3), folder / "explanation")
    return folder


def test_a_folder_is_shown_without_models_and_sigterm_ends_with_0(stored: Path, tmp_path: Path) -> None:
    with process(tmp_path, str(stored)) as running:
        assert "token" not in running.url
        listed = httpx.get(running.url)
        assert listed.text.count("/explanations/") == 1
        assert running.stop(signal.SIGTERM) == 0
        assert running.errors == "attrib: records\n"


def test_elsewhere_than_on_this_machine_a_token_is_printed_and_needed(stored: Path, tmp_path: Path) -> None:
    with process(tmp_path, str(stored), "--host", "0.0.0.0", "--allow-host", "lab.example") as running:
        port = httpx.URL(running.url).port
        token = httpx.URL(running.url).params["token"]
        assert len(token) > 40
        here = f"http://127.0.0.1:{port}/"
        assert httpx.get(here).status_code == 401
        assert httpx.get(here, params={"token": token}).status_code == 303
        with httpx.Client(follow_redirects=True) as client:
            assert client.get(here, params={"token": token}).is_success
            assert client.get(here).is_success
        bearer = {"authorization": f"Bearer {token}"}
        assert httpx.get(here, headers={"host": "lab.example", **bearer}).is_success
        assert httpx.get(here, headers={"host": f"evil.example:{port}", **bearer}).status_code == 421
        assert running.stop(signal.SIGINT) == 0


def deaf(*arguments: str) -> None:
    """Serves a model that heeds nothing while it explains; the last argument is the folder for temporary files."""
    from attrib import explaining

    def sleep(*given: Any, progress: Progress, **named: Any) -> None:
        progress("sleeping", 0, 1)
        time.sleep(60)

    explaining.explain = sleep  # type: ignore[assignment]
    *arguments, tempfile.tempdir = arguments  # type: ignore[assignment]
    attrib(*arguments)


@pytest.mark.slow
def test_a_step_that_cannot_be_cut_short_does_not_keep_the_server_from_leaving(
    models: Sequence[str], tmp_path: Path
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    with process(tmp_path, *models, str(temporary), serve=deaf) as running:
        assert len(list(temporary.iterdir())) == 1
        with httpx.Client(base_url=running.url, timeout=60) as client:
            name = ask(client)
            with client.stream("GET", f"/api/jobs/{name}/events") as response:
                told = read_events(response)
                next(event for event in told if event[1].get("what") == "sleeping")
                assert running.stop(signal.SIGTERM, 10) == 0
                assert [event[0] for event in told] == ["failed"]
        assert list(temporary.iterdir()) == []
        assert "Traceback" not in running.errors


def slow_to_list(*arguments: str) -> None:
    """Serves a folder in which the file of the last argument takes long to read."""
    from attrib.render import gallery

    look, (*arguments, last) = gallery.look, arguments  # type: ignore[assignment]

    def slow(file: Path) -> Any:
        if file.stem == last:
            file.with_name("begun").touch()
            time.sleep(60)
        return look(file)

    gallery.look = slow
    attrib(*arguments)


def test_a_list_in_the_making_does_not_keep_the_server_from_leaving(stored: Path, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    shutil.copytree(stored, folder)
    with process(tmp_path, str(folder), "new", serve=slow_to_list) as running:
        with httpx.Client(base_url=running.url, timeout=20) as client, ThreadPoolExecutor(1) as thread:
            assert client.get("/").is_success
            (folder / "new.safetensors").write_bytes(b"of another kind")
            listing = thread.submit(httpx.get, running.url, timeout=20)
            wait_for((folder / "begun").exists, 20)
            began = time.monotonic()
            assert running.stop(signal.SIGTERM, 20) == 0
            assert time.monotonic() - began < 8
            assert isinstance(listing.exception() or listing.result().status_code, httpx.HTTPError | int)
        assert "Traceback" not in running.errors


def refused(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *arguments: str) -> str:
    """The one line of a refusal."""
    status, out, err = commands.run(capsys, monkeypatch, "serve", *arguments)
    assert (status, out) == (2, "")
    (line,) = told(err)
    return line


def test_a_port_in_use_is_refused_before_models_are_loaded(capsys: Any, monkeypatch: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert "choose another --port" in refused(capsys, monkeypatch, "--port", port, "--base", "/no/such/model")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["{tmp}/none"], "no such folder"),
        (["{tmp}"], "no explanation there"),
        (["{tmp}", "--out", "{tmp}/other"], "leave one of the two out"),
        (["--host", "no.such.host.invalid"], "cannot listen there"),
        (["--allow-host", "http://lab.example"], "allow-host"),
        (["--methods", "guess"], "method 'guess' is unknown"),
        (["{tmp}", "--methods", "attention"], "--methods: FOLDER alone"),
        (["{tmp}", "--control", "{tmp}"], "--control: FOLDER alone"),
        (["{tmp}", "-o", "requests.max_question=10", "--host", "127.0.0.1"], "requests.max_question: FOLDER alone"),
        (["--tuned", "x"], "documents: none named"),
        (["-o", "models.device_map=auto", "--device", "cpu"], "models.device_map"),
    ],
)
def test_what_cannot_be_served_is_refused_in_one_line(
    capsys: Any, monkeypatch: Any, tmp_path: Path, arguments: list[str], says: str
) -> None:
    given = [argument.replace("{tmp}", str(tmp_path)) for argument in arguments]
    monkeypatch.setenv("ATTRIB_CACHE", str(tmp_path / "cache"))
    assert says in refused(capsys, monkeypatch, "--port", "0", *given)
    assert not (tmp_path / "other").exists()
