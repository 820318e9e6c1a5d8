"""A faithfulness report → figure and caption.

Not covered: single answers (``figures``, ``terminal``).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from attrib.assess import dots
from attrib.assess.answering import SIDES
from attrib.assess.dots import BASE, TUNED, Band, Dot, Look, Mark, Panel, PanelGroup, RowName, Rule
from attrib.assess.faithfulness.run import CONTROLS, ENOUGH, METRICS, RANDOM, FaithfulnessReport, FaithfulnessRow
from attrib.render.figures import SIDES as SIDE_COLOURS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_TITLES = {
    "comprehensiveness": "comprehensiveness",
    "area": "area (MoRF − LeRF)",
    "leave_one_out": "with leave-one-out",
}
_ZERO = Look("", "#BBBBBB", line=0.8)
_CHANCE = {side: Look("", colour) for side, colour in SIDE_COLOURS.items()}
_RANDOM_ORDER = Look("band: random order", "#DDDDDD", area=True)
_COST = Look("", "#444444", "D", 2.6)


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
    methods = ordered(report)
    own = [method for method in methods if method not in CONTROLS]
    cost = []
    for i, seconds in enumerate(report.seconds[method] for method in own):
        cost.append(Dot(i, seconds, seconds, seconds, _COST))
    panels = (
        *(Panel(title, _unit(metric), tuple(_marks(report, methods, metric))) for metric, title in _TITLES.items()),
        Panel("cost", "CPU seconds", tuple(cost), logarithmic=True),
    )
    block = PanelGroup(
        panels, tuple(RowName(_label(m)) for m in methods), (BASE, TUNED, _RANDOM_ORDER), row=0.17,
        divided=len(own),
    )  # fmt: skip
    return dots.figure([[block]], preset=preset, axs=axs)


def _unit(metric: str) -> str:
    return "rank correlation" if metric == "leave_one_out" else "nats per token"


def _marks(report: FaithfulnessReport, methods: Sequence[str], metric: str) -> Iterator[Mark]:
    """Chance, or zero for a correlation; then every method's mean, base above tuned."""
    if metric == "leave_one_out":
        yield Rule(0.0, _ZERO)
    else:
        for side in SIDES:
            chance = _row(report, RANDOM, side, metric)
            yield Band(chance.low, chance.high, _CHANCE[side])
    for i, method in enumerate(methods):
        # With itself leave-one-out correlates by construction.
        if metric == "leave_one_out" and method in (*CONTROLS, metric):
            continue
        for shift, look in ((-0.17, BASE), (0.17, TUNED)):
            row = _row(report, method, look.name, metric)
            yield Dot(i + shift, row.mean, row.low, row.high, look)


def faithfulness_caption(report: FaithfulnessReport) -> str:
    """One paragraph: metrics, bands, settings, and methods that are no better than chance."""
    n, options = report.rows[0].n, report.options
    prompt = options["prompt"]
    ablate = prompt["perturbation"]["ablate"]
    few = n < ENOUGH
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


def _row(report: FaithfulnessReport, method: str, side: str, metric: str) -> FaithfulnessRow:
    return next(r for r in report.rows if (r.method, r.side, r.metric) == (method, side, metric))


def _label(method: str) -> str:
    return method if method in CONTROLS else method.replace("_x_", " × ").replace("_", " ")
