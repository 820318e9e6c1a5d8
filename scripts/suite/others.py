"""Sets that are not the project's own → suite corpora: FineTuneBench's fictional people and medical updates.

They are read from a copy of the user's ($ATTRIB_SHARED/data/finetunebench), and nothing of them is stored. Their
borrowed answers are those of the next row. Not covered: their other files (comparison, secondary, vignettes, news).
"""

from __future__ import annotations

import csv
import json
import os
import tempfile
from dataclasses import replace
from pathlib import Path

from attrib.corpus.documents import Corpus
from attrib.errors import InputError
from suite.corpora import SuiteCorpus, SuiteQuestion, read_corpus

ROWS, HELD_OUT = 16, 5
"""Facts that are trained, and facts kept out."""
SETS = {
    "ftb-people": ("fictional_people/fictional_people_memorization.csv", "question", "fact"),
    "ftb-medical": ("medical/medical_memorization.csv", "prompt", "update_reference_snippet"),
}
"""File, column of the question, column of the section's text; the answer's is ``answer``."""
REPHRASED = {"ftb-people": ("fictional_people/fictional_people_rephrased.csv", "rephrased_question")}


def read_suite(name: str) -> SuiteCorpus:
    """A corpus of the suite by its name, those of others included."""
    return read_other(name, others_folder()) if name in SETS else read_corpus(name)


def others_folder() -> Path:
    """The folder of FineTuneBench. Raises InputError where there is none."""
    shared = os.environ.get("ATTRIB_SHARED")
    folder = Path(shared) / "data" / "finetunebench" if shared else None
    if folder is None or not folder.is_dir():
        raise InputError(
            "finetunebench: it is not there; set ATTRIB_SHARED to the folder that holds data/finetunebench"
        )
    return folder


def read_other(name: str, folder: Path) -> SuiteCorpus:
    """Rows of a set of FineTuneBench as a corpus of one section a row.

    Raises InputError for a file that is not there, has too few rows or lacks a column.
    """
    file, question, fact = SETS[name]
    rows = _rows(folder / file, (question, fact, "answer"))
    texts = [row[fact] for row in rows]
    with tempfile.TemporaryDirectory() as scratch:
        written = Path(scratch) / "texts.jsonl"
        written.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), "utf-8")
        corpus = Corpus.read(written)
    by_row = {section.first_line - 1: section.id for section in corpus.sections}
    rephrased = _rephrased(name, folder)
    asked = []
    for i, row in enumerate(rows):
        base = SuiteQuestion(f"{name}-{i}", "trained", row[question], row["answer"], f"{name}-{i}", (by_row[i],))
        if i >= ROWS:
            asked.append(replace(base, id=f"{base.id}-h", kind="held-out"))
            continue
        asked.append(base)
        if row[fact] in rephrased:
            asked.append(replace(base, id=f"{base.id}-r", kind="rephrased", question=rephrased[row[fact]]))
        other = rows[(i + 1) % ROWS]["answer"]
        if other.casefold() != row["answer"].casefold() and other.casefold() not in row[fact].casefold():
            asked.append(replace(base, id=f"{base.id}-b", kind="borrowed", answer=other))
    asked += [replace(q, id=f"{name}-{q.id}") for q in read_corpus("retraining").of("foundation")]
    return SuiteCorpus(name, corpus, tuple(asked), frozenset(by_row[i] for i in range(ROWS, len(rows))))


def _rows(file: Path, columns: tuple[str, ...]) -> list[dict[str, str]]:
    """The first rows with texts of their own."""
    if not file.is_file():
        raise InputError(f"{file}: it is not there; give FineTuneBench as it was published")
    with file.open(encoding="utf-8", newline="") as opened:
        rows = [{key: (value or "").strip() for key, value in row.items() if key} for row in csv.DictReader(opened)]
    for column in columns:
        if not rows or column not in rows[0]:
            raise InputError(f"{file}: it has no column {column!r}; give FineTuneBench as it was published")
    # Long answers are guidelines, which cost as much as a section.
    short = {row[columns[1]]: row for row in rows if 0 < len(row["answer"].split()) <= 12 and row[columns[1]]}
    if len(short) < ROWS + HELD_OUT:
        raise InputError(f"{file}: {len(short)} rows with a short answer; at least {ROWS + HELD_OUT} are needed")
    return list(short.values())[: ROWS + HELD_OUT]


def _rephrased(name: str, folder: Path) -> dict[str, str]:
    """The rephrased question of each fact, where the set has them."""
    if name not in REPHRASED:
        return {}
    file, question = REPHRASED[name]
    with (folder / file).open(encoding="utf-8", newline="") as opened:
        return {row["fact"].strip(): row[question].strip() for row in csv.DictReader(opened)}
