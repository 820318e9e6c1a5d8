"""Does tuning make a model say the same thing, and something new? Base and tuned on a list of questions.

Each model gives its greedy answer and several sampled ones. Measured for each model: the number of meanings among the
samples (``clusters``), their spread (semantic entropy), and whether samples, the greedy answer and rephrased questions
agree. Measured between the models: terms of the tuned answer that the base never says, whether the documents hold them
and which sections, details added and dropped, ROUGE-L, BERTScore with the sentence embedder, and the divergence of the
two models on the tuned answer. Two controls stand beside the novel-term rate: the same against control texts, and the
base's own samples against its other answers.

A rate describes words; whether tuning on a section put them there is the question of ``assess influence``.
Not covered: whether answers are right (``assess benchmark``); word forms (no stemming).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np

from attrib.assess.answering import SIDES, Reply, answer_all, chat_for, greedy, provenance
from attrib.assess.consistency.clusters import Relate, by_embedding, by_entailment, load_nli
from attrib.assess.consistency.meanings import Meanings, Replies, answers_of, distinct_texts
from attrib.assess.consistency.novelty import difference, new_terms, novelty_of
from attrib.assess.consistency.options import ConsistencyOptions
from attrib.assess.consistency.records import (
    ConsistencyReport,
    QuestionRow,
)
from attrib.assess.consistency.summary import notes_on, summarise
from attrib.assess.questions import Question, check_questions
from attrib.corpus.bm25 import Bm25
from attrib.corpus.documents import Corpus
from attrib.errors import InputError
from attrib.measures import (
    greedy_match,
    rouge_l,
)
from attrib.models.embedder import embed, load_embedder
from attrib.models.pair import ModelPair
from attrib.models.prompt import Encoded, encode_prompt, encode_whole
from attrib.options.answers import AnswerOptions
from attrib.passes.likelihood import kl_given
from attrib.progress import Progress
from attrib.store import records_in
from attrib.text.words import keys
from attrib.verdict.vocabulary import Lexicon


@dataclass(frozen=True)
class Divergence:
    """KL(tuned ‖ base) at each token of an answer, nats."""

    values: tuple[float, ...]
    tokens: tuple[str, ...]


Vectors = Callable[[Sequence[str]], Sequence[np.ndarray]]
"""Unit vectors of each text's words or word pieces, [piece, d]."""


def assess_consistency(
    pair: ModelPair,
    questions: Sequence[Question],
    corpus: Corpus,
    control: Corpus,
    options: ConsistencyOptions | None = None,
    *,
    out: Path | None = None,
    progress: Progress | None = None,
) -> ConsistencyReport:
    """Ask both models, compare what they say. With ``out`` answers are kept there and reused.

    Raises InputError for options that give nothing to compare, and as ``answer_all`` and ``Lexicon`` do.
    """
    options = options or ConsistencyOptions()
    check_consistency(questions, options)
    lexicon = Lexicon(corpus, control)
    answer_options = AnswerOptions(
        options.samples, options.temperature, options.max_new_tokens, options.batch, options.seed
    )
    embedder = load_embedder()
    relate = by_embedding(lambda texts: embed(texts, embedder=embedder))
    if options.nli is not None:
        relate = by_entailment(load_nli(options.nli, batch=options.batch))
    greedy_replies = answer_all(pair, questions, greedy(answer_options), out=out, progress=progress)
    sampled = answer_all(pair, questions, answer_options, out=out, progress=progress)
    return compare(
        questions,
        greedy_replies,
        sampled,
        divergences(pair, questions, [replies[0] for replies in greedy_replies["tuned"]], out, progress),
        lexicon,
        relate,
        lambda texts: word_vectors(texts, embedder),
        options,
        provenance(
            pair,
            questions,
            replace(options, threshold=options.same, nli=Path(options.nli).name if options.nli else None),
            options.seed,
            documents_sha256=corpus.sha256,
            control_sha256=control.sha256,
            reading=corpus.report,
        ),
    )


def check_consistency(questions: Sequence[Question], options: ConsistencyOptions) -> None:
    """InputError for what cannot be assessed; needs no model."""
    check_questions(questions)
    if options.samples < 2:
        raise InputError(f"samples is {options.samples}: answers are compared with each other; give at least 2")
    if not options.temperature > 0:
        raise InputError(
            f"temperature is {options.temperature}: all samples would be the greedy answer; give one above 0"
        )
    if not 0 < options.same <= 1:
        raise InputError(f"threshold is {options.same}: similarities that join answers lie above 0 and up to 1")


def compare(
    questions: Sequence[Question],
    greedy_replies: Replies,
    sampled: Replies,
    divergence: Sequence[Divergence],
    lexicon: Lexicon,
    relate: Relate,
    vectors: Vectors,
    options: ConsistencyOptions,
    provenance: dict[str, object] | None = None,
) -> ConsistencyReport:
    """The report made from both models' greedy and ``sampled`` replies, [question][sample]."""
    meanings = Meanings(questions, greedy_replies, sampled, relate, options.same)
    bertscores = _greedy_matches(greedy_replies, vectors)
    bm25 = cache(lambda: Bm25([section.full_text for section in lexicon.corpus.sections]))
    rows = []
    for i, question in enumerate(questions):
        texts = {side: [greedy_replies[side][i][0].text, *(reply.text for reply in sampled[side][i])] for side in SIDES}
        sides = {side: answers_of(i, side, greedy_replies, sampled, meanings) for side in SIDES}
        novelty = novelty_of(question.question, texts, lexicon)
        sides["base"].values["novel"] = novelty.base
        sides["tuned"].values["novel"] = novelty.values.pop("novel")
        tuned, base = texts["tuned"][0], texts["base"][0]
        added, removed = difference(base, tuned)
        kl = np.array(divergence[i].values)
        rows.append(
            QuestionRow(
                question.id or str(i + 1), question.question, question.answer, question.kind, question.fact,
                sides["base"], sides["tuned"],
                tuple(new_terms(question.question, tuned, novelty.new, lexicon, bm25)),
                novelty.dropped, added, removed, divergence[i].values, divergence[i].tokens,
                {
                    **novelty.values,
                    "same_meaning": float(meanings.same(i, base, tuned)),
                    "rouge_l": rouge_l(keys(base), keys(tuned)),
                    "bertscore": bertscores[i],
                    "kl_mean": float(kl.mean()) if kl.size else math.nan,
                    "kl_max": float(kl.max()) if kl.size else math.nan,
                },
            )
        )  # fmt: skip
    return ConsistencyReport(
        tuple(rows),
        tuple(summarise(rows, options.resamples, options.seed)),
        tuple(notes_on(rows, lexicon, options)),
        provenance or {},
    )


def word_vectors(texts: Sequence[str], embedder: object) -> list[np.ndarray]:
    """Unit vectors of each text's word pieces in the last layer of a sentence embedder, its markers left out."""
    encoded = embedder.encode(  # type: ignore[attr-defined]
        list(texts), batch_size=32, output_value="token_embeddings", show_progress_bar=False
    )
    # The first and the last are the embedder's markers.
    pieces = [np.asarray(text.cpu(), dtype=np.float32)[1:-1] for text in encoded]
    return [piece / np.maximum(np.linalg.norm(piece, axis=1, keepdims=True), 1e-12) for piece in pieces]


def _greedy_matches(greedy_replies: Replies, vectors: Vectors) -> list[float]:
    """BERTScore F1 of base's and tuned's greedy answers, [question]."""
    pairs = list(zip(*([replies[0].text for replies in greedy_replies[side]] for side in SIDES), strict=True))
    distinct = distinct_texts(text for pair in pairs for text in pair)
    vectors_of = dict(zip(distinct, vectors(distinct), strict=True))
    return [greedy_match(vectors_of[base], vectors_of[tuned])[2] for base, tuned in pairs]


def divergences(
    pair: ModelPair,
    questions: Sequence[Question],
    replies: Sequence[Reply],
    out: Path | None = None,
    progress: Progress | None = None,
) -> list[Divergence]:
    """KL(tuned ‖ base) on one answer to each question, its ids as they were generated; empty for an empty answer.

    With ``out`` they are kept in ``out/divergences`` and reused.
    """
    key = {"base": pair.base.fingerprint, "tuned": pair.tuned.fingerprint, "variant": pair.variant}
    folder = out / "divergences" if out is not None else None
    store = records_in(folder, key, Divergence, "divergence", 1)
    results: list[Divergence | None] = []
    missing: dict[int, Encoded] = {}
    keys: list[object] = []
    for i, (question, reply) in enumerate(zip(questions, replies, strict=True)):
        chat = chat_for(pair.chat, question)
        keys.append([question.question, reply.ids, *([chat.identity] if chat is not pair.chat else [])])
        stored = store.get(keys[i]) if reply.ids else Divergence((), ())
        results.append(stored)
        if stored is None:
            prompt = encode_prompt(chat, question.question, context=pair.context)
            missing[i] = encode_whole(chat, question.question, prompt, reply.ids, context=pair.context)
    for i, values in zip(missing, kl_given(pair, list(missing.values()), progress=progress), strict=True):
        tokens = tuple(token.text for token in missing[i].answer_tokens)
        results[i] = divergence = Divergence(tuple(map(float, values)), tokens)
        store.put(keys[i], divergence)
    return [divergence for divergence in results if divergence is not None]
