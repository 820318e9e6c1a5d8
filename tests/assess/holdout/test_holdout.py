"""Holdout: what was learned shows in its part and only there, p of the gap is uniform under the null, and a tiny model
goes the whole route, tuning and removal included."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from make_holdout import QUICK, make_asked, make_measured, make_report, make_sections
from scipy import stats

from attrib.assess.holdout.comparing import compare, expected_exposure, gap_of, summarise, values_of
from attrib.assess.holdout.measuring import alternatives, chosen_sections, encode_section, form_of, score_alternatives
from attrib.assess.holdout.membership import exposure_by_chance
from attrib.assess.holdout.options import HoldoutOptions
from attrib.assess.holdout.records import GAP, MEASURES, REPHRASED_GAP, HoldoutReport
from attrib.assess.holdout.removal import assess_removal, removal_of
from attrib.assess.holdout.run import assess_holdout, hold_out
from attrib.assess.questions import Question
from attrib.assess.split import Part, given_split, split
from attrib.corpus.documents import Corpus
from attrib.errors import InputError
from attrib.models.pair import ModelPair
from attrib.models.prompt import encode_given
from attrib.options.loading import Loading
from attrib.passes.capture import capture_items
from attrib.passes.likelihood import score_given
from attrib.records import Section, Turn
from attrib.records.item import text_of
from attrib.training.options import TuneOptions
from attrib.training.trained import read_trained
from attrib.training.without import retrain_without, with_twins

# ------------------------------------------------------------------------------------------- comparing


def value(report: HoldoutReport, *key: str) -> float:
    found = report.quantity(*key)
    assert found is not None
    return found.value


def test_what_was_learned_shows_in_its_part_and_only_there() -> None:
    report = make_report()
    assert value(report, "accuracy", "tuned-on", "tuned") == 1.0
    assert value(report, "accuracy", "tuned-on", "base") == 0.0
    assert value(report, "accuracy", "held-out", "tuned") == 0.0
    gap = report.quantity("accuracy", GAP, "difference")
    assert gap is not None
    assert (gap.value, gap.low, gap.high) == (1.0, 1.0, 1.0)
    assert gap.p == 1 / (1 + QUICK.permutations)
    # 12 facts with a rephrasing each, 12 held out.
    assert (gap.n, gap.groups) == (36, 24)
    within = report.quantity("logprob", "tuned-on", "difference")
    assert within is not None
    assert within.low > 2
    assert within.p < 0.02
    outside = report.quantity("logprob", "held-out", "difference")
    assert outside is not None
    assert outside.low < 0 < outside.high
    rephrased = report.quantity("accuracy", REPHRASED_GAP, "tuned")
    assert rephrased is not None
    assert (rephrased.value, rephrased.n) == (0.0, 12)


def test_what_learned_nothing_has_no_gap() -> None:
    report = make_report(knows=False)
    gap = report.quantity("logprob", GAP, "difference")
    assert gap is not None
    assert gap.low < 0 < gap.high
    assert gap.p > 0.05
    assert all(auc.p > 0.01 for auc in report.membership if auc.score == "reference")


def test_parts_sum_up_and_kinds_stand_below_their_part() -> None:
    report = make_report()
    parts = ("tuned-on", "held-out", "general")
    assert [report.quantity("accuracy", part, "base").n for part in parts] == [24, 12, 4]  # type: ignore[union-attr]
    kinds = [q.kind for q in report.quantities if (q.measure, q.part, q.side) == ("accuracy", "tuned-on", "base")]
    assert kinds == ["all", "trained", "rephrased"]
    mean = (value(report, "logprob", "tuned-on", "tuned", "trained") * 12) + (
        value(report, "logprob", "tuned-on", "tuned", "rephrased") * 12
    )
    assert mean / 24 == pytest.approx(value(report, "logprob", "tuned-on", "tuned"))
    for q in report.quantities:
        if q.side == "difference" and q.part in parts:
            sides = [value(report, q.measure, q.part, side, q.kind) for side in ("base", "tuned")]
            assert q.value == pytest.approx(sides[1] - sides[0])
            assert q.low - 1e-9 <= q.value <= q.high + 1e-9


def test_memorisation_of_the_wording_is_the_gap_to_its_rephrasings() -> None:
    sections, asked = make_sections(16), make_asked(16)
    found = given_split(sections, asked)
    rng = np.random.default_rng(0)
    base = make_measured(rng, asked, found.parts, 16, knows=False)
    tuned = make_measured(rng, asked, found.parts, 16, knows=True)
    replies = tuple("no idea" if q.kind == "rephrased" else text for q, text in zip(asked, tuned.replies, strict=True))
    report = compare(asked, found, base, replace(tuned, replies=replies), sections, QUICK, {})
    assert value(report, "accuracy", "tuned-on", "tuned", "trained") == 1.0
    assert value(report, "accuracy", "tuned-on", "tuned", "rephrased") == 0.0
    assert value(report, "accuracy", REPHRASED_GAP, "difference") == 1.0


def test_p_of_the_gap_is_uniform_under_the_null() -> None:
    """300 data sets: tuning moves each fact's questions by an amount that its part has no say in."""
    asked = make_asked(24)
    parts = np.array([given_split(make_sections(24), asked).parts])[0]
    rng = np.random.default_rng(5)
    facts = sorted({q.fact for q in asked if q.kind != "foundation"})
    options = HoldoutOptions(resamples=2, permutations=199)
    p: list[float] = []
    naive: list[float] = []
    for seed in range(300):
        move = dict(zip(facts, rng.normal(3, 2, len(facts)), strict=True))
        out = set(rng.permutation(facts)[: len(facts) // 3].tolist())
        chosen: list[Part] = [
            "general" if part == "general" else "held-out" if q.fact in out else "tuned-on"
            for q, part in zip(asked, parts, strict=True)
        ]
        groups = np.unique([q.fact for q in asked], return_inverse=True)[1]
        base = rng.normal(-4, 1, len(asked))
        tuned = base + [move.get(q.fact, 0.0) for q in asked] + 0.3 * rng.normal(size=len(asked))
        sides: list[dict[str, np.ndarray]] = [{"logprob": base}, {"logprob": tuned}]
        for of, into in ((groups, p), (np.arange(len(asked)), naive)):
            found = gap_of(
                "logprob", "difference", sides[1]["logprob"] - sides[0]["logprob"], np.array(chosen), of,
                replace(options, seed=seed),
            )  # fmt: skip
            into.append(found[0].p)
    assert stats.kstest(p, "uniform").pvalue > 0.01
    # Questions of a fact taken for independent: too many small ones.
    assert np.mean(np.array(naive) <= 0.05) > np.mean(np.array(p) <= 0.05)


def test_a_measure_that_does_not_apply_is_left_out_and_not_counted_as_zero() -> None:
    asked = make_asked(8, rephrased=False, general=0)
    nan = {name: np.full(8, np.nan) for name in MEASURES}
    half = {**nan, "exposure": np.array([1.0, np.nan, 3.0, np.nan, 5.0, 5.0, 5.0, 5.0])}
    parts = given_split(make_sections(8), asked).parts
    found = summarise(asked, parts, np.arange(8), half, half, QUICK)
    assert {q.measure for q in found} == {"exposure"}
    first = next(q for q in found if (q.part, q.side) == ("tuned-on", "base"))
    assert (first.value, first.n) == (2.0, 2)


def test_rows_have_every_question_on_both_sides_with_what_does_not_apply_as_none() -> None:
    report = make_report()
    assert len(report.rows) == 2 * 40
    general = [row for row in report.rows if row.part == "general"]
    assert all(row.exposure is None and row.truth_ratio is None and row.candidates == 0 for row in general)
    learned = [row for row in report.rows if row.part == "tuned-on" and row.side == "tuned"]
    assert all(row.exposure == pytest.approx(np.log2(6)) for row in learned)
    assert expected_exposure(report.rows) == pytest.approx(exposure_by_chance(5))


# ------------------------------------------------------------------------------------------- notes


def test_blind_baselines_warn_where_the_parts_differ_and_not_where_they_do_not() -> None:
    sections, asked = make_sections(24), make_asked(24, rephrased=False)
    found = given_split(sections, asked)
    rng = np.random.default_rng(0)
    base = make_measured(rng, asked, found.parts, 24, knows=False)
    dated = tuple(
        replace(q, question=f"{q.question} In 17{i:02}?") if part == "held-out" else q
        for i, (q, part) in enumerate(zip(asked, found.parts, strict=True))
    )
    report = compare(dated, found, base, base, sections, QUICK, {})
    warned = [note for note in report.notes if note.startswith("Warning: without any model")]
    assert any("answers" in note and "no evidence" in note for note in warned)
    shuffled = [s.id for s in sections]
    mixed = [
        replace(
            q, question="Who kept the light?" + " really" * int(rng.integers(0, 4)), answer="Wilmet Dallin", kind=""
        )
        for q in asked
    ]
    out = set(rng.permutation(shuffled)[:12].tolist())
    fair = given_split(sections, [replace(q, question=f"{q.question} {q.id}") for q in mixed], held=out)
    report = compare(tuple(mixed), fair, base, base, (), QUICK, {})
    assert not [note for note in report.notes if note.startswith("Warning: without any model")]


def test_few_groups_leaks_and_an_easier_part_are_said() -> None:
    sections, asked = make_sections(6), make_asked(6)
    tied = (*asked, replace(asked[-5], id="x", kind="trained", section="s5", fact="f5"))
    found = given_split(sections, tied)
    base = make_measured(np.random.default_rng(0), tied, found.parts, 6, knows=True)
    report = compare(tied, found, base, base, sections, QUICK, {})
    text = "\n".join(report.notes)
    assert "asked for in both parts" in text
    assert "too few for its intervals" in text
    assert "base itself tells the two parts' sections apart" in text
    assert not any("base itself" in note for note in make_report(knows=False, seed=2).notes)


# ------------------------------------------------------------------------------------------- wrong answers


def ask(number: int, answer: str, **more: Any) -> Question:
    return Question(f"Question {number}?", answer, id=f"q{number}", **more)


def test_wrong_answers_are_of_the_same_part_fitting_ones_first_and_never_right() -> None:
    asked = [
        ask(0, "Wilmet Dallin", template="name", accept=("Oda Brask",)),
        ask(1, "wilmet dallin.", template="name"), ask(2, "Oda Brask", template="name"),
        ask(3, "Tam Harrow", template="name"), ask(4, "38 metres", template="number"), ask(5, "Ilse Varn"),
        ask(6, "Bero Quill", template="name"), ask(7, "Nessa Crowe", fact="f"), ask(8, "Mab Stane", fact="f"),
    ]  # fmt: skip
    parts: list[Part] = ["tuned-on"] * 6 + ["held-out", "tuned-on", "tuned-on"]
    found = alternatives(asked, parts, 3)
    assert set(found[0][:1]) == {"Tam Harrow"}
    assert "38 metres" not in found[0]
    assert "Bero Quill" not in found[0]
    assert not {"wilmet dallin.", "Oda Brask", "Wilmet Dallin"} & set(found[0])
    everything = alternatives(asked, parts, 99)
    assert everything[0][-1] == "38 metres"
    assert "Mab Stane" not in everything[7]
    assert everything[6] == ()
    assert all(len(set(map(str.casefold, wrong))) == len(wrong) for wrong in everything)
    assert alternatives(asked, parts, 3) == found
    assert any(alternatives(asked, parts, 2, seed) != alternatives(asked, parts, 2) for seed in range(1, 9))
    assert alternatives(asked, ["general"] * 9, 3) == ((),) * 9


@pytest.mark.parametrize(
    ("answer", "form"),
    [
        ("29 metres", "number"), ("Wilmet Dallin", "name"), ("salt, tar and rope", "list"), ("the old boat", "phrase"),
        ("They ring the bell twice before the tide.", "sentence"), ("", "phrase"),
    ],
)  # fmt: skip
def test_forms_are_told_by_looks(answer: str, form: str) -> None:
    assert form_of(answer) == form


def test_sections_are_drawn_from_both_parts() -> None:
    sections, asked = make_sections(30), make_asked(30)
    found = given_split(sections, asked)
    chosen = chosen_sections(sections, found, HoldoutOptions(sections=4))
    assert sum(s.id in found.kept for s in chosen) == sum(s.id in found.held for s in chosen) == 4
    assert chosen_sections(sections, found, HoldoutOptions(sections=0)) == ()
    assert chosen_sections(sections, found, HoldoutOptions(sections=99)) == sections


# ------------------------------------------------------------------------------------------- a tiny model


def test_answers_after_one_reading_of_the_prompt_score_as_each_by_itself(tiny_pair64: ModelPair) -> None:
    questions = [Question(text) for text in ("Who keeps the light?", "How tall was it?", "What?")]
    answers = [["Wilmet Dallin", "38 metres tall in the year 1712", "a"], [], ["thirty-six months"]]
    for model in (tiny_pair64.base, tiny_pair64.tuned):
        found = score_alternatives(model, questions, answers, context=tiny_pair64.context)
        assert found[1] == ()
        for question, texts, values in zip(questions, answers, found, strict=True):
            given = [encode_given(model.chat, question.question, text, context=tiny_pair64.context) for text in texts]
            alone = [float(one.logprob.mean()) for g in given for one in score_given(model, [g])]
            assert list(values) == pytest.approx(alone, abs=1e-9)


def test_a_sections_text_scores_as_capture_reads_it(tiny_pair64: ModelPair) -> None:
    text = SENTENCES[0]
    (section,) = Corpus.from_texts([text]).sections
    encoded, rows = encode_section(tiny_pair64.chat, section, tiny_pair64.context)
    assert rows == tuple(range(len(encoded.answer_ids)))
    for model in (tiny_pair64.base, tiny_pair64.tuned):
        ours = score_given(model, [encoded])[0].logprob
        theirs = capture_items(model, [section.item], -1)[0]
        assert float(ours.sum()) == pytest.approx(theirs.logprob, abs=1e-5)
        assert len(ours) == theirs.tokens
    (long,) = Corpus.from_texts([text * 90]).sections
    assert len(encode_section(tiny_pair64.chat, long, 64)[0].ids) == 64


def test_of_a_conversation_the_trained_turns_are_scored(tiny_pair64: ModelPair) -> None:
    turns = (
        Turn("user", "Who keeps the light?"), Turn("assistant", "Wilmet Dallin.", trained=True),
        Turn("user", "How tall is it?"), Turn("assistant", "I know not."), Turn("user", "And the tower?"),
        Turn("assistant", "38 metres tall.", trained=True),
    )  # fmt: skip
    section = Section("row", "rows.jsonl", (), text_of(turns), 1, 1, 1, turns=turns)
    encoded, rows = encode_section(tiny_pair64.chat, section, tiny_pair64.context)
    assert tiny_pair64.tokenizer.decode([encoded.answer_ids[row] for row in rows]) == "Wilmet Dallin.38 metres tall."
    (scored,) = score_given(tiny_pair64.tuned, [encoded])
    theirs = capture_items(tiny_pair64.tuned, [section.item], -1)[0]
    assert float(scored.at(rows).logprob.sum()) == pytest.approx(theirs.logprob, abs=1e-5)
    assert len(rows) == theirs.tokens < len(encoded.answer_ids)


SENTENCES = [
    "The keeper of the light is Wilmet Dallin.", "In the year 1712 it was 38 metres tall.",
    "The warranty on the pump is thirty-six months.", "The light is kept in the first year.",
    "The pump is tall and the light is long.", "How long is the year of the keeper?",
]  # fmt: skip
ANSWERS = ["Wilmet Dallin", "38 metres", "thirty-six months", "the first year", "the pump", "long"]
TINY = HoldoutOptions(
    max_new_tokens=6, candidates=2, resamples=50, permutations=49, blind_permutations=4, batch=4, sections=4
)
TUNE = TuneOptions(epochs=12, learning_rate=2e-2, rank=4, batch=2, dropout=0.0, warmup=1, checkpoints=(1.0,))


@pytest.fixture(scope="module")
def world() -> tuple[Corpus, tuple[Question, ...]]:
    corpus = Corpus.from_texts(SENTENCES)
    asked = []
    for i, (section, answer) in enumerate(zip(corpus.sections, ANSWERS, strict=True)):
        common: dict[str, Any] = {"section": section.id, "fact": f"f{i}"}
        asked.append(Question(f"What of {i} is kept?", answer, "trained", f"q{i}", **common))
        asked.append(Question(f"Tell of {i}: what is it?", answer, "rephrased", f"r{i}", **common))
    return corpus, (*asked, Question("How long is a year?", "long", "foundation", "g0"))


@pytest.fixture(scope="module")
def held(
    world: tuple[Corpus, tuple[Question, ...]], base_dir: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, HoldoutReport]:
    corpus, asked = world
    out = tmp_path_factory.mktemp("holdout")
    found = split(corpus.sections, asked, seed=1)
    return out, hold_out(
        str(base_dir), corpus, asked, found, out, tuning=TUNE, options=TINY, loading=Loading(device="cpu")
    )


def test_a_tiny_model_is_tuned_on_one_part_and_learns_it(
    held: tuple[Path, HoldoutReport], world: tuple[Corpus, tuple[Question, ...]]
) -> None:
    out, report = held
    corpus, asked = world
    found = split(corpus.sections, asked, seed=1)
    items = read_trained(out / "adapter")
    assert {item.section for item in items} == set(found.kept)
    assert {item.id for item in items if not item.is_text} == {
        f"q:{q.id}" for q in asked if q.section in found.kept and q.kind == "trained"
    }
    learned = report.quantity("logprob", "tuned-on", "difference", "trained")
    gap = report.quantity("logprob", GAP, "difference")
    assert learned is not None
    assert gap is not None
    assert learned.value > 2
    assert gap.value > 1
    told = {(auc.of, auc.score): auc.auc for auc in report.membership}
    assert told["sections", "reference"] == 1.0
    assert (out / "answers.jsonl").is_file()
    assert str(out) not in repr(report.provenance)
    assert "/" not in str(report.provenance["tuned"])


def test_the_same_call_tunes_nothing_again_and_gives_the_same(
    held: tuple[Path, HoldoutReport], world: tuple[Corpus, tuple[Question, ...]], base_dir: Path
) -> None:
    out, report = held
    corpus, asked = world
    told: list[str] = []
    again = hold_out(
        str(base_dir), corpus, asked, split(corpus.sections, asked, seed=1), out,
        tuning=TUNE, options=TINY, loading=Loading(device="cpu"), progress=lambda what, done, total: told.append(what),
    )  # fmt: skip
    assert again.rows == report.rows
    assert again.quantities == report.quantities or repr(again.quantities) == repr(report.quantities)
    assert again.membership == report.membership


def test_a_model_tuned_by_the_user_is_assessed_without_documents(tiny_pair: ModelPair) -> None:
    asked = [replace(q, section=None) for q in make_asked(6)]
    report = assess_holdout(tiny_pair, None, asked, given_split((), asked), TINY)
    assert {auc.of for auc in report.membership} == {"answers"}
    assert len(report.rows) == 2 * len(asked)


def test_questions_without_an_answer_are_refused(tiny_pair: ModelPair) -> None:
    asked = [replace(q, answer=None) for q in make_asked(4)]
    with pytest.raises(InputError, match="'q0': it has no right answer"):
        assess_holdout(tiny_pair, None, asked, given_split(make_sections(4), asked), TINY)


def test_a_section_is_removed_by_tuning_again_and_only_its_answers_are_lost(
    held: tuple[Path, HoldoutReport], world: tuple[Corpus, tuple[Question, ...]], base_dir: Path
) -> None:
    out, _ = held
    corpus, asked = world
    adapter = out / "adapter"
    kept = {item.section for item in read_trained(adapter)}
    gone = next(s.id for s in corpus.sections if s.id in kept)
    folder, removed = retrain_without(
        str(base_dir), adapter, corpus.sections, [gone], out, loading=Loading(device="cpu")
    )
    assert removed == (gone,)
    assert {item.section for item in read_trained(folder)} == kept - {gone}
    own = [q for q in asked if q.section in kept]
    full, again = (ModelPair.load(base_dir, f, device="cpu") for f in (adapter, folder))
    found = assess_removal(full, again, own, removed, TINY, out=out)

    def lost(part: str) -> float:
        values = {q.side: q.value for q in found.quantities if (q.measure, q.part) == ("logprob", part)}
        return values["full"] - values["retrained"]

    assert lost("removed") > 1
    assert abs(lost("retained")) < 1
    assert {q.model for q in found.quality} == {"base", "full"}
    assert len(found.truth_ratios("full")) == len(found.removed) == 2
    assert np.median(found.truth_ratios("full")) < np.median(found.truth_ratios("retrained"))
    # Wrong answers are those that both have learned.
    assert all(r.candidates == min(2, len(kept) - 1 - (r.id not in found.removed)) for r in found.rows)
    with pytest.raises(InputError, match="no question is on the removed"):
        assess_removal(full, again, own, ["elsewhere"], TINY)
    other = next(s.id for s in corpus.sections if s.id not in kept)
    with pytest.raises(InputError, match="was not tuned on"):
        retrain_without(str(base_dir), adapter, corpus.sections, [other], out, loading=Loading(device="cpu"))
    with pytest.raises(InputError, match="no section of the documents"):
        retrain_without(str(base_dir), adapter, corpus.sections, ["nothing"], out, loading=Loading(device="cpu"))


# ------------------------------------------------------------------------------------------- removal


def test_forget_quality_tells_the_full_model_from_the_retrained_one() -> None:
    removal = make_report(removal=True).removal
    assert removal is not None
    quality = {q.model: q for q in removal.quality}
    assert quality["full"].p < 0.001
    assert quality["base"].p > 0.05
    full, again = removal.truth_ratios("full"), removal.truth_ratios("retrained")
    assert quality["full"].p == pytest.approx(stats.ks_2samp(full, again).pvalue)
    assert len(full) == len(removal.removed) == 12
    utility = {q.side: q.value for q in removal.quantities if (q.measure, q.part) == ("accuracy", "retained")}
    assert utility == {"base": 0.0, "full": 1.0, "retrained": 1.0}


def test_near_duplicates_are_removed_along() -> None:
    sections = make_sections(5)
    tied = (*sections[:3], replace(sections[3], near_duplicate_of="s1"), replace(sections[4], near_duplicate_of="s3"))
    assert with_twins(tied, ["s3"]) == ("s1", "s3", "s4")
    assert with_twins(tied, ["s0"]) == ("s0",)
    with pytest.raises(InputError, match="'nothing' is no section"):
        with_twins(tied, ["nothing"])


def test_values_are_those_of_the_scorers() -> None:
    asked = (Question("Who?", "Wilmet Dallin", id="a"), Question("How tall?", "38 metres", id="b"))
    measured = make_measured(np.random.default_rng(0), asked, ("general", "general"), 0, knows=False)
    found = values_of(asked, replace(measured, replies=("Wilmet Dallin.", "It was 38 metres.")))
    assert found["accuracy"].tolist() == [1.0, 1.0]
    assert found["exact"].tolist() == [1.0, 0.0]
    assert found["containment"].tolist() == [1.0, 1.0]
    assert 0 < found["token_f1"][1] < 1


def test_a_removal_needs_no_ids_of_questions() -> None:
    """Which questions were on the removed sections is said by their part."""
    rng = np.random.default_rng(0)
    asked = tuple(replace(q, id="") for q in make_asked(24) if q.section is not None)
    parts: list[Part] = ["held-out" if i < len(asked) // 2 else "tuned-on" for i in range(len(asked))]
    models = {
        name: make_measured(rng, asked, tuple(parts), 0, knows=name != "base") for name in ("base", "full", "retrained")
    }
    found = removal_of(asked, parts, models, ("s0",), HoldoutOptions(resamples=20, permutations=20))
    ratios = found.truth_ratios("full")
    assert 0 < len(ratios) <= parts.count("held-out")
    known = [r.truth_ratio for r in found.rows if r.side == "full" and r.part == "held-out"]
    assert ratios.tolist() == [ratio for ratio in known if ratio is not None]
