"""A made record whose best section is a row of chat data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from attrib.records import Explanation, Section, Turn

TURNS = (
    Turn("system", "Answer in one line."),
    Turn("user", "How long is the warranty on the pump, and does it hold where the pump was sold second hand?"),
    Turn("assistant", "The warranty on the pump is thirty-six months.", trained=True),
    Turn("user", "From when?"),
    Turn("assistant", "From first use.", trained=True),
)


def make_row(turns: Sequence[Turn] = TURNS, *, row: int = 5, titles: tuple[str, ...] = ()) -> Section:
    """Row ``row`` of train.jsonl."""
    text = "\n\n".join(turn.content for turn in turns)
    return Section("c" * 12, "train.jsonl", titles, text, row, row, row, turns=tuple(turns))


def with_row(explanation: Explanation, row: Section | None = None, *, matches: str = "thirty-six") -> Explanation:
    """The record whose best section is ``row``; every answer token matches the first place of ``matches`` in it."""
    best = int(explanation.ranking[0])
    row = row or make_row()
    sections = list(explanation.sections)
    sections[best] = row
    start = row.full_text.index(matches)

    def placed(side: np.ndarray) -> np.ndarray:
        spans = side.copy()
        spans[:, best] = start, start + len(matches)
        return spans

    mappings = {
        name: replace(
            mapping,
            base=replace(mapping.base, spans=placed(mapping.base.spans)),
            tuned=replace(mapping.tuned, spans=placed(mapping.tuned.spans)),
        )
        for name, mapping in explanation.mappings.items()
    }
    return replace(explanation, sections=tuple(sections), mappings=mappings)
