"""Relevance propagated back by AttnLRP's rules (Achtibat et al. 2402.05602), written as rules for gradients.

With these rules input × gradient IS the relevance, so that it costs one backward a row:

- a linear layer's ε-rule with ε → 0 is gradient × input: nothing to change;
- a product of two activations (query · key, attention · value, gate · up) gives each factor half: its gradient is
  halved;
- an element-wise function f passes relevance on unchanged: its slope becomes f(x) / x (activations, and the cap that
  Gemma 2 puts on its logits; the cap on attention scores keeps its gradient, as softmax behind it does);
- a norm counts as a fixed scale: its slope is that scale;
- softmax follows its Taylor expansion, which is its gradient already.

The rules are hooks of one forward and end with it. The halves of query and key do not sum to the softmax's relevance
(its expansion has a constant term), so relevance is conserved only outside attention scores; the record holds the gap.
LRP is patented; its authors' implementation (LXT) grants no patent rights. This one was written from the paper.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import numpy as np

from attrib.attribution.gradient import by_position, put, times_value
from attrib.attribution.job import AttributionJob, MethodScores
from attrib.errors import ModelError
from attrib.passes.backward import Values, backpropagate
from attrib.passes.forward import Hook
from attrib.records.kind import ScoreKind

RELEVANCE = ScoreKind(
    unit="relevance for {target}",
    meaning="relevance for the row's {target}, propagated back by AttnLRP's rules",
    caveat="Relevance follows rules that somebody chose: "
    "it is no effect of a change, and attention does not conserve it.",
    broken="not conserved",
)

Kind = Literal["attnlrp", "fixed_attention"]
attnlrp: Kind = "attnlrp"
"""All rules above."""
fixed_attention: Kind = "fixed_attention"
"""The attention pattern counts as fixed (CP-LRP, Ali et al. 2202.07304): conserved exactly in models without biases."""


def propagated(job: AttributionJob, parts: Mapping[str, Kind]) -> dict[str, MethodScores]:
    """Relevance of each position for each row, signed."""
    return {name: _one(job, kind) for name, kind in parts.items()}


def _one(job: AttributionJob, kind: Kind) -> MethodScores:
    scores = np.zeros((len(job.rows), job.positions))
    start = np.zeros(job.positions - job.prompt)

    def remember(answer: slice, values: Values) -> None:
        start[answer] = values.linear[0].double().cpu().numpy()

    done, point = 0, job.options.at
    inputs = job.inputs(rules=rules(job, kind))
    for part in backpropagate(inputs, job.rows, (point,), remember):
        put(scores, part, times_value(*by_position(job, part, point))[:, 0])
        done += len(part.rows)
        job.tell(f"relevance, {job.model.name}", done, len(job.rows))
    total = job.by_row(start)
    settings = {"rules": kind, "change": [float(c) for c in total]}
    return MethodScores(scores, job.every_position, scores.sum(1) - total, settings)


def rules(job: AttributionJob, kind: Kind = attnlrp) -> tuple[Hook, ...]:
    """The hooks of all rules. Raises ModelError for an architecture without the needed hook points."""
    known = job.model.bridge.hook_dict
    hooks: list[Hook] = []
    for i in range(job.model.n_layers):
        block = f"blocks.{i}."
        pattern = f"{block}attn.hook_pattern"
        if kind == fixed_attention:
            hooks.append((pattern, _fixed))
        else:
            hooks += [(f"{block}attn.{part}.hook_out", _halved) for part in ("q", "k", "v")] + [(pattern, _halved)]
        hooks += _feed_forward(f"{block}mlp.", known)
        for norm in ("ln1", "ln2", "ln1_post", "ln2_post"):
            if f"{block}{norm}.hook_in" in known:
                hooks += _norm(block + norm, job)
        for norm in ("attn.q_norm", "attn.k_norm"):
            if f"{block}{norm}.hook_in" in known:
                hooks += _norm(block + norm, job)
    if "ln_final.hook_in" in known:
        hooks += _norm("ln_final", job)
    cap = getattr(job.model.bridge.original_model.config.get_text_config(), "final_logit_softcapping", None)
    if cap:
        hooks.append(("unembed.hook_out", lambda value, hook: _Capped.apply(value, float(cap))))
    missing = sorted({name for name, _ in hooks if name not in known})
    if missing:
        raise ModelError(
            f"relevance: {job.model.name} has no hook point {missing[0]}, so its rules cannot be applied; "
            "use integrated_gradients or leave_one_out"
        )
    return tuple(hooks)


def _halved(value: Any, hook: Any) -> Any:
    return _Scaled.apply(value)


def _fixed(value: Any, hook: Any) -> Any:
    return value.detach()


def _feed_forward(mlp: str, known: Mapping[str, Any]) -> list[Hook]:
    """Hooks of activation and gate: recorded at their inputs, replaced at the product's output."""
    seen: dict[str, Any] = {}

    def see(name: str) -> Callable[[Any, Any], None]:
        def put_by(value: Any, hook: Any) -> None:
            seen[name] = value

        return put_by

    if f"{mlp}gate.hook_out" in known:

        def gated(value: Any, hook: Any) -> Any:
            return _Product.apply(seen.pop("gate"), seen.pop("in"), value.detach())

        return [
            (f"{mlp}gate.hook_out", see("gate")), (f"{mlp}in.hook_out", see("in")), (f"{mlp}out.hook_in", gated)
        ]  # fmt: skip

    def plain(value: Any, hook: Any) -> Any:
        return _Slope.apply(seen.pop("in"), value.detach(), 0.0, False)

    return [(f"{mlp}in.hook_out", see("in")), (f"{mlp}out.hook_in", plain)]


def _norm(name: str, job: AttributionJob) -> list[Hook]:
    component: Any = job.model.bridge
    for step in name.split("."):
        component = component[int(step)] if step.isdigit() else getattr(component, step)
    centred = not bool(component.uses_rms_norm)
    bias = getattr(component.original_component, "bias", None)
    seen: list[Any] = []

    def before(value: Any, hook: Any) -> None:
        seen[:] = [value]

    def after(value: Any, hook: Any) -> Any:
        return _Slope.apply(seen.pop(), value.detach(), 0.0 if bias is None else bias.detach(), centred)

    return [(f"{name}.hook_in", before), (f"{name}.hook_out", after)]


def _functions() -> tuple[Any, ...]:
    import torch

    class Scaled(torch.autograd.Function):
        """Identity forward; half the gradient backward."""

        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return x.view_as(x)

        @staticmethod
        def backward(ctx: Any, gradient: Any) -> Any:
            return gradient / 2

    class Product(torch.autograd.Function):
        """The known product act(gate) · up; backward: half to each factor, through act's slope act(gate) / gate."""

        @staticmethod
        def forward(ctx: Any, gate: Any, up: Any, product: Any) -> Any:
            ctx.save_for_backward(_ratio(product, gate) / 2, _ratio(product, up) / 2)
            return product.view_as(product)

        @staticmethod
        def backward(ctx: Any, gradient: Any) -> Any:
            by_gate, by_up = ctx.saved_tensors
            return gradient * by_gate, gradient * by_up, None

    class Slope(torch.autograd.Function):
        """The known y = slope · (x − mean) + bias, or without a mean; backward: through that slope as if fixed."""

        @staticmethod
        def forward(ctx: Any, x: Any, y: Any, bias: Any, centred: bool) -> Any:
            ctx.centred = centred
            ctx.save_for_backward(_ratio(y - bias, x - x.mean(-1, keepdim=True) if centred else x))
            return y.view_as(y)

        @staticmethod
        def backward(ctx: Any, gradient: Any) -> Any:
            (slope,) = ctx.saved_tensors
            back = gradient * slope
            return back - back.mean(-1, keepdim=True) if ctx.centred else back, None, None, None

    class Capped(torch.autograd.Function):
        """Identity forward; backward: the slope of the following cap · tanh(x / cap) becomes its value / x."""

        @staticmethod
        def forward(ctx: Any, x: Any, cap: float) -> Any:
            # tanh(u) / u over its slope, u = x / cap, bounded where the slope has vanished.
            double = (2 * x / cap).clamp(-40, 40)
            ctx.save_for_backward((double.sinh() / double).nan_to_num(1.0, 1.0, 1.0))
            return x.view_as(x)

        @staticmethod
        def backward(ctx: Any, gradient: Any) -> Any:
            (ratio,) = ctx.saved_tensors
            return gradient * ratio, None

    return Scaled, Product, Slope, Capped


def _ratio(y: Any, x: Any) -> Any:
    """y / x, and 0 where x is 0."""
    return (y / x).nan_to_num(0.0, 0.0, 0.0)


class _Late:
    """An autograd function created on first use, since torch is imported late."""

    made: tuple[Any, ...] = ()

    def __init__(self, index: int) -> None:
        self.index = index

    def apply(self, *given: Any) -> Any:
        _Late.made = _Late.made or _functions()
        return _Late.made[self.index].apply(*given)


_Scaled, _Product, _Slope, _Capped = _Late(0), _Late(1), _Late(2), _Late(3)
