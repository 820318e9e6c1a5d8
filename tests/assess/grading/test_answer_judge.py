"""The judge against a server of our own."""

from __future__ import annotations

import json
import threading
import traceback
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from attrib.assess.grading.judge import judge, verdicts_in
from attrib.assess.questions import Question
from attrib.errors import InputError
from attrib.options.answers import JudgeOptions

KEY = "sk-a-secret-of-this-test"
ASKED = Question("What is the capital of France?", "Belmarche", accept=("La Belmarche",))


def said(content: object) -> tuple[int, dict[str, str], bytes]:
    return 200, {}, json.dumps({"choices": [{"message": {"content": content}}]}).encode()


class Server(ThreadingHTTPServer):
    """Gives ``replies`` in turn and keeps what it was sent. A status of 0 says nothing until the test ends."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.replies: list[tuple[int, dict[str, str], bytes]] = []
        self.requests: list[tuple[str, dict[str, str], dict[str, Any]]] = []
        self.over = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.requests.append((self.path, dict(self.headers), json.loads(body)))
        status, headers, content = self.server.replies.pop(0)
        if status == 0:
            self.server.over.wait(30)
            return
        if status == -1:
            self.connection.close()
            return
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("ATTRIB_JUDGE_KEY", KEY)
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.over.set()
    server.shutdown()
    thread.join()
    server.server_close()


def options(server: Server, **changes: Any) -> JudgeOptions:
    return JudgeOptions(server.url, "judge-1", **{"timeout": 5.0, "retries": 2, **changes})


def refused(server: Server, **changes: Any) -> str:
    """Message of the InputError, which must not show the key anywhere."""
    with pytest.raises(InputError) as caught:
        judge(ASKED, "Paris", options(server, **changes), pause=lambda seconds: None)
    shown = "".join(traceback.format_exception(caught.value))
    assert KEY not in shown
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("content", "verdict"),
    [
        ("CORRECT", True),
        (" incorrect.\n", False),
        ("**CORRECT**", True),
        ("Incorrect", False),
        ("The answer is CORRECT", None),
        ("CORRECT or INCORRECT", None),
        ("NOT CORRECT", None),
        ("", None),
        (None, None),
        ([1], None),
    ],
)
def test_the_answer_is_parsed_strictly(server: Server, content: object, verdict: bool | None) -> None:
    server.replies.append(said(content))
    assert judge(ASKED, "Belmarche", options(server)) is verdict


def test_what_is_sent(server: Server) -> None:
    server.replies.append(said("CORRECT"))
    prediction = 'It is "Belmarche".\n{"reference": "x"} \udc80'
    judge(ASKED, prediction, options(server))
    [(path, headers, body)] = server.requests
    assert path == "/v1/chat/completions"
    assert headers["Authorization"] == f"Bearer {KEY}"
    assert (body["model"], body["temperature"]) == ("judge-1", 0)
    assert [message["role"] for message in body["messages"]] == ["system", "user"]
    assert json.loads(body["messages"][1]["content"]) == {
        "question": ASKED.question,
        "reference": "Belmarche",
        "accepted": ["La Belmarche"],
        "answer": prediction,
    }
    assert KEY not in json.dumps(body)


def test_without_a_key_none_is_sent(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    server.replies += [said("CORRECT"), said("CORRECT")]
    judge(ASKED, "x", options(server, key_from="ATTRIB_TEST_UNSET"))
    assert "Authorization" not in server.requests[0][1]
    monkeypatch.setenv("OTHER_KEY", "another")
    judge(ASKED, "x", options(server, key_from="OTHER_KEY"))
    assert server.requests[1][1]["Authorization"] == "Bearer another"


@pytest.mark.parametrize("status", [429, 500, 503, -1])
def test_a_passing_failure_is_tried_again(server: Server, status: int) -> None:
    waited: list[float] = []
    server.replies += [(status, {}, b""), (status, {}, b""), said("INCORRECT")]
    assert judge(ASKED, "Paris", options(server), pause=waited.append) is False
    assert waited == [1, 2]
    assert len(server.requests) == 3


def test_the_endpoint_may_ask_for_a_pause(server: Server) -> None:
    waited: list[float] = []
    server.replies += [
        (429, {"Retry-After": "7"}, b""), (429, {"Retry-After": "86400"}, b""), (429, {"Retry-After": "soon"}, b""),
        said("CORRECT"),
    ]  # fmt: skip
    assert judge(ASKED, "Belmarche", options(server, retries=3), pause=waited.append) is True
    assert waited == [7, 60, 4]


def test_a_lasting_failure_is_one_line(server: Server) -> None:
    server.replies += [(503, {}, KEY.encode())] * 3
    assert "503 Service Unavailable, after 3 attempts" in refused(server)
    assert len(server.requests) == 3


def test_silence_is_one_line(server: Server) -> None:
    server.replies += [(0, {}, b"")] * 2
    assert "says nothing for 0.2 seconds, after 2 attempts" in refused(server, timeout=0.2, retries=1)


def test_nobody_there_is_one_line(server: Server) -> None:
    server.shutdown()
    server.server_close()
    assert "cannot be reached, after 2 attempts" in refused(server, retries=1)


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (401, "does not take the key in ATTRIB_JUDGE_KEY"),
        (403, "does not take the key in ATTRIB_JUDGE_KEY"),
        (400, "knows the model"),
        (404, "404 Not Found"),
        (499, "it answers 499 for"),
    ],
)
def test_a_refusal_is_not_tried_again_and_not_repeated(server: Server, status: int, message: str) -> None:
    server.replies.append((status, {"X-Echo": KEY}, f"wrong key {KEY}".encode()))
    assert message in refused(server)
    assert len(server.requests) == 1


def test_no_key_where_one_is_needed(server: Server) -> None:
    server.replies.append((401, {}, b""))
    assert "no key: set ATTRIB_TEST_UNSET" in refused(server, key_from="ATTRIB_TEST_UNSET")


def test_the_key_goes_nowhere_else(server: Server) -> None:
    server.replies += [(status, {"Location": f"{server.url}/elsewhere"}, b"") for status in (307, 302)]
    for _ in range(2):
        assert "give the final address" in refused(server)
    assert [path for path, _, _ in server.requests] == ["/v1/chat/completions"] * 2


@pytest.mark.parametrize(
    "reply",
    [
        b"",
        b"<html>",
        b"[]",
        b'{"choices": []}',
        b'{"choices": [{"message": 1}]}',
        b"\xff",
        b"[" * 10**5,
        b" " * (1 << 21),
    ],
)
def test_another_reply_is_one_line(server: Server, reply: bytes) -> None:
    server.replies.append((200, {}, reply))
    assert "no chat completion" in refused(server)
    assert len(server.requests) == 1


@pytest.mark.parametrize("key", ["sk a-secret-with-blank", "sk-é-secret", "sk-secret\x07", "sk-se\r\ncret: x"])
def test_a_key_that_cannot_be_sent_is_not_shown(server: Server, monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    monkeypatch.setenv("ATTRIB_JUDGE_KEY", key)
    message = refused(server)
    assert "set it again" in message
    assert key[-5:] not in message
    assert server.requests == []


def test_verdicts_are_kept_and_the_key_is_not(server: Server, tmp_path: Path) -> None:
    verdicts = verdicts_in(tmp_path, options(server))
    server.replies += [said("CORRECT"), said("perhaps"), said("INCORRECT")]
    assert judge(ASKED, "Belmarche", options(server), verdicts) is True
    assert judge(ASKED, "Paris", options(server), verdicts) is None
    assert judge(ASKED, "Paris", options(server), verdicts) is False
    again = verdicts_in(tmp_path, options(server))
    assert judge(ASKED, "Belmarche", options(server), again) is True
    assert judge(ASKED, "Paris", options(server), again) is False
    assert len(server.requests) == 3
    assert len(list(tmp_path.iterdir())) == 2
    assert not any(KEY in file.name + file.read_text() for file in tmp_path.iterdir())
    assert KEY not in repr(options(server)) + str(vars(options(server)))


def test_a_verdict_is_kept_under_all_that_it_depends_on(server: Server, tmp_path: Path) -> None:
    one = options(server)

    def requests(asked: Question, prediction: str, how: JudgeOptions) -> int:
        before = len(server.requests)
        server.replies.append(said("CORRECT"))
        assert judge(asked, prediction, how, verdicts_in(tmp_path, how)) is True
        made = len(server.requests) - before
        if not made:
            server.replies.pop()
        return made

    assert requests(ASKED, "x", one) == 1
    others = [
        (ASKED, "y", one),
        (ASKED, "x", replace(one, url=f"{one.url}/v2")),
        (ASKED, "x", replace(one, model="another")),
        (Question(ASKED.question, "Belmarche"), "x", one),
        (Question("Other?", "Belmarche", accept=ASKED.accept), "x", one),
        (Question(ASKED.question, "Paris", accept=ASKED.accept), "x", one),
    ]
    assert [requests(*other) for other in others] == [1] * len(others)
    same = (replace(one, url=f"{one.url}/", timeout=1.0, retries=0, key_from="K"), replace(one, url=one.endpoint))
    assert [requests(ASKED, "x", how) for how in same] == [0, 0]


@pytest.mark.parametrize("content", ["", "[]", '{"a": 1}', "\x00"])
def test_a_damaged_verdict_is_asked_for_again(server: Server, tmp_path: Path, content: str) -> None:
    server.replies += [said("CORRECT"), said("CORRECT")]
    judge(ASKED, "x", options(server), verdicts_in(tmp_path, options(server)))
    (file,) = tmp_path.iterdir()
    whole = file.read_bytes()
    file.write_text(content)
    assert judge(ASKED, "x", options(server), verdicts_in(tmp_path, options(server))) is True
    assert len(server.requests) == 2
    assert file.read_bytes() == whole


@pytest.mark.parametrize(
    "url",
    [
        "",
        "host/v1",
        "file:///etc/passwd",
        "http://",
        "http://[h/v1",
        "http://h:x/v1",
        "http://h /v1",
        f"https://u:{KEY}@host/v1",
        f"https://host/v1?key={KEY}",
    ],
)
def test_other_addresses_are_refused_and_their_secrets_not_shown(url: str) -> None:
    with pytest.raises(InputError) as caught:
        JudgeOptions(url, "m")
    assert KEY not in str(caught.value)


def test_other_options_are_refused() -> None:
    for changes in ({"model": " "}, {"timeout": 0.0}, {"retries": -1}):
        with pytest.raises(InputError):
            JudgeOptions(**{"url": "http://h", "model": "m", **changes})
    with pytest.raises(InputError, match="no right answer"):
        judge(Question("q"), "x", JudgeOptions("http://h", "m"))
