"""Parts of heatmaps: cells with gaps between columns, names below them, colour bars."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from attrib.errors import InputError
from attrib.render import view
from attrib.render.figures.style import FAMILY, FONT, colour_map, figure_of, inches, size
from attrib.render.view import Column

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BAR = 0.36  # inches: a colour bar below the panels with its ticks and label
GAP = 0.5  # columns' widths before a column set apart
BOUNDARY = 0.25  # columns' widths between documents


def edges_of(columns: Sequence[Column]) -> list[tuple[float, float]]:
    """Left and right edge of each column, in columns' widths, with gaps before what is set apart."""
    edges: list[tuple[float, float]] = []
    for i, column in enumerate(columns):
        left = edges[-1][1] if edges else 0.0
        if i and (column.apart or columns[i - 1].apart):
            left += GAP
        elif i and column.document != columns[i - 1].document:
            left += BOUNDARY
        edges.append((left, left + 1))
    return edges


def cells(ax: Axes, edges: Sequence[tuple[float, float]], values: np.ndarray, colours: Any, norm: Any) -> None:
    """A mesh for each run of touching columns, the first row on top; gaps stay empty."""
    rows, at = np.arange(len(values) + 1), 0
    while at < len(edges):
        end = at + 1
        while end < len(edges) and edges[end][0] == edges[end - 1][1]:
            end += 1
        x = [edges[at][0], *(right for _, right in edges[at:end])]
        ax.pcolormesh(
            x, rows, values[:, at:end], cmap=colours, norm=norm, edgecolors="white", linewidth=0.25, shading="flat"
        )
        at = end
    ax.set(xlim=(0, edges[-1][1]), ylim=(len(values), 0), xticks=[], yticks=[])
    ax.spines[:].set_visible(False)


def label_below(ax: Axes, x: float, text: str, *, of_axes: bool = False, shift: float = 0.0) -> None:
    """A name under a column, read from below; ``shift`` inches further down."""
    place = "axes fraction" if of_axes else ax.get_xaxis_transform()
    write(ax, text, (x, 0), (0, -2 - 72 * shift), place, va="top", rotation=90)


def write(
    ax: Axes,
    text: str,
    at: tuple[float, float],
    shift: tuple[float, float],
    place: Any = "axes fraction",
    *,
    ha: str = "center",
    va: str = "baseline",
    **style: Any,
) -> None:
    """Small text, ``shift`` points from ``at``, that may stand outside the axes."""
    ax.annotate(
        text, at, shift, xycoords=place, textcoords="offset points", ha=ha, va=va, annotation_clip=False,
        **FONT, **style,
    )  # fmt: skip


HALF_CAPITAL = -2.1
"""Points by which a baseline stands below the middle of capitals: labels share it whatever their letters."""


def scale(norm: Any, colours: str) -> Any:
    from matplotlib.cm import ScalarMappable

    return ScalarMappable(norm, colour_map(colours))


def extension(values: np.ndarray, norm: Any) -> str:
    """At which ends of the scale values lie beyond it."""
    over, under = bool((values > norm.vmax + 1e-12).any()), bool((values < norm.vmin - 1e-12).any())
    return {(0, 0): "neither", (1, 0): "max", (0, 1): "min", (1, 1): "both"}[over, under]


def bar_beside(first: Axes, last: Axes, scale: Any, label: str, *, extend: str) -> None:
    """One colour bar at the right of the stacked panels from ``first`` to ``last``."""
    width, _ = size(last)
    a, b = first.get_position(), last.get_position()
    span = (a.y1 - b.y0) / b.height
    bar = last.inset_axes((1 + 0.07 / width, 0.1 * span, 0.06 / width, 0.8 * span))
    _fill_bar(bar, scale, label, extend=extend, vertical=True)


def bar_below(
    first: Axes, last: Axes, scale: Any, label: str, down: float, *, extend: str = "neither", most: float = np.inf
) -> None:
    """One colour bar ``down`` inches under the panels from ``first`` to ``last``, no longer than ``most`` inches."""
    width, height = size(last)
    a, b = first.get_position(), last.get_position()
    span = (b.x1 - a.x0) / b.width
    long = min(0.7 * span, most / width)
    bar = last.inset_axes((1 - (span + long) / 2, -(down + 0.05) / height, long, 0.055 / height))
    _fill_bar(bar, scale, label, extend=extend)


_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def _fill_bar(bar: Axes, scale: Any, label: str, *, extend: str, vertical: bool = False) -> None:
    """The colour scale, its ends and middle, and what it measures; very small and large numbers by a power of ten."""
    orientation, norm = "vertical" if vertical else "horizontal", scale.norm
    ticks = [norm.vmin, (norm.vmin + norm.vmax) / 2, norm.vmax]
    power = int(np.floor(np.log10(max(abs(norm.vmin), abs(norm.vmax)))))
    # Numbers longer than −0.099 find no room beside the bar.
    power = power if not -2 <= power <= 3 else 0
    drawn = figure_of(bar).colorbar(scale, cax=bar, orientation=orientation, extend=extend)
    drawn.set_ticks(ticks, labels=[view.number(tick / 10.0**power) for tick in ticks], **FONT)
    drawn.ax.tick_params(length=1.5, width=0.4, pad=1)
    drawn.outline.set_linewidth(0.4)
    of = f" × 10{str(power).translate(_RAISED)}" if power else ""
    drawn.set_label(label + of, labelpad=2 if vertical else 1, **FONT)


Box = tuple[float, float, float, float]
"""Left, top, width and height in inches, from the figure's top left."""


def new_axes(width: float, height: float, boxes: Sequence[Box]) -> list[Axes]:
    """Axes in a new figure of exactly this size."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)
    return [
        figure.add_axes((left / width, (height - top - tall) / height, wide / width, tall / height))
        for left, top, wide, tall in boxes
    ]


def own_axes(axs: Sequence[Axes], panels: Sequence[str]) -> list[Axes]:
    """The caller's axes, one a panel; InputError for another number of them."""
    axes = list(axs)
    if len(axes) != len(panels):
        raise InputError(f"axs has {len(axes)} axes; this figure needs {len(panels)}: {', '.join(panels)}")
    return axes


def title(ax: Axes, text: str) -> None:
    """Above a panel, from its left edge; the height is given, or insets would push it up."""
    ax.set_title(text, loc="left", y=1.0, pad=3, **{**FONT, "fontsize": 7.0})


def title_inches(text: str) -> float:
    """Width of a title."""
    return inches(text) * 7 / 6


def legend_line(ax: Axes, handles: Sequence[Any], *, left: float, up: float, room: float) -> None:
    """Handles in as few lines as fit ``room`` inches, from ``left`` inches beside and ``up`` inches above the axes."""
    width, height = size(ax)
    columns = legend_columns([handle.get_label() for handle in handles], room)
    anchor = (-left / width, 1 + up / height)
    ax.legend(handles=list(handles), loc="upper left", bbox_to_anchor=anchor, ncols=columns, **LEGEND)


def mark_handle() -> Any:
    """The dot of a significant score, for a legend."""
    from matplotlib.lines import Line2D

    dot: dict[str, Any] = {"marker": "o", "linestyle": "", "markersize": 2.2, "color": "black", "markeredgewidth": 0}
    return Line2D([], [], label=f"q < {view.SIGNIFICANT:.2f}", **dot)


_HANDLE = 1.1  # font sizes
LEGEND: dict[str, Any] = {
    "frameon": False, "prop": {"size": 6.0, "family": FAMILY}, "borderpad": 0, "borderaxespad": 0,
    "handlelength": _HANDLE, "handleheight": 0.7, "handletextpad": 0.4, "columnspacing": 1.0, "labelspacing": 0.25,
}  # fmt: skip
"""How a legend is set: small, without a frame, from its corner."""


def legend_columns(labels: Sequence[str], room: float) -> int:
    """How many entries of a legend fit a line of ``room`` inches."""
    widths = [inches(label) + (_HANDLE + 0.4 + 1.0) * 6 / 72 for label in labels]
    if sum(widths) <= room:
        return len(labels)
    return max(1, min(len(labels) - 1, int(room / max(widths))))
