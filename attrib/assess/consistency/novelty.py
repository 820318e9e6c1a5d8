"""Terms and words that the tuned model's answers add to the base's, and those they drop.

Not covered: word forms (no stemming).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

import numpy as np

from attrib.assess.answering import SIDES, Side
from attrib.assess.consistency.clusters import terms
from attrib.assess.consistency.records import (
    NewTerm,
    SectionWithTerm,
)
from attrib.corpus.bm25 import Bm25
from attrib.text.words import WORD, key
from attrib.verdict.vocabulary import Lexicon

SECTIONS = 3
"""Sections that are named for a new term."""


@dataclass(frozen=True)
class Novelty:
    values: dict[str, float]
    base: float
    """The base's samples, each against its other answers."""
    new: tuple[str, ...]
    dropped: tuple[str, ...]


def novelty_of(question: str, answers: Mapping[Side, Sequence[str]], lexicon: Lexicon) -> Novelty:
    """Terms of the first tuned answer that no base answer has, and the reverse."""
    base, tuned = ([set(terms(question, text)) for text in answers[side]] for side in SIDES)
    in_documents = _has(lexicon.documents.number)
    by_base, by_tuned = set[str]().union(*base), set[str]().union(*tuned)
    new = [term for term in terms(question, answers["tuned"][0]) if term not in by_base]
    dropped = [term for term in terms(question, answers["base"][0]) if term not in by_tuned]
    base_shares = [
        _share(sum(map(in_documents, own.difference(*base[:i], *base[i + 1 :]))), len(own))
        for i, own in enumerate(base)
        if i
    ]
    n = len(tuned[0])
    values = {
        "novel": _share(sum(map(in_documents, new)), n),
        "novel_control": _share(sum(map(_has(lexicon.controls.number), new)), n),
        "made_up": _share(sum(not in_documents(term) for term in new), n),
        "dropped": _share(len(dropped), len(base[0])),
    }
    known = [value for value in base_shares if not math.isnan(value)]
    return Novelty(values, float(np.mean(known)) if known else math.nan, tuple(new), tuple(dropped))


def _has(number: Mapping[str, int]) -> Callable[[str], bool]:
    return lambda term: term in number


def _share(part: int, whole: int) -> float:
    return part / whole if whole else math.nan


def new_terms(
    question: str, answer: str, new: Sequence[str], lexicon: Lexicon, bm25: Callable[[], Bm25]
) -> Iterator[NewTerm]:
    """The new terms with their places in the answer and the sections that hold them."""
    places = terms(question, answer)
    scores: np.ndarray | None = None
    for term in new:
        holders = lexicon.documents.holders(lexicon.documents.places(term))
        if holders.size and scores is None:
            scores = bm25().query(f"{question} {answer}")
        first = holders[np.argsort(-scores[holders], kind="stable")][:SECTIONS] if scores is not None else holders
        sections = (lexicon.corpus.sections[int(i)] for i in first)
        yield NewTerm(
            term,
            tuple(places[term]),
            tuple(SectionWithTerm(section.id, section.title, section.document, section.lines) for section in sections),
            len(holders),
        )


def difference(a: str, b: str) -> tuple[tuple[tuple[int, int], ...], tuple[tuple[int, int], ...]]:
    """Words that ``b`` adds and words of ``a`` that it takes away, as [start, end) in ``b`` and in ``a``.

    Words are aligned by their keys (case and punctuation do not count); neighbours make one span.
    """
    places = [[match.span() for match in WORD.finditer(text)] for text in (a, b)]
    words = [[key(text[start:end]) for start, end in spans] for text, spans in zip((a, b), places, strict=True)]
    added, removed = [], []
    for operation, i, i_end, j, j_end in SequenceMatcher(None, words[0], words[1], autojunk=False).get_opcodes():
        if operation != "equal" and i_end > i:
            removed.append((places[0][i][0], places[0][i_end - 1][1]))
        if operation != "equal" and j_end > j:
            added.append((places[1][j][0], places[1][j_end - 1][1]))
    return tuple(added), tuple(removed)
