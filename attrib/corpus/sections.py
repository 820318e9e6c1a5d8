"""Spans → sections: cut to a length, named by their content, near-duplicates marked."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain

from attrib.corpus.spans import Span
from attrib.records import Section
from attrib.records.item import text_of

SHINGLE = 5

# Thai to Burmese, Khmer, and the Chinese and Japanese blocks: no spaces, so each character stands for a word.
_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u2fff\u3001-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_WORD = re.compile(rf"[{_UNSPACED}]|[^\W{_UNSPACED}]+")
_WORD_OR_MARK = re.compile(rf"{_WORD.pattern}|[^\w\s]")


def count_words(text: str) -> int:
    """Number of words and punctuation marks in ``text``, by a regular expression: the default ``count_tokens``.

    A model's tokenizer usually counts more. Each character of a script written without spaces is a word.
    """
    return sum(1 for _ in _WORD_OR_MARK.finditer(text))


def cut(span: Span, max_tokens: int, count: Callable[[str], int]) -> Iterator[Span]:
    """Pieces of at most ``max_tokens``, cut at paragraphs, lines, sentences or words, each with its own lines; a
    conversation stays whole."""
    if span.turns or count(span.text) <= max_tokens:
        yield span
        return
    from semchunk import chunk

    # Its memo would keep every text counted for as long as the process lives.
    pieces, offsets = chunk(span.text, max_tokens, count, memoize=False, offsets=True)
    line, at = span.first_line, 0
    for piece, (start, end) in zip(pieces, offsets, strict=True):
        start, end = start + len(piece) - len(piece.lstrip()), end - len(piece) + len(piece.rstrip())
        if start >= end:
            continue
        line += span.text.count("\n", at, start)
        at = start
        text = span.text[start:end]
        if span.places:
            above = line - span.first_line
            inside = span.places[above : above + text.count("\n") + 1]
            yield replace(span, text=text, first_line=inside[0][0], last_line=inside[-1][1], places=inside)
        elif span.row is None:
            yield replace(span, text=text, first_line=line, last_line=line + text.count("\n"))
        else:
            yield replace(span, text=text)


def make_sections(spans: Sequence[Span], near_duplicates: float) -> tuple[Section, ...]:
    """The spans with their ids and the near-duplicates among them marked."""
    ids = _ids(spans)
    earlier = _near_duplicates([_compared(span) for span in spans], near_duplicates)
    return tuple(
        Section(
            id=id_,
            document=span.document,
            titles=span.titles,
            text=span.text,
            first_line=span.first_line,
            last_line=span.last_line,
            row=span.row,
            near_duplicate_of=None if original is None else ids[original],
            turns=span.turns,
            tools=span.tools,
        )
        for span, id_, original in zip(spans, ids, earlier, strict=True)
    )


def exact_duplicates(sections: Iterable[Section]) -> int:
    """How many sections repeat an earlier one, titles, text and roles."""
    return sum("-" in section.id for section in sections)


def _ids(spans: Sequence[Span]) -> list[str]:
    ids = []
    seen: Counter[str] = Counter()
    for span in spans:
        # Neither titles nor text can hold NUL, so different titles and text never join to the same bytes.
        named = (*span.titles, span.text, *_roles(span))
        digest = hashlib.sha256("\0".join(named).encode()).hexdigest()[:12]
        seen[digest] += 1
        ids.append(digest if seen[digest] == 1 else f"{digest}-{seen[digest]}")
    return ids


def _roles(span: Span) -> list[str]:
    """What tells conversations with the same words apart; nothing for a text. No title or text is empty."""
    if not span.turns:
        return []
    return ["", json.dumps([[[t.role, t.content, t.trained, t.extra] for t in span.turns], span.tools])]


def _compared(span: Span) -> str:
    """Text to find near-duplicates by: one system prompt in every row does not make them alike."""
    return text_of([turn for turn in span.turns if turn.role != "system"]) if span.turns else span.text


def _near_duplicates(texts: Sequence[str], share: float) -> list[int | None]:
    """For each text the index of an earlier one that is nearly the same, or None.

    Two texts are nearly the same when ``share`` of the shorter's shingles are among the other's. That covers a
    Jaccard index of ``share`` too, which is never above the overlap with the shorter.

    Among the rarest shingles of the shorter, one more than it may miss, at least one must be shared. Looking up only
    those leaves few texts to compare, however many share a common passage.
    """
    shingles = [_shingles(text) for text in texts]
    frequency = Counter(chain.from_iterable(shingles))
    holders: defaultdict[str, list[int]] = defaultdict(list)
    holders_rarest: defaultdict[str, list[int]] = defaultdict(list)
    same: dict[frozenset[str], int] = {}
    found: list[int | None] = []
    for i, mine in enumerate(shingles):
        if mine in same:
            found.append(same[mine])
            continue
        same[mine] = i
        # A shingle that no other text has can be missed, not shared.
        shared = sorted((s for s in mine if frequency[s] > 1), key=lambda s: (frequency[s], s))
        may_miss = len(mine) - _needed(len(mine), share)
        rarest = shared[: max(0, may_miss + 1 - (len(mine) - len(shared)))]
        candidates = chain(
            chain.from_iterable(holders[s] for s in rarest), chain.from_iterable(holders_rarest[s] for s in shared)
        )
        found.append(_first_near(mine, candidates, shingles, share))
        for s in shared:
            holders[s].append(i)
        for s in rarest:
            holders_rarest[s].append(i)
    return found


def _first_near(
    mine: frozenset[str], candidates: Iterable[int], shingles: Sequence[frozenset[str]], share: float
) -> int | None:
    compared: set[int] = set()
    for j in candidates:
        if j not in compared:
            compared.add(j)
            if len(mine & shingles[j]) >= _needed(min(len(mine), len(shingles[j])), share):
                return j
    return None


def _needed(size: int, share: float) -> int:
    """How many of ``size`` shingles make the share; rounding errors of the product must not ask for one more."""
    return math.ceil(size * share - 1e-9)


def _shingles(text: str) -> frozenset[str]:
    """Every run of 5 words, in lower case; a text of fewer words is one shingle, whatever it is made of."""
    words = _WORD.findall(text.casefold()) or text.split()
    return frozenset(" ".join(words[i : i + SHINGLE]) for i in range(max(1, len(words) - SHINGLE + 1)))
