"""Mappers against retraining → tables, files and a figure, all from the stored ``InfluenceReport`` alone.

Resemblance, influence and decoys are three claims with a table each; the figure is about influence.
Not covered: rephrased questions in the figure (they are in the table).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from attrib.assess import panels
from attrib.assess.influence.metrics import METRICS, REFERENCE, InfluenceRow
from attrib.assess.influence.records import InfluenceReport
from attrib.assess.influence.scoring import BEFORE, TEXTUAL
from attrib.errors import InputError
from attrib.render import figures as draw
from attrib.render.figures.parts import own_axes
from attrib.render.figures.style import figure_of
from attrib.render.tables import interval, number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DRAWN = ("bm25", "hidden (tuned)", BEFORE, REFERENCE, "combined")
"""Scorers with a panel, those that were scored."""
SHORT = {BEFORE: "before tuning"}
"""Names that do not fit above a panel."""
OTHER, SAME, AGAINST, OWN = 0, 1, 2, 3
"""What a section is to a question: none of the following; it gives the same answer elsewhere; it answers the same
question otherwise; it is the question's own."""
KIND = "trained"
"""Of the questions in the figure."""


@dataclass(frozen=True)
class Claim:
    """One of the three tables."""

    name: str
    says: str
    metrics: tuple[str, ...]
    leading: str
    """The metric by which scorers are sorted and told from the reference."""


CLAIMS = (
    Claim("Resemblance", "is the question's own section found among all?", ("MRR", "recall@1"), "MRR"),
    Claim("Influence", "does the score say what is lost without the section?", ("pearson", "spearman", "LDS"), "LDS"),
    Claim("Decoys", "is a section that was trained scored above one that was not?", ("decoys",), "decoys"),
)
_ALONE = ("recall@1", "spearman")
"""Without an interval in the terminal, for want of room; the CSV has it."""


# ------------------------------------------------------------------------------------------- files


def drawable(found: InfluenceReport) -> bool:
    """Whether some section was left out and some question trained."""
    return bool(len(_left_out(found)) and len(found.rows(KIND)))


# ------------------------------------------------------------------------------------------- terminal


def _behind(row: InfluenceRow) -> str:
    if row.scorer == REFERENCE:
        return ""
    return interval(row.behind, row.behind_low, row.behind_high)


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


# ------------------------------------------------------------------------------------------- figure

_MARKS: dict[int, tuple[str, str, float, str]] = {
    OTHER: (".", "#9A9A9A", 2.2, "any other"),
    SAME: ("D", "#009E73", 2.8, "same answer elsewhere"),
    AGAINST: ("v", "#D55E00", 3.4, "one that contradicts it"),
    OWN: ("o", draw.COLOURS["documents"], 3.0, "own section"),
}
"""Marker, colour, size in points and name; in the order in which they are drawn."""
_WIDE = 5.0  # inches from which the LDS panel stands beside the others
_SIDE, _EDGE, _GAP = 0.42, 0.06, 0.16  # inches: y labels, figure's edge, between panels
_TITLE, _PANEL, _TICKS = 0.27, 1.0, 0.17  # inches of a row of panels: two lines, axes, numbers below
_UNDER, _LINE = 0.13, 0.115  # inches: x label, line of the legend
_BAR = 0.145  # inches a scorer in the LDS panel


def retraining_figure(
    found: InfluenceReport,
    rows: Sequence[InfluenceRow],
    *,
    preset: str = "neurips-double",
    axs: Sequence[Axes] | None = None,
) -> Figure:
    """Score against log p lost without the section, a panel a scorer; and every scorer's LDS, where halves were run.

    ``rows`` are those of ``table(found)``. ``axs``: axes of the caller's, one a panel and one for the LDS; the preset
    is then not used. Raises InputError for an unknown preset, and where nothing was left out.
    """
    from matplotlib.figure import Figure as NewFigure

    if not drawable(found):
        raise InputError("retraining: no section was left out; run attrib assess influence with --sections 1 or more")
    names = [name for name in DRAWN if name in found.scores]
    ranked = _ranked(rows, "LDS", KIND)
    plan = _plan(draw.width_of(preset), len(names), [row.scorer for row in ranked], _legend_lines(found, ranked))
    with draw.style():
        own = own_axes(axs, names + ["LDS"] * bool(ranked)) if axs is not None else None
        figure = figure_of(own[0]) if own else NewFigure(figsize=(plan.width, plan.height))
        kinds = relations(found)
        limits = _limits(found)
        for i, name in enumerate(names):
            ax = own[i] if own else figure.add_axes(plan.place(plan.panels[i]))
            _scatter(ax, found, kinds, name, limits, left=bool(own) or i % plan.columns == 0)
            _title(
                ax, f"({'abcdefgh'[i]}) {SHORT.get(name, name)}", f"r = {_interval(_row(rows, name, 'pearson', KIND))}"
            )
            if own:
                ax.set_xlabel("score", labelpad=1, **_LABEL)
                ax.set_ylabel(_LOST, labelpad=1, **_LABEL)
        if not own:
            _outer_labels(figure, plan)
        if ranked:
            ax = own[-1] if own else figure.add_axes(plan.place(plan.bars))
            _lds(ax, ranked)
            _title(ax, f"({'abcdefgh'[len(names)]}) LDS", f"{len(found.halves)} halves, {ranked[0].n} questions")
        if own:
            panels.legend(figure, _handles(found, ranked), above=own[0])
        else:
            _legend(figure, plan, _handles(found, ranked))
        return figure


_LOST = "log p lost without the section (nats)"
_LABEL: dict[str, Any] = {"fontsize": 6.0, "family": draw.FAMILY}
Box = tuple[float, float, float, float]
"""Left, top, width and height, inches from the top left."""


@dataclass(frozen=True)
class _Plan:
    """Where everything goes, in inches."""

    width: float
    height: float
    columns: int
    panels: tuple[Box, ...]
    bars: Box
    legend: int
    """Entries a line."""

    def place(self, box: Box) -> Box:
        """The same as shares of the figure, from its bottom left."""
        left, top, width, height = box
        return left / self.width, 1 - (top + height) / self.height, width / self.width, height / self.height


def _plan(width: float, panels: int, names: Sequence[str], handles: Sequence[str]) -> _Plan:
    """Panels in two columns; the LDS panel at their right, or below where the figure is narrow."""
    wide, columns = width >= _WIDE and bool(names), 2 if panels > 1 else 1
    label = max((draw.inches(name) for name in names), default=0.0) + 0.1
    bars = max(1.0, 0.2 * width) if wide else 0.0
    block = width - (label + bars + _GAP if wide else 0.0)
    entries = _entries(width, handles)
    top = 0.04 + _LINE * -(-len(handles) // entries)
    across = (block - _SIDE - _EDGE - _GAP * (columns - 1)) / columns
    down = _TITLE + _PANEL + _TICKS
    boxes = tuple(
        (_SIDE + i % columns * (across + _GAP), top + i // columns * down + _TITLE, across, _PANEL)
        for i in range(panels)
    )
    end = boxes[-1][1] + _PANEL + _TICKS + _UNDER
    tall = _BAR * len(names)
    if wide:
        lowest = boxes[-1][1] + _PANEL
        first = top + _TITLE
        box = (width - _EDGE - bars, first, bars, max(tall, lowest - first) if panels <= 4 else tall)
        end = max(end, first + box[3] + _TICKS + _UNDER)
    else:
        box = (label, end + _TITLE, width - label - _EDGE, tall)
        end += _TITLE + tall + _TICKS + _UNDER if names else 0.0
    return _Plan(width, end, columns, boxes, box, entries)


def _entries(width: float, handles: Sequence[str]) -> int:
    """All on one line if they fit; else as many as fit, every column as wide as the widest."""
    widths = [draw.inches(name) + 0.27 for name in handles]
    room = width - 2 * _EDGE
    return len(handles) if sum(widths) <= room else max(1, int(room / max(widths)))


def relations(found: InfluenceReport) -> np.ndarray:
    """What each section is to each trained question (OWN, AGAINST, SAME, OTHER), [question, section].

    AGAINST: another question of this kind has the same text, this section and another answer. SAME: another one has
    this section and the same answer.
    """
    rows, gold = found.rows(KIND), found.gold
    kinds = np.full((len(rows), len(found.sections)), OTHER)
    for i, mine in enumerate(rows):
        for other in rows:
            a, b = found.questions[int(mine)], found.questions[int(other)]
            if _same(a.answer, b.answer):
                kinds[i, gold[other]] = max(kinds[i, gold[other]], SAME)
            elif _same(a.question, b.question):
                kinds[i, gold[other]] = AGAINST
        kinds[i, gold[mine]] = OWN
    return kinds


def _same(a: str | None, b: str | None) -> bool:
    return " ".join((a or "").lower().split()) == " ".join((b or "").lower().split())


def _left_out(found: InfluenceReport) -> np.ndarray:
    """Sections that were left out."""
    return np.flatnonzero(np.isfinite(found.drop).all(0))


def _points(found: InfluenceReport, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Scores and losses of every trained question and section left out, [question, left out] each."""
    chosen = np.ix_(found.rows(KIND), _left_out(found))
    return found.scores[name][chosen], found.drop[chosen]


def _limits(found: InfluenceReport) -> tuple[float, float]:
    """Of the losses, with some room; 0 among them."""
    _, drop = _points(found, next(iter(found.scores)))
    low, high = min(0.0, float(drop.min())), max(0.0, float(drop.max()))
    room = 0.06 * max(high - low, 1e-9)
    return low - room, high + room


def _scatter(
    ax: Axes, found: InfluenceReport, kinds: np.ndarray, name: str, limits: tuple[float, float], *, left: bool
) -> None:
    x, y = _points(found, name)
    kinds = kinds[:, _left_out(found)]
    ax.axhline(0, color="#BBBBBB", lw=0.6, zorder=0)
    for kind, (marker, colour, size, _) in _MARKS.items():
        chosen = kinds == kind
        ax.plot(
            x[chosen], y[chosen], marker, color=colour, ms=size, mew=0, alpha=0.6 if kind == OTHER else 0.85,
            clip_on=False,
        )  # fmt: skip
    ax.set_ylim(*limits)
    ax.margins(x=0.06)
    _axis(ax, labels=left)


def _axis(ax: Axes, *, labels: bool) -> None:
    from matplotlib.ticker import MaxNLocator

    ax.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
    ax.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_formatter(lambda value, _: f"{value:g}".replace("-", "−"))
    ax.tick_params(labelsize=6, length=2, pad=1.5, width=0.5, labelleft=labels)
    panels.spines(ax, "left", "bottom")


def _title(ax: Axes, name: str, below: str) -> None:
    """Two lines above the axes: what it shows, and a number."""
    font: dict[str, Any] = {"family": draw.FAMILY, "parse_math": False, "annotation_clip": False}
    for text, size, up in ((name, 6.5, 10.5), (below, 6.0, 2.5)):
        ax.annotate(
            text, (0, 1), (0, up), xycoords="axes fraction", textcoords="offset points", fontsize=size, va="baseline",
            **font,
        )  # fmt: skip


def _outer_labels(figure: Figure, plan: _Plan) -> None:
    """One label for the panels' y axes, one under each column."""
    first, last = plan.panels[0], plan.panels[-1]
    middle = (first[1] + last[1] + last[3]) / 2
    font: dict[str, Any] = {"fontsize": 6.0, "family": draw.FAMILY, "ha": "center"}
    figure.text(
        0.02 / plan.width, 1 - middle / plan.height, _LOST, rotation=90, va="center",
        **{**font, "ha": "left"},
    )  # fmt: skip
    for box in plan.panels[-plan.columns :]:
        down = box[1] + box[3] + _TICKS + 0.06
        figure.text((box[0] + box[2] / 2) / plan.width, 1 - down / plan.height, "score", va="baseline", **font)


def _lds(ax: Axes, ranked: Sequence[InfluenceRow]) -> None:
    """A point with its interval a scorer, best first; hollow where it is not told apart from the reference."""
    ax.axvline(0, color="#BBBBBB", lw=0.6, zorder=0)
    for i, row in enumerate(ranked):
        colour = _MARKS[OWN][1] if row.scorer == REFERENCE else "#444444"
        full = row.scorer == REFERENCE or told_apart(row)
        ax.plot([row.low, row.high], [i, i], color=colour, lw=0.9, solid_capstyle="butt", zorder=1)
        ax.plot([row.value], [i], "o", ms=3.2, mew=0.7, mec=colour, mfc=colour if full else "white", zorder=2)
    panels.stripes(ax, len(ranked))
    low, high = min(0.0, *(row.low for row in ranked)), max(0.0, *(row.high for row in ranked))
    room = 0.04 * max(high - low, 1e-9)
    ax.set_xlim(low - room, high + room)
    _axis(ax, labels=True)
    ax.set_ylim(len(ranked) - 0.5, -0.5)
    ax.set_yticks(range(len(ranked)), [row.scorer for row in ranked])
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)
    ax.set_xlabel("rank correlation", fontsize=6, labelpad=2)


_HOLLOW = f"tied with {REFERENCE}"


def _legend_lines(found: InfluenceReport, ranked: Sequence[InfluenceRow]) -> list[str]:
    kinds = relations(found)[:, _left_out(found)]
    names = [name for kind, (_, _, _, name) in reversed(_MARKS.items()) if (kinds == kind).any()]
    return names + ([_HOLLOW] if any(row.scorer != REFERENCE and not told_apart(row) for row in ranked) else [])


def _handles(found: InfluenceReport, ranked: Sequence[InfluenceRow]) -> list[Any]:
    from matplotlib.lines import Line2D

    marks = {name: (marker, colour, size) for marker, colour, size, name in _MARKS.values()}
    handles = []
    for name in _legend_lines(found, ranked):
        if name == _HOLLOW:
            style = {"marker": "o", "color": "#444444", "ms": 3.2, "mew": 0.7, "mfc": "white", "lw": 0.9}
        else:
            marker, colour, size = marks[name]
            # A dot's marker is drawn at half its size.
            style = {"marker": marker, "color": colour, "ms": size * (1.6 if marker == "." else 1), "mew": 0, "lw": 0}
        handles.append(Line2D([], [], label=name, **style))  # type: ignore[arg-type]
    return handles


def _legend(figure: Figure, plan: _Plan, handles: Sequence[Any]) -> None:
    figure.legend(
        handles=list(handles), loc="upper left", bbox_to_anchor=(_EDGE / plan.width, 1 - 0.02 / plan.height),
        ncols=plan.legend, prop={"size": 6.0, "family": draw.FAMILY}, frameon=False, borderpad=0, borderaxespad=0,
        handlelength=1.2, handletextpad=0.3, columnspacing=0.9, labelspacing=0.25,
    )  # fmt: skip


# ------------------------------------------------------------------------------------------- caption


def retraining_caption(found: InfluenceReport, rows: Sequence[InfluenceRow]) -> str:
    """What was done, how often, with which intervals; and what the figure does not say."""
    names = [name for name in DRAWN if name in found.scores]
    questions, sections = len(found.rows(KIND)), _left_out(found)
    letters = f"(a–{'abcdefgh'[len(names) - 1]})" if len(names) > 1 else "(a)"
    lines = [
        f"Mappers against retraining: {int(found.trained.sum())} trained sections, {questions} trained questions, "
        f"{_seeds(found)}; {_tuning(found)}.",
        f"{letters} A mapper's score of a section for a whole answer against the log-probability (nats) that the "
        "answer loses when the model is tuned again without that section and its questions: "
        f"{questions} × {len(sections)} pairs, one scale of losses for all panels; r: Pearson correlation over all "
        "pairs.",
        f"Over the pairs that are not a question's own section, r is {_without_own(found, names)}.",
    ]
    if len(found.halves):
        lines.append(
            f"({'abcdefgh'[len(names)]}) Linear datamodeling score: Spearman correlation of summed scores with log p "
            f"after tuning on {len(found.halves)} random halves of the sections, mean over questions; "
            f"hollow (tied): the interval of the distance to {REFERENCE} includes 0."
        )
    lines += [
        "Intervals: 95%, bootstrap over questions"
        + (" (LDS: over halves too), percentiles." if len(found.halves) else ", percentiles."),
        _noise(found),
        "One tuned adapter of one base model is scored: nothing is said of other models, documents or longer tunings. "
        "A tuning without a section has fewer steps, too. Intervals do not cover the noise of tuning.",
    ]
    textual = [name for name in TEXTUAL if name in found.scores]
    if textual:
        lines.append(f"Of the texts alone, without a model that was tuned: {', '.join(textual)}.")
    return " ".join(line for line in lines if line)


def _seeds(found: InfluenceReport) -> str:
    options = found.provenance.get("options")
    seeds = options.get("seeds", ()) if isinstance(options, dict) else ()
    return f"seed{'s' if len(seeds) != 1 else ''} {', '.join(map(str, seeds)) or 'unknown'}"


def _tuning(found: InfluenceReport) -> str:
    options = found.provenance.get("options")
    tune = options.get("tune") if isinstance(options, dict) else None
    if not isinstance(tune, dict):
        return "tuning unknown"
    return (
        f"LoRA of rank {tune['rank']}, {tune['epochs']} epochs, learning rate {tune['learning_rate']:g}, "
        f"{tune['batch']} examples a step"
    )


def _noise(found: InfluenceReport) -> str:
    noise = found.noise[found.rows(KIND)]
    if not np.isfinite(noise).any():
        return "One seed: the noise of tuning itself is not known."
    return f"Between seeds an answer's log p differs by {np.nanmedian(noise):.1f} nats (median standard deviation)."


def _without_own(found: InfluenceReport, names: Sequence[str]) -> str:
    """Pearson correlations that a question's own section cannot make."""
    rest = relations(found)[:, _left_out(found)] != OWN
    parts = []
    for name in names:
        x, y = (values[rest] for values in _points(found, name))
        varies = x.size > 1 and x.std() > 0 and y.std() > 0
        parts.append(f"{number(float(np.corrcoef(x, y)[0, 1])) if varies else 'none'} ({name})")
    return ", ".join(parts)


assert {metric for claim in CLAIMS for metric in claim.metrics} <= set(METRICS)
