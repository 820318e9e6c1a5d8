"""Groups of panels → a figure, or the caller's axes filled.

Text is at least 6 pt; names are text, never formulas. Not covered: other marks than those of ``plan``; a panel may draw
itself.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from attrib.render import figures as draw
from attrib.render.figures.parts import LEGEND, own_axes
from attrib.render.figures.style import FONT, figure_of, size

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


from attrib.assess.dots.layout import LINE, NAMES_SHARE, fitted, legend_columns, legend_lines, places_of, title_height
from attrib.assess.dots.plan import Band, Bar, Look, Mark, Panel, PanelGroup, Rule


def figure(
    lines: Sequence[Sequence[PanelGroup]], *, preset: str = "neurips-double", axs: Sequence[Axes] | None = None
) -> Figure:
    """Lines of blocks, those of a line side by side where all find room.

    ``axs``: axes of the caller's, one a panel; the preset is then not used. Raises InputError for another number of
    axes and for an unknown preset.
    """
    from matplotlib.figure import Figure as NewFigure

    width = draw.width_of(preset)
    blocks = [block for line in lines for block in line]
    with draw.style():
        if axs is not None:
            return _in_own(blocks, own_axes(axs, [panel.title for block in blocks for panel in block.panels]))
        places = places_of(lines, width)
        height = max(place.bottom for place in places)
        made = NewFigure(figsize=(width, height))
        for place in places:
            tall = place.block.tall
            for panel, (left, top) in zip(place.block.panels, place.corners, strict=True):
                ax = made.add_axes((left / width, 1 - (top + tall) / height, place.wide / width, tall / height))
                _draw(ax, place.block, panel, place.names if left == place.corners[0][0] else None)
            if place.block.legend:
                _legend(made, place.block.legend, (place.left / width, 1 - place.top / height), place.room)
        return made


def _in_own(blocks: Sequence[PanelGroup], axes: list[Axes]) -> Figure:
    """The same in the caller's axes: names beside what has nothing at its left, legends above their first panel."""
    made, at = figure_of(axes[0]), 0
    names = NAMES_SHARE * float(made.get_size_inches()[0])
    for block in blocks:
        own, at = axes[at : at + len(block.panels)], at + len(block.panels)
        first = min(ax.get_position().x0 for ax in own) + 1e-9
        for ax, panel in zip(own, block.panels, strict=True):
            _draw(ax, block, panel, names if ax.get_position().x0 <= first else None)
        if block.legend:
            wide, tall = size(own[0])
            up = title_height(block) + LINE * legend_lines(block.legend, wide)
            _legend(own[0], block.legend, (0.0, 1 + up / tall), wide)
    return made


def _draw(ax: Axes, block: PanelGroup, panel: Panel, names: float | None) -> None:
    """One panel; ``names``: room for the names of its rows, None where it has none."""
    ax.set_title(panel.title, fontsize=6.5, pad=3 + 72 * LINE * bool(panel.below), loc="left", family=draw.FAMILY)
    if panel.below:
        ax.annotate(
            panel.below, (0, 1), (0, 2.5), xycoords="axes fraction", textcoords="offset points", va="baseline",
            annotation_clip=False, **FONT,
        )  # fmt: skip
    ax.set_xlabel(panel.unit, labelpad=1.5, **FONT)
    for name, spine in ax.spines.items():
        spine.set_visible(name == "bottom" or (name == "left" and not block.rows))
        spine.set_linewidth(0.5)
    ax.tick_params(labelsize=6, length=2, pad=1.5, width=0.5)
    if panel.content is not None:
        panel.content(ax)
        _round_ticks(ax.yaxis, size(ax)[1])
        ax.tick_params(labelleft=names is not None)
        ax.set_ylabel(panel.side_unit if names is not None else "", labelpad=1, **FONT)
    else:
        _rows(ax, block, names)
        for mark in panel.marks:
            _mark(ax, mark)
    if panel.logarithmic:
        _powers_of_ten(ax)
    else:
        _round_ticks(ax.xaxis, size(ax)[0])
    ax.set_xlim(*panel.limits)


def _rows(ax: Axes, block: PanelGroup, names: float | None) -> None:
    """Rows from the top, every other one shaded, with or without their names."""
    n = len(block.rows)
    ax.set_ylim(n - 0.5, -0.5)
    ax.set_yticks(range(n), ["" if names is None else fitted(row, names) for row in block.rows], parse_math=False)
    for text, row in zip(ax.get_yticklabels(), block.rows, strict=True):
        text.set_color("#666666" if row.faint else "black")
    ax.tick_params(axis="y", length=0, pad=4)
    for i in range(0, n, 2):
        ax.axhspan(i - 0.5, i + 0.5, color="#F5F5F5", lw=0, zorder=-1)
    if block.divided is not None:
        ax.axhline(block.divided - 0.5, color="#999999", lw=0.5)


def _mark(ax: Axes, mark: Mark) -> None:
    look = mark.look
    if isinstance(mark, Band):
        ax.axvspan(mark.low, mark.high, color=look.colour, alpha=0.18, lw=0, zorder=0)
    elif isinstance(mark, Bar):
        ax.barh(mark.place, mark.length, left=mark.start, height=0.7, color=look.colour, lw=0, zorder=1)
    elif isinstance(mark, Rule):
        ends, over = (ax.get_ylim(), 0) if mark.row is None else ((mark.row - 0.42, mark.row + 0.42), 3)
        ax.plot([mark.value] * 2, ends, look.dashes, color=look.colour, lw=look.line, zorder=over, clip_on=False)
    elif math.isfinite(mark.value):
        line: dict[str, Any] = {
            "color": look.colour,
            "lw": look.line,
            "solid_capstyle": "butt",
            "clip_on": False,
            "zorder": 2,
        }
        ax.plot([mark.low, mark.high], [mark.place] * 2, **line)
        if look.marker:
            ax.plot([mark.value], [mark.place], clip_on=False, zorder=2.5, **_marker(look))


def _marker(look: Look) -> dict[str, Any]:
    face = "white" if look.hollow else look.colour
    return {"marker": look.marker, "ms": look.size, "mew": 0.7, "mec": look.colour, "mfc": face}


def _round_ticks(axis: Any, room: float) -> None:
    """At most five round numbers, fewer where they have less than 0.22 of ``room`` inches each."""
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator(min(5, max(2, int(room / 0.22))), steps=[1, 2, 5, 10]))
    axis.set_major_formatter(lambda value, _: f"{value:g}".replace("-", "−"))


def _powers_of_ten(ax: Axes) -> None:
    """Plain numbers: powers would be set smaller than the smallest text."""
    from matplotlib.ticker import LogLocator

    ax.set_xscale("log")
    ax.xaxis.set_major_locator(LogLocator(10, numticks=4))
    ax.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    ax.xaxis.set_minor_formatter(lambda value, _: "")


def _legend(target: Any, looks: Sequence[Look], anchor: tuple[float, float], room: float) -> None:
    """A legend of a figure or of axes, its upper left corner at ``anchor``."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles: list[Any] = []
    line: dict[str, Any]
    for look in looks:
        if look.area:
            handles.append(Patch(facecolor=look.colour, lw=0, label=look.name))
        else:
            line = {"color": look.colour, "lw": look.line, "ls": look.dashes}
            handles.append(Line2D([], [], label=look.name, **line, **_marker(look)))
    columns = legend_columns(looks, room)
    target.legend(handles=handles, loc="upper left", bbox_to_anchor=anchor, ncols=columns, **LEGEND)
