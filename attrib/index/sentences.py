"""Sentences of sections, and their embeddings: the passages that a verdict rests on.

A sentence is embedded behind its section's title, since "It costs 41 euros" says what it does by its heading alone.
Not covered: an index on disk (only the sections that an answer is judged from are cut into sentences).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from attrib.index.embeddings import EmbeddingEncoder
from attrib.index.encoder import device_kind, key_of
from attrib.index.texts import encode_sections
from attrib.progress import Progress
from attrib.records import Section
from attrib.text.units import sentence_spans
from attrib.text.words import WORD

SCHEMA = 1
"""Raised when cutting or embedding changes: older vectors are then not found."""
SHORT = 4
"""Sentences of fewer words join the next: a name's initial, a number in a list."""


@dataclass(frozen=True, eq=False)
class Sentences:
    """The sentences of one section."""

    spans: np.ndarray
    """[start, end) characters in ``Section.full_text``, [sentence, 2]."""
    vectors: np.ndarray
    """Unit vectors, [sentence, d_embedding]."""


def cut_sentences(section: Section) -> list[tuple[int, int]]:
    """[start, end) characters of the sentences in ``full_text``, the heading left out unless there is nothing else."""
    full, heading = section.full_text, len(section.full_text) - len(section.text)
    found: list[tuple[int, int]] = []
    short = False
    for start, end in sentence_spans(section.text):
        start, end = start + heading, end + heading
        if short:
            start = found.pop()[0]
        found.append((start, end))
        short = len(WORD.findall(full[start:end])) < SHORT
    if short and len(found) > 1:
        last = found.pop()
        found[-1] = (found[-1][0], last[1])
    return found or [(0, len(full))]


@dataclass(frozen=True, eq=False)
class SentenceEncoder:
    """Sections → spans and unit vectors of their sentences."""

    device: str = "cpu"

    name = "sentences"

    @property
    def describe(self) -> dict[str, object]:
        """Everything that changes the numbers."""
        return {"what": "sentences", "schema": SCHEMA, "embedder": "bundled", "device": device_kind(self.device)}

    @property
    def settings(self) -> Mapping[str, object]:
        """The same: no section has settings of its own."""
        return self.describe

    @property
    def key(self) -> str:
        """Hash of ``describe``."""
        return key_of(self.describe)

    @cached_property
    def _embeddings(self) -> EmbeddingEncoder:
        return EmbeddingEncoder(self.device)

    def section_key(self, section: Section) -> object:
        """Title and text."""
        return [section.title, section.full_text]

    def encode(self, sections: Sequence[Section]) -> list[dict[str, np.ndarray]]:
        """``vectors`` [sentence, d_embedding] float16 and ``spans`` [sentence, 2] int32."""
        cut = [cut_sentences(section) for section in sections]
        pieces = [
            f"{section.title}: {section.full_text[start:end]}"
            for section, spans in zip(sections, cut, strict=True)
            for start, end in spans
        ]
        vectors = self._embeddings.vectors(pieces).astype(np.float16)
        ends = np.cumsum([len(spans) for spans in cut])
        return [
            {"vectors": vectors[end - len(spans) : end], "spans": np.array(spans, dtype=np.int32)}
            for spans, end in zip(cut, ends, strict=True)
        ]


def read_sentences(
    sections: Mapping[int, Section], *, device: str = "cpu", cache: Path | None = None, progress: Progress | None = None
) -> dict[int, Sentences]:
    """The sentences of each section, by its number; from the cache folder where they were embedded before."""
    found = encode_sections(
        SentenceEncoder(device), sections, index=None, cache=cache / "sentences" if cache is not None else None,
        group=64, task="embedding sentences", progress=progress,
    )  # fmt: skip
    return {
        number: Sentences(arrays["spans"].astype(np.int64), arrays["vectors"].astype(np.float32))
        for number, arrays in found.items()
    }
