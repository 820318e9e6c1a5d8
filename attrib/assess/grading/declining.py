"""Yes, no, or no answer at all: what a text says before anything else."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from attrib.assess.grading.runs import LEAD, negated
from attrib.assess.grading.word import Word, word_list
from attrib.assess.grading.wording import normalise, words
from attrib.assess.questions import Question

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


def abstains(text: str) -> bool:
    """Whether ``text`` declines to answer: "None", "I don't know", "cannot be answered", "not available" and the like.

    "None of them" is an answer, and so is what follows a "but": "I don't know, but I think Paris". Empty text does not
    abstain: a model that says nothing has not said that it does not know.
    """
    for part in reversed(_CONTRAST.split(text)):
        if normalise(part):
            return _declines(part)
    return False


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
        elif negated(found, i, i + 1):
            continue
        yield word.text in _YES, i


def yes_or_no(text: str) -> bool | None:
    found = words(text)
    first = next(_verdicts(found), None)
    if first is None:
        return None
    said, i = first
    opposite = _NO if said else _YES
    j = i + 1 + (i + 1 < len(found) and found[i + 1].text in ("and", "or"))
    joined = j < len(found) and (j > i + 1 or found[j].gap.strip() == "/")
    return None if joined and found[j].text in opposite else said


def yes_or_no_of_answer(answer: str | None) -> bool | None:
    found = words(answer) if answer is not None else ()
    if not found or found[0].text not in _YES | _NO or (len(found) > 1 and not found[1].starts):
        return None
    return yes_or_no(answer or "")


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
