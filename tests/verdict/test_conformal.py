"""The threshold keeps its promise: in closed form, in simulation, with ties and with few controls."""

from __future__ import annotations

import math

import numpy as np
import pytest

from attrib.errors import InputError
from attrib.verdict.conformal import conformal_threshold, fewest_controls, grouped_threshold, make_promise


@pytest.mark.parametrize(("error", "few"), [(0.1, 9), (0.05, 19), (0.2, 4), (0.5, 1), (0.3, 3), (0.9, 1)])
def test_fewest_controls(error: float, few: int) -> None:
    assert fewest_controls(error) == few
    assert conformal_threshold(np.arange(few) / 100, error) < math.inf
    assert conformal_threshold(np.arange(few - 1) / 100, error) == math.inf


@pytest.mark.parametrize(
    ("n", "error", "k"),
    [(9, 0.1, 9), (10, 0.1, 10), (19, 0.1, 18), (29, 0.1, 27), (99, 0.1, 90), (9, 0.3, 7), (19, 0.05, 19)],
)
def test_the_threshold_is_the_kth_smallest(n: int, error: float, k: int) -> None:
    scores = np.random.default_rng(0).permutation(np.arange(1.0, n + 1))
    assert conformal_threshold(scores, error) == k


@pytest.mark.parametrize(("n", "error"), [(9, 0.1), (20, 0.1), (57, 0.05)])
def test_coverage_of_uniform_scores_is_that_of_the_closed_form(n: int, error: float) -> None:
    """The k-th of n uniform scores has the distribution Beta(k, n + 1 − k), whose mean is k / (n + 1)."""
    rng, draws = np.random.default_rng(1), 2000
    k = math.ceil(round((n + 1) * (1 - error), 9))
    covered = np.array([conformal_threshold(rng.random(n), error) for _ in range(draws)])
    spread = math.sqrt(k * (n + 1 - k) / ((n + 1) ** 2 * (n + 2)))
    assert covered.mean() == pytest.approx(k / (n + 1), abs=4 * spread / math.sqrt(draws))
    assert covered.std() == pytest.approx(spread, rel=0.1)
    assert 1 - covered.mean() <= error + 4 * spread / math.sqrt(draws)


def test_ties_never_break_the_promise() -> None:
    rng, draws, error = np.random.default_rng(2), 2000, 0.1
    above = 0
    for _ in range(draws):
        scores = rng.integers(0, 3, 16) / 2
        above += scores[-1] > conformal_threshold(scores[:-1], error)
    assert above / draws <= error


def test_every_group_keeps_the_promise_where_the_pool_would_not() -> None:
    """A small group that scores higher than the rest hides in the pool."""
    rng, draws, error = np.random.default_rng(3), 2000, 0.1
    pooled = grouped = 0
    for _ in range(draws):
        low, high = rng.random(100), 1 + rng.random(11)
        new = high[-1]
        groups = {"low": low, "high": high[:-1]}
        pooled += new > conformal_threshold(np.concatenate(list(groups.values())), error)
        grouped += new > grouped_threshold(groups, error)
    assert grouped / draws <= error + 3 * math.sqrt(error * (1 - error) / draws)
    assert pooled / draws > 0.8


def test_small_groups_count_in_the_pool_only() -> None:
    groups = {"a": np.arange(5) / 10, "b": 0.5 + np.arange(4) / 10}
    assert grouped_threshold(groups, 0.1) == conformal_threshold(np.concatenate(list(groups.values())), 0.1) == 0.8
    assert grouped_threshold({"a": np.arange(8) / 10}, 0.1) == math.inf
    assert grouped_threshold({}, 0.1) == math.inf


def test_what_is_promised() -> None:
    groups = {
        "general questions": np.linspace(0, 0.95, 20),
        "control texts": np.array([0.1, 0.99]),
        "none": np.zeros(0),
    }
    made = make_promise(groups, 0.1, (0.3, 0.5), ("held-out sections: none were kept",))
    # The 21st of 22 together is above the 19th of the 20 general questions.
    assert (made.threshold, made.floor, made.error, made.n) == (0.95, 0.3, 0.1, 22)
    assert [(group.name, group.n, group.called) for group in made.controls] == [
        ("general questions", 20, 0),
        ("control texts", 2, 1),
    ]
    assert made.untested == ("held-out sections: none were kept", "control texts: 2, fewer than 9")


def test_low_controls_never_lower_the_packages_threshold() -> None:
    made = make_promise({"a": np.full(30, 0.01)}, 0.1, (0.3, 0.5))
    assert (made.threshold, made.floor, made.controls[0].called) == (0.5, 0.3, 0)


def test_too_few_controls_call_nothing_documents() -> None:
    made = make_promise({"a": np.zeros(8)}, 0.1, (0.3, 0.5))
    assert (made.threshold, made.floor) == (1.0, 0.3)
    assert made.untested == ("a: 8, fewer than 9",)


@pytest.mark.parametrize("error", [0.0, 1.0, -0.1, math.nan])
def test_an_error_that_is_no_share_is_refused(error: float) -> None:
    with pytest.raises(InputError, match="give a share between 0 and 1"):
        conformal_threshold(np.zeros(3), error)


def test_scores_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(InputError, match="not a list of numbers"):
        conformal_threshold(np.array([0.1, math.nan]), 0.1)
