"""Hyperparameters of tuning an adapter, and which of them are valid; imports nothing heavy.

Not covered: what is learned (``items``), and what decides speed alone (device, dtype, 4 bits: arguments of ``tune``).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

from attrib.errors import InputError


@dataclass(frozen=True)
class TuneOptions:
    """Hyperparameters, stored beside the adapter."""

    epochs: int = 8
    """Passes over the training examples."""
    learning_rate: float = 8e-4
    """Peak learning rate."""
    rank: int = 4
    """Rank of the adapter (LoRA)."""
    alpha: int = 16
    """The adapter is scaled by alpha / rank."""
    dropout: float = 0.05
    """Dropout before the adapter."""
    batch: int = 8
    """Examples a step and process: two processes learn from twice as many a step, in half as many steps."""
    warmup: int = 20
    """Steps of linear warm-up to the peak learning rate; it falls linearly to 0 from there."""
    checkpoints: tuple[float, ...] = (1 / 12, 1 / 6, 1 / 3, 7 / 12, 1.0)
    """Shares of all steps after which the adapter is saved; the last is the result."""
    seed: int = 0
    """Seed of the adapter's initial weights, the order of the examples and dropout."""
    bf16: bool = True
    """Compute in bf16 where the hardware can; the adapter's weights are fp32 while they are trained."""


def spaced(count: int) -> tuple[float, ...]:
    """Shares of all steps for ``count`` checkpoints, dense where the learning rate is high: the gaps are Fibonacci's.

    Five give the default. Raises InputError for fewer than one or more than twelve.
    """
    if not 1 <= count <= 12:
        raise InputError(f"checkpoints: {count} is not possible; ask for 1 to 12 of them")
    gaps = [1, 1]
    while len(gaps) < count:
        gaps.append(gaps[-1] + gaps[-2])
    ends = [sum(gaps[: i + 1]) for i in range(count)]
    return tuple(end / ends[-1] for end in ends)


def check_options(options: TuneOptions) -> None:
    """Raises InputError, one line, for invalid hyperparameters."""
    for name, least in (("epochs", 1), ("rank", 1), ("alpha", 1), ("batch", 1), ("warmup", 0)):
        if getattr(options, name) < least:
            raise InputError(f"{name} {getattr(options, name)}: it must be at least {least}")
    if not (0 < options.learning_rate < math.inf):
        raise InputError(f"learning-rate {options.learning_rate}: it must be above 0, e.g. {TuneOptions.learning_rate}")
    if not 0 <= options.dropout < 1:
        raise InputError(f"dropout {options.dropout}: it must be at least 0 and below 1")
    if not 0 <= options.seed < 2**32:
        raise InputError(f"seed {options.seed}: it must be a whole number from 0 to {2**32 - 1}")
    shares = options.checkpoints
    ascending = all(a < b for a, b in pairwise(shares))
    if not shares or not shares[0] > 0 or shares[-1] != 1 or not ascending:
        text = ",".join(f"{share:g}" for share in shares)
        raise InputError(f"checkpoints {text}: give shares of all steps, ascending from above 0 and ending in 1")
