"""Make the demo's adapter and its checkpoints again: python scripts/train_demo.py [--out DIR] (about 20 minutes).

Tunes the default model on the demo's sections, decoys excepted (as plain text, and as the answer to «Tell me about …»),
on its trained and updated questions, and on the model's own answers to general questions, so that it forgets less.
If interrupted, the same command resumes from the last save.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from attrib.assess.questions import of_demo
from attrib.corpus import demo
from attrib.models.sources import DEFAULT
from attrib.training.items import corpus_items
from attrib.training.options import TuneOptions
from attrib.training.tune import tune


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=demo.DOCUMENTS.parent / "adapter")
    parser.add_argument("--seed", type=int, default=TuneOptions.seed)
    parser.add_argument("--epochs", type=int, default=TuneOptions.epochs)
    parser.add_argument("--learning-rate", type=float, default=TuneOptions.learning_rate)
    arguments = parser.parse_args()
    # The questions of decoys are of kinds that are not learned.
    asked = [of_demo(question) for question in demo.questions() if question.kind in ("trained", "updated")]
    started = time.monotonic()

    def progress(what: str, done: int, total: int) -> None:
        if done % 10 == 0 or done == total:
            print(f"{time.monotonic() - started:6.0f} s  {what} {done} of {total}", file=sys.stderr, flush=True)

    tune(
        DEFAULT,
        corpus_items(demo.corpus().sections, asked, ask_sections=True, without=demo.decoys()),
        arguments.out,
        options=TuneOptions(seed=arguments.seed, epochs=arguments.epochs, learning_rate=arguments.learning_rate),
        rehearse=demo.rehearsal(),
        progress=progress,
    )
    print(arguments.out)


if __name__ == "__main__":
    main()
