"""``learned``: a closed form on made-up readings, and a tiny model that was taught two of three texts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from attrib.corpus.documents import Corpus
from attrib.index.library import Library
from attrib.index.parts import SIDES
from attrib.index.readings import read_sections
from attrib.mapping.answer import Answer
from attrib.mapping.learned import learned
from attrib.mapping.reading import Reading
from attrib.models.pair import ModelPair
from attrib.passes.capture import TextCapture
from tests.make import make_tokens
from tests.taught import CONTROL, CORPUS, taught_adapter

ANSWER = Answer("Who?", "The keeper.", make_tokens(["The", " keep", "er", "."]))


def reading_of(logprobs: list[float], tokens: list[int], control: int) -> Reading:
    """Texts of which only log p and length are known, the last ``control`` of them the control."""
    n = len(logprobs) - control
    library = Library(
        Corpus.from_texts([f"text {i}" for i in range(n)]),
        Corpus.from_texts([f"control {i}" for i in range(control)]) if control else Corpus((), ()),
    )
    nothing = np.zeros((1, 1))
    captures = {
        i: TextCapture(logprob, count, nothing[0], nothing[0], nothing, nothing[0], nothing[0])
        for i, (logprob, count) in enumerate(zip(logprobs, tokens, strict=True))
    }
    return Reading(library, library.with_control(np.arange(n)), captures)


def test_it_is_log_p_a_token_less_the_controls_pooled_over_their_tokens() -> None:
    got = learned(ANSWER, reading_of([-10.0, -40.0, -30.0, -90.0], [10, 20, 10, 20], 2))
    # Pooled: −120 of 30 tokens, not the mean of −3 and −4.5.
    np.testing.assert_allclose(got.whole, [-1 + 4, -2 + 4, -3 + 4, -4.5 + 4])
    np.testing.assert_allclose(got.tokens, np.tile(got.whole / 4, (4, 1)))
    np.testing.assert_allclose(got.tokens.sum(0), got.whole)
    np.testing.assert_array_equal(got.spans[2], [[0, 6], [0, 6], [0, 9], [0, 9]])


def test_without_control_it_is_log_p_itself_and_a_text_of_one_token_has_none() -> None:
    got = learned(ANSWER, reading_of([-10.0, 0.0], [10, 0], 0))
    np.testing.assert_allclose(got.whole, [-1, 0])


def test_other_sections_change_nothing() -> None:
    reading = reading_of([-10.0, -40.0, -33.0, -30.0, -90.0], [10, 20, 30, 10, 20], 2)
    fewer = Reading(reading.library, reading.library.with_control(np.array([2, 0])), reading.captures)
    np.testing.assert_array_equal(learned(ANSWER, fewer).whole[:2], learned(ANSWER, reading).whole[[2, 0]])


@pytest.fixture(scope="module")
def gains(base_dir: Path) -> np.ndarray:
    """tuned − base of two trained texts, a decoy and the control."""
    pair = ModelPair.load(base_dir, taught_adapter(base_dir), device="cpu")
    library = Library(CORPUS, CONTROL)
    numbers, found = library.with_control(np.arange(3)), []
    for side in SIDES:
        read: Any = read_sections(pair, side, dict(enumerate(library.sections)), 1)
        found.append(learned(ANSWER, Reading(library, numbers, read)).whole)
    return found[1] - found[0]


def test_what_was_taught_gains_more_than_anything_that_was_not(gains: np.ndarray) -> None:
    assert gains[:2].min() > gains[2:].max() + 0.5
