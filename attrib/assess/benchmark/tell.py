"""Terminal table, files and report chapter of ``attrib assess benchmark``.

``benchmark.parquet`` has one row a question and side: the fields of ``BenchmarkRow`` with each score a column of its
own. ``benchmark.csv`` has one row a subset, kind and measure.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from attrib.assess import markdown as md
from attrib.assess import sentences as say
from attrib.assess.benchmark.draw import benchmark_caption, benchmark_figure, key, labels
from attrib.assess.benchmark.run import TRAINED, BenchmarkReport, BenchmarkRow, BenchmarkSummary
from attrib.assess.stored import plain_name, report_bytes
from attrib.render import figures as draw
from attrib.render.blocks import grid, text_of
from attrib.render.tables import flat, interval, number, write_files

if TYPE_CHECKING:
    from rich.console import Console

NAME = BenchmarkReport.NAME


def write_benchmark(report: BenchmarkReport, folder: Path, formats: Sequence[str], preset: str) -> list[str]:
    """JSON, summary (CSV), rows (Parquet), figure and caption; every file is whole or absent."""
    files = {
        f"{NAME}.json": report_bytes(report),
        f"{NAME}.parquet": flat(BenchmarkRow, report.rows).parquet(),
        **benchmark_files(report, formats, preset),
    }
    return write_files(folder, files)


def benchmark_files(report: BenchmarkReport, formats: Sequence[str], preset: str) -> dict[str, bytes]:
    """The figure with what goes beside it, and the summary that it shows (CSV), by file name."""
    table = flat(BenchmarkSummary, report.summary).csv()
    figure, caption = benchmark_figure(report, preset=preset), benchmark_caption(report)
    return {f"{NAME}.csv": table, **draw.drawn(NAME, figure, caption, formats, preset=preset)}


def benchmark_table(report: BenchmarkReport, console: Console) -> None:
    """One line a kind of question: base and tuned beside the baselines that know no answer; then the notes."""
    heads = ("questions", "n", "measure", "base", "tuned", "tuned − base", "majority", "by template")
    table = grid(heads, left=(0, heads.index("measure")))
    shown = [one for one in report.summary if one.measure in SHOWN]
    names = labels(report)
    before: tuple[str, int] | None = None
    for one in shown:
        name = names[key(one)]
        same = before is not None and before[0] == name
        cells = (
            "" if same else name,
            "" if before == (name, one.n) else str(one.n),
            one.measure.replace("_", " "),
            interval(one.base, one.base_low, one.base_high),
            interval(one.tuned, one.tuned_low, one.tuned_high),
            interval(one.difference, one.difference_low, one.difference_high),
            number(one.majority, none=""),
            number(one.majority_by_template, none=""),
        )
        table.add_row(*map(text_of, cells))
        before = name, one.n
    console.print(table)
    console.print("95% bootstrap intervals over facts; baselines are accuracies of who knows no answer", style="dim")
    for note in report.notes:
        console.print(text_of(f"note: {note}", "dim"))


# ------------------------------------------------------------------------------------------- the report's chapter

FOUNDATION = "foundation"
"""Kind of the questions whose answers the base knows and tuning should leave alone."""
ALL_KINDS = "all"
"""Kind of the rows over all questions about new or updated knowledge."""
NAMED, MALFORMED = 8, 20
"""At most so many kinds of questions in a sentence, and malformed rows."""


@dataclass(frozen=True)
class Kind:
    """One measure of one kind of question, and the kind in words."""

    name: str
    of: BenchmarkSummary

    @property
    def base(self) -> str:
        return say.ends(self.of.base, self.of.base_low, self.of.base_high)

    @property
    def tuned(self) -> str:
        return say.ends(self.of.tuned, self.of.tuned_low, self.of.tuned_high)

    @property
    def change(self) -> str:
        one = self.of
        return say.change(
            say.Estimate(one.difference, one.difference_low, one.difference_high, one.n, one.facts)
        )  # fmt: skip

    @property
    def both(self) -> str:
        return f"{self.name} ({self.of.n}) {self.base} → {self.tuned}, {self.change}"

    @property
    def cells(self) -> tuple[str, ...]:
        one = self.of
        paired = say.ends(one.difference, one.difference_low, one.difference_high, signed=True)
        return self.name, str(one.n), self.base, self.tuned, paired


def chapter(report: BenchmarkReport, page: say.Surroundings) -> say.Chapter:
    """Right answers by kind of question: learned ones, others, foundation questions, and the baselines."""
    kinds = _kinds(report, "accuracy")
    learned = [one for one in kinds if one.of.kind in TRAINED]
    others = [one for one in kinds if one.of.kind not in (*TRAINED, FOUNDATION, ALL_KINDS)]
    together = [one for one in kinds if one.of.kind == ALL_KINDS]
    none_learned = f"The benchmark has no question of a kind that tuning learned ({', '.join(TRAINED)})."
    none_other = "The benchmark asks nothing but what tuning learned and foundation questions."
    pairs = list(zip(report.rows[::2], report.rows[1::2], strict=False))
    foundation = [pair for pair in pairs if pair[0].kind == FOUNDATION and None not in map(_accuracy, pair)]
    return say.Chapter(
        abstract=tuple(_abstract(report, [one for one in kinds if one.of.kind not in (FOUNDATION, ALL_KINDS)])),
        learned=(
            *md.sentences(_right(learned) or [none_learned]),
            *page.figure,
            *_accuracy_table("Right answers to what tuning learned", learned),
            *_accuracy_table("New and updated knowledge, all kinds of questions together, learned or not", together),
            *say.caveats(NAME, report.notes),
        ),
        generalises=(
            *md.sentences(_right(others) or [none_other]),
            *_accuracy_table("Right answers to questions that tuning did not learn as they stand", others),
        ),
        forgotten=(*_forgotten(foundation, kinds), *_old_answers(report)) if foundation else (),
        forgetting=tuple(_forgetting(kinds)) if foundation else (),
        trust=(*_baselines(kinds), *_malformed(report)),
    )


def _kinds(report: BenchmarkReport, measure: str) -> list[Kind]:
    names = labels(report)
    return [Kind(names[key(one)], one) for one in report.of(measure)]


def _accuracy(row: BenchmarkRow) -> float | None:
    return row.scores["accuracy"]


def _abstract(report: BenchmarkReport, kinds: Sequence[Kind]) -> Iterator[str]:
    """Right answers by kind of question, base → tuned, in one sentence."""
    if kinds:
        more = f"; {len(kinds) - NAMED} more kinds stand in the tables" if len(kinds) > NAMED else ""
        yield (
            f"They answered {say.count(len(report.rows) // 2, 'question')} greedily; right answers by kind (number of "
            f"questions), base → tuned: {'; '.join(one.both for one in kinds[:NAMED])}{more}."
        )


def _right(kinds: Sequence[Kind]) -> list[str]:
    """Right answers in one sentence; the table has them all."""
    some = "; ".join(one.both for one in kinds[:4])
    return [f"Right answers by kind (number of questions), base → tuned: {some}."] if kinds else []


def _accuracy_table(caption: str, kinds: Sequence[Kind]) -> list[str]:
    return md.table(caption, ("questions", *say.DIFFERENCE), [one.cells for one in kinds])


def _forgetting(kinds: Sequence[Kind]) -> Iterator[str]:
    """Foundation questions before and after tuning."""
    for one in kinds:
        if one.of.kind == FOUNDATION:
            yield (
                f"Forgetting: of {say.count(one.of.n, 'foundation question')}, {one.base} are answered rightly before "
                f"and {one.tuned} after tuning: {one.change}."
            )


def _forgotten(pairs: Sequence[tuple[BenchmarkRow, BenchmarkRow]], kinds: Sequence[Kind]) -> list[str]:
    answers = [
        say.Answered(base.question, base.answer, base.prediction, tuned.prediction, _is_right(base), _is_right(tuned))
        for base, tuned in pairs
    ]
    return [
        *md.sentences([say.lost_and_won(answers)]),
        *_accuracy_table(
            "Foundation questions, right answers before and after",
            [one for one in kinds if one.of.kind == FOUNDATION],
        ),
        md.paragraph("The figure of “Did it learn?” has foundation questions in a row of their own."),
        *say.lost_table(answers),
    ]


def _is_right(row: BenchmarkRow) -> bool:
    return (_accuracy(row) or 0) >= 0.5


def _old_answers(report: BenchmarkReport) -> list[str]:
    kinds = [one for one in _kinds(report, "old_answer") if one.of.kind != ALL_KINDS]
    remark = (
        "That a tuned model gives the old answer to an updated question less often is what updating is for: it is not "
        "forgetting."
    )
    table = _accuracy_table("Updated knowledge: the answer that was right before", kinds)
    return [*table, *(md.sentences([remark]) if kinds else [])]


def _baselines(kinds: Sequence[Kind]) -> list[str]:
    rows, not_above = [], []
    for one in kinds:
        blind = [value for value in (one.of.majority, one.of.majority_by_template) if value is not None]
        if one.of.kind == ALL_KINDS or not blind:
            continue
        few = one.of.facts < say.FEW
        above = not few and one.of.tuned_low > max(blind)
        if not above:
            not_above.append(one.name)
        judged = "yes" if above else "too few" if few else "not shown"
        majorities = say.number(one.of.majority), say.number(one.of.majority_by_template)
        rows.append((one.name, str(one.of.n), one.tuned, *majorities, judged))
    sentence = "The tuned model is above what the commonest answers reach, in every kind of question."
    if not_above:
        names = ", ".join(not_above)
        sentence = f"Not shown to be above what the commonest answers reach without any knowledge: {names}."
    heads = ("questions", "n", "tuned", "always the commonest answer", "commonest by template", "tuned above both")
    table = md.table("Right answers beside baselines that know nothing", heads, rows)
    return [*md.sentences([sentence] if rows else []), *table]


def _malformed(report: BenchmarkReport) -> list[str]:
    lines = [f"{plain_name(one.file)}, line {one.line}: {one.reason}" for one in report.malformed]
    more = len(lines) - MALFORMED
    shown = [*lines[:MALFORMED], *([f"{more} more are in benchmark.json"] if more > 0 else [])]
    return md.items("Malformed rows, left out", [md.escape(line) for line in shown])


SHOWN = ("accuracy", "contains", "token_f1", "old_answer", "judge")
"""Measures in the terminal's table; the others are in the files."""
