"""Consistency report → tables, files, a figure, and a Markdown page with the answers side by side.

Files: ``consistency.json`` (everything), ``consistency.csv`` (the summary, one row a quantity and kind),
``consistency.parquet`` (one row a question and side: id, kind, fact, question, answer, side, greedy and every quantity
of QUANTITIES; those of the pair stand with tuned), ``consistency_answers.parquet`` and ``answers.jsonl`` (one row a
question, side and sample: text, cluster, log p …; sample −1 is the greedy answer, which has no cluster),
``consistency.md``, figure and caption.
Texts of questions, answers and documents are data: in Markdown nothing of them acts as a mark, a tag or a link.
Not covered: the page that joins this with other assessments.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from attrib.assess import panels
from attrib.assess.answering import Side
from attrib.assess.consistency.records import QUANTITIES, ConsistencyReport
from attrib.render import figures as draw
from attrib.render.figures.parts import own_axes
from attrib.render.figures.style import figure_of
from attrib.render.tables import number
from attrib.render.view import visible

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TITLES = {
    "semantic_entropy": "semantic entropy, nats",
    "agreement": "agreement of samples",
    "with_greedy": "samples like the greedy answer",
    "rephrasings": "agreement of rephrasings",
    "novel": "novel terms from the documents",
    "novel_control": "  the same from control texts",
    "made_up": "novel terms in no document",
    "dropped": "terms of base dropped",
    "same_meaning": "base and tuned mean the same",
    "rouge_l": "ROUGE-L of base and tuned",
    "bertscore": "BERTScore of base and tuned",
    "kl_mean": "KL tuned ‖ base, nats per token",
}


# ------------------------------------------------------------------------------------------- files


# ------------------------------------------------------------------------------------------- terminal


def _options(report: ConsistencyReport) -> dict[str, Any]:
    options = report.provenance.get("options")
    return options if isinstance(options, dict) else {}


# ------------------------------------------------------------------------------------------- page


# ------------------------------------------------------------------------------------------- figure

_CONTROL = "#777777"
_PANELS = (
    ("semantic entropy", "nats", (("semantic_entropy", "base"), ("semantic_entropy", "tuned"))),
    ("agreement", "share of pairs", (("agreement", "base"), ("agreement", "tuned"))),
    ("novel terms", "share of terms", (("novel", "base"), ("novel", "tuned"), ("novel_control", "tuned"))),
    ("base ↔ tuned", "similarity", (("rouge_l", "tuned"), ("bertscore", "tuned"))),
)
"""Title, unit, and (quantity, side) of each series."""
_SERIES: dict[tuple[str, Side], tuple[str, str]] = {
    ("novel_control", "tuned"): ("D", _CONTROL),
    ("rouge_l", "tuned"): ("^", "#222222"),
    ("bertscore", "tuned"): ("v", "#8A8A8A"),
}
"""Marker and colour of those that are not base or tuned alone."""
_WIDE = 5.0  # inches from which all panels stand in one row
_ROW, _HEAD, _FOOT, _LEGEND, _GAP, _EDGE = 0.24, 0.22, 0.34, 0.115, 0.16, 0.06  # inches
_LABEL = 0.9  # inches that the name of a kind may take


def consistency_figure(
    report: ConsistencyReport, *, preset: str = "neurips-double", axs: Sequence[Axes] | None = None
) -> Figure:
    """One row a kind of question; semantic entropy, agreement, novel terms with controls, similarity.

    ``axs``: four axes of the caller's; the preset is then not used. Raises InputError for an unknown preset.
    """
    from matplotlib.figure import Figure as NewFigure

    kinds = report.kinds
    width, columns = draw.width_of(preset), 4 if draw.width_of(preset) >= _WIDE else 2
    entries = 6 if columns == 4 else 3
    with draw.style():
        labels = [panels.short(visible(kind), _LABEL) for kind in kinds]
        label = max(draw.inches(text) for text in labels) + 0.12
        across = (width - label - _EDGE - _GAP * (columns - 1)) / columns
        tall = _ROW * len(kinds)
        band = _HEAD + tall + _FOOT
        top = 0.04 + _LEGEND * -(-6 // entries)
        height = top + band * (4 // columns)
        own = own_axes(axs, [panel[0] for panel in _PANELS]) if axs is not None else None
        figure = figure_of(own[0]) if own else NewFigure(figsize=(width, height))
        for i, panel in enumerate(_PANELS):
            left = label + i % columns * (across + _GAP)
            bottom = height - top - i // columns * band - _HEAD - tall
            box = (left / width, bottom / height, across / width, tall / height)
            ax = own[i] if own else figure.add_axes(box)
            named = panels.beside_nothing(ax, own) if own else i % columns == 0
            _panel(ax, report, panel, labels if named else None)
            ax.set_title(f"({'abcd'[i]}) {panel[0]}", fontsize=7, pad=3, family=draw.FAMILY)
        _legend(figure, width, height, entries, own[0] if own else None)
        return figure


def _panel(ax: Axes, report: ConsistencyReport, panel: tuple[str, str, Any], labels: Sequence[str] | None) -> None:
    from matplotlib.ticker import MaxNLocator

    _, unit, series = panel
    kinds = report.kinds
    for place, (quantity, side) in enumerate(series):
        shift = (place - (len(series) - 1) / 2) * (0.5 / max(len(series) - 1, 1))
        marker, colour = _SERIES.get((quantity, side), (draw.MARKERS[side], draw.SIDES[side]))
        for i, kind in enumerate(kinds):
            row = report.row(quantity, kind)
            value, low, high = (
                (row.base, row.base_low, row.base_high)
                if side == "base"
                else (row.tuned, row.tuned_low, row.tuned_high)
            )
            if math.isfinite(value):
                ax.plot([low, high], [i + shift] * 2, color=colour, lw=0.9, solid_capstyle="butt", clip_on=False)
                ax.plot([value], [i + shift], marker, color=colour, ms=2.8, mew=0, clip_on=False)
    if panel[0] == "semantic entropy":
        ax.set_xlim(0, None)
    else:
        ax.set_xlim(0, 1)
    ax.set_ylim(len(kinds) - 0.5, -0.5)
    ax.set_yticks(range(len(kinds)), labels if labels is not None else [""] * len(kinds), parse_math=False)
    ax.xaxis.set_major_locator(MaxNLocator(2, steps=[1, 2, 5, 10]))
    ax.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    ax.tick_params(labelsize=6, length=2, pad=2, width=0.5)
    ax.tick_params(axis="y", length=0)
    ax.set_xlabel(unit, fontsize=6, labelpad=2)
    panels.stripes(ax, len(kinds))
    if len(kinds) > 1:
        ax.axhline(len(kinds) - 1.5, color="#999999", lw=0.5)
    panels.spines(ax, "bottom")


def _legend(figure: Figure, width: float, height: float, entries: int, above: Axes | None) -> None:
    from matplotlib.lines import Line2D

    named = {side: (draw.MARKERS[side], draw.SIDES[side]) for side in draw.SIDES} | {
        "control texts": _SERIES["novel_control", "tuned"],
        "ROUGE-L": _SERIES["rouge_l", "tuned"],
        "BERTScore": _SERIES["bertscore", "tuned"],
    }
    handles = [
        Line2D([], [], color=colour, marker=marker, ms=3, lw=0.9, mew=0, label=name)
        for name, (marker, colour) in named.items()
    ]
    if above is not None:
        panels.legend(figure, handles, above=above)
        return
    figure.legend(
        handles=handles, loc="upper left", bbox_to_anchor=(_EDGE / width, 1 - 0.02 / height), ncols=entries,
        prop={"size": 6.0, "family": draw.FAMILY}, frameon=False, borderpad=0, borderaxespad=0, handlelength=1.2,
        handletextpad=0.3, columnspacing=0.9, labelspacing=0.25,
    )  # fmt: skip


# ------------------------------------------------------------------------------------------- caption


def consistency_caption(report: ConsistencyReport) -> str:
    """What was asked and how, what each panel shows, and what it does not say."""
    novel, control, made_up = (number(report.row(name).tuned) for name in ("novel", "novel_control", "made_up"))
    lines = [
        f"Answers of base and tuned to {len(report.rows)} questions ({report.row('semantic_entropy').facts} facts)"
        f"{_sampling(report)}; points: mean, bars: 95% bootstrap interval, questions about one fact drawn together.",
        f"(a) Semantic entropy: {QUANTITIES['semantic_entropy']}; 0 where all samples mean the same.",
        f"(b) {QUANTITIES['agreement'].capitalize()}.",
        "(c) Novel terms: share of the content words of an answer that are neither in its question nor in any answer "
        "of the base and that the documents hold (tuned: the greedy answer); the same for the base's samples, each "
        "against the base's other answers, and with control texts in place of the documents.",
        "(d) Greedy answers of base and tuned compared: ROUGE-L, and BERTScore F1 with the sentence embedder, without "
        "rescaling, so that unlike answers are well above 0.",
        f"Over all questions {novel} of the tuned answers' terms are novel and in the documents, {control} novel and "
        f"in control texts, {made_up} novel and in no document.",
        "A term that the documents hold need not have been learned from them; agreement is not being right.",
        *report.notes,
    ]
    return " ".join(lines)


def _sampling(report: ConsistencyReport) -> str:
    options = _options(report)
    if not options:
        return ""
    return (
        f", greedy and {options['samples']} sampled at temperature {options['temperature']:g} (seed {options['seed']}, "
        f"at most {options['max_new_tokens']} tokens)"
    )
