"""What mappers know of the sections: texts, lexical index, embeddings, and what each model makes of each text.

``Library`` is made once for a corpus; ``Reading`` is one model's view of the texts chosen for one answer. What models
make of a text is kept in the cache folder, keyed by model, tokenizer, device, dtype, layer and text.
Not covered: without an index, corpora whose embeddings do not fit in memory.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from attrib.capture import TextCapture, capture_texts
from attrib.documents import Corpus
from attrib.errors import InputError
from attrib.files import write_atomically
from attrib.index import Index
from attrib.mapping.answer import words
from attrib.models.pair import Model
from attrib.progress import Progress

if TYPE_CHECKING:
    from attrib.mapping.influence import Gradients
    from attrib.mapping.lexical import Bm25

EMBEDDING = "embedding"
"""Name of its part of an index."""
SCHEMA = 1
"""Raised when what is kept of a text changes: older readings are then not found."""


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
        from attrib.mapping.lexical import Bm25

        return Bm25(self.texts)

    @cached_property
    def embedder(self) -> Any:
        """The sentence embedder, loaded on first use."""
        from attrib.mapping.embedding import load_embedder

        return load_embedder(self.embedder_name, self.device)

    @cached_property
    def _passages(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Owner text [passage], character spans [passage, 2] and unit vectors [passage, d_embedding], of all texts."""
        from attrib.mapping.embedding import passages

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

        from attrib.mapping.embedding import embed

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
        from attrib.mapping.embedding import embed

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


@dataclass(frozen=True, eq=False)
class Reading:
    """The texts chosen for one answer, as one model reads them."""

    library: Library
    chosen: np.ndarray
    """Indices into ``library.texts``: sections, then control."""
    captures: Mapping[int, TextCapture] = field(default_factory=dict)
    """By index; empty where no mapper looks at the model."""
    model: Model | None = None
    """For mappers that run it themselves."""
    context_layer: int | None = None
    """Layer of ``hidden_context``; None = the one chosen on VERI-GRAN."""
    gradients: tuple[Gradients, ...] = ()
    """At each checkpoint, of the answer and of the chosen texts; empty where ``influence`` is not asked for."""

    @property
    def texts(self) -> tuple[str, ...]:
        """All texts of the library."""
        return self.library.texts

    @property
    def bm25(self) -> Bm25:
        """The library's lexical index."""
        return self.library.bm25

    @property
    def embedder(self) -> Any:
        """The library's embedder."""
        return self.library.embedder

    @cached_property
    def centre(self) -> np.ndarray:
        """Mean state of the control texts' tokens, [d_model]; zero without control texts."""
        control = [self.captures[i].states for i in self.chosen if i >= len(self.library.corpus)]
        if not control:
            return np.zeros(next(iter(self.captures.values())).states.shape[1], dtype=np.float32)
        return np.asarray(np.concatenate(control).astype(np.float32).mean(0))

    def passage_scores(self, vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Best cosine of each query with the passages of each chosen text and its span: [query, text], […, 2]."""
        scores = np.zeros((len(vectors), len(self.chosen)))
        places = np.zeros((len(vectors), len(self.chosen), 2), dtype=np.int64)
        for column, i in enumerate(self.chosen):
            spans, passages = self.library.passages_of(int(i))
            cosines = vectors @ passages.T
            best = cosines.argmax(1)
            scores[:, column] = cosines[np.arange(len(vectors)), best]
            places[:, column] = spans[best]
        return scores, places


def read_texts(
    model: Model,
    texts: Mapping[int, str],
    layer: int,
    *,
    variant: str,
    cache: Path | None,
    stored: Callable[[int], TextCapture | None] = lambda number: None,
    progress: Progress | None = None,
) -> dict[int, TextCapture]:
    """What ``model`` makes of each text: from an index (``stored``, by number), from the cache folder, or made now and
    kept there, one file each.

    ``variant`` names all that changes the numbers besides weights and layer: device, dtype and tokenizer.
    """
    whose = digest(f"{SCHEMA} {model.fingerprint} {variant} {layer}")
    folder = cache / "readings" / whose if cache is not None else None
    files = {i: folder / f"{digest(text)}.safetensors" for i, text in texts.items()} if folder is not None else {}
    found = {i: capture for i in texts if (capture := stored(i)) is not None}
    found |= {i: capture for i, file in files.items() if i not in found and (capture := _load(file)) is not None}
    missing = [i for i in texts if i not in found]
    # Small groups: an interrupted run keeps what it has read.
    done = 0
    for group in _groups(missing, 32):
        if progress is not None:
            progress(f"{model.name} reads sections", done, len(missing))
        for i, capture in zip(group, capture_texts(model, [texts[i] for i in group], layer), strict=True):
            found[i] = capture
            if files:
                _store(files[i], capture)
        done += len(group)
    if progress is not None and missing:
        progress(f"{model.name} reads sections", len(missing), len(missing))
    return found


def _groups(items: Sequence[int], size: int) -> list[Sequence[int]]:
    return [items[i : i + size] for i in range(0, len(items), size)]


def digest(text: str) -> str:
    """Hash of a text, as a file's name."""
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def _load(file: Path) -> TextCapture | None:
    """A stored capture; None where it is absent or damaged (it is then made again)."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        arrays = load_file(file)
        return TextCapture(
            float(arrays["logprob"]), int(arrays["tokens"]), arrays["states"], arrays["starts"], arrays["ends"]
        )
    except (OSError, SafetensorError, KeyError, TypeError):
        return None


def _store(file: Path, capture: TextCapture) -> None:
    from safetensors.numpy import save

    arrays = {
        "logprob": np.array(capture.logprob),
        "tokens": np.array(capture.tokens),
        "states": capture.states,
        "starts": capture.starts,
        "ends": capture.ends,
    }
    # safetensors writes the memory of a view as it lies: a copy in C order. (ascontiguousarray makes scalars arrays.)
    write_atomically(file, save({name: np.array(array, order="C") for name, array in arrays.items()}))
