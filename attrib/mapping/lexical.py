"""BM25 (Robertson & Zaragoza 2009, Lucene's form): the lexical baseline that stands beside every mapper."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from attrib.mapping.answer import Answer, MapperScores, resemblance, spread
from attrib.mapping.reading import Reading
from attrib.text.words import WORD

BM25 = resemblance("sum", "BM25", "BM25 score of shared words")


def bm25(answer: Answer, reading: Reading) -> MapperScores:
    """Like ``bm25_answer``, but ``whole`` scores question and answer: token rows and the question's score sum to it."""
    found = bm25_answer(answer, reading)
    return replace(found, whole=reading.bm25.query(answer.question)[reading.chosen] + found.whole)


def bm25_answer(answer: Answer, reading: Reading) -> MapperScores:
    """Each token's share of its word's BM25 score, split evenly over its tokens; ``whole`` is the sum of the rows."""
    index, chosen = reading.bm25, reading.chosen
    answer_words = [answer.text[start:end].lower() for start, end in answer.words]
    by_word = np.array([index.word(word)[chosen] for word in answer_words]).reshape(len(answer_words), len(chosen))
    scores = spread(answer, by_word)
    spans = np.zeros((*scores.shape, 2), dtype=np.int64)
    for column, i in enumerate(chosen):
        found = _places(reading.texts[i])
        # Tokens without a word have owner −1: the last row.
        by_word_places = [found.get(word, (0, 0)) for word in answer_words] + [(0, 0)]
        spans[:, column] = np.array(by_word_places)[answer.word_of_token]
    return MapperScores(scores, scores.sum(0), spans)


def _places(text: str) -> dict[str, tuple[int, int]]:
    """First place of each word."""
    found: dict[str, tuple[int, int]] = {}
    for match in WORD.finditer(text):
        found.setdefault(match.group().lower(), match.span())
    return found
