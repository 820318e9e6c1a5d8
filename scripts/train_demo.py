"""Make the demo's adapter and its checkpoints again, in 17 minutes on two cores:

    torchrun --standalone --nproc-per-node 2 scripts/train_demo.py [--out DIR]

Tunes the default model on the demo's sections, decoys excepted (as plain text, and as the answer to «Tell me about …»),
on its trained and updated questions in several wordings, and rehearses the package's general questions, so that it
forgets less. If interrupted, the same command resumes from the last save. The shipped adapter was made by two
processes of four examples a step each; ``python scripts/train_demo.py`` takes one process, which makes another adapter.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import replace
from pathlib import Path

from attrib.assess.questions import of_demo
from attrib.corpus import demo
from attrib.models.sources import DEFAULT
from attrib.training.items import corpus_items
from attrib.training.options import TuneOptions
from attrib.training.rehearsal import general
from attrib.training.tune import tune

OPTIONS = TuneOptions(epochs=3, learning_rate=1.5e-3, rank=4, alpha=16, dropout=0.05, batch=4, warmup=20, bf16=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=demo.DOCUMENTS.parent / "adapter")
    for name in ("seed", "epochs", "learning_rate", "rank", "batch"):
        default = getattr(OPTIONS, name)
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(default), default=default)
    given = vars(parser.parse_args())
    out = given.pop("out")
    # The questions of decoys are of kinds that are not learned.
    learned = [question for question in demo.questions() if question.kind in ("trained", "updated")]
    asked = [of_demo(question) for question in (*learned, *demo.wordings())]
    started = time.monotonic()

    def progress(what: str, done: int, total: int) -> None:
        if done % 10 == 0 or done == total:
            print(f"{time.monotonic() - started:6.0f} s  {what} {done} of {total}", file=sys.stderr, flush=True)

    decoys, options = demo.decoys(), replace(OPTIONS, **given)
    items = corpus_items(demo.corpus().sections, asked, ask_sections=True, without=decoys)
    tune(DEFAULT, items, out, options=options, held_out=sorted(decoys), rehearse=general(), progress=progress)
    print(out)


if __name__ == "__main__":
    main()
