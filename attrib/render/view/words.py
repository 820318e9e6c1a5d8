"""The answer's words, each with its verdict: what is counted, coloured and listed, everywhere the same.

A word has one verdict, that of its tokens' mean. Function words carry no claim of their own: they have the verdict of
their phrase, the content word after them, else the one before. Punctuation goes with the word before it.
Not covered: scripts written without spaces (one run of letters is one word).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from attrib.records import CALLS, Called, Explanation
from attrib.text.forms import forms
from attrib.text.function_words import is_function_word
from attrib.text.words import WORD, key, word_of_token

_CLAUSE_END = re.compile(r"[^\w\s'’\-]")


@dataclass(frozen=True)
class AnswerWord:
    """One word of the answer."""

    text: str
    form: str
    """Stem or number: words that say the same have the same."""
    members: tuple[int, ...]
    """Its answer tokens."""
    called: Called
    content: bool
    """Whether it is no function word."""
    novel: bool
    """Whether the question lacks it."""


def answer_words(explanation: Explanation) -> tuple[AnswerWord, ...]:
    """Every word that has a token of its own, in order."""
    text = "".join(token.text for token in explanation.answer_tokens)
    start = explanation.answer_tokens[0].start if explanation.answer_tokens else 0
    spans = [match.span() for match in WORD.finditer(text)]
    owner = word_of_token(explanation.answer_tokens, [(a + start, b + start) for a, b in spans])
    asked, stems = set(forms(explanation.question)), forms(text)
    kept = [i for i in range(len(spans)) if (owner == i).any()]
    members = [np.flatnonzero(owner == i) for i in kept]
    content = [not is_function_word(key(text[slice(*spans[i])])) for i in kept]
    own = [explanation.verdict.call(explanation.verdict.tokens[rows].mean(0)) for rows in members]
    heads = _heads(text, [spans[i] for i in kept], content)
    return tuple(
        AnswerWord(
            text=text[slice(*spans[word])],
            form=stems[word],
            members=tuple(int(token) for token in members[i]),
            called=own[heads[i]],
            content=content[i],
            novel=stems[word] not in asked,
        )
        for i, word in enumerate(kept)
    )


def _heads(text: str, spans: Sequence[tuple[int, int]], content: Sequence[bool]) -> list[int]:
    """For each word the word whose verdict it has: itself, or the content word of its phrase."""
    ends = [bool(_CLAUSE_END.search(text[a[1] : b[0]])) for a, b in pairwise(spans)]
    found = []
    for i, own in enumerate(content):
        after = next((j for j in range(i + 1, len(spans)) if content[j]), None)
        before = next((j for j in range(i - 1, -1, -1) if content[j]), None)
        near = [j for j in (after, before) if j is not None and not any(ends[min(i, j) : max(i, j)])]
        others = [j for j in (before, after) if j is not None]
        found.append(i if own else (near or others or [i])[0])
    return found


def token_calls(explanation: Explanation) -> tuple[Called, ...]:
    """The verdict of each answer token: its word's; what is no word has that of the word before it."""
    calls: list[Called | None] = [None] * len(explanation.answer_tokens)
    for word in answer_words(explanation):
        for i in word.members:
            calls[i] = word.called
    last = next((called for called in calls if called is not None), None)
    found: list[Called] = []
    for own, called in zip(explanation.verdict.token_called, calls, strict=True):
        last = called or last
        found.append(last or own)
    return tuple(found)


def word_counts(words: Sequence[AnswerWord]) -> dict[Called, int]:
    """How many words have each verdict, by CALLS."""
    counts = Counter(word.called for word in words)
    return {called: counts[called] for called in CALLS}


def deciding(words: Sequence[AnswerWord]) -> tuple[AnswerWord, ...]:
    """The words that say something: content words that the question lacks, else all content words, else all."""
    content = tuple(word for word in words if word.content)
    return tuple(word for word in content if word.novel) or content or tuple(words)
