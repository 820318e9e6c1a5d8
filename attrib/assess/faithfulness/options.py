"""Options of ``assess faithfulness``."""

from __future__ import annotations

from dataclasses import dataclass, field

from attrib.options.answers import AnswerOptions
from attrib.options.explain import LARGEST_SEED
from attrib.options.fields import bounded, everyday
from attrib.options.methods import IntegratedGradientsOptions, MethodOptions


def _whole_answers() -> MethodOptions:
    return MethodOptions(unit="answer", integrated_gradients=IntegratedGradientsOptions(steps=20))


@dataclass(frozen=True)
class FaithfulnessOptions:
    """Methods, removal of words, and number of random orders."""

    methods: tuple[str, ...] | None = everyday(None, "Scores")
    """Methods to assess, comma-separated; default: all but attention_head, which needs a layer."""
    prompt: MethodOptions = field(default_factory=_whole_answers)
    """Knobs of the methods; the seed and the memory budget below hold for them too."""
    random_orders: int = everyday(10, "Scores", low=1)
    """Random orders to compare with, for each question."""
    max_new_tokens: int = bounded(64, low=1)
    """Longest generated answer, in tokens."""
    resamples: int = everyday(2000, "Run", low=1)
    """Bootstrap draws of the intervals."""
    memory_gb: float = bounded(MethodOptions.memory_gb, low=0.01)
    """Memory budget in GB, beyond the model."""
    seed: int = everyday(AnswerOptions.seed, "Run", low=0, high=LARGEST_SEED)
    """Random seed, stored in the report."""
