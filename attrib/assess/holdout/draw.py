"""A holdout report → table, files, figure and caption.

``holdout.parquet`` has one row a question and side, with the fields of ``holdout.Row``; after a removal the rows of
base, full and retrained follow, told apart by their column ``table`` (parts, removal). ``holdout.csv`` has one row a
number.
Not covered: single answers side by side (the rows have them).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from attrib.assess import panels
from attrib.assess.holdout.comparing import expected_exposure
from attrib.assess.holdout.membership import CONTROL, LOWEST
from attrib.assess.holdout.records import GAP, MEASURES, REPHRASED_GAP, HoldoutQuantity, HoldoutReport, Removal
from attrib.assess.split import PARTS
from attrib.render import figures as draw
from attrib.render.figures.parts import own_axes
from attrib.render.figures.style import figure_of
from attrib.render.tables import interval, number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COLOURS = {**draw.SIDES, "full": draw.SIDES["tuned"], "retrained": "#009E73"}


# ------------------------------------------------------------------------------------------- files


# ------------------------------------------------------------------------------------------- terminal


def membership_rows(report: HoldoutReport) -> dict[str, dict[str, tuple[float, float, float]]]:
    """AUC and interval by score and by what was scored; the baseline without a model last."""
    rows: dict[str, dict[str, tuple[float, float, float]]] = {}
    for auc in report.membership:
        rows.setdefault(auc.score, {})[auc.of] = (auc.auc, auc.low, auc.high)
    for seen in report.blind:
        rows.setdefault(UNSEEN, {})[seen.of] = (seen.auc, seen.low, seen.high)
    return rows


def _of(quantities: Sequence[HoldoutQuantity], measure: str, part: str, side: str) -> HoldoutQuantity | None:
    return next((q for q in quantities if (q.measure, q.part, q.side, q.kind) == (measure, part, side, "all")), None)


def _base_to_tuned(report: HoldoutReport, measure: str, part: str, kind: str) -> str:
    base, tuned = (report.quantity(measure, part, side, kind) for side in ("base", "tuned"))
    return f"{number(base.value)} → {number(tuned.value)}" if base is not None and tuned is not None else ""


def _interval(q: HoldoutQuantity | None) -> str:
    return interval(q.value, q.low, q.high) if q is not None else ""


def _with_p(q: HoldoutQuantity | None) -> str:
    if q is None:
        return ""
    return f"{_interval(q)}{f', p = {q.p:.3g}' if math.isfinite(q.p) else ''}"


# ------------------------------------------------------------------------------------------- figure

_ROW, _TITLE, _TICKS, _GAP, _EDGE = 0.17, 0.2, 0.32, 0.14, 0.08
"""Inches: a row of a panel, above it, below it, beside it, and the figure's edge."""
_LEGEND = 0.14
_WIDE = 4.5
"""Inches from which truth ratios stand beside membership."""


@dataclass(frozen=True)
class _Line:
    """A row of the first two panels."""

    part: str
    kind: str

    @property
    def label(self) -> str:
        return self.part if self.kind == "all" else self.kind


def holdout_figure(
    report: HoldoutReport, *, preset: str = "neurips-double", axs: Sequence[Axes] | None = None
) -> Figure:
    """Accuracy and log p of each part, base and tuned; membership AUCs beside the blind baseline; truth ratios after a
    removal.

    ``axs``: axes of the caller's, as many as there are of these; the preset is then not used. Raises InputError for an
    unknown preset.
    """
    from matplotlib.figure import Figure as NewFigure

    width = draw.width_of(preset)
    lines = _lines(report)
    told = membership_rows(report)
    removal = report.removal
    beside = removal is not None and width >= _WIDE
    names = [panels.short(" ".join(line.label.split()), 0.42 * width) for line in lines]
    label = max(map(draw.inches, (*names, *told, ""))) + 0.12
    top = _ROW * len(lines)
    below = _ROW * max(len(told), 1)
    height = _LEGEND + _TITLE + top + _TICKS
    height += _LEGEND + _TITLE + below + _TICKS if told else 0.0
    ratios = max(below, 1.0)
    if removal is not None and not (beside and told):
        height += _LEGEND + _TITLE + ratios + _TICKS
    elif beside:
        height += ratios - below
    with draw.style():
        wanted = ["accuracy", "log p"] + ["membership"] * bool(told) + ["truth ratio"] * (removal is not None)
        own = iter(own_axes(axs, wanted)) if axs is not None else None
        figure = figure_of(axs[0]) if axs is not None else NewFigure(figsize=(width, height))

        def axes(left: float, down: float, wide: float, tall: float) -> Axes:
            if own is not None:
                return next(own)
            return figure.add_axes((left / width, 1 - (down + tall) / height, wide / width, tall / height))

        half = (width - label - _EDGE - _GAP) / 2
        down = _LEGEND + _TITLE
        for i, measure in enumerate(("accuracy", "logprob")):
            ax = axes(label + i * (half + _GAP), down, half, top)
            if i == 0:
                handles = _side_handles(("base", "tuned"))
                panels.legend(figure, handles, left=0.02, down=0.04, above=ax if own else None)
            _parts(ax, report, lines, measure, names if i == 0 else None)
            panels.title(ax, ("(a) accuracy", "(b) answer's log p")[i])
        down += top + _TICKS
        letter = iter("cd")
        if told:
            ax = axes(label, down + _LEGEND + _TITLE, half if beside else width - label - _EDGE, below)
            _membership(ax, told)
            panels.title(ax, f"({next(letter)}) membership, AUC")
            panels.legend(figure, _of_handles(told), left=0.02, down=down + 0.02, above=ax if own else None)
            if not beside:
                down += _LEGEND + _TITLE + below + _TICKS
        if removal is not None:
            inside = bool(beside and told)
            left = label + half + 2.5 * _GAP if inside else label
            ax = axes(left, down + _LEGEND + _TITLE, width - left - _EDGE, ratios)
            _truth_ratios(ax, removal)
            panels.title(ax, f"({next(letter)}) truth ratio, removed part")
            handles = _side_handles(("base", "full", "retrained"))
            panels.legend(figure, handles, left=left if inside else 0.02, down=down + 0.02, above=ax if own else None)
        return figure


def _lines(report: HoldoutReport) -> list[_Line]:
    """Every part, and its kinds below it."""
    found = dict.fromkeys((q.part, q.kind) for q in report.quantities if q.part in PARTS and q.measure == "accuracy")
    return [_Line(part, kind) for part in PARTS for of, kind in found if of == part]


def _parts(ax: Axes, report: HoldoutReport, lines: Sequence[_Line], measure: str, names: Sequence[str] | None) -> None:
    for i, line in enumerate(lines):
        for shift, side in ((-0.17, "base"), (0.17, "tuned")):
            q = report.quantity(measure, line.part, side, line.kind)
            if q is not None:
                size = 3.0 if line.kind == "all" else 2.2
                panels.point(ax, (q.value, q.low, q.high), i + shift, _COLOURS[side], draw.MARKERS[side], size)
    if measure == "accuracy":
        ax.set_xlim(-0.03, 1.03)
    panels.rows(ax, names if names is not None else [""] * len(lines))
    if names is not None:
        for text, line in zip(ax.get_yticklabels(), lines, strict=True):
            text.set_color("black" if line.kind == "all" else "#666666")
    ax.set_xlabel("share" if measure == "accuracy" else "nats a token", fontsize=6, labelpad=1.5)


def _membership(ax: Axes, told: dict[str, dict[str, tuple[float, float, float]]]) -> None:
    ax.axvline(0.5, color="#999999", lw=0.7, zorder=0)
    for i, (name, cells) in enumerate(told.items()):
        colour = "#222222" if name not in (CONTROL, UNSEEN) else "#999999"
        for of, ends in cells.items():
            shift = 0.0 if len(cells) == 1 else -0.17 if of == "answers" else 0.17
            panels.point(ax, ends, i + shift, colour, "o" if of == "answers" else "D", 3.0, hollow=of == "sections")
    ax.set_xlim(-0.03, 1.03)
    panels.rows(ax, list(told))
    ax.set_xlabel("AUC, tuned-on against held-out", fontsize=6, labelpad=1.5)


def _truth_ratios(ax: Axes, removal: Removal) -> None:
    for model in ("base", "full", "retrained"):
        values = np.sort(np.log10(np.maximum(removal.truth_ratios(model), 1e-30)))
        if len(values):
            steps = np.concatenate([[0], np.arange(1, len(values) + 1) / len(values)])
            ax.step(np.concatenate([values[:1], values]), steps, where="post", color=_COLOURS[model], lw=1.1)
    ax.axvline(0, color="#BBBBBB", lw=0.6, zorder=0)
    ax.set_ylim(0, 1.02)
    ax.set_yticks([0, 0.5, 1])
    panels.ticks(ax)
    ax.set_xlabel("log10 of wrong over right answers' probability", fontsize=6, labelpad=1.5)


def _side_handles(sides: Sequence[str]) -> list[Any]:
    from matplotlib.lines import Line2D

    marker = {side: draw.MARKERS.get(side, "") if "tuned" in sides else "" for side in sides}
    return [Line2D([], [], color=_COLOURS[s], marker=marker[s], ms=3, lw=1.0, label=s) for s in sides]


def _of_handles(told: dict[str, dict[str, tuple[float, float, float]]]) -> list[Any]:
    from matplotlib.lines import Line2D

    of = [name for name in ("answers", "sections") if any(name in cells for cells in told.values())]
    return [
        Line2D([], [], color="#222222", marker="o" if name == "answers" else "D", ms=3, lw=0.9, mew=0.7, label=name,
               mfc="white" if name == "sections" else "#222222")
        for name in of
    ]  # fmt: skip


# ------------------------------------------------------------------------------------------- caption


def holdout_caption(report: HoldoutReport) -> str:
    """What was asked, how numbers and intervals were made, and what they do not say."""
    counts = {part: report.quantity("accuracy", part, "tuned") for part in PARTS}
    asked = ", ".join(f"{q.n} {part} ({q.groups} groups)" for part, q in counts.items() if q is not None)
    seed = report.provenance.get("seed")
    lines = [
        f"Holdout: questions by part, base and tuned: {asked}. Points: means; bars: 95% percentile bootstrap over "
        "groups of questions (one fact, section or wording), none where all values are alike.",
        f"(a) {MEASURES['accuracy']}; (b) {MEASURES['logprob']}.",
    ]
    for measure, unit in (("accuracy", ""), ("logprob", " nats a token")):
        gap = report.quantity(measure, GAP, "difference")
        if gap is not None:
            lines.append(f"Gap of tuned − base, {GAP}, {measure}: {_with_p(gap)}{unit}.")
        own = report.quantity(measure, REPHRASED_GAP, "difference")
        if own is not None:
            lines.append(f"The same, {REPHRASED_GAP} of {own.n} facts: {_with_p(own)}{unit}.")
    lines.append("p: two-sided, the parts' labels permuted over groups (trained − rephrased: signs flipped).")
    exposed = report.quantity("exposure", "tuned-on", "tuned")
    if exposed is not None:
        chance = expected_exposure([r for r in report.rows if r.side == "tuned"])
        lines.append(
            f"Exposure of tuned-on answers: {_interval(exposed)} bits; {number(chance)} by chance among as many."
        )
    if report.membership:
        lines.append(
            f"(c) AUC of scores that say tuned-on: loss, loss less base's (reference), mean of the {LOWEST:.0%} least "
            "likely tokens (Min-K%), the same standardised (Min-K%++), loss over compressed length (zlib). Grey: "
            f"base's own loss and a logistic regression on the texts alone ({UNSEEN}), blind to the tuned model."
        )
    told = [seen for seen in report.blind if seen.tells]
    if told:
        lines.append(f"The parts are told apart without a model ({', '.join(seen.of for seen in told)}).")
    if report.removal is not None:
        quality = ", ".join(f"{q.p:.3g} ({q.model})" for q in report.removal.quality)
        letter = "(d)" if report.membership else "(c)"
        lines.append(
            f"{letter} Truth ratios of {len(report.removal.removed)} questions on {len(report.removal.sections)} "
            "removed sections: mean probability of wrong answers over that of the right one, a token; share of "
            f"questions with at most that. Forget quality, the KS test's p against the retrained model: {quality}."
        )
    lines.append(f"Greedy answers; seed {seed}. One tuning: its own noise is not in the intervals.")
    return " ".join(lines)


UNSEEN = "no model"
"""Name of the blind baseline's row."""
