"""Options of ``assess consistency``."""

from __future__ import annotations

from dataclasses import dataclass

from attrib.options.answers import AnswerOptions
from attrib.options.explain import LARGEST_SEED
from attrib.options.fields import bounded, everyday

SAME = 0.75
"""Cosine from which two answers mean the same; ``clusters`` says what it was chosen by."""
ENTAILED = 0.5
"""Likewise the smaller of the two probabilities of entailment."""


@dataclass(frozen=True)
class ConsistencyOptions:
    """How answers are sampled and compared."""

    samples: int = everyday(5, "Answer", low=2)
    """Sampled answers to each question."""
    temperature: float = everyday(0.7, "Answer", low=0.01)
    """Sampling temperature."""
    max_new_tokens: int = everyday(AnswerOptions.max_new_tokens, "Answer", low=1)
    """Longest generated answer, in tokens."""
    threshold: float | None = None
    """Similarity from which two answers mean the same; none takes 0.75 for embeddings, 0.5 for NLI."""
    nli: str | None = None
    """NLI model that compares answers in place of the embedder: folder or hub id."""
    seed: int = everyday(AnswerOptions.seed, "Run", low=0, high=LARGEST_SEED)
    """Random seed, stored in the report."""
    batch: int = bounded(AnswerOptions.batch, low=1)
    """Answers generated at a time."""
    resamples: int = everyday(1000, "Run", low=1)
    """Bootstrap draws of the intervals."""

    @property
    def same(self) -> float:
        """The threshold that holds."""
        if self.threshold is not None:
            return self.threshold
        return SAME if self.nli is None else ENTAILED
