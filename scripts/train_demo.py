"""Make the demo's adapter and its checkpoints again, in 38 minutes on one core that others used too:

    torchrun --standalone --nproc-per-node 2 scripts/train_demo.py [--out DIR]

Tunes the default model on the demo's sections, decoys excepted (as plain text, and as the answer to «Tell me about …»),
on its trained and updated questions in several wordings, and on the model's own answers to general questions, so that
it forgets less. If interrupted, the same command resumes from the last save. The shipped adapter was made by two
processes of four examples a step each; ``python scripts/train_demo.py`` takes one process, which makes another adapter.
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
OPTIONS = TuneOptions(epochs=3, learning_rate=1e-3, rank=4, alpha=16, dropout=0.05, batch=4, warmup=20, bf16=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=demo.DOCUMENTS.parent / "adapter")
    parser.add_argument("--answers", type=Path, help="folder in which base's own answers are kept and looked up")
    for name in ("seed", "epochs", "learning_rate", "rank", "batch"):
        default = getattr(OPTIONS, name)
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(default), default=default)
    given = vars(parser.parse_args())
    out, answers = given.pop("out"), given.pop("answers")
    # The questions of decoys are of kinds that are not learned.
    learned = [question for question in demo.questions() if question.kind in ("trained", "updated")]
    asked = [of_demo(question) for question in (*learned, *demo.wordings())]
    started = time.monotonic()

    def progress(what: str, done: int, total: int) -> None:
        if done % 10 == 0 or done == total:
            print(f"{time.monotonic() - started:6.0f} s  {what} {done} of {total}", file=sys.stderr, flush=True)

    taught = corpus_items(demo.corpus().sections, asked, ask_sections=True, without=demo.decoys())
    items = [*taught, *rehearsed(demo.rehearsal(), answers)]
    tune(DEFAULT, items, out, options=replace(OPTIONS, **given), progress=progress)
    print(out)


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
