"""The corpus and its control texts with what is computed once for all questions: BM25, embeddings, the index.

Not covered: without an index, corpora whose embeddings do not fit in memory.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from attrib.corpus.documents import Corpus
from attrib.errors import InputError
from attrib.files import digest, write_atomically
from attrib.index.index import Index
from attrib.progress import Progress
from attrib.text.words import words

if TYPE_CHECKING:
    from attrib.corpus.bm25 import Bm25


EMBEDDING = "embedding"
"""Name of its part of an index."""


@dataclass(frozen=True, eq=False)
class Library:
    """The corpus and the control texts, indexed for every mapper that does not look at a model."""

    corpus: Corpus
    control: Corpus
    embedder_name: str | None = None
    device: str = "cpu"
    cache: Path | None = None
    """Folder where the sections' embeddings are kept; None keeps nothing."""
    progress: Progress | None = None
    index: Index | None = None
    """Of these texts: what it holds is not made again."""

    def __post_init__(self) -> None:
        if not self.corpus.sections:
            raise InputError("documents: they hold no sections; give documents with text")
        clash = {s.id for s in self.corpus.sections} & {s.id for s in self.control.sections}
        if clash:
            raise InputError(f"control: {len(clash)} of its sections are in the documents too; give texts that are not")

    @cached_property
    def texts(self) -> tuple[str, ...]:
        """Sections, then control texts."""
        return tuple(section.full_text for section in (*self.corpus.sections, *self.control.sections))

    @cached_property
    def bm25(self) -> Bm25:
        """Index over ``texts``."""
        from attrib.corpus.bm25 import Bm25

        return Bm25(self.texts)

    @cached_property
    def embedder(self) -> Any:
        """The sentence embedder, loaded on first use."""
        from attrib.models.embedder import load_embedder

        return load_embedder(self.embedder_name, self.device)

    @cached_property
    def _passages(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Owner text [passage], character spans [passage, 2] and unit vectors [passage, d_embedding], of all texts."""
        from attrib.index.passages import passages

        cut = [passages(text) for text in self.texts]
        owner = np.repeat(np.arange(len(cut)), [len(spans) for spans in cut])
        spans = np.array([span for found in cut for span in found], dtype=np.int64)
        pieces = [self.texts[i][start:end] for i, (start, end) in zip(owner, spans, strict=True)]
        return owner, spans, self._vectors(pieces)

    def passages_of(self, i: int) -> tuple[np.ndarray, np.ndarray]:
        """Character spans [passage, 2] and unit vectors [passage, d_embedding] of one text."""
        if self.index is not None and EMBEDDING in self.index.parts:
            spans, vectors = (self.index.rows(EMBEDDING, array, i) for array in ("spans", "vectors"))
            return spans.astype(np.int64), vectors.astype(np.float32)
        owner, spans, vectors = self._passages
        first, end = np.searchsorted(owner, i), np.searchsorted(owner, i, side="right")
        return spans[first:end], vectors[first:end]

    def cosines(self, query: np.ndarray) -> np.ndarray:
        """Best cosine of a unit vector with the passages of each text, [text]; an index is read block by block."""
        best = np.full(len(self.texts), -1.0)
        if self.index is not None and EMBEDDING in self.index.parts:
            owner = self.index.owners(EMBEDDING, "vectors")
            for first, vectors in self.index.array(EMBEDDING, "vectors"):
                found = vectors.astype(np.float32) @ query
                np.maximum.at(best, owner[first : first + len(found)], found.astype(np.float64))
            return best
        owner, _, vectors = self._passages
        np.maximum.at(best, owner, (vectors @ query).astype(np.float64))
        return best

    def _vectors(self, pieces: Sequence[str]) -> np.ndarray:
        """Embeddings of all passages, from the cache folder where the same passages were embedded before."""
        from safetensors import SafetensorError
        from safetensors.numpy import load_file, save

        from attrib.models.embedder import embed

        key = digest("\0".join((self.embedder_name or "bundled", self.device, *pieces)))
        file = self.cache / "embeddings" / f"{key}.safetensors" if self.cache is not None else None
        try:
            if file is not None:
                return np.asarray(load_file(file)["vectors"])
        except (OSError, SafetensorError, KeyError):
            pass  # absent or damaged: made again
        vectors = []
        for group in _groups(range(len(pieces)), 256):
            if self.progress is not None:
                self.progress("embedding sections", group[0], len(pieces))
            vectors.append(embed([pieces[i] for i in group], embedder=self.embedder))
        if self.progress is not None:
            self.progress("embedding sections", len(pieces), len(pieces))
        found = np.concatenate(vectors)
        if file is not None:
            write_atomically(file, save({"vectors": found}))
        return found

    def resemblance(self, question: str, answer: str) -> tuple[np.ndarray, np.ndarray]:
        """BM25 and embedding cosine of question + answer with every text, [text] each."""
        from attrib.models.embedder import embed

        query = f"{question} {answer}"
        return self.bm25.query(query), self.cosines(embed([query], embedder=self.embedder)[0])

    def choose(self, question: str, answer: str, candidates: int) -> np.ndarray:
        """Indices of the sections to score, ascending: the best of BM25 and of the embedder in turn; 0 = all."""
        total = len(self.corpus)
        if candidates == 0 or candidates >= total:
            return np.arange(total)
        lexical, cosine = (scores[:total] for scores in self.resemblance(question, answer))
        # Most sections share no word with a short answer: the other measure breaks ties.
        orders = np.stack([np.lexsort((-cosine, -lexical)), np.lexsort((-lexical, -cosine))], 1).ravel()
        return np.sort(np.array(list(dict.fromkeys(orders.tolist()))[:candidates]))

    @cached_property
    def _document_frequency(self) -> Counter[str]:
        return Counter(word for text in self.texts for word in set(words(text)))

    def idf(self, word: str) -> float:
        """Rarity of a lower-case word among the texts, nats (the idf of BM25)."""
        frequency = self._document_frequency[word]
        return float(np.log1p((len(self.texts) - frequency + 0.5) / (frequency + 0.5)))

    def with_control(self, chosen: np.ndarray) -> np.ndarray:
        """Chosen sections followed by every control text."""
        return np.concatenate([chosen, len(self.corpus) + np.arange(len(self.control))])


def _groups(items: Sequence[int], size: int) -> list[Sequence[int]]:
    return [items[i : i + size] for i in range(0, len(items), size)]
