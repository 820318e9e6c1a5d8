"""Rows of chat data that were never trained, against control texts as answers and as prose.

    python scripts/evaluate_chat_control.py --rows 16 --epochs 20 --learning-rate 1e-3 --out work/chat-control

Sections of the demo become rows, each the answer to a question about its title; the default model is tuned on every
other one. The rest are decoys: their gain is the form's. If interrupted, the same command resumes.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Literal

import numpy as np

from attrib.corpus import demo
from attrib.corpus.documents import Corpus
from attrib.index.library import Library
from attrib.index.readings import read_sections
from attrib.mapping.reading import mapping_layer
from attrib.measures import auroc, beyond_form
from attrib.models.pair import ModelPair
from attrib.models.sources import DEFAULT
from attrib.training.items import corpus_items
from attrib.training.options import TuneOptions
from attrib.training.tune import tune

SIDES: tuple[Literal["base"], Literal["tuned"]] = ("base", "tuned")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("work/chat-control"))
    parser.add_argument("--rows", type=int, default=16)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    given = parser.parse_args()
    corpus = rows_of_demo(given.rows, given.out)
    decoy = np.arange(len(corpus)) % 2 == 1
    items = corpus_items(corpus.sections, without=[s.id for s, out in zip(corpus.sections, decoy, strict=True) if out])
    options = TuneOptions(epochs=given.epochs, learning_rate=given.learning_rate, checkpoints=(0.5, 1.0))
    adapter = tune(DEFAULT, items, given.out / "adapter", options=options, progress=_say)
    report(ModelPair.load(DEFAULT, adapter), corpus, decoy, given.out / "cache")


def rows_of_demo(rows: int, out: Path) -> Corpus:
    """The first sections of the demo as rows of chat data."""
    out.mkdir(parents=True, exist_ok=True)
    distinct = list({section.text: section for section in demo.corpus().sections}.values())[:rows]
    asked = [(f"What do you know about {section.titles[-1]}?", section.text) for section in distinct]
    lines = [json.dumps({"prompt": [_turn("user", q)], "completion": [_turn("assistant", a)]}) for q, a in asked]
    file = out / "rows.jsonl"
    file.write_text("\n".join(lines) + "\n", "utf-8")
    return Corpus.read(file)


def _turn(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


def report(pair: ModelPair, corpus: Corpus, decoy: np.ndarray, cache: Path) -> None:
    """Gains of trained rows, decoys and control texts, and what is left of them beyond each control."""
    n, prose = len(corpus), demo.control().sections
    sections = dict(enumerate((*Library(corpus).sections, *prose)))
    read = [read_sections(pair, side, sections, mapping_layer(pair), cache=cache, progress=_say) for side in SIDES]
    base, tuned = (np.array([side[i].logprob for i in sections]) for side in read)
    gain = (tuned - base) / np.array([read[0][i].tokens for i in sections])
    controls = {"answers": slice(n, n + len(prose)), "prose": slice(n + len(prose), n + 2 * len(prose))}
    print(f"gain, nats a token: trained {gain[:n][~decoy].mean():.3f}, decoys {gain[:n][decoy].mean():.3f}")
    one = np.zeros(n, dtype=np.int64)
    for name, where in controls.items():
        null = np.zeros(len(prose), dtype=np.int64)
        left = beyond_form((base[:n], tuned[:n], one), (base[where], tuned[where], null))
        print(
            f"control as {name}: gain {gain[where].mean():.3f}; surprise removed beyond it: trained "
            f"{left[~decoy].mean():.3f}, decoys {left[decoy].mean():.3f}, largest {left[decoy].max():.3f}"
        )
    print(f"AUROC of trained rows against decoys: {auroc(gain[:n][~decoy], gain[:n][decoy]):.3f}")


def _say(what: str, done: int, total: int) -> None:
    if done % 10 == 0:
        print(f"{what} {done} of {total}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
