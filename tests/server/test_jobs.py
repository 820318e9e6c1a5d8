"""The queue in front of the models: order, listeners, cancelling, and what is left behind."""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from attrib.errors import InputError
from attrib.progress import Progress
from attrib.server.jobs import (
    ELSEWHERE,
    INTERNAL,
    MEMORY,
    Event,
    FullError,
    Job,
    Jobs,
    Limits,
    Settle,
    StoppingError,
)


class OutOfMemoryError(RuntimeError):
    """Named as torch's."""


ODD: dict[str, BaseException] = {
    "StopIteration": StopIteration(),
    "SystemExit": SystemExit(3),
    "GeneratorExit": GeneratorExit(),
    "KeyboardInterrupt": KeyboardInterrupt(),
    "asyncio.CancelledError": asyncio.CancelledError(),
    "futures.CancelledError": concurrent.futures.CancelledError(),
    "TimeoutError": TimeoutError(),
    "BaseExceptionGroup": BaseExceptionGroup("two", [SystemExit(1), ValueError()]),
    "MemoryError": MemoryError(),
    "torch": OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB"),
    "torch on the CPU": RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
    "folder": InputError("/home/house/secret: cannot be written (full); make room"),
}
"""What the work of a question raises: also what no Future carries, and what ends a loop."""


class Models:
    """Work that goes on, telling of its progress, until it is let through; questions decide how it ends."""

    def __init__(self) -> None:
        self.through = threading.Event()
        self.settled = threading.Event()
        self.kept = threading.Event()
        self.begun: list[str] = []
        self.ended: list[str] = []
        self.at_once = 0
        self.most_at_once = 0

    def __call__(self, question: str, answer: str | None, progress: Progress, settle: Settle) -> str:
        self.begun.append(question)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            if question == "deaf":
                self.through.wait(5)
            while not self.through.is_set():
                progress("thinking", len(self.begun), 100)
                time.sleep(0.002)
        finally:
            self.at_once -= 1
        if question == "yours":
            raise InputError("question: too\nlong")
        if question == "ours":
            raise RuntimeError("secret of the house")
        if question in ODD:
            raise ODD[question]
        settle()
        self.settled.set()
        if question == "settled":
            self.kept.wait(5)
        self.ended.append(question)
        return f"/explanations/{question}"


def play(scenario: Callable[[Jobs, Models], Coroutine[Any, Any, None]], **limits: Any) -> Models:
    """Run a scenario on a loop of its own; nothing of it may be left on the loop."""
    models = Models()

    async def run() -> None:
        jobs = Jobs(models, Limits(**{"heartbeat": 0.05, "unheard": 5.0, "patience": 0.05, **limits}))
        try:
            await asyncio.wait_for(scenario(jobs, models), 8)
        finally:
            models.through.set()
            assert await jobs.stop(3)
        await asyncio.sleep(0)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    # In a thread of its own: a browser's tests may have left a loop running in this one.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, run()).result()
    return models


async def until(met: Callable[[], bool]) -> None:
    while not met():
        await asyncio.sleep(0.002)


async def told(jobs: Jobs, job: Job) -> list[Event]:
    """All that one listener is told."""
    return [event async for event in jobs.listen(job) if event is not None]


def test_one_runs_at_a_time_in_the_order_of_asking() -> None:
    async def scenario(jobs: Jobs, models: Models) -> None:
        asked = [jobs.submit(name, None) for name in "abcd"]
        assert [jobs.position(job) for job in asked] == [0, 1, 2, 3]
        heard = [asyncio.create_task(told(jobs, job)) for job in asked]
        await until(lambda: models.begun == ["a"])
        models.through.set()
        ends = [(await task)[-1] for task in heard]
        assert [(end.name, end.data) for end in ends] == [("done", {"url": f"/explanations/{name}"}) for name in "abcd"]

    models = play(scenario)
    assert models.begun == models.ended == list("abcd")
    assert models.most_at_once == 1


def test_positions_move_up_when_one_ahead_is_cancelled_and_it_is_never_begun() -> None:
    async def scenario(jobs: Jobs, models: Models) -> None:
        jobs.submit("a", None)
        await until(lambda: bool(models.begun))
        second, third = jobs.submit("b", None), jobs.submit("c", None)
        heard = asyncio.create_task(told(jobs, third))
        await asyncio.sleep(0.01)
        jobs.cancel(second)
        await asyncio.sleep(0.01)
        models.through.set()
        events = await heard
        assert [event.data["position"] for event in events if event.name == "queued"][:2] == [2, 1]
        assert [event.name for event in await told(jobs, second)] == ["cancelled"]

    assert play(scenario).begun == ["a", "c"]


def test_a_running_job_stops_where_it_next_tells_and_the_next_one_runs() -> None:
    async def scenario(jobs: Jobs, models: Models) -> None:
        first, second = jobs.submit("a", None), jobs.submit("b", None)
        await until(lambda: models.begun == ["a"])
        jobs.cancel(first)
        assert first.event.name == "cancelled"
        await until(lambda: models.begun == ["a", "b"])
        models.through.set()
        assert (await told(jobs, second))[-1].name == "done"
        assert first.event.name == "cancelled"

    assert play(scenario).ended == ["b"]


def test_what_has_ended_stays_as_it_ended() -> None:
    async def scenario(jobs: Jobs, models: Models) -> None:
        models.through.set()
        job = jobs.submit("a", None)
        await told(jobs, job)
        jobs.cancel(job)
        assert job.event.name == "done"

    play(scenario)


def test_a_job_that_nobody_listens_to_expires() -> None:
    async def scenario(jobs: Jobs, models: Models) -> None:
        heard, unheard = jobs.submit("a", None), jobs.submit("b", None)
        listening = asyncio.create_task(told(jobs, heard))
        await until(lambda: unheard.ended)
        assert unheard.event.name == "cancelled"
        assert not heard.ended
        models.through.set()
        assert (await listening)[-1].name == "done"

    assert play(scenario, unheard=0.1).begun == ["a"]


@pytest.mark.parametrize("comes_back", [True, False])
def test_a_job_whose_last_listener_leaves_is_cancelled_unless_one_comes_back(comes_back: bool) -> None:
    async def scenario(jobs: Jobs, models: Models) -> None:
        job = jobs.submit("a", None)
        two = [asyncio.create_task(told(jobs, job)) for _ in range(2)]
        await until(lambda: job.listeners == 2 and bool(models.begun))
        two[0].cancel()
        await asyncio.sleep(0.2)
        assert not job.ended, "one listens still"
        two[1].cancel()
        await until(lambda: job.listeners == 0)
        again = asyncio.create_task(told(jobs, job)) if comes_back else None
        await asyncio.sleep(0.2)
        assert job.ended is not comes_back
        models.through.set()
        if again is not None:
            assert (await again)[-1].name == "done"

    assert play(scenario, patience=0.1).ended == (["a"] if comes_back else [])


def test_every_listener_is_told_the_state_at_once_the_late_ones_too() -> None:
    async def scenario(jobs: Jobs, models: Models) -> None:
        job = jobs.submit("a", None)
        first = jobs.listen(job)
        assert (await anext(first)).name == "queued"  # type: ignore[union-attr]
        await until(lambda: job.event.name == "progress")
        second = jobs.listen(job)
        assert (await anext(second)).data["what"] in ("starting", "thinking")  # type: ignore[union-attr]
        models.through.set()
        await until(lambda: job.ended)
        assert [event.name for event in await told(jobs, job)] == ["done"]
        assert [event.name async for event in second if event is not None] == ["done"]
        await first.aclose()
        assert job.listeners == 0

    play(scenario)


def test_a_listener_hears_a_sign_of_life_while_nothing_changes() -> None:
    async def scenario(jobs: Jobs, models: Models) -> None:
        jobs.submit("deaf", None)
        listener = jobs.listen(jobs.submit("b", None))
        events = [await anext(listener) for _ in range(4)]
        assert events[0] is not None
        assert events[-1] is None
        await listener.aclose()

    play(scenario)


def test_progress_comes_in_few_and_newest_states() -> None:
    async def scenario(jobs: Jobs, models: Models) -> None:
        job = jobs.submit("a", None)
        heard = asyncio.create_task(told(jobs, job))
        await asyncio.sleep(0.5)
        models.through.set()
        states = [event for event in await heard if event.name == "progress"]
        assert 1 <= len(states) <= 12
        assert set(states[-1].data) == {"what", "done", "total"}

    play(scenario)


def test_no_more_may_wait_than_may_wait() -> None:
    async def scenario(jobs: Jobs, models: Models) -> None:
        first = jobs.submit("a", None)
        rest = [jobs.submit(name, None) for name in "bc"]
        with pytest.raises(FullError):
            jobs.submit("d", None)
        jobs.cancel(rest[0])
        jobs.submit("e", None)
        with pytest.raises(FullError):
            jobs.submit("f", None)
        assert not first.ended

    play(scenario, waiting=2)


def test_errors_end_a_job_in_one_line_and_the_next_runs(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(jobs: Jobs, models: Models) -> None:
        models.through.set()
        asked = [jobs.submit(name, None) for name in ("yours", "ours", "fine")]
        ends = [(await told(jobs, job))[-1] for job in asked]
        assert [end.name for end in ends] == ["failed", "failed", "done"]
        assert ends[0].data == {"error": "question: too long"}
        assert ends[1].data == {"error": INTERNAL}

    with caplog.at_level(logging.INFO, logger="attrib.server"):
        play(scenario)
    assert "secret of the house" in caplog.text
    assert "Traceback" in caplog.text
    assert "too" not in caplog.text


@pytest.mark.parametrize("name", ODD)
def test_whatever_the_work_raises_ends_its_job_alone_and_the_next_runs(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario(jobs: Jobs, models: Models) -> None:
        models.through.set()
        ends = [(await told(jobs, jobs.submit(question, None)))[-1] for question in (name, "fine")]
        assert [end.name for end in ends] == ["failed", "done"]
        said = str(ends[0].data["error"])
        assert ("out of memory" in said) is (name in ("MemoryError", "torch", "torch on the CPU"))
        assert "secret" not in said
        assert said in (INTERNAL, MEMORY, ELSEWHERE)

    play(scenario)
    assert ("secret" in caplog.text) is (name == "folder")
    assert ("Traceback" in caplog.text) is (name != "folder")


def test_a_job_that_cannot_even_be_handed_over_ends_and_the_next_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(jobs: Jobs, models: Models) -> None:
        models.through.set()
        submit = jobs._thread.submit

        def once(*given: Any) -> Any:
            monkeypatch.setattr(jobs._thread, "submit", submit)
            raise RuntimeError("can't start new thread")

        monkeypatch.setattr(jobs._thread, "submit", once)
        ends = [(await told(jobs, jobs.submit(question, None)))[-1] for question in "ab"]
        assert [end.name for end in ends] == ["failed", "done"]

    assert play(scenario).ended == ["b"]


@pytest.mark.parametrize("stops", [True, False])
def test_what_has_settled_is_done_whoever_cancels(stops: bool) -> None:
    async def scenario(jobs: Jobs, models: Models) -> None:
        models.through.set()
        job = jobs.submit("settled", None)
        await until(models.settled.is_set)
        stopping = asyncio.create_task(jobs.stop(3)) if stops else None
        jobs.cancel(job)
        await asyncio.sleep(0.01)
        assert not job.ended
        models.kept.set()
        await until(lambda: job.ended)
        assert job.event.name == "done"
        assert stopping is None or await stopping

    assert play(scenario).ended == ["settled"]


def test_stopping_ends_all_jobs_with_a_reason_and_takes_no_more() -> None:
    async def scenario(jobs: Jobs, models: Models) -> None:
        asked = [jobs.submit(name, None) for name in "ab"]
        heard = [asyncio.create_task(told(jobs, job)) for job in asked]
        await until(lambda: bool(models.begun))
        assert await jobs.stop(3)
        assert [(await task)[-1].name for task in heard] == ["failed", "failed"]
        assert "stopped" in str(asked[0].event.data["error"])
        with pytest.raises(StoppingError):
            jobs.submit("c", None)

    assert play(scenario).ended == []


def test_a_step_that_cannot_be_cut_short_is_not_waited_for() -> None:
    async def scenario(jobs: Jobs, models: Models) -> None:
        jobs.submit("deaf", None)
        await until(lambda: bool(models.begun))
        began = time.monotonic()
        assert not await jobs.stop(0.1)
        assert time.monotonic() - began < 1

    play(scenario)


def test_few_ended_jobs_are_remembered() -> None:
    async def scenario(jobs: Jobs, models: Models) -> None:
        models.through.set()
        asked = []
        for number in range(6):
            asked.append(jobs.submit(str(number), None))
            await told(jobs, asked[-1])
        assert [jobs.find(job.id) is not None for job in asked] == [False] * 4 + [True] * 2

    play(scenario, kept=2)


def test_names_of_jobs_cannot_be_guessed() -> None:
    async def scenario(jobs: Jobs, models: Models) -> None:
        names = {jobs.submit("a", None).id for _ in range(10)}
        assert len(names) == 10
        assert all(len(name) >= 16 for name in names)

    play(scenario)
