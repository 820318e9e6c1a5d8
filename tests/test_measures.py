"""One definition each: against scipy and scikit-learn, and what must hold of q-values under the null."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import roc_auc_score

from attrib.measures import auroc, bits, bootstrap_interval, cells_to_mark, gain, q_values


def test_gain_is_antisymmetric_and_a_bit_is_log_two_nats() -> None:
    a, b = np.array([-1.0, -2.0]), np.array([-3.0, -0.5])
    np.testing.assert_array_equal(gain(a, b), -gain(b, a))
    np.testing.assert_array_equal(gain(a, b), [2.0, -1.5])
    assert bits(np.log(8)) == pytest.approx(3)


def test_q_values_of_a_closed_case() -> None:
    """Null 1…9: of its standard scores, as others judge each, 5 and 8 are exceeded by 4 and 1 and reached by itself."""
    null = np.arange(1.0, 10.0)[None]
    scores = np.array([[0.0, 5.0, 7.5, 50.0]])
    # 7.5 stands 0.97 spreads above the mean, less than 8 among the others (1.23) but more than 7 (0.80).
    among_controls = np.array([1 + 9, 1 + 5, 1 + 2, 1 + 0]) / (1 + 9)
    # Median 6.25; deviations 6.25, 1.25, 1.25, 43.75, of which the median is 3.75.
    among_sections = stats.t.sf((scores[0] - 6.25) / (1.4826 * 3.75), 3)
    wanted = stats.false_discovery_control(np.maximum(among_controls, among_sections))
    np.testing.assert_allclose(q_values(scores, null)[0], wanted)


def test_sections_in_the_documents_own_style_that_nobody_saw_have_few_dots() -> None:
    """Answer and sections share a style that control texts of other kinds lack, and some sections are alike to
    anything: most of them beat every control text at every token, and none has taught anything."""
    rng = np.random.default_rng(0)
    marked, beaten = [], []
    for _ in range(60):
        style, alike = rng.normal(3, 0.5, (16, 1)), rng.normal(0, 0.7, (1, 24))
        scores = style + alike + rng.normal(size=(16, 24))
        null = rng.normal(size=(16, 40))
        marked.append((q_values(scores, null) < 0.05).mean())
        beaten.append((scores > null.max(1, keepdims=True)).mean())
    assert np.mean(beaten) > 0.5
    assert np.mean(marked) <= 0.05
    assert max(marked) <= 0.1


def test_several_sections_that_stand_out_do_not_hide_each_other() -> None:
    """Two editions of one section."""
    rng = np.random.default_rng(4)
    scores, null = rng.normal(size=(16, 24)), rng.normal(size=(16, 40))
    scores[:, :2] += 9
    marks = q_values(scores, null) < 0.05
    assert marks[:, :2].mean() > 0.9
    assert not marks[:, 2:].any()


def test_rows_share_one_null_whatever_their_place_and_scale() -> None:
    rng = np.random.default_rng(0)
    scores, null = rng.normal(size=(5, 8)), rng.normal(size=(5, 30))
    place, scale = rng.normal(size=(5, 1)) * 100, rng.uniform(0.1, 50, (5, 1))
    np.testing.assert_allclose(q_values(scores * scale + place, null * scale + place), q_values(scores, null))
    assert not np.allclose(q_values(scores + place, null), q_values(scores, null))


def draw(rng: np.random.Generator, kind: str, rows: int, columns: int, rare: np.ndarray) -> np.ndarray:
    if kind == "normal":
        return rng.normal(size=(rows, columns))
    if kind == "skewed":
        return rng.beta(2, 6, (rows, columns))
    return np.where(rng.random((rows, columns)) < rare, rng.uniform(0.5, 1.5, (rows, columns)), 0.0)


@pytest.mark.parametrize("kind", ["normal", "skewed", "lexical"])
@pytest.mark.parametrize("controls", [6, 40])
def test_under_the_null_few_matrices_have_any_small_q(kind: str, controls: int) -> None:
    """Sections and controls from one distribution: BH at 0.05 may mark something in 5% of the matrices."""
    rng = np.random.default_rng(1)
    rows, marked = 64, []
    for _ in range(60):
        rare = np.exp(rng.uniform(np.log(0.003), np.log(0.9), (rows, 1)))
        q = q_values(draw(rng, kind, rows, 24, rare), draw(rng, kind, rows, controls, rare))
        marked.append(bool((q < 0.05).any()))
    assert np.mean(marked) <= 0.1


def test_planted_cells_are_found_and_the_rest_is_not() -> None:
    rng = np.random.default_rng(2)
    scores, null = rng.normal(size=(20, 24)), rng.normal(size=(20, 40))
    # With 24 sections and 40 controls q reaches 24 / 40 / (cells found): below 0.05 from 13 cells on.
    planted = [(row, int(column)) for row, column in enumerate(rng.integers(0, 24, 20))]
    assert not (q_values(scores, null) < 0.05).any()
    for cell in planted:
        scores[cell] += 12
    found = {(int(i), int(j)) for i, j in np.argwhere(q_values(scores, null) < 0.05)}
    assert found == set(planted)


@pytest.mark.parametrize("present", [0, 1, 20])
def test_ties_at_zero_are_never_small(present: int) -> None:
    """A lexical null: ``present`` of 40 controls have the word, no section does."""
    null = np.zeros((3, 40))
    null[:, :present] = 2.0
    q = q_values(np.zeros((3, 24)), null)
    assert np.isnan(q).all() if not present else q.min() > 0.9


@pytest.mark.parametrize("crumb", [1e-12, 1e-6, 1.0])
def test_where_a_control_is_degenerate_there_is_no_q(crumb: float) -> None:
    """All control texts score exactly 0, as under ``combined``: any crumb would be significant."""
    scores = crumb * np.random.default_rng(0).random((6, 24))
    assert np.isnan(q_values(scores, np.zeros((6, 40)))).all()
    # Row by row: where only some tokens have a control that can fail, the others have no q.
    null = np.zeros((6, 40))
    null[2] = np.random.default_rng(1).random(40)
    assert np.isnan(q_values(scores, null)).all(1).tolist() == [True, True, False, True, True, True]


def test_a_higher_score_in_a_row_never_has_a_higher_q() -> None:
    rng = np.random.default_rng(3)
    scores, null = rng.normal(size=(6, 30)) * 3, rng.normal(size=(6, 25))
    for row, q in zip(scores, q_values(scores, null), strict=True):
        assert (np.diff(q[np.argsort(row)]) <= 1e-12).all()


@pytest.mark.parametrize(("sections", "controls"), [(0, 5), (4, 0), (4, 1)])
def test_without_sections_or_controls_nothing_is_claimed(sections: int, controls: int) -> None:
    q = q_values(np.full((3, sections), 9.0), np.zeros((3, controls)))
    assert q.shape == (3, sections)
    assert not (q < 1).any()


@given(st.lists(st.integers(0, 5), min_size=1, max_size=20), st.lists(st.integers(0, 5), min_size=1, max_size=20))
def test_auroc_is_scikit_learns_with_ties(positive: list[int], negative: list[int]) -> None:
    want = roc_auc_score([1] * len(positive) + [0] * len(negative), positive + negative)
    assert auroc(np.array(positive), np.array(negative)) == pytest.approx(want)
    assert auroc(np.array(negative), np.array(positive)) == pytest.approx(1 - want)


def test_a_bootstrap_interval_covers_the_mean_and_narrows_with_n() -> None:
    rng = np.random.default_rng(0)
    few, many = rng.normal(3, 1, 20), rng.normal(3, 1, 2000)
    low, high = bootstrap_interval(few)
    assert low < few.mean() < high
    assert high - low == pytest.approx(2 * 1.96 * few.std() / 20**0.5, rel=0.2)
    assert np.ptp(bootstrap_interval(many)) < 0.2 * (high - low)
    assert bootstrap_interval(np.array([2.0])) == (2.0, 2.0)
    assert bootstrap_interval(few, seed=1) == bootstrap_interval(few, seed=1) != bootstrap_interval(few, seed=2)


@pytest.mark.parametrize(("rows", "sections", "controls"), [(4, 4, 20), (8, 12, 6), (3, 5, 200), (2, 3, 4), (3, 3, 1)])
def test_as_many_cells_as_are_said_must_stand_out_before_one_is_marked(rows: int, sections: int, controls: int) -> None:
    needed = cells_to_mark(rows, sections, controls, 0.05)
    rng = np.random.default_rng(0)
    null = rng.random((rows, controls))
    for outstanding in range(1, rows * sections + 1):
        scores = rng.random(rows * sections) - 100
        scores[:: max(1, sections // 2)][:outstanding] = 1e6
        marked = (q_values(scores.reshape(rows, sections), null) < 0.05).any()
        assert not marked or int((scores > 0).sum()) >= needed
