"""One teacher-forced forward, then vector-Jacobian products: gradients of every answer token at any hook point.

What is saved against one forward and backward a token, with the same numbers:

- one forward serves all answer tokens, and logits exist at answer positions only;
- all that follows the last attention acts on each position by itself, so ONE backward through it (head, last norm, last
  feed-forward) gives the start of every token's gradient at once; only the trunk is propagated a token;
- products go in chunks that keep matrix products large, and are cut after the last token of their chunk where the
  shorter products pay for another forward;
- parameters are frozen. Beyond the memory budget blocks are run again one at a time, so that only one graph is held.

Assumed of a model: what a block adds besides its attention is computed position by position (true of every decoder
whose bridge has ``blocks.N.attn``). Not covered: encoder-decoders; gradients of parameters.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any

from attrib.errors import InputError, ModelError
from attrib.models.pair import Model
from attrib.models.prompt import Encoded
from attrib.passes.targets import Goal, Target
from attrib.text.units import Unit

EMBEDDINGS = "embed.hook_out"
Hook = tuple[str, Callable[[Any, Any], Any]]

CHUNK_POSITIONS = {"cpu": 900, "cuda": 16384}
"""Positions in one product: fewer starve the matrix products, more only take memory (measured: docs/log.md)."""


@dataclass(frozen=True, eq=False)
class Changed:
    """Embeddings [1, position, d_model] → [batch, position, d_model], position by position."""

    change: Callable[[Any], Any]
    batch: int = 1


@dataclass(frozen=True, eq=False)
class Inputs:
    """What one model is fed: the same text, its embeddings replaced where ``embeddings`` is given."""

    model: Model
    encoded: Encoded
    target: Target
    embeddings: Changed | None = None
    """None = as they are."""
    rules: tuple[Hook, ...] = ()
    """Hooks that hold for every forward: they change gradients on the way back, or move a point's values."""
    other: Model | None = None
    """The model whose next-token distribution the target compares with."""
    memory_gb: float = 2.0
    chunk: int | None = None
    """Rows in one product; None = by CHUNK_POSITIONS and memory."""


@dataclass(frozen=True, eq=False)
class Part:
    """Gradients of a few rows."""

    rows: tuple[int, ...]
    """Indices into the units that were asked for."""
    gradients: Mapping[str, Any]
    """By hook point: [row, batch, position, …], positions cut after the rows' last token."""
    points: Mapping[str, Any]
    """By hook point: the values there, [batch, position, …]."""
    length: int
    """Positions up to the cut."""


@dataclass(frozen=True, eq=False)
class Values:
    """Targets of all answer tokens."""

    target: Any
    """[batch, answer]"""
    linear: Any
    """Σ over the vocabulary of ∂target/∂logit · logit, [batch, answer]: what relevance starts from."""


def evaluate(inputs: Inputs) -> Any:
    """The target of every answer token, [batch, answer]; no gradients."""
    import torch

    prompt, n = len(inputs.encoded.prompt_ids), len(inputs.encoded.answer_ids)
    goal = _goal(inputs, range(n), prompt + n - 1)
    with inputs.model.active() as bridge, torch.no_grad():
        logits = _logits(bridge, inputs, prompt + n - 1, range(n), [*_embedding_hooks(inputs), *inputs.rules])
        return checked(inputs.model, inputs.target, inputs.target.function(logits, goal), logits)


def watch(inputs: Inputs, hooks: Sequence[Hook]) -> None:
    """One forward over prompt and answer for the sake of its hooks; no gradients, one row of logits.

    Raises ModelError where that row is not finite.
    """
    import torch

    length, n = len(inputs.encoded.ids) - 1, len(inputs.encoded.answer_ids)
    with inputs.model.active() as bridge, torch.no_grad():
        logits = _logits(bridge, inputs, length, range(n - 1, n), hooks)
    # Logits of −∞ are a masked vocabulary, which log p survives.
    if bool(logits.log_softmax(-1).isnan().any()):
        raise ModelError(f"{inputs.model.name}: its logits are not finite; use --dtype float32 or another model")


Shrink = Callable[[Any, Any], Any]
"""(gradient [row, batch, …], value [batch, …]) → what is kept of the gradient."""


def backpropagate(
    inputs: Inputs,
    units: Sequence[Unit],
    points: Sequence[str] = (EMBEDDINGS,),
    values: Callable[[slice, Values], None] | None = None,
    shrink: Shrink | None = None,
) -> Iterator[Part]:
    """Gradient of each unit's summed target at every point, a few rows at a time.

    ``values`` is told the targets of each run of answer tokens as they are computed; ``shrink`` sees each gradient as
    soon as it is there, for points too large to be held together. Rows come in the order of their last token. Raises
    InputError for an unknown hook point or one that the target does not depend on, ModelError for numbers that are not
    finite.
    """
    import torch

    refuse_unknown(inputs.model.bridge, points)
    prompt = len(inputs.encoded.prompt_ids)
    order = sorted(range(len(units)), key=lambda u: (max(units[u]), u))
    batch = _batch(inputs)
    for group in plan(inputs, [prompt + max(units[u]) for u in order], batch, points):
        members = [order[i] for i in range(group.start, group.stop)]
        first, stop = min(min(units[u]) for u in members), max(max(units[u]) for u in members) + 1
        length, chosen = prompt + stop - 1, range(first, stop)
        graph = (_Layered if group.layered else _Graph)(inputs, length, points, shrink)
        starts, target = _start(inputs, graph, chosen)
        if values is not None:
            values(slice(first, stop), Values(target, starts.linear))
        rows = [tuple(prompt + i - 1 for i in units[u]) for u in members]
        for at in range(0, len(members), group.chunk):
            taken = slice(at, min(at + group.chunk, len(members)))
            # Left before the yield: who stops in the middle must not be left with the adapter off. A kept graph needs
            # no model, and switching takes a tenth of a second.
            with inputs.model.active() if group.layered else nullcontext(), torch.enable_grad():
                gradients = graph.pull(starts, rows[taken], last=taken.stop == len(members))
            _refuse_infinite(inputs, gradients)
            yield Part(tuple(members[taken]), gradients, graph.values(), length)


def refuse_unknown(bridge: Any, points: Sequence[str]) -> None:
    """InputError for hook points that do not exist, or that the bridge has switched off."""
    for point in points:
        if point not in bridge.hook_dict:
            raise InputError(f"hook point {point!r}: the model has none of this name; try blocks.0.hook_out")
        if point == EMBEDDINGS:
            continue
        try:
            with bridge.hooks(fwd_hooks=[(point, lambda value, hook: None)]):
                pass
        except ValueError as error:
            raise InputError(f"hook point {point!r}: {error} Or choose another, such as blocks.0.hook_out") from error


def _start(inputs: Inputs, graph: _Graph, chosen: range) -> tuple[_Starts, Any]:
    """Forward and the one backward behind the last attention; what only they need is let go on leaving."""
    import torch

    goal = _goal(inputs, chosen, graph.length)
    with inputs.model.active(), torch.enable_grad():
        logits = graph.forward(chosen)
        target = checked(inputs.model, inputs.target, inputs.target.function(logits, goal), logits)
        return graph.through_head(target, logits), target.detach()


@dataclass(frozen=True)
class Group:
    """Rows that share one forward."""

    start: int
    stop: int
    chunk: int
    layered: bool


def plan(inputs: Inputs, lengths: Sequence[int], batch: int, points: Sequence[str] = (EMBEDDINGS,)) -> list[Group]:
    """Which rows share a forward, how many go in one product, and whether blocks are run again one at a time.

    ``lengths``: positions that each row needs, ascending. Raises InputError where even one row exceeds the budget.
    """
    n, longest = len(lengths), lengths[-1]
    budget = inputs.memory_gb * 1e9
    size = _Sizes.of(inputs.model)
    wanted = CHUNK_POSITIONS.get(inputs.model.device.type, CHUNK_POSITIONS["cpu"])
    chunk = inputs.chunk or max(1, round(wanted / (batch * longest)))
    patterns = sum(point.endswith("hook_pattern") for point in points)
    head = size.head(batch, max(1, longest - len(inputs.encoded.prompt_ids) + 1))
    whole = size.graph(batch, longest) + head
    layered = whole + size.product(batch, longest, 1, patterns) > budget
    fixed, at_once = (size.layered(batch, longest) + head, min(patterns, 1)) if layered else (whole, patterns)
    need = fixed + size.product(batch, longest, 1, at_once)
    if need > budget:
        raise InputError(
            f"memory: {longest:,} positions need {need / 1e9:.2g} GB even one row at a time, the budget is "
            f"{inputs.memory_gb:g} GB; raise --memory"
        )
    while chunk > 1 and fixed + size.product(batch, longest, min(chunk, n), at_once) > budget:
        chunk //= 2
    # A forward costs as much as a row; one that keeps no graph is run again by blocks.
    forward = 2 if layered else 1
    best = min(
        (_split(n, chunk, groups) for groups in range(1, -(-n // chunk) + 1)),
        key=lambda cuts: sum(lengths[stop - 1] * (forward + stop - start) for start, stop in cuts),
    )
    return [Group(start, stop, chunk, layered) for start, stop in best]


def together(inputs: Inputs, rows: int) -> int:
    """How many copies of the input one product of ``rows`` rows takes with it: few rows leave it starved."""
    length, size = len(inputs.encoded.ids), _Sizes.of(inputs.model)
    wanted = CHUNK_POSITIONS.get(inputs.model.device.type, CHUNK_POSITIONS["cpu"])
    # Each copy has a graph of its own, as large as many rows' products: a third fills a product well enough.
    copies = max(1, wanted // (3 * length * max(1, rows)))
    answer = len(inputs.encoded.answer_ids)

    def need(copies: int) -> int:
        return size.graph(copies, length) + size.head(copies, answer) + size.product(copies, length, 1, 0)

    while copies > 1 and need(copies) > inputs.memory_gb * 1e9:
        copies -= 1
    return copies


def _split(n: int, chunk: int, groups: int) -> list[tuple[int, int]]:
    """``n`` rows in about ``groups`` runs of whole chunks."""
    size = -(-n // groups)
    size = -(-size // chunk) * chunk
    return [(start, min(n, start + size)) for start in range(0, n, size)]


@dataclass(frozen=True)
class _Sizes:
    """Bytes of what is held, from counts of the tensors that autograd keeps in a Llama-like block."""

    layers: int
    width: int
    inner: int
    heads: int
    words: int
    item: int

    @classmethod
    def of(cls, model: Model) -> _Sizes:
        cfg = model.bridge.cfg
        weight = model.bridge.original_model.get_input_embeddings().weight
        inner = int(getattr(cfg, "d_mlp", None) or 4 * cfg.d_model)
        return cls(int(cfg.n_layers), int(cfg.d_model), inner, int(cfg.n_heads), len(weight), weight.element_size())

    def block(self, batch: int, length: int) -> int:
        # Attention is computed in float32 whatever the model's type.
        scores = 3 * self.heads * length * max(4, self.item)
        return batch * length * ((14 * self.width + 6 * self.inner) * self.item + scores)

    def graph(self, batch: int, length: int) -> int:
        return self.layers * self.block(batch, length)

    def head(self, batch: int, rows: int) -> int:
        """Logits, their softmax and gradient, in float32."""
        return 3 * 4 * batch * rows * self.words

    def layered(self, batch: int, length: int) -> int:
        return self.block(batch, length) + self.layers * batch * length * self.width * self.item

    def product(self, batch: int, length: int, rows: int, patterns: int) -> int:
        scores = (3 + patterns) * self.heads * length * max(4, self.item)
        return rows * batch * length * ((10 * self.width + 4 * self.inner) * self.item + scores)


@dataclass(frozen=True, eq=False)
class _Starts:
    """Gradient of the summed targets at the leaves behind which every position is by itself."""

    attention: Any
    """At the last attention's output, [batch, position, d_model]."""
    residual: Any
    """At the last block's input, past its attention."""
    points: dict[str, Any]
    """At points behind the last attention."""
    linear: Any


class _Graph:
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
        hooks = [*_embedding_hooks(self.inputs), (EMBEDDINGS, self._embedding), *self._entries()]
        hooks += [*self.inputs.rules, *self._borders()]
        hooks += [(name, self._keep(name)) for name in self.names if name != EMBEDDINGS]
        return _logits(self.bridge, self.inputs, self.length, rows, hooks)

    def values(self) -> dict[str, Any]:
        """What was seen at the points, [batch, position, …]."""
        return {name: value.detach() for name, value in self.seen.items()}

    def through_head(self, target: Any, logits: Any) -> _Starts:
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
        return _Starts(found[0], _or_zero(found[1], found[0]), behind, linear)

    def pull(self, starts: _Starts, rows: Sequence[tuple[int, ...]], *, last: bool) -> dict[str, Any]:
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
        """Keep what passed a point, shrunk where asked; what comes back on two ways is added up."""
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
            # Without a graph its value alone is of use, and only to who has not seen it through ``shrink``.
            if value.requires_grad or self.shrink is None:
                self.seen[name] = value
            # Returned, so that a hook which sees a reshaped copy stays on the way to the output.
            return value

        return keep

    def _entries(self) -> list[Hook]:
        """What must see a block's input before any rule does."""
        return []

    def _borders(self) -> list[Hook]:
        def enter(value: Any, hook: Any) -> Any:
            self.entry, self.entry_leaf = value, value.detach().requires_grad_(True)
            return self.entry_leaf

        def leave(value: Any, hook: Any) -> Any:
            self.attention, self.attention_leaf = value, value.detach().requires_grad_(True)
            return self.attention_leaf

        return [(f"blocks.{self.last}.hook_in", enter), (f"blocks.{self.last}.attn.hook_out", leave)]


class _Layered(_Graph):
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


def _logits(bridge: Any, inputs: Inputs, length: int, rows: range, hooks: Sequence[Hook]) -> Any:
    """[batch, row, d_vocab] at the steps that predict the answer tokens ``rows``."""
    import torch

    first = len(inputs.encoded.prompt_ids) - 1
    ids = torch.tensor([inputs.encoded.ids[:length]], device=inputs.model.device).expand(_batch(inputs), -1)
    return logits_at(bridge, ids, range(first + rows.start, first + rows.stop), hooks)


def logits_at(bridge: Any, ids: Any, rows: range, hooks: Sequence[Hook]) -> Any:
    """One forward; logits at the positions ``rows`` alone, [batch, row, d_vocab], in float32 or better."""
    import torch

    keep = torch.arange(rows.start, rows.stop, device=ids.device)
    with bridge.hooks(fwd_hooks=list(hooks)):
        logits = bridge(ids, use_cache=False, logits_to_keep=keep)
    # A model that knows no logits_to_keep gives them all.
    return at_least_float(logits if logits.shape[1] == len(rows) else logits[:, keep])


def at_least_float(tensor: Any) -> Any:
    """Half precision as float32; float32 and float64 as they are."""
    return tensor.float() if tensor.dtype.itemsize < 4 else tensor


def _embedding_hooks(inputs: Inputs) -> list[Hook]:
    """What replaces the embeddings, where they are replaced."""
    changed = inputs.embeddings
    return [] if changed is None else [(EMBEDDINGS, lambda value, hook: changed.change(value[:1].detach()))]


def _batch(inputs: Inputs) -> int:
    """Batch size that the replaced embeddings have."""
    return 1 if inputs.embeddings is None else inputs.embeddings.batch


def _goal(inputs: Inputs, rows: range, length: int) -> Goal:
    """What the target compares with, at the answer tokens ``rows``."""
    import torch

    device = inputs.model.device
    ids = torch.tensor(inputs.encoded.answer_ids[rows.start : rows.stop], device=device)
    contrast = inputs.target.contrast
    foil = torch.tensor(contrast[rows.start : rows.stop], device=device) if contrast is not None else None
    other = None
    if inputs.target.compares:
        assert inputs.other is not None
        with inputs.other.active() as bridge, torch.no_grad():
            # Held fast at the input: else a path's scores could not sum to the target's change.
            logits = _logits(bridge, replace(inputs, embeddings=None), length, rows, [])
            other = logits.log_softmax(-1).to(device)
    return Goal(ids, foil, other)


def checked(model: Model, target: Target, values: Any, logits: Any) -> Any:
    """Refuse what is not a finite number per answer token."""
    if getattr(values, "shape", None) != logits.shape[:2]:
        raise InputError(
            f"target {target.name!r}: it gives {_kind(values)} for logits {list(logits.shape)}; give one number per "
            f"answer token, {list(logits.shape[:2])}"
        )
    if not bool(values.isfinite().all()):
        raise ModelError(
            f"{model.name}: the target {target.name!r} is not finite; use --dtype float32 or another target"
        )
    return values


def _kind(value: Any) -> str:
    shape = getattr(value, "shape", None)
    return type(value).__name__ if shape is None else str(list(shape))


def _refuse_infinite(inputs: Inputs, gradients: Mapping[str, Any]) -> None:
    """A finite target may have a gradient that is not."""
    for name, gradient in gradients.items():
        if not bool(gradient.isfinite().all()):
            raise ModelError(
                f"{inputs.model.name}: the gradient of the target {inputs.target.name!r} at {name} is not finite; use "
                "--dtype float32 or another target"
            )


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
