"""JSONL: one object a line."""

from __future__ import annotations

import json
from collections.abc import Mapping

from attrib.corpus.formats.rows import Table, row_spans
from attrib.corpus.spans import ReadOptions, Span, blank, decode


def read_jsonl(data: bytes, options: ReadOptions) -> list[Span]:
    """One span for each row with text."""
    return row_spans(_table(decode(data)), options)


def _table(text: str) -> Table:
    """A row is numbered by its line; blank lines are skipped."""
    columns: dict[str, None] = {}
    rows: list[tuple[int, Mapping[str, object]]] = []
    faults = []
    for number, line in enumerate(text.split("\n"), 1):
        if blank(line):
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            faults.append(f"line {number} (not JSON: {error.msg}, column {error.colno})")
        except (ValueError, RecursionError):
            faults.append(f"line {number} (a number too long or lists too deep)")
        else:
            if isinstance(row, dict):
                columns |= dict.fromkeys(row)
                rows.append((number, row))
            else:
                faults.append(f"line {number} (not a JSON object)")
    return Table(tuple(columns), rows, faults)
