"""Formats of documents, one file each. In: bytes → spans. Not in: finding files, cutting spans into sections.

A new format is one file with a reader, and one line in ``FORMATS``.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import NamedTuple

from attrib.corpus.formats.arrow import arrow_table
from attrib.corpus.formats.csv import csv_table
from attrib.corpus.formats.docx import read_docx
from attrib.corpus.formats.html import read_html
from attrib.corpus.formats.json import json_table
from attrib.corpus.formats.jsonl import jsonl_table
from attrib.corpus.formats.markdown import read_markdown
from attrib.corpus.formats.notebook import read_notebook
from attrib.corpus.formats.parquet import parquet_table
from attrib.corpus.formats.pdf import read_pdf
from attrib.corpus.formats.rows import Table, row_spans
from attrib.corpus.formats.rst import read_rst
from attrib.corpus.formats.text import read_text
from attrib.corpus.shapes.cells import Columns
from attrib.corpus.spans import Found, ReadOptions


class Format(NamedTuple):
    """How files of one kind are read."""

    name: str
    """As reports call it."""
    read: Callable[[bytes, ReadOptions], Found]
    """A file's bytes → its spans, not yet cut. Raises InputError for bytes that are not of this format."""
    place: str
    """Where text was looked for, for the error of a file without any."""
    table: Callable[[bytes, Columns], Table] | None = None
    """A row file's bytes → its table; None for documents."""
    needs: str = ""
    """Module that the extra ``documents`` installs; empty where nothing more is needed."""

    @property
    def is_missing(self) -> bool:
        """Whether what it needs is not installed."""
        return bool(self.needs) and find_spec(self.needs) is None


EXTRA = "pip install 'attrib[documents]'"
"""What installs what formats need."""


def _rows(name: str, table: Callable[[bytes, Columns], Table]) -> Format:
    def read(data: bytes, options: ReadOptions) -> Found:
        return row_spans(table(data, options.columns), options)

    return Format(name, read, "to learn in any row", table)


FORMATS: dict[str, Format] = {
    **dict.fromkeys((".md", ".markdown", ".mdx"), Format("Markdown", read_markdown, "in it")),
    **dict.fromkeys((".txt", ".text"), Format("text", read_text, "in it")),
    **dict.fromkeys((".html", ".htm", ".xhtml"), Format("HTML", read_html, "in it")),
    ".rst": Format("reStructuredText", read_rst, "in it"),
    ".ipynb": Format("notebook", read_notebook, "in any cell"),
    ".pdf": Format("PDF", read_pdf, "on any page (pictures of text are not read)", needs="pypdf"),
    ".docx": Format("DOCX", read_docx, "in it", needs="mammoth"),
    ".jsonl": _rows("JSONL", jsonl_table),
    ".json": _rows("JSON", json_table),
    **dict.fromkeys((".csv", ".tsv"), _rows("CSV", csv_table)),
    ".parquet": _rows("Parquet", parquet_table),
    ".arrow": _rows("Arrow", arrow_table),
}
"""By suffix, in lower case."""
