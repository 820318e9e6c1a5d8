"""Units after numbers → one name each, with what they are taken per; nothing is converted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from attrib.assess.grading.word import Word

_UNITS = {
    "mm": "mm|millimetre|millimetres|millimeter|millimeters",
    "cm": "cm|centimetre|centimetres|centimeter|centimeters",
    "m": "m|metre|metres|meter|meters",
    "km": "km|kms|kilometre|kilometres|kilometer|kilometers",
    "inch": "inch|inches",
    "ft": "ft|foot|feet",
    "yard": "yd|yds|yard|yards",
    "mile": "mi|mile|miles",
    "μg": "μg|mcg|microgram|micrograms",
    "mg": "mg|milligram|milligrams",
    "g": "g|gram|grams|gramme|grammes",
    "kg": "kg|kgs|kilo|kilos|kilogram|kilograms",
    "tonne": "tonne|tonnes",
    "ton": "ton|tons",
    "oz": "oz|ounce|ounces",
    "lb": "lb|lbs|pound|pounds",
    "ml": "ml|millilitre|millilitres|milliliter|milliliters",
    "l": "l|L|litre|litres|liter|liters",
    "second": "s|sec|secs|second|seconds",
    "minute": "min|mins|minute|minutes",
    "hour": "h|hr|hrs|hour|hours",
    "day": "day|days",
    "week": "wk|wks|week|weeks",
    "month": "month|months",
    "year": "yr|yrs|year|years",
    "percent": "percent|per cent|pct",
    "degree": "deg|degree|degrees",
    "degree celsius": "celsius|degree celsius|degrees celsius|degrees c|deg c|degrees centigrade",
    "degree fahrenheit": "fahrenheit|degree fahrenheit|degrees fahrenheit|degrees f|deg f",
    "km per hour": "kph|kmh",
    "mile per hour": "mph",
    "dollar": "dollar|dollars|usd|us dollar|us dollars|$|us$",
    "euro": "euro|euros|eur|€",
    "pound sterling": "gbp|pound sterling|pounds sterling|£",
    "yen": "yen|jpy|¥",
}
"""Normal name → its spellings. "Pounds" are taken for weight, so "£5" is not "5 pounds"."""
UNIT = {tuple(spelling.split()): name for name, spellings in _UNITS.items() for spelling in spellings.split("|")}
LONGEST_UNIT = max(map(len, UNIT))


def unit_named(*spelled: str) -> str | None:
    """Normal name of a unit. One letter is case-sensitive: 5 g is a weight, 5G is not."""
    if len(spelled) == 1 and len(spelled[0]) == 1:
        return UNIT.get(spelled)
    return UNIT.get(tuple(part.casefold() for part in spelled))


def name_units(found: list[Word]) -> list[Word]:
    made: list[Word] = []
    i = 0
    while i < len(found):
        word = found[i]
        made.append(replace(word, money=""))
        i += 1
        if word.number is None or word.ordinal:
            continue
        if word.money:
            made += [
                Word(part, part, unit=True, aside=word.aside) for part in (UNIT[(word.money,)]).split()
            ]  # fmt: skip
            continue
        name, i = _unit_at(found, i)
        if name:
            i = _per(found, i, name)
            made += [Word(part, part, unit=True, aside=word.aside) for part in name]
    return made


def _unit_at(found: Sequence[Word], i: int) -> tuple[list[str], int]:
    """Normal name of the unit at place ``i``, the longest there, and the place after it."""
    for length in range(LONGEST_UNIT, 0, -1):
        part = found[i : i + length]
        if len(part) == length and not any(word.starts for word in part):
            name = unit_named(*(word.raw if len(word.raw) == 1 else word.text for word in part))
            if name is None and length == 1 and part[0].text == "2nd" and part[0].raw == "second":
                name = "second"
            if name is not None:
                return name.split(), i + length
    return [], i


def _per(found: Sequence[Word], i: int, name: list[str]) -> int:
    """Append to ``name`` what the unit is taken per ("mg/kg/day", "mg per day"); the place after it."""
    while i < len(found):
        slash = found[i].gap == "/"
        if not slash and found[i].text != "per":
            break
        at = i if slash else i + 1
        if at >= len(found) or (found[at].starts and not slash):
            break
        unit, after = _unit_at(found, at)
        name += ["per", *(unit or [found[at].text])]
        i = after if unit else at + 1
    return i


def past_units(found: Sequence[Word], i: int) -> int:
    while i < len(found) and found[i].unit:
        i += 1
    return i
