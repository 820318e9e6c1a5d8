"""Explanation → one figure with its caption and its numbers, and their files.

Not covered: which figures a record can have (``export``).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrib.records import Explanation
from attrib.render import figures as draw
from attrib.render import view
from attrib.render.tables import write_files
from attrib.render.view import Side, Special

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, eq=False)
class Drawing:
    """A figure with what goes beside it."""

    name: str
    """Stem of its files."""
    figure: Figure
    caption: str
    numbers: list[dict[str, object]]


def write(explanation: Explanation, drawing: Drawing, folder: Path, formats: Sequence[str], preset: str) -> list[str]:
    """One figure and what goes beside it; returns the files."""
    files = draw.drawn(
        drawing.name, drawing.figure, drawing.caption, formats, preset=preset, numbers=drawing.numbers,
        metadata=lambda form: draw.record_metadata(explanation, form),
    )  # fmt: skip
    return write_files(folder, files)


def sections(
    explanation: Explanation, mapper: str, *, preset: str = "neurips-double", top: int | None = None
) -> Drawing:
    """The section heatmap."""
    return Drawing(
        file_name(f"sections-{mapper}"),
        draw.section_heatmap(explanation, mapper, preset=preset, top=top),
        draw.caption(explanation, mapper, preset=preset, top=top),
        draw.section_numbers(explanation, mapper, preset=preset, top=top),
    )


def prompt(
    explanation: Explanation, method: str, *, preset: str = "neurips-double", special: Special = "fold"
) -> Drawing:
    """The prompt heatmap."""
    return Drawing(
        file_name(f"prompt-{method}"),
        draw.prompt_heatmap(explanation, method, preset=preset, special=special),
        draw.caption(explanation, method, preset=preset, special=special),
        draw.prompt_numbers(explanation, method, preset=preset, special=special),
    )


def comparison(
    explanation: Explanation,
    methods: Sequence[str] | None = None,
    *,
    side: Side = "both",
    preset: str = "neurips-double",
) -> Drawing:
    """The methods side by side over the question's words."""
    return Drawing(
        "prompt-comparison",
        draw.method_comparison(explanation, methods, side, preset=preset),
        draw.comparison_caption(explanation, methods, side, preset=preset),
        draw.comparison_numbers(explanation, methods, side, preset=preset),
    )


def heads(
    explanation: Explanation,
    tokens: Sequence[int] | None = None,
    positions: Sequence[int] | None = None,
    *,
    preset: str = "neurips-double",
) -> Drawing:
    """The layer × head map."""
    return Drawing(
        "heads",
        draw.head_heatmap(explanation, tokens, positions, preset=preset),
        draw.head_caption(explanation, tokens, positions),
        draw.head_numbers(explanation, tokens, positions),
    )


def strip(explanation: Explanation, *, preset: str = "neurips-double") -> Drawing:
    """The answer with its verdicts."""
    return Drawing(
        "answer",
        draw.answer_strip(explanation, preset=preset),
        draw.strip_caption(explanation, preset=preset),
        draw.strip_numbers(explanation),
    )


def gains(explanation: Explanation, *, preset: str = "neurips-double") -> Drawing:
    """Each text's own gain."""
    return Drawing(
        "gains",
        draw.gain_histogram(explanation, preset=preset),
        draw.gain_caption(explanation),
        draw.gain_numbers(explanation),
    )


def track(
    explanation: Explanation,
    mapper: str | None = None,
    *,
    document: str | None = None,
    tokens: Sequence[int] | None = None,
    preset: str = "neurips-double",
) -> Drawing:
    """The scores along the documents."""
    of: dict[str, Any] = {"document": document, "tokens": tokens}
    return Drawing(
        file_name(f"track-{view.track(explanation, mapper, **of).mapper}"),
        draw.section_track(explanation, mapper, **of, preset=preset),
        draw.track_caption(explanation, mapper, **of),
        draw.track_numbers(explanation, mapper, **of),
    )


def file_name(name: str) -> str:
    """A name from a record as one of a file: it comes from elsewhere and must not name a folder."""
    return re.sub("[^A-Za-z0-9._-]+", "-", name)[:100]
