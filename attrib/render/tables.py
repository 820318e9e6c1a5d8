"""Rows → JSON, CSV and Parquet as pandas reads them, and a report's files written whole.

The same rows give the same bytes. Numbers that are not finite are null; half a surrogate pair, which is no character,
becomes a question mark.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from attrib.files import write_atomically

Rows = Sequence[Mapping[str, Any]]
_FORMULA = ("=", "+", "-", "@")


def plain(value: Any) -> Any:
    """A value as JSON can hold it."""
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    return value


def json_bytes(content: Mapping[str, Any]) -> bytes:
    """One indented object, keys in order."""
    text = json.dumps(plain(content), indent=1, sort_keys=True, allow_nan=False, ensure_ascii=False)
    return f"{text}\n".encode()


def jsonl_bytes(rows: Rows) -> bytes:
    """One object a line."""
    return "".join(f"{json.dumps(plain(row), allow_nan=False, ensure_ascii=False)}\n" for row in rows).encode()


def csv_bytes(rows: Rows, columns: Sequence[str], *, end: str = "\n") -> bytes:
    """A header and the rows, each with ``end`` after it; what is missing or not finite is empty.

    Text that a spreadsheet would take for a formula (it starts with = + - or @) gets a ' before
    it. A lone carriage return is quoted whatever ``end`` is, since readers end a row there.
    """
    table = io.StringIO()
    # Between "\r\n" ends every kind of line end is quoted.
    writer = csv.DictWriter(table, columns, lineterminator="\r\n")
    lines = []
    for row in ({name: name for name in columns}, *rows):
        writer.writerow({name: _cell(row.get(name)) for name in columns})
        lines.append(table.getvalue().removesuffix("\r\n"))
        table.seek(0)
        table.truncate()
    return "".join(f"{line}{end}" for line in lines).encode()


def _cell(value: Any) -> Any:
    """A value as a cell holds it."""
    made = plain(value)
    return f"'{made}" if isinstance(made, str) and made.startswith(_FORMULA) else made


def parquet_bytes(rows: Rows, types: Mapping[str, str]) -> bytes:
    """The columns of ``types``: name → string, int64, float64, bool, or list<string> as pyarrow names them."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    made = {"list<string>": pa.list_(pa.string())}
    schema = pa.schema([(name, made.get(kind) or getattr(pa, kind)()) for name, kind in types.items()])
    clean = [{name: plain(row.get(name)) for name in types} for row in rows]
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(clean, schema), buffer)
    return buffer.getvalue()


def write_files(folder: Path, files: Mapping[str, bytes]) -> list[str]:
    """Every file whole or absent; their paths."""
    for name, content in files.items():
        write_atomically(folder / name, content)
    return [str(folder / name) for name in files]


def number(value: float | None, *, none: str = "none", signed: bool = False) -> str:
    """Two decimals and a true minus; ``none`` for what is missing or not finite."""
    if value is None or not math.isfinite(value):
        return none
    # + 0.0: no minus before a zero.
    rounded = round(value, 2) + 0.0
    return f"{rounded:{'+' if signed and rounded else ''}.2f}".replace("-", "−")


def interval(value: float, low: float, high: float, *, none: str = "none", signed: bool = False) -> str:
    """A number and its interval."""
    shown, *ends = (number(one, none=none, signed=signed) for one in (value, low, high))
    return f"{shown} [{', '.join(ends)}]"
