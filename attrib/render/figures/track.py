"""Explanation → one mapper's score of every section along the documents, base above tuned, beside the control texts.

Not covered: sections that the record did not score; they are missing, and the caption says how many.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from attrib.errors import InputError
from attrib.measures import cells_to_mark
from attrib.records import Explanation
from attrib.render import view
from attrib.render.figures.captions import asked
from attrib.render.figures.parts import (
    label_below,
    legend_columns,
    legend_line,
    mark_handle,
    new_axes,
    own_axes,
    title,
    write,
)
from attrib.render.figures.style import (
    COLOURS,
    FONT,
    LINE,
    MARGIN,
    elide,
    figure_of,
    in_font,
    inches,
    size,
    style,
    width_of,
)
from attrib.render.view.choice import quoted

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_PANEL, _HEAD = 0.85, 0.19  # inches: a panel, its title above
_LEGEND = 0.112  # inches a line
_NAMED_LINE = 0.115  # inches a line of names below
_LEFT = 0.4  # inches: numbers and label at the left
_UPRIGHT = 0.75  # inches that the name of a document may take, read from below
_NAME = 1.4  # inches that the name of a section may take
_LEARNED, _OTHER, _BAND = COLOURS["documents"], "#B8B8B8", "#EBEBEB"
_NUMBERS = 0.3
"""Share of a panel above the highest score, where numbers stand."""


def section_track(
    explanation: Explanation,
    mapper: str | None = None,
    *,
    document: str | None = None,
    tokens: Sequence[int] | None = None,
    top: int = 6,
    preset: str = "neurips-double",
    axs: Sequence[Axes] | None = None,
) -> Figure:
    """Score of every scored section in document order, as wide as its text is long; the ``top`` best are named.

    ``axs``: two axes of the caller's, base and tuned, one above the other; the preset is then not used. Raises
    InputError as ``track``, for ``top`` below 1 and for an unknown preset.
    """
    if top < 1:
        raise InputError(f"top={top}: a track names at least one section; give top=1 or more")
    found = view.track(explanation, mapper, document=document, tokens=tokens)
    with style():
        own = own_axes(axs, ("base", "tuned")) if axs is not None else None
        axes = own or _new_axes(explanation, found, top, width_of(preset))
        _draw(axes, explanation, found, top)
        return figure_of(axes[0])


def _new_axes(explanation: Explanation, found: view.Track, top: int, width: float) -> list[Axes]:
    panel = width - _LEFT - MARGIN
    handles = [handle.get_label() for handle in _handles(found)]
    legend = -(-len(handles) // legend_columns(handles, width - 2 * MARGIN)) * _LEGEND + 0.02
    names = len(_names(explanation, found, top, width - 2 * MARGIN)) * _NAMED_LINE
    below = _below_axis(found, panel)
    height = legend + 2 * (_HEAD + _PANEL) + below + names + 2 * MARGIN
    tops = [legend + _HEAD, legend + 2 * _HEAD + _PANEL]
    return new_axes(width, height, [(_LEFT, top, panel, _PANEL) for top in tops])


def _below_axis(found: view.Track, panel: float) -> float:
    """Inches under the lower panel that documents' names take."""
    names, upright = _document_names(found, panel)
    if upright:
        return max(inches(name) for name, _, _ in names) + 0.06 + LINE + 0.06
    return (LINE + 0.02 if any(name for name, _, _ in names) else 0.0) + LINE + 0.06


def _draw(axes: Sequence[Axes], explanation: Explanation, found: view.Track, top: int) -> None:
    sides = (found.base, found.tuned)
    values = np.concatenate([value for side in sides for value in (side.scores, side.control)])
    low, high = min(0.0, float(values.min())), max(0.0, float(values.max()))
    span = (high - low) or 1.0
    limits = low - (0.04 * span if low < 0 else 0.0), high + _NUMBERS * span
    best = found.best(top)
    for i, (ax, side) in enumerate(zip(axes, sides, strict=True)):
        _panel(ax, found, side, limits)
        title(ax, f"({'ab'[i]}) {('base', 'tuned')[i]}")
        ax.set_ylabel(found.kind.unit, labelpad=1, **FONT)
    _numbers(axes[1], found, best, limits)
    wide, tall = size(axes[1])
    shares = found.edges / found.edges[-1]
    names, upright = _document_names(found, wide)
    for name, left, right in names:
        if not name:
            continue
        middle = (shares[left] + shares[right]) / 2
        if upright:
            label_below(axes[1], float(middle), name, of_axes=True)
        else:
            write(axes[1], name, (middle, -(0.03 + LINE) / tall), (0, 0))
    down = _below_axis(found, wide)
    what = "sections in document order, as wide as their text is long"
    what = what if inches(what) <= wide else "sections in document order"
    write(axes[1], what, (0.5, -(down - 0.04) / tall), (0, 0))
    edge = (_LEFT - MARGIN) / wide
    for line, text in enumerate(_names(explanation, found, top, wide + _LEFT - MARGIN)):
        write(axes[1], text, (-edge, -(down + 0.07 + line * _NAMED_LINE) / tall), (0, 0), ha="left")
    handles = _handles(found)
    room = wide + _LEFT - MARGIN
    lines = -(-len(handles) // legend_columns([handle.get_label() for handle in handles], room))
    legend_line(axes[0], handles, left=_LEFT - MARGIN, up=_HEAD + lines * _LEGEND - 0.01, room=room)


def _panel(ax: Axes, found: view.Track, side: view.TrackSide, limits: tuple[float, float]) -> None:
    """Band, sections, marks, boundaries."""
    from matplotlib.collections import PolyCollection
    from matplotlib.ticker import MaxNLocator

    edges, end = found.edges, found.edges[-1]
    if side.band is not None:
        ax.axhspan(limits[0], side.band[0], color=_BAND, linewidth=0, zorder=0)
        ax.axhline(side.band[0], color="0.4", linewidth=0.4, zorder=3)
        ax.axhline(side.band[1], color="black", linewidth=0.7, linestyle=(0, (4, 2)), zorder=3)
    boxes = [
        [(left, 0.0), (left, score), (right, score), (right, 0.0)]
        for left, right, score in zip(edges[:-1], edges[1:], side.scores, strict=True)
    ]
    colours = [_LEARNED if value >= view.LEARNED else _OTHER for value in found.learned]
    ax.add_collection(PolyCollection(boxes, facecolors=colours, edgecolors="white", linewidths=0.2, zorder=1))
    middles = (edges[:-1] + edges[1:]) / 2
    if side.marks.any():
        above = np.maximum(side.scores[side.marks], 0.0) + 0.06 * (limits[1] - limits[0])
        ax.scatter(middles[side.marks], above, s=3.0, c="black", linewidths=0, zorder=4)
    for start in found.starts[1:]:
        ax.axvline(edges[start], color="0.45", linewidth=0.5, linestyle=(0, (1, 1)), zorder=2)
    ax.axhline(0, color="black", linewidth=0.4, zorder=2)
    ax.set(xlim=(0, end), ylim=limits, xticks=[])
    ax.yaxis.set_major_locator(MaxNLocator(3, steps=[1, 2, 5, 10]))
    ax.yaxis.set_major_formatter(lambda value, _: f"{value:g}".replace("-", "−"))
    ax.tick_params(labelsize=6, length=1.5, width=0.4, pad=1)
    for text in ax.get_yticklabels():
        text.set_fontfamily(FONT["family"])
    for name, spine in ax.spines.items():
        spine.set_visible(name == "left")
        spine.set_linewidth(0.5)


def _numbers(ax: Axes, found: view.Track, best: Sequence[int], limits: tuple[float, float]) -> None:
    """Ranks of the best sections above the panel, apart from each other, a thin line down to each."""
    wide, tall = size(ax)
    middles = (found.edges[:-1] + found.edges[1:]) / 2 / found.edges[-1]
    order = sorted(best, key=lambda i: float(middles[i]))
    room = (inches(str(len(best))) + 0.04) / wide
    places = _apart([float(middles[i]) for i in order], room)
    span = limits[1] - limits[0]
    for place, i in zip(places, order, strict=True):
        high = max(float(found.tuned.scores[i]), 0.0) + (0.1 if found.tuned.marks[i] else 0.02) * span
        top = limits[1] - (LINE - 0.01) / tall * span
        ax.plot(
            [middles[i] * found.edges[-1], place * found.edges[-1]], [min(high, top), top],
            color="0.4", linewidth=0.4, zorder=3, clip_on=False,
        )  # fmt: skip
        write(ax, str(best.index(i) + 1), (place, 1), (0, -5))


def _apart(places: Sequence[float], least: float) -> list[float]:
    """Sorted places in 0…1 moved as little as is simple so that neighbours are ``least`` apart."""
    moved: list[float] = []
    for place in places:
        moved.append(max(place, moved[-1] + least) if moved else max(place, least / 2))
    over = moved[-1] - (1 - least / 2) if moved else 0.0
    for i in range(len(moved) - 1, -1, -1):
        limit = 1 - least / 2 if i == len(moved) - 1 else moved[i + 1] - least
        if over > 0:
            moved[i] = min(moved[i], limit)
    return moved


def _document_names(found: view.Track, wide: float) -> tuple[list[tuple[str, int, int]], bool]:
    """Each document's name (empty where it finds no room), its first section and the one after; whether they are read
    from below.

    Level where all fit their sections; else upright where each has a line's room; else level, those that fit.
    """
    starts = [*found.starts, len(found.sections)]
    shares = found.edges / found.edges[-1]
    names = []
    for name, left, right in zip(found.documents, starts[:-1], starts[1:], strict=True):
        room = float(shares[right] - shares[left]) * wide - 0.04
        names.append((view.visible(name), left, right, room))
    if any(inches(in_font(name[:200])) > room for name, _, _, room in names) and all(
        room + 0.04 >= 0.085 for _, _, _, room in names
    ):
        return [(elide(name, _UPRIGHT), left, right) for name, left, right, _ in names], True
    return [
        (in_font(name) if len(name) <= 200 and inches(in_font(name)) <= room else "", left, right)
        for name, left, right, room in names
    ], False


def _names(explanation: Explanation, found: view.Track, top: int, room: float) -> tuple[str, ...]:
    """``1 Warranty   2 Claims``: the best sections in lines of ``room`` inches, each name whole or elided."""
    lines: list[str] = []
    for rank, i in enumerate(found.best(top), start=1):
        name = f"{rank} {view.section_label(explanation.sections[found.sections[i]])}"
        entry = elide(name, min(room, _NAME))
        if lines and inches(f"{lines[-1]}    {entry}") <= room:
            lines[-1] += f"    {entry}"
        else:
            lines.append(entry)
    return tuple(lines)


def _handles(found: view.Track) -> list[Any]:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles: list[Any] = [
        Patch(color=_LEARNED, linewidth=0, label="learned"),
        Patch(color=_OTHER, linewidth=0, label="not learned"),
    ]
    if len(found.tuned.control):
        handles += [
            Patch(color=_BAND, linewidth=0, label=f"{view.BAND_SHARE}% of control texts"),
            Line2D([], [], color="black", linewidth=0.7, linestyle=(0, (4, 2)), label="best control text"),
        ]
    if found.base.marks.any() or found.tuned.marks.any():
        handles.append(mark_handle())
    return handles


def track_caption(
    explanation: Explanation,
    mapper: str | None = None,
    *,
    document: str | None = None,
    tokens: Sequence[int] | None = None,
    top: int = 6,
) -> str:
    """One paragraph for under the track drawn with the same options."""
    found = view.track(explanation, mapper, document=document, tokens=tokens)
    what = "question and answer" if found.tokens is None else quoted(explanation.answer_tokens, found.tokens)
    scored, total = len(explanation.sections), explanation.sections_total
    if document is not None:
        where = f"the {len(found.sections):,} scored sections of {view.visible(document)}"
    else:
        many = len(found.documents)
        where = f"the {len(found.sections):,} scored sections of {many:,} document{'s' * (many > 1)}"
    lines = [
        f"{asked(explanation)}. Score of {what} ({found.kind.meaning}) along {where}, in document order and as wide as"
        " their text is long, (a) under the base model and (b) under the tuned model on one scale."
    ]
    if document is None and len(found.documents) > 1:
        lines.append("Dotted lines: a new document.")
    if scored < total:
        lines.append(
            f"Of {total:,} sections {scored:,} were scored: those that are missing here are not known to be low."
        )
    lines.append(
        f"Blue: learned (the section's own text gained more from tuning than control texts, by {view.LEARNED:g} or more"
        " of 1)."
    )
    if len(found.tuned.control):
        lines.append(
            f"Control: {len(found.tuned.control):,} texts that neither model was tuned on; band: {view.BAND_SHARE}% of"
            " their scores, dashes: the best (the best of more texts is higher by chance alone)."
        )
        lines += _about_marks(explanation, found)
    named = min(top, len(found.sections))
    lines.append(f"Numbers: the {named} best under tuned." if named > 1 else "1: the best under tuned.")
    if not explanation.mappings[found.mapper].uses_model:
        lines.append("This score reads the text alone, so base and tuned are the same.")
    return " ".join([*lines, *([found.kind.caveat] if found.kind.caveat else [])])


def _about_marks(explanation: Explanation, found: view.Track) -> list[str]:
    """Meaning of a dot; where there is none, whether the test could have made one."""
    against = f"q < {view.SIGNIFICANT:.2f} against the control and the other sections (Benjamini–Hochberg)"
    if found.base.marks.any() or found.tuned.marks.any():
        of = "some answer token" if found.tokens is None or len(found.tokens) > 1 else "the token"
        return [f"•: {of} has {against}."]
    if why := view.no_q(explanation, found.mapper, explanation.mappings[found.mapper].tuned, "tuned"):
        return [f"{why[0].upper()}{why[1:]}."]
    rows, sections = explanation.mappings[found.mapper].tuned.q.shape
    needed = cells_to_mark(rows, sections, len(found.tuned.control), view.SIGNIFICANT)
    if not rows:
        return []
    if needed == 1:
        return [f"No answer token has for any section {against}."]
    if needed > rows * sections:
        return [f"So few control texts cannot give {against}."]
    return [
        f"No dots: {needed:,} of the {rows * sections:,} pairs of answer token and section must beat every control"
        f" score before any can have {against}."
    ]


def track_numbers(
    explanation: Explanation,
    mapper: str | None = None,
    *,
    document: str | None = None,
    tokens: Sequence[int] | None = None,
) -> list[dict[str, object]]:
    """Every section in order, then every control text; the columns that a control text lacks are empty."""
    found = view.track(explanation, mapper, document=document, tokens=tokens)
    edges = found.edges
    rows: list[dict[str, object]] = []
    for i, at in enumerate(found.sections):
        section = explanation.sections[at]
        rows.append({
            "kind": "section", "document": section.document, "section": section.id, "title": section.title,
            "lines": section.lines, "start": int(edges[i]), "end": int(edges[i + 1]),
            "learned": float(found.learned[i]), "base": float(found.base.scores[i]),
            "tuned": float(found.tuned.scores[i]),
            "difference": float(found.tuned.scores[i] - found.base.scores[i]),
            "base_significant": bool(found.base.marks[i]), "tuned_significant": bool(found.tuned.marks[i]),
        })  # fmt: skip
    blank = dict.fromkeys(rows[0])
    for base, tuned in zip(found.base.control, found.tuned.control, strict=True):
        rows.append({
            **blank, "kind": "control", "base": float(base), "tuned": float(tuned), "difference": float(tuned - base)
        })  # fmt: skip
    return rows
