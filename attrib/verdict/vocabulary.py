"""Fine-tuned vocabulary in the question, and the word runs that an answer shares verbatim with the documents.

Two texts have the same word when ``mapping.answer.WORD`` cuts it out of both and the two are equal after case folding
(punctuation between words does not count). Definitions:

- *common word*: a function word (closed list, English), or a word that the control texts have too, unless its share of
  sections (one section discounted, since one may have any word by chance) is at least ``KEY`` times its share of
  control texts. With few texts on either side one occurrence in the control is enough; with many, a word that fills
  the documents is not lost because one control text has it.
- *fine-tuned vocabulary*: words of the documents that are not common.
- *phrase*: a run of at least two words of the question, one of them fine-tuned vocabulary, that some section holds and
  that no longer such run contains.
- *share*: |score| on the tokens of those words / |score| on the question's tokens.

The index of words and the search for runs are ``mapping.words``.

What the null of a share does NOT cover. It permutes mean scores over the question's words, so it rules out chance and
token counts. It does not rule out that rare words, names, or words near the answer draw more mass in any model: that
shows in base as well, and only the difference speaks of tuning. Scores of neighbours are often alike, which makes
p-values of phrases too small (scores that walk at random: p ≤ .05 in 11 to 14% of rows). P-values of rows are not
corrected for their number. Not covered: word forms (no stemming), scripts written without spaces (one run of letters is
one word), letters with their accent as a separate character, function words of other languages (the control texts have
to name them).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import permutations
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from attrib.corpus.documents import Corpus
from attrib.errors import InputError
from attrib.records import Phrase, Section, Token, Verbatim, Vocabulary, VocabularyKind, VocabularyShare
from attrib.text.words import WORD, WordIndex, key, longest_runs, word_of_token

KEY = 10
"""How many times a word's share of control texts its share of sections must be, for it not to be common."""
EXACT = 10_000
"""All permutations are taken where there are no more than this."""
DRAWS = 9_999
"""Random permutations else."""
PLACES = 100
"""Occurrences of one verbatim span that are listed."""
_TIE = 1e-9
"""Shares closer than this are equal: sums in another order differ in their last digits."""
_CELLS = 1 << 21
"""Numbers in one block of permutations (16 MiB)."""

_GRAMMAR = """
    a an the this that these those such same other another each every either neither both all any some no none few
    many much more most less least several own
    i me my mine myself we us our ours ourselves you your yours yourself yourselves he him his himself she her hers
    herself it its itself they them their theirs themselves one ones oneself
    who whom whose which what when where why how whoever whatever whichever whenever wherever however
    someone somebody something anyone anybody anything everyone everybody everything nobody nothing
    be am is are was were been being do does did done doing have has had having can could may might must shall should
    will would ought cannot won't shan't
    and or but nor so yet if unless although though because since while whereas whether than as until
    of in on at by for to from with without within into onto upon over under above below between among amongst through
    throughout across along around about against before after during toward towards up down off out near behind beside
    besides beyond except inside outside per via till
    not never only also too very just even still again ever always often here there then now thus hence else once
    yes please
"""
FUNCTION_WORDS = frozenset(_GRAMMAR.split())
"""English words that carry grammar, not subject."""


# ------------------------------------------------------------------------------------------- words


def is_function_word(word: str) -> bool:
    """Whether a key is in the list, or is a contraction of a word in it (``who's``, ``isn't``)."""
    head = word.split("'")[0]
    return word in FUNCTION_WORDS or (head != word and bool({head, head.removesuffix("n")} & FUNCTION_WORDS))


@dataclass(frozen=True, eq=False)
class Lexicon:
    """Documents and control texts, indexed by word once for any number of questions and answers."""

    corpus: Corpus
    """What the model was tuned on: leave out sections that it never saw."""
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


# ------------------------------------------------------------------------------------------- question


def find_vocabulary(prompt_tokens: tuple[Token, ...], question: Sequence[int], lexicon: Lexicon) -> Vocabulary:
    """Which words and phrases of the question the documents hold. ``question``: prompt positions of its tokens.

    Special tokens among them have no words, and no phrase reaches over one or over a gap between positions. A token
    that covers several words belongs to the longest, as in ``mapping.answer``.
    Raises InputError for positions outside the prompt and for a question without words.
    """
    positions = _positions(question, len(prompt_tokens))
    cut = _words(prompt_tokens, positions.tolist())
    words = [word for word in cut if word.text]
    if not words:
        raise InputError("question: it has no words, so it has no vocabulary; ask one with words")
    common = _common(cut, lexicon)
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


class _Word(NamedTuple):
    text: str
    """As written; empty for a break, over which no run of words reaches."""
    start: int
    """First character, as tokens count."""
    end: int

    @property
    def key(self) -> str:
        return key(self.text)


def _words(tokens: tuple[Token, ...], positions: Iterable[int]) -> list[_Word]:
    """The words of the tokens at ascending ``positions``, with a break at special tokens and gaps."""
    plain = [i for i in positions if not tokens[i].special]
    cuts = [k for k in range(1, len(plain)) if plain[k] != plain[k - 1] + 1]
    words: list[_Word] = []
    for first, last in zip([0, *cuts], [*cuts, len(plain)], strict=True):
        part = [tokens[i] for i in plain[first:last]]
        found = WORD.finditer("".join(token.text for token in part))
        at = part[0].start if part else 0
        words += [_Word(match.group(), at + match.start(), at + match.end()) for match in found]
        words.append(_Word("", 0, 0))
    return words


def _common(words: Iterable[_Word], lexicon: Lexicon) -> frozenset[str]:
    return frozenset(word for word in {word.key for word in words if word.text} if lexicon.is_common(word))


def _phrases(
    tokens: tuple[Token, ...], words: Sequence[_Word], common: frozenset[str], lexicon: Lexicon
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


# ------------------------------------------------------------------------------------------- shares


def share_of_vocabulary(
    vocabulary: Vocabulary,
    method: str,
    base: Float[np.ndarray, "_ _"],
    tuned: Float[np.ndarray, "_ _"],
    *,
    kind: VocabularyKind = "words",
    seed: int = 0,
) -> VocabularyShare:
    """Share of one method's mass on fine-tuned words (or phrases), beside what chance gives.

    ``base`` and ``tuned``: scores [row, position], over the prompt's positions and any number of later ones.

    Null: the mean |score| of a word's tokens is independent of which word it is. Means are permuted over the
    question's words while each word keeps its number of tokens, so that a long word's many tokens count for nothing;
    tokens without a word stay as they are. All permutations where there are at most ``EXACT``, else ``DRAWS`` random
    ones from ``seed``.
    Raises InputError for scores of unequal shape, fewer positions than the question's, nan or infinity.
    """
    _check_scores(vocabulary, method, base, tuned)
    sides = [_Side.of(vocabulary, scores) for scores in (base, tuned)]
    tokens = np.bincount(vocabulary.word_of_token[vocabulary.word_of_token >= 0], minlength=len(vocabulary.words))
    own = tokens > 0
    chosen = (tokens * vocabulary.chosen(kind))[own].astype(np.float64)
    observed = [side.shares(chosen[None], tokens[own][None].astype(np.float64))[0] for side in sides]
    null = _Null.of(sides, observed, chosen, tokens[own].astype(np.float64), seed)
    return VocabularyShare(
        method=method,
        kind=kind,
        token_share=float(chosen.sum() / len(vocabulary.positions)),
        question_base=sides[0].question,
        question_tuned=sides[1].question,
        base=observed[0],
        tuned=observed[1],
        expected_base=null.expected[0],
        expected_tuned=null.expected[1],
        p_base=null.p[0],
        p_tuned=null.p[1],
        p_difference=null.p_difference,
        permutations=null.permutations,
        exact=null.exact,
    )


def _check_scores(vocabulary: Vocabulary, method: str, base: np.ndarray, tuned: np.ndarray) -> None:
    if base.shape != tuned.shape:
        raise InputError(f"{method}: base has scores of shape {base.shape}, tuned {tuned.shape}; give equal ones")
    if not len(base):
        raise InputError(f"{method}: the scores have no rows, so there are no shares; give an answer with tokens")
    if base.shape[1] <= vocabulary.positions[-1]:
        raise InputError(
            f"{method}: scores cover {base.shape[1]} positions, the question reaches position "
            f"{vocabulary.positions[-1]}; give scores over the whole prompt"
        )
    for side, scores in (("base", base), ("tuned", tuned)):
        if not np.isfinite(scores).all():
            raise InputError(f"{method}: the {side} model's scores hold nan or infinity; look at the model's weights")


@dataclass(frozen=True, eq=False)
class _Side:
    """One model's mass, whole answer first."""

    question: np.ndarray
    """Share of all mass on the question, [row]."""
    means: np.ndarray
    """Mean mass of each word's tokens, words without tokens left out, [word, row]."""
    rest: np.ndarray
    """Mass of question tokens without a word, [row]."""

    @classmethod
    def of(cls, vocabulary: Vocabulary, scores: np.ndarray) -> _Side:
        mass = np.abs(scores.astype(np.float64))
        total = mass.sum(1, keepdims=True)
        mass = np.divide(mass, total, out=np.zeros_like(mass), where=total > 0)
        whole = mass.sum(0) / max(int((total > 0).sum()), 1)
        inside = np.concatenate([whole[None], mass])[:, vocabulary.positions]
        owner = vocabulary.word_of_token
        tokens = np.zeros((len(vocabulary.words), len(owner)))
        tokens[owner[owner >= 0], np.flatnonzero(owner >= 0)] = 1
        tokens = tokens[tokens.any(1)]
        return cls(inside.sum(1), tokens @ inside.T / tokens.sum(1, keepdims=True), inside[:, owner < 0].sum(1))

    def shares(self, chosen: np.ndarray, tokens: np.ndarray) -> np.ndarray:
        """[order, row] for numbers of chosen tokens and of all tokens of each word in each order, [order, word]."""
        below = tokens @ self.means + self.rest
        return np.asarray(np.divide(chosen @ self.means, below, out=np.full_like(below, np.nan), where=below > 0))


@dataclass(frozen=True, eq=False)
class _Null:
    """What permutations give; lists hold base, then tuned."""

    expected: list[np.ndarray]
    p: list[np.ndarray]
    p_difference: np.ndarray
    permutations: int
    exact: bool

    @classmethod
    def of(
        cls, sides: Sequence[_Side], observed: Sequence[np.ndarray], chosen: np.ndarray, tokens: np.ndarray, seed: int
    ) -> _Null:
        ones = np.ones_like(observed[0])
        # With no word or every word chosen there is nothing that could have been otherwise.
        if not chosen.any() or chosen.all():
            return cls(list(observed), [ones, ones], ones, 0, True)
        taken, exact = 0, math.factorial(min(len(tokens), 20)) <= EXACT
        difference = observed[1] - observed[0]
        total, above = [0 * ones, 0 * ones], [0 * ones, 0 * ones]
        higher, lower = 0 * ones, 0 * ones
        for order in _orders(len(tokens), max(len(tokens), len(ones)), seed):
            shares = [side.shares(chosen[order], tokens[order]) for side in sides]
            taken += len(order)
            for k, share in enumerate(shares):
                total[k] += share.sum(0)
                above[k] += (share >= observed[k] - _TIE).sum(0)
            permuted = shares[1] - shares[0]
            higher += (permuted >= difference - _TIE).sum(0)
            lower += (permuted <= difference + _TIE).sum(0)
        # All permutations include the observed order; random ones do not, and it is one of those that count.
        extra = 0 if exact else 1

        def p(count: np.ndarray, value: np.ndarray) -> np.ndarray:
            return np.asarray(np.where(np.isnan(value), 1.0, (count + extra) / (taken + extra)))

        two_sided = np.minimum(1.0, 2 * p(np.minimum(higher, lower), difference))
        return cls(
            [sums / taken for sums in total],
            [p(count, value) for count, value in zip(above, observed, strict=True)],
            two_sided,
            taken,
            exact,
        )


def _orders(words: int, width: int, seed: int) -> Iterator[np.ndarray]:
    """Blocks of permutations of ``words`` things, [order, word]; ``width`` numbers a permutation are kept by others."""
    if math.factorial(min(words, 20)) <= EXACT:
        yield np.array(list(permutations(range(words))))
        return
    rng = np.random.default_rng(seed)
    block = max(1, min(DRAWS, _CELLS // width))
    for start in range(0, DRAWS, block):
        rows = min(block, DRAWS - start)
        yield rng.permuted(np.tile(np.arange(words), (rows, 1)), axis=1)


# ------------------------------------------------------------------------------------------- answer


def find_verbatim(
    answer: str, answer_tokens: tuple[Token, ...], question: str, lexicon: Lexicon
) -> tuple[Verbatim, ...]:
    """The longest word runs that answer and documents share, longest first, then in the answer's order.

    A run has two words or more, or one that is not common; one that the question or the control texts hold too is kept
    and says so. No run reaches over a special token. Empty for an answer that shares nothing.
    """
    words = _words(answer_tokens, range(len(answer_tokens)))
    runs = longest_runs([word.key for word in words], lexicon.documents, _common(words, lexicon))
    asked = WordIndex.of([question])
    found = [words[first : first + length] for first, length in sorted(runs, key=lambda run: (-run[1], run[0]))]
    return tuple(_verbatim(answer, answer_tokens, run, lexicon, asked) for run in found)


def _verbatim(
    answer: str, tokens: tuple[Token, ...], run: Sequence[_Word], lexicon: Lexicon, asked: WordIndex
) -> Verbatim:
    said, start, end = [word.key for word in run], run[0].start, run[-1].end
    index = lexicon.documents
    places = index.find(said)
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
        asked=max((length for _, length in longest_runs(said, asked)), default=0),
        controls=len(lexicon.controls.holders(lexicon.controls.find(said))),
    )
