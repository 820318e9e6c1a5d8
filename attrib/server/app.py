"""Addresses → responses.

    GET    /                      the question box and the list of explanations
    GET    /explanations/ID       a page, the same as an exported one
    GET    /explanations/ID/record  its record, for attrib show and render
    POST   /api/jobs              {"question", "answer" or null} → 202 {"id", "position": jobs ahead}
    GET    /api/jobs/ID/events    server-sent events: queued, progress, then done, failed or cancelled
    DELETE /api/jobs/ID           cancels

Every error is one line; the server's log has its cause.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import dataclass
from typing import BinaryIO, TypeVar

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Send

from attrib.errors import RecordError
from attrib.progress import Progress
from attrib.records import Explanation
from attrib.server.guard import Guard, Hosts, is_json, refuse
from attrib.server.jobs import INTERNAL, Event, FullError, Job, Jobs, Settle, StoppingError, Work
from attrib.server.shelf import Shelf

Made = TypeVar("Made")
log = logging.getLogger("attrib.server")
LIVE: Mapping[str, str] = {"home": "/", "ask": "/api/jobs"}
"""Addresses that pages call on a server with models."""
PATIENCE = 10.0
"""Seconds to receive the body of a request."""
PART = 256 * 1024
"""Bytes per chunk of a record."""
BODY = 64 * 1024
"""Least limit on the bytes of a request's body."""


@dataclass(frozen=True)
class Lengths:
    """Limits on texts, in characters."""

    question: int = 2_000
    answer: int = 4_000

    @property
    def body(self) -> int:
        """Limit on the bytes of a request: JSON may write one character as two escapes of six bytes."""
        return max(BODY, 12 * (self.question + self.answer) + 1024)


class RefusedError(Exception):
    """A refused request: its status and a one-line reason."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


def make_app(
    shelf: Shelf, jobs: Jobs | None, hosts: Hosts, *, token: str | None = None, lengths: Lengths | None = None
) -> ASGIApp:
    """The application; without ``jobs`` it serves the stored explanations and takes no questions."""
    served = _Served(shelf, jobs, lengths or Lengths())
    routes = [
        Route("/", served.index),
        Route("/explanations/{name}", served.page),
        Route("/explanations/{name}/record", served.record),
        Route("/api/jobs", served.ask, methods=["POST"]),
        Route("/api/jobs/{name}", served.cancel, methods=["DELETE"]),
        Route("/api/jobs/{name}/events", served.events),
    ]
    handlers: dict[int | type[Exception], Callable[[Request, Exception], Awaitable[Response]]] = {
        RefusedError: _refused,
        HTTPException: _http,
        ClientDisconnect: _gone,
        Exception: _internal,
    }
    inner = Starlette(routes=routes, exception_handlers=handlers)
    # Each address has one spelling.
    inner.router.redirect_slashes = False
    return Guard(inner, hosts, token)


def keep(explain: Callable[[str, str | None, Progress], Explanation], shelf: Shelf) -> Work:
    """The work of a job: explain, and store the explanation on the shelf."""

    def work(question: str, answer: str | None, progress: Progress, settle: Settle) -> str:
        explanation = explain(question, answer, progress)
        progress("keeping", 0, 1)
        return shelf.add(explanation, settle)

    return work


class ClosingStream(StreamingResponse):
    """A stream that closes its source when the reader leaves, for whatever reason."""

    def __init__(self, source: AsyncGenerator[bytes, None], headers: Mapping[str, str], media_type: str) -> None:
        super().__init__(source, headers=headers, media_type=media_type)
        self.source = source

    async def stream_response(self, send: Send) -> None:
        async with aclosing(self.source):
            await super().stream_response(send)


class _Served:
    """One method per address."""

    def __init__(self, shelf: Shelf, jobs: Jobs | None, lengths: Lengths) -> None:
        self.shelf = shelf
        self._jobs = jobs
        self.lengths = lengths
        # One page and one list are made at a time: other requests wait here, not in all threads of the pool.
        self._one_page = asyncio.Lock()
        self._one_index = asyncio.Lock()
        # Not the threads of asyncio or anyio, which delay the shutdown.
        self._pool = ThreadPoolExecutor(4, "attrib-pages")

    async def index(self, request: Request) -> Response:
        async with self._one_index:
            return HTMLResponse(await self._beside(self.shelf.index))

    async def page(self, request: Request) -> Response:
        async with self._one_page:
            try:
                made = await self._beside(self.shelf.page, request.path_params["name"])
            except RecordError as error:
                log.exception("explanation %s", request.path_params["name"])
                raise RefusedError(404, "this explanation cannot be read any more; see the server's log") from error
        if made is None:
            raise RefusedError(404, "no explanation has this address; the list at / has them all")
        return HTMLResponse(made)

    async def record(self, request: Request) -> Response:
        file = await self._beside(self.shelf.record, request.path_params["name"])
        if file is None:
            raise RefusedError(404, "no explanation has this address; the list at / has them all")
        headers = {
            "content-length": str(os.fstat(file.fileno()).st_size),
            "content-disposition": 'attachment; filename="explanation.safetensors"',
        }
        return ClosingStream(self._parts(file), headers=headers, media_type="application/octet-stream")

    async def ask(self, request: Request) -> Response:
        jobs = self._queue()
        question, answer = _texts(await _body(request, self.lengths.body), self.lengths)
        try:
            job = jobs.submit(question, answer)
        except FullError:
            raise RefusedError(
                503, f"the queue is full ({jobs.limits.waiting} may wait); try again in a minute"
            ) from None
        except StoppingError:
            raise RefusedError(503, "the server is being stopped") from None
        return JSONResponse({"id": job.id, "position": jobs.position(job)}, 202)

    async def cancel(self, request: Request) -> Response:
        job = self._job(request)
        self._queue().cancel(job)
        return JSONResponse({"id": job.id, "state": job.event.name})

    async def events(self, request: Request) -> Response:
        if request.method != "GET":
            # A client that receives nothing must not count as a listener.
            raise HTTPException(405, headers={"allow": "GET"})
        source = _stream(self._queue(), self._job(request))
        return ClosingStream(source, headers={"x-accel-buffering": "no"}, media_type="text/event-stream")

    async def _beside(self, work: Callable[..., Made], *given: object) -> Made:
        """Run a reader of the folder outside the loop's thread."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, work, *given)

    async def _parts(self, file: BinaryIO) -> AsyncGenerator[bytes, None]:
        with file:
            while part := await self._beside(file.read, PART):
                yield part

    def _queue(self) -> Jobs:
        if self._jobs is None:
            raise RefusedError(404, "this server has no model; it shows explanations that were made before")
        return self._jobs

    def _job(self, request: Request) -> Job:
        job = self._queue().find(request.path_params["name"])
        if job is None:
            raise RefusedError(404, "no such job, or it ended long ago")
        return job


async def _stream(jobs: Jobs, job: Job) -> AsyncGenerator[bytes, None]:
    # A browser with a broken connection reconnects before the job is cancelled.
    yield b"retry: 1000\n\n"
    async with aclosing(jobs.listen(job)) as events:
        async for event in events:
            yield _sse(event) if event is not None else b": still here\n\n"


def _sse(event: Event) -> bytes:
    # The JSON has no line break, which would end the data field.
    return f"event: {event.name}\ndata: {json.dumps(event.data)}\n\n".encode()


async def _body(request: Request, most: int) -> bytes:
    """The body, at most ``most`` bytes, whatever length the request declares."""
    if not is_json(request):
        raise RefusedError(415, "send JSON: Content-Type application/json")
    said = request.headers.get("content-length", "0")
    too_much = RefusedError(413, f"the request has more than {most:,} bytes; shorten question and answer")
    if not said.isdecimal() or int(said[:20]) > most:
        raise too_much
    body = bytearray()
    try:
        async with asyncio.timeout(PATIENCE):
            async for part in request.stream():
                body += part
                if len(body) > most:
                    raise too_much
    except TimeoutError:
        raise RefusedError(408, "the request did not come whole in time; send it again") from None
    return bytes(body)


def _texts(body: bytes, lengths: Lengths) -> tuple[str, str | None]:
    """Question and optional answer of a request."""
    try:
        content = json.loads(body.decode("utf-8"))
    except (ValueError, RecursionError):
        raise RefusedError(400, "the request is not JSON") from None
    if not isinstance(content, dict) or not set(content) <= {"question", "answer"}:
        raise RefusedError(422, 'send an object {"question": text, "answer": text or null}')
    question, answer = content.get("question"), content.get("answer")
    if not isinstance(question, str) or not question.strip():
        raise RefusedError(422, "question: it is empty; write at least one word")
    if answer is not None and (not isinstance(answer, str) or not answer.strip()):
        raise RefusedError(422, "answer: give a text, or null for the tuned model's own")
    for name, text, most in (("question", question, lengths.question), ("answer", answer or "", lengths.answer)):
        if len(text) > most:
            raise RefusedError(422, f"{name}: {len(text):,} characters, {most:,} are allowed; shorten it")
        if any("\ud800" <= letter <= "\udfff" for letter in text):
            raise RefusedError(422, f"{name}: it holds half a character; send whole ones")
    return question, answer


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, RefusedError)
    return refuse(request, error.status, str(error))


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    response = refuse(request, error.status_code, error.detail)
    response.headers.update(error.headers or {})
    return response


async def _gone(request: Request, error: Exception) -> Response:
    """Response without a reader: the client left before its request was complete."""
    return refuse(request, 400, "the request is not whole")


async def _internal(request: Request, error: Exception) -> Response:
    return refuse(request, 500, INTERNAL)
