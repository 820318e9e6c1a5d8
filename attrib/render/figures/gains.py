"""Each text's own gain: control texts, sections held out of tuning, trained sections, on one axis.

Not covered: the answer, which the gain of a text does not look at.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from attrib.records import Explanation
from attrib.render import view
from attrib.render.figures.captions import asked
from attrib.render.figures.parts import HALF_CAPITAL, new_axes, own_axes, write
from attrib.render.figures.style import COLOURS, FONT, MARGIN, figure_of, inches, style, width_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_ROW, _BELOW = 0.42, 0.36  # inches: one group, ticks and label under the lowest
_BINS = 60
_COLOURS = (COLOURS["cannot tell"], COLOURS["base"], COLOURS["documents"])


def gain_histogram(explanation: Explanation, *, preset: str = "neurips-double", ax: Axes | None = None) -> Figure:
    """One histogram a group, each as tall as its fullest bin; a triangle: the section that the answer's headline names.

    ``ax``: axes of the caller's to draw in; the preset is then not used. Raises InputError for an unknown preset and
    for a record without a scored text.
    """
    found = view.gains(explanation)
    with style():
        if ax is None:
            width = width_of(preset)
            left = MARGIN + max(inches(_label(group)) for group in found.groups) + 0.08
            tall = _ROW * len(found.groups)
            (ax,) = new_axes(width, 0.1 + tall + _BELOW, [(left, 0.1, width - left - 0.15, tall)])
        else:
            (ax,) = own_axes([ax], ("gain of each text",))
        _draw(ax, found)
        return figure_of(ax)


def _label(group: view.GainGroup) -> str:
    return f"{group.name} ({len(group.gain_bits)})"


def _draw(ax: Axes, found: view.Gains) -> None:
    values = np.concatenate([group.gain_bits for group in found.groups])
    finite = values[np.isfinite(values)]
    low, high = min(0.0, *finite.tolist()), max(0.0, *finite.tolist())
    edges = np.linspace(low, high if high > low else low + 1, _BINS + 1)
    n = len(found.groups)
    for row, (group, colour) in enumerate(zip(found.groups, (*_COLOURS[: n - 1], _COLOURS[-1]), strict=True)):
        counts, _ = np.histogram(group.gain_bits, edges)
        base = n - 1 - row
        ax.bar(edges[:-1], 0.82 * counts / max(counts.max(), 1), np.diff(edges), base, align="edge", color=colour)
        ax.axhline(base, color="black", linewidth=0.4)
        write(ax, _label(group), (0, (base + 0.3) / n), (-4, HALF_CAPITAL), ha="right")
    ax.axvline(0, color="black", linewidth=0.4, linestyle=(0, (2, 2)))
    if found.named is not None and np.isfinite(found.named):
        ax.plot([found.named], [0.94], marker="v", markersize=3.5, color="black", linewidth=0)
    ax.set(ylim=(0, n), yticks=[], xlim=(edges[0], edges[-1]))
    ax.spines[["top", "left", "right"]].set_visible(False)
    ax.tick_params(labelsize=6, length=2, width=0.4)
    ax.set_xlabel("log p tuned − log p base of the text itself, bits a token", **FONT, labelpad=2)


def gain_caption(explanation: Explanation) -> str:
    """One paragraph for under the figure."""
    found = view.gains(explanation)
    said = [f"{_label(group)}: median {view.number(float(np.median(group.gain_bits)))}" for group in found.groups]
    lines = [
        "How much likelier tuning made each text, whatever the answer: log p tuned − log p base, bits a token; each"
        " histogram is as tall as its fullest bin.",
        f"{said[0][0].upper()}{'; '.join(said)[1:]}.",
    ]
    if found.named is not None:
        lines.append(f"▾: the section that is named for {asked(explanation)} ({view.number(found.named)}).")
    if not any(group.name.startswith("held-out") for group in found.groups):
        lines.append("No section is known to have been held out of tuning; control texts are of other kinds.")
    lines.append("A text that was learned need not have changed the answer.")
    return " ".join(lines)


def gain_numbers(explanation: Explanation) -> list[dict[str, object]]:
    """One row a text."""
    return [
        {"group": group.name, "text": text, "gain_bits": float(value)}
        for group in view.gains(explanation).groups
        for text, value in zip(group.texts, group.gain_bits, strict=True)
    ]
