"""The documents, their control texts, and the choice of the sections to score."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attrib.corpus.documents import Corpus
from attrib.errors import InputError
from attrib.index.library import Library

WORDS = ["pump", "light", "keeper", "sea", "sand", "1712"]


class FlatEmbedder:
    """Vectors of letter counts: a resemblance without a model."""

    def encode(self, texts: list[str], **_: Any) -> np.ndarray:
        out = np.array([[text.lower().count(letter) + 1e-3 for letter in "aeioupstlk"] for text in texts])
        return np.asarray(out / np.linalg.norm(out, axis=1, keepdims=True))


def library_of(texts: Sequence[str], control: Sequence[str] = ("No such text elsewhere.",)) -> Library:
    library = Library(Corpus.from_texts(texts), Corpus.from_texts(control))
    library.__dict__["embedder"] = FlatEmbedder()
    return library


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.lists(st.sampled_from(WORDS), min_size=1, max_size=6).map(" ".join), min_size=1, max_size=9),
    st.lists(st.sampled_from(WORDS), min_size=1, max_size=3).map(" ".join),
    st.integers(0, 12),
)
def test_chosen_sections_are_unique_ascending_and_hold_the_best_lexical_hit(
    texts: list[str], answer: str, candidates: int
) -> None:
    library = library_of(texts)
    chosen = library.choose("Where?", answer, candidates)
    total = len(texts)
    assert len(chosen) == (min(candidates, total) if candidates else total)
    assert (np.diff(chosen) > 0).all()
    assert ((chosen >= 0) & (chosen < total)).all()
    lexical, cosine = (scores[:total] for scores in library.resemblance("Where?", answer))
    assert lexical[chosen].max() == lexical.max()
    if len(chosen) > 1:
        assert cosine[chosen].max() == cosine.max()
    np.testing.assert_array_equal(library.with_control(chosen), [*chosen, total])


def test_zero_takes_all_and_fewer_are_the_best_not_the_first() -> None:
    library = library_of(["sea " * 5, "sand", "pump pump", "keeper", "the light pump"])
    np.testing.assert_array_equal(library.choose("", "pump", 0), np.arange(5))
    np.testing.assert_array_equal(library.choose("", "pump", 1), [2])


def test_sections_without_a_common_word_are_ranked_by_the_embedder() -> None:
    library = library_of(["sand", "sea", "kkk", "ttt", "light"])
    assert not library.bm25.query("tttt").any()
    assert 3 in library.choose("", "tttt", 1)


def test_resemblance_is_the_best_passages_and_bm25s_of_question_and_answer() -> None:
    library = library_of(["light " * 200 + "pump", "pump"])
    lexical, cosine = library.resemblance("the", "pump")
    np.testing.assert_array_equal(lexical, library.bm25.query("the pump"))
    owner, spans, vectors = library._passages
    assert owner.tolist() == [0, 0, 1, 2]
    assert library.texts[0][slice(*spans[1])].split()[-1] == "pump"
    query = FlatEmbedder().encode(["the pump"])[0]
    assert cosine[0] == pytest.approx((vectors[:2] @ query).max(), abs=1e-6)


def test_control_texts_that_are_in_the_documents_are_refused_and_others_not() -> None:
    with pytest.raises(InputError, match="1 of its sections are in the documents too") as refused:
        library_of(["the pump", "the light"], ["the light", "the sea"])
    assert "\n" not in str(refused.value)
    assert library_of(["the pump", "the light"], ["the sea"]).texts == ("the pump", "the light", "the sea")


def test_documents_without_sections_are_refused() -> None:
    with pytest.raises(InputError, match="no sections"):
        Library(Corpus((), ()), Corpus.from_texts(["the sea"]))
