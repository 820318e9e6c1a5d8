"""JSONL or CSV → questions with their answers, where they have one."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass
from pathlib import Path

from attrib import demo
from attrib.errors import InputError

ALLOWED = (".jsonl", ".csv")


@dataclass(frozen=True)
class Asked:
    """One question of a set."""

    question: str
    answer: str | None = None
    """None: the tuned model's own answer."""
    kind: str = ""
    id: str = ""
    section: str | None = None
    """Id of the gold section, where it is known."""
    split: str = ""


def read_questions(path: Path) -> tuple[Asked, ...]:
    """Rows with a ``question`` and, optionally, ``answer``, ``kind``, ``id``, ``section`` (gold) and ``split``.

    Raises InputError, one line, for another kind of file and for rows that are not so, by number.
    """
    if path.suffix not in ALLOWED:
        raise InputError(f"{path}: questions are read from {' or '.join(ALLOWED)}; give such a file")
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({error}); give a file in UTF-8") from error
    rows: list[Asked] = []
    if path.suffix == ".csv":
        reader = csv.DictReader(io.StringIO(text, newline=""))
        try:
            rows += [_asked(path, reader.line_num, dict(row)) for row in reader]
        except csv.Error as error:
            raise InputError(f"{path}, line {reader.line_num}: not CSV ({error}); mend the row") from error
    else:
        # Not splitlines: a string in JSON may hold other line separators.
        for number, line in enumerate(text.split("\n"), start=1):
            if line.strip():
                try:
                    content = json.loads(line)
                except ValueError as error:
                    raise InputError(f"{path}, line {number}: not JSON ({error}); mend the line") from error
                rows.append(_asked(path, number, content))
    if not rows:
        raise InputError(f"{path}: it has no questions; give at least one")
    return tuple(rows)


def demo_questions(limit: int | None = None) -> tuple[Asked, ...]:
    """The demo's test questions with their right answers, kinds taken in turn so that a few are of every kind."""
    by_kind: dict[str, list[Asked]] = {}
    for row in demo.questions("test"):
        by_kind.setdefault(row.kind, []).append(Asked(row.question, row.answer, row.kind))
    longest = max(len(rows) for rows in by_kind.values())
    mixed = [rows[i] for i in range(longest) for rows in by_kind.values() if i < len(rows)]
    return tuple(mixed[:limit])


def _asked(path: Path, number: int, row: object) -> Asked:
    if not isinstance(row, dict):
        raise InputError(f"{path}, line {number}: not an object with a question; mend the line")
    question, answer, kind = row.get("question"), row.get("answer"), row.get("kind")
    if not isinstance(question, str) or not question.strip():
        raise InputError(f"{path}, line {number}: no text in its column 'question'; mend the row")
    if answer is not None and not isinstance(answer, str):
        raise InputError(f"{path}, line {number}: its answer is no text; mend the row")
    return Asked(
        question,
        answer if answer and answer.strip() else None,
        str(kind or ""),
        id=str(row.get("id") or number),
        section=str(row["section"]) if row.get("section") else None,
        split=str(row.get("split") or ""),
    )
