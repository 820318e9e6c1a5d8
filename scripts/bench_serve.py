"""Waits at the live server: until a question's first event, and for pages while the models work, in the same run.

    python scripts/bench_serve.py [--clients 1,50] [--seconds 3] [--json] [-- options of attrib serve]

Starts attrib serve (the demo's models, or what is named behind --) and asks a question of it. Then for each number of
clients at once: all ask, and the time until each is told its first event is taken; all fetch the answer's page for some
seconds, while nothing else runs and while the models work. Wall seconds and pages a second, and the ratio of the two;
peak memory of the server. Other work on the machine moves the seconds, less so the ratio.
"""

from __future__ import annotations

import argparse
import json
import resource
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any

import httpx

QUESTION = "Who was the first keeper of Carrow Point Light?"


def main() -> None:
    arguments = _arguments()
    numbers = [int(number) for number in arguments.clients.split(",")]
    began = time.monotonic()
    small = ["--port", "0", "-o", f"requests.queue={max(numbers)}"]
    command = [sys.executable, "-m", "attrib", "serve", *small, *arguments.options]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    url = server.stdout.readline().strip()
    if not url:
        sys.exit("bench_serve: attrib serve did not start; see above")
    report: dict[str, Any] = {"start_s": time.monotonic() - began, "clients": {}}
    try:
        with httpx.Client(base_url=url, timeout=600) as client:
            began = time.monotonic()
            kind, told = _events(client, _ask(client, QUESTION))[-1]
            if kind != "done":
                sys.exit(f"bench_serve: the question was not answered: {told}")
            report |= {"answer_s": time.monotonic() - began, "page_kb": len(client.get(told["url"]).content) / 1e3}
        for number in numbers:
            report["clients"][number] = _measure(url, told["url"], number, arguments.seconds)
    finally:
        server.send_signal(signal.SIGINT)
        report["status"] = server.wait(30)
    # Kibibytes on Linux, bytes on macOS.
    unit = 1 if sys.platform == "darwin" else 1024
    report["peak_gb"] = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * unit / 1e9
    print(json.dumps(report) if arguments.json else "\n".join(_lines(report)))
    sys.exit(report["status"])


def _measure(url: str, page: str, number: int, seconds: float) -> dict[str, float]:
    first = _first_events(url, number)
    idle = _pages(url, page, number, seconds)
    with _working(url):
        busy = _pages(url, page, number, seconds)
    return {
        "first_event_median_s": statistics.median(first),
        "first_event_worst_s": max(first),
        "pages_per_s_idle": idle,
        "pages_per_s_working": busy,
        "ratio": busy / idle,
    }


def _first_events(url: str, number: int) -> list[float]:
    """Seconds from asking to the first event, of clients that all ask at once and then go."""
    together = threading.Barrier(number)

    def visit(index: int) -> float:
        with httpx.Client(base_url=url, timeout=60) as client:
            together.wait(60)
            began = time.monotonic()
            name = _ask(client, f"{QUESTION} {index}")
            with client.stream("GET", f"/api/jobs/{name}/events") as response:
                next(line for line in response.iter_lines() if line.startswith("event:"))
                waited = time.monotonic() - began
            client.delete(f"/api/jobs/{name}")
            return waited

    with ThreadPoolExecutor(number) as clients:
        return list(clients.map(visit, range(number)))


def _pages(url: str, page: str, number: int, seconds: float) -> float:
    """Pages a second that so many clients get."""

    def fetch(_: int) -> int:
        got = 0
        with httpx.Client(base_url=url, timeout=60) as client:
            while time.monotonic() < end:
                client.get(page).raise_for_status()
                got += 1
        return got

    began = time.monotonic()
    end = began + seconds
    with ThreadPoolExecutor(number) as clients:
        got = sum(clients.map(fetch, range(number)))
    return got / (time.monotonic() - began)


@contextmanager
def _working(url: str) -> Iterator[None]:
    """One question after another under the models."""
    over = threading.Event()
    begun = threading.Event()

    def work() -> None:
        with httpx.Client(base_url=url, timeout=600) as client:
            while not over.is_set():
                name = _ask(client, QUESTION)
                with client.stream("GET", f"/api/jobs/{name}/events") as response:
                    for line in response.iter_lines():
                        if line == "event: progress":
                            begun.set()
                        if over.is_set():
                            break

    thread = threading.Thread(target=work)
    thread.start()
    try:
        begun.wait(60)
        yield
    finally:
        over.set()
        thread.join()


def _ask(client: httpx.Client, question: str) -> str:
    response = client.post("/api/jobs", json={"question": question, "answer": None})
    response.raise_for_status()
    return str(response.json()["id"])


def _events(client: httpx.Client, name: str) -> list[tuple[str, dict[str, Any]]]:
    told: list[tuple[str, dict[str, Any]]] = []
    kind = ""
    with client.stream("GET", f"/api/jobs/{name}/events") as response:
        for line in response.iter_lines():
            key, _, value = line.partition(": ")
            kind = value if key == "event" else kind
            if key == "data":
                told.append((kind, json.loads(value)))
    return told


def _lines(report: dict[str, Any]) -> Iterator[str]:
    yield f"ready after {report['start_s']:.1f} s; first question answered in {report['answer_s']:.1f} s"
    yield f"page {report['page_kb']:,.0f} kB; server's peak memory {report['peak_gb']:.2f} GB"
    for number, found in report["clients"].items():
        yield (
            f"{number} at once: first event after {1000 * found['first_event_median_s']:.0f} ms "
            f"(worst {1000 * found['first_event_worst_s']:.0f}); {found['pages_per_s_idle']:.0f} pages/s, "
            f"{found['pages_per_s_working']:.0f} while the models work ({found['ratio']:.2f})"
        )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", default="1,50", help="numbers of clients, comma-separated")
    parser.add_argument("--seconds", type=float, default=3.0, help="of fetching pages, each time")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("options", nargs="*", help="of attrib serve, behind --")
    return parser.parse_args()


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        main()
