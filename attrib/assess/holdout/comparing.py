"""Two models' scores → rows, quantities with intervals and p, membership, and notes; pure functions.

A question's group (``split``) is the unit of every interval and permutation.
Not covered: permuting within strata (a stratified split makes p a little too large).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from attrib.assess.grading import scorers
from attrib.assess.holdout.blind import Blind, blind
from attrib.assess.holdout.measuring import ModelScores
from attrib.assess.holdout.membership import (
    CONTROL,
    Auc,
    Scored,
    exposure,
    exposure_by_chance,
    loss,
    scores,
    tell_apart,
    truth_ratio,
)
from attrib.assess.holdout.options import HoldoutOptions
from attrib.assess.holdout.records import (
    GAP,
    MEASURES,
    REPHRASED_GAP,
    ComparedSide,
    HoldoutQuantity,
    HoldoutReport,
    HoldoutRow,
)
from attrib.assess.questions import Question
from attrib.assess.split import PARTS, REPHRASED, Part, Split
from attrib.measures import grouped_difference_interval, grouped_interval, permutation_p, sign_flip_p
from attrib.records import Section
from attrib.records.item import text_of

FEW = 8
"""Fewer groups than this in a part are too few for an interval: a note says so."""


_NAN = float("nan")


def compare(
    questions: Sequence[Question],
    split: Split,
    base: ModelScores,
    tuned: ModelScores,
    sections: Sequence[Section],
    options: HoldoutOptions,
    provenance: Mapping[str, object],
) -> HoldoutReport:
    """The report of both models' scores; pure."""
    groups = np.array(split.groups, dtype=np.int64)
    values = {"base": values_of(questions, base), "tuned": values_of(questions, tuned)}
    rows = [
        *rows_of(questions, split.parts, groups, base, values["base"], "base"),
        *rows_of(questions, split.parts, groups, tuned, values["tuned"], "tuned"),
    ]
    quantities = summarise(questions, split.parts, groups, values["base"], values["tuned"], options)
    aucs, baselines = _membership(questions, split, base, tuned, sections, options)
    notes = _notes(split, groups, rows, aucs, baselines)
    return HoldoutReport(tuple(rows), tuple(quantities), tuple(aucs), tuple(baselines), tuple(notes), provenance)


def values_of(questions: Sequence[Question], measured: ModelScores) -> dict[str, np.ndarray]:
    """Every measure of every question, and the truth ratio, [question]; nan where one does not apply."""
    answered = list(zip(questions, measured.replies, strict=True))
    logprob = [loss(answer) for answer in measured.answers]
    pairs = list(zip(logprob, measured.candidates, strict=True))
    columns: dict[str, list[float | None]] = {
        "accuracy": [scorers.correct(q, text) for q, text in answered],
        "exact": [scorers.exact(q, text) for q, text in answered],
        "containment": [scorers.contains(q, text) for q, text in answered],
        "token_f1": [scorers.token_f1(q, text) for q, text in answered],
        "logprob": list(logprob),
        "exposure": [exposure(right, others) for right, others in pairs],
        "truth_ratio": [truth_ratio(right, others) for right, others in pairs],
    }
    return {name: np.array([_NAN if v is None else v for v in column], np.float64) for name, column in columns.items()}


def rows_of(
    questions: Sequence[Question],
    parts: Sequence[Part],
    groups: np.ndarray,
    measured: ModelScores,
    values: Mapping[str, np.ndarray],
    side: str,
) -> list[HoldoutRow]:
    """One row a question."""
    return [
        HoldoutRow(
            q.id, q.question, q.answer or "", q.kind, parts[i], int(groups[i]), q.section, q.fact, side,
            measured.replies[i], **{name: _or_none(column[i]) for name, column in values.items()},
            candidates=len(measured.candidates[i]),
        )
        for i, q in enumerate(questions)
    ]  # fmt: skip


def summarise(
    questions: Sequence[Question],
    parts: Sequence[Part],
    groups: np.ndarray,
    base: Mapping[str, np.ndarray],
    tuned: Mapping[str, np.ndarray],
    options: HoldoutOptions,
) -> list[HoldoutQuantity]:
    """Every measure by part (and by kind where a part has several) and side, and both gaps."""
    part = np.array(parts)
    kinds = np.array([q.kind for q in questions])
    quantities: list[HoldoutQuantity] = []
    for measure_name in MEASURES:
        sides: dict[ComparedSide, np.ndarray] = {"base": base[measure_name], "tuned": tuned[measure_name]}
        sides["difference"] = sides["tuned"] - sides["base"]
        for part_name in PARTS:
            inside = part == part_name
            part_kinds = list(dict.fromkeys(kinds[inside].tolist()))
            chosen = [("all", inside)]
            if len(part_kinds) > 1:
                chosen += [(kind, inside & (kinds == kind)) for kind in part_kinds]
            for kind, rows in chosen:
                for side, column in sides.items():
                    quantities += part_quantity(
                        measure_name, part_name, str(kind or "none"), side, column, rows, groups, options
                    )
        for side, column in sides.items():
            quantities += gap_of(measure_name, side, column, part, groups, options)
            quantities += _rephrased_gap(measure_name, side, column, questions, part, groups, options)
    return quantities


def part_quantity(
    name: str,
    part: str,
    kind: str,
    side: ComparedSide,
    column: np.ndarray,
    rows: np.ndarray,
    groups: np.ndarray,
    options: HoldoutOptions,
) -> list[HoldoutQuantity]:
    """Mean of a measure over ``rows`` (bool, [question]) with its interval; empty where none has a value."""
    chosen = rows & np.isfinite(column)
    if not chosen.any():
        return []
    values, own_groups = column[chosen], groups[chosen]
    ends = grouped_interval(values, own_groups, options.resamples, options.seed)
    p = sign_flip_p(values, own_groups, options.permutations, options.seed) if side == "difference" else _NAN
    return [
        HoldoutQuantity(name, part, kind, side, float(values.mean()), *ends, p, len(values), len(np.unique(own_groups)))
    ]


def gap_of(
    name: str, side: ComparedSide, column: np.ndarray, part: np.ndarray, groups: np.ndarray, options: HoldoutOptions
) -> list[HoldoutQuantity]:
    """Mean of the tuned-on part less that of the held-out one; empty where either has no value."""
    first, second = ((part == own_part) & np.isfinite(column) for own_part in PARTS[:2])
    if not (first.any() and second.any()):
        return []
    value = float(column[first].mean() - column[second].mean())
    ends = grouped_difference_interval(
        column[first], groups[first], column[second], groups[second], options.resamples, options.seed
    )
    both = first | second
    p = permutation_p(column[both], first[both], groups[both], options.permutations, options.seed)
    n = len(np.unique(groups[first])) + len(np.unique(groups[second]))
    return [HoldoutQuantity(name, GAP, "all", side, value, *ends, p, int(both.sum()), n)]


def _rephrased_gap(
    name: str,
    side: ComparedSide,
    column: np.ndarray,
    questions: Sequence[Question],
    part: np.ndarray,
    groups: np.ndarray,
    options: HoldoutOptions,
) -> list[HoldoutQuantity]:
    """Questions as they were learned less their rephrasings, fact by fact."""
    by_fact: dict[str, tuple[list[float], list[float], int]] = {}
    for i, question in enumerate(questions):
        if question.fact and part[i] == "tuned-on" and np.isfinite(column[i]):
            both = by_fact.setdefault(question.fact, ([], [], int(groups[i])))
            both[question.kind in REPHRASED].append(float(column[i]))  # type: ignore[union-attr]
    pairs = [(np.mean(first) - np.mean(second), group) for first, second, group in by_fact.values() if first and second]
    if not pairs:
        return []
    values, own_groups = np.array([value for value, _ in pairs]), np.array([group for _, group in pairs])
    ends = grouped_interval(values, own_groups, options.resamples, options.seed)
    p = sign_flip_p(values, own_groups, options.permutations, options.seed)
    n = len(np.unique(own_groups))
    return [HoldoutQuantity(name, REPHRASED_GAP, "all", side, float(values.mean()), *ends, p, len(values), n)]


def _membership(
    questions: Sequence[Question],
    split: Split,
    base: ModelScores,
    tuned: ModelScores,
    sections: Sequence[Section],
    options: HoldoutOptions,
) -> tuple[list[Auc], list[Blind]]:
    """AUCs of answers as they were learned and of sections' texts, and the baselines that see neither model."""
    aucs: list[Auc] = []
    baselines: list[Blind] = []
    # Rephrasings were never learned word for word.
    learned = [i for i, q in enumerate(questions) if split.parts[i] != "general" and q.kind not in REPHRASED]
    groups = dict(zip((*split.kept, *split.held), split.section_groups, strict=True))
    kept = set(split.kept)
    sets: list[tuple[str, list[str], list[str], list[bool], list[int], list[Scored], list[Scored]]] = [
        (
            "answers",
            [questions[i].answer or "" for i in learned],
            [f"{questions[i].question}\n{questions[i].answer}" for i in learned],
            [split.parts[i] == "tuned-on" for i in learned],
            [split.groups[i] for i in learned],
            [base.answers[i] for i in learned],
            [tuned.answers[i] for i in learned],
        ),
        (
            "sections",
            [_scored_text(s) for s in sections],
            [s.full_text for s in sections],
            [s.id in kept for s in sections],
            [groups[s.id] for s in sections],
            list(base.sections),
            list(tuned.sections),
        ),
    ]
    for texts, scored, whole, tuned_on, group, base_scores, tuned_scores in sets:
        member = np.array(tuned_on, dtype=bool)
        if member.all() or not member.any():
            continue
        aucs += tell_apart(
            scores(base_scores, tuned_scores, scored), member, np.array(group), texts,
            resamples=options.resamples, permutations=options.permutations, seed=options.seed,
        )  # fmt: skip
        baseline = blind(
            whole, member, np.array(group), texts,
            resamples=options.resamples, permutations=options.blind_permutations, seed=options.seed,
        )  # fmt: skip
        if baseline is not None:
            baselines.append(baseline)
    return aucs, baselines


def _scored_text(section: Section) -> str:
    """What its log-probs are of: of a conversation the trained turns alone."""
    if not section.turns:
        return section.full_text
    return text_of([turn for turn in section.turns if turn.trained])


def _notes(
    split: Split,
    groups: np.ndarray,
    rows: Sequence[HoldoutRow],
    aucs: Sequence[Auc],
    baselines: Sequence[Blind],
) -> list[str]:
    notes = list(split.leaks)
    part = np.array(split.parts)
    for part_name in PARTS[:2]:
        n = len(np.unique(groups[part == part_name]))
        if n < FEW:
            notes.append(f"The {part_name} part has {n} groups of questions: too few for its intervals to be trusted.")
    for baseline in baselines:
        if baseline.tells:
            notes.append(
                f"Warning: without any model the two parts' {baseline.of} are told apart with AUC {baseline.auc:.2f} "
                f"[{baseline.low:.2f}, {baseline.high:.2f}], p = {baseline.p:.3f}, by {', '.join(baseline.leading)}: "
                "differences between the parts, membership AUCs among them, are no evidence of tuning by themselves."
            )
    for auc in aucs:
        if auc.score == CONTROL and (auc.low > 0.5 or auc.high < 0.5):
            notes.append(
                f"Warning: base itself tells the two parts' {auc.of} apart, AUC {auc.auc:.2f} [{auc.low:.2f}, "
                f"{auc.high:.2f}]: one part is easier. Read the scores that have base as their reference."
            )
    for texts in ("answers", "sections"):
        others = next((auc.others for auc in aucs if auc.of == texts), 0)
        if 0 < others < 100:
            notes.append(
                f"{others} held-out {texts}: a false-positive rate of 1% means none of them, so its true-positive rate "
                "hangs on a single text."
            )
    unranked = [not row.candidates for row in rows if row.side == "tuned" and row.part != "general"]
    if any(unranked) and not all(unranked):
        notes.append(f"{sum(unranked)} questions have no other answer of their part to be ranked among: no exposure.")
    return notes


def expected_exposure(rows: Sequence[HoldoutRow]) -> float:
    """Mean exposure where every question's right answer has any rank alike, bits; nan without candidates."""
    chance = [exposure_by_chance(row.candidates) for row in rows if row.candidates]
    return float(np.mean(chance)) if chance else _NAN


def _or_none(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
