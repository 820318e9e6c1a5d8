"""Flow through attention: rollout, value-weighted norms, information flow; one forward each.

Rows are shares that sum to 1 over the positions before the answer token. A feed-forward layer acts on each position by
itself and moves no share between them. Not covered: norms between a block's attention and its sum with the residual
stream (Gemma 2), which rescale the parts after they were weighed; only rollout accepts such models.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from attrib.attribution.job import AttributionJob, MethodScores, own
from attrib.errors import ModelError
from attrib.passes.forward import Hook, watch
from attrib.records.kind import ScoreKind

ROLLOUT = ScoreKind(
    claim="attention",
    reduction="mean",
    signed=False,
    unit="share",
    meaning="attention rollout, shares of attention multiplied through the layers",
    caveat="Rollout counts attention as flow and gives half of it to the residual stream, whatever was written there.",
)
VALUE_NORM = replace(
    ROLLOUT,
    meaning="size of what attention carries from each position, mean over layers",
    caveat="A large vector need not matter to the answer, and nothing is followed back from layer to layer.",
)
INFORMATION_FLOW = replace(
    ROLLOUT,
    meaning="share of the information flow that comes from each position",
    caveat="Flow is followed into the answer's positions whatever they say there: it has no sign and knows no target.",
)

Kind = Literal["rollout", "value_norm", "information_flow"]
rollout: Kind = "rollout"
"""Product over layers of (attention averaged over heads + identity) / 2 (Abnar & Zuidema 2005.00928)."""
value_norm: Kind = "value_norm"
"""Size of the vector from each position, ‖Σ_head α · f(x)‖ with f(x) = x W_V W_O, shares averaged over layers
(Kobayashi et al. 2004.10102)."""
information_flow: Kind = "information_flow"
"""Product over layers of edge importances: the closeness of each head's part from each position, and of the residual
stream, to their sum, max(0, ‖y‖₁ − ‖y − part‖₁) (Ferrando & Voita 2403.00824)."""

CHUNK_FLOATS = 2**24
"""Floats of the largest array of parts."""


@dataclass
class _Block:
    """Activations of one block during the forward; all but ``pattern`` are [position, …]."""

    residual: Any = None
    values: Any = None
    pattern: Any = None


def propagated(job: AttributionJob, parts: Mapping[str, Kind]) -> dict[str, MethodScores]:
    """Several of the kinds above from one forward; a row is the mean over its tokens."""
    import torch

    if set(parts.values()) != {rollout} and "blocks.0.ln1_post.hook_in" in job.model.bridge.hook_dict:
        raise ModelError(
            f"{' and '.join(parts)}: {job.model.name} normalises what attention sends before it is summed, so "
            "that its parts cannot be weighed; use rollout or leave_one_out"
        )
    length, rows = job.positions - 1, slice(job.prompt - 1, job.positions - 1)
    found: dict[str, Any] = {name: torch.eye(length, dtype=torch.float64) for name in parts}
    norms = {name: torch.zeros(job.positions - job.prompt, length, dtype=torch.float64) for name in parts}
    block = _Block()

    def finish(layer: int) -> Any:
        def end(value: Any, hook: Any) -> None:
            """At the attention's output, when all its parts have been seen."""
            sent = _sent(job, layer, block) if set(parts.values()) - {rollout} else None
            for name, kind in parts.items():
                if kind == value_norm:
                    norms[name] += _norms(block.pattern[:, rows], sent) / job.model.n_layers
                else:
                    total = block.residual + value.detach()[0].float() if kind == information_flow else None
                    step = _half(block.pattern) if kind == rollout else _edges(block, sent, total)
                    found[name] = step @ found[name]
            job.tell(f"information flow, {job.model.name}", layer + 1, job.model.n_layers)

        return end

    hooks: list[Hook] = []
    for i in range(job.model.n_layers):
        hooks += [
            (f"blocks.{i}.hook_in", _see(block, "residual")),
            (f"blocks.{i}.attn.v.hook_out", _see(block, "values")),
            (f"blocks.{i}.attn.hook_pattern", _see(block, "pattern")),
            (f"blocks.{i}.attn.hook_out", finish(i)),
        ]
    watch(job.inputs(), hooks)
    shares = {n: norms[n] if kind == value_norm else found[n][rows] for n, kind in parts.items()}
    wide = {n: np.pad(v.cpu().numpy(), ((0, 0), (0, 1))) for n, v in shares.items()}
    return own(job, list(wide), [np.stack([v[list(row)].mean(0) for row in job.rows]) for v in wide.values()])


def _see(block: _Block, name: str) -> Any:
    def see(value: Any, hook: Any) -> None:
        setattr(block, name, value.detach()[0].float())

    return see


def _half(pattern: Any) -> Any:
    """One step of rollout: half of the stream comes through attention, half stays."""
    import torch

    mean = pattern.mean(0).double().cpu()
    return (mean + torch.eye(len(mean), dtype=torch.float64)) / 2


def _sent(job: AttributionJob, layer: int, block: _Block) -> Any:
    """f(x) = x W_V W_O of each head and position, [head, position, d_model].

    The output projection is called with its adapter; its bias belongs to no position and is left out.
    """
    import torch

    heads = len(block.pattern)
    values = block.values.reshape(len(block.values), -1)
    # Grouped-query attention: several heads read one value.
    groups = int(getattr(job.model.bridge.cfg, "n_key_value_heads", None) or heads)
    values = values.reshape(len(values), groups, -1).repeat_interleave(heads // groups, 1)
    project = job.model.bridge.blocks[layer].attn.o.original_component
    weight = next(project.parameters())
    size = values.shape[-1]
    nothing = project(torch.zeros(1, heads * size, dtype=weight.dtype, device=weight.device))
    sent = []
    for head in range(heads):
        alone = torch.zeros(len(values), heads * size, dtype=weight.dtype, device=weight.device)
        alone[:, head * size : (head + 1) * size] = values[:, head].to(weight)
        sent.append((project(alone) - nothing).float())
    return torch.stack(sent)


def _norms(pattern: Any, sent: Any) -> Any:
    """Shares of ‖Σ_head α f‖, [row, position]."""
    import torch

    rows, length = pattern.shape[1:]
    out = torch.empty(rows, length, dtype=torch.float64)
    size = max(1, CHUNK_FLOATS // (length * sent.shape[-1]))
    for at in range(0, rows, size):
        moved = torch.einsum("hrs,hsd->rsd", pattern[:, at : at + size], sent)
        out[at : at + size] = moved.norm(dim=-1).double().cpu()
    return out / out.sum(1, keepdim=True)


def _edges(block: _Block, sent: Any, total: Any) -> Any:
    """Importance of every edge into each position's sum, [position, position]; rows sum to 1."""
    import torch

    heads, length = len(block.pattern), len(total)
    out = torch.zeros(length, length, dtype=torch.float64)
    size = total.abs().sum(-1)
    step = max(1, CHUNK_FLOATS // (length * total.shape[-1]))
    for at in range(0, length, step):
        stop = min(length, at + step)
        # Causal: positions after the run contribute nothing.
        y = total[at:stop, None]
        weight = torch.zeros(stop - at, stop, device=total.device)
        for head in range(heads):
            part = block.pattern[head, at:stop, :stop, None] * sent[head, None, :stop]
            weight += (size[at:stop, None] - part.sub_(y).abs_().sum(-1)).clamp_min_(0)
        stays = (size[at:stop] - (total[at:stop] - block.residual[at:stop]).abs().sum(-1)).clamp_min(0)
        weight[torch.arange(stop - at), torch.arange(at, stop)] += stays
        whole = weight.sum(1, keepdim=True)
        # A position whose parts all point away from their sum keeps its own share.
        alone = torch.eye(stop, device=total.device)[at:stop]
        out[at:stop, :stop] = torch.where(whole > 0, weight / whole.clamp_min(1e-30), alone).double().cpu()
    return out
