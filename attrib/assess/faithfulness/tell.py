"""Table, files and sentences of ``attrib assess faithfulness``."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from attrib.assess.faithfulness.draw import SHOWN, _row, faithfulness_caption, faithfulness_figure, ordered
from attrib.assess.faithfulness.run import CONTROLS, SIDES, FaithfulnessReport, FaithfulnessRow
from attrib.render import figures as draw
from attrib.render.tables import write_files

if TYPE_CHECKING:
    from rich.console import Console


def write_faithfulness(report: FaithfulnessReport, folder: Path, formats: Sequence[str], preset: str) -> list[str]:
    """Table (CSV), report (JSON), figure and caption; every file is whole or absent."""
    table = io.StringIO()
    names = [*FaithfulnessRow.__dataclass_fields__, "beats_random"]
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([getattr(row, name) for name in names] for row in report.rows)
    files = {"faithfulness.csv": table.getvalue().encode(), "faithfulness.json": _json(report)}
    files |= draw.drawn(
        "faithfulness", faithfulness_figure(report, preset=preset), faithfulness_caption(report), formats, preset=preset
    )
    return write_files(folder, files)


def faithfulness_dict(report: FaithfulnessReport) -> dict[str, Any]:
    """The report as one JSON object."""
    rows = [{**row.__dict__, "beats_random": row.beats_random} for row in report.rows]
    return {"rows": rows, "seconds": report.seconds, "provenance": report.provenance}


def _json(report: FaithfulnessReport) -> bytes:
    return json.dumps(faithfulness_dict(report), indent=1, sort_keys=True).encode()


def faithfulness_table(report: FaithfulnessReport, console: Console) -> None:
    """Print one line a method: four metrics under the tuned model with intervals, and whether it beats chance."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for name in ("method", *(f"{metric} (tuned)" for metric in SHOWN), "beats random: base, tuned", "CPU s"):
        table.add_column(name, justify="left" if name == "method" else "right")
    for method in ordered(report):
        cells = [_cell(_row(report, method, "tuned", metric)) for metric in SHOWN]
        verdict = ", ".join("–" if method in CONTROLS else _verdict(report, method, side) for side in SIDES)
        table.add_row(method, *cells, verdict, f"{report.seconds[method]:.2f}" if method not in CONTROLS else "")
    console.print(table)
    n = report.rows[0].n
    console.print(
        f"{n} questions; losses in nats per answer token; 95% bootstrap intervals over questions", style="dim"
    )


def _cell(row: FaithfulnessRow) -> str:
    return f"{row.mean:.2f} [{row.low:.2f}, {row.high:.2f}]".replace("-", "−") if np.isfinite(row.mean) else "none"


def _verdict(report: FaithfulnessReport, method: str, side: str) -> str:
    return "yes" if _row(report, method, side, "area").beats_random else "no"
