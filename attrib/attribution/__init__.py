"""Answer token × earlier token: one matrix per method, one line of METHODS each.

Attention shows where the model looked, a gradient how the target would change, a perturbation how it did change. Each
is a claim of its own; ``assess faithfulness`` compares them with each other and with chance.
In: the methods, their options, reduction to units. Not in: passes (``passes``), sections (``mapping``).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, get_args, get_type_hints

import numpy as np

from attrib.attribution import attention, flow, gradient, integrated, perturbation, relevance
from attrib.attribution.job import AttributionJob, Method, MethodScores
from attrib.errors import InputError
from attrib.models.pair import Model, ModelPair
from attrib.models.prompt import Encoded, encode_answer
from attrib.options.methods import MethodOptions
from attrib.passes.forward import evaluate
from attrib.passes.targets import check_target, make_target, name_of
from attrib.progress import Progress
from attrib.records import Attribution
from attrib.text.units import template_positions, units

__all__ = [
    "METHODS", "PERTURBING", "AttributionJob", "Method", "MethodScores", "aggregate", "attribute", "attribute_model",
    "check_methods", "make_job", "without_template",
]  # fmt: skip

BACKWARD = "1 F + 1 B a row"
"""Cost of one backward per row, after the forward that serves all rows."""
METHODS: dict[str, Method] = {
    "attention": Method(attention.looked, attention.mean, attention.ATTENTION, "1 F"),
    "attention_last": Method(attention.looked, attention.last_layer, attention.ATTENTION_LAST, "1 F"),
    "attention_max": Method(attention.looked, attention.largest, attention.ATTENTION_MAX, "1 F"),
    "attention_head": Method(
        attention.looked, attention.one_head, attention.ATTENTION_HEAD, "1 F", knobs=("attention_head",)
    ),
    "rollout": Method(flow.propagated, flow.rollout, flow.ROLLOUT, "1 F"),
    "value_norm": Method(flow.propagated, flow.value_norm, flow.VALUE_NORM, "1 F"),
    "information_flow": Method(flow.propagated, flow.information_flow, flow.INFORMATION_FLOW, "1 F"),
    "attention_x_gradient": Method(attention.times_gradient, None, attention.ATTENTION_X_GRADIENT, BACKWARD),
    "saliency": Method(gradient.differentiated, gradient.l2, gradient.SALIENCY, BACKWARD),
    "saliency_l1": Method(gradient.differentiated, gradient.l1, gradient.SALIENCY_L1, BACKWARD),
    "input_x_gradient": Method(gradient.differentiated, gradient.times_value, gradient.INPUT_X_GRADIENT, BACKWARD),
    "smoothgrad": Method(
        gradient.smoothed, gradient.l2, gradient.SMOOTHGRAD, "samples × (1 F + 1 B)", knobs=("smoothgrad",)
    ),
    "integrated_gradients": Method(
        integrated.integrated,
        None,
        integrated.INTEGRATED_GRADIENTS,
        "steps × (1 F + 1 B a row) + survey",
        knobs=("integrated_gradients",),
    ),
    "relevance": Method(relevance.propagated, relevance.attnlrp, relevance.RELEVANCE, BACKWARD),
    "leave_one_out": Method(
        perturbation.left_out, None, perturbation.LEAVE_ONE_OUT, "1 F a source", True, ("perturbation",)
    ),
    "contextcite": Method(
        perturbation.contextcite, None, perturbation.CONTEXTCITE, "ablations × F", True, ("perturbation", "contextcite")
    ),
    "shapley": Method(
        perturbation.shapley,
        None,
        perturbation.SHAPLEY,
        "permutations × 1 F a source",
        True,
        ("perturbation", "shapley"),
    ),
}
PERTURBING = frozenset(name for name, method in METHODS.items() if method.perturbs)


def attribute(
    pair: ModelPair,
    encoded: Encoded,
    methods: Sequence[str],
    options: MethodOptions | None = None,
    progress: Progress | None = None,
) -> dict[str, Attribution]:
    """Scores of one answer under both models, by method name.

    Raises InputError for an unknown method, target or unit, and for a memory budget that one row exceeds.
    """
    options = options or MethodOptions()
    check_methods(methods, options)
    rows = _rows(encoded, options)
    jobs = [make_job(pair, encoded, rows, options, tuned=tuned, progress=progress) for tuned in (False, True)]
    sides = [_run(job, methods) for job in jobs]
    values = [job.by_row(evaluate(job.inputs())[0].double().cpu().numpy()) for job in jobs]
    return {
        method: _join(
            method, name_of(options.target), rows, [found[method] for found in sides], values, encoded, options
        )
        for method in methods
    }


def attribute_model(
    pair: ModelPair,
    encoded: Encoded,
    methods: Sequence[str],
    options: MethodOptions | None = None,
    *,
    tuned: bool = False,
    progress: Progress | None = None,
) -> dict[str, MethodScores]:
    """Scores of one answer under one model, by method name."""
    options = options or MethodOptions()
    check_methods(methods, options)
    rows = _rows(encoded, options)
    return _run(make_job(pair, encoded, rows, options, tuned=tuned, progress=progress), methods)


def make_job(
    pair: ModelPair,
    encoded: Encoded,
    rows: tuple[tuple[int, ...], ...],
    options: MethodOptions,
    *,
    tuned: bool,
    progress: Progress | None = None,
) -> AttributionJob:
    """The job of one side of a pair."""
    contrast = None
    if options.contrast is not None:
        if not encoded.question:
            raise InputError(
                "contrast: the question's text is not known; make the tokens with encode(..., question=...)"
            )
        contrast = encode_answer(pair.chat, encoded.question, encoded.prompt_ids, options.contrast)
    if contrast is not None and contrast[: len(encoded.answer_ids)] == encoded.answer_ids:
        raise InputError("contrast: it is the answer itself, so that nothing differs; give another")
    target = make_target(options.target, tuned=tuned, contrast=contrast, answer=len(encoded.answer_ids))
    models: tuple[Model, Model] = (pair.base, pair.tuned)
    return AttributionJob(models[int(tuned)], encoded, target, rows, options, models[1 - int(tuned)], progress)


def _rows(encoded: Encoded, options: MethodOptions) -> tuple[tuple[int, ...], ...]:
    if not encoded.answer_ids:
        raise InputError("answer: it has no tokens, so there is nothing to attribute; give an answer")
    return units(encoded.answer_tokens, options.unit)


def _run(job: AttributionJob, methods: Sequence[str]) -> dict[str, MethodScores]:
    """Run each shared computation once for all its methods."""
    groups: dict[Any, dict[str, Any]] = defaultdict(dict)
    for name in methods:
        groups[METHODS[name].run][name] = METHODS[name].part
    found: dict[str, MethodScores] = {}
    for run, parts in groups.items():
        found |= run(job, parts)
    return found


def _join(
    method: str,
    target: str,
    rows: tuple[tuple[int, ...], ...],
    sides: Sequence[MethodScores],
    values: Sequence[np.ndarray],
    encoded: Encoded,
    options: MethodOptions,
) -> Attribution:
    base, tuned = sides
    settings = {"base": dict(base.settings), "tuned": dict(tuned.settings)}
    joined = Attribution(
        method, target, rows, base.columns, base.values, tuned.values, values[0], values[1], base.gap, tuned.gap,
        settings if base.settings else {},
    )  # fmt: skip
    return without_template(joined, encoded) if options.special == "exclude" else joined


def without_template(attribution: Attribution, encoded: Encoded) -> Attribution:
    """The attribution without the chat template's columns; the settings keep their share of |score|."""
    template = set(template_positions(encoded.prompt_tokens, encoded.question))
    kept = [i for i, column in enumerate(attribution.columns) if not set(column) <= template]

    def share(scores: np.ndarray) -> float:
        total = float(np.abs(scores).sum())
        return 1 - float(np.abs(scores[:, kept]).sum()) / total if total else 0.0

    excluded = {"excluded_base": share(attribution.base), "excluded_tuned": share(attribution.tuned)}
    return replace(
        attribution,
        columns=tuple(attribution.columns[i] for i in kept),
        base=attribution.base[:, kept],
        tuned=attribution.tuned[:, kept],
        settings={**attribution.settings, **excluded},
    )


def aggregate(attribution: Attribution, rows: Sequence[tuple[int, ...]], reduction: str) -> Attribution:
    """Reduce rows to groups of answer tokens, ``rows``; ``reduction`` is sum, mean or max (by magnitude).

    Values of the target are summed for every reduction. The step is explicit because a sum of norms is not the norm of
    a sum. Raises InputError for an unknown reduction and for a group that splits a row.
    """
    if reduction not in ("sum", "mean", "max"):
        raise InputError(f"reduction {reduction!r} is unknown; choose sum, mean or max")
    members = []
    if not rows:
        raise InputError("rows: no group was given; give at least one")
    for group in rows:
        if not group:
            raise InputError("rows: a group is empty; give it answer tokens")
        inside = [i for i, row in enumerate(attribution.rows) if set(row) <= set(group)]
        if sorted(i for row in inside for i in attribution.rows[row]) != sorted(group):
            raise InputError(f"rows: the group {tuple(group)} is not made of whole rows; attribute tokens first")
        members.append(inside)

    def put_together(scores: np.ndarray) -> np.ndarray:
        blocks = [scores[inside] for inside in members]
        if reduction == "max":
            return np.stack([np.take_along_axis(b, np.abs(b).argmax(0)[None], 0)[0] for b in blocks])
        return np.stack([b.sum(0) if reduction == "sum" else b.mean(0) for b in blocks])

    def total(values: np.ndarray) -> np.ndarray:
        return np.array([values[inside].sum() for inside in members])

    gaps = [
        total(gap) if gap is not None and reduction == "sum" else None
        for gap in (attribution.gap_base, attribution.gap_tuned)
    ]
    return replace(
        attribution,
        rows=tuple(tuple(sorted(group)) for group in rows),
        base=put_together(attribution.base),
        tuned=put_together(attribution.tuned),
        value_base=total(attribution.value_base),
        value_tuned=total(attribution.value_tuned),
        gap_base=gaps[0],
        gap_tuned=gaps[1],
        settings={**attribution.settings, "reduction": reduction},
    )


def check_methods(methods: Sequence[str], options: MethodOptions | None = None) -> None:
    """Raises InputError for an unknown method and for invalid options; needs no model."""
    for method in methods:
        if method not in METHODS:
            raise InputError(f"method {method!r} is unknown; choose from {', '.join(METHODS)}")
    if options is None:
        return
    _check_choices(options)
    if "attention_head" in methods and options.attention_head.layer is None:
        raise InputError("attention_head: which layer? add -o attention_head.layer=5 (and attention_head.head for one)")
    replaced = options.perturbation.ablate == "replace" and PERTURBING & set(methods)
    if replaced and options.baseline in ("zero", "mean"):
        raise InputError(
            "perturbation.ablate: a token is replaced by a token; add -o prompt.baseline=eos, or pad, unk, a token's id"
        )


def _check_choices(options: MethodOptions) -> None:
    """Raises InputError for an option outside its choices or range."""
    for group in (options, options.integrated_gradients, options.perturbation):
        hints = get_type_hints(type(group))
        for name in ("special", "rule", "path", "sources", "ablate"):
            if name in hints and getattr(group, name) not in (allowed := get_args(hints[name])):
                raise InputError(f"{name} {getattr(group, name)!r} is unknown; choose {' or '.join(allowed)}")
    path = options.integrated_gradients
    if path.steps != "auto" and path.steps < 1:
        raise InputError(f"integrated_gradients.steps is {path.steps}: integrated gradients need a step or more")
    if not path.tolerance > 0 or path.max_steps < 1:
        raise InputError(
            f"integrated_gradients: tolerance={path.tolerance}, max_steps={path.max_steps}: give numbers above 0"
        )
    if isinstance(options.target, str):
        check_target(options.target, contrast=options.contrast is not None)
