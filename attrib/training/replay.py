"""A recorded run made again, step by step, with a weight for every example; and its derivative by those weights.

The same start, the same examples in the same steps, the same learning rates: left is what each example counts.
With weights of 1 the result is the adapter of ``attrib tune``; with 0 for the examples of a section it is the adapter
that the section did not teach. ``reverse`` goes back through all steps of AdamW, the clipping of gradients included,
and gives the derivative of any number of targets by the weight of every trained token in one pass a target (MAGIC,
2504.16430; REPLAY, 2503.13751).
Not covered: dropout (examples are read without it), several processes' rounding, sharded models, rehearsed answers'
divergence from base (they count as their examples do).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float

from attrib.errors import InputError
from attrib.models.rendering import IGNORED
from attrib.progress import Progress
from attrib.training.items import TrainingExample, collate
from attrib.training.schedule import Schedule

BETAS, EPSILON, CLIP = (0.9, 0.999), 1e-8, 1.0
"""Of AdamW and of the norm to which gradients are clipped, as the Trainer of transformers has them by default."""


@dataclass(frozen=True, eq=False)
class Run:
    """What a run learned, and in which steps. Raises InputError where its order is unknown."""

    examples: tuple[TrainingExample, ...]
    schedule: Schedule
    epsilon: float = EPSILON
    """AdamW's."""

    def __post_init__(self) -> None:
        if not self.schedule.steps:
            raise InputError("replay: the order of the steps is unknown; tune with attrib tune or attrib.Recorder")
        if max(map(max, self.schedule.steps)) >= len(self.examples):
            raise InputError("replay: a step saw an example that was not recorded; tune again")

    @cached_property
    def learned(self) -> list[list[int]]:
        """Positions of the trained tokens of each example."""
        return [[i for i, label in enumerate(e.labels) if i and label != IGNORED] for e in self.examples]


class State:
    """Adapter weights and both moments of AdamW after some steps, each one vector."""

    def __init__(self, weights: Any, first: Any, second: Any, done: int) -> None:
        self.weights, self.first, self.second, self.done = weights, first, second, done

    def copy(self) -> State:
        return State(self.weights.clone(), self.first.clone(), self.second.clone(), self.done)


class Replay:
    """A PEFT model whose adapter is moved along the steps of a run.

    The adapter's tensors become views of one vector; the model keeps what the last step made. Its weights at the
    beginning are the run's start (checkpoint 0).
    """

    def __init__(self, model: Any, run: Run) -> None:
        import torch

        self.model, self.run = model.eval(), run
        self.parameters = [p for p in model.parameters() if p.requires_grad]
        if not self.parameters:
            raise InputError("replay: no weight of the adapter is trainable; load it with is_trainable=True")
        if any(p.dtype not in (torch.float32, torch.float64) for p in self.parameters):
            raise InputError("replay: the adapter's weights are not float32; load it in float32")
        flat = torch.cat([p.detach().reshape(-1) for p in self.parameters])
        self.state = State(flat, torch.zeros_like(flat), torch.zeros_like(flat), 0)
        self._point_at(flat)
        self._batches: dict[int, Any] = {}

    def _point_at(self, flat: Any) -> None:
        start = 0
        for p in self.parameters:
            p.data = flat[start : start + p.numel()].view_as(p)
            start += p.numel()

    def restore(self, state: State) -> None:
        """Go on from another state, which the steps then change in place."""
        self.state = state
        self._point_at(state.weights)

    def forward(
        self, weights: Sequence[float] | None = None, *, until: int | None = None, progress: Progress | None = None
    ) -> None:
        """All steps that are left, or those before step ``until``. ``weights``: of each example, default 1."""
        import torch

        steps = len(self.run.schedule.steps)
        for number in range(self.state.done, steps if until is None else until):
            if progress is not None:
                progress("replay", number, steps)
            with torch.enable_grad():
                loss, _ = self._loss(number, weights)
            if loss is None:
                gradient = torch.zeros_like(self.state.weights)
            else:
                gradient = self._flat(torch.autograd.grad(loss, self.parameters))
            self._update(number, gradient * clipping(gradient))

    def _update(self, number: int, gradient: Any) -> None:
        import torch

        state, (one, two) = self.state, BETAS
        with torch.no_grad():
            state.first.mul_(one).add_(gradient, alpha=1 - one)
            state.second.mul_(two).addcmul_(gradient, gradient, value=1 - two)
            state.done = number + 1
            first, second = 1 - one**state.done, 1 - two**state.done
            spread = (state.second / second).sqrt_().add_(self.run.epsilon)
            rate = self.run.schedule.learning_rates[number]
            state.weights.addcdiv_(state.first, spread, value=-rate / first)

    def _loss(self, number: int, weights: Sequence[float] | None, *, leaves: bool = False) -> tuple[Any, Any]:
        """The loss of a step, and with ``leaves`` the weights of its tokens, by which it can be derived.

        Examples of weight 0 are not read; the loss is divided by the tokens of all. None where nothing is left.
        """
        import torch

        members = self.run.schedule.steps[number]
        kept = [i for i in members if weights is None or weights[i]]
        total = sum(len(self.run.learned[i]) for i in members)
        if not kept:
            return None, None
        losses, owners = token_losses(self.model, [self.run.examples[i] for i in kept])
        each = torch.tensor(
            [1.0 if weights is None else float(weights[kept[o]]) for o in owners],
            dtype=losses.dtype,
            device=losses.device,
        ).requires_grad_(leaves)
        return (losses * each).sum() / total, each

    def reverse(
        self,
        targets: Callable[[Any], Any],
        *,
        weights: Sequence[float] | None = None,
        segment: int | None = None,
        progress: Progress | None = None,
    ) -> list[Float[np.ndarray, "target token"]]:
        """All steps forth and back: derivative of each target by the weight of every trained token, by example.

        ``targets`` takes the model and gives the targets after the last step, [target]. Tokens of an example are those
        of ``Run.learned``, and their sum is the derivative by the example's weight; examples of weight 0 get 0. A state
        is kept every ``segment`` steps (default: the root of their number), and the steps between are made again:
        memory is 12 bytes a trainable weight for 2 √steps states, and as much for every target.
        """
        import torch

        steps = len(self.run.schedule.steps)
        every = segment or max(1, math.isqrt(steps))
        kept = [self.state.copy()]
        for end in range(self.state.done + every, steps, every):
            self.forward(weights, until=end)
            kept.append(self.state.copy())
        self.forward(weights)
        with torch.enable_grad():
            values = targets(self.model)
            rows = [self._flat(torch.autograd.grad(v, self.parameters, retain_graph=True)) for v in values]
        adjoint = Adjoint(torch.stack(rows))
        found = [np.zeros((len(rows), len(learned))) for learned in self.run.learned]
        end = steps
        for first in reversed(kept):
            self.restore(first.copy())
            states = [first.copy()]
            for number in range(first.done + 1, end):
                self.forward(weights, until=number)
                states.append(self.state.copy())
            for state in reversed(states):
                if progress is not None:
                    progress("reverse", steps - state.done - 1, steps)
                self.restore(state)
                self._back(state.done, adjoint, weights, found)
            end = first.done
        return found

    def _back(self, number: int, adjoint: Adjoint, weights: Sequence[float] | None, found: list[np.ndarray]) -> None:
        """The adjoint after step ``number`` becomes the one before it; what its tokens get is added to ``found``."""
        import torch

        with torch.enable_grad():
            loss, each = self._loss(number, weights, leaves=True)
            if loss is None:
                clipped = torch.zeros_like(self.state.weights)
            else:
                gradient = self._flat(torch.autograd.grad(loss, self.parameters, create_graph=True))
                clipped = gradient * clipping(gradient)
        towards = adjoint.through_update(self.state, clipped.detach(), self.run)
        if loss is None:
            return
        kept = [i for i in self.run.schedule.steps[number] if weights is None or weights[i]]
        counts = np.cumsum([len(self.run.learned[i]) for i in kept])[:-1]
        for row, one in enumerate(towards):
            into = torch.autograd.grad(clipped, [*self.parameters, each], one, retain_graph=True)
            adjoint.weights[row] += self._flat(into[:-1])
            parts = np.split(into[-1].double().cpu().numpy(), counts)
            for i, part in zip(kept, parts, strict=True):
                found[i][row] += part

    @staticmethod
    def _flat(tensors: Sequence[Any]) -> Any:
        import torch

        return torch.cat([t.reshape(-1) for t in tensors])


class Adjoint:
    """Derivatives of targets by a state: of the weights and of both moments, [target, weight] each."""

    def __init__(self, weights: Any) -> None:
        import torch

        self.weights, self.first, self.second = weights, torch.zeros_like(weights), torch.zeros_like(weights)

    def through_update(self, before: State, gradient: Any, run: Run) -> Any:
        """Go back through one update of AdamW, all but the gradient's dependence on the weights.

        Returns the derivatives by the (clipped) gradient, [target, weight].
        """
        (one, two), rate = BETAS, run.schedule.learning_rates[before.done]
        done = before.done + 1
        first = before.first * one + gradient * (1 - one)
        second = before.second * two + gradient**2 * (1 - two)
        bias_one, bias_two = 1 - one**done, 1 - two**done
        root = (second / bias_two).sqrt()
        spread = root + run.epsilon
        self.first -= self.weights * (rate / bias_one / spread)
        # Where no gradient was ever seen the root has no slope, and nothing that is weighed moved it.
        slope = rate * first / bias_one / spread**2 / (2 * bias_two * root)
        slope[root == 0] = 0
        self.second += self.weights * slope
        towards = self.first * (1 - one) + self.second * (2 * (1 - two) * gradient)
        self.first *= one
        self.second *= two
        return towards


def clipping(gradient: Any) -> Any:
    """Factor that brings the gradient's norm to CLIP where it is above."""
    return (CLIP / (gradient.norm() + 1e-6)).clamp(max=1.0)


def token_losses(model: Any, examples: Sequence[TrainingExample]) -> tuple[Any, list[int]]:
    """−log p of every trained token, nats, [token], example after example, and which example each is of."""
    import torch

    batch = collate([{"input_ids": e.ids, "labels": e.labels} for e in examples])
    device = model.device
    labels = batch["labels"][:, 1:]
    mask = labels != IGNORED
    # The head is the dearest layer of a small model: only where something was learned.
    needed = mask.any(0).nonzero()[:, 0]
    logits = model(
        input_ids=batch["input_ids"].to(device), attention_mask=batch["attention_mask"].to(device),
        logits_to_keep=needed.to(device), use_cache=False,
    ).logits  # fmt: skip
    chosen = mask[:, needed]
    rows = logits[chosen.to(device)]
    rows = rows if rows.dtype == torch.float64 else rows.float()
    losses = torch.nn.functional.cross_entropy(rows, labels[:, needed][chosen].to(device), reduction="none")
    owners = chosen.nonzero()[:, 0].tolist()
    return losses, owners
