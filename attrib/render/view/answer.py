"""Answer tokens → rows: one a token, word, sentence or span, each with its verdict and gain in bits.

Not covered: scores beside the rows (``heat``).
"""

from __future__ import annotations

from collections.abc import Sequence, Sized
from dataclasses import dataclass
from typing import Literal

import numpy as np

from attrib.errors import InputError
from attrib.measures import bits
from attrib.options.methods import Unit, UnitName
from attrib.records import Called, Explanation
from attrib.records.kind import ScoreKind
from attrib.render.view.labels import joined_label
from attrib.render.view.words import token_calls
from attrib.text.units import units, words

RowUnit = UnitName | Literal["span"]


@dataclass(frozen=True, eq=False)
class AnswerRow:
    """One answer token, or one word of several."""

    label: str
    members: tuple[int, ...]
    """Indices of its answer tokens."""
    verdict: Called
    gain_bits: float
    """Sum over its tokens of log p tuned − log p base, bits."""


def answer_rows(explanation: Explanation, unit: Literal["token", "word"] = "token") -> tuple[AnswerRow, ...]:
    """One row a token or word."""
    return _rows(explanation, units(explanation.answer_tokens, unit))


def _rows(explanation: Explanation, groups: Sequence[Unit]) -> tuple[AnswerRow, ...]:
    calls = token_calls(explanation)

    def verdict(group: Unit) -> Called:
        own = {calls[i] for i in group}
        return own.pop() if len(own) == 1 else explanation.verdict.call(explanation.verdict.tokens[list(group)].mean(0))

    return tuple(
        AnswerRow(
            label=joined_label(explanation.answer_tokens, group),
            members=group,
            verdict=verdict(group),
            gain_bits=bits(float(explanation.verdict.gain[list(group)].sum())),
        )
        for group in groups
    )


def verdict_spans(explanation: Explanation) -> tuple[tuple[str, Called], ...]:
    """The answer as runs of text with one verdict each, in order."""
    runs: list[tuple[str, Called]] = []
    for token, label in zip(explanation.answer_tokens, token_calls(explanation), strict=True):
        if runs and runs[-1][1] == label:
            runs[-1] = (runs[-1][0] + token.text, label)
        else:
            runs.append((token.text, label))
    return tuple(runs)


def gain_ends(gain_bits: Sequence[float]) -> tuple[float, float]:
    """Smallest and largest gain that has a number, zero among them, as the ends of a scale that is never empty."""
    finite = [value for value in gain_bits if np.isfinite(value)]
    return min([0.0, *finite]), max([*finite, 1e-9])


def drawn_gain(value: float, low: float, high: float) -> float:
    """A gain as long as the scale lets it be; nothing where there is no number."""
    return 0.0 if np.isnan(value) else min(max(value, low), high)


@dataclass(frozen=True, eq=False)
class FittedRows:
    """Rows as drawn, and which of the record's rows are in each."""

    unit: RowUnit
    rows: tuple[AnswerRow, ...]
    groups: tuple[Unit, ...]
    cut: int
    """Rows left out at the end."""
    merged: bool
    """Whether tokens were put together to words here."""


def fit_rows(explanation: Explanation, record: Sequence[Unit], max_rows: int | None = None) -> FittedRows:
    """The record's rows of answer tokens; tokens are merged to words where they do not fit; then the last are cut.

    Raises InputError for an answer without tokens.
    """
    require_rows(record)
    most = max_rows or len(record)
    unit, members = row_unit(explanation, record), tuple(record)
    groups: tuple[Unit, ...] = tuple((i,) for i in range(len(record)))
    merged = len(record) > most and all(len(row) == 1 for row in record)
    if merged:
        place = {row[0]: i for i, row in enumerate(record)}
        scored = [tuple(i for i in word if i in place) for word in words(explanation.answer_tokens)]
        members = tuple(word for word in scored if word)
        unit, groups = "word", tuple(tuple(place[i] for i in word) for word in members)
    cut = max(0, len(members) - most)
    return FittedRows(unit, _rows(explanation, members[:most]), groups[:most], cut, merged)


def require_rows(rows: Sized) -> None:
    """InputError for an answer without tokens."""
    if not rows:
        raise InputError("the answer has no tokens, so there is nothing to draw; explain a non-empty answer")


def row_unit(explanation: Explanation, record: Sequence[Unit]) -> RowUnit:
    """Unit of the record's rows."""
    names: tuple[UnitName, ...] = ("token", "word", "answer", "sentence")
    return next((name for name in names if tuple(record) == units(explanation.answer_tokens, name)), "span")


def reduced(scores: np.ndarray, groups: Sequence[Unit], kind: ScoreKind) -> np.ndarray:
    """[any, column] → [group, column]."""
    blocks = [scores[list(group)] for group in groups]
    if kind.reduction == "sum":
        return np.stack([block.sum(0) for block in blocks])
    return np.stack([block.mean(0) if kind.reduction == "mean" else block.max(0) for block in blocks])
