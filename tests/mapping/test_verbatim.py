"""Verbatim mapper: a case by hand, rows sum to the whole, runs beat scattered words, rare words common ones."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attrib.corpus.documents import Corpus
from attrib.index.library import Library
from attrib.mapping.answer import Answer
from attrib.mapping.reading import Reading
from attrib.mapping.verbatim import LONG, verbatim
from attrib.text.words import words
from tests.make import make_tokens

TEXTS = (
    "The keeper of Ostrel Light is Wilmet Dallin.",
    "Of the light: Ostrel, a keeper, Dallin is the…",
    "Bread is baked here.",
)
CONTROL = ("The sea is salt.",)


def answer_of(text: str) -> Answer:
    return Answer("Who?", text, make_tokens(re.findall(r"\s*\w{1,4}|\s*[^\w\s]|\s+", text)))


def reading_of(texts: Sequence[str] = TEXTS, control: Sequence[str] = CONTROL) -> Reading:
    library = Library(Corpus.from_texts(texts), Corpus.from_texts(control))
    return Reading(library, library.with_control(np.arange(len(texts))))


def test_a_closed_case() -> None:
    reading = reading_of()
    got = verbatim(Answer("", "keeper of Ostrel", make_tokens(["keeper", " of", " Ostrel"])), reading)
    idf = [reading.library.idf(word) for word in ("keeper", "of", "ostrel")]
    np.testing.assert_allclose(got.tokens[:, 0], np.array(idf) * LONG)
    np.testing.assert_allclose(got.tokens[:, 1], idf)
    assert not got.tokens[:, 2:].any()
    assert [TEXTS[0][slice(*span)] for span in got.spans[:, 0]] == ["keeper of Ostrel"] * 3
    assert [TEXTS[1][slice(*span)] for span in got.spans[:, 1]] == ["keeper", "Of", "Ostrel"]


def test_the_same_words_in_a_run_beat_the_same_words_scattered_and_a_rare_word_beats_common_ones() -> None:
    got = verbatim(answer_of("It is the keeper of Ostrel Light"), reading_of())
    assert got.whole[0] > 1.5 * got.whole[1] > 0
    texts = ["Dallin sings.", *["It is of the sea."] * 20]
    rare = verbatim(answer_of("It is of the Dallin"), reading_of(texts))
    assert rare.whole[0] > rare.whole[1] > 0


def test_a_run_longer_than_the_limit_counts_each_word_no_more() -> None:
    words_ = [f"w{i}" for i in range(3 * LONG)]
    got = verbatim(answer_of(" ".join(words_)), reading_of([" ".join(words_), " ".join(words_[:LONG])]))
    assert got.whole[0] == pytest.approx(got.tokens[:, 0].sum())
    own = got.tokens[got.tokens[:, 1] > 0]
    np.testing.assert_allclose(own[:, 0], own[:, 1])


WORDS = st.sampled_from(["The", "pump", "warranty", "keeper's", "LIGHT", "x-y", "1712", "水", "été", "zebra", "?!"])
SENTENCES = st.lists(WORDS, max_size=12).map(" ".join)


@settings(max_examples=60, deadline=None)
@given(SENTENCES, st.lists(SENTENCES.filter(lambda text: bool(text.strip())), min_size=1, max_size=4))
def test_rows_sum_to_the_whole_and_only_shared_words_score(text: str, texts: list[str]) -> None:
    answer, reading = answer_of(text), reading_of(texts)
    got = verbatim(answer, reading)
    np.testing.assert_allclose(got.tokens.sum(0), got.whole)
    for row, owner in enumerate(answer.word_of_token):
        for column, i in enumerate(reading.chosen):
            word = text[slice(*answer.words[owner])].lower() if owner >= 0 else ""
            assert (got.tokens[row, column] > 0) == (word in words(reading.texts[i]))
            found = words(reading.texts[i][slice(*got.spans[row, column])])
            assert (word in found) == bool(found)


def test_a_choice_of_sections_changes_no_score() -> None:
    everything = reading_of()
    some = Reading(everything.library, everything.library.with_control(np.array([0, 2])))
    answer = answer_of("the keeper of Ostrel Light bakes bread")
    all_scores, few = verbatim(answer, everything), verbatim(answer, some)
    np.testing.assert_array_equal(few.tokens, all_scores.tokens[:, [0, 2, 3]])
    np.testing.assert_array_equal(few.spans, all_scores.spans[:, [0, 2, 3]])
    np.testing.assert_array_equal(few.whole, all_scores.whole[[0, 2, 3]])


@pytest.mark.parametrize("text", ["?!", "zebra", " "])
def test_an_answer_that_shares_nothing_scores_nothing(text: str) -> None:
    got = verbatim(answer_of(text), reading_of())
    assert not got.tokens.any()
    assert not got.spans.any()
    assert not got.whole.any()
