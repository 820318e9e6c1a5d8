"""Influence of sections on answer tokens through the tuned weights: gradient against gradient, over checkpoints.

A training step on section s moves log p of an answer by learning rate × ∇log p(answer) · ∇log p(s) (TracIn-CP, Pruthi
et al. 2002.08484), summed over the checkpoints that tuning saved, each standing for the steps around it. A positive
score: the section made the answer more probable; a negative one: it worked against it. Every answer token has its own
row, and rows sum to the whole answer's score.

Three forms, on gradients projected by ``gradients``; each checkpoint counts by the learning rate
spent around it:
- ``cosine`` (default): both of length 1 at each checkpoint, so that neither a checkpoint nor a long text decides alone;
- ``dot``: unscaled, a first-order estimate in nats;
- ``preconditioned``: cosine after whitening each layer's part by the damped second moment of the control texts'
  gradients (empirical Fisher, as in LoGra, 2405.13954, and TrackStar, 2410.17413).
What control texts get by chance is taken off every score (``threshold``).
With the final model alone (``checkpoints="final"``) log-odds stand for the answer's log p, whose gradient vanishes
where the answer is known by heart: weaker, and labelled as such. Base's side is the model before tuning: its gradients
are independent of tuning, so that they are the control.
Not covered: the optimizer's moments, effects of order, removal of several sections beyond their sum.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from attrib.errors import InputError
from attrib.index.gradients import Gradients, Vector, stacked
from attrib.mapping.answer import Answer, MapperScores
from attrib.mapping.lexical import bm25_answer
from attrib.mapping.reading import Reading
from attrib.records.kind import ScoreKind

ESTIMATE = "An estimate: only retraining without a section shows what it caused."
INFLUENCE = ScoreKind(
    claim="influence",
    unit="influence",
    meaning="gradient products over the checkpoints of tuning; base: the model before tuning",
    caveat=ESTIMATE,
)

DAMPING = 0.1
"""Share of the second moment's mean eigenvalue that is added to each layer's."""


def influence(answer: Answer, reading: Reading) -> MapperScores:
    """Σ over checkpoints of gradient products; token rows sum to ``whole``. A span is where the text has the word."""
    control = [int(i) for i in reading.chosen if i >= len(reading.library.corpus)]
    scores = score(reading.gradients, [int(i) for i in reading.chosen], control)
    return MapperScores(scores, scores.sum(0), bm25_answer(answer, reading).spans)


def score(
    gradients: Sequence[Gradients], texts: Sequence[int], control: Sequence[int]
) -> Float[np.ndarray, "answer text"]:
    """Gradient products of the answer's rows with the texts, summed over the stages; both lists are of numbers."""
    assert gradients, "influence without gradients"
    numbers = [*texts, *control]
    total = np.zeros((len(gradients[0].answer), len(numbers)))
    spent = sum(found.stage.weight for found in gradients)
    if not spent and any(found.form != "dot" for found in gradients):
        raise InputError(
            "influence: the learning rate was 0 in every step that the adapter's checkpoints stand for; tune with fewer"
            " --warmup steps, or compare gradients with -o influence.form=dot"
        )
    for found in gradients:
        read = products(found, [found.texts[i] for i in numbers], [found.texts[i] for i in control])
        total += read * (1 if found.form == "dot" else 1 / spent)
    return shrunk(total[:, : len(texts)], total[:, len(texts) :], gradients[0].threshold)


def shrunk(
    scores: Float[np.ndarray, "answer text"], null: Float[np.ndarray, "answer control"], threshold: float
) -> Float[np.ndarray, "answer text"]:
    """Rows scaled so that each text's sum is soft-thresholded at ``threshold`` × the spread of the control's sums.

    What any text would get is no influence; summed over many sections it would drown the few that have some (TRAK,
    2303.14186, thresholds for the same reason).
    """
    if not threshold or null.shape[1] < 2:
        return scores
    whole = np.abs(scores.sum(0))
    level = threshold * float(null.sum(0).std())
    return np.asarray(scores * np.where(whole > level, 1 - level / np.maximum(whole, 1e-300), 0.0))


def products(found: Gradients, texts: Sequence[Vector], control: Sequence[Vector]) -> Float[np.ndarray, "answer text"]:
    """Gradient products at one checkpoint, times its weight; see the module for the forms."""
    answer, scaled = found.answer, found.form == "dot"
    if not texts:
        return np.zeros((len(answer), 0))
    vectors, null = stacked(texts, scaled=scaled), stacked(control, scaled=scaled)
    if found.form == "preconditioned" and len(null):
        # The control decides the metric: a score must not depend on which sections are beside it.
        metric = [(part, _whitening(null[:, part])) for part in found.slices]
        vectors, null, answer = (
            np.concatenate([_dots(whiten, rows[:, part]).T for part, whiten in metric], 1)
            for rows in (vectors, null, answer)
        )
        vectors, null = _unit(vectors), _unit(null)
    unit = 1.0 if scaled else max(float(np.linalg.norm(answer.sum(0))), 1e-30)
    if found.centred and len(null):
        vectors = vectors - null.mean(0)
    return np.asarray(found.stage.weight * _dots(answer, vectors) / unit, dtype=np.float64)


def _dots(rows: np.ndarray, texts: np.ndarray) -> np.ndarray:
    """Dot products [row, text], one text at a time: those of a product of matrices differ in their last bits with the
    number of texts."""
    return np.asarray((rows @ texts[..., None])[..., 0].T)


def _unit(rows: np.ndarray) -> np.ndarray:
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-30))


def _whitening(null: np.ndarray) -> np.ndarray:
    """(M + damping · mean eigenvalue)^−½, M the second moment of the control's gradients; identity where M is 0."""
    size = null.shape[1]
    moment = null.T @ null / len(null)
    level = float(np.trace(moment)) / size
    if level <= 0:
        return np.eye(size, dtype=np.float32)
    values, axes = np.linalg.eigh(moment.astype(np.float64))
    scale = (np.maximum(values, 0) + DAMPING * level) ** -0.5
    return np.asarray((axes * scale) @ axes.T, dtype=np.float32)
