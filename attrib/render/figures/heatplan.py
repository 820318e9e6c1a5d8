"""Explanation → the numbers of a heatmap, and where its panels go in a column's width.

Panels stand side by side where every column is wide enough for its label, else one above the other; what still finds no
room is folded or cut, and said. Not covered: drawing (``heatmap``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from attrib.errors import InputError
from attrib.records import Explanation
from attrib.render import view
from attrib.render.figures.parts import (
    BAR,
    GAP,
    edges_of,
    title_inches,
)
from attrib.render.figures.style import (
    COLUMN_LABEL,
    LINE,
    MARGIN,
    MAX_HEIGHT,
    elide,
    foot,
    inches,
    width_of,
    wrap,
)
from attrib.render.view import Column, Heat, Special

_ROW_LABEL = 0.75  # inches that row labels may take
STRIP, GAIN, PAD = 0.07, 0.28, 0.04  # inches: verdict strip, gain bars, space beside them
GUTTER = 0.09  # inches between panels
TITLES = ("(a) base", "(b) tuned", "(c) tuned − base")
HEAD = 0.32  # inches: legend and title above
_UNITS: tuple[Literal["token", "word"], ...] = ("token", "word")
TRACKS = STRIP + GAIN + 3 * PAD
_RIGHT = 0.6  # inches: colour bar with ticks and label beside stacked panels
SHORT = 0.75  # inches: stacked panels below this height have no room for colour bars beside them
_TOP = 12
"""Sections that are drawn where no number is asked for and the width has room."""


@dataclass(frozen=True)
class HeatPlan:
    """Where the panels go, in inches."""

    width: float
    stacked: bool
    label: float
    """Space for row labels."""
    names: float
    """Space for column labels."""
    tracks: float
    """Space for what is written under the tracks."""
    panel: float
    """Width of one panel."""
    note: tuple[str, ...] = ()
    """Lines at the foot."""
    panels: int = 3
    """Base, tuned and their difference; one where base and tuned have one score."""

    @property
    def max_rows(self) -> int:
        """Rows that fit a page (side by side: never more than 60)."""
        if not self.stacked:
            return 60
        room = MAX_HEIGHT - HEAD - self.under(0) - 2 * 0.22 - 3 * (LINE + 0.03) - MARGIN - self.foot
        return int(room / 3 / LINE)

    def under(self, bars: int) -> float:
        """Inches below the lowest panel with ``bars`` colour bars under the column labels."""
        return max(self.names + bars * BAR, self.tracks)

    @property
    def foot(self) -> float:
        """Height of the note."""
        return foot(self.note)


def planned_sections(explanation: Explanation, mapper: str, preset: str, top: int | None) -> tuple[Heat, HeatPlan]:
    """Numbers of ``section_heatmap``, and where its panels go."""
    labels = [row.label for unit in _UNITS for row in view.answer_rows(explanation, unit)]
    most = _fitting(explanation, mapper, preset, labels) if top is None else top
    panels = _panels(explanation, mapper)
    plan = plan_of(explanation, view.section_columns(explanation, mapper, most), preset, rows=labels, panels=panels)
    return view.section_heat(explanation, mapper, top=most, max_rows=plan.max_rows), plan


def _fitting(explanation: Explanation, mapper: str, preset: str, labels: Sequence[str]) -> int:
    """As many sections as can be labelled beside rows of these ``labels``, at most ``_TOP``."""
    for top in range(_TOP, 1, -1):
        columns = view.section_columns(explanation, mapper, top)
        panels = _panels(explanation, mapper)
        if _has_room(plan_of(explanation, columns, preset, rows=labels, clip=True, panels=panels), columns):
            return top
    return 1


def _panels(explanation: Explanation, mapper: str) -> int:
    return 3 if view.mapping_of(explanation, mapper).uses_model else 1


def _has_room(plan: HeatPlan, columns: Sequence[Column]) -> bool:
    """Whether every column is as wide as its label is high."""
    return plan.panel / edges_of(columns)[-1][1] >= LINE


def planned_prompt(explanation: Explanation, method: str, preset: str, special: Special) -> tuple[Heat, HeatPlan]:
    """Numbers of ``prompt_heatmap``, and where its panels go."""
    plan, top = prompt_plan(explanation, method, preset, special)
    return view.prompt_heat(explanation, method, special=special, top=top, max_rows=plan.max_rows), plan


def plan_of(
    explanation: Explanation,
    columns: Sequence[Column],
    preset: str,
    *,
    rows: Sequence[str],
    note: str = "",
    clip: bool = False,
    panels: int = 3,
) -> HeatPlan:
    """Side by side where each column is wide enough for its label, else stacked.

    ``rows``: labels that must find room. ``clip``: the caller drops columns until they fit, so too many are no error.
    """
    width, units = width_of(preset), edges_of(columns)[-1][1]
    lines = wrap(note, width - 2 * MARGIN)
    view.require_rows(explanation.answer_tokens)
    label = min(_ROW_LABEL, max(inches(text) for text in rows) + 0.02)
    names = max(inches(elide(column.label, COLUMN_LABEL)) for column in columns) + 0.06
    tracks = inches("gain −0.0…+0.0 bit") + 0.06
    left = MARGIN + label + TRACKS
    if panels == 1 and ((width - left - 2 * MARGIN) / units >= LINE or clip):
        return HeatPlan(width, False, label, names, tracks, width - left - 2 * MARGIN, lines, panels)
    side = (width - left - MARGIN - 2 * GUTTER) / 3
    if side / units >= LINE and side >= title_inches(TITLES[-1]):
        return HeatPlan(width, False, label, names, tracks, side, lines)
    panel = width - left - _RIGHT
    if panel / units < LINE and not clip:
        many = len(columns)
        raise InputError(
            f"{many} columns cannot be labelled in {width} in (preset {preset!r}); give a smaller top or a wider preset"
        )
    return HeatPlan(width, True, label, names, tracks, panel, lines)


def prompt_plan(explanation: Explanation, method: str, preset: str, special: Special) -> tuple[HeatPlan, int | None]:
    """The plan, and how many prompt columns stay (None = all)."""
    columns, attribution = view.prompt_columns(explanation, method, special=special), explanation.attributions[method]
    labels = [row.label for row in view.fit_rows(explanation, attribution.rows).rows]
    if view.row_unit(explanation, attribution.rows) == "token":
        labels += [row.label for row in view.answer_rows(explanation, "word")]
    note = view.gap_note(attribution)
    plan = plan_of(explanation, columns, preset, rows=labels, note=note, clip=True)
    if _has_room(plan, columns):
        return plan, None
    set_apart = sum(1 + GAP for column in columns if column.apart) + 1 + GAP  # and "other"
    return plan, max(1, int(plan.panel / LINE - set_apart - GAP))
