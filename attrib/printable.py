"""Text for streams that lack some of its characters: each of those becomes a plain one of the same width.

Arrows, dashes, quotes, bars and accents keep their meaning; the rest becomes question marks, as wide as it would have
stood, so that columns stay in line. Not covered: fonts without a character that the encoding has.
"""

from __future__ import annotations

import codecs
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from typing import Any

ERRORS = "attrib.printable"
"""Name of the codec error handler; importing this module registers it."""
_PLAIN = str.maketrans("→←−–—‖·…“”„«»‘’‹›×÷±≥≤↵␍⇥␠∅•▁▂▃▄▅▆▇█─━", '><---|.~"""""\'\'<>x/~></\\>_0*_.:-=+*#--')


def make_printable(*streams: Any) -> None:
    """Replace characters that the encodings of ``streams`` (text files of any kind) lack, from now on."""
    for stream in streams:
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors=ERRORS)


@contextmanager
def printable(stream: Any) -> Iterator[None]:
    """Make ``stream`` printable until leaving."""
    errors = stream.errors if isinstance(stream, TextIOWrapper) else None
    make_printable(stream)
    try:
        yield
    finally:
        if isinstance(stream, TextIOWrapper) and not stream.closed:
            stream.reconfigure(errors=errors)


def can_print(text: str, encoding: str | None) -> bool:
    """Whether ``encoding`` (None: anything) has every character of ``text``."""
    try:
        text.encode(encoding or "utf-8")
    except UnicodeEncodeError:
        return False
    return True


def plain(char: str) -> str:
    """ASCII as wide as ``char`` is on a terminal."""
    from rich.cells import get_character_cell_size

    width = get_character_cell_size(char)
    for near in (char.translate(_PLAIN), unicodedata.normalize("NFKD", char)):
        known = near.encode("ascii", "ignore").decode("ascii")
        if known and len(known) == width:
            return known
    return "?" * width


def _handle(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(plain(char) for char in error.object[error.start : error.end]), error.end


codecs.register_error(ERRORS, _handle)
