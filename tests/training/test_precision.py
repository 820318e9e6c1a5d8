"""Number format of training: as asked for, else the faster; the same run keeps the format that it began with."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from attrib.options.loading import Loading
from attrib.training import precision, trainer
from attrib.training.precision import bf16_is_faster, chosen_bf16
from attrib.training.tune import tune
from attrib.training.workfolder import read_manifest
from tests.training.test_tune import ITEMS, QUICK, files, stop_at

FREE = replace(QUICK, bf16=None)


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    """The choice is made again."""
    bf16_is_faster.cache_clear()
    yield
    bf16_is_faster.cache_clear()


def test_what_is_asked_for_is_done(monkeypatch: Any) -> None:
    for faster in (True, False):
        monkeypatch.setattr(precision, "bf16_is_faster", lambda device, faster=faster: faster)
        assert not chosen_bf16(None, "float32", "cpu")
        assert not chosen_bf16(None, "float64", "cpu")
        assert chosen_bf16(None, "bfloat16", "cpu")
        assert chosen_bf16(True, "float32", "cpu")
        assert not chosen_bf16(False, "bfloat16", "cpu")
        assert chosen_bf16(None, "auto", "cpu") is faster


def test_a_clock_decides_where_the_processor_has_the_instructions(monkeypatch: Any) -> None:
    import torch

    # As measured on two processors, GFLOP/s in float32 and in bf16.
    for instructions, speeds, expected in (
        (True, (94, 204), True), (True, (127, 29), False), (False, (94, 204), False),
    ):  # fmt: skip
        bf16_is_faster.cache_clear()
        times = {torch.float32: 1 / speeds[0], torch.bfloat16: 1 / speeds[1]}
        monkeypatch.setattr(precision, "has_bf16_instructions", lambda there=instructions: there)
        monkeypatch.setattr(precision, "_product_time", times.__getitem__)
        assert bf16_is_faster("cpu") is expected
    monkeypatch.setattr(precision, "_product_time", None)
    # Once a process.
    assert not bf16_is_faster("cpu")


def test_the_choice_on_this_machine_is_made_at_once() -> None:
    import time

    started = time.perf_counter()
    assert bf16_is_faster("cpu") in (True, False)
    assert time.perf_counter() - started < 2


def test_the_trainer_does_as_the_manifest_says(base_dir: Path, tmp_path: Path, monkeypatch: Any) -> None:
    seen: list[bool] = []
    made = trainer.training_arguments

    def noted(options: Any, folder: Path, device: str) -> Any:
        arguments = made(options, folder, device)
        seen.append(arguments.bf16)
        return arguments

    monkeypatch.setattr(trainer, "training_arguments", noted)
    monkeypatch.setattr(precision, "bf16_is_faster", lambda device: True)
    found = {}
    for dtype in ("float32", "auto"):
        out = tune(str(base_dir), ITEMS, tmp_path / dtype, options=FREE, loading=Loading(device="cpu", dtype=dtype))
        found[dtype] = read_manifest(out)
    assert seen == [False, True]
    assert [found[dtype].compute for dtype in ("float32", "auto")] == ["float32", "bfloat16"]
    assert [found[dtype].fitted.bf16 for dtype in ("float32", "auto")] == [False, True]
    assert {manifest.dtype for manifest in found.values()} == {"float32"}
    assert found["auto"].options.bf16 is None
    # Named by the options: nothing was chosen.
    named = tune(str(base_dir), ITEMS, tmp_path / "named", options=QUICK)
    assert "compute" not in json.loads((named / "attrib.json").read_text("utf-8"))
    assert (read_manifest(named).compute, read_manifest(named).fitted.bf16) == ("", False)


def test_a_run_keeps_its_format_whatever_the_clock_says_later(base_dir: Path, tmp_path: Path, monkeypatch: Any) -> None:
    out = tmp_path / "adapter"

    def run(faster: bool, **more: Any) -> None:
        monkeypatch.setattr(precision, "bf16_is_faster", lambda device: faster)
        tune(str(base_dir), ITEMS, out, options=FREE, **{"loading": Loading(device="cpu"), **more})

    with pytest.raises(KeyboardInterrupt):
        run(True, progress=stop_at(5))
    steps: list[int] = []
    run(False, progress=lambda what, done, total: steps.append(done) if what == "tuning" else None)
    assert steps[0] == 5
    assert read_manifest(out).compute == "bfloat16"
    before = files(out)
    run(False)
    assert files(out) == before
    # Asked for by name it is another run.
    run(True, loading=Loading(device="cpu", dtype="float32"))
    assert read_manifest(out).compute == "float32"
