"""Parts that figures of assessments share: points with intervals, named rows, ticks, titles, legends.

Text is at least 6 pt; names are text, never formulas.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from attrib.render import figures as draw
from attrib.render.figures.parts import legend_columns, legend_line, own_axes
from attrib.render.figures.style import figure_of, size

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_EDGE, _GAP, _BESIDE = 0.1, 0.16, 0.14  # inches: right of all, between panels, beside names
_LINE, _TITLE, _FOOT = 0.12, 0.24, 0.32  # inches: of legend, above a panel, below it with ticks and label
_NARROW = 1.0
"""Inches below which two panels stand one above the other."""


def two(
    width: float,
    kinds: Sequence[str],
    counts: Sequence[int],
    *,
    row: float,
    lines: int = 1,
    axs: Sequence[Axes] | None = None,
) -> tuple[Figure, list[Axes]]:
    """A new figure of two panels with a row a kind (its count in brackets), ``row`` inches high; ``lines`` of legend.

    The second stands beside the first, without names; where they would be too narrow below it, with them. ``axs``: two
    axes of the caller's instead.
    """
    from matplotlib.figure import Figure as NewFigure

    if axs is not None:
        return _in_own(own_axes(axs, ("left", "right")), kinds, counts)
    kinds = [" ".join(kind.split()) for kind in kinds]
    ends = [f" ({count})" for count in counts]
    widest = max(draw.inches(kind) + draw.inches(end) for kind, end in zip(kinds, ends, strict=True))
    left = min(widest, 0.42 * width) + _BESIDE
    wide = (width - left - _EDGE - _GAP) / 2
    stacked = wide < _NARROW
    if stacked:
        left = min(widest, 0.55 * width) + _BESIDE
        wide = width - left - _EDGE
    # What fits exactly is not cut for the last digit.
    room = left - _BESIDE + 1e-6
    names = [short(kind, room - draw.inches(end)) + end for kind, end in zip(kinds, ends, strict=True)]
    tall = row * len(names)
    panel = _TITLE + tall + _FOOT
    height = lines * _LINE + (2 if stacked else 1) * panel
    figure = NewFigure(figsize=(width, height))
    axes = []
    for i in range(2):
        right, up = (0.0, (1 - i) * panel) if stacked else (i * (wide + _GAP), 0.0)
        axes.append(figure.add_axes(((left + right) / width, (_FOOT + up) / height, wide / width, tall / height)))
        rows(axes[i], names if i == 0 or stacked else [""] * len(names))
    return figure, axes


def _in_own(axes: list[Axes], kinds: Sequence[str], counts: Sequence[int]) -> tuple[Figure, list[Axes]]:
    """Rows in the caller's axes, their names beside the first and beside what stands below it."""
    figure, room = figure_of(axes[0]), 0.42 * float(figure_of(axes[0]).get_size_inches()[0])
    names = [
        short(" ".join(kind.split()), room - draw.inches(f" ({count})")) + f" ({count})"
        for kind, count in zip(kinds, counts, strict=True)
    ]
    for ax in axes:
        rows(ax, names if beside_nothing(ax, axes) else [""] * len(names))
    return figure, axes


def beside_nothing(ax: Axes, axes: Sequence[Axes]) -> bool:
    """Whether none of ``axes`` stands left of this one."""
    return bool(ax.get_position().x0 <= min(other.get_position().x0 for other in axes) + 1e-9)


def point(
    ax: Axes,
    ends: tuple[float, float, float],
    place: float,
    colour: str,
    marker: str = "o",
    size: float = 3.0,
    *,
    hollow: bool = False,
) -> None:
    """A value with its interval (value, low, high) in row ``place``."""
    value, low, high = ends
    ax.plot([low, high], [place] * 2, color=colour, lw=0.9, solid_capstyle="butt", zorder=1)
    ax.plot([value], [place], marker, ms=size, mew=0.7, mec=colour, mfc="white" if hollow else colour, zorder=2)


def rows(ax: Axes, names: Sequence[str]) -> None:
    """One row a name from the top, every other one shaded."""
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.set_yticks(range(len(names)), list(names))
    for text in ax.get_yticklabels():
        text.set_parse_math(False)
    stripes(ax, len(names))
    ticks(ax)
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)


def stripes(ax: Axes, n: int) -> None:
    """Every other one of ``n`` rows shaded."""
    for i in range(0, n, 2):
        ax.axhspan(i - 0.5, i + 0.5, color="#F5F5F5", lw=0, zorder=-1)


def spines(ax: Axes, *names: str) -> None:
    """The named ones thin, the others gone."""
    for name, spine in ax.spines.items():
        spine.set_visible(name in names)
        spine.set_linewidth(0.5)


def side_handles(size: float = 3.0, line: float = 0.9) -> list[Any]:
    """Of a legend: base and tuned with their markers."""
    from matplotlib.lines import Line2D

    return [
        Line2D([], [], color=colour, marker=draw.MARKERS[side], ms=size, lw=line, label=side)
        for side, colour in draw.SIDES.items()
    ]


def short(text: str, room: float) -> str:
    """As much of its start as fits ``room`` inches of 6 pt."""
    text = text[:200]
    if draw.inches(text) <= room:
        return text
    while text and draw.inches(f"{text}…") > room:
        text = text[:-1]
    return f"{text.rstrip()}…"


def ticks(ax: Axes) -> None:
    """Few round ticks, thin spines on the left and below."""
    from matplotlib.ticker import MaxNLocator

    ax.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    ax.xaxis.set_major_formatter(lambda value, _: f"{value:g}".replace("-", "−"))
    ax.tick_params(labelsize=6, length=2, pad=1.5, width=0.5)
    spines(ax, "left", "bottom")


def title(ax: Axes, text: str) -> None:
    """Above the panel, from its left edge."""
    ax.set_title(text, fontsize=6.5, pad=3, loc="left", family=draw.FAMILY)


def legend(
    figure: Figure,
    handles: Sequence[Any],
    *,
    left: float = 0.0,
    down: float = 0.0,
    columns: int | None = None,
    above: Axes | None = None,
) -> None:
    """A row of handles ``left`` and ``down`` inches from the figure's upper left corner, or above these axes' title."""
    if above is not None:
        room = size(above)[0]
        lines = -(-len(handles) // legend_columns([handle.get_label() for handle in handles], room))
        legend_line(above, handles, left=0.0, up=_TITLE + lines * _LINE, room=room)
        return
    width, height = figure.get_size_inches()
    figure.legend(
        handles=list(handles), loc="upper left", bbox_to_anchor=(left / width, 1 - down / height),
        ncols=columns or len(handles), prop={"size": 6.0, "family": draw.FAMILY}, frameon=False, borderpad=0,
        borderaxespad=0, handlelength=1.4, handletextpad=0.3, columnspacing=0.9,
    )  # fmt: skip
