"""Explanation → heatmaps (a) base, (b) tuned, (c) tuned − base, over sections or prompt tokens.

Base and tuned share one scale; the difference has its own, centred on zero. Not covered: several answers in one figure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from attrib.errors import InputError
from attrib.records import LABELS, Explanation
from attrib.render import view
from attrib.render.figures.parts import (
    BAR,
    BOUNDARY,
    GAP,
    bar_below,
    bar_beside,
    cells,
    edges_of,
    extension,
    label_below,
    new_axes,
    own_axes,
    scale,
    title,
    title_inches,
)
from attrib.render.figures.style import (
    COLOURS,
    COLUMN_LABEL,
    FAMILY,
    FONT,
    LINE,
    LINE_SPACING,
    MARGIN,
    MAX_HEIGHT,
    elide,
    figure_of,
    foot,
    inches,
    short_bits,
    size,
    style,
    width_of,
    wrap,
)
from attrib.render.view import Column, Heat, Special

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_ROW_LABEL = 0.75  # inches that row labels may take
_STRIP, _GAIN, _PAD = 0.07, 0.28, 0.04  # inches: verdict strip, gain bars, space beside them
_GUTTER = 0.09  # inches between panels
_TITLES = ("(a) base", "(b) tuned", "(c) tuned − base")
_HEAD = 0.32  # inches: legend and title above
_UNITS: tuple[Literal["token", "word"], ...] = ("token", "word")
_TRACKS = _STRIP + _GAIN + 3 * _PAD
_RIGHT = 0.6  # inches: colour bar with ticks and label beside stacked panels
_SHORT = 0.75  # inches: stacked panels below this height have no room for colour bars beside them
_TOP = 12
"""Sections that are drawn where no number is asked for and the width has room."""


@dataclass(frozen=True)
class Plan:
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

    @property
    def max_rows(self) -> int:
        """Rows that fit a page (side by side: never more than 60)."""
        if not self.stacked:
            return 60
        room = MAX_HEIGHT - _HEAD - self.under(0) - 2 * 0.22 - 3 * (LINE + 0.03) - MARGIN - self.foot
        return int(room / 3 / LINE)

    def under(self, bars: int) -> float:
        """Inches below the lowest panel with ``bars`` colour bars under the column labels."""
        return max(self.names + bars * BAR, self.tracks)

    @property
    def foot(self) -> float:
        """Height of the note."""
        return foot(self.note)


def section_heatmap(
    explanation: Explanation,
    mapper: str = "hidden",
    *,
    preset: str = "neurips-double",
    top: int | None = None,
    axs: Sequence[Axes] | None = None,
) -> Figure:
    """Answer token × section: the ``top`` first of the verdict's order in document order, the rest, the control.

    ``top`` defaults to 12, or to fewer where the preset has no room for so many.
    ``axs``: three axes of the caller's to draw in, side by side or one above the other; the preset is then not used.
    Raises InputError for an unknown mapper or preset, or where ``top`` sections cannot be labelled at that width.
    """
    with style():
        return _draw(*planned_sections(explanation, mapper, preset, top), axs)


def prompt_heatmap(
    explanation: Explanation,
    method: str = "input_x_gradient",
    *,
    preset: str = "neurips-double",
    special: Special = "fold",
    axs: Sequence[Axes] | None = None,
) -> Figure:
    """Answer row × prompt column; earlier answer tokens are one column, columns that do not fit are "other".

    ``special``: the chat template is shown, folded to one column, or left out. Methods that promise a sum have their
    gap at the foot. ``axs`` as in ``section_heatmap``. Raises InputError for an unknown method or preset.
    """
    with style():
        return _draw(*planned_prompt(explanation, method, preset, special), axs)


def section_numbers(
    explanation: Explanation, mapper: str = "hidden", *, preset: str = "neurips-double", top: int | None = None
) -> list[dict[str, object]]:
    """The numbers that ``section_heatmap`` draws with the same options, one row a cell."""
    with style():
        heat, _ = planned_sections(explanation, mapper, preset, top)
    return _numbers(explanation, heat)


def prompt_numbers(
    explanation: Explanation,
    method: str = "input_x_gradient",
    *,
    preset: str = "neurips-double",
    special: Special = "fold",
) -> list[dict[str, object]]:
    """The numbers that ``prompt_heatmap`` draws with the same options, one row a cell."""
    with style():
        heat, _ = planned_prompt(explanation, method, preset, special)
    return _numbers(explanation, heat)


def planned_sections(explanation: Explanation, mapper: str, preset: str, top: int | None) -> tuple[Heat, Plan]:
    """What ``section_heatmap`` draws, and where."""
    labels = [row.label for unit in _UNITS for row in view.answer_rows(explanation, unit)]
    most = _fitting(explanation, mapper, preset, labels) if top is None else top
    plan = plan_of(explanation, view.section_columns(explanation, mapper, most), preset, rows=labels)
    return view.section_heat(explanation, mapper, top=most, max_rows=plan.max_rows), plan


def _fitting(explanation: Explanation, mapper: str, preset: str, labels: Sequence[str]) -> int:
    """As many sections as can be labelled beside rows of these ``labels``, at most ``_TOP``."""
    for top in range(_TOP, 1, -1):
        columns = view.section_columns(explanation, mapper, top)
        if _has_room(plan_of(explanation, columns, preset, rows=labels, clip=True), columns):
            return top
    return 1


def _has_room(plan: Plan, columns: Sequence[Column]) -> bool:
    """Is every column as wide as its label is high?"""
    return plan.panel / edges_of(columns)[-1][1] >= LINE


def planned_prompt(explanation: Explanation, method: str, preset: str, special: Special) -> tuple[Heat, Plan]:
    """What ``prompt_heatmap`` draws, and where."""
    plan, top = prompt_plan(explanation, method, preset, special)
    return view.prompt_heat(explanation, method, special=special, top=top, max_rows=plan.max_rows), plan


def _numbers(explanation: Explanation, heat: Heat) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    difference = heat.difference
    for i, j in np.ndindex(heat.base.shape):
        row, column = heat.rows[i], heat.columns[j]
        rows.append({
            "row": i, "answer": "".join(explanation.answer_tokens[at].text for at in row.members),
            "verdict": row.verdict, "gain_bits": row.gain_bits, "column": j, "kind": column.kind,
            "label": column.label, "document": column.document,
            "section": explanation.sections[column.members[0]].id if column.kind == "section" else None,
            "members": len(column.members),
            "base": float(heat.base[i, j]), "tuned": float(heat.tuned[i, j]),
            "difference": float(difference[i, j]), "base_significant": bool(heat.base_marks[i, j]),
            "tuned_significant": bool(heat.tuned_marks[i, j]),
        })  # fmt: skip
    return rows


def plan_of(
    explanation: Explanation,
    columns: Sequence[Column],
    preset: str,
    *,
    rows: Sequence[str],
    note: str = "",
    clip: bool = False,
) -> Plan:
    """Side by side where each column is wide enough for its label, else stacked.

    ``rows``: labels that must find room. ``clip``: the caller drops columns until they fit, so too many are no error.
    """
    width, units = width_of(preset), edges_of(columns)[-1][1]
    lines = wrap(note, width - 2 * MARGIN)
    view.require_rows(explanation.answer_tokens)
    label = min(_ROW_LABEL, max(inches(text) for text in rows) + 0.02)
    names = max(inches(elide(column.label, COLUMN_LABEL)) for column in columns) + 0.06
    tracks = inches("gain −0.0…+0.0 bit") + 0.06
    left = MARGIN + label + _TRACKS
    side = (width - left - MARGIN - 2 * _GUTTER) / 3
    if side / units >= LINE and side >= title_inches(_TITLES[-1]):
        return Plan(width, False, label, names, tracks, side, lines)
    panel = width - left - _RIGHT
    if panel / units < LINE and not clip:
        many = len(columns)
        raise InputError(
            f"{many} columns cannot be labelled in {width} in (preset {preset!r}); give a smaller top or a wider preset"
        )
    return Plan(width, True, label, names, tracks, panel, lines)


def prompt_plan(explanation: Explanation, method: str, preset: str, special: Special) -> tuple[Plan, int | None]:
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


def _draw(heat: Heat, plan: Plan, axs: Sequence[Axes] | None) -> Figure:
    axes = own_axes(axs, ("base", "tuned", "tuned − base")) if axs is not None else _new_axes(heat, plan)
    figure = figure_of(axes[0])
    stacked = bool(axes[0].get_position().x0 >= axes[1].get_position().x0 - 1e-9)
    both, own = _norms(heat)
    sequential = "PuOr" if heat.kind.signed else "cividis"
    panels = (
        (_TITLES[0], heat.base, heat.base_marks, sequential, both),
        (_TITLES[1], heat.tuned, heat.tuned_marks, sequential, both),
        (_TITLES[2], heat.difference, None, "PuOr", own),
    )
    for i, (ax, (name, values, marks, colours, norm)) in enumerate(zip(axes, panels, strict=True)):
        _panel(ax, heat, values, marks, colours, norm)
        title(ax, name)
        if i == 0 or stacked:
            _row_tracks(ax, heat, plan.label, last=not stacked or i == 2)
        if i == 2 or not stacked:
            _column_labels(ax, heat)
    cut = LINE + 0.03 if heat.cut else 0.0
    down, bars = plan.names + cut, 0
    first, second = extension(np.stack([heat.base, heat.tuned]), both), extension(heat.difference, own)
    if stacked and not _is_short(axes[2]):
        bar_beside(axes[0], axes[1], scale(both, sequential), heat.kind.unit, extend=first)
        bar_beside(axes[2], axes[2], scale(own, "PuOr"), "tuned − base", extend=second)
    elif stacked:
        bar_below(axes[2], axes[2], scale(both, sequential), heat.kind.unit, down, extend=first)
        bar_below(axes[2], axes[2], scale(own, "PuOr"), "tuned − base", down + BAR, extend=second)
        bars = 2
    else:
        bar_below(axes[0], axes[1], scale(both, sequential), heat.kind.unit, down, extend=first)
        bar_below(axes[2], axes[2], scale(own, "PuOr"), "tuned − base", down, extend=second)
        bars = 1
    _legend(axes[0], heat, plan.label)
    if plan.note:
        _note(axes[2] if stacked else axes[0], plan, plan.under(bars) + cut)
    return figure


def _note(ax: Axes, plan: Plan, down: float) -> None:
    """The plan's note at the figure's left edge, ``down`` inches below the panel."""
    width, height = size(ax)
    ax.annotate(
        "\n".join(plan.note),
        (-(plan.label + _TRACKS) / width, -down / height),
        xycoords="axes fraction",
        ha="left",
        va="top",
        linespacing=LINE_SPACING,
        annotation_clip=False,
        **FONT,
    )


def _new_axes(heat: Heat, plan: Plan) -> list[Axes]:
    """Three axes in a figure of exactly the plan's width; the height follows the rows."""
    row = float(np.clip((2.0 if plan.stacked else 4.0) / len(heat.rows), LINE, 0.16))
    cut = LINE + 0.03 if heat.cut else 0.0
    panel, left = row * len(heat.rows), MARGIN + plan.label + _TRACKS
    if plan.stacked:
        step = panel + cut + 0.22
        under = plan.under(2 if panel < _SHORT else 0)
        height = _HEAD + 2 * step + panel + cut + under + MARGIN + plan.foot
        corners = [(left, _HEAD + i * step) for i in range(3)]
    else:
        height = _HEAD + panel + cut + plan.under(1) + plan.foot
        corners = [(left + i * (plan.panel + _GUTTER), _HEAD) for i in range(3)]
    return new_axes(plan.width, height, [(*corner, plan.panel, panel) for corner in corners])


def _norms(heat: Heat) -> tuple[Any, Any]:
    """The scale of base and tuned, and that of the difference; folded sums do not stretch either."""
    from matplotlib.colors import Normalize

    summed = {"template", "answer", "other"} if not any(c.kind == "section" for c in heat.columns) else set()
    kept = [i for i, column in enumerate(heat.columns) if column.kind not in summed] or list(range(len(heat.columns)))
    values, difference = np.stack([heat.base, heat.tuned])[..., kept], heat.difference[:, kept]
    largest = float(np.abs(values).max()) or 1.0
    apart = float(np.abs(difference).max()) or 1.0
    low = min(0.0, float(values.min()))
    both = Normalize(-largest, largest) if heat.kind.signed else Normalize(low, max(float(values.max()), low + 1e-12))
    return both, Normalize(-apart, apart)


def _panel(ax: Axes, heat: Heat, values: np.ndarray, marks: np.ndarray | None, colours: str, norm: Any) -> None:
    """Cells, boundaries and marks; the first row on top."""
    import matplotlib

    edges, colour_map = edges_of(heat.columns), matplotlib.colormaps[colours]
    cells(ax, edges, values, colour_map, norm)
    for i in range(1, len(edges)):
        if edges[i][0] - edges[i - 1][1] == BOUNDARY:
            ax.plot([edges[i][0] - BOUNDARY / 2] * 2, [0, len(heat.rows)], color="black", linewidth=0.5)
    if marks is not None and marks.any():
        row, column = np.nonzero(marks)
        shades = colour_map(norm(values[row, column]))[:, :3] @ (0.299, 0.587, 0.114)
        x = [sum(edges[i]) / 2 for i in column]
        ax.scatter(x, row + 0.5, s=3.0, c=np.where(shades > 0.5, "black", "white"), linewidths=0)


def _row_tracks(ax: Axes, heat: Heat, label: float, *, last: bool) -> None:
    """Left of a panel, from the left: token labels, verdict strip, gain bars; names below where ``last``."""
    width, _ = size(ax)
    n = len(heat.rows)
    for i, row in enumerate(heat.rows):
        ax.annotate(
            elide(row.label, label),
            (-(_TRACKS + 0.02 - _PAD) / width, i + 0.5),
            (0, -2.1),  # half the height of a capital: labels share a baseline whatever their letters
            xycoords=ax.get_yaxis_transform(),
            textcoords="offset points",
            ha="right",
            va="baseline",
            annotation_clip=False,
            **FONT,
        )
    strip = ax.inset_axes((-(_STRIP + _GAIN + 2 * _PAD) / width, 0, _STRIP / width, 1))
    strip.barh(
        np.arange(n) + 0.5,
        1,
        height=1,
        color=[COLOURS[row.verdict] for row in heat.rows],
        edgecolor="white",
        linewidth=0.25,
    )
    strip.set(xlim=(0, 1))
    low, high = view.gain_ends([row.gain_bits for row in heat.rows])
    bits = [view.drawn_gain(row.gain_bits, low, high) for row in heat.rows]
    gain = ax.inset_axes((-(_GAIN + _PAD) / width, 0, _GAIN / width, 1))
    gain.barh(np.arange(n) + 0.5, bits, height=0.7, color="0.35")
    gain.axvline(0, color="black", linewidth=0.4)
    gain.set(xlim=(low, high))
    for track in (strip, gain):
        track.set(ylim=(n, 0), xticks=[], yticks=[])
        track.spines[:].set_visible(False)
        track.patch.set_alpha(0)
    if last:
        label_below(strip, 0.5, "verdict")
        label_below(gain, 0.5, f"gain {short_bits(low)}…{short_bits(high)} bit", of_axes=True)
    if heat.cut:
        ax.annotate(
            f"… {heat.cut:,} more words",
            (0, 0),
            (0, -2),
            xycoords="axes fraction",
            textcoords="offset points",
            ha="left",
            va="top",
            annotation_clip=False,
            **FONT,
        )


def _column_labels(ax: Axes, heat: Heat) -> None:
    for column, (left, right) in zip(heat.columns, edges_of(heat.columns), strict=True):
        label_below(ax, (left + right) / 2, elide(column.label, COLUMN_LABEL), shift=LINE + 0.03 if heat.cut else 0.0)


def _is_short(ax: Axes) -> bool:
    return size(ax)[1] < _SHORT - 1e-6


def _legend(ax: Axes, heat: Heat, label: float) -> None:
    """One line above the first panel's title: what the strip's colours and the marks are."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles: list[Any] = [Patch(color=COLOURS[name], label=name) for name in LABELS]
    if heat.marked:
        style: dict[str, Any] = {
            "marker": "o",
            "linestyle": "",
            "markersize": 2.2,
            "color": "black",
            "markeredgewidth": 0,
        }
        handles.append(Line2D([], [], label=f"q < {view.SIGNIFICANT:.2f}", **style))
    width, height = size(ax)
    ax.legend(
        handles=handles,
        loc="upper left",
        bbox_to_anchor=(-(label + _TRACKS) / width, 1 + (_HEAD - 0.02) / height),
        ncols=len(handles),
        frameon=False,
        prop={"size": 6.0, "family": FAMILY},
        borderpad=0,
        borderaxespad=0,
        handlelength=0.9,
        handleheight=0.7,
        handletextpad=0.4,
        columnspacing=1.0,
    )
