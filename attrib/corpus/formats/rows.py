"""Rows: the text and the title of each row of a table, whatever file it comes from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from attrib.corpus.reading import RowsRead, listed
from attrib.corpus.spans import Found, ReadOptions, Span, blank, fault, trim, unix
from attrib.errors import InputError

TEXT_COLUMNS = ("text", "content", "body", "document", "answer", "output", "response", "completion")
"""Where a row file's text is looked for, in this order, when no ``text_column`` is given."""
TITLE_COLUMN = "title"


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
    rows: Sequence[TableRow]
    faults: list[tuple[int, str]]
    """Line and reason."""


def row_spans(table: Table, options: ReadOptions) -> Found:
    """One span for each row with text. Raises InputError for missing columns and for bad rows, together."""
    text_column, title_column = options.text_column, options.title_column
    text_name = text_column or next((name for name in TEXT_COLUMNS if name in table.columns), TEXT_COLUMNS[0])
    title_name = title_column or TITLE_COLUMN
    spans, faults = [], [f"line {line} ({reason})" for line, reason in table.faults]
    for row, _, cells in table.rows:
        text, title = cells.get(text_name), cells.get(title_name)
        title = str(title) if isinstance(title, int | float) else title
        if problem := fault(text, text_name) or fault(title, title_name):
            faults.append(f"row {row} ({problem})")
        elif isinstance(text, str) and not blank(text):
            titles = (" ".join(title.split()),) if isinstance(title, str) and not blank(title) else ()
            spans.append(Span("", titles, trim(unix(text)), row, row, row))

    problems = _missing_columns(table.columns, text_column, title_column) if table.columns else []
    if faults:
        problems.append(f"bad rows: {listed(faults)}; mend or remove them")
    if problems:
        raise InputError("; ".join(problems))
    unused = tuple(name for name in table.columns if name not in (text_name, title_name))
    read = {f"text (`{text_name}`)": len(spans)}
    return Found(spans, RowsRead("", read, len(table.rows) - len(spans), unused))


def _missing_columns(columns: Sequence[str], text_column: str | None, title_column: str | None) -> list[str]:
    there = f"the columns are {listed(columns)}"
    problems = [
        f"no column {name!r}, {there}; name one of them as {option}"
        for option, name in (("text_column", text_column), ("title_column", title_column))
        if name and name not in columns
    ]
    if not text_column and not set(TEXT_COLUMNS) & set(columns):
        problems.append(f"no column for the text ({', '.join(TEXT_COLUMNS)}), {there}; name one of them as text_column")
    return problems
