"""``schedule.json``: the examples of each step, its learning rate, and the steps after which the adapter was saved.

Not covered: the examples themselves (``items``), and the weights that were saved.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from pathlib import Path

from attrib.errors import RecordError
from attrib.files import write_atomically
from attrib.records.codec import from_json, to_json
from attrib.training.trained import read_training_file


@dataclass(frozen=True)
class Schedule:
    """Steps of a run and its checkpoints. Raises RecordError where its parts do not fit together."""

    checkpoints: tuple[int, ...]
    """Number of steps done at checkpoint 1, 2 …, ascending; the last is the result's (checkpoint 0: none)."""
    steps: tuple[tuple[int, ...], ...]
    """Numbers of the examples (lines of ``trained.jsonl`` from 0) that each step saw, those of process 0 first; empty
    where the order is unknown."""
    learning_rates: tuple[float, ...]
    """Learning rate of each step."""
    losses: tuple[float, ...] = ()
    """Mean loss a learned token, nats, of each step before its update; empty for adapters of older versions."""

    def __post_init__(self) -> None:
        seen, steps, losses = len(self.steps), len(self.learning_rates), len(self.losses)
        if seen not in (0, steps) or losses not in (0, steps):
            raise RecordError(f"{seen} steps, {steps} learning rates, {losses} losses")
        if any(number < 0 for number in chain(*self.steps)):
            raise RecordError("a step saw an example with a negative number")
        if not all(math.isfinite(value) for value in (*self.learning_rates, *self.losses)):
            raise RecordError("a learning rate or loss is not finite")
        ends = self.checkpoints
        if not ends or ends[-1] != steps or ends[0] < 1 or any(a > b for a, b in pairwise(ends)):
            raise RecordError(f"checkpoints {ends} of {steps} steps")


def checkpoint_folders(folder: Path) -> list[Path]:
    """Checkpoints 1, 2 … beside the adapter in ``folder``, in order; the result itself has no folder."""
    saved = (file for file in (folder / "checkpoints").glob("[1-9]*") if file.name.isdecimal())
    return sorted(saved, key=lambda file: int(file.name))


def checkpoint_steps(shares: Sequence[float], steps: int) -> list[int]:
    """Steps after which each checkpoint is saved, the last one the result's."""
    return [max(1, round(share * steps)) for share in shares]


def candidate_steps(most: int) -> list[int]:
    """Steps after which a run that may end early saves its adapter, a fifth apart: near any share of any length."""
    found, step = [], 1
    while step <= most:
        found.append(step)
        step = max(step + 1, round(1.2 * step))
    return found


def nearest_steps(shares: Sequence[float], steps: int, saved: Sequence[int]) -> list[int]:
    """The ``saved`` step nearest to each checkpoint of a run of so many ``steps``; the last is the run's end."""
    reached = [step for step in saved if step <= steps]
    wanted = checkpoint_steps(shares, steps)[:-1]
    return [*(min(reached, key=lambda step: abs(step - one)) for one in wanted), steps]


def steps_an_epoch(examples: int, batch: int, processes: int) -> int:
    """Steps of one epoch."""
    return math.ceil(math.ceil(examples / batch) / processes)


def write_schedule(folder: Path, schedule: Schedule) -> None:
    """Write ``schedule.json``."""
    write_atomically(folder / "schedule.json", (json.dumps(to_json(schedule)) + "\n").encode())


def read_schedule(folder: Path) -> Schedule:
    """Read the schedule of the adapter in ``folder``.

    Raises InputError for an adapter of another program, RecordError for a damaged file.
    """
    file = folder / "schedule.json"
    text = read_training_file(file)
    try:
        content = json.loads(text)
        if isinstance(content, dict):
            content.setdefault("losses", [])
        schedule: Schedule = from_json(Schedule, content)
    except (ValueError, RecordError) as error:
        raise RecordError(f"{file}: damaged ({error}); tune again") from error
    return schedule
