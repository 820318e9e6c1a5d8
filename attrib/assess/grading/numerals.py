"""Numbers in words → numbers: "one hundred and five" = 105, "third" = 3rd, "1.2 thousand" = 1200."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Literal

from attrib.assess.grading.word import Word, is_number, text_at, word_list

_SMALL_WORDS = word_list("""
    zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen
    eighteen nineteen
""")
_TENS_WORDS = word_list("twenty thirty forty fifty sixty seventy eighty ninety")
_ORDINAL_WORDS = word_list("""
    first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth fifteenth
    sixteenth seventeenth eighteenth nineteenth
""")
_ORDINAL_TENS_WORDS = word_list("twentieth thirtieth fortieth fiftieth sixtieth seventieth eightieth ninetieth")
_SMALL = {word: i for i, word in enumerate(_SMALL_WORDS)}
_TENS = {word: 10 * i for i, word in enumerate(_TENS_WORDS, start=2)}
SCALES = {"thousand": 10**3, "million": 10**6, "billion": 10**9, "bn": 10**9, "trillion": 10**12}
_ORDINALS = {word: i for i, word in enumerate(_ORDINAL_WORDS, start=1)}
_ORDINALS |= {word: 10 * i for i, word in enumerate(_ORDINAL_TENS_WORDS, start=2)}


def join_numbers(found: list[Word]) -> list[Word]:
    made: list[Word] = []
    i = 0
    while i < len(found):
        word = found[i]
        here = i + 1 if word.text in ("a", "an") and text_at(found, i + 1) in ("hundred", *SCALES) else i
        spelled = None if _after_number(made, word) else _spelled(found, here)
        if spelled is not None:
            value, ordinal, end = spelled
            text = f"{value}{_suffix(value)}" if ordinal else str(value)
            word = replace(found[here], text=text, number=Decimal(value), ordinal=ordinal, gap=found[i].gap)
            i = end
        else:
            i += 1
        if word.number is not None and not word.ordinal:
            while text_at(found, i) in ("hundred", *SCALES) and not found[i].starts:
                # Digits, then a scale: 1.2 thousand.
                scaled = word.number * (100 if found[i].text == "hundred" else SCALES[found[i].text])
                word = replace(word, number=scaled, text=_plain(scaled))
                i += 1
            if made and made[-1].text in ("minus", "negative") and not word.starts and not is_number(made[-2:-1]):
                word = replace(
                    word, number=-(word.number or Decimal(0)), text=f"-{word.text}", gap=made[-1].gap
                )  # fmt: skip
                made.pop()
        made.append(word)
    return made


def _after_number(made: list[Word], word: Word) -> bool:
    """Whether ``word`` is the "second" of "30 second": a unit."""
    return word.text == "second" and is_number(made[-1:]) and not word.tied and not word.starts


def _plain(value: Decimal) -> str:
    shown = f"{value:f}"
    return shown.rstrip("0").rstrip(".") if "." in shown else shown


def _suffix(value: int) -> str:
    if value % 100 in (11, 12, 13):
        return "th"
    return {1: "st", 2: "nd", 3: "rd"}.get(value % 10, "th")


def _spelled(found: Sequence[Word], i: int) -> tuple[int, bool, int] | None:
    """Value of the number in words that begins at ``i``, whether it is an ordinal, and the place after it."""
    numeral, j = _Numeral(), i
    while j < len(found) and not (j > i and found[j].starts):
        value = numeral.as_ordinal(found[j])
        if value is not None:
            return value, True, j + 1
        joins = found[j].text == "and" and numeral.last in ("hundred", "scale") and _continues(found, j + 1)
        if joins:
            numeral.last = "and"
        elif not numeral.add(found[j].text):
            break
        j += 1
    return (numeral.total + numeral.current, False, j) if numeral.last else None


@dataclass
class _Numeral:
    """A number in words, as far as it was read."""

    total: int = 0
    """Closed by a scale: the 2000 of "two thousand and five"."""
    current: int = 0
    """Value that the next scale multiplies."""
    last: Literal["", "small", "tens", "hundred", "scale", "and"] = ""
    """Kind of the last word."""

    def add(self, text: str) -> bool:
        """Read one more word; False where it does not belong to the number."""
        value = _SMALL.get(text, _TENS.get(text))
        if value is not None:
            if not _fits(value, self.last):
                return False
            self.current += value
            self.last = "small" if text in _SMALL else "tens"
        elif text == "hundred" and self.last in ("", "small", "tens"):
            self.current, self.last = (self.current or 1) * 100, "hundred"
        elif text in SCALES and text != "bn" and self.last in ("", "small", "tens", "hundred"):
            self.total, self.current, self.last = self.total + (self.current or 1) * SCALES[text], 0, "scale"
        else:
            return False
        return True

    def as_ordinal(self, word: Word) -> int | None:
        """Value of the number if ``word`` ends it as an ordinal; None where it does not."""
        if word.text in _ORDINALS:
            # "twenty second" is a time, "twenty-second" an ordinal.
            is_unit = word.text == "second" and self.last and not word.tied
            fits = not is_unit and _fits(_ORDINALS[word.text], self.last)
            return self.total + self.current + _ORDINALS[word.text] if fits else None
        if word.text in ("hundredth", "thousandth") and self.last in ("small", "tens"):
            return self.total + self.current * (100 if word.text == "hundredth" else 1000)
        return None


def _continues(found: Sequence[Word], i: int) -> bool:
    """Whether "and" before place ``i`` continues the number: not in "one hundred and two thousand"."""
    text = text_at(found, i)
    if found[i - 1].starts or not (text in _SMALL or text in _TENS or text in _ORDINALS):
        return False
    return not found[i].starts and text_at(found, i + 1) not in ("hundred", *SCALES)


def _fits(value: int, last: str) -> bool:
    if last == "tens":
        return 0 < value < 10
    return last == "" or (last in ("hundred", "scale", "and") and value > 0)
