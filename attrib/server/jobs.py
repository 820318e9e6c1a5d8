"""Questions in a queue, one at a time under the models; each job sends its states to its listeners.

All states change on the thread of the event loop; the work runs in one thread beside it and posts its progress back to
the loop. A listener receives the newest state, not every state, so that a slow listener delays nothing and keeps
nothing alive. A job without a listener is cancelled.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Literal

from attrib.errors import AttribError
from attrib.progress import Progress

log = logging.getLogger("attrib.server")

Settle = Callable[[], None]
"""Called before the work stores anything. Raises ``CancelledError`` if the job was cancelled; later cancels fail."""
Work = Callable[[str, str | None, Progress, Settle], str]
"""(question, given answer, progress, settle) → address of the page; runs outside the loop's thread. Progress may raise
``CancelledError``, which must propagate."""
Name = Literal["queued", "progress", "done", "failed", "cancelled"]
ENDS = frozenset({"done", "failed", "cancelled"})
INTERVAL = 0.05
"""Least seconds between two progress states of the same work."""
INTERNAL = "internal error, see the server's log"
ELSEWHERE = "this cannot be done here, see the server's log"
MEMORY = "the models ran out of memory; ask something shorter, or start the server with a lower -o explain.memory_gb"
ASKERS = ("question:", "answer:", "memory:")
"""First words of the errors that the client can mend; other errors may name files of this machine."""


class CancelledError(Exception):
    """The running job was cancelled."""


class FullError(Exception):
    """The queue is full."""


class StoppingError(Exception):
    """The server is shutting down."""


@dataclass(frozen=True, eq=False)
class Event:
    """A state of a job, as its listeners receive it."""

    name: Name
    data: dict[str, object]


@dataclass(frozen=True)
class Limits:
    """Limits of the queue; times in seconds."""

    waiting: int = 16
    """Most jobs that wait behind the running one."""
    unheard: float = 20.0
    """Until a new job without a listener is cancelled."""
    patience: float = 5.0
    """Until a job whose last listener left is cancelled; browsers reconnect after a lost connection."""
    heartbeat: float = 5.0
    """Between two keep-alive messages to a listener: only a write reveals a lost connection."""
    kept: int = 256
    """Ended jobs whose last state remains available."""


@dataclass(eq=False)
class Job:
    """One question in the queue, running or ended."""

    id: str
    question: str
    answer: str | None
    event: Event
    listeners: int = 0
    fate: threading.Lock = field(default_factory=threading.Lock)
    """Acquired once and never released: by a cancellation, or by the work when it settles."""
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    timer: asyncio.TimerHandle | None = None

    @property
    def ended(self) -> bool:
        return self.event.name in ENDS

    def show(self, name: Name, data: dict[str, object]) -> None:
        """Send the new state to all listeners; an ended job keeps its last state."""
        if self.ended or (name, data) == (self.event.name, self.event.data):
            return
        self.event = Event(name, data)
        changed, self.changed = self.changed, asyncio.Event()
        changed.set()


Outcome = tuple[Name, dict[str, object]]
"""Last state of a job, and its fields."""


class Jobs:
    """The queue and its worker; created, used and stopped on one event loop."""

    def __init__(self, work: Work, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self._work = work
        self._jobs: OrderedDict[str, Job] = OrderedDict()
        self._waiting: list[Job] = []
        self._running: Job | None = None
        self._stopping = False
        self._thread = ThreadPoolExecutor(1, "attrib-models")
        self._worker: asyncio.Task[None] | None = None

    def submit(self, question: str, answer: str | None) -> Job:
        """Add a job at the end of the queue. Raises FullError and StoppingError."""
        if self._stopping:
            raise StoppingError
        # A job that is about to run does not count as waiting.
        if self.position(None) > self.limits.waiting:
            raise FullError
        job = Job(secrets.token_urlsafe(12), question, answer, Event("queued", {"position": self.position(None)}))
        self._jobs[job.id] = job
        self._waiting.append(job)
        self._expect(job, self.limits.unheard)
        if self._worker is None or self._worker.done():
            self._worker = asyncio.get_running_loop().create_task(self._run())
        return job

    def position(self, job: Job | None) -> int:
        """Number of jobs ahead of a waiting one, or of the next one."""
        ahead = self._waiting.index(job) if job is not None else len(self._waiting)
        return ahead + (self._running is not None)

    def find(self, name: str) -> Job | None:
        return self._jobs.get(name)

    def cancel(self, job: Job) -> None:
        """Cancel a job: listeners know at once, running work stops at its next progress call, settled work finishes."""
        self._cut(job, "cancelled", {})

    async def listen(self, job: Job) -> AsyncGenerator[Event | None, None]:
        """The current state and each newer one until the job ends; None is a keep-alive."""
        job.listeners += 1
        self._unexpect(job)
        seen: Event | None = None
        try:
            while True:
                if job.event is not seen:
                    seen = job.event
                    yield seen
                    if seen.name in ENDS:
                        return
                    continue
                try:
                    # Not wait_for, which before Python 3.12 may lose the cancellation of the listener.
                    async with asyncio.timeout(self.limits.heartbeat):
                        await job.changed.wait()
                except TimeoutError:
                    yield None
        finally:
            job.listeners -= 1
            if not job.listeners:
                self._expect(job, self.limits.patience)

    async def stop(self, seconds: float) -> bool:
        """End all jobs. Returns whether the running work ended within ``seconds``."""
        self._stopping = True
        for job in [*self._waiting, *([self._running] if self._running is not None else [])]:
            self._cut(job, "failed", {"error": "the server was stopped before this was done; ask again later"})
        self._thread.shutdown(wait=False)
        if self._worker is None:
            return True
        done, _ = await asyncio.wait([self._worker], timeout=seconds)
        return bool(done)

    async def _run(self) -> None:
        """Run the waiting jobs one after the other."""
        while self._waiting:
            job = self._waiting.pop(0)
            self._running = job
            self._renumber()
            began = time.monotonic()
            try:
                self._end(job, *await self._do(job))
            except Exception:
                log.exception("job %s failed", job.id)
            finally:
                self._end(job, "failed", {"error": INTERNAL})
                self._running = None
                self._renumber()
                log.info("job %s %s after %.1f s", job.id, job.event.name, time.monotonic() - began)

    async def _do(self, job: Job) -> Outcome:
        loop = asyncio.get_running_loop()
        sent, last = 0.0, ""

        def report(what: str, done: int, total: int) -> None:
            nonlocal sent, last
            if job.ended:
                raise CancelledError
            now = time.monotonic()
            # A new kind of work is always reported: its next report may take long.
            if what != last or now - sent >= INTERVAL or done >= total:
                sent, last = now, what
                state: dict[str, object] = {"what": what, "done": int(done), "total": int(total)}
                loop.call_soon_threadsafe(job.show, "progress", state)

        def settle() -> None:
            if not job.fate.acquire(blocking=False):
                raise CancelledError

        def work() -> Outcome:
            try:
                report("starting", 0, 1)
                return "done", {"url": self._work(job.question, job.answer, report, settle)}
            except CancelledError:
                return "cancelled", {}
            except BaseException as error:
                # Some exceptions would end the loop, and a Future cannot carry others: none leaves this thread.
                return "failed", {"error": _public_error(job, error)}

        return await loop.run_in_executor(self._thread, work)

    def _cut(self, job: Job, name: Name, data: dict[str, object]) -> None:
        """End the job before its work does, unless the work has settled."""
        if job.fate.acquire(blocking=False):
            self._end(job, name, data)

    def _end(self, job: Job, name: Name, data: dict[str, object]) -> None:
        if job.ended:
            return
        job.show(name, data)
        self._unexpect(job)
        if job in self._waiting:
            self._waiting.remove(job)
            self._renumber()
        ended = [some.id for some in self._jobs.values() if some.ended]
        for old in ended[: -self.limits.kept]:
            del self._jobs[old]

    def _renumber(self) -> None:
        for job in self._waiting:
            job.show("queued", {"position": self.position(job)})

    def _expect(self, job: Job, seconds: float) -> None:
        """Wait ``seconds`` for a listener; without one cancel the job."""
        if not job.ended:
            job.timer = asyncio.get_running_loop().call_later(seconds, self.cancel, job)

    def _unexpect(self, job: Job) -> None:
        if job.timer is not None:
            job.timer.cancel()
            job.timer = None


def _public_error(job: Job, error: BaseException) -> str:
    """Message of an error for the client; the log has the details."""
    if isinstance(error, AttribError):
        line = " ".join(str(error).split())
        if line.startswith(ASKERS):
            return line
        log.error("job %s failed: %s", job.id, line)
        return ELSEWHERE
    log.error("job %s failed", job.id, exc_info=error)
    # An exception of torch, matched by name so that torch is not imported.
    full = type(error).__name__ == "OutOfMemoryError" or "can't allocate memory" in str(error)
    return MEMORY if full or isinstance(error, MemoryError) else INTERNAL
