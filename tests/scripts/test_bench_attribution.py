"""The bench's own arithmetic, on made-up measurements; and once the whole program, on a few tokens."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from attrib.errors import ModelError
from attrib.models.bundled import get_default_model
from scripts import bench_attribution as bench
from scripts.bench_attribution import METHODS, Measured, Problem, Sizes

ROOT = Path(__file__).parents[2]
SMOL = Sizes(prompt=60, answer=30, trunk=106_168_320, width=576, vocabulary=49_152)


def measured(folder: Path, name: str, scores: np.ndarray | None = None, *figures: dict[str, Any]) -> Measured:
    if scores is None:
        return Measured(figures)
    np.savez(folder / f"{name}.npz", scores=scores)
    return Measured(figures, folder / f"{name}.npz")


def costs(cpu: float, **more: float) -> dict[str, float]:
    return {"cpu": cpu, "wall": cpu, "peak_mib": 900 + cpu, "above_model_mib": cpu} | more


def test_the_floor_of_the_default_model_is_the_one_worked_out_by_hand() -> None:
    # 19 Gop forward, 475 Gop backward, 3.4 Gop head, at 65 Gop/s.
    assert bench.operations("backward", SMOL) / 65e9 == pytest.approx(7.6, abs=0.1)
    assert bench.operations("backward", SMOL, 20) == 20 * bench.operations("backward", SMOL)
    assert bench.operations("answer", SMOL) / 65e9 == pytest.approx(0.63, abs=0.02)


def test_operations_are_those_of_a_loop_over_what_must_be_computed() -> None:
    size = Sizes(prompt=3, answer=2, trunk=7, width=5, vocabulary=11)
    head = 2 * 5 * 11
    # The model reads 4 tokens; the answer's tokens depend on 3 and 4 of them.
    assert bench.operations("forward", size) == 2 * 7 * 4
    assert bench.operations("backward", size) == 2 * 7 * (4 + 3 + 4) + 2 * 2 * head
    assert bench.operations("answer", size) == 2 * 7 * (4 + 4) + 2 * 2 * head
    # Token 0 replaced: all 4 positions anew, token 1: 3, token 2: 2.
    assert bench.operations("replacements", size) == 2 * 7 * (4 + 4 + 3 + 2) + 4 * 2 * head


def test_one_token_answers_cost_the_same_by_token_and_as_a_whole() -> None:
    one = replace(SMOL, answer=1)
    assert bench.operations("backward", one) == bench.operations("answer", one)
    assert bench.operations("backward", SMOL) > 10 * bench.operations("answer", SMOL)


def test_sizes_leave_out_embeddings_head_and_norms(base_dir: Path) -> None:
    found = bench.sizes(Problem(str(base_dir), "", (1, 2, 3), (4,)))
    # 3 layers; width 32, 4 heads of 8 with 2 of keys and values, hidden 48.
    assert found.trunk == 3 * (2 * 32 * 32 + 2 * 32 * 16 + 3 * 32 * 48)
    assert (found.prompt, found.answer, found.width) == (3, 1, 32)
    assert found.vocabulary > 256


def test_the_error_is_relative_to_the_largest_score_of_its_row() -> None:
    theirs = np.array([[1.0, -2.0], [100.0, 0.0]])
    assert bench.relative_error(theirs, theirs) == 0
    assert bench.relative_error(theirs + np.array([[0, 0.2], [0, 0.2]]), theirs) == pytest.approx(0.1)
    assert bench.relative_error(theirs, np.array([[1.0, 1.0], [0.0, 0.0]])) is None


def test_correlations_see_order_and_do_not_count_what_neither_scores() -> None:
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(5, 40))
    assert bench.rank_correlation(np.exp(scores), scores) == pytest.approx(1)
    assert bench.correlation(np.exp(scores), scores) != pytest.approx(1, abs=0.01)
    other = rng.normal(size=(5, 40))
    padded = [np.concatenate([block, np.zeros((5, 400))], 1) for block in (scores, other)]
    assert bench.rank_correlation(*padded) == pytest.approx(bench.rank_correlation(scores, other))
    assert abs(bench.rank_correlation(scores, other) or 0) < 0.4
    assert bench.correlation(np.ones((2, 3)), scores[:2, :3]) is None


def test_scores_are_compared_where_both_have_them_and_summed_for_whole_answers() -> None:
    ours, theirs = np.arange(12.0).reshape(1, 12), np.ones((4, 9))
    a, b = bench.comparable(ours, theirs)
    assert a.shape == b.shape == (1, 9)
    assert (b == 4).all()
    a, b = bench.comparable(np.ones((4, 12)), theirs)
    assert a.shape == b.shape == (4, 9)


def test_turns_go_round_and_measure_what_is_borrowed_once() -> None:
    order = list(bench.turns(("input_x_gradient", "input_x_gradient_answer"), ("ours", "captum"), 2))
    first = [turn[1:] for turn in order if turn[0] == 0]
    assert first == [
        ("input_x_gradient", "ours"),
        ("input_x_gradient", "captum"),
        ("input_x_gradient_answer", "ours"),
    ]
    assert [turn[1:] for turn in order if turn[0] == 1] == first
    # Chosen alone, a row still gets what it borrows.
    assert ("input_x_gradient", "captum") in [
        t[1:] for t in bench.turns(("input_x_gradient_answer",), ("ours", "captum"), 1)
    ]


def test_what_takes_minutes_is_measured_once_and_gaps_of_peers_come_before_ours() -> None:
    order = list(bench.turns(tuple(METHODS), bench.TOOLS, 2))
    assert (1, "leave_one_out_by_token", "captum") not in order
    assert (0, "leave_one_out_by_token", "captum") in order
    for name, method in METHODS.items():
        if method.at_gap_of is not None:
            assert order.index((0, *method.at_gap_of)) < order.index((0, name, "ours"))


def test_every_row_borrows_from_rows_where_the_tool_is_measured() -> None:
    for method in METHODS.values():
        for tool, other in method.borrowed.items():
            assert tool in METHODS[other].tools
            assert tool not in method.tools


def test_the_report_has_the_smallest_repeat_ratios_floor_and_agreement(tmp_path: Path) -> None:
    scores = np.random.default_rng(1).normal(size=(30, 90))
    repeats = costs(12.0, gflops=60.0), costs(10.0, gflops=65.0)
    results = {
        ("input_x_gradient", "ours"): measured(tmp_path, "a", scores, *repeats),
        ("input_x_gradient", "captum"): measured(tmp_path, "b", scores[:, :60] * 1.001, costs(24.0)),
        ("input_x_gradient_answer", "ours"): measured(tmp_path, "c", scores.sum(0, keepdims=True), costs(1.0)),
    }  # fmt: skip
    methods, tools = ("input_x_gradient", "input_x_gradient_answer"), ("ours", "captum", "inseq")
    found = bench.report(methods, tools, results, SMOL)
    row = found["input_x_gradient"]
    assert row["ours"] == 10
    assert row["ours_repeats"] == 2
    assert row["captum_peak_mib"] == 924
    assert row["cheaper_than_captum"] == pytest.approx(2.4)
    assert row["agreement_captum"] == pytest.approx(0.001, rel=0.01)
    assert row["floor"] == pytest.approx(bench.operations("backward", SMOL) / 65e9)
    assert row["ours_of_floor"] == pytest.approx((row["floor"] or 0) / 10)
    assert row["inseq"] is None
    assert row["cheaper_than_inseq"] is None
    whole = found["input_x_gradient_answer"]
    assert whole["captum"] == 24
    assert whole["cheaper_than_captum"] == 24
    assert whole["agreement_captum"] == pytest.approx(0.001, rel=0.01)
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_a_wrong_peer_is_not_called_alike(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    results = {
        ("input_x_gradient", tool): measured(tmp_path, tool, rng.normal(size=(30, 60)), costs(1.0))
        for tool in ("ours", "captum")
    }
    row = bench.report(("input_x_gradient",), ("ours", "captum"), results, SMOL)["input_x_gradient"]
    assert (row["agreement_captum"] or 0) > 0.5
    assert abs(row["spearman_captum"] or 0) < 0.2


def test_our_tolerance_is_the_peers_gap_and_a_default_without_it() -> None:
    results = {("integrated_gradients", "captum"): Measured((costs(1.0, gap=0.8, gap_share=0.36),))}
    assert bench.tolerance_of("integrated_gradients_adaptive", results) == 0.36
    assert bench.tolerance_of("integrated_gradients_adaptive", {}) == bench.TOLERANCE


def test_the_gap_of_one_token_does_not_stand_beside_a_whole_answer(tmp_path: Path) -> None:
    results = {("integrated_gradients", "captum"): Measured((costs(1.0, gap=0.8),))}
    rows = bench.report(("integrated_gradients", "integrated_gradients_answer"), ("captum",), results, SMOL)
    assert rows["integrated_gradients"]["captum_gap"] == 0.8
    assert "captum_gap" not in rows["integrated_gradients_answer"]


def test_the_table_shows_what_is_missing_and_what_is_borrowed(tmp_path: Path) -> None:
    results = {
        ("input_x_gradient", "captum"): measured(tmp_path, "x", np.ones((30, 60)), costs(24.0)),
        ("input_x_gradient_answer", "ours"): measured(tmp_path, "y", np.ones((1, 90)), costs(0.95)),
    }
    tools = ("ours", "captum", "inseq")
    console = Console(width=200, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(bench.as_table(bench.report(tuple(METHODS)[:2], tools, results, SMOL), tools))
    per_token, whole = (line for line in console.export_text().splitlines() if line.startswith("│ input"))
    assert "24.00 (24)" in per_token
    assert "–" in per_token
    assert "24.00* (24)" in whole
    assert "0.95 (1)" in whole


def test_a_peer_that_cannot_be_installed_is_left_out_with_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(command: Any) -> None:
        raise subprocess.CalledProcessError(1, command, stderr="looking\nERROR: No matching distribution found\n")

    monkeypatch.setattr(bench, "_call", refuse)
    pythons = bench.find_pythons(("ours", "inseq"), ("input_x_gradient",), tmp_path / "envs")
    assert pythons == {"ours": sys.executable}
    said = capsys.readouterr().err
    assert "inseq: left out" in said
    assert "No matching distribution" in said
    # relevance is no peer's: nothing is made for it.
    assert bench.find_pythons(("ours", "inseq"), ("relevance",), tmp_path / "envs") == {"ours": sys.executable}
    assert capsys.readouterr().err == ""


def test_a_runner_that_fails_leaves_an_empty_cell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    problem = Problem(str(tmp_path), str(tmp_path), (1, 2), (3,), timeout=60)
    results = bench.measure_all(problem, ("relevance",), {"ours": sys.executable}, 2, tmp_path)
    assert results == {}
    assert capsys.readouterr().err.count("relevance, ours: failed") == 1


@pytest.mark.model
@pytest.mark.slow
def test_the_whole_bench_on_a_few_tokens() -> None:
    try:
        get_default_model()
    except ModelError as error:
        pytest.skip(f"the default model cannot be had: {error}")
    command = [sys.executable, "scripts/bench_attribution.py", "--quick", "--tools", "ours,captum", "--json"]
    chosen = ["--methods", "integrated_gradients"]
    done = subprocess.run([*command, *chosen], capture_output=True, text=True, cwd=ROOT, timeout=600)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert set(found) == {"integrated_gradients"}
    row = found["integrated_gradients"]
    assert row["ours"] > 0
    assert row["captum"] > 0
    assert row["floor"] > 0
    assert row["agreement_captum"] < 5e-3
    assert row["ours_peak_mib"] > row["ours_above_model_mib"]
    # Same path, same points: the same gap, whichever of the two says it.
    assert row["ours_gap"] == pytest.approx(row["captum_gap"], rel=1e-2)
