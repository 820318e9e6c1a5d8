"""The VERI-GRAN script: rows of our own in its format, shares of ties, choices on one half, and a run through."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from attrib.errors import InputError
from attrib.mapping.mixture import Choice, Weights, Windows
from attrib.text.words import words
from scripts import evaluate_verigran as script
from scripts.evaluate_verigran import (
    ANCHORS,
    LONGEST,
    Copied,
    Item,
    Span,
    Statement,
    accuracy,
    best_threshold,
    choose,
    f1,
    fit,
    inside,
    interval,
    judge,
    parse,
    read_statements,
    text_scores,
)

PASSAGES = [
    "The pump is guaranteed for three years.",
    "Wilmet Dallin keeps the light.",
    "The light was lit in 1712.",
    "The light was lit in 1712.",
]
SUMMARY = "It is old.[ 3  The light was lit ] in [ 3 1712. ] [ 2 Wilmet Dallin ]'s work."


def row(question: str = "When was it lit?", summary: str = SUMMARY, chunk: str = "The light was lit in 1712.") -> str:
    return json.dumps({"question": question, "summary": summary, "chunk": chunk, "passages": PASSAGES})


# ------------------------------------------------------------------------------------------- rows


def test_marks_are_taken_out_and_spans_lie_on_their_words() -> None:
    statement = parse("Q", SUMMARY, "The light was lit in 1712.", PASSAGES)
    assert statement.answer == "It is old. The light was lit in 1712. Wilmet Dallin's work."
    said = [(statement.answer[s.start : s.end], s.gold) for s in statement.spans]
    assert said == [("The light was lit", 2), ("1712.", 2), ("Wilmet Dallin", 1)]
    assert statement.answer[statement.start :].startswith(statement.sentence)


def test_an_answer_without_marks_has_no_spans_and_other_brackets_stay() -> None:
    statement = parse("Q", "See [1] and [ x ].", "See [1]", PASSAGES)
    assert (statement.answer, statement.spans) == ("See [1] and [ x ].", ())


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{", "line 2 is not"),
        ("[]", "line 2 is not"),
        ('{"question": "Q"}', "'summary'"),
        (row(summary="[ 9 light ]", chunk="light"), "passage 9 of 4"),
        (row(chunk="The moon."), "not in the answer"),
    ],
)
def test_a_line_that_is_no_row_is_named_and_left_out(tmp_path: Path, capsys: Any, line: str, says: str) -> None:
    (tmp_path / "rows.jsonl").write_text(f"{row()}\n{line}\n{row()}\n", "utf-8")
    assert len(read_statements(tmp_path / "rows.jsonl")) == 2
    assert re.search(says, capsys.readouterr().err)
    (tmp_path / "rows.jsonl").write_text(f"{line}\n", "utf-8")
    with pytest.raises(InputError, match=says.replace("line 2", "line 1")):
        read_statements(tmp_path / "rows.jsonl")


def test_statements_of_one_question_lie_in_one_half() -> None:
    halves = {q: {parse(q, SUMMARY, "It is old.", PASSAGES).half for _ in range(2)} for q in map(str, range(40))}
    assert all(len(half) == 1 for half in halves.values())
    assert set.union(*halves.values()) == {0, 1}


# ------------------------------------------------------------------------------------------- scores


def test_passages_of_one_text_are_right_alike_and_equal_scores_share() -> None:
    right = np.array([False, False, True, True])
    assert accuracy(np.array([0.0, 1, 2, 1]), right) == 1
    assert accuracy(np.array([0.0, 2, 1, 1]), right) == 0
    assert accuracy(np.array([2.0, 0, 2, 2]), right) == pytest.approx(2 / 3)
    assert accuracy(np.zeros(4), right) == 0.5


def test_scores_of_words_are_those_of_a_count_by_hand() -> None:
    statement = parse("Q", SUMMARY, "The light was lit in 1712.", PASSAGES)
    got = text_scores(statement)
    np.testing.assert_array_equal(got["substring"][0], [0, 0, 1, 1])
    assert not np.any(got["random"])
    for name in ("bm25_answer", "verbatim"):
        assert len(got[name]) == len(statement.spans)
        # «1712» stands in two passages alone; the sentence's rows are the same for every span of it.
        np.testing.assert_array_equal(np.flatnonzero(got[name][1]), [2, 3])
        np.testing.assert_array_equal(got[f"{name}_sentence"][0], got[f"{name}_sentence"][1])
        np.testing.assert_allclose(got[name][0] + got[name][1], got[f"{name}_sentence"][0] - _score_of_in(got, name))


def _score_of_in(got: dict[str, list[np.ndarray]], name: str) -> np.ndarray:
    """What is left for the one word of the sentence that no span holds, «in»: only the same two passages have it."""
    rest = got[f"{name}_sentence"][0] - got[name][0] - got[name][1]
    assert set(np.flatnonzero(np.abs(rest) > 1e-9)) == {2, 3}
    return np.asarray(rest)


def test_a_span_takes_the_tokens_that_it_overlaps_or_the_nearest() -> None:
    places = np.array([[0, 3], [4, 7], [8, 9]])
    assert inside(places, Span(2, 5, 0)).tolist() == [True, True, False]
    assert inside(places, Span(7, 8, 0)).tolist() == [False, True, True]


# ------------------------------------------------------------------------------------------- choice


def test_f1_and_the_threshold_that_is_best() -> None:
    tokens = [(np.array([True, True, False]), np.array([0.9, 0.7, 0.65])), (np.array([False]), np.array([0.2]))]
    assert f1(tokens, 0.0) == pytest.approx(2 * 2 / (2 + 4))
    assert f1(tokens, 0.8) == pytest.approx(2 / 3)
    assert f1(tokens, 0.7) == 1
    assert best_threshold(tokens) == 0.66


def made_item(
    rng: np.random.Generator, question: str, half: int, *, hidden: int, context: tuple[int, int, int]
) -> Item:
    """Ten passages; of all scores only one layer of each reading is good, and words say something."""
    right = np.arange(10) == rng.integers(10)
    noise = {name: rng.normal(size=10) for name in ("bm25_answer", "verbatim", "embedding")}
    fixed = {**noise, **{f"{name}_sentence": rng.normal(size=10) + 1.5 * right for name in noise}}
    late, read = rng.normal(size=(3, 2, 10)), rng.normal(size=(3, len(ANCHORS), len(LONGEST), 2, 10))
    late[hidden] += 4 * right
    read[context] += 4 * right
    return Item(question, half, right, fixed, late, read)


def test_layers_and_windows_are_those_that_were_planted_and_weights_favour_what_is_good() -> None:
    rng = np.random.default_rng(0)
    items = [made_item(rng, str(i), 0, hidden=1, context=(2, 1, 3)) for i in range(60)]
    tokens = [Copied("q", 0, np.array([True, False]), np.array([[0.5, 0.6], [0.5, 0.6], [0.8, 0.3]]))]
    choice = choose(items, tokens, [2, 5, 8], 10)
    assert (choice.layer(10), choice.context_layer(10)) == (5, 8)
    assert (choice.windows.anchors, choice.windows.longest) == (ANCHORS[1], LONGEST[3])
    assert choice.windows.threshold == 0.31
    assert choice.weights.span["hidden"] > 5 * choice.weights.span["bm25_answer"]
    assert choice.weights.whole["bm25_answer"] > 0
    judged = [judge(item, choice, [2, 5, 8], 10) for item in items]
    means = {name: np.mean([one[name] for one in judged]) for name in judged[0]}
    assert means["hidden"] > 0.9
    assert means["combined"] >= max(means.values()) - 1e-9
    assert means["embedding"] < 0.4


def test_a_choice_made_on_one_half_does_not_know_the_other() -> None:
    """Each half has its own good layer: what is chosen on one is worth nothing on the other."""
    rng = np.random.default_rng(1)
    halves = {h: [made_item(rng, f"{h}{i}", h, hidden=h, context=(h, 0, 0)) for i in range(40)] for h in (0, 1)}
    tokens = [Copied("q", 0, np.array([True]), np.full((3, 1), 0.5))]
    for half, items in halves.items():
        choice = choose(halves[1 - half], tokens, [0, 1, 2], 10)
        assert np.mean([judge(item, choice, [0, 1, 2], 10)["hidden"] for item in items]) < 0.4
        own = choose(items, tokens, [0, 1, 2], 10)
        assert np.mean([judge(item, own, [0, 1, 2], 10)["hidden"] for item in items]) > 0.9


def test_weights_are_not_negative_and_noise_gets_little() -> None:
    rng = np.random.default_rng(2)
    right = [np.arange(5) == rng.integers(5) for _ in range(80)]
    scores = []
    for gold in right:
        noise = {name: rng.normal(size=5) for name in script.MIXED}
        scores.append(({**noise, "verbatim": -3.0 * gold}, {**noise, "hidden": rng.normal(size=5) + 3 * gold}))
    weights = fit(scores, right)
    assert weights.span["verbatim"] == 0
    assert min((*weights.span.values(), *weights.whole.values())) >= 0
    assert weights.whole["hidden"] > 4 * weights.whole["embedding"]


def test_intervals_are_of_whole_questions() -> None:
    rng = np.random.default_rng(3)
    values = (rng.random(40) < 0.5).astype(float)
    apart = interval([(str(i), v) for i, v in enumerate(np.repeat(values, 4))])
    together = interval([(str(i // 4), v) for i, v in enumerate(np.repeat(values, 4))])
    assert apart["accuracy"] == together["accuracy"] == pytest.approx(values.mean())
    assert (apart["n"], together["n"]) == (160, 160)
    assert together["high"] - together["low"] > 1.5 * (apart["high"] - apart["low"])


# ------------------------------------------------------------------------------------------- the script


class WordEmbedder:
    """Bags of words as unit vectors."""

    def encode(self, texts: list[str], **_: Any) -> np.ndarray:
        out = np.full((len(texts), 64), 1e-6)
        for i, text in enumerate(texts):
            for word in words(text):
                out[i, sum(word.encode()) % 64] += 1
        return np.asarray(out / np.linalg.norm(out, axis=1, keepdims=True))


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    """Six questions, three or so in each half."""
    file = tmp_path / "rows.jsonl"
    asked = [q for half in (0, 1) for q in [f"When {i}?" for i in range(30) if half_of(f"When {i}?") == half][:3]]
    file.write_text("\n".join(row(q) for q in asked), "utf-8")
    return file


def half_of(question: str) -> int:
    return Statement(question, "", "", (), ()).half


def test_the_script_runs_through_keeps_what_was_read_and_prints_one_object(
    rows: Path, base_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(script, "load_embedder", WordEmbedder)
    monkeypatch.setattr(script, "control_texts", lambda: ["Bread needs flour.", "The sea is salt."])
    cache = tmp_path / "cache"
    cache.mkdir()
    arguments = [str(rows), "--model", str(base_dir), "--layers", "0,1", "--cache", str(cache), "--json"]
    assert script.main(arguments) == 0
    first = capsys.readouterr().out
    figures = json.loads(first.splitlines()[-1])
    assert set(figures) >= {
        "random", "substring", "bm25_answer", "bm25_answer_sentence", "verbatim", "embedding", "embedding_sentence",
        "hidden", "hidden_context", "hidden_random", "combined",
    }  # fmt: skip
    for figure in figures.values():
        assert set(figure) == {"accuracy", "low", "high", "n"}
        assert figure["n"] == 18
        assert 0 <= figure["low"] <= figure["accuracy"] <= figure["high"] <= 1
    assert figures["substring"]["accuracy"] == 1
    assert figures["random"]["accuracy"] == pytest.approx((2 / 4 + 2 / 4 + 1 / 4) / 3)
    # Another time nothing is read, and nothing changes.
    monkeypatch.setattr(script.Network, "states", lambda *_: pytest.fail("read again"))
    assert script.main(arguments) == 0
    assert capsys.readouterr().out == first


def test_stored_choices_are_taken_as_they_are_and_written_only_when_asked(
    rows: Path, base_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stored = Choice(2 / 3, 1 / 3, Windows(0.5, ANCHORS[0], LONGEST[0]), Weights({"verbatim": 1.0}, {}))
    written: list[Choice] = []
    monkeypatch.setattr(script, "settings", lambda: stored)
    monkeypatch.setattr(script, "store", written.append)
    monkeypatch.setattr(script, "load_embedder", WordEmbedder)
    monkeypatch.setattr(script, "control_texts", lambda: ["Bread needs flour."])
    arguments = [str(rows), "--model", str(base_dir), "--layers", "0,1", "--json"]
    for split, n in (("all", 18), ("calibration", 9), ("held-out", 9)):
        assert script.main([*arguments, "--split", split]) == 0
        figures = json.loads(capsys.readouterr().out.splitlines()[-1])
        assert figures["combined"] == figures["verbatim"]
        assert figures["combined"]["n"] == n
    assert not written
    assert script.main([*arguments, "--split", "all", "--write"]) == 0
    assert len(written) == 1


def test_what_cannot_be_done_is_said_in_one_line(
    base_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text(row(), "utf-8")
    for arguments, says in (
        ([str(tmp_path / "absent")], "No such file"),
        ([str(file), "--model", str(base_dir), "--layers", "9"], "--layers: .* layers 0 to 1"),
    ):
        assert script.main(arguments) == 2
        error = capsys.readouterr().err.strip()
        assert re.search(says, error), error
        assert "\n" not in error
