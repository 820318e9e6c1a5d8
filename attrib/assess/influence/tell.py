"""Terminal table, files and report chapter of ``attrib assess influence``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrib.assess import markdown as md
from attrib.assess import sentences as say
from attrib.assess.influence.draw import (
    CLAIMS,
    Claim,
    _interval,
    _left_out,
    _ranked,
    _row,
    _seeds,
    drawable,
    retraining_caption,
    retraining_figure,
    told_apart,
)
from attrib.assess.influence.metrics import REFERENCE, InfluenceRow, table
from attrib.assess.influence.records import InfluenceReport
from attrib.assess.influence.scoring import BEFORE
from attrib.assess.stored import report_bytes, report_content
from attrib.records import codec
from attrib.render import figures as draw
from attrib.render.tables import flat, interval, number, write_files

if TYPE_CHECKING:
    from rich.console import Console

NAME = InfluenceReport.NAME
ALONE = "influence, texts alone"
"""The scorer without the list of trained questions."""


_HEADS = {"pearson": "Pearson", "spearman": "Spearman", "decoys": "AUROC"}


def write_retraining(
    report: InfluenceReport, rows: Sequence[InfluenceRow], folder: Path, formats: Sequence[str], preset: str
) -> list[str]:
    """Outcomes and scores (JSON), table (CSV), figure and caption; every file is whole or absent.

    Without a single section left out there is no figure.
    """
    files = {f"{NAME}.json": report_bytes(report), f"{NAME}.csv": flat(InfluenceRow, rows).csv()}
    if drawable(report):
        figure = retraining_figure(report, rows, preset=preset)
        files |= draw.drawn(
            NAME, figure, retraining_caption(report, rows), formats, preset=preset,
            metadata=lambda form: draw.plain_metadata("attrib: mappers against retraining", form),
        )  # fmt: skip
    return write_files(folder, files)


def retraining_content(report: InfluenceReport, rows: Sequence[InfluenceRow]) -> dict[str, Any]:
    """The report and the rows of its table as one JSON object."""
    return {**report_content(report), "table": codec.to_json(rows)}


def retraining_table(report: InfluenceReport, rows: Sequence[InfluenceRow], console: Console) -> None:
    """Print the three claims under their own headings, trained and rephrased questions apart, one line a scorer."""
    for claim in CLAIMS:
        for kind in dict.fromkeys(row.kind for row in rows):
            metrics = [m for m in claim.metrics if any((r.metric, r.kind) == (m, kind) for r in rows)]
            if metrics:
                _print_claim(claim, kind, metrics, rows, console)
    if any(row.metric == "decoys" and row.scorer == ALONE for row in rows):
        console.print(
            f"{REFERENCE} and {BEFORE} read trained questions along with their sections, and decoys have none: what "
            f"the texts alone tell stands under “{ALONE}”",
            style="dim",
            highlight=False,
        )
    about = f"{len(_left_out(report))} sections left out one at a time, {len(report.halves)} halves, {_seeds(report)}; "
    console.print(
        f"{about}95% bootstrap intervals over questions (LDS: halves too; AUROC: decoys too); behind: {REFERENCE} "
        "less the scorer; *: the interval of that leaves 0 out",
        style="dim",
        highlight=False,
    )


def _print_claim(
    claim: Claim, kind: str, metrics: Sequence[str], rows: Sequence[InfluenceRow], console: Console
) -> None:
    from rich.table import Table

    leading = claim.leading if claim.leading in metrics else metrics[0]
    order = _ranked(rows, leading, kind)
    unit = "decoys" if claim.leading == "decoys" else f"{kind} questions"
    console.print(f"{claim.name}: {claim.says} ({order[0].n} {unit})", style="bold", highlight=False)
    table = Table(box=None, pad_edge=False)
    table.add_column("", overflow="fold")
    for head in (*(_HEADS.get(metric, metric) for metric in metrics), f"{_HEADS.get(leading, leading)} behind by"):
        table.add_column(head, justify="right", no_wrap=True)
    for first in order:
        line = [_row(rows, first.scorer, metric, kind) for metric in metrics]
        table.add_row(first.scorer, *map(_cell, line), _behind(first))
    console.print(table, highlight=False)
    console.print()


def _cell(row: InfluenceRow) -> str:
    star = "*" if told_apart(row) else ""
    return f"{number(row.value) if row.metric in _ALONE else _interval(row)}{star}"


# ------------------------------------------------------------------------------------------- the report's chapter

_SCORERS = (REFERENCE, "combined", "learned", "hidden (tuned)", BEFORE, "bm25", "embedding", "random")
"""Scorers in the report: those that use tuning, then those independent of it."""
_METRICS = {
    "MRR": "own section report (MRR)", "spearman": "rank correlation with the loss",
    "LDS": "random halves (LDS)", "decoys": "learned above decoys (AUROC)",
}  # fmt: skip


def chapter(report: InfluenceReport, page: say.Surroundings) -> say.Chapter:
    """How far scores of sections say what retraining without them shows."""
    rows = {(row.scorer, row.metric): row for row in table(report) if row.kind == "trained"}
    same = bool(page.tuned_sha256) and report.provenance.get("tuned_sha256") == page.tuned_sha256
    other = (
        ": another tuned model and other documents than this report's pair. It says how far such scores can be "
        "trusted, nothing about this pair."
    )
    sentence = (
        f"Scores of sections against retraining, on {say.count(int(report.trained.sum()), 'section')} that were tuned "
        f"on and {say.count(len(report.questions), 'question')}{'.' if same else other}"
    )
    metrics = [metric for metric in _METRICS if any(name == metric for _, name in rows)]
    cells = []
    for scorer in (name for name in _SCORERS if any(own == name for own, _ in rows)):
        scored = [rows.get((scorer, metric)) for metric in metrics]
        cells.append((scorer, *(say.ends(row.value, row.low, row.high) if row else say.NONE for row in scored)))
    caption = "Scores of sections against retraining, trained questions (more scores stand in influence.csv)"
    heads = ("score", *(_METRICS[metric] for metric in metrics))
    return say.Chapter(trust=(*md.sentences([sentence]), *page.figure, *md.table(caption, heads, cells)))


_ALONE = ("recall@1", "spearman")
"""Without an interval in the terminal, for want of room; the CSV has it."""


def _behind(row: InfluenceRow) -> str:
    if row.scorer == REFERENCE:
        return ""
    return interval(row.behind, row.behind_low, row.behind_high)
