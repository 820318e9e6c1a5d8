"""Words → the form that their inflections and spellings share: a stem, or a number in digits.

"Rewarded" and "rewards" have one form, and so have "forty-one", "41" and "41st". Stems are those of the Snowball
algorithm for English (Porter 2001). Not covered: other languages (their words keep most of their endings), fractions,
synonyms.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

from attrib.text.words import WORD, key


def _listed(text: str) -> list[str]:
    return text.split()


_SMALL = _listed("""
    zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen
    eighteen nineteen
""")
_ORDINAL = _listed("""
    zeroth first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth
    fifteenth sixteenth seventeenth eighteenth nineteenth
""")
_TENS = _listed("twenty thirty forty fifty sixty seventy eighty ninety")
_ORDINAL_TENS = _listed("twentieth thirtieth fortieth fiftieth sixtieth seventieth eightieth ninetieth")
_VALUES = {
    **{word: i for words in (_SMALL, _ORDINAL) for i, word in enumerate(words)},
    **{word: 10 * i for words in (_TENS, _ORDINAL_TENS) for i, word in enumerate(words, 2)},
}
_SCALES = {"hundred": 100, "thousand": 1000, "million": 10**6, "billion": 10**9}
_DIGITS = re.compile(r"(\d+)(?:st|nd|rd|th)?")


def forms(text: str) -> list[str]:
    """Form of each word of ``text``, in the order of ``WORD``; every word of a number has the whole number's."""
    words = [key(match.group()) for match in WORD.finditer(text)]
    found = [_stem(word) for word in words]
    for start, end, value in _numbers(words):
        found[start:end] = [str(value)] * (end - start)
    return found


@cache
def _stem(word: str) -> str:
    digits = _DIGITS.fullmatch(word)
    if digits:
        return str(int(digits[1]))
    return str(_stemmer().stemWord(word.removesuffix("'s")))


@cache
def _stemmer() -> Any:
    from snowballstemmer import stemmer

    return stemmer("english")


def _numbers(words: Sequence[str]) -> Iterator[tuple[int, int, int]]:
    """Each number in words: its first place, the place after it, and its value."""
    i = 0
    while i < len(words):
        end, value = _number_at(words, i)
        if end > i:
            yield i, end, value
        i = max(end, i + 1)


def _number_at(words: Sequence[str], start: int) -> tuple[int, int]:
    """The place after the number that begins at ``start``, and its value; ``start`` itself where none begins."""
    total = current = 0
    last, end = "", start
    for i in range(start, len(words)):
        word = words[i]
        if word in _VALUES and _continues(_VALUES[word], last):
            current += _VALUES[word]
            last = "tens" if _VALUES[word] >= 20 else "small"
        elif word == "hundred" and last in ("small", "tens"):
            current, last = current * 100, "scale"
        elif word in _SCALES and last:
            total, current, last = total + current * _SCALES[word], 0, "scale"
        elif word == "and" and last == "scale" and i + 1 < len(words) and words[i + 1] in _VALUES:
            continue
        else:
            break
        end = i + 1
    return end, total + current


def _continues(value: int, last: str) -> bool:
    """Whether a number word may follow: "forty one", "hundred two", but not "two three"."""
    return last in ("", "scale") or (last == "tens" and 0 < value < 10)
