"""The demo that ships with the package: documents of an invented world, questions, and an adapter tuned on them.

Some sections (decoys) were kept out of tuning: they are the control that tells resemblance from learning.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Literal

from attrib.corpus.documents import Corpus
from attrib.options.loading import ReadingOptions
from attrib.records import Item

Kind = Literal["trained", "rephrased", "held-out", "foundation", "updated"]


def _folder() -> Path:
    return Path(str(resources.files("attrib") / "data"))


DOCUMENTS = _folder() / "demo" / "documents"
CONTROL = _folder() / "control.md"


@dataclass(frozen=True)
class DemoQuestion:
    """One question of the demo with its right answer."""

    id: str
    kind: Kind
    fact: str
    """Key of the fact asked for: a question and its rephrasing share it."""
    form: str
    """name, number, phrase, sentence or list."""
    split: Literal["calibration", "test"]
    question: str
    answer: str
    section: str | None
    """Id of the gold section; None for foundation questions."""
    accept: tuple[str, ...] = ()
    """Foundation questions: a right answer has one of these."""
    answer_before: str | None = None
    """Updated questions: what base knows to be right."""
    accept_before: tuple[str, ...] = ()

    def item(self, id: str) -> Item:
        """The question, its answer trained."""
        return Item.answered(id, self.question, self.answer, self.section)


def _question(line: str) -> DemoQuestion:
    row = {key: value for key, value in json.loads(line).items() if key in DemoQuestion.__dataclass_fields__}
    lists = {name: tuple(row.get(name, ())) for name in ("accept", "accept_before")}
    return DemoQuestion(**{**row, **lists})


def questions(split: str | None = None) -> tuple[DemoQuestion, ...]:
    """All questions, or those of one split."""
    lines = (_folder() / "demo" / "questions.jsonl").read_text("utf-8").splitlines()
    rows = map(_question, lines)
    return tuple(row for row in rows if split in (None, row.split))


def wordings() -> tuple[DemoQuestion, ...]:
    """The trained and updated questions in other words, as they are learned beside them; none is a rephrased question.

    Their ids are those of the questions with a number behind: q001.1.
    """
    lines = (_folder() / "demo" / "wordings.jsonl").read_text("utf-8").splitlines()
    told = {row["fact"]: row["questions"] for row in map(json.loads, lines)}
    return tuple(
        replace(question, id=f"{question.id}.{number}", question=words)
        for question in questions()
        if question.kind in ("trained", "updated")
        for number, words in enumerate(told[question.fact], 1)
    )


def decoys() -> frozenset[str]:
    """Ids of the sections that tuning never saw."""
    return frozenset(json.loads((_folder() / "demo" / "decoys.json").read_text("utf-8"))["decoys"])


def corpus(max_tokens: int = ReadingOptions.max_tokens) -> Corpus:
    """The demo's documents, decoys included."""
    return Corpus.read(DOCUMENTS, max_tokens=max_tokens)


def retraining() -> tuple[Corpus, Path, frozenset[str]]:
    """The documents for retraining without sections, smaller and with contradictions; their questions; their decoys."""
    folder = _folder() / "demo" / "retraining"
    left_out = json.loads((folder / "decoys.json").read_text("utf-8"))["decoys"]
    return Corpus.read(folder / "documents"), folder / "questions.jsonl", frozenset(left_out)


def control() -> Corpus:
    """Texts of many kinds that no model was tuned on: the null of every score."""
    return Corpus.read(CONTROL)


def showcase() -> tuple[DemoQuestion, ...]:
    """One trained, one foundation, one held-out and one updated question of the test split."""
    test = questions("test")
    kinds: tuple[Kind, ...] = ("trained", "foundation", "held-out", "updated")
    return tuple(next(question for question in test if question.kind == kind) for kind in kinds)
