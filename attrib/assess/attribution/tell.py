"""Table, files and sentences of ``attrib assess attribution``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from attrib.assess.attribution.draw import _name, verdicts_caption, verdicts_figure
from attrib.assess.attribution.run import AttributionReport, AttributionRow, AttributionSummary
from attrib.assess.stored import report_bytes
from attrib.records import LABELS
from attrib.render import figures as draw
from attrib.render.tables import flat, interval, number, write_files
from attrib.render.terminal import text_of

if TYPE_CHECKING:
    from rich.console import Console

NAME = AttributionReport.NAME


def write_verdicts(report: AttributionReport, folder: Path, formats: Sequence[str], preset: str) -> list[str]:
    """JSON, summary (CSV), rows (Parquet), figure and caption; every file is whole or absent."""
    files = {
        f"{NAME}.json": report_bytes(report),
        f"{NAME}.csv": flat(AttributionSummary, report.summary).csv(),
        f"{NAME}.parquet": flat(AttributionRow, report.rows, "section_ids").parquet(),
        **draw.drawn(NAME, verdicts_figure(report, preset=preset), verdicts_caption(report), formats, preset=preset),
    }
    return write_files(folder, files)


def verdicts_table(report: AttributionReport, console: Console) -> None:
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


def _ends(one: AttributionSummary, label: str) -> str:
    return interval(*(getattr(one, f"{label}{end}") for end in ("", "_low", "_high")))
