"""Sections cut into the passages that are embedded."""

from __future__ import annotations

from itertools import pairwise

from attrib.text.words import WORD

PASSAGE = 120
"""Words of a section that are embedded together: the embedder reads no more than 256 word pieces."""


def passages(text: str) -> list[tuple[int, int]]:
    """[start, end) of consecutive runs of at most PASSAGE words; the whole text where it is short."""
    starts = [match.start() for match in WORD.finditer(text)][::PASSAGE]
    if len(starts) <= 1:
        return [(0, len(text))]
    return list(pairwise([0, *starts[1:], len(text)]))
