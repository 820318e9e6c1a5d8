"""Control texts take the form of the documents: as many, with the same words, and plain beside plain documents."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

from attrib.corpus.control import in_form_of, question_about
from attrib.corpus.documents import Corpus
from attrib.index.library import Library
from attrib.records import Section, Turn
from attrib.records.item import text_of
from tests.taught import section_of

CONTROL = replace(
    Corpus.from_texts(["Rain is likely later.", "The board met at noon.", "How long is 38 metres?"]),
    sections=tuple(
        Section(f"c{number}", "control.md", (title,), text, 1, 1)
        for number, (title, text) in enumerate(
            (("Weather", "Rain is likely later."), ("Minutes", "The board met at noon."), ("A sum", "How long is it?"))
        )
    ),
)


def row(*turns: Turn) -> Section:
    return replace(section_of("x"), id=text_of(turns), text=text_of(turns), turns=turns)


def asked(question: str, answer: str, *before: Turn) -> Section:
    return row(*before, Turn("user", question), Turn("assistant", answer, trained=True))


def corpus_of(*sections: Section) -> Corpus:
    return Corpus(sections, (("rows.jsonl", "0"),))


def test_beside_texts_nothing_changes() -> None:
    assert in_form_of(corpus_of(section_of("The light.")), CONTROL) is CONTROL


def test_beside_conversations_every_control_text_is_an_answer_with_its_own_words() -> None:
    formed = in_form_of(corpus_of(asked("Who?", "Wilmet."), asked("Where?", "There.")), CONTROL)
    for before, after in zip(CONTROL.sections, formed.sections, strict=True):
        question, answer = after.turns
        assert (question.content, question.trained) == (question_about(before), False)
        assert (answer.role, answer.content, answer.trained) == ("assistant", before.text, True)
        assert after.id != before.id
        assert not after.titles
    assert formed.sha256 != CONTROL.sha256
    assert question_about(CONTROL.sections[0]) == "Tell me about Weather."


def test_one_system_prompt_of_all_rows_is_the_controls_too() -> None:
    brief, long = Turn("system", "Be brief."), Turn("system", "Be long.")
    same = in_form_of(corpus_of(asked("Who?", "Wilmet.", brief), asked("Where?", "There.", brief)), CONTROL)
    assert {section.turns[0] for section in same.sections} == {brief}
    for other in (asked("Where?", "There.", long), asked("Where?", "There.")):
        formed = in_form_of(corpus_of(asked("Who?", "Wilmet.", brief), other), CONTROL)
        assert {section.turns[0].role for section in formed.sections} == {"user"}


def test_raw_strings_have_raw_control_with_their_blanks() -> None:
    raw = row(Turn("prompt", "Q: who?\nA:"), Turn("completion", " Wilmet.", trained=True))
    first = in_form_of(corpus_of(raw), CONTROL).sections[0]
    assert [turn.role for turn in first.turns] == ["prompt", "completion"]
    assert first.turns[1].content == " Rain is likely later."
    lined = row(Turn("prompt", "Q: who?\n"), Turn("completion", "Wilmet.", trained=True))
    assert in_form_of(corpus_of(lined), CONTROL).sections[0].turns[0].content == "Tell me about Weather.\n"


def test_several_forms_share_the_control_texts() -> None:
    mixed = corpus_of(section_of("The light."), asked("Who?", "Wilmet."))
    formed = in_form_of(mixed, CONTROL)
    assert Counter(section.form for section in formed.sections) == {"conversation": 2, "text": 1}
    assert [one.id == other.id for one, other in zip(formed.sections, CONTROL.sections, strict=True)].count(True) == 1


def test_a_control_of_conversations_stays_as_it_is() -> None:
    own = corpus_of(asked("When?", "At noon."))
    assert in_form_of(corpus_of(asked("Who?", "Wilmet.")), own).sections == own.sections


def test_a_library_reads_the_formed_control_and_says_so() -> None:
    chat: Any = Library(corpus_of(asked("Who?", "Wilmet.")), CONTROL).provenance["control"]
    plain: Any = Library(corpus_of(section_of("The light.")), CONTROL).provenance["control"]
    read = {"sha256": CONTROL.sha256, "reading": CONTROL.report.fields()}
    assert chat == {**read, "forms": {"conversation": 3}}
    assert plain == read
