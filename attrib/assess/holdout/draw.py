"""A holdout report → figure and caption.

Not covered: single answers side by side (the rows have them).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from attrib.assess import dots
from attrib.assess.dots import BASE, TUNED, Dot, Look, Mark, Panel, PanelGroup, RowName, Rule
from attrib.assess.holdout.comparing import expected_exposure
from attrib.assess.holdout.membership import CONTROL, LOWEST
from attrib.assess.holdout.records import GAP, MEASURES, REPHRASED_GAP, HoldoutQuantity, HoldoutReport, Removal
from attrib.assess.split import PARTS
from attrib.render.figures import SIDES
from attrib.render.tables import interval, number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def membership_rows(report: HoldoutReport) -> dict[str, dict[str, tuple[float, float, float]]]:
    """AUC and interval by score and by what was scored; the baseline without a model last."""
    rows: dict[str, dict[str, tuple[float, float, float]]] = {}
    for auc in report.membership:
        rows.setdefault(auc.score, {})[auc.of] = (auc.auc, auc.low, auc.high)
    for seen in report.blind:
        rows.setdefault(UNSEEN, {})[seen.of] = (seen.auc, seen.low, seen.high)
    return rows


def _interval(q: HoldoutQuantity | None) -> str:
    return interval(q.value, q.low, q.high) if q is not None else ""


def _with_p(q: HoldoutQuantity | None) -> str:
    if q is None:
        return ""
    return f"{_interval(q)}{f', p = {q.p:.3g}' if math.isfinite(q.p) else ''}"


_ROW = 0.17  # inches
_LOOKS = {"base": BASE, "tuned": TUNED}
_ANSWERS, _SECTIONS = Look("answers", "#222222", "o"), Look("sections", "#222222", "D", hollow=True)
_HALF, _ZERO = Look("", "#999999", line=0.7), "#BBBBBB"
_MODELS = {"base": SIDES["base"], "full": SIDES["tuned"], "retrained": "#009E73"}


def holdout_figure(
    report: HoldoutReport, *, preset: str = "neurips-double", axs: Sequence[Axes] | None = None
) -> Figure:
    """Accuracy and log p of each part, base and tuned; membership AUCs beside the blind baseline; truth ratios after a
    removal.

    ``axs``: axes of the caller's, as many as there are of these; the preset is then not used. Raises InputError for an
    unknown preset.
    """
    lines = _lines(report)
    names = tuple(RowName(part if kind == "all" else kind, faint=kind != "all") for part, kind in lines)
    panels = (
        Panel("(a) accuracy", "share", tuple(_dots(report, lines, "accuracy")), (0.0, 1.0)),
        Panel("(b) answer's log p", "nats a token", tuple(_dots(report, lines, "logprob"))),
    )
    members, below = membership_rows(report), []
    if members:
        below.append(_membership(members))
    if report.removal is not None:
        title = f"({'d' if members else 'c'}) truth ratio, removed part"
        unit = "log10 of wrong over right answers' probability"
        panel = Panel(title, unit, content=partial(_truth_ratios, removal=report.removal))
        legend = tuple(Look(model, colour, line=1.1) for model, colour in _MODELS.items())
        below.append(PanelGroup((panel,), legend=legend, height=max(_ROW * len(members), 1.0)))
    blocks = [[PanelGroup(panels, names, (BASE, TUNED), row=_ROW)]]
    return dots.figure(blocks + [below] * bool(below), preset=preset, axs=axs)


def _lines(report: HoldoutReport) -> list[tuple[str, str]]:
    """Every part (kind "all"), and its kinds below it."""
    found = dict.fromkeys((q.part, q.kind) for q in report.quantities if q.part in PARTS and q.measure == "accuracy")
    return [(part, kind) for part in PARTS for of, kind in found if of == part]


def _dots(report: HoldoutReport, lines: Sequence[tuple[str, str]], measure: str) -> Iterator[Mark]:
    for i, (part, kind) in enumerate(lines):
        for shift, side in ((-0.17, "base"), (0.17, "tuned")):
            q = report.quantity(measure, part, side, kind)
            if q is not None:
                yield Dot(i + shift, q.value, q.low, q.high, replace(_LOOKS[side], size=3.0 if kind == "all" else 2.2))


def _membership(members: Mapping[str, Mapping[str, tuple[float, float, float]]]) -> PanelGroup:
    """A row a score; scores that are blind to the tuned model are grey."""
    marks: list[Mark] = [Rule(0.5, _HALF)]
    for i, (name, cells) in enumerate(members.items()):
        for of, ends in cells.items():
            look = _ANSWERS if of == "answers" else _SECTIONS
            if name in (CONTROL, UNSEEN):
                look = replace(look, colour="#999999")
            shift = 0.0 if len(cells) == 1 else -0.17 if of == "answers" else 0.17
            marks.append(Dot(i + shift, *ends, look))
    legend = tuple(look for look in (_ANSWERS, _SECTIONS) if any(look.name in cells for cells in members.values()))
    panel = Panel("(c) membership, AUC", "AUC, tuned-on against held-out", tuple(marks), (0.0, 1.0))
    return PanelGroup((panel,), tuple(RowName(name) for name in members), legend, row=_ROW)


def _truth_ratios(ax: Axes, removal: Removal) -> None:
    """Share of questions with at most a ratio, a step a question."""
    for model, colour in _MODELS.items():
        values = np.sort(np.log10(np.maximum(removal.truth_ratios(model), 1e-30)))
        if len(values):
            steps = np.arange(len(values) + 1) / len(values)
            ax.step(np.concatenate([values[:1], values]), steps, where="post", color=colour, lw=1.1)
    ax.axvline(0, color=_ZERO, lw=0.6, zorder=0)
    ax.set_ylim(0, 1.02)


def holdout_caption(report: HoldoutReport) -> str:
    """One paragraph: questions, intervals, gaps, membership, removal, and the limits of the numbers."""
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
    separated = [seen for seen in report.blind if seen.tells]
    if separated:
        lines.append(f"The parts are told apart without a model ({', '.join(seen.of for seen in separated)}).")
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
