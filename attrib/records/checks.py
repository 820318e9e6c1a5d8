"""The shape check that records share."""

from __future__ import annotations

import numpy as np

from attrib.errors import RecordError


def check_shape(record: object, name: str, array: np.ndarray | None, shape: tuple[int | None, ...]) -> None:
    """Refuse an array whose shape is not ``shape`` (None matches any size), naming both."""
    if array is None:
        return
    if array.ndim != len(shape) or any(want not in (None, have) for have, want in zip(array.shape, shape, strict=True)):
        wanted = tuple("any" if size is None else size for size in shape)
        raise RecordError(f"{type(record).__name__}.{name} has shape {array.shape}, expected {wanted}")
