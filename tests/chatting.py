"""A tiny adapter that was taught half of some rows of chat data; made once a run of the tests."""

from __future__ import annotations

import json
from pathlib import Path

from attrib.corpus.documents import Corpus
from attrib.options.loading import Loading
from attrib.training.items import corpus_items
from attrib.training.options import TuneOptions
from attrib.training.tune import tune

ROWS = (
    ("Who keeps the light?", "Wilmet Dallin, from the tower."),
    ("How long is the warranty?", "It is thirty-six months on the pump."),
    ("How tall is the tower?", "38 metres of grey slate."),
    ("When is the fair?", "In the third week of June."),
)
"""The last two are decoys: no model was tuned on them."""
TAUGHT = 2
OPTIONS = TuneOptions(
    epochs=25, learning_rate=1e-2, batch=2, dropout=0.0, warmup=2, checkpoints=(0.2, 0.5, 1.0), bf16=False
)


def messages(question: str, answer: str) -> dict[str, object]:
    """A row as trainers take it."""
    return {"messages": [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]}


def rows_corpus(folder: Path) -> Corpus:
    """The rows, read from a file in ``folder``."""
    file = folder / "rows.jsonl"
    file.write_text("".join(json.dumps(messages(*row)) + "\n" for row in ROWS), "utf-8")
    return Corpus.read(file)


def chat_adapter(base_dir: Path, corpus: Corpus) -> Path:
    """Its folder, beside that of the base."""
    out = base_dir.with_name("chatting")
    if not out.exists():
        items = corpus_items(corpus.sections, without=[section.id for section in corpus.sections[TAUGHT:]])
        tune(str(base_dir), items, out, options=OPTIONS, loading=Loading(device="cpu"))
    return out
