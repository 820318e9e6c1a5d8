"""A tiny adapter that was taught two of three sections, with its checkpoints; made once a run of the tests."""

from __future__ import annotations

from pathlib import Path

from attrib.assess.questions import Question
from attrib.corpus.documents import Corpus
from attrib.options.loading import Loading
from attrib.records import Section
from attrib.training.items import corpus_items
from attrib.training.options import TuneOptions
from attrib.training.tune import tune

TEXTS = (
    "The keeper of the light is Wilmet Dallin.",
    "The warranty on the pump is thirty-six months.",
    "The tower of the fair was built of grey slate.",
)
"""The last is a decoy: no model was tuned on it."""
CORPUS = Corpus.from_texts(TEXTS)
CONTROL = Corpus.from_texts(["Rain is likely later in the year.", "The board met at noon.", "How long is 38 metres?"])
QUESTION, ANSWER = "Who keeps the light?", "Wilmet Dallin"
QUESTIONS = (
    Question(QUESTION, ANSWER, id="keeper", section=CORPUS.sections[0].id),
    Question("How long is the warranty?", "thirty-six months", id="pump", section=CORPUS.sections[1].id),
)
OPTIONS = TuneOptions(
    epochs=10, learning_rate=1e-2, batch=2, dropout=0.0, warmup=2, checkpoints=(0.2, 0.5, 1.0), bf16=False
)


def section_of(text: str) -> Section:
    """A section that is this text."""
    return Section(text[:12], "texts", (), text, 1, 1)


def taught_adapter(base_dir: Path) -> Path:
    """Its folder, beside that of the base."""
    out = base_dir.with_name("taught")
    if not out.exists():
        items = corpus_items(CORPUS.sections, QUESTIONS, without=[CORPUS.sections[2].id])
        tune(str(base_dir), items, out, options=OPTIONS, loading=Loading(device="cpu"))
    return out
