"""Whether two texts state the same numbers, with units and what is counted."""

from __future__ import annotations

from attrib.assess.grading.quantities import Quantity, quantities
from attrib.assess.grading.runs import LIGHT_WORDS, negated, singular
from attrib.assess.grading.word import word_list
from attrib.assess.grading.wording import words

_HEDGES = frozenset(
    word_list("""
    about around approximately roughly nearly almost exactly only just some circa at least most more less fewer greater
    than over under above below up to in on of by for during year old age aged is it was be
""")
)


def _asserted(text: str) -> tuple[Quantity, ...]:
    found = words(text)
    return tuple(one for one in quantities(found) if not negated(found, one.start, one.end))


def same_numbers(right: str, prediction: str) -> float | None:
    meant = _asserted(right)
    if not meant:
        return None
    said = _asserted(prediction)[: len(meant)]
    noun = _noun(right)
    return float(len(said) == len(meant) and all(_same_quantity(a, b, noun) for a, b in zip(meant, said, strict=True)))


def _same_quantity(right: Quantity, said: Quantity, noun: tuple[str, ...]) -> bool:
    """``noun``: what the right answer counts, where that is no known unit."""
    same = (right.low, right.high, right.either) == (said.low, said.high, said.either)
    units = not (right.unit and said.unit) or _units_agree(right.unit, said.unit)
    dates = right.date is None or said.date is None or right.date == said.date
    return same and units and dates and right.bound * said.bound >= 0 and _counts(noun, said)


def _units_agree(one: str, other: str) -> bool:
    """ "14 degrees" may be degrees Celsius."""
    return one == other or ("degree" in (one, other) and one.split()[0] == other.split()[0])


def _counts(noun: tuple[str, ...], said: Quantity) -> bool:
    """Whether ``said`` counts ``noun``, or nothing in particular: "37" and "37 crown-bits", not "37 apples"."""
    if not noun:
        return True
    if said.unit:
        return False
    following = said.following
    if not following or following[0] in _HEDGES or following[0] in LIGHT_WORDS or following[0] in ("and", "or", "but"):
        return True
    return {singular(word) for word in noun} <= {singular(word) for word in following}


def _noun(right: str) -> tuple[str, ...]:
    """The one or two words after the only number of a right answer that has nothing else, none of them a unit."""
    found = words(right)
    every = quantities(found)
    if len(every) != 1 or every[0].unit:
        return ()
    rest = [word for i, word in enumerate(found) if not every[0].start <= i < every[0].end]
    after = found[every[0].end :]
    before = found[: every[0].start]
    if len(after) > 2 or any(word.text not in _HEDGES for word in before) or len(rest) != len(before) + len(after):
        return ()
    if any(word.starts or word.text in _HEDGES or word.number is not None or word.aside for word in after):
        return ()
    return tuple(word.text for word in after)


def is_bare_number(right: str) -> bool:
    """Whether a right answer is numbers with their units and little else: hedges, "in", "years old", asides."""
    found = words(right)
    every = quantities(found)
    if not every or not _asserted(right):
        return False
    if _noun(right):
        return True
    inside = {i for one in every for i in range(one.start, one.end)}
    inside |= {i for one in every if one.date for i in (one.start - 1, one.start - 2)}
    aside_only = all(found[one.start].aside for one in every)
    rest = [word for i, word in enumerate(found) if i not in inside and (aside_only or not word.aside)]
    return all(word.text in _HEDGES for word in rest)
