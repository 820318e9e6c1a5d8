"""A consistency report → figure and caption.

Not covered: answers side by side (``tell``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from attrib.assess import dots
from attrib.assess.answering import Side
from attrib.assess.consistency.records import QUANTITIES, ConsistencyReport, SummaryRow
from attrib.assess.dots import BASE, TUNED, Dot, Look, Mark, Panel, PanelGroup, RowName
from attrib.render.tables import number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


_CONTROL = Look("control texts", "#777777", "D")
_ROUGE, _BERT = Look("ROUGE-L", "#222222", "^"), Look("BERTScore", "#8A8A8A", "v")
_PANELS: tuple[tuple[str, str, tuple[tuple[str, Side, Look], ...]], ...] = (
    ("(a) semantic entropy", "nats", (("semantic_entropy", "base", BASE), ("semantic_entropy", "tuned", TUNED))),
    ("(b) agreement", "share of pairs", (("agreement", "base", BASE), ("agreement", "tuned", TUNED))),
    (
        "(c) novel terms",
        "share of terms",
        (("novel", "base", BASE), ("novel", "tuned", TUNED), ("novel_control", "tuned", _CONTROL)),
    ),
    ("(d) base ↔ tuned", "similarity", (("rouge_l", "tuned", _ROUGE), ("bertscore", "tuned", _BERT))),
)
"""Title, unit, and quantity, side and look of each series."""


def consistency_figure(
    report: ConsistencyReport, *, preset: str = "neurips-double", axs: Sequence[Axes] | None = None
) -> Figure:
    """One row a kind of question; semantic entropy, agreement, novel terms with controls, similarity.

    ``axs``: four axes of the caller's; the preset is then not used. Raises InputError for an unknown preset.
    """
    panels = []
    for title, unit, series in _PANELS:
        marks: list[Mark] = []
        for place, (quantity, side, look) in enumerate(series):
            shift = (place - (len(series) - 1) / 2) * 0.5 / (len(series) - 1)
            marks += [_dot(report.row(quantity, kind), side, i + shift, look) for i, kind in enumerate(report.kinds)]
        panels.append(Panel(title, unit, tuple(marks), (0.0, None if unit == "nats" else 1.0)))
    n = len(report.kinds)
    block = PanelGroup(
        tuple(panels), tuple(RowName(kind) for kind in report.kinds), (BASE, TUNED, _CONTROL, _ROUGE, _BERT),
        row=0.24, divided=n - 1 if n > 1 else None,
    )  # fmt: skip
    return dots.figure([[block]], preset=preset, axs=axs)


def _dot(row: SummaryRow, side: Side, place: float, look: Look) -> Dot:
    if side == "base":
        return Dot(place, row.base, row.base_low, row.base_high, look)
    return Dot(place, row.tuned, row.tuned_low, row.tuned_high, look)


def consistency_caption(report: ConsistencyReport) -> str:
    """One paragraph: questions, sampling, panels, and the limits of the quantities."""
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
    options = report.options
    if not options:
        return ""
    return (
        f", greedy and {options['samples']} sampled at temperature {options['temperature']:g} (seed {options['seed']}, "
        f"at most {options['max_new_tokens']} tokens)"
    )
