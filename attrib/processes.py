"""The processes of one run, as torchrun or accelerate start them: their numbers, and what they do together.

Not covered: which GPU a process has (``cli`` and ``training`` choose it), and who starts the processes.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

from attrib.errors import InputError

T = TypeVar("T")
START_TIMEOUT = timedelta(minutes=10)
"""How long processes wait for each other at the start."""
BARRIER_TIMEOUT = timedelta(days=30)
"""How long they wait later on, for a slow one; one that died closes its connection, which is seen at once."""


def rank() -> int:
    """Number of this process, from 0: the process group's, before there is one that of the environment."""
    group = _group()
    return int(group.get_rank()) if group is not None else int(os.environ.get("RANK", 0))


def world() -> int:
    """Number of processes."""
    group = _group()
    return int(group.get_world_size()) if group is not None else int(os.environ.get("WORLD_SIZE", 1))


def local_rank() -> int | None:
    """Number of this process on its machine; None where it was started alone."""
    number = os.environ.get("LOCAL_RANK")
    return int(number) if number is not None else None


def is_first() -> bool:
    """Whether this process speaks for all: it writes, prints and shows progress."""
    return rank() == 0


def on_first(action: Callable[[], T]) -> T:
    """The result of ``action`` in the first process, or its error, in every process; the others do not call it.

    Needs the process group; without one every process is on its own.
    """
    group = _group()
    if group is None or group.get_world_size() == 1:
        return action()
    outcome: list[Any] = [None, None]
    if group.get_rank() == 0:
        try:
            outcome = [action(), None]
        except Exception as error:
            outcome = [None, error]
    group.broadcast_object_list(outcome, src=0)
    result, failure = outcome
    if failure is not None:
        raise failure
    return result  # type: ignore[no-any-return]


def gather(value: T) -> list[T]:
    """Each process's ``value``, in the order of their numbers, in every process. Needs the process group."""
    group = _group()
    if group is None or group.get_world_size() == 1:
        return [value]
    values: list[Any] = [None] * group.get_world_size()
    group.all_gather_object(values, value)
    return values


@contextmanager
def meeting(job: str) -> Iterator[Callable[[], None]]:
    """Bring the processes together; gives the barrier, which returns when all of them have called it.

    ``job`` begins the errors. Raises InputError where the processes do not find each other, and from the barrier where
    one of them ended before.
    """
    number, total = rank(), world()
    if not 0 <= number < total:
        raise InputError(f"{job}: rank {number} of {total} (RANK, WORLD_SIZE); start the processes with torchrun")
    if total == 1:
        yield lambda: None
        return
    import torch.distributed as dist

    own = not dist.is_initialized()
    if own and "MASTER_ADDR" not in os.environ:
        raise InputError(
            f"{job}: rank {number} of {total} cannot find the others; start them with torchrun or accelerate"
        )
    try:
        if own:
            dist.init_process_group("gloo", rank=number, world_size=total, timeout=START_TIMEOUT)
        # A second group: gloo even where the first is nccl, and with a longer timeout.
        group = dist.new_group(backend="gloo", timeout=BARRIER_TIMEOUT)
    except (RuntimeError, ValueError) as error:
        raise InputError(
            f"{job}: rank {number} did not meet all {total} processes within {START_TIMEOUT} ({_first_line(error)}); "
            "start them again"
        ) from None

    def barrier() -> None:
        try:
            dist.barrier(group=group)
        except RuntimeError as error:
            raise InputError(
                f"{job}: another of the {total} processes ended before it was done ({_first_line(error)}); its own "
                "message says why. Run the same command again: finished work is kept"
            ) from None

    try:
        yield barrier
    finally:
        if own:
            dist.destroy_process_group()


def _group() -> Any:
    """``torch.distributed`` where its process group stands, else None; torch is not loaded for the question."""
    dist = sys.modules.get("torch.distributed")
    return dist if dist is not None and dist.is_available() and dist.is_initialized() else None


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:120]
