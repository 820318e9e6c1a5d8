"""A report of verdicts → table, files, figure and caption.

``attribution.parquet`` has one row a question; ``attribution.csv`` one a kind of question.
Not covered: single answers (``figures``, ``terminal``; their records lie in ``records``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrib.assess.verdicts import Summary, VerdictReport, row_dict
from attrib.records import LABELS
from attrib.render import figures as draw
from attrib.render import panels
from attrib.render.tables import csv_bytes, interval, json_bytes, number, parquet_bytes, plain, write_files
from attrib.render.terminal import text_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from rich.console import Console

NAME, SCHEMA = "attribution", 1
_TEXTS = ("id", "kind", "question", "right_answer", "answer", "base_answer", "label", "gold")
_NUMBERS = ("right", *LABELS, "gain_bits")
_COLOURS = [draw.COLOURS[label] for label in LABELS]


def write_verdicts(report: VerdictReport, folder: Path, formats: Sequence[str], preset: str) -> list[str]:
    """JSON, summary (CSV), rows (Parquet), figure and caption; every file is whole or absent."""
    content = verdicts_dict(report)
    rows = [_flat(row) for row in content["rows"]]
    best = sorted({name for row in rows for name in row if name.startswith("best_")})
    types = {
        **dict.fromkeys((*_TEXTS, *best), "string"), **dict.fromkeys(_NUMBERS, "float64"), "sections": "list<string>",
    }  # fmt: skip
    summary = [_flat(asdict(one)) for one in report.summary]
    files = {
        f"{NAME}.json": json_bytes(content),
        f"{NAME}.csv": csv_bytes(summary, list(dict.fromkeys(name for one in summary for name in one))),
        f"{NAME}.parquet": parquet_bytes(rows, types),
        **draw.drawn(NAME, verdicts_figure(report, preset=preset), verdicts_caption(report), formats, preset=preset),
    }
    return write_files(folder, files)


def verdicts_dict(report: VerdictReport) -> dict[str, Any]:
    """The report as one JSON object."""
    content: dict[str, Any] = plain({
        "assessment": NAME,
        "schema": SCHEMA,
        "summary": [asdict(one) for one in report.summary],
        "rows": [row_dict(row) for row in report.rows],
        "notes": report.notes,
        "provenance": report.provenance,
    })  # fmt: skip
    return content


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    """Sections by their ids, and what is keyed as columns of its own."""
    flat = {k: v for k, v in row.items() if k not in ("tokens", "best", "shares", "gold_top1", "sections")}
    for name in ("best", "shares", "gold_top1"):
        flat |= {f"{name}_{key}": value for key, value in (row.get(name) or {}).items()}
    return flat | ({"sections": [one["id"] for one in row["sections"]]} if "sections" in row else {})


def verdicts_table(report: VerdictReport, console: Console) -> None:
    """One line a kind of question; then what comes first, and the notes."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    tops = list(dict.fromkeys(name for one in report.summary for name in one.gold_top1 or ()))
    for name in ("answers to", "n", "right", *LABELS, *(f"gold first: {name}" for name in tops)):
        table.add_column(name, justify="left" if name == "answers to" else "right")
    for one in report.summary:
        shares = [_ends(one, label) for label in LABELS]
        gold = [number((one.gold_top1 or {}).get(name), none="") for name in tops]
        table.add_row(*map(text_of, (_name(one), str(one.n), number(one.right, none=""), *shares, *gold)))
    console.print(table)
    console.print(
        "share of answers by their most probable source, 95% bootstrap intervals over questions; gold first: the right "
        "section is ranked first by the verdict and by scores that know nothing of the models",
        style="dim",
    )
    for note in report.notes:
        console.print(text_of(f"note: {note}", "dim"))


_ROW = 0.22  # inches
_DRAWN = 17
"""Kinds of questions that are drawn, the last one among them; more do not fit a page."""


def verdicts_figure(
    report: VerdictReport, *, preset: str = "neurips-double", axs: Sequence[Axes] | None = None
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


def _name(one: Summary) -> str:
    return one.kind.replace("_", " ")


def _shown(report: VerdictReport) -> Sequence[Summary]:
    """The kinds that are drawn."""
    rows = report.summary
    return rows if len(rows) <= _DRAWN else (*rows[: _DRAWN - 1], rows[-1])


def verdicts_caption(report: VerdictReport) -> str:
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


def _ends(one: Summary, label: str) -> str:
    return interval(*(getattr(one, f"{label}{end}") for end in ("", "_low", "_high")))
