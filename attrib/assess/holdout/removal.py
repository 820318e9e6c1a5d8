"""A model tuned again without some sections, compared with the full one, as TOFU does (Maini et al. 2401.06121).

Not covered: approximate unlearning (the retrained model is the reference, not a candidate).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from attrib.assess.answering import Side, answer_all
from attrib.assess.holdout.comparing import part_quantity, rows_of, values_of
from attrib.assess.holdout.measuring import ModelScores, alternatives, measure
from attrib.assess.holdout.options import HoldoutOptions
from attrib.assess.holdout.records import (
    MEASURES,
    ForgetQuality,
    HoldoutQuantity,
    HoldoutRow,
    Removal,
)
from attrib.assess.questions import Question, check_questions
from attrib.assess.split import Part, Split
from attrib.corpus.documents import Corpus
from attrib.errors import InputError
from attrib.models.pair import ModelPair
from attrib.options.loading import Loading
from attrib.progress import Progress
from attrib.training.without import retrain_without


def assess_removal(
    full: ModelPair,
    retrained: ModelPair,
    questions: Sequence[Question],
    removed: Sequence[str],
    options: HoldoutOptions | None = None,
    *,
    out: Path | None = None,
    progress: Progress | None = None,
) -> Removal:
    """Knowledge of the ``removed`` sections and of the rest: base, the full model and the retrained one.

    ``questions``: on facts that the full model was tuned on. Raises InputError if none is on the removed sections.
    """
    options = options or HoldoutOptions()
    check_questions(questions, answered=True)
    gone = set(removed)
    parts: list[Part] = ["held-out" if q.section in gone else "tuned-on" for q in questions]
    if "held-out" not in parts:
        raise InputError("remove: no question is on the removed sections; add some, or remove others")
    # Wrong answers that the full model and the retrained one have both learned.
    wrong = alternatives(
        questions, parts, options.candidates, options.seed, "tuned-on" if "tuned-on" in parts else None
    )
    sides: tuple[tuple[str, ModelPair, Side], ...] = (
        ("base", full, "base"), ("full", full, "tuned"), ("retrained", retrained, "tuned"),
    )  # fmt: skip
    models = {}
    for name, pair, side in sides:
        replies = answer_all(pair, questions, options.answers, out=out, sides=(side,), progress=progress)[side]
        model = pair.base if side == "base" else pair.tuned
        models[name] = measure(model, replies, questions, wrong, (), options, context=pair.context, progress=progress)
    return removal_of(questions, parts, models, tuple(removed), options)


def removal_of(
    questions: Sequence[Question],
    parts: Sequence[Part],
    models: Mapping[str, ModelScores],
    removed: Sequence[str],
    options: HoldoutOptions,
) -> Removal:
    """The comparison of what was measured; pure. ``parts``: held-out stands for removed, the others for retained."""
    groups = np.unique([q.fact or q.section or f"question {i}" for i, q in enumerate(questions)], return_inverse=True)[
        1
    ]
    out = np.array([part == "held-out" for part in parts])
    values = {name: values_of(questions, measured) for name, measured in models.items()}
    rows: list[HoldoutRow] = []
    quantities: list[HoldoutQuantity] = []
    for name, measured in models.items():
        rows += rows_of(questions, parts, groups, measured, values[name], name)
        for measure_name in (*MEASURES, "truth_ratio"):
            for part, chosen in (("removed", out), ("retained", ~out)):
                side: Any = name
                column = values[name][measure_name]
                quantities += part_quantity(measure_name, part, "all", side, column, chosen, groups, options)
    removal = Removal(
        tuple(removed), tuple(rows), tuple(q.id for q, gone in zip(questions, out, strict=True) if gone),
        tuple(quantities), (),
    )  # fmt: skip
    reference = removal.truth_ratios("retrained")
    quality = []
    for name in models:
        own = removal.truth_ratios(name)
        if name != "retrained" and len(own) and len(reference):
            test = stats.ks_2samp(own, reference)
            quality.append(ForgetQuality(name, float(test.statistic), float(test.pvalue)))
    return replace(removal, quality=tuple(quality))


def removal_by_retraining(
    adapter: Path | None,
    corpus: Corpus,
    questions: Sequence[Question],
    split: Split,
    removed: Iterable[str],
    out: Path,
    *,
    load: Callable[[Path], ModelPair],
    options: HoldoutOptions,
    loading: Loading | None = None,
    progress: Progress | None = None,
) -> Removal:
    """Tune again as ``adapter`` was, without the sections ``removed``, and compare; ``load`` gives an adapter's pair.

    Raises InputError for a tuned model that is no adapter, and what ``retrain_without`` raises.
    """
    if adapter is None:
        raise InputError("remove: the tuned model is no adapter of attrib tune, so it cannot be made again; use one")
    known = [question for question, part in zip(questions, split.parts, strict=True) if part == "tuned-on"]
    full = load(adapter)
    folder, gone = retrain_without(
        full.base.name, adapter, corpus.sections, sorted(removed), out, loading=loading, progress=progress
    )
    return assess_removal(full, load(folder), known, gone, options, out=out, progress=progress)
