"""Membership scores against their formulas; no score tells two random halves of data that was never tuned on."""

from __future__ import annotations

import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from make_holdout import Scores, make_scores
from scipy import stats

from attrib.assess.holdout.membership import (
    CONTROL,
    SCORES,
    exposure,
    exposure_by_chance,
    loss,
    min_k,
    min_k_plus,
    scores,
    tell_apart,
    truth_ratio,
    zlib_ratio,
)

TEXT = Scores(np.array([-1.0, -4.0, -2.0, -3.0, -10.0]), np.array([-3.0, -3.0, -2.0, -3.0, -8.0]), np.full(5, 2.0))


def test_each_score_is_its_formula() -> None:
    assert loss(TEXT) == -4.0
    assert min_k(TEXT, 0.2) == -10.0
    assert min_k(TEXT, 0.4) == -7.0
    assert min_k(TEXT, 1.0) == loss(TEXT)
    # Standardised: 1, −1/2, 0, 0, −1.
    assert min_k_plus(TEXT, 0.2) == -1.0
    assert min_k_plus(TEXT, 0.4) == -0.75
    assert zlib_ratio(TEXT, "the light") == -4.0 / len(zlib.compress(b"the light"))
    base = Scores(TEXT.logprob - 3, TEXT.mean, TEXT.std)
    found = scores([base], [TEXT], ["the light"])
    assert found["reference"][0] == 3.0
    assert found[CONTROL][0] == -7.0
    assert set(found) == set(SCORES)


def test_a_step_that_is_certain_counts_as_its_own_mean() -> None:
    sure = Scores(np.zeros(3), np.zeros(3), np.zeros(3))
    assert min_k_plus(sure) == 0.0


@given(st.integers(1, 40), st.floats(0.01, 1.0))
def test_some_token_is_always_averaged_and_the_lowest_are_below_the_mean(n: int, share: float) -> None:
    text = make_scores(np.random.default_rng(n), -2.0, n)
    assert min_k(text, share) <= loss(text) + 1e-9


def test_scores_rise_with_what_was_learned() -> None:
    rng = np.random.default_rng(0)
    base = [make_scores(rng, -3.0) for _ in range(40)]
    member = np.arange(40) < 20
    tuned = [Scores(s.logprob + 2.5 * m, s.mean, s.std) for s, m in zip(base, member, strict=True)]
    found = {a.score: a for a in tell_apart(scores(base, tuned, ["text"] * 40), member, np.arange(40), "answers")}
    assert found["reference"].auc == 1.0
    assert found["reference"].p < 0.001
    assert found["reference"].tpr == (1.0, 1.0)
    for name in ("loss", "min-k", "min-k++", "zlib"):
        assert found[name].low > 0.8
    # Base knows nothing of it.
    assert found[CONTROL].low < 0.5 < found[CONTROL].high
    assert (found["loss"].members, found["loss"].others) == (20, 20)


def test_random_halves_of_data_that_was_never_tuned_on_are_not_told_apart() -> None:
    """400 random splits: the mean AUC is 1/2, the interval covers it about as often as it says, and p is uniform."""
    rng = np.random.default_rng(1)
    found: dict[str, list[float]] = {name: [] for name in SCORES}
    covered: list[bool] = []
    p: dict[str, list[float]] = {name: [] for name in SCORES}
    # Texts of one group are alike, and the tuned model differs from base by tuning on something else.
    level = rng.normal(-3, 1, 30)
    groups = np.repeat(np.arange(30), 2)
    base = [make_scores(rng, float(level[g])) for g in groups]
    tuned = [Scores(s.logprob + 0.3 * rng.normal(size=6), s.mean, s.std) for s in base]
    values = scores(base, tuned, ["x" * int(k) for k in rng.integers(3, 60, 60)])
    for seed in range(400):
        member = (rng.permutation(30) < 15)[groups]
        for auc in tell_apart(values, member, groups, "answers", resamples=100, permutations=99, seed=seed):
            found[auc.score].append(auc.auc)
            p[auc.score].append(auc.p)
            covered.append(auc.low <= 0.5 <= auc.high)
    for name in SCORES:
        assert np.mean(found[name]) == pytest.approx(0.5, abs=4 * float(np.std(found[name])) / 20)
        assert stats.kstest(p[name], "uniform").pvalue > 0.005
    assert 0.87 < np.mean(covered) < 0.99


def test_without_one_of_the_sets_nothing_is_told() -> None:
    assert tell_apart({"loss": np.zeros(3)}, np.ones(3, bool), np.arange(3), "answers") == []


def test_exposure_of_closed_cases() -> None:
    assert exposure(-1.0, [-2.0, -3.0, -4.0]) == 2.0
    assert exposure(-5.0, [-2.0, -3.0, -4.0]) == 0.0
    assert exposure(-2.5, [-2.0, -3.0, -4.0]) == 1.0
    # As likely as both others: ranks 1 to 3, on average 2.
    assert exposure(-2.0, [-2.0, -2.0]) == pytest.approx(np.log2(3) - 1)
    assert np.isnan(exposure(-1.0, []))


def test_exposure_by_chance_is_the_mean_over_random_ranks() -> None:
    rng = np.random.default_rng(2)
    drawn = [exposure(float(x[0]), x[1:].tolist()) for x in rng.normal(size=(20_000, 6))]
    assert exposure_by_chance(5) == pytest.approx(np.mean(drawn), abs=0.02)
    assert exposure_by_chance(0) == 0.0


def test_truth_ratio_is_of_mean_probabilities() -> None:
    right, wrong = np.log(0.5), [float(np.log(0.1)), float(np.log(0.3))]
    assert truth_ratio(float(right), wrong) == pytest.approx(0.2 / 0.5)
    assert truth_ratio(-3.0, [-3.0, -3.0]) == pytest.approx(1.0)
    assert np.isfinite(truth_ratio(-2000.0, [-1.0]))
    assert np.isnan(truth_ratio(-1.0, []))
