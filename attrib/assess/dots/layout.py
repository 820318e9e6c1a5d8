"""Groups of panels → where they stand in a column's width, and what of their names fits.

Not covered: axes of the caller's, which stand where they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from attrib.assess.dots.plan import Look, Panel, PanelGroup, RowName
from attrib.render import figures as draw
from attrib.render.view import visible

_EDGE, _GAP, _BESIDE = 0.1, 0.16, 0.14  # inches: right of all, between panels, beside names
_SIDE = 0.42  # inches: numbers and label at the left of panels without rows
LINE, _TITLE, _FOOT = 0.12, 0.2, 0.32  # inches: a line of a legend or a title, above a panel, ticks and label below
_INDENT, _HANDLE = 0.04, 0.21  # inches: at the left of a legend, a handle with the space beside it
_NARROWEST = 0.9  # inches of a panel
NAMES_SHARE, _LONE_SHARE = 0.42, 0.55
"""Share of the width that names may take beside several panels, and beside one."""


@dataclass(frozen=True, eq=False)
class GroupPlace:
    """Where a block stands, in inches from the figure's top left."""

    block: PanelGroup
    names: float
    """Room for the names of its rows."""
    left: float
    top: float
    """Top of its legend."""
    room: float
    """Width that its legend may take."""
    corners: tuple[tuple[float, float], ...]
    """Left and top of each panel."""
    wide: float
    """Width of a panel."""
    bottom: float


def places_of(lines: Sequence[Sequence[PanelGroup]], width: float) -> list[GroupPlace]:
    """Every block's place, the lines one below the other."""
    top, places = 0.02, []
    widest = max((_inches(row) for line in lines for block in line for row in block.rows), default=0.0)
    for line in lines:
        for blocks, columns, names, wide in _groups(line, widest, width):
            room = width - _INDENT - _EDGE
            panels_top = top + LINE * max(legend_lines(block.legend, room) for block in blocks)
            left, bottoms = 0.0, []
            for block, n in zip(blocks, columns, strict=True):
                across, down = left + _beside(block, names), title_height(block) + block.tall + _FOOT
                corners = []
                for i in range(len(block.panels)):
                    row, column = divmod(i, n)
                    corners.append((across + column * (wide + _GAP), panels_top + row * down + title_height(block)))
                bottoms.append(panels_top + -(-len(block.panels) // n) * down)
                indent = left + _INDENT
                places.append(GroupPlace(block, names, indent, top, room - left, tuple(corners), wide, bottoms[-1]))
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
        names = min(widest, (_LONE_SHARE if columns == [1] else NAMES_SHARE) * width)
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


def title_height(block: PanelGroup) -> float:
    return _TITLE + LINE * any(panel.below for panel in block.panels)


def legend_lines(looks: Sequence[Look], room: float) -> int:
    return -(-len(looks) // legend_columns(looks, room)) if looks else 0


def legend_columns(looks: Sequence[Look], room: float) -> int:
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


def fitted(row: RowName, room: float) -> str:
    """The name, or as much of its start as fits ``room`` inches with what ends it."""
    name = _shown(row.name)
    # An exact fit must not fail by the last digit.
    room += 1e-6 - draw.inches(row.end)
    if draw.inches(name) > room:
        while name and draw.inches(f"{name}…") > room:
            name = name[:-1]
        name = f"{name.rstrip()}…"
    return name + row.end
