"""Terminal table, files and report chapter of ``attrib assess holdout``.

``holdout.parquet`` has one row a question and side, with the fields of ``HoldoutRow``; after a removal the rows of
base, full and retrained follow, told apart by their column ``table`` (parts, removal). ``holdout.csv`` has one row a
number.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrib.assess import markdown as md
from attrib.assess import sentences as say
from attrib.assess.holdout.blind import Blind
from attrib.assess.holdout.draw import UNSEEN, _interval, _with_p, holdout_caption, holdout_figure, membership_rows
from attrib.assess.holdout.membership import CONTROL, FALSE_ALARMS, Auc
from attrib.assess.holdout.records import (
    GAP,
    REPHRASED_GAP,
    HoldoutQuantity,
    HoldoutReport,
    HoldoutRow,
    Removal,
)
from attrib.assess.split import PARTS
from attrib.assess.stored import report_bytes
from attrib.render import figures as draw
from attrib.render.blocks import grid, text_of
from attrib.render.tables import csv_bytes, flat, interval, number, parquet_bytes, write_files

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table


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

    def new(title: str, heads: Sequence[str]) -> Table:
        console.print(title, style="bold", highlight=False)
        return grid(heads, no_wrap=True)

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


# ------------------------------------------------------------------------------------------- the report's chapter

_GIVEN = (("accuracy", "right answers"), ("logprob", "log p, nats per token"))
"""Measures of the report's tables, and how they are named there."""


def chapter(report: HoldoutReport, page: say.Surroundings) -> say.Chapter:
    """The tuned-on part against the held-out part: answers, gaps, membership, removal."""
    gained = report.quantity("logprob", "tuned-on", "difference")
    by_part = [said for part in PARTS[:2] if (said := _both_sides(report, part))]
    learned = [f"Right answers by the holdout's questions, {by_part[0]}."] if by_part else []
    if gained is not None:
        learned.append(f"The log-probability of the right answers, nats a token: {say.change(_estimate(gained))}.")
    parts = [f"Right answers by part (number of questions), base → tuned: {'; '.join(by_part)}."] if by_part else []
    row = _cells(report, "logprob", "tuned-on", "log p of right answers, nats per token")
    scored = list(dict.fromkeys(auc.of for auc in report.membership))
    general = [one for one in report.rows if one.part == "general"]
    foundation = _foundation(general)
    forgotten = _both_sides(report, "general")
    return say.Chapter(
        abstract=(*parts, *_gaps(report), *_membership(report, scored[:1])),
        learned=(*md.sentences(learned), *md.table("Signs of learning, holdout", ("quantity", *say.DIFFERENCE), row)),
        generalises=(
            *md.sentences([*parts, *_gaps(report)]),
            *md.sentences([*_membership(report, scored), *_removal(report)]),
            *page.figure,
            *_parts_tables(report),
            *_membership_table(report),
            *_removal_table(report),
            *say.caveats(NAME, report.notes),
        ),
        forgotten=tuple(_forgotten(report, foundation)) if foundation else (),
        forgetting=(
            (f"Forgetting: right answers to foundation questions before and after tuning, {forgotten}.",)
            if forgotten and foundation
            else ()
        ),
        trust=tuple(_controls(report)),
    )


def _estimate(q: HoldoutQuantity, what: str = "question", units: int | None = None) -> say.Estimate:
    return say.Estimate(q.value, q.low, q.high, q.n, q.groups if units is None else units, what)


def _sides(
    report: HoldoutReport, measure: str, part: str, kind: str = "all"
) -> tuple[HoldoutQuantity, HoldoutQuantity, HoldoutQuantity] | None:
    base, tuned, gained = (report.quantity(measure, part, side, kind) for side in ("base", "tuned", "difference"))
    return (base, tuned, gained) if base is not None and tuned is not None and gained is not None else None


def _ends(q: HoldoutQuantity, *, signed: bool = False) -> str:
    return say.ends(q.value, q.low, q.high, signed=signed)


def _both_sides(report: HoldoutReport, part: str) -> str:
    """Right answers of one part; empty where it was not asked."""
    sides = _sides(report, "accuracy", part)
    if sides is None:
        return ""
    base, tuned, gained = sides
    return f"{part} ({tuned.n}) {_ends(base)} → {_ends(tuned)}, {say.change(_estimate(gained))}"


def _cells(report: HoldoutReport, measure: str, part: str, name: str, kind: str = "all") -> list[tuple[str, ...]]:
    sides = _sides(report, measure, part, kind)
    if sides is None:
        return []
    base, tuned, gained = sides
    return [(name, str(tuned.n), _ends(base), _ends(tuned), _ends(gained, signed=True))]


def _gaps(report: HoldoutReport) -> Iterator[str]:
    """Memorization less generalization: between the parts, and between questions and their rephrasings."""
    gap = report.quantity("accuracy", GAP, "difference")
    if gap is not None:
        asked = [report.quantity("accuracy", part, "tuned") for part in PARTS[:2]]
        groups = min((q.groups for q in asked if q is not None), default=0)
        said = say.change(
            _estimate(gap, units=groups), "more for what was tuned on", "less for what was tuned on"
        )  # fmt: skip
        yield (
            f"What tuning adds to right answers (tuned − base), for what was tuned on against what was held out: {said}"
            f"{say.with_p(gap.p)}."
        )
    own = report.quantity("accuracy", REPHRASED_GAP, "difference")
    if own is not None:
        said = say.change(_estimate(own, "fact"), "more as they were learned", "less as they were learned")
        yield f"The same for facts as they were learned against their rephrasings: {said}{say.with_p(own.p)}."


def _membership(report: HoldoutReport, scored: Sequence[str]) -> Iterator[str]:
    """The score with base as its reference, beside the baselines independent of tuning."""
    for of in scored:
        scores = {auc.score: auc for auc in report.membership if auc.of == of}
        best, own = scores.get("reference"), scores.get(CONTROL)
        without = next((seen for seen in report.blind if seen.of == of), None)
        if best is None:
            continue
        beside = [f"the texts alone reach {_auc(without)}"] if without else []
        beside += [f"base's own loss {_auc(own)}"] if own else []
        yield (
            f"Membership: which {of} were tuned on is told with AUC {_auc(best)} by log p tuned − base ({best.members} "
            f"against {best.others}; chance 0.5){'; ' * bool(beside)}{', '.join(beside)}: "
            f"{_judged(best, own, without)}."
        )


def _auc(one: Auc | Blind) -> str:
    return say.ends(one.auc, one.low, one.high)


def _judged(best: Auc, own: Auc | None, without: Blind | None) -> str:
    if (without is not None and without.low > 0.5) or (own is not None and (own.low > 0.5 or own.high < 0.5)):
        return "the two parts differ without any tuning, so this is no evidence of it by itself"
    if min(best.members, best.others) < say.FEW:
        return "too few texts to say more"
    if best.low > 0.5:
        return "more than chance"
    return "less than chance" if best.high < 0.5 else "no difference from chance that these texts can show"


def _removal(report: HoldoutReport) -> Iterator[str]:
    """Knowledge lost by a model retuned without some sections: the one claim of a cause."""
    gone = report.removal
    if gone is None:
        return
    full, again = (_of(gone.quantities, "accuracy", "removed", model) for model in ("full", "retrained"))
    if full is None or again is None:
        return
    judged = "what is lost was caused by those sections and their questions"
    if min(full.groups, again.groups) < say.FEW:
        judged = "too few questions to say more"
    elif again.high >= full.low:
        judged = "the intervals overlap, so no loss is shown"
    yield (
        f"Tuned again without {say.count(len(gone.sections), 'section')}, the model answers {_ends(again)} of "
        f"{say.count(again.n, 'question')} about them rightly, the full one {_ends(full)}: {judged}."
    )


def _parts_tables(report: HoldoutReport) -> list[str]:
    parts = dict.fromkeys((q.part, q.kind) for q in report.quantities if q.part in PARTS)
    rows, gaps = [], []
    for part, kind in parts:
        for measure, unit in _GIVEN:
            rows += _cells(report, measure, part, f"{part}{'' if kind == 'all' else f', {kind}'}: {unit}", kind)
    for gap in (GAP, REPHRASED_GAP):
        for measure, unit in _GIVEN:
            q = report.quantity(measure, gap, "difference")
            if q is not None:
                p = f"{q.p:.2g}" if math.isfinite(q.p) else say.NONE
                gaps.append((f"{gap}: {unit}", str(q.n), _ends(q, signed=True), p))
    return [
        *md.table("Holdout, by part", ("part", *say.DIFFERENCE), rows),
        *md.table("Gaps of tuned − base", ("gap", "n", "difference", "p (permutation)"), gaps),
    ]


def _membership_table(report: HoldoutReport) -> list[str]:
    scores: list[Auc | Blind] = [*report.membership, *report.blind]
    sizes = {one.of: f"{one.of} ({one.members} tuned-on, {one.others} held-out)" for one in scores}
    cells: dict[str, dict[str, str]] = {}
    for one in scores:
        name = one.score if isinstance(one, Auc) else "texts alone, no model"
        cells.setdefault(name, {})[one.of] = f"{_auc(one)}{say.with_p(one.p)}"
    rows = [(name, *(row.get(of, say.NONE) for of in sizes)) for name, row in cells.items()]
    return md.table("Membership, AUC; chance is 0.5", ("score", *sizes.values()), rows)


def _removal_table(report: HoldoutReport) -> list[str]:
    removal = report.removal
    if removal is None:
        return []
    models = ("base", "full", "retrained")
    rows = []
    for part in ("removed", "retained"):
        for measure, unit in _GIVEN:
            found = [_of(removal.quantities, measure, part, model) for model in models]
            if any(found):
                rows.append((f"{part}: {unit}", *(_ends(q) if q else say.NONE for q in found)))
    quality = {q.model: f"{q.p:.2g}" for q in removal.quality}
    name = "forget quality: p of the KS test against retrained"
    rows.append((name, *(quality.get(model, say.NONE) for model in models)))
    return md.table(f"Without {say.count(len(removal.sections), 'section')}", ("measure", *models), rows)


def _foundation(rows: Sequence[HoldoutRow]) -> list[say.Answered]:
    """Foundation questions that both models answered."""
    by_side = {side: {row.id: row for row in rows if row.side == side} for side in ("base", "tuned")}
    answers = []
    for id_, base in by_side["base"].items():
        tuned = by_side["tuned"].get(id_)
        if tuned is not None and base.accuracy is not None and tuned.accuracy is not None:
            answers.append(
                say.Answered(
                    base.question, base.answer, base.reply, tuned.reply, base.accuracy >= 0.5, tuned.accuracy >= 0.5
                )
            )
    return answers


def _forgotten(report: HoldoutReport, answers: Sequence[say.Answered]) -> list[str]:
    row = _cells(report, "accuracy", "general", "general: right answers")
    return [
        *md.sentences([say.lost_and_won(answers)]),
        *md.table("Foundation questions, right answers before and after", ("questions", *say.DIFFERENCE), row),
        *say.lost_table(answers),
    ]


def _controls(report: HoldoutReport) -> list[str]:
    rows = []
    for best in (auc for auc in report.membership if auc.score == "reference"):
        beside: list[tuple[str, Auc | Blind]] = []
        beside += [("the texts alone", seen) for seen in report.blind if seen.of == best.of]
        beside += [("base's own loss", auc) for auc in report.membership if (auc.of, auc.score) == (best.of, CONTROL)]
        rows += [(f"membership of {best.of}, AUC", name, _auc(best), _auc(one)) for name, one in beside]
    return say.controls_table("of membership", rows)


def _of(quantities: Sequence[HoldoutQuantity], measure: str, part: str, side: str) -> HoldoutQuantity | None:
    return next((q for q in quantities if (q.measure, q.part, q.side, q.kind) == (measure, part, side, "all")), None)


def _base_to_tuned(report: HoldoutReport, measure: str, part: str, kind: str) -> str:
    base, tuned = (report.quantity(measure, part, side, kind) for side in ("base", "tuned"))
    return f"{number(base.value)} → {number(tuned.value)}" if base is not None and tuned is not None else ""
