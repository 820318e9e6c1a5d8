"""The bench's own arithmetic, on made-up measurements; and once the whole program, on a few rows."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from attrib.errors import ModelError
from attrib.index.index import Encoder
from attrib.index.search import top_k
from attrib.models.bundled import embedder_path
from scripts import bench_mapping as bench
from scripts.bench_mapping import Figures, Problem, Vectors

ROOT = Path(__file__).parents[2]


def test_the_vectors_are_of_length_one_and_their_text_is_their_seed() -> None:
    rows = bench.unit_vectors(5, 3)
    assert rows.shape == (5, bench.WIDTH)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, rtol=1e-5)
    encoder: Encoder = Vectors()
    one, two = encoder.encode(["7", "8"])
    np.testing.assert_array_equal(encoder.encode(["8"])[0]["vectors"], two["vectors"])
    assert abs(float(one["vectors"][0].astype(np.float32) @ two["vectors"][0].astype(np.float32))) < 0.3


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_the_bare_product_is_the_whole_product_and_nothing_else(dtype: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    rows, queries = bench.unit_vectors(bench.TILE + 100, 1).astype(dtype), bench.unit_vectors(3, 2)
    made = []
    real = torch.mm

    def mm(*args: Any, **options: Any) -> Any:
        made.append(real(*args, **options).clone())
        return made[-1]

    monkeypatch.setattr(torch, "mm", mm)
    bench.bare(queries, rows)()
    np.testing.assert_allclose(torch.cat(made, 1).numpy(), queries @ rows.astype(np.float32).T, atol=1e-6)


def test_overlap_is_one_for_the_best_rows_and_less_for_others() -> None:
    rows, queries = bench.unit_vectors(500, 1), bench.unit_vectors(4, 2)
    best = top_k(queries, [rows], 10)[1]
    assert bench.overlap(best, queries, rows) == 1
    worst = top_k(-queries, [rows], 10)[1]
    assert bench.overlap(worst, queries, rows) == 0
    assert bench.overlap(np.concatenate([best[:, :5], worst[:, :5]], 1), queries, rows) == 0.5


def test_the_smallest_repeat_counts() -> None:
    # Far apart: other work on the machine makes a wait longer, never shorter.
    waits = iter([0.5, 0.0, 0.4])

    def work() -> None:
        import time

        time.sleep(next(waits))

    cpu, wall = bench._best(3, work)
    assert wall < 0.4
    assert cpu < 0.4


def test_only_what_was_measured_and_failed_is_a_failure() -> None:
    assert not bench.failed({"search": {"10": {"ours": 0.1, "faiss_flat": None}}, "build": {"gradients": {}}})
    assert bench.failed({"search": {"10": {"ours": None}}})


def test_a_measurement_that_fails_is_null_with_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.measure(Problem(), "exact", tmp_path, 12) == {"ours": None}
    said = capsys.readouterr().err
    assert "exact, 12 rows: failed (" in said
    assert "no index there" in said


def test_rows_whose_index_failed_are_not_searched(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked = []

    def measure(problem: Problem, name: str, folder: Path, rows: int) -> Figures:
        asked.append(name)
        return {"ours": None}

    monkeypatch.setattr(bench, "measure", measure)
    assert bench.search(Problem(), 10, tmp_path) == {"ours": None}
    assert asked == ["index"]


def test_faiss_is_asked_where_it_is_and_hnsw_up_to_its_limit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    figures: dict[str, Figures] = {
        "index": {"bytes_per_text": 800.0},
        "exact": {"ours": 1.0},
        "flat": {"faiss_flat": 2.0},
        "hnsw": {"ours": None},
    }
    monkeypatch.setattr(bench, "measure", lambda problem, name, folder, rows: dict(figures[name]))
    monkeypatch.setattr(bench.importlib.util, "find_spec", lambda name: None)
    assert bench.search(Problem(), 10, tmp_path) == {"bytes_per_text": 800.0, "ours": 1.0}
    monkeypatch.setattr(bench.importlib.util, "find_spec", lambda name: True)
    # A peer that fails does not make ours fail.
    assert bench.search(Problem(hnsw_rows=10), 10, tmp_path) == {
        "bytes_per_text": 800.0,
        "ours": 1.0,
        "faiss_flat": 2.0,
    }


def shown(table: Any) -> list[str]:
    console = Console(width=200, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(table)
    return [line for line in console.export_text().splitlines() if line.startswith("│")]


def test_the_tables_show_what_is_missing() -> None:
    found = {"1000000": {"ours": 0.75, "bare": 0.7, "of_bare": 1.07, "peak_above_index_mib": 12.0}}
    line = shown(bench.search_table(found, Problem()))[0]
    assert [cell.strip() for cell in line.split("│")[1:5]] == ["1,000,000", "0.750", "0.700", "1.07"]
    assert "–" in line
    lines = shown(bench.build_table({"embedding": {"ours": 4.0, "rate_of_bare": 0.97}, "gradients": {}}))
    assert "0.97" in lines[0]
    assert lines[1].count("–") == 6


def test_bare_gradients_reach_every_parameter_and_leave_nothing(base_dir: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(base_dir)
    tokenizer = AutoTokenizer.from_pretrained(base_dir)
    seen = []
    for parameter in model.parameters():
        parameter.register_post_accumulate_grad_hook(lambda one: seen.append(one.shape))
    bench.bare_gradients(model, tokenizer, ["The pump is warm.", "The light."])
    assert len(seen) == 2 * len(list(model.parameters()))
    assert all(parameter.grad is None for parameter in model.parameters())


def program(*flags: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "scripts/bench_mapping.py", *flags], capture_output=True, text=True, cwd=ROOT, timeout=600
    )


@pytest.mark.parametrize("flags", [("--rows", "ten"), ("--rows", "0"), ("--k", "0"), ("--texts", "-1")])
def test_flags_that_cannot_be_are_refused(flags: tuple[str, str]) -> None:
    done = program(*flags)
    assert done.returncode == 2
    assert flags[0] in done.stderr


def test_the_whole_search_on_a_few_rows() -> None:
    done = program("--quick", "--search", "--json")
    assert done.returncode == 0, done.stderr
    row = json.loads(done.stdout.splitlines()[-1])["search"]["3000"]
    assert row["agreement"] == 1
    assert min(row["ours"], row["bare"], row["bare_fp16"]) > 0
    # 384 numbers of 2 bytes, the text's hash and its offset, and the files' headers.
    assert 768 + 32 + 8 < row["bytes_per_text"] < 830
    assert row["threads"] == 1


@pytest.mark.slow
@pytest.mark.model
def test_the_whole_build_on_a_few_texts() -> None:
    try:
        embedder_path()
    except ModelError as error:
        pytest.skip(f"the embedder cannot be had: {error}")
    done = program("--quick", "--build", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])["build"]
    assert found["embedding"]["texts"] == 8
    assert found["embedding"]["rate_of_bare"] > 0.2
    assert found["embedding"]["bytes_per_text"] > 768
    assert "gradients" in found
