"""Cosine of hidden states of answer tokens and section tokens (Phukan et al. 2405.17980), late-interaction form.

Sections are read once, by themselves; the answer is read after its question. Every state is a unit vector, centred
by the control texts' mean: without centring, a few directions that all tokens share decide every cosine.
Not covered: sections placed in the context before the question, as the paper has them.
"""

from __future__ import annotations

import numpy as np

from attrib.mapping.answer import Answer, MapperScores, resemblance
from attrib.mapping.reading import Reading

HIDDEN = resemblance("max", "cosine", "cosine of hidden states")

WINDOW = 1
"""Tokens on either side that must agree too: the score of a pair is the mean cosine along this diagonal."""


def hidden(answer: Answer, reading: Reading) -> MapperScores:
    """Best diagonal of cosines in each text; ``whole`` is the mean over the answer's tokens."""
    assert answer.states is not None
    states = centre(unit(answer.states), reading.centre)
    n = len(states)
    scores, spans = np.zeros((n, len(reading.chosen))), np.zeros((n, len(reading.chosen), 2), dtype=np.int64)
    for column, i in enumerate(reading.chosen):
        read = reading.captures[i]
        cosines = diagonal_mean(states @ centre(read.states.astype(np.float32), reading.centre).T, WINDOW)
        best = cosines.argmax(1)
        scores[:, column] = cosines[np.arange(n), best]
        spans[:, column, 0] = read.starts[np.maximum(best - WINDOW, 0)]
        spans[:, column, 1] = read.ends[np.minimum(best + WINDOW, len(read.ends) - 1)]
    return MapperScores(scores, scores.mean(0), spans)


def unit(states: np.ndarray) -> np.ndarray:
    """Rows scaled to length 1, float32; zero rows stay zero."""
    states = states.astype(np.float32)
    return np.asarray(states / np.maximum(np.linalg.norm(states, axis=-1, keepdims=True), 1e-12))


def centre(units: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Unit vectors minus ``mean``, scaled to length 1 again."""
    return unit(units - mean)


def diagonal_mean(cosines: np.ndarray, window: int) -> np.ndarray:
    """Mean of ``cosines[i + d, j + d]`` for |d| ≤ window, over the d that exist; same shape."""
    rows, columns = cosines.shape
    total, count = np.zeros_like(cosines), np.zeros_like(cosines)
    for d in range(-window, window + 1):
        i0, i1 = max(0, -d), min(rows, rows - d)
        j0, j1 = max(0, -d), min(columns, columns - d)
        if i0 < i1 and j0 < j1:
            total[i0:i1, j0:j1] += cosines[i0 + d : i1 + d, j0 + d : j1 + d]
            count[i0:i1, j0:j1] += 1
    return np.asarray(total / count)
