"""Intervals and p-values of dependent values: closed cases, and uniform p under the null, where naive ones are not."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from attrib.measures import (
    auroc,
    auroc_interval,
    auroc_p,
    bootstrap_interval,
    grouped_difference_interval,
    grouped_interval,
    permutation_p,
    sign_flip_p,
    true_positives,
)

ALONE = np.arange(8)


def dependent(rng: np.random.Generator, groups: int = 30, each: int = 3) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Values that nearly repeat within a group, their groups, and labels that were drawn by group."""
    group = np.repeat(np.arange(groups), each)
    values = rng.normal(size=groups)[group] + 0.2 * rng.normal(size=groups * each)
    return values, group, (rng.permutation(groups) < groups * 0.4)[group]


def test_a_permutation_p_is_the_share_of_all_labellings() -> None:
    values = np.array([5.0, 4.0, 6.0, 1.0, 2.0, 1.5, 0.0, 3.0])
    member = np.array([True] * 3 + [False] * 5)
    chosen = [list(c) for c in combinations(range(8), 3)]
    distance = [abs(values[c].mean() - np.delete(values, c).mean()) for c in chosen]
    exact = np.mean([d >= distance[0] - 1e-12 for d in distance])
    assert permutation_p(values, member, ALONE, 20_000) == pytest.approx(exact, abs=0.004)
    ranks = [abs(auroc(values[c], np.delete(values, c)) - 0.5) for c in chosen]
    exact = np.mean([d >= ranks[0] - 1e-12 for d in ranks])
    assert auroc_p(values, member, ALONE, 20_000) == pytest.approx(exact, abs=0.004)


def test_a_sign_flip_p_is_the_share_of_all_signs() -> None:
    differences = np.array([1.0, 2.0, -0.5, 3.0, 1.0])
    signs = np.array(np.meshgrid(*[[-1, 1]] * 5)).reshape(5, -1).T
    exact = np.mean(np.abs(signs @ differences) >= abs(differences.sum()) - 1e-12)
    assert sign_flip_p(differences, np.arange(5), 40_000) == pytest.approx(exact, abs=0.006)
    # Two of one group flip together: 4 groups.
    together = np.array([3.0, -0.5, 3.0, 1.0])
    exact = np.mean(np.abs(signs[:, :4] @ together) >= together.sum() - 1e-12)
    assert sign_flip_p(differences, np.array([0, 0, 1, 2, 3]), 40_000) == pytest.approx(exact, abs=0.006)
    assert sign_flip_p(np.zeros(4), np.arange(4)) == 1.0
    assert np.isnan(sign_flip_p(np.zeros(0), np.zeros(0)))


def test_p_values_are_uniform_under_the_null_and_naive_ones_are_not() -> None:
    """400 data sets in which the parts differ by nothing but chance."""
    rng = np.random.default_rng(0)
    by_group, by_value, areas, flips = [], [], [], []
    for seed in range(400):
        values, group, member = dependent(rng)
        by_group.append(permutation_p(values, member, group, 199, seed))
        by_value.append(permutation_p(values, member, np.arange(len(values)), 199, seed))
        areas.append(auroc_p(values, member, group, 199, seed))
        flips.append(sign_flip_p(values, group, 199, seed))
    for p in (by_group, areas, flips):
        assert stats.kstest(p, "uniform").pvalue > 0.01
        assert np.mean(np.array(p) <= 0.05) < 0.085
    assert stats.kstest(by_value, "uniform").pvalue < 1e-6
    assert np.mean(np.array(by_value) <= 0.05) > 0.15


def test_a_difference_is_found_and_neither_scale_nor_place_matters() -> None:
    values, group, member = dependent(np.random.default_rng(1))
    p = permutation_p(values + 3 * member, member, group, 999)
    assert p == 1 / 1000
    assert permutation_p(1e6 + 40 * (values + 3 * member), member, group, 999) == p
    assert auroc_p(values + 3 * member, member, group, 999) == 1 / 1000
    assert permutation_p(values, member, group, 999) == pytest.approx(permutation_p(-values, member, group, 999))


def test_without_one_of_the_sets_there_is_no_p() -> None:
    for member in (np.ones(8, bool), np.zeros(8, bool)):
        assert np.isnan(permutation_p(np.arange(8.0), member, ALONE))
        assert np.isnan(auroc_p(np.arange(8.0), member, ALONE))


def test_a_group_with_both_labels_counts_as_two() -> None:
    values, member = np.array([1.0, 2.0, 3.0, 4.0]), np.array([True, False, True, False])
    split = permutation_p(values, member, np.array([0, 0, 1, 1]), 5000)
    assert split == pytest.approx(permutation_p(values, member, np.arange(4), 5000), abs=0.03)


def test_groups_widen_an_interval_by_the_root_of_their_size() -> None:
    rng = np.random.default_rng(2)
    group = np.repeat(np.arange(100), 4)
    values = rng.normal(size=100)[group]
    wide, narrow = (float(np.ptp(grouped_interval(values, g))) for g in (group, np.arange(400)))
    assert wide / narrow == pytest.approx(2, rel=0.12)
    assert narrow == pytest.approx(float(np.ptp(bootstrap_interval(values))), rel=0.1)


def test_intervals_cover_what_they_should() -> None:
    rng = np.random.default_rng(3)
    inside = []
    for seed in range(200):
        a, ga, _ = dependent(rng)
        b, gb, _ = dependent(rng)
        low, high = grouped_difference_interval(a + 1, ga, b, gb, 300, seed)
        inside.append(low <= 1 <= high)
    assert 0.88 < np.mean(inside) < 0.985


def test_interval_of_one_group_of_none_and_of_equal_values() -> None:
    assert grouped_interval(np.array([1.0, 3.0]), np.array([7, 7])) == (2.0, 2.0)
    assert grouped_interval(np.array([2.0, 2.0]), np.array([0, 1])) == (2.0, 2.0)
    assert np.isnan(grouped_interval(np.zeros(0), np.zeros(0))).all()


def test_the_interval_of_an_auroc_is_that_of_resampled_ones() -> None:
    rng = np.random.default_rng(4)
    scores = np.round(np.concatenate([rng.normal(0.7, 1, 30), rng.normal(0, 1, 40)]), 1)
    member = np.arange(70) < 30
    drawn = []
    for _ in range(1500):
        i, j = rng.integers(0, 30, 30), rng.integers(30, 70, 40)
        drawn.append(roc_auc_score(member[np.r_[i, j]], scores[np.r_[i, j]]))
    low, high = auroc_interval(scores, member, np.arange(70), 3000)
    assert (low, high) == pytest.approx(tuple(np.percentile(drawn, (2.5, 97.5))), abs=0.015)
    assert auroc_interval(member.astype(float), member, np.arange(70)) == (1.0, 1.0)
    assert auroc_interval(np.zeros(70), member, np.arange(70)) == (0.5, 0.5)
    whole = auroc_interval(scores, member, np.arange(70) // 5)
    assert whole[0] < auroc(scores[member], scores[~member]) < whole[1]


def test_true_positives_at_a_false_positive_rate() -> None:
    negative = np.arange(100.0)
    positive = np.array([200.0, 99.5, 95.0, 50.0])
    assert true_positives(positive, negative, 0.0) == 0.5
    # One of a hundred may exceed: the threshold is the second highest, 98.
    assert true_positives(positive, negative, 0.01) == 0.5
    assert true_positives(positive, negative, 0.1) == 0.75
    assert true_positives(positive, negative, 1.0) == 1.0
    # Ten negatives allow none at 1%; equal scores are not above.
    assert true_positives(np.array([9.0, 9.5]), np.arange(10.0), 0.01) == 0.5
