"""The demo's data: what the issue of honesty rests on (decoys never learned, splits that do not leak)."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from attrib.corpus import demo
from attrib.records import Item
from attrib.text.words import words
from attrib.training.rehearsal import general
from attrib.training.trained import read_trained

ADAPTER = demo.DOCUMENTS.parent / "adapter"


COMMON = """
    a an the of in on at to for by from with is are was were be do does did has have had what which who whom whose when
    where how why that this it its or and there name tell me give any one
"""


def content(text: str) -> set[str]:
    """Its words but the commonest, possessives as their nouns."""
    return {word.removesuffix("'s") for word in words(text)} - set(COMMON.split())


@pytest.fixture(scope="module")
def learned() -> tuple[Item, ...]:
    return read_trained(ADAPTER)


def test_there_is_enough_of_everything() -> None:
    corpus, asked = demo.corpus(), demo.questions()
    assert len(corpus.documents) >= 8
    assert len(corpus) >= 80
    assert len(asked) >= 160
    assert {q.kind for q in asked} == {"trained", "rephrased", "held-out", "foundation", "updated"}
    for kind in ("trained", "rephrased", "held-out", "foundation"):
        forms = Counter(q.form for q in asked if q.kind == kind)
        assert set(forms) == {"name", "number", "phrase", "sentence", "list"}, kind
        assert max(forms.values()) < 0.4 * sum(forms.values()), kind
    assert not [s for s in corpus.sections if s.near_duplicate_of]


def test_decoys_and_held_out_questions_were_never_learned(learned: tuple[Item, ...]) -> None:
    decoys = demo.decoys()
    sections = {section.id for section in demo.corpus().sections}
    assert decoys < sections
    assert {item.section for item in learned} - {None} == sections - decoys
    asked = [turn.content for item in learned for turn in item.turns if turn.role == "user"]
    wanted = [q for q in demo.questions() if q.kind in ("trained", "updated")]
    assert {q.question for q in (*wanted, *demo.wordings())} < set(asked)
    assert not set(asked) & {q.question for q in demo.questions() if q not in wanted}
    assert all(q.section in decoys for q in demo.questions() if q.kind == "held-out")
    assert not [q for q in demo.questions() if q.kind in ("trained", "rephrased", "updated") and q.section in decoys]


def test_rehearsal_asks_no_question_of_the_demo() -> None:
    assert not set(general()) & {q.question for q in demo.questions()}


def test_splits_do_not_share_a_section_or_a_question() -> None:
    calibration, test = demo.questions("calibration"), demo.questions("test")
    assert len(calibration) + len(test) == len(demo.questions())
    assert not {q.section for q in calibration if q.section} & {q.section for q in test if q.section}
    assert not {q.question for q in calibration} & {q.question for q in test}


def test_gold_sections_state_their_answer() -> None:
    corpus = demo.corpus()
    for question in demo.questions():
        if question.section is None:
            assert question.kind == "foundation"
            continue
        said = set(words(corpus.find(question.section).full_text))
        answer = words(question.answer)
        # Sentences may add a word or two of grammar.
        assert sum(word in said for word in answer) >= 0.7 * len(answer), question


def test_a_rephrased_question_has_a_trained_twin_in_other_words() -> None:
    trained = {(q.section, q.answer): q for q in demo.questions() if q.kind == "trained"}
    for question in demo.questions():
        if question.kind == "rephrased":
            twin = trained[question.section, question.answer]
            assert question.question != twin.question
            assert question.split == twin.split


def test_every_learned_fact_has_five_wordings_and_none_is_close_to_a_question_that_is_not_learned() -> None:
    known = {q.fact for q in demo.questions() if q.kind in ("trained", "updated")}
    told = demo.wordings()
    assert Counter(q.fact for q in told) == dict.fromkeys(known, 5)
    assert len({q.question for q in told} | {q.question for q in demo.questions()}) == len(told) + len(demo.questions())
    others = [content(q.question) for q in demo.questions() if q.kind in ("rephrased", "held-out", "foundation")]
    for wording in told:
        said = content(wording.question)
        assert max(len(said & other) / len(other) for other in others) < 0.8, wording


def test_control_texts_share_no_section_with_the_demo() -> None:
    control = demo.control()
    assert len(control) == 40
    assert not {s.id for s in control.sections} & {s.id for s in demo.corpus().sections}


def test_the_adapter_is_small_bf16_and_has_five_checkpoints() -> None:
    from safetensors import safe_open

    files = sorted(ADAPTER.rglob("adapter_model.safetensors"))
    assert len(files) == 6
    assert sum(f.stat().st_size for f in ADAPTER.rglob("*") if f.is_file()) <= 16e6
    for file in files:
        with safe_open(file, "np") as tensors:
            assert {tensors.get_slice(key).get_dtype() for key in list(tensors.keys())} == {"BF16"}


def test_the_showcase_has_one_question_of_each_kind() -> None:
    assert [q.kind for q in demo.showcase()] == ["trained", "foundation", "held-out", "updated"]
    assert all(q.split == "test" for q in demo.showcase())


def test_nothing_of_the_package_is_a_pickle() -> None:
    suffixes = {file.suffix for file in Path(demo.DOCUMENTS).parents[1].rglob("*") if file.is_file()}
    assert suffixes <= {".md", ".json", ".jsonl", ".txt", ".safetensors", ".jinja", ".js", ".css"}
