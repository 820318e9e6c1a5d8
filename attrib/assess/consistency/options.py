"""Options of ``assess consistency``."""

from __future__ import annotations

from dataclasses import dataclass

from attrib.assess.answering import AnswerOptions

SAME = 0.75
"""Cosine from which two answers mean the same; ``clusters`` says what it was chosen by."""
ENTAILED = 0.5
"""Likewise the smaller of the two probabilities of entailment."""


@dataclass(frozen=True)
class ConsistencyOptions:
    """How answers are sampled and compared."""

    samples: int = 5
    """Sampled answers to each question."""
    temperature: float = 0.7
    """Temperature of the samples."""
    max_new_tokens: int = AnswerOptions.max_new_tokens
    """Longest answer in tokens."""
    threshold: float | None = None
    """Similarity from which two answers mean the same; None: ``SAME`` for embeddings, ``ENTAILED`` for NLI."""
    nli: str | None = None
    """Folder or hub id of an NLI model that compares answers in place of the embedder."""
    seed: int = 0
    batch: int = AnswerOptions.batch
    """Answers at a time."""
    resamples: int = 1000
    """Bootstrap draws of the intervals."""

    @property
    def same(self) -> float:
        """The threshold that holds."""
        if self.threshold is not None:
            return self.threshold
        return SAME if self.nli is None else ENTAILED
