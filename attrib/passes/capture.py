"""Hooks → Capture: what one model did with one answer, and with the items of sections.

One forward serves all answer tokens (teacher forcing). Not covered: gradients (``backward``), changed prompts
(``variants``).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from attrib.errors import InputError, ModelError
from attrib.models.pair import Model
from attrib.models.prompt import Encoded
from attrib.models.rendering import EncodedItem, fitting_item
from attrib.passes.forward import at_least_float, logits_at, refuse_unwritable
from attrib.records import Capture, Item


@dataclass(frozen=True)
class CaptureOptions:
    """Parts of the forward pass to keep, and their memory budget."""

    attention: bool = True
    """Mean over layers and heads."""
    heads: bool = False
    """Every layer and head: ``layer × head × answer × position`` floats."""
    layers: tuple[int, ...] = ()
    """Layers whose residual stream is kept; negative numbers count from the last."""
    memory_gb: float = 2.0
    """Budget of the arrays that the record keeps; more is refused before the pass."""


def capture(model: Model, encoded: Encoded, options: CaptureOptions | None = None) -> Capture:
    """One teacher-forced forward pass of ``model`` over prompt and answer.

    Row ``i`` of attention belongs to the step that predicts answer token ``i``, at position ``len(prompt) + i − 1``.
    Raises InputError for an empty answer, an unknown layer or a record beyond the memory budget, ModelError for
    log-probs that are not finite.
    """
    import torch

    options = options or CaptureOptions()
    n, prompt, total = len(encoded.answer_ids), len(encoded.prompt_ids), len(encoded.ids)
    if n == 0:
        raise InputError("answer: it has no tokens; the model wrote nothing, give an answer with --answer")
    refuse_unwritable(model, encoded)
    layers = resolve_layers(options.layers, model.n_layers)
    _refuse_over_budget(model, n, total, options, layers)
    kept = _Kept(slice(prompt - 1, total - 1), model.n_layers)
    with model.active() as bridge, torch.no_grad():
        ids = torch.tensor([encoded.ids], device=model.device)
        assert tuple(ids[0, :prompt].tolist()) == encoded.prompt_ids, "the prompt must be a prefix"
        logits = logits_at(bridge, ids, range(prompt - 1, total - 1), kept.hooks(options, layers))[0]
        logprobs = logits.log_softmax(-1)
        target = torch.tensor(encoded.answer_ids, device=logits.device)
        logprob = logprobs.gather(1, target[:, None])[:, 0]
        rank = (logprobs > logprob[:, None]).sum(1)
        entropy = -(logprobs.exp() * logprobs).nan_to_num(0.0).sum(1)
    if not bool(logprob.isfinite().all()):
        raise ModelError(f"{model.name}: log-probs of the answer are not finite; use -o models.dtype=float32")
    return Capture(
        logprob=_numpy(logprob),
        rank=_numpy(rank),
        entropy=_numpy(entropy),
        attention=_numpy(kept.attention / model.n_layers) if kept.attention is not None else None,
        heads=_numpy(torch.stack(kept.heads)) if kept.heads else None,
        hidden=_numpy(torch.stack([kept.hidden[i] for i in layers])) if layers else None,
        layers=layers,
    )


class _Kept:
    """Attention and hidden states that the hooks of one forward pass collect."""

    def __init__(self, rows: slice, n_layers: int) -> None:
        self.rows = rows
        self.n_layers = n_layers
        self.attention: Any = None
        self.heads: list[Any] = []
        self.hidden: dict[int, Any] = {}

    def hooks(self, options: CaptureOptions, layers: Sequence[int]) -> list[tuple[str, Callable[..., Any]]]:
        hooks: list[tuple[str, Callable[..., Any]]] = []
        if options.attention or options.heads:
            hooks += [
                (f"blocks.{i}.attn.hook_pattern", lambda pattern, hook: self._pattern(pattern, options))
                for i in range(self.n_layers)
            ]
        hooks += [(f"blocks.{i}.hook_resid_post", self._residual(i)) for i in layers]
        return hooks

    def _pattern(self, pattern: Any, options: CaptureOptions) -> None:
        """[batch, head, query, key], rows that sum to 1."""
        rows = at_least_float(pattern.detach()[0, :, self.rows])
        if options.heads:
            self.heads.append(rows.cpu())
        if options.attention:
            mean = rows.mean(0).cpu()
            self.attention = mean if self.attention is None else self.attention + mean

    def _residual(self, layer: int) -> Callable[..., None]:
        def keep(value: Any, hook: Any) -> None:
            self.hidden[layer] = value.detach()[0].cpu()

        return keep


@dataclass(frozen=True, eq=False)
class TextCapture:
    """Log-prob and hidden states of the trained tokens of one item, read by itself by one model."""

    logprob: float
    """Summed log p of the trained tokens, nats; without end-of-turn markers, a text's first token and added ones."""
    tokens: int
    """Number of tokens summed."""
    by_token: np.ndarray
    """log p of each trained token, nats, 0 where it is not summed, [token]."""
    summed: np.ndarray
    """Whether the token's log p is in ``logprob``, bool [token]."""
    states: np.ndarray
    """Residual stream after ``layer`` at the trained tokens as unit vectors, [token, d_model], float16."""
    starts: np.ndarray
    """First character of each token in ``Item.text``, [token]."""
    ends: np.ndarray


def capture_items(
    model: Model,
    items: Sequence[Item],
    layer: int,
    *,
    context: int | None = None,
    batch_tokens: int | None = None,
) -> list[TextCapture]:
    """Log-prob and hidden states of what was trained of each item, in batches of similar length.

    A conversation is read as it was trained, its other turns as context. ``context``: longest sequence, by default the
    model's; for numbers of two models to be compared, the shorter one of both. ``batch_tokens`` bounds a batch with its
    padding; None: one item at a time on a CPU, where batches save little and would let an item's last bits depend on
    its neighbours, 2,048 tokens elsewhere. Raises InputError as ``fitting_item`` does.
    """
    layer = resolve_layers((layer,), model.n_layers)[0]
    if batch_tokens is None:
        batch_tokens = 1 if model.device.type == "cpu" else 2048
    read = []
    for item in items:
        try:
            read.append(fitting_item(model.chat, item, context or model.context))
        except InputError as error:
            raise InputError(f"section {item.text[:40]!r}: {error}") from error
    lengths = [len(one.ids) for one in read]
    order = sorted(range(len(items)), key=lambda i: lengths[i])
    out: dict[int, TextCapture] = {}
    with model.active() as bridge:
        for batch in _batches(order, lengths, batch_tokens):
            captured = _capture_batch(model, bridge, [read[i] for i in batch], layer)
            out.update(zip(batch, captured, strict=True))
    return [out[i] for i in range(len(items))]


def _batches(order: Sequence[int], lengths: Sequence[int], batch_tokens: int) -> list[list[int]]:
    """Consecutive texts whose padded size stays below ``batch_tokens``."""
    batches: list[list[int]] = []
    for i in order:
        # Sorted by length: this text is the longest of the batch it would join.
        if batches and (len(batches[-1]) + 1) * lengths[i] <= batch_tokens:
            batches[-1].append(i)
        else:
            batches.append([i])
    return batches


def _capture_batch(model: Model, bridge: Any, items: Sequence[EncodedItem], layer: int) -> list[TextCapture]:
    import torch

    lengths = [len(item.ids) for item in items]
    ids = torch.zeros(len(items), max(lengths), dtype=torch.long)
    mask = torch.zeros_like(ids)
    for row, item in enumerate(items):
        ids[row, : lengths[row]] = torch.tensor(item.ids)
        mask[row, : lengths[row]] = 1
    states: list[Any] = []
    # A token that tuning added counts on neither side: base has no log-prob of it.
    rows = model.common_rows or sys.maxsize
    with torch.no_grad():
        hook = (f"blocks.{layer}.hook_resid_post", lambda value, hook: states.append(value.detach()))
        with bridge.hooks(fwd_hooks=[hook]):
            logits = bridge(ids.to(model.device), attention_mask=mask.to(model.device), use_cache=False)
        out = []
        for row, item in enumerate(items):
            # Nothing is before the first token to predict it from.
            predicted = [at for at in item.learned if at and item.ids[at] < rows]
            first, last = (predicted[0], predicted[-1] + 1) if predicted else (1, 1)
            logprobs = at_least_float(logits[row, first - 1 : last - 1]).log_softmax(-1)
            found = logprobs.gather(1, ids[row, first:last, None].to(logprobs.device))[:, 0].cpu()
            # Summed on the CPU: not every device has float64.
            summed = found[torch.tensor(predicted, dtype=torch.long) - first].double()
            logprob = float(summed.sum())
            counts = np.isin(item.learned, predicted)
            by_token = np.zeros(len(counts), dtype=np.float32)
            by_token[counts] = summed.numpy()
            kept = states[0][row, torch.tensor(item.learned, device=states[0].device)]
            state = torch.nn.functional.normalize(kept.float(), dim=-1)
            if not (np.isfinite(logprob) and bool(state.isfinite().all())):
                raise ModelError(f"{model.name}: its numbers for a section are not finite; use -o models.dtype=float32")
            places = np.array(item.characters, dtype=np.int64).reshape(-1, 2)
            states16 = _numpy(state).astype(np.float16)
            out.append(TextCapture(logprob, len(predicted), by_token, counts, states16, places[:, 0], places[:, 1]))
    return out


def resolve_layers(layers: Sequence[int], n_layers: int) -> tuple[int, ...]:
    """Negative layer numbers counted from the last; InputError for one that does not exist."""
    for layer in layers:
        if not -n_layers <= layer < n_layers:
            raise InputError(f"layer {layer}: the model has layers 0 to {n_layers - 1}")
    return tuple(layer % n_layers for layer in layers)


def _refuse_over_budget(model: Model, n: int, total: int, options: CaptureOptions, layers: Sequence[int]) -> None:
    cfg = model.bridge.cfg
    floats = {
        "heads": cfg.n_layers * cfg.n_heads * n * total if options.heads else 0,
        "hidden": len(layers) * total * cfg.d_model,
    }
    # Base and tuned are held side by side.
    gigabytes = 2 * 4 * sum(floats.values()) / 1e9
    if gigabytes > options.memory_gb:
        largest = max(floats, key=lambda name: floats[name])
        raise InputError(
            f"capture of {n} answer tokens needs {gigabytes:.1f} GB, most of it for {largest}; the budget is "
            f"{options.memory_gb:g} GB: raise memory_gb or leave out {largest}"
        )


def _numpy(tensor: Any) -> np.ndarray:
    import torch

    tensor = tensor.detach().cpu()
    # numpy has no bfloat16.
    if tensor.dtype in (torch.bfloat16, torch.float16):
        tensor = tensor.float()
    return np.asarray(tensor.numpy())
