"""Sections → what an encoder makes of them: from the index, from the cache folder, or computed now and kept there."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from attrib.index.encoder import CachedEncoder
from attrib.index.index import Index
from attrib.progress import Progress
from attrib.records import Section
from attrib.store import arrays_in


def encode_sections(
    encoder: CachedEncoder,
    sections: Mapping[int, Section],
    *,
    index: Index | None,
    cache: Path | None,
    group: int,
    task: str,
    progress: Progress | None = None,
) -> dict[int, dict[str, np.ndarray]]:
    """The arrays of each section, by its number in the index.

    What neither the index nor the folder ``cache`` has is computed in groups of ``group`` sections, so that an
    interrupted run keeps what it has; ``progress`` counts these sections as ``task``.
    """
    store = arrays_in(cache, encoder.settings)
    found: dict[int, dict[str, np.ndarray]] = {}
    # A key may cost a rendering.
    keys: dict[int, object] = {}
    for number, section in sections.items():
        arrays = index.arrays(encoder.name, number) if index is not None else None
        if arrays is None:
            keys[number] = encoder.section_key(section)
            arrays = store.get(keys[number])
        if arrays is not None:
            found[number] = arrays
    missing = [number for number in sections if number not in found]
    for done in range(0, len(missing), group):
        if progress is not None:
            progress(task, done, len(missing))
        numbers = missing[done : done + group]
        for number, arrays in zip(numbers, encoder.encode([sections[i] for i in numbers]), strict=True):
            found[number] = arrays
            store.put(keys[number], arrays)
    if progress is not None and missing:
        progress(task, len(missing), len(missing))
    return found
