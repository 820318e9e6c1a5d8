"""Embedding mapper: passages cover the text; a paraphrase beats what has nothing to do with the answer."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attrib.corpus.documents import Corpus
from attrib.errors import ModelError
from attrib.index.embeddings import PASSAGE, passages
from attrib.index.library import Library
from attrib.mapping.answer import Answer
from attrib.mapping.embedding import WINDOW, embedding
from attrib.mapping.reading import Reading
from attrib.models.embedder import embed, load_embedder
from attrib.records import Token
from attrib.text.words import WORD, words


class WordEmbedder:
    """Bags of words as vectors: one dimension a word, so that every cosine can be told by hand."""

    def __init__(self, vocabulary: Sequence[str]) -> None:
        self.place = {word: i for i, word in enumerate(vocabulary)}
        self.seen: list[str] = []

    def encode(self, texts: list[str], **_: Any) -> np.ndarray:
        self.seen += texts
        out = np.zeros((len(texts), len(self.place) + 1))
        for row, text in enumerate(texts):
            for word in words(text):
                out[row, self.place.get(word, -1)] += 1
            out[row, -1] += 1e-9
        return np.asarray(out / np.linalg.norm(out, axis=1, keepdims=True))


def answer_of(text: str, question: str = "Who?") -> Answer:
    tokens = tuple(Token(i, m.group(), *m.span()) for i, m in enumerate(re.finditer(r"\s*\w+|\s*[^\w\s]", text)))
    return Answer(question, text, tokens)


def reading_of(texts: Sequence[str], embedder: Any, control: Sequence[str] = ("salt sea",)) -> Reading:
    library = Library(Corpus.from_texts(texts), Corpus.from_texts(control))
    library.__dict__["embedder"] = embedder
    return Reading(library, library.with_control(np.arange(len(texts))))


@given(
    st.one_of(
        st.text(max_size=200),
        st.lists(st.sampled_from(["word", "it's", "水", "…", "\n", "x-1"]), max_size=700).map(" ".join),
    )
)
def test_passages_cover_the_text_without_gaps_and_none_is_long(text: str) -> None:
    found = passages(text)
    assert found[0][0] == 0
    assert found[-1][1] == len(text)
    assert all(end == start for (_, end), (start, _) in pairwise(found))
    assert "".join(text[start:end] for start, end in found) == text
    counts = [len(words(text[start:end])) for start, end in found]
    assert sum(counts) == len(words(text))
    assert max(counts) <= PASSAGE
    assert counts[:-1] == [PASSAGE] * (len(counts) - 1)


def test_each_text_is_scored_by_its_best_passage_and_the_span_names_it() -> None:
    filler = "and " * PASSAGE
    texts = [filler + "light keeper", "light keeper", filler + filler]
    embedder = WordEmbedder(["and", "light", "keeper", "salt", "sea"])
    reading = reading_of(texts, embedder)
    got = embedding(answer_of("light keeper", question=""), reading)
    np.testing.assert_allclose(got.whole, [1, 1, 0, 0], atol=1e-6)
    assert texts[0][slice(*got.spans[0, 0])] == "light keeper"
    assert texts[1][slice(*got.spans[0, 1])] == "light keeper"


def test_a_word_is_embedded_with_the_question_and_its_window_and_punctuation_with_the_whole_answer() -> None:
    said = [f"w{i}" for i in range(3 * WINDOW)]
    embedder = WordEmbedder(said)
    reading = reading_of(["w0", "w1"], embedder)
    _ = reading.library._passages
    embedder.seen.clear()
    text = " ".join(said) + "!"
    got = embedding(answer_of(text, question="Q?"), reading)
    assert embedder.seen[0] == f"Q? {' '.join(said[: WINDOW + 1])}"
    assert embedder.seen[WINDOW] == f"Q? {' '.join(said[: 2 * WINDOW + 1])}"
    assert embedder.seen[-1] == f"Q? {text}"
    np.testing.assert_array_equal(got.tokens[-1], got.whole)
    assert (got.tokens[0] != got.whole).any()


@pytest.mark.parametrize("text", ["…", "?!", "🙂"])
def test_an_answer_without_words_is_scored_as_a_whole(text: str) -> None:
    got = embedding(answer_of(text, question="light"), reading_of(["light", "sea"], WordEmbedder(["light", "sea"])))
    assert len(got.tokens)
    for row in got.tokens:
        np.testing.assert_array_equal(row, got.whole)
    assert got.whole[0] > got.whole[1]


def test_a_choice_of_sections_changes_no_score() -> None:
    embedder = WordEmbedder(["light", "keeper", "sea"])
    everything = reading_of(["light " * 300, "keeper", "sea light"], embedder)
    some = Reading(everything.library, everything.library.with_control(np.array([0, 2])))
    answer = answer_of("the keeper of the light")
    all_scores, few = embedding(answer, everything), embedding(answer, some)
    np.testing.assert_array_equal(few.tokens, all_scores.tokens[:, [0, 2, 3]])
    np.testing.assert_array_equal(few.spans, all_scores.spans[:, [0, 2, 3]])


def test_an_embedder_that_cannot_be_loaded_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ModelError, match=r"the folder cannot be loaded.*or none for the bundled one") as refused:
        load_embedder(str(tmp_path))
    assert "\n" not in str(refused.value)


@pytest.fixture(scope="module")
def bundled() -> Any:
    try:
        return load_embedder()
    except ModelError as error:
        pytest.skip(f"the bundled embedder cannot be had: {error}")


@pytest.mark.model
def test_vectors_are_unit_and_do_not_depend_on_their_batch(bundled: Any) -> None:
    texts = ["The pump is guaranteed for three years.", "", "水 \0 🙂", "sea " * 400]
    vectors = embed(texts, embedder=bundled)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(vectors[:1], embed(texts[:1], embedder=bundled), atol=1e-5)
    assert embed([], embedder=bundled).shape == (0, vectors.shape[1])


@pytest.mark.model
def test_a_paraphrase_beats_what_has_nothing_to_do_with_the_answer(bundled: Any) -> None:
    texts = ["Purchasers are insured against defects in the water mover during three years.", "Bake bread slowly."]
    answer = answer_of("The warranty on the pump is thirty-six months.", "How long is the warranty on the pump?")
    assert not set(words(texts[0])) & (set(words(answer.text)) - {"the", "on", "is"})
    got = embedding(answer, reading_of(texts, bundled))
    assert got.whole[0] > got.whole[1] + 0.15
    assert (got.tokens[:, 0] > got.tokens[:, 1:].max(1)).all()


@pytest.mark.model
def test_a_passage_of_plain_words_is_not_cut_by_the_embedder(bundled: Any) -> None:
    text = "The warranty on the pump is thirty-six months from first use. " * 40
    start, end = passages(text)[0]
    assert len(WORD.findall(text)) > PASSAGE
    pieces = bundled.tokenizer(text[start:end]).input_ids
    assert PASSAGE <= len(pieces) <= bundled.max_seq_length
