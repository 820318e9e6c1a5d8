"""Widths, fonts, colours and sizes that every figure shares.

Sizes are in inches: a figure is exactly as wide as the column it is made for. Scripts that DejaVu Sans lacks (CJK,
emoji) are drawn as boxes, on every machine alike.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from attrib.errors import InputError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


PRESETS: dict[str, float] = {
    "neurips-single": 5.5,
    "neurips-double": 5.5,
    "icml-single": 3.25,
    "icml-double": 6.75,
    "acl-single": 3.03,
    "acl-double": 6.3,
    "nature-single": 3.5,
    "nature-double": 7.2,
}
"""Width in inches by venue and column; NeurIPS has one column."""
COLOURS = {"documents": "#0072B2", "base": "#E69F00", "neither": "#D3D3D3", "cannot tell": "#8C8C8C"}
"""Colours of the verdicts, distinct for colour-blind readers and in grey print."""
HATCHES = {"cannot tell": "//////"}
"""Hatching over the colour, where a verdict has one."""
SEQUENTIAL = "paper to cividis"
"""Scores from the paper's white, nothing, over light to dark, much, as on the page (``colour_map``)."""
PALE = 0.12
"""Share of the scale up to which it leaves the paper, so that zero is no colour."""
MORE, LESS = "#5E4A9E", "#B25706"
"""What tuning made likelier, and less likely, as on the page."""
SIDES = {"base": COLOURS["base"], "tuned": COLOURS["documents"]}
"""The two models, wherever they stand side by side."""
MARKERS = {"base": "o", "tuned": "s"}
FORMATS = ("pdf", "svg", "png")
_IN_FONT = str.maketrans("␠␍", "␣↩")  # DejaVu Sans has no ␠ and ␍
FAMILY = "DejaVu Sans"
"""Comes with matplotlib: the same figure on every machine."""
FONT: dict[str, Any] = {"fontsize": 6.0, "family": FAMILY, "parse_math": False}
LINE = 0.1  # inches that a line of 6 pt text needs
LINE_SPACING = 1.1
MAX_HEIGHT = 9.0  # inches of a page
COLUMN_LABEL = 0.95  # inches that the name of a column may take
MARGIN = 0.05  # inches: figure's edge


def colour_map(name: str) -> Any:
    """matplotlib's colours of this name, or SEQUENTIAL."""
    import matplotlib
    from matplotlib.colors import LinearSegmentedColormap

    if name != SEQUENTIAL:
        return matplotlib.colormaps[name]
    cividis = matplotlib.colormaps["cividis_r"]
    steps = [i / 32 for i in range(33)]
    return LinearSegmentedColormap.from_list(
        name, [(0.0, "white"), *((PALE + (1 - PALE) * i, cividis(i)) for i in steps)]
    )


@contextmanager
def style() -> Iterator[None]:
    """Matplotlib's own defaults, whatever the caller has set, and no warning for each missing glyph."""
    import matplotlib.style

    ours = {"pdf.fonttype": 42, "svg.fonttype": "path", "svg.hashsalt": "attrib", "font.family": FAMILY}
    with matplotlib.style.context("default"), matplotlib.rc_context(ours), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from font")
        yield


def width_of(preset: str) -> float:
    """Inches; InputError for a preset that does not exist."""
    if preset not in PRESETS:
        raise InputError(f"no preset {preset!r} for a figure's width; choose from {', '.join(PRESETS)}")
    return PRESETS[preset]


@lru_cache(10_000)
def inches(text: str) -> float:
    """Width of 6 pt text."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    if not text:
        return 0.0
    width, _, _ = text_to_path.get_text_width_height_descent(text, FontProperties(family=FAMILY, size=6), False)
    return float(width) / 72


def wrap(text: str, width: float) -> tuple[str, ...]:
    """Lines of whole words that fit ``width`` inches; where one line is too short, a new one starts at each ";"."""
    if "; " in text and inches(text) > width:
        return tuple(line for part in text.split("; ") for line in wrap(part, width))
    lines: list[str] = []
    for word in text.split():
        if lines and inches(f"{lines[-1]} {word}") <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return tuple(lines)


def foot(lines: Sequence[str]) -> float:
    """Height of a note in inches."""
    return LINE * LINE_SPACING * len(lines) + MARGIN if lines else 0.0


def in_font(text: str) -> str:
    """Signs that the font lacks as like ones that it has."""
    return text.translate(_IN_FONT)


def elide(text: str, width: float) -> str:
    """The text, or as much of its start as fits with an ellipsis."""
    text = in_font(text[:200])
    if inches(text) <= width:
        return text
    while text and inches(text + "…") > width:
        text = text[:-1]
    return text.rstrip() + "…"


def figure_of(ax: Axes) -> Figure:
    """The figure that the axes stand in; InputError for axes that were taken out of theirs."""
    figure = ax.get_figure(root=True)
    if figure is None:
        raise InputError("axs holds axes without a figure; give axes that are still part of one")
    return figure


def size(ax: Axes) -> tuple[float, float]:
    """Width and height of the axes in inches."""
    box = ax.get_position()
    width, height = figure_of(ax).get_size_inches()
    return float(box.width * width), float(box.height * height)


def short_bits(value: float) -> str:
    """An end of the gain track: whole bits, tenths below ten; the label has no room for more."""
    return "0" if abs(value) < 0.05 else f"{value:+.{0 if abs(value) >= 9.95 else 1}f}".replace("-", "−")
