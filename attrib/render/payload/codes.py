"""Numbers and raw tokens as JSON holds them: arrays in few bytes, texts that cannot act.

Arrays are base64 of little-endian codes: 16 bits (``u16``: value = low + code / 65534 × (high − low), 65535 = none) or
8 bits (``u8``: the same with 254 and 255), ``i32`` for whole numbers, ``bits`` for yes and no. Not covered: what they
mean.
"""

from __future__ import annotations

import base64
import json
import math
import re

import numpy as np

from attrib.render import view

Json = dict[str, object]


def to_json(content: Json) -> str:
    """JSON that may stand inside a script element: nothing in it ends the element or starts a comment."""
    text = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    # Lone halves of characters have no UTF-8.
    text = re.sub("[\ud800-\udfff]", "\ufffd", text)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def array(values: np.ndarray, low: float | None = None, high: float | None = None, *, code: str = "u16") -> Json:
    """``values`` as codes between ``low`` and ``high`` (default: their own); what is not finite has no code.

    Zero comes back as zero.
    """
    values = np.asarray(values, dtype=np.float64)
    finite = np.isfinite(values)
    low = float(values[finite].min(initial=np.inf)) if low is None else low
    high = float(values[finite].max(initial=-np.inf)) if high is None else high
    if not low <= high:
        low = high = 0.0
    top, kind = (65534, "<u2") if code == "u16" else (254, "u1")
    if low < 0 < high:
        step = (high - low) / (top - 1)
        low = -math.ceil(-low / step) * step
        high = low + top * step
    scaled = np.zeros(values.shape) if high == low else (np.where(finite, values, low) - low) / (high - low)
    codes = np.where(finite, np.rint(np.clip(scaled, 0, 1) * top), top + 1).astype(kind)
    return {"t": code, "n": list(values.shape), "lo": low, "hi": high, "b": _base64(codes)}


def whole_numbers(values: np.ndarray) -> Json:
    """Whole numbers as they are."""
    return {"t": "i32", "n": list(values.shape), "lo": 0, "hi": 0, "b": _base64(np.asarray(values).astype("<i4"))}


def flags(values: np.ndarray) -> Json:
    """Yes or no by flat cell, eight a byte, the first in the lowest bit."""
    return {
        "t": "bits",
        "n": list(values.shape),
        "lo": 0,
        "hi": 1,
        "b": _base64(np.packbits(values, bitorder="little")),
    }


def _base64(codes: np.ndarray) -> str:
    return base64.b64encode(np.ascontiguousarray(codes).tobytes()).decode("ascii")


def unsure(probabilities: np.ndarray) -> np.ndarray:
    """Probabilities that no rounding makes certain: 0 and 1 are only those that are, and 1 only where others are 0."""
    between = (probabilities > 0) & ((probabilities < 1) | ((probabilities > 0).sum(-1, keepdims=True) > 1))
    step = 1 / 65534
    return np.where(between, np.clip(probabilities, step, 1 - step), probabilities)


def probabilities(values: np.ndarray) -> list[float | None]:
    return [float(value) if np.isfinite(value) else None for value in unsure(values)]


def rounded(value: float) -> float | None:
    """Six digits; None for what is not finite, which JSON cannot say."""
    return float(f"{float(value):.6g}") if np.isfinite(value) else None


def rounded_list(values: np.ndarray | float) -> list[float | None]:
    return [rounded(float(value)) for value in np.atleast_1d(values)]


# Zero-width characters; joiners and variation selectors only where no sign stands before them that they may change.
_FORMAT = re.compile(
    "[\u00ad\u200b\u200e\u200f\u2060\ufeff]|(?<![\u2190-\u2bff\ufe0f\U0001f000-\U0001faff])[\u200d\ufe0f]"
)


def shown(text: str) -> str:
    """A raw token: blanks, breaks, controls and what has no width made visible, never empty."""
    seen = view.visible(text.replace(" ", "␠"))
    return _FORMAT.sub(lambda found: f"<{ord(found.group()):02X}>", seen) if text else "∅"
