"""One figure for all assessments: rows of points with intervals, in panels that share the rows, and a legend above.

A ``draw`` module turns its report into blocks; ``figure`` lays them out for a column's width, or draws them in axes of
the caller's. Text is at least 6 pt; names are text, never formulas. Not covered: figures of one answer
(``render.figures``).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from attrib.render import figures as draw
from attrib.render.figures.parts import LEGEND, own_axes
from attrib.render.figures.style import FONT, figure_of, size
from attrib.render.view import visible

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_EDGE, _GAP, _BESIDE = 0.1, 0.16, 0.14  # inches: right of all, between panels, beside names
_SIDE = 0.42  # inches: numbers and label at the left of panels without rows
_LINE, _TITLE, _FOOT = 0.12, 0.2, 0.32  # inches: a line of a legend or a title, above a panel, ticks and label below
_INDENT, _HANDLE = 0.04, 0.21  # inches: at the left of a legend, a handle with the space beside it
_NARROWEST = 0.9  # inches of a panel
_SHARE, _LONE_SHARE = 0.42, 0.55
"""Share of the width that names may take beside several panels, and beside one."""


@dataclass(frozen=True)
class Look:
    """How a series is drawn, and what a legend calls it."""

    name: str
    colour: str
    marker: str = ""
    """Empty: a line alone."""
    size: float = 3.0
    hollow: bool = False
    line: float = 0.9
    """Width in points; 0 where a legend shows the marker alone."""
    dashes: str = "-"
    area: bool = False
    """Whether a legend shows a filled box."""


BASE, TUNED = (Look(side, colour, draw.MARKERS[side]) for side, colour in draw.SIDES.items())


@dataclass(frozen=True)
class Dot:
    """A value with its interval; drawn where the value is finite."""

    place: int | float
    """Row from the top, and how far below its middle."""
    value: float
    low: float
    high: float
    look: Look


@dataclass(frozen=True)
class Bar:
    """A filled length in a row."""

    place: int | float
    start: int | float
    length: float
    look: Look


@dataclass(frozen=True)
class Rule:
    """An upright line at a value, through all rows or one."""

    value: float
    look: Look
    row: int | None = None


@dataclass(frozen=True)
class Band:
    """A range of values behind all rows."""

    low: float
    high: float
    look: Look


Mark = Dot | Bar | Rule | Band


@dataclass(frozen=True, eq=False)
class Panel:
    """One axis of values over the block's rows."""

    title: str
    unit: str
    marks: tuple[Mark, ...] = ()
    limits: tuple[float | None, float | None] = (None, None)
    logarithmic: bool = False
    below: str = ""
    """Second line of the title."""
    content: Callable[[Axes], None] | None = None
    """Draws the panel instead of marks in rows; its y axis has numbers."""
    side_unit: str = ""
    """Label of that y axis."""


@dataclass(frozen=True)
class RowName:
    """What stands beside a row."""

    name: str
    end: str = ""
    """Follows the name, and is not cut with it."""
    faint: bool = False


@dataclass(frozen=True, eq=False)
class PanelGroup:
    """Panels that share rows, with their legend."""

    panels: tuple[Panel, ...]
    rows: tuple[RowName, ...] = ()
    legend: tuple[Look, ...] = ()
    row: float = 0.2
    """Inches of a row."""
    height: float = 1.05
    """Inches of panels without rows."""
    divided: int | None = None
    """Row above which a line stands."""

    @property
    def tall(self) -> float:
        """Inches of a panel."""
        return self.row * len(self.rows) if self.rows else self.height


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
        places = _layout(lines, width)
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
    names = _SHARE * float(made.get_size_inches()[0])
    for block in blocks:
        own, at = axes[at : at + len(block.panels)], at + len(block.panels)
        first = min(ax.get_position().x0 for ax in own) + 1e-9
        for ax, panel in zip(own, block.panels, strict=True):
            _draw(ax, block, panel, names if ax.get_position().x0 <= first else None)
        if block.legend:
            wide, tall = size(own[0])
            up = _title_height(block) + _LINE * _legend_lines(block.legend, wide)
            _legend(own[0], block.legend, (0.0, 1 + up / tall), wide)
    return made


# ------------------------------------------------------------------------------------------- layout


@dataclass(frozen=True, eq=False)
class _Place:
    """Where a block stands, in inches from the figure's top left."""

    block: PanelGroup
    names: float
    """Room for the names of its rows."""
    left: float
    top: float
    """Of its legend."""
    room: float
    """Width that its legend may take."""
    corners: tuple[tuple[float, float], ...]
    """Left and top of each panel."""
    wide: float
    """Width of a panel."""
    bottom: float


def _layout(lines: Sequence[Sequence[PanelGroup]], width: float) -> list[_Place]:
    """Every block's place, the lines one below the other."""
    top, places = 0.02, []
    widest = max((_inches(row) for line in lines for block in line for row in block.rows), default=0.0)
    for line in lines:
        for blocks, columns, names, wide in _groups(line, widest, width):
            room = width - _INDENT - _EDGE
            panels_top = top + _LINE * max(_legend_lines(block.legend, room) for block in blocks)
            left, bottoms = 0.0, []
            for block, n in zip(blocks, columns, strict=True):
                across, down = left + _beside(block, names), _title_height(block) + block.tall + _FOOT
                corners = []
                for i in range(len(block.panels)):
                    row, column = divmod(i, n)
                    corners.append((across + column * (wide + _GAP), panels_top + row * down + _title_height(block)))
                bottoms.append(panels_top + -(-len(block.panels) // n) * down)
                indent = left + _INDENT
                places.append(_Place(block, names, indent, top, room - left, tuple(corners), wide, bottoms[-1]))
                left = across + n * (wide + _GAP)
            top = max(bottoms)
    return places


def _groups(
    line: Sequence[PanelGroup], widest: float, width: float
) -> Iterator[tuple[Sequence[PanelGroup], list[int], float, float]]:
    """Blocks that stand side by side, the columns of each, room for names and width of a panel.

    All panels beside each other where they find room; else each block's in two rows, in three …; else every block by
    itself, its panels one below the other.
    """
    for rows in range(1, max(len(block.panels) for block in line) + 1):
        columns = [-(-len(block.panels) // rows) for block in line]
        names = min(widest, (_LONE_SHARE if columns == [1] else _SHARE) * width)
        taken = sum(_beside(block, names) for block in line) + (sum(columns) - 1) * _GAP + _EDGE
        wide = (width - taken) / sum(columns)
        if wide >= max(_least(panel) for block in line for panel in block.panels):
            yield line, columns, names, wide
            return
    if len(line) > 1:
        for block in line:
            yield from _groups([block], widest, width)
        return
    names = min(widest, _LONE_SHARE * width)
    yield line, [1], names, width - _beside(line[0], names) - _EDGE


def _beside(block: PanelGroup, names: float) -> float:
    """Inches at a block's left."""
    return names + _BESIDE if block.rows else _SIDE


def _least(panel: Panel) -> float:
    """Inches that a panel needs for its texts, which may reach a little into the gap."""
    texts = (draw.inches(panel.title) * 6.5 / 6, draw.inches(panel.below), draw.inches(panel.unit))
    return max(_NARROWEST, max(texts) - _GAP / 2)


def _title_height(block: PanelGroup) -> float:
    return _TITLE + _LINE * any(panel.below for panel in block.panels)


def _legend_lines(looks: Sequence[Look], room: float) -> int:
    return -(-len(looks) // _legend_columns(looks, room)) if looks else 0


def _legend_columns(looks: Sequence[Look], room: float) -> int:
    """As many as fit ``room`` inches, entries one below the other in each."""
    for columns in range(len(looks), 1, -1):
        lines, longer = divmod(len(looks), columns)
        taken, at = 0.0, 0
        for column in range(columns):
            end = at + lines + (column < longer)
            taken += max(draw.inches(look.name) for look in looks[at:end]) + _HANDLE
            at = end
        if taken <= room:
            return columns
    return 1


def _inches(row: RowName) -> float:
    return draw.inches(_shown(row.name)) + draw.inches(row.end)


def _shown(name: str) -> str:
    return visible(" ".join(name.split()))[:200]


def _fitted(row: RowName, room: float) -> str:
    """The name, or as much of its start as fits ``room`` inches with what ends it."""
    name = _shown(row.name)
    # What fits exactly is not cut for the last digit.
    room += 1e-6 - draw.inches(row.end)
    if draw.inches(name) > room:
        while name and draw.inches(f"{name}…") > room:
            name = name[:-1]
        name = f"{name.rstrip()}…"
    return name + row.end


# ------------------------------------------------------------------------------------------- marks


def _draw(ax: Axes, block: PanelGroup, panel: Panel, names: float | None) -> None:
    """One panel; ``names``: room for the names of its rows, None where it has none."""
    ax.set_title(panel.title, fontsize=6.5, pad=3 + 72 * _LINE * bool(panel.below), loc="left", family=draw.FAMILY)
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
    ax.set_yticks(range(n), ["" if names is None else _fitted(row, names) for row in block.rows], parse_math=False)
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
    """Of a figure or of axes, its upper left corner at ``anchor``."""
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
    columns = _legend_columns(looks, room)
    target.legend(handles=handles, loc="upper left", bbox_to_anchor=anchor, ncols=columns, **LEGEND)
