"""Readings of texts: the hidden states and the log-prob that a model gives a text read by itself.

Not covered: how they are compared with an answer (``mapping``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from attrib.index.encoder import device_kind, key_of
from attrib.index.index import Index
from attrib.index.texts import encode_texts
from attrib.models.pair import Model, ModelPair
from attrib.passes.capture import TextCapture, capture_texts
from attrib.progress import Progress

SCHEMA = 1
"""Raised when what is kept of a text changes: older readings are then not found."""


@dataclass(frozen=True, eq=False)
class HiddenEncoder:
    """Texts → what one model makes of them: hidden states at a layer, log-prob, characters of the tokens."""

    pair: ModelPair
    side: Literal["base", "tuned"]
    layer: int

    @property
    def name(self) -> str:
        """Its part of an index."""
        return f"hidden-{self.side}"

    @property
    def model(self) -> Model:
        """Base or tuned."""
        return self.pair.base if self.side == "base" else self.pair.tuned

    @property
    def describe(self) -> dict[str, object]:
        """Everything that changes the numbers."""
        return {
            "model": self.model.fingerprint,
            "layer": self.layer,
            "device": device_kind(self.pair.device),
            "dtype": self.pair.dtype,
            "tokenizer": self.pair.tokenizer_sha256,
        }

    @property
    def key(self) -> str:
        """Hash of ``describe``."""
        return key_of(self.describe)

    @property
    def settings(self) -> dict[str, object]:
        """Settings, as the cache folder keeps them."""
        return {"what": "hidden states", "schema": SCHEMA, **self.describe}

    def text_key(self, text: str) -> str:
        """Nothing else changes a text's reading."""
        return text

    def encode(self, texts: Sequence[str]) -> list[dict[str, np.ndarray]]:
        """``states`` [token, d_model] float16, ``characters`` [token, 2] int32, ``logprob`` [1], ``tokens`` [1]."""
        return [
            {
                "states": read.states,
                "characters": np.stack([read.starts, read.ends], 1).astype(np.int32),
                "logprob": np.array([read.logprob]),
                "tokens": np.array([read.tokens], dtype=np.int64),
            }
            for read in capture_texts(self.model, texts, self.layer)
        ]


def reading_of(arrays: Mapping[str, np.ndarray]) -> TextCapture:
    """The capture from which ``HiddenEncoder.encode`` made these arrays."""
    starts, ends = arrays["characters"].astype(np.int64).T
    return TextCapture(float(arrays["logprob"][0]), int(arrays["tokens"][0]), arrays["states"], starts, ends)


def read_texts(
    pair: ModelPair,
    side: Literal["base", "tuned"],
    texts: Mapping[int, str],
    layer: int,
    *,
    index: Index | None = None,
    cache: Path | None = None,
    progress: Progress | None = None,
) -> dict[int, TextCapture]:
    """One model's reading of each text, by the text's number; see ``encode_texts``."""
    encoder = HiddenEncoder(pair, side, layer)
    folder = cache / "readings" if cache is not None else None
    found = encode_texts(
        encoder, texts, index=index, cache=folder, group=32, task=f"{encoder.model.name} reads sections",
        progress=progress,
    )  # fmt: skip
    return {number: reading_of(arrays) for number, arrays in found.items()}
