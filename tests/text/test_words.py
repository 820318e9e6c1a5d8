"""Word index and shared runs: a search through all pairs as oracle; spread scores keep their sum."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attrib.mapping.answer import Answer, spread
from attrib.text.words import WordIndex, key, keys, longest_covering, longest_runs, matches_by_text
from tests.make import make_tokens


def contains(run: Sequence[str], text: Sequence[str]) -> list[int]:
    n = len(run)
    return [i for i in range(len(text) - n + 1) if list(text[i : i + n]) == list(run)]


def slow_runs(words: list[str], texts: list[list[str]], common: set[str]) -> list[tuple[int, int]]:
    """Every shared run, then those in no other."""
    n = len(words)
    shared = [
        (i, j)
        for i in range(n)
        for j in range(i + 1, n + 1)
        if "" not in words[i:j]
        and (j - i > 1 or words[i] not in common)
        and any(contains(words[i:j], text) for text in texts)
    ]
    return [(i, j - i) for i, j in shared if not any((a, b) != (i, j) and a <= i and j <= b for a, b in shared)]


WORDS = st.lists(st.sampled_from(["a", "b", "c", "d"]), max_size=12)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.sampled_from(["a", "b", "c", "d", "x", ""]), max_size=12),
    st.lists(WORDS, max_size=4),
    st.sets(st.sampled_from(["a", "b", "x"])),
)
def test_runs_are_those_of_a_search_through_all_pairs(
    words: list[str], texts: list[list[str]], common: set[str]
) -> None:
    joined = [" ".join(text) for text in texts]
    index = WordIndex.of(joined)
    assert longest_runs(words, index, common) == slow_runs(words, texts, common)
    got = matches_by_text(words, index, common)
    found = sorted(zip(got.text.tolist(), got.first.tolist(), got.length.tolist(), strict=True))
    assert found == sorted((t, *run) for t, text in enumerate(texts) for run in slow_runs(words, [text], common))
    for (start, end), text, first, length in zip(got.spans, got.text, got.first, got.length, strict=True):
        run = words[first : first + length]
        assert joined[text][start:end] == " ".join(run)
        assert start == 2 * contains(run, texts[text])[0]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(["a", "b", "c", "x"]), min_size=1, max_size=5), st.lists(WORDS, max_size=4))
def test_find_gives_every_occurrence(run: list[str], texts: list[list[str]]) -> None:
    index = WordIndex.of(" ".join(text) for text in texts)
    places = index.find(run)
    got = [(int(index.text[p]), int(index.spans[p, 0]) // 2) for p in places]
    assert got == [(t, i) for t, text in enumerate(texts) for i in contains(run, text)]
    assert index.holders(places).tolist() == sorted({t for t, _ in got})


def test_keys_fold_case_and_keep_words_apart() -> None:
    assert key("STRASSE") == key("straße")
    assert keys("It's A-b, it’s") == ["it's", "a", "b", "it's"]
    assert key("été") != key("ete")
    assert key("Ｗｉｌｍｅｔ") == key("wilmet")


def test_ten_thousand_sections_take_no_quadratic_search() -> None:
    """An answer of 240 words against 300,000, the commonest among them; a scan of pairs would take minutes."""
    rng = np.random.default_rng(0)
    chance = 1 / np.arange(1, 20_001)
    names = np.array([f"w{i}" for i in range(20_000)])
    words = names[rng.choice(20_000, 300_000, p=chance / chance.sum())]
    texts = [" ".join(part) for part in words.reshape(10_000, 30)]
    index = WordIndex.of(texts)
    asked = [*rng.permutation(words)[:200].tolist(), "", *words[7_710:7_740].tolist()]
    start = time.process_time()
    runs = longest_runs(asked, index)
    assert time.process_time() - start < 3
    assert runs[-1] == (201, 30)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(["a", "b", "c", "d", "x"]), max_size=10), st.lists(WORDS, max_size=4))
def test_the_longest_run_that_covers_a_word_is_that_of_a_search_through_all(
    words: list[str], texts: list[list[str]]
) -> None:
    joined = [" ".join(text) for text in texts]
    length, spans = longest_covering(words, WordIndex.of(joined))
    assert length.shape == (len(words), len(texts))
    for i in range(len(words)):
        for t, text in enumerate(texts):
            runs = [(n, -first) for first, n in slow_runs(words, [text], set()) if first <= i < first + n]
            n, first = max(runs, default=(0, 0))
            assert length[i, t] == n
            start, end = spans[i, t]
            assert joined[t][start:end] == " ".join(words[-first : -first + n])
            assert start == (2 * contains(words[-first : -first + n], text)[0] if n else 0)


@pytest.mark.parametrize(
    ("pieces", "want"),
    [
        (["pump", " light"], [[1], [10]]),
        (["pu", "mp", " ", "light"], [[0.5], [0.5], [0], [10]]),
        (["pump light"], [[11]]),
        (["pump", "?", " light", "!"], [[1], [0], [10], [0]]),
    ],
)
def test_words_are_spread_over_their_tokens_and_keep_their_sum(pieces: list[str], want: list[list[float]]) -> None:
    answer = Answer("", "".join(pieces), make_tokens(pieces))
    np.testing.assert_allclose(spread(answer, np.array([[1.0], [10.0]])), want)


def test_words_that_no_token_covers_are_left_out() -> None:
    answer = Answer("", "pump light", make_tokens(["pump"]))
    np.testing.assert_allclose(spread(answer, np.array([[1.0], [10.0]])), [[1]])
