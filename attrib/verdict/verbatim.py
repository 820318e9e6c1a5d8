"""Word runs that an answer shares verbatim with the documents. Not covered: paraphrase, and word forms."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from attrib.records import Token, Verbatim
from attrib.text.words import WordIndex, longest_runs
from attrib.verdict.vocabulary import Lexicon, SpelledWord, common_words, spelled_words

PLACES = 100
"""Occurrences of one verbatim span that are listed."""


def find_verbatim(
    answer: str, answer_tokens: tuple[Token, ...], question: str, lexicon: Lexicon
) -> tuple[Verbatim, ...]:
    """The longest word runs that answer and documents share, longest first, then in the answer's order.

    A run has two words or more, or one that is not common; one that the question or the control texts hold too is kept
    and says so. No run reaches over a special token. Empty for an answer that shares nothing.
    """
    words = spelled_words(answer_tokens, range(len(answer_tokens)))
    runs = longest_runs([word.key for word in words], lexicon.documents, common_words(words, lexicon))
    asked = WordIndex.of([question])
    longest_first = sorted(runs, key=lambda run: (-run[1], run[0]))
    return tuple(
        _verbatim(answer, answer_tokens, words[first : first + length], lexicon, asked)
        for first, length in longest_first
    )


def _verbatim(
    answer: str, tokens: tuple[Token, ...], run: Sequence[SpelledWord], lexicon: Lexicon, asked: WordIndex
) -> Verbatim:
    keys, start, end = [word.key for word in run], run[0].start, run[-1].end
    index = lexicon.documents
    places = index.find(keys)
    shown = places[:PLACES]
    return Verbatim(
        text=answer[start:end],
        start=start,
        end=end,
        words=len(run),
        tokens=tuple(i for i, token in enumerate(tokens) if max(token.start, start) < min(token.end, end)),
        sections=tuple(lexicon.corpus.sections[int(i)].id for i in index.text[shown]),
        spans=np.stack([index.spans[shown, 0], index.spans[shown + len(run) - 1, 1]], 1).astype(np.int64),
        sections_total=len(index.holders(places)),
        asked=max((length for _, length in longest_runs(keys, asked)), default=0),
        controls=len(lexicon.controls.holders(lexicon.controls.find(keys))),
    )
