"""Report of ``assess holdout``: every question under every model, the summary, and a removal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from attrib.assess.holdout.blind import Blind
from attrib.assess.holdout.membership import (
    Auc,
)
from attrib.assess.split import Part
from attrib.assess.stored import Report

MEASURES = {
    "accuracy": "share of right answers",
    "exact": "the normalised answer is the right one",
    "containment": "the answer holds the right one",
    "token_f1": "words shared with the right answer, F1",
    "logprob": "mean log p of the right answer's tokens, nats",
    "exposure": "bits by which the right answer outranks other questions' answers",
}


GAP = "tuned-on − held-out"


REPHRASED_GAP = "trained − rephrased"


ComparedSide = Literal["base", "tuned", "difference", "full", "retrained"]


@dataclass(frozen=True)
class HoldoutRow:
    """One question under one model."""

    id: str
    question: str
    answer: str
    kind: str
    part: Part
    group: int
    section: str | None
    fact: str
    side: str
    reply: str
    accuracy: float | None
    exact: float | None
    containment: float | None
    token_f1: float | None
    logprob: float | None
    """Mean log p of the right answer's tokens, nats."""
    exposure: float | None
    truth_ratio: float | None
    candidates: int
    """How many wrong answers exposure and truth ratio are made from."""


@dataclass(frozen=True)
class HoldoutQuantity:
    """One number of the summary."""

    measure: str
    part: str
    """A part; GAP, REPHRASED_GAP; removed or retained."""
    kind: str
    """Kind of question, or all."""
    side: ComparedSide
    value: float
    low: float
    """95% bootstrap interval over groups; nan where none could be."""
    high: float
    p: float
    """Two-sided: signs of groups flipped (differences within a part, REPHRASED_GAP), their labels permuted (GAP); nan
    elsewhere."""
    n: int
    """Questions (REPHRASED_GAP: facts)."""
    groups: int


@dataclass(frozen=True)
class ForgetQuality:
    """Truth ratios of one model on the removed part against those of the retrained one."""

    model: str
    statistic: float
    """Largest distance of the two distribution functions (Kolmogorov–Smirnov)."""
    p: float
    """TOFU's forget quality: high where the two cannot be distinguished."""


@dataclass(frozen=True, eq=False)
class Removal:
    """The full model, the base and one tuned again without some sections."""

    sections: tuple[str, ...]
    """Ids that were left out, near-duplicates included."""
    rows: tuple[HoldoutRow, ...]
    """Questions of the removed and retained part by model: base, full, retrained."""
    removed: tuple[str, ...]
    """Ids of the questions on what was removed."""
    quantities: tuple[HoldoutQuantity, ...]
    quality: tuple[ForgetQuality, ...]

    def truth_ratios(self, model: str) -> np.ndarray:
        """Truth ratios of the removed part under one model, where defined."""
        rows = [r for r in self.rows if r.side == model and r.part == "held-out"]
        return np.array([r.truth_ratio for r in rows if r.truth_ratio is not None], dtype=np.float64)


@dataclass(frozen=True, eq=False)
class HoldoutReport(Report):
    """Everything that is rendered."""

    NAME: ClassVar = "holdout"
    SCHEMA: ClassVar = 2
    rows: tuple[HoldoutRow, ...]
    quantities: tuple[HoldoutQuantity, ...]
    membership: tuple[Auc, ...]
    blind: tuple[Blind, ...]
    notes: tuple[str, ...]
    """Plain sentences: warnings and defects."""
    provenance: Mapping[str, object]
    removal: Removal | None = None

    def quantity(self, measure: str, part: str, side: str, kind: str = "all") -> HoldoutQuantity | None:
        """One number of the summary, if it is there."""
        key = (measure, part, side, kind)
        return next((q for q in self.quantities if (q.measure, q.part, q.side, q.kind) == key), None)
