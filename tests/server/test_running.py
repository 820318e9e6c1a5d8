"""Taking a port, and what the log may hold."""

from __future__ import annotations

import logging
import socket
from pathlib import Path

import httpx
import pytest

from attrib.errors import InputError
from attrib.server import running
from tests.server.live import serving


@pytest.mark.parametrize(("host", "others", "needs"), [
    ("127.0.0.1", (), False), ("localhost", (), False), ("127.0.0.2", (), False), ("0.0.0.0", (), True),
    ("127.0.0.1", ("lab.example",), True),
])  # fmt: skip
def test_a_token_is_needed_where_others_can_come(host: str, others: tuple[str, ...], needs: bool) -> None:
    place = running.bind(host, 0, others)
    with place.socket:
        assert (place.token is not None) is needs
        assert place.url.startswith("http://")
        assert (f"token={place.token}" in place.url) is needs
        assert f":{place.socket.getsockname()[1]}/" in place.url
        assert place.hosts.allow(f"127.0.0.1:{place.hosts.port}")


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
@pytest.mark.parametrize("name", [None, "no.such.host.invalid", "a" * 70])
def test_the_printed_address_is_answered(
    host: str, name: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if name is not None:
        monkeypatch.setattr(socket, "gethostname", lambda: name)
    try:
        with serving(tmp_path, host=host) as live, httpx.Client(trust_env=False) as client:
            assert live.place.hosts.allow(httpx.URL(live.place.url).netloc.decode())
            assert client.get(live.place.url).status_code == 303
            if host == "::" and socket.has_dualstack_ipv6():
                here = httpx.URL(live.place.url).copy_with(host="127.0.0.1")
                assert client.get(here).status_code == 303
    except InputError:
        pytest.skip("no IPv6 here")


def test_without_both_versions_an_address_of_version_6_is_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "has_dualstack_ipv6", lambda: False)
    monkeypatch.setattr(socket, "gethostname", lambda: "127.0.0.1")
    try:
        place = running.bind("::", 0)
    except InputError:
        pytest.skip("no IPv6 here")
    with place.socket:
        assert place.url.startswith(f"http://[::1]:{place.hosts.port}/?token=")


def test_tokens_differ() -> None:
    places = [running.bind("0.0.0.0", 0) for _ in range(2)]
    for place in places:
        place.socket.close()
    assert places[0].token != places[1].token


@pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6 here")
def test_an_address_of_version_6_stands_in_brackets() -> None:
    try:
        place = running.bind("::1", 0)
    except InputError:
        pytest.skip("no IPv6 here")
    with place.socket:
        assert place.url == f"http://[::1]:{place.hosts.port}/"
        assert place.hosts.allow(f"[::1]:{place.hosts.port}")


def test_a_port_that_is_taken_is_refused_in_one_line() -> None:
    place = running.bind("127.0.0.1", 0)
    with place.socket, pytest.raises(InputError, match="choose another --port") as refused:
        running.bind("127.0.0.1", place.hosts.port)
    assert "\n" not in str(refused.value)


def test_a_text_in_the_log_steers_no_terminal() -> None:
    record = logging.LogRecord("attrib.server", logging.ERROR, "", 0, "job %s", ("\x1b[2J\u202e\r",), None)
    said = running._Plain("attrib: %(message)s").format(record)
    assert said == "attrib: job \ufffd[2J\ufffd\ufffd"
