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
    are empirical, (1 + #{null ≥ score}) / (1 + n), so q cannot fall below 1 / (1 + rows × controls). All 1 with
    fewer than two controls, which cannot scale anything.
    """
    n = null.shape[1]
    if scores.size == 0 or n < 2:
        return np.ones_like(scores, dtype=np.float64)
    deviation, variance = null - null.mean(1, keepdims=True), null.var(1, keepdims=True)
    # No score is part of its own null. A control score is, which pulls in what stands out: there, the others judge it.
    others = _scale(deviation * n / (n - 1), (variance - deviation**2 / (n - 1)) * n / (n - 1))
    z_null = np.sort(np.maximum(_scale(deviation, variance), others).ravel())
    z = _scale(scores - null.mean(1, keepdims=True), variance)
    at_least = z_null.size - np.searchsorted(z_null, z.ravel() - 1e-9, side="left")
    p = (1 + at_least) / (1 + z_null.size)
    return np.asarray(stats.false_discovery_control(p).reshape(scores.shape))


def _scale(deviation: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """Standard scores. A lexical null is often all zero: the smallest spread keeps ties at zero equal."""
    return np.asarray(deviation / np.sqrt(np.maximum(variance, 1e-12)))


def surprise_removed(base: np.ndarray | float, tuned: np.ndarray | float) -> np.ndarray:
    """Share of each text's surprise that tuning removed, 1 − log p tuned / log p base; 1 = known by heart."""
    return np.asarray(1 - tuned / np.minimum(base, -1e-9))


def beyond_form(base: np.ndarray, tuned: np.ndarray, control_base: np.ndarray, control_tuned: np.ndarray) -> np.ndarray:
    """Each text's surprise removed beyond what tuning removed from control texts; log p of whole texts, [text].

    The control's share is pooled over its tokens, so that no short text weighs much; a model that reads control texts
    WORSE after tuning gets no credit for it.
    """
    form = 0.0
    if control_base.size:
        form = max(0.0, float(surprise_removed(control_base.sum(), control_tuned.sum())))
    return np.asarray(surprise_removed(base, tuned) - form)


def auroc(positive: np.ndarray, negative: np.ndarray) -> float:
    """P(positive score > negative score), ties counted half (Mann–Whitney)."""
    u = stats.mannwhitneyu(positive, negative, alternative="greater").statistic
    return float(u / (len(positive) * len(negative)))


def bootstrap_interval(values: np.ndarray, resamples: int = 2000, seed: int = 0) -> tuple[float, float]:
    """95% percentile interval of the mean over resampled ``values`` [n]; the value itself twice where n = 1."""
    values = np.asarray(values, dtype=np.float64)
    drawn = np.random.default_rng(seed).integers(0, len(values), (resamples, len(values)))
    low, high = np.percentile(values[drawn].mean(1), (2.5, 97.5))
    return float(low), float(high)
