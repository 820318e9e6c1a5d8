"""The bench's own arithmetic, on made-up measurements; and once the whole program, on a few rows."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from attrib.errors import ModelError
from attrib.models.bundled import embedder_path
from scripts import bench_mapping as bench
from scripts.bench_mapping import Problem

ROOT = Path(__file__).parents[2]


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
    assert not bench.failed({"embedding": {"ours": 0.1, "bare": None}, "gradients": {}})
    assert bench.failed({"embedding": {"ours": None}})


def test_a_measurement_that_fails_is_null_with_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.measure(Problem(), "magic", tmp_path) == {"ours": None}
    said = capsys.readouterr().err
    assert "magic: failed (" in said
    assert "invalid choice" in said


def shown(table: Any) -> list[str]:
    console = Console(width=200, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(table)
    return [line for line in console.export_text().splitlines() if line.startswith("│")]


def test_the_tables_show_what_is_missing() -> None:
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


@pytest.mark.parametrize("flags", [("--texts", "ten"), ("--repeats", "0"), ("--texts", "-1")])
def test_flags_that_cannot_be_are_refused(flags: tuple[str, str]) -> None:
    done = program(*flags)
    assert done.returncode == 2
    assert flags[0] in done.stderr


@pytest.mark.slow
@pytest.mark.model
def test_the_whole_build_on_a_few_texts() -> None:
    try:
        embedder_path()
    except ModelError as error:
        pytest.skip(f"the embedder cannot be had: {error}")
    done = program("--quick", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])["build"]
    assert found["embedding"]["texts"] == 8
    assert found["embedding"]["rate_of_bare"] > 0.2
    assert found["embedding"]["bytes_per_text"] > 768
    assert "gradients" in found
