"""One answer of a model against the right answer → numbers in [0, 1], by pure functions.

A scorer takes a question and the text of a prediction and returns None where it does not apply to that question.
Texts are compared in the normal form of ``wording``, which says what counts as the same; ``runs`` says what counts as a
negation.

Not covered: whether a long answer contradicts itself later, paraphrase ("biennial" for "every two years"), conversion
of units, other languages than English.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable

from attrib.assess.grading.amounts import is_bare_number, same_numbers
from attrib.assess.grading.declining import _abstaining_is_right, abstains, yes_or_no, yes_or_no_of_answer
from attrib.assess.grading.runs import LEAD, place_of, same_text
from attrib.assess.grading.wording import normalise
from attrib.assess.questions import Question
from attrib.errors import InputError

_SEPARATOR = re.compile(r"\s*(?:;|\n|,(?!\d{3})|\band\b|\bor\b|&)\s*", re.IGNORECASE)
_BULLET = re.compile(r"^\s*(?:[-•*]|\d{1,2}[.)])\s+")


# ------------------------------------------------------------------------------------------- the scorers


def exact(asked: Question, prediction: str) -> float | None:
    """1 where the whole prediction equals the right answer, or one of ``accept``, in normal form.

    Texts without a word (punctuation only) are compared as they are, outer blanks aside. None without a right answer.
    """
    rights = _rights(asked)
    return float(any(same_text(right, prediction) for right in rights)) if rights else None


def contains(asked: Question, prediction: str) -> float | None:
    """1 where the words of the right answer, or of one of ``accept``, stand in the prediction as one run that is not
    negated; ``runs`` says what a negation is.

    Words are compared in normal form, a plural s aside ("leg" = "legs"; not in identifiers or words with digits). A
    number is a whole word ("29" is not in "290"), and the end of a range is not in the range ("4 days" is not in "3-4
    days"). Where in the prediction the run stands does not matter here. None without a right answer.
    """
    rights = _rights(asked)
    return float(any(place_of(right, prediction) is not None for right in rights)) if rights else None


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
    scores = [same_numbers(right, prediction) for right in _rights(asked)]
    return max((score for score in scores if score is not None), default=None)


def yes_no(asked: Question, prediction: str) -> float | None:
    """1 where the prediction's first yes or no is that of the right answer.

    Applies where the right answer begins with a yes or no that stands alone or before punctuation ("No, …"); else None.
    A "no" that belongs to a noun ("no guideline", "there is no evidence", "no one") is not an answer;
    "yes and no" is neither, and a prediction without a yes or no scores 0.
    """
    right = yes_or_no_of_answer(asked.answer)
    return None if right is None else float(yes_or_no(prediction) is right)


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
    found = sum(place_of(item, prediction) is not None for item in items)
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


# ------------------------------------------------------------------------------------------- whole answers


def _rights(asked: Question) -> tuple[str, ...]:
    return () if asked.answer is None else (asked.answer, *asked.accept)


def _f1(right: str, prediction: str) -> float:
    meant, said = Counter(normalise(right).split()), Counter(normalise(prediction).split())
    shared = (meant & said).total()
    if not shared:
        return float(same_text(right, prediction))
    precision, recall = shared / said.total(), shared / meant.total()
    return 2 * precision * recall / (precision + recall)


def _gives(right: str, prediction: str) -> bool:
    if same_text(right, prediction):
        return True
    if is_bare_number(right):
        return same_numbers(right, prediction) == 1
    place = place_of(right, prediction)
    return place is not None and place < LEAD


# ------------------------------------------------------------------------------------------- lists


def _listed(answer: str) -> tuple[str, ...]:
    """Items of a right answer that is a list; empty where it is none."""
    items = _items(answer)
    separated = re.search(r"[;\n]|,(?!\d{3})", answer) is not None
    short = all(len(normalise(item).split()) <= 4 for item in items)
    if not separated or not short or len(items) < 3 or answer.rstrip().endswith("."):
        return ()
    # "One hundred and five, six, seven" does not come apart at its "and".
    return items if all(place_of(item, answer) is not None for item in items) else ()


def _items(text: str) -> tuple[str, ...]:
    """Different items between separators, in order."""
    lines = "\n".join(_BULLET.sub("", line) for line in text.split("\n"))
    parts = {normalise(part): part for part in _SEPARATOR.split(lines) if normalise(part)}
    return tuple(parts.values())
