"""Targets: the number per answer token that is explained, a function of the model's logits.

Every target reads the logits of its own step alone. Logarithms are natural: nats.
Not covered: sums over several steps, which the callers take.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from attrib.errors import InputError


@dataclass(frozen=True, eq=False)
class Goal:
    """Tokens and distributions that the logits are compared with, at the chosen answer tokens."""

    ids: Any
    """The answer's own tokens, [answer]."""
    contrast: Any = None
    """The contrast answer's tokens at the same places, [answer]."""
    other: Any = None
    """log p of every vocabulary token under the other model, [batch, answer, d_vocab]."""


TargetFunction = Callable[[Any, Goal], Any]


@dataclass(frozen=True, eq=False)
class Target:
    """A name and a function of logits [batch, answer, d_vocab] to numbers [batch, answer]."""

    name: str
    function: TargetFunction
    contrast: tuple[int, ...] | None = None
    """Token ids of the contrast answer, as many as the answer has."""
    compares: bool = False
    """Whether it needs the other model's log-probs."""


def logit(logits: Any, goal: Goal) -> Any:
    """The token's logit."""
    return _at(logits, goal.ids)


def logprob(logits: Any, goal: Goal) -> Any:
    """log p of the token."""
    return _at(logits.log_softmax(-1), goal.ids)


def probability(logits: Any, goal: Goal) -> Any:
    """p of the token."""
    return _at(logits.softmax(-1), goal.ids)


def logodds(logits: Any, goal: Goal) -> Any:
    """log p − log (1 − p); does not fade where the model is sure.

    1 − p is summed over the other tokens: taken from p it would lose all digits near p = 1.
    """
    others = logits.scatter(-1, goal.ids[None, :, None].expand(len(logits), -1, 1), float("-inf"))
    return _at(logits, goal.ids) - others.logsumexp(-1)


def probability_difference(logits: Any, goal: Goal) -> Any:
    """p of the token − p of the contrast token after the same words (Yin & Neubig 2202.10419)."""
    p = logits.softmax(-1)
    return _at(p, goal.ids) - _at(p, goal.contrast)


def logprob_difference(logits: Any, goal: Goal) -> Any:
    """log p of the token − log p of the contrast token after the same words: the difference of their logits."""
    return _at(logits, goal.ids) - _at(logits, goal.contrast)


def entropy(logits: Any, goal: Goal) -> Any:
    """Entropy of the next-token distribution."""
    logp = logits.log_softmax(-1)
    return -(logp.exp() * logp.masked_fill(logp.isneginf(), 0.0)).sum(-1)


def kl_of_tuned(logits: Any, goal: Goal) -> Any:
    """KL(tuned‖base) as a function of the tuned model's logits, base fixed."""
    return divergence(logits.log_softmax(-1), goal.other)


def kl_of_base(logits: Any, goal: Goal) -> Any:
    """KL(tuned‖base) as a function of base's logits, tuned fixed; the two gradients sum to the whole one."""
    return divergence(goal.other, logits.log_softmax(-1))


def divergence(tuned: Any, base: Any) -> Any:
    """KL(tuned‖base) of log p [..., d_vocab], over the tokens that base has: tuned's p is made to sum to 1 there."""
    lacking = base.isneginf()
    if bool(lacking.any()):
        tuned = tuned.masked_fill(lacking, float("-inf")).log_softmax(-1)
    return (tuned.exp() * (tuned - base).masked_fill(tuned.isneginf(), 0.0)).sum(-1)


TARGETS: dict[str, tuple[TargetFunction, TargetFunction]] = {
    "logprob": (logprob, logprob),
    "logit": (logit, logit),
    "logodds": (logodds, logodds),
    "probability": (probability, probability),
    "probability_difference": (probability_difference, probability_difference),
    "logprob_difference": (logprob_difference, logprob_difference),
    "entropy": (entropy, entropy),
    "kl": (kl_of_base, kl_of_tuned),
}
"""Name → the function for base's logits, and for tuned's."""
CONTRASTIVE = frozenset({"probability_difference", "logprob_difference"})


def check_target(target: str, *, contrast: bool) -> None:
    """InputError for an unknown name, and for a contrast that is missing or not asked for."""
    if target not in TARGETS:
        raise InputError(f"target {target!r} is unknown; choose from {', '.join(TARGETS)}")
    if target in CONTRASTIVE and not contrast:
        raise InputError(f"target {target!r}: it needs a contrast answer; add -o prompt.contrast=ANSWER")
    if target not in CONTRASTIVE and contrast:
        raise InputError(f"contrast: target {target!r} compares with nothing; use --target probability_difference")


def make_target(
    target: str | Callable[[Any, Any], Any], *, tuned: bool, contrast: tuple[int, ...] | None, answer: int
) -> Target:
    """The target of one side; a function of yours gets logits [batch, answer, d_vocab] and answer ids [answer].

    Raises InputError for an unknown name, and for a contrast that is missing, not asked for or of another length.
    """
    if callable(target):
        if contrast is not None:
            raise InputError("contrast: a target of your own is given none; leave the contrast out")
        own = target
        return Target(name_of(own), lambda logits, goal: own(logits, goal.ids))
    check_target(target, contrast=contrast is not None)
    if contrast is not None and len(contrast) < answer:
        raise InputError(
            f"contrast: it has {len(contrast)} tokens, the answer {answer}; tokens are compared place by place, so "
            "give a contrast at least as long as the answer, or a shorter answer"
        )
    function = TARGETS[target][int(tuned)]
    return Target(target, function, contrast[:answer] if contrast is not None else None, target == "kl")


def name_of(target: str | Callable[[Any, Any], Any]) -> str:
    """A target's name; of a function its own, or its type's."""
    return target if isinstance(target, str) else str(getattr(target, "__name__", type(target).__name__))


def _at(values: Any, ids: Any) -> Any:
    """[batch, answer, d_vocab] at one token a place → [batch, answer]."""
    return values.gather(-1, ids[None, :, None].expand(len(values), -1, 1))[..., 0]
