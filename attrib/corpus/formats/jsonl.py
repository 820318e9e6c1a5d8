"""JSONL: one object a line.

Not covered: objects over several lines and JSON lists, which are refused as what they are.
"""

from __future__ import annotations

import json
from typing import Any

from attrib.corpus.formats.rows import Table, TableRow
from attrib.corpus.shapes.cells import Columns
from attrib.corpus.spans import blank, decode
from attrib.errors import InputError


class TwiceError(ValueError):
    """A key that an object has twice: one of its values would be lost."""


def parse_json(text: str) -> Any:
    """A JSON value. Raises ValueError for other text, TwiceError among them, and RecursionError."""
    return json.loads(text, object_pairs_hook=_unique)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        name = next(key for i, (key, _) in enumerate(pairs) if key in dict(pairs[:i]))
        raise TwiceError(f"two values of {name!r}")
    return found


def jsonl_table(data: bytes, columns: Columns) -> Table:
    """A row is numbered by its line; blank lines are skipped. Raises InputError for JSON that is not one row a line."""
    text = decode(data)
    table = lines_table(text)
    if table.faults and (known := _as_what_it_is(text)):
        raise InputError(known)
    return table


def lines_table(text: str) -> Table:
    """The rows of the lines, and what is wrong with each that is none."""
    names: dict[str, None] = {}
    rows: list[TableRow] = []
    faults: list[tuple[int, str]] = []
    for number, line in enumerate(text.split("\n"), 1):
        if blank(line):
            continue
        try:
            row = parse_json(line)
        except json.JSONDecodeError as error:
            faults.append((number, f"not JSON: {error.msg}, column {error.colno}"))
        except TwiceError as error:
            faults.append((number, str(error)))
        except (ValueError, RecursionError):
            faults.append((number, "a number too long or lists too deep"))
        else:
            if isinstance(row, dict):
                names |= dict.fromkeys(row)
                rows.append(TableRow(number, number, row))
            else:
                faults.append((number, "not a JSON object"))
    return Table(tuple(names), rows, faults)


def _as_what_it_is(text: str) -> str:
    """JSON of another form, in words with the mend; empty for text that is none."""
    lines = [line.rstrip() for line in text.split("\n") if not blank(line)]
    split = len(lines) > 1 and all(line.endswith(",") for line in lines[:-1]) and not lines[0].startswith("[")
    if split and not lines_table("\n".join(line.removesuffix(",") for line in lines)).faults:
        return "its lines end with commas; remove them, since JSONL has one object a line and nothing between"
    values = _values(text)
    if len(values) == 1 and isinstance(values[0], list) and any(isinstance(row, dict) for row in values[0]):
        return "one JSON list, not one object a line; rename the file to .json"
    if 0 < len(values) < len(lines) and all(isinstance(value, dict) for value in values):
        return "its objects stand on several lines each; write every object on one line (jq -c . FILE)"
    return ""


def _values(text: str) -> list[object]:
    """The JSON values that follow each other in the text; none where anything else is between."""
    decoder = json.JSONDecoder()
    values, at = [], 0
    try:
        while at < len(text):
            if text[at].isspace():
                at += 1
                continue
            value, at = decoder.raw_decode(text, at)
            values.append(value)
    except (ValueError, RecursionError):
        return []
    return values
