"""Faithfulness: planted effects are found, chance is chance, and nothing is computed twice."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from attrib.assess.answering import SIDES
from attrib.assess.faithfulness import run as faithfulness
from attrib.assess.faithfulness import tell as assessments_tell
from attrib.assess.faithfulness.options import FaithfulnessOptions
from attrib.assess.faithfulness.run import (
    CONTROLS,
    METRICS,
    RANDOM,
    RARE,
    Curves,
    FaithfulnessReport,
    assess_faithfulness,
    better_high,
    by_word,
    measure,
)
from attrib.assess.questions import Question
from attrib.assess.stored import read_report, report_bytes
from attrib.attribution import MethodScores
from attrib.corpus.documents import Corpus
from attrib.errors import InputError
from attrib.models.prompt import encode_answer, encode_prompt
from attrib.options.methods import MethodOptions, ShapleyOptions
from attrib.text.units import question_units

METHODS = ("attention", "input_x_gradient", "leave_one_out", "shapley")
OPTIONS = FaithfulnessOptions(
    methods=METHODS,
    prompt=MethodOptions(unit="answer", shapley=ShapleyOptions(permutations=2)),
    random_orders=3,
    max_new_tokens=4,
    resamples=200,
)
QUESTIONS = (Question("Who keeps the light of the tower?", "Wilmet Dallin"), Question("How tall was it in 1712?"))


@pytest.fixture(scope="module")
def report(tiny_pair: Any) -> FaithfulnessReport:
    return assess_faithfulness(tiny_pair, QUESTIONS, None, OPTIONS)


def test_every_method_and_control_has_every_metric_under_both_models(report: FaithfulnessReport) -> None:
    rows = {(row.method, row.side, row.metric): row for row in report.rows}
    assert set(rows) == {(m, s, k) for m in (*METHODS, *CONTROLS) for s in SIDES for k in METRICS}
    for row in report.rows:
        assert row.n == len(QUESTIONS)
        assert row.low <= row.mean <= row.high
        if row.method == RANDOM:
            assert row.over_random == 0
            assert not row.beats_random


def test_losses_are_those_of_running_the_bare_network_without_the_words(tiny_pair: Any, tmp_path: Path) -> None:
    asked = QUESTIONS[0]
    assess_faithfulness(tiny_pair, [asked], None, OPTIONS, out=tmp_path)
    (file,) = (tmp_path / "questions").glob("*.json")
    stored = json.loads(file.read_bytes().rpartition(b"sha256 ")[0])
    prompt = encode_prompt(tiny_pair.chat, asked.question, context=tiny_pair.context)
    answer = encode_answer(tiny_pair.chat, asked.question, prompt, asked.answer or "")

    def logprob(ids: tuple[int, ...]) -> float:
        with tiny_pair.tuned.active() as bridge, torch.no_grad():
            logits = bridge.original_model(torch.tensor([[*ids, *answer]]), use_cache=False).logits
        chosen = logits[0, len(ids) - 1 : -1].log_softmax(-1).gather(1, torch.tensor(answer)[:, None])
        return float(chosen.mean())

    curves = stored["sides"]["tuned"]["leave_one_out"]
    assert len(curves["morf"]) == stored["words"] + 1 == len(curves["lerf"])
    assert curves["morf"][0] == 0 == curves["lerf"][0]
    assert curves["morf"][-1] == pytest.approx(curves["lerf"][-1], abs=1e-6)
    # The first word of leave-one-out is the one whose absence costs most: a whole loop over words finds the same loss.
    words = words_of(encoded(tiny_pair, asked))
    losses = [logprob(prompt) - logprob(tuple(t for i, t in enumerate(prompt) if i not in word)) for word in words]
    assert curves["morf"][1] == pytest.approx(max(losses), abs=1e-5)
    assert curves["lerf"][1] == pytest.approx(min(losses), abs=1e-5)
    assert curves["leave_one_out"] == pytest.approx(1.0)


def encoded(pair: Any, asked: Question) -> Any:
    from attrib.models.prompt import encode

    prompt = encode_prompt(pair.chat, asked.question, context=pair.context)
    answer = encode_answer(pair.chat, asked.question, prompt, asked.answer or "")
    return encode(pair.tokenizer, prompt, answer, context=pair.context, question=asked.question)


def words_of(text: Any) -> Any:
    return question_units(text.prompt_tokens, text.question, "word")


def test_a_planted_order_is_the_best_and_its_reverse_the_worst(tiny_pair: Any, monkeypatch: Any) -> None:
    # The loss is the sum of the weights of the words taken away: the true order is known.
    weights = np.array([5.0, 1.0, 0.2, 3.0, 0.0, 0.5, 2.0, 0.1])

    def run(self: Any, masks: Any) -> list[float]:
        return [float(-(weights[: len(mask)] * ~mask).sum()) for mask in masks]

    monkeypatch.setattr(faithfulness._Losses, "_run", run)
    monkeypatch.setattr(
        faithfulness,
        "_scores",
        lambda pair, text, words, options, tuned: (
            {"attention": weights[: len(words)], "input_x_gradient": -weights[: len(words)]},
            {"attention": 0.1, "input_x_gradient": 0.1},
        ),
    )
    options = replace(OPTIONS, methods=("attention", "input_x_gradient"), random_orders=20)
    # Too few questions tell nothing, however large the difference.
    few = assess_faithfulness(tiny_pair, [Question("Who keeps the light?", "Wilmet")], None, options)
    assert max(row.over_low for row in few.rows) > 0
    assert not any(row.beats_random for row in few.rows)
    asked = [Question(f"Who keeps the light {i}?", "Wilmet") for i in ("one", "two", "three", "four", "five")]
    found = assess_faithfulness(tiny_pair, asked, None, options)
    for metric in set(METRICS) - {"leave_one_out"}:
        best, worst = (
            next(r for r in found.rows if (r.method, r.side, r.metric) == (m, "tuned", metric)) for m in options.methods
        )
        assert (best.mean > worst.mean) == better_high(metric), metric
        assert best.beats_random, metric
        assert not worst.beats_random, metric
        assert best.over_random > 0 > worst.over_random, metric
        assert found.of(metric, "tuned")[0].method == "attention"
    correlation = {r.method: r.mean for r in found.of("leave_one_out", "tuned")}
    assert correlation["attention"] == pytest.approx(1)
    assert correlation["input_x_gradient"] == pytest.approx(-1)


def test_measures_of_known_curves() -> None:
    got = measure(Curves((0.0, 4.0, 5.0, 5.0, 5.0), (0.0, 0.0, 0.0, 1.0, 5.0), leave_one_out=0.5, seconds=0.0))
    assert got["drop_1"] == 4
    assert got["drop_3"] == 5
    assert got["morf"] == 19 / 4
    assert got["lerf"] == 6 / 4
    assert got["area"] == 13 / 4
    # 10, 20 and 30% of four words are one word, 40 and 50% two.
    assert got["comprehensiveness"] == pytest.approx((4 * 3 + 5 * 2) / 5)
    # What one word alone leaves: three words gone, the last ones first.
    assert got["sufficiency"] == pytest.approx((1 * 3 + 0 * 2) / 5)


def test_a_random_order_has_no_area_in_the_mean(tiny_pair: Any, monkeypatch: Any) -> None:
    weights = np.linspace(0, 1, 12)
    monkeypatch.setattr(
        faithfulness._Losses, "_run", lambda self, masks: [float(-(weights[: len(m)] * ~m).sum()) for m in masks]
    )
    options = replace(OPTIONS, methods=("attention",), random_orders=400)
    found = assess_faithfulness(tiny_pair, [QUESTIONS[0]], None, options)
    (row,) = [r for r in found.rows if (r.method, r.side, r.metric) == (RANDOM, "base", "area")]
    assert abs(row.mean) < 0.1


def test_questions_done_before_are_not_done_again(tiny_pair: Any, tmp_path: Path, monkeypatch: Any) -> None:
    first = assess_faithfulness(tiny_pair, QUESTIONS[:1], None, OPTIONS, out=tmp_path)
    files = sorted((tmp_path / "questions").glob("*.json"))
    before = [file.read_bytes() for file in files]
    both = assess_faithfulness(tiny_pair, QUESTIONS, None, OPTIONS, out=tmp_path)
    assert len(list((tmp_path / "questions").glob("*.json"))) == 2
    assert [file.read_bytes() for file in files] == before
    assert both.rows[0].n == 2
    for name in ("attribute_model", "generate", "score_variants"):
        monkeypatch.setattr(faithfulness, name, lambda *given, **more: pytest.fail("computed again"))
    again = assess_faithfulness(tiny_pair, QUESTIONS[:1], None, OPTIONS, out=tmp_path)
    assert again == first
    # A damaged file counts as not done; other options have files of their own.
    monkeypatch.undo()
    files[0].write_text("{", "utf-8")
    assert assess_faithfulness(tiny_pair, QUESTIONS[:1], None, OPTIONS, out=tmp_path).rows == first.rows
    assess_faithfulness(tiny_pair, QUESTIONS[:1], None, replace(OPTIONS, seed=1), out=tmp_path)
    assert len(list((tmp_path / "questions").glob("*.json"))) == 3


def test_rare_words_come_first_in_their_control(tiny_pair: Any) -> None:
    corpus = Corpus.from_texts(["the light of the keeper", "the tower of light", "who is the keeper"])
    text = encoded(tiny_pair, QUESTIONS[0])
    words = words_of(text)
    said = ["".join(text.prompt_tokens[i].text for i in word).strip() for word in words]
    rarity = dict(zip(said, faithfulness._rarity(text, words, corpus), strict=True))
    assert rarity["keeps"] > rarity["tower?"] > rarity["light"] > rarity["the"] == 0
    assert RARE in CONTROLS


def test_scores_are_summed_over_a_words_tokens() -> None:
    scores = MethodScores(np.array([[1.0, 2.0, -4.0, 8.0]]), ((0,), (1,), (2, 3), (4,)))
    np.testing.assert_array_equal(by_word(scores, [(0, 1), (2,), (3, 4), (9,)]), [3.0, -2.0, 6.0, 0.0])


def test_bad_input_is_refused(tiny_pair: Any) -> None:
    with pytest.raises(InputError, match="none was given"):
        assess_faithfulness(tiny_pair, [], None, OPTIONS)
    with pytest.raises(InputError, match="unknown"):
        assess_faithfulness(tiny_pair, QUESTIONS, None, replace(OPTIONS, methods=("magic",)))


def test_table_figure_and_files(report: FaithfulnessReport, tmp_path: Path, capsys: Any) -> None:
    from rich.console import Console

    assessments_tell.faithfulness_table(report, Console(width=200, no_color=True))
    printed = capsys.readouterr().out
    for name in (*METHODS, *CONTROLS):
        assert name in printed
    files = assessments_tell.write_faithfulness(report, tmp_path, ("pdf", "png"), "neurips-double")
    assert {Path(f).name for f in files} == {
        "faithfulness.csv", "faithfulness.json", "faithfulness.pdf", "faithfulness.png", "faithfulness.caption.txt",
        "faithfulness.tex",
    }  # fmt: skip
    before = {file: Path(file).read_bytes() for file in files}
    assessments_tell.write_faithfulness(report, tmp_path, ("pdf", "png"), "neurips-double")
    assert {file: Path(file).read_bytes() for file in files} == before
    content = json.loads((tmp_path / "faithfulness.json").read_text("utf-8"))
    assert content["provenance"]["questions"] == 2
    assert report_bytes(read_report(FaithfulnessReport, tmp_path / "faithfulness.json")) == report_bytes(report)
    assert len((tmp_path / "faithfulness.csv").read_text("utf-8").splitlines()) == len(report.rows) + 1
    assert "random orders" in (tmp_path / "faithfulness.caption.txt").read_text("utf-8")
