"""Text → words in one normal form, and the quantities that it states: what scorers compare.

Two texts that say the same in another spelling get the same words:

- Unicode NFKC, case, typographic quotes and dashes, Markdown's stars and backticks; punctuation goes, hyphens between
  words become blanks. Accents stay: "café" is not "cafe". An underscore belongs to its word, so identifiers stay whole.
- Articles go where a word follows in the same clause; a capital A inside a clause ("vitamin A deficiency") stays.
- Contractions are spelled out ("isn't" = "is not"), possessive 's goes, initials are joined ("J. R. R." = "JRR").
- Numbers: words become digits ("one hundred and five" = 105), ordinals too ("third" = 3rd); thousands separators go
  ("1,200" = 1200 = "1.2 thousand"), a trailing zero after the point goes (2.50 = 2.5), a minus sign stays ("minus 5" =
  -5), comparison signs become words ("≥" = "at least").
- Units right after a number get one name ("38 m" = "38 metres" = "38 meters"); nothing is converted.
- Ranges: "3-4 days" = "3 to 4 days" = "between three and four days".
- Dates with a month's name, and ISO dates, are put day, month, year.

Not covered: dates in digits with slashes (which of the two is the month?), "5'11"", fractions in ASCII as numbers
("1/2"), a year said in two halves ("nineteen eighty-four"), "1.2k", "three point five", English only.
"""

from __future__ import annotations

import re
from dataclasses import replace
from functools import lru_cache

from attrib.assess.grading.dates import join_dates
from attrib.assess.grading.numerals import join_numbers
from attrib.assess.grading.scanning import clean, scan
from attrib.assess.grading.units import name_units, past_units
from attrib.assess.grading.word import Word, is_number, text_at


def normalise(text: str) -> str:
    """Words of ``text`` in normal form, with single blanks; empty where there is no word."""
    return " ".join(word.text for word in words(text))


@lru_cache(maxsize=4096)
def words(text: str) -> tuple[Word, ...]:
    """Words of ``text`` in normal form, in order; see the module for what that is."""
    found = scan(clean(text))
    for step in (join_initials, join_numbers, drop_articles, join_dates, name_units, join_ranges):
        found = step(found)
    return tuple(found)


# ------------------------------------------------------------------------------------------- passes over words


def join_initials(found: list[Word]) -> list[Word]:
    made: list[Word] = []
    for word in found:
        single = len(word.raw) == 1 and word.raw.isalpha()
        if made and len(made[-1].raw) == 1 and made[-1].raw.isalpha() and word.gap.startswith("."):
            # The point belongs to the initial: no clause ends there.
            word = replace(word, gap=word.gap[1:])
            if single and word.gap in ("", " ") and word.raw.isupper() == made[-1].raw.isupper():
                made[-1] = replace(made[-1], text=made[-1].text + word.text, raw=word.raw)
                continue
        made.append(word)
    return made


def drop_articles(found: list[Word]) -> list[Word]:
    made: list[Word] = []
    for i, word in enumerate(found):
        article = word.text in ("the", "an") or (word.text == "a" and (word.raw == "a" or word.starts or i == 0))
        if article and i + 1 < len(found) and _leads(found[i + 1]):
            # Characters before the article now precede the next word.
            found[i + 1] = replace(found[i + 1], gap=word.gap + found[i + 1].gap)
        else:
            made.append(word)
    return made


def _leads(following: Word) -> bool:
    """Whether an article can belong to ``following``; quotes may open there, and "A, B or C" are letters."""
    return re.fullmatch(r"\s+[\"'(]*", following.gap) is not None and following.text not in ("and", "or", "to")


def join_ranges(found: list[Word]) -> list[Word]:
    """ "between X and Y" and "from X to Y" as "X to Y"; a unit said twice is said once."""
    made: list[Word] = []
    for word in found:
        if is_number([word]) and len(made) >= 2 and made[-1].text in ("to", "and") and not word.starts:
            first = len(made) - 2
            while first > 0 and made[first].unit:
                first -= 1
            opening = made[first - 1].text if first > 0 and not made[first].starts else ""
            if is_number([made[first]]) and (made[-1].text == "to" or opening == "between"):
                made[-1] = replace(made[-1], text="to")
                if opening in ("between", "from"):
                    made[first] = replace(made[first], gap=made[first - 1].gap)
                    del made[first - 1]
        made.append(word)
    return _units_once(made)


def _units_once(found: list[Word]) -> list[Word]:
    made: list[Word] = []
    i = 0
    while i < len(found):
        made.append(found[i])
        i += 1
        if not is_number(made[-1:]):
            continue
        after = past_units(found, i)
        if after > i and text_at(found, after) == "to" and is_number(found[after + 1 : after + 2]):
            unit = [word.text for word in found[i:after]]
            end = past_units(found, after + 2)
            if unit == [word.text for word in found[after + 2 : end]]:
                i = after
    return made
