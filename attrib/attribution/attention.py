"""Attention as attribution: where the model looked."""

from __future__ import annotations

import numpy as np

from attrib.errors import InputError
from attrib.records import Capture


def attention(capture: Capture) -> np.ndarray:
    """Mean attention over layers and heads of the step that predicts each answer token, [answer, position]."""
    if capture.attention is None:
        raise InputError("attention was not captured; capture again with attention=True")
    return capture.attention
