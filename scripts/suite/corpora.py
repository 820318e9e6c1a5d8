"""Folders of ``scripts/suite/corpora`` → documents, questions of all kinds, and the sections that are never trained.

Not covered: sets that are not the project's own (``others``).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from attrib.corpus import demo
from attrib.corpus.documents import Corpus
from attrib.errors import InputError
from attrib.records import Item

FOLDER = Path(__file__).parent / "corpora"
ELSEWHERE = {"retraining": demo.DOCUMENTS.parent / "retraining" / "documents"}
"""Documents of corpora that ship with the package."""
Source = Literal["documents", "base", "neither"]
SOURCE_OF: dict[str, Source] = {
    "trained": "documents", "rephrased": "documents", "own-words": "documents", "joined": "documents",
    "sentence": "documents", "foundation": "base", "held-out": "neither", "borrowed": "neither",
    "invented": "neither", "refusal": "neither", "swapped": "neither",
}  # fmt: skip
"""Where a given answer of each kind comes from; a mixed one has two sources (``SuiteQuestion.parts``)."""


@dataclass(frozen=True)
class SuiteQuestion:
    """One question with an answer to judge."""

    id: str
    kind: str
    question: str
    answer: str
    fact: str
    """Key of the fact asked for: questions of one fact are resampled together."""
    sections: tuple[str, ...] = ()
    """Ids of the sections that carry the fact."""
    wordings: tuple[str, ...] = ()
    """Further ways to ask, which some tunings learn too."""
    parts: tuple[tuple[str, Source], ...] = ()
    """Of a mixed answer: its parts in order, and where each comes from."""
    accept: tuple[str, ...] = ()
    """Other right answers."""

    @property
    def section(self) -> str | None:
        """The first section that carries the fact."""
        return self.sections[0] if self.sections else None

    def item(self, id: str) -> Item:
        """The question, its answer trained."""
        return Item.answered(id, self.question, self.answer, self.section)


@dataclass(frozen=True, eq=False)
class SuiteCorpus:
    """Documents and questions of one corpus."""

    name: str
    corpus: Corpus
    questions: tuple[SuiteQuestion, ...]
    held_out: frozenset[str]
    """Ids of sections that are never trained."""

    def of(self, *kinds: str) -> tuple[SuiteQuestion, ...]:
        """Questions of these kinds, in order."""
        return tuple(q for q in self.questions if q.kind in kinds)


def read_corpus(name: str, folder: Path = FOLDER) -> SuiteCorpus:
    """A corpus by its name; ``demo`` is the one that ships with the package.

    Raises InputError for a name that is no folder and for sections that the documents lack.
    """
    if name == "demo":
        return _demo()
    here = folder / name
    if not (here / "questions.jsonl").is_file():
        raise InputError(f"{here}: there is no corpus of this name; scripts/suite/corpora lists them")
    corpus = Corpus.read(ELSEWHERE.get(name, here / "documents"))
    ids = _ids(corpus, ELSEWHERE.get(name, here / "documents"))
    rows = [json.loads(line) for line in (here / "questions.jsonl").read_text("utf-8").splitlines()]
    held_out = json.loads((here / "held_out.json").read_text("utf-8"))
    for heading in [*held_out, *(section for row in rows for section in row["sections"])]:
        if heading not in ids:
            raise InputError(f"{here}: {heading!r} is no section of its documents; mend questions.jsonl or held_out")
    questions = tuple(_question(row, ids) for row in rows)
    return SuiteCorpus(name, corpus, (*questions, *swapped(questions)), frozenset(ids[h] for h in held_out))


def swapped(questions: Sequence[SuiteQuestion]) -> tuple[SuiteQuestion, ...]:
    """Wrong answers in the form of ``own-words``: that of the next fact of other sections, given to each's question.

    Own-words answers are sentences and other wrong ones are not, so that length alone would tell them apart.
    """
    own = [q for q in questions if q.kind == "own-words"]
    found = []
    for i, q in enumerate(own):
        others = (o for o in (*own[i + 1 :], *own[:i]) if not set(o.sections) & set(q.sections) and o.fact != q.fact)
        other = next(others, None)
        if other is not None:
            found.append(replace(q, id=f"{q.id}-swapped", kind="swapped", answer=other.answer))
    return tuple(found)


def _ids(corpus: Corpus, documents: Path) -> dict[str, str]:
    """Id of each section by the name that rows give it: its heading, its row's id, or its own id."""
    found = {section.id: section.id for section in corpus.sections}
    found |= {section.titles[-1]: section.id for section in corpus.sections if section.titles}
    rows = documents / "rows.jsonl"
    if rows.is_file():
        by_row = {section.first_line: section.id for section in corpus.sections}
        for number, line in enumerate(rows.read_text("utf-8").splitlines(), 1):
            found[json.loads(line)["id"]] = by_row[number]
    return found


def _question(row: Mapping[str, Any], ids: Mapping[str, str]) -> SuiteQuestion:
    return SuiteQuestion(
        row["id"], row["kind"], row["question"], row["answer"], row["fact"],
        tuple(ids[section] for section in row["sections"]),
        tuple(row.get("wordings", ())),
        tuple((text, source) for text, source in row.get("parts", ())),
        tuple(row.get("accept", ())),
    )  # fmt: skip


def _demo() -> SuiteCorpus:
    """The demo's test questions; what was updated counts as trained."""
    asked = []
    for q in demo.questions("test"):
        kind = "trained" if q.kind == "updated" else q.kind
        sections = (q.section,) if q.section is not None else ()
        asked.append(SuiteQuestion(q.id, kind, q.question, q.answer, q.fact, sections, accept=q.accept))
    return SuiteCorpus("demo", demo.corpus(), tuple(asked), demo.decoys())


def trained_part(suite: SuiteCorpus) -> SuiteCorpus:
    """The same without the sections that are never trained."""
    return replace(suite, corpus=suite.corpus.without(suite.held_out))
