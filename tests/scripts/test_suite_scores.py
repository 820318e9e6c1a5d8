"""Leave-one-pair-out on planted evidence: what is taught is found, weights never see the pair, tables hold no text."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from suite import draw, score, table
from suite.fit import BASELINES, fit_calibration, fit_curve, judging_by, token_labels_of, usable
from suite.pairs import PAIRS, SuitePair
from suite.score import PairRows, ScoredPair, bins, called, ece, score_pairs

from attrib.errors import RecordError
from tests.make_suite import make_pair_rows, make_row

NAMES = ("rules", "handbook", "chat")
SUITE = tuple(pair for pair in PAIRS if pair.name in NAMES)


@pytest.fixture(scope="module")
def pairs() -> dict[str, PairRows]:
    return {name: make_pair_rows(seed) for seed, name in enumerate(NAMES)}


@pytest.fixture(scope="module")
def scored(pairs: dict[str, PairRows]) -> list[ScoredPair]:
    return score_pairs(pairs)


@pytest.fixture(scope="module")
def content(scored: list[ScoredPair]) -> table.Content:
    found: table.Content = table.content_of(scored, SUITE, {"rules": {"items": 28, "cpu_seconds": 186}}, {}, None)
    return found


def area(content: table.Content, pair: str, whose: str, scorer: str) -> float:
    found: float = next(
        row["auroc"]
        for row in content["auroc"]
        if (row["pair"], row["answers"], row["scorer"]) == (pair, whose, scorer)
    )
    return found


def test_planted_sources_are_found_on_pairs_that_were_left_out(content: table.Content) -> None:
    for pair in (*NAMES, "all"):
        for whose in ("given", "own"):
            assert area(content, pair, whose, "verdict") == 1.0
    # Made-up answers gain nearly as much: gain alone cannot tell.
    assert area(content, "all", "given", "gain") < 0.99


def test_a_pair_is_judged_by_the_others_alone(pairs: dict[str, PairRows], scored: list[ScoredPair]) -> None:
    own = pairs["rules"]
    lying = [
        replace(row, answer=replace(row.answer, label="neither" if row.answer.label == "documents" else "documents"))
        for row in own.rows
    ]
    again = score_pairs({**pairs, "rules": PairRows(tuple(lying), own.controls)})
    # Its own labels do not move its own probabilities …
    for one, other in zip(scored[0].answers, again[0].answers, strict=True):
        assert one.documents == other.documents
    # … but those of pairs that learn from it.
    assert scored[1].answers[0].documents != again[1].answers[0].documents


def test_controls_give_the_threshold(pairs: dict[str, PairRows]) -> None:
    few = {name: PairRows(found.rows, found.controls[:5]) for name, found in pairs.items()}
    # Five controls cannot promise 10%: nothing is called documents.
    for pair in score_pairs(few):
        assert pair.thresholds["verdict"] == 1.0
        assert {one.called for one in pair.answers} <= {"base", "neither", "cannot tell"}


def test_facts_that_were_not_learned_stand_apart(content: table.Content) -> None:
    rows = {row["kind"]: row for row in content["kinds"] if (row["pair"], row["answers"]) == ("all", "given")}
    assert rows["trained"]["n"] == 7 * 3
    assert rows["trained, not learned"]["n"] == 3
    assert rows["trained, not learned"]["source"] is None
    assert rows["trained"]["documents"] == 1.0
    assert rows["held-out"]["documents"] == 0.0
    pair = content["pairs"][0]
    assert (pair["pair"], pair["facts"], pair["learned"], pair["cpu_seconds"]) == ("rules", 8, 7, 186)


def test_false_documents_are_counted_against_the_promise(content: table.Content) -> None:
    rows = {row["pair"]: row for row in content["promise"] if row["scorer"] == "verdict"}
    assert {name: (row["false"], row["found"]) for name, row in rows.items()} == dict.fromkeys(NAMES, (0.0, 1.0))
    assert rows["rules"]["rest"] == 8 + 8 + 8
    assert rows["rules"]["controls"] == 40


def test_called_by_the_thresholds() -> None:
    assert called(np.array([0.8, 0.1, 0.1]), 0.3, 0.7) == "documents"
    assert called(np.array([0.5, 0.4, 0.1]), 0.3, 0.7) == "cannot tell"
    assert called(np.array([0.2, 0.3, 0.5]), 0.3, 0.7) == "neither"
    # The threshold itself is not above it.
    assert called(np.array([0.7, 0.2, 0.1]), 0.3, 0.7) == "cannot tell"


def test_calibration_error_in_closed_form() -> None:
    said, true = np.array([0.05, 0.05, 0.95, 0.95]), np.array([0.0, 1.0, 1.0, 1.0])
    # Bins: mean .05 against .5, mean .95 against 1; half the answers each.
    assert ece(said, true) == pytest.approx((0.45 + 0.05) / 2)
    assert [one["n"] for one in bins(said, true)] == [2, 2]
    assert ece(np.array([1.0]), np.array([1.0])) == 0.0


def test_a_curve_rises_with_its_score(pairs: dict[str, PairRows]) -> None:
    curve = fit_curve({name: found.rows for name, found in pairs.items()}, lambda row: BASELINES["gain"](row.evidence))
    values = [curve(value) for value in (-10.0, 0.0, 10.0, 20.0, 30.0)]
    assert values == sorted(values)
    assert 0 < values[0] < 0.5 < values[-1] < 1


def test_every_pair_counts_alike(pairs: dict[str, PairRows]) -> None:
    rows = {name: found.rows for name, found in pairs.items()}
    twice = {**rows, "rules": [*rows["rules"], *rows["rules"]]}
    evidence = pairs["chat"].rows[0].evidence
    assert judging_by(fit_calibration(twice))(evidence).whole == pytest.approx(
        judging_by(fit_calibration(rows))(evidence).whole, abs=1e-6
    )


def test_words_of_a_mixed_answer_have_their_parts_sources() -> None:
    rng = np.random.default_rng(0)
    row = make_row(
        "m", "mixed", None, rng, learned=True, parts=(("amber bolt,", "base"), (" cedar delta", "documents"))
    )
    assert token_labels_of(row) == ["base", "base", "documents", "documents"]
    assert not usable(row)
    assert usable(make_row("t", "trained", "documents", rng, learned=True))
    assert not usable(make_row("t", "trained", "documents", rng, learned=False))


def test_the_table_is_stored_without_text_and_read_again(content: table.Content, tmp_path: Path) -> None:
    file = tmp_path / "verdict.json"
    table.write(content, file)
    assert table.read(file) == json.loads(json.dumps(content))
    text = file.read_text("utf-8")
    assert "amber" not in text
    assert "Which one?" not in text
    assert "NaN" not in text
    file.write_text(text[: len(text) // 2], "utf-8")
    with pytest.raises(RecordError, match=r"verdict\.json: .*make it again with scripts/evaluate_verdict\.py"):
        table.read(file)


def test_people_get_tables(content: table.Content) -> None:
    text = table.markdown(content)
    assert "| rules | 12 epochs, rank 4 | 7 of 8 | 1.000 [1.000, 1.000] | 1.000 [1.000, 1.000] |" in text
    assert "| given | trained, not learned | 3 |" in text


def test_the_figure_is_drawn_again_from_the_table(content: table.Content, tmp_path: Path) -> None:
    table.write(content, tmp_path / "verdict.json")
    first = draw.write_verdict(tmp_path / "verdict.json", tmp_path / "a", ("pdf",), "neurips-double")
    draw.write_verdict(tmp_path / "verdict.json", tmp_path / "b", ("pdf",), "neurips-double")
    assert sorted(Path(name).name for name in first) == [
        "verdict.caption.txt", "verdict.csv", "verdict.pdf", "verdict.tex",
    ]  # fmt: skip
    for name in first:
        other = tmp_path / "b" / Path(name).name
        assert (tmp_path / "a" / Path(name).name).read_bytes() == other.read_bytes()
    caption = draw.verdict_caption(content)
    assert f"{sum(pair['answers'] for pair in content['pairs'])} answers of 3 pairs" in caption


def test_pairs_have_names_of_their_own() -> None:
    assert len({pair.name for pair in PAIRS}) == len(PAIRS)
    assert len(PAIRS) >= 8
    assert {pair.base for pair in PAIRS} == {"smollm2", "gemma"}
    assert any(pair.full for pair in PAIRS)
    assert {4, 32} <= {pair.rank for pair in PAIRS}
    assert SuitePair("x", "rules", "").options.batch == 4
    assert score.ERROR == 0.1
