"""Table, files and sentences of ``attrib assess benchmark``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from attrib.assess.benchmark.draw import SHOWN, benchmark_caption, benchmark_figure, key, labels
from attrib.assess.benchmark.run import BenchmarkReport, BenchmarkRow, BenchmarkSummary
from attrib.assess.stored import report_bytes
from attrib.render import figures as draw
from attrib.render.tables import flat, interval, number, write_files
from attrib.render.terminal import text_of

if TYPE_CHECKING:
    from rich.console import Console

NAME = BenchmarkReport.NAME


def write_benchmark(report: BenchmarkReport, folder: Path, formats: Sequence[str], preset: str) -> list[str]:
    """JSON, summary (CSV), rows (Parquet), figure and caption; every file is whole or absent."""
    files = {
        f"{NAME}.json": report_bytes(report),
        f"{NAME}.parquet": flat(BenchmarkRow, report.rows).parquet(),
        **benchmark_files(report, formats, preset),
    }
    return write_files(folder, files)


def benchmark_files(report: BenchmarkReport, formats: Sequence[str], preset: str) -> dict[str, bytes]:
    """The figure with what goes beside it, and the summary that it shows (CSV), by file name."""
    table = flat(BenchmarkSummary, report.summary).csv()
    figure, caption = benchmark_figure(report, preset=preset), benchmark_caption(report)
    return {f"{NAME}.csv": table, **draw.drawn(NAME, figure, caption, formats, preset=preset)}


def benchmark_table(report: BenchmarkReport, console: Console) -> None:
    """One line a kind of question: base and tuned beside the baselines that know no answer; then the notes."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    heads = ("questions", "n", "measure", "base", "tuned", "tuned − base", "majority", "by template")
    for name in heads:
        table.add_column(name, justify="left" if name in ("questions", "measure") else "right")
    shown = [one for one in report.summary if one.measure in SHOWN]
    names = labels(report)
    before: tuple[str, int] | None = None
    for one in shown:
        name = names[key(one)]
        same = before is not None and before[0] == name
        cells = (
            "" if same else name,
            "" if before == (name, one.n) else str(one.n),
            one.measure.replace("_", " "),
            interval(one.base, one.base_low, one.base_high),
            interval(one.tuned, one.tuned_low, one.tuned_high),
            interval(one.difference, one.difference_low, one.difference_high),
            number(one.majority, none=""),
            number(one.majority_by_template, none=""),
        )
        table.add_row(*map(text_of, cells))
        before = name, one.n
    console.print(table)
    console.print("95% bootstrap intervals over facts; baselines are accuracies of who knows no answer", style="dim")
    for note in report.notes:
        console.print(text_of(f"note: {note}", "dim"))
