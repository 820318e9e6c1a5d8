"""Options of prompt attribution: target, units, and the knobs of each family of methods."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from attrib.options.fields import bounded, everyday, internal

UnitName = Literal["token", "word", "sentence", "answer"]
Unit = tuple[int, ...]
EMBEDDINGS = "embed.hook_out"
SourceName = Literal["token", "word", "sentence"]


@dataclass(frozen=True)
class AttentionHeadOptions:
    """The head that ``attention_head`` reads."""

    layer: int | None = None
    """Layer whose attention is read; negative counts from the last."""
    head: int | None = None
    """Head of that layer; none takes the mean over the layer's heads."""


@dataclass(frozen=True)
class SmoothGradOptions:
    """Noise of ``smoothgrad``."""

    samples: int = bounded(16, low=1)
    """Noisy copies of the input, one forward and backward each."""
    noise: float = bounded(0.1, low=0)
    """Standard deviation of the noise, as a share of the embeddings' range."""


@dataclass(frozen=True)
class IntegratedGradientsOptions:
    """The path of ``integrated_gradients`` and its quadrature."""

    steps: int | Literal["auto"] = "auto"
    """Points on the path; auto adds points until the completeness gap is within the tolerance."""
    rule: Literal["guided", "gauss"] = "guided"
    """Placement of a fixed number of points: where the target changes, or Gauss–Legendre."""
    tolerance: float = bounded(0.05, low=0)
    """Largest completeness gap of a row, as a share of its change (or of the mean row's)."""
    max_steps: int = bounded(128, low=1)
    """Most points that steps=auto may use."""
    path: Literal["prompt", "prefix"] = "prompt"
    """Positions moved along the path: the prompt's, or earlier answer tokens' too."""


@dataclass(frozen=True)
class PerturbationOptions:
    """Sources that ``leave_one_out``, ``contextcite`` and ``shapley`` remove, and how."""

    sources: SourceName = "word"
    """Pieces of the prompt that are removed, each as a whole."""
    ablate: Literal["delete", "replace"] = "delete"
    """Delete the tokens of a source, or replace each by the token prompt.baseline."""
    template: bool = False
    """Treat the chat template's tokens as sources too; without them a prompt has no markers."""


@dataclass(frozen=True)
class ContextCiteOptions:
    """The surrogate of ``contextcite``."""

    ablations: int = bounded(64, low=4)
    """Random subsets of the sources, one forward each."""


@dataclass(frozen=True)
class ShapleyOptions:
    """The sample of ``shapley``."""

    permutations: int = bounded(8, low=1)
    """Random orders in which the sources arrive, one forward a source and order."""


@dataclass(frozen=True)
class MethodOptions:
    """Which quantity is explained, in which pieces, and what each family of methods may spend."""

    target: str | Callable[[Any, Any], Any] = everyday("logprob", "Scores")
    """Quantity that the methods explain: logprob, logit, logodds, probability, probability_difference,
    logprob_difference, kl or entropy; in Python also a function of logits and answer ids."""
    contrast: str | None = None
    """Answer that the difference targets compare with, place by place."""
    unit: UnitName | tuple[Unit, ...] = "word"
    """Piece of the answer that makes one row; in Python also spans as tuples of answer tokens."""
    special: Literal["keep", "exclude"] = "keep"
    """Keep the scores of the chat template, or exclude them and store the share they had."""
    at: str = EMBEDDINGS
    """Hook point of gradient methods; value × gradient is summed over all axes but the position."""
    baseline: Literal["zero", "mean", "pad", "unk", "eos"] | int = "zero"
    """Baseline input of integrated_gradients and of replacement (which takes a token): an embedding, or a token's
    id."""
    attention_head: AttentionHeadOptions = field(default_factory=AttentionHeadOptions)
    smoothgrad: SmoothGradOptions = field(default_factory=SmoothGradOptions)
    integrated_gradients: IntegratedGradientsOptions = field(default_factory=IntegratedGradientsOptions)
    perturbation: PerturbationOptions = field(default_factory=PerturbationOptions)
    contextcite: ContextCiteOptions = field(default_factory=ContextCiteOptions)
    shapley: ShapleyOptions = field(default_factory=ShapleyOptions)
    chunk: int | None = internal(None)
    """Rows in one product; None = automatic."""
    memory_gb: float = internal(2.0)
    """Memory budget in GB beyond the model."""
    seed: int = internal(0)
    """Seed of everything random."""
