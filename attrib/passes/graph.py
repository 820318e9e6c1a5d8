"""Forwards that keep what a backward needs: all of the graph, or each block's input alone.

The graph is cut before the last block's attention and after it: behind it positions do not mix, so that one backward
serves every row there. Not covered: which rows go together (``plan``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from attrib.errors import InputError
from attrib.options.methods import EMBEDDINGS
from attrib.passes.forward import Hook, Inputs, answer_logits, embedding_hooks

Shrink = Callable[[Any, Any], Any]
"""(gradient [row, batch, …], value [batch, …]) → the part of the gradient that is kept."""


@dataclass(frozen=True, eq=False)
class HeadGradients:
    """Gradient of the summed targets at the leaves behind which every position is by itself."""

    attention: Any
    """At the last attention's output, [batch, position, d_model]."""
    residual: Any
    """At the last block's input, past its attention."""
    points: dict[str, Any]
    """At points behind the last attention."""
    linear: Any


class KeptGraph:
    """One forward whose graph is kept, cut in two before the last block's attention and after it."""

    def __init__(self, inputs: Inputs, length: int, points: Sequence[str], shrink: Shrink | None = None) -> None:
        self.inputs = inputs
        self.shrink = shrink
        self.bridge = inputs.model.bridge
        self.length = length
        self.names = tuple(points)
        self.last = inputs.model.n_layers - 1
        self.seen: dict[str, Any] = {}
        self.leaf: Any = None
        self.entry: Any = None
        self.entry_leaf: Any = None
        self.attention: Any = None
        self.attention_leaf: Any = None

    def forward(self, rows: range) -> Any:
        """Logits of the answer tokens ``rows``, [batch, row, d_vocab], on a graph that begins at the leaves."""
        # Points after borders: at a border the point is the leaf, whose gradient is known in both modes.
        hooks = [*embedding_hooks(self.inputs), (EMBEDDINGS, self._embedding), *self._entries()]
        hooks += [*self.inputs.rules, *self._borders()]
        hooks += [(name, self._keep(name)) for name in self.names if name != EMBEDDINGS]
        return answer_logits(self.bridge, self.inputs, self.length, rows, hooks)

    def values(self) -> dict[str, Any]:
        """Values at the points, [batch, position, …]."""
        return {name: value.detach() for name, value in self.seen.items()}

    def through_head(self, target: Any, logits: Any) -> HeadGradients:
        """One backward for all rows: positions do not mix behind the last attention."""
        import torch

        wanted = [self.attention_leaf, self.entry_leaf, logits, *self._points()]
        found: tuple[Any, ...] = (None,)
        if target.requires_grad:
            # Kept: attention and feed-forward beside each other (Phi, GPT-J) share the norm before them.
            found = torch.autograd.grad(target.sum(), wanted, allow_unused=True, retain_graph=True)
        if found[0] is None:
            raise InputError(f"target {self.inputs.target.name!r}: it does not depend on the logits; give another")
        behind = {n: g for n, g in zip(self._point_names(), found[3:], strict=True) if g is not None}
        for name, gradient in behind.items():
            # The head sees answer positions alone.
            if gradient.shape[1] != self.length:
                raise InputError(f"hook point {name!r}: it has no value at every position; try ln_final.hook_in")
        linear = (found[2] * logits.detach()).sum(-1)
        return HeadGradients(found[0], _or_zero(found[1], found[0]), behind, linear)

    def pull(self, starts: HeadGradients, rows: Sequence[tuple[int, ...]], *, last: bool) -> dict[str, Any]:
        """Gradients at the points for rows of positions, each [row, batch, position, …]."""
        import torch

        found: dict[str, Any] = {}
        inner = [self.entry_leaf, *self._points()]
        through, *at_points = _grad(self.attention, inner, _seed(starts.attention, rows), retain=not last)
        self._note(found, self._point_names(), at_points, self.seen)
        seed = _seed(starts.residual, rows)
        self._trunk(seed if through is None else through + seed, found, last)
        behind = [_seed(gradient, rows) for gradient in starts.points.values()]
        self._note(found, starts.points, behind, self.seen)
        for name in self.names:
            if found.get(name) is None:
                raise InputError(f"hook point {name!r}: the target's gradient does not pass it; choose another")
        return {name: torch.as_tensor(found[name]) for name in self.names}

    def _trunk(self, cotangent: Any, found: dict[str, Any], last: bool) -> None:
        wanted = [self.leaf, *self._points()]
        got = _grad(self.entry, wanted, cotangent, retain=not last)
        self._note(found, (EMBEDDINGS, *self._point_names()), got, {EMBEDDINGS: self.leaf, **self.seen})

    def _note(
        self, found: dict[str, Any], names: Iterable[str], gradients: Sequence[Any], values: Mapping[str, Any]
    ) -> None:
        """Keep gradients that passed a point, shrunk where asked; those that come back on two ways are added up."""
        for name, gradient in zip(names, gradients, strict=True):
            if gradient is not None and name in self.names:
                shrink = self.shrink
                kept = gradient if shrink is None else shrink(gradient, values[name].detach())
                found[name] = kept if name not in found else found[name] + kept

    def _points(self) -> list[Any]:
        return [self.seen[name] for name in self._point_names()]

    def _point_names(self) -> list[str]:
        """Points on this graph, in the order asked for."""
        return [n for n in self.names if n != EMBEDDINGS and n in self.seen and self.seen[n].requires_grad]

    def _embedding(self, value: Any, hook: Any) -> Any:
        """The embeddings become the leaf: nothing before them is differentiated."""
        self.leaf = value.detach().requires_grad_(True)
        if EMBEDDINGS in self.names:
            self.seen[EMBEDDINGS] = self.leaf
        return self.leaf

    def _keep(self, name: str) -> Callable[[Any, Any], Any]:
        def keep(value: Any, hook: Any) -> Any:
            # Without a graph only its value is of use, and only where ``shrink`` has not seen it.
            if value.requires_grad or self.shrink is None:
                self.seen[name] = value
            # Returned, so that a hook which sees a reshaped copy stays on the way to the output.
            return value

        return keep

    def _entries(self) -> list[Hook]:
        """Hooks that must see a block's input before any rule does."""
        return []

    def _borders(self) -> list[Hook]:
        def enter(value: Any, hook: Any) -> Any:
            self.entry, self.entry_leaf = value, value.detach().requires_grad_(True)
            return self.entry_leaf

        def leave(value: Any, hook: Any) -> Any:
            self.attention, self.attention_leaf = value, value.detach().requires_grad_(True)
            return self.attention_leaf

        return [(f"blocks.{self.last}.hook_in", enter), (f"blocks.{self.last}.attn.hook_out", leave)]


class LayeredGraph(KeptGraph):
    """A forward that keeps each block's input alone; on the way back one block at a time is run again."""

    def __init__(self, inputs: Inputs, length: int, points: Sequence[str], shrink: Shrink | None = None) -> None:
        super().__init__(inputs, length, points, shrink)
        self.block_inputs: dict[int, Any] = {}
        self.calls: dict[int, tuple[tuple[Any, ...], dict[str, Any]]] = {}
        self.first: Any = None

    def forward(self, rows: range) -> Any:
        handles = [
            self.bridge.blocks[i].register_forward_pre_hook(self._remember(i), with_kwargs=True)
            for i in range(self.last)
        ]
        try:
            return super().forward(rows)
        finally:
            for handle in handles:
                handle.remove()

    def _remember(self, block: int) -> Callable[[Any, tuple[Any, ...], dict[str, Any]], None]:
        def remember(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            self.calls[block] = (args[1:], {k: v for k, v in kwargs.items() if k != "hidden_states"})

        return remember

    def _entries(self) -> list[Hook]:
        # Before the rules, which hold again when the block is run again.
        return [(f"blocks.{i}.hook_in", self._enter(i)) for i in range(self.last)]

    def _enter(self, block: int) -> Callable[[Any, Any], Any]:
        def enter(value: Any, hook: Any) -> Any:
            if block == 0:
                self.first = value
            self.block_inputs[block] = value.detach()
            return self.block_inputs[block]

        return enter

    def _trunk(self, cotangent: Any, found: dict[str, Any], last: bool) -> None:
        for block in reversed(range(self.last)):
            cotangent = self._through(block, cotangent, found)
        start = self.first if self.last else self.entry
        # Points between the embeddings and the first block lie on the graph that was kept.
        got = _grad(start, [self.leaf, *self._points()], cotangent, retain=True)
        self._note(found, (EMBEDDINGS, *self._point_names()), got, {EMBEDDINGS: self.leaf, **self.seen})

    def _through(self, block: int, cotangent: Any, found: dict[str, Any]) -> Any:
        prefix = f"blocks.{block}."
        inside: dict[str, Any] = {}

        def keep(name: str) -> Callable[[Any, Any], Any]:
            def put(value: Any, hook: Any) -> Any:
                inside[name] = value
                return value

            return put

        leaf = self.block_inputs[block].requires_grad_(True)
        hooks = [rule for rule in self.inputs.rules if rule[0].startswith(prefix)]
        hooks += [(name, keep(name)) for name in self.names if name.startswith(prefix)]
        args, kwargs = self.calls[block]
        with self.bridge.hooks(fwd_hooks=hooks):
            out = self.bridge.blocks[block](leaf, *args, **kwargs)
        out = out[0] if isinstance(out, tuple) else out
        inside = {name: value for name, value in inside.items() if value.requires_grad}
        through, *at_points = _grad(out, [leaf, *inside.values()], cotangent, retain=False)
        leaf.requires_grad_(False)
        self._note(found, tuple(inside), at_points, inside)
        return through


def _seed(gradient: Any, rows: Sequence[tuple[int, ...]]) -> Any:
    """[batch, position, …] → [row, batch, position, …]: each row keeps the gradient at its own positions."""
    import torch

    seed = torch.zeros(len(rows), *gradient.shape, dtype=gradient.dtype, device=gradient.device)
    for number, positions in enumerate(rows):
        at = list(positions)
        seed[number][:, at] = gradient[:, at]
    return seed


def _grad(output: Any, inputs: Sequence[Any], seeds: Any, *, retain: bool) -> list[Any]:
    """Vector-Jacobian products, one a leading index of ``seeds``; None where an input is not used."""
    import torch

    if not output.requires_grad:
        return [None] * len(inputs)
    if len(seeds) == 1:
        found = torch.autograd.grad(output, inputs, seeds[0], retain_graph=retain, allow_unused=True)
        return [None if g is None else g[None] for g in found]
    return list(
        torch.autograd.grad(output, inputs, seeds, is_grads_batched=True, retain_graph=retain, allow_unused=True)
    )


def _or_zero(gradient: Any, like: Any) -> Any:
    import torch

    return torch.zeros_like(like) if gradient is None else gradient
