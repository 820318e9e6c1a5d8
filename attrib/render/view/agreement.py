"""Several methods over the question's words, whole answer, and how far their orders agree.

Not covered: agreement by chance of scores that are not independent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float
from scipy.special import stdtrit

from attrib.errors import InputError
from attrib.options.methods import Unit
from attrib.records import Explanation
from attrib.records.kind import ScoreKind
from attrib.render.view.answer import require_rows
from attrib.render.view.columns import Column, fold
from attrib.render.view.kinds import SIGNIFICANT, attribution_of, kind_of
from attrib.render.view.labels import joined_label
from attrib.text.units import question_units

Side = Literal["both", "base", "tuned"]


@dataclass(frozen=True, eq=False)
class Comparison:
    """Several methods over the question's words, whole answer: shares of the method's largest |score| in that model."""

    methods: tuple[str, ...]
    kinds: tuple[ScoreKind, ...]
    columns: tuple[Column, ...]
    base: Float[np.ndarray, "method column"]
    tuned: Float[np.ndarray, "method column"]
    agreement_base: Float[np.ndarray, "method method"]
    """Spearman's ρ over all words of the question; NaN where a method gives all words one score."""
    agreement_tuned: Float[np.ndarray, "method method"]
    ratio: Float[np.ndarray, " method"]
    """Largest |score| under tuned ÷ under base; NaN where base's scores are all zero."""
    words: int
    """Words of the question; those beyond the columns are put together as "other"."""


def comparison(explanation: Explanation, methods: Sequence[str] | None = None, *, top: int | None = None) -> Comparison:
    """``methods`` (default: all of the record) over the question's words, and how far their orders agree.

    Rows are summed where a word is the sum of its tokens, else averaged. Two signed methods are compared by their
    scores, other pairs by |score|, which is all that an unsigned method has. Raises InputError for a method that the
    record lacks, for none at all, for a question without words and for an answer without tokens.
    """
    methods = tuple(explanation.attributions if methods is None else methods)
    if not methods:
        raise InputError("methods: none to compare; name some that the record has, or explain again with --methods")
    if top is not None and top < 1:
        raise InputError(f"top={top}: a comparison needs at least one word; give top=1 or more")
    groups = question_units(explanation.prompt_tokens, explanation.question, "word")
    if not groups:
        raise InputError("the question has no words, so there is nothing to compare; ask one")
    kinds = tuple(kind_of(m, attribution_of(explanation, m).target) for m in methods)
    whole = [_whole(explanation, method, kind, groups) for method, kind in zip(methods, kinds, strict=True)]
    base, tuned = np.stack(whole, 1)
    # One scale for both models would blank tuned: where it is sure of its answer, all gradients are small.
    largest = [np.abs(side).max(1) for side in (base, tuned)]
    base, tuned = (
        side / np.where(most > 0, most, 1)[:, None] for side, most in zip((base, tuned), largest, strict=True)
    )
    weight = np.abs(base).sum(0) + np.abs(tuned).sum(0)
    best = sorted(sorted(range(len(groups)), key=lambda i: -float(weight[i]))[:top])
    columns = [Column(joined_label(explanation.prompt_tokens, groups[i]), "token", groups[i]) for i in best]
    drawn: list[Unit] = [(i,) for i in best]
    if others := tuple(i for i in range(len(groups)) if i not in set(best)):
        columns.append(Column(f"other {len(others):,}", "other", tuple(at for i in others for at in groups[i])))
        drawn.append(others)

    def shown(side: np.ndarray) -> np.ndarray:
        return np.stack([fold(row, drawn, kind) for row, kind in zip(side, kinds, strict=True)])

    signed = [kind.signed for kind in kinds]
    return Comparison(
        methods=methods,
        kinds=kinds,
        columns=tuple(columns),
        base=shown(base),
        tuned=shown(tuned),
        agreement_base=_agreement(base, signed),
        agreement_tuned=_agreement(tuned, signed),
        ratio=np.divide(largest[1], largest[0], out=np.full(len(methods), np.nan), where=largest[0] > 0),
        words=len(groups),
    )


def _whole(explanation: Explanation, method: str, kind: ScoreKind, groups: Sequence[Unit]) -> np.ndarray:
    """One method's scores of the whole answer under base and tuned, [side, group]."""
    attribution = explanation.attributions[method]
    require_rows(attribution.rows)
    # A word's attention is the mean of its tokens': long words weigh more in the answer's mean.
    weights = [len(row) for row in attribution.rows] if kind.reduction == "mean" else None
    sides = []
    for side in attribution.expanded(len(explanation.tokens)):
        scores = fold(side, groups, kind)
        sides.append(scores.sum(0) if kind.reduction == "sum" else np.average(scores, axis=0, weights=weights))
    return np.stack(sides)


def _agreement(scores: np.ndarray, signed: Sequence[bool]) -> np.ndarray:
    """Spearman's ρ of each pair of rows, [method, method]."""
    from scipy import stats

    n = len(scores)
    out = np.full((n, n), np.nan)
    by_score, by_size = stats.rankdata(scores, axis=1), stats.rankdata(np.abs(scores), axis=1)
    for i in range(n):
        for j in range(n):
            ranks = by_score if signed[i] and signed[j] else by_size
            a, b = ranks[i] - ranks[i].mean(), ranks[j] - ranks[j].mean()
            size = float(np.sqrt((a @ a) * (b @ b)))
            if size > 0 and scores.shape[1] > 1:
                out[i, j] = float(a @ b) / size
    return out


def chance_correlation(n: int, significance: float = SIGNIFICANT) -> float | None:
    """|ρ| that two unrelated orders of ``n`` words exceed with this probability (t approximation); None below 5."""
    if n < 5:
        return None
    t = float(stdtrit(n - 2, 1 - significance / 2))
    return float(t / np.sqrt(n - 2 + t**2))
