"""One explanation: whose answer, which methods and mappers, how much of it is kept, and from which seed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from attrib.errors import InputError
from attrib.options.fields import bounded, everyday
from attrib.options.methods import MethodOptions

QUICK = ("attention", "saliency", "input_x_gradient", "leave_one_out")
"""Methods that run by default: cheap, and one that changes the prompt to see."""
QUICK_MAPPERS = ("bm25", "verbatim", "embedding", "hidden", "learned", "combined")
"""Mappers that run by default: no more than reading the candidate sections once."""
LARGEST_SEED = 2**32 - 1


@dataclass(frozen=True)
class GradientOptions:
    """Weights whose gradients count, and their length."""

    layers: tuple[int, ...] | None = None
    """Blocks whose linear layers count; none takes the adapter's weights, or all blocks without an adapter."""
    width: int = 16
    """Length of each side of a layer's gradient after projection."""
    seed: int = 0
    """Seed of the projections."""

    def __post_init__(self) -> None:
        if self.width < 1:
            raise InputError(f"width is {self.width}; give a number from 1")


Form = Literal["cosine", "dot", "preconditioned"]


@dataclass(frozen=True)
class InfluenceOptions:
    """How the mapper ``influence`` compares gradients."""

    form: Form = "cosine"
    """Comparison of two gradients: cosine, dot product, or dot product after preconditioning."""
    checkpoints: Literal["all", "final"] = "all"
    """Checkpoints that count: all that tuning saved, or the final model alone (weaker)."""
    target: Literal["auto", "logprob", "logodds"] = "auto"
    """Target of the answer's gradient; auto takes log-odds with the final model alone, log p else."""
    centred: bool = False
    """Subtract the control texts' mean gradient from every text's."""
    threshold: float = 5.0
    """Soft threshold on scores, in standard deviations of the control texts' scores; 0 for none."""
    gradients: GradientOptions = field(default_factory=GradientOptions)

    def __post_init__(self) -> None:
        if not self.threshold >= 0:
            raise InputError(f"threshold is {self.threshold}; give a number from 0")


@dataclass(frozen=True)
class HiddenOptions:
    """Hidden states that the mappers ``hidden``, ``hidden_context`` and ``learned`` compare."""

    layer: int | None = None
    """Layer whose hidden states are compared; none takes the depth chosen on VERI-GRAN (data/mapping.json)."""


@dataclass(frozen=True)
class ExplainOptions:
    """Methods, mappers, candidates, limits and seed of one explanation."""

    methods: tuple[str, ...] = everyday(QUICK, "Scores")
    """Prompt attribution methods, comma-separated; attrib methods lists them."""
    prompt: MethodOptions = field(default_factory=MethodOptions)
    """Knobs of the methods; the seed and the memory budget below hold for them too."""
    mappers: tuple[str, ...] = everyday(QUICK_MAPPERS, "Scores")
    """Section mappers, comma-separated; attrib mappers lists them."""
    influence: InfluenceOptions = field(default_factory=InfluenceOptions)
    """How the mapper ``influence`` compares gradients."""
    hidden: HiddenOptions = field(default_factory=HiddenOptions)
    """Hidden states that mappers compare."""
    candidates: int = everyday(24, "Scores", low=0)
    """Sections that are scored, the best of bm25 and embedding; 0 scores all."""
    max_new_tokens: int = everyday(64, "Answer", low=1)
    """Longest generated answer, in tokens."""
    heads: bool = False
    """Keep the attention of every layer and head in the record."""
    keep_layers: tuple[int, ...] = ()
    """Layers whose hidden states stay in the record."""
    memory_gb: float = bounded(MethodOptions.memory_gb, low=0.01)
    """Memory budget in GB, beyond the model."""
    seed: int = everyday(MethodOptions.seed, "Run", low=0, high=LARGEST_SEED)
    """Random seed, stored in the record."""


TOP = "top"
"""For ``without`` and ``only``: the first section of the answer's ranking."""


@dataclass(frozen=True)
class ExplainedAnswer:
    """The answer that is explained, and models that are tuned otherwise and asked too."""

    text: str | None = everyday(None, "Answer", flag="--answer")
    """Explain this answer instead of the tuned model's own."""
    source: Literal["tuned", "base"] = "tuned"
    """Model whose own answer is explained."""
    without: tuple[str, ...] = everyday((), "Answer")
    """Ids of sections (top: the first of the ranking): tune again without them and their questions, and show what the
    model says then; kept in the cache."""
    only: tuple[str, ...] = everyday((), "Answer")
    """Ids of sections (or top): tune again on them and their questions alone, and show what the model says then."""


PRESETS = {
    "explain": ExplainOptions(),
    "demo": ExplainOptions(candidates=16, max_new_tokens=32),
}
"""Defaults of ``attrib explain``, and of ``attrib demo``."""
