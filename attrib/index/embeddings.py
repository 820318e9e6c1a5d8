"""Embeddings of texts: unit vectors of the passages that a text is cut into.

On a CPU one passage at a time, so that a vector does not depend on the passages beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np

from attrib.index.encoder import device_kind, key_of
from attrib.models.embedder import load_embedder
from attrib.records import Section
from attrib.text.words import WORD

EMBEDDING = "embedding"
"""Their part of an index."""
PASSAGE = 120
"""Words of a section that are embedded together: the embedder reads no more than 256 word pieces."""


def passages(text: str) -> list[tuple[int, int]]:
    """[start, end) of consecutive runs of at most PASSAGE words; the whole text where it is short."""
    starts = [match.start() for match in WORD.finditer(text)][::PASSAGE]
    if len(starts) <= 1:
        return [(0, len(text))]
    return list(pairwise([0, *starts[1:], len(text)]))


@dataclass(frozen=True, eq=False)
class EmbeddingEncoder:
    """Sections → unit vectors of their passages."""

    device: str = "cpu"

    name = EMBEDDING

    @property
    def describe(self) -> dict[str, object]:
        """Everything that changes the numbers."""
        return {"embedder": "bundled", "device": device_kind(self.device)}

    @property
    def key(self) -> str:
        """Hash of ``describe``."""
        return key_of(self.describe)

    @cached_property
    def embedder(self) -> Any:
        """The sentence embedder, loaded on first use."""
        return load_embedder(device=self.device)

    def vectors(self, pieces: Sequence[str]) -> np.ndarray:
        """[piece, d_embedding]; on a CPU one piece at a time, past what ``encode`` does for each batch."""
        import torch

        if not self.device.startswith("cpu"):
            found = self.embedder.encode(
                list(pieces), batch_size=64, normalize_embeddings=True, show_progress_bar=False
            )
            return np.asarray(found)
        self.embedder.eval()
        with torch.inference_mode():
            # Its name since version 6, in which the old one warns.
            prepare = getattr(self.embedder, "preprocess", None) or self.embedder.tokenize
            rows = [self.embedder(prepare([piece]))["sentence_embedding"] for piece in pieces]
            return np.asarray(torch.nn.functional.normalize(torch.cat(rows), dim=1).numpy())

    def encode(self, sections: Sequence[Section]) -> list[dict[str, np.ndarray]]:
        """``vectors`` [passage, d_embedding] float16 and ``spans`` [passage, 2] int32, characters of ``full_text``."""
        texts = [section.full_text for section in sections]
        cut = [passages(text) for text in texts]
        pieces = [text[start:end] for text, spans in zip(texts, cut, strict=True) for start, end in spans]
        vectors = self.vectors(pieces).astype(np.float16)
        ends = np.cumsum([len(spans) for spans in cut])
        return [
            {"vectors": vectors[end - len(spans) : end], "spans": np.array(spans, dtype=np.int32)}
            for spans, end in zip(cut, ends, strict=True)
        ]
