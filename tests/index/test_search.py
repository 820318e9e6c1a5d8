"""Exact search against the plain way, the same bits in any company; and what approximate search misses, in the open."""

from __future__ import annotations

import importlib.util
import sys
import tracemalloc
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from attrib.errors import InputError
from attrib.index import search
from attrib.index.search import Approximate, exact_scores, faiss_index, top_k

FAISS = pytest.mark.skipif(importlib.util.find_spec("faiss") is None, reason="faiss is not installed")


def plain(queries: np.ndarray, rows: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """All products in float64, sorted by score, then row."""
    scores = queries.astype(np.float32).astype(np.float64) @ rows.astype(np.float64).T
    order = np.lexsort((np.broadcast_to(np.arange(len(rows)), scores.shape), -scores), axis=1)[:, :k]
    return np.take_along_axis(scores, order, 1), order


def unit(n: int, d: int, seed: int) -> np.ndarray:
    rows = np.random.default_rng(seed).normal(size=(n, d))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float16)


def cut(rows: np.ndarray, size: int) -> Iterator[np.ndarray]:
    yield from (rows[i : i + size] for i in range(0, len(rows), size))


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_rows_and_scores_are_those_of_numpy_ties_by_number(data: st.DataObject) -> None:
    d, n, q = (data.draw(st.integers(1, size), name) for size, name in ((5, "d"), (60, "n"), (4, "q")))
    # Small whole numbers: products are exact in every order of summing, and there are many ties.
    numbers = st.integers(-3, 3)
    dtype = data.draw(st.sampled_from([np.float16, np.float32]))
    rows = data.draw(npst.arrays(np.int64, (n, d), elements=numbers)).astype(dtype)
    queries = data.draw(npst.arrays(np.int64, (q, d), elements=numbers)).astype(np.float32)
    k, size = data.draw(st.integers(1, 70), "k"), data.draw(st.integers(1, 61), "block")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search, "TILE", data.draw(st.integers(1, 64), "tile"))
        patch.setattr(search, "QUERIES", data.draw(st.integers(1, 5), "queries at once"))
        rough = data.draw(st.booleans(), "rough")
        patch.setattr(search, "_bfloat16_is_faster", lambda queries, width: rough)
        scores, found = top_k(queries, cut(rows, size), k)
    wanted_scores, wanted = plain(queries, rows, k)
    assert (scores.dtype, found.dtype) == (np.float32, np.int64)
    np.testing.assert_array_equal(found, wanted)
    np.testing.assert_array_equal(scores, wanted_scores)


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_no_row_is_missed_whatever_the_sizes_of_the_numbers(data: st.DataObject) -> None:
    d, n = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 30))
    numbers = st.floats(-(2.0**60), 2.0**60, width=32)
    rows = data.draw(npst.arrays(np.float32, (n, d), elements=numbers))
    queries = data.draw(npst.arrays(np.float32, (2, d), elements=numbers))
    k = data.draw(st.integers(1, 5))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search, "TILE", data.draw(st.integers(1, 16)))
        rough = data.draw(st.booleans(), "rough")
        patch.setattr(search, "_bfloat16_is_faster", lambda queries, width: rough)
        found = top_k(queries, [rows], k)[1]
    # By the float64 score itself: a row that is worse than one left out would show.
    every = np.stack([exact_scores(np.broadcast_to(one, rows.shape), rows) for one in queries])
    order = np.lexsort((np.broadcast_to(np.arange(n), every.shape), -every), axis=1)[:, :k]
    np.testing.assert_array_equal(found, order)


@pytest.fixture(scope="module")
def case() -> tuple[np.ndarray, np.ndarray]:
    """Queries and rows, the last thousand of which repeat earlier ones."""
    rows = unit(7000, 48, 1)
    return unit(9, 48, 2).astype(np.float32), np.concatenate([rows, rows[:1000]])


@pytest.fixture(params=[False, True], ids=["float32", "bfloat16"])
def rough(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Either product, whichever is faster here."""
    monkeypatch.setattr(search, "_bfloat16_is_faster", lambda queries, width: request.param)


@pytest.mark.usefixtures("rough")
def test_scores_and_rows_have_the_same_bits_in_any_company(
    case: tuple[np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    queries, rows = case
    scores, found = top_k(queries, [rows], 20)
    for size in (1, 256, 5000):
        for memory in (1, 256):
            again = top_k(queries, cut(rows, size), 20, memory_mb=memory)
            np.testing.assert_array_equal(again[0], scores)
            np.testing.assert_array_equal(again[1], found)
    for i in range(len(queries)):
        alone = top_k(queries[i : i + 1], [rows], 20)
        np.testing.assert_array_equal(alone[0][0], scores[i])
        np.testing.assert_array_equal(alone[1][0], found[i])
    many = top_k(np.concatenate([queries] * 70), [rows], 20)
    np.testing.assert_array_equal(many[0], np.concatenate([scores] * 70))
    monkeypatch.setattr(search, "FEW", 0)
    np.testing.assert_array_equal(top_k(queries, [rows], 20)[1], found)
    fewer = top_k(queries, [rows], 7)
    np.testing.assert_array_equal(fewer[1], found[:, :7])


def test_products_in_float32_would_have_other_bits(case: tuple[np.ndarray, np.ndarray]) -> None:
    queries, rows = case
    scores, found = top_k(queries, [rows], 20)
    bare = np.take_along_axis(queries @ rows.astype(np.float32).T, found, 1)
    np.testing.assert_allclose(bare, scores, atol=1e-6)
    assert (bare != scores).any()


def test_equal_rows_have_equal_scores_and_the_earlier_comes_first(case: tuple[np.ndarray, np.ndarray]) -> None:
    queries, rows = case
    scores, found = top_k(queries, [rows], len(rows))
    place = np.argsort(found, axis=1)
    by_row = np.take_along_axis(scores, place, 1)
    np.testing.assert_array_equal(by_row[:, 7000:], by_row[:, :1000])
    assert (place[:, 7000:] > place[:, :1000]).all()
    assert (np.diff(scores, axis=1) <= 0).all()


@pytest.mark.parametrize(("rough", "limit"), [(False, 400), (True, 2000)])
def test_ever_better_rows_are_found_without_scoring_all_of_them(
    case: tuple[np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch, rough: bool, limit: int
) -> None:
    monkeypatch.setattr(search, "_bfloat16_is_faster", lambda queries, width: rough)
    query = case[0][:1]
    order = np.argsort((query @ case[1].astype(np.float32).T)[0], kind="stable")
    rows = case[1][order]
    scored = []

    def count(queries: np.ndarray, some: np.ndarray) -> np.ndarray:
        scored.append(len(some))
        return exact_scores(queries, some)

    monkeypatch.setattr(search, "exact_scores", count)
    found = top_k(query, [rows], 5)[1]
    np.testing.assert_array_equal(found, plain(query, rows, 5)[1])
    assert sum(scored) < limit


@pytest.mark.usefixtures("rough")
def test_a_filter_without_its_margin_would_miss_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    # Rows whose products differ by less than float32 errs in summing 4096 terms of both signs.
    rng = np.random.default_rng(3)
    rows = (rng.normal(size=(1, 4096)) + 1e-7 * rng.normal(size=(400, 4096))).astype(np.float32)
    queries = rng.normal(size=(8, 4096)).astype(np.float32)
    monkeypatch.setattr(search, "TILE", 32)
    every = np.stack([exact_scores(np.broadcast_to(one, rows.shape), rows) for one in queries])
    exact = np.argsort(-every, axis=1, kind="stable")[:, :10]
    np.testing.assert_array_equal(top_k(queries, [rows], 10)[1], exact)
    monkeypatch.setattr(search._Best, "_errors", lambda self, longest: np.zeros(8))
    assert (top_k(queries, [rows], 10)[1] != exact).any()


def test_read_only_and_strided_rows_are_read(case: tuple[np.ndarray, np.ndarray]) -> None:
    queries, rows = case
    found = top_k(queries, [rows], 5)[1]
    frozen = rows.copy()
    frozen.flags.writeable = False
    np.testing.assert_array_equal(top_k(queries, [frozen], 5)[1], found)
    np.testing.assert_array_equal(top_k(queries, [np.asfortranarray(rows)], 5)[1], found)
    wide = np.repeat(rows[::-1], 2, axis=1)
    np.testing.assert_array_equal(top_k(queries, [wide[::-1, ::2]], 5)[1], found)


def test_no_rows_no_queries_and_more_asked_than_there_is() -> None:
    queries = np.ones((2, 3), np.float32)
    for blocks in ([], [np.empty((0, 3), np.float16)]):
        scores, rows = top_k(queries, blocks, 4)
        assert scores.shape == rows.shape == (2, 0)
    assert top_k(queries, [np.ones((3, 3), np.float16)], 4)[1].tolist() == [[0, 1, 2]] * 2
    assert top_k(queries[:0], [np.ones((3, 3), np.float16)], 2)[1].shape == (0, 2)


def test_memory_does_not_grow_with_the_rows() -> None:
    block, queries = unit(4096, 64, 5), unit(16, 64, 6).astype(np.float32)

    def peak(times: int) -> int:
        tracemalloc.start()
        top_k(queries, (block for _ in range(times)), 10)
        top = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return top

    assert peak(40) < peak(4) + 2**20


@pytest.mark.parametrize(
    ("queries", "block", "k", "match"),
    [
        (np.ones(3), None, 1, r"shape \(3,\); give \[query, d\]"),
        (np.ones((1, 0)), None, 1, r"give \[query, d\]"),
        (np.array([[1.0, np.nan, 0.0]]), None, 1, "not finite"),
        (np.ones((1, 3)), None, 0, "k is 0"),
        (np.ones((1, 3)), np.ones((4, 2), np.float16), 1, r"block 0 is float16 of shape \(4, 2\).*\[n, 3\]"),
        (np.ones((1, 3)), np.ones((4, 3)), 1, "block 0 is float64"),
        (np.ones((1, 3)), np.full((4, 3), np.inf, np.float16), 1, "rows 0 to 3 hold values that are not finite"),
        (np.ones((1, 3)), np.full((4, 3), 1e30, np.float32), 1, "lengths beyond float32"),
    ],
)
def test_what_cannot_be_searched_is_refused(queries: np.ndarray, block: np.ndarray | None, k: int, match: str) -> None:
    good = np.ones((4, 3), np.float16)
    with pytest.raises(InputError, match=match):
        top_k(queries, [good if block is None else block], k)


# ---------------------------------------------------------------------------------------------- approximate


class Proposals:
    """Stands in for faiss: names every second row of the exact best."""

    def __init__(self, rows: np.ndarray, step: int) -> None:
        self.rows, self.step = rows, step

    def search(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        order = plain(queries, self.rows, len(self.rows))[1][:, :: self.step][:, :k]
        wide = np.full((len(queries), k), -1)
        # In no order: the scores of faiss are not trusted.
        wide[:, : order.shape[1]] = order[:, ::-1]
        return np.zeros(wide.shape), wide


def test_proposals_are_scored_exactly_and_their_recall_is_true(case: tuple[np.ndarray, np.ndarray]) -> None:
    queries, rows = case
    blocks = list(cut(rows, 999))
    perfect, half = Approximate(Proposals(rows, 1), blocks), Approximate(Proposals(rows, 2), blocks)
    scores, found = perfect.search(queries, 10)
    for have, want in zip((scores, found), top_k(queries, blocks, 10), strict=True):
        np.testing.assert_array_equal(have, want)
    assert perfect.recall(queries, 10) == 1
    assert half.recall(queries, 10) == 0.5
    np.testing.assert_array_equal(half.search(queries, 5)[1], plain(queries, rows, 10)[1][:, ::2])


def test_rows_that_are_not_named_come_last(case: tuple[np.ndarray, np.ndarray]) -> None:
    rows = case[1][:8]
    scores, found = Approximate(Proposals(rows, 4), [rows]).search(case[0], 4)
    assert (found[:, :2] >= 0).all()
    assert (found[:, 2:] == -1).all()
    assert (scores[:, 2:] == -np.inf).all()


def test_without_faiss_one_line_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(InputError, match=r"pip install 'attrib\[faiss\]', or search exactly"):
        faiss_index([np.ones((3, 3), np.float16)])


@FAISS
@pytest.mark.parametrize("kind", ["hnsw", "ivf"])
def test_faiss_finds_most_and_its_scores_are_exact(kind: str) -> None:
    rows, queries = unit(4000, 32, 7), unit(20, 32, 8).astype(np.float32)
    found = faiss_index(list(cut(rows, 700)), kind="hnsw" if kind == "hnsw" else "ivf")
    scores, numbers = found.search(queries, 10)
    every = queries.astype(np.float64) @ rows.astype(np.float64).T
    np.testing.assert_allclose(scores, np.take_along_axis(every, numbers, 1), rtol=1e-6)
    assert (np.diff(scores, axis=1) <= 0).all()
    assert found.recall(queries, 10) > (0.9 if kind == "hnsw" else 0.4)


@FAISS
def test_faiss_without_rows_is_refused() -> None:
    with pytest.raises(InputError, match="no rows to search"):
        faiss_index([])
