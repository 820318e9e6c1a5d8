"""Options of ``assess attribution``."""

from __future__ import annotations

from dataclasses import dataclass, field

from attrib.options.answers import AnswerOptions
from attrib.options.explain import ExplainOptions
from attrib.options.fields import bounded, everyday

BASELINES = ("bm25", "embedding")
"""Mappers that use texts alone, as baselines."""


def _verdicts_alone() -> ExplainOptions:
    """Explanations without prompt attribution, which a set of answers has no use for."""
    return ExplainOptions(methods=(), mappers=BASELINES, candidates=12, max_new_tokens=AnswerOptions.max_new_tokens)


@dataclass(frozen=True)
class AttributionOptions:
    """How each answer is explained, and how often chance is drawn."""

    explain: ExplainOptions = field(default_factory=_verdicts_alone)
    """How each answer is explained."""
    batch: int = bounded(AnswerOptions.batch, low=1)
    """Answers generated at a time."""
    resamples: int = everyday(1000, "Run", low=1)
    """Bootstrap draws of the intervals."""
