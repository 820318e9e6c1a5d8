"""BM25: token rows and the question's row sum to the whole, as bm25s itself scores the whole query."""

from __future__ import annotations

import re
from collections.abc import Sequence

import bm25s
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attrib.corpus.bm25 import Bm25
from attrib.corpus.documents import Corpus
from attrib.index.library import Library
from attrib.mapping import map_answer
from attrib.mapping.answer import Answer, MapperScores
from attrib.mapping.lexical import bm25
from attrib.mapping.reading import Reading
from attrib.records import Token
from attrib.text.words import word_of_token, words

TEXTS = (
    "The warranty on the pump is thirty-six months.",
    "Wilmet Dallin keeps the light; the light was lit in 1712.",
    "The keeper's house is white. Months pass.",
    "…!?",
)
CONTROL = ("Bread needs flour and water.", "The sea is salt.")
QUESTION = "How long is the warranty?"
PIECE = re.compile(r"\s*\w{1,3}|\s*[^\w\s]|\s+")
"""Words in pieces of three letters, as a tokenizer might cut them."""
ODD = (
    "水泵保修期为三十六个月。",
    "ضمان المضخة",
    "🙂🙂",
    "a\u200bb",
    "e\u0301té",
    "İstanbul STRASSE ß",
    "हिन्दी",
    "\u200d",
)


def answer_of(text: str, cuts: Sequence[str] | None = None, question: str = QUESTION) -> Answer:
    tokens: list[Token] = []
    start = 0
    for piece in cuts if cuts is not None else PIECE.findall(text):
        tokens.append(Token(len(tokens), piece, start, start + len(piece)))
        start += len(piece)
    return Answer(question, text, tuple(tokens))


def reading_of(texts: Sequence[str] = TEXTS, control: Sequence[str] = CONTROL) -> Reading:
    library = Library(Corpus.from_texts(texts), Corpus.from_texts(control))
    return Reading(library, library.with_control(np.arange(len(texts))))


def score(text: str, cuts: Sequence[str] | None = None, question: str = QUESTION) -> MapperScores:
    return bm25(answer_of(text, cuts, question), reading_of())


def library_scores(texts: Sequence[str], query: str) -> np.ndarray:
    """bm25s on the whole query, repetitions included."""
    index = bm25s.BM25(method="lucene")
    index.index([words(text) or [""] for text in texts], show_progress=False)
    return np.asarray(index.get_scores(words(query)))


@pytest.mark.parametrize(
    "answer",
    ["The warranty is thirty-six months, thirty-six months.", "the light, the light", "zebra", "?!", "in 1712"],
)
def test_token_rows_and_the_question_sum_to_the_whole_query_of_bm25s(answer: str) -> None:
    got = score(answer)
    question = Bm25((*TEXTS, *CONTROL)).query(QUESTION)
    np.testing.assert_allclose(question + got.tokens.sum(0), got.whole)
    np.testing.assert_allclose(got.whole, library_scores((*TEXTS, *CONTROL), f"{QUESTION} {answer}"), rtol=1e-5)


def test_an_unknown_word_and_punctuation_give_zero_and_a_known_word_does_not() -> None:
    got = score("zebra, warranty", ["zebra", ",", " warranty"])
    assert not got.tokens[:2].any()
    assert got.tokens[2, 0] > 0
    assert not got.tokens[2, 1:].any()
    assert not got.spans[:2].any()


def test_a_word_over_several_tokens_is_shared_evenly() -> None:
    whole, cut = score("warranty", ["warranty"]), score("warranty", ["w", "arran", "ty"])
    np.testing.assert_allclose(cut.tokens, np.repeat(whole.tokens, 3, 0) / 3)
    np.testing.assert_array_equal(cut.spans, np.repeat(whole.spans, 3, 0))
    assert whole.tokens.any()


def test_a_token_over_several_words_has_the_score_of_all() -> None:
    one = score("pump. light", ["pump. light"])
    two = score("pump. light", ["pump", ". ", "light"])
    np.testing.assert_allclose(one.tokens.sum(0), two.tokens.sum(0))
    np.testing.assert_allclose(one.whole, two.whole)
    assert (two.tokens[0] != two.tokens[2]).any()


def test_half_a_character_is_no_words_token() -> None:
    tokens = (Token(0, "", 0, 0), Token(1, "水", 0, 1), Token(2, " ", 1, 2))
    np.testing.assert_array_equal(word_of_token(tokens, [(0, 1)]), [-1, 0, -1])


def test_control_columns_follow_the_sections_and_are_scored_alike() -> None:
    both = answer_of("salt and light"), reading_of()
    side = map_answer(("bm25",), both, both, len(TEXTS))["bm25"].tuned
    swapped = bm25(answer_of("salt and light"), reading_of(CONTROL, TEXTS)).tokens
    assert side.tokens.shape[1] == len(TEXTS)
    assert side.control.shape[1] == len(CONTROL)
    assert side.control[0, 1] > 0
    np.testing.assert_allclose(side.control, swapped[:, : len(CONTROL)], rtol=1e-6)
    np.testing.assert_allclose(side.tokens, swapped[:, len(CONTROL) :], rtol=1e-6)


def test_a_choice_of_sections_changes_no_score() -> None:
    everything = reading_of()
    some = Reading(everything.library, everything.library.with_control(np.array([1, 3])))
    answer = answer_of("the light in 1712")
    all_scores, few = bm25(answer, everything), bm25(answer, some)
    np.testing.assert_array_equal(few.tokens, all_scores.tokens[:, [1, 3, 4, 5]])
    np.testing.assert_array_equal(few.spans, all_scores.spans[:, [1, 3, 4, 5]])
    np.testing.assert_array_equal(few.whole, all_scores.whole[[1, 3, 4, 5]])


WORDS = st.sampled_from(["The", "pump", "warranty", "keeper's", "LIGHT", "x-y", "1712", "水", "été", "zebra"])
SENTENCES = st.lists(WORDS, max_size=12).map(" ".join)


@settings(max_examples=40, deadline=None)
@given(SENTENCES, st.lists(SENTENCES.filter(bool), min_size=1, max_size=4))
def test_a_span_is_the_word_in_the_text_exactly_where_the_text_has_it(text: str, sections: list[str]) -> None:
    answer, reading = answer_of(text), reading_of(sections)
    got = bm25(answer, reading)
    for row, owner in enumerate(answer.word_of_token):
        for column, index in enumerate(reading.chosen):
            start, end = got.spans[row, column]
            found = reading.texts[index][start:end].lower()
            word = text[slice(*answer.words[owner])].lower() if owner >= 0 else ""
            has = word in words(reading.texts[index])
            assert found == (word if has else "")
            assert (got.tokens[row, column] > 0) == has
    np.testing.assert_allclose(got.whole, library_scores(reading.texts, f"{QUESTION} {text}"), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("odd", ODD)
def test_any_script_is_scored_and_found_in_itself(odd: str) -> None:
    texts = (odd, *TEXTS)
    got = bm25(answer_of(odd), reading_of(texts))
    assert np.isfinite(got.tokens).all()
    np.testing.assert_allclose(got.whole, library_scores((*texts, *CONTROL), f"{QUESTION} {odd}"), rtol=1e-5, atol=1e-6)
    if words(odd):
        assert got.tokens.sum(0).argmax() == 0
    else:
        assert not got.tokens.any()


def test_an_answer_may_hold_nul() -> None:
    got = score("the\0pump", ["the", "\0", "pump"])
    assert got.tokens[2, 0] > 0
    assert not got.tokens[1].any()


def test_texts_without_any_word_are_scored_zero() -> None:
    assert not Bm25(["…", "!"]).query("the pump").any()
    assert not Bm25(["…", "!"]).query("").any()
