"""Formats of documents, one file each. In: bytes → spans. Not in: finding files, cutting spans into sections.

A new format is one file with a reader, and one line in ``FORMATS``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from attrib.corpus.formats.csv import read_csv
from attrib.corpus.formats.jsonl import read_jsonl
from attrib.corpus.formats.markdown import read_markdown
from attrib.corpus.formats.parquet import read_parquet
from attrib.corpus.formats.text import read_text
from attrib.corpus.spans import Found, ReadOptions


class Format(NamedTuple):
    """How files of one kind are read."""

    name: str
    """As reports call it."""
    read: Callable[[bytes, ReadOptions], Found]
    """A file's bytes → its spans, not yet cut. Raises InputError for bytes that are not of this format."""
    place: str
    """Where text was looked for, for the error of a file without any."""


FORMATS: dict[str, Format] = {
    ".md": Format("Markdown", read_markdown, "below any heading"),
    ".markdown": Format("Markdown", read_markdown, "below any heading"),
    ".txt": Format("text", read_text, "in it"),
    ".text": Format("text", read_text, "in it"),
    ".jsonl": Format("JSONL", read_jsonl, "in any row"),
    ".csv": Format("CSV", read_csv, "in any row"),
    ".parquet": Format("Parquet", read_parquet, "in any row"),
}
"""By suffix, in lower case."""
