"""Score matrices of base and tuned: answer token × prompt token, and answer token × section."""

from __future__ import annotations

from collections.abc import Mapping as MappingABC
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, Int

from attrib.records.checks import check_shape


@dataclass(frozen=True, eq=False)
class Attribution:
    """Answer tokens or words × earlier tokens or words by one method, base and tuned."""

    method: str
    target: str
    """Name of the target that is explained, e.g. ``logprob``."""
    rows: tuple[tuple[int, ...], ...]
    """Answer tokens of each row: one for tokens, several for words and spans."""
    columns: tuple[tuple[int, ...], ...]
    """Positions of each column: one for tokens, several where they were removed together."""
    base: Float[np.ndarray, "row column"]
    tuned: Float[np.ndarray, "row column"]
    value_base: Float[np.ndarray, " row"]
    """The target under base, summed over the row's tokens."""
    value_tuned: Float[np.ndarray, " row"]
    gap_base: Float[np.ndarray, " row"] | None = None
    """Sum of the row's scores − the promised sum, for methods that promise one; in the target's unit."""
    gap_tuned: Float[np.ndarray, " row"] | None = None
    settings: MappingABC[str, object] = field(default_factory=dict)
    """Settings of the method: steps, baseline, seed …"""

    def __post_init__(self) -> None:
        shape = (len(self.rows), len(self.columns))
        check_shape(self, "base", self.base, shape)
        check_shape(self, "tuned", self.tuned, shape)
        for name in ("value_base", "value_tuned", "gap_base", "gap_tuned"):
            check_shape(self, name, getattr(self, name), shape[:1])

    @property
    def difference(self) -> Float[np.ndarray, "row column"]:
        """tuned − base."""
        return np.asarray(self.tuned - self.base)

    def expanded(self, positions: int) -> tuple[Float[np.ndarray, "row position"], Float[np.ndarray, "row position"]]:
        """Base and tuned by position; a column's score is spread evenly over its positions, so that sums stay."""
        spread = np.zeros((len(self.columns), positions))
        for column, members in enumerate(self.columns):
            spread[column, list(members)] = 1 / len(members)
        return np.asarray(self.base @ spread), np.asarray(self.tuned @ spread)


@dataclass(frozen=True, eq=False)
class MappingSide:
    """Answer token × section by one mapper under one model, beside its control.

    ``whole`` is the score of question and answer together: ``context + tokens.sum(0)`` for additive mappers
    (bm25), the mapper's own whole-answer score else.
    """

    tokens: Float[np.ndarray, "answer section"]
    """Score of each answer token against each section."""
    whole: Float[np.ndarray, " section"]
    control: Float[np.ndarray, "answer control"]
    """The same scores against control sections, which neither model was tuned on."""
    control_whole: Float[np.ndarray, " control"]
    q: Float[np.ndarray, "answer section"]
    """q-value of each score (Benjamini–Hochberg over the matrix): whether it stands out from the control texts and from
    the other sections. NaN where nothing can be compared: a control with one score, a score that does not look at the
    answer, or one that speaks of tuning under base."""
    spans: Int[np.ndarray, "answer section 2"]
    """Best matching span in the section's ``full_text``, [start, end) characters; (0, 0) for none."""

    def __post_init__(self) -> None:
        n, m = self.tokens.shape
        check_shape(self, "whole", self.whole, (m,))
        check_shape(self, "control", self.control, (n, None))
        check_shape(self, "control_whole", self.control_whole, (self.control.shape[1],))
        check_shape(self, "q", self.q, (n, m))
        check_shape(self, "spans", self.spans, (n, m, 2))


@dataclass(frozen=True, eq=False)
class Mapping:
    """Answer token × section by one mapper, base and tuned."""

    mapper: str
    uses_model: bool
    """False for mappers that read only the text: base and tuned are then the same."""
    base: MappingSide
    tuned: MappingSide

    def __post_init__(self) -> None:
        check_shape(self, "tuned.tokens", self.tuned.tokens, self.base.tokens.shape)

    @property
    def difference(self) -> Float[np.ndarray, "answer section"]:
        """tuned − base, per token."""
        return np.asarray(self.tuned.tokens - self.base.tokens)
