"""Arrow: the columns that some shape reads, one batch at a time; files, streams, and streams one after the other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from attrib.corpus.formats.rows import Table, TableRow, wanted_columns
from attrib.corpus.shapes.cells import Columns
from attrib.errors import InputError


def arrow_table(data: bytes, columns: Columns) -> Table:
    """Only the columns that are wanted are decoded."""
    batches = _batches(data)
    first = next(batches, None)
    names = tuple(first.schema.names) if first is not None else ()
    read, undecoded = wanted_columns(names, columns)
    return Table(names, _rows(first, batches, read), undecoded=undecoded)


def _rows(first: Any, others: Iterator[Any], names: list[str]) -> Iterator[TableRow]:
    number = 0
    batch = first
    while batch is not None:
        for cells in batch.select(names).to_pylist():
            number += 1
            yield TableRow(number, number, cells)
        batch = next(others, None)


def _batches(data: bytes) -> Iterator[Any]:
    from pyarrow import ArrowException, BufferReader, ipc

    source = BufferReader(data)
    try:
        if data.startswith(b"ARROW1"):
            file = ipc.open_file(source)
            for i in range(file.num_record_batches):
                yield file.get_batch(i)
            return
        # A data set's files one after the other.
        while source.tell() < source.size():
            yield from ipc.open_stream(source)
    except (ArrowException, OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"not an Arrow file that can be read ({reason}); write it again") from None
