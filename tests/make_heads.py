"""Random attention of every layer and head for a made record."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from attrib.records import Capture, Explanation
from tests.make import make_attention

DRAWN = 64


def with_heads(explanation: Explanation, layers: int = 4, heads: int = 3, seed: int = 0) -> Explanation:
    """The record with heads whose mean is its attention."""
    rng = np.random.default_rng(seed)
    n, prompt = len(explanation.answer_tokens), len(explanation.prompt_tokens)

    def of(capture: Capture) -> Capture:
        drawn = np.array([make_attention(rng, n, prompt) for _ in range(min(layers * heads, DRAWN))])
        # Many heads are halves of two drawn ones: drawing a thousand takes seconds.
        number = np.arange(layers * heads)
        other = (5 * number + number // DRAWN) % len(drawn) if layers * heads > DRAWN else number
        every = ((drawn[number % len(drawn)] + drawn[other]) / 2).reshape(layers, heads, n, prompt + n)
        return replace(capture, heads=every, attention=every.mean((0, 1)))

    return replace(explanation, base=of(explanation.base), tuned=of(explanation.tuned))
