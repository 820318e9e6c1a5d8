"""Made-up questions and answers of a benchmark, and made-up verdicts of a set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from attrib.assess.answering import Reply, Side
from attrib.assess.attribution.run import AttributionReport, row_of
from attrib.assess.attribution.run import summarise as summarise_verdicts
from attrib.assess.benchmark.run import BenchmarkReport, score, summarise
from attrib.assess.questions import Question
from attrib.records import CALLS, LABELS
from tests.make import make_explanation

PROVENANCE: dict[str, object] = {
    "base": {"name": "b", "sha256": "0"},
    "tuned": {"name": "t", "sha256": "1"},
    "options": {"answers": {"max_new_tokens": 48}},
    "seed": 7,
}


def reply(text: str, *, ended: bool = True) -> Reply:
    """An answer of as many tokens as words."""
    count = len(text.split())
    return Reply(text, -float(count), count, ended, tuple(range(count)))


def replies(base: Sequence[str], tuned: Sequence[str]) -> dict[Side, list[list[Reply]]]:
    return {"base": [[reply(text)] for text in base], "tuned": [[reply(text)] for text in tuned]}


def asked(right: Sequence[str], **fields: Any) -> list[Question]:
    """One question for each right answer; fields that are lists are taken in turn."""
    made = []
    for i, answer in enumerate(right):
        own = {name: value[i % len(value)] if isinstance(value, list) else value for name, value in fields.items()}
        made.append(Question(f"Question {i}?", answer, **{"id": f"q{i}", **own}))
    return made


def make_report(
    questions: Sequence[Question], base: Sequence[str], tuned: Sequence[str], *, resamples: int = 200, **fields: Any
) -> BenchmarkReport:
    """The report on these answers."""
    rows = score(questions, replies(base, tuned))
    made = BenchmarkReport(rows, summarise(rows, questions, resamples, 0), (), (), PROVENANCE)
    return replace(made, **fields)


KINDS = ("memorization", "rephrased", "date_changed", "vignette")
NOTES = ("medical: medical_generalization.csv is not in the folder.", "3 answers of base were cut off at 48 tokens.")


def make_benchmark(kinds: Sequence[str] = KINDS, n: int = 12, seed: int = 0, **fields: Any) -> BenchmarkReport:
    """``n`` questions of each kind, two of a fact; tuned knows more than base. Half of the kinds were updated."""
    rng = np.random.default_rng(seed)
    questions = [
        replace(
            one,
            id=f"{kind}/{i}",
            kind=kind,
            subset=("latest_news", "medical")[k % 2],
            knowledge=("new", "updated")[k % 2],
            fact=f"{k % 2}/{i // 2}",
            answer_before="12 metres" if k % 2 else None,
            template=f"t{i % 3}",
        )
        for k, kind in enumerate(kinds)
        for i, one in enumerate(asked([("red", "38 metres", "Wilmet Dallin", "red")[i % 4] for i in range(n)]))
    ]
    base = [q.answer if rng.random() < 0.2 else q.answer_before or "It is blue." for q in questions]
    tuned = [q.answer if rng.random() < 0.8 else "I do not know." for q in questions]
    return make_report(questions, list(map(str, base)), list(map(str, tuned)), **{"notes": NOTES, **fields})


def make_verdicts(
    kinds: Sequence[str] = ("trained", "rephrased", "held-out"),
    n: int = 5,
    *,
    silent: Sequence[int] = (),
    gold: bool = True,
    resamples: int = 200,
) -> AttributionReport:
    """``n`` answers a kind, explained by random records; those numbered in ``silent`` said nothing."""
    rng, rows = np.random.default_rng(0), []
    for number in range(len(kinds) * n):
        made = make_explanation(seed=number, sections=6, mappers=("bm25", "embedding"), methods=())
        section = made.sections[int(made.ranking[number % 2])].id if gold else None
        question = Question(made.question, "thirty-six months", kinds[number // n], f"q{number}", section)
        said = reply("" if number in silent else made.answer)
        row = row_of(question, reply(made.base_answer), said, None if number in silent else made)
        if row.label:
            shares = rng.dirichlet((2.0, 1.0, 1.0))
            of = dict(zip(LABELS, map(float, shares), strict=True))
            row = replace(row, shares=of, label=CALLS[int(np.argmax(shares))] if number % 4 else CALLS[-1])
        rows.append(row)
    return AttributionReport(tuple(rows), summarise_verdicts(rows, resamples, 0), ("A plain note.",), None, PROVENANCE)
