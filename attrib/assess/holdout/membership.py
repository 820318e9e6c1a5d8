"""Was a text tuned on? Scores of one text from its tokens' log-probs, how well they tell two sets apart, and exposure.

A higher score says "tuned on" of every score. None is evidence by itself: parts that differ anyway (in length, subject,
date) are told apart by scores that know nothing of tuning (Meeus et al. 2406.17975; Das et al. 2406.16201), so every
table has the base model's own loss beside them, and ``blind`` has baselines without a model.
Not covered: shadow models (LiRA), neighbours of a text, white-box scores.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from attrib.measures import auroc, auroc_interval, auroc_p, true_positives

LOWEST = 0.2
"""Share of a text's tokens that Min-K% and Min-K%++ average: the least likely ones."""
FALSE_ALARMS = (0.01, 0.1)
"""False-positive rates at which the true-positive rate is reported."""


@runtime_checkable
class Scored(Protocol):
    """One text under one model, as ``likelihood.TokenScores`` has it, [token] each, nats."""

    @property
    def logprob(self) -> np.ndarray: ...
    @property
    def mean(self) -> np.ndarray: ...
    @property
    def std(self) -> np.ndarray: ...


@dataclass(frozen=True)
class Auc:
    """How well one score tells what was tuned on from what was held out."""

    score: str
    of: str
    """Texts scored: answers or sections."""
    auc: float
    low: float
    """95% bootstrap interval: groups of both parts are drawn again."""
    high: float
    p: float
    """Two-sided, parts permuted over groups."""
    tpr: tuple[float, ...]
    """True-positive rates at FALSE_ALARMS."""
    members: int
    """Texts that were tuned on."""
    others: int


def loss(text: Scored) -> float:
    """Mean log p of a token, nats: the loss with its sign turned (Yeom et al. 1709.01604)."""
    return float(np.mean(text.logprob))


def min_k(text: Scored, share: float = LOWEST) -> float:
    """Mean log p of the ``share`` least likely tokens, at least one (Min-K%, Shi et al. 2310.16789)."""
    return _lowest(np.asarray(text.logprob), share)


def min_k_plus(text: Scored, share: float = LOWEST) -> float:
    """The same of log p standardised by its mean and spread over the vocabulary (Min-K%++, Zhang et al. 2404.02936)."""
    # A step that is certain has no spread: there log p is its own mean.
    return _lowest((np.asarray(text.logprob) - text.mean) / np.maximum(text.std, 1e-6), share)


def zlib_ratio(text: Scored, characters: str) -> float:
    """Mean log p over the bytes that zlib makes of the text (Carlini et al. 2012.07805)."""
    return loss(text) / len(zlib.compress(characters.encode("utf-8", "surrogatepass")))


def _lowest(values: np.ndarray, share: float) -> float:
    return float(np.sort(values)[: max(1, int(share * len(values)))].mean())


SCORES: dict[str, Callable[[Scored, Scored, str], float]] = {
    "loss": lambda base, tuned, text: loss(tuned),
    "reference": lambda base, tuned, text: loss(tuned) - loss(base),
    "min-k": lambda base, tuned, text: min_k(tuned),
    "min-k++": lambda base, tuned, text: min_k_plus(tuned),
    "zlib": lambda base, tuned, text: zlib_ratio(tuned, text),
    "loss (base)": lambda base, tuned, text: loss(base),
}
"""Score of a text from base, tuned and its characters. The last is a control: base is independent of the tuning."""
CONTROL = "loss (base)"


def scores(base: Sequence[Scored], tuned: Sequence[Scored], texts: Sequence[str]) -> dict[str, np.ndarray]:
    """Every score of every text, [text]."""
    return {
        name: np.array([score(*row) for row in zip(base, tuned, texts, strict=True)]) for name, score in SCORES.items()
    }


def tell_apart(
    values: Mapping[str, np.ndarray],
    member: np.ndarray,
    groups: np.ndarray,
    of: str,
    *,
    resamples: int = 1000,
    permutations: int = 9999,
    seed: int = 0,
) -> list[Auc]:
    """How well each score, [text], tells ``member`` texts (bool) from the others; equal ``groups`` hang together.

    Empty where one of the two sets is.
    """
    member = np.asarray(member, dtype=bool)
    if member.all() or not member.any():
        return []
    found = []
    for name, score in values.items():
        low, high = auroc_interval(score, member, groups, resamples, seed)
        found.append(
            Auc(
                name, of, auroc(score[member], score[~member]), low, high,
                auroc_p(score, member, groups, permutations, seed),
                tuple(true_positives(score[member], score[~member], rate) for rate in FALSE_ALARMS),
                int(member.sum()), int((~member).sum()),
            )
        )  # fmt: skip
    return found


def exposure(right: float, others: Sequence[float]) -> float:
    """log2 |R| − log2 rank of the right answer among all |R| answers, bits (Carlini et al. 1802.08232).

    Any score that is higher for more likely answers; among equals the mean of their ranks. nan without other answers.
    """
    if not len(others):
        return float("nan")
    among = np.asarray(others, dtype=np.float64)
    rank = 1 + float((among > right).sum()) + float((among == right).sum()) / 2
    return float(np.log2(1 + len(among)) - np.log2(rank))


def exposure_by_chance(others: int) -> float:
    """Mean ``exposure`` if every rank of the right answer is equally likely, bits."""
    ranks = np.arange(1, others + 2)
    return float(np.log2(others + 1) - np.log2(ranks).mean())


def truth_ratio(right: float, others: Sequence[float]) -> float:
    """Mean probability of wrong answers over that of the right one, each per token (TOFU, Maini et al. 2401.06121).

    From mean log p of a token, nats. Above 1: wrong answers are likelier. nan without wrong answers.
    """
    if not len(others):
        return float("nan")
    # As in TOFU the mean is taken of probabilities, so that one likely wrong answer is enough.
    log_mean = float(np.logaddexp.reduce(np.asarray(others, dtype=np.float64)) - np.log(len(others)))
    return float(np.exp(min(log_mean - right, 700.0)))
