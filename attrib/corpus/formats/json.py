"""JSON: a list of objects, or one object with such a list inside; one object a line, as some name JSONL.

Not covered: a list for each column.
"""

from __future__ import annotations

import json

from attrib.corpus.formats.jsonl import TwiceError, lines_table, parse_json
from attrib.corpus.formats.rows import Table, TableRow
from attrib.corpus.reading import listed
from attrib.corpus.shapes.cells import Columns
from attrib.corpus.spans import decode
from attrib.errors import InputError


class NoRowsError(InputError):
    """JSON without rows, such as settings: no data, and no fault of a folder that holds it."""


def json_table(data: bytes, columns: Columns) -> Table:
    """Rows are counted from 1, those of one object a line by their lines.

    Raises NoRowsError for JSON without a list of objects, InputError for text that is no JSON.
    """
    text = decode(data)
    try:
        content = parse_json(text)
    except json.JSONDecodeError as error:
        by_line = lines_table(text)
        if by_line.rows and not by_line.faults:
            return by_line
        raise InputError(f"not JSON: {error.msg}, line {error.lineno}, column {error.colno}; mend it") from None
    except TwiceError as error:
        raise InputError(f"{error} in one object; rename one") from None
    except (ValueError, RecursionError):
        raise InputError("not JSON that can be read: a number too long or lists too deep; mend it") from None
    beside: tuple[str, ...] = ()
    if isinstance(content, dict):
        lists = [key for key, value in content.items() if isinstance(value, list) and _has_objects(value)]
        if len(lists) > 1:
            raise InputError(f"JSON with several lists of rows inside ({listed(lists)}); keep one")
        if not lists:
            raise NoRowsError("JSON without rows; give a list of objects, or JSONL")
        beside = tuple(f"{key} (beside {lists[0]})" for key in content if key != lists[0])
        content = content[lists[0]]
    if not isinstance(content, list) or not _has_objects(content):
        raise NoRowsError("JSON without rows; give a list of objects, or JSONL")
    names: dict[str, None] = {}
    rows, faults = [], []
    for number, row in enumerate(content, 1):
        if isinstance(row, dict):
            names |= dict.fromkeys(row)
            rows.append(TableRow(number, number, row))
        else:
            faults.append((number, "not a JSON object"))
    return Table(tuple(names), rows, faults, beside=beside)


def _has_objects(value: list[object]) -> bool:
    return any(isinstance(one, dict) for one in value)
