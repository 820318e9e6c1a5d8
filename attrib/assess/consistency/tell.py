"""Table, files and sentences of ``attrib assess consistency``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from attrib.assess.answering import SIDES, Side
from attrib.assess.consistency.draw import TITLES, _options, consistency_caption, consistency_figure
from attrib.assess.consistency.records import (
    ALL,
    OF_EACH,
    QUANTITIES,
    Answers,
    ConsistencyReport,
    NewTerm,
    QuestionRow,
    SummaryRow,
)
from attrib.assess.stored import report_bytes
from attrib.render import figures as draw
from attrib.render.tables import flat, interval, jsonl_bytes, number, write_files
from attrib.render.view import visible

if TYPE_CHECKING:
    from rich.console import Console


NAME = ConsistencyReport.NAME
SHOWN = (
    "semantic_entropy", "agreement", "with_greedy", "rephrasings", "novel", "novel_control", "made_up", "dropped",
    "same_meaning", "rouge_l", "bertscore", "kl_mean",
)  # fmt: skip
"""Quantities of the terminal's and the page's table."""


@dataclass(frozen=True)
class SideRow:
    """One question under one model: its greedy answer and every quantity."""

    id: str
    kind: str
    fact: str
    question: str
    answer: str | None
    side: Side
    greedy: str
    values: Mapping[str, float]
    new_terms: str
    """Terms of the tuned answer, with | between them."""
    dropped_terms: str


@dataclass(frozen=True)
class SampledAnswer:
    """One answer of one model to one question."""

    id: str
    kind: str
    question: str
    answer: str | None
    side: Side
    sample: int
    """−1: the greedy one."""
    text: str
    cluster: int | None
    logprob: float
    tokens: int
    ended: bool


def write_consistency(report: ConsistencyReport, folder: Path, formats: Sequence[str], preset: str) -> list[str]:
    """Report (JSON), summary (CSV), questions and answers (Parquet, JSON lines), figure, caption and a Markdown page
    with the answers side by side; every file is whole or absent. Returns the paths.
    """
    answers = flat(SampledAnswer, list(_sampled_answers(report)))
    figure, caption = consistency_figure(report, preset=preset), consistency_caption(report)
    files = {
        f"{NAME}.json": report_bytes(report),
        f"{NAME}.csv": flat(SummaryRow, report.summary).csv(),
        f"{NAME}.parquet": flat(SideRow, list(_side_rows(report))).parquet(),
        f"{NAME}_answers.parquet": answers.parquet(),
        "answers.jsonl": jsonl_bytes(answers.rows),
        f"{NAME}.md": consistency_markdown(report).encode("utf-8", "replace"),
        **draw.drawn(NAME, figure, caption, formats, preset=preset),
    }
    return write_files(folder, files)


def _side_rows(report: ConsistencyReport) -> Iterator[SideRow]:
    for row in report.rows:
        for side in SIDES:
            new = "|".join(term.term for term in row.new_terms) if side == "tuned" else ""
            dropped = "|".join(row.dropped_terms) if side == "base" else ""
            values = {name: row.of(name, side) for name in QUANTITIES}
            greedy = row.by_side(side).greedy.text
            yield SideRow(
                row.id, row.kind, row.fact, row.question, row.answer, side, greedy, values, new, dropped
            )  # fmt: skip


def _sampled_answers(report: ConsistencyReport) -> Iterator[SampledAnswer]:
    for row in report.rows:
        for side in SIDES:
            answers = row.by_side(side)
            clusters: tuple[int | None, ...] = (None, *answers.clusters)
            replies = (answers.greedy, *answers.samples)
            for sample, (cluster, reply) in enumerate(zip(clusters, replies, strict=True), -1):
                yield SampledAnswer(
                    row.id, row.kind, row.question, row.answer, side, sample, reply.text, cluster, reply.logprob,
                    reply.tokens, reply.ended,
                )  # fmt: skip


def consistency_table(report: ConsistencyReport, console: Console) -> None:
    """Print the quantities over all questions, base beside tuned, then the leading ones by kind, then notes."""
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    table.add_column("")
    for head in ("base", "tuned", "tuned − base"):
        table.add_column(head, justify="right", no_wrap=True)
    for row in (report.row(name) for name in SHOWN):
        table.add_row(TITLES[row.quantity], *_cells(row))
    console.print(table, highlight=False)
    kinds = [kind for kind in report.kinds if kind != ALL]
    if kinds:
        console.print()
        table = Table(box=None, pad_edge=False)
        heads = ("kind", "n", "semantic entropy", "agreement", "novel", "control", "same meaning")
        for head in heads:
            table.add_column(head, justify="left" if head == "kind" else "right", no_wrap=True)
        for kind in kinds:
            both = [
                f"{number(row.base)} → {number(row.tuned)}"
                for row in (report.row(name, kind) for name in ("semantic_entropy", "agreement"))
            ]
            one = [number(report.row(name, kind).tuned) for name in ("novel", "novel_control", "same_meaning")]
            n = sum(r.kind == kind or (kind == "none" and not r.kind) for r in report.rows)
            table.add_row(escape(visible(kind)), str(n), *both, *one)
        console.print(table, highlight=False)
    console.print()
    console.print(_about(report), style="dim", highlight=False, markup=False)
    for note in report.notes:
        console.print(visible(note), style="dim", highlight=False, markup=False)


def _about(report: ConsistencyReport) -> str:
    options = _options(report)
    asked = (
        f"; {options['samples']} samples each at temperature {options['temperature']:g}, seed {options['seed']}"
        if options
        else ""
    )
    return f"{len(report.rows)} questions{asked}; 95% bootstrap intervals over facts"


def _cells(row: SummaryRow) -> tuple[str, str, str]:
    return (
        interval(row.base, row.base_low, row.base_high) if row.quantity in OF_EACH else "",
        interval(row.tuned, row.tuned_low, row.tuned_high),
        interval(row.difference, row.low, row.high) if row.quantity in OF_EACH else "",
    )


_ACTING = re.compile(r"([\\`*_\[\]|~$^#])")


_LINKS = re.compile(r"(?i)(?<=http)(?=s?://)|(?<=www)(?=\.)|(?<=ftp)(?=://)|(?<=mailto)(?=:)|(?<=xmpp)(?=:)")


def escape_markdown(text: str) -> str:
    """Text inside a paragraph or a table's cell of Markdown, none of which acts as a mark, tag, entity or link."""
    shown = visible(text, keep="\n\t").replace("\t", " ")
    # A comment that shows nothing keeps addresses from becoming links.
    parts = [part.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;") for part in _LINKS.split(shown)]
    plain = "<!-- -->".join(_ACTING.sub(r"\\\1", part).replace("@", "&#64;") for part in parts)
    return re.sub(r" *\n *", "<br>", plain.strip())


def marked(text: str, terms: Sequence[NewTerm]) -> str:
    """An answer for Markdown with its new terms in bold (in the documents) or italics (in none of them)."""
    spans = sorted((start, end, bool(term.held_by)) for term in terms for start, end in term.spans)
    parts, at = [], 0
    for start, end, held in spans:
        mark = "**" if held else "*"
        parts += [_inner(text[at:start]), f"{mark}{_inner(text[start:end])}{mark}"]
        at = end
    return "".join([*parts, _inner(text[at:])]).strip()


def _inner(text: str) -> str:
    """Escaped, with the blanks at its ends that ``escape_markdown`` takes away."""
    lead, trail = text[: len(text) - len(text.lstrip())], text[len(text.rstrip()) :] if text.strip() else ""
    return "".join(
        escape_markdown(part) if part.strip() else "<br>" if "\n" in part else " " if part else ""
        for part in (lead, text.strip(), trail)
    )


def consistency_markdown(report: ConsistencyReport) -> str:
    """The summary, then for each question the two answers side by side, new terms marked, with their sections."""
    lines = [
        "# Consistency of base and tuned",
        "",
        f"{_about(report)}.",
        "",
        "| | base | tuned | tuned − base |",
        "|---|--:|--:|--:|",
        *(
            f"| {' | '.join(map(escape_markdown, (TITLES[name].strip(), *_cells(report.row(name)))))} |"
            for name in SHOWN
        ),
        "",
        *(f"- {escape_markdown(note)}" for note in report.notes),
        "",
        "## Answers",
        "",
        "**Bold**: terms that no answer of the base has and the documents have. *Italics*: terms that neither has.",
        "",
    ]
    for row in report.rows:
        lines += [*_question(row), ""]
    return "\n".join(lines)


def _question(row: QuestionRow) -> Iterator[str]:
    kind = f" ({escape_markdown(row.kind)})" if row.kind else ""
    yield f"### Question {escape_markdown(row.id)}{kind}"
    yield ""
    yield f"Asked: {escape_markdown(row.question)}"
    if row.answer is not None:
        yield ""
        yield f"Right: {escape_markdown(row.answer)}"
    yield ""
    yield "| base | tuned |"
    yield "|---|---|"
    yield f"| {escape_markdown(row.base.greedy.text)} | {marked(row.tuned.greedy.text, row.new_terms)} |"
    yield f"| {' | '.join(_meanings(row.by_side(side)) for side in SIDES)} |"
    yield ""
    for term in row.new_terms:
        if term.held_by:
            titles = "; ".join(
                escape_markdown(f"{one.title} ({one.document}, {one.lines})".replace("\n", " "))
                for one in term.sections
            )
            held = f" and {term.held_by - len(term.sections)} more" if term.held_by > len(term.sections) else ""
            yield f"- **{escape_markdown(term.term)}**: {titles}{held}"
    if row.dropped_terms:
        yield f"- dropped: {escape_markdown(', '.join(row.dropped_terms))}"


def _meanings(answers: Answers) -> str:
    """What the samples said, the commonest meaning first, each with its first wording."""
    counts: dict[int, int] = {}
    first: dict[int, str] = {}
    for reply, cluster in zip(answers.samples, answers.clusters, strict=True):
        counts[cluster] = counts.get(cluster, 0) + 1
        first.setdefault(cluster, " ".join(reply.text.split()))
    ordered = sorted(counts, key=lambda cluster: (-counts[cluster], cluster))
    said = (
        f"{counts[cluster]} × {escape_markdown(first[cluster][:100]) or '(blank)'}{'…' * (len(first[cluster]) > 100)}"
        for cluster in ordered
    )
    return f"sampled: {'<br>'.join(said)}"
