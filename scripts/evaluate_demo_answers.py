"""What base and the demo's adapter answer: share of right answers by kind of question and split.

    python scripts/evaluate_demo_answers.py [--adapter DIR] [--split calibration|test] [--out DIR] [--json]

Answers are greedy and made in batches (about two CPU minutes for both splits); with ``--out`` they are kept and reused.
Right is what ``attrib.assess.grading.scorers.correct`` says. Intervals are 95%, drawn over facts. Held-out questions
are about sections that nobody learned: a right answer to one would be a leak, or luck.
Not covered: verdicts on these answers (``evaluate_demo.py``).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from attrib.assess.answering import SIDES, Side, answer_all
from attrib.assess.grading.scorers import correct
from attrib.assess.questions import Question, of_demo
from attrib.corpus import demo
from attrib.measures import grouped_interval
from attrib.models.pair import ModelPair
from attrib.models.sources import DEMO_ADAPTER
from attrib.options.answers import AnswerOptions

KINDS = ("trained", "rephrased", "updated", "foundation", "held-out")
OPTIONS = AnswerOptions(max_new_tokens=28, batch=32)
"""The longest right answer has 24 tokens."""


@dataclass(frozen=True)
class Share:
    """Right answers of one model to the questions of one kind and split."""

    split: str
    kind: str
    side: Side
    n: int
    right: int
    low: float
    """Ends of the 95% interval of right / n."""
    high: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--adapter", default=DEMO_ADAPTER, help="another adapter of the same base, e.g. a checkpoint")
    parser.add_argument("--split", choices=("calibration", "test"), help="one split only")
    parser.add_argument("--out", type=Path, help="folder in which answers are kept and looked up")
    parser.add_argument("--wrong", action="store_true", help="list the tuned model's wrong answers too")
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    arguments = parser.parse_args()

    asked = [of_demo(question) for question in demo.questions(arguments.split)]
    replies = answer_all(ModelPair.load(tuned=arguments.adapter), asked, OPTIONS, out=arguments.out)
    said = {side: [samples[0].text for samples in replies[side]] for side in SIDES}
    found = shares(asked, said)
    print(markdown(found))
    if arguments.wrong:
        print("\n" + wrong_answers(asked, said["tuned"]))
    if arguments.json:
        print(json.dumps([asdict(share) for share in found]))


def shares(asked: Sequence[Question], said: dict[Side, list[str]]) -> list[Share]:
    """Right answers by split, kind and model; ``said`` holds each model's answers in the order of ``asked``."""
    found = []
    for split in sorted({question.split for question in asked}):
        for kind in KINDS:
            rows = [row for row, question in enumerate(asked) if (question.split, question.kind) == (split, kind)]
            if not rows:
                continue
            facts = np.unique([asked[row].fact for row in rows], return_inverse=True)[1]
            for side, answers in said.items():
                right = np.array([correct(asked[row], answers[row]) for row in rows])
                found.append(Share(split, kind, side, len(rows), int(right.sum()), *grouped_interval(right, facts)))
    return found


def markdown(found: Sequence[Share]) -> str:
    """A row for each split and kind: right answers of base and tuned."""
    lines = ["| split | questions | n | base | tuned |", "|---|---|---|---|---|"]
    for split, kind in dict.fromkeys((share.split, share.kind) for share in found):
        of_both = {share.side: share for share in found if (share.split, share.kind) == (split, kind)}
        cells = [f"{s.right / s.n:.2f} [{s.low:.2f}, {s.high:.2f}]" for s in (of_both[side] for side in SIDES)]
        lines.append(f"| {split} | {kind} | {of_both['tuned'].n} | {' | '.join(cells)} |")
    return "\n".join(lines)


def wrong_answers(asked: Sequence[Question], said: Sequence[str]) -> str:
    """A line for each wrong answer to a question that is no held-out one."""
    return "\n".join(
        f"{question.split} {question.kind} {question.question} → {answer!r}, right: {question.answer!r}"
        for question, answer in zip(asked, said, strict=True)
        if question.kind != "held-out" and not correct(question, answer)
    )


if __name__ == "__main__":
    main()
