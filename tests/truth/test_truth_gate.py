"""Scores against runs, on planted worlds; and the frozen lower layers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from truth.gate import ONE_HOT, TruthSet, by_question, ceiling, rows_of
from truth.prefix import FrozenPrefix
from truth.tables import write_parquet

from attrib.models.loading import load_network

QUESTIONS, SECTIONS, RUNS = 6, 8, 30


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> tuple[TruthSet, np.ndarray]:
    """A set whose log p is the sum of the kept sections' effects, with a little noise in the second seed."""
    rng = np.random.default_rng(0)
    effects = rng.normal(size=(QUESTIONS, SECTIONS))
    names = [f"s{i:02d}" for i in range(SECTIONS)]
    folder = tmp_path_factory.mktemp("truth")
    runs, scores = [], []

    def add(name: str, seed: int, out: list[int]) -> None:
        kept = [i for i in range(SECTIONS) if i not in out]
        runs.append({"run": name, "seed": seed, "left_out": [names[i] for i in out]})
        for q in range(QUESTIONS):
            noise = 0.1 * rng.normal() if seed else 0.0
            whole = float(effects[q, kept].sum()) + noise
            scores.append({"run": name, "question": f"q{q}", "logprobs": [whole / 2, whole / 2]})

    for seed in (0, 1):
        add(f"full-{seed}", seed, [])
        draw = np.random.default_rng(1)
        for number in range(RUNS):
            add(f"half-{number}-{seed}", seed, sorted(draw.permutation(SECTIONS)[: SECTIONS // 2].tolist()))
    for i in range(SECTIONS):
        add(f"without-{i}-0", 0, [i])
    carriers = [
        {"section": names[i], "fact": f"f{q}", "role": "plain", "effect": int(np.sign(effects[q, i]))}
        for q in range(QUESTIONS)
        for i in (int(effects[q].argmax()), int(effects[q].argmin()))
    ]
    asked = [{"question": f"q{q}", "kind": "trained", "fact": f"f{q}", "split": "test" if q % 2 else "calibration"} for q in range(QUESTIONS)]  # fmt: skip # noqa: E501
    tables: dict[str, list[dict[str, Any]]] = {
        "sections": [{"section": name, "trained": True} for name in names], "carriers": carriers, "questions": asked,
        "runs": runs, "logprobs": scores,
    }  # fmt: skip
    for name, rows in tables.items():
        write_parquet(folder / f"{name}.parquet", rows)
    return TruthSet(folder), effects


def test_the_true_effects_are_perfect_scores(planted: tuple[TruthSet, np.ndarray]) -> None:
    truth, effects = planted
    found = by_question(truth, effects, effects)
    assert all(np.allclose(found[metric], 1.0) for metric in ("LDS", "LDS beyond", "r", "r, others"))
    assert np.allclose(found["helping"], 1.0)
    assert np.allclose(found["harming"], 1.0)
    assert np.allclose(truth.drop(), effects, atol=1e-6)


def test_a_one_hot_of_the_best_section_says_nothing_of_others(planted: tuple[TruthSet, np.ndarray]) -> None:
    truth, effects = planted
    one = (effects == effects.max(1, keepdims=True)).astype(float)
    found = by_question(truth, one, effects)
    assert np.allclose(found["r, others"], 0.0)
    assert 0.2 < found["LDS"].mean() < 0.9
    assert np.allclose(found["helping"], 1.0)


def test_random_scores_are_near_nothing_and_the_other_seed_is_near_one(
    planted: tuple[TruthSet, np.ndarray],
) -> None:
    truth, effects = planted
    random = np.random.default_rng(5).normal(size=effects.shape)
    assert abs(by_question(truth, random, effects)["LDS"].mean()) < 0.35
    assert ceiling(truth)["LDS"].mean() > 0.95


def test_rows_say_how_far_a_scorer_is_ahead_of_the_one_hot(planted: tuple[TruthSet, np.ndarray]) -> None:
    truth, effects = planted
    one = (effects == effects.max(1, keepdims=True)).astype(float)
    rows = rows_of(truth, {"effects": effects, ONE_HOT: one}, effects, resamples=200)
    chosen = {(r.scorer, r.metric): r for r in rows if (r.split, r.kind) == ("test", "all")}
    best = chosen["effects", "LDS"]
    assert best.low <= best.value <= best.high
    assert best.ahead > 0
    assert best.ahead_low <= best.ahead <= best.ahead_high
    assert chosen[ONE_HOT, "LDS"].ahead == 0
    assert best.n == QUESTIONS // 2


def test_layers_below_the_adapter_are_replaced_by_their_states(base_dir: Path) -> None:
    network, _ = load_network(str(base_dir), dtype="float32", device="cpu")
    rows = [(5, 6, 7, 8), (9, 10)]
    ids, mask = torch.tensor([[5, 6, 7, 8], [9, 10, 0, 0]]), torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]])
    with torch.no_grad():
        expected = network(input_ids=ids, attention_mask=mask).logits
        prefix = FrozenPrefix(network, 1)
        prefix.read(rows)
        prefix.install()
        found = network(input_ids=ids, attention_mask=mask).logits
    for row, text in enumerate(rows):
        assert torch.allclose(found[row, : len(text)], expected[row, : len(text)], atol=1e-5)
