"""The answer as mappers see it: its words, the tokens of each, and what scores look like.

Not covered: languages without spaces between words get one word a run of letters.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from attrib.records import Token

WORD = re.compile(r"\w+(?:['’]\w+)*")


def words(text: str) -> list[str]:
    """Lower-case words of ``text``."""
    return [match.group().lower() for match in WORD.finditer(text)]


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


def word_of_token(tokens: Sequence[Token], spans: Sequence[tuple[int, int]]) -> np.ndarray:
    """Index of the span that each token overlaps most, −1 for none."""
    out = np.full(len(tokens), -1)
    for i, token in enumerate(tokens):
        overlaps = [min(token.end, end) - max(token.start, start) for start, end in spans]
        if overlaps and max(overlaps) > 0:
            out[i] = int(np.argmax(overlaps))
    return out


@dataclass(frozen=True, eq=False)
class Scores:
    """Scores of one answer against a list of texts."""

    tokens: np.ndarray
    """[answer, text]"""
    whole: np.ndarray
    """[text]"""
    spans: np.ndarray
    """Best matching span of each text, [start, end) characters, [answer, text, 2]."""
