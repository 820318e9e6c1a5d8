"""A mapper's or method's scores: found in the record, their kind, the name of their target.

Not covered: targets of the caller's own, which are shown by their function's name and have no unit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from attrib.attribution import METHODS
from attrib.errors import InputError
from attrib.mapping import NAMES as MAPPER_NAMES
from attrib.mapping import has_q, mapper_kind
from attrib.records import Attribution, Explanation, Mapping, MappingSide
from attrib.records.kind import ScoreKind
from attrib.render.view.labels import visible

SIGNIFICANT = 0.05
"""q-value below which a score is marked."""
LEARNED = 0.5
"""``verdict.learned`` from which a section is called learned."""


@dataclass(frozen=True)
class TargetName:
    """How a target is called beside scores."""

    short: str
    unit: str = ""
    """Unit of the target, and so of gaps; empty for pure numbers."""
    explained: str = ""
    """Explanation of what the short name leaves open."""


_PRIME = "′: the contrast answer's token at the same place"
TARGET_NAMES: dict[str, TargetName] = {
    "logprob": TargetName("log p", "nats"),
    "logit": TargetName("logit"),
    "logodds": TargetName("log-odds", "nats"),
    "probability": TargetName("p"),
    "probability_difference": TargetName("p − p′", "", f"p{_PRIME}"),
    "logprob_difference": TargetName("log p − log p′", "nats", f"p{_PRIME}"),
    "kl": TargetName("KL(tuned‖base)", "nats", "each model varied while the other is held fast"),
    "entropy": TargetName("entropy", "nats", "of the next token"),
}


def kind_of(name: str, target: str = "logprob") -> ScoreKind:
    """Kind of a mapper's or method's scores of ``target``; an unknown name is an unsigned score without a caveat."""
    return _kind(name).of_target(target_name(target).short)


def _kind(name: str) -> ScoreKind:
    if name in METHODS:
        return METHODS[name].kind
    if name in MAPPER_NAMES:
        return mapper_kind(name)
    return ScoreKind(reduction="max", signed=False, unit=name, meaning=f"{name} score")


def kind_in(explanation: Explanation, mapper: str) -> ScoreKind:
    """The same of a mapper in this record, which decides whether influence is in ``combined``."""
    return mapper_kind(mapper, explanation.mappings) if mapper in MAPPER_NAMES else kind_of(mapper)


def no_q(explanation: Explanation, mapper: str, side: MappingSide, model: Literal["base", "tuned"]) -> str:
    """Why a side has no q-value, so that no cell can be marked; empty where it has some."""
    claim = kind_in(explanation, mapper).claim
    if not np.isnan(side.q).all() or not side.q.size:
        return ""
    if claim == "learned":
        return "no dots: the score does not look at the answer"
    if not has_q(claim, model):
        return "no dots under base: the score speaks of tuning"
    if side.control.shape[1] < 2:
        return "no dots: fewer than two control texts"
    return "no dots: all control texts score alike, so nothing tells these scores from chance"


def target_name(target: str) -> TargetName:
    """How a target is called; a function of the caller's own by its name."""
    return TARGET_NAMES.get(target, TargetName(visible(target)))


def method_label(method: str) -> str:
    """A method's name for people: ``input × gradient``."""
    return _kind(method).label or method.replace("_x_", " × ").replace("_", " ")


FAITHFUL = ("contextcite", "shapley", "leave_one_out", "relevance")
"""Methods that name the words which an answer needs, the most faithful first (``figures/faithfulness``)."""


def faithful(methods: Sequence[str]) -> str:
    """The most faithful of some methods, else the first; ValueError for none."""
    return next((name for name in FAITHFUL if name in methods), None) or next(iter(methods))


def attribution_of(explanation: Explanation, method: str) -> Attribution:
    """The record's attribution; InputError names those that it has."""
    if method not in explanation.attributions:
        raise InputError(_unknown("method", method, explanation.attributions))
    return explanation.attributions[method]


def mapping_of(explanation: Explanation, mapper: str) -> Mapping:
    """The record's mapping; InputError names those that it has."""
    if mapper not in explanation.mappings:
        raise InputError(_unknown("mapper", mapper, explanation.mappings))
    return explanation.mappings[mapper]


def _unknown(what: str, name: str, known: object) -> str:
    have = ", ".join(sorted(known)) or "none"  # type: ignore[call-overload]
    return f"this explanation has no {what} {name!r}; it has {have}: name one of them or explain again with {name!r}"
