"""Answer token × position: how much each earlier token mattered, one function a method.

A method turns one model's Capture into ``[answer, position]``; columns of the token itself and after it are 0.
Attention is where the model looked and gradients how the log-prob would change: neither is a cause.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from attrib.attribution.attention import attention
from attrib.attribution.gradient import input_x_gradient, saliency
from attrib.errors import InputError
from attrib.records import Attribution, Capture

METHODS: dict[str, Callable[[Capture], np.ndarray]] = {
    "attention": attention,
    "saliency": saliency,
    "input_x_gradient": input_x_gradient,
}
NEEDS_GRADIENT = frozenset({"saliency", "input_x_gradient"})


def attribute(base: Capture, tuned: Capture, method: str) -> Attribution:
    """One method for both models on the same answer."""
    return Attribution(method, METHODS[method](base), METHODS[method](tuned))


def check_methods(methods: tuple[str, ...]) -> None:
    """InputError for a method that does not exist."""
    for method in methods:
        if method not in METHODS:
            raise InputError(f"method {method!r} is unknown; choose from {', '.join(METHODS)}")
