"""TODO"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


def rank() -> int:
    import torch.distributed as dist

    return dist.get_rank() if dist.is_available() and dist.is_initialized() else 0


def world() -> int:
    import torch.distributed as dist

    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def on_first(action: Callable[[], T]) -> T:
    """What ``action`` gives or raises in process 0, in every process; the others wait and do not call it."""
    import torch.distributed as dist

    if world() == 1:
        return action()
    outcome: list[Any] = [None, None]
    if rank() == 0:
        try:
            outcome = [action(), None]
        except Exception as error:
            outcome = [None, error]
    dist.broadcast_object_list(outcome, src=0)
    if outcome[1] is not None:
        raise outcome[1]
    return outcome[0]  # type: ignore[no-any-return]


def gather(mine: T) -> list[T]:
    """``mine`` of every process, in order."""
    import torch.distributed as dist

    if world() == 1:
        return [mine]
    gathered: list[Any] = [None] * world()
    dist.all_gather_object(gathered, mine)
    return gathered
