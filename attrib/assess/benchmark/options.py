"""Options of ``assess benchmark``, and how it tunes."""

from __future__ import annotations

from dataclasses import dataclass, field

from attrib.options.answers import AnswerOptions, JudgeOptions
from attrib.options.fields import everyday, internal
from attrib.training.options import TuneOptions

FINETUNEBENCH_TOKENS = 100
"""Longest answer in tokens by the protocol of FineTuneBench; other benchmarks have the default of ``AnswerOptions``."""
TUNING = TuneOptions(epochs=20, learning_rate=8e-4, batch=8, warmup=20, rank=16, alpha=32, dropout=0.0)
"""Tuning until the answers that are taught are known."""


@dataclass(frozen=True)
class BenchmarkOptions:
    """How questions are asked and answers judged."""

    answers: AnswerOptions = field(default_factory=AnswerOptions)
    """How answers are made."""
    judge: JudgeOptions | None = internal(None)
    """A language model that judges beside the scorers; None: none is asked."""
    resamples: int = everyday(1000, "Run", low=1)
    """Bootstrap draws of the intervals."""
