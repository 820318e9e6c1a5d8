"""Options of ``assess holdout``, and how it tunes."""

from __future__ import annotations

from dataclasses import dataclass

from attrib.assess.answering import AnswerOptions
from attrib.training.options import TuneOptions

TUNING = TuneOptions(rank=8, dropout=0.0)
"""Tuning that remembers what it is taught, so that the part kept away stands out."""


@dataclass(frozen=True)
class HoldoutOptions:
    """How many answers, candidates and sections are scored, and how often chance is drawn."""

    max_new_tokens: int = AnswerOptions.max_new_tokens
    """Longest answer in tokens."""
    batch: int = AnswerOptions.batch
    """Answers at a time."""
    candidates: int = 3
    """Wrong answers beside the right one for exposure and truth ratio; 0: neither."""
    sections: int = 24
    """Texts of sections of each part whose membership is scored, at most; 0: none."""
    resamples: int = 1000
    """Bootstrap draws of the intervals."""
    permutations: int = 9999
    blind_permutations: int = 199
    """Each fits the blind baseline anew."""
    seed: int = 0
