"""Characters → words: Unicode, signs, contractions, digits; the passes of ``wording`` come after."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

from attrib.assess.grading.dates import MONTHS
from attrib.assess.grading.units import unit_named
from attrib.assess.grading.word import Word

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
_HALVES = "¼½¾⅛⅜⅝⅞⅕⅖⅗⅘"
_SUPERSCRIPT = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")


def clean(text: str) -> str:
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


def scan(text: str) -> list[Word]:
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
            name = MONTHS[int(month) - 1]
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
    unit = unit_named(tail) if tail != "s" else None
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
    if last is not None and last.number is None and unit_named(last.raw) is not None:
        last = found[-2] if len(found) > 1 else None
    return last is not None and last.number is not None and not last.tied
