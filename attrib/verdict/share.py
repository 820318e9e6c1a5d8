"""Share of a method's mass that lies on fine-tuned vocabulary, |score| on its tokens / |score| on the question's.

The null permutes mean scores over the question's words, so it rules out chance and token counts. It does NOT rule out
that rare words, names, or words near the answer draw more mass in any model: that shows in base as well, and only the
difference speaks of tuning. Scores of neighbours are often alike, which makes p-values of phrases too small (scores
that walk at random: p ≤ .05 in 11 to 14% of rows). P-values of rows are not corrected for their number.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np
from jaxtyping import Float

from attrib.errors import InputError
from attrib.records import Vocabulary, VocabularyKind, VocabularyShare

EXACT = 10_000
"""All permutations are taken where there are no more than this."""
DRAWS = 9_999
"""Random permutations else."""
_TIE = 1e-9
"""Shares closer than this are equal: sums in another order differ in their last digits."""
_CELLS = 1 << 21
"""Numbers in one block of permutations (16 MiB)."""


def share_of_vocabulary(
    vocabulary: Vocabulary,
    method: str,
    base: Float[np.ndarray, "_ _"],
    tuned: Float[np.ndarray, "_ _"],
    *,
    kind: VocabularyKind = "words",
    seed: int = 0,
) -> VocabularyShare:
    """Share of one method's mass on fine-tuned words (or phrases), beside its expectation by chance.

    ``base`` and ``tuned``: scores [row, position], over the prompt's positions and any number of later ones.

    Null: the mean |score| of a word's tokens is independent of which word it is. Means are permuted over the
    question's words while each word keeps its number of tokens, so that a long word's many tokens count for nothing;
    tokens without a word stay as they are. All permutations where there are at most ``EXACT``, else ``DRAWS`` random
    ones from ``seed``.
    Raises InputError for scores of unequal shape, fewer positions than the question's, nan or infinity.
    """
    _check_scores(vocabulary, method, base, tuned)
    sides = [SideMass.of(vocabulary, scores) for scores in (base, tuned)]
    tokens = np.bincount(vocabulary.word_of_token[vocabulary.word_of_token >= 0], minlength=len(vocabulary.words))
    own = tokens > 0
    chosen = (tokens * vocabulary.chosen(kind))[own].astype(np.float64)
    observed = [side.shares(chosen[None], tokens[own][None].astype(np.float64))[0] for side in sides]
    null = PermutationNull.of(sides, observed, chosen, tokens[own].astype(np.float64), seed)
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
class SideMass:
    """One model's mass, whole answer first."""

    question: np.ndarray
    """Share of all mass on the question, [row]."""
    means: np.ndarray
    """Mean mass of each word's tokens, words without tokens left out, [word, row]."""
    rest: np.ndarray
    """Mass of question tokens without a word, [row]."""

    @classmethod
    def of(cls, vocabulary: Vocabulary, scores: np.ndarray) -> SideMass:
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
class PermutationNull:
    """Expectations and p-values from permutations; lists hold base, then tuned."""

    expected: list[np.ndarray]
    p: list[np.ndarray]
    p_difference: np.ndarray
    permutations: int
    exact: bool

    @classmethod
    def of(
        cls,
        sides: Sequence[SideMass],
        observed: Sequence[np.ndarray],
        chosen: np.ndarray,
        tokens: np.ndarray,
        seed: int,
    ) -> PermutationNull:
        ones = np.ones_like(observed[0])
        # With no word or every word chosen every order is the same.
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
        # All permutations include the observed order; random ones do not, so that it is counted beside them.
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
