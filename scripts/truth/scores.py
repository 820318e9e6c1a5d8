"""Every scorer's score of every section for every question of the truth set, and what it cost.

Gradients are of the whole adapter, unprojected, at the run's checkpoints; products are kept, gradients are not.
Not covered: comparing scores with the runs (``gate``).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from attrib.files import write_atomically
from attrib.progress import Progress
from attrib.store import pack_arrays, unpack_arrays
from attrib.training.items import TrainingExample
from attrib.training.replay import BETAS, Replay, State, token_losses
from truth.runs import Bench, questions

DAMPINGS = (0.01, 0.1, 1.0)
"""Of the Gram matrix of the sections' gradients, as shares of its mean eigenvalue."""
FEW = 4
"""Sections, the last that were taught, whose gradients make a metric."""
STEPS, TEACHING = 5, 2e-3
"""Steps of one section alone, and their learning rate (Adam's sign-like steps)."""


def kept(file: Path, make: Any) -> dict[str, np.ndarray]:
    """The arrays in a file, made and written there where it is missing; with the CPU seconds they took."""
    if not file.is_file():
        started = time.process_time()
        found = make()
        found["cpu_seconds"] = np.array([time.process_time() - started])
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(file, pack_arrays(found))
    return unpack_arrays(file.read_bytes())


def states_of(replay: Replay) -> list[State]:
    """The run's states at its start and its checkpoints."""
    states = [replay.state.copy()]
    for end in replay.run.schedule.checkpoints:
        replay.forward(until=end)
        states.append(replay.state.copy())
    return states


def gradient(replay: Replay, example: TrainingExample) -> Any:
    """Of the example's summed log p, one vector."""
    import torch

    with torch.enable_grad():
        logprob = -token_losses(replay.model, [example])[0].sum()
        return Replay._flat(torch.autograd.grad(logprob, replay.parameters))


def gradient_scores(bench: Bench, seed: int = 0, progress: Progress | None = None) -> dict[str, np.ndarray]:
    """TracIn's forms, with Adam's spread as the metric or not, and with the sections' damped Gram matrix."""
    import torch

    replay = bench.replay(seed)
    states = states_of(replay)
    ends = [0, *replay.run.schedule.checkpoints]
    rates = replay.run.schedule.learning_rates
    scores: dict[str, np.ndarray] = {}
    for number, state in enumerate(states):
        if progress is not None:
            progress("gradients", number, len(states))
        replay.restore(state)
        sections = torch.stack([gradient(replay, e) for e in bench.read])
        tokens = np.array([len(_learned(e)) for e in bench.read])
        asked = torch.stack([gradient(replay, e) for e in bench.asked])
        # The steps before a checkpoint are its own; the start stands for none.
        weight = sum(rates[ends[number - 1] : ends[number]]) if number else 0.0
        spread = (state.second / (1 - BETAS[1] ** max(state.done, 1))).sqrt() + replay.run.epsilon
        found = _forms(sections, asked, tokens, spread if number else None)
        few = (
            sections[len(bench.items) - FEW : len(bench.items)]
            / torch.tensor(tokens[len(bench.items) - FEW : len(bench.items), None])
        ).float()
        found[f"cosine, metric of {FEW} sections"] = _cosine_by(sections, asked, few, replay)
        for name, part in found.items():
            scores[f"{name}, checkpoint {number}"] = part
            if number:
                scores[name] = scores.get(name, np.zeros_like(part)) + weight * part
    bench.network = replay.model.unload()
    return scores


def _cosine_by(sections: Any, asked: Any, few: Any, replay: Replay) -> np.ndarray:
    """Cosine by the root of the second moment of a few sections' gradients, of each matrix by rows and columns."""
    import torch

    moment, parts, start = (few**2).mean(0), [], 0
    for weight in replay.parameters:
        part = moment[start : start + weight.numel()].view_as(weight)
        rows, columns = part.mean(1, keepdim=True), part.mean(0, keepdim=True)
        parts.append((rows * columns / part.mean().clamp_min(1e-30)).reshape(-1))
        start += weight.numel()
    metric = torch.cat(parts).sqrt()
    metric = (metric + 0.01 * metric.mean()).sqrt()
    units = [(rows / metric) / (rows / metric).norm(dim=1, keepdim=True) for rows in (asked, sections)]
    return np.asarray((units[0] @ units[1].T).double().numpy())


def _learned(example: TrainingExample) -> list[int]:
    return [label for label in example.labels[1:] if label != -100]


def _forms(sections: Any, asked: Any, tokens: np.ndarray, spread: Any) -> dict[str, np.ndarray]:
    found = {}
    metrics = {"": None} if spread is None else {"": None, ", Adam": spread}
    for suffix, metric in metrics.items():
        s, q = (sections, asked) if metric is None else (sections / metric.sqrt(), asked / metric.sqrt())
        gram, cross = (s @ s.T).double().numpy(), (q @ s.T).double().numpy()
        own = np.maximum((q * q).sum(1).double().numpy(), 1e-300)
        found[f"dot{suffix}"] = cross
        found[f"dot a token{suffix}"] = cross / tokens
        cosine = cross / np.sqrt(np.outer(own, np.diag(gram)))
        found[f"cosine{suffix}"] = cosine
        for damping in DAMPINGS:
            level = damping * np.trace(gram) / len(gram)
            found[f"Gram {damping:g}{suffix}"] = np.linalg.solve(gram + level * np.eye(len(gram)), cross.T).T
            unit = gram / np.sqrt(np.outer(np.diag(gram), np.diag(gram)))
            found[f"Gram of units {damping:g}{suffix}"] = np.linalg.solve(
                unit + damping * np.eye(len(gram)), cosine.T
            ).T
    return found


def taught_alone(bench: Bench, seed: int = 0, *, tuned: bool, progress: Progress | None = None) -> np.ndarray:
    """log p of every answer gained by a few steps on one section alone: from base, or (lost) against it after tuning.

    [question, section]
    """
    replay = bench.replay(seed)
    if tuned:
        replay.forward()
    start = replay.state.copy()
    before = _answers(bench, replay.model)
    columns = []
    for number, example in enumerate(bench.read):
        if progress is not None:
            progress("unlearn" if tuned else "teach", number, len(bench.read))
        replay.restore(State(start.weights.clone(), start.first * 0, start.second * 0, 0))
        _few_steps(replay, example, -1 if tuned else 1)
        columns.append(_answers(bench, replay.model) - before)
    bench.network = replay.model.unload()
    return np.stack(columns, 1) * (-1 if tuned else 1)


def _few_steps(replay: Replay, example: TrainingExample, sign: int) -> None:
    for _ in range(STEPS):
        towards = gradient(replay, example)
        replay.state.weights.add_(towards / towards.norm(), alpha=sign * TEACHING * towards.numel() ** 0.5 / 10)


def _answers(bench: Bench, model: Any) -> np.ndarray:
    tokens = bench.measure(model)["answers"]
    return sums(bench.asked, tokens)


def sums(examples: Sequence[TrainingExample], tokens: np.ndarray) -> np.ndarray:
    """Summed log p of each example."""
    ends = np.cumsum([len(_learned(e)) for e in examples])[:-1]
    return np.array([part.sum() for part in np.split(tokens, ends)])


def exact(
    bench: Bench,
    chosen: Sequence[int],
    folder: Path,
    seed: int = 0,
    *,
    group: int = 7,
    progress: Progress | None = None,
) -> np.ndarray:
    """Derivative of the chosen answers' log p by each section's weight, through all steps, [chosen, section].

    Each group of answers is one file with the derivative by every training token.
    """
    rows = []
    for first in range(0, len(chosen), group):
        part = list(chosen[first : first + group])
        name = "-".join(map(str, part))

        def made(part: list[int] = part, first: int = first) -> dict[str, np.ndarray]:
            def targets(model: Any) -> Any:
                losses, owners = token_losses(model, [bench.asked[i] for i in part])
                return [-losses[[o == k for o in owners]].sum() for k in range(len(part))]

            replay = bench.replay(seed)
            found = replay.reverse(targets, progress=progress)
            bench.network = replay.model.unload()
            return {f"section-{i}": values for i, values in enumerate(found)}

        stored = kept(folder / f"exact-{seed}-{name}.npz", made)
        rows.append(np.stack([stored[f"section-{i}"].sum(1) for i in range(len(bench.items))], 1))
    return np.concatenate(rows)


def exact_scores(folder: Path, count: int) -> dict[str, np.ndarray]:
    """``influence, exact`` of the questions that were computed, [question, section], nan for the others."""
    rows: dict[int, np.ndarray] = {}
    for file in sorted(folder.glob("exact-0-*.npz")):
        numbers = [int(n) for n in file.stem.split("-")[2:]]
        stored = unpack_arrays(file.read_bytes())
        values = np.stack([stored[f"section-{i}"].sum(1) for i in range(count)], 1)
        rows |= dict(zip(numbers, values, strict=True))
    if not rows:
        return {}
    found = np.full((len(questions()), count), np.nan)
    for number, values in rows.items():
        found[number] = values
    return {"influence, exact": found}
