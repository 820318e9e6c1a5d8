"""Options of ``assess influence``, and how it tunes."""

from __future__ import annotations

from dataclasses import dataclass, field

from attrib.options.chat import ChatOptions
from attrib.options.fields import bounded, everyday
from attrib.training.options import TuneOptions

TUNING = TuneOptions(epochs=8, learning_rate=1e-3, rank=8, dropout=0.0, batch=4, warmup=5)
"""Tuning on a few sections, run again dozens of times: small steps' batches, no dropout that adds noise to a drop."""


@dataclass(frozen=True)
class RetrainOptions:
    """How often to retrain, and how to tune."""

    tune: TuneOptions = TUNING
    """How each adapter is tuned."""
    without: int | None = everyday(None, "Retraining", flag="--sections", low=0)
    """Sections left out one at a time, drawn at random; default: each."""
    halves: int = everyday(48, "Retraining", low=0)
    """Random halves of the sections to train on."""
    seeds: tuple[int, ...] = everyday((TuneOptions.seed,), "Retraining")
    """Seeds of tuning, comma-separated; the first one's adapter is scored."""
    draw: int = bounded(0, low=0)
    """Seed of the choice of sections and halves."""
    chat: ChatOptions = field(default_factory=ChatOptions)
    """How questions become prompts, in tuning and afterwards."""
