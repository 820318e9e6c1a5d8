"""Mixtures of mappers, and the settings chosen on a development split (``data/mapping.json``).

Scores of different mappers have different units: each is brought to mean 0 and spread 1 over the texts it is compared
on before it is weighed. Weights are few; they were fitted on half of VERI-GRAN's development split by
``scripts/evaluate_verigran.py``, and so were layers, threshold and windows.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from attrib.errors import InputError
from attrib.records.codec import from_json


@dataclass(frozen=True)
class Windows:
    """Settings of the method of Phukan et al. 2024."""

    threshold: float
    """Cosine from which an answer token counts as copied."""
    anchors: int
    """Section tokens around which windows are tried."""
    longest: int
    """Tokens of the longest window."""


@dataclass(frozen=True)
class Weights:
    """Weight of each mapper's standardised scores."""

    span: Mapping[str, float]
    """Weights of the token's, word's or span's own score."""
    whole: Mapping[str, float]
    """Weights of the score of the sentence or answer around it."""


@dataclass(frozen=True)
class Choice:
    """Settings chosen on the development split."""

    depth: float
    """Layer whose states ``hidden`` compares: (layer + 1) / layers of the model."""
    context_depth: float
    """The same for ``hidden_context``."""
    windows: Windows
    weights: Weights

    def layer(self, n_layers: int) -> int:
        """``hidden``'s layer in a model with ``n_layers``, from 0."""
        return _layer(self.depth, n_layers)

    def context_layer(self, n_layers: int) -> int:
        """``hidden_context``'s layer in a model with ``n_layers``, from 0."""
        return _layer(self.context_depth, n_layers)


def _layer(depth: float, n_layers: int) -> int:
    return min(max(round(depth * n_layers), 1), n_layers) - 1


STORED = Path(__file__).parents[1] / "data" / "mapping.json"


@cache
def settings() -> Choice:
    """The stored choice."""
    choice: Choice = from_json(Choice, json.loads(STORED.read_text("utf-8")))
    return choice


def standardised(scores: np.ndarray) -> np.ndarray:
    """Mean 0 and standard deviation 1 over the last axis; zeros where all are equal."""
    scores = scores.astype(np.float64)
    if not scores.size:
        return scores
    centred = scores - scores.mean(-1, keepdims=True)
    spread = centred.std(-1, keepdims=True)
    # A spread of rounding errors is none.
    flat = spread <= 1e-9 * np.abs(scores).max(-1, keepdims=True)
    return np.asarray(np.where(flat, 0.0, centred / np.where(flat, 1.0, spread)))


def mix(scores: Mapping[str, np.ndarray], weights: Mapping[str, float]) -> np.ndarray:
    """Weighted sum of standardised scores, [text] (or [row, text], row by row).

    Scores without a weight are left out. Raises InputError where a weighed mapper is missing or none is weighed.
    """
    missing = [name for name, weight in weights.items() if weight and name not in scores]
    if missing:
        raise InputError(f"mixture: mapper {', '.join(missing)} has a weight but no scores; run it too")
    parts = [weight * standardised(scores[name]) for name, weight in weights.items() if weight]
    if not parts:
        raise InputError("mixture: every weight is 0; give at least one mapper a weight")
    return np.asarray(np.sum(parts, axis=0))


def combine(rows: Mapping[str, np.ndarray], whole: Mapping[str, np.ndarray], weights: Weights) -> np.ndarray:
    """Scores of tokens, words or spans, [row, text] (or [text]), mixed with those of what is around them, [text].

    With the whole answer's scores as both it scores the whole answer.
    """
    halves = ((rows, weights.span), (whole, weights.whole))
    weighed = [mix(scores, part) for scores, part in halves if any(part.values())]
    if not weighed:
        raise InputError("mixture: every weight is 0; give at least one mapper a weight")
    return np.asarray(sum(weighed[1:], weighed[0]))
