"""Table, files and sentences of ``attrib assess attribution``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrib.assess.attribution.draw import _NUMBERS, _TEXTS, NAME, SCHEMA, _name, verdicts_caption, verdicts_figure
from attrib.assess.attribution.run import AttributionReport, AttributionSummary, row_dict
from attrib.records import LABELS
from attrib.render import figures as draw
from attrib.render.tables import csv_bytes, interval, json_bytes, number, parquet_bytes, plain, write_files
from attrib.render.terminal import text_of

if TYPE_CHECKING:
    from rich.console import Console


def write_verdicts(report: AttributionReport, folder: Path, formats: Sequence[str], preset: str) -> list[str]:
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


def verdicts_dict(report: AttributionReport) -> dict[str, Any]:
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
