"""Access control and security headers.

A page of another site, open in the same browser, can send requests to this machine. It can neither use this server's
name (a foreign name that resolves to this machine is refused: DNS rebinding) nor hide its own (Origin). Clients on
other machines need the token.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import secrets
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import urlencode

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from attrib.errors import InputError

HEADERS = {
    # A page carries its own policy of digests; these rules need a header.
    "content-security-policy": "frame-ancestors 'none'; object-src 'none'; base-uri 'none'; form-action 'none'",
    "x-frame-options": "DENY",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
LINGER = 1.0
"""Seconds for reading and discarding the rest of a refused request."""
_NAME = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9_.-]+)(?::([0-9]{1,5}))?")
"""Host in lower case and port, as in a header."""


@dataclass(frozen=True)
class Hosts:
    """Names under which the server may be addressed."""

    port: int
    names: frozenset[str]
    """Hosts, with the server's own port."""
    others: frozenset[str] = frozenset()
    """Hosts of a proxy in front, each with a port, or without one for every port."""
    addresses: bool = False
    """Whether every IP address is accepted: a server bound to all addresses does not know its own, and an address
    cannot be made to resolve elsewhere."""

    @classmethod
    def of(cls, host: str, address: str, port: int, others: tuple[str, ...] = ()) -> Hosts:
        """``host``: as requested or shown; ``address``: as bound.

        Raises InputError for an invalid host in ``others``.
        """
        for name in others:
            if not _NAME.fullmatch(name.lower()):
                raise InputError(f"allow-host {name!r}: give a host as browsers send it, such as lab.example or a:8443")
        bound = ipaddress.ip_address(address.partition("%")[0])
        own = {"127.0.0.1", "localhost", "[::1]", f"[{bound}]" if bound.version == 6 else str(bound)}
        return cls(
            port, frozenset(own | {host.lower()}), frozenset(name.lower() for name in others), bound.is_unspecified
        )

    def allow(self, header: str) -> bool:
        """Whether a Host header names this server."""
        found = _NAME.fullmatch(header.lower())
        if found is None:
            return False
        name, port = found[1], found[2]
        if name in self.others or header.lower() in self.others:
            return True
        if (int(port) if port else 80) != self.port:
            return False
        return name in self.names or (self.addresses and _is_address(name.strip("[]")))


class Guard:
    """Middleware around the application: hosts, origins, token, headers."""

    def __init__(self, app: ASGIApp, hosts: Hosts, token: str | None = None) -> None:
        self.app = app
        self.hosts = hosts
        self.token = token
        # Browsers send the cookies of a host to all its ports.
        self.cookie = f"attrib-{hosts.port}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        request = Request(scope)
        whole = "transfer-encoding" not in request.headers and request.headers.get("content-length", "0") == "0"

        async def receive_all() -> Message:
            nonlocal whole
            message = await receive()
            whole = whole or not message.get("more_body", False)
            return message

        closing = False

        async def send_with_headers(message: Message) -> None:
            nonlocal closing
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                closing = not whole
                if closing:
                    # Otherwise the rest of the request's body would be read, however long.
                    headers["connection"] = "close"
                for name, value in HEADERS.items():
                    headers[name] = value
                headers.setdefault("cache-control", "no-store")
            elif closing and not message.get("more_body", False):
                await send({**message, "more_body": True})
                # A client still sending when the connection closes may lose the response.
                with suppress(TimeoutError):
                    async with asyncio.timeout(LINGER):
                        while not whole:
                            await receive_all()
                message = {"type": "http.response.body", "body": b""}
            await send(message)

        await (self._refusal(request) or self.app)(scope, receive_all, send_with_headers)

    def _refusal(self, request: Request) -> Response | None:
        """The refusal or redirect for this request; None if it may pass."""
        host = request.headers.get("host", "")
        if not self.hosts.allow(host):
            return refuse(request, 421, "this server does not answer under that name; see attrib serve --allow-host")
        if request.method not in ("GET", "HEAD") and (why := _foreign(request, host)):
            return refuse(request, 403, why)
        return self._without_token(request) if self.token is not None else None

    def _without_token(self, request: Request) -> Response | None:
        given = request.query_params.get("token")
        if given is not None and request.method == "GET":
            if not self._is_token(given):
                return refuse(request, 401, "wrong token; open the address that attrib serve printed")
            rest = [(name, value) for name, value in request.query_params.multi_items() if name != "token"]
            # A path that begins with two slashes would name another host.
            path = "/" + request.scope["path"].lstrip("/")
            response = RedirectResponse(path + (f"?{urlencode(rest)}" if rest else ""), 303)
            # Not strict: the address may be opened from a page of another site, such as a chat. Requests that
            # change something need this server's own origin.
            response.set_cookie(self.cookie, given, httponly=True, samesite="lax")
            return response
        kind, _, bearer = request.headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer" and self._is_token(bearer.strip()):
            return None
        if self._is_token(request.cookies.get(self.cookie, "")):
            return None
        return refuse(request, 401, "this server needs its token; open the address that attrib serve printed")

    def _is_token(self, given: str) -> bool:
        assert self.token is not None
        return secrets.compare_digest(given.encode("utf-8", "replace"), self.token.encode())


def refuse(request: Request, status: int, why: str) -> Response:
    """One line: JSON for programs, text for a browser."""
    if request.scope["path"].startswith("/api/"):
        return JSONResponse({"error": why}, status)
    return PlainTextResponse(f"{why}\n", status)


def _foreign(request: Request, host: str) -> str | None:
    """Reason to refuse a request that changes something: it comes from another site's page, or has no origin."""
    origin = request.headers.get("origin")
    site = request.headers.get("sec-fetch-site")
    if site is not None and site not in ("same-origin", "none"):
        return "requests from other sites' pages are refused"
    if origin is not None:
        if origin.lower() not in (f"http://{host.lower()}", f"https://{host.lower()}"):
            return "requests from other sites' pages are refused"
    elif request.method == "POST" and not is_json(request):
        # Only a form of these types can be sent from another site without an Origin.
        return "a request without Origin has to be of JSON"
    return None


def is_json(request: Request) -> bool:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower() == "application/json"


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
