"""Attention as attribution: the pattern of the step that predicts each answer token."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from attrib.attribution.job import AttributionJob, MethodScores, own
from attrib.errors import InputError
from attrib.passes.backward import backpropagate
from attrib.passes.capture import resolve_layers
from attrib.passes.forward import watch
from attrib.records.kind import ScoreKind

ATTENTION = ScoreKind(
    claim="attention",
    reduction="mean",
    signed=False,
    unit="attention",
    meaning="attention, mean over layers and heads",
    caveat="Attention is not cause: it shows where the model looked.",
)
ATTENTION_LAST = replace(
    ATTENTION,
    meaning="attention of the last layer, mean over its heads",
    caveat="Attention of the last layer is not cause: "
    "what it looks at are mixtures, no longer the words at their places.",
)
ATTENTION_MAX = replace(
    ATTENTION,
    meaning="largest attention of any layer and head",
    caveat="The largest attention is not cause: among many heads one looks almost anywhere, whatever the text.",
    fold="max",
)
ATTENTION_HEAD = replace(
    ATTENTION,
    meaning="attention of one chosen layer, of one head or the mean over its heads",
    caveat="Attention of one head is not cause, and a head picked for its picture proves nothing.",
)
ATTENTION_X_GRADIENT = ScoreKind(
    unit="attention × gradient of {target}",
    meaning="attention × its gradient of the row's {target}",
    caveat="Attention × gradient is a first-order guess at what the target loses when nothing looks at a position.",
)

Part = Callable[[Any, int, Any, AttributionJob], Any]
"""(so far [answer, position] or None, layer, pattern [head, answer, position], job) → so far."""


def mean(so_far: Any, layer: int, pattern: Any, job: AttributionJob) -> Any:
    """Mean over layers and heads."""
    share = pattern.mean(0) / job.model.n_layers
    return share if so_far is None else so_far + share


def last_layer(so_far: Any, layer: int, pattern: Any, job: AttributionJob) -> Any:
    """Mean over the last layer's heads."""
    return pattern.mean(0) if layer == job.model.n_layers - 1 else so_far


def largest(so_far: Any, layer: int, pattern: Any, job: AttributionJob) -> Any:
    """Maximum over layers and heads."""
    top = pattern.amax(0)
    return top if so_far is None else so_far.maximum(top)


def one_head(so_far: Any, layer: int, pattern: Any, job: AttributionJob) -> Any:
    """One head of one layer, or the mean over the layer's heads by default."""
    chosen = job.options.attention_head
    assert chosen.layer is not None
    if layer != resolve_layers((chosen.layer,), job.model.n_layers)[0]:
        return so_far
    head = chosen.head
    if head is not None and not -len(pattern) <= head < len(pattern):
        raise InputError(f"attention_head: head {head}: the model has heads 0 to {len(pattern) - 1}")
    return pattern.mean(0) if head is None else pattern[head]


def looked(job: AttributionJob, parts: Mapping[str, Part]) -> dict[str, MethodScores]:
    """Several reductions of the attention patterns of one forward; a row is the mean over its tokens."""
    found: dict[str, Any] = dict.fromkeys(parts)
    rows = slice(job.prompt - 1, job.positions - 1)

    def see(layer: int) -> Callable[[Any, Any], None]:
        def look(pattern: Any, hook: Any) -> None:
            """[batch, head, query, key], rows that sum to 1."""
            at = pattern.detach()[0, :, rows].float()
            for name, part in parts.items():
                found[name] = part(found[name], layer, at, job)

        return look

    watch(job.inputs(), [(f"blocks.{i}.attn.hook_pattern", see(i)) for i in range(job.model.n_layers)])
    # The pattern ends one position before the last answer token, which predicts nothing.
    wide = {n: np.pad(v.double().cpu().numpy(), ((0, 0), (0, job.positions - v.shape[1]))) for n, v in found.items()}
    scores = own(job, list(wide), [np.stack([v[list(row)].mean(0) for row in job.rows]) for v in wide.values()])
    chosen = asdict(job.options.attention_head)
    return {name: replace(s, settings=chosen) if parts[name] is one_head else s for name, s in scores.items()}


def times_gradient(job: AttributionJob, parts: Mapping[str, None]) -> dict[str, MethodScores]:
    """Attention × its gradient, summed over layers, heads and query positions.

    The first-order loss of the target when no position attends to this one.
    """
    points = [f"blocks.{i}.attn.hook_pattern" for i in range(job.model.n_layers)]
    scores = np.zeros((len(job.rows), job.positions))
    done = 0

    def shrink(gradient: Any, value: Any) -> Any:
        """[row, batch, head, query, key] → [row, batch, key]."""
        return (gradient * value).sum((2, 3))

    for part in backpropagate(job.inputs(), job.rows, points, shrink=shrink):
        total = sum(g[:, 0].double().cpu().numpy() for g in part.gradients.values())
        scores[list(part.rows), : total.shape[1]] = total
        done += len(part.rows)
        job.tell(f"attention × gradient, {job.model.name}", done, len(job.rows))
    return {name: MethodScores(scores, job.every_position) for name in parts}
