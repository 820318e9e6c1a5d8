"""A pair's answers to judge, each with its true source where that is known.

Given answers are the corpus's own rows. Own answers are greedy: the tuned model's to trained, rephrased, general and
held-out questions, and base's to general ones. Right answers of the model's own come from the documents or from base;
wrong ones from nowhere that is known, so that they are reported apart.
Not covered: control answers, from which a pair's promise is made (``controls``).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from attrib.assess.answering import Reply, Side, answer_all
from attrib.assess.grading.scorers import contains
from attrib.assess.questions import Question
from attrib.files import digest_of, write_atomically
from attrib.models.pair import ModelPair
from attrib.options.answers import AnswerOptions
from attrib.progress import Progress
from attrib.records.codec import from_json, to_json
from attrib.verdict.answers import JudgedAnswer
from suite.corpora import SOURCE_OF, Source, SuiteCorpus, SuiteQuestion

OPTIONS = AnswerOptions(max_new_tokens=32)
ASKED = ("trained", "rephrased", "foundation", "held-out")
"""Kinds whose questions the models answer themselves."""
Whose = Literal["given", "tuned", "base", "control"]


@dataclass(frozen=True)
class SuiteAnswer:
    """One answer to judge."""

    id: str
    whose: Whose
    kind: str
    """Kind of its question; of a control answer the name of its group."""
    judged: JudgedAnswer
    label: Source | None
    """Its true source; None: not known, or two sources."""
    fact: str
    sections: tuple[str, ...] = ()
    right: bool | None = None
    """Of own answers: whether it holds a right answer."""
    learned: bool | None = None
    """Whether the tuned model answers the fact's trained question right; None where the fact was not trained."""
    parts: tuple[tuple[str, Source], ...] = ()


def answers_of(
    pair: ModelPair, suite: SuiteCorpus, work: Path, progress: Progress | None = None
) -> tuple[SuiteAnswer, ...]:
    """Every answer of this pair, found in ``work/answers`` or made."""
    file = work / "answers" / f"{suite.name}-{pair.tuned.fingerprint[:16]}.json"
    digest = digest_of([4, pair.variant, to_json(suite.questions), to_json(OPTIONS)])
    if file.is_file():
        stored = json.loads(file.read_text("utf-8"))
        if stored["digest"] == digest:
            found: tuple[SuiteAnswer, ...] = from_json(tuple[SuiteAnswer, ...], stored["answers"])
            return found
    asked = [as_question(q, suite) for q in suite.questions]
    replies = answer_all(pair, asked, OPTIONS, out=work / "answers" / "parts", progress=progress)
    found = labelled(suite, {side: [some[0] for some in replies[side]] for side in replies})
    write_atomically(file, json.dumps({"digest": digest, "answers": to_json(found)}).encode())
    return found


def as_question(q: SuiteQuestion, suite: SuiteCorpus) -> Question:
    """The question with every right answer that a row gives it: two editions may contradict one another."""
    right = (q.answer, *q.accept)
    if q.kind in ("trained", "rephrased"):
        right += tuple(o.answer for o in suite.of(q.kind) if o.question == q.question and o.answer != q.answer)
    return Question(q.question, q.answer, q.kind, q.id, q.section, accept=tuple(dict.fromkeys(right[1:])))


def labelled(suite: SuiteCorpus, replies: Mapping[Side, Sequence[Reply]]) -> tuple[SuiteAnswer, ...]:
    """Given and own answers with their sources; ``replies``: one of each side to each question of the corpus."""
    asked = [as_question(q, suite) for q in suite.questions]
    right = {
        side: [contains(q, _first_line(one)) == 1 for q, one in zip(asked, replies[side], strict=True)]
        for side in replies
    }
    learned = {q.fact: right["tuned"][i] for i, q in enumerate(suite.questions) if q.kind == "trained"}
    found = []
    for i, q in enumerate(suite.questions):
        base, tuned = _first_line(replies["base"][i]), _first_line(replies["tuned"][i])
        known = _learned(q, learned)
        # The very tokens, unless a line's end cuts them.
        ids = {
            side: reply.ids if said == reply.text.strip() else said
            for side, said, reply in (("base", base, replies["base"][i]), ("tuned", tuned, replies["tuned"][i]))
        }
        given = JudgedAnswer(q.question, q.answer, base, ids["tuned"] or None)
        found.append(
            SuiteAnswer(q.id, "given", q.kind, given, SOURCE_OF.get(q.kind), q.fact, q.sections, None, known, q.parts)
        )
        if q.kind not in ASKED:
            continue
        both = right["base"][i], right["tuned"][i]
        for whose in ("tuned", "base") if q.kind == "foundation" else ("tuned",):
            if not ids[whose]:
                continue
            judged = JudgedAnswer(q.question, ids[whose], base, ids["tuned"] if whose == "base" else None)
            own = SuiteAnswer(
                f"{q.id}:{whose}", "tuned" if whose == "tuned" else "base", q.kind, judged,
                own_source(q.kind, whose, both), q.fact, q.sections, both[1] if whose == "tuned" else both[0], known,
            )  # fmt: skip
            found.append(own)
    return tuple(found)


def _first_line(reply: Reply) -> str:
    """A base model without end of turn goes on with questions of its own after its answer."""
    return reply.text.strip().split("\n")[0].strip()


def own_source(kind: str, whose: str, right: tuple[bool, bool]) -> Source | None:
    """Source of a model's own answer; ``right``: base's, the tuned model's. None where it is not known."""
    base, tuned = right
    if kind == "foundation":
        # General knowledge that base lacks may be chance or tuning.
        return "base" if base and (tuned or whose == "base") else None
    if kind in ("trained", "rephrased"):
        # What base says by itself, the documents did not have to teach.
        return "documents" if tuned and not base else None
    return None


def _learned(q: SuiteQuestion, learned: Mapping[str, bool]) -> bool | None:
    """Whether every fact that the question joins was learned; facts are joined by +."""
    facts = [learned[fact] for fact in q.fact.split("+") if fact in learned]
    return all(facts) if facts else None
