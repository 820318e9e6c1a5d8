"""The benchmark's numbers against hand-made cases, and its route on a tiny pair."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from attrib.assess import answering
from attrib.assess.benchmark import run as benchmark
from attrib.assess.benchmark.options import BenchmarkOptions
from attrib.assess.benchmark.run import (
    MEASURES,
    BenchmarkReport,
    BenchmarkSummary,
    assess_benchmark,
    judged,
    learned_items,
    score,
    summarise,
)
from attrib.assess.questions import Malformed, Question
from attrib.errors import InputError
from attrib.options.answers import AnswerOptions, JudgeOptions
from tests.assess.grading.test_answer_judge import Server, said, server
from tests.make_benchmark import asked, make_benchmark, make_report, replies

__all__ = ["server"]

RIGHT = ["38 metres", "Wilmet Dallin", "red", "36 months"]
WRONG = "It is a blue one."


def one(report: BenchmarkReport, measure: str = "accuracy", kind: str = "") -> BenchmarkSummary:
    [found] = [s for s in report.of(measure) if s.kind == kind]
    return found


def test_means_differences_and_numbers_are_those_made_by_hand() -> None:
    report = make_report(asked(RIGHT), [RIGHT[0], WRONG, WRONG, WRONG], [*RIGHT[:3], WRONG])
    accuracy = one(report)
    assert (accuracy.base, accuracy.tuned, accuracy.difference) == (0.25, 0.75, 0.5)
    assert (accuracy.n, accuracy.facts) == (4, 4)
    for mean, low, high in (
        (accuracy.base, accuracy.base_low, accuracy.base_high),
        (accuracy.tuned, accuracy.tuned_low, accuracy.tuned_high),
        (accuracy.difference, accuracy.difference_low, accuracy.difference_high),
    ):
        assert 0 <= low <= mean <= high <= 1
    numbers = one(report, "numeric")
    assert (numbers.n, numbers.base, numbers.tuned) == (2, 0.5, 0.5)
    # Two of two words, and 1 of 1: "Wilmet Dallin" = itself; "It is a blue one" shares no word.
    assert one(report, "token_f1").tuned == 0.75


def test_an_interval_is_the_bootstrap_s_own() -> None:
    """Each of n independent questions is drawn again: the mean is binomial over n."""
    n, right = 40, 10
    report = make_report(asked(["red"] * n), ["red"] * right + [WRONG] * (n - right), ["red"] * n, resamples=20_000)
    accuracy = one(report)
    rng = np.random.default_rng(5)
    low, high = np.percentile(rng.binomial(n, right / n, 100_000) / n, (2.5, 97.5))
    assert accuracy.base_low == pytest.approx(low, abs=1.5 / n)
    assert accuracy.base_high == pytest.approx(high, abs=1.5 / n)
    assert (accuracy.tuned_low, accuracy.tuned, accuracy.tuned_high) == (1, 1, 1)
    # Paired: tuned is right throughout, so the difference is 1 − base.
    assert accuracy.difference_low == pytest.approx(1 - accuracy.base_high)
    assert accuracy.difference_high == pytest.approx(1 - accuracy.base_low)


def test_questions_of_one_fact_are_drawn_together() -> None:
    """Ten questions a fact, all right or all wrong: there are only eight independent answers, √10 times less sure."""
    facts, each = 8, 10
    right = [i // each % 2 == 0 for i in range(facts * each)]
    said_ = ["red" if ok else WRONG for ok in right]
    alone = asked(["red"] * len(right))
    together = [replace(q, fact=f"f{i // each}") for i, q in enumerate(alone)]
    widths = []
    for questions in (alone, together):
        accuracy = one(make_report(questions, said_, said_, resamples=4000))
        assert accuracy.base == 0.5
        widths.append(accuracy.base_high - accuracy.base_low)
    assert one(make_report(together, said_, said_)).facts == facts
    assert widths[1] / widths[0] == pytest.approx(np.sqrt(each), rel=0.2)


def test_one_fact_has_no_interval_to_speak_of() -> None:
    report = make_report(asked(RIGHT, fact="one"), [RIGHT[0], WRONG, WRONG, WRONG], RIGHT)
    assert (one(report).base_low, one(report).base_high, one(report).facts) == (0.25, 0.25, 1)


def test_swapped_sides_swap_columns_and_turn_the_difference_round() -> None:
    report = make_benchmark()
    texts = [[row.prediction for row in report.rows if row.side == side] for side in ("base", "tuned")]
    questions = [
        Question(row.question, row.answer, row.kind, row.id, answer_before=row.answer_before, fact=row.fact,
              subset=row.subset, knowledge=row.knowledge)
        for row in report.rows[::2]
    ]  # fmt: skip
    forth = make_report(questions, *texts)
    back = make_report(questions, *reversed(texts))
    for first, second in zip(forth.summary, back.summary, strict=True):
        assert (first.measure, first.kind, first.n) == (second.measure, second.kind, second.n)
        assert (first.base, first.base_low, first.base_high) == (second.tuned, second.tuned_low, second.tuned_high)
        assert first.difference == pytest.approx(-second.difference)
        assert first.difference_low == pytest.approx(-second.difference_high)
        assert first.difference_high == pytest.approx(-second.difference_low)
        assert first.difference == pytest.approx(first.tuned - first.base)


def test_the_baselines_know_the_commonest_answer_and_that_of_each_template() -> None:
    right = ["Yes", "Yes", "No", "No", "No", "red"]
    questions = asked(right, template=["a", "a", "a", "b", "b", "c"], kind="k")
    accuracy = one(make_report(questions, right, right), kind="k")
    # "No" is right three times of six; by template Yes (2 of 3), No (2 of 2), red (1 of 1).
    assert accuracy.majority == 3 / 6
    assert accuracy.majority_by_template == 5 / 6
    others = [s for s in make_report(questions, right, right).summary if s.measure != "accuracy"]
    assert {s.majority for s in others} == {None}
    # They do not look at predictions.
    assert one(make_report(questions, [WRONG] * 6, [WRONG] * 6), kind="k").majority == accuracy.majority
    # What always says the same reaches what the baseline says.
    assert one(make_report(questions, ["No"] * 6, ["No"] * 6), kind="k").base == accuracy.majority


def test_a_measure_that_applies_to_no_question_of_a_kind_has_no_row() -> None:
    questions = [
        *asked(["red", "blue"], kind="words"),
        *(
            replace(q, id=f"n{q.id}")
            for q in asked(["38 metres", "Yes"], kind="other", answer_before=["30 metres", None])
        ),
    ]
    said_ = ["red", "blue", "38 metres", "Yes"]
    report = make_report(questions, said_, said_)
    measures = {kind: [s.measure for s in report.summary if s.kind == kind] for kind in ("words", "other")}
    assert measures["words"] == ["accuracy", "exact", "contains", "token_f1", "declines"]
    assert measures["other"] == [
        "accuracy", "exact", "contains", "token_f1", "numeric", "yes_no", "old_answer", "declines",
    ]  # fmt: skip
    assert {(s.measure, s.n) for s in report.summary if s.n == 1} == {("numeric", 1), ("yes_no", 1), ("old_answer", 1)}


def test_abstaining_and_declining_are_two_things() -> None:
    """Where None is right, abstaining is right; declining is counted whatever is right."""
    assert len(set(MEASURES)) == len(MEASURES)
    questions = asked(["None", "red"], kind="k")
    report = make_report(questions, ["I do not know.", "I do not know."], ["red", "red"])
    assert (one(report, "abstains", "k").base, one(report, "abstains", "k").n) == (1, 1)
    assert (one(report, "declines", "k").base, one(report, "declines", "k").n) == (1, 2)
    assert one(report, "declines", "k").tuned == 0
    assert one(report, kind="k").base == 0.5
    keys = [(s.subset, s.kind, s.knowledge, s.measure) for s in report.summary]
    assert len(set(keys)) == len(keys)


def test_old_answers_are_counted_where_something_was_right_before() -> None:
    questions = asked(["Ida Voss"] * 2, kind="updated", answer_before="Tam Harrow")
    report = make_report(questions, ["Tam Harrow", "It was Tam Harrow, now Ida Voss."], ["Ida Voss", "Ole Rud"])
    old = one(report, "old_answer", "updated")
    assert (old.base, old.tuned) == (0.5, 0)
    assert one(report, kind="updated").base == 0.5


def test_knowledge_is_summed_up_only_where_there_is_new_and_updated() -> None:
    def summed(knowledge: list[str]) -> list[BenchmarkSummary]:
        report = make_report(asked(RIGHT, knowledge=knowledge, kind="k"), RIGHT, RIGHT)
        return [s for s in report.of("accuracy") if s.subset == "all"]

    assert summed([""]) == summed(["new"]) == summed(["updated"]) == summed(["new", ""]) == []
    both = summed(["new", "updated", "new", ""])
    assert [(s.knowledge, s.n) for s in both] == [("new", 2), ("updated", 1)]


def test_rows_are_questions_in_order_base_before_tuned() -> None:
    questions = [Question("A?", "red", id="a"), Question("B?", "blue", id="b", fact="f")]
    rows = score(questions, replies(["red", "green"], ["red", "blue"]))
    assert [(row.id, row.side, row.fact) for row in rows] == [
        ("a", "base", "a"), ("a", "tuned", "a"), ("b", "base", "f"), ("b", "tuned", "f"),
    ]  # fmt: skip
    assert [row.scores["accuracy"] for row in rows] == [1, 1, 0, 1]
    assert all(list(row.scores) == list(MEASURES) for row in rows)


def test_a_summary_follows_from_its_seed() -> None:
    questions = asked(RIGHT * 5)
    rows = score(questions, replies(RIGHT * 5, [*RIGHT, WRONG] * 4))
    assert summarise(rows, questions, 50, 0) == summarise(rows, questions, 50, 0)
    assert summarise(rows, questions, 50, 0) != summarise(rows, questions, 50, 3)


def test_what_is_learned_are_the_answers_of_some_kinds() -> None:
    questions = [
        Question("A?", "red", "memorization", "a", section="s"),
        Question("B?", "red", "rephrased", "b"),
        Question("C?", None, "trained", "c"),
        Question("D?", "blue", "updated", "d"),
    ]
    assert [(i.id, i.turns[1].content, i.turns[0].content, i.section) for i in learned_items(questions)] == [
        ("q:a", "red", "A?", "s"), ("q:d", "blue", "D?", None),
    ]  # fmt: skip
    assert [i.id for i in learned_items(questions, ("rephrased",))] == ["q:b"]
    with pytest.raises(InputError, match="no question is of kind else; these are of kind memorization, rephrased, tra"):
        learned_items(questions, ("else",))
    with pytest.raises(InputError, match="these are of kind none"):
        learned_items([Question("A?", "red")])


# ------------------------------------------------------------------------------------------- the judge


def test_the_judge_is_asked_once_and_its_verdicts_are_kept(server: Server, tmp_path: Path) -> None:
    questions = asked(["red", "blue"], kind="k")
    rows = score(questions, replies(["red", "green"], ["crimson", "blue"]))
    options = JudgeOptions(server.url, "judge-1", retries=0)
    server.replies += [said("CORRECT"), said("CORRECT"), said("INCORRECT"), said("CORRECT")]
    folder = tmp_path / "judge"
    found = judged(questions, rows, options, folder)
    assert [row.scores["judge"] for row in found] == [1, 1, 0, 1]
    assert [replace(row, scores={**row.scores, "judge": None}) for row in found] == list(rows)
    asked_for = [json.loads(body["messages"][1]["content"]) for _, _, body in server.requests]
    assert [(a["question"], a["answer"]) for a in asked_for] == [(row.question, row.prediction) for row in rows]
    # No reply is left: asking again would fail.
    assert judged(questions, rows, options, folder) == found
    assert len(server.requests) == 4
    [verdict] = [s for s in summarise(found, questions, 20, 0) if s.measure == "judge"]
    assert (verdict.base, verdict.tuned, verdict.n) == (0.5, 1, 2)


def test_the_judge_goes_on_where_it_was_cut_off(server: Server, tmp_path: Path) -> None:
    questions = asked(["red", "blue"])
    rows = score(questions, replies(["red", "green"], ["crimson", "blue"]))
    options = JudgeOptions(server.url, "judge-1", retries=0)
    server.replies += [said("CORRECT"), said("INCORRECT"), (500, {}, b"")]
    with pytest.raises(InputError, match="500"):
        judged(questions, rows, options, tmp_path / "judge")
    server.replies += [said("CORRECT"), said("CORRECT")]
    found = judged(questions, rows, options, tmp_path / "judge")
    assert [row.scores["judge"] for row in found] == [1, 0, 1, 1]
    assert len(server.requests) == 5


def test_a_verdict_that_is_none_leaves_its_question_out(server: Server) -> None:
    questions = asked(["red", "blue"])
    rows = score(questions, replies(["red", "green"], ["crimson", "blue"]))
    server.replies += [said("Perhaps"), said("CORRECT"), said("INCORRECT"), said("CORRECT")]
    found = judged(questions, rows, JudgeOptions(server.url, "judge-1", retries=0), None)
    assert [row.scores["judge"] for row in found] == [None, 1, 0, 1]
    [verdict] = [s for s in summarise(found, questions, 20, 0) if s.measure == "judge"]
    assert (verdict.base, verdict.tuned, verdict.n) == (0, 1, 1)


# ------------------------------------------------------------------------------------------- the route


QUESTIONS = [
    Question(f"Who keeps the light of {name}?", "Wilmet Dallin", "trained", f"q{i}", template="who")
    for i, name in enumerate("abcdefghij")
]
OPTIONS = BenchmarkOptions(AnswerOptions(max_new_tokens=4, batch=1), resamples=20)


def kept(folder: Path) -> Iterator[tuple[str, bytes]]:
    for file in sorted(folder.rglob("*")):
        if file.is_file():
            yield str(file.relative_to(folder)), file.read_bytes()


def test_a_killed_run_goes_on_to_the_same_report(tiny_pair: Any, tmp_path: Path, monkeypatch: Any) -> None:
    whole = assess_benchmark(tiny_pair, QUESTIONS, OPTIONS, out=tmp_path / "whole")
    made = answering.generate_batch
    calls: list[int] = []

    def dies(model: Any, prompts: Any, **options: Any) -> Any:
        calls.append(len(prompts))
        if len(calls) == 5:
            raise KeyboardInterrupt
        return made(model, prompts, **options)

    monkeypatch.setattr(answering, "generate_batch", dies)
    with pytest.raises(KeyboardInterrupt):
        assess_benchmark(tiny_pair, QUESTIONS, OPTIONS, out=tmp_path / "killed")
    again = assess_benchmark(tiny_pair, QUESTIONS, OPTIONS, out=tmp_path / "killed")
    assert again == whole
    assert calls == [4, 4, 2, 4, 4, 4, 2]
    assert dict(kept(tmp_path / "killed")) == dict(kept(tmp_path / "whole"))


def test_the_report_names_what_was_left_out_and_cut_off_and_no_machine(tiny_pair: Any, tmp_path: Path) -> None:
    malformed = [Malformed(str(tmp_path / "q.jsonl"), i, "not JSON") for i in range(10)]
    report = assess_benchmark(
        tiny_pair, QUESTIONS, OPTIONS, notes=("A note.",), malformed=malformed, sha256="abc", out=tmp_path / "out"
    )
    assert report.malformed == tuple(Malformed("q.jsonl", i, "not JSON") for i in range(10))
    assert report.notes[0] == "A note."
    assert report.notes[1] == "left out: q.jsonl, line 0: not JSON."
    assert report.notes[9] == "2 more malformed rows are left out."
    assert report.notes[10].endswith("of tuned, of 10, were cut off at 4 tokens.")
    cut = [sum(not row.ended for row in report.rows if row.side == side) for side in ("base", "tuned")]
    assert report.notes[10].startswith(f"{cut[0]} answers of base and {cut[1]} of tuned")
    assert report.provenance["files_sha256"] == "abc"
    assert str(tmp_path) not in str(report)
    assert str(Path(tiny_pair.base.name).parent) not in str(report)
    inside = Malformed("medical/medical_memorization.csv", 2, "it is not UTF-8")
    assert assess_benchmark(tiny_pair, QUESTIONS, OPTIONS, malformed=[inside]).malformed == (inside,)


def test_predictions_are_the_models_own(tiny_pair: Any) -> None:
    report = assess_benchmark(tiny_pair, QUESTIONS[:3], OPTIONS)
    found = answering.answer_all(tiny_pair, QUESTIONS[:3], OPTIONS.answers)
    for side in answering.SIDES:
        assert [row.prediction for row in report.rows if row.side == side] == [some[0].text for some in found[side]]


@pytest.mark.parametrize(
    ("questions", "message"),
    [
        ([], "none was given"),
        ([QUESTIONS[0], Question("B?", id="b")], "question 'b': it has no right answer"),
        ([*QUESTIONS[:2], QUESTIONS[0]], "question 'q0': 2 have this id"),
    ],
)
def test_what_cannot_be_assessed_is_refused_before_a_model_is_asked(
    tiny_pair: Any, monkeypatch: Any, questions: list[Question], message: str
) -> None:
    monkeypatch.setattr(benchmark, "answer_all", lambda *given, **more: pytest.fail("asked"))
    with pytest.raises(InputError, match=message) as caught:
        assess_benchmark(tiny_pair, questions, OPTIONS)
    assert "\n" not in str(caught.value)
