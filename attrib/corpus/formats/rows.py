"""Rows → spans: each row is recognised by its columns, read as what was trained, and counted.

Not covered: how the bytes of a file become a table (one file for each format).
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from attrib.corpus.reading import RowsRead, listed
from attrib.corpus.shapes import SHAPES, Shape, read_row, shape_of
from attrib.corpus.shapes.cells import Cells, Columns, RowError, filled
from attrib.corpus.spans import Found, ReadOptions, Span, trim, unix
from attrib.errors import InputError
from attrib.records import TEXT, Turn
from attrib.records.item import text_of


class TableRow(NamedTuple):
    """One row of a row file."""

    number: int
    """As sections give it: the line of a JSONL file, else counted from 1."""
    line: int
    """Where it starts in the file, from 1; the number again where a file has no lines."""
    cells: Mapping[str, object]


@dataclass(frozen=True, eq=False)
class Table:
    """A row file: its columns, its rows, and what is wrong with the rows that are left out."""

    columns: tuple[str, ...]
    rows: Iterable[TableRow]
    """May be read once only."""
    faults: list[tuple[int, str]] = field(default_factory=list)
    """Line and reason; complete once the rows are read."""
    undecoded: tuple[str, ...] = ()
    """Columns that no shape reads, so that the rows leave them out."""
    beside: tuple[str, ...] = ()
    """What the file holds beside its rows, such as the other keys of a JSON object."""


@dataclass(eq=False)
class Tally:
    """Counts of the rows of one file, as they are read."""

    columns: Columns
    read: Counter[str] = field(default_factory=Counter)
    """Rows by shape."""
    used: defaultdict[str, dict[str, None]] = field(default_factory=lambda: defaultdict(dict))
    """Columns by shape, in order of their first use."""
    without_text: int = 0
    words_in: dict[str, None] = field(default_factory=dict)
    """Columns of rows without text to learn that have words."""
    unused: dict[str, None] = field(default_factory=dict)
    """The same of the other rows, for columns that were not used."""
    found: set[str] = field(default_factory=set)
    """Names of ``columns`` that some row has a place for."""

    def note(self, cells: Cells, shape: Shape | None) -> None:
        """Count a row that was read as ``shape``; None: nothing of it was."""
        if shape is None:
            self.without_text += 1
            cells.used.clear()
            self.words_in |= dict.fromkeys(cells.unused())
        else:
            self.read[shape.name] += 1
            self.used[shape.name] |= dict.fromkeys(".".join(path) for path in cells.used)
            self.unused |= dict.fromkeys(cells.unused())

    def find(self, cells: Cells) -> None:
        """Note which of the named columns the row has a place for."""
        if len(self.found) < len(self.columns.named):
            self.found.update(name for name in self.columns.named if cells.path(name) is not None)

    def rows_read(self, table: Table) -> RowsRead:
        """The counts, once all rows are read; columns in the order of the file."""
        place = {name: i for i, name in enumerate(table.columns)}

        def in_order(names: Iterable[str]) -> list[str]:
            return sorted(names, key=lambda n: place.get(n, place.get(re.split(r"\.| \(", n)[0], len(place))))

        shapes = {
            f"{name} ({', '.join(f'`{column}`' for column in in_order(self.used[name]))})": n
            for name, n in self.read.items()
        }
        left = [*in_order({**self.unused, **dict.fromkeys(table.undecoded)}), *table.beside]
        unused = tuple(name for name in left if name not in self.columns.unused)
        aside = tuple(name for name in left if name not in unused)
        words_in = tuple(name for name in in_order(self.words_in) if name not in self.columns.unused)
        return RowsRead("", shapes, self.without_text, words_in, unused, aside)


def check_unique(names: Sequence[str]) -> None:
    """InputError where two columns have one name: the cells of one would be lost."""
    if twice := [name for name, n in Counter(names).items() if n > 1]:
        raise InputError(f"two columns are called {twice[0]!r}; rename one")


def wanted_columns(names: Sequence[str], columns: Columns) -> tuple[list[str], tuple[str, ...]]:
    """Columns that some shape reads, and those that need not be decoded: they may hold images or vectors.

    Raises InputError where two have one name.
    """
    check_unique(names)
    read = [name for name in names if name in columns.wanted]
    return read, tuple(name for name in names if name not in read)


def row_spans(table: Table, options: ReadOptions) -> Found:
    """One span for each row with something to learn.

    Raises InputError for columns that are not there and for rows that cannot be read, together.
    """
    tally = Tally(options.columns)
    spans: list[Span] = []
    faults: list[str] = []
    unknown: list[str] = []
    places = dict.fromkeys(table.undecoded)
    for row in table.rows:
        cells = Cells(row.cells, options.columns)
        tally.find(cells)
        shape = shape_of(cells, options.columns)
        if len(places) < 2 * len(table.columns):
            places |= dict.fromkeys(_places(row.cells))
        try:
            turns, tools = read_row(cells, shape) if shape is not None else ([], "")
            titles = _titles(cells, turns, options.columns)
        except RowError as fault:
            faults.append(f"row {row.number} ({fault})")
            continue
        is_learned = any(turn.trained and turn.content.strip() for turn in turns)
        if shape is None and not _could_be(row.cells):
            unknown.append(f"row {row.number} (columns {', '.join(row.cells)}: no known shape)")
        elif is_learned:
            spans.append(_span(row.number, turns, tools, titles))
        tally.note(cells, shape if is_learned else None)

    faults = [*(f"line {line} ({reason})" for line, reason in table.faults), *faults]
    problems = missing_columns(tally, places) if table.columns else []
    if unknown and not spans and not faults and not problems:
        problems.append(
            f"no columns for a text, a question with its answer, or messages; the columns are {listed(list(places))}; "
            "name them, such as --columns text=NAME or question=NAME,answer=NAME"
        )
    elif faults or unknown:
        problems.append(f"bad rows: {listed([*faults, *unknown])}; mend or remove them")
    if problems:
        raise InputError("; ".join(problems))
    return Found(spans, tally.rows_read(table))


def missing_columns(tally: Tally, places: Iterable[str]) -> list[str]:
    """What is wrong with the columns that the caller named, once all rows are read."""
    lost = [f"no column {column!r}" for name, column in tally.columns.named.items() if name not in tally.found]
    return [f"{', '.join(lost)}; the columns are {listed(list(places))}"] if lost else []


def _span(number: int, turns: list[Turn], tools: str, titles: tuple[str, ...]) -> Span:
    if _is_text(turns):
        return Span("", titles, trim(unix(turns[0].content)), number, number, number)
    text = text_of(turns)
    return Span("", titles, text, number, number, number, turns=tuple(turns), tools=tools)


def _is_text(turns: list[Turn]) -> bool:
    return len(turns) == 1 and turns[0].role == TEXT


def _titles(cells: Cells, turns: list[Turn], columns: Columns) -> tuple[str, ...]:
    """The title of a text; of a conversation only where the caller named a column for it."""
    if "title" not in cells or not (_is_text(turns) or "title" in columns.named):
        return ()
    title = cells.peek("title")
    if isinstance(title, int | float):
        cells.take("title")
        return (str(title),)
    return (" ".join(cells.text("title").split()),)


def _could_be(row: Mapping[str, object]) -> bool:
    """Whether a row would be of some shape if all its cells were filled."""
    if not any(map(filled, row.values())):
        return True
    return any(all(not row.keys().isdisjoint(group) for group in shape.needs) for shape in SHAPES)


def _places(row: Mapping[str, object]) -> Iterator[str]:
    """Columns and the paths of one level below."""
    for name, value in row.items():
        yield from [f"{name}.{key}" for key in value] if isinstance(value, Mapping) and value else [name]
