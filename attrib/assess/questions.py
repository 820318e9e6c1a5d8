"""JSONL or CSV → questions with their answers, where they have one."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from attrib.corpus import demo
from attrib.errors import InputError
from attrib.files import csv_cells

ALLOWED = (".jsonl", ".csv")


@dataclass(frozen=True)
class Question:
    """One question of a set."""

    question: str
    """As the model is asked."""
    answer: str | None = None
    """The right answer. None: the tuned model's own is taken where one is needed."""
    kind: str = ""
    id: str = ""
    section: str | None = None
    """Id of the gold section, where it is known."""
    split: str = ""
    accept: tuple[str, ...] = ()
    """Other right answers."""
    answer_before: str | None = None
    """Right answer before the knowledge was updated."""
    accept_before: tuple[str, ...] = ()
    """Other answers that were right then."""
    fact: str = ""
    """Key of the fact asked for: a question and its rephrasings share it."""
    subset: str = ""
    """Part of a benchmark that it belongs to."""
    knowledge: str = ""
    """new or updated, where it is known."""
    template: str = ""
    """The question without its names and numbers, for baselines by template."""


@dataclass(frozen=True)
class Malformed:
    """A row that cannot be used, and why."""

    file: str
    line: int
    """From 1, the row's first."""
    reason: str

    def __str__(self) -> str:
        return f"{self.file}, line {self.line}: {self.reason}"


def check_questions(asked: Sequence[Question], *, answered: bool = False) -> None:
    """InputError where there is no question, or, with ``answered``, where one has no right answer."""
    if not asked:
        raise InputError("questions: none was given; give at least one")
    for question in asked:
        if answered and question.answer is None:
            raise InputError(f"question {question.id!r}: it has no right answer to score by; add one or leave it out")


def read_questions(path: Path, malformed: list[Malformed] | None = None) -> tuple[Question, ...]:
    """Rows with a ``question`` and, optionally, the other fields of ``Question``; ``accept`` and ``accept_before`` are
    lists, in CSV texts with ``|`` between the answers.

    Raises InputError, one line, for another kind of file, for a file without a usable row and for ids given twice.
    A row that is not so is an InputError too, by line, or is appended to ``malformed`` and left out where that is
    given.
    """
    if path.suffix not in ALLOWED:
        raise InputError(f"{path}: questions are read from {' or '.join(ALLOWED)}; give such a file")
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({error}); give a file in UTF-8") from error
    rows: list[Question] = []
    first: dict[str, int] = {}
    for number, row in _csv_rows(path, text) if path.suffix == ".csv" else _json_rows(text):
        asked = row if isinstance(row, str) else _asked(number, row)
        if isinstance(asked, Question) and first.setdefault(asked.id, number) != number:
            asked = f"its id {asked.id!r} is that of line {first[asked.id]} too; give each row its own"
        if isinstance(asked, Question):
            rows.append(asked)
        elif malformed is None:
            raise InputError(f"{path}, line {number}: {asked}")
        else:
            malformed.append(Malformed(str(path), number, asked))
    if not rows:
        raise InputError(f"{path}: it has no questions; give at least one")
    return tuple(rows)


def _csv_rows(path: Path, text: str) -> list[tuple[int, dict[str, Any] | str]]:
    """First line and content of each row, or what is wrong with it."""
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    before = reader.line_num
    rows: list[tuple[int, dict[str, Any] | str]] = []
    try:
        with csv_cells(text):
            for row in reader:
                # The header is read with the first row.
                first = max(before, 1) + 1
                before = reader.line_num
                # More cells than the header has.
                rows.append((first, "it has more cells than the header; mend the row" if None in row else dict(row)))
    except csv.Error as error:
        # Where a quote is wrong nothing after it can be trusted.
        raise InputError(f"{path}, line {reader.line_num}: not CSV ({error}); mend the row") from error
    return rows


def _json_rows(text: str) -> Iterator[tuple[int, object]]:
    # Not splitlines: a string in JSON may hold other line separators.
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            try:
                yield number, _an_object(json.loads(line))
            except ValueError as error:
                yield number, f"not JSON ({error}); mend the line"


def _an_object(content: object) -> object:
    """A JSON string would pass for what is wrong with its line."""
    return content if isinstance(content, dict) else "not an object with a question; mend the line"


def demo_questions(limit: int | None = None) -> tuple[Question, ...]:
    """The demo's test questions with their right answers, kinds taken in turn so that a few are of every kind."""
    by_kind: dict[str, list[Question]] = {}
    for row in demo.questions("test"):
        by_kind.setdefault(row.kind, []).append(of_demo(row))
    longest = max(len(rows) for rows in by_kind.values())
    mixed = [rows[i] for i in range(longest) for rows in by_kind.values() if i < len(rows)]
    return tuple(mixed[:limit])


def of_demo(row: demo.DemoQuestion) -> Question:
    """A question of the demo."""
    return Question(
        row.question,
        row.answer,
        row.kind,
        id=row.id,
        section=row.section,
        split=row.split,
        accept=row.accept,
        answer_before=row.answer_before,
        accept_before=row.accept_before,
        fact=row.fact,
        subset="demo",
        knowledge="updated" if row.kind == "updated" else "new" if row.section is not None else "",
        template=row.form,
    )


def _asked(number: int, row: object) -> Question | str:
    """The question of a row, or what is wrong with it."""
    assert isinstance(row, dict)
    question, answer = row.get("question"), row.get("answer")
    if not isinstance(question, str) or not question.strip():
        return "no text in its column 'question'; mend the row"
    if answer is not None and not isinstance(answer, str):
        return "its answer is no text; mend the row"
    lists = {name: _texts(row.get(name)) for name in ("accept", "accept_before")}
    if wrong := [name for name, texts in lists.items() if texts is None]:
        return f"its {wrong[0]} is no list of texts; mend the row"
    return Question(
        question,
        answer if answer and answer.strip() else None,
        str(row.get("kind") or ""),
        id=str(row.get("id") or number),
        section=str(row["section"]) if row.get("section") else None,
        split=str(row.get("split") or ""),
        accept=lists["accept"] or (),
        answer_before=str(row["answer_before"]) if row.get("answer_before") else None,
        accept_before=lists["accept_before"] or (),
        **{name: str(row.get(name) or "") for name in ("fact", "subset", "knowledge", "template")},
    )


def _texts(value: object) -> tuple[str, ...] | None:
    """A list of texts, or one text with | between them; None for anything else."""
    if isinstance(value, str):
        return tuple(text.strip() for text in value.split("|") if text.strip())
    value = value or []
    return tuple(value) if isinstance(value, list) and all(isinstance(text, str) for text in value) else None
