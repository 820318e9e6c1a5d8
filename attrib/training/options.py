"""Hyperparameters of tuning an adapter, and which of them are valid; imports nothing heavy.

Not covered: what is learned (``items``), and how the base is loaded (arguments of ``tune``).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

from attrib.errors import InputError
from attrib.options.fields import everyday, internal
from attrib.options.loading import Loading


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


@dataclass(frozen=True)
class TuneOptions:
    """Hyperparameters, stored beside the adapter."""

    epochs: int | None = everyday(None, "Adapter")
    """Passes over the training examples; default: until the answers are known, 3 to 20 by the number of examples."""
    learning_rate: float = everyday(1.5e-3, "Adapter")
    """Peak learning rate, with linear decay to 0 at the end of the epochs, or of the most there may be."""
    rank: int = everyday(4, "Adapter")
    """Rank of the adapter (LoRA)."""
    alpha: int = everyday(16, "Adapter")
    """LoRA alpha; the adapter's scale is alpha / rank."""
    dropout: float = everyday(0.05, "Adapter")
    """Dropout before the adapter."""
    batch: int = everyday(4, "Adapter", flag="--train-batch")
    """Training examples per step and process; two processes use twice as many per step, in half as many steps."""
    warmup: int = everyday(10, "Adapter")
    """Warm-up steps until the peak learning rate."""
    checkpoints: tuple[float, ...] = everyday(spaced(5), "Adapter", count=spaced)
    """Checkpoints to save: how many (4 to 6 suffice), or shares of all steps such as 0.1,0.3,1; the last is the
    result."""
    seed: int = internal(0)
    """Seed of weights, order and dropout."""
    bf16: bool | None = None
    """Compute in bf16; default: as models.dtype says, and where that is auto, if this machine is faster in bf16 than in
    float32. The adapter's weights are fp32 while they are trained."""


STEPS = 400
"""Steps that a run of unstated length is planned for, within EPOCHS."""
EPOCHS = (3, 20)
"""Fewest and most epochs of a run of unstated length."""


def planned_epochs(options: TuneOptions, examples: int) -> int:
    """Epochs that are given, or the most that a run on so many examples may take."""
    if options.epochs is not None:
        return options.epochs
    fewest, most = EPOCHS
    return min(most, max(fewest, math.ceil(STEPS * options.batch / examples)))


def check_options(options: TuneOptions) -> None:
    """Raises InputError, one line, for invalid hyperparameters."""
    for name, least in (("epochs", 1), ("rank", 1), ("alpha", 1), ("batch", 1), ("warmup", 0)):
        value = getattr(options, name)
        if value is not None and value < least:
            raise InputError(f"{name} {value}: it must be at least {least}")
    if not (0 < options.learning_rate < math.inf):
        raise InputError(f"learning-rate {options.learning_rate}: it must be above 0, e.g. {TuneOptions.learning_rate}")
    if not 0 <= options.dropout < 1:
        raise InputError(f"dropout {options.dropout}: it must be at least 0 and below 1")
    if not 0 <= options.seed < 2**32:
        raise InputError(f"seed {options.seed}: it must be a whole number from 0 to {2**32 - 1}")
    check_checkpoints(options.checkpoints)


def check_checkpoints(shares: tuple[float, ...]) -> None:
    """Raises InputError, one line, for shares that are no checkpoints."""
    ascending = all(a < b for a, b in pairwise(shares))
    if not shares or not shares[0] > 0 or shares[-1] != 1 or not ascending:
        text = ",".join(f"{share:g}" for share in shares)
        raise InputError(f"checkpoints {text}: give shares of all steps, ascending from above 0 and ending in 1")


def check_loading(loading: Loading) -> None:
    """Raises InputError for a device map: the trainer needs all weights of the base beside its adapter's."""
    if loading.device_map is not None:
        raise InputError(
            "device_map: tuning keeps the whole base on one device per process and cannot spread it over several; "
            "leave the map out"
        )
