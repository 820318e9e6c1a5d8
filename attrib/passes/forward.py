"""Inputs → logits and targets of every answer token, in one teacher-forced forward with hooks.

Not covered: gradients (``backward``), and changed prompts (``variants``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from attrib.errors import InputError, ModelError
from attrib.models.pair import Model
from attrib.models.prompt import Encoded, decode
from attrib.options.methods import EMBEDDINGS
from attrib.passes.targets import Goal, Target

Hook = tuple[str, Callable[[Any, Any], Any]]


@dataclass(frozen=True, eq=False)
class Changed:
    """Embeddings [1, position, d_model] → [batch, position, d_model], position by position."""

    change: Callable[[Any], Any]
    batch: int = 1


@dataclass(frozen=True, eq=False)
class Inputs:
    """Input of one model: prompt and answer, their embeddings replaced where ``embeddings`` is given."""

    model: Model
    encoded: Encoded
    target: Target
    embeddings: Changed | None = None
    """None leaves them unchanged."""
    rules: tuple[Hook, ...] = ()
    """Hooks that hold for every forward: they change gradients on the way back, or move a point's values."""
    other: Model | None = None
    """The model whose next-token distribution the target compares with."""
    memory_gb: float = 2.0
    chunk: int | None = None
    """Rows in one product; None = by CHUNK_POSITIONS and memory."""


def evaluate(inputs: Inputs) -> Any:
    """The target of every answer token, [batch, answer]; no gradients."""
    import torch

    prompt, n = len(inputs.encoded.prompt_ids), len(inputs.encoded.answer_ids)
    goal = goal_of(inputs, range(n), prompt + n - 1)
    with inputs.model.active() as bridge, torch.no_grad():
        logits = answer_logits(bridge, inputs, prompt + n - 1, range(n), [*embedding_hooks(inputs), *inputs.rules])
        return checked(inputs.model, inputs.target, inputs.target.function(logits, goal), logits)


def watch(inputs: Inputs, hooks: Sequence[Hook]) -> None:
    """Run one forward over prompt and answer for its hooks; no gradients, one row of logits.

    Raises ModelError where that row is not finite.
    """
    import torch

    length, n = len(inputs.encoded.ids) - 1, len(inputs.encoded.answer_ids)
    with inputs.model.active() as bridge, torch.no_grad():
        logits = answer_logits(bridge, inputs, length, range(n - 1, n), hooks)
    # Logits of −∞ are a masked vocabulary, which log p survives.
    if bool(logits.log_softmax(-1).isnan().any()):
        raise ModelError(
            f"{inputs.model.name}: its logits are not finite; use -o models.dtype=float32 or another model"
        )


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


def refuse_unwritable(model: Model, encoded: Encoded) -> None:
    """Raises InputError for an answer with a token that tuning added: base has no log-prob of it to compare."""
    if model.common_rows is None:
        return
    for token in encoded.answer_tokens:
        if token.id >= model.common_rows:
            raise InputError(
                f"answer: tuning added its token {decode(model.tokenizer, [token.id])!r}, which base cannot write, so "
                "that nothing compares with it; give an answer without it"
            )


def answer_logits(bridge: Any, inputs: Inputs, length: int, rows: range, hooks: Sequence[Hook]) -> Any:
    """[batch, row, d_vocab] at the steps that predict the answer tokens ``rows``."""
    import torch

    first = len(inputs.encoded.prompt_ids) - 1
    ids = torch.tensor([inputs.encoded.ids[:length]], device=inputs.model.device).expand(batch_size(inputs), -1)
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
    """Half precision as float32; float32 and float64 unchanged."""
    return tensor.float() if tensor.dtype.itemsize < 4 else tensor


def embedding_hooks(inputs: Inputs) -> list[Hook]:
    """The hook that replaces the embeddings, where they are replaced."""
    changed = inputs.embeddings
    return [] if changed is None else [(EMBEDDINGS, lambda value, hook: changed.change(value[:1].detach()))]


def batch_size(inputs: Inputs) -> int:
    """Batch size of the replaced embeddings."""
    return 1 if inputs.embeddings is None else inputs.embeddings.batch


def goal_of(inputs: Inputs, rows: range, length: int) -> Goal:
    """The ids and distributions that the target compares, at the answer tokens ``rows``."""
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
            logits = answer_logits(bridge, replace(inputs, embeddings=None), length, rows, [])
            other = logits.log_softmax(-1).to(device)
    return Goal(ids, foil, other)


def checked(model: Model, target: Target, values: Any, logits: Any) -> Any:
    """The target's values. Raises InputError and ModelError unless they are one finite number an answer token."""
    if getattr(values, "shape", None) != logits.shape[:2]:
        raise InputError(
            f"target {target.name!r}: it gives {_shape_of(values)} for logits {list(logits.shape)}; give one number "
            f"per answer token, {list(logits.shape[:2])}"
        )
    if not bool(values.isfinite().all()):
        raise ModelError(
            f"{model.name}: the target {target.name!r} is not finite; use -o models.dtype=float32 or another target"
        )
    return values


def _shape_of(value: Any) -> str:
    shape = getattr(value, "shape", None)
    return type(value).__name__ if shape is None else str(list(shape))
