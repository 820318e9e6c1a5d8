"""Reports of a whole set of questions → tables, files and figures.

Not covered: single answers (``figures``, ``terminal``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from attrib.assess import panels as stock
from attrib.assess.faithfulness.run import CONTROLS, ENOUGH, METRICS, RANDOM, SIDES, FaithfulnessReport, FaithfulnessRow
from attrib.render import figures as draw
from attrib.render.figures.parts import own_axes
from attrib.render.figures.style import figure_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SHOWN = ("comprehensiveness", "sufficiency", "area", "leave_one_out")
_ROW, _HEAD, _FOOT = 0.17, 0.3, 0.42  # inches a method, above and below the panels
_TICKS = 0.32  # inches of numbers and label below a panel that is not the last
_NARROWEST = 0.95  # inches of a panel: its title


def ordered(report: FaithfulnessReport) -> list[str]:
    """Methods by comprehensiveness under the tuned model, best first; controls last."""
    best = [row.method for row in report.of("comprehensiveness", "tuned")]
    return [m for m in best if m not in CONTROLS] + [m for m in best if m in CONTROLS]


def faithfulness_figure(
    report: FaithfulnessReport, *, preset: str = "neurips-double", axs: Sequence[Axes] | None = None
) -> Figure:
    """One row a method; comprehensiveness, area, correlation with leave-one-out, cost; bands are chance.

    ``axs``: four axes of the caller's; the preset is then not used. Raises InputError for an unknown preset.
    """
    from matplotlib.figure import Figure as NewFigure

    methods = ordered(report)
    width, tall = draw.width_of(preset), _ROW * len(methods)
    label = max(draw.inches(_label(m)) for m in methods) + 0.12
    panels, gap = ("comprehensiveness", "area", "leave_one_out", "cost"), 0.12
    # In one row where the titles find room, else in two.
    columns = next(n for n in (4, 2) if n == 2 or (width - label - 0.08 - gap * (n - 1)) / n >= _NARROWEST)
    size = (width - label - 0.08 - gap * (columns - 1)) / columns
    step = _HEAD + tall + _TICKS
    height = _HEAD + _FOOT + tall + (len(panels) // columns - 1) * step
    with draw.style():
        own = own_axes(axs, panels) if axs is not None else None
        figure = figure_of(own[0]) if own else NewFigure(figsize=(width, height))
        for i, panel in enumerate(panels):
            left, up = label + i % columns * (size + gap), _FOOT + (len(panels) // columns - 1 - i // columns) * step
            box = (left / width, up / height, size / width, tall / height)
            ax = own[i] if own else figure.add_axes(box)
            if panel == "cost":
                _cost(ax, report, methods)
            else:
                _metric(ax, report, methods, panel)
            _frame(ax, methods, labels=stock.beside_nothing(ax, own) if own else i % columns == 0)
        _legend(figure, width, height, own[0] if own else None)
        return figure


def faithfulness_caption(report: FaithfulnessReport) -> str:
    """What the figure shows, what it was made from, and what it does not say."""
    n, options = report.rows[0].n, report.provenance["options"]
    assert isinstance(options, dict)
    prompt = options["prompt"]
    ablate = prompt["perturbation"]["ablate"]
    few = report.rows[0].n < ENOUGH
    methods = [] if few else [m for m in ordered(report) if m not in CONTROLS]
    failing = [m for m in methods if not _row(report, m, "tuned", "area").beats_random]
    lines = [
        f"Faithfulness of prompt attributions on {n} questions, base and tuned (points: mean; bars: 95% bootstrap "
        "interval over questions).",
        f"Words of the question are taken away ({ablate}) in the order of a method's scores; losses of the "
        "answer's log-prob in nats per token.",
        *(
            f"{metric.replace('_', '-')}: {METRICS[metric]}."
            for metric in ("comprehensiveness", "area", "leave_one_out")
        ),
        f"Bands: the interval of {options['random_orders']} random orders. Cost: CPU seconds a question and model.",
        f"Target: {prompt['target']}; seed {options['seed']}.",
    ]
    if few:
        lines.append("Too few questions to tell methods from chance.")
    if failing:
        lines.append(f"No better than a random order under the tuned model: {', '.join(failing)}.")
    return " ".join(lines)


def _metric(ax: Axes, report: FaithfulnessReport, methods: Sequence[str], metric: str) -> None:
    if metric != "leave_one_out":
        for side in SIDES:
            chance = _row(report, RANDOM, side, metric)
            ax.axvspan(chance.low, chance.high, color=draw.SIDES[side], alpha=0.18, lw=0, zorder=0)
    else:
        ax.axvline(0, color="#BBBBBB", lw=0.8, zorder=0)
    for shift, side in ((-0.17, "base"), (0.17, "tuned")):
        shown = [(i, _row(report, m, side, metric)) for i, m in enumerate(methods)]
        if metric == "leave_one_out":
            # With itself it is 1 by construction.
            shown = [(i, row) for i, row in shown if row.method not in (*CONTROLS, metric)]
        for i, row in shown:
            ax.plot([row.low, row.high], [i + shift] * 2, color=draw.SIDES[side], lw=0.9, solid_capstyle="butt")
        places = [i + shift for i, _ in shown]
        ax.plot([row.mean for _, row in shown], places, draw.MARKERS[side], color=draw.SIDES[side], ms=2.6, mew=0)
    unit = "rank correlation" if metric == "leave_one_out" else "nats per token"
    names = {"leave_one_out": "with leave-one-out", "area": "area (MoRF − LeRF)"}
    ax.set_title(names.get(metric, metric), fontsize=7, pad=3)
    ax.set_xlabel(unit, fontsize=6, labelpad=2)


def _cost(ax: Axes, report: FaithfulnessReport, methods: Sequence[str]) -> None:
    shown = [(i, report.seconds[m]) for i, m in enumerate(methods) if m not in CONTROLS]
    ax.set_xscale("log")
    # Powers would be set smaller than the smallest text.
    low, high = min(s for _, s in shown), max(s for _, s in shown)
    ax.set_xticks([t for t in (0.01, 0.1, 1.0, 10.0, 100.0, 1000.0) if low / 2 <= t <= high * 2], minor=False)
    ax.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    ax.xaxis.set_minor_formatter(lambda value, _: "")
    ax.plot([s for _, s in shown], [i for i, _ in shown], "D", color="#444444", ms=2.6, mew=0)
    ax.set_title("cost", fontsize=7, pad=3)
    ax.set_xlabel("CPU seconds", fontsize=6, labelpad=2)


def _frame(ax: Axes, methods: Sequence[str], *, labels: bool) -> None:
    ax.set_ylim(len(methods) - 0.5, -0.5)
    ax.set_yticks(range(len(methods)), [_label(m) for m in methods] if labels else [])
    ax.tick_params(labelsize=6, length=2, pad=2, width=0.5)
    ax.tick_params(axis="y", length=0)
    stock.stripes(ax, len(methods))
    first = next((i for i, m in enumerate(methods) if m in CONTROLS), len(methods))
    ax.axhline(first - 0.5, color="#999999", lw=0.5)
    stock.spines(ax, "bottom")


def _legend(figure: Figure, width: float, height: float, above: Axes | None) -> None:
    from matplotlib.patches import Patch

    handles = [
        *stock.side_handles(),
        Patch(facecolor="#BBBBBB", alpha=0.5, lw=0, label="band: random order"),
    ]
    if above is not None:
        stock.legend(figure, handles, above=above)
        return
    figure.legend(
        handles=handles, loc="lower left", bbox_to_anchor=(0.02 / width, 0.02 / height), fontsize=6, frameon=False,
        handlelength=1.4, labelspacing=0.2, borderpad=0,
    )  # fmt: skip


def _row(report: FaithfulnessReport, method: str, side: str, metric: str) -> FaithfulnessRow:
    return next(r for r in report.rows if (r.method, r.side, r.metric) == (method, side, metric))


def _label(method: str) -> str:
    return method if method in CONTROLS else method.replace("_x_", " × ").replace("_", " ")
