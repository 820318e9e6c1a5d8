"""JSONL: one object a line."""

from __future__ import annotations

import json

from attrib.corpus.formats.rows import Table, TableRow, row_spans
from attrib.corpus.spans import Found, ReadOptions, blank, decode


def read_jsonl(data: bytes, options: ReadOptions) -> Found:
    """One span for each row with text."""
    return row_spans(_table(decode(data)), options)


def _table(text: str) -> Table:
    """A row is numbered by its line; blank lines are skipped."""
    columns: dict[str, None] = {}
    rows: list[TableRow] = []
    faults: list[tuple[int, str]] = []
    for number, line in enumerate(text.split("\n"), 1):
        if blank(line):
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            faults.append((number, f"not JSON: {error.msg}, column {error.colno}"))
        except (ValueError, RecursionError):
            faults.append((number, "a number too long or lists too deep"))
        else:
            if isinstance(row, dict):
                columns |= dict.fromkeys(row)
                rows.append(TableRow(number, number, row))
            else:
                faults.append((number, "not a JSON object"))
    return Table(tuple(columns), rows, faults)
