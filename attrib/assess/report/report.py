"""The stored assessments of one model pair → one page, as HTML and as Markdown.

The page asks in turn: did the model learn, does it generalise, what do its answers rest on, what was forgotten, and how
far is all that to be trusted. Its sentences are made from the numbers: "higher" stands only where the interval of a
paired difference leaves out 0. Nothing is computed anew but the table of ``influence``.
Not covered: several model pairs on one page.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from attrib.assess.attribution.run import HELD_OUT, SECTIONS, Backing, JudgedToken
from attrib.assess.attribution.run import AttributionSummary as VerdictSummary
from attrib.assess.benchmark.run import TRAINED
from attrib.assess.consistency.draw import TITLES
from attrib.assess.consistency.records import OF_EACH, QuestionRow, SummaryRow
from attrib.assess.faithfulness.run import CONTROLS
from attrib.assess.holdout.blind import Blind
from attrib.assess.holdout.comparing import FEW
from attrib.assess.holdout.membership import CONTROL, Auc
from attrib.assess.holdout.records import GAP, REPHRASED_GAP, HoldoutReport
from attrib.assess.influence.metrics import REFERENCE, table
from attrib.assess.influence.scoring import BEFORE
from attrib.assess.report import sentences as say
from attrib.assess.report.find import (
    NAMES,
    Assessment,
    ModelName,
    StoredExplanation,
    find,
    plain_name,
)
from attrib.assess.report.find import StoredAssessments as Found
from attrib.assess.report.pages import (
    Block,
    Chapter,
    Example,
    Items,
    Line,
    Page,
    Paragraph,
    Picture,
    Run,
    Table,
    html,
    line,
)
from attrib.assess.report.pages import markdown as to_markdown
from attrib.assess.split import PARTS
from attrib.records import LABELS
from attrib.render.tables import write_files

__all__ = ["Found", "find", "report_page", "write_report"]

EXAMPLES, LOST, LISTED, MALFORMED = 6, 10, 10, 20
"""At most so many examples, forgotten questions, sections and malformed rows."""
_PNG = b"\x89PNG\r\n\x1a\n"
T = TypeVar("T")


def write_report(found: Found, out: Path) -> list[str]:
    """``report.html``, ``report.md`` and ``figures/``, the PNGs that the Markdown shows; their paths.

    The same assessments give the same bytes. Raises InputError where ``out`` cannot be written.
    """
    page = report_page(found)
    pictures = {picture.name: picture.png for picture in page.pictures}
    return write_files(out, {"report.html": html(page), "report.md": to_markdown(page), **pictures})


def report_page(found: Found) -> Page:
    """Everything that both forms show."""
    base, tuned = found.pair()
    return Page(
        f"What tuning changed: {base.name or 'base'} and {tuned.name or 'tuned'}",
        (
            Chapter("summary", "In one paragraph", (Paragraph(line(" ".join(_abstract(found)))),)),
            Chapter("learned", "Did it learn?", tuple(_learned(found))),
            Chapter("generalises", "Does it generalise?", tuple(_generalises(found))),
            Chapter("rests-on", "What do its answers rest on, and on which sections?", tuple(_rests_on(found))),
            Chapter("forgotten", "What was forgotten?", tuple(_forgotten(found))),
            Chapter("trust", "How far to trust it", tuple(_trust(found))),
            Chapter("provenance", "Provenance", tuple(_provenance(found))),
        ),
    )


# ------------------------------------------------------------------------------------------- parts that chapters share


def _missing(name: str, what: str) -> Paragraph:
    """Says that something was not assessed and how it would be; never a blank."""
    return Paragraph(line(Run("Not assessed: ", "strong"), f"{what}; run: ", Run(_command(name), "code")))


def _command(name: str) -> str:
    return f"attrib assess {name} --out {name}"


def _picture(found: Found, name: str) -> Iterator[Block]:
    """The figure beside an assessment's JSON, or that there is none."""
    one = found.assessments.get(name)
    if one is None:
        return
    try:
        png = one.file.with_suffix(".png").read_bytes()
    except OSError:
        png = b""
    if not png.startswith(_PNG):
        yield Paragraph(line(f"No figure: {name}.png does not stand beside {name}.json."))
        return
    try:
        caption = one.file.with_suffix(".caption.txt").read_text("utf-8", "replace").strip()
    except OSError:
        caption = ""
    # They are listed as caveats.
    for note in one.notes:
        caption = caption.replace(note, "")
    yield Picture(f"figures/{name}.png", png, " ".join(caption.split()) or f"Figure of attrib assess {name}.")


def _caveats(found: Found, *names: str) -> Iterator[Block]:
    """The notes of an assessment, warnings first."""
    for name in names:
        one = found.assessments.get(name)
        if one is not None and one.notes:
            notes = sorted(one.notes, key=lambda note: not note.startswith("Warning"))
            items = (line(Run(note, "strong" if note.startswith("Warning") else "")) for note in notes)
            yield Items(f"Caveats of {name}", tuple(items))


def _sentences(said: Sequence[str]) -> Iterator[Block]:
    if said:
        yield Paragraph(line(" ".join(said)))


def _table(caption: str, heads: Sequence[str], rows: Sequence[Sequence[str]], texts: int = 1) -> Iterator[Block]:
    """A table of plain texts, none where it would be empty."""
    if rows:
        yield Table(caption, tuple(heads), tuple(tuple(line(cell) for cell in row) for row in rows), texts)


def _accuracy_table(caption: str, kinds: Sequence[say.Kind]) -> Iterator[Block]:
    heads = ("questions", "n", "base", "tuned", "tuned − base")
    cells = [
        (
            one.name,
            str(one.of.n),
            one.base,
            one.tuned,
            say.ends(one.of.difference, one.of.difference_low, one.of.difference_high, signed=True),
        )
        for one in kinds
    ]
    yield from _table(caption, heads, cells)


def _in_turn(rows: Sequence[T], kind: Callable[[T], str], at_most: int) -> list[T]:
    """The first rows of every kind in turn, so that a few are of every kind."""
    by_kind: dict[str, list[T]] = {}
    for row in rows:
        by_kind.setdefault(kind(row), []).append(row)
    longest = max(map(len, by_kind.values()), default=0)
    return [some[i] for i in range(longest) for some in by_kind.values() if i < len(some)][:at_most]


def _where(title: str, document: str, lines: str) -> str:
    return f"{' '.join(title.split())} ({document}, {lines})"


# ------------------------------------------------------------------------------------------- one paragraph


def _abstract(found: Found) -> Iterator[str]:
    """What was found, in sentences that stand alone."""
    base, tuned = found.pair()
    yield f"We compared {_model(base, 'the base model')} with {_model(tuned, 'its tuned version')}."
    yield from say.accuracy(found)
    yield from say.gaps(found)
    told = [auc.of for auc in found.holdout.membership] if found.holdout is not None else []
    yield from say.membership(found, of=tuple(told[:1]))
    yield from say.novelty(found)
    yield from say.verdicts(found)
    yield from say.forgetting(found)
    missing = [name for name in NAMES[:4] if name not in found.assessments]
    if missing:
        yield f"Not assessed: {', '.join(missing)}."
    if found.assessments:
        yield f"Brackets: 95% bootstrap intervals. {_made_with(found)}"


def _model(model: ModelName, fallback: str) -> str:
    name = model.name or fallback
    return f"{name} (sha256 {model.sha256[:12]})" if model.sha256 else name


def _made_with(found: Found) -> str:
    seeds = dict.fromkeys(
        str(one.report.provenance["seed"]) for one in found.assessments.values() if "seed" in one.report.provenance
    )
    versions = _versions(found)
    first = next(iter(versions), "")
    made = [f"Seed {', '.join(seeds)}"] if seeds else []
    made += [f"{first}{' and other versions' if len(versions) > 1 else ''}"] if first else []
    return f"{'; '.join(made)}." if made else ""


# ------------------------------------------------------------------------------------------- did it learn?


def _learned(found: Found) -> Iterator[Block]:
    rows = [one for one in say.kinds(found) if one.of.kind in TRAINED]
    said = [*_right(rows)]
    if found.benchmark is None:
        yield _missing("benchmark", "whether its answers are right, by kind of question")
        if found.holdout is not None and (went := say.part_went(found.holdout, "tuned-on")):
            said.append(f"Right answers by the holdout's questions, {went}.")
    elif not rows:
        said.append(f"The benchmark has no question of a kind that tuning learned ({', '.join(TRAINED)}).")
    gained = found.holdout.quantity("logprob", "tuned-on", "difference") if found.holdout else None
    if gained is not None:
        said.append(f"The log-probability of the right answers, nats a token: {say.change(say.of_quantity(gained))}.")
    yield from _sentences([*said, *say.novelty(found)])
    yield from _picture(found, "benchmark")
    yield from _accuracy_table("Right answers to what tuning learned", rows)
    together = [one for one in say.kinds(found) if one.of.kind == say.ALL]
    yield from _accuracy_table("New and updated knowledge, all kinds of questions together, learned or not", together)
    yield from _signs(found)
    yield from _picture(found, "consistency")
    if found.consistency is None:
        yield _missing("consistency", "how far its answers agree, and which terms are new in them")
    yield from _caveats(found, "benchmark", "consistency")


def _right(rows: Sequence[say.Kind]) -> Iterator[str]:
    """Right answers in one sentence; the table has them all."""
    if rows:
        yield f"Right answers by kind (number of questions), base → tuned: {'; '.join(one.went for one in rows[:4])}."


_SIGNS = ("novel", "novel_control", "made_up", "dropped", "semantic_entropy", "agreement", "kl_mean", "same_meaning")


def _signs(found: Found) -> Iterator[Block]:
    rows = []
    if found.consistency is not None:
        named = (row for name in _SIGNS if (row := found.consistency.row(name)) is not None)
        rows += [_consistency_cells(row) for row in named]
    if found.holdout is not None:
        rows += _holdout_cells(found.holdout, "logprob", "tuned-on", "log p of right answers, nats per token")
    yield from _table("Signs of learning", ("quantity", "n", "base", "tuned", "tuned − base"), rows)


def _consistency_cells(row: SummaryRow) -> tuple[str, ...]:
    both = row.quantity in OF_EACH
    return (
        TITLES.get(row.quantity, row.quantity).strip()
        + (" (control for the row above)" if row.quantity == "novel_control" else ""),
        str(row.n),
        say.ends(row.base, row.base_low, row.base_high) if both else say.NONE,
        say.ends(row.tuned, row.tuned_low, row.tuned_high),
        say.ends(row.difference, row.low, row.high, signed=True) if both else say.NONE,
    )


def _holdout_cells(held: HoldoutReport, measure: str, part: str, name: str, kind: str = "all") -> list[tuple[str, ...]]:
    base, tuned, gained = (held.quantity(measure, part, side, kind) for side in ("base", "tuned", "difference"))
    if base is None or tuned is None or gained is None:
        return []
    found = [say.ends(q.value, q.low, q.high) for q in (base, tuned)]
    return [(name, str(tuned.n), *found, say.ends(gained.value, gained.low, gained.high, signed=True))]


# ------------------------------------------------------------------------------------------- does it generalise?


def _generalises(found: Found) -> Iterator[Block]:
    rows = [one for one in say.kinds(found) if one.of.kind not in (*TRAINED, say.FOUNDATION, say.ALL)]
    said = [*_right(rows)]
    said += [*say.gaps(found), *say.rephrasings(found)]
    if found.benchmark is not None and not rows:
        said.append("The benchmark asks nothing but what tuning learned and foundation questions.")
    yield from _sentences(said)
    yield from _sentences([*say.membership(found), *say.removal(found)])
    if found.benchmark is None:
        yield _missing("benchmark", "rephrased and further questions")
    yield from _accuracy_table("Right answers to questions that tuning did not learn as they stand", rows)
    if found.holdout is None:
        yield _missing("holdout", "what was tuned on against what was held out")
        return
    yield from _picture(found, "holdout")
    yield from _holdout_tables(found.holdout)
    yield from _caveats(found, "holdout")


def _holdout_tables(held: HoldoutReport) -> Iterator[Block]:
    parts = dict.fromkeys((q.part, q.kind) for q in held.quantities if q.part in PARTS)
    rows = [
        row
        for part, kind in parts
        for measure, unit in (("accuracy", "right answers"), ("logprob", "log p, nats per token"))
        for row in _holdout_cells(held, measure, part, f"{part}{'' if kind == 'all' else f', {kind}'}: {unit}", kind)
    ]
    yield from _table("Holdout, by part", ("part", "n", "base", "tuned", "tuned − base"), rows)
    gaps = [
        (
            f"{gap}: {name}",
            str(q.n),
            say.ends(q.value, q.low, q.high, signed=True),
            f"{q.p:.2g}" if math.isfinite(q.p) else say.NONE,
        )
        for gap in (GAP, REPHRASED_GAP)
        for measure, name in (("accuracy", "right answers"), ("logprob", "log p, nats per token"))
        if (q := held.quantity(measure, gap, "difference")) is not None
    ]
    yield from _table("Gaps of tuned − base", ("gap", "n", "difference", "p (permutation)"), gaps)
    yield from _membership_table(held)
    if held.removal is not None:
        yield from _removal_table(held)


def _membership_table(held: HoldoutReport) -> Iterator[Block]:
    told: list[Auc | Blind] = [*held.membership, *held.blind]
    of = list(dict.fromkeys(one.of for one in told))
    cells: dict[str, dict[str, str]] = {}
    for one in told:
        name = one.score if isinstance(one, Auc) else "texts alone, no model"
        cells.setdefault(name, {})[one.of] = f"{say.ends(one.auc, one.low, one.high)}{say.with_p(one.p)}"
    sizes = {one.of: f"{one.of} ({one.members} tuned-on, {one.others} held-out)" for one in told}
    rows = [(name, *(row.get(what, say.NONE) for what in of)) for name, row in cells.items()]
    yield from _table("Membership, AUC; chance is 0.5", ("score", *(sizes[what] for what in of)), rows)


def _removal_table(held: HoldoutReport) -> Iterator[Block]:
    removal = held.removal
    assert removal is not None
    models = ("base", "full", "retrained")
    found = {(q.measure, q.part, str(q.side)): q for q in removal.quantities if q.kind == "all"}
    rows = []
    for part in ("removed", "retained"):
        for measure, name in (("accuracy", "right answers"), ("logprob", "log p, nats per token")):
            cells = [found.get((measure, part, model)) for model in models]
            if any(cells):
                rows.append((f"{part}: {name}", *(say.ends(q.value, q.low, q.high) if q else say.NONE for q in cells)))
    quality = {q.model: q.p for q in removal.quality}
    rows.append(
        (
            "forget quality: p of the KS test against retrained",
            *(f"{quality[m]:.2g}" if m in quality else say.NONE for m in models),
        )
    )
    yield from _table(f"Without {say.count(len(removal.sections), 'section')}", ("measure", *models), rows)


# ------------------------------------------------------------------------------------------- what does it rest on?

_LEGEND = line(
    "The answer's words by their most probable source: ",
    Run("documents", "documents"), " a section says the same and was itself learned; ",
    Run("base", "base"), " the base says it by itself; ",
    Run("neither", "neither"), " neither of the two.",
)  # fmt: skip


def _rests_on(found: Found) -> Iterator[Block]:
    told = found.attribution
    if told is None:
        yield _missing("attribution", "what each answer rests on, and on which sections")
    else:
        yield from _sentences([*say.verdicts(found), *say.gold(told.summary[-1] if told.summary else None)])
        yield Paragraph(
            line(
                "A verdict is a calibrated judgement: a section says the same as the answer, and its own text became "
                "more probable by tuning. That a section caused an answer only retraining without it can show."
            )
        )
        yield from _picture(found, "attribution")
        heads = ("answers to", "n", "right", *LABELS, "nothing said")
        rows = [
            (one.kind, str(one.n), say.number(one.right), *say.verdict_ends(one), say.number(one.silent))
            for one in told.summary
        ]
        yield from _table("Answers by their most probable source", heads, rows)
        yield from _gold_table(told.summary)
        yield from _sections_table(found)
    examples = [*_explained_examples(found.explanations[:EXAMPLES])]
    if told is not None:
        rows_left = [row for row in told.rows if row.tokens]
        for row in _in_turn(rows_left, lambda row: row.kind, EXAMPLES - len(examples)):
            examples.append(
                _judged_example(
                    row.question, row.kind, row.tokens, row.base_answer, row.right_answer, row.label, row.sections
                )
            )
    if examples:
        yield Paragraph(_LEGEND)
        yield Paragraph(line("The first answers of each kind in turn, chosen by their order alone."))
        yield from examples
    yield from _side_by_side(found)
    yield from _caveats(found, "attribution")


def _gold_table(summary: Sequence[VerdictSummary]) -> Iterator[Block]:
    names = [name for name in say.MAPPERS if any(name in (one.gold_top1 or ()) for one in summary)]
    rows = [
        (
            f"{one.kind} (a decoy: the verdict should not name it)" if one.kind == HELD_OUT else one.kind,
            *(say.number(one.gold_top1.get(name)) for name in names),
        )
        for one in summary
        if one.gold_top1 is not None
    ]
    heads = ("answers to", *(say.MAPPERS[name] for name in names))
    yield from _table("How often the question's own section comes first", heads, rows)


def _sections_table(found: Found) -> Iterator[Block]:
    assert found.attribution is not None
    rows = [row for row in found.attribution.rows if row.label == "documents"]
    first = Counter(row.sections[0].id for row in rows if row.sections)
    among = Counter(id_ for row in rows for id_ in {one.id for one in row.sections})
    place: dict[str, Backing] = {}
    for row in rows:
        for one in row.sections:
            place.setdefault(one.id, one)
    order = sorted(place, key=lambda id_: (-first[id_], -among[id_], place[id_].document, place[id_].lines, id_))
    cells = [
        (
            " ".join(place[id_].title.split()), f"{place[id_].document}, {place[id_].lines}", str(first[id_]),
            str(among[id_]), say.number(place[id_].learned),
        )
        for id_ in order[:LISTED]
        if first[id_]
    ]  # fmt: skip
    heads = ("section", "where", "best for", f"among the best {SECTIONS} for", "learned (0 to 1)")
    yield from _table("Sections most often behind answers called documents", heads, cells, texts=2)


def _explained_examples(explanations: Sequence[StoredExplanation]) -> Iterator[Example]:
    for one in explanations:
        record, verdict = one.record, one.record.verdict
        tokens = tuple(
            JudgedToken(token.text, kind, float(p.max()))
            for token, kind, p in zip(record.answer_tokens, verdict.token_labels, verdict.tokens, strict=True)
        )
        order = [int(i) for i in record.ranking[:SECTIONS]]
        sections = [
            Backing(s.id, s.title, s.document, s.lines, float(verdict.learned[i]))
            for i in order
            for s in (record.sections[i],)
        ]
        yield _judged_example(
            record.question, "stored explanation", tokens, record.base_answer, None, verdict.label, sections
        )


def _judged_example(
    question: str,
    kind: str,
    tokens: Sequence[JudgedToken],
    base_answer: str,
    right_answer: str | None,
    verdict: str,
    sections: Sequence[Backing],
) -> Example:
    entries = [("tuned says", judged(tokens)), ("base says", _said(base_answer))]
    if right_answer is not None:
        entries.append(("right", line(right_answer)))
    entries.append(("verdict", line(verdict or "nothing said")))
    places = (f"{_where(s.title, s.document, s.lines)}, learned {say.number(s.learned)}" for s in sections)
    # What the verdict does not rest on is only near.
    name = "section" if verdict == "documents" else "nearest"
    entries += [(f"{name} {i}", line(place)) for i, place in enumerate(places, 1)]
    return Example(f"{kind}: {question}" if kind else question, tuple(entries))


def _said(text: str) -> Line:
    return line(text if text.strip() else "(nothing)")


def judged(tokens: Sequence[JudgedToken]) -> Line:
    """Neighbours of one verdict as one run, blanks outside the marks."""
    runs: list[Run] = []
    for token in tokens:
        if runs and (runs[-1].mark == token.verdict or not token.text.strip()):
            runs[-1] = Run(runs[-1].text + token.text, runs[-1].mark)
        else:
            runs.append(Run(token.text, token.verdict))
    return tuple(part for run in runs for part in _bare(run)) or _said("")


def _bare(run: Run) -> Iterator[Run]:
    """A run without the blanks at its ends, which stand beside it unmarked."""
    core = run.text.strip()
    if not core:
        yield Run(run.text)
        return
    start = run.text.index(core)
    yield from (
        one for one in (Run(run.text[:start]), Run(core, run.mark), Run(run.text[start + len(core) :])) if one.text
    )


def _side_by_side(found: Found) -> Iterator[Block]:
    if found.consistency is None:
        return
    rows = [row for row in found.consistency.rows if row.new_terms]
    if not rows:
        yield Paragraph(line("No tuned answer has a term that the base's answers lack."))
        return
    yield Paragraph(
        line(
            "Answers of base and tuned side by side, the first of each kind in turn that have new terms: ",
            Run("underlined", "new"), " in no answer of the base and in the documents, ",
            Run("in italics", "made-up"), " in neither. That the documents hold a term does not say that it was "
            "learned from them.",
        )
    )  # fmt: skip
    for row in _in_turn(rows, lambda row: row.kind, EXAMPLES):
        entries = [("base says", _said(row.base.greedy.text)), ("tuned says", marked(row))]
        if row.answer is not None:
            entries.append(("right", line(row.answer)))
        for term in row.new_terms:
            if term.held_by and term.sections:
                places = "; ".join(_where(one.title, one.document, one.lines) for one in term.sections)
                more = f" and {term.held_by - len(term.sections)} more" if term.held_by > len(term.sections) else ""
                entries.append((term.term, line(f"{places}{more}")))
        yield Example(f"{row.kind}: {row.question}" if row.kind else row.question, tuple(entries))


def marked(row: QuestionRow) -> Line:
    """The tuned answer with its new terms marked."""
    text, runs, at = row.tuned.greedy.text, list[Run](), 0
    spans = sorted((start, end, term.held_by > 0) for term in row.new_terms for start, end in term.spans)
    for start, end, held in spans:
        if at <= start < end:
            runs += [Run(text[at:start]), Run(text[start:end], "new" if held else "made-up")]
            at = end
    return tuple(run for run in (*runs, Run(text[at:])) if run.text) or _said("")


# ------------------------------------------------------------------------------------------- what was forgotten?


@dataclass(frozen=True)
class Answered:
    """One foundation question under both models."""

    question: str
    right: str
    base: str
    tuned: str
    base_right: bool
    tuned_right: bool


def _forgotten(found: Found) -> Iterator[Block]:
    asked = _foundation(found)
    said = [*say.forgetting(found)]
    if asked:
        lost = [one for one in asked if one.base_right and not one.tuned_right]
        won = sum(one.tuned_right and not one.base_right for one in asked)
        said.append(
            f"Question by question, {len(lost)} that base had right are wrong after tuning, and {won} that it had "
            "wrong are right."
        )
    yield from _sentences(said)
    rows = [one for one in say.kinds(found) if one.of.kind == say.FOUNDATION]
    if not asked:
        which = [name for name in ("benchmark", "holdout") if name in found.assessments]
        if which:
            yield Paragraph(
                line(
                    Run("Not assessed: ", "strong"),
                    f"{' and '.join(which)} asked no foundation questions, which base can answer and tuning should "
                    "leave alone. Add some of kind foundation to the questions and run: ",
                    Run(_command("benchmark"), "code"),
                )
            )
        else:
            yield _missing("benchmark", "foundation questions before and after tuning")
    elif rows:
        yield from _accuracy_table("Foundation questions, right answers before and after", rows)
        if "benchmark" in found.assessments:
            yield Paragraph(line("The figure of “Did it learn?” has foundation questions in a row of their own."))
    elif found.holdout is not None:
        heads = ("questions", "n", "base", "tuned", "tuned − base")
        cells = _holdout_cells(found.holdout, "accuracy", "general", "general: right answers")
        yield from _table("Foundation questions, right answers before and after", heads, cells)
    yield from _lost_table(asked)
    yield from _old_answers(found)


def _foundation(found: Found) -> list[Answered]:
    """Foundation questions of the benchmark, else of the holdout."""
    if found.benchmark is not None:
        rows = [
            (r.subset + r.id, r.side, r.question, r.answer, r.prediction, r.scores["accuracy"])
            for r in found.benchmark.rows
            if r.kind == say.FOUNDATION
        ]
        if rows:
            return _both(rows)
    if found.holdout is not None:
        return _both(
            [
                (r.id, r.side, r.question, r.answer, r.reply, r.accuracy)
                for r in found.holdout.rows
                if r.part == "general"
            ]
        )
    return []


def _both(rows: Sequence[tuple[str, str, str, str, str, float | None]]) -> list[Answered]:
    """Rows of base and tuned by question, where both have been scored."""
    by_id: dict[str, dict[str, tuple[str, str, str, str, str, float | None]]] = {}
    for row in rows:
        by_id.setdefault(row[0], {})[row[1]] = row
    return [
        Answered(base[2], base[3], base[4], tuned[4], base[5] >= 0.5, tuned[5] >= 0.5)
        for sides in by_id.values()
        if (base := sides.get("base")) and (tuned := sides.get("tuned"))
        if base[5] is not None and tuned[5] is not None
    ]


def _lost_table(asked: Sequence[Answered]) -> Iterator[Block]:
    lost = [one for one in asked if one.base_right and not one.tuned_right]
    rows = [(one.question, one.right, one.base or "(nothing)", one.tuned or "(nothing)") for one in lost[:LOST]]
    more = f" (the first {LOST} of {len(lost)})" if len(lost) > LOST else ""
    heads = ("question", "right", "base says", "tuned says")
    yield from _table(f"Right before tuning, wrong after it{more}", heads, rows, texts=4)


def _old_answers(found: Found) -> Iterator[Block]:
    rows = [one for one in say.kinds(found, "old_answer") if one.of.kind != say.ALL]
    if not rows:
        return
    yield from _accuracy_table("Updated knowledge: the answer that was right before", rows)
    yield Paragraph(
        line(
            "That a tuned model gives the old answer to an updated question less often is what updating is for: it is "
            "not forgetting."
        )
    )


# ------------------------------------------------------------------------------------------- how far to trust it


def _trust(found: Found) -> Iterator[Block]:
    yield from _baselines(found)
    yield from _controls(found)
    yield from _faithful(found)
    yield from _influence(found)
    missing = [name for name in NAMES if name not in found.assessments]
    if missing:
        items = (line(f"{name}: {_WHAT[name]}; run: ", Run(_command(name), "code")) for name in missing)
        yield Items("Not assessed", tuple(items))
    malformed = found.benchmark.malformed if found.benchmark is not None else ()
    if malformed:
        items = (line(f"{plain_name(one.file)}, line {one.line}: {one.reason}") for one in malformed[:MALFORMED])
        more = len(malformed) - MALFORMED
        rest = (line(f"{more} more are in benchmark.json"),) if more > 0 else ()
        yield Items("Malformed rows, left out", (*items, *rest))
    yield Items(
        "What no number here says",
        (
            line("Intervals cover the choice of questions, not the noise of tuning: one tuned model was assessed."),
            line(
                "Attention says what a model looked at, similarity which section says the same, influence what it "
                "learned from; only retraining without a section says what it caused."
            ),
        ),
    )


_WHAT = {
    "benchmark": "right answers by kind of question, beside baselines",
    "consistency": "agreement of answers, and new terms beside a control",
    "holdout": "what was tuned on against what was held out, membership",
    "attribution": "what answers rest on, and on which sections",
    "faithfulness": "whether attributions to words of the question are better than random ones",
    "influence": "whether scores of sections say what retraining without them shows",
}


def _baselines(found: Found) -> Iterator[Block]:
    rows, not_above = [], []
    for one in (kind for kind in say.kinds(found) if kind.of.kind != say.ALL):
        blind = [value for value in (one.of.majority, one.of.majority_by_template) if value is not None]
        if not blind:
            continue
        few = one.of.facts < FEW
        above = not few and one.of.tuned_low > max(blind)
        if not above:
            not_above.append(one.name)
        judged = "yes" if above else "too few" if few else "not shown"
        majorities = say.number(one.of.majority), say.number(one.of.majority_by_template)
        rows.append((one.name, str(one.of.n), one.tuned, *majorities, judged))
    if rows and not_above:
        yield Paragraph(
            line(
                f"Not shown to be above what the commonest answers reach without any knowledge: {', '.join(not_above)}."
            )
        )
    elif rows:
        yield Paragraph(line("The tuned model is above what the commonest answers reach, in every kind of question."))
    heads = ("questions", "n", "tuned", "always the commonest answer", "commonest by template", "tuned above both")
    yield from _table("Right answers beside baselines that know nothing", heads, rows)


def _controls(found: Found) -> Iterator[Block]:
    """What is reached without the thing that is claimed, beside the claim."""
    rows: list[tuple[str, ...]] = []
    if found.consistency is not None:
        novel, control = found.consistency.row("novel"), found.consistency.row("novel_control")
        if novel is not None and control is not None and math.isfinite(novel.tuned):
            claim = ("new terms are those of the documents", say.ends(novel.tuned, novel.tuned_low, novel.tuned_high))
            ends = say.ends(control.tuned, control.tuned_low, control.tuned_high)
            rows.append((claim[0], "control texts in their place", claim[1], ends))
            ends = say.ends(novel.base, novel.base_low, novel.base_high)
            rows.append((claim[0], "the base's samples against its other answers", claim[1], ends))
    if found.holdout is not None:
        summary = found.holdout
        for best in (auc for auc in summary.membership if auc.score == "reference"):
            known: list[tuple[str, Auc | Blind]] = []
            known += [("the texts alone", seen) for seen in summary.blind if seen.of == best.of]
            known += [
                ("base's own loss", auc) for auc in summary.membership if (auc.of, auc.score) == (best.of, CONTROL)
            ]
            for name, beside in known:
                ends = say.ends(beside.auc, beside.low, beside.high)
                rows.append(
                    (f"membership of {best.of}, AUC", name, say.ends(best.auc, best.low, best.high), ends)
                )  # fmt: skip
    heads = ("claim", "control", "of the claim", "of the control")
    yield from _table("Controls: what is reached without that which is claimed", heads, rows, texts=2)


def _faithful(found: Found) -> Iterator[Block]:
    if found.faithfulness is None:
        return
    rows = [r for r in found.faithfulness.rows if (r.metric, r.side) == ("area", "tuned") and r.method not in CONTROLS]
    rows.sort(key=lambda row: (-row.mean, row.method))
    better = sum(row.beats_random for row in rows)
    if rows:
        yield Paragraph(
            line(
                f"Attributions to words of the question: of {say.count(len(rows), 'method')}, {better} find words "
                "without which the tuned model's answer loses more than without random ones, on "
                f"{say.count(rows[0].n, 'question')}."
            )
        )
    yield from _picture(found, "faithfulness")
    cells = [
        (
            r.method.replace("_", " "),
            say.ends(r.mean, r.low, r.high),
            say.ends(r.over_random, r.over_low, r.over_high, signed=True),
            "yes" if r.beats_random else "not shown",
        )
        for r in rows
    ]
    heads = ("method", "area, nats per token", "beyond a random order", "above random")
    yield from _table("Faithfulness of attributions to the question's words, tuned model", heads, cells)
    yield from _caveats(found, "faithfulness")


_SCORERS = (REFERENCE, "combined", "learned", "hidden (tuned)", BEFORE, "bm25", "embedding", "random")
"""Scores of sections that are shown: ours, then those that know nothing of tuning."""


def _influence(found: Found) -> Iterator[Block]:
    if found.influence is None:
        return
    told = found.influence
    rows = [row for row in table(told) if row.kind == "trained"]
    mine = found.pair()[1].sha256
    same = bool(mine) and told.provenance.get("tuned_sha256") == mine
    trained = int(told.trained.sum())
    yield Paragraph(
        line(
            f"Scores of sections against retraining, on {say.count(trained, 'section')} that were tuned on and "
            f"{say.count(len(told.questions), 'question')}"
            + (
                "."
                if same
                else ": another tuned model and other documents than this report's pair. It says how far such scores "
                "can be trusted, nothing about this pair."
            )
        )
    )
    yield from _picture(found, "influence")
    metrics = [m for m in ("MRR", "spearman", "LDS", "decoys") if any(row.metric == m for row in rows)]
    cells = []
    for scorer in (name for name in _SCORERS if any(row.scorer == name for row in rows)):
        mine_rows = {row.metric: row for row in rows if row.scorer == scorer}
        cells.append(
            (
                scorer,
                *(
                    say.ends(r.value, r.low, r.high) if (r := mine_rows.get(m)) is not None else say.NONE
                    for m in metrics
                ),
            )
        )
    names = {
        "MRR": "own section found (MRR)", "spearman": "rank correlation with the loss",
        "LDS": "random halves (LDS)", "decoys": "learned above decoys (AUROC)",
    }  # fmt: skip
    yield from _table(
        "Scores of sections against retraining, trained questions (more scores stand in influence.csv)",
        ("score", *(names[m] for m in metrics)), cells,
    )  # fmt: skip


# ------------------------------------------------------------------------------------------- provenance


def _provenance(found: Found) -> Iterator[Block]:
    base, tuned = found.pair()
    models = [
        (side, model.name or say.NONE, model.sha256[:12] or say.NONE)
        for side, model in (("base", base), ("tuned", tuned))
    ]
    yield from _table("Models", ("model", "name", "sha256, first 12"), models, texts=3)
    questions = {
        str(one.report.provenance["questions_sha256"])
        for one in found.assessments.values()
        if "questions_sha256" in one.report.provenance
    }
    if len(questions) > 1:
        yield Paragraph(line("The assessments did not ask the same set of questions: compare their numbers with care."))
    documents = {
        digest for one in found.assessments.values() if one.name != "influence" and (digest := _documents(one))
    }
    if len(documents) > 1:
        yield Paragraph(line("The assessments did not read the same documents: compare their numbers with care."))
    if found.assessments:
        items = tuple(line(Run(one.name, "strong"), f": {_made_from(one)}") for one in found.assessments.values())
        yield Items("Assessments", items)
    versions = _versions(found)
    if versions:
        items = tuple(line(f"{text}{f' ({names})' if len(versions) > 1 else ''}") for text, names in versions.items())
        yield Items("Versions", items)
    if found.explanations:
        items = tuple(
            line(f"{one.file.parent.name}/{one.file.name}: {one.record.question}") for one in found.explanations
        )
        yield Items("Explanations", items)


def _documents(one: Assessment) -> str:
    content = one.report.provenance
    value = content.get("documents_sha256") or content.get("documents")
    return value if isinstance(value, str) else ""


def _made_from(one: Assessment) -> str:
    content = one.report.provenance
    said = [f"{one.name}.json"]
    questions = content.get("questions_sha256")
    if isinstance(questions, str):
        said.append(f"questions {questions[:12]}")
    if digest := _documents(one):
        said.append(f"documents {digest[:12]}")
    control = content.get("control_sha256") or content.get("control")
    if isinstance(control, str):
        said.append(f"control texts {control[:12]}")
    said += [f"{name} {content[name]}" for name in ("seed", "device", "dtype") if name in content]
    said.append(f"command: attrib assess {one.name}")
    options = ", ".join(f"{name} {value}" for name, value in _flat(content.get("options")))
    return f"{'; '.join(said)}{f'; options: {options}' if options else ''}."


def _flat(options: object, above: str = "") -> Iterator[tuple[str, str]]:
    """Options by dotted name, those that are not set left out; of paths the last part."""
    if not isinstance(options, Mapping):
        return
    for name, value in sorted(options.items()):
        if isinstance(value, Mapping):
            yield from _flat(value, f"{above}{name}.")
        elif value is not None and value not in ([], ""):
            yield f"{above}{name}", _plain(value)


def _plain(value: Any) -> str:
    if isinstance(value, str):
        return plain_name(value)
    if isinstance(value, list):
        return f"({', '.join(map(_plain, value))})"
    return json.dumps(value, ensure_ascii=False)


def _versions(found: Found) -> dict[str, str]:
    """Versions in one line → names of the assessments made with them."""
    by_line: dict[str, list[str]] = {}
    for one in found.assessments.values():
        versions = one.report.provenance.get("versions")
        if isinstance(versions, Mapping) and versions:
            text = ", ".join(f"{name} {version}" for name, version in sorted(versions.items()))
            by_line.setdefault(text, []).append(one.name)
    return {text: ", ".join(names) for text, names in by_line.items()}
