"""Parquet: the columns that hold text and title."""

from __future__ import annotations

from attrib.corpus.formats.rows import TEXT_COLUMNS, TITLE_COLUMN, Table, TableRow, row_spans
from attrib.corpus.spans import Found, ReadOptions
from attrib.errors import InputError


def read_parquet(data: bytes, options: ReadOptions) -> Found:
    """One span for each row with text."""
    wanted = {options.text_column, options.title_column, TITLE_COLUMN, *TEXT_COLUMNS}
    return row_spans(_table(data, wanted), options)


def _table(data: bytes, wanted: set[str | None]) -> Table:
    """Only the ``wanted`` columns are decoded: others may hold images or vectors."""
    from pyarrow import ArrowException, BufferReader, parquet

    try:
        file = parquet.ParquetFile(BufferReader(data))
        columns = tuple(file.schema_arrow.names)
        cells = file.read(columns=[name for name in columns if name in wanted]).to_pylist()
    except (ArrowException, OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"not a Parquet file that can be read ({reason}); write it again") from None
    return Table(columns, [TableRow(i, i, row) for i, row in enumerate(cells, 1)], [])
