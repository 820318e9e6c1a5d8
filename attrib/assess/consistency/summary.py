"""Questions → means with intervals by quantity and kind of question, and notes on how to read them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from attrib.assess.answering import SIDES
from attrib.assess.consistency.options import ConsistencyOptions
from attrib.assess.consistency.records import (
    ALL,
    OF_EACH,
    QUANTITIES,
    QuestionRow,
    SummaryRow,
)
from attrib.measures import (
    grouped_interval,
)
from attrib.verdict.vocabulary import Lexicon

ENOUGH = 5
"""Questions from which an interval means something."""


def summarise(rows: Sequence[QuestionRow], resamples: int, seed: int) -> list[SummaryRow]:
    """Every quantity for every kind of question and for all; questions that lack it on either side are left out."""
    kinds = list(dict.fromkeys(row.kind for row in rows))
    # One kind is all.
    parts = [(kind or "none", [row for row in rows if row.kind == kind]) for kind in kinds if len(kinds) > 1]
    return [
        _summary(quantity, kind, chosen, resamples, seed)
        for kind, chosen in [*parts, (ALL, list(rows))]
        for quantity in QUANTITIES
    ]


def _summary(quantity: str, kind: str, rows: Sequence[QuestionRow], resamples: int, seed: int) -> SummaryRow:
    values = np.array([[row.of(quantity, side) for side in SIDES] for row in rows])
    paired = quantity in OF_EACH
    chosen = np.isfinite(values).all(1) if paired else np.isfinite(values[:, 1])
    number: dict[str, int] = {}
    facts = np.array([number.setdefault(row.fact or f"id {row.id}", len(number)) for row in rows])[chosen]
    # Numbers without gaps, of the facts that are left.
    facts = np.unique(facts, return_inverse=True)[1]
    nothing = (math.nan, math.nan, math.nan)

    def mean(column: np.ndarray) -> tuple[float, float, float]:
        if not column.size:
            return nothing
        return (float(column.mean()), *grouped_interval(column, facts, resamples, seed))

    base, tuned = values[chosen].T
    base_mean, change = (mean(base), mean(tuned - base)) if paired else (nothing, nothing)
    return SummaryRow(
        quantity, kind, *base_mean, *mean(tuned), *change, n=int(chosen.sum()), facts=len(set(facts.tolist()))
    )


def notes_on(rows: Sequence[QuestionRow], lexicon: Lexicon, options: ConsistencyOptions) -> Iterator[str]:
    """Sentences on the threshold, cut-off and blank answers, and the sizes of both sets of texts."""
    method = f"the NLI model {Path(options.nli).name}" if options.nli is not None else "the sentence embedder"
    yield (
        f"Answers mean the same from a similarity of {options.same:g} by {method}; answers with different "
        "numbers, or of which one is negated, never do."
    )
    for side in SIDES:
        replies = [r for row in rows for r in (row.by_side(side).greedy, *row.by_side(side).samples)]
        cut = sum(not reply.ended for reply in replies)
        if cut:
            yield (
                f"{cut} of {len(replies)} answers of {side} were cut off at {options.max_new_tokens} tokens: "
                "raise max_new_tokens for whole ones."
            )
        blank = sum(not reply.text.strip() for reply in replies)
        if blank:
            yield f"{blank} of {len(replies)} answers of {side} are blank; they count as one meaning."
    sizes = [int((index.ids >= 0).sum()) for index in (lexicon.documents, lexicon.controls)]
    yield (
        f"The documents have {sizes[0]:,} words, {len(lexicon.documents.number):,} of them different; the control "
        f"texts {sizes[1]:,} and {len(lexicon.controls.number):,}: more texts hold more terms by chance."
    )
    without = sum(math.isnan(row.tuned.values["novel"]) for row in rows)
    if without:
        yield f"{without} of {len(rows)} tuned answers add no term to their question and count for no rate of terms."
    if len(rows) < ENOUGH:
        yield f"With {len(rows)} questions intervals mean little."
