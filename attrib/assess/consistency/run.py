"""Does tuning make a model say the same thing, and something new? Base and tuned on a list of questions.

Each model gives its best answer (greedy) and several sampled ones. Of each side: how many meanings the samples have
(``clusters``) and how they are spread (semantic entropy), whether samples, the greedy answer and rephrased questions
agree. Between the sides: terms of the tuned answer that the base never says, whether the documents hold them and which
sections, details added and dropped, ROUGE-L, BERTScore with the sentence embedder, and the divergence of the two models
on the tuned answer. Two controls stand beside the novel-term rate: the same against control texts, and the base's own
samples against its other answers.

A rate says what is in the words, not that tuning on a section put them there: that is asked by ``assess influence``.
Not covered: whether answers are right (``assess benchmark``); word forms (no stemming).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from functools import cache
from pathlib import Path

import numpy as np

from attrib.assess.answering import SIDES, AnswerOptions, Reply, Side, answer_all, greedy, provenance
from attrib.assess.consistency.clusters import Group, Relate, by_embedding, by_entailment, clusters, load_nli, terms
from attrib.assess.consistency.options import ConsistencyOptions
from attrib.assess.questions import Question
from attrib.corpus.bm25 import Bm25
from attrib.corpus.documents import Corpus
from attrib.errors import InputError
from attrib.measures import (
    cluster_entropy,
    greedy_match,
    grouped_interval,
    pair_agreement,
    predictive_entropy,
    rouge_l,
    semantic_entropy,
)
from attrib.models.embedder import embed, load_embedder
from attrib.models.pair import ModelPair
from attrib.models.prompt import encode, encode_prompt
from attrib.passes.likelihood import kl_given
from attrib.progress import Progress
from attrib.text.words import WORD, key, keys
from attrib.verdict.vocabulary import Lexicon

NAME = "consistency"
SECTIONS = 3
"""Sections that are named for a new term."""
ENOUGH = 5
"""Questions from which an interval means something."""
ALL = "all"
"""Kind of the rows over all questions."""

QUANTITIES: dict[str, str] = {
    "semantic_entropy": "entropy over the meanings of the samples, weighted by log p per token, nats",
    "discrete_entropy": "the same from how often each meaning was sampled, nats",
    "predictive_entropy": "mean −log p per token of the samples, nats",
    "clusters": "number of meanings among the samples",
    "agreement": "share of pairs of samples with one meaning",
    "with_greedy": "share of samples with the meaning of the greedy answer",
    "rephrasings": "share of the fact's other questions whose greedy answer has the same meaning",
    "novel": (
        "share of the terms of an answer that the base's answers have not and the documents have; tuned: the greedy "
        "answer; base: its samples, each against its other answers"
    ),
    "unfinished": "share of answers cut off at max_new_tokens",
    "novel_control": "the share of novel terms where control texts take the place of the documents",
    "made_up": "share of the tuned answer's terms that neither the base's answers nor the documents have",
    "dropped": "share of the base's greedy answer's terms that no answer of the tuned model has",
    "same_meaning": "share of questions where the greedy answers of base and tuned mean the same",
    "rouge_l": "ROUGE-L of the greedy answers of base and tuned",
    "bertscore": "F1 of the best cosines between their words, by the sentence embedder",
    "kl_mean": "mean KL(tuned ‖ base) per token of the tuned greedy answer, nats",
    "kl_max": "largest KL(tuned ‖ base) at a token of it, nats",
}
"""What is measured; the first nine of each side, the others of the pair."""
OF_EACH = tuple(QUANTITIES)[:9]


@dataclass(frozen=True)
class Answers:
    """What one model said to one question."""

    greedy: Reply
    samples: tuple[Reply, ...]
    clusters: tuple[int, ...]
    """Meaning of each sample, numbered by first appearance."""
    values: dict[str, float]
    """Those of QUANTITIES that each side has; nan where there is nothing to measure."""


@dataclass(frozen=True)
class Holder:
    """A section that holds a term."""

    id: str
    title: str
    document: str
    lines: str


@dataclass(frozen=True)
class NewTerm:
    """A term of the tuned model's greedy answer that no answer of the base has."""

    term: str
    spans: tuple[tuple[int, int], ...]
    """[start, end) of every place in the answer."""
    sections: tuple[Holder, ...]
    """Up to SECTIONS of those that hold it, the ones most like question and answer (BM25) first; none: made up."""
    held_by: int
    """How many sections hold it."""


@dataclass(frozen=True)
class QuestionRow:
    """One question."""

    id: str
    question: str
    answer: str | None
    """The right one, where it is known."""
    kind: str
    fact: str
    base: Answers
    tuned: Answers
    new_terms: tuple[NewTerm, ...]
    dropped_terms: tuple[str, ...]
    added: tuple[tuple[int, int], ...]
    """[start, end) in the tuned greedy answer of words that an aligned diff adds to the base's."""
    removed: tuple[tuple[int, int], ...]
    """[start, end) in the base's greedy answer of words that it takes away."""
    kl: tuple[float, ...]
    """KL(tuned ‖ base) at each token of the tuned greedy answer, nats."""
    kl_tokens: tuple[str, ...]
    values: dict[str, float]
    """Those of QUANTITIES that the pair has; nan where there is nothing to measure."""

    def of(self, quantity: str, side: Side) -> float:
        """A quantity of the row; those of the pair are the tuned model's."""
        if quantity in OF_EACH:
            return (self.base if side == "base" else self.tuned).values[quantity]
        return self.values[quantity] if side == "tuned" else math.nan


@dataclass(frozen=True)
class SummaryRow:
    """A quantity over the questions of one kind on which it could be measured."""

    quantity: str
    kind: str
    base: float
    """Mean; nan, with its interval and the difference, for quantities of the pair."""
    base_low: float
    base_high: float
    tuned: float
    tuned_low: float
    tuned_high: float
    difference: float
    """tuned − base, question by question."""
    low: float
    high: float
    n: int
    """Questions."""
    facts: int
    """Facts they ask for: drawn together for the 95% bootstrap intervals."""


@dataclass(frozen=True)
class ConsistencyReport:
    """The whole assessment."""

    rows: tuple[QuestionRow, ...]
    summary: tuple[SummaryRow, ...]
    notes: tuple[str, ...]
    provenance: dict[str, object]

    def row(self, quantity: str, kind: str = ALL) -> SummaryRow:
        """One row of the summary."""
        return next(r for r in self.summary if (r.quantity, r.kind) == (quantity, kind))

    @property
    def kinds(self) -> tuple[str, ...]:
        """Kinds of the summary, the rows over all last."""
        return tuple(dict.fromkeys(row.kind for row in self.summary))


@dataclass(frozen=True)
class Divergence:
    """KL(tuned ‖ base) at each token of an answer, nats."""

    values: tuple[float, ...]
    tokens: tuple[str, ...]


Replies = Mapping[Side, Sequence[Sequence[Reply]]]
Vectors = Callable[[Sequence[str]], Sequence[np.ndarray]]
"""Unit vectors of each text's words or word pieces, [piece, d]."""


def assess_consistency(
    pair: ModelPair,
    asked: Sequence[Question],
    corpus: Corpus,
    control: Corpus,
    options: ConsistencyOptions | None = None,
    *,
    out: Path | None = None,
    progress: Progress | None = None,
) -> ConsistencyReport:
    """Ask both models, compare what they say. With ``out`` answers are kept there and not asked for again.

    Raises InputError for options that give nothing to compare, and as ``answer_all`` and ``Lexicon`` do.
    """
    options = options or ConsistencyOptions()
    check_consistency(asked, options)
    lexicon = Lexicon(corpus, control)
    how = AnswerOptions(options.samples, options.temperature, options.max_new_tokens, options.batch, options.seed)
    embedder = load_embedder()
    relate = by_embedding(lambda texts: embed(texts, embedder=embedder))
    if options.nli is not None:
        relate = by_entailment(load_nli(options.nli, batch=options.batch))
    best = answer_all(pair, asked, greedy(how), out=out, progress=progress)
    sampled = answer_all(pair, asked, how, out=out, progress=progress)
    return compare(
        asked,
        best,
        sampled,
        divergences(pair, asked, [replies[0] for replies in best["tuned"]], progress),
        lexicon,
        relate,
        lambda texts: word_vectors(texts, embedder),
        options,
        provenance(
            pair,
            asked,
            replace(options, threshold=options.same, nli=Path(options.nli).name if options.nli else None),
            options.seed,
            documents_sha256=corpus.sha256,
            control_sha256=control.sha256,
        ),
    )


def check_consistency(asked: Sequence[Question], options: ConsistencyOptions) -> None:
    """InputError for what cannot be assessed; needs no model."""
    if not asked:
        raise InputError("questions: none was given; give at least one")
    if options.samples < 2:
        raise InputError(f"samples is {options.samples}: answers are compared with each other; give at least 2")
    if not options.temperature > 0:
        raise InputError(
            f"temperature is {options.temperature}: all samples would be the greedy answer; give one above 0"
        )
    if not 0 < options.same <= 1:
        raise InputError(f"threshold is {options.same}: similarities that join answers lie above 0 and up to 1")


def compare(
    asked: Sequence[Question],
    best: Replies,
    sampled: Replies,
    divergence: Sequence[Divergence],
    lexicon: Lexicon,
    relate: Relate,
    vectors: Vectors,
    options: ConsistencyOptions,
    provenance: dict[str, object] | None = None,
) -> ConsistencyReport:
    """The report from what both models said: greedy answers ``best`` and ``sampled`` ones, [question][sample]."""
    told = _Relations(asked, best, sampled, relate, options.same)
    found = _greedy_matches(best, vectors)
    bm25 = cache(lambda: Bm25([section.full_text for section in lexicon.corpus.sections]))
    rows = []
    for i, question in enumerate(asked):
        said = {side: [best[side][i][0].text, *(reply.text for reply in sampled[side][i])] for side in SIDES}
        sides = {side: _answers(i, side, best, sampled, told) for side in SIDES}
        novelty = _novelty(question.question, said, lexicon)
        sides["base"].values["novel"] = novelty.base
        sides["tuned"].values["novel"] = novelty.values.pop("novel")
        tuned, base = said["tuned"][0], said["base"][0]
        added, removed = difference(base, tuned)
        kl = np.array(divergence[i].values)
        rows.append(
            QuestionRow(
                question.id or str(i + 1), question.question, question.answer, question.kind, question.fact,
                sides["base"], sides["tuned"],
                tuple(_new_terms(question.question, tuned, novelty.new, lexicon, bm25)),
                novelty.dropped, added, removed, divergence[i].values, divergence[i].tokens,
                {
                    **novelty.values,
                    "same_meaning": float(told.same(i, base, tuned)),
                    "rouge_l": rouge_l(keys(base), keys(tuned)),
                    "bertscore": found[i],
                    "kl_mean": float(kl.mean()) if kl.size else math.nan,
                    "kl_max": float(kl.max()) if kl.size else math.nan,
                },
            )
        )  # fmt: skip
    return ConsistencyReport(
        tuple(rows),
        tuple(summarise(rows, options.resamples, options.seed)),
        tuple(_notes(rows, lexicon, options)),
        provenance or {},
    )


# ------------------------------------------------------------------------------------------- meanings


class _Relations:
    """Which answers mean the same: of one question, and of all questions about one fact."""

    def __init__(
        self, asked: Sequence[Question], best: Replies, sampled: Replies, relate: Relate, threshold: float
    ) -> None:
        self.threshold = threshold
        own = [
            Group(q.question, _distinct(r.text for some in (best, sampled) for side in SIDES for r in some[side][i]))
            for i, q in enumerate(asked)
        ]
        self.facts = _others(asked)
        shared: dict[tuple[Side, tuple[int, ...]], Group] = {}
        for i, others in enumerate(self.facts):
            for side in SIDES if others else ():
                members = tuple(sorted({i, *others}))
                texts = _distinct(best[side][j][0].text for j in members)
                shared[side, members] = Group(" ".join(asked[j].question for j in members), texts)
        found = relate([*own, *shared.values()])
        self._own = list(zip(own, found[: len(own)], strict=True))
        self._shared = {
            name: dict(zip(group.texts, clusters(matrix, threshold).tolist(), strict=True))
            for (name, group), matrix in zip(shared.items(), found[len(own) :], strict=True)
        }

    def same(self, i: int, a: str, b: str) -> bool:
        """Whether two answers to question ``i`` mean the same."""
        group, matrix = self._own[i]
        return bool(matrix[group.texts.index(a), group.texts.index(b)] >= self.threshold)

    def clusters(self, i: int, said: Sequence[str]) -> tuple[int, ...]:
        """Meaning of each of some answers to question ``i``, numbered by first appearance."""
        group, matrix = self._own[i]
        distinct = _distinct(said)
        rows = [group.texts.index(text) for text in distinct]
        owner = dict(zip(distinct, clusters(matrix[np.ix_(rows, rows)], self.threshold).tolist(), strict=True))
        numbers: dict[int, int] = {}
        return tuple(numbers.setdefault(owner[text], len(numbers)) for text in said)

    def rephrasings(self, i: int, side: Side, best: Replies) -> float:
        """Share of the other questions about the fact of question ``i`` with an answer of the same meaning."""
        others = self.facts[i]
        if not others:
            return math.nan
        of = self._shared[side, tuple(sorted({i, *others}))]
        return float(np.mean([of[best[side][j][0].text] == of[best[side][i][0].text] for j in others]))


def _distinct(texts: Iterable[str]) -> tuple[str, ...]:
    """Each once, in an order of their own: clusters then do not hang on the order of sampling."""
    return tuple(sorted(set(texts)))


def _others(asked: Sequence[Question]) -> list[tuple[int, ...]]:
    """For each question the other ones about the same fact that are worded otherwise."""
    members: dict[str, list[int]] = {}
    for i, question in enumerate(asked):
        if question.fact:
            members.setdefault(question.fact, []).append(i)
    worded = [keys(question.question) for question in asked]
    return [
        tuple(j for j in members.get(question.fact, ()) if worded[j] != worded[i]) for i, question in enumerate(asked)
    ]


def _answers(i: int, side: Side, best: Replies, sampled: Replies, told: _Relations) -> Answers:
    top, samples = best[side][i][0], tuple(sampled[side][i])
    of = told.clusters(i, [reply.text for reply in samples])
    per_token = np.array([reply.logprob / max(reply.tokens, 1) for reply in samples])
    values = {
        "semantic_entropy": semantic_entropy(per_token, np.array(of)),
        "discrete_entropy": cluster_entropy(np.array(of)),
        "predictive_entropy": predictive_entropy(per_token),
        "clusters": float(len(set(of))),
        "agreement": pair_agreement(np.array(of)),
        "with_greedy": float(np.mean([told.same(i, top.text, reply.text) for reply in samples])),
        "rephrasings": told.rephrasings(i, side, best),
        "novel": math.nan,
        "unfinished": float(np.mean([not reply.ended for reply in (top, *samples)])),
    }
    return Answers(top, samples, of, values)


# ------------------------------------------------------------------------------------------- terms and details


@dataclass(frozen=True)
class _Novelty:
    values: dict[str, float]
    base: float
    """The base's samples, each against its other answers."""
    new: tuple[str, ...]
    dropped: tuple[str, ...]


def _novelty(question: str, said: Mapping[Side, Sequence[str]], lexicon: Lexicon) -> _Novelty:
    """What the first of the tuned answers has that no answer of the base has, and the reverse."""
    base, tuned = ([set(terms(question, text)) for text in said[side]] for side in SIDES)
    in_documents = _has(lexicon.documents.number)
    by_base, by_tuned = set[str]().union(*base), set[str]().union(*tuned)
    new = [term for term in terms(question, said["tuned"][0]) if term not in by_base]
    dropped = [term for term in terms(question, said["base"][0]) if term not in by_tuned]
    own = [
        _share(sum(map(in_documents, some.difference(*base[:i], *base[i + 1 :]))), len(some))
        for i, some in enumerate(base)
        if i
    ]
    n = len(tuned[0])
    values = {
        "novel": _share(sum(map(in_documents, new)), n),
        "novel_control": _share(sum(map(_has(lexicon.controls.number), new)), n),
        "made_up": _share(sum(not in_documents(term) for term in new), n),
        "dropped": _share(len(dropped), len(base[0])),
    }
    known = [value for value in own if not math.isnan(value)]
    return _Novelty(values, float(np.mean(known)) if known else math.nan, tuple(new), tuple(dropped))


def _has(number: Mapping[str, int]) -> Callable[[str], bool]:
    return lambda term: term in number


def _share(part: int, whole: int) -> float:
    return part / whole if whole else math.nan


def _new_terms(
    question: str, answer: str, new: Sequence[str], lexicon: Lexicon, bm25: Callable[[], Bm25]
) -> Iterator[NewTerm]:
    """The new terms with their places in the answer and the sections that hold them."""
    places = terms(question, answer)
    scores: np.ndarray | None = None
    for term in new:
        holders = lexicon.documents.holders(lexicon.documents.places(term))
        if holders.size and scores is None:
            scores = bm25().query(f"{question} {answer}")
        first = holders[np.argsort(-scores[holders], kind="stable")][:SECTIONS] if scores is not None else holders
        sections = (lexicon.corpus.sections[int(i)] for i in first)
        yield NewTerm(
            term,
            tuple(places[term]),
            tuple(Holder(section.id, section.title, section.document, section.lines) for section in sections),
            len(holders),
        )


def difference(a: str, b: str) -> tuple[tuple[tuple[int, int], ...], tuple[tuple[int, int], ...]]:
    """Words that ``b`` adds and words of ``a`` that it takes away, as [start, end) in ``b`` and in ``a``.

    Words are aligned by their keys (case and punctuation do not count); neighbours make one span.
    """
    places = [[match.span() for match in WORD.finditer(text)] for text in (a, b)]
    words = [[key(text[start:end]) for start, end in some] for text, some in zip((a, b), places, strict=True)]
    added, removed = [], []
    for what, i, i_end, j, j_end in SequenceMatcher(None, words[0], words[1], autojunk=False).get_opcodes():
        if what != "equal" and i_end > i:
            removed.append((places[0][i][0], places[0][i_end - 1][1]))
        if what != "equal" and j_end > j:
            added.append((places[1][j][0], places[1][j_end - 1][1]))
    return tuple(added), tuple(removed)


# ------------------------------------------------------------------------------------------- similarity


def word_vectors(texts: Sequence[str], embedder: object) -> list[np.ndarray]:
    """Unit vectors of each text's word pieces in the last layer of a sentence embedder, its markers left out."""
    found = embedder.encode(  # type: ignore[attr-defined]
        list(texts), batch_size=32, output_value="token_embeddings", show_progress_bar=False
    )
    # The first and the last are the embedder's markers.
    pieces = [np.asarray(one.cpu(), dtype=np.float32)[1:-1] for one in found]
    return [piece / np.maximum(np.linalg.norm(piece, axis=1, keepdims=True), 1e-12) for piece in pieces]


def _greedy_matches(best: Replies, vectors: Vectors) -> list[float]:
    """BERTScore F1 of base's and tuned's greedy answers, [question]."""
    pairs = list(zip(*([replies[0].text for replies in best[side]] for side in SIDES), strict=True))
    distinct = _distinct(text for texts in pairs for text in texts)
    of = dict(zip(distinct, vectors(distinct), strict=True))
    return [greedy_match(of[base], of[tuned])[2] for base, tuned in pairs]


def divergences(
    pair: ModelPair, asked: Sequence[Question], replies: Sequence[Reply], progress: Progress | None = None
) -> list[Divergence]:
    """KL(tuned ‖ base) on one answer to each question, its ids as they were generated; nothing for an empty one."""
    encodeds = {}
    for i, (question, reply) in enumerate(zip(asked, replies, strict=True)):
        if reply.ids:
            prompt = encode_prompt(pair.tokenizer, question.question, context=pair.context)
            encodeds[i] = encode(
                pair.tokenizer, prompt, reply.ids, context=pair.context, question=question.question
            )  # fmt: skip
    found = dict(zip(encodeds, kl_given(pair, list(encodeds.values()), progress=progress), strict=True))
    return [
        Divergence(tuple(map(float, found[i])), tuple(token.text for token in encodeds[i].answer_tokens))
        if i in found
        else Divergence((), ())
        for i in range(len(replies))
    ]


# ------------------------------------------------------------------------------------------- summary


def summarise(rows: Sequence[QuestionRow], resamples: int, seed: int) -> list[SummaryRow]:
    """Every quantity for every kind of question and for all; questions that lack it on either side are left out."""
    kinds = list(dict.fromkeys(row.kind for row in rows))
    # One kind is all.
    parts = [(kind or "none", [row for row in rows if row.kind == kind]) for kind in kinds if len(kinds) > 1]
    return [
        _summary(quantity, kind, chosen, resamples, seed)
        for kind, chosen in [*parts, (ALL, list(rows))]
        for quantity in QUANTITIES
    ]


def _summary(quantity: str, kind: str, rows: Sequence[QuestionRow], resamples: int, seed: int) -> SummaryRow:
    values = np.array([[row.of(quantity, side) for side in SIDES] for row in rows])
    paired = quantity in OF_EACH
    chosen = np.isfinite(values).all(1) if paired else np.isfinite(values[:, 1])
    number: dict[str, int] = {}
    facts = np.array([number.setdefault(row.fact or f"id {row.id}", len(number)) for row in rows])[chosen]
    # Numbers without gaps, of the facts that are left.
    facts = np.unique(facts, return_inverse=True)[1]
    nothing = (math.nan, math.nan, math.nan)

    def mean(of: np.ndarray) -> tuple[float, float, float]:
        if not of.size:
            return nothing
        return (float(of.mean()), *grouped_interval(of, facts, resamples, seed))

    base, tuned = values[chosen].T
    of_base, change = (mean(base), mean(tuned - base)) if paired else (nothing, nothing)
    return SummaryRow(
        quantity, kind, *of_base, *mean(tuned), *change, n=int(chosen.sum()), facts=len(set(facts.tolist()))
    )


def _notes(rows: Sequence[QuestionRow], lexicon: Lexicon, options: ConsistencyOptions) -> Iterator[str]:
    how = f"the NLI model {Path(options.nli).name}" if options.nli is not None else "the sentence embedder"
    yield (
        f"Answers mean the same from a similarity of {options.same:g} by {how}; answers with different numbers, or of "
        "which one is negated, never do."
    )
    for side in SIDES:
        replies = [r for row in rows for r in _of_side(row, side)]
        cut = sum(not reply.ended for reply in replies)
        if cut:
            yield (
                f"{cut} of {len(replies)} answers of {side} were cut off at {options.max_new_tokens} tokens: "
                "raise max_new_tokens for whole ones."
            )
        blank = sum(not reply.text.strip() for reply in replies)
        if blank:
            yield f"{blank} of {len(replies)} answers of {side} are blank; they count as one meaning."
    sizes = [int((index.ids >= 0).sum()) for index in (lexicon.documents, lexicon.controls)]
    yield (
        f"The documents have {sizes[0]:,} words, {len(lexicon.documents.number):,} of them different; the control "
        f"texts {sizes[1]:,} and {len(lexicon.controls.number):,}: more texts hold more terms by chance."
    )
    without = sum(math.isnan(row.tuned.values["novel"]) for row in rows)
    if without:
        yield f"{without} of {len(rows)} tuned answers add no term to their question and count for no rate of terms."
    if len(rows) < ENOUGH:
        yield f"With {len(rows)} questions intervals mean little."


def _of_side(row: QuestionRow, side: Side) -> tuple[Reply, ...]:
    answers = row.base if side == "base" else row.tuned
    return (answers.greedy, *answers.samples)
