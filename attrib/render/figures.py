"""Explanation → three-panel heatmaps for papers: (a) base, (b) tuned, (c) tuned − base.

Base and tuned share one scale; the difference has its own, centred on zero. Sizes are fixed in inches, so a figure
is exactly as wide as the column it is made for, and drawing the same record again gives the same bytes. Scripts that
DejaVu Sans lacks (CJK, emoji) are drawn as boxes. Not covered: heads and layers, several answers in one figure.
"""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from attrib.errors import InputError
from attrib.files import write_atomically
from attrib.records import LABELS, Explanation
from attrib.render import view
from attrib.render.view import Column, Heat

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PRESETS: dict[str, float] = {
    "neurips-single": 5.5,
    "neurips-double": 5.5,
    "icml-single": 3.25,
    "icml-double": 6.75,
    "acl-single": 3.03,
    "acl-double": 6.3,
    "nature-single": 3.5,
    "nature-double": 7.2,
}
"""Width in inches by venue and column; NeurIPS has one column."""
COLOURS = {"documents": "#0072B2", "base": "#E69F00", "neither": "#D3D3D3"}
"""Verdicts: told apart by colour-blind readers and in grey print."""
FORMATS = ("pdf", "svg", "png")

_IN_FONT = str.maketrans("␠␍", "␣↩")  # DejaVu Sans has no ␠ and ␍

_FONT: dict[str, Any] = {"fontsize": 6.0, "family": "DejaVu Sans", "parse_math": False}
_LINE = 0.1  # inches that a line of 6 pt text needs
_MAX_HEIGHT = 9.0  # inches of a page
_GAP = 0.5  # columns' widths before a column set apart
_BOUNDARY = 0.25  # columns' widths between documents
_ROW_LABEL, _COLUMN_LABEL = 0.75, 0.95  # inches that labels may take
_STRIP, _GAIN, _PAD = 0.07, 0.28, 0.04  # inches: verdict strip, gain bars, space beside them
_TRACKS = _STRIP + _GAIN + 3 * _PAD
_MARGIN, _GUTTER = 0.05, 0.09  # inches: figure's edge, between panels
_HEAD, _BAR = 0.32, 0.36  # inches: legend and title above; colour bar with ticks and label below
_RIGHT = 0.57  # inches: colour bar with ticks and label beside stacked panels


@dataclass(frozen=True)
class _Plan:
    """Where the panels go, in inches."""

    width: float
    stacked: bool
    label: float
    """Space for row labels."""
    below: float
    """Space for column labels."""
    panel: float
    """Width of one panel."""

    @property
    def max_rows(self) -> int:
        """Rows that fit a page (side by side: never more than 60)."""
        if not self.stacked:
            return 60
        return int((_MAX_HEIGHT - _HEAD - self.below - 2 * 0.22 - 3 * (_LINE + 0.03) - _MARGIN) / 3 / _LINE)


def section_heatmap(
    explanation: Explanation,
    mapper: str = "hidden",
    *,
    preset: str = "neurips-double",
    top: int = 12,
    axs: Sequence[Axes] | None = None,
) -> Figure:
    """Answer token × section: the ``top`` best sections in document order, the rest, the control.

    ``axs``: three axes of the caller's to draw in, side by side or one above the other; the preset is then not used.
    Raises InputError for an unknown mapper or preset, or where ``top`` sections cannot be labelled at that width.
    """
    with _style():
        columns = view.section_columns(explanation, mapper, top)
        plan = _plan(explanation, columns, preset)
        heat = view.section_heat(explanation, mapper, top=top, max_rows=plan.max_rows)
        return _draw(heat, plan, axs)


def prompt_heatmap(
    explanation: Explanation,
    method: str = "input_x_gradient",
    *,
    preset: str = "neurips-double",
    fold_template: bool = True,
    axs: Sequence[Axes] | None = None,
) -> Figure:
    """Answer token × prompt token; earlier answer tokens are one column, those that do not fit are "other".

    ``axs`` as in ``section_heatmap``. Raises InputError for an unknown method or preset.
    """
    with _style():
        plan, top = _prompt_plan(explanation, method, preset, fold_template)
        heat = view.prompt_heat(explanation, method, fold_template=fold_template, top=top, max_rows=plan.max_rows)
        return _draw(heat, plan, axs)


def save(figure: Figure, explanation: Explanation, path: str | Path, *, formats: Sequence[str] = FORMATS) -> list[Path]:
    """Write the figure once a format beside ``path`` (its suffix, if a format, is dropped); returns the files.

    Each file appears whole or not at all, and carries the question and the record's provenance as metadata.
    Raises InputError for an unknown format or a folder that cannot be written.
    """
    if unknown := sorted(set(formats) - set(FORMATS)):
        raise InputError(f"cannot write a figure as {', '.join(unknown)}; choose from {', '.join(FORMATS)}")
    path = Path(path)
    stem = path.stem if path.suffix[1:] in FORMATS else path.name
    written = []
    for form in formats:
        target = path.parent / f"{stem}.{form}"
        with _style():
            data = _bytes(figure, form, _metadata(explanation, form))
        write_atomically(target, data)
        written.append(target)
    return written


def caption(explanation: Explanation, kind: str, *, preset: str = "neurips-double", top: int = 12) -> str:
    """One paragraph for under the figure of mapper or method ``kind``, as drawn with the same preset and ``top``."""
    with _style():
        if kind in explanation.mappings:
            plan = _plan(explanation, view.section_columns(explanation, kind, top), preset)
            heat = view.section_heat(explanation, kind, top=top, max_rows=plan.max_rows)
            return " ".join(_common(explanation, heat) + _about_sections(explanation, heat))
        plan, most = _prompt_plan(explanation, kind, preset, fold_template=True)
        heat = view.prompt_heat(explanation, kind, fold_template=True, top=most, max_rows=plan.max_rows)
        return " ".join(_common(explanation, heat) + _about_prompt(heat))


def _common(explanation: Explanation, heat: Heat) -> list[str]:
    source = {"tuned": "the tuned model's", "base": "the base model's", "given": "a given"}[explanation.answer_source]
    rows = "one row a word" if heat.unit == "word" else "one row a token"
    if heat.unit == "word":
        rows += f" ({'the sum' if heat.kind.reduction == 'sum' else 'the largest'} of its tokens)"
    if heat.cut:
        rows += f", the last {heat.cut} words not drawn"
    question = view.visible(" ".join(explanation.question.split()))
    return [
        f"“{question}”: {source} answer downwards, {rows}.",
        f"Colour: {heat.kind.meaning}, (a) under the base model and (b) under the tuned model on one scale,"
        " (c) tuned − base on its own scale centred on zero, not tested for significance.",
        "Beside the rows: the most probable source of each (documents, base or neither) and its gain,"
        f" log p tuned − log p base in bits; the whole answer: {view.verdict_line(explanation.verdict.whole)}.",
    ]


def _about_sections(explanation: Explanation, heat: Heat) -> list[str]:
    by_kind = {column.kind: column for column in heat.columns}
    shown = [column for column in heat.columns if column.kind == "section"]
    documents = list(dict.fromkeys(view.visible(column.document) for column in shown))
    scored, total = len(explanation.sections), explanation.sections_total
    of = f"{scored:,} scored sections" + (f" (of {total:,})" if total != scored else "")
    lines = [
        f"Columns: the {len(shown)} best of {of}, in document order,"
        f" thin lines between documents ({', '.join(documents)})"
    ]
    if "other" in by_kind:
        lines[0] += f"; other: the best score among the other {len(by_kind['other'].members):,}"
        lines[0] += " (the best of more sections is higher by chance alone)"
    lines[0] += "."
    mapping = explanation.mappings[heat.name]
    n = mapping.tuned.control.shape[1]
    if n:
        lines.append(f"Control: the best score among {n:,} sections that neither model was tuned on.")
        of_word = "at least one of the word's tokens has " if heat.unit == "word" else ""
        lines.append(f"•: {of_word}q < {view.SIGNIFICANT:.2f} against the control scores (Benjamini–Hochberg).")
    if not mapping.uses_model:
        lines.append("This score reads the text alone, so base and tuned are the same and (c) is empty.")
    return [*lines, *([heat.kind.caveat] if heat.kind.caveat else [])]


def _about_prompt(heat: Heat) -> list[str]:
    by_kind = {column.kind: column for column in heat.columns}
    lines = ["Columns: the question's tokens; answer so far: the sum over earlier answer tokens."]
    if "template" in by_kind:
        lines.append(f"Template: the sum over the {len(by_kind['template'].members)} tokens of the chat template.")
    if "other" in by_kind:
        lines.append(f"Other: the sum over the {len(by_kind['other'].members):,} weakest prompt tokens.")
    lines.append("The scale is that of the single tokens; sums beyond it take its last colour.")
    return [*lines, *([heat.kind.caveat] if heat.kind.caveat else [])]


@contextmanager
def _style() -> Iterator[None]:
    """Matplotlib's own defaults, whatever the caller has set, and no warning for each missing glyph."""
    import matplotlib.style

    ours = {"pdf.fonttype": 42, "svg.fonttype": "path", "svg.hashsalt": "attrib", "font.family": "DejaVu Sans"}
    with matplotlib.style.context("default"), matplotlib.rc_context(ours), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from font")
        yield


def _plan(explanation: Explanation, columns: Sequence[Column], preset: str, *, clip: bool = False) -> _Plan:
    """Side by side where each column is wide enough for its label, else stacked.

    ``clip``: the caller drops columns until they fit, so too many are no error.
    """
    if preset not in PRESETS:
        raise InputError(f"no preset {preset!r} for a figure's width; choose from {', '.join(PRESETS)}")
    width, units = PRESETS[preset], _edges(columns)[-1][1]
    rows = [row.label for unit in get_args(view.Unit) for row in view.answer_rows(explanation, unit)]
    label = min(_ROW_LABEL, max(_inches(text) for text in rows) + 0.02)
    below = max(_inches(_elide(text, _COLUMN_LABEL)) for text in [c.label for c in columns] + ["gain −0.0…+0.0 bit"])
    left = _MARGIN + label + _TRACKS
    side = (width - left - _MARGIN - 2 * _GUTTER) / 3
    if side / units >= _LINE:
        return _Plan(width, False, label, below + 0.06, side)
    panel = width - left - _RIGHT
    if panel / units < _LINE and not clip:
        many = len(columns)
        raise InputError(
            f"{many} columns cannot be labelled in {width} in (preset {preset!r}); give a smaller top or a wider preset"
        )
    return _Plan(width, True, label, below + 0.06, panel)


def _prompt_plan(explanation: Explanation, method: str, preset: str, fold_template: bool) -> tuple[_Plan, int | None]:
    """The plan, and how many prompt tokens stay (None = all)."""
    columns = view.prompt_columns(explanation, method, fold_template=fold_template)
    plan = _plan(explanation, columns, preset, clip=True)
    if plan.panel / _edges(columns)[-1][1] >= _LINE:
        return plan, None
    special = sum(1 + _GAP for column in columns if column.apart) + 1 + _GAP  # and "other"
    return plan, max(1, int(plan.panel / _LINE - special - _GAP))


def _edges(columns: Sequence[Column]) -> list[tuple[float, float]]:
    """Left and right edge of each column, in columns' widths, with gaps before what is set apart."""
    edges: list[tuple[float, float]] = []
    for i, column in enumerate(columns):
        left = edges[-1][1] if edges else 0.0
        if i and (column.apart or columns[i - 1].apart):
            left += _GAP
        elif i and column.document != columns[i - 1].document:
            left += _BOUNDARY
        edges.append((left, left + 1))
    return edges


def _draw(heat: Heat, plan: _Plan, axs: Sequence[Axes] | None) -> Figure:
    axes = list(axs) if axs is not None else _new_axes(heat, plan)
    if len(axes) != 3:
        raise InputError(f"axs has {len(axes)} axes; a heatmap needs three: base, tuned, tuned − base")
    figure = _figure_of(axes[0])
    stacked = bool(axes[0].get_position().x0 >= axes[1].get_position().x0 - 1e-9)
    both, own = _norms(heat)
    sequential = "PuOr" if heat.kind.signed else "cividis"
    panels = (
        ("(a) base", heat.base, heat.base_marks, sequential, both),
        ("(b) tuned", heat.tuned, heat.tuned_marks, sequential, both),
        ("(c) tuned − base", heat.difference, None, "PuOr", own),
    )
    for i, (ax, (title, values, marks, colours, norm)) in enumerate(zip(axes, panels, strict=True)):
        _panel(ax, heat, values, marks, colours, norm)
        ax.set_title(title, loc="left", y=1.0, pad=3, **{**_FONT, "fontsize": 7.0})  # y: else insets push it up
        if i == 0 or stacked:
            _row_tracks(ax, heat, plan.label, last=not stacked or i == 2)
        if i == 2 or not stacked:
            _column_labels(ax, heat)
    _colour_bar(axes[0], axes[1], sequential, both, heat, heat.kind.unit, plan.below, stacked)
    _colour_bar(axes[2], axes[2], "PuOr", own, heat, "tuned − base", plan.below, stacked)
    _legend(axes[0], heat, plan.label)
    return figure


def _new_axes(heat: Heat, plan: _Plan) -> list[Axes]:
    """Three axes in a figure of exactly the plan's width; the height follows the rows."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    row = float(np.clip((2.0 if plan.stacked else 4.0) / len(heat.rows), _LINE, 0.16))
    cut = _LINE + 0.03 if heat.cut else 0.0
    panel, left = row * len(heat.rows), _MARGIN + plan.label + _TRACKS
    if plan.stacked:
        step = panel + cut + 0.22
        height = _HEAD + 2 * step + panel + cut + plan.below + _MARGIN
        corners = [(left, height - _HEAD - panel - i * step) for i in range(3)]
    else:
        height = _HEAD + panel + cut + plan.below + _BAR
        corners = [(left + i * (plan.panel + _GUTTER), height - _HEAD - panel) for i in range(3)]
    figure = Figure(figsize=(plan.width, height))
    FigureCanvasAgg(figure)
    return [figure.add_axes((x / plan.width, y / height, plan.panel / plan.width, panel / height)) for x, y in corners]


def _norms(heat: Heat) -> tuple[Any, Any]:
    """The scale of base and tuned, and that of the difference; folded sums do not stretch either."""
    from matplotlib.colors import Normalize

    summed = {"template", "answer", "other"} if not any(c.kind == "section" for c in heat.columns) else set()
    kept = [i for i, column in enumerate(heat.columns) if column.kind not in summed]
    values, difference = np.stack([heat.base, heat.tuned])[..., kept], heat.difference[:, kept]
    largest = float(np.abs(values).max()) or 1.0
    apart = float(np.abs(difference).max()) or 1.0
    low = min(0.0, float(values.min()))
    both = Normalize(-largest, largest) if heat.kind.signed else Normalize(low, max(float(values.max()), low + 1e-12))
    return both, Normalize(-apart, apart)


def _panel(ax: Axes, heat: Heat, values: np.ndarray, marks: np.ndarray | None, colours: str, norm: Any) -> None:
    """Cells, boundaries and marks; the first row on top."""
    import matplotlib

    edges, colour_map = _edges(heat.columns), matplotlib.colormaps[colours]
    rows = np.arange(len(heat.rows) + 1)
    at = 0
    while at < len(edges):  # one mesh for each run of touching columns: gaps stay empty
        end = at + 1
        while end < len(edges) and edges[end][0] == edges[end - 1][1]:
            end += 1
        x = [edges[at][0], *(right for _, right in edges[at:end])]
        ax.pcolormesh(
            x, rows, values[:, at:end], cmap=colour_map, norm=norm, edgecolors="white", linewidth=0.25, shading="flat"
        )
        at = end
    for i in range(1, len(edges)):
        if edges[i][0] - edges[i - 1][1] == _BOUNDARY:
            ax.plot([edges[i][0] - _BOUNDARY / 2] * 2, [0, len(heat.rows)], color="black", linewidth=0.5)
    if marks is not None and marks.any():
        row, column = np.nonzero(marks)
        shades = colour_map(norm(values[row, column]))[:, :3] @ (0.299, 0.587, 0.114)
        x = [sum(edges[i]) / 2 for i in column]
        ax.scatter(x, row + 0.5, s=3.0, c=np.where(shades > 0.5, "black", "white"), linewidths=0)
    ax.set(xlim=(0, edges[-1][1]), ylim=(len(heat.rows), 0), xticks=[], yticks=[])
    ax.spines[:].set_visible(False)


def _figure_of(ax: Axes) -> Figure:
    """The figure that the axes stand in; InputError for axes that were taken out of theirs."""
    figure = ax.get_figure(root=True)
    if figure is None:
        raise InputError("axs holds axes without a figure; give axes that are still part of one")
    return figure


def _size(ax: Axes) -> tuple[float, float]:
    """Width and height of the axes in inches."""
    box = ax.get_position()
    width, height = _figure_of(ax).get_size_inches()
    return float(box.width * width), float(box.height * height)


def _row_tracks(ax: Axes, heat: Heat, label: float, *, last: bool) -> None:
    """Left of a panel, from the left: token labels, verdict strip, gain bars; names below where ``last``."""
    width, _ = _size(ax)
    n = len(heat.rows)
    for i, row in enumerate(heat.rows):
        ax.annotate(
            _elide(row.label, label),
            (-(_TRACKS + 0.02 - _PAD) / width, i + 0.5),
            (0, -2.1),  # half the height of a capital: labels share a baseline whatever their letters
            xycoords=ax.get_yaxis_transform(),
            textcoords="offset points",
            ha="right",
            va="baseline",
            annotation_clip=False,
            **_FONT,
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
    bits = np.array([row.gain_bits for row in heat.rows])
    low, high = min(0.0, float(bits.min())), max(0.0, float(bits.max()), 1e-9)
    gain = ax.inset_axes((-(_GAIN + _PAD) / width, 0, _GAIN / width, 1))
    gain.barh(np.arange(n) + 0.5, bits, height=0.7, color="0.35")
    gain.axvline(0, color="black", linewidth=0.4)
    gain.set(xlim=(low, high))
    for track in (strip, gain):
        track.set(ylim=(n, 0), xticks=[], yticks=[])
        track.spines[:].set_visible(False)
        track.patch.set_alpha(0)
    if last:
        _below(strip, 0.5, "verdict")
        _below(gain, 0.5, f"gain {_bits(low)}…{_bits(high)} bit", of_axes=True)
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
            **_FONT,
        )


def _column_labels(ax: Axes, heat: Heat) -> None:
    for column, (left, right) in zip(heat.columns, _edges(heat.columns), strict=True):
        _below(ax, (left + right) / 2, _elide(column.label, _COLUMN_LABEL), shift=_LINE + 0.03 if heat.cut else 0.0)


def _below(ax: Axes, x: float, text: str, *, of_axes: bool = False, shift: float = 0.0) -> None:
    """A name under a column, read from below; ``shift`` inches further down."""
    ax.annotate(
        text,
        (x, 0),
        (0, -2 - 72 * shift),
        xycoords="axes fraction" if of_axes else ax.get_xaxis_transform(),
        textcoords="offset points",
        ha="center",
        va="top",
        rotation=90,
        annotation_clip=False,
        **_FONT,
    )


def _colour_bar(
    first: Axes, last: Axes, colours: str, norm: Any, heat: Heat, label: str, below: float, stacked: bool
) -> None:
    """One bar for the panels from ``first`` to ``last``: below them, or at their right where they are stacked."""
    from matplotlib.cm import ScalarMappable

    width, height = _size(last)
    a, b = first.get_position(), last.get_position()
    if stacked:
        span = (a.y1 - b.y0) / b.height
        bar = last.inset_axes((1 + 0.07 / width, 0.1 * span, 0.06 / width, 0.8 * span))
    else:
        span = (b.x1 - a.x0) / b.width
        down = below + 0.05 + (_LINE + 0.03 if heat.cut else 0)
        bar = last.inset_axes((1 - 0.85 * span, -down / height, 0.7 * span, 0.055 / height))
    values = heat.difference if first is last else np.stack([heat.base, heat.tuned])
    over, under = bool((values > norm.vmax + 1e-12).any()), bool((values < norm.vmin - 1e-12).any())
    extend = {(0, 0): "neither", (1, 0): "max", (0, 1): "min", (1, 1): "both"}[over, under]
    mappable = ScalarMappable(norm, colours)
    drawn = _figure_of(first).colorbar(
        mappable, cax=bar, orientation="vertical" if stacked else "horizontal", extend=extend
    )
    ticks = [norm.vmin, (norm.vmin + norm.vmax) / 2, norm.vmax]
    drawn.set_ticks(ticks, labels=[_number(tick) for tick in ticks], **_FONT)
    drawn.ax.tick_params(length=1.5, width=0.4, pad=1)
    drawn.outline.set_linewidth(0.4)
    drawn.set_label(label, labelpad=1, **_FONT)


def _legend(ax: Axes, heat: Heat, label: float) -> None:
    """One line above the first panel's title: what the strip's colours and the marks are."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles: list[Any] = [Patch(color=COLOURS[name], label=name) for name in LABELS]
    if heat.base_marks.any() or heat.tuned_marks.any():
        style: dict[str, Any] = {
            "marker": "o",
            "linestyle": "",
            "markersize": 2.2,
            "color": "black",
            "markeredgewidth": 0,
        }
        handles.append(Line2D([], [], label=f"q < {view.SIGNIFICANT:.2f}", **style))
    width, height = _size(ax)
    ax.legend(
        handles=handles,
        loc="upper left",
        bbox_to_anchor=(-(label + _TRACKS) / width, 1 + (_HEAD - 0.02) / height),
        ncols=len(handles),
        frameon=False,
        prop={"size": 6.0, "family": "DejaVu Sans"},
        borderpad=0,
        borderaxespad=0,
        handlelength=0.9,
        handleheight=0.7,
        handletextpad=0.4,
        columnspacing=1.0,
    )


def _bits(value: float) -> str:
    """An end of the gain track: whole bits, tenths below ten; the label has no room for more."""
    return "0" if abs(value) < 0.05 else f"{value:+.{0 if abs(value) >= 9.95 else 1}f}".replace("-", "−")


def _number(value: float, *, sign: bool = False) -> str:
    """Two significant digits with a true minus sign."""
    text = f"{value:+.2g}" if sign and value else f"{value:.2g}"
    return text.replace("-", "−")


def _inches(text: str) -> float:
    """Width of 6 pt text."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    if not text:
        return 0.0
    width, _, _ = text_to_path.get_text_width_height_descent(text, FontProperties(family="DejaVu Sans", size=6), False)
    return float(width) / 72


def _elide(text: str, inches: float) -> str:
    """The text, or as much of its start as fits with an ellipsis."""
    text = text[:200].translate(_IN_FONT)
    if _inches(text) <= inches:
        return text
    while text and _inches(text + "…") > inches:
        text = text[:-1]
    return text.rstrip() + "…"


def _metadata(explanation: Explanation, form: str) -> dict[str, str | None]:
    """Question and provenance under each format's own keys; no dates, which would change the bytes."""
    title = view.visible(" ".join(explanation.question.split()))
    subject = f"attrib: {view.verdict_line(explanation.verdict.whole)}"
    provenance = json.dumps(dict(explanation.provenance), sort_keys=True, default=str, ensure_ascii=True)
    if form == "pdf":
        return {"Title": title, "Subject": subject, "Keywords": provenance, "Creator": "attrib", "CreationDate": None}
    if form == "svg":
        return {"Title": title, "Description": f"{subject} {provenance}", "Creator": "attrib", "Date": None}
    return {"Title": title, "Description": f"{subject} {provenance}", "Software": "attrib"}


def _bytes(figure: Figure, form: str, metadata: dict[str, str | None]) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format=form, dpi=300 if form == "png" else 72, metadata=metadata)
    return buffer.getvalue()
