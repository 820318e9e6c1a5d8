"""A report of verdicts → figure and caption.

Not covered: single answers (``render``; their records lie in ``records``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from attrib.assess import dots
from attrib.assess.attribution.run import AttributionReport, AttributionSummary, field_of
from attrib.assess.dots import Bar, Dot, Look, Mark, Panel, PanelGroup, RowName
from attrib.records import CALLS, LABELS
from attrib.render import view
from attrib.render.figures import COLOURS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LOOKS = tuple(Look(label, COLOURS[label], area=True) for label in CALLS)
_INTERVAL = (Look("", "white", line=2.2), Look("", "black", line=1.0))
"""Black is hard to see on blue without white around it."""
_DRAWN = 17
"""Kinds of questions that are drawn, the last one among them; more do not fit a page."""


def verdicts_figure(
    report: AttributionReport, *, preset: str = "neurips-double", axs: Sequence[Axes] | None = None
) -> Figure:
    """(a) share of answers by verdict, with the interval of documents; (b) mean share of the answers' words.

    ``axs``: two axes of the caller's; the preset is then not used. Raises InputError for an unknown preset.
    """
    answers: list[Mark] = []
    words: list[Mark] = []
    for place, one in enumerate(_shown(report)):
        answers += _stacked(place, [getattr(one, field_of(label)) for label in CALLS])
        words += _stacked(place, [one.shares[label] for label in LABELS])
        ends = (one.documents, one.documents_low, one.documents_high)
        answers += [Dot(place, *ends, look) for look in _INTERVAL]
    panels = (
        Panel("(a) answers by verdict", "share", tuple(answers), (0.0, 1.0)),
        Panel("(b) words by verdict", "share", tuple(words), (0.0, 1.0)),
    )
    rows = tuple(RowName(_name(one), f" ({one.n})") for one in _shown(report))
    return dots.figure([[PanelGroup(panels, rows, _LOOKS)]], preset=preset, axs=axs)


def _stacked(place: int, shares: Sequence[float]) -> list[Mark]:
    starts = [sum(shares[:i]) for i in range(len(shares))]
    return [Bar(place, start, share, look) for start, share, look in zip(starts, shares, _LOOKS, strict=False)]


def _name(one: AttributionSummary) -> str:
    return one.kind.replace("_", " ")


def _shown(report: AttributionReport) -> Sequence[AttributionSummary]:
    """The kinds that are drawn."""
    rows = report.summary
    return rows if len(rows) <= _DRAWN else (*rows[: _DRAWN - 1], rows[-1])


def verdicts_caption(report: AttributionReport) -> str:
    """One paragraph: questions, verdicts, intervals, and the limits of the verdict."""
    lines = [
        f"Where the tuned model's own answers to {len(report.rows)} questions come from, by kind of question (number "
        "in brackets): (a) verdict on each answer, line: 95% percentile bootstrap interval of documents "
        "over questions; (b) mean share of the answers' words.",
        "Documents: a section that says the same was itself learned, its text more likely after tuning than control "
        "texts; base: the base model says it by itself; neither: made up, or from what the documents do not hold; "
        "cannot tell: the evidence is too weak.",
        f"{view.promise_line(report.promise)}.",
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
