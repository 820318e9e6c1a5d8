"""Mappers against retraining → figure and caption, from the stored ``InfluenceReport`` alone.

Not covered: rephrased questions in the figure (they are in the table).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from attrib.assess import dots
from attrib.assess.dots import Dot, Look, Panel, PanelGroup, RowName, Rule
from attrib.assess.influence.metrics import METRICS, REFERENCE, InfluenceRow
from attrib.assess.influence.records import InfluenceReport
from attrib.assess.influence.scoring import BEFORE, TEXTUAL
from attrib.errors import InputError
from attrib.render.figures import COLOURS
from attrib.render.tables import interval, number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DRAWN = ("bm25", "hidden (tuned)", BEFORE, REFERENCE, "combined")
"""Scorers with a panel, those that were scored."""
SHORT = {BEFORE: "before tuning"}
"""Names that do not fit above a panel."""
OTHER, SAME, AGAINST, OWN = 0, 1, 2, 3
"""Relation of a section to a question: none of the following; it gives the same answer elsewhere; it answers the same
question otherwise; it is the question's own."""
KIND = "trained"
"""Kind of the questions in the figure."""


@dataclass(frozen=True)
class Claim:
    """One of the three tables."""

    name: str
    says: str
    metrics: tuple[str, ...]
    leading: str
    """Metric by which scorers are sorted and compared with the reference."""


CLAIMS = (
    Claim("Resemblance", "is the question's own section report among all?", ("MRR", "recall@1"), "MRR"),
    Claim("Influence", "does the score say what is lost without the section?", ("pearson", "spearman", "LDS"), "LDS"),
    Claim("Decoys", "is a section that was trained scored above one that was not?", ("decoys",), "decoys"),
)


def drawable(report: InfluenceReport) -> bool:
    """Whether some section was left out and some question trained."""
    return bool(len(_left_out(report)) and len(report.rows(KIND)))


def told_apart(row: InfluenceRow) -> bool:
    """Whether the interval of the distance to the reference leaves 0 out."""
    return row.scorer != REFERENCE and (row.behind_low > 0 or row.behind_high < 0)


def _ranked(rows: Sequence[InfluenceRow], metric: str, kind: str) -> list[InfluenceRow]:
    """Rows of one metric, best first, what could not be computed last."""
    chosen = [row for row in rows if (row.metric, row.kind) == (metric, kind)]
    return sorted(chosen, key=lambda row: -row.value if np.isfinite(row.value) else np.inf)


def _row(rows: Sequence[InfluenceRow], scorer: str, metric: str, kind: str) -> InfluenceRow:
    return next(r for r in rows if (r.scorer, r.metric, r.kind) == (scorer, metric, kind))


def _interval(row: InfluenceRow) -> str:
    return interval(row.value, row.low, row.high)


_LOOKS = {
    OTHER: Look("any other", "#9A9A9A", ".", 2.2, line=0.0),
    SAME: Look("same answer elsewhere", "#009E73", "D", 2.8, line=0.0),
    AGAINST: Look("one that contradicts it", "#D55E00", "v", 3.4, line=0.0),
    OWN: Look("own section", COLOURS["documents"], "o", line=0.0),
}
"""In the order in which they are drawn."""
_SCORER, _TIED = Look("", "#444444", "o", 3.2), Look(f"tied with {REFERENCE}", "#444444", "o", 3.2, hollow=True)
_REFERENCE = Look("", COLOURS["documents"], "o", 3.2)
_ZERO = Look("", "#BBBBBB", line=0.6)


def retraining_figure(
    report: InfluenceReport,
    rows: Sequence[InfluenceRow],
    *,
    preset: str = "neurips-double",
    axs: Sequence[Axes] | None = None,
) -> Figure:
    """Score against log p lost without the section, a panel a scorer; and every scorer's LDS, where halves were run.

    ``rows`` are those of ``table(report)``. ``axs``: axes of the caller's, one a panel and one for the LDS; the preset
    is then not used. Raises InputError for an unknown preset, and where nothing was left out.
    """

    if not drawable(report):
        raise InputError("retraining: no section was left out; run attrib assess influence with --sections 1 or more")
    names = [name for name in DRAWN if name in report.scores]
    ranked = _ranked(rows, "LDS", KIND)
    kinds, limits = relations(report)[:, _left_out(report)], _limits(report)
    panels = []
    for letter, name in zip("abcdefgh", names, strict=False):
        below = f"r = {_interval(_row(rows, name, 'pearson', KIND))}"
        content = partial(_scatter, points=_points(report, name), kinds=kinds, limits=limits)
        panel = Panel(f"({letter}) {SHORT.get(name, name)}", "score", below=below, content=content)
        panels.append(replace(panel, side_unit="log p lost (nats)"))
    legend = [look for kind, look in reversed(_LOOKS.items()) if (kinds == kind).any()]
    if any(_look(row) is _TIED for row in ranked):
        legend.append(_TIED)
    blocks = [PanelGroup(tuple(panels), legend=tuple(legend), height=1.0)]
    if ranked:
        dots_of = tuple(Dot(i, row.value, row.low, row.high, _look(row)) for i, row in enumerate(ranked))
        below = f"{len(report.halves)} halves, {ranked[0].n} questions"
        panel = Panel(f"({'abcdefgh'[len(names)]}) LDS", "rank correlation", (Rule(0.0, _ZERO), *dots_of), below=below)
        blocks.append(PanelGroup((panel,), tuple(RowName(row.scorer) for row in ranked), row=0.145))
    return dots.figure([blocks], preset=preset, axs=axs)


def _look(row: InfluenceRow) -> Look:
    """Look of a scorer: hollow where it does not differ from the reference."""
    if row.scorer == REFERENCE:
        return _REFERENCE
    return _SCORER if told_apart(row) else _TIED


def relations(report: InfluenceReport) -> np.ndarray:
    """Relation of each section to each trained question (OWN, AGAINST, SAME, OTHER), [question, section].

    AGAINST: another question of this kind has the same text, this section and another answer. SAME: another one has
    this section and the same answer.
    """
    rows, gold = report.rows(KIND), report.gold
    kinds = np.full((len(rows), len(report.sections)), OTHER)
    for i, row in enumerate(rows):
        for other in rows:
            a, b = report.questions[int(row)], report.questions[int(other)]
            if _same(a.answer, b.answer):
                kinds[i, gold[other]] = max(kinds[i, gold[other]], SAME)
            elif _same(a.question, b.question):
                kinds[i, gold[other]] = AGAINST
        kinds[i, gold[row]] = OWN
    return kinds


def _same(a: str | None, b: str | None) -> bool:
    return " ".join((a or "").lower().split()) == " ".join((b or "").lower().split())


def _left_out(report: InfluenceReport) -> np.ndarray:
    """Sections that were left out."""
    return np.flatnonzero(np.isfinite(report.drop).all(0))


def _points(report: InfluenceReport, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Scores and losses of every trained question and section left out, [question, left out] each."""
    chosen = np.ix_(report.rows(KIND), _left_out(report))
    return report.scores[name][chosen], report.drop[chosen]


def _limits(report: InfluenceReport) -> tuple[float, float]:
    """Ends of the losses' axis, with some room; 0 among them."""
    _, drop = _points(report, next(iter(report.scores)))
    low, high = min(0.0, float(drop.min())), max(0.0, float(drop.max()))
    room = 0.06 * max(high - low, 1e-9)
    return low - room, high + room


def _scatter(ax: Axes, points: tuple[np.ndarray, np.ndarray], kinds: np.ndarray, limits: tuple[float, float]) -> None:
    """Loss against score, a marker for each kind of section."""
    x, y = points
    ax.axhline(0, color="#BBBBBB", lw=0.6, zorder=0)
    for kind, look in _LOOKS.items():
        chosen, alpha = kinds == kind, 0.6 if kind == OTHER else 0.85
        ax.plot(x[chosen], y[chosen], look.marker, color=look.colour, ms=look.size, mew=0, alpha=alpha, clip_on=False)
    ax.set_ylim(*limits)
    ax.margins(x=0.06)


def retraining_caption(report: InfluenceReport, rows: Sequence[InfluenceRow]) -> str:
    """One paragraph: retrainings, scorers, intervals, and the limits of the figure."""
    names = [name for name in DRAWN if name in report.scores]
    questions, sections = len(report.rows(KIND)), _left_out(report)
    letters = f"(a–{'abcdefgh'[len(names) - 1]})" if len(names) > 1 else "(a)"
    lines = [
        f"Mappers against retraining: {int(report.trained.sum())} trained sections, {questions} trained questions, "
        f"{_seeds(report)}; {_tuning(report)}.",
        f"{letters} A mapper's score of a section for a whole answer against the log-probability (nats) that the "
        "answer loses when the model is tuned again without that section and its questions: "
        f"{questions} × {len(sections)} pairs, one scale of losses for all panels; r: Pearson correlation over all "
        "pairs.",
        f"A 1 on the question's own section and 0 on all others reaches r = {_own_alone(report)}; among own sections "
        f"r is {_correlations(report, names, own=True)}, among the others {_correlations(report, names, own=False)}.",
    ]
    if len(report.halves):
        lines.append(
            f"({'abcdefgh'[len(names)]}) Linear datamodeling score: Spearman correlation of summed scores with log p "
            f"after tuning on {len(report.halves)} random halves of the sections, mean over questions; "
            f"hollow (tied): the interval of the distance to {REFERENCE} includes 0."
        )
    lines += [
        "Intervals: 95%, bootstrap over questions"
        + (" (LDS: over halves too), percentiles." if len(report.halves) else ", percentiles."),
        _noise(report),
        "One tuned adapter of one base model is scored: nothing is said of other models, documents or longer tunings. "
        "A tuning without a section has fewer steps, too. Intervals do not cover the noise of tuning.",
    ]
    textual = [name for name in TEXTUAL if name in report.scores]
    if textual:
        lines.append(f"Of the texts alone, without a model that was tuned: {', '.join(textual)}.")
    return " ".join(line for line in lines if line)


def _seeds(report: InfluenceReport) -> str:
    seeds = report.options.get("seeds", ())
    return f"seed{'s' if len(seeds) != 1 else ''} {', '.join(map(str, seeds)) or 'unknown'}"


def _tuning(report: InfluenceReport) -> str:
    tune = report.options.get("tune")
    if not isinstance(tune, dict):
        return "tuning unknown"
    return (
        f"LoRA of rank {tune['rank']}, {tune['epochs']} epochs, learning rate {tune['learning_rate']:g}, "
        f"{tune['batch']} examples a step"
    )


def _noise(report: InfluenceReport) -> str:
    noise = report.noise[report.rows(KIND)]
    if not np.isfinite(noise).any():
        return "One seed: the noise of tuning itself is not known."
    return f"Between seeds an answer's log p differs by {np.nanmedian(noise):.1f} nats (median standard deviation)."


def _correlations(report: InfluenceReport, names: Sequence[str], *, own: bool) -> str:
    """Pearson correlations among own sections, or among the others: what finding the section cannot make."""
    chosen = (relations(report)[:, _left_out(report)] == OWN) == own
    return ", ".join(f"{_pearson(*(values[chosen] for values in _points(report, name)))} ({name})" for name in names)


def _own_alone(report: InfluenceReport) -> str:
    """Pearson correlation of a score that only says which section is the question's own."""
    own = relations(report)[:, _left_out(report)] == OWN
    _, lost = _points(report, next(iter(report.scores)))
    return _pearson(own.astype(float).ravel(), lost.ravel())


def _pearson(x: np.ndarray, y: np.ndarray) -> str:
    varies = x.size > 1 and x.std() > 0 and y.std() > 0
    return number(float(np.corrcoef(x, y)[0, 1])) if varies else "none"


assert {metric for claim in CLAIMS for metric in claim.metrics} <= set(METRICS)
