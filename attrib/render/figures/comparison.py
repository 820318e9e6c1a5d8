"""Explanation → methods side by side over the question's words, and how far their orders agree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from attrib.errors import InputError
from attrib.records import Explanation
from attrib.render import view
from attrib.render.figures.parts import (
    BAR,
    GAP,
    HALF_CAPITAL,
    Box,
    bar_below,
    cells,
    edges_of,
    extension,
    label_below,
    new_axes,
    own_axes,
    scale,
    title,
    title_inches,
    write,
)
from attrib.render.figures.style import (
    COLUMN_LABEL,
    FONT,
    LINE,
    MARGIN,
    elide,
    figure_of,
    foot,
    inches,
    size,
    style,
    width_of,
)
from attrib.render.view import Comparison, Side

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_PAD, _GUTTER = 0.04, 0.09  # inches: space beside names, between panels
_STRIP_ROW, _TITLE = 0.13, 0.18  # inches: a method's row, a panel's title
_MATRIX, _NUMBER = 1.25, 0.2  # inches: least width of the matrix, cell in which a number fits
_AGREEMENT = "RdBu"
DAGGER = "†"
Arrangement = Literal["line", "row", "stacked"]
"""All panels in one line; strips in a row, the matrix below; one panel above the other."""


@dataclass(frozen=True)
class ComparisonPlan:
    """Where the strips and the matrix go, in inches from the top left."""

    width: float
    height: float
    sides: tuple[Literal["base", "tuned"], ...]
    boxes: tuple[Box, ...]
    """Left, top, width and height of each panel: a strip block a side, then the matrix."""
    labelled: tuple[bool, ...]
    """Which panels have the methods' names at their left."""
    worded: tuple[bool, ...]
    """Which have names below."""
    below: float
    """Space for words."""
    names: tuple[str, ...]
    """The methods' names, those whose gap is large marked."""
    note: str
    """Empty where none is marked."""


def method_comparison(
    explanation: Explanation,
    methods: Sequence[str] | None = None,
    side: Side = "both",
    *,
    preset: str = "neurips-double",
    axs: Sequence[Axes] | None = None,
) -> Figure:
    """One strip a method over the question's words, base beside tuned, and the rank correlation of each pair.

    ``methods`` default to all of the record, ``side`` to both models: the correlations then stand below the diagonal
    for base and above it for tuned. ``axs``: axes of the caller's, a strip a model and the matrix; the preset then only
    says how many words are drawn. Raises InputError for a method that the record lacks, an unknown side or preset, or
    more methods than the width has room for.
    """
    with style():
        plan, compared = comparison_plan(explanation, methods, side, preset)
        if axs is None:
            axes = new_axes(plan.width, plan.height, plan.boxes)
        else:
            axes = own_axes(axs, (*plan.sides, "rank correlation"))
        _draw_comparison(axes, compared, plan)
        return figure_of(axes[0])


def comparison_numbers(
    explanation: Explanation,
    methods: Sequence[str] | None = None,
    side: Side = "both",
    *,
    preset: str = "neurips-double",
) -> list[dict[str, object]]:
    """Numbers that ``method_comparison`` draws with the same options: one row a cell, then one a pair of methods."""
    with style():
        plan, compared = comparison_plan(explanation, methods, side, preset)
    rows: list[dict[str, object]] = []
    for model in plan.sides:
        scores = compared.base if model == "base" else compared.tuned
        for i, method in enumerate(compared.methods):
            for j, column in enumerate(compared.columns):
                rows.append({
                    "panel": "score", "model": model, "method": method, "column": j, "word": column.label,
                    "other_method": None, "value": float(scores[i, j]),
                })  # fmt: skip
    for model in plan.sides:
        agreement = compared.agreement_base if model == "base" else compared.agreement_tuned
        for i, method in enumerate(compared.methods):
            for j in range(i):
                rows.append({
                    "panel": "rank correlation", "model": model, "method": method, "column": None, "word": None,
                    "other_method": compared.methods[j], "value": float(agreement[i, j]),
                })  # fmt: skip
    return rows


def comparison_plan(
    explanation: Explanation, methods: Sequence[str] | None, side: Side, preset: str
) -> tuple[ComparisonPlan, Comparison]:
    """All panels in one line where words and methods find room, else the matrix below, else one above the other."""
    if side not in ("both", "base", "tuned"):
        raise InputError(f"side={side!r}: choose both, base or tuned")
    compared, width = view.comparison(explanation, methods), width_of(preset)
    sides: tuple[Literal["base", "tuned"], ...] = ("base", "tuned") if side == "both" else (side,)
    names, note = _names(explanation, compared.methods)
    n, blocks = len(names), len(sides)
    label = max(inches(name) for name in names) + _PAD
    left, room = MARGIN + label, width - 2 * MARGIN - label
    if n * LINE > room:
        raise InputError(
            f"{n} methods cannot be labelled in {width} in (preset {preset!r}); name fewer or take a wider preset"
        )
    # At least as wide as its title.
    square = max(n * LINE, _MATRIX)
    arrangement, block = _arranged(room, square, blocks, len(compared.columns))
    if block / len(compared.columns) < LINE:
        compared = view.comparison(explanation, methods, top=max(1, int(block / LINE - 1 - GAP)))
    below = max(inches(elide(column.label, COLUMN_LABEL)) for column in compared.columns) + 0.06
    tall = n * (LINE if arrangement == "stacked" else _STRIP_ROW)
    boxes = _strips(arrangement, blocks, (left, block, tall))
    bottom, under, free = boxes[-1][1] + tall + below + BAR, label + 0.06, 0.0
    if arrangement == "line":
        boxes.append((width - MARGIN - square, _TITLE, square, tall))
        free = _TITLE + tall + under + BAR - bottom
        bottom += max(0.0, free)
    else:
        square = min(room, max(square, n * _NUMBER))
        boxes.append((left, bottom + _TITLE, square, tall))
        bottom += _TITLE + tall + under + BAR
    # Beside the matrix's names there may be room for the note.
    fits = free >= foot([note]) and inches(note) <= boxes[-1][0] - MARGIN
    plan = ComparisonPlan(
        width=width,
        height=bottom + (foot([note]) if note and not fits else 0.0),
        sides=sides,
        boxes=tuple(boxes),
        labelled=tuple(box[0] == left for box in boxes),
        worded=(*(arrangement != "stacked" or i == blocks - 1 for i in range(blocks)), True),
        below=below,
        names=names,
        note=note,
    )
    return plan, compared


def _names(explanation: Explanation, methods: Sequence[str]) -> tuple[tuple[str, ...], str]:
    """The methods' names, those whose gap is large marked, and what the mark says; empty where none is."""
    broken = [bool(view.gap_verdict(explanation.attributions[method])) for method in methods]
    names = [view.method_label(method) for method in methods]
    marked = tuple(f"{name} {DAGGER}" if large else name for name, large in zip(names, broken, strict=True))
    return marked, f"{DAGGER} some row misses its promised sum by over {view.GAP_SHARE:.0%}" if any(broken) else ""


def _arranged(room: float, square: float, blocks: int, words: int) -> tuple[Arrangement, float]:
    """How ``blocks`` of strips stand beside the matrix, and the width of each."""
    least = max(words * LINE, title_inches("(b) tuned"))
    if (beside := (room - square - blocks * _GUTTER) / blocks) >= least:
        return "line", beside
    if (together := (room - (blocks - 1) * _GUTTER) / blocks) >= least:
        return "row", together
    return "stacked", room


def _strips(arrangement: Arrangement, blocks: int, first: tuple[float, float, float]) -> list[Box]:
    """A box a block; ``first``: left, width and height of the first."""
    left, wide, tall = first
    if arrangement == "stacked":
        return [(left, _TITLE + i * (tall + _TITLE), wide, tall) for i in range(blocks)]
    return [(left + i * (wide + _GUTTER), _TITLE, wide, tall) for i in range(blocks)]


def _draw_comparison(axes: Sequence[Axes], compared: Comparison, plan: ComparisonPlan) -> None:
    import matplotlib
    from matplotlib.colors import Normalize

    norm, colours = Normalize(-1, 1), matplotlib.colormaps["PuOr"]
    *strips, matrix = axes
    for i, (ax, side) in enumerate(zip(strips, plan.sides, strict=True)):
        edges = edges_of(compared.columns)
        cells(ax, edges, compared.base if side == "base" else compared.tuned, colours, norm)
        title(ax, f"({'ab'[i]}) {side}")
        if plan.worded[i]:
            for column, (left, right) in zip(compared.columns, edges, strict=True):
                label_below(ax, (left + right) / 2, elide(column.label, COLUMN_LABEL))
    _matrix(matrix, compared, plan, norm)
    for ax, labelled in zip(axes, plan.labelled, strict=True):
        if labelled:
            _method_names(ax, plan.names)
    one_row = strips[0].get_position().y0 == strips[-1].get_position().y0
    extend = extension(np.stack([compared.base, compared.tuned]), norm)
    first = strips[0] if one_row else strips[-1]
    bar_below(first, strips[-1], scale(norm, "PuOr"), "share of largest |score|", plan.below, extend=extend, most=1.6)
    under = max(map(inches, plan.names)) + 0.06
    bar_below(matrix, matrix, scale(norm, _AGREEMENT), "rank correlation ρ", under, most=1.6)
    if plan.note:
        place = (MARGIN / plan.width, (foot([plan.note]) - 0.02) / plan.height)
        figure_of(matrix).text(*place, plan.note, ha="left", va="top", **FONT)


def _matrix(ax: Axes, compared: Comparison, plan: ComparisonPlan, norm: Any) -> None:
    """Correlations: base below the diagonal, tuned above it, or one model in both halves; numbers where they fit."""
    import matplotlib
    from matplotlib.patches import Rectangle

    n = len(compared.methods)
    below = compared.agreement_base if "base" in plan.sides else compared.agreement_tuned
    above = compared.agreement_tuned if "tuned" in plan.sides else compared.agreement_base
    values = np.where(np.tri(n, k=-1) > 0, below, above)
    np.fill_diagonal(values, np.nan)
    colours = matplotlib.colormaps[_AGREEMENT]
    cells(ax, [(float(i), i + 1.0) for i in range(n)], values, colours, norm)
    width, _ = size(ax)
    for i, j in np.ndindex(n, n):
        if i == j:
            ax.add_patch(Rectangle((i, i), 1, 1, facecolor="0.93", edgecolor="white", linewidth=0.25))
        elif np.isnan(values[i, j]):
            ax.scatter([j + 0.5], [i + 0.5], s=6, marker="x", c="0.5", linewidths=0.5)
        elif width / n >= _NUMBER:
            dark = colours(norm(values[i, j]))[:3] @ np.array((0.299, 0.587, 0.114)) < 0.5
            text = f"{values[i, j]:.2f}".replace("-", "−").replace("0.", ".", 1)
            write(ax, text, (j + 0.5, i + 0.5), (0, HALF_CAPITAL), "data", color="white" if dark else "black")
    title(ax, "(c) ◣ base  ◥ tuned" if len(plan.sides) == 2 else "(b) rank correlation")
    for i, name in enumerate(plan.names):
        label_below(ax, i + 0.5, name)


def _method_names(ax: Axes, names: Sequence[str]) -> None:
    for i, name in enumerate(names):
        write(ax, name, (0, i + 0.5), (-72 * _PAD / 2, HALF_CAPITAL), ax.get_yaxis_transform(), ha="right")
