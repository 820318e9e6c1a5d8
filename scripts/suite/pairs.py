"""The pairs of the suite: which corpus, which base, and how it was tuned. The most important first, long ones last.

Not covered: the adapters themselves (``train``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from attrib.errors import InputError
from attrib.training.options import TuneOptions

Base = Literal["smollm2", "gemma"]
Teaching = Literal["texts", "questions", "wordings"]


@dataclass(frozen=True)
class SuitePair:
    """One base and one tuning of it on one corpus."""

    name: str
    corpus: str
    """Name of a folder of ``scripts/suite/corpora``, ``demo``, or one of ``others.SETS``."""
    what: str
    """The tuning in words, for tables."""
    teaches: tuple[Teaching, ...] = ("texts", "questions")
    """What is trained: sections as texts, trained questions with their answers, their further wordings."""
    epochs: int = 12
    learning_rate: float = 1.5e-3
    rank: int = 4
    base: Base = "smollm2"
    full: bool = False
    """Whether all weights are tuned instead of an adapter."""

    @property
    def options(self) -> TuneOptions:
        """Hyperparameters of its tuning."""
        return TuneOptions(
            epochs=self.epochs, learning_rate=self.learning_rate, rank=self.rank, alpha=max(16, self.rank), batch=4,
            warmup=5, dropout=0.0, checkpoints=(1.0,), bf16=True,
        )  # fmt: skip


EVERYTHING: tuple[Teaching, ...] = ("texts", "questions", "wordings")
PAIRS: tuple[SuitePair, ...] = (
    SuitePair("demo", "demo", "the adapter that ships with the package"),
    SuitePair("rules", "rules", "12 epochs, rank 4"),
    SuitePair("handbook", "handbook", "rank 32, wordings", EVERYTHING, epochs=8, learning_rate=7e-4, rank=32),
    SuitePair("faq-questions", "faq", "questions and wordings only", ("questions", "wordings"), epochs=12),
    SuitePair("repeated", "repeated", "wordings", EVERYTHING, epochs=8),
    SuitePair("chat", "chat", "rows of chat data", ("texts",), epochs=14),
    SuitePair("rules-quarter", "rules", "a quarter of the steps", epochs=3),
    SuitePair("retraining", "retraining", "as for leave-section-out", epochs=8, learning_rate=1e-3, rank=8),
    SuitePair("ftb-people", "ftb-people", "12 epochs, rank 4"),
    SuitePair("faq-full", "faq", "all weights", EVERYTHING, epochs=6, learning_rate=5e-5, full=True),
    SuitePair("rules-texts", "rules", "texts only", ("texts",), epochs=16),
    SuitePair("ftb-medical", "ftb-medical", "wordings do not exist, 12 epochs"),
    SuitePair("people-gemma", "people", "Gemma 3 270M", epochs=8, learning_rate=1e-3, rank=8, base="gemma"),
    SuitePair("people-4x", "people", "four times the steps", epochs=32, learning_rate=8e-4),
)  # fmt: skip


def chosen(names: str | None) -> tuple[SuitePair, ...]:
    """The pairs of these names, comma-separated; None: all. Raises InputError for an unknown one."""
    if names is None:
        return PAIRS
    by_name = {pair.name: pair for pair in PAIRS}
    for name in names.split(","):
        if name not in by_name:
            raise InputError(f"pairs: there is no {name!r}; the suite has {', '.join(by_name)}")
    return tuple(by_name[name] for name in names.split(","))
