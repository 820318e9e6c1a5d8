"""What ``assess influence`` reports: outcomes of retraining beside every scorer's scores; needs no model."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from attrib.assess.questions import Question, described, restored
from attrib.errors import RecordError


@dataclass(frozen=True, eq=False)
class InfluenceReport:
    """Everything that the tables and the figure are made of; small, and needs no model."""

    questions: tuple[Question, ...]
    sections: tuple[str, ...]
    """Ids, decoys included."""
    documents: tuple[str, ...]
    """Of each section."""
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
    provenance: dict[str, object]

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
                raise RecordError(f"retraining: {name} has shape {is_}, its questions and sections ask for {should}")

    @property
    def gold(self) -> Int[np.ndarray, " question"]:
        """Index of each question's own section, −1 for none."""
        number = {id_: i for i, id_ in enumerate(self.sections)}
        return np.array([number.get(q.section or "", -1) for q in self.questions])

    def rows(self, kind: str) -> np.ndarray:
        """Questions of a kind."""
        return np.array([i for i, q in enumerate(self.questions) if q.kind == kind], dtype=np.int64)

    def to_json(self) -> str:
        """One JSON object; numbers to five digits, which is more than retraining can tell."""
        content = {
            "questions": [described(q) for q in self.questions],
            "sections": self.sections,
            "documents": self.documents,
            "titles": self.titles,
            "trained": self.trained.tolist(),
            "drop": _short(self.drop),
            "noise": _short(self.noise),
            "halves": self.halves.astype(int).tolist(),
            "after": _short(self.after),
            "scores": {name: _short(found) for name, found in self.scores.items()},
            "provenance": self.provenance,
        }
        return json.dumps(content, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> InfluenceReport:
        """Read what ``to_json`` wrote; RecordError when it is not that."""
        try:
            c = json.loads(text)
            return cls(
                questions=tuple(restored(row) for row in c["questions"]),
                sections=tuple(c["sections"]),
                documents=tuple(c["documents"]),
                titles=tuple(c["titles"]),
                trained=np.array(c["trained"], dtype=bool),
                drop=_floats(c["drop"]),
                noise=_floats(c["noise"]),
                halves=np.array(c["halves"], dtype=bool).reshape(-1, len(c["sections"])),
                after=_floats(c["after"]).reshape(-1, len(c["questions"])),
                scores={name: _floats(found) for name, found in c["scores"].items()},
                provenance=c["provenance"],
            )
        except (KeyError, TypeError, ValueError) as error:
            raise RecordError(f"retraining: damaged ({error}); make it again with attrib assess influence") from error


def _short(values: np.ndarray) -> Any:
    """Nested lists with None for nan."""
    if values.ndim > 1:
        return [_short(row) for row in values]
    return [None if np.isnan(v) else float(f"{v:.5g}") for v in values]


def _floats(values: Any) -> np.ndarray:
    return np.array(values, dtype=np.float64)
