"""Where a benchmark's questions come from: FineTuneBench, a file, or the demo."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from attrib.assess.finetunebench.read import read_finetunebench
from attrib.assess.questions import Malformed, Question, demo_questions, read_question_rows
from attrib.corpus.files import read_bytes
from attrib.corpus.reading import ReadingReport, RowsRead
from attrib.errors import InputError
from attrib.options.loading import ReadingOptions


@dataclass(frozen=True)
class BenchmarkQuestions:
    """The questions, and what must be said of them."""

    rows: tuple[Question, ...]
    """Questions to ask."""
    learned: tuple[Question, ...]
    """Questions among which tuning finds those to learn."""
    malformed: tuple[Malformed, ...] = ()
    notes: tuple[str, ...] = ()
    sha256: str | None = None
    """Digest of the files; None for the demo's."""
    read: RowsRead | None = None
    """What was read of a row file; None for the demo's and FineTuneBench's."""

    @property
    def reading(self) -> ReadingReport | None:
        """The same as provenance holds it."""
        return ReadingReport(questions=self.read) if self.read is not None else None

    @property
    def losses(self) -> tuple[str, ...]:
        """What stands in the files and is not asked, one line each."""
        read = self.reading.losses if self.reading is not None else ()
        return (*read, *map(str, self.malformed))


def read_benchmark(
    questions: Path | None,
    finetunebench: Path | None,
    subsets: Sequence[str] | None = None,
    *,
    all_rows: bool = False,
    limit: int | None = None,
    columns: Sequence[str] = (),
) -> BenchmarkQuestions:
    """The questions of a file, of FineTuneBench's folder, or without both the demo's; the first ``limit``.
    ``columns`` are those of the file, as ``read_questions`` takes them.

    Raises InputError for two sources, and for parts of FineTuneBench without its folder.
    """
    if questions is not None and finetunebench is not None:
        raise InputError("questions: --questions and --finetunebench are two benchmarks; give one of them")
    if finetunebench is not None:
        found = read_finetunebench(finetunebench, subsets, all_rows=all_rows)
        return BenchmarkQuestions(found.rows[:limit], found.training, found.malformed, found.notes, found.sha256)
    if subsets is not None or all_rows:
        raise InputError("subset: parts and rows are FineTuneBench's; name its folder with --finetunebench")
    if questions is not None:
        malformed: list[Malformed] = []
        asked, read = read_question_rows(questions, malformed, columns)
        digest = hashlib.sha256(read_bytes(questions, ReadingOptions.max_bytes)).hexdigest()
        return BenchmarkQuestions(asked[:limit], asked, tuple(malformed), sha256=digest, read=read)
    asked = demo_questions(limit)
    return BenchmarkQuestions(asked, asked)
