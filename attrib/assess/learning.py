"""What a new adapter knows: its greedy answers to questions that it was taught, and what it kept of base's knowledge.

Not covered: rephrased questions and held-out ones (``holdout``), answers in other words than the right one.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources

from attrib.assess.answering import Reply, answer_all
from attrib.assess.grading.scorers import correct
from attrib.assess.questions import Question
from attrib.models.pair import ModelPair
from attrib.options.answers import AnswerOptions
from attrib.progress import Progress

TRAINED, GENERAL = 50, 30
"""Most questions of each kind that are asked, spread over all of them."""
LONGEST = 32
"""Longest answer in tokens."""


@dataclass(frozen=True)
class LearnedAnswers:
    """Counts of right answers."""

    asked: int
    """Questions that were taught and asked."""
    right: int
    """Those whose answer by tuned is right."""
    general: int
    """General questions that base answers right."""
    kept: int
    """Those of them that tuned answers right."""

    def sentence(self) -> str:
        """``18 of 19 training answers right; general questions 96% as before``."""
        parts = [f"{self.right} of {self.asked} training answers right"] if self.asked else []
        if self.general:
            kept = f"{self.kept} of {self.general}" if self.general < 10 else f"{self.kept / self.general:.0%}"
            parts.append(f"general questions {kept} as before")
        return "; ".join(parts)


def general_questions() -> tuple[Question, ...]:
    """The general questions of the package."""
    text = (resources.files("attrib") / "data" / "foundation.jsonl").read_text("utf-8")
    rows = [json.loads(line) for line in text.splitlines() if line.strip()]
    return tuple(
        Question(row["question"], row["answer"], "foundation", id=row["id"], accept=tuple(row["accept"]))
        for row in rows
    )


def learned_answers(
    pair: ModelPair, taught: Sequence[Question], general: Sequence[Question], progress: Progress | None = None
) -> LearnedAnswers:
    """Ask tuned the ``taught`` questions and both models the ``general`` ones; at most TRAINED and GENERAL of them."""
    options = AnswerOptions(max_new_tokens=LONGEST)
    taught, general = _spread(taught, TRAINED), _spread(general, GENERAL)
    tuned = answer_all(pair, [*taught, *general], options, sides=("tuned",), progress=progress)["tuned"]
    base = answer_all(pair, general, options, sides=("base",), progress=progress)["base"]
    known = _right(general, base)
    kept = _right(general, tuned[len(taught) :])
    return LearnedAnswers(
        asked=len(taught),
        right=sum(_right(taught, tuned[: len(taught)])),
        general=sum(known),
        kept=sum(before and after for before, after in zip(known, kept, strict=True)),
    )


def _spread(questions: Sequence[Question], most: int) -> list[Question]:
    """At most so many, at even distances."""
    count = min(most, len(questions))
    return [questions[number * len(questions) // count] for number in range(count)]


def _right(asked: Sequence[Question], replies: Sequence[Sequence[Reply]]) -> list[bool]:
    return [correct(one, some[0].text) == 1 for one, some in zip(asked, replies, strict=True)]
