"""Places of words in texts, and the word runs that an answer shares with each text.

Two texts have the same word when ``WORD`` cuts it out of both and the two are equal after case folding;
punctuation between words does not count. Runs are found in time linear in the places where the texts have the
answer's words. Not covered: word forms, and scripts written without spaces (one run of letters is one word).
"""

from __future__ import annotations

import re
import unicodedata
from array import array
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from jaxtyping import Int

from attrib.records import Token


def key(word: str) -> str:
    """Common form of a word's spellings: case folded, ligatures and apostrophes made plain."""
    folded = word.casefold()
    return folded if folded.isascii() else unicodedata.normalize("NFKC", folded).replace("’", "'")


def keys(text: str) -> list[str]:
    """Keys of the words of ``text``, in order."""
    return [key(match.group()) for match in WORD.finditer(text)]


@dataclass(frozen=True, eq=False)
class WordIndex:
    """Places of each word in a list of texts. Axis ``place``: all words of all texts in order, with one place that
    holds no word before the first text, between texts, and after the last."""

    number: dict[str, int]
    """Id of each word's key, from 0."""
    ids: Int[np.ndarray, " place"]
    """Word at each place, −1 between texts."""
    text: Int[np.ndarray, " place"]
    """Index of the text of each place."""
    spans: Int[np.ndarray, "place 2"]
    """[start, end) characters in that text."""
    texts: int
    """Number of texts."""
    _order: np.ndarray = field(repr=False)
    _first: np.ndarray = field(repr=False)

    @classmethod
    def of(cls, texts: Iterable[str]) -> WordIndex:
        """Index ``texts``; a text without words has no place."""
        number: dict[str, int] = {}
        ids, owner, starts, ends = array("i", [-1]), array("i", [0]), array("i", [0]), array("i", [0])
        count = 0
        for count, text in enumerate(texts, 1):
            for match in WORD.finditer(text):
                ids.append(number.setdefault(key(match.group()), len(number)))
                owner.append(count - 1)
                starts.append(match.start())
                ends.append(match.end())
            ids.append(-1)
            owner.append(count - 1)
            starts.append(0)
            ends.append(0)
        places = np.array(ids, dtype=np.int32)
        order = np.argsort(places, kind="stable").astype(np.int32)
        first = np.searchsorted(places[order], np.arange(len(number) + 1))
        spans = np.stack([np.array(starts, dtype=np.int32), np.array(ends, dtype=np.int32)], 1)
        return cls(number, places, np.array(owner, dtype=np.int32), spans, count, order, first)

    def places(self, word: str) -> Int[np.ndarray, " occurrence"]:
        """Every place of a word, ascending; none for a word that no text has."""
        i = self.number.get(word)
        return self._order[:0] if i is None else self._order[self._first[i] : self._first[i + 1]]

    def find(self, run: Sequence[str]) -> Int[np.ndarray, " occurrence"]:
        """First place of every occurrence of a run of at least one word, ascending."""
        rarest = min(range(len(run)), key=lambda k: len(self.places(run[k])))
        found = self.places(run[rarest]) - rarest
        for k, word in enumerate(run):
            # Both ends of the index hold no word, so a run that wraps round never fits.
            found = found[self.ids.take(found + k, mode="wrap") == self.number.get(word, -2)]
        return found

    def holders(self, places: np.ndarray) -> np.ndarray:
        """Indices of the texts that own ascending ``places``, ascending, each once."""
        owner = self.text[places]
        return np.asarray(owner[np.append(True, owner[1:] != owner[:-1])[: len(owner)]])

    def share(self, word: str, *, discount: int = 0) -> float:
        """Share of texts that have a word, ``discount`` of them not counted; 0 without texts."""
        return max(len(self.holders(self.places(word))) - discount, 0) / max(self.texts, 1)


def _ending(words: Sequence[str], index: WordIndex) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """For each word: its places, and how many words up to it each place shares with ``words``.

    The run that ends at a place is one longer than the run of the word before that ended at the place before.
    """
    ending = np.zeros(len(index.ids), dtype=np.int32)
    before = index.places("")
    for word in words:
        here = index.places(word)
        lengths = ending[here - 1] + 1
        ending[before] = 0
        ending[here] = lengths
        before = here
        yield here, lengths


def longest_runs(words: Sequence[str], index: WordIndex, common: Collection[str] = ()) -> list[tuple[int, int]]:
    """(first word, number of words) of every run of ``words`` (keys) that some text holds and that no longer such run
    contains, in order. One word alone counts only when it is not ``common``; an empty word matches nothing.

    Time is linear in the places of ``words``, memory in the index.
    """
    best = [int(lengths.max(initial=0)) for _, lengths in _ending(words, index)]
    best = [0 if n == 1 and word in common else n for n, word in zip(best, words, strict=True)]
    # The longest run that ends at a word lies in a longer one only if the next word continues it.
    ends = [i for i, (n, after) in enumerate(pairwise([*best, 0])) if n and after <= n]
    return [(i + 1 - best[i], best[i]) for i in ends]


@dataclass(frozen=True, eq=False)
class Matches:
    """Runs of words shared with each text: those that no longer run of the same text contains."""

    first: Int[np.ndarray, " match"]
    """Index of the run's first word."""
    length: Int[np.ndarray, " match"]
    """Words in the run."""
    text: Int[np.ndarray, " match"]
    """Index of the text that holds it."""
    spans: Int[np.ndarray, "match 2"]
    """[start, end) characters of the first place in the text where it stands."""


def matches_by_text(words: Sequence[str], index: WordIndex, common: Collection[str] = ()) -> Matches:
    """Like ``longest_runs``, but judged within each text, as a mapper of words to texts needs.

    Ordered by last word, then text. Time and memory are linear in words × texts that have them.
    """
    found: list[np.ndarray] = []
    # Columns: first word, length, text, place of the last word.
    waiting = np.zeros((0, 4), dtype=np.int64)
    for i, (here, lengths) in enumerate(_ending(words, index)):
        runs = _best_of_text(i, here, lengths, index)
        runs = runs[(runs[:, 1] > 1) | (words[i] not in common)]
        reach = np.zeros(index.texts, dtype=np.int64)
        reach[runs[:, 2]] = runs[:, 1]
        found.append(waiting[reach[waiting[:, 2]] <= waiting[:, 1]])
        waiting = runs
    first, length, text, last = np.concatenate([*found, waiting]).T
    spans = np.stack([index.spans[last + 1 - length, 0], index.spans[last, 1]], 1)
    return Matches(first, length, text, spans)


def _best_of_text(i: int, here: np.ndarray, lengths: np.ndarray, index: WordIndex) -> np.ndarray:
    """The longest run of each text among those that end with word ``i``: first word, length, text, last place."""
    owner = index.text[here]
    # Longest first within a text, then the earliest place: the sort is stable.
    order = np.lexsort((-lengths, owner))
    order = order[np.append(True, owner[order][1:] != owner[order][:-1])[: len(order)]]
    length = lengths[order].astype(np.int64)
    return np.stack([i + 1 - length, length, owner[order].astype(np.int64), here[order].astype(np.int64)], 1)


def longest_covering(words: Sequence[str], index: WordIndex) -> tuple[np.ndarray, np.ndarray]:
    """For each word (key) and text, the longest shared run that covers it: its words, [word, text], and its place in
    the text, [start, end) characters, [word, text, 2]; 0 where the text does not have the word.

    Of runs of one length the first of the answer counts, and its first place.
    """
    found = matches_by_text(words, index)
    length = np.zeros((len(words), index.texts), dtype=np.int64)
    spans = np.zeros((len(words), index.texts, 2), dtype=np.int64)
    # Shortest first: a longer run, or an earlier one of the same length, writes over it.
    for i in np.lexsort((-found.first, found.length)):
        covered = slice(found.first[i], found.first[i] + found.length[i])
        length[covered, found.text[i]] = found.length[i]
        spans[covered, found.text[i]] = found.spans[i]
    return length, spans


WORD = re.compile(r"\w+(?:['’]\w+)*")


def words(text: str) -> list[str]:
    """Lower-case words of ``text``."""
    return [match.group().lower() for match in WORD.finditer(text)]


def word_of_token(tokens: Sequence[Token], spans: Sequence[tuple[int, int]]) -> np.ndarray:
    """Index of the span that each token overlaps most, −1 for none."""
    out = np.full(len(tokens), -1)
    for i, token in enumerate(tokens):
        overlaps = [min(token.end, end) - max(token.start, start) for start, end in spans]
        if overlaps and max(overlaps) > 0:
            out[i] = int(np.argmax(overlaps))
    return out
