"""A run made again: the weights of the Trainer, and the derivative by an example's weight beside finite differences."""

from __future__ import annotations

import copy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from attrib.errors import InputError
from attrib.models.loading import load_network
from attrib.training.items import TrainingExample
from attrib.training.options import TuneOptions
from attrib.training.replay import Replay, Run, token_losses
from attrib.training.schedule import Schedule
from attrib.training.trainer import fit, with_adapter

OPTIONS = TuneOptions(epochs=3, learning_rate=1e-2, batch=2, dropout=0.0, warmup=2, seed=5, bf16=False)


def examples() -> tuple[TrainingExample, ...]:
    rng = np.random.default_rng(0)
    found = []
    for length in (6, 9, 7, 5, 8):
        ids = tuple(int(i) for i in rng.integers(5, 300, length))
        found.append(TrainingExample(ids, (-100, -100, *ids[2:]) if length > 6 else ids))
    return tuple(found)


def started(base: Path, *, double: bool = False) -> Any:
    network, _ = load_network(str(base), dtype="float32", device="cpu")
    model = with_adapter(network, OPTIONS, str(base))
    return model.double() if double else model


@pytest.fixture(scope="module")
def schedule(base_dir: Path) -> tuple[Schedule, torch.Tensor]:
    network, _ = load_network(str(base_dir), dtype="float32", device="cpu")
    fitted = fit(network, examples(), OPTIONS, device="cpu")
    weights = [p.detach().reshape(-1) for p in fitted.model.parameters() if p.requires_grad]
    return fitted.schedule, torch.cat(weights)


def test_it_ends_where_the_trainer_ended(schedule: tuple[Schedule, torch.Tensor], base_dir: Path) -> None:
    replay = Replay(started(base_dir), Run(examples(), schedule[0]))
    start = replay.state.copy()
    replay.forward()
    moved = (schedule[1] - start.weights).norm()
    assert (replay.state.weights - schedule[1]).norm() < 1e-3 * moved


def test_an_example_of_weight_0_is_as_if_it_had_no_loss(
    schedule: tuple[Schedule, torch.Tensor], base_dir: Path
) -> None:
    rows = examples()
    without = Replay(started(base_dir, double=True), Run(rows, schedule[0]))
    without.forward([1, 1, 0, 1, 1])
    assert without.state.done == len(schedule[0].steps)
    other = Replay(started(base_dir, double=True), Run(rows, schedule[0]))
    other.forward([1, 1, 1e-9, 1, 1])
    assert torch.allclose(without.state.weights, other.state.weights, atol=1e-5)


class Smooth(torch.nn.Module):
    """A language model of two layers in float64 throughout: those of transformers take their norms in float32."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embedding = torch.nn.Embedding(300, 8)
        self.mixing, self.head = torch.nn.Linear(8, 8), torch.nn.Linear(8, 300)
        self.double()
        self.embedding.requires_grad_(False)
        self.device = torch.device("cpu")

    def forward(self, input_ids: Any, attention_mask: Any, logits_to_keep: Any, use_cache: bool) -> Any:
        states = torch.tanh(self.mixing(self.embedding(input_ids).cumsum(1)))
        return SimpleNamespace(logits=self.head(states)[:, logits_to_keep])


@pytest.mark.parametrize("segment", [1, 4, 100])
def test_derivatives_are_finite_differences(schedule: tuple[Schedule, torch.Tensor], segment: int) -> None:
    run = Run(examples(), schedule[0])
    asked = TrainingExample((7, 8, 9, 10), (-100, 8, 9, 10))

    def targets(model: Any) -> Any:
        return -token_losses(model, [asked])[0]

    replay = Replay(Smooth(), run)
    start = replay.state.copy()
    weights = np.array([1.0, 0.5, 1.0, 0.0, 1.2])
    found = replay.reverse(targets, weights=weights.tolist(), segment=segment)
    step = 1e-5
    for example in (0, 1, 2, 4):
        ends = []
        for sign in (1, -1):
            near = weights.copy()
            near[example] += sign * step
            replay.restore(start.copy())
            replay.forward(near.tolist())
            ends.append(targets(replay.model).detach().numpy())
        expected = (ends[0] - ends[1]) / (2 * step)
        assert np.allclose(found[example].sum(1), expected, rtol=1e-5, atol=1e-8), example
    assert not found[3].any()


def test_the_derivative_by_one_tokens_weight(schedule: tuple[Schedule, torch.Tensor], base_dir: Path) -> None:
    run = Run(examples(), schedule[0])
    found = Replay(started(base_dir, double=True), run).reverse(lambda m: -token_losses(m, [run.examples[0]])[0][:1])
    assert [part.shape for part in found] == [(1, len(learned)) for learned in run.learned]
    assert all(np.isfinite(part).all() and part.any() for part in found)


def test_a_run_of_unknown_order_is_refused() -> None:
    with pytest.raises(InputError, match="order of the steps is unknown"):
        Run(examples(), Schedule(checkpoints=(1,), steps=(), learning_rates=(0.1,)))


def test_frozen_weights_are_refused(schedule: tuple[Schedule, torch.Tensor], base_dir: Path) -> None:
    model = copy.deepcopy(started(base_dir)).requires_grad_(False)
    with pytest.raises(InputError, match="no weight of the adapter is trainable"):
        Replay(model, Run(examples(), schedule[0]))
