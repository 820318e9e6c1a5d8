"""Rows and columns → the numbers of a three-panel heatmap, over sections or prompt tokens.

Not covered: colours and layout.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from attrib.records import Explanation, MappingSide
from attrib.records.kind import ScoreKind
from attrib.render.view.answer import AnswerRow, RowUnit, fit_rows, reduced
from attrib.render.view.columns import Column, Special, fold, prompt_columns, section_columns, template_share
from attrib.render.view.kinds import SIGNIFICANT, attribution_of, kind_in, kind_of, mapping_of
from attrib.text.units import units


@dataclass(frozen=True, eq=False)
class Heat:
    """The numbers behind one three-panel heatmap."""

    name: str
    kind: ScoreKind
    unit: RowUnit
    rows: tuple[AnswerRow, ...]
    cut: int
    """Rows left out at the end."""
    columns: tuple[Column, ...]
    base: Float[np.ndarray, "row column"]
    tuned: Float[np.ndarray, "row column"]
    base_marks: Bool[np.ndarray, "row column"]
    """Where some token of the row has q < SIGNIFICANT; all False for methods without a control."""
    tuned_marks: Bool[np.ndarray, "row column"]
    merged: bool = True
    """Whether rows of several tokens were put together here, and not by the method."""
    alike: bool = False
    """Whether base and tuned have one score: it reads the text alone."""
    hidden: tuple[float, float] | None = None
    """Share of |score| in the template's columns that are not drawn, base and tuned; None where none is left out."""

    @property
    def difference(self) -> Float[np.ndarray, "row column"]:
        """tuned − base."""
        return np.asarray(self.tuned - self.base)

    @property
    def marked(self) -> bool:
        """Whether some cell of base or tuned has a mark."""
        return bool(self.base_marks.any() or self.tuned_marks.any())


def section_heat(explanation: Explanation, mapper: str, *, top: int = 12, max_rows: int | None = None) -> Heat:
    """Answer row × section column, base and tuned.

    "other" and the control show the best score among theirs, so that one column is comparable with one section.
    """
    columns = section_columns(explanation, mapper, top)
    kind, mapping = kind_in(explanation, mapper), mapping_of(explanation, mapper)
    fit = fit_rows(explanation, units(explanation.answer_tokens, "token"), max_rows)

    def scores(side: MappingSide) -> np.ndarray:
        return _best_of(columns, *(reduced(block, fit.groups, kind) for block in (side.tokens, side.control)))

    def marks(side: MappingSide) -> np.ndarray:
        found = np.stack([(side.q[list(group)] < SIGNIFICANT).any(0) for group in fit.groups])
        return _best_of(columns, found, np.zeros((len(found), 1), bool))

    return Heat(
        mapper, kind, fit.unit, fit.rows, fit.cut, columns, scores(mapping.base), scores(mapping.tuned),
        marks(mapping.base), marks(mapping.tuned), alike=not mapping.uses_model,
    )  # fmt: skip


def _best_of(columns: Sequence[Column], sections: np.ndarray, control: np.ndarray) -> np.ndarray:
    """[row, section] and [row, control text] → [row, column], the largest of each column's."""
    picked = [control if column.kind == "control" else sections[:, list(column.members)] for column in columns]
    return np.stack([block.max(1) for block in picked], 1)


def prompt_heat(
    explanation: Explanation,
    method: str,
    *,
    special: Special = "show",
    top: int | None = None,
    max_rows: int | None = None,
) -> Heat:
    """Answer row × prompt column, base and tuned; folded columns are put together by the method's ``fold``."""
    columns = prompt_columns(explanation, method, special=special, top=top)
    attribution = attribution_of(explanation, method)
    kind = kind_of(method, attribution.target)
    fit = fit_rows(explanation, attribution.rows, max_rows)
    members = [column.members for column in columns]
    base, tuned = (
        reduced(fold(side, members, kind), fit.groups, kind) for side in attribution.expanded(len(explanation.tokens))
    )
    none = np.zeros(base.shape, bool)
    excluded = special == "hide" or "excluded_base" in attribution.settings
    hidden = template_share(explanation, attribution) if excluded else None
    return Heat(
        method, kind, fit.unit, fit.rows, fit.cut, columns, base, tuned, none, none, merged=fit.merged, hidden=hidden
    )
