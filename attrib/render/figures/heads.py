"""Explanation → which layers and heads look at the question, (a) base, (b) tuned, (c) tuned − base.

Not covered: what the heads do with what they look at.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from attrib.records import Explanation
from attrib.render import view
from attrib.render.figures.captions import asked
from attrib.render.figures.parts import BAR, bar_below, bar_beside, new_axes, own_axes, scale, title
from attrib.render.figures.style import (
    FONT,
    LINE,
    MARGIN,
    SEQUENTIAL,
    colour_map,
    figure_of,
    inches,
    size,
    style,
    width_of,
)
from attrib.render.view.choice import quoted

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_GUTTER, _HEAD, _TICKS = 0.12, 0.2, 0.27  # inches: between panels, title above, numbers and label below
_RIGHT = 0.6  # inches: colour bar with ticks and label beside stacked panels
_NARROW = 0.035  # inches a layer, below which panels are stacked
_ROW, _LEAST = 0.11, 0.5  # inches: height of a head at most, and of a panel at least
_TALL = 2.3  # inches: height of a panel at most, so that three fit a page
_STEPS = (1, 2, 5, 10, 20, 50, 100, 200, 500)


def head_heatmap(
    explanation: Explanation,
    tokens: Sequence[int] | None = None,
    positions: Sequence[int] | None = None,
    *,
    preset: str = "neurips-double",
    axs: Sequence[Axes] | None = None,
) -> Figure:
    """Layer × head: attention on the question while the answer is predicted, base, tuned and their difference.

    ``tokens`` of the answer and ``positions`` of the prompt narrow it down. ``axs``: three axes of the caller's, side
    by side or one above the other; the preset is then not used. Raises InputError as ``view.head_map`` and for an
    unknown preset.
    """
    found = view.head_map(explanation, tokens, positions)
    with style():
        axes = (
            own_axes(axs, ("base", "tuned", "tuned − base")) if axs is not None else _new_axes(found, width_of(preset))
        )
        return _draw(axes, found, _label(explanation, found))


def _new_axes(found: view.HeadMap, width: float) -> list[Axes]:
    layers, heads = found.base.shape
    left = MARGIN + LINE + 0.06 + inches(str(heads))
    panel = (width - left - MARGIN - 2 * _GUTTER) / 3
    tall = float(np.clip(_ROW * heads, _LEAST, _TALL))
    if panel / layers >= _NARROW:
        height = _HEAD + tall + _TICKS + BAR
        boxes = [(left + i * (panel + _GUTTER), _HEAD, panel, tall) for i in range(3)]
    else:
        panel = width - left - _RIGHT
        height = 3 * (_HEAD + tall) + _TICKS + MARGIN
        boxes = [(left, _HEAD + i * (tall + _HEAD), panel, tall) for i in range(3)]
        if tall < 0.75:
            height += 2 * BAR
    return new_axes(width, height, boxes)


def _draw(axes: Sequence[Axes], found: view.HeadMap, label: str) -> Figure:
    from matplotlib.colors import Normalize

    stacked = bool(axes[0].get_position().x0 >= axes[1].get_position().x0 - 1e-9)
    most = max(float(found.base.max()), float(found.tuned.max()), 1e-12)
    apart = float(np.abs(found.difference).max()) or 1.0
    both, own = Normalize(0, most), Normalize(-apart, apart)
    panels = (
        ("(a) base", found.base, SEQUENTIAL, both),
        ("(b) tuned", found.tuned, SEQUENTIAL, both),
        ("(c) tuned − base", found.difference, "PuOr", own),
    )
    for i, (ax, (name, values, colours, norm)) in enumerate(zip(axes, panels, strict=True)):
        _panel(ax, values, colours, norm, names=stacked or i == 0, numbers=not stacked or i == 2)
        title(ax, name)
    for layer, head in found.changed:
        _frame(axes[2], layer, head)
    if stacked and size(axes[2])[1] >= 0.75 - 1e-6:
        bar_beside(axes[0], axes[1], scale(both, SEQUENTIAL), label, extend="neither")
        bar_beside(axes[2], axes[2], scale(own, "PuOr"), "tuned − base", extend="neither")
    elif stacked:
        bar_below(axes[2], axes[2], scale(both, SEQUENTIAL), label, _TICKS)
        bar_below(axes[2], axes[2], scale(own, "PuOr"), "tuned − base", _TICKS + BAR)
    else:
        bar_below(axes[0], axes[1], scale(both, SEQUENTIAL), label, _TICKS)
        bar_below(axes[2], axes[2], scale(own, "PuOr"), "tuned − base", _TICKS)
    return figure_of(axes[0])


def _panel(ax: Axes, values: np.ndarray, colours: str, norm: Any, *, names: bool, numbers: bool) -> None:
    """Layers to the right, heads downwards; white lines between cells that have room for them."""
    layers, heads = values.shape
    width, height = size(ax)
    room = min(width / layers, height / heads) >= 0.065
    ax.pcolormesh(
        np.arange(layers + 1), np.arange(heads + 1), values.T, cmap=colour_map(colours), norm=norm, shading="flat",
        edgecolors="white" if room else "face", linewidth=0.25 if room else 0.0,
    )  # fmt: skip
    across = _step(width / layers, max(inches(str(layers)), LINE) + 0.04)
    down = _step(height / heads, LINE)
    ax.set(xlim=(0, layers), ylim=(heads, 0))
    shown = range(0, layers, across) if numbers else ()
    ax.set_xticks([i + 0.5 for i in shown], [str(i) for i in shown])
    shown = range(0, heads, down) if names else ()
    ax.set_yticks([i + 0.5 for i in shown], [str(i) for i in shown])
    ax.tick_params(labelsize=6, length=1.5, width=0.4, pad=1)
    for text in (*ax.get_xticklabels(), *ax.get_yticklabels()):
        text.set_fontfamily(FONT["family"])
    if numbers:
        ax.set_xlabel("layer", labelpad=1, **FONT)
    if names:
        ax.set_ylabel("head", labelpad=1, **FONT)
    ax.spines[:].set_linewidth(0.4)


def _step(cell: float, least: float) -> int:
    """Every how many cells a number fits."""
    return next((step for step in _STEPS if step * cell >= least), _STEPS[-1])


def _frame(ax: Axes, layer: int, head: int) -> None:
    from matplotlib.patches import Rectangle

    ax.add_patch(Rectangle((layer, head), 1, 1, fill=False, edgecolor="black", linewidth=0.7, clip_on=False))


def _label(explanation: Explanation, found: view.HeadMap) -> str:
    """Label of a colour bar, as long as it may be under the narrowest panels."""
    if found.whole[1]:
        return "attention on the question"
    words = quoted(explanation.prompt_tokens, found.positions)
    return f"attention on {words}" if inches(words) <= 0.8 else "attention on these words"


def head_caption(
    explanation: Explanation, tokens: Sequence[int] | None = None, positions: Sequence[int] | None = None
) -> str:
    """One paragraph for under the map drawn with the same options."""
    found = view.head_map(explanation, tokens, positions)
    layers, heads = found.base.shape
    answer = "the whole answer" if found.whole[0] else quoted(explanation.answer_tokens, found.tokens)
    where = "the question" if found.whole[1] else quoted(explanation.prompt_tokens, found.positions)
    many = len(found.tokens)
    lines = [
        f"{asked(explanation)}. Share of its attention that each of {layers} × {heads} heads gives to {where} while"
        f" {answer} is predicted" + (f" (mean over {many} tokens)." if many > 1 else "."),
        "(a) Under the base model and (b) under the tuned model on one scale; (c) tuned − base on its own scale"
        " centred on zero, not tested for significance.",
    ]
    if found.changed:
        named = ", ".join(
            f"layer {layer} head {head} ({found.base[layer, head]:.2f} → {found.tuned[layer, head]:.2f})"
            for layer, head in found.changed
        )
        lines.append(f"Framed: the largest changes, {named}.")
    mean = [f"{values.mean():.0%}" for values in (found.base, found.tuned)]
    lines.append(f"Mean of all heads: base {mean[0]}, tuned {mean[1]}.")
    lines.append(
        "Attention is not cause: it shows where a head looked, and a head picked for its picture proves nothing."
    )
    return " ".join(lines)


def head_numbers(
    explanation: Explanation, tokens: Sequence[int] | None = None, positions: Sequence[int] | None = None
) -> list[dict[str, object]]:
    """The numbers of that map, one row a layer and head."""
    found = view.head_map(explanation, tokens, positions)
    return [
        {
            "layer": layer,
            "head": head,
            "base": float(found.base[layer, head]),
            "tuned": float(found.tuned[layer, head]),
            "difference": float(found.difference[layer, head]),
        }
        for layer, head in np.ndindex(found.base.shape)
    ]
