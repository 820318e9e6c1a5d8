"""Hosts, origins, the token, and the headers of every response."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient

from attrib.errors import InputError
from attrib.server.guard import HEADERS, Guard, Hosts

LOCAL = Hosts.of("127.0.0.1", "127.0.0.1", 8000)
TOKEN = "a-token-of-the-test"


def client(hosts: Hosts = LOCAL, token: str | None = None, host: str = "127.0.0.1:8000") -> TestClient:
    async def inside(scope: Any, receive: Any, send: Any) -> None:
        request = Request(scope, receive)
        await PlainTextResponse(f"{request.method} {request.url.path} {request.url.query}")(scope, receive, send)

    made = TestClient(Guard(inside, hosts, token), base_url=f"http://{host}", follow_redirects=False)
    made.headers["host"] = host
    return made


@pytest.mark.parametrize(
    "host", ["127.0.0.1:8000", "localhost:8000", "LOCALHOST:8000", "[::1]:8000"],
)  # fmt: skip
def test_this_machines_names_are_answered(host: str) -> None:
    assert client(host=host).get("/").status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example", "evil.example:8000", "127.0.0.1", "127.0.0.1:80", "127.0.0.1:8001", "localhost.:8000",
        "localhost:8000@evil.example", "evil.example#localhost:8000", "", "192.168.0.7:8000", "[::2]:8000",
        "127.0.0.1:08000000", "localhost:", "a b:8000", "127.0.0.1.evil.example:8000",
    ],
)  # fmt: skip
def test_a_wrong_host_is_refused(host: str) -> None:
    response = client(host=host).get("/")
    assert response.status_code == 421
    assert response.text.count("\n") == 1
    assert client(host=host).get("/api/jobs").json()["error"]


def test_port_80_needs_no_port_in_the_name() -> None:
    assert Hosts.of("127.0.0.1", "127.0.0.1", 80).allow("localhost")
    assert not LOCAL.allow("localhost")


def test_the_bound_host_and_a_proxys_name_are_answered() -> None:
    hosts = Hosts.of("Box.lan", "192.168.0.7", 8000, ("lab.example", "a.example:8443"))
    answered = ["box.lan:8000", "192.168.0.7:8000", "lab.example", "lab.example:443", "Lab.Example:1", "a.example:8443"]
    refused = ["box.lan", "a.example", "a.example:8000", "192.168.0.8:8000", "xlab.example", "lab.example.evil.example"]
    assert [hosts.allow(name) for name in answered] == [True] * len(answered)
    assert [hosts.allow(name) for name in refused] == [False] * len(refused)


def test_bound_to_all_addresses_it_answers_any_address_but_no_unknown_name() -> None:
    for address in ("0.0.0.0", "::"):
        hosts = Hosts.of(address, address, 8000)
        assert all(map(hosts.allow, ("10.1.2.3:8000", "[fe80::1]:8000", "localhost:8000")))
        assert not any(map(hosts.allow, ("evil.example:8000", "10.1.2.3:9000", "10.1.2.3.evil.example:8000")))


@pytest.mark.parametrize("name", ["http://lab.example", "lab.example/", "*", "*.example", "", "a b", "a:b"])
def test_a_proxys_name_that_is_no_host_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="allow-host"):
        Hosts.of("127.0.0.1", "127.0.0.1", 8000, (name,))


OWN = "http://127.0.0.1:8000"


@pytest.mark.parametrize("method", ["POST", "DELETE", "PUT"])
@pytest.mark.parametrize(
    "headers",
    [
        {"origin": OWN},
        {"origin": OWN, "sec-fetch-site": "same-origin"},
        {"origin": OWN.upper().replace("HTTP", "http")},
        {"origin": OWN.replace("http", "https")},
        {"content-type": "application/json"},
        {"content-type": "Application/JSON; charset=utf-8", "sec-fetch-site": "none"},
    ],
)
def test_requests_of_the_page_itself_and_of_programs_are_taken(method: str, headers: dict[str, str]) -> None:
    assert client().request(method, "/api/jobs", headers=headers).status_code == 200


@pytest.mark.parametrize("method", ["POST", "DELETE", "PUT"])
@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": ""},
        {"origin": "http://localhost:8000"},
        {"origin": "http://127.0.0.1:8001"},
        {"origin": "http://127.0.0.1"},
        {"origin": "http://[", "content-type": "application/json"},
        {"origin": "http://127.0.0.1:8000.evil.example", "content-type": "application/json"},
        {"origin": OWN, "sec-fetch-site": "cross-site"},
        {"content-type": "application/json", "sec-fetch-site": "cross-site"},
        {"content-type": "application/json", "sec-fetch-site": "same-site"},
    ],
)
def test_requests_of_other_sites_pages_are_refused(method: str, headers: dict[str, str]) -> None:
    response = client().request(method, "/api/jobs", headers=headers)
    assert response.status_code == 403
    assert "other sites" in response.json()["error"]


@pytest.mark.parametrize("kind", ["", "text/plain", "application/x-www-form-urlencoded", "text/plain;application/json"])
def test_a_form_without_origin_is_refused(kind: str) -> None:
    response = client().post("/api/jobs", headers={"content-type": kind}, content=b"{}")
    assert response.status_code == 403


def test_following_a_link_from_another_site_only_looks() -> None:
    assert client().get("/", headers={"sec-fetch-site": "cross-site", "origin": "http://evil.example"}).is_success


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "evil.example"])
@pytest.mark.parametrize("path", ["/", "/api/jobs"])
def test_every_response_has_the_headers(host: str, path: str) -> None:
    response = client(host=host).get(path)
    assert {name: response.headers[name] for name in HEADERS} == HEADERS
    assert response.headers["cache-control"] == "no-store"
    assert "frame-ancestors 'none'" in response.headers["content-security-policy"]


def test_without_its_token_nothing_is_told() -> None:
    for response in (
        client(token=TOKEN).get("/"),
        client(token=TOKEN).get("/", params={"token": "wrong"}),
        client(token=TOKEN).get("/", params={"token": ""}),
        client(token=TOKEN).get("/", params={"token": "é" * 9}),
        client(token=TOKEN).get("/", headers={"cookie": "attrib-8000=wrong"}),
        client(token=TOKEN).get("/", headers={"cookie": f"attrib-9000={TOKEN}"}),
        client(token=TOKEN).get("/", headers={"authorization": f"Basic {TOKEN}"}),
        client(token=TOKEN).get("/", headers={"authorization": "Bearer "}),
        client(token=TOKEN).post("/api/jobs", params={"token": TOKEN}, headers={"content-type": "application/json"}),
    ):
        assert response.status_code == 401
        assert TOKEN not in response.text + str(response.headers)


def test_the_token_in_the_address_becomes_a_cookie_and_leaves_the_address() -> None:
    asked = client(token=TOKEN)
    response = asked.get("/explanations/a?x=1&token=" + TOKEN)
    assert response.status_code == 303
    assert response.headers["location"] == "/explanations/a?x=1"
    cookie = response.headers["set-cookie"].lower()
    assert all(part in cookie for part in ("httponly", "samesite=lax", "path=/"))
    assert "domain" not in cookie
    assert asked.get("/explanations/a").is_success
    assert asked.post("/api/jobs", headers={"origin": OWN}).is_success


def test_a_program_sends_it_as_a_bearer_token() -> None:
    assert client(token=TOKEN).get("/", headers={"authorization": f"Bearer {TOKEN}"}).is_success


@pytest.mark.parametrize("path", ["//evil.example/", "/%5Cevil.example", "/%0d%0aset-cookie:a=b", "///evil.example"])
def test_the_redirect_leads_nowhere_else(path: str) -> None:
    # Whole addresses: a client would read the host out of a path of two slashes.
    response = client(token=TOKEN).get(f"http://127.0.0.1:8000{path}?token={TOKEN}")
    assert response.status_code == 303
    location = response.headers["location"]
    assert location.startswith("/")
    assert not location.startswith(("//", "/\\"))
    assert "\n" not in location
    assert "a" not in dict(response.cookies)


def test_the_token_does_not_open_another_name() -> None:
    assert client(token=TOKEN, host="evil.example:8000").get(f"/?token={TOKEN}").status_code == 421
