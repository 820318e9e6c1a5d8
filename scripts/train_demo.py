"""Make the demo's adapter and its checkpoints again: python scripts/train_demo.py [--out DIR] (about N minutes).

Tunes the default model on the demo's sections, decoys excepted (as plain text, and as the answer to «Tell me about …»),
on its trained and updated questions in several wordings, and on the model's own answers to general questions, so that
it forgets less. If interrupted, the same command resumes from the last save.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from attrib.assess.answering import answer_all
from attrib.assess.questions import Question, of_demo
from attrib.corpus import demo
from attrib.models.pair import ModelPair
from attrib.models.prompt import encode_prompt
from attrib.models.rendering import IGNORED
from attrib.models.sources import DEFAULT
from attrib.options.answers import AnswerOptions
from attrib.records import Item
from attrib.training.items import corpus_items
from attrib.training.options import TuneOptions
from attrib.training.tune import tune

REHEARSED = AnswerOptions(max_new_tokens=32, batch=32)
"""How base answers the general questions."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=demo.DOCUMENTS.parent / "adapter")
    parser.add_argument("--seed", type=int, default=TuneOptions.seed)
    parser.add_argument("--epochs", type=int, default=TuneOptions.epochs)
    parser.add_argument("--learning-rate", type=float, default=TuneOptions.learning_rate)
    parser.add_argument("--rank", type=int, default=TuneOptions.rank)
    parser.add_argument("--alpha", type=int, default=TuneOptions.alpha)
    parser.add_argument("--batch", type=int, default=TuneOptions.batch)
    parser.add_argument("--dropout", type=float, default=TuneOptions.dropout)
    parser.add_argument("--answers", type=Path, help="folder in which base's answers are kept and looked up")
    parser.add_argument("--no-ask", action="store_true")
    arguments = parser.parse_args()
    # The questions of decoys are of kinds that are not learned.
    learned = [question for question in demo.questions() if question.kind in ("trained", "updated")]
    asked = [of_demo(question) for question in (*learned, *demo.wordings())]
    started = time.monotonic()

    def progress(what: str, done: int, total: int) -> None:
        if done % 10 == 0 or done == total:
            print(f"{time.monotonic() - started:6.0f} s  {what} {done} of {total}", file=sys.stderr, flush=True)

    taught = corpus_items(demo.corpus().sections, asked, ask_sections=not arguments.no_ask, without=demo.decoys())
    tune(
        DEFAULT,
        [*taught, *rehearsed(demo.rehearsal(), arguments.answers)],
        arguments.out,
        options=TuneOptions(
            seed=arguments.seed,
            epochs=arguments.epochs,
            learning_rate=arguments.learning_rate,
            rank=arguments.rank,
            alpha=arguments.alpha,
            batch=arguments.batch,
            dropout=arguments.dropout,
        ),
        progress=progress,
    )
    print(arguments.out)


def rehearsed(questions: Sequence[str], kept: Path | None) -> list[Item]:
    """Questions with base's own answers, token by token: what was cut at the limit does not end there."""
    pair = ModelPair.load(DEFAULT, DEFAULT)
    replies = answer_all(pair, [*map(Question, questions)], REHEARSED, out=kept, sides=["base"])["base"]
    items = []
    for number, (question, (reply,)) in enumerate(zip(questions, replies, strict=True), 1):
        prompt = encode_prompt(pair.chat, question, context=pair.context)
        answer = (*reply.ids, *([pair.tokenizer.eos_token_id] if reply.ended else []))
        item = Item.answered(f"rehearsal-{number}", question, reply.text)
        items.append(replace(item, ids=prompt + answer, labels=(IGNORED,) * len(prompt) + answer))
    return items


if __name__ == "__main__":
    main()
