"""What every method is given, and what it gives back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from attrib.models.pair import Model
from attrib.models.prompt import Encoded
from attrib.passes.forward import EMBEDDINGS, Inputs
from attrib.passes.targets import Target
from attrib.progress import Progress
from attrib.records.kind import ScoreKind
from attrib.text.units import Unit, UnitName, question_units, units

SourceName = Literal["token", "word", "sentence"]


@dataclass(frozen=True)
class MethodOptions:
    """Which quantity is explained, in which pieces, and what each family of methods may spend."""

    target: str | Callable[[Any, Any], Any] = "logprob"
    """Name in TARGETS, or a function of logits [batch, answer, d_vocab] and answer ids [answer]."""
    contrast: str | None = None
    """Answer to compare with, place by place, for the difference targets."""
    unit: UnitName | tuple[Unit, ...] = "word"
    """What one row is; spans of your own as tuples of answer tokens."""
    special: Literal["keep", "exclude"] = "keep"
    """exclude: no scores for the chat template; the share that they would have had is in the settings."""
    at: str = EMBEDDINGS
    """Hook point of gradient methods; value × gradient is summed over all axes but the position."""
    layer: int | None = None
    """attention_head: the layer (negative counts from the last)."""
    head: int | None = None
    """attention_head: the head; None = mean over the layer's heads."""
    steps: int | Literal["auto"] = "auto"
    """integrated_gradients: points on the path; auto = as many as ``tolerance`` takes."""
    rule: Literal["guided", "gauss"] = "guided"
    """integrated_gradients: points where the target changes, or Gauss–Legendre points whatever it does."""
    tolerance: float = 0.05
    """integrated_gradients: largest completeness gap of a row, as a share of its change (or of the mean row's)."""
    max_steps: int = 128
    """integrated_gradients, steps auto: no more points than this."""
    baseline: Literal["zero", "mean", "pad", "unk", "eos"] | int = "zero"
    """integrated_gradients, replacement: the embedding or token that is "nothing"; replacement takes a token."""
    path: Literal["prompt", "prefix"] = "prompt"
    """integrated_gradients: whether earlier answer tokens are moved too."""
    samples: int = 16
    """smoothgrad: noisy copies."""
    noise: float = 0.1
    """smoothgrad: standard deviation of the noise as a share of the embeddings' range."""
    sources: SourceName = "word"
    """Perturbation: what is taken away together."""
    ablate: Literal["delete", "replace"] = "delete"
    """Perturbation: tokens are deleted, or replaced by ``baseline`` (a token)."""
    ablate_template: bool = False
    """Perturbation: whether the chat template's tokens are sources too; without them a prompt is none."""
    ablations: int = 64
    """contextcite: random subsets."""
    permutations: int = 8
    """shapley: random orders."""
    chunk: int | None = None
    """Rows in one product; None = automatic."""
    memory_gb: float = 2.0
    seed: int = 0


@dataclass(frozen=True, eq=False)
class MethodScores:
    """One method, one model."""

    values: Float[np.ndarray, "row column"]
    columns: tuple[Unit, ...]
    """Positions of each column."""
    gap: Float[np.ndarray, " row"] | None = None
    """Sum of a row − what it should be."""
    settings: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class AttributionJob:
    """One answer under one model, and what is asked of it."""

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
        """One column a position."""
        return tuple((i,) for i in range(self.positions))

    def inputs(self, **changes: Any) -> Inputs:
        """What the passes need, with ``changes``."""
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
        """Prompt positions that perturbation takes away together."""
        encoded, name = self.encoded, self.options.sources
        if self.options.ablate_template:
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
"""Computes several methods of one family at once: by name, its part (a reducer, a choice of layers …)."""


@dataclass(frozen=True, eq=False)
class Method:
    """One line of METHODS."""

    run: Run
    part: Any
    """What tells this method from the others that ``run`` computes."""
    kind: ScoreKind
    """What its scores are, for captions, page and reference."""
    cost: str
    """In forwards (F) and backwards (B)."""
    perturbs: bool = False
    """Whether it takes parts of the prompt away, so that options about sources hold for it."""


def own(job: AttributionJob, names: Sequence[str], values: Sequence[np.ndarray]) -> dict[str, MethodScores]:
    """Scores with one column a position."""
    return {name: MethodScores(v, job.every_position) for name, v in zip(names, values, strict=True)}
