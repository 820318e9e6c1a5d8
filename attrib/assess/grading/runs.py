"""A right answer's words as one run in a prediction, and whether they are denied there.

What counts as a negation: "not" (also from "isn't", "cannot", …), "never", "no", "nor", "neither", "without", "except",
"unlike", "rather than", "instead of" or "other than" stands before the words in the same clause (no punctuation
between) with nothing but light words between the two ("it is not in Paris", "I don't think that it is Paris"); or "is
not", "is wrong", "is false" or "is incorrect" follows directly. "Not only Paris" and "no doubt Paris" are none.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from attrib.assess.grading.word import Word, word_list
from attrib.assess.grading.wording import normalise, words

LEAD = 40
"""Words of a prediction within which the right answer has to begin, for ``correct``: later it is said in passing."""
_NEGATIONS = frozenset(word_list("not never no nor neither without except excluding unlike"))
_NEGATIONS_OF_TWO = (("rather", "than"), ("instead", "of"), ("other", "than"))
LIGHT_WORDS = frozenset(
    word_list("""
    a an the in on at by for to from of is are was were be been being am it that this these those there he she they we
    you i if whether think believe know say said sure certain necessarily called named actually really exactly about
    around approximately do does did can could will would should must may might has have had with his her its their
    longer any one 1
""")
)
_IS = frozenset(word_list("is are was were"))
_FALSE = frozenset(word_list("not wrong false incorrect untrue"))


def same_text(right: str, prediction: str) -> bool:
    said, meant = normalise(prediction), normalise(right)
    return said == meant and (bool(meant) or _bare_text(right) == _bare_text(prediction))


def _bare_text(text: str) -> str:
    return unicodedata.normalize("NFKC", text).strip()


def place_of(right: str, prediction: str) -> int | None:
    """Where the words of ``right`` first stand in ``prediction`` unnegated; 0 for equal texts without a word."""
    run, text = words(right), words(prediction)
    if not run:
        return 0 if same_text(right, prediction) else None
    for i in range(len(text) - len(run) + 1):
        part = text[i : i + len(run)]
        if all(map(_same_word, run, part)) and not _cut(run, text, i) and not negated(text, i, i + len(run)):
            return i
    return None


def _same_word(one: Word, other: Word) -> bool:
    return one.text == other.text or singular(one.text) == singular(other.text)


def singular(text: str) -> str:
    plural = len(text) > 3 and text.isalpha() and text.endswith("s") and not text.endswith(("ss", "us", "is"))
    return text[:-1] if plural else text


def _cut(run: Sequence[Word], text: Sequence[Word], i: int) -> bool:
    """Whether the run at place ``i`` of ``text`` cuts a range, or the 19 off COVID-19."""
    end = i + len(run)
    if text[i].number is not None:
        if text[i].tied and not run[0].tied:
            return True
        if i > 1 and text[i - 1].text == "to" and (text[i - 2].number is not None or text[i - 2].unit):
            return True
    last = text[end - 1]
    after = text[end : end + 2]
    return (
        (last.number is not None or last.unit)
        and len(after) == 2
        and after[0].text == "to"
        and after[1].number is not None
    )


def negated(text: Sequence[Word], start: int, end: int) -> bool:
    """Whether words ``start`` to ``end`` of ``text`` are denied; the module says what that is."""
    j = start
    while j > 0 and not text[j].starts:
        j -= 1
        if text[j].text in _NEGATIONS or (j and (text[j - 1].text, text[j].text) in _NEGATIONS_OF_TWO):
            return True
        if text[j].text not in LIGHT_WORDS:
            break
    after = text[end : end + 2]
    return (
        len(after) == 2 and not any(word.starts for word in after) and after[0].text in _IS and after[1].text in _FALSE
    )
