"""Explanation → figures for papers, their captions, numbers and files.

Each drawing is a function of the record: it returns the figure, shows nothing, leaves matplotlib's settings alone, and
can draw in axes of the caller's. Not covered: several answers in one figure.
"""

from attrib.render.figures.captions import caption, comparison_caption
from attrib.render.figures.comparison import method_comparison
from attrib.render.figures.files import plain_metadata, save, to_bytes
from attrib.render.figures.heatmap import prompt_heatmap, section_heatmap
from attrib.render.figures.style import COLOURS, FAMILY, FORMATS, MARKERS, PRESETS, SIDES, inches, style, width_of

__all__ = [
    "COLOURS",
    "FAMILY",
    "FORMATS",
    "MARKERS",
    "PRESETS",
    "SIDES",
    "caption",
    "comparison_caption",
    "inches",
    "method_comparison",
    "plain_metadata",
    "prompt_heatmap",
    "save",
    "section_heatmap",
    "style",
    "to_bytes",
    "width_of",
]
