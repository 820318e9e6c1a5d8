"""Resemblance, what was learned, and influence in one score per section, its parts visible as mappers of their own.

    learned × (resemblance + influence)

Resemblance is a weighted sum of BM25, embeddings, hidden states and shared runs. Every part is in units of the control
texts' spread and shrunk by what control texts get by chance, so that a section's score does not depend on which
sections are beside it. ``learned`` goes from 0 (tuning raised the text no more than a control text) to 1: it tells a
section from a decoy that says the same; base has learned nothing, so that its scores are near 0. Without gradients
(``influence`` is not among the mappers) that part is left out. Token rows sum to ``whole``.

Weights: ``data/combined.json``. Their proportions among embedding, hidden and verbatim are those chosen on VERI-GRAN
(``data/mapping.json``), the others were chosen on the calibration questions of the demo's retraining (docs/log.md).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from collections.abc import Mapping as MappingABC
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float
from scipy.special import expit

from attrib.mapping.answer import MapperScores
from attrib.mapping.influence import ESTIMATE
from attrib.mapping.reading import Reading, Side
from attrib.measures import beyond_form
from attrib.records.codec import from_json
from attrib.records.kind import ScoreKind

COMBINED = ScoreKind(
    claim="influence",
    unit="combined",
    meaning="resemblance, what was learned and influence in one score",
    caveat=ESTIMATE,
)
EVIDENCE = ScoreKind(
    claim="evidence",
    unit="combined",
    meaning="resemblance and what was learned in one score, without influence",
    caveat="No influence is in it: a section that says the same and was trained need not have changed this answer.",
)
"""The same without gradients."""

DATA = Path(__file__).parents[1] / "data"
STORED, CALIBRATION = DATA / "combined.json", DATA / "calibration.json"


@dataclass(frozen=True)
class Blend:
    """Weights of the parts."""

    resemblance: MappingABC[str, float]
    """Weight of each mapper's score in units of the control's spread."""
    influence: float
    threshold: float
    """Subtracted from every part, in the same units."""
    middle: float
    """Share of a text's surprise removed beyond form at which ``learned`` is 1/2."""
    width: float


@cache
def blend() -> Blend:
    """The stored choice; ``learned`` by the verdict's curve."""
    curve = json.loads(CALIBRATION.read_text("utf-8"))
    weights = json.loads(STORED.read_text("utf-8"))
    choice: Blend = from_json(Blend, {**weights, "middle": curve["learned_middle"], "width": curve["learned_width"]})
    return choice


Parts = Callable[[str, Side], MapperScores]
"""A mapper's scores of one side, by its name."""


def combined(parts: Parts, base: Side, tuned: Side) -> tuple[MapperScores, MapperScores]:
    """Base's and tuned's scores."""
    choice = blend()
    control = tuned[1].chosen >= len(tuned[1].library.corpus)

    def gated(side: Side) -> MapperScores:
        found = mix(_scores(parts, side, choice), control, choice)
        rows = found.tokens * learned_share(base[1], side[1], choice)
        return MapperScores(rows, rows.sum(0), found.spans)

    return gated(base), gated(tuned)


def _scores(parts: Parts, side: Side, choice: Blend) -> dict[str, MapperScores]:
    answer, reading = side
    found = {name: parts(name, side) for name in choice.resemblance}
    if reading.gradients:
        # Shrunk here, as the other parts are.
        raw = tuple(replace(gradients, threshold=0.0) for gradients in reading.gradients)
        found["influence"] = parts("influence", (answer, replace(reading, gradients=raw)))
    return found


def learned_share(base: Reading, tuned: Reading, choice: Blend) -> Float[np.ndarray, " text"]:
    """Share of each text that was learned, 0 to 1, [text]."""
    texts = [int(i) for i in tuned.chosen]
    before, after = (np.array([side.captures[i].logprob for i in texts]) for side in (base, tuned))
    control, forms = tuned.chosen >= len(tuned.library.corpus), tuned.library.forms[tuned.chosen]
    removed = beyond_form((before, after, forms), (before[control], after[control], forms[control]))
    return np.asarray(expit((removed - choice.middle) / choice.width))


def mix(parts: MappingABC[str, MapperScores], control: Bool[np.ndarray, " text"], choice: Blend) -> MapperScores:
    """Weighted sum of the parts that are there; spans are the heaviest resemblance's."""
    weights = {**choice.resemblance, "influence": choice.influence}
    weighed = []
    for name, scores in parts.items():
        # A gradient product of 0 means something, a similarity of 0 does not.
        centre = name != "influence"
        weighed.append(weights[name] * in_spreads(scores, control, choice.threshold, centre=centre))
    rows = np.sum(weighed, axis=0)
    first = max(choice.resemblance, key=lambda name: choice.resemblance[name])
    return MapperScores(rows, rows.sum(0), parts[first].spans)


def in_spreads(
    scores: MapperScores, control: Bool[np.ndarray, " text"], threshold: float, *, centre: bool
) -> Float[np.ndarray, "answer text"]:
    """Token rows whose sum is ``whole``, less the control's mean if ``centre``, in units of the control's spread, and
    soft-thresholded.

    What ``whole`` has beyond the rows (BM25: the question's words) is spread evenly over the tokens.
    """
    n = len(scores.tokens)
    rows = scores.tokens + (scores.whole - scores.tokens.sum(0)) / n
    null = scores.whole[control]
    if not null.size:
        return np.asarray(rows)
    # A control that shares nothing with the answer has no spread: the scores stay unscaled.
    spread = float(null.std())
    rows = (rows - (float(null.mean()) / n if centre else 0.0)) / (spread if spread > 1e-9 else 1.0)
    whole = np.abs(rows.sum(0))
    return np.asarray(rows * np.where(whole > threshold, 1 - threshold / np.maximum(whole, 1e-300), 0.0))
