"""Parts that figures of assessments share: points with intervals, named rows, ticks, titles, legends.

Text is at least 6 pt; names are text, never formulas.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FAMILY = "DejaVu Sans"
"""Comes with matplotlib: the same figure on every machine."""


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
    for i in range(0, len(names), 2):
        ax.axhspan(i - 0.5, i + 0.5, color="#F5F5F5", lw=0, zorder=-1)
    ticks(ax)
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)


def ticks(ax: Axes) -> None:
    """Few round ticks, thin spines on the left and below."""
    from matplotlib.ticker import MaxNLocator

    ax.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    ax.xaxis.set_major_formatter(lambda value, _: f"{value:g}".replace("-", "−"))
    ax.tick_params(labelsize=6, length=2, pad=1.5, width=0.5)
    for name, spine in ax.spines.items():
        spine.set_visible(name in ("left", "bottom"))
        spine.set_linewidth(0.5)


def title(ax: Axes, text: str) -> None:
    """Above the panel, from its left edge."""
    ax.set_title(text, fontsize=6.5, pad=3, loc="left", family=FAMILY)


def legend(figure: Figure, handles: Sequence[Any], *, left: float, down: float, columns: int | None = None) -> None:
    """A row of handles ``left`` and ``down`` inches from the figure's upper left corner."""
    width, height = figure.get_size_inches()
    figure.legend(
        handles=list(handles), loc="upper left", bbox_to_anchor=(left / width, 1 - down / height),
        ncols=columns or len(handles), prop={"size": 6.0, "family": FAMILY}, frameon=False, borderpad=0,
        borderaxespad=0, handlelength=1.4, handletextpad=0.3, columnspacing=0.9,
    )  # fmt: skip
