"""Where the tuned model's answers to a set of questions come from: each is explained, and the verdicts are counted.

Beside the sections that the verdict rests on stand those that BM25 and sentence embeddings would name, which know
nothing of the models.
Not covered: prompt attribution and figures of single answers (``attrib explain``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from attrib.assess.answering import Reply, answer_all, provenance
from attrib.assess.attribution.options import BASELINES, AttributionOptions
from attrib.assess.grading.scorers import correct
from attrib.assess.questions import Question, check_questions
from attrib.assess.stored import Report
from attrib.corpus.documents import Corpus
from attrib.explaining import OwnAnswers, check_options, explain
from attrib.index.library import Library
from attrib.measures import bits, bootstrap_interval
from attrib.models.pair import ModelPair
from attrib.models.prompt import encode_prompt
from attrib.options.answers import AnswerOptions
from attrib.options.explain import ExplainOptions
from attrib.progress import Progress
from attrib.records import CALLS, LABELS, Called, Explanation, Promise, codec, storage
from attrib.render import view
from attrib.render.view import HeadlineName
from attrib.store import Store
from attrib.verdict.calibration import Calibration
from attrib.verdict.pair_calibration import known_promise

SECTIONS = 3
"""Sections of each answer that are listed."""
HELD_OUT = "held-out"
"""Kind of the questions about sections that tuning never saw."""


@dataclass(frozen=True)
class Backing:
    """A section behind an answer."""

    id: str
    title: str
    document: str
    lines: str
    learned: float
    """How far tuning taught it, 0 to 1."""


@dataclass(frozen=True)
class JudgedToken:
    """A token of the tuned model's answer."""

    text: str
    verdict: Called
    confidence: float
    """The probability of its most probable source."""


@dataclass(frozen=True)
class AttributionRow:
    """One answer of the tuned model."""

    id: str
    kind: str
    question: str
    right_answer: str | None
    answer: str
    base_answer: str
    right: float | None
    """Whether it is right; None without a right answer."""
    label: Called | Literal[""]
    """The verdict; empty where the tuned model said nothing."""
    shares: Mapping[str, float]
    """Share of the answer's words by source."""
    gain_bits: float
    """log2 p tuned − log2 p base of the whole answer."""
    sections: tuple[Backing, ...]
    """The section that the headline names, then those of the verdict's evidence, best first."""
    gold: str | None
    best: Mapping[str, str]
    """Id of the best section by the verdict and by each of BASELINES."""
    tokens: tuple[JudgedToken, ...]
    headline: HeadlineName | Literal[""] = ""
    """The verdict counted in words: mixed where they disagree; empty where the tuned model said nothing."""
    sentence: str = ""
    """Where the answer comes from, in words."""

    @property
    def section_ids(self) -> tuple[str, ...]:
        """Ids of ``sections``."""
        return tuple(one.id for one in self.sections)


@dataclass(frozen=True)
class AttributionSummary:
    """The answers to one kind of question."""

    kind: str
    n: int
    right: float | None
    documents: float
    documents_low: float
    documents_high: float
    """Share of answers with that verdict, and its 95% bootstrap interval over questions."""
    base: float
    base_low: float
    base_high: float
    neither: float
    neither_low: float
    neither_high: float
    cannot_tell: float
    cannot_tell_low: float
    cannot_tell_high: float
    silent: float
    """Share of questions to which the tuned model said nothing."""
    shares: Mapping[str, float]
    """Mean share of the answers' words by source."""
    gold_top1: Mapping[str, float] | None
    """How often the gold section comes first: by the verdict, and by each of BASELINES; None without gold sections.

    Of held-out questions it is a decoy, which the verdict should not name: among all kinds these do not count.
    """


@dataclass(frozen=True)
class AttributionReport(Report):
    """The whole assessment."""

    NAME: ClassVar = "attribution"
    SCHEMA: ClassVar = 4
    rows: tuple[AttributionRow, ...]
    summary: tuple[AttributionSummary, ...]
    """By kind, then of all."""
    notes: tuple[str, ...]
    promise: Promise | None
    """The error that holds for these models and documents; None: not calibrated."""
    provenance: Mapping[str, object]


def assess_attribution(
    pair: ModelPair,
    corpus: Corpus,
    asked: Sequence[Question],
    options: AttributionOptions | None = None,
    *,
    control: Corpus | None = None,
    out: Path | None = None,
    progress: Progress | None = None,
) -> AttributionReport:
    """Explain the tuned model's own answer to every question.

    With ``out`` answers and records (``out/records``) are kept and not made again. Raises InputError as ``explain``.
    """
    options = options or AttributionOptions()
    check_questions(asked)
    check_options(options.explain)
    how = AnswerOptions(max_new_tokens=options.explain.max_new_tokens, batch=options.batch, seed=options.explain.seed)
    replies = answer_all(pair, asked, how, out=out, progress=progress)
    library = Library.make(corpus, control, device=pair.device, progress=progress)
    promise = known_promise(pair, library, Calibration.default())
    rows = []
    for number, question in enumerate(asked):
        if progress is not None:
            progress("explanations", number, len(asked))
        base, tuned = replies["base"][number][0], replies["tuned"][number][0]
        explanation = None
        if tuned.ids:
            explanation = _explained(pair, library, question, (base, tuned), options.explain, promise, out)
        rows.append(row_of(question, base, tuned, explanation))
    if progress is not None:
        progress("explanations", len(asked), len(asked))
    return AttributionReport(
        tuple(rows),
        summarise(rows, options.resamples, options.explain.seed),
        tuple(_notes(rows)),
        promise,
        provenance(
            pair,
            asked,
            replace(options, explain=replace(options.explain, prompt=replace(options.explain.prompt, target=""))),
            options.explain.seed,
            documents_sha256=corpus.sha256,
            control_sha256=library.control.sha256,
            reading=corpus.report,
        ),
    )


def _explained(
    pair: ModelPair,
    library: Library,
    question: Question,
    replies: tuple[Reply, Reply],
    options: ExplainOptions,
    promise: Promise | None,
    out: Path | None,
) -> Explanation:
    """The explanation in ``out/records``; where there is none, it is made now and kept there."""
    base, tuned = replies
    # A prompt of its own is not the one that the pair was calibrated with.
    promise = None if question.turns or question.tools or question.raw else promise
    pair = pair.asking(question.turns, question.tools, raw=question.raw)
    key = {
        "pair": [pair.base.fingerprint, pair.tuned.fingerprint, pair.variant],
        "documents": [library.corpus.sha256, library.control.sha256],
        "options": repr(options),
        "promise": codec.to_json(promise),
    }
    name = re.sub(r"[^\w-]+", "-", question.id)[:40]
    folder = out / "records" if out is not None else None
    # Not sealed: the files are records that any command opens.
    store = Store(folder, key, f"-{name}.safetensors", storage.to_bytes, storage.from_bytes, sealed=False)

    def make() -> Explanation:
        prompt = encode_prompt(pair.chat, question.question, context=pair.context)
        answers = OwnAnswers(question.question, prompt, base.ids, tuned.ids)
        return explain(pair, library, answers, options=options, promise=promise)

    return store.get_or_make([asdict(question), base.ids, tuned.ids], make)


def row_of(question: Question, base: Reply, tuned: Reply, explanation: Explanation | None) -> AttributionRow:
    """Row of one answer; without an explanation the answer was empty."""
    common: dict[str, Any] = {
        "id": question.id,
        "kind": question.kind,
        "question": question.question,
        "right_answer": question.answer,
        "answer": tuned.text,
        "base_answer": base.text,
        "right": correct(question, tuned.text) if question.answer is not None else None,
        "gold": question.section,
    }
    if explanation is None:
        nothing: dict[str, float] = dict.fromkeys(LABELS, 0.0)
        return AttributionRow(**common, label="", shares=nothing, gain_bits=0.0, sections=(), best={}, tokens=())
    verdict = explanation.verdict
    best = {
        name: explanation.sections[int(explanation.mappings[name].tuned.whole.argmax())].id
        for name in BASELINES
        if name in explanation.mappings
    }
    order, found = view.section_order(explanation), view.headline(explanation)
    return AttributionRow(
        **common,
        label=verdict.called,
        shares=dict(zip(LABELS, map(float, verdict.shares), strict=True)),
        gain_bits=float(bits(float(verdict.gain.sum()))),
        sections=tuple(
            Backing(s.id, s.title, s.document, s.lines, float(verdict.learned[i]))
            for i in order[:SECTIONS]
            for s in (explanation.sections[i],)
        ),
        best={"verdict": explanation.sections[int(explanation.ranking[0])].id, **best},
        headline=found.called,
        sentence=found.sentence,
        tokens=tuple(
            JudgedToken(token.text, label, float(p.max()))
            for token, label, p in zip(
                explanation.answer_tokens, view.token_calls(explanation), verdict.tokens, strict=True
            )
        ),
    )  # fmt: skip


def summarise(rows: Sequence[AttributionRow], resamples: int, seed: int) -> tuple[AttributionSummary, ...]:
    """By kind, then of all where there are several."""
    kinds = list(dict.fromkeys(row.kind for row in rows))
    groups = [(kind or "none", [row for row in rows if row.kind == kind]) for kind in kinds]
    if len(kinds) > 1:
        groups.append(("all", list(rows)))
    return tuple(_summary(kind, some, resamples, seed) for kind, some in groups)


def _summary(kind: str, rows: Sequence[AttributionRow], resamples: int, seed: int) -> AttributionSummary:
    known = [row.right for row in rows if row.right is not None]
    gold = [row for row in rows if row.gold is not None and row.best and (kind == HELD_OUT or row.kind != HELD_OUT)]
    labels: dict[str, float] = {}
    for label in CALLS:
        hits = np.array([row.label == label for row in rows], dtype=np.float64)
        low, high = bootstrap_interval(hits, resamples, seed)
        name = field_of(label)
        labels |= {name: float(hits.mean()), f"{name}_low": low, f"{name}_high": high}
    return AttributionSummary(
        kind=kind,
        n=len(rows),
        right=float(np.mean(known)) if known else None,
        **labels,
        silent=float(np.mean([not row.label for row in rows])),
        shares={label: float(np.mean([row.shares[label] for row in rows])) for label in LABELS},
        gold_top1={name: float(np.mean([row.best.get(name) == row.gold for row in gold])) for name in gold[0].best}
        if gold
        else None,
    )


def field_of(label: Called) -> str:
    """Field of ``AttributionSummary`` with the share of answers of a verdict."""
    return label.replace(" ", "_")


def _notes(rows: Sequence[AttributionRow]) -> list[str]:
    notes = []
    if silent := [row.id for row in rows if not row.label]:
        notes.append(f"The tuned model said nothing to {len(silent)} questions ({', '.join(silent[:5])}).")
    held = [row for row in rows if row.kind == HELD_OUT and row.label]
    if held:
        wrong = sum(row.label == "documents" for row in held)
        notes.append(
            f"Control: of {len(held)} answers about sections that tuning never saw, {wrong} are called documents; of a "
            "wrong answer put together from other sections' words that may be right."
        )
    return notes
