"""Gradients of log-probs with respect to the tuned weights, as short vectors whose dot products are influence.

A linear layer's gradient is Σ over tokens of (output gradient) ⊗ (input). Both sides are multiplied by fixed random
matrices first, so that the outer product is never larger than ``width`` × ``width`` (LoGra, Choe et al. 2405.13954);
a side that is no longer than ``width`` (the rank of an adapter) stays as it is. Dot products are kept on average.
Not covered: biases, norms, embeddings, convolutions, experts; layers split over several devices.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from attrib.errors import InputError, ModelError
from attrib.models.pair import Model
from attrib.options.explain import GradientOptions
from attrib.options.methods import EMBEDDINGS
from attrib.passes.forward import logits_at
from attrib.passes.targets import Goal, make_target

POSITIONS = 1024
"""Token positions in one batch of rows."""


@dataclass(frozen=True, eq=False)
class Layer:
    """One linear layer and its two projections; None where a side is short enough."""

    name: str
    module: Any
    left: Any
    """[d_out, width] or None."""
    right: Any
    """[d_in, width] or None."""
    size: int
    """Length of its part of the vector."""


@dataclass(frozen=True, eq=False)
class GradientReader:
    """Reads gradients of one model's log-probs; made once, used for any number of texts."""

    model: Model
    layers: tuple[Layer, ...]

    @classmethod
    def make(cls, model: Model, options: GradientOptions | None = None) -> GradientReader:
        """Choose the layers and draw their projections. Raises InputError where there is none."""
        options = options or GradientOptions()
        chosen = _linears(model, options.layers)
        return cls(model, tuple(_layer(name, module, options) for name, module in chosen.items()))

    @property
    def size(self) -> int:
        """Length of a gradient vector."""
        return sum(layer.size for layer in self.layers)

    @property
    def slices(self) -> tuple[slice, ...]:
        """Each layer's part of the vector."""
        ends = np.cumsum([layer.size for layer in self.layers])
        return tuple(slice(int(end) - layer.size, int(end)) for layer, end in zip(self.layers, ends, strict=True))

    def read(
        self, ids: Sequence[int], rows: Sequence[Sequence[int]], target: str = "logprob"
    ) -> Float[np.ndarray, "row gradient"]:
        """Gradient of the summed target (``logprob`` or ``logodds``) of the tokens at each row's positions.

        Position 0 has no prediction. Rows of one call share a forward pass as a batch; they do not see each other, but
        the last bits may depend on how many there are, so that sections are read one at a time.
        """
        import torch

        if any(not 0 < p < len(ids) for row in rows for p in row):
            raise InputError(f"gradients: a position outside 1 to {len(ids) - 1}")
        out = torch.zeros(len(rows), self.size, dtype=torch.float32)
        step = max(1, POSITIONS // len(ids))
        for start in range(0, len(rows), step):
            out[start : start + step] = self._batch(ids, rows[start : start + step], target)
        if not bool(out.isfinite().all()):
            raise ModelError(f"{self.model.name}: gradients are not finite; use -o models.dtype=float32")
        return np.asarray(out.numpy())

    def _batch(self, ids: Sequence[int], rows: Sequence[Sequence[int]], target: str) -> Any:
        import torch

        places = sorted({p for row in rows for p in row})
        if not places:
            return torch.zeros(len(rows), self.size)
        first, last = places[0], places[-1]
        weights = torch.zeros(len(rows), last - first + 1)
        for i, row in enumerate(rows):
            for p in row:
                weights[i, p - first] += 1
        with self.model.active() as bridge, self._watched() as found, torch.enable_grad():
            device = self.model.device
            # Tokens after the last row's last token change nothing.
            batch = torch.tensor([ids[: last + 1]], device=device).expand(len(rows), -1)
            entry = [(EMBEDDINGS, lambda value, hook: value.detach().requires_grad_())]
            logits = logits_at(bridge, batch, range(first - 1, last), entry)
            goal = Goal(batch[0, first:])
            values = make_target(target, tuned=True, contrast=None, answer=len(goal.ids)).function(logits, goal)
            (values * weights.to(values)).sum().backward()
        parts = []
        for layer in self.layers:
            # The bridge has parts of fused layers beside the layer itself; an unused part has no gradient.
            part = found.get(layer.name)
            parts.append(torch.zeros(len(rows), layer.size) if part is None else part.cpu().float())
        return torch.cat(parts, 1)

    @contextmanager
    def _watched(self) -> Iterator[dict[str, Any]]:
        """Each layer's projected gradient by name, filled by the backward pass."""
        found: dict[str, Any] = {}
        handles = [layer.module.register_forward_hook(_watch(layer, found)) for layer in self.layers]
        try:
            yield found
        finally:
            for handle in handles:
                handle.remove()


def _watch(layer: Layer, found: dict[str, Any]) -> Any:
    def forward(module: Any, inputs: tuple[Any, ...], output: Any) -> None:
        if output.dim() != 3:
            raise InputError(f"gradients: {layer.name} does not see texts one by one (an expert?); choose other layers")
        right = inputs[0].detach()
        right = right if layer.right is None else right @ layer.right.to(right)

        def backward(gradient: Any) -> None:
            left = gradient if layer.left is None else gradient @ layer.left.to(gradient)
            # [row, token, left] and [row, token, right] → [row, left × right]
            found[layer.name] = (left.transpose(1, 2) @ right.to(left)).flatten(1)

        output.register_hook(backward)

    return forward


def _linears(model: Model, layers: tuple[int, ...] | None) -> dict[str, Any]:
    """The linear layers by name: the adapter's, or those of the chosen blocks."""
    from torch.nn import Linear

    network = model.bridge.original_model
    linears = {
        # The bridge puts its own modules between those of the model.
        name.replace("._original_component", ""): module
        for name, module in network.named_modules()
        if isinstance(module, Linear)
    }
    if layers is None:
        adapter = {name: module for name, module in linears.items() if ".lora_A." in name or ".lora_B." in name}
        if adapter:
            return adapter
    depth = model.n_layers
    if any(not -depth <= layer < depth for layer in layers or ()):
        raise InputError(f"gradients: layers {layers} are not all in 0 to {depth - 1}; choose others")
    wanted = set(range(depth) if layers is None else (layer % depth for layer in layers))

    def in_wanted_block(name: str) -> bool:
        # The block's number is among the first parts of a name, such as model.layers.3.mlp.up_proj.
        return any(part.isdecimal() and int(part) in wanted for part in name.split(".")[:-1][:4])

    found = {name: module for name, module in linears.items() if "lora_" not in name and in_wanted_block(name)}
    if not found:
        raise InputError(f"{model.name}: it has no linear layers in these blocks; choose other layers")
    return found


def _layer(name: str, module: Any, options: GradientOptions) -> Layer:
    d_out, d_in = module.weight.shape
    left = _projection(f"{options.seed} {name} l", d_out, options.width)
    right = _projection(f"{options.seed} {name} r", d_in, options.width)
    size = min(d_out, options.width) * min(d_in, options.width)
    return Layer(name, module, left, right, size)


def _projection(name: str, d: int, width: int) -> Any:
    """A Gaussian matrix that keeps dot products on average, or None where nothing is to be shortened."""
    import torch

    if d <= width:
        return None
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:7], "big")
    return torch.randn(d, width, generator=torch.Generator().manual_seed(seed)) / width**0.5
