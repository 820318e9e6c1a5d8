"""Terminal table, files and report chapter of ``attrib assess consistency``.

Files: ``consistency.json`` (everything), ``consistency.csv`` (the summary, one row a quantity and kind),
``consistency.parquet`` (one row a question and side: id, kind, fact, question, answer, side, greedy and every quantity
of QUANTITIES; those of the pair stand with tuned), ``consistency_answers.parquet`` and ``answers.jsonl`` (one row a
question, side and sample: text, cluster, log p …; sample −1 is the greedy answer, which has no cluster),
``consistency.md``, figure and caption.
Texts of questions, answers and documents are data: in Markdown they cannot act as a mark, a tag or a link.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from attrib.assess import markdown as md
from attrib.assess import sentences as say
from attrib.assess.answering import SIDES, Side
from attrib.assess.consistency.draw import consistency_caption, consistency_figure
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
from attrib.render.blocks import grid
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

    table = grid(("", "base", "tuned", "tuned − base"), no_wrap=True)
    for row in (report.row(name) for name in SHOWN):
        table.add_row(TITLES[row.quantity], *_cells(row))
    console.print(table, highlight=False)
    kinds = [kind for kind in report.kinds if kind != ALL]
    if kinds:
        console.print()
        heads = ("kind", "n", "semantic entropy", "agreement", "novel", "control", "same meaning")
        table = grid(heads, no_wrap=True)
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
    options = report.options
    sampling = (
        f"; {options['samples']} samples each at temperature {options['temperature']:g}, seed {options['seed']}"
        if options
        else ""
    )
    return f"{len(report.rows)} questions{sampling}; 95% bootstrap intervals over facts"


def _cells(row: SummaryRow) -> tuple[str, str, str]:
    return (
        interval(row.base, row.base_low, row.base_high) if row.quantity in OF_EACH else "",
        interval(row.tuned, row.tuned_low, row.tuned_high),
        interval(row.difference, row.low, row.high) if row.quantity in OF_EACH else "",
    )


_LEGEND = (
    md.mark("underlined", "new"), " in no answer of the base and in the documents, ",
    md.mark("in italics", "made-up"), " in neither.",
)  # fmt: skip


def marked(row: QuestionRow) -> str:
    """The tuned answer as Markdown with its new terms marked."""
    text, parts, at = row.tuned.greedy.text, list[str](), 0
    spans = sorted((start, end, term.held_by > 0) for term in row.new_terms for start, end in term.spans)
    for start, end, held in spans:
        if at <= start < end:
            parts += [md.mark(text[at:start]), md.mark(text[start:end], "new" if held else "made-up")]
            at = end
    return "".join([*parts, md.mark(text[at:])]).strip() or md.answer("")


def _places(term: NewTerm) -> str:
    """The sections that hold a term."""
    places = "; ".join(md.escape(say.place(one.title, one.document, one.lines)) for one in term.sections)
    more = term.held_by - len(term.sections)
    return f"{places} and {more} more" if more > 0 else places


def consistency_markdown(report: ConsistencyReport) -> str:
    """The summary, then for each question the two answers side by side, new terms marked, with their sections."""
    cells = [[md.escape(cell) for cell in (TITLES[name].strip(), *_cells(report.row(name)))] for name in SHOWN]
    blocks = [
        "# Consistency of base and tuned",
        md.paragraph(_about(report), "."),
        md.grid(("", "base", "tuned", "tuned − base"), cells),
        "\n".join(f"- {md.escape(note)}" for note in report.notes),
        "## Answers",
        md.paragraph("Terms of the tuned answer: ", *_LEGEND),
        *(block for row in report.rows for block in _question(row)),
    ]
    return f"{md.to_markdown(blocks)}\n"


def _question(row: QuestionRow) -> Iterator[str]:
    kind = f" ({md.one_line(row.kind)})" if row.kind else ""
    yield f"### Question {md.one_line(row.id)}{kind}"
    yield f"Asked: {md.escape(row.question)}"
    if row.answer is not None:
        yield f"Right: {md.escape(row.answer)}"
    answers = [md.escape(row.base.greedy.text), marked(row)]
    yield md.grid(("base", "tuned"), [answers, [_meanings(row.by_side(side)) for side in SIDES]], texts=2)
    lines = [f"- {md.mark(term.term, 'strong')}: {_places(term)}" for term in row.new_terms if term.held_by]
    if row.dropped_terms:
        lines.append(f"- dropped: {md.escape(', '.join(row.dropped_terms))}")
    if lines:
        yield "\n".join(lines)


def _meanings(answers: Answers) -> str:
    """Meanings of the samples, the commonest first, each in its first wording."""
    counts: dict[int, int] = {}
    first: dict[int, str] = {}
    for reply, cluster in zip(answers.samples, answers.clusters, strict=True):
        counts[cluster] = counts.get(cluster, 0) + 1
        first.setdefault(cluster, " ".join(reply.text.split()))
    ordered = sorted(counts, key=lambda cluster: (-counts[cluster], cluster))
    lines = []
    for cluster in ordered:
        text = first[cluster]
        lines.append(f"{counts[cluster]} × {md.escape(text[:100]) or '(blank)'}{'…' if len(text) > 100 else ''}")
    return f"sampled: {md.lines(lines)}"


# ------------------------------------------------------------------------------------------- the report's chapter

SIGNS = ("novel", "novel_control", "made_up", "dropped", "semantic_entropy", "agreement", "kl_mean", "same_meaning")
"""Quantities of the report's table."""


def chapter(report: ConsistencyReport, page: say.Surroundings) -> say.Chapter:
    """New terms beside their control, agreement of rephrasings, and answers side by side."""
    rows = [row for row in report.summary if row.kind == ALL]
    by_name = {row.quantity: row for row in rows}
    novel, control = by_name.get("novel"), by_name.get("novel_control")
    new = list(_novelty(novel, control)) if novel and control and math.isfinite(novel.tuned) else []
    signs = [_sign(by_name[name]) for name in SIGNS if name in by_name]
    agree = by_name.get("rephrasings")
    return say.Chapter(
        abstract=tuple(new),
        learned=(
            *md.sentences(new),
            *md.table("Signs of learning", ("quantity", *say.DIFFERENCE), signs),
            *page.figure,
            *say.caveats(NAME, report.notes),
        ),
        generalises=tuple(md.sentences(list(_rephrasings(agree)) if agree and agree.n else [])),
        rests_on=tuple(_side_by_side(report)),
        trust=tuple(_controls(novel, control)) if new and novel and control else (),
    )


def _novelty(novel: SummaryRow, control: SummaryRow) -> Iterator[str]:
    judged = "no more than that can be shown"
    if novel.facts < say.FEW:
        judged = "too few questions to say more"
    elif novel.tuned_low > control.tuned_high:
        judged = "more than control texts hold"
    yield (
        f"Of the terms in a tuned answer, {say.ends(novel.tuned, novel.tuned_low, novel.tuned_high)} are in no answer "
        "of the base but in the documents; control texts hold "
        f"{say.ends(control.tuned, control.tuned_low, control.tuned_high)}: {judged}."
    )


def _sign(row: SummaryRow) -> tuple[str, ...]:
    both = row.quantity in OF_EACH
    control = " (control for the row above)" if row.quantity == "novel_control" else ""
    return (
        TITLES.get(row.quantity, row.quantity).strip() + control,
        str(row.n),
        say.ends(row.base, row.base_low, row.base_high) if both else say.NONE,
        say.ends(row.tuned, row.tuned_low, row.tuned_high),
        say.ends(row.difference, row.low, row.high, signed=True) if both else say.NONE,
    )


def _rephrasings(row: SummaryRow) -> Iterator[str]:
    agree = say.change(say.Estimate(row.difference, row.low, row.high, row.n, row.facts))
    yield (
        f"Answers to differently worded questions about one fact agree in {say.number(row.base)} (base) and "
        f"{say.number(row.tuned)} (tuned) of the pairs: {agree}; agreeing is not being right."
    )


def _controls(novel: SummaryRow, control: SummaryRow) -> list[str]:
    claim = ("new terms are those of the documents", say.ends(novel.tuned, novel.tuned_low, novel.tuned_high))
    controls = (
        ("control texts in their place", say.ends(control.tuned, control.tuned_low, control.tuned_high)),
        ("the base's samples against its other answers", say.ends(novel.base, novel.base_low, novel.base_high)),
    )
    return say.controls_table("of new terms", [(claim[0], name, claim[1], shown) for name, shown in controls])


def _side_by_side(report: ConsistencyReport) -> Iterator[str]:
    rows = [row for row in report.rows if row.new_terms]
    if not rows:
        yield from md.sentences(["No tuned answer has a term that the base's answers lack."])
        return
    yield md.paragraph(
        "Answers of base and tuned side by side, the first of each kind in turn that have new terms: ",
        *_LEGEND,
        " That the documents hold a term does not say that it was learned from them.",
    )
    for row in say.in_turn(rows, lambda row: row.kind, say.EXAMPLES):
        entries = [("base says", md.answer(row.base.greedy.text)), ("tuned says", marked(row))]
        if row.answer is not None:
            entries.append(("right", md.escape(row.answer)))
        entries += [(term.term, _places(term)) for term in row.new_terms if term.held_by and term.sections]
        yield md.example(f"{row.kind}: {row.question}" if row.kind else row.question, entries)


TITLES = {
    "semantic_entropy": "semantic entropy, nats",
    "agreement": "agreement of samples",
    "with_greedy": "samples like the greedy answer",
    "rephrasings": "agreement of rephrasings",
    "novel": "novel terms from the documents",
    "novel_control": "  the same from control texts",
    "made_up": "novel terms in no document",
    "dropped": "terms of base dropped",
    "same_meaning": "base and tuned mean the same",
    "rouge_l": "ROUGE-L of base and tuned",
    "bertscore": "BERTScore of base and tuned",
    "kl_mean": "KL tuned ‖ base, nats per token",
}
