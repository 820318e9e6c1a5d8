"""One answer of a model against the right answer → numbers in [0, 1], by pure functions.

A scorer takes a question and the text of a prediction and returns None where it does not apply to that question.
Texts are compared in the normal form of ``wording``, which says what counts as the same.

What counts as a negation: "not" (also from "isn't", "cannot", …), "never", "no", "nor", "neither", "without", "except",
"unlike", "rather than", "instead of" or "other than" stands before the words in the same clause (no punctuation
between) with nothing but light words between the two ("it is not in Paris", "I don't think that it is Paris"); or "is
not", "is wrong", "is false" or "is incorrect" follows directly. "Not only Paris" and "no doubt Paris" are none.

Not covered: whether a long answer contradicts itself later, paraphrase ("biennial" for "every two years"), conversion
of units, other languages than English.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from attrib.assess.grading.wording import Quantity, Word, normalise, quantities, word_list, words
from attrib.assess.questions import Question
from attrib.errors import InputError

LEAD = 40
"""Words of a prediction within which the right answer has to begin, for ``correct``: later it is said in passing."""

_NEGATIONS = frozenset(word_list("not never no nor neither without except excluding unlike"))
_NEGATIONS_OF_TWO = (("rather", "than"), ("instead", "of"), ("other", "than"))
_LIGHT = frozenset(
    word_list("""
    a an the in on at by for to from of is are was were be been being am it that this these those there he she they we
    you i if whether think believe know say said sure certain necessarily called named actually really exactly about
    around approximately do does did can could will would should must may might has have had with his her its their
    longer any one 1
""")
)
_IS = frozenset(word_list("is are was were"))
_FALSE = frozenset(word_list("not wrong false incorrect untrue"))
_YES = frozenset(word_list("yes yeah yep"))
_NO = frozenset(word_list("no nope"))
_AFTER_AN_ANSWER = frozenset(word_list("it he she they that this there i we you because since as not and or but"))
"""A no that opens a clause answers where one of these follows, or nothing: "no it is not", not "no guideline"."""
_NONE = (
    "none", "n/a", "na", "null", "nil", "unknown", "not known", "none known", "no answer", "not available",
    "not applicable", "not specified", "undetermined", "unanswerable", "not answerable", "cannot be answered",
    "cannot answer", "no information", "not enough information", "insufficient information", "I do not know",
    "do not know",
)  # fmt: skip
"""Whole answers, or whole first clauses, that abstain."""
_ABSTAINING = re.compile(
    r"""\b(?:
    (?:i|we)\ (?:do|did)\ not\ (?:actually\ |really\ )?know
  | (?:i|we)\ (?:have|had)\ no\ (?:idea|information|knowledge|data|answer)
  | do\ not\ have\ (?:(?:any|enough|sufficient|specific|that|this|real)\ )*(?:information|data|knowledge|access)
  | can\ not\ (?:be\ )?(?:answer|determine|know|say|tell|provide|confirm|verify|predict)(?:d|ed|n)?
  | unable\ to\ (?:answer|determine|provide|say|tell|confirm|verify|predict)
  | (?:i\ am|we\ are)\ not\ (?:sure|certain|aware)
  | (?:no|not\ enough|insufficient)\ (?:information|data|knowledge)
  | (?:answer|information|data|it|this|that)\ (?:is|are|was)\ (?:(?:currently|still|yet)\ )?
    (?:unknown|unclear|not\ known|not\ available|not\ clear|not\ given|not\ specified|unavailable|none|n\ a)
  | (?:is|are|was|were)\ unknown
  | (?:has|have)\ not\ (?:yet\ )?(?:happened|occurred|taken\ place)
  | there\ is\ no\ (?:answer|known\ answer|way\ to\ know)
    )\b""",
    re.VERBOSE,
)
_CONTRAST = re.compile(r"\b(?:but|however|although|though|nevertheless)\b", re.IGNORECASE)
_HEDGES = frozenset(
    word_list("""
    about around approximately roughly nearly almost exactly only just some circa at least most more less fewer greater
    than over under above below up to in on of by for during year old age aged is it was be
""")
)
_SEPARATOR = re.compile(r"\s*(?:;|\n|,(?!\d{3})|\band\b|\bor\b|&)\s*", re.IGNORECASE)
_BULLET = re.compile(r"^\s*(?:[-•*]|\d{1,2}[.)])\s+")


# ------------------------------------------------------------------------------------------- the scorers


def exact(asked: Question, prediction: str) -> float | None:
    """1 where the whole prediction equals the right answer, or one of ``accept``, in normal form.

    Texts without a word (punctuation only) are compared as they are, outer blanks aside. None without a right answer.
    """
    rights = _rights(asked)
    return float(any(_same_text(right, prediction) for right in rights)) if rights else None


def contains(asked: Question, prediction: str) -> float | None:
    """1 where the words of the right answer, or of one of ``accept``, stand in the prediction as one run that is not
    negated; see the module for what a negation is.

    Words are compared in normal form, a plural s aside ("leg" = "legs"; not in identifiers or words with digits). A
    number is a whole word ("29" is not in "290"), and the end of a range is not in the range ("4 days" is not in "3-4
    days"). Where in the prediction the run stands does not matter here. None without a right answer.
    """
    rights = _rights(asked)
    return float(any(_place(right, prediction) is not None for right in rights)) if rights else None


def token_f1(asked: Question, prediction: str) -> float | None:
    """F1 of the prediction's words against the right answer's, as bags (SQuAD); the best over answer and ``accept``.

    None without a right answer.
    """
    return max((_f1(right, prediction) for right in _rights(asked)), default=None)


def numeric(asked: Question, prediction: str) -> float | None:
    """1 where the first quantities that the prediction asserts are those of the right answer, in its order.

    As many are compared as the right answer has; negated ones and those in parentheses are passed over on both sides.
    A range is one quantity and equals neither of its ends; so is "3 or 4". Units have to agree where both have one; "at
    least" and "at most" only must not contradict each other. The best over answer and ``accept``; None where none of
    them has a number.
    """
    scores = [_same_numbers(right, prediction) for right in _rights(asked)]
    return max((score for score in scores if score is not None), default=None)


def yes_no(asked: Question, prediction: str) -> float | None:
    """1 where the prediction's first yes or no is that of the right answer.

    Applies where the right answer begins with a yes or no that stands alone or before punctuation ("No, …"); else None.
    A "no" that belongs to a noun ("no guideline", "there is no evidence", "no one") is not an answer;
    "yes and no" is neither, and a prediction without a yes or no scores 0.
    """
    right = _verdict_of_answer(asked.answer)
    return None if right is None else float(_verdict(prediction) is right)


def abstention(asked: Question, prediction: str) -> float | None:
    """1 where abstaining is right ("None", "unknown", …) and the prediction abstains; None for other right answers."""
    return float(abstains(prediction)) if _abstaining_is_right(asked) else None


def old_answer(asked: Question, prediction: str) -> float | None:
    """1 where the prediction gives what was right before the update and not what is right now, both judged by
    ``correct``. None without ``answer_before``; ``accept_before`` counts as it."""
    if asked.answer_before is None:
        return None
    before = Question(asked.question, asked.answer_before, accept=asked.accept_before)
    return float(
        correct(before, prediction) == 1 and not (asked.answer is not None and correct(asked, prediction) == 1)
    )


def lists(asked: Question, prediction: str) -> float | None:
    """F1 of the items of a right answer that is a list ("A, B and C"), whatever their order; else None.

    A list has at least three items of at most four words each, with commas, semicolons or lines between them, and is no
    sentence. An item of it is found where its words stand in the prediction as ``contains`` says; precision is taken
    over the prediction's own items.
    """
    items = _listed(asked.answer) if asked.answer is not None else ()
    if not items:
        return None
    given = _items(prediction)
    found = sum(_place(item, prediction) is not None for item in items)
    if not found:
        return 0.0
    precision = found / max(len(given), found)
    recall = found / len(items)
    return 2 * precision * recall / (precision + recall)


SCORERS: dict[str, Callable[[Question, str], float | None]] = {
    "exact": exact,
    "contains": contains,
    "token_f1": token_f1,
    "numeric": numeric,
    "yes_no": yes_no,
    "abstains": abstention,
    "old_answer": old_answer,
    "lists": lists,
}


def score_row(asked: Question, prediction: str) -> dict[str, float | None]:
    """Every scorer's value for one prediction, by its name; None where a scorer does not apply."""
    return {name: scorer(asked, prediction) for name, scorer in SCORERS.items()}


def correct(asked: Question, prediction: str) -> float:
    """The headline accuracy of one prediction, 0 or 1. The first of these that applies to the right answer decides:

    1. it begins with yes or no: ``yes_no``;
    2. it abstains ("None"): ``abstention``;
    3. it is a bare number, range or date, with its unit ("36 months", "in 1764", "11 legs"): ``exact`` or ``numeric``;
    4. else the prediction equals it (``exact``), contains it with a beginning within the first ``LEAD`` words
       (``contains``), or lists all its items and no others (``lists`` = 1).

    ``accept`` counts as the right answer in 3 and 4. Raises InputError where there is no right answer.
    """
    if asked.answer is None:
        raise InputError(f"question {asked.id or asked.question!r}: it has no right answer to be judged by; give one")
    for verdict in (yes_no(asked, prediction), abstention(asked, prediction)):
        if verdict is not None:
            return verdict
    return float(any(_gives(right, prediction) for right in _rights(asked)) or lists(asked, prediction) == 1)


def abstains(text: str) -> bool:
    """Whether ``text`` declines to answer: "None", "I don't know", "cannot be answered", "not available" and the like.

    "None of them" is an answer, and so is what follows a "but": "I don't know, but I think Paris". Empty text does not
    abstain: a model that says nothing has not said that it does not know.
    """
    for part in reversed(_CONTRAST.split(text)):
        if normalise(part):
            return _declines(part)
    return False


# ------------------------------------------------------------------------------------------- whole answers


def _rights(asked: Question) -> tuple[str, ...]:
    return () if asked.answer is None else (asked.answer, *asked.accept)


def _same_text(right: str, prediction: str) -> bool:
    said, meant = normalise(prediction), normalise(right)
    return said == meant and (bool(meant) or _bare_text(right) == _bare_text(prediction))


def _bare_text(text: str) -> str:
    return unicodedata.normalize("NFKC", text).strip()


def _f1(right: str, prediction: str) -> float:
    meant, said = Counter(normalise(right).split()), Counter(normalise(prediction).split())
    shared = (meant & said).total()
    if not shared:
        return float(_same_text(right, prediction))
    precision, recall = shared / said.total(), shared / meant.total()
    return 2 * precision * recall / (precision + recall)


def _gives(right: str, prediction: str) -> bool:
    if _same_text(right, prediction):
        return True
    if _bare_number(right):
        return _same_numbers(right, prediction) == 1
    place = _place(right, prediction)
    return place is not None and place < LEAD


# ------------------------------------------------------------------------------------------- runs of words


def _place(right: str, prediction: str) -> int | None:
    """Where the words of ``right`` first stand in ``prediction`` unnegated; 0 for equal texts without a word."""
    run, text = words(right), words(prediction)
    if not run:
        return 0 if _same_text(right, prediction) else None
    for i in range(len(text) - len(run) + 1):
        part = text[i : i + len(run)]
        if all(map(_same_word, run, part)) and not _cut(run, text, i) and not _negated(text, i, i + len(run)):
            return i
    return None


def _same_word(one: Word, other: Word) -> bool:
    return one.text == other.text or _singular(one.text) == _singular(other.text)


def _singular(text: str) -> str:
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


def _negated(text: Sequence[Word], start: int, end: int) -> bool:
    """Whether words ``start`` to ``end`` of ``text`` are denied; the module says what that is."""
    j = start
    while j > 0 and not text[j].starts:
        j -= 1
        if text[j].text in _NEGATIONS or (j and (text[j - 1].text, text[j].text) in _NEGATIONS_OF_TWO):
            return True
        if text[j].text not in _LIGHT:
            break
    after = text[end : end + 2]
    return (
        len(after) == 2 and not any(word.starts for word in after) and after[0].text in _IS and after[1].text in _FALSE
    )


# ------------------------------------------------------------------------------------------- numbers


def _asserted(text: str) -> tuple[Quantity, ...]:
    found = words(text)
    return tuple(one for one in quantities(found) if not _negated(found, one.start, one.end))


def _same_numbers(right: str, prediction: str) -> float | None:
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
    if not following or following[0] in _HEDGES or following[0] in _LIGHT or following[0] in ("and", "or", "but"):
        return True
    return {_singular(word) for word in noun} <= {_singular(word) for word in following}


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


def _bare_number(right: str) -> bool:
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


# ------------------------------------------------------------------------------------------- yes, no, none


def _verdicts(found: Sequence[Word]) -> Iterator[tuple[bool, int]]:
    """Each yes (True) or no that answers, with its place."""
    for i, word in enumerate(found):
        if word.text not in _YES and word.text not in _NO:
            continue
        following = found[i + 1] if i + 1 < len(found) and not found[i + 1].starts else None
        opens = i == 0 or word.starts
        if word.text in _NO:
            if following is not None and (not opens or following.text not in _AFTER_AN_ANSWER):
                continue
        elif _negated(found, i, i + 1):
            continue
        yield word.text in _YES, i


def _verdict(text: str) -> bool | None:
    found = words(text)
    first = next(_verdicts(found), None)
    if first is None:
        return None
    said, i = first
    opposite = _NO if said else _YES
    j = i + 1 + (i + 1 < len(found) and found[i + 1].text in ("and", "or"))
    joined = j < len(found) and (j > i + 1 or found[j].gap.strip() == "/")
    return None if joined and found[j].text in opposite else said


def _verdict_of_answer(answer: str | None) -> bool | None:
    found = words(answer) if answer is not None else ()
    if not found or found[0].text not in _YES | _NO or (len(found) > 1 and not found[1].starts):
        return None
    return _verdict(answer or "")


def _abstaining_is_right(asked: Question) -> bool:
    return asked.answer is not None and normalise(asked.answer) in _NONE_NORMAL


def _declines(text: str) -> bool:
    found = words(text)
    if " ".join(word.text for word in found) in _NONE_NORMAL:
        return True
    clause = " ".join(word.text for word in _first_clause(found))
    if clause in _NONE_NORMAL:
        return True
    if clause in ("answer", "final answer", "response"):
        rest = [replace(word, gap="") if i == 0 else word for i, word in enumerate(found[len(clause.split()) :])]
        return " ".join(word.text for word in _first_clause(rest)) in _NONE_NORMAL
    return _ABSTAINING.search(" ".join(word.text for word in found[:LEAD])) is not None


def _first_clause(found: Sequence[Word]) -> Sequence[Word]:
    for i, word in enumerate(found):
        if i and word.starts:
            return found[:i]
    return found


_NONE_NORMAL = frozenset(map(normalise, _NONE))


# ------------------------------------------------------------------------------------------- lists


def _listed(answer: str) -> tuple[str, ...]:
    """Items of a right answer that is a list; empty where it is none."""
    items = _items(answer)
    separated = re.search(r"[;\n]|,(?!\d{3})", answer) is not None
    short = all(len(normalise(item).split()) <= 4 for item in items)
    if not separated or not short or len(items) < 3 or answer.rstrip().endswith("."):
        return ()
    # "One hundred and five, six, seven" does not come apart at its "and".
    return items if all(_place(item, answer) is not None for item in items) else ()


def _items(text: str) -> tuple[str, ...]:
    """Different items between separators, in order."""
    lines = "\n".join(_BULLET.sub("", line) for line in text.split("\n"))
    parts = {normalise(part): part for part in _SEPARATOR.split(lines) if normalise(part)}
    return tuple(parts.values())
