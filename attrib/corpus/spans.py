"""Spans: pieces of a document's text with their lines, before they are sections; and how bytes become text."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from attrib.corpus.reading import RowsRead
from attrib.corpus.shapes.cells import Columns
from attrib.errors import InputError
from attrib.records import Turn


@dataclass(frozen=True, eq=False)
class Span:
    """A section before it has an id; fields as in ``Section``."""

    document: str
    titles: tuple[str, ...]
    text: str
    first_line: int
    last_line: int
    row: int | None = None
    heading: bool = False
    """Whether it is a heading without text below it."""
    places: tuple[tuple[int, int], ...] = ()
    """First and last line of the file for each line of ``text``, where these are not the file's lines as they stand."""
    turns: tuple[Turn, ...] = ()
    tools: str = ""


@dataclass(frozen=True, eq=False)
class Found:
    """What a format's reader found in one file."""

    spans: list[Span]
    rows: RowsRead | None = None
    """Counts of a row file; its name is filled in later."""
    left_out: Mapping[str, int] = field(default_factory=dict)
    """What was seen and not read, and how many of it, such as ``outputs of cells``."""
    remarks: tuple[str, ...] = ()
    """What was decided, nothing lost, in sentences that the same decision about another file shares."""


@dataclass(frozen=True)
class ReadOptions:
    """Options of a format's reader; each reader heeds those that fit its format."""

    columns: Columns
    max_tokens: int
    count_tokens: Callable[[str], int]


def decode(data: bytes) -> str:
    """The bytes as UTF-8, without a byte order mark and with ``\\n`` as the only line end."""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise InputError("not UTF-8 but UTF-16 (byte order mark at byte 0); save it again as UTF-8")
    if (at := data.find(b"\0")) >= 0:
        raise InputError(f"binary, not text (NUL at byte {at}); remove it, or save its text as UTF-8")
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise InputError(f"not UTF-8 (at byte {error.start}); save it again as UTF-8") from None
    return unix(text.removeprefix("\ufeff"))


def unix(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


def blank(line: str) -> bool:
    return not line or line.isspace()


def trim(text: str) -> str:
    """Without outer blank lines and trailing white space; the first line keeps its indentation."""
    start = len(text) - len(text.lstrip())
    return text[text.rfind("\n", 0, start) + 1 :].rstrip()
