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
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import lru_cache


def word_list(text: str) -> tuple[str, ...]:
    """Words between blanks."""
    return tuple(text.split())


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
_MONTHS = word_list("january february march april may june july august september october november december")
_SMALL = {word: i for i, word in enumerate(_SMALL_WORDS)}
_TENS = {word: 10 * i for i, word in enumerate(_TENS_WORDS, start=2)}
_SCALES = {"thousand": 10**3, "million": 10**6, "billion": 10**9, "bn": 10**9, "trillion": 10**12}
_ORDINALS = {word: i for i, word in enumerate(_ORDINAL_WORDS, start=1)}
_ORDINALS |= {word: 10 * i for i, word in enumerate(_ORDINAL_TENS_WORDS, start=2)}
_MONTH = {name: i for i, name in enumerate(_MONTHS)} | {name[:3]: i for i, name in enumerate(_MONTHS)} | {"sept": 8}
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
_UNIT = {tuple(spelling.split()): name for name, spellings in _UNITS.items() for spelling in spellings.split("|")}
_LONGEST_UNIT = max(map(len, _UNIT))
_CONTRACTED = {
    "can't": "can not", "cannot": "can not", "won't": "will not", "shan't": "shall not", "i'm": "i am",
    "dont": "do not", "doesnt": "does not", "didnt": "did not", "isnt": "is not", "arent": "are not",
    "wasnt": "was not", "werent": "were not", "cant": "can not",
}  # fmt: skip
_SIGNS = (
    (r"≥|>=", " at least "), (r"≤|<=", " at most "), (r">(?=\s*[\d.$€£])", " more than "),
    (r"<(?=\s*[\d.$€£])", " less than "), (r"≈|~(?=\s*\d)", " about "), (r"&", " and "),
    (r"%\s*-\s*(?=\d)", " percent to "), (r"%", " percent "),
    (r"°\s*C\b", " degrees celsius "), (r"°\s*F\b", " degrees fahrenheit "), (r"°", " degrees "),
)  # fmt: skip
_TOKEN = re.compile(
    r"""
    (?P<iso>(?<![\w-])\d{4}-\d{2}-\d{2}(?![\w-]))
  | (?P<plain>\d+(?:\.\d+){2,}|\d+(?:/\d+)+|\d+\^-?\d+)          # versions; fractions and pressures; powers
  | (?P<number>(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?|(?<!\w)\.\d+)(?P<tail>[^\W\d_]\w*)?
  | (?P<money>\bUS\$|[$€£¥])
  | (?P<word>[^\W\d]\w*(?:\^-?\d+)?(?:'[^\W\d]\w*)*)
    """,
    re.VERBOSE,
)
_BREAK = re.compile(r"[.,;:!?()\[\]{}\"|\n]|\s-+\s")
_HALVES = "¼½¾⅛⅜⅝⅞⅕⅖⅗⅘"
_SUPERSCRIPT = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")


@dataclass(frozen=True)
class Word:
    """One word of a text."""

    text: str
    """Its normal form."""
    raw: str = ""
    """As written."""
    gap: str = " "
    """What stands between it and the word before."""
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


def normalise(text: str) -> str:
    """Words of ``text`` in normal form, with single blanks; empty where there is no word."""
    return " ".join(word.text for word in words(text))


@lru_cache(maxsize=4096)
def words(text: str) -> tuple[Word, ...]:
    """Words of ``text`` in normal form, in order; see the module for what that is."""
    found = _scanned(_cleaned(text))
    for step in (_initials, _numbers, _articles, _dates, _units, _ranges):
        found = step(found)
    return tuple(found)


def quantities(found: Sequence[Word]) -> tuple[Quantity, ...]:
    """The quantities that ``found`` states, in order.

    Not counted: ordinals, numbers tied to letters (COVID-19), a "one" that is a pronoun ("no one", "one of them"),
    and, where there are others, those in parentheses ("20 feet (6.1 metres)").
    """
    every = tuple(_quantities(found))
    outside = tuple(quantity for quantity in every if not found[quantity.start].aside)
    return outside or every


# ------------------------------------------------------------------------------------------- from characters to words


def _cleaned(text: str) -> str:
    # Before NFKC, which would make "10²" 102 and "3½" 31/2.
    text = re.sub(r"[⁰¹²³⁴⁵⁶⁷⁸⁹⁻]+", lambda match: "^" + match[0].translate(_SUPERSCRIPT), text)
    text = re.sub(rf"(\d*)[ \u00a0]?([{_HALVES}])", _decimal, text)
    text = re.sub(r"(?<=\d)(?=[⅓⅔⅙⅚⅐⅑⅒])", " ", text)
    text = re.sub(r"(?<=\d)[\u00a0\u2009\u202f](?=\d{3}(?!\d))", "", text)
    text = unicodedata.normalize("NFKC", text)
    text = re.sub(r"[—―]", " - ", text)
    text = re.sub(r"[‐‑‒–−]", "-", text).replace("⁄", "/")
    text = re.sub(r"[’‘ʼ]", "'", text)
    text = re.sub(r"[“”„«»]", '"', text)
    text = re.sub(r"[*`]", " ", text)
    for sign, name in _SIGNS:
        text = re.sub(sign, name, text)
    return text


def _decimal(match: re.Match[str]) -> str:
    return f"{Decimal(match[1] or 0) + Decimal(str(unicodedata.numeric(match[2]))):f}"


def _scanned(text: str) -> list[Word]:
    found: list[Word] = []
    end, depth = 0, 0
    money, money_gap = "", ""
    for match in _TOKEN.finditer(text):
        gap = text[end : match.start()]
        end = match.end()
        depth = max(0, depth + gap.count("(") - gap.count(")"))
        if match["money"]:
            before = found[-1] if found else None
            if before is not None and before.number is not None and not before.money and gap in ("", " "):
                found[-1] = replace(before, money=match["money"].lower())
            else:
                money, money_gap = match["money"].lower(), gap
            continue
        new = _of_match(match, gap, found)
        if money and new and new[0].number is not None:
            new[0] = replace(new[0], money=money, gap=money_gap)
        money, money_gap = "", ""
        found += [replace(word, aside=depth > 0) for word in new]
    return found


def _of_match(match: re.Match[str], gap: str, found: list[Word]) -> list[Word]:
    raw = match[0]
    if match["iso"]:
        year, month, day = raw.split("-")
        if 1 <= int(month) <= 12 and 1 <= int(day) <= 31:
            name = _MONTHS[int(month) - 1]
            when = (int(day), int(month) - 1)
            return [
                Word(str(int(day)), raw, gap), Word(name, raw),
                Word(str(int(year)), raw, number=Decimal(year), date=when),
            ]  # fmt: skip
        return [Word(part, part, gap if i == 0 else " ") for i, part in enumerate(raw.split("-"))]
    if match["plain"]:
        return [Word(raw.casefold(), raw, gap)]
    if match["number"]:
        return _of_number(match["number"], match["tail"] or "", gap, found)
    # A possessive of a plural ("years'") ends before its apostrophe.
    plain = re.sub(r"'s$", "", raw, flags=re.IGNORECASE)
    folded = plain.casefold()
    whole = _CONTRACTED.get(folded) or re.sub(r"n't$", " not", folded)
    parts = whole.split()
    tied = bool(found) and gap == "-"
    return [
        Word(part.replace("'", ""), plain if len(parts) == 1 else part, gap if i == 0 else " ", tied=tied and i == 0)
        for i, part in enumerate(parts)
    ]


def _of_number(digits: str, tail: str, gap: str, found: list[Word]) -> list[Word]:
    digits = digits.replace(",", "")
    value = Decimal(digits)
    whole, _, rest = digits.partition(".")
    rest = "".join(str(int(digit)) for digit in rest).rstrip("0")
    whole = "".join(str(int(digit)) for digit in whole) or "0"
    shown = f"{whole}.{rest}" if rest else whole
    lowered = tail.casefold()
    if lowered in ("st", "nd", "rd", "th") and not rest:
        return [Word(shown + lowered, digits + tail, gap, number=value, ordinal=True)]
    unit = _unit_of(tail) if tail != "s" else None
    if tail and unit is None:
        return [Word((shown + tail).casefold(), digits + tail, gap)]
    number = Word(shown, digits, gap, number=value)
    made: list[Word] = []
    before = found[-1] if found else None
    if _ends_quantity(found) and re.fullmatch(r"-|\s+-\s+", gap):
        made.append(Word("to", "-"))
        number = replace(number, gap=" ")
    elif gap.endswith("-") and (before is None if len(gap) == 1 else gap[-2].isspace() or gap[-2] in "([=:"):
        number = replace(number, text=f"-{shown}", number=-value)
    elif before is not None and gap in ("-", ".") and before.raw[-1:].isalpha():
        number = replace(number, tied=True)
    made.append(number)
    if unit is not None:
        made.append(Word(tail.casefold(), tail, ""))
    return made


def _ends_quantity(found: Sequence[Word]) -> bool:
    """Whether the last word is a number, or a unit after one: a dash and a number then make a range."""
    last = found[-1] if found else None
    if last is not None and last.number is None and _unit_of(last.raw) is not None:
        last = found[-2] if len(found) > 1 else None
    return last is not None and last.number is not None and not last.tied


def _unit_of(*spelled: str) -> str | None:
    """Normal name of a unit. One letter is case-sensitive: 5 g is a weight, 5G is not."""
    if len(spelled) == 1 and len(spelled[0]) == 1:
        return _UNIT.get(spelled)
    return _UNIT.get(tuple(part.casefold() for part in spelled))


# ------------------------------------------------------------------------------------------- passes over words


def _initials(found: list[Word]) -> list[Word]:
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


def _numbers(found: list[Word]) -> list[Word]:
    made: list[Word] = []
    i = 0
    while i < len(found):
        word = found[i]
        here = i + 1 if word.text in ("a", "an") and _at(found, i + 1) in ("hundred", *_SCALES) else i
        spelled = None if _after_number(made, word) else _spelled(found, here)
        if spelled is not None:
            value, ordinal, end = spelled
            text = f"{value}{_suffix(value)}" if ordinal else str(value)
            word = replace(found[here], text=text, number=Decimal(value), ordinal=ordinal, gap=found[i].gap)
            i = end
        else:
            i += 1
        if word.number is not None and not word.ordinal:
            while _at(found, i) in ("hundred", *_SCALES) and not found[i].starts:
                # Digits, then a scale: 1.2 thousand.
                scaled = word.number * (100 if found[i].text == "hundred" else _SCALES[found[i].text])
                word = replace(word, number=scaled, text=_plain(scaled))
                i += 1
            if made and made[-1].text in ("minus", "negative") and not word.starts and not _is_number(made[-2:-1]):
                word = replace(
                    word, number=-(word.number or Decimal(0)), text=f"-{word.text}", gap=made[-1].gap
                )  # fmt: skip
                made.pop()
        made.append(word)
    return made


def _after_number(made: list[Word], word: Word) -> bool:
    """Whether ``word`` is the "second" of "30 second": a unit."""
    return word.text == "second" and _is_number(made[-1:]) and not word.tied and not word.starts


def _is_number(found: Sequence[Word]) -> bool:
    return bool(found) and found[-1].number is not None and not found[-1].ordinal


def _at(found: Sequence[Word], i: int) -> str:
    return found[i].text if 0 <= i < len(found) else ""


def _plain(value: Decimal) -> str:
    shown = f"{value:f}"
    return shown.rstrip("0").rstrip(".") if "." in shown else shown


def _suffix(value: int) -> str:
    if value % 100 in (11, 12, 13):
        return "th"
    return {1: "st", 2: "nd", 3: "rd"}.get(value % 10, "th")


def _spelled(found: Sequence[Word], i: int) -> tuple[int, bool, int] | None:
    """Value of the number in words that begins at ``i``, whether it is an ordinal, and the place after it."""
    total, current, last, j = 0, 0, "", i
    while j < len(found):
        text = found[j].text
        if j > i and found[j].starts:
            break
        if text in _ORDINALS:
            # "twenty second" is a time, "twenty-second" an ordinal.
            if (text == "second" and last and not found[j].tied) or not _fits(_ORDINALS[text], last):
                break
            return total + current + _ORDINALS[text], True, j + 1
        if text in ("hundredth", "thousandth") and last in ("small", "tens"):
            return total + current * (100 if text == "hundredth" else 1000), True, j + 1
        value = _SMALL.get(text, _TENS.get(text))
        if value is not None:
            if not _fits(value, last):
                break
            current += value
            last = "small" if text in _SMALL else "tens"
        elif text == "hundred" and last in ("", "small", "tens"):
            current, last = (current or 1) * 100, "hundred"
        elif text in _SCALES and text != "bn" and last in ("", "small", "tens", "hundred"):
            total, current, last = total + (current or 1) * _SCALES[text], 0, "scale"
        elif text == "and" and last in ("hundred", "scale") and _continues(found, j + 1):
            last = "and"
        else:
            break
        j += 1
    return (total + current, False, j) if last else None


def _continues(found: Sequence[Word], i: int) -> bool:
    """Whether "and" before place ``i`` goes on with the number: not in "one hundred and two thousand"."""
    text = _at(found, i)
    if found[i - 1].starts or not (text in _SMALL or text in _TENS or text in _ORDINALS):
        return False
    return not found[i].starts and _at(found, i + 1) not in ("hundred", *_SCALES)


def _fits(value: int, last: str) -> bool:
    if last == "tens":
        return 0 < value < 10
    return last == "" or (last in ("hundred", "scale", "and") and value > 0)


def _articles(found: list[Word]) -> list[Word]:
    made: list[Word] = []
    for i, word in enumerate(found):
        article = word.text in ("the", "an") or (word.text == "a" and (word.raw == "a" or word.starts or i == 0))
        if article and i + 1 < len(found) and _leads(found[i + 1]):
            # What stood before the article stands before the next word now.
            found[i + 1] = replace(found[i + 1], gap=word.gap + found[i + 1].gap)
        else:
            made.append(word)
    return made


def _leads(following: Word) -> bool:
    """Whether an article can belong to ``following``; quotes may open there, and "A, B or C" are letters."""
    return re.fullmatch(r"\s+[\"'(]*", following.gap) is not None and following.text not in ("and", "or", "to")


def _dates(found: list[Word]) -> list[Word]:
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
    day, month, end = _day(found, i), _MONTH.get(_at(found, i)), i + 1
    if day is not None:
        end += _at(found, end) == "of"
        month = _MONTH.get(_at(found, end))
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
    made = [Word(_MONTHS[month], found[i].raw, aside=found[i].aside)]
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


def _units(found: list[Word]) -> list[Word]:
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
                Word(part, part, unit=True, aside=word.aside) for part in (_UNIT[(word.money,)]).split()
            ]  # fmt: skip
            continue
        name, i = _unit_at(found, i)
        if name:
            i = _per(found, i, name)
            made += [Word(part, part, unit=True, aside=word.aside) for part in name]
    return made


def _unit_at(found: Sequence[Word], i: int) -> tuple[list[str], int]:
    """Normal name of the unit at place ``i``, the longest there, and the place after it."""
    for length in range(_LONGEST_UNIT, 0, -1):
        part = found[i : i + length]
        if len(part) == length and not any(word.starts for word in part):
            name = _unit_of(*(word.raw if len(word.raw) == 1 else word.text for word in part))
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


def _ranges(found: list[Word]) -> list[Word]:
    """ "between X and Y" and "from X to Y" as "X to Y"; a unit said twice is said once."""
    made: list[Word] = []
    for word in found:
        if _is_number([word]) and len(made) >= 2 and made[-1].text in ("to", "and") and not word.starts:
            first = len(made) - 2
            while first > 0 and made[first].unit:
                first -= 1
            opening = made[first - 1].text if first > 0 and not made[first].starts else ""
            if _is_number([made[first]]) and (made[-1].text == "to" or opening == "between"):
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
        if not _is_number(made[-1:]):
            continue
        after = _past_units(found, i)
        if after > i and _at(found, after) == "to" and _is_number(found[after + 1 : after + 2]):
            unit = [word.text for word in found[i:after]]
            end = _past_units(found, after + 2)
            if unit == [word.text for word in found[after + 2 : end]]:
                i = after
    return made


def _past_units(found: Sequence[Word], i: int) -> int:
    while i < len(found) and found[i].unit:
        i += 1
    return i


# ------------------------------------------------------------------------------------------- quantities

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
        if not _is_number([word]) or word.tied or _pronoun(found, i):
            i += 1
            continue
        assert word.number is not None
        end = _past_units(found, i + 1)
        high, either = None, False
        if _at(found, end) in ("to", "or") and _is_number(found[end + 1 : end + 2]):
            either = found[end].text == "or"
            high = found[end + 1].number
            end = _past_units(found, end + 2)
        unit = " ".join(word.text for word in found[i:end] if word.unit)
        yield Quantity(
            word.number, high, either, unit, _following(found, end), _bound(found, i), word.date, start=i, end=end
        )
        i = end


def _pronoun(found: Sequence[Word], i: int) -> bool:
    if found[i].raw.casefold() != "one" or found[i].text != "1":
        return False
    after = found[i + 1] if i + 1 < len(found) and not found[i + 1].starts else None
    before = _at(found, i - 1) if not found[i].starts else ""
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
