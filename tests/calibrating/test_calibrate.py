"""Control answers of a tiny pair: which there are, how they are judged, and whom the promise holds for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from attrib.assess.questions import Question
from attrib.calibrating import controls, run
from attrib.calibrating.controls import find_controls, first_sentence, own_question
from attrib.calibrating.run import Told, calibrate
from attrib.corpus import demo
from attrib.corpus.documents import Corpus
from attrib.errors import InputError, RecordError
from attrib.explaining import explain
from attrib.index.library import Library
from attrib.models.pair import ModelPair
from attrib.options.calibrate import CalibrateOptions
from attrib.options.explain import ExplainOptions
from attrib.records import Section
from attrib.verdict import pair_calibration
from attrib.verdict.calibration import Calibration
from attrib.verdict.pair_calibration import (
    JudgedControl,
    PairCalibration,
    PairKey,
    known_promise,
    promise_of_file,
)
from tests.taught import taught_adapter

HEADINGS = ("Weather", "Minutes", "Metres", "Soil")
CONTROL_TEXTS = ("Rain is likely later.", "The board met at noon.", "It is 38 metres.", "Loam over clay.")
GENERAL = tuple(
    Question(f"What is {i} plus {i}?", str(2 * i), "foundation", id=f"f{i}", accept=(str(2 * i),)) for i in range(2)
)
ROWS = {
    "control.jsonl": [
        {"id": f"c{i}", "question": f"What does text {i} say?", "answer": "a sieve", "heading": HEADINGS[i]}
        for i in range(2)
    ],
}
FACTS = (
    ("Keeper", "The keeper of the light is Wilmet Dallin, once a sailor. He lives there."),
    ("Pump", "The warranty on the pump of the light is thirty-six months.\nIt may be prolonged."),
    ("How tall is the tower?", "The tower of the fair was built of grey slate. It is tall."),
)
OPTIONS = CalibrateOptions(limit=9, max_new_tokens=4)
PLAIN = ExplainOptions(methods=(), mappers=("bm25",), max_new_tokens=4)


@pytest.fixture(scope="module", autouse=True)
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Few and short: a tiny model reads 256 tokens."""
    texts = corpus_of(tmp_path_factory.mktemp("control"), tuple(zip(HEADINGS, CONTROL_TEXTS, strict=True)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(controls, "_rows", lambda name: iter(ROWS[name]))
        patch.setattr(controls, "general_questions", lambda: GENERAL)
        patch.setattr(demo, "control", lambda: texts)
        yield


@pytest.fixture(scope="module")
def taught(base_dir: Path) -> ModelPair:
    return ModelPair.load(str(base_dir), str(taught_adapter(base_dir)), device="cpu")


def corpus_of(folder: Path, facts: tuple[tuple[str, str], ...] = FACTS) -> Corpus:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "facts.md").write_text("\n".join(f"# {title}\n\n{text}\n" for title, text in facts))
    return Corpus.read(folder)


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return Library.make(corpus_of(tmp_path / "docs"), cache=tmp_path / "cache")


@pytest.fixture(scope="module")
def calibrated(taught: ModelPair, tmp_path_factory: pytest.TempPathFactory) -> tuple[Library, PairCalibration]:
    """One whole run, and the library whose cache holds it."""
    folder = tmp_path_factory.mktemp("calibrated")
    library = Library.make(corpus_of(folder / "docs"), cache=folder / "cache")
    return library, calibrate(taught, library, replace(OPTIONS, limit=1))


def test_sections_ask_for_themselves() -> None:
    row = next(iter(demo.retraining()[0].sections))
    assert own_question(row) == f"Tell me about {row.titles[-1]}."
    untitled = Section("a", "notes.txt", (), "It rained. It snowed.", 1, 1)
    assert own_question(untitled) is None
    assert first_sentence(untitled) == "It rained."


def test_every_group_is_found(library: Library) -> None:
    _, _, tower = (section.id for section in library.corpus.sections)
    found = find_controls(library, {tower}, (), (), 9)
    held = [control for control in found.answers if control.group == controls.HELD_OUT]
    assert [(c.asked.question, c.answer) for c in held] == [
        ("How tall is the tower?", "The tower of the fair was built of grey slate.")
    ]
    others = {c.asked.question: c.answer for c in found.answers if c.group == controls.OTHER_SECTIONS}
    # Never a section that was held out: nobody learned its words.
    assert others["Tell me about Keeper."] == "The warranty on the pump of the light is thirty-six months."
    assert others["Tell me about Pump."] == "The keeper of the light is Wilmet Dallin, once a sailor."
    # What has the right answer in it answers the question, wherever it stands.
    pump = library.corpus.sections[1].id
    for right, kept in (("a tailor", True), ("a sailor", False)):
        asked = [Question("What was he?", right, id="he", section=pump)]
        again = find_controls(library, {tower}, asked, (), 9).answers
        assert (others["Tell me about Pump."] in [c.answer for c in again]) == kept
    by_group = {
        group: [c for c in found.answers if c.group == group] for group in (controls.GENERAL, controls.GENERAL_OWN)
    }
    assert [c.answer for c in by_group[controls.GENERAL]] == ["0", "2"]
    assert [c.answer for c in by_group[controls.GENERAL_OWN]] == [None, None]
    assert [c.decoy for c in found.answers if c.group == controls.CONTROL_TEXTS] == list(HEADINGS[:2])
    assert found.untested == ("wrong answers of the model's own: where they come from is not known",)


def test_questions_of_the_callers_own_come_first(library: Library) -> None:
    keeper, _, tower = (section.id for section in library.corpus.sections)
    asked = (Question("Of what is it?", "grey slate", section=tower), Question("Who?", "Dallin", section=keeper))
    given = (Question("What is water?", "a liquid"), Question("No answer?"))
    found = find_controls(library, {tower}, asked, given, 9)
    groups = [(c.group, c.asked.question, c.answer) for c in found.answers]
    assert (controls.HELD_OUT, "Of what is it?", "grey slate") in groups
    assert (controls.HELD_OUT, "Who?", "Dallin") not in groups
    assert (controls.OTHER_SECTIONS, "Who?", FACTS[1][1].split("\n")[0]) in groups
    assert [g for g in groups if g[0] in (controls.GIVEN, controls.GIVEN_OWN)] == [
        (controls.GIVEN, "What is water?", "a liquid"),
        (controls.GIVEN_OWN, "What is water?", None),
    ]


def test_what_cannot_be_tested_is_said(tmp_path: Path) -> None:
    plain = Library.make(Corpus.from_texts(["One text.", "Another text."]), cache=None)
    assert find_controls(plain, (), (), (), 9).untested == (
        "answers of other sections: no two sections are alike and have questions of their own",
        "questions on held-out sections: none were kept out of tuning",
        "wrong answers of the model's own: where they come from is not known",
    )


def test_a_section_that_says_the_same_answers_for_no_other(tmp_path: Path) -> None:
    facts = (
        ("Keeper", "The keeper of the light is Wilmet Dallin."),
        ("Light", "The light is kept: the keeper is Wilmet Dallin."),
    )
    found = find_controls(Library.make(corpus_of(tmp_path / "same", facts), cache=None), (), (), (), 9)
    assert not [c for c in found.answers if c.group == controls.OTHER_SECTIONS]


def test_the_limit_holds_for_each_group(library: Library) -> None:
    groups = [control.group for control in find_controls(library, (), (), (), 1).answers]
    assert len(groups) == len(set(groups)) == 4


def test_a_run_judges_each_control_as_explain_does_to_the_last_bits_of_a_batch(
    taught: ModelPair, calibrated: tuple[Library, PairCalibration]
) -> None:
    library, found = calibrated
    assert found.error == 0.1
    right = [control for control in found.controls if control.group == controls.GENERAL]
    assert [control.answer for control in right] == ["2"]
    alone = explain(taught, library, "What is 1 plus 1?", answer="2", options=PLAIN, promise=None)
    assert right[0].documents == pytest.approx(float(alone.verdict.whole[0]), abs=1e-4)
    # Both models babble: no own answer of theirs is right.
    assert list(found.scores) == [controls.GENERAL, controls.CONTROL_TEXTS, controls.OTHER_SECTIONS]


def test_explain_finds_what_was_calibrated(taught: ModelPair, calibrated: tuple[Library, PairCalibration]) -> None:
    library, found = calibrated
    promise = known_promise(taught, library, Calibration.default())
    assert promise == found.promise()
    explained = explain(taught, library, "What is 1 plus 1?", answer="2", options=PLAIN)
    assert explained.verdict.promise == promise
    # Other documents and other weights are another pair.
    other = replace(library, corpus=library.corpus.without([library.corpus.sections[0].id]))
    assert known_promise(taught, other, Calibration.default()) is None
    assert known_promise(taught, library, replace(Calibration.default(), learned_middle=0.5)) is None


def test_a_control_text_joins_the_candidates(library: Library) -> None:
    libraries = run.with_decoys(library)
    for heading in HEADINGS[:2]:
        joined = libraries[heading]
        assert heading in {section.titles[-1] for section in joined.corpus.sections if section.titles}
        assert heading not in {section.titles[-1] for section in joined.control.sections}
    assert libraries[HEADINGS[0]].control.sections != libraries[HEADINGS[1]].control.sections
    assert len(libraries[HEADINGS[0]].texts) == len(library.texts)


def test_an_interrupted_run_goes_on(taught: ModelPair, library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    few = replace(OPTIONS, limit=1)
    judged: list[str] = []

    def counted(pair: ModelPair, where: Library, told: Sequence[Told], weights: Calibration) -> list[JudgedControl]:
        if len(judged) == 2:
            raise KeyboardInterrupt
        judged.extend(one.control.group for one in told)
        return [JudgedControl(one.control.group, one.control.asked.question, "A", 0.25) for one in told]

    monkeypatch.setattr(run, "_judged", counted)
    monkeypatch.setattr(run, "BLOCK", 1)
    with pytest.raises(KeyboardInterrupt):
        calibrate(taught, library, few)
    assert known_promise(taught, library, Calibration.default()) is None
    first, judged[:] = list(judged), ["one"]
    whole = calibrate(taught, library, few)
    assert sorted(first + judged[1:]) == sorted([controls.GENERAL, controls.CONTROL_TEXTS, controls.OTHER_SECTIONS])
    monkeypatch.setattr(run, "_judged", lambda *arguments: pytest.fail("judged again"))
    assert calibrate(taught, library, few) == whole
    # Another error needs no model.
    assert calibrate(taught, library, replace(few, error=0.2)).promise().error == 0.2
    # Own answers count where they are right.
    monkeypatch.setattr(run, "_judged", counted)
    monkeypatch.setattr(run, "correct", lambda asked, text: 1.0)
    judged.clear()
    assert calibrate(taught, library, few).scores[controls.GENERAL_OWN].tolist() == [0.25]


def made(key: PairKey, scores: list[float], error: float = 0.1) -> PairCalibration:
    return PairCalibration(key, error, tuple(JudgedControl("general", "Q?", "A", p) for p in scores), ())


def test_the_date_of_a_prompt_does_not_count(taught: ModelPair, library: Library) -> None:
    from datetime import datetime

    from attrib.models.chat import Chat
    from attrib.models.templates import Templates

    template = Templates.of("{{ strftime_now('%d') }}{{ messages[0]['content'] }}", "dated").choice()
    keys = []
    for day in (1, 2):
        chat = Chat(taught.chat.tokenizer, replace(taught.chat.form, template=template, date=datetime(2026, 1, day)))
        keys.append(PairKey.of(replace(taught, chat=chat), library, Calibration.default()))
    assert keys[0] == keys[1] != PairKey.of(taught, library, Calibration.default())


def test_a_file_holds_for_its_own_pair_only(taught: ModelPair, library: Library, tmp_path: Path) -> None:
    key = PairKey.of(taught, library, Calibration.default())
    file = made(key, [0.6] * 9).save(tmp_path / "c.json")
    assert promise_of_file(file, taught, library, Calibration.default()).threshold == 0.6
    other = made(replace(key, tuned="other", documents="other"), [0.6] * 9).save(tmp_path / "other.json")
    with pytest.raises(
        InputError, match="another tuned model, set of documents, so that its promise does not hold here"
    ):
        promise_of_file(other, taught, library, Calibration.default())
    file.write_text("{}")
    with pytest.raises(RecordError, match=r"c\.json: .*make it again with attrib calibrate"):
        PairCalibration.load(file)
    with pytest.raises(RecordError, match="No such file"):
        PairCalibration.load(tmp_path / "none.json")


def test_the_shipped_calibration_is_used_where_it_fits(
    taught: ModelPair, library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = PairKey.of(taught, library, Calibration.default())
    monkeypatch.setattr(pair_calibration, "SHIPPED", made(key, [0.7] * 9).save(tmp_path / "shipped.json"))
    promise = known_promise(taught, library, Calibration.default())
    assert promise is not None
    assert promise.threshold == 0.7
    monkeypatch.setattr(pair_calibration, "SHIPPED", made(replace(key, base="x"), [0.7] * 9).save(tmp_path / "x.json"))
    assert known_promise(taught, library, Calibration.default()) is None
