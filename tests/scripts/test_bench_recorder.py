"""The bench of the Recorder: its arithmetic on made-up seconds, and one run of a tiny model."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts import bench_recorder as bench
from scripts.bench_recorder import Spent


def test_the_parts_of_a_run_are_told_apart() -> None:
    # Saved after steps 1, 2, 4, 7 and 12; rows are new in the first six.
    steps = [Spent("step", n, (0.2 if n <= 6 else 0.1) + (1.0 if n in (1, 2, 4, 7) else 0.0)) for n in range(1, 13)]
    spent = [Spent("made", 0, 3.0), Spent("begin", 0, 1.0), *steps, Spent("end", 0, 2.0)]
    cost = bench.cost_of(spent, run=131.8, steps=12)
    assert (cost.made, cost.begin, cost.end) == (3.0, 1.0, 2.0)
    assert (cost.first_step, cost.later_step) == pytest.approx((0.2, 0.1))
    assert cost.checkpoints == pytest.approx(4.0)
    assert cost.share == pytest.approx(11.8 / 131.8)
    # (10 + 0.2 n) / (10 + 10.2 n) = 0.05 at n = 30.6, a step without the Recorder being 10 s.
    assert cost.enough == 31
    assert bench.cost_of(spent, run=40.0, steps=12).enough is None


def test_a_run_of_a_tiny_model_is_measured(base_dir: Path, tmp_path: Path) -> None:
    cost = bench.measure(str(base_dir), tmp_path, steps=8, batch=2, tokens=16)
    parts = cost.made + cost.begin + cost.checkpoints + cost.end
    assert 0 < cost.later_step < cost.run
    assert 0 < parts < cost.share * cost.run < cost.run
    assert len((tmp_path / "record" / "trained.jsonl").read_text().splitlines()) == 8
    assert [line.split(":")[0] for line in bench.lines(cost)] == ["run", "fixed", "a step", "below 5%"]
