"""Table, files and sentences of ``attrib assess consistency``."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrib.assess.answering import SIDES, Reply
from attrib.assess.consistency.draw import TITLES, _options, consistency_caption, consistency_figure
from attrib.assess.consistency.records import (
    ALL,
    NAME,
    OF_EACH,
    QUANTITIES,
    Answers,
    ConsistencyReport,
    NewTerm,
    QuestionRow,
    SummaryRow,
)
from attrib.render import figures as draw
from attrib.render.tables import csv_bytes, interval, json_bytes, jsonl_bytes, number, parquet_bytes, write_files
from attrib.render.view import visible

if TYPE_CHECKING:
    from rich.console import Console


SCHEMA = 1


SHOWN = (
    "semantic_entropy", "agreement", "with_greedy", "rephrasings", "novel", "novel_control", "made_up", "dropped",
    "same_meaning", "rouge_l", "bertscore", "kl_mean",
)  # fmt: skip
"""Quantities of the terminal's and the page's table."""


_DIGITS = 6
"""Decimal places in files: the last bits of sums are no facts."""


def write_consistency(report: ConsistencyReport, folder: Path, formats: Sequence[str], preset: str) -> list[str]:
    """Everything that the module's text names; every file is whole or absent. Returns the paths."""
    names = [*SummaryRow.__dataclass_fields__]
    answers = list(answer_rows(report))
    files = {
        f"{NAME}.json": json_bytes(consistency_dict(report)),
        f"{NAME}.csv": csv_bytes([{n: _plain(getattr(row, n)) for n in names} for row in report.summary], names),
        f"{NAME}.parquet": _parquet(list(question_rows(report))),
        f"{NAME}_answers.parquet": _parquet(answers),
        "answers.jsonl": jsonl_bytes(answers),
        f"{NAME}.md": consistency_markdown(report).encode("utf-8", "replace"),
        **draw.drawn(
            NAME, consistency_figure(report, preset=preset), consistency_caption(report), formats, preset=preset
        ),
    }
    return write_files(folder, files)


def consistency_dict(report: ConsistencyReport) -> dict[str, Any]:
    """The report as one JSON object; null where there was nothing to measure."""
    return {
        "assessment": NAME,
        "schema": SCHEMA,
        "summary": {
            kind: {row.quantity: _summary_dict(row) for row in report.summary if row.kind == kind}
            for kind in report.kinds
        },
        "rows": [_row_dict(row) for row in report.rows],
        "notes": list(report.notes),
        "provenance": report.provenance,
    }


def _summary_dict(row: SummaryRow) -> dict[str, Any]:
    return {name: _plain(getattr(row, name)) for name in SummaryRow.__dataclass_fields__ if name != "kind"}


def _row_dict(row: QuestionRow) -> dict[str, Any]:
    return {
        "id": row.id,
        "question": row.question,
        "answer": row.answer,
        "kind": row.kind,
        "fact": row.fact,
        **{side: _answers_dict(getattr(row, side)) for side in SIDES},
        **{name: _plain(value) for name, value in row.values.items()},
        # The same key in every assessment: what to mark in the tuned answer.
        "spans": [[*span, term.term] for term in row.new_terms for span in term.spans],
        "new_terms": [
            {
                "term": term.term,
                "spans": [list(span) for span in term.spans],
                "held_by": term.held_by,
                "sections": [
                    {"id": one.id, "title": one.title, "document": one.document, "lines": one.lines}
                    for one in term.sections
                ],
            }
            for term in row.new_terms
        ],
        "dropped_terms": list(row.dropped_terms),
        "added": [list(span) for span in row.added],
        "removed": [list(span) for span in row.removed],
        "kl": [_plain(value) for value in row.kl],
        "kl_tokens": list(row.kl_tokens),
    }


def _answers_dict(answers: Answers) -> dict[str, Any]:
    return {
        "greedy": _reply_dict(answers.greedy),
        "samples": [
            {**_reply_dict(reply), "cluster": cluster}
            for reply, cluster in zip(answers.samples, answers.clusters, strict=True)
        ],
        **{name: _plain(value) for name, value in answers.values.items()},
    }


def _reply_dict(reply: Reply) -> dict[str, Any]:
    return {"text": reply.text, "logprob": _plain(reply.logprob), "tokens": reply.tokens, "ended": reply.ended}


def _plain(value: Any) -> Any:
    """A number as a file holds it: nothing but finite ones, the last bits rounded away."""
    if not isinstance(value, float):
        return value
    # + 0.0: no minus before a zero.
    return round(value, _DIGITS) + 0.0 if math.isfinite(value) else None


def question_rows(report: ConsistencyReport) -> Iterator[dict[str, Any]]:
    """One row a question and side: its words, the greedy answer and every quantity."""
    for row in report.rows:
        for side in SIDES:
            answers: Answers = getattr(row, side)
            yield {
                "id": row.id,
                "kind": row.kind,
                "fact": row.fact,
                "question": row.question,
                "answer": row.answer,
                "side": side,
                "greedy": answers.greedy.text,
                **{name: _plain(row.of(name, side)) for name in QUANTITIES},
                "new_terms": "|".join(term.term for term in row.new_terms) if side == "tuned" else "",
                "dropped_terms": "|".join(row.dropped_terms) if side == "base" else "",
            }


def answer_rows(report: ConsistencyReport) -> Iterator[dict[str, Any]]:
    """One row a question, side and answer; sample −1 is the greedy one."""
    for row in report.rows:
        for side in SIDES:
            answers: Answers = getattr(row, side)
            numbered = zip((-1, *range(len(answers.samples))), (answers.greedy, *answers.samples), strict=True)
            for sample, reply in numbered:
                yield {
                    "id": row.id,
                    "kind": row.kind,
                    "question": row.question,
                    "answer": row.answer,
                    "side": side,
                    "sample": sample,
                    "text": reply.text,
                    "cluster": answers.clusters[sample] if sample >= 0 else None,
                    "logprob": _plain(reply.logprob),
                    "tokens": reply.tokens,
                    "ended": reply.ended,
                }


_INTEGERS, _TEXTS = ("sample", "cluster", "tokens"), (
    "id", "kind", "fact", "question", "answer", "side", "greedy", "text", "new_terms", "dropped_terms",
)  # fmt: skip


def _parquet(rows: Sequence[dict[str, Any]]) -> bytes:
    def kind(name: str) -> str:
        if name in _INTEGERS:
            return "int64"
        return "string" if name in _TEXTS else "bool_" if name == "ended" else "float64"

    return parquet_bytes(rows, {name: kind(name) for name in rows[0]})


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
        _interval(row.base, row.base_low, row.base_high) if row.quantity in OF_EACH else "",
        _interval(row.tuned, row.tuned_low, row.tuned_high),
        _interval(row.difference, row.low, row.high) if row.quantity in OF_EACH else "",
    )


def _interval(value: float, low: float, high: float) -> str:
    return interval(value, low, high) if math.isfinite(value) else "none"


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
    yield f"| {' | '.join(_meanings(getattr(row, side)) for side in SIDES)} |"
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
