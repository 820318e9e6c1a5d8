"""Explanation → figures for papers: heatmaps (a) base, (b) tuned, (c) tuned − base, and a comparison of methods.

Base and tuned share one scale; the difference has its own, centred on zero. Sizes are fixed in inches, so a figure
is exactly as wide as the column it is made for, and drawing the same record again gives the same bytes. Scripts that
DejaVu Sans lacks (CJK, emoji) are drawn as boxes. Not covered: heads and layers, several answers in one figure.
"""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from attrib.errors import InputError
from attrib.files import write_atomically
from attrib.records import LABELS, Attribution, Explanation
from attrib.render import view
from attrib.render.view import Column, Comparison, Heat, Side, Special

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

_UNITS: tuple[Literal["token", "word"], ...] = ("token", "word")
_IN_FONT = str.maketrans("␠␍", "␣↩")  # DejaVu Sans has no ␠ and ␍

_FONT: dict[str, Any] = {"fontsize": 6.0, "family": "DejaVu Sans", "parse_math": False}
_LINE = 0.1  # inches that a line of 6 pt text needs
_LINE_SPACING = 1.1
_MAX_HEIGHT = 9.0  # inches of a page
_GAP = 0.5  # columns' widths before a column set apart
_BOUNDARY = 0.25  # columns' widths between documents
_ROW_LABEL, _COLUMN_LABEL = 0.75, 0.95  # inches that labels may take
_STRIP, _GAIN, _PAD = 0.07, 0.28, 0.04  # inches: verdict strip, gain bars, space beside them
_TRACKS = _STRIP + _GAIN + 3 * _PAD
_MARGIN, _GUTTER = 0.05, 0.09  # inches: figure's edge, between panels
_HEAD, _BAR = 0.32, 0.36  # inches: legend and title above; colour bar with ticks and label below
_RIGHT = 0.57  # inches: colour bar with ticks and label beside stacked panels
_SHORT = 0.75  # inches: stacked panels below this height have no room for colour bars beside them


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
    note: tuple[str, ...] = ()
    """Lines at the foot."""

    @property
    def max_rows(self) -> int:
        """Rows that fit a page (side by side: never more than 60)."""
        if not self.stacked:
            return 60
        room = _MAX_HEIGHT - _HEAD - self.below - 2 * 0.22 - 3 * (_LINE + 0.03) - _MARGIN - self.foot
        return int(room / 3 / _LINE)

    @property
    def foot(self) -> float:
        """Height of the note."""
        return _foot(self.note)


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
    with style():
        columns = view.section_columns(explanation, mapper, top)
        plan = _plan(explanation, columns, preset)
        heat = view.section_heat(explanation, mapper, top=top, max_rows=plan.max_rows)
        return _draw(heat, plan, axs)


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
        plan, top = _prompt_plan(explanation, method, preset, special)
        heat = view.prompt_heat(explanation, method, special=special, top=top, max_rows=plan.max_rows)
        return _draw(heat, plan, axs)


def method_comparison(
    explanation: Explanation,
    methods: Sequence[str] | None = None,
    side: Side = "both",
    *,
    preset: str = "neurips-double",
) -> Figure:
    """One strip a method over the question's words, base beside tuned, and the rank correlation of each pair.

    ``methods`` default to all of the record, ``side`` to both models: the correlations then stand below the diagonal
    for base and above it for tuned. Raises InputError for a method that the record lacks, an unknown side or preset, or
    more methods than the width has room for.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with style():
        plan, compared = _comparison_plan(explanation, methods, side, preset)
        figure = Figure(figsize=(plan.width, plan.height))
        FigureCanvasAgg(figure)
        axes = []
        for left, top, width, height in plan.boxes:
            box = (
                left / plan.width, (plan.height - top - height) / plan.height,
                width / plan.width, height / plan.height,
            )  # fmt: skip
            axes.append(figure.add_axes(box))
        _draw_comparison(axes, compared, plan)
        return figure


def comparison_caption(
    explanation: Explanation,
    methods: Sequence[str] | None = None,
    side: Side = "both",
    *,
    preset: str = "neurips-double",
) -> str:
    """One paragraph for under the comparison drawn with the same options."""
    with style():
        plan, compared = _comparison_plan(explanation, methods, side, preset)
    where = " (a) under base, (b) under tuned" if side == "both" else f" (a) under {side}"
    lines = [
        f"{_asked(explanation)}, whole, by {len(compared.methods)} methods (rows) over the question's"
        f" {compared.words} words (columns),{where}.",
        "Colour: a word's score as a share of the method's largest |score| in that model; methods without a sign show"
        " sizes alone.",
    ]
    if side == "both":
        ratios = [
            f"{view.method_label(name)} {view.number(float(ratio))}"
            for name, ratio in zip(compared.methods, compared.ratio, strict=True)
            if np.isfinite(ratio)
        ]
        lines.append(f"Largest |score| under tuned ÷ under base: {', '.join(ratios) or 'none'}.")
    if any(column.kind == "other" for column in compared.columns):
        weakest = compared.words - len(compared.columns) + 1
        lines.append(f"Other: the {weakest} weakest words together; beyond 1 it takes the scale's last colour.")
    models = ", base below the diagonal and tuned above it" if side == "both" else f" under {side}"
    lines.append(
        f"({'c' if side == 'both' else 'b'}) Spearman's ρ of two methods over the words{models}: of scores where both"
        " have a sign, else of |score|; a cross: a method gives all words one score."
    )
    if (chance := view.chance_correlation(compared.words)) is not None:
        lines.append(f"Of two unrelated orders of {compared.words} words, one pair in 20 exceeds |ρ| = {chance:.2f}.")
    else:
        lines.append(f"With {compared.words} words any ρ may be chance.")
    for name in compared.methods:
        attribution = explanation.attributions[name]
        if note := view.gap_note(attribution):
            lines.append(f"{view.method_label(name)}: {note}.")
    if plan.marked:
        lines.append(f"{_DAGGER}: some row's scores miss their sum by more than {view.GAP_SHARE:.0%}.")
    lines.append("Methods that agree may be wrong together: only changing the prompt shows what the answer depends on.")
    return " ".join(lines)


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
        write_atomically(target, to_bytes(figure, form, _metadata(explanation, form)))
        written.append(target)
    return written


def caption(
    explanation: Explanation,
    kind: str,
    *,
    preset: str = "neurips-double",
    top: int = 12,
    special: Special = "fold",
) -> str:
    """One paragraph for under the figure of mapper or method ``kind``, as drawn with the same options."""
    with style():
        if kind in explanation.mappings:
            plan = _plan(explanation, view.section_columns(explanation, kind, top), preset)
            heat = view.section_heat(explanation, kind, top=top, max_rows=plan.max_rows)
            return " ".join(_common(explanation, heat, _merged_rows(heat)) + _about_sections(explanation, heat))
        plan, most = _prompt_plan(explanation, kind, preset, special)
        heat = view.prompt_heat(explanation, kind, special=special, top=most, max_rows=plan.max_rows)
        rows = _prompt_rows(heat, explanation.attributions[kind])
        return " ".join(_common(explanation, heat, rows) + _about_prompt(explanation, heat))


def _common(explanation: Explanation, heat: Heat, rows: str) -> list[str]:
    if heat.cut:
        rows += f", the last {heat.cut} {heat.unit}s not drawn"
    return [
        f"{_asked(explanation)} downwards, {rows}.",
        f"Colour: {heat.kind.meaning}, (a) under the base model and (b) under the tuned model on one scale,"
        " (c) tuned − base on its own scale centred on zero, not tested for significance.",
        "Beside the rows: the most probable source of each (documents, base or neither) and its gain,"
        f" log p tuned − log p base in bits; the whole answer: {view.verdict_line(explanation.verdict.whole)}.",
    ]


def _asked(explanation: Explanation) -> str:
    """The question, and whose answer was explained."""
    source = {"tuned": "the tuned model's", "base": "the base model's", "given": "a given"}[explanation.answer_source]
    return f"“{view.visible(' '.join(explanation.question.split()))}”: {source} answer"


def _merged_rows(heat: Heat) -> str:
    """What a row is, where words were put together from the record's tokens."""
    if heat.unit == "token":
        return "one row a token"
    how = {"sum": "the sum", "mean": "the mean", "max": "the largest"}[heat.kind.reduction]
    return f"one row a {heat.unit} ({how} of its tokens)"


def _prompt_rows(heat: Heat, attribution: Attribution) -> str:
    """What a row is, and how the method or the reader made one of several tokens."""
    if heat.unit == "token" or heat.merged:
        return _merged_rows(heat)
    name = "one row, the whole answer" if heat.unit == "answer" else f"one row a {heat.unit}"
    reduction = attribution.settings.get("reduction")
    if isinstance(reduction, str) or heat.kind.reduction == "mean":
        return f"{name} (the {reduction if isinstance(reduction, str) else 'mean'} of its tokens)"
    return f"{name} (for the sum of its tokens' {view.target_name(attribution.target).short})"


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


def _about_prompt(explanation: Explanation, heat: Heat) -> list[str]:
    attribution = explanation.attributions[heat.name]
    by_kind, name = {column.kind: column for column in heat.columns}, view.column_unit(attribution)
    shown = "prompt" if _template_shown(explanation, heat) else "question"
    together = "the sum over" if heat.kind.fold == "sum" else "the largest of"
    lines = [f"Columns: the {shown}'s {name}"]
    if "answer" in by_kind:
        lines[0] += f"; answer so far: {together} earlier answer tokens."
    else:
        lines[0] += "; earlier answer tokens have no scores by this method."
    if "template" in by_kind:
        lines.append(f"Template: {together} the {len(by_kind['template'].members)} tokens of the chat template.")
    if heat.hidden is not None:
        base, tuned = (f"{share:.0%}" for share in heat.hidden)
        lines.append(f"Not drawn: the chat template, which has {base} (base) and {tuned} (tuned) of all |score|.")
    if "other" in by_kind:
        rest = set(by_kind["other"].members)
        weakest = sum(set(members) <= rest for members in attribution.columns)
        lines.append(f"Other: {together} the {weakest:,} weakest {name} of the {shown}.")
    if {"answer", "template", "other"} & set(by_kind):
        lines.append(f"The scale is that of the single {name}; sums beyond it take its last colour.")
    return [*lines, *_about_target(attribution), *([heat.kind.caveat] if heat.kind.caveat else [])]


def _template_shown(explanation: Explanation, heat: Heat) -> bool:
    template = set(view.template_positions(explanation))
    return any(column.kind == "token" and set(column.members) <= template for column in heat.columns)


def _about_target(attribution: Attribution) -> list[str]:
    """What the target's name leaves open, the gap and the fit, as far as they are in the record."""
    name, lines = view.target_name(attribution.target), []
    if name.explained and name.short in view.kind_of(attribution.method, attribution.target).meaning:
        lines.append(f"{name.short}: {name.explained}.")
    if found := view.gaps(attribution):
        base, tuned = (view.gap_line(gap, attribution.target) for gap in found)
        medians = ", ".join(view.number(gap.median) for gap in found)
        lines.append(
            "Gap between a row's summed scores and what they should sum to, largest row:"
            f" base {base}, tuned {tuned}; median over rows: {medians}."
        )
    if said := view.gap_verdict(attribution):
        lines.append(
            f"{said[0].upper()}{said[1:]}; shares of what a row should sum to, or of the rows' mean where that is more."
        )
    fits = [_r2(attribution, side) for side in ("base", "tuned")]
    if all(fits):
        lines.append(f"R² of the fit, median over rows: base {fits[0]}, tuned {fits[1]}.")
    return lines


def _r2(attribution: Attribution, side: str) -> str:
    settings = attribution.settings.get(side)
    fits = settings.get("r2") if isinstance(settings, Mapping) else None
    return f"{float(np.median(fits)):.2f}".replace("-", "−") if isinstance(fits, list | tuple) and fits else ""


@contextmanager
def style() -> Iterator[None]:
    """Matplotlib's own defaults, whatever the caller has set, and no warning for each missing glyph."""
    import matplotlib.style

    ours = {"pdf.fonttype": 42, "svg.fonttype": "path", "svg.hashsalt": "attrib", "font.family": "DejaVu Sans"}
    with matplotlib.style.context("default"), matplotlib.rc_context(ours), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from font")
        yield


def width_of(preset: str) -> float:
    """Inches; InputError for a preset that does not exist."""
    if preset not in PRESETS:
        raise InputError(f"no preset {preset!r} for a figure's width; choose from {', '.join(PRESETS)}")
    return PRESETS[preset]


def _plan(
    explanation: Explanation,
    columns: Sequence[Column],
    preset: str,
    *,
    rows: Sequence[str] | None = None,
    note: str = "",
    clip: bool = False,
) -> _Plan:
    """Side by side where each column is wide enough for its label, else stacked.

    ``rows``: labels that must find room (default: the answer's tokens and words). ``clip``: the caller drops columns
    until they fit, so too many are no error.
    """
    width, units = width_of(preset), _edges(columns)[-1][1]
    lines = _wrap(note, width - 2 * _MARGIN)
    if rows is None:
        rows = [row.label for unit in _UNITS for row in view.answer_rows(explanation, unit)]
    label = min(_ROW_LABEL, max(inches(text) for text in rows) + 0.02)
    below = max(inches(_elide(text, _COLUMN_LABEL)) for text in [c.label for c in columns] + ["gain −0.0…+0.0 bit"])
    left = _MARGIN + label + _TRACKS
    side = (width - left - _MARGIN - 2 * _GUTTER) / 3
    if side / units >= _LINE:
        return _Plan(width, False, label, below + 0.06, side, lines)
    panel = width - left - _RIGHT
    if panel / units < _LINE and not clip:
        many = len(columns)
        raise InputError(
            f"{many} columns cannot be labelled in {width} in (preset {preset!r}); give a smaller top or a wider preset"
        )
    return _Plan(width, True, label, below + 0.06, panel, lines)


def _prompt_plan(explanation: Explanation, method: str, preset: str, special: Special) -> tuple[_Plan, int | None]:
    """The plan, and how many prompt columns stay (None = all)."""
    columns = view.prompt_columns(explanation, method, special=special)
    labels = [row.label for row in view.prompt_heat(explanation, method, special=special).rows]
    if view.row_unit(explanation, explanation.attributions[method]) == "token":
        labels += [row.label for row in view.answer_rows(explanation, "word")]
    note = view.gap_note(explanation.attributions[method])
    plan = _plan(explanation, columns, preset, rows=labels, note=note, clip=True)
    if plan.panel / _edges(columns)[-1][1] >= _LINE:
        return plan, None
    set_apart = sum(1 + _GAP for column in columns if column.apart) + 1 + _GAP  # and "other"
    return plan, max(1, int(plan.panel / _LINE - set_apart - _GAP))


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
    down = plan.below + (_LINE + 0.03 if heat.cut else 0.0)
    first, second = _extension(np.stack([heat.base, heat.tuned]), both), _extension(heat.difference, own)
    if stacked and not _is_short(axes[2]):
        _bar_beside(axes[0], axes[1], _scale(both, sequential), heat.kind.unit, extend=first)
        _bar_beside(axes[2], axes[2], _scale(own, "PuOr"), "tuned − base", extend=second)
    elif stacked:
        _bar_below(axes[2], axes[2], _scale(both, sequential), heat.kind.unit, down, extend=first)
        _bar_below(axes[2], axes[2], _scale(own, "PuOr"), "tuned − base", down + _BAR, extend=second)
        down += 2 * _BAR
    else:
        _bar_below(axes[0], axes[1], _scale(both, sequential), heat.kind.unit, down, extend=first)
        _bar_below(axes[2], axes[2], _scale(own, "PuOr"), "tuned − base", down, extend=second)
        down += _BAR
    _legend(axes[0], heat, plan.label)
    if plan.note:
        _note(axes[2] if stacked else axes[0], plan, down)
    return figure


def _note(ax: Axes, plan: _Plan, down: float) -> None:
    """The plan's note at the figure's left edge, ``down`` inches below the panel."""
    width, height = _size(ax)
    ax.annotate(
        "\n".join(plan.note),
        (-(plan.label + _TRACKS) / width, -down / height),
        xycoords="axes fraction",
        ha="left",
        va="top",
        linespacing=_LINE_SPACING,
        annotation_clip=False,
        **_FONT,
    )


def _new_axes(heat: Heat, plan: _Plan) -> list[Axes]:
    """Three axes in a figure of exactly the plan's width; the height follows the rows."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    row = float(np.clip((2.0 if plan.stacked else 4.0) / len(heat.rows), _LINE, 0.16))
    cut = _LINE + 0.03 if heat.cut else 0.0
    panel, left = row * len(heat.rows), _MARGIN + plan.label + _TRACKS
    if plan.stacked:
        step = panel + cut + 0.22
        bars = 2 * _BAR if panel < _SHORT else 0.0
        height = _HEAD + 2 * step + panel + cut + plan.below + bars + _MARGIN + plan.foot
        corners = [(left, height - _HEAD - panel - i * step) for i in range(3)]
    else:
        height = _HEAD + panel + cut + plan.below + _BAR + plan.foot
        corners = [(left + i * (plan.panel + _GUTTER), height - _HEAD - panel) for i in range(3)]
    figure = Figure(figsize=(plan.width, height))
    FigureCanvasAgg(figure)
    return [figure.add_axes((x / plan.width, y / height, plan.panel / plan.width, panel / height)) for x, y in corners]


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

    edges, colour_map = _edges(heat.columns), matplotlib.colormaps[colours]
    _cells(ax, edges, values, colour_map, norm)
    for i in range(1, len(edges)):
        if edges[i][0] - edges[i - 1][1] == _BOUNDARY:
            ax.plot([edges[i][0] - _BOUNDARY / 2] * 2, [0, len(heat.rows)], color="black", linewidth=0.5)
    if marks is not None and marks.any():
        row, column = np.nonzero(marks)
        shades = colour_map(norm(values[row, column]))[:, :3] @ (0.299, 0.587, 0.114)
        x = [sum(edges[i]) / 2 for i in column]
        ax.scatter(x, row + 0.5, s=3.0, c=np.where(shades > 0.5, "black", "white"), linewidths=0)


def _cells(ax: Axes, edges: Sequence[tuple[float, float]], values: np.ndarray, colours: Any, norm: Any) -> None:
    """A mesh for each run of touching columns, the first row on top; gaps stay empty."""
    rows, at = np.arange(len(values) + 1), 0
    while at < len(edges):
        end = at + 1
        while end < len(edges) and edges[end][0] == edges[end - 1][1]:
            end += 1
        x = [edges[at][0], *(right for _, right in edges[at:end])]
        ax.pcolormesh(
            x, rows, values[:, at:end], cmap=colours, norm=norm, edgecolors="white", linewidth=0.25, shading="flat"
        )
        at = end
    ax.set(xlim=(0, edges[-1][1]), ylim=(len(values), 0), xticks=[], yticks=[])
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


def _scale(norm: Any, colours: str) -> Any:
    from matplotlib.cm import ScalarMappable

    return ScalarMappable(norm, colours)


def _extension(values: np.ndarray, norm: Any) -> str:
    """At which ends of the scale values lie beyond it."""
    over, under = bool((values > norm.vmax + 1e-12).any()), bool((values < norm.vmin - 1e-12).any())
    return {(0, 0): "neither", (1, 0): "max", (0, 1): "min", (1, 1): "both"}[over, under]


def _is_short(ax: Axes) -> bool:
    return _size(ax)[1] < _SHORT - 1e-6


def _bar_beside(first: Axes, last: Axes, scale: Any, label: str, *, extend: str) -> None:
    """One colour bar at the right of the stacked panels from ``first`` to ``last``."""
    width, _ = _size(last)
    a, b = first.get_position(), last.get_position()
    span = (a.y1 - b.y0) / b.height
    bar = last.inset_axes((1 + 0.07 / width, 0.1 * span, 0.06 / width, 0.8 * span))
    _fill_bar(bar, scale, label, extend=extend, vertical=True)


def _bar_below(
    first: Axes, last: Axes, scale: Any, label: str, down: float, *, extend: str = "neither", most: float = np.inf
) -> None:
    """One colour bar ``down`` inches under the panels from ``first`` to ``last``, no longer than ``most`` inches."""
    width, height = _size(last)
    a, b = first.get_position(), last.get_position()
    span = (b.x1 - a.x0) / b.width
    long = min(0.7 * span, most / width)
    bar = last.inset_axes((1 - (span + long) / 2, -(down + 0.05) / height, long, 0.055 / height))
    _fill_bar(bar, scale, label, extend=extend)


def _fill_bar(bar: Axes, scale: Any, label: str, *, extend: str, vertical: bool = False) -> None:
    """The colour scale, its ends and middle, and what it measures."""
    orientation, norm = "vertical" if vertical else "horizontal", scale.norm
    ticks = [norm.vmin, (norm.vmin + norm.vmax) / 2, norm.vmax]
    drawn = _figure_of(bar).colorbar(scale, cax=bar, orientation=orientation, extend=extend)
    drawn.set_ticks(ticks, labels=[view.number(tick) for tick in ticks], **_FONT)
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


_STRIP_ROW, _TITLE = 0.13, 0.18  # inches: a method's row, a panel's title
_MATRIX, _NUMBER = 1.25, 0.2  # inches: least width of the matrix, cell in which a number fits
_AGREEMENT = "RdBu"
_DAGGER = "†"


@dataclass(frozen=True)
class _ComparisonPlan:
    """Where the strips and the matrix go, in inches from the top left."""

    width: float
    height: float
    sides: tuple[Literal["base", "tuned"], ...]
    boxes: tuple[tuple[float, float, float, float], ...]
    """Left, top, width and height of each panel: a strip block a side, then the matrix."""
    labelled: tuple[bool, ...]
    """Which panels have the methods' names at their left."""
    worded: tuple[bool, ...]
    """Which have names below."""
    below: float
    """Space for words."""
    names: tuple[str, ...]
    """The methods' names, those whose gap is large marked."""
    marked: bool
    note: str


def _comparison_plan(
    explanation: Explanation, methods: Sequence[str] | None, side: Side, preset: str
) -> tuple[_ComparisonPlan, Comparison]:
    """All panels in one line where words and methods find room, else the matrix below, else one above the other."""
    if side not in ("both", "base", "tuned"):
        raise InputError(f"side={side!r}: choose both, base or tuned")
    compared, width = view.comparison(explanation, methods), width_of(preset)
    sides: tuple[Literal["base", "tuned"], ...] = ("base", "tuned") if side == "both" else (side,)
    broken = [bool(view.gap_verdict(explanation.attributions[m])) for m in compared.methods]
    names = tuple(
        view.method_label(m) + (f" {_DAGGER}" if large else "")
        for m, large in zip(compared.methods, broken, strict=True)
    )
    n = len(names)
    label = max(inches(name) for name in names) + _PAD
    left, room = _MARGIN + label, width - 2 * _MARGIN - label
    if n * _LINE > room:
        raise InputError(
            f"{n} methods cannot be labelled in {width} in (preset {preset!r}); name fewer or take a wider preset"
        )
    most, blocks = len(compared.columns), len(sides)
    # At least as wide as its title.
    square = max(n * _LINE, _MATRIX)
    beside = (room - square - blocks * _GUTTER) / blocks
    together = (room - (blocks - 1) * _GUTTER) / blocks
    one_line, one_row = beside / most >= _LINE, together / most >= _LINE
    block = beside if one_line else together if one_row else room
    if block / most < _LINE:
        compared = view.comparison(explanation, methods, top=max(1, int(block / _LINE - 1 - _GAP)))
    if not one_line:
        square = min(room, max(square, n * _NUMBER))
    tall = n * (_STRIP_ROW if one_line or one_row else _LINE)
    below = max(inches(_elide(column.label, _COLUMN_LABEL)) for column in compared.columns) + 0.06
    under = label + 0.06
    boxes: list[tuple[float, float, float, float]] = []
    for i in range(blocks):
        across = left + i * (block + _GUTTER) if one_line or one_row else left
        down = _TITLE if one_line or one_row else _TITLE + i * (tall + _TITLE)
        boxes.append((across, down, block, tall))
    bottom = boxes[-1][1] + tall + below + _BAR
    if one_line:
        boxes.append((width - _MARGIN - square, _TITLE, square, tall))
        bottom = max(bottom, _TITLE + tall + under + _BAR)
    else:
        boxes.append((left, bottom + _TITLE, square, tall))
        bottom += _TITLE + tall + under + _BAR
    note = f"{_DAGGER} some row misses its promised sum by over {view.GAP_SHARE:.0%}" if any(broken) else ""
    plan = _ComparisonPlan(
        width=width,
        height=bottom + _foot([note] if note else []),
        sides=sides,
        boxes=tuple(boxes),
        labelled=tuple(box[0] == left for box in boxes),
        worded=(*(one_line or one_row or i == blocks - 1 for i in range(blocks)), True),
        below=below,
        names=names,
        marked=any(broken),
        note=note,
    )
    return plan, compared


def _draw_comparison(axes: Sequence[Axes], compared: Comparison, plan: _ComparisonPlan) -> None:
    import matplotlib
    from matplotlib.colors import Normalize

    norm, colours = Normalize(-1, 1), matplotlib.colormaps["PuOr"]
    *strips, matrix = axes
    for i, (ax, side) in enumerate(zip(strips, plan.sides, strict=True)):
        edges = _edges(compared.columns)
        _cells(ax, edges, compared.base if side == "base" else compared.tuned, colours, norm)
        ax.set_title(f"({'ab'[i]}) {side}", loc="left", y=1.0, pad=3, **{**_FONT, "fontsize": 7.0})
        if plan.worded[i]:
            for column, (left, right) in zip(compared.columns, edges, strict=True):
                _below(ax, (left + right) / 2, _elide(column.label, _COLUMN_LABEL))
    _matrix(matrix, compared, plan, norm)
    for ax, labelled in zip(axes, plan.labelled, strict=True):
        if labelled:
            _method_names(ax, plan.names)
    one_row = strips[0].get_position().y0 == strips[-1].get_position().y0
    extend = _extension(np.stack([compared.base, compared.tuned]), norm)
    first = strips[0] if one_row else strips[-1]
    _bar_below(first, strips[-1], _scale(norm, "PuOr"), "share of largest |score|", plan.below, extend=extend, most=1.6)
    under = max(map(inches, plan.names)) + 0.06
    _bar_below(matrix, matrix, _scale(norm, _AGREEMENT), "rank correlation ρ", under, most=1.6)
    if plan.note:
        place = (_MARGIN / plan.width, (_foot([plan.note]) - 0.02) / plan.height)
        _figure_of(matrix).text(*place, plan.note, ha="left", va="top", **_FONT)


def _matrix(ax: Axes, compared: Comparison, plan: _ComparisonPlan, norm: Any) -> None:
    """Correlations: base below the diagonal, tuned above it, or one model in both halves; numbers where they fit."""
    import matplotlib

    n = len(compared.methods)
    below = compared.agreement_base if "base" in plan.sides else compared.agreement_tuned
    above = compared.agreement_tuned if "tuned" in plan.sides else compared.agreement_base
    values = np.where(np.tri(n, k=-1) > 0, below, above)
    np.fill_diagonal(values, np.nan)
    colours = matplotlib.colormaps[_AGREEMENT]
    _cells(ax, [(float(i), i + 1.0) for i in range(n)], values, colours, norm)
    width, _ = _size(ax)
    for i, j in np.ndindex(n, n):
        if i == j:
            ax.add_patch(_grey_cell(i))
        elif np.isnan(values[i, j]):
            ax.scatter([j + 0.5], [i + 0.5], s=6, marker="x", c="0.5", linewidths=0.5)
        elif width / n >= _NUMBER:
            dark = colours(norm(values[i, j]))[:3] @ np.array((0.299, 0.587, 0.114)) < 0.5
            text = f"{values[i, j]:.2f}".replace("-", "−").replace("0.", ".", 1)
            ax.annotate(
                text, (j + 0.5, i + 0.5), (0, -2.1), textcoords="offset points", ha="center", va="baseline",
                color="white" if dark else "black", **_FONT,
            )  # fmt: skip
    title = "(c) ◣ base  ◥ tuned" if len(plan.sides) == 2 else "(b) rank correlation"
    ax.set_title(title, loc="left", y=1.0, pad=3, **{**_FONT, "fontsize": 7.0})
    for i, name in enumerate(plan.names):
        _below(ax, i + 0.5, name)


def _grey_cell(i: int) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle((i, i), 1, 1, facecolor="0.93", edgecolor="white", linewidth=0.25)


def _method_names(ax: Axes, names: Sequence[str]) -> None:
    for i, name in enumerate(names):
        ax.annotate(
            name, (0, i + 0.5), (-72 * _PAD / 2, -2.1), xycoords=ax.get_yaxis_transform(), textcoords="offset points",
            ha="right", va="baseline", annotation_clip=False, **_FONT,
        )  # fmt: skip


def _bits(value: float) -> str:
    """An end of the gain track: whole bits, tenths below ten; the label has no room for more."""
    return "0" if abs(value) < 0.05 else f"{value:+.{0 if abs(value) >= 9.95 else 1}f}".replace("-", "−")


def inches(text: str) -> float:
    """Width of 6 pt text."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    if not text:
        return 0.0
    width, _, _ = text_to_path.get_text_width_height_descent(text, FontProperties(family="DejaVu Sans", size=6), False)
    return float(width) / 72


def _wrap(text: str, width: float) -> tuple[str, ...]:
    """Lines of whole words that fit ``width`` inches; where one line is too short, a new one starts at each ";"."""
    if "; " in text and inches(text) > width:
        return tuple(line for part in text.split("; ") for line in _wrap(part, width))
    lines: list[str] = []
    for word in text.split():
        if lines and inches(f"{lines[-1]} {word}") <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return tuple(lines)


def _foot(lines: Sequence[str]) -> float:
    """Height of a note in inches."""
    return _LINE * _LINE_SPACING * len(lines) + _MARGIN if lines else 0.0


def _elide(text: str, width: float) -> str:
    """The text, or as much of its start as fits with an ellipsis."""
    text = text[:200].translate(_IN_FONT)
    if inches(text) <= width:
        return text
    while text and inches(text + "…") > width:
        text = text[:-1]
    return text.rstrip() + "…"


def _metadata(explanation: Explanation, form: str) -> dict[str, str | None]:
    """Question and provenance under each format's own keys; no dates, which would change the bytes."""
    title = view.visible(" ".join(explanation.question.split()))
    plain = plain_metadata(title, form)
    subject = f"attrib: {view.verdict_line(explanation.verdict.whole)}"
    provenance = json.dumps(dict(explanation.provenance), sort_keys=True, default=str, ensure_ascii=True)
    if form == "pdf":
        return {**plain, "Subject": subject, "Keywords": provenance}
    return {**plain, "Description": f"{subject} {provenance}"}


def plain_metadata(title: str, form: str) -> dict[str, str | None]:
    """A title under the format's own keys; no dates, which would change the bytes."""
    dates: dict[str, dict[str, str | None]] = {
        "pdf": {"Creator": "attrib", "CreationDate": None},
        "svg": {"Creator": "attrib", "Date": None},
        "png": {"Software": "attrib"},
    }
    return {"Title": title, **dates[form]}


def to_bytes(figure: Figure, form: str, metadata: dict[str, str | None]) -> bytes:
    """The figure as a file of one of FORMATS; the same figure gives the same bytes."""
    buffer = io.BytesIO()
    with style():
        figure.savefig(buffer, format=form, dpi=300 if form == "png" else 72, metadata=metadata)
    return buffer.getvalue()
