"""Readings of sections: the hidden states and the log-prob that a model gives what was trained of each.

Not covered: how they are compared with an answer (``mapping``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from attrib.index.encoder import device_kind, item_key, key_of
from attrib.index.index import Index
from attrib.index.texts import encode_sections
from attrib.models.pair import Model, ModelPair
from attrib.models.rendering import encode_item
from attrib.passes.capture import TextCapture, capture_items
from attrib.progress import Progress
from attrib.records import Section

SCHEMA = 2
"""Raised when what is kept of a text changes: older readings are then not found."""


@dataclass(frozen=True, eq=False)
class HiddenEncoder:
    """Sections → what one model makes of them: hidden states at a layer, log-prob, characters of the tokens."""

    pair: ModelPair
    side: Literal["base", "tuned"]
    layer: int
    rendering: str = ""
    """``rendering_of`` all sections that it is to encode."""

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
        return {**self._common, **({"rendering": self.rendering} if self.rendering else {})}

    @property
    def _common(self) -> dict[str, object]:
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
        return {"what": "hidden states", "schema": SCHEMA, **self._common}

    def section_key(self, section: Section) -> object:
        """Nothing else changes a section's reading."""
        return item_key(self.model.chat, section, self.pair.context)

    def encode(self, sections: Sequence[Section]) -> list[dict[str, np.ndarray]]:
        """``states`` [token, d_model] float16, ``characters`` [token, 2] int32, ``by_token`` [token] float32,
        ``summed`` [token] uint8, ``logprob`` [1], ``tokens`` [1].

        Characters are those of the item; ``reading_of`` moves them past a conversation's heading.
        """
        return [
            {
                "states": read.states,
                "characters": np.stack([read.starts, read.ends], 1).astype(np.int32),
                "by_token": read.by_token,
                "summed": read.summed.astype(np.uint8),
                "logprob": np.array([read.logprob]),
                "tokens": np.array([read.tokens], dtype=np.int64),
            }
            for read in capture_items(
                self.model, [section.item for section in sections], self.layer, context=self.pair.context
            )
        ]


def reading_of(arrays: Mapping[str, np.ndarray], section: Section) -> TextCapture:
    """The capture from which ``HiddenEncoder.encode`` made these arrays, its characters those of ``full_text``."""
    heading = len(section.full_text) - len(section.text) if section.turns else 0
    starts, ends = arrays["characters"].astype(np.int64).T + heading
    logprob, tokens = float(arrays["logprob"][0]), int(arrays["tokens"][0])
    summed = arrays["summed"].astype(bool)
    return TextCapture(logprob, tokens, arrays["by_token"], summed, arrays["states"], starts, ends)


def cut_note(pair: ModelPair, sections: Sequence[Section]) -> tuple[str, ...]:
    """One line where conversations among ``sections`` are longer than the context, so that their ends are not read."""
    talks = [section for section in sections if section.turns]
    cut = sum(encode_item(pair.chat, section.item).tokens > pair.context for section in talks)
    if not cut:
        return ()
    return (
        f"{cut} of {len(talks)} conversations read are longer than the models' {pair.context:,} tokens: what was "
        "trained beyond them was not read",
    )


def read_sections(
    pair: ModelPair,
    side: Literal["base", "tuned"],
    sections: Mapping[int, Section],
    layer: int,
    *,
    index: Index | None = None,
    cache: Path | None = None,
    progress: Progress | None = None,
) -> dict[int, TextCapture]:
    """One model's reading of each section, by its number; see ``encode_sections``."""
    encoder = HiddenEncoder(pair, side, layer)
    folder = cache / "readings" if cache is not None else None
    found = encode_sections(
        encoder, sections, index=index, cache=folder, group=32, task=f"{encoder.model.name} reads sections",
        progress=progress,
    )  # fmt: skip
    return {number: reading_of(arrays, sections[number]) for number, arrays in found.items()}
