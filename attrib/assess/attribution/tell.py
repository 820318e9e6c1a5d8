"""Terminal table, files and report chapter of ``attrib assess attribution``.

``attribution.parquet`` has one row a question; ``attribution.csv`` one a kind of question.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from attrib.assess import markdown as md
from attrib.assess import sentences as say
from attrib.assess.attribution.draw import _name, verdicts_caption, verdicts_figure
from attrib.assess.attribution.run import (
    HELD_OUT,
    SECTIONS,
    AttributionReport,
    AttributionRow,
    AttributionSummary,
    Backing,
    JudgedToken,
)
from attrib.assess.stored import report_bytes
from attrib.records import CALLS, AnswerSource, Called, Explanation
from attrib.render import figures as draw
from attrib.render import view
from attrib.render.blocks import grid, text_of
from attrib.render.tables import flat, number, write_files

if TYPE_CHECKING:
    from rich.console import Console

NAME = AttributionReport.NAME


def write_verdicts(report: AttributionReport, folder: Path, formats: Sequence[str], preset: str) -> list[str]:
    """JSON, summary (CSV), rows (Parquet), figure and caption; every file is whole or absent."""
    files = {
        f"{NAME}.json": report_bytes(report),
        f"{NAME}.csv": flat(AttributionSummary, report.summary).csv(),
        f"{NAME}.parquet": flat(AttributionRow, report.rows, "section_ids").parquet(),
        **draw.drawn(NAME, verdicts_figure(report, preset=preset), verdicts_caption(report), formats, preset=preset),
    }
    return write_files(folder, files)


def verdicts_table(report: AttributionReport, console: Console) -> None:
    """One line a kind of question; then what comes first, and the notes."""
    tops = list(dict.fromkeys(name for one in report.summary for name in one.gold_top1 or ()))
    table = grid(("answers to", "n", "right", *CALLS, *(f"gold first: {name}" for name in tops)))
    for one in report.summary:
        gold = [number((one.gold_top1 or {}).get(name), none="") for name in tops]
        table.add_row(*map(text_of, (_name(one), str(one.n), number(one.right, none=""), *_shares(one), *gold)))
    console.print(table)
    console.print(
        "share of answers by verdict, 95% bootstrap intervals over questions; gold first: the right "
        "section is ranked first by the verdict and by scores that know nothing of the models",
        style="dim",
    )
    console.print(text_of(f"{view.promise_line(report.promise)}.", "dim"))
    for note in report.notes:
        console.print(text_of(f"note: {note}", "dim"))


# ------------------------------------------------------------------------------------------- the report's chapter

LISTED = 10
"""At most so many sections in the report's table."""
MAPPERS = {"verdict": "by the verdict", "bm25": "by BM25", "embedding": "by sentence embeddings"}
"""The verdict, then the baselines that use texts alone."""


def chapter(report: AttributionReport, page: say.Surroundings) -> say.Chapter:
    """The answers by verdict, the sections behind them, and examples."""
    verdicts = [_verdicts(report.summary[-1])] if report.summary else []
    gold = [*_gold(report.summary[-1])] if report.summary else []
    caution = (
        "A verdict is a calibrated judgement: a section says the same as the answer, and its own text became more "
        "probable by tuning. That a section caused an answer only retraining without it can show."
    )
    heads = ("answers to", "n", "right", *CALLS, "nothing said")
    rows = [
        (one.kind, str(one.n), say.number(one.right), *_shares(one), say.number(one.silent)) for one in report.summary
    ]
    return say.Chapter(
        abstract=tuple(verdicts),
        rests_on=(
            *md.sentences([*verdicts, *gold]),
            *md.sentences([caution, f"{view.promise_line(report.promise)}."]),
            *page.figure,
            *md.table("Answers by verdict", heads, rows),
            *_gold_table(report.summary),
            *_sections_table(report.rows),
            *examples(page.explanations, report.rows),
            *say.caveats(NAME, report.notes),
        ),
    )


def _verdicts(one: AttributionSummary) -> str:
    documents, base, neither, unsure = _shares(one)
    return (
        f"Of {say.count(one.n, 'answer')} of the tuned model, the verdict calls {documents} documents, {base} base, "
        f"{neither} neither, and cannot tell {unsure}."
    )


def _shares(one: AttributionSummary) -> tuple[str, str, str, str]:
    """Share of answers by verdict, as CALLS."""
    return (
        say.ends(one.documents, one.documents_low, one.documents_high),
        say.ends(one.base, one.base_low, one.base_high),
        say.ends(one.neither, one.neither_low, one.neither_high),
        say.ends(one.cannot_tell, one.cannot_tell_low, one.cannot_tell_high),
    )


def _gold(one: AttributionSummary) -> Iterator[str]:
    """How often the section that a question was made from comes first, beside what resemblance alone finds."""
    # Held-out questions have a decoy for it, which should not be named.
    if not one.gold_top1 or one.kind == HELD_OUT:
        return
    named = [name for name in MAPPERS if name in one.gold_top1]
    shares = ", ".join(f"{say.number(one.gold_top1[name])} {MAPPERS[name]}" for name in named)
    blind = "; all but the verdict know nothing of the models: so much is found by resemblance alone"
    yield (
        f"The section that a question was made from comes first in {shares}{blind if len(named) > 1 else ''}."
    )  # fmt: skip


def _gold_table(summary: Sequence[AttributionSummary]) -> list[str]:
    names = [name for name in MAPPERS if any(name in (one.gold_top1 or ()) for one in summary)]
    rows = []
    for one in summary:
        if one.gold_top1 is not None:
            decoy = " (a decoy: the verdict should not name it)" if one.kind == HELD_OUT else ""
            rows.append((f"{one.kind}{decoy}", *(say.number(one.gold_top1.get(name)) for name in names)))
    heads = ("answers to", *(MAPPERS[name] for name in names))
    return md.table("How often the question's own section comes first", heads, rows)


def _sections_table(rows: Sequence[AttributionRow]) -> list[str]:
    behind = [row.sections for row in rows if row.label == "documents"]
    first = Counter(sections[0].id for sections in behind if sections)
    among = Counter(id_ for sections in behind for id_ in {one.id for one in sections})
    # The first of its kind: a section may have been scored several times.
    place = {one.id: one for sections in reversed(behind) for one in reversed(sections)}
    order = sorted(place, key=lambda id_: (-first[id_], -among[id_], place[id_].document, place[id_].lines, id_))
    cells = []
    for one in (place[id_] for id_ in order[:LISTED] if first[id_]):
        where = f"{one.document}, {one.lines}"
        counts = str(first[one.id]), str(among[one.id])
        cells.append((" ".join(one.title.split()), where, *counts, say.number(one.learned)))
    heads = ("section", "where", "best for", f"among the best {SECTIONS} for", "learned (0 to 1)")
    return md.table("Sections most often behind answers called documents", heads, cells, texts=2)


def examples(explanations: Sequence[Explanation], rows: Sequence[AttributionRow]) -> list[str]:
    """Answers with their words coloured by verdict: stored explanations first, then the first of each kind in turn."""
    made = [_stored_example(one) for one in explanations[: say.EXAMPLES]]
    chosen = say.in_turn([row for row in rows if row.tokens], lambda row: row.kind, say.EXAMPLES - len(made))
    made += [
        _example(
            f"{row.kind}: {row.question}" if row.kind else row.question,
            row.tokens,
            ExampleAnswer("tuned", row.base_answer, row.right_answer, row.headline or row.label, row.sentence),
            row.sections,
        )
        for row in chosen
    ]  # fmt: skip
    legend = md.paragraph(
        "The answer's words by verdict: ",
        md.mark("documents", "documents"), " a section says the same and was itself learned; ",
        md.mark("base", "base"), " the base says it by itself; ",
        md.mark("neither", "neither"), " neither of the two; ",
        md.mark("cannot tell", "cannot tell"), " the evidence is too weak.",
    )  # fmt: skip
    order = "The first answers of each kind in turn, chosen by their order alone."
    return [legend, *md.sentences([order]), *made] if made else []


def _stored_example(record: Explanation) -> str:
    verdict = record.verdict
    labelled = zip(record.answer_tokens, view.token_calls(record), verdict.tokens, strict=True)
    tokens = [JudgedToken(token.text, label, float(p.max())) for token, label, p in labelled]
    sections = []
    found = view.headline(record)
    for i in view.section_order(record)[:SECTIONS]:
        one = record.sections[i]
        sections.append(Backing(one.id, one.title, one.document, one.lines, float(verdict.learned[i])))
    title = f"stored explanation: {record.question}"
    told = ExampleAnswer(record.answer_source, record.base_answer, None, found.called, found.sentence)
    return _example(title, tokens, told, sections)


@dataclass(frozen=True)
class ExampleAnswer:
    """What stands beside the answer of an example."""

    source: AnswerSource
    base_answer: str
    right_answer: str | None
    verdict: str
    """The headline; empty where nothing was said."""
    sentence: str = ""


SAYS: dict[AnswerSource, str] = {"tuned": "tuned says", "base": "base says", "given": "given answer"}


def _example(title: str, tokens: Sequence[JudgedToken], told: ExampleAnswer, sections: Sequence[Backing]) -> str:
    entries = [(SAYS[told.source], judged(tokens))]
    if told.source != "base":
        entries.append(("base says", md.answer(told.base_answer)))
    if told.right_answer is not None:
        entries.append(("right", md.escape(told.right_answer)))
    entries.append(("verdict", told.verdict or "nothing said"))
    if told.sentence:
        entries.append(("where from", md.escape(told.sentence)))
    # Sections outside the verdict's evidence are only similar.
    name = "section" if told.verdict in ("documents", "mixed") else "nearest"
    for i, one in enumerate(sections, 1):
        where = say.place(one.title, one.document, one.lines)
        entries.append((f"{name} {i}", md.escape(f"{where}, learned {say.number(one.learned)}")))
    return md.example(title, entries)


def judged(tokens: Sequence[JudgedToken]) -> str:
    """The tokens as Markdown, neighbours of one verdict under one mark, blanks outside the marks."""
    runs: list[tuple[str, Called]] = []
    for token in tokens:
        if runs and (runs[-1][1] == token.verdict or not token.text.strip()):
            runs[-1] = (runs[-1][0] + token.text, runs[-1][1])
        else:
            runs.append((token.text, token.verdict))
    return "".join(md.mark(text, verdict) for text, verdict in runs).strip() or md.answer("")
