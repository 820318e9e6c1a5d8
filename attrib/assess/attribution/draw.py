"""A report of verdicts → table, files, figure and caption.

``attribution.parquet`` has one row a question; ``attribution.csv`` one a kind of question.
Not covered: single answers (``figures``, ``terminal``; their records lie in ``records``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from attrib.assess import panels
from attrib.assess.attribution.run import AttributionReport, AttributionSummary
from attrib.records import LABELS
from attrib.render import figures as draw

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COLOURS = [draw.COLOURS[label] for label in LABELS]


_ROW = 0.22  # inches
_DRAWN = 17
"""Kinds of questions that are drawn, the last one among them; more do not fit a page."""


def verdicts_figure(
    report: AttributionReport, *, preset: str = "neurips-double", axs: Sequence[Axes] | None = None
) -> Figure:
    """(a) share of answers by verdict, with the interval of documents; (b) mean share of the answers' words.

    ``axs``: two axes of the caller's; the preset is then not used. Raises InputError for an unknown preset.
    """
    from matplotlib.patches import Patch

    width = draw.width_of(preset)
    shown = _shown(report)
    with draw.style():
        figure, axes = panels.two(width, [_name(one) for one in shown], [one.n for one in shown], row=_ROW, axs=axs)
        for i, ax in enumerate(axes):
            for place, one in enumerate(shown):
                start = 0.0
                for label, colour in zip(LABELS, _COLOURS, strict=True):
                    share = getattr(one, label) if i == 0 else one.shares[label]
                    ax.barh(place, share, left=start, height=0.7, color=colour, lw=0, zorder=1)
                    start += share
                if i == 0:
                    # White around it: black is hard to see on blue.
                    for colour, thick in (("white", 2.2), ("black", 1.0)):
                        ends = [one.documents_low, one.documents_high]
                        ax.plot(ends, [place] * 2, color=colour, lw=thick, solid_capstyle="butt", zorder=2)
            ax.set_xlim(0, 1)
            panels.title(ax, ("(a) answers by verdict", "(b) words by verdict")[i])
            ax.set_xlabel("share", fontsize=6, labelpad=1.5)
        handles = [Patch(facecolor=c, lw=0, label=label) for label, c in zip(LABELS, _COLOURS, strict=True)]
        panels.legend(figure, handles, left=0.04, down=0.02, above=axes[0] if axs is not None else None)
        return figure


def _name(one: AttributionSummary) -> str:
    return one.kind.replace("_", " ")


def _shown(report: AttributionReport) -> Sequence[AttributionSummary]:
    """The kinds that are drawn."""
    rows = report.summary
    return rows if len(rows) <= _DRAWN else (*rows[: _DRAWN - 1], rows[-1])


def verdicts_caption(report: AttributionReport) -> str:
    """What was explained, how, and what it does not say."""
    lines = [
        f"Where the tuned model's own answers to {len(report.rows)} questions come from, by kind of question (number "
        "in brackets): (a) most probable source of each answer, line: 95% percentile bootstrap interval of documents "
        "over questions; (b) mean share of the answers' words.",
        "Documents: a section that says the same was itself learned, its text more likely after tuning than control "
        "texts; base: the base model says it by itself; neither: made up, or from what the documents do not hold.",
        "The verdict is a calibrated judgement, no retraining.",
    ]
    if any(one.silent for one in report.summary):
        lines.append("What a bar lacks to 1: questions to which the model said nothing.")
    if len(_shown(report)) < len(report.summary):
        lines.append(f"{_DRAWN} of {len(report.summary)} kinds are drawn.")
    tops = [one for one in report.summary if one.gold_top1]
    if tops:
        shares = ", ".join(f"{name} {value:.2f}" for name, value in (tops[-1].gold_top1 or {}).items())
        lines.append(f"The gold section is ranked first in: {shares}.")
    return " ".join([*lines, *report.notes, f"Seed {report.provenance['seed']}."])
