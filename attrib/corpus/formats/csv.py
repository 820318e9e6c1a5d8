"""CSV with a header; the separator, one of ``, ; tab |``, is that of the header.

Not covered: files without a header.
"""

from __future__ import annotations

import csv
import io

from attrib.corpus.formats.rows import Table, TableRow, check_unique
from attrib.corpus.reading import count
from attrib.corpus.shapes.cells import Columns
from attrib.corpus.spans import decode
from attrib.errors import InputError
from attrib.files import csv_cells

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}


def csv_table(data: bytes, columns: Columns) -> Table:
    """A row is numbered from 1 below the header; blank lines are skipped."""
    text = decode(data)
    rows: list[TableRow] = []
    faults: list[tuple[int, str]] = []
    names: tuple[str, ...] = ()
    line = 1
    with csv_cells(text):
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=_separator(text, columns), strict=True)
        try:
            for cells in reader:
                if cells and not names:
                    names = _names(cells)
                elif cells:
                    number = len(rows) + len(faults) + 1
                    if len(cells) == len(names):
                        rows.append(TableRow(number, line, dict(zip(names, cells, strict=True))))
                    else:
                        faults.append((line, f"{count(len(cells), 'cell')} below {count(len(names), 'column')}"))
                line = reader.line_num + 1
        except csv.Error as error:
            faults.append((line, str(error)))
    return Table(names, rows, faults)


def _names(header: list[str]) -> tuple[str, ...]:
    """Names of the columns, a number for those without. Raises InputError for a name given twice."""
    names = tuple(cell.strip() or f"column {i}" for i, cell in enumerate(header, 1))
    check_unique(names)
    return names


def _separator(text: str, columns: Columns) -> str:
    """The one that splits the header into more known columns than any other; a comma where none splits it.

    Raises InputError where two do equally well.
    """
    split: dict[str, list[str]] = {}
    for mark in SEPARATORS:
        try:
            header = next((cells for cells in csv.reader(io.StringIO(text, newline=""), delimiter=mark) if cells), [])
        except csv.Error:
            continue
        if len(header) > 1:
            split[mark] = [cell.strip() for cell in header]
    if not split:
        return ","
    known = {mark: (sum(name in columns.wanted for name in names), len(names)) for mark, names in split.items()}
    best = [mark for mark in known if known[mark] == max(known.values())]
    if len(best) > 1:
        kinds = " or ".join(SEPARATORS[mark] for mark in best)
        raise InputError(f"its header may be split at {kinds}; put quotes around names that hold one")
    return best[0]
