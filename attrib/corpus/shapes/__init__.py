"""Shapes of row data, one file each: the filled columns of a row say which turns it has, and which were trained.

Every row is recognised by itself, so that the rows of one file may differ. In: cells → turns. Not in: files, ids.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set
from typing import NamedTuple

from attrib.corpus.shapes.asked import read_asked
from attrib.corpus.shapes.cells import ANSWERED, ASKED, CHATS, TEXTS, Cells, Columns, RowError
from attrib.corpus.shapes.completions import read_completion
from attrib.corpus.shapes.messages import read_chat, read_tools
from attrib.corpus.shapes.plain import read_plain
from attrib.corpus.shapes.preferences import read_preference
from attrib.records import Turn


class Shape(NamedTuple):
    """One way to write rows."""

    name: str
    """As reports call it."""
    needs: tuple[tuple[str, ...], ...]
    """Of each group one column must be filled."""
    read: Callable[[Cells], list[Turn]]
    """A row's cells → its turns. Raises RowError for cells that are not of this shape."""


PREFERENCE = Shape("chosen side of preferences", (("chosen",),), read_preference)
CHAT = Shape("chat", (CHATS,), read_chat)
COMPLETED = Shape("prompt and completion", (("prompt",), ("completion",)), read_completion)
TEXT_ROW = Shape("text", (("text",),), read_plain)
ASKED_ROW = Shape("question and answer", (ASKED, ANSWERED), read_asked)
OTHER_TEXT = Shape("text", (TEXTS,), read_plain)
ONLY_ASKED = Shape("question", (ASKED,), read_asked)

SHAPES: tuple[Shape, ...] = (PREFERENCE, CHAT, COMPLETED, TEXT_ROW, ASKED_ROW, OTHER_TEXT)
"""Of documents; the first that fits is taken, those with a column that the caller named before all others."""
QUESTIONS: tuple[Shape, ...] = (PREFERENCE, CHAT, COMPLETED, ASKED_ROW, ONLY_ASKED)
"""Of questions, whose answer may be absent."""


def read_row(cells: Cells, shape: Shape) -> tuple[list[Turn], str]:
    """Turns of a row of this shape, and its tools as JSON. Raises RowError for cells that are not of the shape."""
    try:
        turns = shape.read(cells)
        return turns, read_tools(cells) if any(turn.role == "assistant" for turn in turns) else ""
    except RecursionError:
        raise RowError("lists too deep") from None


def shape_of(cells: Cells, columns: Columns, shapes: Sequence[Shape] = SHAPES) -> Shape | None:
    """The shape of a row; None where none fits. A column of messages that is plain text counts where nothing else
    does."""
    plain = {name for name in CHATS if name in cells and not cells.is_nested(name)}
    fitting = _fitting(cells.names - plain, shapes) or _fitting(cells.names, shapes)
    named = [shape for shape in fitting if any(not columns.named.keys().isdisjoint(group) for group in shape.needs)]
    return next(iter(named or fitting), None)


def _fitting(names: Set[str], shapes: Sequence[Shape]) -> list[Shape]:
    return [shape for shape in shapes if all(not names.isdisjoint(group) for group in shape.needs)]
