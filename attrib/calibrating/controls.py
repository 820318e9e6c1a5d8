"""Documents, shipped questions and the caller's own → control answers: none of them comes from the documents.

Wrong answers of the tuned model's own are no controls: where they come from is not known. Not covered: how they are
judged (``run``).
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from importlib import resources

import numpy as np

from attrib.assess.learning import general_questions
from attrib.assess.questions import Question
from attrib.checking.effect import spaced
from attrib.corpus import demo
from attrib.corpus.control import question_about
from attrib.index.library import Library
from attrib.records import Section
from attrib.records.item import ASKING
from attrib.text.forms import forms
from attrib.text.units import sentence_spans
from attrib.text.words import words

HELD_OUT = "questions on held-out sections"
GENERAL = "general questions, right answers"
GENERAL_OWN = "general questions, the model's own right answers"
GIVEN = "your control questions, right answers"
GIVEN_OWN = "your control questions, the model's own right answers"
CONTROL_TEXTS = "questions on control texts"
OTHER_SECTIONS = "answers of other sections"

SAME = 1 / 3
"""A sentence of which another section has this share of the words, weighted by rarity, may answer for that one too."""
NEAREST = 10
"""Most similar sections among which one with another question is looked for."""


@dataclass(frozen=True)
class ControlAnswer:
    """An answer that does not come from the documents, to be judged."""

    group: str
    asked: Question
    """With the right answer, where the tuned model's own is compared with it."""
    answer: str | None
    """The answer to judge; None: the tuned model's own, where it is right."""
    decoy: str = ""
    """Heading of the control text that joins the candidate sections; empty without."""


@dataclass(frozen=True)
class ControlSet:
    """All control answers, and what none was found for."""

    answers: tuple[ControlAnswer, ...]
    untested: tuple[str, ...]


def find_controls(
    library: Library,
    held_out: Collection[str],
    asked: Sequence[Question],
    given: Sequence[Question],
    limit: int,
) -> ControlSet:
    """At most ``limit`` of each group, evenly spaced.

    ``held_out``: ids of the sections that tuning never saw. ``asked``: questions on the documents; ``given``: questions
    whose right answers do not stand in them.
    """
    held = list(_of_held_out(library, held_out, asked))
    others = list(_of_other_sections(library, held_out, asked, limit))
    general = general_questions()
    groups = [held, _right(GENERAL, general), _own(GENERAL_OWN, general), _of_control_texts(library), others]
    if given:
        groups += [_right(GIVEN, given), _own(GIVEN_OWN, given)]
    untested = ["wrong answers of the model's own: where they come from is not known"]
    if not held:
        why = "none were kept out of tuning" if not held_out else "none has a title or a question of its own"
        untested.insert(0, f"{HELD_OUT}: {why}")
    if not others:
        untested.insert(0, f"{OTHER_SECTIONS}: no two sections are alike and have questions of their own")
    return ControlSet(tuple(control for group in groups for control in spaced(group, limit)), tuple(untested))


def _rows(name: str) -> Iterator[dict[str, str]]:
    for line in (resources.files("attrib") / "data" / name).read_text("utf-8").splitlines():
        yield json.loads(line)


def _right(group: str, asked: Sequence[Question]) -> list[ControlAnswer]:
    return [ControlAnswer(group, question, question.answer) for question in asked if question.answer]


def _own(group: str, asked: Sequence[Question]) -> list[ControlAnswer]:
    return [ControlAnswer(group, question, None) for question in asked if question.answer]


def _of_control_texts(library: Library) -> list[ControlAnswer]:
    """The shipped control texts become candidate sections that nobody learned, each asked for its own fact. Texts that
    stand in the documents are left out."""
    headings = {section.titles[-1] for section in demo.control().sections if section.id not in _ids(library)}
    return [
        ControlAnswer(
            CONTROL_TEXTS, Question(row["question"], row["answer"], id=row["id"]), row["answer"], row["heading"]
        )
        for row in _rows("control.jsonl")
        if row["heading"] in headings
    ]


def _ids(library: Library) -> set[str]:
    return {section.id for section in library.corpus.sections}


def _of_held_out(library: Library, held_out: Collection[str], asked: Sequence[Question]) -> Iterator[ControlAnswer]:
    """The right answers to the caller's questions on held-out sections; a section without one is asked by its title,
    and its first sentence answers."""
    with_questions = set()
    for question in asked:
        if question.section in held_out and question.answer:
            with_questions.add(question.section)
            yield ControlAnswer(HELD_OUT, question, question.answer)
    for section in library.corpus.sections:
        if section.id in held_out and section.id not in with_questions and (own := own_question(section)):
            yield ControlAnswer(HELD_OUT, Question(own, id=section.id, section=section.id), first_sentence(section))


def _of_other_sections(
    library: Library, held_out: Collection[str], asked: Sequence[Question], limit: int
) -> Iterator[ControlAnswer]:
    """A question on one section, answered with the first sentence of the one most like it that says something else."""
    by_section = {question.section: question for question in asked if question.section and not question.turns}
    sections = library.corpus.sections
    asking = [i for i, section in enumerate(sections) if section.id in by_section or own_question(section)]
    for i in spaced(asking, limit):
        section = sections[i]
        right = [a.answer for a in asked if section.id in by_section and a.question == by_section[section.id].question]
        other = _most_alike(library, i, held_out, right)
        if other is not None:
            question = by_section.get(section.id) or Question(str(own_question(section)), id=section.id)
            yield ControlAnswer(OTHER_SECTIONS, Question(question.question, id=section.id), first_sentence(other))


def _most_alike(library: Library, i: int, held_out: Collection[str], right: Sequence[str | None]) -> Section | None:
    """The trained section with the most words of section ``i`` whose first sentence does not answer for it too, nor
    has one of the ``right`` answers in it."""
    sections = library.corpus.sections
    mine, question = frozenset(words(sections[i].full_text)), own_question(sections[i])
    scores = library.bm25.query(sections[i].full_text)[: len(sections)]
    for j in np.argsort(-scores, kind="stable")[: NEAREST + 1]:
        other = sections[int(j)]
        if int(j) == i or other.id in held_out or scores[int(j)] <= 0 or own_question(other) == question:
            continue
        said = list(dict.fromkeys(words(first_sentence(other))))
        weight = np.array([library.idf(word) for word in said])
        shared = np.array([word in mine for word in said], dtype=float)
        told = frozenset(forms(first_sentence(other)))
        if any(answer and told >= frozenset(forms(answer)) for answer in right):
            continue
        if said and weight @ shared <= SAME * weight.sum():
            return other
    return None


def own_question(section: Section) -> str | None:
    """What the section alone answers: its row's question, its heading where that asks, or «Tell me about TITLE.»; None
    for a section without either."""
    if section.turns:
        return next((turn.content for turn in section.turns if turn.role in ASKING and turn.content.strip()), None)
    if not section.titles:
        return None
    return section.titles[-1] if section.titles[-1].endswith("?") else question_about(section)


def first_sentence(section: Section) -> str:
    """First sentence of the text, or of the row's trained answer."""
    trained = next((turn.content for turn in section.turns if turn.trained and turn.content.strip()), section.text)
    spans = sentence_spans(trained)
    return trained[slice(*spans[0])] if spans else trained.strip()
