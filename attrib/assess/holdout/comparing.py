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

FEW = 8
"""Fewer groups than this in a part are too few for an interval: a note says so."""


_NAN = float("nan")


def compare(
    asked: Sequence[Question],
    found: Split,
    base: ModelScores,
    tuned: ModelScores,
    sections: Sequence[Section],
    options: HoldoutOptions,
    provenance: Mapping[str, object],
) -> HoldoutReport:
    """The report of what was measured; pure."""
    groups = np.array(found.groups, dtype=np.int64)
    values = {"base": values_of(asked, base), "tuned": values_of(asked, tuned)}
    rows = [
        *rows_of(asked, found.parts, groups, base, values["base"], "base"),
        *rows_of(asked, found.parts, groups, tuned, values["tuned"], "tuned"),
    ]
    quantities = summarise(asked, found.parts, groups, values["base"], values["tuned"], options)
    aucs, unseen = _membership(asked, found, base, tuned, sections, options)
    notes = _notes(found, groups, rows, aucs, unseen)
    return HoldoutReport(tuple(rows), tuple(quantities), tuple(aucs), tuple(unseen), tuple(notes), provenance)


def values_of(asked: Sequence[Question], measured: ModelScores) -> dict[str, np.ndarray]:
    """Every measure of every question, and the truth ratio, [question]; nan where one does not apply."""
    said = list(zip(asked, measured.replies, strict=True))
    logprob = [loss(answer) for answer in measured.answers]
    pairs = list(zip(logprob, measured.candidates, strict=True))
    columns: dict[str, list[float | None]] = {
        "accuracy": [scorers.correct(q, text) for q, text in said],
        "exact": [scorers.exact(q, text) for q, text in said],
        "containment": [scorers.contains(q, text) for q, text in said],
        "token_f1": [scorers.token_f1(q, text) for q, text in said],
        "logprob": list(logprob),
        "exposure": [exposure(right, others) for right, others in pairs],
        "truth_ratio": [truth_ratio(right, others) for right, others in pairs],
    }
    return {name: np.array([_NAN if v is None else v for v in column], np.float64) for name, column in columns.items()}


def rows_of(
    asked: Sequence[Question],
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
        for i, q in enumerate(asked)
    ]  # fmt: skip


def summarise(
    asked: Sequence[Question],
    parts: Sequence[Part],
    groups: np.ndarray,
    base: Mapping[str, np.ndarray],
    tuned: Mapping[str, np.ndarray],
    options: HoldoutOptions,
) -> list[HoldoutQuantity]:
    """Every measure by part (and by kind where a part has several) and side, and both gaps."""
    part = np.array(parts)
    kinds = np.array([q.kind for q in asked])
    found = []
    for measure_name in MEASURES:
        sides: dict[ComparedSide, np.ndarray] = {"base": base[measure_name], "tuned": tuned[measure_name]}
        sides["difference"] = sides["tuned"] - sides["base"]
        for one in PARTS:
            mine = part == one
            several = list(dict.fromkeys(kinds[mine].tolist()))
            chosen = [("all", mine), *((kind, mine & (kinds == kind)) for kind in several if len(several) > 1)]
            for kind, rows in chosen:
                for side, column in sides.items():
                    found += part_quantity(measure_name, one, str(kind or "none"), side, column, rows, groups, options)
        for side, column in sides.items():
            found += gap_of(measure_name, side, column, part, groups, options)
            found += _rephrased_gap(measure_name, side, column, asked, part, groups, options)
    return found


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
    chosen = rows & np.isfinite(column)
    if not chosen.any():
        return []
    values, of = column[chosen], groups[chosen]
    ends = grouped_interval(values, of, options.resamples, options.seed)
    p = sign_flip_p(values, of, options.permutations, options.seed) if side == "difference" else _NAN
    return [HoldoutQuantity(name, part, kind, side, float(values.mean()), *ends, p, len(values), len(np.unique(of)))]


def gap_of(
    name: str, side: ComparedSide, column: np.ndarray, part: np.ndarray, groups: np.ndarray, options: HoldoutOptions
) -> list[HoldoutQuantity]:
    """Tuned-on less held-out."""
    first, second = ((part == one) & np.isfinite(column) for one in PARTS[:2])
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
    asked: Sequence[Question],
    part: np.ndarray,
    groups: np.ndarray,
    options: HoldoutOptions,
) -> list[HoldoutQuantity]:
    """Questions as they were learned less their rephrasings, fact by fact."""
    by_fact: dict[str, tuple[list[float], list[float], int]] = {}
    for i, question in enumerate(asked):
        if question.fact and part[i] == "tuned-on" and np.isfinite(column[i]):
            both = by_fact.setdefault(question.fact, ([], [], int(groups[i])))
            both[question.kind in REPHRASED].append(float(column[i]))  # type: ignore[union-attr]
    pairs = [(np.mean(first) - np.mean(second), group) for first, second, group in by_fact.values() if first and second]
    if not pairs:
        return []
    values, of = np.array([value for value, _ in pairs]), np.array([group for _, group in pairs])
    ends = grouped_interval(values, of, options.resamples, options.seed)
    p = sign_flip_p(values, of, options.permutations, options.seed)
    n = len(np.unique(of))
    return [HoldoutQuantity(name, REPHRASED_GAP, "all", side, float(values.mean()), *ends, p, len(values), n)]


def _membership(
    asked: Sequence[Question],
    found: Split,
    base: ModelScores,
    tuned: ModelScores,
    sections: Sequence[Section],
    options: HoldoutOptions,
) -> tuple[list[Auc], list[Blind]]:
    """AUCs of answers as they were learned and of sections' texts, and the baselines that see neither model."""
    aucs: list[Auc] = []
    unseen: list[Blind] = []
    # Rephrasings were never learned word for word.
    asks = [i for i, q in enumerate(asked) if found.parts[i] != "general" and q.kind not in REPHRASED]
    groups = dict(zip((*found.kept, *found.held), found.section_groups, strict=True))
    kept = set(found.kept)
    sets: list[tuple[str, list[str], list[str], list[bool], list[int], list[Scored], list[Scored]]] = [
        (
            "answers",
            [asked[i].answer or "" for i in asks],
            [f"{asked[i].question}\n{asked[i].answer}" for i in asks],
            [found.parts[i] == "tuned-on" for i in asks],
            [found.groups[i] for i in asks],
            [base.answers[i] for i in asks],
            [tuned.answers[i] for i in asks],
        ),
        (
            "sections",
            [s.full_text for s in sections],
            [s.full_text for s in sections],
            [s.id in kept for s in sections],
            [groups[s.id] for s in sections],
            list(base.sections),
            list(tuned.sections),
        ),
    ]
    for of, scored, seen, member, group, of_base, of_tuned in sets:
        inside = np.array(member, dtype=bool)
        if inside.all() or not inside.any():
            continue
        aucs += tell_apart(
            scores(of_base, of_tuned, scored), inside, np.array(group), of,
            resamples=options.resamples, permutations=options.permutations, seed=options.seed,
        )  # fmt: skip
        without = blind(
            seen, inside, np.array(group), of,
            resamples=options.resamples, permutations=options.blind_permutations, seed=options.seed,
        )  # fmt: skip
        unseen += [without] if without is not None else []
    return aucs, unseen


def _notes(
    found: Split,
    groups: np.ndarray,
    rows: Sequence[HoldoutRow],
    aucs: Sequence[Auc],
    unseen: Sequence[Blind],
) -> list[str]:
    notes = list(found.leaks)
    part = np.array(found.parts)
    for one in PARTS[:2]:
        n = len(np.unique(groups[part == one]))
        if n < FEW:
            notes.append(f"The {one} part has {n} groups of questions: too few for its intervals to be trusted.")
    for seen in unseen:
        if seen.tells:
            notes.append(
                f"Warning: without any model the two parts' {seen.of} are told apart with AUC {seen.auc:.2f} "
                f"[{seen.low:.2f}, {seen.high:.2f}], p = {seen.p:.3f}, by {', '.join(seen.leading)}: differences "
                "between the parts, membership AUCs among them, are no evidence of tuning by themselves."
            )
    for auc in aucs:
        if auc.score == CONTROL and (auc.low > 0.5 or auc.high < 0.5):
            notes.append(
                f"Warning: base itself tells the two parts' {auc.of} apart, AUC {auc.auc:.2f} [{auc.low:.2f}, "
                f"{auc.high:.2f}]: one part is easier. Read the scores that have base as their reference."
            )
    for of in ("answers", "sections"):
        others = next((auc.others for auc in aucs if auc.of == of), 0)
        if 0 < others < 100:
            notes.append(
                f"{others} held-out {of}: a false-positive rate of 1% means none of them, so its true-positive rate "
                "hangs on a single text."
            )
    lonely = [not row.candidates for row in rows if row.side == "tuned" and row.part != "general"]
    if any(lonely) and not all(lonely):
        notes.append(f"{sum(lonely)} questions have no other answer of their part to be ranked among: no exposure.")
    return notes


def expected_exposure(rows: Sequence[HoldoutRow]) -> float:
    """Mean exposure where every question's right answer has any rank alike, bits; nan without candidates."""
    chance = [exposure_by_chance(row.candidates) for row in rows if row.candidates]
    return float(np.mean(chance)) if chance else _NAN


def _or_none(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
