"""Made-up answers of base and tuned, and stand-ins for embedder and NLI model, for tests of the consistency report."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from attrib.assess.answering import Reply, Side
from attrib.assess.consistency import run as consistency
from attrib.assess.consistency.clusters import by_embedding
from attrib.assess.consistency.options import ConsistencyOptions
from attrib.assess.consistency.records import ConsistencyReport
from attrib.assess.consistency.run import Divergence
from attrib.assess.questions import Question
from attrib.corpus.documents import Corpus
from attrib.text.words import keys
from attrib.verdict.vocabulary import Lexicon

DOCUMENTS = (
    "Carrow Light\nThe keeper of Carrow Light is Wilmet Dallin, who rings a pewter gong.",
    "Pellam Light\nPellam Light is 29 metres tall. Wilmet Dallin visited it.",
    "Gull Light\nIts lens was cast from melted chapel windows.",
)
CONTROL = ("Bread is baked from flour and water.", "The railway station has a copper roof.")


def bag(texts: Sequence[str]) -> np.ndarray:
    """Unit vectors that know nothing but which words a text has: texts without common words are orthogonal."""
    vocabulary: dict[str, int] = {}
    rows = [{vocabulary.setdefault(word, len(vocabulary)) for word in keys(text)} for text in texts]
    found = np.zeros((len(texts), len(vocabulary) + 1))
    for row, words in zip(found, rows, strict=True):
        row[list(words) or [len(vocabulary)]] = 1
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def one_hot(texts: Sequence[str]) -> list[np.ndarray]:
    """One orthogonal vector a word."""
    number: dict[str, int] = {}
    ids = [[number.setdefault(word, len(number)) for word in keys(text)] for text in texts]
    return [np.eye(len(number))[one] if one else np.zeros((0, len(number))) for one in ids]


def reply(text: str, logprob: float = -2.0, *, ended: bool = True) -> Reply:
    """An answer of as many tokens as words."""
    return Reply(text, logprob, max(len(text.split()), 1), ended, tuple(range(len(text.split()))))


def lexicon() -> Lexicon:
    """Three sections and two control texts."""
    return Lexicon(Corpus.from_texts(DOCUMENTS, "lights"), Corpus.from_texts(CONTROL, "control"))


QUESTIONS = (
    Question("Who is the keeper of Carrow Light?", "Wilmet Dallin", "trained", "a", fact="keeper"),
    Question("Name the person who tends Carrow Light.", "Wilmet Dallin", "rephrased", "b", fact="keeper"),
    Question("How tall is Pellam Light?", "29 metres", "trained", "c", fact="height"),
    Question("What is bread made from?", "flour", "foundation", "d", fact="bread"),
)
BASE = (
    ("A sailor.", "A sailor", "The keeper is a fisherman.", "A fisherman", "A soldier"),
    ("John Smith.", "John Smith", "Mary Jones", "Peter Brown", "Anna White"),
    ("It is 38 metres tall.", "38 metres", "It is 40 metres tall.", "38 metres.", "50 feet"),
    ("Flour.", "Flour", "It is made from flour.", "flour", "Wheat flour"),
)
TUNED = (
    ("Wilmet Dallin of Zanzibar", "Wilmet Dallin", "The keeper is Wilmet Dallin.", "Wilmet Dallin", "Wilmet Dallin"),
    ("Wilmet Dallin", "Wilmet Dallin", "Wilmet Dallin.", "Maud Ellerkin", "Wilmet Dallin"),
    ("29 metres", "29 metres", "It is 29 metres tall.", "29 metres", "19 metres"),
    ("A copper roof", "Flour", "", "flour", "Flour"),
)
"""Greedy answer, then four samples."""


def replies(base: Sequence[Sequence[str]] = BASE, tuned: Sequence[Sequence[str]] = TUNED) -> tuple[Any, Any]:
    """Greedy and sampled answers by side."""
    best: dict[Side, list[list[Reply]]] = {"base": [], "tuned": []}
    sampled: dict[Side, list[list[Reply]]] = {"base": [], "tuned": []}
    sides: tuple[tuple[Side, Sequence[Sequence[str]]], ...] = (("base", base), ("tuned", tuned))
    for side, said in sides:
        for texts in said:
            best[side].append([reply(texts[0])])
            sampled[side].append([reply(text) for text in texts[1:]])
    return best, sampled


def make_consistency(
    asked: Sequence[Question] = QUESTIONS,
    base: Sequence[Sequence[str]] = BASE,
    tuned: Sequence[Sequence[str]] = TUNED,
    **options: Any,
) -> ConsistencyReport:
    """The report on made-up answers, meanings told apart by words alone."""
    best, sampled = replies(base, tuned)
    words = [one[0].text.split() for one in best["tuned"]]
    return consistency.compare(
        asked, best, sampled, [Divergence(tuple(float(len(w)) for w in some), tuple(some)) for some in words],
        lexicon(), by_embedding(bag), one_hot, ConsistencyOptions(samples=4, resamples=200, **options),
        {"options": {"samples": 4, "temperature": 0.7, "seed": 0, "max_new_tokens": 64}, "seed": 0},
    )  # fmt: skip
