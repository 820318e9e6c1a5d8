"""Options of ``assess attribution``."""

from __future__ import annotations

from dataclasses import dataclass, field

from attrib.assess.answering import AnswerOptions
from attrib.explaining import ExplainOptions

BASELINES = ("bm25", "embedding")
"""Mappers that know nothing of the models."""


def _verdicts_alone() -> ExplainOptions:
    """Explanations without prompt attribution, which a set of answers has no use for."""
    return ExplainOptions(methods=(), mappers=BASELINES, candidates=12, max_new_tokens=AnswerOptions.max_new_tokens)


@dataclass(frozen=True)
class AttributionOptions:
    """How each answer is explained, and how often chance is drawn."""

    explain: ExplainOptions = field(default_factory=_verdicts_alone)
    batch: int = AnswerOptions.batch
    """Answers at a time."""
    resamples: int = 1000
    """Bootstrap draws of the intervals."""
