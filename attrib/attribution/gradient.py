"""Gradients of a token's log-prob with respect to the input embeddings (Simonyan et al. 1312.6034)."""

from __future__ import annotations

import numpy as np

from attrib.errors import InputError
from attrib.records import Capture


def saliency(capture: Capture) -> np.ndarray:
    """L2 norm of the gradient at each position, unsigned, [answer, position]."""
    return np.asarray(np.linalg.norm(_gradient(capture), axis=-1))


def input_x_gradient(capture: Capture) -> np.ndarray:
    """Gradient · embedding at each position, signed, nats, [answer, position] (Shrikumar et al. 1605.01713)."""
    if capture.embeddings is None:
        raise InputError("embeddings were not captured; capture again with gradient=True")
    return np.asarray(np.einsum("apd,pd->ap", _gradient(capture), capture.embeddings))


def _gradient(capture: Capture) -> np.ndarray:
    if capture.gradient is None:
        raise InputError("gradients were not captured; capture again with gradient=True")
    return capture.gradient
