"""Explanation → figures for papers, their captions, numbers and files.

Each drawing is a function of the record: it returns the figure, shows nothing, leaves matplotlib's settings alone, and
can draw in axes of the caller's. Not covered: several answers in one figure.
"""

from attrib.render.figures.captions import caption, comparison_caption
from attrib.render.figures.comparison import comparison_numbers, method_comparison
from attrib.render.figures.files import drawn, plain_metadata, record_metadata, save, to_bytes
from attrib.render.figures.gains import gain_caption, gain_histogram, gain_numbers
from attrib.render.figures.heads import head_caption, head_heatmap, head_numbers
from attrib.render.figures.heatmap import prompt_heatmap, prompt_numbers, section_heatmap, section_numbers
from attrib.render.figures.latex import escape, snippet
from attrib.render.figures.strip import answer_strip, strip_caption, strip_numbers
from attrib.render.figures.style import COLOURS, FAMILY, FORMATS, MARKERS, PRESETS, SIDES, inches, style, width_of
from attrib.render.figures.track import section_track, track_caption, track_numbers

__all__ = [
    "COLOURS", "FAMILY", "FORMATS", "MARKERS", "PRESETS", "SIDES", "answer_strip", "caption", "comparison_caption",
    "comparison_numbers", "drawn", "escape", "gain_caption", "gain_histogram", "gain_numbers", "head_caption",
    "head_heatmap", "head_numbers", "inches", "method_comparison", "plain_metadata", "prompt_heatmap",
    "prompt_numbers", "record_metadata", "save", "section_heatmap", "section_numbers", "section_track", "snippet",
    "strip_caption", "strip_numbers", "style", "to_bytes", "track_caption", "track_numbers", "width_of",
]  # fmt: skip
