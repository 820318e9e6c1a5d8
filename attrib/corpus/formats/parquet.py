"""Parquet: the columns that some shape reads, one row group at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from attrib.corpus.formats.rows import Table, TableRow, wanted_columns
from attrib.corpus.shapes.cells import Columns
from attrib.errors import InputError


def parquet_table(data: bytes, columns: Columns) -> Table:
    """Only the columns that are wanted are decoded."""
    from pyarrow import ArrowException, BufferReader, parquet

    try:
        file = parquet.ParquetFile(BufferReader(data))
    except (ArrowException, OSError, ValueError) as error:
        raise _unreadable(error) from None
    names = tuple(file.schema_arrow.names)
    read, undecoded = wanted_columns(names, columns)
    return Table(names, _rows(file, read), undecoded=undecoded)


def _rows(file: Any, names: list[str]) -> Iterator[TableRow]:
    from pyarrow import ArrowException

    read = 0
    for group in range(file.num_row_groups):
        try:
            rows = file.read_row_group(group, columns=names).to_pylist()
        except (ArrowException, OSError, ValueError) as error:
            raise _unreadable(error) from None
        for number, row in enumerate(rows, read + 1):
            yield TableRow(number, number, row)
        read += len(rows)


def _unreadable(error: Exception) -> InputError:
    reason = str(error).splitlines()[0]
    return InputError(f"not a Parquet file that can be read ({reason}); write it again")
