"""Rows → JSON lines, CSV and Parquet as pandas reads them, a report's files written whole, and numbers in words.

The same rows give the same bytes. Numbers that are not finite are null; half a surrogate pair, which is no character,
becomes a question mark.
Not covered: whole reports as JSON (``records.codec``).
"""

from __future__ import annotations

import csv
import io
import json
import math
import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from attrib.files import write_atomically
from attrib.records import codec

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


@dataclass(frozen=True)
class FlatTable:
    """Dataclasses as rows without anything nested."""

    rows: Rows
    types: Mapping[str, str]
    """Columns in order, each with its type as ``parquet_bytes`` names it."""

    def csv(self) -> bytes:
        return csv_bytes(self.rows, list(self.types))

    def parquet(self) -> bytes:
        return parquet_bytes(self.rows, self.types)


def flat(kind: type, rows: Sequence[Any], *more: str) -> FlatTable:
    """The fields of some rows of a dataclass in their order, then the properties named in ``more``.

    Each key of a mapping becomes a column of its own (``scores_judge``); what no cell holds is left out.
    """
    properties = {name: get_type_hints(getattr(kind, name).fget)["return"] for name in more}
    hints = {**codec.field_types(kind), **properties}
    cells: list[dict[str, Any]] = [{} for _ in rows]
    kinds: dict[str, str] = {}
    for name, hint in hints.items():
        values = [getattr(row, name) for row in rows]
        spread = _inside_mapping(hint)
        if spread is None:
            columns = {name: (hint, values)}
        else:
            keys = dict.fromkeys(key for value in values for key in value or ())
            columns = {f"{name}_{key}": (spread, [(value or {}).get(key) for value in values]) for key in keys}
        for column, (inner, own) in columns.items():
            column_type = _column_type(inner)
            if column_type is not None:
                kinds[column] = column_type
                for row, value in zip(cells, own, strict=True):
                    row[column] = value
    return FlatTable(cells, kinds)


def _alternatives(hint: Any) -> tuple[Any, ...]:
    """The types of a union but None, or the type itself."""
    union = get_origin(hint) in (Union, types.UnionType)
    return tuple(one for one in get_args(hint) if one is not type(None)) if union else (hint,)


def _inside_mapping(hint: Any) -> Any:
    """The mapping itself; None for anything else."""
    origin = get_origin(_alternatives(hint)[0])
    is_mapping = isinstance(origin, type) and issubclass(origin, Mapping)
    return get_args(_alternatives(hint)[0])[1] if is_mapping else None


_TYPES = {str: "string", int: "int64", float: "float64", bool: "bool_", tuple[str, ...]: "list<string>"}


def _column_type(hint: Any) -> str | None:
    first = _alternatives(hint)[0]
    return "string" if get_origin(first) is Literal else _TYPES.get(first)


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
    """A number and its interval; the number alone where there is none."""
    shown, *ends = (number(one, none=none, signed=signed) for one in (value, low, high))
    return f"{shown} [{', '.join(ends)}]" if math.isfinite(low) and math.isfinite(high) else shown
