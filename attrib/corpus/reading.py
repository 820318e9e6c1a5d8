"""What became of everything that a reading met: counts in words, as fields, and as losses.

Not covered: what a loss means for an analysis; whether one is allowed is the caller's choice (``strict``).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from attrib.errors import InputError

SHOWN = 20
"""How many names a line lists, and how many lines of a kind are shown, before it is said how many more there are."""
FILES = 3
"""The same for names of files beside a count."""


@dataclass(frozen=True)
class RowsRead:
    """The rows of one row file."""

    document: str
    """Name of the file."""
    shapes: Mapping[str, int]
    """Rows that became sections, by what they were read as, such as ``chat (`messages`)``."""
    without_text: int = 0
    """Rows left out since nothing in them is text to learn."""
    words_in: tuple[str, ...] = ()
    """Columns in which those rows have words all the same."""
    unused: tuple[str, ...] = ()
    """Columns of the other rows whose words are in no section."""
    set_aside: tuple[str, ...] = ()
    """The same, which the caller knows to be unused: no loss."""

    def __str__(self) -> str:
        """``train.jsonl: 800 rows read as chat (`messages`); columns not used: id, source``."""
        read = [f"{count(n, 'row')} read as {shape}" for shape, n in self.shapes.items()]
        aside = [f"columns set aside: {listed(self.set_aside)}"] if self.set_aside else []
        return f"{self.document}: {'; '.join([', '.join(read) or 'no row read', *self.lost, *aside])}"

    @property
    def lost(self) -> list[str]:
        """What is in no section, in words."""
        words = f" (words in {listed(self.words_in)})" if self.words_in else ""
        lines = [f"{count(self.without_text, 'row')} without text to learn{words}"] if self.without_text else []
        return [*lines, f"columns not used: {listed(self.unused)}"] if self.unused else lines


@dataclass(frozen=True)
class LeftOut:
    """Something that readers saw and did not read."""

    what: str
    """In words, such as ``outputs of cells``."""
    amount: int
    files: tuple[str, ...]

    def __str__(self) -> str:
        """``outputs of cells (7) in 2 files: a.ipynb, b.ipynb``."""
        return f"{self.what} ({self.amount:,}) in {places(self.files)}"


@dataclass(frozen=True)
class ReadingReport:
    """Counts of one reading of a folder or a file."""

    sections: int = 0
    files: Mapping[str, int] = field(default_factory=dict)
    """Files that were read, by the name of their format."""
    rows: tuple[RowsRead, ...] = ()
    """One for each row file that was read."""
    skipped: Mapping[str, int] = field(default_factory=dict)
    """Files that are of no format, by suffix, and links to folders."""
    hidden: int = 0
    """Files and folders passed over since their name starts with a dot."""
    left_out: tuple[LeftOut, ...] = ()
    remarks: tuple[str, ...] = ()
    """What readers decided, one sentence each, nothing lost."""
    headings: int = 0
    """Sections that are a heading without text below it."""
    exact_duplicates: int = 0
    """Sections whose titles, text and roles are those of an earlier one."""
    near_duplicates: int = 0
    """Sections with nearly the text of an earlier one, exact ones not counted."""
    questions: RowsRead | None = None
    """Rows of the file of questions, where one was read beside the documents."""

    @property
    def losses(self) -> tuple[str, ...]:
        """What stands in the files and in no section, one line each; empty where all was read."""
        lines = [f"not read: {_kinds(self.skipped)}"] if self.skipped else []
        tables = [*self.rows, self.questions] if self.questions is not None else self.rows
        lines += [f"{rows.document}: {'; '.join(rows.lost)}" for rows in tables if rows.lost]
        return (*lines, *(f"not read: {line}" for line in self.left_out))

    def lines(self) -> tuple[str, ...]:
        """The counts for people, the total first; one line where there is nothing to tell."""
        return tuple(self._lines())

    def _lines(self) -> Iterator[str]:
        total = sum(self.files.values())
        kinds = ", ".join(self.files if len(self.files) < 2 else [f"{n} {name}" for name, n in self.files.items()])
        hidden = f"; passed over: {count(self.hidden, 'hidden name')}" if self.hidden else ""
        yield f"{count(self.sections, 'section')} in {count(total, 'file')} ({kinds}){hidden}"
        yield from _bounded(self.rows, "row file")
        yield from _bounded(self.remarks, "remark")
        if self.headings:
            yield f"{count(self.headings, 'heading')} without text, each a section of its own"
        if self.exact_duplicates or self.near_duplicates:
            exact, near = count(self.exact_duplicates, "exact duplicate"), count(self.near_duplicates, "near-duplicate")
            yield f"{exact} and {near} among the sections"
        if self.skipped:
            yield f"not read: {_kinds(self.skipped)}"
        yield from (f"not read: {line}" for line in self.left_out)
        if self.questions is not None:
            yield f"questions: {self.questions}"

    def fields(self) -> dict[str, Any]:
        """The counts and their losses as JSON can hold them, for ``--json`` and provenance."""
        plain: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return {**plain, "losses": list(self.losses)}


def refuse_losses(losses: Iterable[str]) -> None:
    """Raises InputError with a line for each loss, where there is one: what ``strict`` asks for."""
    if lines := [f"strict: {loss}; remove it, or leave strict out" for loss in losses]:
        raise InputError("\n".join(lines))


def _bounded(lines: Sequence[object], thing: str) -> Iterator[str]:
    """The first lines, and how many more there are."""
    yield from map(str, lines[:SHOWN])
    if len(lines) > SHOWN:
        yield f"and {count(len(lines) - SHOWN, thing)} more (--json has all)"


def places(files: Sequence[str]) -> str:
    """``a.md``, or ``5 files: a.md, b.md, c.md and 2 more``."""
    return files[0] if len(files) == 1 else f"{count(len(files), 'file')}: {listed(files, FILES)}"


def _kinds(files: Mapping[str, int]) -> str:
    """``3 files: .png (2), .jpg (1)``, the most frequent first."""
    ranked = sorted(files.items(), key=lambda kind: (-kind[1], kind[0]))
    return f"{count(sum(files.values()), 'file')}: {listed([f'{kind} ({n})' for kind, n in ranked])}"


def count(n: int, thing: str) -> str:
    """``1 row``, ``1,200 rows``."""
    return f"{n:,} {thing}{'s' * (n != 1)}"


def listed(items: Sequence[str], shown: int = SHOWN) -> str:
    """The first items, and how many more there are."""
    more = f" and {len(items) - shown:,} more" if len(items) > shown else ""
    return ", ".join(items[:shown]) + more


def by_frequency(names: Counter[str]) -> dict[str, int]:
    """Names and counts, the most frequent first."""
    return dict(sorted(names.items(), key=lambda one: (-one[1], one[0])))
