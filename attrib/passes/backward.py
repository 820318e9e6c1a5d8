"""One teacher-forced forward, then vector-Jacobian products: gradients of every answer token at any hook point.

Savings against one forward and backward a token, with the same numbers:

- one forward serves all answer tokens, and logits exist at answer positions only;
- everything after the last attention acts on each position by itself, so ONE backward through it (head, last norm, last
  feed-forward) gives the start of every token's gradient at once; only the trunk is propagated a token;
- products go in chunks that keep matrix products large, and are cut after the last token of their chunk where the
  shorter products pay for another forward;
- parameters are frozen. Beyond the memory budget blocks are run again one at a time, so that only one graph is held.

Assumption about a model: besides its attention, a block computes position by position (true of every decoder whose
bridge has ``blocks.N.attn``). Not covered: encoder-decoders; gradients of parameters.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

from attrib.errors import ModelError
from attrib.options.methods import EMBEDDINGS, Unit
from attrib.passes.forward import Inputs, batch_size, checked, goal_of, refuse_unknown
from attrib.passes.graph import HeadGradients, KeptGraph, LayeredGraph, Shrink
from attrib.passes.plan import plan


@dataclass(frozen=True, eq=False)
class RowGradients:
    """Gradients of a few rows."""

    rows: tuple[int, ...]
    """Indices into the units that were asked for."""
    gradients: Mapping[str, Any]
    """Gradient at each hook point, [row, batch, position, …], positions cut after the rows' last token."""
    points: Mapping[str, Any]
    """Value at each hook point, [batch, position, …]."""
    length: int
    """Positions up to the cut."""


@dataclass(frozen=True, eq=False)
class Values:
    """Targets of all answer tokens."""

    target: Any
    """[batch, answer]"""
    linear: Any
    """Σ over the vocabulary of ∂target/∂logit · logit, [batch, answer]: the start of relevance."""


def backpropagate(
    inputs: Inputs,
    units: Sequence[Unit],
    points: Sequence[str] = (EMBEDDINGS,),
    values: Callable[[slice, Values], None] | None = None,
    shrink: Shrink | None = None,
) -> Iterator[RowGradients]:
    """Gradient of each unit's summed target at every point, a few rows at a time.

    ``values`` gets the targets of each run of answer tokens as they are computed; ``shrink`` sees each gradient as
    soon as it is computed, for points too large to be held together. Rows come in the order of their last token.
    Raises InputError for an unknown hook point or one that the target does not depend on, ModelError for numbers that
    are not finite.
    """
    import torch

    refuse_unknown(inputs.model.bridge, points)
    prompt = len(inputs.encoded.prompt_ids)
    order = sorted(range(len(units)), key=lambda u: (max(units[u]), u))
    batch = batch_size(inputs)
    for group in plan(inputs, [prompt + max(units[u]) for u in order], batch, points):
        members = [order[i] for i in range(group.start, group.stop)]
        first, stop = min(min(units[u]) for u in members), max(max(units[u]) for u in members) + 1
        length, chosen = prompt + stop - 1, range(first, stop)
        graph = (LayeredGraph if group.layered else KeptGraph)(inputs, length, points, shrink)
        starts, target = _start(inputs, graph, chosen)
        if values is not None:
            values(slice(first, stop), Values(target, starts.linear))
        rows = [tuple(prompt + i - 1 for i in units[u]) for u in members]
        for at in range(0, len(members), group.chunk):
            taken = slice(at, min(at + group.chunk, len(members)))
            # Left before the yield: a caller who stops in the middle must not keep the adapter off. A kept graph
            # needs no model, and switching takes a tenth of a second.
            with inputs.model.active() if group.layered else nullcontext(), torch.enable_grad():
                gradients = graph.pull(starts, rows[taken], last=taken.stop == len(members))
            _refuse_infinite(inputs, gradients)
            yield RowGradients(tuple(members[taken]), gradients, graph.values(), length)


def _start(inputs: Inputs, graph: KeptGraph, chosen: range) -> tuple[HeadGradients, Any]:
    """Forward and the one backward behind the last attention; tensors that only they need are freed on leaving."""
    import torch

    goal = goal_of(inputs, chosen, graph.length)
    with inputs.model.active(), torch.enable_grad():
        logits = graph.forward(chosen)
        target = checked(inputs.model, inputs.target, inputs.target.function(logits, goal), logits)
        return graph.through_head(target, logits), target.detach()


def _refuse_infinite(inputs: Inputs, gradients: Mapping[str, Any]) -> None:
    """A finite target may have a gradient that is not."""
    for name, gradient in gradients.items():
        if not bool(gradient.isfinite().all()):
            raise ModelError(
                f"{inputs.model.name}: the gradient of the target {inputs.target.name!r} at {name} is not finite; use "
                "-o models.dtype=float32 or another target"
            )
