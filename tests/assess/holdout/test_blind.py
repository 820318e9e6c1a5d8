"""A baseline that sees texts alone: it finds parts that differ, and nothing where they do not."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from sklearn.linear_model import LogisticRegression

from attrib.assess.holdout.blind import FOLDS, PLAIN, blind, cross_fitted, features, fit_logistic, folds_of
from attrib.text.words import keys

SAID = "the keeper of light in year tower metres pump warranty months was is a long tall first sea rope wind harbour"
WORDS = keys(SAID)


def texts_of(rng: np.random.Generator, n: int) -> list[str]:
    return [" ".join(rng.choice(WORDS, rng.integers(5, 20))) for _ in range(n)]


@pytest.mark.parametrize("what", ["length", "date", "words"])
def test_parts_that_differ_are_told_apart_and_the_feature_is_named(what: str) -> None:
    rng = np.random.default_rng(0)
    member = np.arange(60) % 2 == 0
    texts = texts_of(rng, 60)
    if what == "length":
        texts = [text + " and so on" * 5 * bool(m) for text, m in zip(texts, member, strict=True)]
    elif what == "date":
        texts = [f"{text} {1700 + i}" if member[i] else text for i, text in enumerate(texts)]
    else:
        texts = [f"{text} {'harpoon' if m else 'sextant'}" for text, m in zip(texts, member, strict=True)]
    found = blind(texts, member, np.arange(60), "answers", permutations=39)
    assert found is not None
    assert found.tells
    assert found.auc > 0.9
    assert found.p == pytest.approx(1 / 40)
    if what == "date":
        assert {"numbers", "years"} & set(found.leading)
    if what == "words":
        assert {"“harpoon”", "“sextant”"} & set(found.leading)


def test_parts_that_differ_by_chance_are_not_told_apart() -> None:
    """60 data sets; groups of two near copies, which a baseline that cut groups would know by heart."""
    rng = np.random.default_rng(1)
    areas, p, tells = [], [], 0
    for seed in range(60):
        texts = [text for text in texts_of(rng, 24) for _ in range(2)]
        groups = np.repeat(np.arange(24), 2)
        member = (rng.permutation(24) < 12)[groups]
        found = blind(texts, member, groups, "answers", permutations=19, resamples=200, seed=seed)
        assert found is not None
        areas.append(found.auc)
        p.append(found.p)
        tells += found.tells
    assert 0.4 < np.mean(areas) < 0.54
    assert tells <= 8
    assert stats.kstest(p, "uniform").pvalue > 0.01


def test_groups_that_are_cut_would_look_told_apart() -> None:
    """The negative control: each text's near copy in another fold gives its part away."""
    rng = np.random.default_rng(2)
    areas = []
    for _ in range(10):
        texts = [text for text in texts_of(rng, 24) for _ in range(2)]
        member = np.repeat(rng.permutation(24) < 12, 2)
        found = blind(texts, member, np.arange(48), "answers", permutations=1, resamples=50)
        assert found is not None
        areas.append(found.auc)
    assert np.mean(areas) > 0.65


def test_the_regression_is_scikit_learns() -> None:
    rng = np.random.default_rng(3)
    x = rng.normal(size=(50, 4))
    y = (x[:, 0] + rng.normal(size=50) > 0).astype(float)
    weights = fit_logistic(x, y)
    theirs = LogisticRegression(C=1.0, tol=1e-10, max_iter=1000).fit(x, y)
    np.testing.assert_allclose(weights, [*theirs.intercept_, *theirs.coef_[0]], atol=1e-4)


def test_features_know_nothing_of_a_texts_own_group() -> None:
    texts = ["red tower", "red tower", "blue pump", "red sea"]
    x, names = features(texts, np.array([0, 0, 1, 2]))
    assert names[: len(PLAIN)] == PLAIN
    shared, rare = (x[:, PLAIN.index(name)] for name in ("words all texts share", "rare words"))
    # "red": one of the two texts of other groups has it; "tower": none.
    np.testing.assert_allclose(shared, [0.25, 0.25, 0.0, 1 / 3])
    np.testing.assert_allclose(rare, [0.5, 0.5, 1.0, 0.5])


def test_every_text_gets_a_score_without_its_group_and_too_few_groups_none() -> None:
    rng = np.random.default_rng(4)
    x = rng.normal(size=(40, 3))
    groups = np.arange(40) // 2
    member = groups % 2 == 0
    assert np.isfinite(cross_fitted(x, member, groups)).all()
    fold = folds_of(member, groups, 0)
    assert all(len(set(fold[groups == group])) == 1 for group in groups)
    # 10 groups of either part in 5 folds.
    assert all(member[fold == number].sum() == 4 == (~member[fold == number]).sum() for number in range(FOLDS))
    assert blind(["a b"] * 4, np.array([True, True, False, False]), np.arange(4), "answers") is None
    assert blind([""] * 12, np.arange(12) % 2 == 0, np.arange(12), "answers", permutations=3) is not None
