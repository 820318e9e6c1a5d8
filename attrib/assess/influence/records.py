"""Report of ``assess influence``: outcomes of retraining beside every scorer's scores; needs no model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Bool, Float, Int

from attrib.assess.questions import Question
from attrib.assess.stored import Report
from attrib.errors import RecordError


@dataclass(frozen=True, eq=False)
class InfluenceReport(Report):
    """Everything that the tables and the figure are made of; small, and needs no model."""

    NAME: ClassVar = "influence"
    SCHEMA: ClassVar = 3
    questions: tuple[Question, ...]
    sections: tuple[str, ...]
    """Ids, decoys included."""
    documents: tuple[str, ...]
    """Document of each section."""
    titles: tuple[str, ...]
    trained: Bool[np.ndarray, " section"]
    """Whether each section was trained on; the others are decoys."""
    drop: Float[np.ndarray, "question section"]
    """log p of the answer lost when the section is left out, nats, mean over seeds; nan where it was not left out."""
    noise: Float[np.ndarray, " question"]
    """Standard deviation of the answer's log p over the seeds of full runs, nats; nan with one seed."""
    halves: Bool[np.ndarray, "half section"]
    """Which sections each half was trained on."""
    after: Float[np.ndarray, "half question"]
    """log p of the answer after training on each half, nats."""
    scores: dict[str, Float[np.ndarray, "question section"]]
    """By scorer."""
    provenance: Mapping[str, object]

    def __post_init__(self) -> None:
        q, s, h = len(self.questions), len(self.sections), len(self.halves)
        shapes = {
            "documents": (np.shape(self.documents), (s,)),
            "titles": (np.shape(self.titles), (s,)),
            "trained": (self.trained.shape, (s,)),
            "drop": (self.drop.shape, (q, s)),
            "noise": (self.noise.shape, (q,)),
            "halves": (self.halves.shape, (h, s)),
            "after": (self.after.shape, (h, q)),
            **{f"scores of {name}": (found.shape, (q, s)) for name, found in self.scores.items()},
        }
        for name, (is_, should) in shapes.items():
            if is_ != should:
                raise RecordError(f"influence: {name} has shape {is_}, its questions and sections ask for {should}")

    @property
    def gold(self) -> Int[np.ndarray, " question"]:
        """Index of each question's own section, −1 for none."""
        number = {id_: i for i, id_ in enumerate(self.sections)}
        return np.array([number.get(q.section or "", -1) for q in self.questions])

    def rows(self, kind: str) -> np.ndarray:
        """Questions of a kind."""
        return np.array([i for i, q in enumerate(self.questions) if q.kind == kind], dtype=np.int64)
