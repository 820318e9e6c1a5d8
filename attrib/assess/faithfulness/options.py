"""Options of ``assess faithfulness``."""

from __future__ import annotations

from dataclasses import dataclass, field

from attrib.attribution import METHODS, MethodOptions


@dataclass(frozen=True)
class FaithfulnessOptions:
    """Which methods, how words are taken away, and how often chance is drawn."""

    methods: tuple[str, ...] = tuple(name for name in METHODS if name != "attention_head")
    prompt: MethodOptions = field(default_factory=lambda: MethodOptions(unit="answer", sources="word", steps=20))
    """How the methods work."""
    random_orders: int = 10
    """Random orders of each question's words."""
    max_new_tokens: int = 64
    """Longest answer in tokens, of questions that come without one."""
    resamples: int = 2000
    """Bootstrap draws of the intervals."""
    seed: int = 0
