"""The cells of one row by the names that shapes know them by, and which of them were used.

A name is that of a column, unless ``Columns`` gives it another: a column, or a path into nested ones
(``data.text``, ``turns.0.value``). Not covered: names with a comma.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from attrib.corpus.faults import fault
from attrib.errors import InputError

ASKED = ("question", "instruction", "prompt", "query", "input")
ANSWERED = ("answer", "response", "output", "completion")
CHATS = ("messages", "conversations", "conversation")
TEXTS = ("text", "content", "body", "document", *ANSWERED)
SYSTEM = ("system", "system_prompt")
TOOLS = ("tools", "functions")
OF_ROWS = (*ASKED, *ANSWERED, *CHATS, *TEXTS[:4], *SYSTEM, *TOOLS, "title", "context", "history", "chosen", "label")
OF_QUESTIONS = (
    "id", "kind", "section", "split", "accept", "answer_before", "accept_before", "fact", "subset", "knowledge",
    "template",
)  # fmt: skip
UNUSED = "unused"
"""Stands for no cell: the caller knows that the column is not used, so that it is no loss."""

Path = tuple[str, ...]


class RowError(ValueError):
    """Why a row cannot be used, in words that follow its number."""


@dataclass(frozen=True)
class Columns:
    """Which column each name means, as far as it is not the column of that name."""

    named: Mapping[str, str] = field(default_factory=dict)
    unused: frozenset[str] = frozenset()
    """Columns that the caller knows to be unused."""

    @classmethod
    def of(cls, given: Mapping[str, str] | Sequence[str]) -> Columns:
        """From ``{"question": "ask"}`` or ``["question=ask"]``. Raises InputError for a name that no shape knows."""
        pairs = list(given.items()) if isinstance(given, Mapping) else [_pair(text) for text in given]
        named: dict[str, str] = {}
        for name, column in pairs:
            if name not in (*OF_ROWS, *OF_QUESTIONS, UNUSED):
                known = ", ".join(dict.fromkeys((*OF_ROWS, *OF_QUESTIONS, UNUSED)))
                raise InputError(f"columns: nothing is called {name!r}; use NAME=COLUMN with a name of {known}")
            if name in named:
                raise InputError(f"columns: {name} is given twice; leave one out")
            if name != UNUSED:
                named[name] = column
        return cls(named, frozenset(column for name, column in pairs if name == UNUSED))

    @property
    def pairs(self) -> list[str]:
        """As ``of`` takes them."""
        return [
            f"{name}={column}" for name, column in (*self.named.items(), *((UNUSED, c) for c in sorted(self.unused)))
        ]

    @property
    def wanted(self) -> frozenset[str]:
        """Columns that a shape may read; of a nested one the outermost name."""
        paths = [part for path in self.named.values() for part in (path, path.partition(".")[0])]
        return frozenset((*OF_ROWS, *OF_QUESTIONS, *paths))


def _pair(text: str) -> tuple[str, str]:
    name, equals, column = (part.strip() for part in text.partition("="))
    if not equals or not column:
        raise InputError(f"columns: {text!r} names no column; write NAME=COLUMN, such as question=prompt_text")
    return name, column


class Cells:
    """One row, read by name; ``used`` are the paths that were read."""

    def __init__(self, row: Mapping[str, object], columns: Columns) -> None:
        self._row, self._columns = row, columns
        self._claimed = columns.named.values()
        self.used: dict[Path, None] = {}
        self.names = {name for name in row if name not in self._claimed and filled(row[name])}
        self.names |= {name for name in columns.named if filled(self.peek(name))}
        """Names whose cell is not empty."""

    def __contains__(self, name: str) -> bool:
        return name in self.names

    def peek(self, name: str) -> object:
        """The cell of this name, which does not count as used by that; None where it is empty."""
        path = self.path(name)
        return _at(self._row, path) if path is not None else None

    def take(self, name: str) -> object:
        """The cell of this name; it counts as used."""
        if (path := self.path(name)) is not None and name in self.names:
            self.used[path] = None
        return self.peek(name)

    def text(self, name: str) -> str:
        """A cell that must be text; empty where there is none. Raises RowError for another type, and for characters
        that are none."""
        value = self.take(name)
        if problem := fault(value, self.label(name)):
            raise RowError(problem)
        return str(value) if value is not None else ""

    def first(self, names: Sequence[str]) -> str | None:
        """The first of the names whose cell is not empty."""
        return next((name for name in names if name in self.names), None)

    def is_nested(self, name: str) -> bool:
        """Whether a cell is a list or an object, or may be one as JSON text."""
        value = self.peek(name) if name in self.names else None
        return value.lstrip().startswith(("[", "{")) if isinstance(value, str) else value is not None

    def label(self, name: str) -> str:
        """What the column or path of a name is called in the file."""
        return self._columns.named.get(name, name)

    def path(self, name: str) -> Path | None:
        """Where the cell of a name is; None where the row has no such place."""
        if name not in self._columns.named:
            return (name,) if name in self._row and name not in self._claimed else None
        column = self._columns.named[name]
        if column in self._row:
            return (column,)
        path = tuple(column.split("."))
        return path if path[0] in self._row and _has(self._row, path) else None

    def unused(self) -> Iterator[str]:
        """Columns, or parts of nested ones, that are not empty and were not used."""
        for name, value in self._row.items():
            if filled(value):
                yield from _rest((name,), value, self.used)


def filled(value: object) -> bool:
    """Whether a cell holds anything: no blank text, empty list or object."""
    if isinstance(value, str):
        return bool(value) and not value.isspace()
    return value is not None and value != [] and value != {}


def _has(row: object, path: Path) -> bool:
    return not path or any(key == path[0] and _has(value, path[1:]) for key, value in _children(row))


def _at(row: object, path: Path) -> object:
    for part in path:
        row = next(value for key, value in _children(row) if key == part)
    return row


def _children(value: object) -> Iterator[tuple[str, object]]:
    if isinstance(value, Mapping):
        yield from value.items()
    elif isinstance(value, list):
        yield from ((str(i), one) for i, one in enumerate(value))


def _rest(path: Path, value: object, used: Collection[Path]) -> Iterator[str]:
    """What of a cell no used path covers."""
    if path in used or not filled(value):
        return
    below = [other for other in used if other[: len(path)] == path]
    if not below:
        yield ".".join(path)
    elif isinstance(value, list):
        # One name for all elements: a list of thousands has one column.
        if any(True for key, one in _children(value) for _ in _rest((*path, key), one, used)):
            yield f"{'.'.join(path)} (other parts)"
    else:
        for key, one in _children(value):
            yield from _rest((*path, key), one, used)
