"""Fine-tuned vocabulary in the question: its words and phrases that the documents hold.

Two texts have the same word when ``text.words.WORD`` cuts it out of both and the two are equal after case folding
(punctuation between words does not count). Definitions:

- *common word*: a function word (closed list, English), or a word that the control texts have too, unless its share of
  sections (one section discounted, since one may have any word by chance) is at least ``KEY`` times its share of
  control texts. With few texts on either side one occurrence in the control is enough; with many, a word that fills
  the documents is not lost because one control text has it.
- *fine-tuned vocabulary*: words of the documents that are not common.
- *phrase*: a run of at least two words of the question, one of them fine-tuned vocabulary, that some section holds and
  that no longer such run contains.

Not covered: word forms (no stemming), scripts written without spaces (one run of letters is one word), letters with
their accent as a separate character, function words of other languages (the control texts have to name them).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from attrib.corpus.documents import Corpus
from attrib.errors import InputError
from attrib.records import Phrase, Section, Token, Vocabulary
from attrib.text.function_words import is_function_word
from attrib.text.words import WORD, WordIndex, key, longest_runs, word_of_token

KEY = 10
"""A word is common unless its share of sections is this many times its share of control texts."""


@dataclass(frozen=True, eq=False)
class Lexicon:
    """Documents and control texts, indexed by word once for any number of questions and answers."""

    corpus: Corpus
    """Documents that the model was tuned on, without sections that it never saw."""
    control: Corpus
    """Texts that it was not tuned on; without any, only function words are common."""

    def __post_init__(self) -> None:
        if not self.corpus.sections:
            raise InputError("documents: they hold no sections, so no word is theirs; give documents with text")
        if not any(WORD.search(section.full_text) for section in self.corpus.sections):
            raise InputError("documents: their sections hold no words; give documents with text")

    @cached_property
    def documents(self) -> WordIndex:
        """Index over the sections' ``full_text``."""
        return WordIndex.of(section.full_text for section in self.corpus.sections)

    @cached_property
    def controls(self) -> WordIndex:
        """Index over the control sections' ``full_text``."""
        return WordIndex.of(section.full_text for section in self.control.sections)

    def is_common(self, word: str) -> bool:
        """Whether a key is a function word, or in the control and not ``KEY`` times as usual in the sections."""
        usual = self.documents.share(word, discount=1)
        return is_function_word(word) or usual < KEY * self.controls.share(word)

    def sections(self, places: np.ndarray) -> tuple[Section, ...]:
        """The sections that own ``places`` of ``documents``."""
        return tuple(self.corpus.sections[int(i)] for i in self.documents.holders(places))


def find_vocabulary(prompt_tokens: tuple[Token, ...], question: Sequence[int], lexicon: Lexicon) -> Vocabulary:
    """Find the question's words and phrases in the documents. ``question``: prompt positions of its tokens.

    Special tokens among them have no words, and no phrase reaches over one or over a gap between positions. A token
    that covers several words belongs to the longest, as in ``mapping.answer``.
    Raises InputError for positions outside the prompt and for a question without words.
    """
    positions = _positions(question, len(prompt_tokens))
    cut = spelled_words(prompt_tokens, positions.tolist())
    words = [word for word in cut if word.text]
    if not words:
        raise InputError("question: it has no words, so it has no vocabulary; ask one with words")
    common = common_words(cut, lexicon)
    places = [lexicon.documents.places(word.key) for word in words]
    in_documents = np.array([found.size > 0 for found in places])
    is_common = np.array([word.key in common for word in words])
    tuned_on = in_documents & ~is_common
    return Vocabulary(
        positions=positions,
        word_of_token=word_of_token(_text_tokens(prompt_tokens, positions), [(word.start, word.end) for word in words]),
        words=tuple(word.text for word in words),
        in_documents=in_documents,
        common=is_common,
        sections=tuple(
            tuple(section.id for section in lexicon.sections(found)) if hit else ()
            for found, hit in zip(places, tuned_on, strict=True)
        ),
        phrases=_phrases(prompt_tokens, cut, common, lexicon),
    )


def _positions(question: Sequence[int], prompt: int) -> np.ndarray:
    """The question's positions, ascending."""
    positions = np.unique(np.array([int(i) for i in question], dtype=np.int64))
    if not positions.size:
        raise InputError("question: no prompt position is the question's; give the positions of its tokens")
    if positions[0] < 0 or positions[-1] >= prompt:
        raise InputError(
            f"question: positions {positions[0]} to {positions[-1]} are not all in the prompt of {prompt} tokens; "
            "give positions from 0"
        )
    return positions


def _text_tokens(tokens: tuple[Token, ...], positions: np.ndarray) -> list[Token]:
    """The tokens at ``positions``; a special one is no text and becomes empty."""
    chosen = [tokens[int(i)] for i in positions]
    return [Token(token.id, "", token.start, token.start, True) if token.special else token for token in chosen]


class SpelledWord(NamedTuple):
    """A word at its place in a text."""

    text: str
    """As written; empty for a break, over which no run of words reaches."""
    start: int
    """First character, as tokens count."""
    end: int

    @property
    def key(self) -> str:
        return key(self.text)


def spelled_words(tokens: tuple[Token, ...], positions: Iterable[int]) -> list[SpelledWord]:
    """The words of the tokens at ascending ``positions``, with a break at special tokens and gaps."""
    plain = [i for i in positions if not tokens[i].special]
    cuts = [k for k in range(1, len(plain)) if plain[k] != plain[k - 1] + 1]
    words: list[SpelledWord] = []
    for first, last in zip([0, *cuts], [*cuts, len(plain)], strict=True):
        part = [tokens[i] for i in plain[first:last]]
        found = WORD.finditer("".join(token.text for token in part))
        at = part[0].start if part else 0
        words += [SpelledWord(match.group(), at + match.start(), at + match.end()) for match in found]
        words.append(SpelledWord("", 0, 0))
    return words


def common_words(words: Iterable[SpelledWord], lexicon: Lexicon) -> frozenset[str]:
    """Keys of the common ones among ``words``."""
    keys = {word.key for word in words if word.text}
    return frozenset(key for key in keys if lexicon.is_common(key))


def _phrases(
    tokens: tuple[Token, ...], words: Sequence[SpelledWord], common: frozenset[str], lexicon: Lexicon
) -> tuple[Phrase, ...]:
    text, offset = "".join(token.text for token in tokens), tokens[0].start
    number = np.cumsum([word.text != "" for word in words]) - 1
    keyed = [word.key for word in words]
    phrases = []
    for first, length in longest_runs(keyed, lexicon.documents, common):
        run = keyed[first : first + length]
        if length > 1 and not common.issuperset(run):
            phrases.append(
                Phrase(
                    text=text[words[first].start - offset : words[first + length - 1].end - offset],
                    first=int(number[first]),
                    words=length,
                    sections=tuple(section.id for section in lexicon.sections(lexicon.documents.find(run))),
                )
            )
    return tuple(phrases)
