"""The documents and the control texts, with what is computed once for all questions: BM25, embeddings, the index.

Not covered: without an index, corpora whose embeddings do not fit in memory.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from jaxtyping import Int

from attrib.corpus import demo
from attrib.corpus.control import in_form_of
from attrib.corpus.documents import Corpus
from attrib.errors import InputError
from attrib.index.embeddings import EMBEDDING, EmbeddingEncoder, passages
from attrib.index.index import Index
from attrib.models.bundled import cache_dir
from attrib.progress import Progress
from attrib.records import Section
from attrib.records.item import FORMS
from attrib.store import arrays_in
from attrib.text.forms import forms
from attrib.text.words import words

if TYPE_CHECKING:
    from attrib.corpus.bm25 import Bm25

SCHEMA = 1
"""Raised when the cached embeddings change: older ones are then not found."""


@dataclass(frozen=True, eq=False)
class Library:
    """The documents and the control texts, ready for any number of questions. ``make`` opens an index and the cache."""

    corpus: Corpus
    control: Corpus = field(default_factory=demo.control)
    """Texts that neither model was tuned on, as they were given; see ``sections``."""
    device: str = "cpu"
    """Where the embedder runs."""
    cache: Path | None = None
    """Folder of embeddings, readings and gradients; None keeps nothing."""
    index: Index | None = None
    """An index of these texts, whose arrays are not computed again; None: there is none."""
    progress: Progress | None = None

    @classmethod
    def make(
        cls,
        corpus: Corpus,
        control: Corpus | None = None,
        *,
        index: Path | None = None,
        cache: Path | Literal["default"] | None = "default",
        device: str = "cpu",
        progress: Progress | None = None,
    ) -> Library:
        """The documents with their control texts (default: those that ship with the package; better: held-out documents
        of your own), over the index in a folder that ``attrib index`` made of them.

        Raises InputError for an index of other texts or of another embedder.
        """
        control = control if control is not None else demo.control()
        opened = None
        if index is not None:
            opened = Index.open(index, corpus=corpus, control=in_form_of(corpus, control))
            opened.check([EmbeddingEncoder(device)])
        folder = cache_dir() if cache == "default" else cache
        return cls(corpus, control, device, folder, opened, progress)

    def __post_init__(self) -> None:
        if not self.corpus.sections:
            raise InputError("documents: they hold no sections; give documents with text")
        clash = {s.id for s in self.corpus.sections} & {s.id for s in self.control.sections}
        if clash:
            raise InputError(f"control: {len(clash)} of its sections are in the documents too; give texts that are not")

    @property
    def provenance(self) -> dict[str, object]:
        """Names and hashes of the texts, as records hold them."""
        files = [{"name": name, "sha256": sha256} for name, sha256 in self.corpus.documents]
        read = {**self.corpus.reading, "reading": self.corpus.report.fields()}
        documents = {"sha256": self.corpus.sha256, "files": files, **read}
        control: dict[str, object] = {"sha256": self.control.sha256, "reading": self.control.report.fields()}
        counts = Counter(section.form for section in self.sections[len(self.corpus) :])
        if set(counts) - {"text"}:
            control["forms"] = dict(sorted(counts.items()))
        return {"documents": documents, "control": control}

    @cached_property
    def sections(self) -> tuple[Section, ...]:
        """Sections of the documents, then control texts in their form: what models read, each as its item."""
        return (*self.corpus.sections, *in_form_of(self.corpus, self.control).sections)

    @cached_property
    def forms(self) -> Int[np.ndarray, " text"]:
        """Form of each of ``sections``, as its place in FORMS."""
        return np.array([FORMS.index(section.form) for section in self.sections], dtype=np.int64)

    @cached_property
    def texts(self) -> tuple[str, ...]:
        """Words of ``sections``, question and answer of a conversation alike: what is searched."""
        return tuple(section.full_text for section in self.sections)

    @cached_property
    def bm25(self) -> Bm25:
        """Index over ``texts``."""
        from attrib.corpus.bm25 import Bm25

        return Bm25(self.texts)

    @cached_property
    def embedder(self) -> Any:
        """The sentence embedder, loaded on first use."""
        from attrib.models.embedder import load_embedder

        return load_embedder(device=self.device)

    @cached_property
    def _passages(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Owner text [passage], character spans [passage, 2] and unit vectors [passage, d_embedding], of all texts."""
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
        folder = self.cache / "embeddings" if self.cache is not None else None
        store = arrays_in(folder, {"schema": SCHEMA, "embedder": "bundled", "device": self.device})
        return store.get_or_make(list(pieces), lambda: {"vectors": self._embed(pieces)})["vectors"]

    def _embed(self, pieces: Sequence[str]) -> np.ndarray:
        from attrib.models.embedder import embed

        tell = self.progress or (lambda what, done, total: None)
        vectors = []
        for done in range(0, len(pieces), 256):
            tell("embedding sections", done, len(pieces))
            vectors.append(embed(pieces[done : done + 256], embedder=self.embedder))
        tell("embedding sections", len(pieces), len(pieces))
        return np.concatenate(vectors)

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

    @cached_property
    def _form_frequency(self) -> Counter[str]:
        return Counter(form for text in self.texts for form in set(forms(text)))

    def form_idf(self, form: str) -> float:
        """Rarity of a word's form (``text.forms``) among the texts, nats."""
        frequency = self._form_frequency[form]
        return float(np.log1p((len(self.texts) - frequency + 0.5) / (frequency + 0.5)))

    def with_control(self, chosen: np.ndarray) -> np.ndarray:
        """Chosen sections followed by every control text."""
        return np.concatenate([chosen, len(self.corpus) + np.arange(len(self.control))])
