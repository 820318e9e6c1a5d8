"""Content of a figure of dots: marks in rows, panels that share the rows, their names and legends.

Not covered: where it stands (``layout``), how it looks (``drawing``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from attrib.render import figures as draw

if TYPE_CHECKING:
    from matplotlib.axes import Axes


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
    """Name beside a row."""

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
