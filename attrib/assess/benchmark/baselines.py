"""Accuracy without knowing any answer but the commonest one, overall and by template."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from attrib.assess.grading.wording import normalise
from attrib.assess.questions import Question
from attrib.errors import InputError


def majority(rows: Iterable[Question]) -> float:
    """Share of ``rows`` that have the commonest right answer: what somebody reaches who always says the same.

    Answers are compared in normal form; rows without one are left out. Raises InputError where none has one.
    """
    return _share([rows])


def majority_by_template(rows: Iterable[Question]) -> float:
    """As ``majority``, with the commonest right answer of each ``template``: always the same to a question of one kind.

    The answers that are counted are those that are guessed, so a template with one question is guessed right.
    """
    by_template: dict[str, list[Question]] = {}
    for row in rows:
        by_template.setdefault(row.template, []).append(row)
    return _share(by_template.values())


def _share(groups: Iterable[Iterable[Question]]) -> float:
    counts = [Counter(normalise(row.answer) for row in group if row.answer is not None) for group in groups]
    total = sum(map(Counter.total, counts))
    if not total:
        raise InputError("majority baseline: no row has a right answer; give rows that have one")
    return sum(max(counted.values(), default=0) for counted in counts) / total
