"""A socket, a loop, and leaving in good order."""

from __future__ import annotations

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

from attrib.errors import InputError
from attrib.server.guard import Hosts
from attrib.server.jobs import Jobs

GRACE = 3.0
"""Seconds that running work and open connections are given at the end."""
CONNECTIONS = 512


@dataclass(frozen=True, eq=False)
class Place:
    """Where the server listens, and who may come."""

    socket: socket.socket
    hosts: Hosts
    token: str | None
    url: str
    """To open, with the token where one is needed."""


def bind(host: str, port: int, others: tuple[str, ...] = ()) -> Place:
    """Take a port (0: any free one) before the models are loaded.

    Others than this machine's own need a token, and so do all where a proxy (``others``) may bring anybody.
    Raises InputError for a port that is taken and for a host that is not this machine's.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        taken = socket.create_server((str(address[0]), port), family=family)
    except OSError as error:
        raise InputError(
            f"{host}, port {port}: cannot listen there ({error.strerror or error}); choose another --port or --host"
        ) from error
    bound, port = str(taken.getsockname()[0]), int(taken.getsockname()[1])
    hosts = Hosts.of(host, bound, port, others)
    reached = ipaddress.ip_address(bound.partition("%")[0])
    token = secrets.token_urlsafe(32) if others or not reached.is_loopback else None
    name = socket.gethostname() if reached.is_unspecified else host
    shown = f"[{name}]" if ":" in name else name
    return Place(taken, hosts, token, f"http://{shown}:{port}/" + (f"?token={token}" if token else ""))


def run(app: ASGIApp, jobs: Jobs | None, place: Place, ready: Callable[[str], None]) -> bool:
    """Serve until Ctrl-C or SIGTERM; whether all work has come to its end.

    ``ready`` is told the address as soon as it answers.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Plain("attrib: %(message)s"))
    for name, level in (("attrib.server", logging.INFO), ("uvicorn", logging.WARNING)):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(level)
    config = uvicorn.Config(
        app, loop="asyncio", http="h11", ws="none", lifespan="off", log_config=None, access_log=False,
        proxy_headers=False, server_header=False, limit_concurrency=CONNECTIONS,
        timeout_graceful_shutdown=round(GRACE),
    )  # fmt: skip
    server = Server(config, jobs, lambda: ready(place.url))
    server.run([place.socket])
    return server.ended


class _Plain(logging.Formatter):
    """Texts of questions may stand in an error: none of them steers the terminal."""

    def format(self, record: logging.LogRecord) -> str:
        return "".join(c if c.isprintable() or c in "\n\t" else "\ufffd" for c in super().format(record))


class Server(uvicorn.Server):
    """uvicorn's, which ends the jobs first, and leaves with its work done instead of by the signal."""

    def __init__(self, config: uvicorn.Config, jobs: Jobs | None, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self.jobs = jobs
        self.ready = ready
        self.ended = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self.ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        if self.jobs is not None:
            # Listeners are told before their connections are waited for.
            self.ended = await self.jobs.stop(GRACE)
        await super().shutdown(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self.force_exit = self.should_exit
        self.should_exit = True
