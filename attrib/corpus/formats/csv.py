"""CSV, comma-separated, with a header.

Not covered: other delimiters.
"""

from __future__ import annotations

import csv
import io

from attrib.corpus.formats.rows import Table, TableRow, row_spans
from attrib.corpus.spans import Found, ReadOptions, decode
from attrib.files import csv_cells


def read_csv(data: bytes, options: ReadOptions) -> Found:
    """One span for each row with text."""
    return row_spans(_table(decode(data)), options)


def _table(text: str) -> Table:
    """A row is numbered from 1 below the header; blank lines are skipped."""
    rows: list[TableRow] = []
    faults: list[tuple[int, str]] = []
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    columns: tuple[str, ...] = ()
    line = 1
    try:
        with csv_cells(text):
            for cells in reader:
                if cells and not columns:
                    columns = tuple(cell.strip() for cell in cells)
                elif cells:
                    number = len(rows) + len(faults) + 1
                    if len(cells) == len(columns):
                        rows.append(TableRow(number, line, dict(zip(columns, cells, strict=True))))
                    else:
                        faults.append((line, f"{len(cells)} cells below {len(columns)} columns"))
                line = reader.line_num + 1
    except csv.Error as error:
        faults.append((line, str(error)))
    return Table(columns, rows, faults)
