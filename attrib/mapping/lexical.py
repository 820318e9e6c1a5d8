"""BM25 (Robertson & Zaragoza 2009, Lucene's form): the lexical baseline that stands beside every mapper."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from attrib.mapping.answer import WORD, Answer, Scores, words
from attrib.mapping.reading import Reading
from attrib.mapping.words import spread


class Bm25:
    """An index over texts whose score of a query is the sum of its words' scores."""

    def __init__(self, texts: Sequence[str]) -> None:
        import bm25s

        self._texts = len(texts)
        self._index: Any = bm25s.BM25(method="lucene")
        # A text without words still needs a row.
        self._index.index([words(text) or [""] for text in texts], show_progress=False)

    def word(self, word: str) -> np.ndarray:
        """Score of one word in every text, [text]; zero for a word that none has."""
        if word not in self._index.vocab_dict:
            return np.zeros(self._texts)
        return np.asarray(self._index.get_scores([word]), dtype=np.float64)

    def query(self, text: str) -> np.ndarray:
        """Score of all words of ``text``, repetitions counted, [text]."""
        return np.asarray(sum((self.word(w) for w in words(text)), np.zeros(self._texts)))


def bm25(answer: Answer, reading: Reading) -> Scores:
    """As ``bm25_answer``, but ``whole`` is of question and answer: token rows and the question's score sum to it."""
    found = bm25_answer(answer, reading)
    return replace(found, whole=reading.bm25.query(answer.question)[reading.chosen] + found.whole)


def bm25_answer(answer: Answer, reading: Reading) -> Scores:
    """Each token's share of its word's BM25 score, split evenly over its tokens; ``whole`` is the sum of the rows."""
    index, chosen = reading.bm25, reading.chosen
    said = [answer.text[start:end].lower() for start, end in answer.words]
    by_word = np.array([index.word(word)[chosen] for word in said]).reshape(len(said), len(chosen))
    scores = spread(answer, by_word)
    spans = np.zeros((*scores.shape, 2), dtype=np.int64)
    for column, i in enumerate(chosen):
        found = _places(reading.texts[i])
        # Tokens without a word have owner −1: the last row.
        spans[:, column] = np.array([*(found.get(word, (0, 0)) for word in said), (0, 0)])[answer.word_of_token]
    return Scores(scores, scores.sum(0), spans)


def _places(text: str) -> dict[str, tuple[int, int]]:
    """First place of each word."""
    found: dict[str, tuple[int, int]] = {}
    for match in WORD.finditer(text):
        found.setdefault(match.group().lower(), match.span())
    return found
