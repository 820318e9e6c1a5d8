"""Tokens → words, sentences and spans of the person's own; which tokens are the chat template's.

Not covered: sentence ends inside abbreviations ("e.g. this") are taken as ends.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from attrib.errors import InputError
from attrib.options.methods import Unit, UnitName
from attrib.records import Token

# A line's end belongs to the sentence that it ends; full-width marks need no blank after them.
_SENTENCE_END = re.compile(
    r"""(?:[.!?…]+["'”’)\]]*(?=\s|$)|[。！？][.!?…。！？]*["'”’」』）)\]]*)(?:\s*\n)?|\n(?:\s*\n)?"""
)


def units(tokens: Sequence[Token], unit: UnitName | Sequence[Unit]) -> tuple[Unit, ...]:
    """Indices of ``tokens`` grouped: each by itself, to words, to sentences, all together, or as given.

    Raises InputError for an unknown name, and for spans that are empty, repeat a token or leave the answer.
    """
    n = len(tokens)
    if unit == "token":
        return tuple((i,) for i in range(n))
    if unit == "word":
        return words(tokens)
    if unit == "sentence":
        return sentences(tokens)
    if unit == "answer":
        return (tuple(range(n)),)
    if isinstance(unit, str):
        raise InputError(f"unit {unit!r} is unknown; choose token, word, sentence, answer, or give spans of tokens")
    for span in unit:
        if not span or len(set(span)) < len(span) or not all(0 <= i < n for i in span):
            raise InputError(f"unit: the span {tuple(span)} must name different answer tokens from 0 to {n - 1}")
    if not unit:
        raise InputError("unit: no span was given; give at least one")
    return tuple(tuple(sorted(span)) for span in unit)


def words(tokens: Sequence[Token]) -> tuple[Unit, ...]:
    """A word starts at white space, at a special token, at each wide character.

    Blanks that are a token of their own belong to the word after them; half a character goes with its other half.
    """
    starts = {0} if tokens else set()
    # The last token that has text: those between it and the next text are parts of that text's first character.
    before = -1
    for i, token in enumerate(tokens):
        if token.special or (i and tokens[i - 1].special):
            starts.add(i)
        elif token.text and before >= 0 and _starts_word(tokens[before], token, next_to=before == i - 1):
            starts.add(before + 1)
        if token.text or token.special:
            before = i
    return _runs(sorted(starts), len(tokens))


def sentences(tokens: Sequence[Token]) -> tuple[Unit, ...]:
    """Sentences and lines; a special token stands by itself."""
    text, ends = "".join(token.text for token in tokens), np.cumsum([len(token.text) for token in tokens])
    cuts = {match.end() for match in _SENTENCE_END.finditer(text)}

    def ends_sentence(i: int) -> bool:
        # The end mark may be half of a token.
        first = int(ends[i - 1]) + 1 if i else 1
        return any(cut in cuts for cut in range(first, int(ends[i]) + 1))

    starts = [0] if tokens else []
    for i in range(1, len(tokens)):
        if tokens[i].special or tokens[i - 1].special or ends_sentence(i - 1):
            starts.append(i)
    return _runs(starts, len(tokens))


def sentence_spans(text: str) -> list[tuple[int, int]]:
    """[start, end) characters of the sentences of ``text``, blanks around them left out; none of a blank text."""
    cuts = [0, *(match.end() for match in _SENTENCE_END.finditer(text)), len(text)]
    found = []
    for start, end in pairwise(cuts):
        inside = text[start:end]
        if inside.strip():
            first = start + len(inside) - len(inside.lstrip())
            found.append((first, start + len(inside.rstrip())))
    return found


def question_positions(tokens: Sequence[Token], question: str) -> tuple[int, ...]:
    """Prompt tokens that are the question and no marker; the rest is the chat template.

    Where the question's text is not found in the prompt, all that is no special token.
    """
    ends = np.cumsum([len(token.text) for token in tokens])
    starts = ends - [len(token.text) for token in tokens]
    text, question = "".join(token.text for token in tokens), question.strip()
    # The last place that ends where a token ends: a role name after the question may hold a short question's letters.
    at = text.rfind(question) if question else -1
    while at >= 0 and at + len(question) not in ends:
        at = text.rfind(question, 0, at + len(question) - 1)
    if at < 0 and question:
        # Its last token holds the beginning of the template too.
        at = text.rfind(question)
    plain = [i for i, token in enumerate(tokens) if not token.special]
    if at < 0:
        return tuple(plain)
    inside = (ends > at) & (starts < at + len(question))
    return tuple(i for i in plain if inside[i])


def template_positions(tokens: Sequence[Token], question: str) -> tuple[int, ...]:
    """Prompt tokens that are the chat template's: all but the question's."""
    inside = set(question_positions(tokens, question))
    return tuple(i for i in range(len(tokens)) if i not in inside)


def question_units(tokens: Sequence[Token], question: str, unit: UnitName) -> tuple[Unit, ...]:
    """Words, sentences … of the prompt that are the question's, without what the template has of them."""
    inside = set(question_positions(tokens, question))
    kept = (tuple(i for i in group if i in inside) for group in units(tokens, unit))
    return tuple(group for group in kept if group)


def _starts_word(before: Token, token: Token, *, next_to: bool) -> bool:
    first, last = token.text[0], before.text[-1:]
    if before.special or first.isspace():
        return True
    if not before.text.strip(" "):
        return False
    return last.isspace() or _wide(first) or (next_to and _wide(last))


def _wide(character: str) -> bool:
    return bool(character) and unicodedata.east_asian_width(character) in "WF"


def _runs(starts: Sequence[int], n: int) -> tuple[Unit, ...]:
    return tuple(tuple(range(start, stop)) for start, stop in pairwise([*starts, n])) if starts else ()
