"""Table, files and sentences of ``attrib assess holdout``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrib.assess.holdout.draw import (
    UNSEEN,
    _base_to_tuned,
    _interval,
    _of,
    _with_p,
    holdout_caption,
    holdout_figure,
    membership_rows,
)
from attrib.assess.holdout.membership import CONTROL, FALSE_ALARMS
from attrib.assess.holdout.records import GAP, REPHRASED_GAP, HoldoutQuantity, HoldoutReport, HoldoutRow, Removal
from attrib.assess.split import PARTS
from attrib.assess.stored import report_bytes
from attrib.render import figures as draw
from attrib.render.tables import csv_bytes, flat, interval, parquet_bytes, write_files
from attrib.render.terminal import text_of

if TYPE_CHECKING:
    from rich.console import Console


NAME = HoldoutReport.NAME


SHOWN = ("accuracy", "exact", "containment", "token_f1", "logprob", "exposure")
"""Measures in the terminal's table."""


_HEADS = {"token_f1": "token F1", "logprob": "log p a token", "exposure": "exposure (bits)", "exact": "exact match"}


_COLUMNS = ("measure", "part", "kind", "side", "value", "low", "high", "p", "n", "groups")


def write_holdout(report: HoldoutReport, folder: Path, formats: Sequence[str], preset: str) -> list[str]:
    """JSON, summary (CSV), rows (Parquet), figure and caption; every file is whole or absent."""
    files = {
        f"{NAME}.json": report_bytes(report),
        f"{NAME}.csv": csv_bytes(_summary_rows(report), _COLUMNS),
        f"{NAME}.parquet": _parquet(report),
        **draw.drawn(NAME, holdout_figure(report, preset=preset), holdout_caption(report), formats, preset=preset),
    }
    return write_files(folder, files)


def _summary_rows(report: HoldoutReport) -> list[dict[str, Any]]:
    """One row a number, membership and removal in the same columns."""
    quantities = [*report.quantities, *(report.removal.quantities if report.removal is not None else ())]
    rows = list(map(dict, flat(HoldoutQuantity, quantities).rows))
    for auc in report.membership:
        common = {"part": auc.of, "kind": "all", "side": "base" if auc.score == CONTROL else "tuned"}
        about = {**common, "n": auc.members + auc.others}
        ends = {"value": auc.auc, "low": auc.low, "high": auc.high, "p": auc.p}
        rows.append({"measure": f"AUC {auc.score}", **about, **ends})
        rows += [
            {"measure": f"TPR at {rate:.0%} FPR, {auc.score}", **about, "value": tpr}
            for rate, tpr in zip(FALSE_ALARMS, auc.tpr, strict=True)
        ]
    for seen in report.blind:
        ends = {"value": seen.auc, "low": seen.low, "high": seen.high, "p": seen.p}
        about = {"part": seen.of, "kind": "all", "side": UNSEEN, "n": seen.members + seen.others}
        rows.append({"measure": "AUC", **about, **ends})
    for quality in report.removal.quality if report.removal is not None else ():
        rows.append({"measure": "forget quality", "part": "removed", "kind": "all", "side": quality.model,
                     "value": quality.p})  # fmt: skip
    return rows


def _parquet(report: HoldoutReport) -> bytes:
    parts = flat(HoldoutRow, report.rows)
    removal = flat(HoldoutRow, report.removal.rows if report.removal is not None else ())
    rows = [
        *({"table": "parts", **row} for row in parts.rows),
        *({"table": "removal", **row} for row in removal.rows),
    ]
    return parquet_bytes(rows, {"table": "string", **parts.types})


def holdout_table(report: HoldoutReport, console: Console) -> None:
    """Print each part base → tuned, the gaps with their p, membership, what was removed, and the notes."""
    from rich.table import Table

    def new(title: str, heads: Sequence[str]) -> Table:
        console.print(title, style="bold", highlight=False)
        table = Table(box=None, pad_edge=False)
        for i, head in enumerate(heads):
            table.add_column(head, justify="right" if i else "left", no_wrap=i > 0)
        return table

    groups = list(dict.fromkeys((q.part, q.kind) for q in report.quantities if q.part in PARTS))
    groups.sort(key=lambda key: PARTS.index(key[0]))
    measures = [m for m in SHOWN if any(q.measure == m for q in report.quantities)]
    table = new("What was learned: base → tuned", ("", "n", *(_HEADS.get(m, m) for m in measures)))
    for part, kind in groups:
        cells = [_base_to_tuned(report, m, part, kind) for m in measures]
        first = report.quantity("accuracy", part, "tuned", kind)
        name = part if kind == "all" else f"  {kind}"
        table.add_row(text_of(name), str(first.n) if first is not None else "", *cells)
    console.print(table, highlight=False)
    table = new("\nGaps of tuned − base", ("", *(_HEADS.get(m, m) for m in ("accuracy", "logprob"))))
    for gap in (GAP, REPHRASED_GAP):
        found = [report.quantity(m, gap, "difference") for m in ("accuracy", "logprob")]
        if any(found):
            table.add_row(gap, *(_with_p(q) for q in found))
    console.print(table, highlight=False)
    if report.membership:
        _print_membership(
            report, new("\nMembership: AUC of tuned-on against held-out", _membership_heads(report)), console
        )
    if report.removal is not None:
        _print_removal(report.removal, new, console)
    for note in report.notes:
        console.print(text_of(f"\n{note}", "yellow" if note.startswith("Warning") else "dim"))
    console.print(
        "\n95% bootstrap intervals over groups of questions (one fact, section or wording); p: two-sided permutation",
        style="dim",
        highlight=False,
    )


def _membership_heads(report: HoldoutReport) -> list[str]:
    return ["", *dict.fromkeys(auc.of for auc in report.membership)]


def _print_membership(report: HoldoutReport, table: Any, console: Console) -> None:
    for name, cells in membership_rows(report).items():
        table.add_row(name, *(interval(*cells[of]) if of in cells else "" for of in _membership_heads(report)[1:]))
    console.print(table, highlight=False)


def _print_removal(removal: Removal, new: Any, console: Console) -> None:
    models = ("base", "full", "retrained")
    table = new(f"\nWithout {len(removal.sections)} sections", ("", *models))
    for part in ("removed", "retained"):
        for measure in ("accuracy", "logprob"):
            found = [_of(removal.quantities, measure, part, model) for model in models]
            if any(found):
                table.add_row(f"{part}: {_HEADS.get(measure, measure)}", *(_interval(q) for q in found))
    quality = {q.model: q for q in removal.quality}
    cells = [f"{quality[m].p:.3g}" if m in quality else "" for m in models]
    table.add_row("forget quality (p)", *cells)
    console.print(table, highlight=False)
