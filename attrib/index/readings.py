"""Hidden states and log-probs of section texts under one model, from the index, the cache folder, or computed now."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from attrib.files import digest, write_atomically
from attrib.index.library import _groups
from attrib.models.pair import Model
from attrib.passes.capture import TextCapture, capture_texts
from attrib.progress import Progress

SCHEMA = 1
"""Raised when what is kept of a text changes: older readings are then not found."""


def read_texts(
    model: Model,
    texts: Mapping[int, str],
    layer: int,
    *,
    variant: str,
    cache: Path | None,
    stored: Callable[[int], TextCapture | None] = lambda number: None,
    progress: Progress | None = None,
) -> dict[int, TextCapture]:
    """What ``model`` makes of each text: from an index (``stored``, by number), from the cache folder, or made now and
    kept there, one file each.

    ``variant`` names all that changes the numbers besides weights and layer: device, dtype and tokenizer.
    """
    whose = digest(f"{SCHEMA} {model.fingerprint} {variant} {layer}")
    folder = cache / "readings" / whose if cache is not None else None
    files = {i: folder / f"{digest(text)}.safetensors" for i, text in texts.items()} if folder is not None else {}
    found = {i: capture for i in texts if (capture := stored(i)) is not None}
    found |= {i: capture for i, file in files.items() if i not in found and (capture := _load(file)) is not None}
    missing = [i for i in texts if i not in found]
    # Small groups: an interrupted run keeps what it has read.
    done = 0
    for group in _groups(missing, 32):
        if progress is not None:
            progress(f"{model.name} reads sections", done, len(missing))
        for i, capture in zip(group, capture_texts(model, [texts[i] for i in group], layer), strict=True):
            found[i] = capture
            if files:
                _store(files[i], capture)
        done += len(group)
    if progress is not None and missing:
        progress(f"{model.name} reads sections", len(missing), len(missing))
    return found


def _load(file: Path) -> TextCapture | None:
    """A stored capture; None where it is absent or damaged (it is then made again)."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        arrays = load_file(file)
        return TextCapture(
            float(arrays["logprob"]), int(arrays["tokens"]), arrays["states"], arrays["starts"], arrays["ends"]
        )
    except (OSError, SafetensorError, KeyError, TypeError):
        return None


def _store(file: Path, capture: TextCapture) -> None:
    from safetensors.numpy import save

    arrays = {
        "logprob": np.array(capture.logprob),
        "tokens": np.array(capture.tokens),
        "states": capture.states,
        "starts": capture.starts,
        "ends": capture.ends,
    }
    # safetensors writes the memory of a view as it lies: a copy in C order. (ascontiguousarray makes scalars arrays.)
    write_atomically(file, save({name: np.array(array, order="C") for name, array in arrays.items()}))
