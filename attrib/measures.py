"""One definition of each quantity; all in nats unless named otherwise."""

from __future__ import annotations

import numpy as np
from scipy import stats

NATS_PER_BIT = float(np.log(2))


def gain(logprob_tuned: np.ndarray, logprob_base: np.ndarray) -> np.ndarray:
    """log p tuned − log p base of the same token in the same context, nats; antisymmetric."""
    return np.asarray(logprob_tuned - logprob_base)


def bits(nats: np.ndarray | float) -> np.ndarray | float:
    """Nats as bits."""
    return nats / NATS_PER_BIT


def q_values(scores: np.ndarray, null: np.ndarray) -> np.ndarray:
    """Benjamini–Hochberg q-values of ``scores`` [row, section] against ``null`` [row, control], both any float.

    Each row is first centred and scaled by its own null, so that rows can share one null distribution; p-values
    are empirical, (1 + #{null ≥ score}) / (1 + n), so q cannot fall below 1 / (1 + rows × controls).
    """
    if scores.size == 0:
        return np.ones_like(scores, dtype=np.float64)
    centre = null.mean(1, keepdims=True)
    # A lexical null is often all zero: the smallest spread keeps ties at zero equal.
    spread = np.maximum(null.std(1, keepdims=True), 1e-6)
    z, z_null = (scores - centre) / spread, np.sort(((null - centre) / spread).ravel())
    at_least = z_null.size - np.searchsorted(z_null, z.ravel() - 1e-9, side="left")
    p = (1 + at_least) / (1 + z_null.size)
    return np.asarray(stats.false_discovery_control(p).reshape(scores.shape))


def auroc(positive: np.ndarray, negative: np.ndarray) -> float:
    """P(positive score > negative score), ties counted half (Mann–Whitney)."""
    u = stats.mannwhitneyu(positive, negative, alternative="greater").statistic
    return float(u / (len(positive) * len(negative)))
