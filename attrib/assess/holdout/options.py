"""Options of ``assess holdout``, and how it parts and tunes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from attrib.options.answers import AnswerOptions
from attrib.options.explain import LARGEST_SEED
from attrib.options.fields import bounded, everyday
from attrib.training.options import TuneOptions

TUNING = TuneOptions(epochs=8, learning_rate=8e-4, batch=8, warmup=20, rank=8, dropout=0.0)
"""Tuning that remembers what it is taught, so that the part kept away stands out."""
By = Literal["section", "document", "column"]
Stratify = Literal["document", "kind", "none"]


@dataclass(frozen=True)
class HoldoutOptions:
    """How much is asked and drawn."""

    max_new_tokens: int = everyday(AnswerOptions.max_new_tokens, "Answer", low=1)
    """Longest generated answer, in tokens."""
    batch: int = bounded(AnswerOptions.batch, low=1)
    """Answers generated at a time."""
    candidates: int = everyday(3, "Answer", low=0)
    """Wrong answers beside the right one, for exposure and truth ratio; 0 leaves both out."""
    sections: int = everyday(24, "Documents", low=0)
    """Sections of each part whose membership is scored, at most; 0 scores none."""
    resamples: int = everyday(1000, "Run", low=1)
    """Bootstrap draws of the intervals."""
    permutations: int = bounded(9999, low=1)
    """Permutations of each test."""
    blind_permutations: int = bounded(199, low=1)
    """Permutations of the blind baseline's test, each with a fit of its own."""
    seed: int = everyday(AnswerOptions.seed, "Run", low=0, high=LARGEST_SEED)
    """Random seed, stored in the report."""

    @property
    def answers(self) -> AnswerOptions:
        """How the questions are asked."""
        return AnswerOptions(max_new_tokens=self.max_new_tokens, batch=self.batch, seed=self.seed)


@dataclass(frozen=True)
class SplitOptions:
    """How sections and questions are parted before tuning."""

    by: By = everyday("section", "Split")
    """Unit of the split, with --tune: section, document, or the questions' column split."""
    share: float = everyday(0.5, "Split")
    """Share of the sections to tune on, with --tune."""
    stratify: Stratify = everyday("document", "Split")
    """Balance of a split by section, with --tune: over documents, kinds of question, or none."""
