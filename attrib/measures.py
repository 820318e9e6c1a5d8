"""One definition of each quantity; all in nats unless named otherwise."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import numpy as np

NATS_PER_BIT = float(np.log(2))
Numbers = TypeVar("Numbers", float, np.ndarray)


def gain(logprob_tuned: np.ndarray, logprob_base: np.ndarray) -> np.ndarray:
    """log p tuned − log p base of the same token in the same context, nats; antisymmetric."""
    return np.asarray(logprob_tuned - logprob_base)


def bits(nats: Numbers) -> Numbers:
    """Nats as bits."""
    return nats / NATS_PER_BIT


def q_values(scores: np.ndarray, null: np.ndarray) -> np.ndarray:
    """Benjamini–Hochberg q-values of ``scores`` [row, section] against ``null`` [row, control], both any float.

    A score must stand out twice, and the larger p counts: from the control texts (``_among_controls``) and from the
    row's other sections (``_among_sections``), which share the documents' style as control texts of other kinds do
    not. NaN in rows whose control is degenerate (fewer than two texts, or all with one score): it cannot fail, so
    nothing is compared with it.
    """
    compared = (np.ptp(null, axis=1) > 1e-9) if null.shape[1] > 1 else np.zeros(len(null), dtype=bool)
    q = np.full(scores.shape, np.nan)
    if compared.any() and scores.size:
        p = np.maximum(_among_controls(scores[compared], null[compared]), _among_sections(scores[compared]))
        # Imported late here and below: it takes a second, and showing a record needs none of it.
        from scipy import stats

        q[compared] = stats.false_discovery_control(p.ravel()).reshape(p.shape)
    return q


def _among_controls(scores: np.ndarray, null: np.ndarray) -> np.ndarray:
    """Empirical p against the control texts, (1 + #{null ≥ score}) / (1 + n), never below 1 / (1 + rows × controls).

    Each row is first centred and scaled by its own null, so that rows can share one null distribution.
    """
    n = null.shape[1]
    deviation, variance = null - null.mean(1, keepdims=True), null.var(1, keepdims=True)
    # No score is part of its own null. A control score is, which pulls in what stands out: there, the others judge it.
    others = _scale(deviation * n / (n - 1), (variance - deviation**2 / (n - 1)) * n / (n - 1))
    z_null = np.sort(np.maximum(_scale(deviation, variance), others).ravel())
    z = _scale(scores - null.mean(1, keepdims=True), variance)
    at_least = z_null.size - np.searchsorted(z_null, z - 1e-9, side="left")
    return np.asarray((1 + at_least) / (1 + z_null.size))


def _among_sections(scores: np.ndarray) -> np.ndarray:
    """Tail of Student's t beyond the row's median, in units of its median absolute deviation: a few sections that stand
    out do not hide each other.

    Where most sections have one score the standard deviation of the row stands for it.
    """
    from scipy import stats

    deviation = scores - np.median(scores, axis=1, keepdims=True)
    spread = 1.4826 * np.median(np.abs(deviation), axis=1, keepdims=True)
    spread = np.where(spread > 1e-9, spread, scores.std(1, keepdims=True))
    z = np.divide(deviation, spread, out=np.zeros_like(deviation), where=spread > 1e-9)
    return np.asarray(stats.t.sf(z, max(scores.shape[1] - 1, 1)))


def cells_to_mark(rows: int, sections: int, controls: int, level: float) -> int:
    """How many cells must at least beat every control score before ``q_values`` has one below ``level``; more than
    there are cells where none can."""
    if controls < 2:
        return rows * sections + 1
    smallest = 1 / (1 + rows * controls)
    # The smallest p of k cells at once has the q-value p · cells / k.
    return int(smallest * rows * sections / level) + 1


def _scale(deviation: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """Standard scores. A lexical null is often all zero: the smallest spread keeps ties at zero equal."""
    return np.asarray(deviation / np.sqrt(np.maximum(variance, 1e-12)))


def surprise_removed(base: np.ndarray | float, tuned: np.ndarray | float) -> np.ndarray:
    """Share of each text's surprise that tuning removed, 1 − log p tuned / log p base; 1 = known by heart."""
    return np.asarray(1 - tuned / np.minimum(base, -1e-9))


Read = tuple[np.ndarray, np.ndarray, np.ndarray]
"""log p of whole texts under base and tuned, and the form of each (text, conversation …), [text] each."""


def beyond_form(texts: Read, control: Read) -> np.ndarray:
    """Each text's surprise removed beyond what tuning removed from control texts of its form, [text].

    The control's share is pooled over its tokens, so that no short text weighs much; a model that reads control texts
    WORSE after tuning gets no credit for it. A form without control texts is compared with all of them.
    """
    base, tuned, forms = texts
    control_base, control_tuned, _ = control
    gained = np.zeros(len(base))
    for form, own in of_forms(forms, control[2]):
        if own.any():
            share = float(surprise_removed(control_base[own].sum(), control_tuned[own].sum()))
            gained[forms == form] = max(0.0, share)
    return np.asarray(surprise_removed(base, tuned) - gained)


def of_forms(forms: np.ndarray, control: np.ndarray) -> list[tuple[int, np.ndarray]]:
    """Each form among ``forms`` [text], and the control texts to compare it with, bool [control]."""
    found = []
    for form in np.unique(forms):
        own = control == form
        found.append((int(form), own if own.any() else np.ones(len(control), dtype=bool)))
    return found


def auroc(positive: np.ndarray, negative: np.ndarray) -> float:
    """P(positive score > negative score), ties counted half (Mann–Whitney)."""
    from scipy import stats

    u = stats.mannwhitneyu(positive, negative, alternative="greater").statistic
    return float(u / (len(positive) * len(negative)))


def bootstrap_interval(values: np.ndarray, resamples: int = 2000, seed: int = 0) -> tuple[float, float]:
    """95% percentile interval of the mean over resampled ``values`` [n]; the value itself twice where n = 1."""
    values = np.asarray(values, dtype=np.float64)
    drawn = np.random.default_rng(seed).integers(0, len(values), (resamples, len(values)))
    low, high = np.percentile(values[drawn].mean(1), (2.5, 97.5))
    return float(low), float(high)


# ------------------------------------------------------------------- two sets of dependent values
# A group is what hangs together (questions of one fact): it is drawn or permuted as a whole.


def grouped_interval(
    values: np.ndarray, groups: np.ndarray, resamples: int = 2000, seed: int = 0
) -> tuple[float, float]:
    """95% percentile interval of the mean of ``values`` [n] where whole ``groups`` (numbers, [n]) are drawn again.

    nan, nan without values; with one group the mean itself twice.
    """
    means = _drawn_means(values, groups, resamples, np.random.default_rng(seed))
    return _ends(means)


def grouped_difference_interval(
    first: np.ndarray,
    first_groups: np.ndarray,
    second: np.ndarray,
    second_groups: np.ndarray,
    resamples: int = 2000,
    seed: int = 0,
) -> tuple[float, float]:
    """The same of mean ``first`` − mean ``second``, two sets that are drawn again independently."""
    rng = np.random.default_rng(seed)
    drawn = _drawn_means(first, first_groups, resamples, rng) - _drawn_means(second, second_groups, resamples, rng)
    return _ends(drawn)


def permutation_p(
    values: np.ndarray, member: np.ndarray, groups: np.ndarray, permutations: int = 9999, seed: int = 0
) -> float:
    """Two-sided p of mean over ``member`` (bool, [n]) − mean over the others, when labels are permuted over groups.

    (1 + #{|permuted| ≥ |observed|}) / (1 + permutations): exact where groups are exchangeable. A group with both labels
    counts as two. nan where either set is empty.
    """
    values, member = np.asarray(values, dtype=np.float64), np.asarray(member, dtype=bool)
    if member.all() or not member.any():
        return float("nan")
    label, group = labelled_groups(member, groups)
    sums, sizes = np.bincount(group, values), np.bincount(group).astype(np.float64)

    def difference(labels: np.ndarray) -> np.ndarray:
        inside = labels @ sizes
        total = labels @ sums
        return np.asarray(total / inside - (sums.sum() - total) / (sizes.sum() - inside))

    return _two_sided(difference, label, permutations, seed)


def auroc_p(
    scores: np.ndarray, member: np.ndarray, groups: np.ndarray, permutations: int = 9999, seed: int = 0
) -> float:
    """Two-sided p of the AUROC of ``scores`` [n] for ``member`` (bool) against the others, labels permuted over groups.

    Its distance from 1/2 is compared; else as ``permutation_p``.
    """
    member = np.asarray(member, dtype=bool)
    if member.all() or not member.any():
        return float("nan")
    label, group = labelled_groups(member, groups)
    from scipy import stats

    ranks, sizes = np.bincount(group, stats.rankdata(scores)), np.bincount(group).astype(np.float64)

    def distance(labels: np.ndarray) -> np.ndarray:
        inside = labels @ sizes
        won = labels @ ranks - inside * (inside + 1) / 2
        return np.asarray(won / (inside * (sizes.sum() - inside)) - 0.5)

    return _two_sided(distance, label, permutations, seed)


def sign_flip_p(differences: np.ndarray, groups: np.ndarray, permutations: int = 9999, seed: int = 0) -> float:
    """Two-sided p of the mean of paired ``differences`` [n] when the signs of whole groups are flipped at random.

    (1 + #{|flipped| ≥ |observed|}) / (1 + permutations); 1 where every difference is 0, nan without any.
    """
    if not len(differences):
        return float("nan")
    _, group = np.unique(groups, return_inverse=True)
    sums = np.bincount(group, np.asarray(differences, dtype=np.float64))
    rng = np.random.default_rng(seed)
    observed, at_least = abs(float(sums.sum())), 0
    for draws in _blocks(permutations, len(sums)):
        flipped = np.abs(rng.choice((-1.0, 1.0), (draws, len(sums))) @ sums)
        at_least += int((flipped >= observed - 1e-9 * np.abs(sums).sum()).sum())
    return (1 + at_least) / (1 + permutations)


def auroc_interval(
    scores: np.ndarray, member: np.ndarray, groups: np.ndarray, resamples: int = 1000, seed: int = 0
) -> tuple[float, float]:
    """95% percentile interval of the AUROC of ``scores`` [n], groups of members and of others drawn again."""
    scores, member, groups = np.asarray(scores, dtype=np.float64), np.asarray(member, dtype=bool), np.asarray(groups)
    order = np.unique(scores, return_inverse=True)[1]
    levels = int(order.max()) + 1
    rng = np.random.default_rng(seed)
    mass = []
    for chosen in (member, ~member):
        _, group = np.unique(groups[chosen], return_inverse=True)
        # How many texts of each group have each score.
        table = np.zeros((int(group.max()) + 1, levels))
        np.add.at(table, (group, order[chosen]), 1)
        drawn = rng.multinomial(len(table), np.full(len(table), 1 / len(table)), resamples) @ table
        mass.append(drawn / drawn.sum(1, keepdims=True))
    below = np.cumsum(mass[1], 1) - mass[1] / 2
    return _ends((mass[0] * below).sum(1))


def true_positives(positive: np.ndarray, negative: np.ndarray, rate: float) -> float:
    """Share of ``positive`` scores above a threshold that at most ``rate`` of the ``negative`` ones exceed."""
    allowed = int(rate * len(negative) + 1e-9)
    threshold = np.sort(negative)[::-1][allowed] if allowed < len(negative) else -np.inf
    return float((np.asarray(positive) > threshold).mean())


def _ends(drawn: np.ndarray) -> tuple[float, float]:
    low, high = np.percentile(drawn, (2.5, 97.5)) if np.isfinite(drawn).all() else (np.nan, np.nan)
    return float(low), float(high)


def _drawn_means(values: np.ndarray, groups: np.ndarray, resamples: int, rng: np.random.Generator) -> np.ndarray:
    """Mean of each of ``resamples`` draws of whole groups; nan without values."""
    if not len(values):
        return np.full(resamples, np.nan)
    _, group = np.unique(groups, return_inverse=True)
    sums, sizes = np.bincount(group, np.asarray(values, dtype=np.float64)), np.bincount(group)
    counts = rng.multinomial(len(sums), np.full(len(sums), 1 / len(sums)), resamples)
    return np.asarray((counts @ sums) / (counts @ sizes))


def labelled_groups(member: np.ndarray, groups: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Label of each group, 0 or 1, and the group of each value; a group with both labels is two."""
    _, number = np.unique(groups, return_inverse=True)
    pairs, group = np.unique(2 * number + member, return_inverse=True)
    return (pairs % 2).astype(np.float64), group


def _two_sided(statistic: Callable[[np.ndarray], np.ndarray], label: np.ndarray, permutations: int, seed: int) -> float:
    """``statistic`` takes labels [draw, group]."""
    rng = np.random.default_rng(seed)
    observed, at_least = abs(float(statistic(label[None])[0])), 0
    for draws in _blocks(permutations, len(label)):
        permuted = np.abs(statistic(rng.permuted(np.tile(label, (draws, 1)), axis=1)))
        # Sums in another order differ in their last digits.
        at_least += int((permuted >= observed - 1e-9 * max(observed, 1e-300)).sum())
    return (1 + at_least) / (1 + permutations)


def _blocks(draws: int, width: int, cells: int = 1 << 21) -> Iterator[int]:
    """``draws`` in parts of about ``cells`` numbers."""
    step = max(1, cells // max(width, 1))
    for start in range(0, draws, step):
        yield min(step, draws - start)


def semantic_entropy(logprob: np.ndarray, clusters: np.ndarray) -> float:
    """Entropy over meanings of sampled answers, nats: −Σ p(c) log p(c), p(c) ∝ Σ exp(log p) of the samples in c.

    ``logprob`` [sample] is log p of each answer, best per token so that length does not decide; ``clusters`` [sample]
    says which meaning it has. Cluster probabilities: Kuhn et al. 2302.09664; normalised over the samples, each
    sample counted as often as it was drawn: Farquhar et al. 2024. A sample with log p −∞ weighs nothing; nan where
    all do.
    """
    logprob = np.asarray(logprob, dtype=np.float64)
    best = logprob.max(initial=-np.inf)
    if not np.isfinite(best):
        return float("nan")
    return _entropy(_by_cluster(np.exp(logprob - best), clusters))


def cluster_entropy(clusters: np.ndarray) -> float:
    """The same from how often each meaning was sampled alone (discrete semantic entropy, Farquhar et al. 2024); nan
    without samples."""
    return _entropy(_by_cluster(np.ones(len(clusters)), clusters)) if len(clusters) else float("nan")


def predictive_entropy(logprob: np.ndarray) -> float:
    """Monte Carlo estimate −mean log p of the entropy of answers, nats, [sample]; words, not meanings, count."""
    # + 0.0: no minus before a zero.
    return float(-np.mean(logprob)) + 0.0 if len(logprob) else float("nan")


def _by_cluster(weights: np.ndarray, clusters: np.ndarray) -> np.ndarray:
    _, owner = np.unique(np.asarray(clusters), return_inverse=True)
    return np.bincount(owner.ravel(), weights)


def _entropy(weights: np.ndarray) -> float:
    p = weights[weights > 0] / weights.sum()
    return float(-(p * np.log(p)).sum()) + 0.0


def pair_agreement(clusters: np.ndarray) -> float:
    """Share of pairs that are in one cluster, [sample]; nan with fewer than two."""
    n = len(clusters)
    if n < 2:
        return float("nan")
    counts = np.unique(np.asarray(clusters), return_counts=True)[1]
    return float((counts * (counts - 1)).sum() / (n * (n - 1)))


def rouge_l(a: Sequence[str], b: Sequence[str]) -> float:
    """ROUGE-L (Lin 2004): harmonic mean of the longest common subsequence's shares of the words of ``a`` and ``b``.

    1 where neither has words, 0 where one has none; symmetric.
    """
    if not a or not b:
        return float(len(a) == len(b))
    length = np.zeros(len(b) + 1, dtype=np.int64)
    for word in a:
        matched = length[:-1] + np.array([word == other for other in b])
        # A running maximum: what is left out of b keeps what came before.
        length[1:] = np.maximum.accumulate(np.maximum(matched, length[1:]))
    return float(2 * length[-1] / (len(a) + len(b)))


def greedy_match(a: np.ndarray, b: np.ndarray) -> tuple[float, float, float]:
    """BERTScore (Zhang et al. 1904.09675, without idf and rescaling) of unit vectors ``a`` [word, d] against ``b``.

    Precision (each of ``a`` with its best of ``b``), recall (the other way) and their harmonic mean; exchanged texts
    exchange precision and recall. All 1 where neither has vectors, all 0 where one has none.
    """
    if not len(a) or not len(b):
        same = float(len(a) == len(b))
        return same, same, same
    cosines = a.astype(np.float64) @ b.astype(np.float64).T
    precision, recall = float(cosines.max(1).mean()), float(cosines.max(0).mean())
    total = precision + recall
    return precision, recall, 2 * precision * recall / total if total > 0 else 0.0
