"""Input and output of every method: options, job, scores."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float

from attrib.models.pair import Model
from attrib.models.prompt import Encoded
from attrib.options.methods import MethodOptions, Unit
from attrib.passes.forward import Inputs
from attrib.passes.targets import Target
from attrib.progress import Progress
from attrib.records.kind import ScoreKind
from attrib.text.units import question_units, units


@dataclass(frozen=True, eq=False)
class MethodScores:
    """One method, one model."""

    values: Float[np.ndarray, "row column"]
    columns: tuple[Unit, ...]
    """Positions of each column."""
    gap: Float[np.ndarray, " row"] | None = None
    """Sum of a row − its expected sum."""
    settings: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class AttributionJob:
    """One answer under one model, with target, rows and options."""

    model: Model
    encoded: Encoded
    target: Target
    rows: tuple[Unit, ...]
    options: MethodOptions
    other: Model | None = None
    progress: Progress | None = None

    @property
    def prompt(self) -> int:
        """Prompt tokens."""
        return len(self.encoded.prompt_ids)

    @property
    def positions(self) -> int:
        """Prompt and answer tokens."""
        return len(self.encoded.ids)

    @property
    def every_position(self) -> tuple[Unit, ...]:
        """One column per position."""
        return tuple((i,) for i in range(self.positions))

    def inputs(self, **changes: Any) -> Inputs:
        """Input of the passes, with ``changes``."""
        given: dict[str, Any] = {
            "model": self.model,
            "encoded": self.encoded,
            "target": self.target,
            "other": self.other,
            "memory_gb": self.options.memory_gb,
            "chunk": self.options.chunk,
        }
        return Inputs(**(given | changes))

    def sources(self) -> tuple[Unit, ...]:
        """Prompt positions that perturbation changes together."""
        encoded, name = self.encoded, self.options.perturbation.sources
        if self.options.perturbation.template:
            return units(encoded.prompt_tokens, name)
        return question_units(encoded.prompt_tokens, encoded.question, name)

    def by_row(self, values: np.ndarray) -> np.ndarray:
        """[answer] or [..., answer] summed to rows."""
        return np.stack([values[..., list(row)].sum(-1) for row in self.rows], -1)

    def tell(self, what: str, done: int, total: int) -> None:
        """Report progress."""
        if self.progress is not None:
            self.progress(what, done, total)


Reducer = Callable[[Any, Any], Any]
"""(gradient [row, batch, position, …], value [batch, position, …]) → [row, batch, position]."""
Run = Callable[[AttributionJob, Mapping[str, Any]], dict[str, MethodScores]]
"""(job, part by method name) → scores by method name; methods of one family share a computation."""


@dataclass(frozen=True, eq=False)
class Method:
    """One line of METHODS."""

    run: Run
    part: Any
    """Argument of ``run`` for this method: a reducer, a choice of layers, or None."""
    kind: ScoreKind
    """Claim, unit and meaning of its scores, for captions, page and reference."""
    cost: str
    """In forwards (F) and backwards (B)."""
    perturbs: bool = False
    """Whether it changes parts of the prompt, so that the options of sources apply."""
    knobs: tuple[str, ...] = ()
    """Groups of ``MethodOptions`` that it heeds, beside those that every method does."""


def own(job: AttributionJob, names: Sequence[str], values: Sequence[np.ndarray]) -> dict[str, MethodScores]:
    """Scores with one column per position."""
    return {name: MethodScores(v, job.every_position) for name, v in zip(names, values, strict=True)}
