"""The weights that turn evidence into a verdict, as ``data/calibration.json`` has them.

They are fitted on the demo's calibration split (``scripts/evaluate_demo.py``) and hold for models tuned until they
know their documents; a model tuned more lightly gets fewer «documents». Not covered: the fit itself.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib import resources

import numpy as np

from attrib.errors import RecordError
from attrib.records import codec

FEATURES = ("support", "base_says", "logprob_base")
"""Grounds on which answers and tokens are judged. Gain is none: invented words gain as much as learned ones."""


@dataclass(frozen=True)
class Calibration:
    """Weights of the verdict: a logistic curve for «learned», multinomial logistic models for answer and token."""

    learned_middle: float
    """Debiased share of a text's surprise that tuning removed, at which «learned» is 1/2."""
    learned_width: float
    answer_weights: tuple[tuple[float, ...], ...]
    """[label, feature], features as in FEATURES."""
    answer_bias: tuple[float, ...]
    token_weights: tuple[tuple[float, ...], ...]
    token_bias: tuple[float, ...]

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
            if weights != {(3, len(FEATURES))} or biases != {(3,)} or found.learned_width <= 0:
                raise ValueError(f"weights of shape {weights} and {biases}")
        except (ValueError, RecordError) as error:
            raise RecordError(f"calibration: damaged ({error}); make it again with scripts/evaluate_demo.py") from error
        return found
