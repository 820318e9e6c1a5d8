"""What goes into an index, and what comes out of it for the mappers: embeddings, hidden states, gradients.

On a CPU every encoder reads one text at a time, so that its numbers do not depend on the block or the process. Not
covered: BM25, which is made of the texts at every start (0.6 s at 10⁴ sections, 7.6 s at 10⁵).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np

from attrib.errors import InputError
from attrib.files import digest
from attrib.index.gradients import NOTHING, GradientEncoder, TrainedQuestions, Vector, stages
from attrib.index.index import Encoder, Index
from attrib.index.library import EMBEDDING
from attrib.index.passages import passages
from attrib.models.embedder import load_embedder
from attrib.models.pair import Model, ModelPair
from attrib.options.explain import InfluenceOptions
from attrib.passes.capture import TextCapture, capture_texts

Part = Literal["embedding", "hidden", "gradients"]
PARTS: tuple[Part, ...] = ("embedding", "hidden", "gradients")
"""What can be asked for; the last two need the models."""
SIDES: tuple[Literal["base", "tuned"], ...] = ("base", "tuned")


def _kind(device: str) -> str:
    """Whichever GPU it is: processes that share an index have one each."""
    return device.split(":")[0]


@dataclass(frozen=True, eq=False)
class EmbeddingEncoder:
    """Texts → unit vectors of their passages."""

    embedder_name: str | None = None
    device: str = "cpu"

    name = EMBEDDING

    @property
    def describe(self) -> dict[str, object]:
        """Everything that changes the numbers."""
        return {"embedder": self.embedder_name or "bundled", "device": _kind(self.device)}

    @property
    def key(self) -> str:
        """Hash of ``describe``."""
        return digest(json.dumps(self.describe, sort_keys=True))

    @cached_property
    def embedder(self) -> Any:
        """The sentence embedder, loaded on first use."""
        return load_embedder(self.embedder_name, self.device)

    def _vectors(self, pieces: Sequence[str]) -> np.ndarray:
        """[piece, d_embedding]; on a CPU one piece at a time, past what ``encode`` does for each batch."""
        import torch

        if not self.device.startswith("cpu"):
            found = self.embedder.encode(
                list(pieces), batch_size=64, normalize_embeddings=True, show_progress_bar=False
            )
            return np.asarray(found)
        self.embedder.eval()
        with torch.inference_mode():
            rows = [self.embedder(self.embedder.tokenize([piece]))["sentence_embedding"] for piece in pieces]
            return np.asarray(torch.nn.functional.normalize(torch.cat(rows), dim=1).numpy())

    def encode(self, texts: Sequence[str]) -> list[dict[str, np.ndarray]]:
        """``vectors`` [passage, d_embedding] float16 and ``spans`` [passage, 2] int32, characters."""
        cut = [passages(text) for text in texts]
        pieces = [text[start:end] for text, spans in zip(texts, cut, strict=True) for start, end in spans]
        vectors = self._vectors(pieces).astype(np.float16)
        ends = np.cumsum([len(spans) for spans in cut])
        return [
            {"vectors": vectors[end - len(spans) : end], "spans": np.array(spans, dtype=np.int32)}
            for spans, end in zip(cut, ends, strict=True)
        ]


@dataclass(frozen=True, eq=False)
class HiddenEncoder:
    """Texts → what one model makes of them: hidden states at a layer, log-prob, offsets of the tokens."""

    pair: ModelPair
    side: Literal["base", "tuned"]
    layer: int

    @property
    def name(self) -> str:
        """Of its part of an index."""
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
            "device": _kind(self.pair.device),
            "dtype": self.pair.dtype,
            "tokenizer": self.pair.tokenizer_sha256,
        }

    @property
    def key(self) -> str:
        """Hash of ``describe``."""
        return digest(json.dumps(self.describe, sort_keys=True))

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


def encoders(
    parts: Sequence[str],
    pair: ModelPair | None,
    *,
    layer: int = 0,
    influence: InfluenceOptions | None = None,
    taught: TrainedQuestions = NOTHING,
    device: str = "cpu",
) -> list[Encoder]:
    """The encoders of the named parts. InputError for one that does not exist, and for one that needs models."""
    made: list[Encoder] = []
    for part in parts:
        if part not in PARTS:
            raise InputError(f"parts: {part!r} is unknown; choose from {', '.join(PARTS)}")
        if part == "embedding":
            made.append(EmbeddingEncoder(device=device))
        elif pair is None:
            raise InputError(f"parts: {part} is of models, and none was named; add --tuned, or leave {part} out")
        elif part == "hidden":
            made += [HiddenEncoder(pair, side, layer) for side in SIDES]
        else:
            options = influence or InfluenceOptions()
            made += [
                GradientEncoder(pair, stage, options.gradients, taught)
                for side in SIDES
                for stage in stages(pair, side, options)
            ]
    return made


def check_index(index: Index, wanted: Sequence[Encoder]) -> None:
    """InputError where a part that the index has was made by other models or settings than these."""
    index.check(encoder for encoder in wanted if encoder.name in index.parts)


def stored_reading(index: Index | None, side: Literal["base", "tuned"], number: int) -> TextCapture | None:
    """What an index holds of a text for ``hidden`` and ``learned``; None where it has no such part."""
    part = f"hidden-{side}"
    if index is None or part not in index.parts:
        return None
    states, characters, logprob, tokens = (
        index.rows(part, array, number) for array in ("states", "characters", "logprob", "tokens")
    )
    places = characters.astype(np.int64)
    return TextCapture(float(logprob[0]), int(tokens[0]), np.asarray(states), places[:, 0], places[:, 1])


def stored_gradient(index: Index | None, part: str, number: int) -> Vector | None:
    """What an index holds of a text's gradient at one stage; None where it has no such part."""
    if index is None or part not in index.parts:
        return None
    direction, norm = (index.rows(part, array, number) for array in ("direction", "norm"))
    return Vector(np.asarray(direction[0]), float(norm[0]))
