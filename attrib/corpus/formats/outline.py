"""Headings and the text below them → spans with title paths.

A heading without text of its own stands in the titles of the text below its sub-headings. Where there is none, it
becomes a span itself: in a list of questions or facts the heading may be all that there is.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from attrib.corpus.spans import Span, blank

BELOW = 99
"""Level of a part without a heading of its own: it stands below the headings before it."""


@dataclass(frozen=True, eq=False)
class HeadedPart:
    """A heading and the text up to the next one."""

    level: int
    """1 is the highest; 0 for text before any heading."""
    title: str
    """The heading's words; empty without a heading."""
    first_line: int
    """1-based lines of the heading itself."""
    last_line: int
    body: Span | None
    """The text, without titles; None where there is none."""
    row: int | None = None
    """Row of the heading, for formats whose places are rows."""


def text_between(lines: Sequence[str], start: int, end: int, left_out: Collection[int] = ()) -> Span | None:
    """The lines from ``start`` to before ``end``, numbered from 0, less blank ones and ``left_out`` at both ends."""
    filled = [i for i in range(start, end) if not blank(lines[i]) and i not in left_out]
    if not filled:
        return None
    first, last = filled[0], filled[-1] + 1
    return Span("", (), "\n".join(lines[first:last]).rstrip(), first + 1, last)


def outline(parts: Sequence[HeadedPart]) -> list[Span]:
    """Spans in order, so that the words of every heading stand in the titles or the text of one."""
    paths: list[list[int]] = []
    for i, part in enumerate(parts):
        above = [j for j in (paths[-1] if paths else []) if parts[j].level < part.level]
        paths.append([*above, i])

    found: list[Span] = []
    said: set[int] = set()
    # From the end: whether a heading is in the titles of a span is known once all that follows has been seen.
    for i in reversed(range(len(parts))):
        part = parts[i]
        titles = tuple(parts[j].title for j in paths[i] if parts[j].title)
        if part.body is not None:
            found.append(replace(part.body, titles=titles))
        elif part.title and i not in said:
            alone = Span("", titles[:-1], part.title, part.first_line, part.last_line, part.row, heading=True)
            found.append(alone)
        else:
            continue
        said.update(paths[i])
    return found[::-1]
