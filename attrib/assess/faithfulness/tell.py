"""Terminal table, files and report chapter of ``attrib assess faithfulness``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from attrib.assess import markdown as md
from attrib.assess import sentences as say
from attrib.assess.answering import SIDES
from attrib.assess.faithfulness.draw import _row, faithfulness_caption, faithfulness_figure, ordered
from attrib.assess.faithfulness.run import CONTROLS, FaithfulnessReport, FaithfulnessRow
from attrib.assess.stored import report_bytes
from attrib.render import figures as draw
from attrib.render.blocks import grid
from attrib.render.tables import flat, interval, write_files

if TYPE_CHECKING:
    from rich.console import Console

NAME = FaithfulnessReport.NAME


def write_faithfulness(report: FaithfulnessReport, folder: Path, formats: Sequence[str], preset: str) -> list[str]:
    """Report (JSON), table (CSV), figure and caption; every file is whole or absent."""
    figure, caption = faithfulness_figure(report, preset=preset), faithfulness_caption(report)
    files = {
        f"{NAME}.json": report_bytes(report),
        f"{NAME}.csv": flat(FaithfulnessRow, report.rows, "beats_random").csv(),
        **draw.drawn(NAME, figure, caption, formats, preset=preset),
    }
    return write_files(folder, files)


def faithfulness_table(report: FaithfulnessReport, console: Console) -> None:
    """Print one line a method: four metrics under the tuned model with intervals, and whether it beats chance."""
    table = grid(("method", *(f"{metric} (tuned)" for metric in SHOWN), "beats random: base, tuned", "CPU s"))
    for method in ordered(report):
        shown = [_row(report, method, "tuned", metric) for metric in SHOWN]
        cells = [interval(row.mean, row.low, row.high) for row in shown]
        verdict = ", ".join("–" if method in CONTROLS else _verdict(report, method, side) for side in SIDES)
        table.add_row(method, *cells, verdict, f"{report.seconds[method]:.2f}" if method not in CONTROLS else "")
    console.print(table)
    n = report.rows[0].n
    console.print(
        f"{n} questions; losses in nats per answer token; 95% bootstrap intervals over questions", style="dim"
    )


def _verdict(report: FaithfulnessReport, method: str, side: str) -> str:
    return "yes" if _row(report, method, side, "area").beats_random else "no"


def chapter(report: FaithfulnessReport, page: say.Surroundings) -> say.Chapter:
    """How far attributions to the question's words are to be trusted."""
    rows = [r for r in report.rows if (r.metric, r.side) == ("area", "tuned") and r.method not in CONTROLS]
    rows.sort(key=lambda row: (-row.mean, row.method))
    sentence = ""
    if rows:
        sentence = (
            f"Attributions to words of the question: of {say.count(len(rows), 'method')}, "
            f"{sum(row.beats_random for row in rows)} find words without which the tuned model's answer loses more "
            f"than without random ones, on {say.count(rows[0].n, 'question')}."
        )
    cells = [
        (
            row.method.replace("_", " "),
            say.ends(row.mean, row.low, row.high),
            say.ends(row.over_random, row.over_low, row.over_high, signed=True),
            "yes" if row.beats_random else "not shown",
        )
        for row in rows
    ]
    heads = ("method", "area, nats per token", "beyond a random order", "above random")
    table = md.table("Faithfulness of attributions to the question's words, tuned model", heads, cells)
    return say.Chapter(trust=(*md.sentences([sentence] if sentence else []), *page.figure, *table))


SHOWN = ("comprehensiveness", "sufficiency", "area", "leave_one_out")
