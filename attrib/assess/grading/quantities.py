"""Words → the quantities that they state: one number or one range each, with its unit and bound."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

from attrib.assess.grading.units import past_units
from attrib.assess.grading.word import Word, is_number, text_at, word_list


@dataclass(frozen=True)
class Quantity:
    """One number, or one range, that a text states."""

    low: Decimal
    high: Decimal | None = None
    """None: a single number."""
    either: bool = False
    """"3 or 4": one of the two, not what lies between them."""
    unit: str = ""
    """Normal name; empty where no known unit follows."""
    following: tuple[str, ...] = ()
    """Up to three words of the same clause after it, units not counted."""
    bound: int = 0
    """1: at least or more than it; -1: at most or less than it."""
    date: tuple[int, int] | None = None
    start: int = 0
    """Place of its first word."""
    end: int = 0
    """Place after its last word, its unit included."""


def quantities(found: Sequence[Word]) -> tuple[Quantity, ...]:
    """The quantities that ``found`` states, in order.

    Not counted: ordinals, numbers tied to letters (COVID-19), a "one" that is a pronoun ("no one", "one of them"),
    and, where there are others, those in parentheses ("20 feet (6.1 metres)").
    """
    every = tuple(_quantities(found))
    outside = tuple(quantity for quantity in every if not found[quantity.start].aside)
    return outside or every


_LOWER = ("at least", "more than", "greater than", "over", "above", "exceeding", "minimum of", "no less than")
_UPPER = (
    "at most",
    "less than",
    "fewer than",
    "under",
    "below",
    "up to",
    "maximum of",
    "no more than",
    "not more than",
)
_NOT_A_NUMBER_AFTER = frozenset(word_list("no any every each some this that which another"))
_NOT_A_NUMBER_BEFORE = frozenset(word_list("of who that another can could must should whose"))


def _quantities(found: Sequence[Word]) -> Iterator[Quantity]:
    i = 0
    while i < len(found):
        word = found[i]
        if not is_number([word]) or word.tied or _pronoun(found, i):
            i += 1
            continue
        assert word.number is not None
        end = past_units(found, i + 1)
        high, either = None, False
        if text_at(found, end) in ("to", "or") and is_number(found[end + 1 : end + 2]):
            either = found[end].text == "or"
            high = found[end + 1].number
            end = past_units(found, end + 2)
        unit = " ".join(word.text for word in found[i:end] if word.unit)
        yield Quantity(
            word.number, high, either, unit, _following(found, end), _bound(found, i), word.date, start=i, end=end
        )
        i = end


def _pronoun(found: Sequence[Word], i: int) -> bool:
    if found[i].raw.casefold() != "one" or found[i].text != "1":
        return False
    after = found[i + 1] if i + 1 < len(found) and not found[i + 1].starts else None
    before = text_at(found, i - 1) if not found[i].starts else ""
    return before in _NOT_A_NUMBER_AFTER or (after is not None and after.text in _NOT_A_NUMBER_BEFORE)


def _following(found: Sequence[Word], i: int) -> tuple[str, ...]:
    after: list[str] = []
    for word in found[i : i + 3]:
        if word.starts:
            break
        after.append(word.text)
    return tuple(after)


def _bound(found: Sequence[Word], i: int) -> int:
    before: list[str] = []
    for j in range(i - 1, max(-1, i - 4), -1):
        if found[j + 1].starts:
            break
        before.insert(0, found[j].text)
    said = " " + " ".join(before)
    # "no more than" ends with "more than".
    if said.endswith(tuple(f" {words}" for words in _UPPER)):
        return -1
    return 1 if said.endswith(tuple(f" {words}" for words in _LOWER)) else 0
