"""Report of ``assess consistency``: every question, and a summary by quantity and kind."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from attrib.assess.answering import Reply, Side
from attrib.assess.stored import Report

ALL = "all"
"""Kind of the rows over all questions."""


QUANTITIES: dict[str, str] = {
    "semantic_entropy": "entropy over the meanings of the samples, weighted by log p per token, nats",
    "discrete_entropy": "the same from how often each meaning was sampled, nats",
    "predictive_entropy": "mean −log p per token of the samples, nats",
    "clusters": "number of meanings among the samples",
    "agreement": "share of pairs of samples with one meaning",
    "with_greedy": "share of samples with the meaning of the greedy answer",
    "rephrasings": "share of the fact's other questions whose greedy answer has the same meaning",
    "novel": (
        "share of the terms of an answer that the base's answers have not and the documents have; tuned: the greedy "
        "answer; base: its samples, each against its other answers"
    ),
    "unfinished": "share of answers cut off at max_new_tokens",
    "novel_control": "the share of novel terms where control texts take the place of the documents",
    "made_up": "share of the tuned answer's terms that neither the base's answers nor the documents have",
    "dropped": "share of the base's greedy answer's terms that no answer of the tuned model has",
    "same_meaning": "share of questions where the greedy answers of base and tuned mean the same",
    "rouge_l": "ROUGE-L of the greedy answers of base and tuned",
    "bertscore": "F1 of the best cosines between their words, by the sentence embedder",
    "kl_mean": "mean KL(tuned ‖ base) per token of the tuned greedy answer, nats",
    "kl_max": "largest KL(tuned ‖ base) at a token of it, nats",
}
"""Measures; the first nine of each side, the others of the pair."""


OF_EACH = tuple(QUANTITIES)[:9]


@dataclass(frozen=True)
class Answers:
    """Answers of one model to one question."""

    greedy: Reply
    samples: tuple[Reply, ...]
    clusters: tuple[int, ...]
    """Meaning of each sample, numbered by first appearance."""
    values: dict[str, float]
    """Values of the QUANTITIES of each side; nan without a value."""


@dataclass(frozen=True)
class SectionWithTerm:
    """A section that holds a term."""

    id: str
    title: str
    document: str
    lines: str


@dataclass(frozen=True)
class NewTerm:
    """A term of the tuned model's greedy answer that no answer of the base has."""

    term: str
    spans: tuple[tuple[int, int], ...]
    """[start, end) of every place in the answer."""
    sections: tuple[SectionWithTerm, ...]
    """Up to SECTIONS of those that hold it, the ones most like question and answer (BM25) first; none: made up."""
    held_by: int
    """How many sections hold it."""


@dataclass(frozen=True)
class QuestionRow:
    """One question."""

    id: str
    question: str
    answer: str | None
    """The right one, where it is known."""
    kind: str
    fact: str
    base: Answers
    tuned: Answers
    new_terms: tuple[NewTerm, ...]
    dropped_terms: tuple[str, ...]
    added: tuple[tuple[int, int], ...]
    """[start, end) in the tuned greedy answer of words that an aligned diff adds to the base's."""
    removed: tuple[tuple[int, int], ...]
    """[start, end) in the base's greedy answer of words that it takes away."""
    kl: tuple[float, ...]
    """KL(tuned ‖ base) at each token of the tuned greedy answer, nats."""
    kl_tokens: tuple[str, ...]
    values: dict[str, float]
    """Values of the QUANTITIES of the pair; nan without a value."""

    def by_side(self, side: Side) -> Answers:
        """Answers of one model."""
        return self.base if side == "base" else self.tuned

    def of(self, quantity: str, side: Side) -> float:
        """A quantity of the row; those of the pair are the tuned model's."""
        if quantity in OF_EACH:
            return self.by_side(side).values[quantity]
        return self.values[quantity] if side == "tuned" else math.nan


@dataclass(frozen=True)
class SummaryRow:
    """A quantity over the questions of one kind on which it could be measured."""

    quantity: str
    kind: str
    base: float
    """Mean; nan, with its interval and the difference, for quantities of the pair."""
    base_low: float
    base_high: float
    tuned: float
    tuned_low: float
    tuned_high: float
    difference: float
    """tuned − base, question by question."""
    low: float
    high: float
    n: int
    """Questions."""
    facts: int
    """Facts they ask for: drawn together for the 95% bootstrap intervals."""


@dataclass(frozen=True)
class ConsistencyReport(Report):
    """The whole assessment."""

    NAME: ClassVar = "consistency"
    SCHEMA: ClassVar = 2
    rows: tuple[QuestionRow, ...]
    summary: tuple[SummaryRow, ...]
    notes: tuple[str, ...]
    provenance: Mapping[str, object]

    def row(self, quantity: str, kind: str = ALL) -> SummaryRow:
        """One row of the summary."""
        return next(r for r in self.summary if (r.quantity, r.kind) == (quantity, kind))

    @property
    def kinds(self) -> tuple[str, ...]:
        """Kinds of the summary, the rows over all last."""
        return tuple(dict.fromkeys(row.kind for row in self.summary))
