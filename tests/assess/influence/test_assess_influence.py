"""Outcomes and tables of retraining: closed forms, ties, intervals, and mappers whose truth is known."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from attrib.assess.influence import run as influence
from attrib.assess.influence.metrics import METRICS, InfluenceRow, correlations, pearson, ranks, table
from attrib.assess.influence.options import RetrainOptions
from attrib.assess.influence.records import InfluenceReport
from attrib.assess.influence.run import assess_influence, outcomes
from attrib.assess.questions import Question, read_questions
from attrib.assess.retraining import RetrainedScores, Retraining
from attrib.assess.stored import read_report, report_bytes
from attrib.corpus import demo
from attrib.errors import InputError, RecordError
from attrib.options.loading import Loading
from attrib.records import codec
from attrib.training.options import TuneOptions
from attrib.training.tune import tune
from tests.make_retraining import make_retraining

ALL = ("s0", "s1", "s2", "s3")
TRAINED = np.array([True, True, True, False])


def measured(name: str, left_out: tuple[str, ...], logprob: list[float], seed: int = 0) -> RetrainedScores:
    return RetrainedScores(
        Retraining(name, left_out, seed), np.array(logprob), np.zeros(len(logprob)), np.zeros(4), *np.zeros((2, 0))
    )


def one(rows: list[InfluenceRow], scorer: str, metric: str, kind: str = "trained") -> InfluenceRow:
    return next(row for row in rows if (row.scorer, row.metric, row.kind) == (scorer, metric, kind))


def test_outcomes_of_runs_made_by_hand() -> None:
    runs = [
        measured("full-0", (), [-1.0, -2.0]),
        measured("without-s0-0", ("s0",), [-11.0, -2.0]),
        measured("half-0-0", ("s1", "s2"), [-4.0, -5.0]),
        measured("full-1", (), [-3.0, -2.0], 1),
        measured("without-s0-1", ("s0",), [-9.0, -6.0], 1),
    ]
    drop, noise, halves, after = outcomes(runs, ALL, TRAINED)
    # The full runs' mean is (−2, −2); without s0 it is (−10, −4).
    assert drop[:, 0].tolist() == [8.0, 2.0]
    assert np.isnan(drop[:, 1:]).all()
    assert noise == pytest.approx([2**0.5, 0.0])
    # The decoy s3 is in no half.
    assert halves.tolist() == [[True, False, False, False]]
    assert after.tolist() == [[-4.0, -5.0]]


def test_one_full_run_tells_no_noise_and_none_is_refused() -> None:
    drop, noise, halves, after = outcomes([measured("full-0", (), [-1.0])], ALL, TRAINED)
    assert np.isnan(noise).all()
    assert np.isnan(drop).all()
    assert halves.shape == (0, 4)
    assert after.shape == (0, 1)
    with pytest.raises(InputError, match="let the command finish"):
        outcomes([measured("without-s0-0", ("s0",), [-1.0])], ALL, TRAINED)


def test_ranks_among_equals_are_their_mean() -> None:
    scores = np.array([[3.0, 1.0, 2.0, 0.0], [5.0, 5.0, 1.0, 5.0], [0.0, 0.0, 0.0, 0.0], [1.0, 2.0, 2.0, 9.0]])
    assert ranks(scores, np.array([2, 0, 3, 1])).tolist() == [2.0, 2.0, 2.5, 2.5]


def test_correlations_are_scipys_on_the_rows_drawn() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.integers(0, 6, (20, 3)).astype(float), rng.normal(size=(20, 3))
    counts = np.array([np.bincount(rng.integers(0, 20, 20), minlength=20) for _ in range(7)])
    found = correlations(a, b, counts)
    assert found.shape == (7, 3)
    for draw, taken in enumerate(counts):
        rows = np.repeat(np.arange(20), taken)
        for column in range(3):
            assert found[draw, column] == pytest.approx(stats.spearmanr(a[rows, column], b[rows, column]).statistic)
    # Blocks of draws change nothing.
    many = np.repeat(counts, 60, axis=0)
    assert np.allclose(correlations(a, b, many), np.repeat(found, 60, axis=0), atol=1e-12)


def test_what_does_not_vary_has_no_correlation() -> None:
    a = np.stack([np.full(5, 0.3), np.arange(5.0)], 1)
    b = np.stack([np.arange(5.0), 0.1 + np.array([0, 1e-17, 0, 0, 1e-17])], 1)
    assert correlations(a, b, np.ones((1, 5))).tolist() == [[0.0, 0.0]]


def test_pearson_and_spearman_are_scipys_over_the_pairs_of_sections_left_out() -> None:
    found = make_retraining()
    drop = found.drop.copy()
    drop[:, 3] = np.nan  # was not left out
    found = replace(found, drop=drop)
    rows, columns = found.rows("trained"), [c for c in range(len(found.sections)) if found.trained[c] and c != 3]
    x, y = (values[np.ix_(rows, columns)].ravel() for values in (found.scores["learned"], found.drop))
    got = table(found, resamples=5)
    assert one(got, "learned", "pearson").value == pytest.approx(stats.pearsonr(x, y).statistic)
    assert one(got, "learned", "spearman").value == pytest.approx(stats.spearmanr(x, y).statistic)


def test_a_pearson_draw_is_that_of_the_questions_drawn() -> None:
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(2, 6, 4)) + 1000
    counts = np.bincount(rng.integers(0, 6, 6), minlength=6)
    rows = np.repeat(np.arange(6), counts)
    expected = stats.pearsonr(x[rows].ravel(), y[rows].ravel()).statistic
    assert pearson(x, y, counts[None].astype(float))[0] == pytest.approx(expected)
    assert pearson(np.full((6, 4), 1e6), y, counts[None].astype(float))[0] == 0


def test_a_perfect_additive_scorer_has_an_lds_of_1_a_random_one_none_and_its_opposite_minus_1() -> None:
    found = make_retraining(noise=0.0, halves=60)
    exact = found.scores["influence"]
    found = replace(found, scores={"influence": exact, "random": found.scores["random"], "opposite": -exact})
    rows = table(found, resamples=200)
    for kind in ("trained", "rephrased"):
        best, chance, worst = (one(rows, name, "LDS", kind) for name in ("influence", "random", "opposite"))
        assert (best.value, best.low, best.high) == pytest.approx((1, 1, 1))
        assert worst.value == pytest.approx(-1)
        assert chance.low < 0.1
        assert chance.high > -0.1
        assert abs(chance.value) < 0.15
        assert chance.behind == pytest.approx(1 - chance.value)
        assert chance.behind_low > 0.5


def test_mrr_and_recall_by_hand() -> None:
    found = make_retraining(pairs=0, singles=4, decoys=1, halves=0)
    scores = np.zeros((len(found.questions), 5))
    for question, place in zip(found.rows("trained"), (0, 1, 3, None), strict=True):
        own = found.gold[question]
        if place is not None:
            others = [s for s in range(5) if s != own]
            scores[question, own] = 1
            scores[question, others[:place]] = 2
    rows = table(replace(found, scores={"influence": scores}), resamples=5)
    # The last: all five are equal, rank 3.
    assert one(rows, "influence", "MRR").value == pytest.approx((1 + 1 / 2 + 1 / 4 + 1 / 3) / 4)
    assert one(rows, "influence", "recall@1").value == 1 / 4
    assert one(rows, "influence", "recall@3").value == 3 / 4
    assert not [row for row in rows if row.metric == "LDS"]


def test_the_decoys_auroc_is_that_of_pairs_of_one_document() -> None:
    found = make_retraining(decoys=4)
    scores = np.random.default_rng(2).integers(0, 4, found.drop.shape).astype(float)
    row = one(table(replace(found, scores={"influence": scores}), resamples=50), "influence", "decoys")
    own = scores[np.arange(len(scores)), found.gold]
    won = pairs = 0.0
    for document in ("d0.md", "d1.md"):
        here = [i for i, q in enumerate(found.questions) if found.documents[found.gold[i]] == document]
        trained = [i for i in here if found.questions[i].kind == "trained"]
        held = [i for i in here if found.questions[i].kind == "held-out"]
        labels = [1] * len(trained) + [0] * len(held)
        auroc = roc_auc_score(labels, own[trained + held])
        won += auroc * len(trained) * len(held)
        pairs += len(trained) * len(held)
    assert row.value == pytest.approx(won / pairs)
    assert row.n == 4
    assert row.low <= row.value <= row.high


def test_decoys_are_drawn_again_too() -> None:
    """One decoy above all trained sections, the others below: which decoys there are decides the value."""
    found = make_retraining(pairs=0, singles=4, decoys=4)
    found = replace(found, documents=("one.md",) * 8)
    scores = np.zeros(found.drop.shape)
    scores[found.rows("trained"), :] = 1
    scores[found.rows("held-out")[0], :] = 2
    row = one(table(replace(found, scores={"influence": scores}), resamples=300), "influence", "decoys")
    assert row.value == 0.75
    assert row.low <= 0.5
    assert row.high == 1


def test_decoys_of_other_documents_give_no_number() -> None:
    found = make_retraining(decoys=2)
    found = replace(found, documents=tuple("a.md" if trained else "b.md" for trained in found.trained))
    row = one(table(found, resamples=5), "influence", "decoys")
    assert np.isnan([row.value, row.low, row.high]).all()


def test_intervals_are_reproducible_and_hold_the_value() -> None:
    found = make_retraining()
    first, again, other = (table(found, resamples=100, seed=seed) for seed in (0, 0, 1))
    assert first == again
    assert first != other
    assert {(row.metric, row.kind) for row in first} == {
        *((m, "trained") for m in METRICS), *((m, "rephrased") for m in METRICS if m != "decoys"),
    }  # fmt: skip
    for row in first:
        # A draw takes halves twice: an LDS of the sample can lie at the edge.
        assert row.low - 0.05 <= row.value <= row.high + 0.05
        assert row.behind_low - 0.05 <= row.behind <= row.behind_high + 0.05
        assert row.n == (4 if row.metric == "decoys" else 16)
    same = [row for row in first if row.scorer == "influence"]
    assert all((row.behind, row.behind_low, row.behind_high) == (0, 0, 0) for row in same)


def written_and_read(found: InfluenceReport) -> InfluenceReport:
    return codec.parse(InfluenceReport, report_bytes(found), InfluenceReport.NAME, InfluenceReport.SCHEMA)


def test_a_retraining_is_read_back_as_it_was_written() -> None:
    found = make_retraining(pairs=1, singles=2, decoys=1, halves=3)
    again = written_and_read(found)
    assert again.questions == found.questions
    assert (again.sections, again.documents, again.titles) == (found.sections, found.documents, found.titles)
    assert report_bytes(again) == report_bytes(found)
    assert np.array_equal(again.drop, found.drop, equal_nan=True)
    assert (again.halves == found.halves).all()
    none = replace(found, halves=found.halves[:0], after=found.after[:0])
    assert written_and_read(none).halves.shape == (0, 5)


@pytest.mark.parametrize("key", ["questions", "sections", "drop", "halves", "after", "scores", "trained"])
def test_a_damaged_retraining_is_refused(key: str, tmp_path: Path) -> None:
    file = tmp_path / "influence.json"
    content = json.loads(report_bytes(make_retraining(pairs=1, singles=2, decoys=1, halves=3)))
    values = content[key]["bm25"] if key == "scores" else content[key]
    values.pop()
    for text in (json.dumps(content), json.dumps({k: v for k, v in content.items() if k != key}), "[]", "{"):
        file.write_text(text, "utf-8")
        with pytest.raises(RecordError, match=r"influence\.json: .*make it again with attrib assess influence"):
            read_report(InfluenceReport, file)


# ------------------------------------------------------------------------------------------- whole assessments

CORPUS = {
    "light.md": "# Lights\n\n## Point\n\nThe keeper of the light is Wilmet Dallin.\n\n## Rock\n\nIt is 38 metres "
    "tall.\n\n## Cape\n\nThe light of the cape is red.\n",
    "pump.md": "# Pump\n\n## Warranty\n\nThe warranty on the pump is thirty-six months.\n",
}
QUICK = TuneOptions(epochs=1, learning_rate=1e-2, rank=2, batch=4, dropout=0.0, warmup=1, checkpoints=(1.0,))


@pytest.fixture
def corpus(tmp_path: Path) -> Any:
    from attrib.corpus.documents import Corpus

    for name, text in CORPUS.items():
        (tmp_path / "docs").mkdir(exist_ok=True)
        (tmp_path / "docs" / name).write_text(text, "utf-8")
    return Corpus.read(tmp_path / "docs")


def asked(corpus: Any) -> tuple[Question, ...]:
    point, rock, cape, pump = (s.id for s in corpus.sections)
    return (
        Question("Who keeps the light?", "Wilmet Dallin", "trained", "1", point),
        Question("How tall?", "38 metres", "", "2", rock),
        Question("How long is the warranty?", "thirty-six months", "rephrased", "3", pump),
        Question("Which colour?", "red", "held-out", "4", cape),
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"answer": None}, "has no answer"),
        ({"section": None}, "names no section"),
        ({"section": "nowhere"}, "names no section"),
        ({"section": "decoy"}, "its section is a decoy; call it held-out"),
        ({"kind": "rephrased", "section": "decoy"}, "its section is a decoy; call it held-out"),
        ({"kind": "held-out"}, "its section is no decoy"),
    ],
)
def test_questions_that_contradict_the_plan_are_refused_before_anything_is_loaded(
    corpus: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any], message: str
) -> None:
    monkeypatch.setattr(influence, "tune", lambda *given, **more: pytest.fail("tuned"))
    first, *others = asked(corpus)
    decoy = corpus.sections[2].id
    if change.get("section") == "decoy":
        change = {**change, "section": decoy}
    with pytest.raises(InputError, match=message):
        assess_influence(
            "none", corpus, corpus, [replace(first, **change), *others], frozenset([decoy]), tmp_path / "out",
            options=RetrainOptions(QUICK),
        )  # fmt: skip
    with pytest.raises(InputError, match="is no section"):
        assess_influence(
            "none", corpus, corpus, asked(corpus), frozenset(["x"]), tmp_path / "out", options=RetrainOptions(QUICK)
        )
    with pytest.raises(InputError, match="none is trained"):
        assess_influence(
            "none", corpus, corpus, asked(corpus)[2:], frozenset([decoy]), tmp_path / "out",
            options=RetrainOptions(QUICK),
        )  # fmt: skip


def test_an_adapter_of_another_tuning_is_refused_and_its_own_is_taken(
    base_dir: Path, corpus: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from attrib.training.items import corpus_items

    questions, decoy = asked(corpus), corpus.sections[2].id
    trained = [s for s in corpus.sections if s.id != decoy]
    items = corpus_items(trained, questions[:2])
    out = tmp_path / "out"
    tune(str(base_dir), items, out / "adapter", options=QUICK, loading=Loading(device="cpu"))
    monkeypatch.setattr(influence, "tune", lambda *given, **more: pytest.fail("tuned"))

    class ReachedError(Exception):
        pass

    def stop(*given: Any, **more: Any) -> None:
        raise ReachedError

    monkeypatch.setattr(influence, "retrain", stop)

    def assess(options: TuneOptions, questions: tuple[Question, ...]) -> None:
        assess_influence(
            str(base_dir), corpus, corpus, questions, frozenset([decoy]), out, options=RetrainOptions(options),
            loading=Loading(device="cpu"),
        )  # fmt: skip

    with pytest.raises(ReachedError):
        assess(QUICK, questions)
    with pytest.raises(InputError, match="adapter: it is of another tuning"):
        assess(replace(QUICK, epochs=2), questions)
    with pytest.raises(InputError, match="adapter: it is of another tuning"):
        assess(QUICK, (replace(questions[0], answer="someone else"), *questions[1:]))
    (out / "adapter" / "attrib.json").write_text("{", "utf-8")
    with pytest.raises(RecordError, match=r"attrib\.json: damaged"):
        assess(QUICK, questions)


def test_the_demo_for_retraining_is_whole() -> None:
    """22 sections with a trained and a rephrased question each, six decoys with a held-out one each."""
    corpus, file, decoys = demo.retraining()
    questions = read_questions(file)
    ids = {s.id for s in corpus.sections}
    influence._check(corpus, questions, decoys)
    assert len(ids) == 28
    assert len(decoys) == 6
    for kind, sections in (("trained", ids - decoys), ("rephrased", ids - decoys), ("held-out", decoys)):
        own = [q.section for q in questions if q.kind == kind]
        assert sorted(own, key=str) == sorted(sections)
    trained_in = {s.document for s in corpus.sections if s.id not in decoys}
    assert {s.document for s in corpus.sections if s.id in decoys} <= trained_in
