"""The best sections as a table shows them, with every mapper's score, the best control text and the matching text.

Not covered: scores token by token (``heat``).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from attrib.records import Explanation, Mapping, Section, Turn
from attrib.render.view.headline import section_order
from attrib.render.view.kinds import SIGNIFICANT, mapping_of
from attrib.render.view.labels import visible


@dataclass(frozen=True)
class Score:
    """One section under one mapper: whole answer, base and tuned, beside the best control section."""

    base: float
    tuned: float
    control_base: float
    control_tuned: float
    q: float
    """Smallest q-value over the answer's tokens, tuned; NaN where there is none."""


@dataclass(frozen=True, eq=False)
class SectionRow:
    """One section as a table shows it."""

    rank: int
    """1 = best, the one that the headline names."""
    index: int
    section: Section
    scores: dict[str, Score]
    """By mapper name."""
    learned: float
    matches: tuple[tuple[int, int], ...]
    """Matching [start, end) spans of the section's ``full_text``, sorted, not overlapping."""
    explains: tuple[tuple[int, int], ...]
    """[start, end) spans of the answer that it backs with q < SIGNIFICANT, sorted, not overlapping."""


def section_rows(explanation: Explanation, *, top: int = 5, mapper: str | None = None) -> tuple[SectionRow, ...]:
    """The ``top`` best sections; matches and explained spans are those of ``mapper`` (default: the record's first)."""
    name = mapper or next(iter(explanation.mappings), None)
    chosen = None if name is None else mapping_of(explanation, name)
    return tuple(
        _section_row(explanation, rank, int(index), chosen)
        for rank, index in enumerate(section_order(explanation)[:top], start=1)
    )


def _section_row(explanation: Explanation, rank: int, index: int, chosen: Mapping | None) -> SectionRow:
    matches: tuple[tuple[int, int], ...] = ()
    explains: tuple[tuple[int, int], ...] = ()
    if chosen is not None and explanation.answer_tokens:
        backed = np.flatnonzero(chosen.tuned.q[:, index] < SIGNIFICANT)
        scores = chosen.tuned.tokens[:, index]
        above = np.flatnonzero(scores > chosen.tuned.control.max(1, initial=-np.inf))
        # Short answers are rarely significant: then what beats every control text is marked, or the best token.
        marked = next(rows for rows in (backed, above, np.array([scores.argmax()])) if len(rows))
        spans = chosen.tuned.spans[marked, index]
        matches = merge((int(start), int(end)) for start, end in spans)
        explains = merge((explanation.answer_tokens[i].start, explanation.answer_tokens[i].end) for i in backed)
    return SectionRow(
        rank=rank,
        index=index,
        section=explanation.sections[index],
        scores={
            name: Score(
                base=float(mapping.base.whole[index]),
                tuned=float(mapping.tuned.whole[index]),
                control_base=float(mapping.base.control_whole.max(initial=-np.inf)),
                control_tuned=float(mapping.tuned.control_whole.max(initial=-np.inf)),
                q=_smallest(mapping.tuned.q[:, index]),
            )
            for name, mapping in explanation.mappings.items()
        },
        learned=float(explanation.verdict.learned[index]),
        matches=matches,
        explains=explains,
    )


def _smallest(q: np.ndarray) -> float:
    known = q[~np.isnan(q)]
    return float(known.min()) if len(known) else float("nan")


def merge(spans: Iterator[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Non-empty [start, end) spans, sorted, those that touch or overlap made one."""
    merged: list[tuple[int, int]] = []
    for start, end in sorted(span for span in spans if span[0] < span[1]):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((start, end))
    return tuple(merged)


def snippet(row: SectionRow, length: int = 160) -> tuple[tuple[str, bool], ...]:
    """About ``length`` characters of the section around its first match, as (text, is a match) pieces."""
    start, stop = _window(row, length)
    return _pieces(row, start, stop, 0, len(row.section.full_text))


def spoken(row: SectionRow, length: int = 160) -> Iterator[tuple[Turn, tuple[tuple[str, bool], ...]]]:
    """The same of a conversation: each turn that has some of these characters, with its pieces."""
    start, stop = _window(row, length)
    for turn, begin, end in row.section.turn_spans:
        if max(start, begin) < min(stop, end):
            yield turn, _pieces(row, max(start, begin), min(stop, end), begin, end)


def _window(row: SectionRow, length: int) -> tuple[int, int]:
    """First and last + 1 character that a snippet shows."""
    size = len(row.section.full_text)
    first = row.matches[0][0] if row.matches else 0
    start = max(0, min(first - length // 4, size - length))
    return start, min(size, start + length)


def _pieces(row: SectionRow, start: int, stop: int, begin: int, end: int) -> tuple[tuple[str, bool], ...]:
    """Characters start … stop, with an ellipsis where they are not all of begin … end."""
    text = row.section.full_text
    pieces: list[tuple[str, bool]] = [("…", False)] if start > begin else []
    at = start
    for left, right in row.matches:
        left, right = max(left, start), min(right, stop)
        if left < right:
            pieces += [(text[at:left], False), (text[left:right], True)]
            at = right
    pieces += [(text[at:stop], False), ("…" if stop < end else "", False)]
    return tuple((visible(piece.replace("\n", " ")), match) for piece, match in pieces if piece)
