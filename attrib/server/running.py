"""Socket, event loop and orderly shutdown."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import secrets
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from attrib.errors import InputError
from attrib.server.guard import Hosts
from attrib.server.jobs import Jobs

GRACE = 3.0
"""Seconds for running work and open connections at shutdown."""
HEAD = 10.0
"""Seconds to receive the head of a request, from the start of the connection or the previous response."""
CONNECTIONS = 512


@dataclass(frozen=True, eq=False)
class Endpoint:
    """Address of the server, and its access rules."""

    socket: socket.socket
    hosts: Hosts
    token: str | None
    url: str
    """Address to open, with the token where one is needed."""


def bind(host: str, port: int, others: tuple[str, ...] = ()) -> Endpoint:
    """Bind a port (0: any free one) before the models are loaded.

    Hosts other than this machine need a token, and every host where a proxy (``others``) is in front.
    Raises InputError for a port in use and for a host that is not an address of this machine.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        both = address[0] == "::" and socket.has_dualstack_ipv6()
        taken = socket.create_server((str(address[0]), port), family=family, dualstack_ipv6=both)
    except OSError as error:
        raise InputError(
            f"{host}, port {port}: cannot listen there ({error.strerror or error}); choose another --port or --host"
        ) from error
    bound, port = str(taken.getsockname()[0]), int(taken.getsockname()[1])
    reached = ipaddress.ip_address(bound.partition("%")[0])
    name = _own_name(socket.AF_UNSPEC if both else family) if reached.is_unspecified else host
    hosts = Hosts.of(name, bound, port, others)
    token = secrets.token_urlsafe(32) if others or not reached.is_loopback else None
    shown = f"[{name}]" if ":" in name else name
    return Endpoint(taken, hosts, token, f"http://{shown}:{port}/" + (f"?token={token}" if token else ""))


def _own_name(family: int) -> str:
    """Name of this machine where it resolves to an address of the family, else the loopback address."""
    name = socket.gethostname()
    try:
        socket.getaddrinfo(name, None, family, socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return "::1" if family == socket.AF_INET6 else "127.0.0.1"
    return name


def run(app: ASGIApp, jobs: Jobs | None, endpoint: Endpoint, ready: Callable[[str], None]) -> None:
    """Serve until Ctrl-C or SIGTERM. A step of the models and a page under construction may finish in their threads.

    ``ready`` receives the address as soon as the server responds.
    """
    handler = logging.StreamHandler(sys.stderr)
    # uvicorn's traceback of a request that was interrupted by the shutdown.
    handler.addFilter(lambda record: not (record.exc_info and record.exc_info[0] is asyncio.CancelledError))
    handler.setFormatter(_Plain("attrib: %(message)s"))
    for name, level in (("attrib.server", logging.INFO), ("uvicorn", logging.WARNING)):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(level)
    Server(configure(app), jobs, lambda: ready(endpoint.url)).run([endpoint.socket])


def configure(app: ASGIApp) -> uvicorn.Config:
    return uvicorn.Config(
        app, loop="asyncio", http=Connection, ws="none", lifespan="off", log_config=None, access_log=False,
        proxy_headers=False, server_header=False, limit_concurrency=CONNECTIONS,
        timeout_graceful_shutdown=round(GRACE),
    )  # fmt: skip


class Connection(H11Protocol):
    """uvicorn's protocol, closed if the head of a request is not complete in time: each takes one of CONNECTIONS."""

    head: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._expect_head()

    def on_response_complete(self) -> None:
        self._expect_head()
        super().on_response_complete()

    def handle_events(self) -> None:
        before = self.cycle
        super().handle_events()
        if self.cycle is not before:
            self._unexpect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._unexpect_head()
        super().connection_lost(exc)

    def _expect_head(self) -> None:
        self._unexpect_head()
        if not self.transport.is_closing():
            self.head = self.loop.call_later(HEAD, self.transport.close)

    def _unexpect_head(self) -> None:
        if self.head is not None:
            self.head.cancel()


class _Plain(logging.Formatter):
    """Formatter that escapes control characters: errors may quote questions."""

    def format(self, record: logging.LogRecord) -> str:
        return "".join(c if c.isprintable() or c in "\n\t" else "\ufffd" for c in super().format(record))


class Server(uvicorn.Server):
    """uvicorn's server, which ends the jobs first and returns instead of dying by the signal."""

    def __init__(self, config: uvicorn.Config, jobs: Jobs | None, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self.jobs = jobs
        self.ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self.ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        if self.jobs is not None:
            # Listeners are notified before the server waits for their connections.
            await self.jobs.stop(GRACE)
        await super().shutdown(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self.force_exit = self.should_exit
        self.should_exit = True
