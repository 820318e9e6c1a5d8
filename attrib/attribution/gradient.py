"""Gradients of a target with respect to the input embeddings, or to the values at any hook point.

Saliency (Simonyan et al. 1312.6034), input × gradient (Shrikumar et al. 1605.01713), SmoothGrad (Smilkov et al.
1706.03825). A row's gradient is that of its tokens' summed target: one product per word, not per token. Input ×
gradient of a word is exactly the sum over its tokens; a norm is not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from attrib.attribution.job import AttributionJob, MethodScores, Reducer, own
from attrib.errors import InputError
from attrib.passes.backward import RowGradients, backpropagate
from attrib.passes.forward import Changed, evaluate
from attrib.records.kind import ScoreKind

_SIZE = (
    "A gradient's size tells how much a small change of a token would move the target, not how much the token gave it."
)
SALIENCY = ScoreKind(
    reduction="max",
    signed=False,
    unit="‖gradient of {target}‖",
    meaning="norm of the gradient of the row's {target}",
    caveat=_SIZE,
)
SALIENCY_L1 = replace(
    SALIENCY,
    unit="|gradient of {target}|",
    meaning="L1 norm of the gradient of the row's {target}",
    label="saliency L1",
)
INPUT_X_GRADIENT = ScoreKind(
    unit="input × gradient of {target}",
    meaning="input × gradient of the row's {target}",
    caveat="Input × gradient is a local effect: only changing the prompt shows what the answer depends on.",
)
SMOOTHGRAD = ScoreKind(
    reduction="max",
    signed=False,
    unit="‖mean gradient of {target}‖",
    meaning="norm of the gradient of the row's {target}, mean over noisy copies of the prompt's embeddings",
    caveat="Noisy embeddings are no text, the noise is a choice, and a gradient's size has no direction.",
    label="SmoothGrad",
)


def l2(gradient: Any, value: Any) -> Any:
    """Euclidean norm of the gradient at each position."""
    return gradient.flatten(3).norm(dim=-1)


def l1(gradient: Any, value: Any) -> Any:
    """Sum of the gradient's absolute values at each position."""
    return gradient.flatten(3).abs().sum(-1)


def times_value(gradient: Any, value: Any) -> Any:
    """Gradient · value at each position."""
    return (gradient * value).flatten(3).sum(-1)


def differentiated(job: AttributionJob, parts: Mapping[str, Reducer]) -> dict[str, MethodScores]:
    """Several reductions of the same gradients, one backward per row."""
    point = job.options.at
    out = {name: np.zeros((len(job.rows), job.positions)) for name in parts}
    done = 0
    for part in backpropagate(job.inputs(), job.rows, (point,)):
        gradient, value = by_position(job, part, point)
        for name, reduce in parts.items():
            put(out[name], part, reduce(gradient, value)[:, 0])
        done += len(part.rows)
        job.tell(f"gradients, {job.model.name}", done, len(job.rows))
    return own(job, list(out), list(out.values()))


def smoothed(job: AttributionJob, parts: Mapping[str, Reducer]) -> dict[str, MethodScores]:
    """Reductions of the mean gradient over noisy copies of the embeddings."""
    import torch

    samples, noise = job.options.smoothgrad.samples, job.options.smoothgrad.noise
    if samples < 1 or noise < 0:
        raise InputError(
            f"smoothgrad: samples={samples}, noise={noise}: SmoothGrad needs a sample or more and no negative noise"
        )
    generator = torch.Generator().manual_seed(job.options.seed)
    ranges: list[float] = []

    def look(value: Any) -> Any:
        ranges.append(float(value.max() - value.min()))
        return value

    # Noise for the whole text: groups of rows use only its beginning, and must get the same noise.
    evaluate(job.inputs(embeddings=Changed(look)))
    sigma, point = noise * ranges[0], job.options.at
    total: np.ndarray | None = None
    for number in range(samples):
        draw = torch.randn(job.positions, int(job.model.bridge.cfg.d_model), generator=generator)

        def shake(value: Any, draw: Any = draw) -> Any:
            return value + sigma * draw[: value.shape[1]].to(value)

        for part in backpropagate(job.inputs(embeddings=Changed(shake)), job.rows, (point,)):
            gradient = by_position(job, part, point)[0].flatten(3)[:, 0].float().cpu().numpy()
            if total is None:
                total = _room(job, gradient.shape[-1])
            total[list(part.rows), : gradient.shape[1]] += gradient / samples
        job.tell(f"smoothgrad, {job.model.name}", number + 1, samples)
    assert total is not None
    settings = {"samples": samples, "noise": noise, "sigma": sigma, "seed": job.options.seed}
    mean = torch.from_numpy(total)[:, None]
    return {
        name: MethodScores(reduce(mean, None)[:, 0].numpy().astype(np.float64), job.every_position, None, settings)
        for name, reduce in parts.items()
    }


def _room(job: AttributionJob, width: int) -> np.ndarray:
    """Zeros [row, position, width]; raises InputError beyond the budget."""
    size = 4 * len(job.rows) * job.positions * width / 1e9
    if size > job.options.memory_gb:
        raise InputError(
            f"smoothgrad: mean gradients of {len(job.rows)} rows need {size:.1f} GB, the budget is "
            f"{job.options.memory_gb:g} GB; explain words or the whole answer, or raise memory_gb"
        )
    return np.zeros((len(job.rows), job.positions, width), np.float32)


def by_position(job: AttributionJob, part: RowGradients, point: str) -> tuple[Any, Any]:
    """Gradient [row, batch, position, …] and value [batch, position, …]. Raises InputError for a point without them."""
    gradient, value = part.gradients[point], part.points[point]
    refuse_without_positions(point, value, part.length)
    return gradient, value


def refuse_without_positions(point: str, value: Any, length: int) -> None:
    """Raises InputError where the values at a point are not [batch, position, …]."""
    # The second axis of a pattern is heads, whose number may equal that of the positions.
    if value.ndim < 3 or value.shape[1] != length or point.endswith(("hook_pattern", "hook_attn_scores")):
        raise InputError(
            f"hook point {point!r}: its values have shape {tuple(value.shape)}, not [batch, position, …]; choose one "
            "that has a vector a position, such as blocks.0.hook_out"
        )


def put(out: np.ndarray, part: RowGradients, scores: Any) -> None:
    """Write [row, position] scores to their rows; positions after the cut are zero."""
    scores = scores.double().cpu().numpy()
    out[list(part.rows), : scores.shape[1]] = scores
