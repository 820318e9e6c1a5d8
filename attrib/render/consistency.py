"""Consistency report → tables, files, a figure, and a Markdown page with the answers side by side.

Files: ``consistency.json`` (everything), ``consistency.csv`` (the summary, one row a quantity and kind),
``consistency.parquet`` (one row a question and side: id, kind, fact, question, answer, side, greedy and every quantity
of QUANTITIES; those of the pair stand with tuned), ``consistency_answers.parquet`` and ``answers.jsonl`` (one row a
question, side and sample: text, cluster, log p …; sample −1 is the greedy answer, which has no cluster),
``consistency.md``, figure and caption.
Texts of questions, answers and documents are data: in Markdown nothing of them acts as a mark, a tag or a link.
Not covered: the page that joins this with other assessments.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrib.assess.answering import SIDES, Reply, Side
from attrib.assess.consistency import (
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
from attrib.render import panels
from attrib.render.figures.parts import own_axes
from attrib.render.figures.style import figure_of
from attrib.render.tables import csv_bytes, interval, json_bytes, jsonl_bytes, number, parquet_bytes, write_files
from attrib.render.view import visible

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from rich.console import Console

SCHEMA = 1
SHOWN = (
    "semantic_entropy", "agreement", "with_greedy", "rephrasings", "novel", "novel_control", "made_up", "dropped",
    "same_meaning", "rouge_l", "bertscore", "kl_mean",
)  # fmt: skip
"""Quantities of the terminal's and the page's table."""
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
_DIGITS = 6
"""Decimal places in files: the last bits of sums are no facts."""


# ------------------------------------------------------------------------------------------- files


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


# ------------------------------------------------------------------------------------------- terminal


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


def _options(report: ConsistencyReport) -> dict[str, Any]:
    options = report.provenance.get("options")
    return options if isinstance(options, dict) else {}


def _cells(row: SummaryRow) -> tuple[str, str, str]:
    return (
        _interval(row.base, row.base_low, row.base_high) if row.quantity in OF_EACH else "",
        _interval(row.tuned, row.tuned_low, row.tuned_high),
        _interval(row.difference, row.low, row.high) if row.quantity in OF_EACH else "",
    )


def _interval(value: float, low: float, high: float) -> str:
    return interval(value, low, high) if math.isfinite(value) else "none"


# ------------------------------------------------------------------------------------------- page

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


# ------------------------------------------------------------------------------------------- figure

_CONTROL = "#777777"
_PANELS = (
    ("semantic entropy", "nats", (("semantic_entropy", "base"), ("semantic_entropy", "tuned"))),
    ("agreement", "share of pairs", (("agreement", "base"), ("agreement", "tuned"))),
    ("novel terms", "share of terms", (("novel", "base"), ("novel", "tuned"), ("novel_control", "tuned"))),
    ("base ↔ tuned", "similarity", (("rouge_l", "tuned"), ("bertscore", "tuned"))),
)
"""Title, unit, and (quantity, side) of each series."""
_SERIES: dict[tuple[str, Side], tuple[str, str]] = {
    ("novel_control", "tuned"): ("D", _CONTROL),
    ("rouge_l", "tuned"): ("^", "#222222"),
    ("bertscore", "tuned"): ("v", "#8A8A8A"),
}
"""Marker and colour of those that are not base or tuned alone."""
_WIDE = 5.0  # inches from which all panels stand in one row
_ROW, _HEAD, _FOOT, _LEGEND, _GAP, _EDGE = 0.24, 0.22, 0.34, 0.115, 0.16, 0.06  # inches
_LABEL = 0.9  # inches that the name of a kind may take


def consistency_figure(
    report: ConsistencyReport, *, preset: str = "neurips-double", axs: Sequence[Axes] | None = None
) -> Figure:
    """One row a kind of question; semantic entropy, agreement, novel terms with controls, similarity.

    ``axs``: four axes of the caller's; the preset is then not used. Raises InputError for an unknown preset.
    """
    from matplotlib.figure import Figure as NewFigure

    kinds = report.kinds
    width, columns = draw.width_of(preset), 4 if draw.width_of(preset) >= _WIDE else 2
    entries = 6 if columns == 4 else 3
    with draw.style():
        labels = [panels.short(visible(kind), _LABEL) for kind in kinds]
        label = max(draw.inches(text) for text in labels) + 0.12
        across = (width - label - _EDGE - _GAP * (columns - 1)) / columns
        tall = _ROW * len(kinds)
        band = _HEAD + tall + _FOOT
        top = 0.04 + _LEGEND * -(-6 // entries)
        height = top + band * (4 // columns)
        own = own_axes(axs, [panel[0] for panel in _PANELS]) if axs is not None else None
        figure = figure_of(own[0]) if own else NewFigure(figsize=(width, height))
        for i, panel in enumerate(_PANELS):
            left = label + i % columns * (across + _GAP)
            bottom = height - top - i // columns * band - _HEAD - tall
            box = (left / width, bottom / height, across / width, tall / height)
            ax = own[i] if own else figure.add_axes(box)
            named = panels.beside_nothing(ax, own) if own else i % columns == 0
            _panel(ax, report, panel, labels if named else None)
            ax.set_title(f"({'abcd'[i]}) {panel[0]}", fontsize=7, pad=3, family=draw.FAMILY)
        _legend(figure, width, height, entries, own[0] if own else None)
        return figure


def _panel(ax: Axes, report: ConsistencyReport, panel: tuple[str, str, Any], labels: Sequence[str] | None) -> None:
    from matplotlib.ticker import MaxNLocator

    _, unit, series = panel
    kinds = report.kinds
    for place, (quantity, side) in enumerate(series):
        shift = (place - (len(series) - 1) / 2) * (0.5 / max(len(series) - 1, 1))
        marker, colour = _SERIES.get((quantity, side), (draw.MARKERS[side], draw.SIDES[side]))
        for i, kind in enumerate(kinds):
            row = report.row(quantity, kind)
            value, low, high = (
                (row.base, row.base_low, row.base_high)
                if side == "base"
                else (row.tuned, row.tuned_low, row.tuned_high)
            )
            if math.isfinite(value):
                ax.plot([low, high], [i + shift] * 2, color=colour, lw=0.9, solid_capstyle="butt", clip_on=False)
                ax.plot([value], [i + shift], marker, color=colour, ms=2.8, mew=0, clip_on=False)
    if panel[0] == "semantic entropy":
        ax.set_xlim(0, None)
    else:
        ax.set_xlim(0, 1)
    ax.set_ylim(len(kinds) - 0.5, -0.5)
    ax.set_yticks(range(len(kinds)), labels if labels is not None else [""] * len(kinds), parse_math=False)
    ax.xaxis.set_major_locator(MaxNLocator(2, steps=[1, 2, 5, 10]))
    ax.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    ax.tick_params(labelsize=6, length=2, pad=2, width=0.5)
    ax.tick_params(axis="y", length=0)
    ax.set_xlabel(unit, fontsize=6, labelpad=2)
    panels.stripes(ax, len(kinds))
    if len(kinds) > 1:
        ax.axhline(len(kinds) - 1.5, color="#999999", lw=0.5)
    panels.spines(ax, "bottom")


def _legend(figure: Figure, width: float, height: float, entries: int, above: Axes | None) -> None:
    from matplotlib.lines import Line2D

    named = {side: (draw.MARKERS[side], draw.SIDES[side]) for side in draw.SIDES} | {
        "control texts": _SERIES["novel_control", "tuned"],
        "ROUGE-L": _SERIES["rouge_l", "tuned"],
        "BERTScore": _SERIES["bertscore", "tuned"],
    }
    handles = [
        Line2D([], [], color=colour, marker=marker, ms=3, lw=0.9, mew=0, label=name)
        for name, (marker, colour) in named.items()
    ]
    if above is not None:
        panels.legend(figure, handles, above=above)
        return
    figure.legend(
        handles=handles, loc="upper left", bbox_to_anchor=(_EDGE / width, 1 - 0.02 / height), ncols=entries,
        prop={"size": 6.0, "family": draw.FAMILY}, frameon=False, borderpad=0, borderaxespad=0, handlelength=1.2,
        handletextpad=0.3, columnspacing=0.9, labelspacing=0.25,
    )  # fmt: skip


# ------------------------------------------------------------------------------------------- caption


def consistency_caption(report: ConsistencyReport) -> str:
    """What was asked and how, what each panel shows, and what it does not say."""
    novel, control, made_up = (number(report.row(name).tuned) for name in ("novel", "novel_control", "made_up"))
    lines = [
        f"Answers of base and tuned to {len(report.rows)} questions ({report.row('semantic_entropy').facts} facts)"
        f"{_sampling(report)}; points: mean, bars: 95% bootstrap interval, questions about one fact drawn together.",
        f"(a) Semantic entropy: {QUANTITIES['semantic_entropy']}; 0 where all samples mean the same.",
        f"(b) {QUANTITIES['agreement'].capitalize()}.",
        "(c) Novel terms: share of the content words of an answer that are neither in its question nor in any answer "
        "of the base and that the documents hold (tuned: the greedy answer); the same for the base's samples, each "
        "against the base's other answers, and with control texts in place of the documents.",
        "(d) Greedy answers of base and tuned compared: ROUGE-L, and BERTScore F1 with the sentence embedder, without "
        "rescaling, so that unlike answers are well above 0.",
        f"Over all questions {novel} of the tuned answers' terms are novel and in the documents, {control} novel and "
        f"in control texts, {made_up} novel and in no document.",
        "A term that the documents hold need not have been learned from them; agreement is not being right.",
        *report.notes,
    ]
    return " ".join(lines)


def _sampling(report: ConsistencyReport) -> str:
    options = _options(report)
    if not options:
        return ""
    return (
        f", greedy and {options['samples']} sampled at temperature {options['temperature']:g} (seed {options['seed']}, "
        f"at most {options['max_new_tokens']} tokens)"
    )
