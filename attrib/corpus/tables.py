"""A row file by its name → its table."""

from __future__ import annotations

from pathlib import Path

from attrib.corpus.files import read_bytes, suffix_of
from attrib.corpus.formats import FORMATS
from attrib.corpus.formats.rows import Table
from attrib.corpus.shapes.cells import Columns
from attrib.errors import InputError
from attrib.options.loading import ReadingOptions


def read_table(file: Path, columns: Columns, max_bytes: int = ReadingOptions.max_bytes) -> Table:
    """The rows of a file. Raises InputError, without the file's name, for one that is no row file or cannot be read."""
    kind = FORMATS.get(suffix_of(file))
    if kind is None or kind.table is None:
        known = " ".join(suffix for suffix, one in FORMATS.items() if one.table is not None)
        raise InputError(f"rows are read from {known}, each packed as .gz too; give such a file")
    return kind.table(read_bytes(file, max_bytes), columns)
