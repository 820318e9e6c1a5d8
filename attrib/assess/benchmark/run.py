"""Right or wrong, base and tuned: a set of questions with right answers, asked and scored.

Every accuracy stands beside what somebody reaches who knows no answer but the commonest one, over all questions of a
kind and by template. Protocol of FineTuneBench (arXiv 2411.05059): greedy, 100 tokens; new knowledge and updated
knowledge, as memorized and as rephrased.
Not covered: questions with choices scored by log-prob, several turns.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np

from attrib.assess.answering import SIDES, Reply, Side, answer_all, provenance, write_answers
from attrib.assess.benchmark.options import BenchmarkOptions
from attrib.assess.grading.declining import abstains
from attrib.assess.grading.judge import judge, verdicts_in
from attrib.assess.grading.scorers import SCORERS, correct, score_row
from attrib.assess.grading.wording import normalise
from attrib.assess.questions import Malformed, Question, check_questions
from attrib.assess.stored import Report
from attrib.corpus.reading import ReadingReport
from attrib.errors import InputError
from attrib.measures import grouped_interval
from attrib.models.pair import ModelPair
from attrib.options.answers import JudgeOptions
from attrib.progress import Progress
from attrib.records import Item, Turn
from attrib.training.items import after

TRAINED = ("memorization", "trained", "updated")
"""Kinds of questions that tuning learns."""
MEASURES = ("accuracy", *SCORERS, "declines", "judge")
"""Scores of a row: the one headline number of its kind of answer, each scorer that applies to it, whether the
prediction declines to answer, and the judge's verdict."""
TOLD = 8
"""Malformed rows that a note lists; all are in the report."""


@dataclass(frozen=True)
class BenchmarkRow:
    """One question under one model."""

    id: str
    subset: str
    kind: str
    knowledge: str
    fact: str
    side: Side
    question: str
    answer: str
    answer_before: str | None
    prediction: str
    ended: bool
    """False: stopped at the token limit."""
    scores: Mapping[str, float | None]
    """Each of MEASURES; None where it does not apply."""


@dataclass(frozen=True)
class BenchmarkSummary:
    """One measure of one kind of question."""

    subset: str
    kind: str
    knowledge: str
    measure: str
    base: float
    base_low: float
    base_high: float
    tuned: float
    tuned_low: float
    tuned_high: float
    difference: float
    """tuned − base, question by question."""
    difference_low: float
    difference_high: float
    """95% bootstrap intervals over facts: questions of one fact are drawn together."""
    n: int
    """Questions that the measure applies to."""
    facts: int
    majority: float | None = None
    """Accuracy of who always gives the commonest right answer; of the accuracy alone."""
    majority_by_template: float | None = None
    """The same, the commonest for each template."""


@dataclass(frozen=True)
class BenchmarkReport(Report):
    """The whole assessment."""

    NAME: ClassVar = "benchmark"
    SCHEMA: ClassVar = 2
    rows: tuple[BenchmarkRow, ...]
    """Questions in order, base before tuned."""
    summary: tuple[BenchmarkSummary, ...]
    notes: tuple[str, ...]
    malformed: tuple[Malformed, ...]
    provenance: Mapping[str, object]

    def of(self, measure: str) -> tuple[BenchmarkSummary, ...]:
        """One measure of all kinds that it applies to."""
        return tuple(one for one in self.summary if one.measure == measure)


def learned_items(
    asked: Sequence[Question], kinds: Sequence[str] = TRAINED, earlier: Sequence[Turn] = ()
) -> tuple[Item, ...]:
    """Training items of a benchmark: the answers to its questions of these kinds, after ``earlier`` turns.

    Raises InputError where there are none.
    """
    items = tuple(after(earlier, q.item(f"q:{q.id}")) for q in asked if q.kind in kinds and q.answer is not None)
    if not items:
        there = ", ".join(dict.fromkeys(q.kind or "none" for q in asked))
        raise InputError(f"kinds: no question is of kind {', '.join(kinds)}; these are of kind {there}")
    return items


def check_benchmark(asked: Sequence[Question]) -> None:
    """InputError for what cannot be assessed; needs no model."""
    check_questions(asked, answered=True)
    times = Counter(q.id for q in asked)
    if twice := [name for name, count in times.items() if count > 1]:
        raise InputError(f"question {twice[0]!r}: {times[twice[0]]} have this id; give each its own")


def assess_benchmark(
    pair: ModelPair,
    asked: Sequence[Question],
    options: BenchmarkOptions | None = None,
    *,
    notes: Sequence[str] = (),
    malformed: Sequence[Malformed] = (),
    sha256: str | None = None,
    reading: ReadingReport | None = None,
    out: Path | None = None,
    progress: Progress | None = None,
) -> BenchmarkReport:
    """Ask base and tuned every question and score the answers.

    ``notes``, ``malformed`` and ``reading`` come from reading the questions, ``sha256`` is their files' digest. With
    ``out`` the answers and the judge's verdicts are kept there, and made once. Raises InputError as
    ``check_benchmark`` and for prompts that cannot be.
    """
    options = options or BenchmarkOptions()
    check_benchmark(asked)
    # A report names no machine.
    malformed = [replace(one, file=Path(one.file).name) if Path(one.file).is_absolute() else one for one in malformed]
    replies = answer_all(pair, asked, options.answers, out=out, progress=progress)
    if out is not None:
        write_answers(asked, replies, out / "answers.jsonl")
    rows = score(asked, replies)
    if options.judge is not None:
        rows = judged(asked, rows, options.judge, out / "judge" if out is not None else None, progress)
    cut = {side: sum(not row.ended for row in rows if row.side == side) for side in SIDES}
    shown = [str(one) for one in malformed[:TOLD]]
    more = [f"{len(malformed) - TOLD} more malformed rows are left out."] if len(malformed) > TOLD else []
    return BenchmarkReport(
        rows,
        summarise(rows, asked, options.resamples, options.answers.seed),
        (
            *notes,
            *(f"left out: {line}." for line in shown),
            *more,
            f"{cut['base']} answers of base and {cut['tuned']} of tuned, of {len(asked)}, were cut off at "
            f"{options.answers.max_new_tokens} tokens.",
        ),
        tuple(malformed),
        provenance(pair, asked, options, options.answers.seed, reading=reading, files_sha256=sha256),
    )


def score(asked: Sequence[Question], replies: Mapping[Side, Sequence[Sequence[Reply]]]) -> tuple[BenchmarkRow, ...]:
    """One row a question and side, base first."""
    return tuple(
        BenchmarkRow(
            question.id,
            question.subset,
            question.kind,
            question.knowledge,
            question.fact or question.id,
            side,
            question.question,
            question.answer or "",
            question.answer_before,
            reply.text,
            reply.ended,
            {
                "accuracy": correct(question, reply.text),
                **score_row(question, reply.text),
                "declines": float(abstains(reply.text)),
                "judge": None,
            },
        )
        for i, question in enumerate(asked)
        for side, reply in ((side, replies[side][i][0]) for side in SIDES)
    )


def judged(
    asked: Sequence[Question],
    rows: Sequence[BenchmarkRow],
    options: JudgeOptions,
    folder: Path | None,
    progress: Progress | None = None,
) -> tuple[BenchmarkRow, ...]:
    """The rows, as ``score`` gives them, with the verdict of a language model.

    ``folder`` keeps verdicts, so that none is asked for twice.
    """
    verdicts = verdicts_in(folder, options)
    found: list[BenchmarkRow] = []
    for number, row in enumerate(rows):
        if progress is not None:
            progress("judge", number, len(rows))
        verdict = judge(asked[number // len(SIDES)], row.prediction, options, verdicts)
        scores = {**row.scores, "judge": None if verdict is None else float(verdict)}
        found.append(replace(row, scores=scores))
    if progress is not None:
        progress("judge", len(rows), len(rows))
    return tuple(found)


def summarise(
    rows: Sequence[BenchmarkRow], questions: Sequence[Question], resamples: int, seed: int
) -> tuple[BenchmarkSummary, ...]:
    """Every measure of every subset and kind, then of new and of updated knowledge where both are there."""
    groups = {
        kind: ([row for row in rows if _kind(row) == kind], [one for one in questions if _kind(one) == kind])
        for kind in dict.fromkeys(map(_kind, questions))
    }
    known = [name for name in ("new", "updated") if any(question.knowledge == name for question in questions)]
    for name in known if len(known) > 1 else ():
        groups["all", "all", name] = (
            [row for row in rows if row.knowledge == name],
            [question for question in questions if question.knowledge == name],
        )
    summaries: list[BenchmarkSummary] = []
    for kind, (own_rows, own_questions) in groups.items():
        blind = majority(own_questions), majority_by_template(own_questions)
        for measure in MEASURES:
            summary = _summary(*kind, measure, own_rows, blind, resamples, seed)
            if summary is not None:
                summaries.append(summary)
    return tuple(summaries)


def _kind(row: BenchmarkRow | Question) -> tuple[str, str, str]:
    return row.subset, row.kind, row.knowledge


def _summary(
    subset: str,
    kind: str,
    knowledge: str,
    measure: str,
    rows: Sequence[BenchmarkRow],
    blind: tuple[float, float],
    resamples: int,
    seed: int,
) -> BenchmarkSummary | None:
    """None where the measure applies to no question."""
    pairs = [
        (base, tuned)
        for base, tuned in zip(rows[::2], rows[1::2], strict=True)
        if None not in (base.scores[measure], tuned.scores[measure])
    ]
    if not pairs:
        return None
    numbers: dict[str, int] = {}
    groups = np.array([numbers.setdefault(base.fact, len(numbers)) for base, _ in pairs])
    values = np.array([[float(row.scores[measure] or 0) for row in pair] for pair in pairs])
    columns = (values[:, 0], values[:, 1], values[:, 1] - values[:, 0])
    ends = [grouped_interval(column, groups, resamples, seed) for column in columns]
    means = [float(column.mean()) for column in columns]
    return BenchmarkSummary(
        subset, kind, knowledge, measure,
        means[0], *ends[0], means[1], *ends[1], means[2], *ends[2],
        len(pairs), len(numbers), *(blind if measure == "accuracy" else ()),
    )  # fmt: skip


# ------------------------------------------------------------------------------------------- baselines


def majority(rows: Iterable[Question]) -> float:
    """Share of ``rows`` that have the commonest right answer: the accuracy of always saying the same.

    Answers are compared in normal form; rows without one are left out. Raises InputError where none has one.
    """
    return _share([rows])


def majority_by_template(rows: Iterable[Question]) -> float:
    """As ``majority``, with the commonest right answer of each ``template``: always the same to a question of one kind.

    The answers that are counted are those that are guessed, so a template with one question is guessed right.
    """
    by_template: dict[str, list[Question]] = {}
    for row in rows:
        by_template.setdefault(row.template, []).append(row)
    return _share(by_template.values())


def _share(groups: Iterable[Iterable[Question]]) -> float:
    counts = [Counter(normalise(row.answer) for row in group if row.answer is not None) for group in groups]
    total = sum(map(Counter.total, counts))
    if not total:
        raise InputError("majority baseline: no row has a right answer; give rows that have one")
    return sum(max(counted.values(), default=0) for counted in counts) / total
