"""Options of ``assess influence``, and how it tunes."""

from __future__ import annotations

from dataclasses import dataclass

from attrib.training.options import TuneOptions

TUNING = TuneOptions(learning_rate=1e-3, rank=8, dropout=0.0, batch=4, warmup=5)
"""Tuning on a few sections, run again dozens of times: small steps' batches, no dropout that adds noise to a drop."""


@dataclass(frozen=True)
class RetrainOptions:
    """How often to retrain, and how to tune."""

    tune: TuneOptions = TUNING
    without: int | None = None
    """Sections left out one at a time, drawn at random; None: each."""
    halves: int = 48
    """Random halves to train on."""
    seeds: tuple[int, ...] = (0,)
    """Seeds of tuning; the first one's adapter is scored."""
    draw: int = 0
    """Seed of the choice of sections and halves."""
