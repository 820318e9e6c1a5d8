"""Jupyter notebooks: Markdown cells by their headings, code and raw cells as text, each with the number of its cell.

Not covered: outputs and attachments, which are left out; formats before 4.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import NamedTuple

from attrib.corpus.faults import fault
from attrib.corpus.formats.markdown import markdown_parts
from attrib.corpus.formats.outline import BELOW, HeadedPart, outline
from attrib.corpus.spans import Found, ReadOptions, Span, blank, decode, trim, unix
from attrib.errors import InputError


def read_notebook(data: bytes, options: ReadOptions) -> Found:
    """Spans in the order of the cells; a cell without a heading stands below the last heading before it."""
    cells = _cells(data)
    parts = [part for number, cell in enumerate(cells, 1) for part in _parts(number, cell)]
    shown = sum(cell.has_outputs for cell in cells)
    return Found(outline(parts), left_out={"outputs of cells": shown} if shown else {})


class _NotebookCell(NamedTuple):
    kind: str
    source: str
    has_outputs: bool


def _cells(data: bytes) -> list[_NotebookCell]:
    """Every cell in order. Raises InputError for what is no notebook of format 4."""
    again = "save it again from Jupyter"
    try:
        content = json.loads(decode(data))
    except (ValueError, RecursionError):
        raise InputError(f"not a notebook (no JSON); {again}") from None
    cells = content.get("cells") if isinstance(content, dict) else None
    if not isinstance(cells, list):
        is_old = isinstance(content, dict) and "worksheets" in content
        raise InputError(f"{'a notebook of a format before 4' if is_old else 'not a notebook (no cells)'}; {again}")
    made = []
    for number, cell in enumerate(cells, 1):
        source = cell.get("source", "") if isinstance(cell, Mapping) else None
        if isinstance(source, list) and all(isinstance(line, str) for line in source):
            source = "".join(source)
        if not isinstance(source, str) or fault(source, "source"):
            raise InputError(f"cell {number} has no source that is text; {again}")
        made.append(_NotebookCell(str(cell.get("cell_type")), unix(source), bool(cell.get("outputs"))))
    return made


def _parts(number: int, cell: _NotebookCell) -> Iterator[HeadedPart]:
    if blank(cell.source):
        return
    if cell.kind != "markdown":
        yield HeadedPart(BELOW, "", number, number, Span("", (), trim(cell.source), number, number, number))
        return
    for part in markdown_parts(cell.source.split("\n")):
        body = part.body and replace(part.body, first_line=number, last_line=number, row=number)
        yield replace(part, level=part.level or BELOW, first_line=number, last_line=number, body=body, row=number)
