"""A text in one column; every token is trained."""

from __future__ import annotations

from attrib.corpus.shapes.cells import TEXTS, Cells
from attrib.records import TEXT, Turn


def read_plain(cells: Cells) -> list[Turn]:
    """One turn with the first text of the row."""
    name = cells.first(TEXTS)
    assert name is not None
    return [Turn(TEXT, cells.text(name), trained=True)]
