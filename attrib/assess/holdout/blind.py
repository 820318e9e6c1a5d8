"""Blind baseline: separates the two parts without a model; where it can, a membership AUC above 1/2 proves nothing.

Texts are described by features independent of any model (length, dates and numbers, names, words shared with the
other texts, the commonest words), and a logistic regression that is fitted on some groups tells the parts of others.
Not covered: features of a user's own (a date column), neural baselines.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from attrib.measures import auroc, auroc_interval, labelled_groups
from attrib.text.function_words import is_function_word
from attrib.text.words import keys

WORDS = 24
"""How many words are features: those whose share of texts is nearest to a half."""
FOLDS = 5
PENALTY = 1.0
"""L2 penalty on coefficients of standardised features, in units of one text's log-likelihood."""
PLAIN = (
    "characters", "words", "characters a word", "numbers", "years", "capitals", "words all texts share", "rare words",
)  # fmt: skip
"""Features before the words."""
_NUMBER, _YEAR, _CAPITAL = re.compile(r"\d+"), re.compile(r"\b1\d{3}\b|\b20\d{2}\b"), re.compile(r"\b[A-Z]")


@dataclass(frozen=True)
class Blind:
    """How well texts alone tell what was tuned on from what was held out."""

    of: str
    """answers or sections."""
    auc: float
    """AUC of scores from regressions fitted without the text's group."""
    low: float
    """95% bootstrap interval: groups of both parts are drawn again."""
    high: float
    p: float
    """P(AUC of permuted parts ≥ AUC), parts permuted over groups and fitted anew; one-sided."""
    members: int
    others: int
    leading: tuple[str, ...]
    """Features with the largest coefficients, fitted on all texts."""

    @property
    def tells(self) -> bool:
        """Whether the interval lies above 1/2."""
        return self.low > 0.5


def features(texts: Sequence[str], groups: np.ndarray) -> tuple[np.ndarray, tuple[str, ...]]:
    """[text, feature] and the features' names; nothing in it depends on the parts.

    "words all texts share": mean over a text's words of the share of other groups' texts that have each.
    """
    words = [keys(text) for text in texts]
    sets = [set(found) for found in words]
    group = np.unique(np.asarray(groups), return_inverse=True)[1]
    in_group: Counter[tuple[str, int]] = Counter()
    in_all: Counter[str] = Counter()
    for own, number in zip(sets, group.tolist(), strict=True):
        in_all.update(own)
        in_group.update((word, number) for word in own)
    size = np.bincount(group)
    rows = []
    for text, found, own, number in zip(texts, words, sets, group.tolist(), strict=True):
        content = [word for word in own if not is_function_word(word)]
        others = max(len(texts) - int(size[number]), 1)
        shares = [(in_all[word] - in_group[word, number]) / others for word in sorted(content)]
        count = max(len(found), 1)
        rows.append(
            [
                float(np.log1p(len(text))), float(np.log1p(len(found))), sum(map(len, found)) / count,
                len(_NUMBER.findall(text)) / count, len(_YEAR.findall(text)) / count,
                len(_CAPITAL.findall(text)) / count, float(np.mean(shares)) if shares else 0.0,
                float(np.mean([share == 0 for share in shares])) if shares else 0.0,
            ]
        )  # fmt: skip
    half = len(texts) / 2
    chosen = sorted((word for word in in_all if in_all[word] > 1), key=lambda word: (abs(in_all[word] - half), word))
    chosen = chosen[:WORDS]
    bag = np.array([[word in own for word in chosen] for own in sets], dtype=np.float64).reshape(len(texts), -1)
    plain = np.array(rows, dtype=np.float64).reshape(len(texts), len(PLAIN))
    return np.hstack([plain, bag]), (*PLAIN, *(f"“{word}”" for word in chosen))


def blind(
    texts: Sequence[str],
    member: np.ndarray,
    groups: np.ndarray,
    of: str,
    *,
    resamples: int = 1000,
    permutations: int = 199,
    seed: int = 0,
) -> Blind | None:
    """A cross-fitted logistic regression of ``member`` (bool, [text]) on ``features``.

    None where a part has fewer than three groups, which nothing can be fitted on.
    """
    member, groups = np.asarray(member, dtype=bool), np.asarray(groups)
    if min(len(np.unique(groups[member])), len(np.unique(groups[~member]))) < 3:
        return None
    x, names = features(texts, groups)
    scores = cross_fitted(x, member, groups, seed)
    auc = auroc(scores[member], scores[~member])
    low, high = auroc_interval(scores, member, groups, resamples, seed)
    weights = fit_logistic(_standard(x, x), member.astype(np.float64))[1:]
    leading = [names[int(i)] for i in np.argsort(-np.abs(weights), kind="stable")[:3]]
    p = _refitted_p(x, member, groups, auc, permutations, seed)
    return Blind(of, auc, low, high, p, int(member.sum()), int((~member).sum()), tuple(leading))


def cross_fitted(x: np.ndarray, member: np.ndarray, groups: np.ndarray, seed: int = 0) -> np.ndarray:
    """Log odds of ``member`` for each row of ``x`` [text, feature], fitted on the other folds; a group is in one fold.

    Each fold has as many of both parts as can be. The intercept is left out: a fold with more of one part leaves fewer
    of it to fit on.
    """
    y = np.asarray(member, dtype=np.float64)
    fold = folds_of(np.asarray(member, dtype=bool), groups, seed)
    scores = np.zeros(len(x))
    for number in range(int(fold.max()) + 1):
        out = fold == number
        standard = _standard(x, x[~out])
        weights = fit_logistic(standard[~out], y[~out])
        scores[out] = standard[out] @ weights[1:]
    return scores


def folds_of(member: np.ndarray, groups: np.ndarray, seed: int) -> np.ndarray:
    """Fold of each text: the groups of each part are dealt out at random."""
    rng = np.random.default_rng(seed)
    unique, group = np.unique(groups, return_inverse=True)
    share = np.bincount(group, member.astype(np.float64)) / np.bincount(group)
    order = rng.permutation(len(unique))
    order = order[np.argsort(share[order], kind="stable")]
    fold = np.empty(len(unique), dtype=np.int64)
    fold[order] = np.arange(len(unique)) % FOLDS
    return np.asarray(fold[group])


def _standard(x: np.ndarray, of: np.ndarray) -> np.ndarray:
    """Columns of ``x`` with the mean and spread of those of ``of``."""
    spread = of.std(0)
    return np.asarray((x - of.mean(0)) / np.where(spread > 1e-9, spread, 1.0))


def fit_logistic(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Intercept and coefficients of a ridge logistic regression by Newton's method, [1 + feature]."""
    design = np.hstack([np.ones((len(x), 1)), x])
    penalty = np.full(design.shape[1], PENALTY)
    penalty[0] = 1e-6
    weights = np.zeros(design.shape[1])
    for _ in range(25):
        p = 1 / (1 + np.exp(-np.clip(design @ weights, -30, 30)))
        gradient = design.T @ (y - p) - penalty * weights
        curvature = (design * (p * (1 - p))[:, None]).T @ design + np.diag(penalty)
        step = np.linalg.solve(curvature, gradient)
        # The likelihood is concave, yet a whole Newton step may overshoot.
        weights = weights + step * min(1.0, 5.0 / max(float(np.abs(step).max()), 1e-12))
        if float(np.abs(step).max()) < 1e-6:
            break
    return weights


def _refitted_p(
    x: np.ndarray, member: np.ndarray, groups: np.ndarray, observed: float, permutations: int, seed: int
) -> float:
    rng = np.random.default_rng(seed)
    label, group = labelled_groups(member, groups)
    at_least = 0
    for _ in range(permutations):
        permuted = rng.permutation(label > 0)[group]
        scores = cross_fitted(x, permuted, groups, seed)
        at_least += auroc(scores[permuted], scores[~permuted]) >= observed - 1e-12
    return (1 + int(at_least)) / (1 + permutations)
