"""Do the words that a method names drive the answer? Taken away, they must cost it more than random ones.

For each question, model and method the question's words are ordered by their score for the whole answer, and taken away
in that order (MoRF) and in the opposite one (LeRF); what the answer's log-prob loses is measured by running the model.
Chat markers stay. Beside the methods stand two controls that ignore the model: a random order, and rare words
first.

Comprehensiveness and sufficiency: DeYoung et al. 1911.03429; MoRF and LeRF: Samek et al. 1509.06321. Losses are in nats
per answer token, not in probabilities, which are near zero for sentences.
Not covered: effects of words that are not in the question (the chat template, earlier answer tokens).
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from scipy import stats

from attrib.assess.answering import SIDES, provenance
from attrib.assess.faithfulness.options import FaithfulnessOptions
from attrib.assess.questions import Question, check_questions
from attrib.assess.stored import Report
from attrib.attribution import METHODS, PERTURBING, MethodScores, attribute_model, check_methods, make_job
from attrib.attribution.perturbation import without
from attrib.corpus.documents import Corpus
from attrib.corpus.reading import ReadingReport
from attrib.errors import InputError
from attrib.measures import bootstrap_interval
from attrib.models.fingerprint import versions
from attrib.models.pair import ModelPair
from attrib.models.prompt import Encoded, encode_answer, encode_prompt, encode_whole
from attrib.options.methods import AttentionHeadOptions, Unit
from attrib.passes.generate import generate
from attrib.passes.targets import CONTRASTIVE, name_of
from attrib.passes.variants import score_variants
from attrib.progress import Progress
from attrib.store import records_in
from attrib.text.units import question_units
from attrib.text.words import words as text_words

FRACTIONS = (0.1, 0.2, 0.3, 0.4, 0.5)
"""Shares of the question's words that are removed, or kept, for comprehensiveness and sufficiency."""
RANDOM, RARE = "random order", "rare words first"
CONTROLS = (RANDOM, RARE)
ENOUGH = 5
"""Questions from which a bootstrap interval means something."""
METRICS = {
    "comprehensiveness": "loss without the method's first words, mean over 10–50% of them (more is better)",
    "sufficiency": "loss with the method's first words alone, mean over 10–50% of them (less is better)",
    "morf": "mean loss while words go, first ones first (more is better)",
    "lerf": "mean loss while words go, last ones first (less is better)",
    "area": "morf − lerf (more is better; 0 for a random order)",
    "drop_1": "loss without the first word (more is better)",
    "drop_3": "loss without the first three words (more is better)",
    "leave_one_out": "rank correlation with the loss without each word alone (1 by construction for leave_one_out)",
}


@dataclass(frozen=True)
class FaithfulnessRow:
    """One method under one model on all questions."""

    method: str
    side: str
    metric: str
    mean: float
    low: float
    high: float
    """95% bootstrap interval over questions."""
    over_random: float
    """Mean difference from the random order, question by question, in the direction that is better."""
    over_low: float
    over_high: float
    n: int
    """Questions."""

    @property
    def beats_random(self) -> bool:
        """Whether the interval of the difference lies above 0, on as many questions as an interval needs."""
        return self.n >= ENOUGH and self.over_low > 0


@dataclass(frozen=True)
class FaithfulnessReport(Report):
    """The whole assessment."""

    NAME: ClassVar = "faithfulness"
    SCHEMA: ClassVar = 3
    rows: tuple[FaithfulnessRow, ...]
    seconds: dict[str, float]
    """CPU seconds a question and model, by method: the method alone, its tests left out."""
    provenance: Mapping[str, object]

    def of(self, metric: str, side: str) -> tuple[FaithfulnessRow, ...]:
        """One metric under one model, best first."""
        sign = 1 if better_high(metric) else -1
        return tuple(
            sorted((r for r in self.rows if (r.metric, r.side) == (metric, side)), key=lambda r: -sign * r.mean)
        )


@dataclass(frozen=True)
class Curves:
    """Losses of one question under one model, words removed in one method's order, nats per token."""

    morf: tuple[float, ...]
    """Loss without the first k words, [words + 1]."""
    lerf: tuple[float, ...]
    """Loss without the last k words."""
    leave_one_out: float
    """Rank correlation of the method's scores with the loss without each word alone; 0 for controls."""
    seconds: float
    """CPU seconds of the method."""


@dataclass(frozen=True)
class QuestionCurves:
    """One question, as it is stored."""

    question: str
    answer: str
    kind: str
    words: int
    """Number of words that can be removed."""
    sides: Mapping[str, Mapping[str, Curves]]
    """By side and method."""


def better_high(metric: str) -> bool:
    """Whether more is better."""
    return metric not in ("sufficiency", "lerf")


def assess_faithfulness(
    pair: ModelPair,
    questions: Sequence[Question],
    corpus: Corpus | None = None,
    options: FaithfulnessOptions | None = None,
    *,
    reading: ReadingReport | None = None,
    out: Path | None = None,
    progress: Progress | None = None,
) -> FaithfulnessReport:
    """Assess every method on every question under both models; without ``corpus`` the rare words are the long ones.

    ``reading``: what was read, by default the corpus's. With ``out`` each finished question is kept in
    ``out/questions`` and reused. Raises InputError for an unknown method or no question.
    """
    options = options or FaithfulnessOptions()
    options = replace(options, methods=methods_of(options))
    check_assessment(questions, options, out)
    named = replace(options, prompt=replace(options.prompt, target=name_of(options.prompt.target)))
    folder = out / "questions" if out is not None else None
    store = records_in(folder, _key(pair, corpus, named), QuestionCurves, "curves", 1)
    curves = []
    for number, question in enumerate(questions):
        if progress is not None:
            progress("questions", number, len(questions))
        compute = partial(_question, pair, question, corpus, options)
        curves.append(store.get_or_make([question.asked, question.answer], compute))
    if progress is not None:
        progress("questions", len(questions), len(questions))
    documents = corpus.sha256 if corpus is not None else None
    made_from = provenance(
        pair, questions, named, options.seed, reading=reading or (corpus.report if corpus is not None else None),
        questions=len(questions), documents_sha256=documents, tokenizer_sha256=pair.tokenizer_sha256,
    )  # fmt: skip
    return _report(curves, options, made_from)


def methods_of(options: FaithfulnessOptions) -> tuple[str, ...]:
    """The methods named, or all but attention_head."""
    if options.methods is not None:
        return options.methods
    return tuple(name for name in METHODS if name != "attention_head")


def check_assessment(questions: Sequence[Question], options: FaithfulnessOptions, out: Path | None) -> None:
    """InputError for what cannot be assessed; needs no model."""
    methods = methods_of(options)
    if not methods:
        raise InputError("methods: none was named; name at least one")
    if options.prompt.contrast is not None or options.prompt.target in CONTRASTIVE:
        raise InputError("target: one contrast does not fit all questions; use logprob, logit, logodds or another")
    if options.prompt.unit != "answer":
        raise InputError(f"prompt.unit {options.prompt.unit!r}: whole answers are assessed; leave it out")
    if options.prompt.perturbation.sources != "word":
        raise InputError(
            f"perturbation.sources {options.prompt.perturbation.sources!r}: words are removed; leave it out"
        )
    check_methods(methods, options.prompt)
    # The tests delete or replace words whatever the methods do.
    check_methods(tuple(PERTURBING), replace(options.prompt, attention_head=AttentionHeadOptions()))
    if out is not None and not isinstance(options.prompt.target, str):
        raise InputError("out: on disk one function of your own is like another; leave --out away, or name a target")
    check_questions(questions)


def _question(
    pair: ModelPair, question: Question, corpus: Corpus | None, options: FaithfulnessOptions
) -> QuestionCurves:
    pair = pair.asking(question.turns, question.tools, raw=question.raw)
    prompt_ids = encode_prompt(pair.chat, question.question, context=pair.context)
    answer_ids = (
        encode_answer(pair.chat, question.question, prompt_ids, question.answer)
        if question.answer is not None
        else generate(pair.tuned, prompt_ids, max_new_tokens=options.max_new_tokens)
    )
    if not answer_ids:
        raise InputError(f"question {question.question[:40]!r}: the tuned model says nothing; give an answer")
    encoded = encode_whole(
        pair.chat, question.question, prompt_ids, answer_ids, context=pair.context, answer=question.answer
    )
    words = question_units(encoded.prompt_tokens, encoded.question, "word")
    if not words:
        raise InputError(f"question {question.question[:40]!r}: it has no words to take away; ask one with words")
    sides: dict[str, dict[str, Curves]] = {}
    for tuned, side in enumerate(SIDES):
        # Losses are those of the log-prob, whatever the methods explain.
        tested = replace(options.prompt, target="logprob")
        job = make_job(pair, encoded, (tuple(range(len(answer_ids))),), tested, tuned=bool(tuned))
        losses = _Losses(job, words)
        scores, seconds = _scores(pair, encoded, words, options, bool(tuned))
        rng = np.random.default_rng([options.seed, tuned, *question.question.encode()])
        orders = {name: [_order(values)] for name, values in scores.items()}
        orders[RANDOM] = [rng.permutation(len(words)) for _ in range(options.random_orders)]
        orders[RARE] = [_order(_rarity(encoded, words, corpus))]
        curves = losses.curves(orders)
        alone = losses.alone()
        sides[side] = {
            name: Curves(
                *curves[name],
                leave_one_out=_rank_correlation(scores[name], alone) if name in scores else 0.0,
                seconds=seconds.get(name, 0.0),
            )
            for name in orders
        }
    return QuestionCurves(question.question, encoded.answer, question.kind, len(words), sides)


def _scores(
    pair: ModelPair, encoded: Encoded, words: tuple[Unit, ...], options: FaithfulnessOptions, tuned: bool
) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """Each method's score of each word for the whole answer, and its CPU seconds."""
    scores, seconds = {}, {}
    prompt = replace(options.prompt, seed=options.seed, memory_gb=options.memory_gb)
    for name in methods_of(options):
        start = time.process_time()
        attribution = attribute_model(pair, encoded, (name,), prompt, tuned=tuned)[name]
        seconds[name] = time.process_time() - start
        scores[name] = by_word(attribution, words)
    return scores, seconds


def by_word(scores: MethodScores, words: Sequence[Unit]) -> np.ndarray:
    """The first row's scores summed over each word's positions; a column's score is spread over its positions."""
    position = {i: scores.values[0, c] / len(group) for c, group in enumerate(scores.columns) for i in group}
    return np.array([sum(position.get(i, 0.0) for i in word) for word in words])


def _order(scores: np.ndarray) -> np.ndarray:
    """Best first; ties by place, so that equal scores give no advantage by chance of sorting."""
    return np.argsort(-scores, kind="stable")


def _rarity(encoded: Encoded, words: Sequence[Unit], corpus: Corpus | None) -> np.ndarray:
    """How rare each word is in the documents (log of sections over sections with it); its length without documents."""
    texts = ["".join(encoded.prompt_tokens[i].text for i in word) for word in words]
    if corpus is None:
        return np.array([float(len(text.strip())) for text in texts])
    counts, n = _section_counts(corpus), len(corpus.sections)
    return np.array([
        max((float(np.log((1 + n) / (1 + counts[part]))) for part in text_words(text)), default=0.0) for text in texts
    ])  # fmt: skip


@lru_cache(maxsize=1)
def _section_counts(corpus: Corpus) -> Counter[str]:
    """How many sections have each word."""
    return Counter(word for section in corpus.sections for word in set(text_words(section.full_text)))


class _Losses:
    """Loss of the answer's mean log-prob without words; each set of words is run once."""

    def __init__(self, job: Any, words: tuple[Unit, ...]) -> None:
        self.job = job
        self.words = words
        everything = np.ones(len(words), bool)
        self.full = self._run([everything])[0]
        # Known exactly: another batch would give it other last bits.
        self.known: dict[bytes, float] = {everything.tobytes(): 0.0}

    def curves(self, orders: dict[str, list[np.ndarray]]) -> dict[str, tuple[tuple[float, ...], tuple[float, ...]]]:
        """By name: losses while words go in the order (morf) and in the opposite one (lerf), mean over the orders."""
        n = len(self.words)
        masks = {name: [self._masks(order) for order in some] for name, some in orders.items()}
        self._learn([mask for some in masks.values() for both in some for mask in (*both[0], *both[1])])
        out = {}
        for name, some in masks.items():
            morf = np.mean([[self._loss(mask) for mask in both[0]] for both in some], 0)
            lerf = np.mean([[self._loss(mask) for mask in both[1]] for both in some], 0)
            assert len(morf) == n + 1
            out[name] = (tuple(morf.tolist()), tuple(lerf.tolist()))
        return out

    def alone(self) -> np.ndarray:
        """Loss without each word alone, [word]."""
        masks = list(~np.eye(len(self.words), dtype=bool))
        self._learn(masks)
        return np.array([self._loss(mask) for mask in masks])

    def _masks(self, order: np.ndarray) -> tuple[list[np.ndarray], list[np.ndarray]]:
        rank = np.argsort(order)
        n = len(order)
        return [rank >= k for k in range(n + 1)], [rank < n - k for k in range(n + 1)]

    def _learn(self, masks: Sequence[np.ndarray]) -> None:
        new = list({mask.tobytes(): mask for mask in masks if mask.tobytes() not in self.known}.values())
        if new:
            for mask, value in zip(new, self._run(new), strict=True):
                self.known[mask.tobytes()] = self.full - value

    def _loss(self, mask: np.ndarray) -> float:
        return self.known[mask.tobytes()]

    def _run(self, masks: Sequence[np.ndarray]) -> list[float]:
        prompts = [without(self.job, self.words, mask) for mask in masks]
        job = self.job
        return [float(v) for v in score_variants(job.model, job.encoded, prompts, job.target, other=job.other).mean(1)]


def _rank_correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Spearman; 0 where one of them does not vary."""
    if len(a) < 3 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return 0.0
    return float(stats.spearmanr(a, b).statistic)


def measure(curves: Curves) -> dict[str, float]:
    """METRICS of one question, model and method."""
    morf, lerf = np.array(curves.morf), np.array(curves.lerf)
    n = len(morf) - 1
    ks = [max(1, round(fraction * n)) for fraction in FRACTIONS]
    return {
        "comprehensiveness": float(np.mean([morf[k] for k in ks])),
        # The first k words alone are what LeRF leaves after n − k.
        "sufficiency": float(np.mean([lerf[n - k] for k in ks])),
        "morf": float(morf[1:].mean()),
        "lerf": float(lerf[1:].mean()),
        "area": float(morf[1:].mean() - lerf[1:].mean()),
        "drop_1": float(morf[min(1, n)]),
        "drop_3": float(morf[min(3, n)]),
        "leave_one_out": curves.leave_one_out,
    }


def _report(
    curves: Sequence[QuestionCurves], options: FaithfulnessOptions, provenance: dict[str, object]
) -> FaithfulnessReport:
    names = (*methods_of(options), *CONTROLS)
    rows = []
    for side in SIDES:
        measured = {name: [measure(question.sides[side][name]) for question in curves] for name in names}
        for metric in METRICS:
            sign = 1 if better_high(metric) else -1
            chance = np.array([m[metric] for m in measured[RANDOM]])
            for name in names:
                values = np.array([m[metric] for m in measured[name]])
                low, high = bootstrap_interval(values, options.resamples, options.seed)
                over = sign * (values - chance)
                over_low, over_high = bootstrap_interval(over, options.resamples, options.seed)
                rows.append(
                    FaithfulnessRow(
                        name, side, metric, float(values.mean()), low, high,
                        float(over.mean()), over_low, over_high, len(values),
                    )
                )  # fmt: skip
    seconds = {
        name: float(np.mean([question.sides[side][name].seconds for question in curves for side in SIDES]))
        for name in names
    }
    return FaithfulnessReport(tuple(rows), seconds, provenance)


def _key(pair: ModelPair, corpus: Corpus | None, options: FaithfulnessOptions) -> dict[str, object]:
    """Key of a stored question: everything it depends on."""
    return {
        "base": pair.base.fingerprint, "tuned": pair.tuned.fingerprint, "tokenizer": pair.tokenizer_sha256,
        "documents": corpus.sha256 if corpus is not None else None, "device": pair.device, "dtype": pair.dtype,
        "options": asdict(options), "versions": versions(),
        **({"prompt": pair.chat.identity} if pair.chat.identity else {}),
    }  # fmt: skip
