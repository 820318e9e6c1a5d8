"""The answer as mappers see it: its words, the tokens of each, and what scores look like.

Not covered: languages without spaces between words get one word a run of letters.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from attrib.records import Token
from attrib.records.kind import ScoreKind
from attrib.text.words import WORD, word_of_token


@dataclass(frozen=True, eq=False)
class Answer:
    """One answer under one model, ready to be mapped."""

    question: str
    text: str
    tokens: tuple[Token, ...]
    states: np.ndarray | None = None
    """Hidden states of the answer tokens at the mapping layer, [answer, d_model]; None for text-only mappers."""

    @property
    def words(self) -> list[tuple[int, int]]:
        """[start, end) characters of each word."""
        return [match.span() for match in WORD.finditer(self.text)]

    @property
    def word_of_token(self) -> np.ndarray:
        """Index of the word that each token overlaps most, −1 for punctuation and blanks, [answer]."""
        return word_of_token(self.tokens, self.words)


def resemblance(reduction: Literal["sum", "max"], unit: str, meaning: str) -> ScoreKind:
    """Kind of the unsigned scores that say how alike section and answer are."""
    caveat = "Similarity is not influence: a section that says the same need not be what the model learned from."
    return ScoreKind(claim="resemblance", reduction=reduction, signed=False, unit=unit, meaning=meaning, caveat=caveat)


@dataclass(frozen=True, eq=False)
class MapperScores:
    """Scores of one answer against a list of texts."""

    tokens: np.ndarray
    """[answer, text]"""
    whole: np.ndarray
    """[text]"""
    spans: np.ndarray
    """Best matching span of each text, [start, end) characters, [answer, text, 2]."""


def spread(answer: Answer, by_word: np.ndarray) -> np.ndarray:
    """Scores of the answer's words, [word, text], split evenly over each word's tokens, [answer, text].

    A token over several words has the scores of all of them; columns keep their sums wherever tokens cover the words.
    """
    owner = answer.word_of_token
    scores = np.zeros((len(answer.tokens), by_word.shape[1]))
    for number, (start, end) in enumerate(answer.words):
        rows = np.flatnonzero(owner == number)
        if not rows.size:
            # A token over several words belongs to the longest; the score of the others is its too.
            over = [i for i, token in enumerate(answer.tokens) if token.start < end and start < token.end]
            rows = np.array(over, dtype=np.int64)
        scores[rows] += by_word[number] / max(rows.size, 1)
    return scores
