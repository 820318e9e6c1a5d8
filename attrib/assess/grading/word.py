"""One word of a text in normal form, and where clauses begin."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal


def word_list(text: str) -> tuple[str, ...]:
    """Words between blanks."""
    return tuple(text.split())


_BREAK = re.compile(r"[.,;:!?()\[\]{}\"|\n]|\s-+\s")


@dataclass(frozen=True)
class Word:
    """One word of a text."""

    text: str
    """Its normal form."""
    raw: str = ""
    """As written."""
    gap: str = " "
    """Characters between it and the word before."""
    number: Decimal | None = None
    ordinal: bool = False
    unit: bool = False
    """It names the unit of the number before."""
    tied: bool = False
    """Tied by a hyphen or a point to letters before it: the 1 of GLP-1 is no quantity."""
    aside: bool = False
    """Inside parentheses."""
    date: tuple[int, int] | None = None
    """A year: its day and month, where they were said."""
    money: str = ""
    """A number: the currency whose sign stood at it."""

    @property
    def starts(self) -> bool:
        """Whether a new clause begins with it."""
        return _BREAK.search(self.gap) is not None


def is_number(found: Sequence[Word]) -> bool:
    return bool(found) and found[-1].number is not None and not found[-1].ordinal


def text_at(found: Sequence[Word], i: int) -> str:
    return found[i].text if 0 <= i < len(found) else ""
