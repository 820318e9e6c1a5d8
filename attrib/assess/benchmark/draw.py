"""A benchmark report → table, files, figure and caption.

``benchmark.parquet`` has one row a question and side: the fields of ``benchmark.Row`` with each score a column of its
own. ``benchmark.csv`` has one row a subset, kind and measure.
Not covered: single answers side by side (the rows have them).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from attrib.assess import panels
from attrib.assess.benchmark.run import BenchmarkReport, BenchmarkSummary
from attrib.render import figures as draw

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SHOWN = ("accuracy", "contains", "token_f1", "old_answer", "judge")
"""Measures in the terminal's table; the others are in the files."""


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
    """What a kind of question is told apart by."""
    return one.subset, one.kind, one.knowledge


def _label(subset: str, kind: str, knowledge: str, *, alone: bool) -> str:
    if subset == kind == "all":
        return f"{knowledge} knowledge"
    name = kind.replace("_", " ") or ("all" if alone else "no kind")
    return f"{subset.replace('_', ' ')}: {name}" if subset not in ("", "demo") else name


_ROW = 0.2  # inches
_DRAWN = 18
"""Kinds of questions that are drawn; more do not fit a page."""


def benchmark_figure(
    report: BenchmarkReport, *, preset: str = "neurips-double", axs: Sequence[Axes] | None = None
) -> Figure:
    """(a) accuracy of every kind, base and tuned, with the baselines; (b) token F1.

    ``axs``: two axes of the caller's; the preset is then not used. Raises InputError for an unknown preset.
    """
    from matplotlib.lines import Line2D

    width = draw.width_of(preset)
    accuracies = report.of("accuracy")[:_DRAWN]
    named = labels(report)
    # Four handles are wider than a narrow column.
    lines = 1 if width > 4.5 else 2
    with draw.style():
        figure, axes = panels.two(
            width,
            [named[key(one)] for one in accuracies],
            [one.n for one in accuracies],
            row=_ROW,
            lines=lines,
            axs=axs,
        )
        for ax, measure in zip(axes, ("accuracy", "token_f1"), strict=True):
            found = {key(one): one for one in report.of(measure)}
            for place, accuracy in enumerate(accuracies):
                one = found.get(key(accuracy))
                if one is None:
                    continue
                panels.point(ax, (one.base, one.base_low, one.base_high), place - 0.17, draw.SIDES["base"])
                panels.point(ax, (one.tuned, one.tuned_low, one.tuned_high), place + 0.17, draw.SIDES["tuned"], "s")
                for value, dashes in ((one.majority, "-"), (one.majority_by_template, ":")):
                    if value is not None:
                        ax.plot([value] * 2, [place - 0.42, place + 0.42], dashes, color="#555555", lw=0.9, zorder=3)
            ax.set_xlim(-0.03, 1.03)
            panels.title(ax, "(a) right answers" if measure == "accuracy" else "(b) token F1")
            ax.set_xlabel("share" if measure == "accuracy" else "mean", fontsize=6, labelpad=1.5)
        handles = [
            *panels.side_handles(),
            Line2D([], [], color="#555555", lw=0.9, label="always the commonest answer"),
            Line2D([], [], color="#555555", lw=0.9, ls=":", label="… of each template"),
        ]
        panels.legend(
            figure,
            handles,
            left=0.04,
            down=0.02,
            columns=len(handles) // lines,
            above=axes[0] if axs is not None else None,
        )
        return figure


def benchmark_caption(report: BenchmarkReport) -> str:
    """What was asked, how it was scored, and what it does not say."""
    options = report.provenance["options"]
    assert isinstance(options, dict)
    asked = len(report.rows) // 2
    lines = [
        f"Right answers of base and tuned to {asked} questions, by kind (number of questions in brackets). Points: "
        "means; bars: 95% percentile bootstrap over facts.",
        f"Greedy answers of at most {options['answers']['max_new_tokens']} tokens.",
        "(a) Share right: yes or no, number with its unit, or the right answer's words among the first of the "
        "prediction, whichever the right answer is. Lines: what is reached with the commonest right answer of the kind "
        "(solid) and of each template (dotted).",
        "(b) F1 of the words of prediction and right answer after normalisation; long predictions lose by it.",
    ]
    kinds, named = len(report.of("accuracy")), labels(report)
    if kinds > _DRAWN:
        lines.append(f"The first {_DRAWN} of {kinds} kinds are drawn.")
    old = list(report.of("old_answer"))
    lines += [
        f"{named[key(one)]}: the answer before the update is given by base in {one.base:.0%}, by tuned in "
        f"{one.tuned:.0%}."
        for one in old
    ]
    wrong = [note for note in report.notes if "labels are wrong" in note]
    return " ".join([*lines, *wrong, f"Seed {report.provenance['seed']}. One tuning."])
