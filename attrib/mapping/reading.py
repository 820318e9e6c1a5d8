"""What mappers know of the sections: texts, lexical index, embeddings, and what each model makes of each text.

``Library`` is made once for a corpus; ``Reading`` is one model's view of the texts chosen for one answer. What models
make of a text is kept in the cache folder, keyed by model, tokenizer, device, dtype, layer and text.
Not covered: without an index, corpora whose embeddings do not fit in memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from attrib.index.library import Library
from attrib.models.pair import Model
from attrib.passes.capture import TextCapture

if TYPE_CHECKING:
    from attrib.corpus.bm25 import Bm25
    from attrib.index.gradients import Gradients


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
