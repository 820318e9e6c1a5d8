"""The weights that turn evidence into a verdict, as ``data/calibration.json`` has them.

They are fitted on pairs of models and documents of several kinds (``scripts/evaluate_verdict.py``), and judged there
on pairs that they were not fitted on. Not covered: the fit itself, the promise for one pair (``pair_calibration``).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib import resources

import numpy as np

from attrib.errors import RecordError
from attrib.records import codec

FEATURES = ("support", "shown", "base_says")
"""Grounds on which answers and tokens are judged (``grounds``). Gain is none: what a model makes up gains as much."""


@dataclass(frozen=True)
class Calibration:
    """Weights of the verdict: a logistic curve for «learned», multinomial logistic models for answer and token."""

    learned_middle: float
    """Debiased share of a text's surprise that tuning removed, at which «learned» is 1/2."""
    learned_width: float
    about_middle: float
    """Standard deviations above control texts at which a passage is half about the question."""
    about_width: float
    about_near: float
    """Cosine below the nearest passage's at which being about the question has fallen to 1/e."""
    answer_weights: tuple[tuple[float, ...], ...]
    """[label, feature], features as in FEATURES."""
    answer_bias: tuple[float, ...]
    token_weights: tuple[tuple[float, ...], ...]
    token_bias: tuple[float, ...]
    documents_above: float
    """p(documents) above it is called documents, where the pair was not calibrated."""
    documents_below: float
    """p(documents) below it is called base or neither; between: cannot tell."""

    @classmethod
    def default(cls) -> Calibration:
        """The weights that ship with the package."""
        text = (resources.files("attrib") / "data" / "calibration.json").read_text("utf-8")
        return cls.from_json(text)

    @classmethod
    def from_json(cls, text: str) -> Calibration:
        """Raises RecordError for weights that are damaged or of another shape."""
        try:
            found: Calibration = codec.from_json(cls, json.loads(text))
            weights = {np.shape(found.answer_weights), np.shape(found.token_weights)}
            biases = {np.shape(found.answer_bias), np.shape(found.token_bias)}
            if weights != {(3, len(FEATURES))} or biases != {(3,)}:
                raise ValueError(f"weights of shape {weights} and {biases}")
            if min(found.learned_width, found.about_width, found.about_near) <= 0:
                raise ValueError("a width that is not above 0")
            if not 0 <= found.documents_below <= found.documents_above <= 1:
                raise ValueError(f"thresholds {found.documents_below} and {found.documents_above}")
        except (ValueError, RecordError) as error:
            raise RecordError(
                f"calibration: damaged ({error}); make it again with scripts/evaluate_verdict.py"
            ) from error
        return found
