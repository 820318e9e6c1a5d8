"""Dates with a month's name → day, month, year."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

from attrib.assess.grading.word import Word, text_at, word_list

MONTHS = word_list("january february march april may june july august september october november december")
MONTH = {name: i for i, name in enumerate(MONTHS)} | {name[:3]: i for i, name in enumerate(MONTHS)} | {"sept": 8}


def join_dates(found: list[Word]) -> list[Word]:
    made: list[Word] = []
    i = 0
    while i < len(found):
        taken = _date_at(found, i)
        if taken is None:
            made.append(found[i])
            i += 1
        else:
            new, i = taken
            made += new
    return made


def _date_at(found: list[Word], i: int) -> tuple[list[Word], int] | None:
    """The date at place ``i`` as day, month, year, and the place after it."""
    day, month, end = _day(found, i), MONTH.get(text_at(found, i)), i + 1
    if day is not None:
        end += text_at(found, end) == "of"
        month = MONTH.get(text_at(found, end))
        if month is None or found[end].starts:
            return None
        end += 1
    elif month is not None:
        day = _day(found, end) if end < len(found) and re.fullmatch(r"\.?\s+", found[end].gap) else None
        end += day is not None
    else:
        return None
    year = _year(found, end)
    if year is None and day is None:
        return None
    made = [Word(MONTHS[month], found[i].raw, aside=found[i].aside)]
    if day is not None:
        # With its year, a date is one quantity: the year.
        number = Decimal(day) if year is None else None
        made.insert(0, Word(str(day), str(day), number=number, aside=found[i].aside))
    made[0] = replace(made[0], gap=found[i].gap)
    if year is not None:
        made.append(replace(found[end], gap=" ", date=(day, month) if day is not None else None))
        end += 1
    return made, end


def _day(found: Sequence[Word], i: int) -> int | None:
    word = found[i] if i < len(found) else None
    if word is None or word.number is None or word.tied or word.money or word.number != word.number.to_integral_value():
        return None
    return int(word.number) if 1 <= word.number <= 31 else None


def _year(found: Sequence[Word], i: int) -> Word | None:
    word = found[i] if i < len(found) else None
    if word is None or word.number is None or word.ordinal or not re.fullmatch(r"\d{4}", word.raw):
        return None
    return word if re.fullmatch(r"[.,]?\s+", word.gap) else None
