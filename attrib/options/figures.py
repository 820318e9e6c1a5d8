"""Which figures of a record are drawn, and what they show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from attrib.options.fields import everyday

FigureKind = Literal["sections", "prompt", "comparison", "heads", "strip", "track", "gains"]
FIGURE_KINDS: tuple[FigureKind, ...] = get_args(FigureKind)
"""Figures that an explanation can have."""


@dataclass(frozen=True)
class FigureOptions:
    """Choice of figures and their content."""

    kinds: tuple[FigureKind, ...] | None = everyday(None, "Figures", flag="--figure")
    """Figures to draw, comma-separated: sections, prompt, comparison, heads, strip, track, gains; default: the strip,
    one section heatmap and one prompt heatmap."""
    mapper: str | None = everyday(None, "Figures")
    """Mapper of section heatmap and track; default: the record's last, and of --figure sections all."""
    method: str | None = everyday(None, "Figures")
    """Method of the prompt heatmap; default: the most faithful one, and of --figure prompt all."""
    preset: str = everyday("neurips-double", "Figures")
    """Column width: neurips-double, icml-single, acl-double, nature-single and others."""
    top: int | None = everyday(None, "Figures", low=1)
    """Sections in the heatmap; default: 12, or as many as the preset has room for."""
    special: Literal["show", "fold", "hide"] = everyday("fold", "Figures", flag="--template")
    """Chat template's tokens in the prompt heatmap: shown, folded to one column, or hidden (the share is stated)."""
    document: str | None = everyday(None, "Figures")
    """Document of the track, as the record names it; default: all."""
    answer_part: str | None = everyday(None, "Figures")
    """Words of the answer that heads and track show; default: the whole answer."""
    question_part: str | None = everyday(None, "Figures")
    """Words of the question in the head map; default: the whole question."""
