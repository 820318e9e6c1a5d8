"""Table, files and sentences of ``attrib assess benchmark``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrib.assess.benchmark.draw import _TEXTS, NAME, SCHEMA, SHOWN, benchmark_caption, benchmark_figure, key, labels
from attrib.assess.benchmark.run import MEASURES, BenchmarkReport, BenchmarkRow, BenchmarkSummary
from attrib.assess.questions import Malformed
from attrib.assess.report.stored import rebuild
from attrib.errors import RecordError
from attrib.render import figures as draw
from attrib.render.tables import csv_bytes, interval, json_bytes, number, parquet_bytes, plain, write_files
from attrib.render.terminal import text_of

if TYPE_CHECKING:
    from rich.console import Console


def write_benchmark(report: BenchmarkReport, folder: Path, formats: Sequence[str], preset: str) -> list[str]:
    """JSON, summary (CSV), rows (Parquet), figure and caption; every file is whole or absent."""
    files = {
        f"{NAME}.json": json_bytes(benchmark_dict(report)),
        f"{NAME}.parquet": parquet_bytes(
            [_row(row) for row in report.rows],
            {**dict.fromkeys(_TEXTS, "string"), "ended": "bool_", **dict.fromkeys(MEASURES, "float64")},
        ),
        **benchmark_files(report, formats, preset),
    }
    return write_files(folder, files)


def benchmark_files(report: BenchmarkReport, formats: Sequence[str], preset: str) -> dict[str, bytes]:
    """The figure with what goes beside it, and the summary that it shows (CSV), by file name."""
    table = csv_bytes([asdict(one) for one in report.summary], list(BenchmarkSummary.__dataclass_fields__))
    figure, caption = benchmark_figure(report, preset=preset), benchmark_caption(report)
    return {f"{NAME}.csv": table, **draw.drawn(NAME, figure, caption, formats, preset=preset)}


def benchmark_dict(report: BenchmarkReport) -> dict[str, Any]:
    """The report as one JSON object; what could not be computed is None."""
    content: dict[str, Any] = plain({
        "assessment": NAME,
        "schema": SCHEMA,
        "summary": [asdict(one) for one in report.summary],
        "rows": [_row(row) for row in report.rows],
        "notes": report.notes,
        "malformed": [asdict(one) for one in report.malformed],
        "provenance": report.provenance,
    })  # fmt: skip
    return content


def benchmark_of(content: Mapping[str, Any]) -> BenchmarkReport:
    """The report that ``benchmark_dict`` made an object of. Raises RecordError for anything else."""
    try:
        if (content["assessment"], content["schema"]) != (NAME, SCHEMA):
            raise ValueError(f"{content['assessment']}, schema {content['schema']}")
        rows = [{**row, "scores": {measure: row[measure] for measure in MEASURES}} for row in content["rows"]]
        return BenchmarkReport(
            rebuild(tuple[BenchmarkRow, ...], rows, "rows"),
            rebuild(tuple[BenchmarkSummary, ...], content["summary"], "summary"),
            tuple(content["notes"]),
            rebuild(tuple[Malformed, ...], content["malformed"], "malformed"),
            content["provenance"],
        )
    except (KeyError, TypeError, ValueError) as error:
        raise RecordError(f"benchmark.json: damaged or of another kind ({error}); assess again") from error


def _row(row: BenchmarkRow) -> dict[str, Any]:
    fields = {name: getattr(row, name) for name in (*_TEXTS, "ended")}
    return fields | {name: row.scores[name] for name in MEASURES}


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
