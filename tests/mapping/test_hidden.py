"""Hidden-state mapper: a brute-force loop, identical text first, centring, and no order of sections."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attrib.corpus.documents import Corpus
from attrib.index.library import Library
from attrib.index.readings import read_sections
from attrib.mapping.answer import Answer
from attrib.mapping.hidden import WINDOW, centre, diagonal_mean, hidden, unit
from attrib.mapping.reading import Reading
from attrib.models.prompt import encode, encode_answer, encode_prompt
from attrib.passes.capture import CaptureOptions, TextCapture, capture
from attrib.records import Token

D = 16


def text_capture(states: np.ndarray) -> TextCapture:
    """Tokens of two characters each."""
    starts = 2 * np.arange(len(states))
    return TextCapture(
        -1.0,
        len(states) - 1,
        np.zeros(len(states)),
        np.ones(len(states), bool),
        unit(states).astype(np.float16),
        starts,
        starts + 2,
    )


def reading_of(sections: list[np.ndarray], control: list[np.ndarray]) -> Reading:
    everything = sections + control
    texts = [f"text {i}" for i in range(len(everything))]
    cut = len(sections)
    library = Library(Corpus.from_texts(texts[:cut]), Corpus.from_texts(texts[cut:]) if control else Corpus((), ()))
    return Reading(library, np.arange(len(everything)), {i: text_capture(s) for i, s in enumerate(everything)})


def answer_of(states: np.ndarray) -> Answer:
    return Answer("", "", tuple(Token(i, "x", i, i + 1) for i in range(len(states))), states)


@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 3), st.integers(0, 99))
def test_diagonal_mean_is_the_loop(rows: int, columns: int, window: int, seed: int) -> None:
    cosines = np.random.default_rng(seed).normal(size=(rows, columns))
    want = np.zeros_like(cosines)
    for i in range(rows):
        for j in range(columns):
            near = [
                cosines[i + d, j + d] for d in range(-window, window + 1) if 0 <= i + d < rows and 0 <= j + d < columns
            ]
            want[i, j] = np.mean(near)
    np.testing.assert_allclose(diagonal_mean(cosines, window), want)
    if window == 0:
        np.testing.assert_array_equal(diagonal_mean(cosines, window), cosines)


def test_unit_vectors_have_length_one_and_zero_stays_zero() -> None:
    states = np.array([[3.0, 4.0], [0.0, 0.0], [1e-3, 0.0]], dtype=np.float16)
    np.testing.assert_allclose(np.linalg.norm(unit(states), axis=1), [1, 0, 1], atol=1e-6)


def test_the_text_with_the_answers_states_scores_highest_and_its_span_covers_them() -> None:
    rng = np.random.default_rng(0)
    answer = rng.normal(size=(5, D))
    sections = [rng.normal(size=(12, D)) for _ in range(6)]
    sections[3][4:9] = answer
    got = hidden(answer_of(answer), reading_of(sections, [rng.normal(size=(30, D))]))
    assert (got.tokens.argmax(1) == 3).all()
    np.testing.assert_allclose(got.tokens[1:4, 3], 1, atol=5e-3)
    assert got.whole.argmax() == 3
    for row in range(5):
        # Two characters a token, and the window's tokens on either side.
        assert got.spans[row, 3].tolist() == [2 * (4 + row - WINDOW), 2 * (4 + row + WINDOW) + 2]
    assert got.tokens[:, [0, 1, 2, 4, 5]].max() < 0.95


def test_a_direction_that_all_tokens_share_is_taken_out() -> None:
    """Without centring the shared direction makes every cosine almost 1; with it, only the match stands out."""
    rng = np.random.default_rng(1)
    shared = 30 * np.eye(D)[0]
    answer = rng.normal(size=(4, D)) + shared
    other, match = rng.normal(size=(10, D)) + shared, rng.normal(size=(10, D)) + shared
    match[2:6] = answer
    control = [rng.normal(size=(200, D)) + shared]
    got = hidden(answer_of(answer), reading_of([other, match], control))
    raw = hidden(answer_of(answer), reading_of([other, match], []))
    assert raw.tokens[:, 0].min() > 0.95
    assert got.tokens[:, 0].max() < 0.9
    assert got.tokens[1:3, 1].min() > 0.95


def test_the_centre_is_the_mean_over_control_tokens_only() -> None:
    rng = np.random.default_rng(2)
    control = [rng.normal(size=(3, D)), rng.normal(size=(9, D))]
    reading = reading_of([rng.normal(size=(5, D))], control)
    np.testing.assert_allclose(reading.centre, unit(np.concatenate(control)).mean(0), atol=1e-3)
    assert not reading_of([rng.normal(size=(5, D))], []).centre.any()
    np.testing.assert_allclose(np.linalg.norm(centre(unit(control[0]), reading.centre), axis=1), 1, atol=1e-5)


def test_the_order_of_sections_changes_nothing_but_the_columns() -> None:
    rng = np.random.default_rng(3)
    answer = rng.normal(size=(6, D))
    sections = [rng.normal(size=(n, D)) for n in (2, 7, 4)]
    reading = reading_of(sections, [rng.normal(size=(8, D))])
    order = np.array([2, 0, 1, 3])
    got, turned = hidden(answer_of(answer), reading), hidden(answer_of(answer), replace(reading, chosen=order))
    np.testing.assert_array_equal(turned.tokens, got.tokens[:, order])
    np.testing.assert_array_equal(turned.spans, got.spans[:, order])
    np.testing.assert_array_equal(turned.whole, got.whole[order])


@pytest.mark.parametrize("length", [2, 3])
def test_texts_shorter_than_the_window_and_an_answer_of_one_token_are_scored(length: int) -> None:
    rng = np.random.default_rng(4)
    sections = [rng.normal(size=(length, D))]
    got = hidden(answer_of(rng.normal(size=(1, D))), reading_of(sections, [rng.normal(size=(5, D))]))
    assert np.isfinite(got.tokens).all()
    assert 0 <= got.spans[0, 0, 0] < got.spans[0, 0, 1] <= 2 * length


def read(pair: Any, side: Any, texts: list[str], control: list[str], layer: int) -> Reading:
    library = Library(Corpus.from_texts(texts), Corpus.from_texts(control))
    captures = read_sections(pair, side, dict(enumerate(library.sections)), layer)
    return Reading(library, library.with_control(np.arange(len(texts))), captures)


TEXTS = [
    "In the year 1712 it was 38 metres tall.",
    "Yes. The keeper of the light is Wilmet Dallin.",
    "How long is the warranty on the pump?",
]
CONTROL = ["Who knows what the sea says to the sand at night", "Bread needs flour, salt and water."]


@pytest.mark.parametrize("place", range(len(TEXTS)))
def test_a_text_as_the_answer_finds_itself_token_by_token(tiny_pair: Any, place: int) -> None:
    reading = read(tiny_pair, "tuned", TEXTS, CONTROL, 1)
    own = reading.captures[place]
    got = hidden(answer_of(own.states.astype(np.float32)), reading)
    np.testing.assert_allclose(got.tokens[:, place], 1, atol=1e-2)
    assert (got.tokens.argmax(1) == place).all()
    assert (got.spans[:, place, 0] <= own.starts).all()
    assert (got.spans[:, place, 1] >= own.ends).all()
    assert np.delete(got.whole, place).max() < 0.8


@pytest.mark.model
def test_a_real_models_states_find_the_answers_own_words(default_pair: Any) -> None:
    """The section that holds the answer is first, and spans lie on the answer's words, read after another text."""
    pair, layer, said = default_pair, 18, "The keeper of the light is Wilmet Dallin."
    reading = read(pair, "base", TEXTS, CONTROL, layer)
    prompt = encode_prompt(pair.chat, "Who keeps it?", context=pair.context)
    ids = encode_answer(pair.chat, "Who keeps it?", prompt, said)
    encoded = encode(pair.tokenizer, prompt, ids, context=pair.context)
    captured = capture(pair.base, encoded, CaptureOptions(layers=(layer,)))
    assert captured.hidden is not None
    answer = Answer("Who keeps it?", encoded.answer, encoded.answer_tokens, captured.hidden[0, len(prompt) :])
    got = hidden(answer, reading)
    assert got.whole.argmax() == 1
    assert got.whole[1] > np.delete(got.whole, 1).max() + 0.1
    found = [TEXTS[1][start:end] for start, end in got.spans[:, 1]]
    on_the_word = [token.text.strip() in text for token, text in zip(encoded.answer_tokens, found, strict=True)]
    assert np.mean(on_the_word) >= 0.8
