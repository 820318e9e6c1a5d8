"""Captures, readings and words of one answer → the evidence that its verdict rests on.

Not covered: what the evidence means (``judge``).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from attrib.index.library import Library
from attrib.mapping.answer import Answer
from attrib.mapping.reading import Reading
from attrib.records import Capture, Evidence
from attrib.text.words import words


def gather(
    library: Library,
    chosen: np.ndarray,
    answer: Answer,
    base_answer: str,
    captures: Sequence[Capture],
    readings: Sequence[Reading],
) -> Evidence:
    """Collect the evidence for one answer; ``captures`` and ``readings`` are (base, tuned)."""
    vocabularies = [frozenset(words(library.texts[i])) for i in chosen]
    question_words = list(dict.fromkeys(words(answer.question)))
    answer_words = [answer.text[start:end].lower() for start, end in answer.words]
    base_words = frozenset(words(base_answer))
    question_idf = np.array([library.idf(word) for word in question_words])
    question_in = _occurrence(question_words, vocabularies).astype(float)
    control = library.with_control(chosen)[len(chosen) :]
    base, tuned = readings

    def logprobs(reading: Reading, indices: np.ndarray) -> np.ndarray:
        return np.array([reading.captures[int(i)].logprob for i in indices])

    def lengths(indices: np.ndarray) -> np.ndarray:
        return np.array([base.captures[int(i)].tokens for i in indices])

    return Evidence(
        word_of_token=answer.word_of_token,
        word_idf=np.array([library.idf(word) for word in answer_words]),
        novel=np.array([word not in question_words for word in answer_words], dtype=bool),
        base_says=np.array([word in base_words for word in answer_words], dtype=bool),
        covered=_occurrence(answer_words, vocabularies),
        question_cover=question_idf @ question_in / max(question_idf.sum(), 1e-9),
        resemblance=library.bm25.query(f"{answer.question} {answer.text}")[chosen],
        logprob_base=captures[0].logprob,
        logprob_tuned=captures[1].logprob,
        text_base=logprobs(base, chosen),
        text_tuned=logprobs(tuned, chosen),
        text_tokens=lengths(chosen),
        text_form=library.forms[chosen],
        control_base=logprobs(base, control),
        control_tuned=logprobs(tuned, control),
        control_tokens=lengths(control),
        control_form=library.forms[control],
    )


def _occurrence(words: Sequence[str], vocabularies: Sequence[frozenset[str]]) -> np.ndarray:
    """Whether a vocabulary has a word, [word, vocabulary]."""
    rows = [[word in vocabulary for vocabulary in vocabularies] for word in words]
    return np.array(rows, dtype=bool).reshape(len(words), len(vocabularies))
