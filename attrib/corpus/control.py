"""Control texts in the form of the documents: as answers to questions where the documents are conversations.

Tuning on conversations makes any answer in their form more likely, whatever it says. Against plain prose that gain of
form would look like learning. Not covered: the style of the answers, which control texts of your own share better.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import astuple, replace

from attrib.corpus.documents import Corpus
from attrib.records import Section, Turn
from attrib.records.item import CHAT_ROLES, RAW_ROLES, text_of


def question_about(section: Section) -> str:
    """«Tell me about TITLE.», of a section of a document."""
    return f"Tell me about {section.titles[-1] if section.titles else section.document}."


def in_form_of(corpus: Corpus, control: Corpus) -> Corpus:
    """``control`` as models are to read it beside ``corpus``.

    Its texts become conversations where the sections of ``corpus`` are, with their system prompt where all have the
    same; where ``corpus`` has several forms, texts take them in turn, so that each form has control texts of its own.
    Conversations in ``control`` stay as they are.
    """
    models: dict[str, Section] = {}
    for section in corpus.sections:
        models.setdefault(section.form, section)
    if set(models) <= {"text"}:
        return control
    likes = [models[form] for form in sorted(models)]
    system = _system(corpus)
    made, texts = [], 0
    for section in control.sections:
        if section.form == "text":
            section = _formed(section, likes[texts % len(likes)], system)
            texts += 1
        made.append(section)
    return replace(control, sections=tuple(made))


def _system(corpus: Corpus) -> tuple[Turn, ...]:
    """The system prompt that every conversation begins with, if there is one."""
    first = {section.turns[0] for section in corpus.sections if section.form == "conversation"}
    return tuple(first) if len(first) == 1 and next(iter(first)).role == "system" else ()


def _formed(section: Section, like: Section, system: tuple[Turn, ...]) -> Section:
    """A text in the form of ``like``: blanks between question and answer as there."""
    if like.form == "text":
        return section
    asking, answering = RAW_ROLES if like.form == "completion" else CHAT_ROLES
    asked = next((turn.content for turn in like.turns if turn.role == asking), "")
    answered = next(turn.content for turn in like.turns if turn.trained)
    turns = (
        *(system if like.form == "conversation" else ()),
        Turn(asking, question_about(section) + asked[len(asked.rstrip()) :]),
        Turn(answering, answered[: len(answered) - len(answered.lstrip())] + section.text, trained=True),
    )
    name = hashlib.sha256(json.dumps([*map(astuple, turns)]).encode()).hexdigest()[:12]
    return replace(section, id=name, titles=(), text=text_of(turns), turns=turns)
