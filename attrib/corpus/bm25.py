"""BM25 (Robertson & Zaragoza 2009, Lucene's form) over a list of texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from attrib.text.words import words


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
