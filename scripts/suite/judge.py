"""Answers of a pair → the evidence of each, kept one file each, so that a run that was stopped goes on.

Control answers are made and judged as ``attrib calibrate`` does, from what ships with the package and from the corpus;
nothing that is scored is among them. Two processes may work on different pairs.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from attrib.assess.answering import answer_all
from attrib.assess.grading.scorers import contains
from attrib.assess.questions import Question
from attrib.calibrating.controls import ControlAnswer, find_controls
from attrib.calibrating.run import with_decoys
from attrib.index.library import Library
from attrib.models.pair import ModelPair
from attrib.progress import Progress
from attrib.records import Evidence
from attrib.store import Store, records_in
from attrib.verdict.answers import JudgedAnswer, evidence_of
from suite.answers import OPTIONS, SuiteAnswer, answers_of
from suite.corpora import Source, SuiteCorpus

SCHEMA = 2
"""Raised when evidence of the same fields means something else: older entries are then not found."""
CONTROLS = 20
"""Control answers of each group."""
AT_ONCE = 48
"""Answers whose evidence is gathered together: what a kill costs."""


@dataclass(frozen=True, eq=False)
class SuiteRow:
    """An answer with its evidence."""

    answer: SuiteAnswer
    evidence: Evidence


Rows = tuple[SuiteRow, ...]


def judged_rows(
    pair: ModelPair, name: str, suite: SuiteCorpus, work: Path, progress: Progress | None = None
) -> tuple[Rows, Rows]:
    """Rows of the pair's answers, and rows of its control answers; what ``work`` does not hold is computed, and all of
    them are kept by the pair's name for ``stored_rows``."""
    library = Library.make(suite.corpus, cache=work / "cache", device=pair.device, progress=progress)
    answers = answers_of(pair, suite, work, progress)
    rows = _with_evidence(pair, library, answers, "", work, progress)
    controls, places = control_answers(pair, library, suite, work, progress)
    libraries = {"": library, **with_decoys(library)}
    judged: dict[str, SuiteRow] = {}
    # Decoys of one half share a library.
    for own in {id(libraries[place]) for place in places}:
        some = [(c, p) for c, p in zip(controls, places, strict=True) if id(libraries[p]) == own]
        where = libraries[some[0][1]]
        for row in _with_evidence(pair, where, [c for c, _ in some], where.corpus.sha256, work, progress):
            judged[row.answer.id] = row
    both = tuple(rows), tuple(judged[control.id] for control in controls)
    rows_of(work).put(name, StoredRows(*both))
    return both


@dataclass(frozen=True, eq=False)
class StoredRows:
    """Everything that is scored of one pair."""

    rows: tuple[SuiteRow, ...]
    controls: tuple[SuiteRow, ...]


def rows_of(work: Path) -> Store[StoredRows]:
    """Rows by the name of their pair."""
    key = {"fields": [field.name for field in fields(Evidence)]}
    return records_in(work / "rows", key, StoredRows, "suite rows", SCHEMA)


def stored_rows(name: str, work: Path) -> tuple[Rows, Rows] | None:
    """What ``judged_rows`` kept last for this pair; needs no model. None where there is nothing."""
    found = rows_of(work).get(name)
    return (found.rows, found.controls) if found is not None else None


def control_answers(
    pair: ModelPair, library: Library, suite: SuiteCorpus, work: Path, progress: Progress | None = None
) -> tuple[list[SuiteAnswer], list[str]]:
    """Control answers of the pair, and the decoy that joins the candidate sections of each."""
    asked = [Question(q.question, q.answer, q.kind, q.id, q.section) for q in suite.of("trained")]
    found = find_controls(library, suite.held_out, asked, (), CONTROLS).answers
    replies = answer_all(pair, [c.asked for c in found], OPTIONS, out=work / "answers" / "parts", progress=progress)
    controls, decoys = [], []
    for number, (control, base, tuned) in enumerate(zip(found, replies["base"], replies["tuned"], strict=True)):
        # The model's own answer is a control where it is right.
        if control.answer is None and contains(control.asked, tuned[0].text) != 1:
            continue
        answer = control.answer if control.answer is not None else tuned[0].ids
        judged = JudgedAnswer(control.asked.question, answer, base[0].text, tuned[0].ids or None)
        controls.append(SuiteAnswer(f"control-{number}", "control", control.group, judged, _source(control), ""))
        decoys.append(control.decoy)
    return controls, decoys


def _source(control: ControlAnswer) -> Source:
    """Controls are never from the documents; general ones are base's."""
    return "base" if control.group.startswith("general") else "neither"


def _with_evidence(
    pair: ModelPair, library: Library, answers: Sequence[SuiteAnswer], where: str, work: Path,
    progress: Progress | None,
) -> list[SuiteRow]:  # fmt: skip
    """Evidence of each answer against this library; the one place where it is gathered."""
    key = {
        "fields": [field.name for field in fields(Evidence)],
        "models": [pair.base.fingerprint, pair.tuned.fingerprint, pair.variant],
        "texts": [library.corpus.sha256, library.control.sha256, where],
    }
    folder = work / "evidence" / pair.tuned.fingerprint[:16]
    store: Store[Evidence] = records_in(folder, key, Evidence, "evidence", SCHEMA)
    found = {answer.id: store.get(_key(answer)) for answer in answers}
    # Answers to one question share the prompts that they are read after.
    missing = sorted((a for a in answers if found[a.id] is None), key=lambda a: a.judged.question)
    for first in range(0, len(missing), AT_ONCE):
        some = missing[first : first + AT_ONCE]
        started = time.process_time()
        for answer, one in zip(some, evidence_of(pair, library, [a.judged for a in some]), strict=True):
            store.put(_key(answer), one)
            found[answer.id] = one
        seconds = (time.process_time() - started) / len(some)
        done = first + len(some)
        print(f"  evidence {done}/{len(missing)}, {seconds:.2f} CPU s an answer", file=sys.stderr, flush=True)
    rows = []
    for answer in answers:
        evidence = found[answer.id]
        assert evidence is not None
        rows.append(SuiteRow(answer, evidence))
    return rows


def _key(answer: SuiteAnswer) -> list[object]:
    judged = answer.judged
    return [judged.question, judged.answer, judged.base_answer, judged.own_answer]
