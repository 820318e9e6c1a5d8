"""The server's addresses, over real sockets, with models that are made up."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
import struct
import threading
import time
from collections.abc import AsyncGenerator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.requests import ClientDisconnect

from attrib.files import write_atomically
from attrib.records import Explanation, storage
from attrib.render import gallery, page
from attrib.server import app, running, shelf
from attrib.server.app import ClosingStream, Lengths
from attrib.server.guard import HEADERS
from attrib.server.jobs import INTERNAL, Limits
from attrib.server.shelf import Shelf
from tests.server.live import JSON, Live, made, serving, wait_for


@pytest.fixture
def live(tmp_path: Path) -> Iterator[Live]:
    with serving(tmp_path) as running:
        yield running


def one_line(response: httpx.Response) -> str:
    """The line of an error, which says nothing of what is inside."""
    text = response.json()["error"] if response.headers["content-type"] == "application/json" else response.text
    assert text.strip()
    assert text.strip().count("\n") == 0
    assert "Traceback" not in response.text
    assert ".py" not in response.text
    assert {name: response.headers[name] for name in HEADERS} == HEADERS
    return str(text.strip())


def test_a_question_is_explained_kept_and_shown(live: Live, tmp_path: Path) -> None:
    live.explainer.through.set()
    asked = live.ask("How long is the warranty?")
    assert asked.status_code == 202
    assert asked.json()["position"] == 0
    told = list(live.events(asked.json()["id"]))
    assert told[-1][0] == "done"
    address = told[-1][1]["url"]
    shown = live.client.get(address)
    assert shown.headers["content-type"] == "text/html; charset=utf-8"
    assert "How long is the warranty?" in shown.text
    assert '"ask":"/api/jobs"' in shown.text
    assert f'href="{address}"' in live.client.get("/").text
    record = live.client.get(f"{address}/record")
    assert "attachment" in record.headers["content-disposition"]
    files = list(tmp_path.iterdir())
    assert [file.read_bytes() for file in files] == [record.content]
    assert storage.load(files[0]).question == "How long is the warranty?"


def test_the_same_question_again_is_the_same_explanation(live: Live, tmp_path: Path) -> None:
    live.explainer.through.set()
    ends = [list(live.events(live.ask("Who?").json()["id"]))[-1] for _ in range(2)]
    assert ends[0] == ends[1]
    assert len(list(tmp_path.iterdir())) == 1


def test_a_given_answer_reaches_the_models(live: Live, tmp_path: Path) -> None:
    live.explainer.through.set()
    list(live.events(live.ask("Who?", "Wilmet Dallin").json()["id"]))
    assert storage.load(next(tmp_path.iterdir())).answer_source == "given"


def test_events_come_at_once_also_while_another_question_runs(live: Live) -> None:
    first = live.ask("first").json()["id"]
    second = live.ask("second").json()
    assert second["position"] == 1
    for name, expected in ((first, "progress"), (second["id"], "queued")):
        began = time.monotonic()
        events = live.events(name)
        told = next(event for event in events if event[0] == expected)
        assert time.monotonic() - began < 0.5
        assert told[1] == {"position": 1} if expected == "queued" else {"what", "done", "total"} == set(told[1])
    assert live.explainer.begun == ["first"]


def test_cancelling_ends_a_job_and_the_next_one_runs(live: Live, tmp_path: Path) -> None:
    first, second = (live.ask(name).json()["id"] for name in ("first", "second"))
    wait_for(lambda: live.explainer.begun == ["first"])
    assert live.client.delete(f"/api/jobs/{first}").json() == {"id": first, "state": "cancelled"}
    assert [name for name, _ in live.events(first)] == ["cancelled"]
    wait_for(lambda: live.explainer.begun == ["first", "second"])
    live.explainer.through.set()
    assert list(live.events(second))[-1][0] == "done"
    assert live.client.delete(f"/api/jobs/{second}").json()["state"] == "done"
    assert [storage.load(file).question for file in tmp_path.iterdir()] == ["second"]


def test_what_was_cancelled_during_its_last_step_is_not_kept(live: Live, tmp_path: Path) -> None:
    name = live.ask("deaf").json()["id"]
    wait_for(lambda: live.explainer.begun == ["deaf"])
    live.client.delete(f"/api/jobs/{name}")
    live.explainer.through.set()
    assert list(live.events(live.ask("second").json()["id"]))[-1][0] == "done"
    assert [storage.load(file).question for file in tmp_path.iterdir()] == ["second"]


def test_what_was_cancelled_while_its_record_was_made_is_not_kept(
    live: Live, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    making, go_on = threading.Event(), threading.Event()
    to_bytes = storage.to_bytes

    def slowly(explanation: Explanation) -> bytes:
        making.set()
        assert go_on.wait(5)
        return to_bytes(explanation)

    monkeypatch.setattr(storage, "to_bytes", slowly)
    live.explainer.through.set()
    name = live.ask("first").json()["id"]
    assert making.wait(5)
    assert live.client.delete(f"/api/jobs/{name}").json()["state"] == "cancelled"
    go_on.set()
    assert list(live.events(live.ask("second").json()["id"]))[-1][0] == "done"
    assert [storage.load(file).question for file in tmp_path.iterdir()] == ["second"]


def test_what_is_being_written_cannot_be_cancelled_and_is_listed(
    live: Live, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writing, go_on = threading.Event(), threading.Event()

    def slowly(file: Path, data: bytes) -> None:
        writing.set()
        assert go_on.wait(5)
        write_atomically(file, data)

    monkeypatch.setattr(shelf, "write_atomically", slowly)
    live.explainer.through.set()
    name = live.ask("first").json()["id"]
    assert writing.wait(5)
    assert live.client.delete(f"/api/jobs/{name}").json()["state"] == "progress"
    go_on.set()
    (*_, (end, data)) = live.events(name)
    assert end == "done"
    assert f'href="{data["url"]}"' in live.client.get("/").text


@pytest.mark.parametrize("version", ["2.3", "2.4"])
def test_a_stream_is_closed_before_its_response_ends_also_in_the_middle_of_sending(version: str) -> None:
    closed: list[bool] = []

    async def source() -> AsyncGenerator[bytes, None]:
        try:
            while True:
                yield b": still here\n\n"
        finally:
            await asyncio.sleep(0)
            closed.append(True)

    async def send(message: Any) -> None:
        if message["type"] == "http.response.body":
            raise OSError("gone")

    async def receive() -> Any:
        await asyncio.sleep(60)

    async def respond() -> None:
        scope = {"type": "http", "asgi": {"spec_version": version}}
        with pytest.raises((OSError, ClientDisconnect)):
            await ClosingStream(source(), {}, "text/event-stream")(scope, receive, send)
        assert closed == [True]

    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, respond()).result()


def test_a_browser_that_goes_away_cancels_its_question(live: Live, tmp_path: Path) -> None:
    name = live.ask("first").json()["id"]
    events = live.events(name)
    next(event for event in events if event[0] == "progress")
    assert live.jobs is not None
    job = live.jobs.find(name)
    assert job is not None
    assert job.listeners == 1
    events.close()  # type: ignore[attr-defined]
    wait_for(lambda: job.event.name == "cancelled")
    assert job.listeners == 0
    live.explainer.through.set()
    list(live.events(live.ask("second").json()["id"]))
    assert [storage.load(file).question for file in tmp_path.iterdir()] == ["second"]


def test_two_listeners_of_one_job_are_both_told_and_one_may_leave(live: Live) -> None:
    name = live.ask("first").json()["id"]
    one, two = live.events(name), live.events(name)
    for listener in (one, two):
        next(event for event in listener if event[0] == "progress")
    one.close()  # type: ignore[attr-defined]
    time.sleep(0.4)
    live.explainer.through.set()
    assert list(two)[-1][0] == "done"
    assert [event[0] for event in live.events(name)] == ["done"]


def test_errors_of_the_models_are_one_line_and_the_server_goes_on(live: Live, caplog: pytest.LogCaptureFixture) -> None:
    live.explainer.through.set()
    with caplog.at_level(logging.INFO, logger="attrib.server"):
        ends = [list(live.events(live.ask(name).json()["id"]))[-1] for name in ("yours", "ours", "fine")]
    assert ends[0] == ("failed", {"error": "question: this is too long"})
    assert ends[1] == ("failed", {"error": INTERNAL})
    assert ends[2][0] == "done"
    assert "secret of the house" in caplog.text


def test_an_error_of_the_server_is_one_line_and_the_log_has_it(
    live: Live, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def break_down(*given: Any, **named: Any) -> bytes:
        raise RuntimeError("secret of the house")

    monkeypatch.setattr(gallery, "index_html", break_down)
    response = live.client.get("/")
    assert (response.status_code, one_line(response)) == (500, INTERNAL)
    wait_for(lambda: "secret of the house" in caplog.text)
    monkeypatch.undo()
    assert live.client.get("/").is_success


@pytest.mark.parametrize("error", [StopIteration(), RecursionError("secret"), IndexError("secret"), MemoryError()])
def test_a_page_that_cannot_be_made_is_one_line_and_the_log_says_why(
    live: Live, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def break_down(*given: Any, **named: Any) -> bytes:
        raise error

    address = live.shelf.add(made("Who?"))
    with monkeypatch.context() as broken:
        broken.setattr(page, "html", break_down)
        response = live.client.get(address)
    assert response.status_code == 404
    assert "secret" not in one_line(response)
    wait_for(lambda: type(error).__name__ in caplog.text)
    assert live.client.get(address).is_success


def test_whatever_lies_in_the_folder_the_list_is_shown_and_says_not_where(live: Live, tmp_path: Path) -> None:
    address = live.shelf.add(made("Who?"))
    file = next(tmp_path.iterdir())
    spoil(tmp_path, file.read_bytes())
    listed = live.client.get("/")
    assert listed.is_success
    assert f'href="{address}"' in listed.text
    assert listed.text.count('href="/explanations/') == 1
    assert all(f"{name}.safetensors" in listed.text for name in ("cut", "deep", "bf16", "float8", "surrogate"))
    assert str(tmp_path) not in listed.text
    assert len(Shelf(tmp_path)) == 1
    file.unlink()
    listed = live.client.get("/")
    assert listed.is_success
    assert 'href="/explanations/' not in listed.text
    assert "cut.safetensors" in listed.text


def spoil(folder: Path, whole: bytes) -> None:
    """Beside a record: damaged ones of many kinds, and what is no file."""
    record = json.dumps({"schema": storage.SCHEMA, "record": {"is": "Phrase", "fields": {"text": "\ud800"}}})
    for name, attrib, tensors in (
        ("deep", "[" * 200_000, {}),
        ("surrogate", record, {}),
        ("bf16", "{}", {"a": {"dtype": "BF16", "shape": [1], "data_offsets": [0, 2]}}),
        ("float8", "{}", {"a": {"dtype": "F8_E4M3", "shape": [2], "data_offsets": [0, 2]}}),
    ):
        header = json.dumps({"__metadata__": {"attrib": attrib}, **tensors}).encode()
        data = struct.pack("<Q", len(header)) + header + b"\0\0" * bool(tensors)
        (folder / f"{name}.safetensors").write_bytes(data)
    (folder / "cut.safetensors").write_bytes(whole[:300])
    (folder / "line\nand \x1b.safetensors").write_bytes(whole[:300])
    (folder / os.fsdecode(b"\xff\xfe.safetensors")).write_bytes(whole[:300])
    (folder / "folder.safetensors").mkdir()
    (folder / "loop.safetensors").symlink_to("loop.safetensors")
    (folder / "nowhere.safetensors").symlink_to("/nonexistent")
    (folder / "around").symlink_to(folder)
    os.mkfifo(folder / "pipe.safetensors")
    (folder / "attribution.json").write_text('{"rows": [{"question": "Who?", "kind": "\\ud800"}]}')


def test_a_link_out_of_the_folder_is_neither_listed_nor_followed(live: Live, tmp_path: Path) -> None:
    outside = tmp_path.parent / f"{tmp_path.name}-outside"
    storage.save(made("What is secret?"), outside / "explanation")
    (tmp_path / "link.safetensors").symlink_to(outside / "explanation.safetensors")
    (tmp_path / "below").symlink_to(outside)
    address = live.shelf.add(made("Who?"))
    assert "secret" not in live.client.get("/").text
    file = next(tmp_path.glob("[0-9a-f]*.safetensors"))
    record = file.read_bytes()
    assert live.client.get(f"{address}/record").content == record
    file.unlink()
    file.symlink_to("/etc/passwd")
    for path in (f"{address}/record", address):
        response = live.client.get(path)
        assert response.status_code == 404
        assert "root:" not in one_line(response)
    file.unlink()
    file.write_bytes(record)
    assert "Who?" in live.client.get("/").text
    assert live.client.get(f"{address}/record").content == record


def test_another_record_at_the_same_place_has_another_address(live: Live, tmp_path: Path) -> None:
    address = live.shelf.add(made("Who?"))
    storage.save(made("What?"), next(tmp_path.iterdir()))
    assert live.client.get(f"{address}/record").status_code == 404
    assert live.client.get(address).status_code == 404
    assert "What?" in live.client.get("/").text


def test_only_what_changed_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    look = gallery.look

    def noting(file: Path) -> gallery.Look:
        read.append(file.name)
        return look(file)

    monkeypatch.setattr(gallery, "look", noting)
    for name in "abc":
        storage.save(made(f"Question {name}?"), tmp_path / name)
    told: list[tuple[str, int, int]] = []
    kept = Shelf(tmp_path, progress=lambda *state: told.append(state))
    assert read == [f"{name}.safetensors" for name in "abc"]
    assert told == [("records", number, 3) for number in range(3)]
    read.clear()
    storage.save(made("Question d?"), tmp_path / "d")
    storage.save(made("Another a?"), tmp_path / "a")
    (tmp_path / "b.safetensors").unlink()
    address = kept.add(made("Own?"))
    listed = kept.index().decode()
    assert sorted(read) == ["a.safetensors", "d.safetensors"]
    assert all(question in listed for question in ("Another a?", "Question c?", "Question d?", "Own?"))
    assert "Question b?" not in listed
    assert "Question a?" not in listed
    assert kept.page(address.rpartition("/")[2])
    read.clear()
    assert kept.index().decode() == listed
    assert read == []


def test_a_record_that_became_unreadable_is_one_line(live: Live, tmp_path: Path) -> None:
    address = live.shelf.add(made("Who?"))
    file = next(tmp_path.iterdir())
    file.write_bytes(file.read_bytes()[:100])
    response = live.client.get(address)
    assert response.status_code == 404
    assert str(tmp_path) not in one_line(response)
    file.unlink()
    assert live.client.get(address).status_code == 404
    assert live.client.get(f"{address}/record").status_code == 404


@pytest.mark.parametrize(
    "path",
    [
        "/explanations/none", "/explanations/none/record", "/api/jobs/none/events", "/favicon.ico", "/api",
        "/api/jobs/", "/explanations/none/",
        "/explanations/..%2f..%2fetc%2fpasswd", "/explanations/..%2f..%2fetc%2fpasswd/record",
        "/explanations/%00/record",
        "/explanations/%2e%2e/record", "/explanations//etc/passwd", "/..%2f..%2fetc/passwd", "/static/../../etc/passwd",
        "/explanations/%ff%fe", "/explanations/" + "a" * 5000,
    ],
)  # fmt: skip
def test_what_is_not_there_is_not_there(live: Live, path: str) -> None:
    live.shelf.add(made("Who?"))
    response = live.client.get(path)
    assert response.status_code == 404
    assert "root:" not in one_line(response)


def test_paths_that_no_client_sends_are_answered_too(live: Live) -> None:
    host = live.place.url.removeprefix("http://").rstrip("/")
    for target in ("/../../etc/passwd", "//etc/passwd", "http://evil.example/", "/?token=%ff&token=\\", "/%"):
        with socket.create_connection(("127.0.0.1", live.place.hosts.port), timeout=5) as raw:
            raw.sendall(f"GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
            answer = b"".join(iter(lambda: raw.recv(65536), b""))
        assert answer.startswith((b"HTTP/1.1 404", b"HTTP/1.1 200")), target
        assert b"root:" not in answer
        assert b"Traceback" not in answer


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/"), ("GET", "/api/jobs"), ("PUT", "/explanations/a"), ("DELETE", "/"), ("GET", "/api/jobs/a"),
        ("PATCH", "/api/jobs"),
    ],
)  # fmt: skip
def test_other_methods_are_refused_in_one_line(live: Live, method: str, path: str) -> None:
    response = live.client.request(method, path, headers=JSON)
    assert response.status_code == 405
    one_line(response)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"not json", 400),
        (b"\xff\xfe", 400),
        (b"[" * 30_000, 400),
        (b'{"question": ' + b"1" * 20_000 + b"}", 400),
        (b"[]", 422),
        (b"null", 422),
        (b"{}", 422),
        (b'{"question": null}', 422),
        (b'{"question": 7}', 422),
        (b'{"question": ["Who?"]}', 422),
        (b'{"question": "  \\n "}', 422),
        (b'{"question": "Who?", "answer": " "}', 422),
        (b'{"question": "Who?", "answer": 3}', 422),
        (b'{"question": "Who?", "model": "other"}', 422),
        (b'{"question": "\\ud800"}', 422),
        (b'{"question": "' + b"a" * 2001 + b'"}', 422),
        (b'{"question": "Who?", "answer": "' + b"a" * 4001 + b'"}', 422),
        (b'{"question": "' + b"a" * 100_000 + b'"}', 413),
    ],
)
def test_questions_that_cannot_be_asked_are_refused_in_one_line(live: Live, body: bytes, status: int) -> None:
    response = live.client.post("/api/jobs", content=body, headers=JSON)
    assert response.status_code == status
    one_line(response)
    assert live.explainer.begun == []


def test_the_longest_question_of_the_widest_letters_fits(tmp_path: Path) -> None:
    lengths = Lengths(5000, 5000)
    with serving(tmp_path, lengths=lengths) as live:
        # Written with escapes, each letter takes twelve bytes.
        assert live.ask("🙂" * 5000, "🙂" * 5000).status_code == 202
        assert live.ask("🙂" * 5001).status_code == 422


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
def test_other_kinds_of_content_are_refused(live: Live, kind: str) -> None:
    headers = {"content-type": kind, "origin": live.place.url.rstrip("/")}
    response = live.client.post("/api/jobs", content=b'{"question": "Who?"}', headers=headers)
    assert response.status_code == 415
    one_line(response)


@pytest.mark.parametrize("said", [True, False], ids=["its length said", "chunked"])
def test_ten_megabytes_are_refused(live: Live, said: bool) -> None:
    body = b"a" * 10_000_000
    content = body if said else iter([body[i : i + 65536] for i in range(0, len(body), 65536)])
    response = live.client.post("/api/jobs", content=content, headers=JSON)
    assert response.status_code == 413
    one_line(response)
    assert live.client.get("/").is_success


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_without_end_is_refused_before_its_end(live: Live, chunked: bool) -> None:
    length = "Transfer-Encoding: chunked" if chunked else "Content-Length: 10000000000"
    host = live.place.url.removeprefix("http://").rstrip("/")
    with socket.create_connection(("127.0.0.1", live.place.hosts.port), timeout=5) as raw:
        raw.sendall(
            f"POST /api/jobs HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n{length}\r\n\r\n".encode()
        )
        if chunked:
            for _ in range(20):
                raw.sendall(b"10000\r\n" + b"a" * 0x10000 + b"\r\n")
        assert raw.recv(4096).startswith(b"HTTP/1.1 413")
        assert is_closed(raw, b"10000\r\n" + b"a" * 0x10000 + b"\r\n")


def is_closed(raw: socket.socket, part: bytes, seconds: float = 2) -> bool:
    """Whether the other side takes nothing more."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            raw.sendall(part)
        except OSError:
            return True
        time.sleep(0.01)
    return False


@pytest.mark.parametrize(
    ("host", "kind", "status"),
    [("evil.example", "application/json", 421), (None, "text/plain", 403), (None, "application/json", 404)],
)
def test_whatever_is_refused_the_rest_of_its_body_is_not_read(
    live: Live, host: str | None, kind: str, status: int
) -> None:
    host = host or live.place.url.removeprefix("http://").rstrip("/")
    path = "/none" if status == 404 else "/api/jobs"
    with socket.create_connection(("127.0.0.1", live.place.hosts.port), timeout=5) as raw:
        raw.sendall(
            f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: {kind}\r\nContent-Length: 9999999\r\n\r\n".encode()
        )
        answer = raw.recv(4096)
        assert answer.startswith(f"HTTP/1.1 {status}".encode())
        assert b"connection: close" in answer.lower()
        assert is_closed(raw, b"a" * 100)


def test_who_sends_too_much_hears_of_it_and_only_then_is_the_connection_closed(live: Live) -> None:
    for _ in range(5):
        response = live.client.post("/api/jobs", content=b"a" * 3_000_000, headers=JSON)
        assert response.status_code == 413
        assert response.headers["connection"] == "close"
    assert "connection" not in live.client.get("/none").headers


@pytest.mark.parametrize("begun", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: a\r\n", b"GET"])
@pytest.mark.parametrize("after", [False, True], ids=["at first", "after a response"])
def test_a_connection_that_brings_no_whole_head_is_closed(
    live: Live, begun: bytes, after: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "HEAD", 0.2)
    with socket.create_connection(("127.0.0.1", live.place.hosts.port), timeout=3) as raw:
        if after:
            raw.sendall(b"HEAD /none HTTP/1.1\r\nHost: " + live.client.base_url.netloc + b"\r\n\r\n")
            assert raw.recv(4096).startswith(b"HTTP/1.1 404")
        for letter in begun:
            raw.sendall(bytes([letter]))
        assert raw.recv(4096) == b""
    wait_for(lambda: not live.server.server_state.connections)


def test_who_listens_is_not_closed(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "HEAD", 0.1)
    name = live.ask("first").json()["id"]
    events = live.events(name)
    next(events)
    time.sleep(0.4)
    live.explainer.through.set()
    assert list(events)[-1][0] == "done"


@pytest.mark.parametrize("length", ["Content-Length: 20", "Transfer-Encoding: chunked"])
def test_a_body_that_does_not_come_is_refused(live: Live, length: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "PATIENCE", 0.2)
    host = live.client.base_url.netloc.decode()
    with socket.create_connection(("127.0.0.1", live.place.hosts.port), timeout=3) as raw:
        raw.sendall(
            f"POST /api/jobs HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n{length}\r\n\r\n".encode()
        )
        answer = b"".join(iter(lambda: raw.recv(4096), b""))
    assert answer.startswith(b"HTTP/1.1 408")
    assert answer.endswith(b'"}')


def test_asking_for_the_head_of_events_is_not_listening(live: Live) -> None:
    name = live.ask("first").json()["id"]
    response = live.client.head(f"/api/jobs/{name}/events")
    assert (response.status_code, response.headers["allow"]) == (405, "GET")
    assert live.jobs is not None
    job = live.jobs.find(name)
    assert job is not None
    assert job.listeners == 0


def test_a_full_queue_says_so(tmp_path: Path) -> None:
    with serving(tmp_path, limits=Limits(waiting=1)) as live:
        assert [live.ask(name).status_code for name in "abc"] == [202, 202, 503]
        response = live.ask("d")
        assert "try again" in one_line(response)


def test_a_folder_alone_is_shown_without_a_question_box(tmp_path: Path) -> None:
    storage.save(made("Who?"), tmp_path / "below" / "explanation")
    with serving(tmp_path, model=False) as live:
        listed = live.client.get("/").text
        assert 'id="ask"' not in listed
        name = next(iter(live.shelf._entries))
        assert f'href="/explanations/{name}"' in listed
        assert '"ask":"/api/jobs"' not in live.client.get(f"/explanations/{name}").text
        response = live.ask("Who?")
        assert response.status_code == 404
        assert "no model" in one_line(response)
    with serving(tmp_path) as live:
        assert 'id="ask"' in live.client.get("/").text


def test_what_comes_to_the_folder_is_found(live: Live, tmp_path: Path) -> None:
    first = live.shelf.add(made("Who?"))
    assert "a lamp" not in live.client.get("/").text
    storage.save(made("What is a lamp?"), tmp_path / "more" / "explanation")
    (tmp_path / "other.safetensors").write_bytes(b"of another kind")
    listed = live.client.get("/").text
    assert "What is a lamp?" in listed
    assert first in listed
    assert live.client.get(first).is_success


def test_texts_of_questions_are_no_markup(live: Live) -> None:
    live.explainer.through.set()
    question = '</script><script>alert(1)</script><img src=x onerror=alert(1)> {{7*7}} "quoted"'
    end = list(live.events(live.ask(question).json()["id"]))[-1]
    for shown in (live.client.get(end[1]["url"]), live.client.get("/")):
        assert "<script>alert" not in shown.text
        assert "<img" not in shown.text
        assert "{{7*7}}" in shown.text
        assert {name: shown.headers[name] for name in HEADERS} == HEADERS


def test_a_page_is_made_once_for_many_who_ask(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    address = live.shelf.add(made("Who?"))
    calls: list[float] = []
    make = page.html

    def slowly(*given: Any, **named: Any) -> bytes:
        calls.append(time.monotonic())
        time.sleep(0.1)
        return make(*given, **named)

    monkeypatch.setattr(page, "html", slowly)
    with ThreadPoolExecutor(20) as clients:
        pages = list(clients.map(lambda _: live.client.get(address).content, range(20)))
    assert len(set(pages)) == 1
    assert len(calls) == 1


def test_fifty_clients_at_once_are_all_answered_and_leave_nothing_behind(tmp_path: Path) -> None:
    with serving(tmp_path, limits=Limits(waiting=10, heartbeat=0.05, patience=0.1)) as live:
        before = threading.active_count()
        gate = threading.Barrier(50)

        def visit(number: int) -> int:
            with httpx.Client(base_url=live.place.url, timeout=10) as client:
                gate.wait(10)
                asked = client.post("/api/jobs", json={"question": f"question {number}"})
                if asked.status_code == 503:
                    one_line(asked)
                else:
                    # Looks at the first event, and goes.
                    with client.stream("GET", f"/api/jobs/{asked.json()['id']}/events") as events:
                        next(line for line in events.iter_lines() if line.startswith("event:"))
                assert client.get("/").is_success
                return asked.status_code

        with ThreadPoolExecutor(50) as clients:
            statuses = list(clients.map(visit, range(50)))
        assert set(statuses) <= {202, 503}
        assert statuses.count(202) >= 11
        assert live.jobs is not None
        jobs = live.jobs
        wait_for(lambda: all(job.ended and job.listeners == 0 for job in jobs._jobs.values()))
        wait_for(lambda: not live.server.server_state.tasks)
        # What is left are the pool's threads, which are reused.
        assert threading.active_count() <= before + 40
        live.explainer.through.set()
        assert list(live.events(live.ask("one more").json()["id"]))[-1][0] == "done"
