"""Input of the mappers: the answer and the texts chosen for it, as one model reads them.

Not covered: how they are scored (the other modules of ``mapping``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from attrib.index.encoder import rendering_of
from attrib.index.gradients import Gradients, read_gradients, trained_questions
from attrib.index.library import Library
from attrib.index.parts import encoders
from attrib.index.readings import read_sections
from attrib.mapping.answer import Answer
from attrib.mapping.mixture import settings
from attrib.models.pair import Model, ModelPair
from attrib.models.prompt import Encoded
from attrib.options.explain import InfluenceOptions
from attrib.passes.capture import TextCapture, resolve_layers
from attrib.progress import Progress
from attrib.records import Capture

if TYPE_CHECKING:
    from attrib.corpus.bm25 import Bm25


@dataclass(frozen=True, eq=False)
class Reading:
    """The texts chosen for one answer, as one model reads them."""

    library: Library
    chosen: np.ndarray
    """Indices into ``library.texts``: sections, then control."""
    captures: Mapping[int, TextCapture] = field(default_factory=dict)
    """By index; empty where no mapper looks at the model."""
    model: Model | None = None
    """The model itself, for mappers that run it."""
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

    @property
    def sections(self) -> int:
        """How many of the chosen texts are sections; control texts follow them."""
        return int((self.chosen < len(self.library.corpus)).sum())

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


Side = tuple[Answer, Reading]
"""The answer and the texts under one model."""


def mapping_layer(pair: ModelPair, layer: int | None = None) -> int:
    """The layer whose hidden states are compared, from 0; by default at the depth chosen on VERI-GRAN."""
    chosen = layer if layer is not None else settings().layer(pair.base.n_layers)
    return resolve_layers((chosen,), pair.base.n_layers)[0]


def read_sides(
    pair: ModelPair,
    library: Library,
    encoded: Encoded,
    captures: Sequence[Capture],
    chosen: np.ndarray,
    layer: int | None = None,
    influence: InfluenceOptions | None = None,
    progress: Progress | None = None,
) -> tuple[Side, Side]:
    """The answer, the chosen sections and the control texts under base and tuned.

    ``captures``: the answer under base and tuned, with the states of ``mapping_layer``. ``influence``: how gradients
    are taken; None where no mapper needs them. Raises InputError for an index of other models or settings.
    """
    at = mapping_layer(pair, layer)
    numbers = library.with_control(chosen)
    sections = {int(i): library.sections[i] for i in numbers}
    trained = trained_questions(pair, library.corpus)
    if library.index is not None:
        parts = ["hidden"] if influence is None else ["hidden", "gradients"]
        rendering = rendering_of(pair.chat, library.sections)
        made = encoders(parts, pair, layer=at, influence=influence, trained=trained, rendering=rendering)
        library.index.check(made)

    def side(name: Literal["base", "tuned"], model: Model, capture: Capture) -> Side:
        read = read_sections(pair, name, sections, at, index=library.index, cache=library.cache, progress=progress)
        gradients: tuple[Gradients, ...] = ()
        if influence is not None:
            gradients = read_gradients(
                pair, name, encoded, sections, influence, trained=trained, index=library.index, cache=library.cache,
                progress=progress,
            )  # fmt: skip
        assert capture.hidden is not None
        states = capture.hidden[capture.layers.index(at), len(encoded.prompt_ids) :]
        answer = Answer(encoded.question, encoded.answer, encoded.answer_tokens, states)
        return answer, Reading(library, numbers, read, model, layer if layer is None else at, gradients)

    return side("base", pair.base, captures[0]), side("tuned", pair.tuned, captures[1])
