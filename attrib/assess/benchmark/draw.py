"""A benchmark report → figure and caption.

Not covered: single answers side by side (the rows have them).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from attrib.assess import dots
from attrib.assess.benchmark.run import BenchmarkReport, BenchmarkSummary
from attrib.assess.dots import BASE, TUNED, Dot, Look, Mark, Panel, PanelGroup, RowName, Rule

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def labels(report: BenchmarkReport) -> dict[tuple[str, str, str], str]:
    """Each kind of question in words, by ``key``; the knowledge is named where kinds differ by nothing else."""
    kinds = list(dict.fromkeys(key(one) for one in report.summary))
    named = {one: _label(*one, alone=len(kinds) == 1) for one in kinds}
    times = Counter(named.values())
    return {
        (subset, kind, knowledge): f"{name}, {knowledge or 'other'}" if times[name] > 1 else name
        for (subset, kind, knowledge), name in named.items()
    }


def key(one: BenchmarkSummary) -> tuple[str, str, str]:
    """Subset, kind and knowledge: the key of a kind of question."""
    return one.subset, one.kind, one.knowledge


def drawn_once(summaries: Sequence[BenchmarkSummary]) -> list[BenchmarkSummary]:
    """Kinds without those that put others together: no answer is counted in two rows."""
    single = [one for one in summaries if not one.subset == one.kind == "all"]
    return single or list(summaries)


def _label(subset: str, kind: str, knowledge: str, *, alone: bool) -> str:
    if subset == kind == "all":
        return f"{knowledge} knowledge"
    name = kind.replace("_", " ") or ("all" if alone else "no kind")
    return f"{subset.replace('_', ' ')}: {name}" if subset not in ("", "demo") else name


_DRAWN = 18
"""Kinds of questions that are drawn; more do not fit a page."""
_COMMONEST = Look("always the commonest answer", "#555555")
_OF_TEMPLATE = Look("… of each template", "#555555", dashes=":")


def benchmark_figure(
    report: BenchmarkReport, *, preset: str = "neurips-double", axs: Sequence[Axes] | None = None
) -> Figure:
    """(a) accuracy of every kind, base and tuned, with the baselines; (b) token F1.

    ``axs``: two axes of the caller's; the preset is then not used. Raises InputError for an unknown preset.
    """
    named, shown = labels(report), drawn_once(report.of("accuracy"))[:_DRAWN]
    rows = tuple(RowName(named[key(one)], f" ({one.n})") for one in shown)
    places = {key(one): place for place, one in enumerate(shown)}
    panels = (
        Panel("(a) right answers", "share", _marks(report.of("accuracy"), places), (0.0, 1.0)),
        Panel("(b) token F1", "mean", _marks(report.of("token_f1"), places), (0.0, 1.0)),
    )
    legend = (BASE, TUNED, _COMMONEST, _OF_TEMPLATE)
    return dots.figure([[PanelGroup(panels, rows, legend)]], preset=preset, axs=axs)


def _marks(summaries: Sequence[BenchmarkSummary], places: Mapping[tuple[str, str, str], int]) -> tuple[Mark, ...]:
    """Base, tuned and the baselines of every kind that has a place."""
    marks: list[Mark] = []
    for one in summaries:
        place = places.get(key(one))
        if place is None:
            continue
        marks.append(Dot(place - 0.17, one.base, one.base_low, one.base_high, BASE))
        marks.append(Dot(place + 0.17, one.tuned, one.tuned_low, one.tuned_high, TUNED))
        for value, look in ((one.majority, _COMMONEST), (one.majority_by_template, _OF_TEMPLATE)):
            if value is not None:
                marks.append(Rule(value, look, place))
    return tuple(marks)


def benchmark_caption(report: BenchmarkReport) -> str:
    """One paragraph: questions, scores, intervals, and the limits of the scores."""
    lines = [
        f"Right answers of base and tuned to {len(report.rows) // 2} questions, by kind (number of questions in "
        "brackets). Points: means; bars: 95% percentile bootstrap over facts.",
        f"Greedy answers of at most {report.options['answers']['max_new_tokens']} tokens.",
        "(a) Share right: yes or no, number with its unit, or the right answer's words among the first of the "
        "prediction, whichever the right answer is. Lines: what is reached with the commonest right answer of the kind "
        "(solid) and of each template (dotted).",
        "(b) F1 of the words of prediction and right answer after normalisation; long predictions lose by it.",
    ]
    kinds, named = len(drawn_once(report.of("accuracy"))), labels(report)
    if kinds > _DRAWN:
        lines.append(f"The first {_DRAWN} of {kinds} kinds are drawn.")
    old = drawn_once(report.of("old_answer"))
    lines += [
        f"{named[key(one)]}: the answer before the update is given by base in {one.base:.0%}, by tuned in "
        f"{one.tuned:.0%}."
        for one in old
    ]
    wrong = [note for note in report.notes if "labels are wrong" in note]
    return " ".join([*lines, *wrong, f"Seed {report.provenance['seed']}. One tuning."])
