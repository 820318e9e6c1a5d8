"""Explanation → heatmaps (a) base, (b) tuned, (c) tuned − base, over sections or prompt tokens.

Base and tuned share one scale; the difference has its own, centred on zero. Not covered: several answers in one figure.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from attrib.records import CALLS, Explanation
from attrib.render import view
from attrib.render.figures.heatplan import (
    GAIN,
    GUTTER,
    HEAD,
    PAD,
    SHORT,
    STRIP,
    TITLES,
    TRACKS,
    HeatPlan,
    planned_prompt,
    planned_sections,
)
from attrib.render.figures.parts import (
    BAR,
    BOUNDARY,
    HALF_CAPITAL,
    LEGEND,
    bar_below,
    bar_beside,
    cells,
    edges_of,
    extension,
    label_below,
    mark_handle,
    new_axes,
    own_axes,
    scale,
    title,
    write,
)
from attrib.render.figures.style import (
    COLOURS,
    COLUMN_LABEL,
    HATCHES,
    LESS,
    LINE,
    LINE_SPACING,
    MARGIN,
    MORE,
    SEQUENTIAL,
    colour_map,
    elide,
    figure_of,
    short_bits,
    size,
    style,
)
from attrib.render.view import Heat, Special

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


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
    ``axs``: three axes of the caller's to draw in, side by side or one above the other (one for a mapper that reads the
    text alone); the preset is then not used.
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


def _draw(heat: Heat, plan: HeatPlan, axs: Sequence[Axes] | None) -> Figure:
    names = ("score",) if heat.alike else ("base", "tuned", "tuned − base")
    axes = own_axes(axs, names) if axs is not None else _new_axes(heat, plan)
    figure = figure_of(axes[0])
    stacked = not heat.alike and bool(axes[0].get_position().x0 >= axes[1].get_position().x0 - 1e-9)
    both, own = _norms(heat)
    sequential = "PuOr" if heat.kind.signed else SEQUENTIAL
    panels: tuple[tuple[str, np.ndarray, np.ndarray | None, str, Any], ...] = (
        (TITLES[0], heat.base, heat.base_marks, sequential, both),
        (TITLES[1], heat.tuned, heat.tuned_marks, sequential, both),
        (TITLES[2], heat.difference, None, "PuOr", own),
    )
    if heat.alike:
        panels = (("base and tuned alike", heat.tuned, heat.tuned_marks, sequential, both),)
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
    elif heat.alike:
        bar_below(axes[0], axes[0], scale(both, sequential), heat.kind.unit, down, extend=first)
        bars = 1
    else:
        bar_below(axes[0], axes[1], scale(both, sequential), heat.kind.unit, down, extend=first)
        bar_below(axes[2], axes[2], scale(own, "PuOr"), "tuned − base", down, extend=second)
        bars = 1
    _legend(axes[0], heat, plan.label)
    if plan.note:
        _note(axes[2] if stacked else axes[0], plan, plan.under(bars) + cut)
    return figure


def _note(ax: Axes, plan: HeatPlan, down: float) -> None:
    """The plan's note at the figure's left edge, ``down`` inches below the panel."""
    width, height = size(ax)
    at = (-(plan.label + TRACKS) / width, -down / height)
    write(ax, "\n".join(plan.note), at, (0, 0), ha="left", va="top", linespacing=LINE_SPACING)


def _new_axes(heat: Heat, plan: HeatPlan) -> list[Axes]:
    """Three axes in a figure of exactly the plan's width; the height follows the rows."""
    row = float(np.clip((2.0 if plan.stacked else 4.0) / len(heat.rows), LINE, 0.16))
    cut = LINE + 0.03 if heat.cut else 0.0
    panel, left = row * len(heat.rows), MARGIN + plan.label + TRACKS
    if plan.stacked:
        step = panel + cut + 0.22
        under = plan.under(2 if panel < SHORT else 0)
        height = HEAD + 2 * step + panel + cut + under + MARGIN + plan.foot
        corners = [(left, HEAD + i * step) for i in range(3)]
    else:
        height = HEAD + panel + cut + plan.under(1) + plan.foot
        corners = [(left + i * (plan.panel + GUTTER), HEAD) for i in range(plan.panels)]
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
    edges, shade = edges_of(heat.columns), colour_map(colours)
    cells(ax, edges, values, shade, norm)
    for i in range(1, len(edges)):
        if edges[i][0] - edges[i - 1][1] == BOUNDARY:
            ax.plot([edges[i][0] - BOUNDARY / 2] * 2, [0, len(heat.rows)], color="black", linewidth=0.5)
    if marks is not None and marks.any():
        row, column = np.nonzero(marks)
        shades = shade(norm(values[row, column]))[:, :3] @ (0.299, 0.587, 0.114)
        x = [sum(edges[i]) / 2 for i in column]
        ax.scatter(x, row + 0.5, s=3.0, c=np.where(shades > 0.5, "black", "white"), linewidths=0)


def _row_tracks(ax: Axes, heat: Heat, label: float, *, last: bool) -> None:
    """Left of a panel, from the left: token labels, verdict strip, gain bars; names below where ``last``."""
    width, _ = size(ax)
    n = len(heat.rows)
    for i, row in enumerate(heat.rows):
        left = -(TRACKS + 0.02 - PAD) / width
        write(ax, elide(row.label, label), (left, i + 0.5), (0, HALF_CAPITAL), ax.get_yaxis_transform(), ha="right")
    strip = ax.inset_axes((-(STRIP + GAIN + 2 * PAD) / width, 0, STRIP / width, 1))
    colours = [COLOURS[row.verdict] for row in heat.rows]
    hatches = [HATCHES.get(row.verdict, "") for row in heat.rows]
    edges = ["0.6" if hatch else "white" for hatch in hatches]
    strip.barh(np.arange(n) + 0.5, 1, height=1, color=colours, edgecolor=edges, hatch=hatches, linewidth=0.25)
    strip.set(xlim=(0, 1))
    low, high = view.gain_ends([row.gain_bits for row in heat.rows])
    bits = [view.drawn_gain(row.gain_bits, low, high) for row in heat.rows]
    gain = ax.inset_axes((-(GAIN + PAD) / width, 0, GAIN / width, 1))
    gain.barh(np.arange(n) + 0.5, bits, height=0.7, color=[MORE if value >= 0 else LESS for value in bits])
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
        write(ax, f"… {heat.cut:,} more words", (0, 0), (0, -2), ha="left", va="top")


def _column_labels(ax: Axes, heat: Heat) -> None:
    for column, (left, right) in zip(heat.columns, edges_of(heat.columns), strict=True):
        label_below(ax, (left + right) / 2, elide(column.label, COLUMN_LABEL), shift=LINE + 0.03 if heat.cut else 0.0)


def _is_short(ax: Axes) -> bool:
    return size(ax)[1] < SHORT - 1e-6


def _legend(ax: Axes, heat: Heat, label: float) -> None:
    """One line above the first panel's title: what the strip's colours and the marks are."""
    from matplotlib.patches import Patch

    names = CALLS if any(row.verdict == "cannot tell" for row in heat.rows) else CALLS[:-1]
    handles: list[Any] = [
        Patch(
            facecolor=COLOURS[name],
            edgecolor="0.6" if name in HATCHES else COLOURS[name],
            label=name,
            hatch=HATCHES.get(name, ""),
        )
        for name in names
    ]
    if heat.marked:
        handles.append(mark_handle())
    width, height = size(ax)
    anchor = (-(label + TRACKS) / width, 1 + (HEAD - 0.02) / height)
    ax.legend(
        handles=handles, loc="upper left", bbox_to_anchor=anchor, ncols=len(handles), **{**LEGEND, "handlelength": 0.9}
    )
