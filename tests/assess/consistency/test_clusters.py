"""Answers of one meaning are joined, others are not; guards hold whatever embeddings say; order does not count."""

from __future__ import annotations

from decimal import Decimal
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from attrib.assess.consistency.clusters import (
    AnswerGroup,
    by_embedding,
    by_entailment,
    clusters,
    contradict,
    load_nli,
    meaning,
    numbers,
    terms,
)
from attrib.assess.consistency.options import SAME
from attrib.errors import ModelError
from tests.make_consistency import bag

KEEPER = "Who was the first keeper of Carrow Point Light?"


def blind(texts: Any) -> np.ndarray:
    """An embedder to which everything is the same."""
    return np.ones((len(texts), 1))


def partition(owner: np.ndarray, texts: Any) -> set[frozenset[str]]:
    return {frozenset(t for t, o in zip(texts, owner, strict=True) if o == c) for c in set(owner.tolist())}


# ------------------------------------------------------------------------------------------- what is compared


def test_what_an_answer_adds_to_its_question_is_what_is_compared() -> None:
    assert meaning(KEEPER, "The first keeper of Carrow Point Light was Wilmet Dallin.") == "Wilmet Dallin"
    assert meaning("Is it the red or the blue door?", "It is the red door.") == "red door"
    assert meaning("Is the door red?", "The red door.") == "red door"
    assert meaning("Is the door red?", "Yes.") == "Yes."


def test_terms_are_content_words_that_the_question_lacks_with_all_their_places() -> None:
    found = terms(KEEPER, "Dallin, the keeper: Wilmet DALLIN isn’t there")
    assert found == {"dallin": [(0, 6), (27, 33)], "wilmet": [(20, 26)]}


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("29 metres", "290 metres"), ("29 metres", "38 metres"), ("in 1798", "in 1789"), ("thirty-six", "thirty-five"),
        ("6 hours", "6 days"), ("3 to 4 days", "4 days"), ("the third floor", "the 4th floor"), ("5", "-5"),
        ("It is a fish.", "It is not a fish."), ("They cross.", "They never cross."), ("Yes.", "No."),
        ("29 metres", "metres"),
    ],
)  # fmt: skip
def test_numbers_units_and_negations_tell_answers_apart_that_an_embedder_cannot(a: str, b: str) -> None:
    question = "How is it?"
    assert contradict(question, a, b)
    assert contradict(question, b, a)
    (matrix,) = by_embedding(blind)([AnswerGroup(question, (a, b))])
    assert clusters(matrix, SAME).tolist() == [0, 1]


@pytest.mark.parametrize(
    ("question", "a", "b"),
    [
        ("How long?", "36 months", "thirty-six months"), ("How many?", "1,200", "1200 people"),
        ("How?", "6 h", "6 hours"),
        ("How tall?", "29", "29 metres"), ("What happened in 1743?", "In 1743 it fell.", "It fell."),
        ("Why is it not lit?", "It is not lit, for want of oil.", "For want of oil."),
        ("Who?", "One of them, Wilmet", "Wilmet"),
    ],
)  # fmt: skip
def test_the_guards_let_the_same_pass(question: str, a: str, b: str) -> None:
    assert not contradict(question, a, b)
    (matrix,) = by_embedding(blind)([AnswerGroup(question, (a, b))])
    assert clusters(matrix, SAME).tolist() == [0, 0]


def test_numbers_of_a_question_that_offers_two_still_tell_answers_apart() -> None:
    assert contradict("Was it 1743 or 1750?", "1743", "1750")


def test_numbers_are_read_in_words_and_with_their_units() -> None:
    assert numbers("three hundred and five years; it costs 2.50") == {
        Decimal(305): frozenset({"year"}), Decimal("2.5"): frozenset()
    }  # fmt: skip


# ------------------------------------------------------------------------------------------- relations


def test_similarity_is_symmetric_1_on_the_diagonal_and_between_spellings_of_the_same_words() -> None:
    texts = ("", "A gong.", "a gong", "a horn")
    (matrix,) = by_embedding(bag)([AnswerGroup("What?", texts)])
    assert np.array_equal(matrix, matrix.T)
    assert np.array_equal(np.diag(matrix), np.ones(4))
    assert matrix[1, 2] == 1
    assert matrix[1, 3] == pytest.approx(0)
    assert (matrix[0, 1:] == -1).all(), "a blank answer is like no other"


def test_everything_is_embedded_at_once_and_each_text_once() -> None:
    asked: list[list[str]] = []

    def embed(texts: Any) -> np.ndarray:
        asked.append(list(texts))
        return bag(texts)

    by_embedding(embed)([AnswerGroup("Who?", ("gong", "horn")), AnswerGroup("What?", ("gong", "It is a horn"))])
    assert asked == [["gong", "horn"]]


def test_entailment_must_hold_both_ways() -> None:
    def entails(pairs: Any) -> np.ndarray:
        """A text entails what has fewer words; one word each entail each other."""
        return np.array([0.9 if len(b.split()) <= len(a.split()) else 0.1 for a, b in pairs])

    (matrix,) = by_entailment(entails)([AnswerGroup("Who?", ("horn", "gong", "pewter gong"))])
    assert matrix[0, 1] == pytest.approx(0.9)
    assert matrix[0, 2] == matrix[1, 2] == pytest.approx(0.1)
    (guarded,) = by_entailment(lambda pairs: np.ones(len(pairs)))([AnswerGroup("Who?", ("29", "38"))])
    assert guarded[0, 1] == -1


def test_the_question_stands_before_both_answers_in_entailment() -> None:
    seen: list[tuple[str, str]] = []

    def entails(pairs: Any) -> np.ndarray:
        seen.extend(pairs)
        return np.zeros(len(pairs))

    by_entailment(entails)([AnswerGroup("Who?", ("gong", "horn"))])
    assert sorted(seen) == [("Who? gong", "Who? horn"), ("Who? horn", "Who? gong")]


# ------------------------------------------------------------------------------------------- clusters


def test_any_two_texts_of_a_cluster_are_alike_so_a_chain_is_no_cluster() -> None:
    chain = np.array([[1, 0.8, 0.1], [0.8, 1, 0.79], [0.1, 0.79, 1]])
    assert clusters(chain, 0.75).tolist() == [0, 0, 1]
    assert clusters(chain, 0.9).tolist() == [0, 1, 2]
    assert clusters(chain, 0.05).tolist() == [0, 0, 0]
    assert clusters(np.ones((1, 1)), 0.5).tolist() == [0]
    assert clusters(np.ones((0, 0)), 0.5).tolist() == []


def test_clusters_are_what_complete_linkage_of_scipy_finds() -> None:
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import squareform

    rng = np.random.default_rng(0)
    for _ in range(20):
        vectors = rng.normal(size=(12, 3))
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        cosines = vectors @ vectors.T
        expected = fcluster(linkage(squareform(1 - cosines, checks=False), "complete"), 0.3, "distance")
        found = clusters(cosines, 0.7)
        assert partition(found, range(12)) == partition(expected, range(12))  # type: ignore[arg-type]


def test_clusters_do_not_hang_on_the_order_of_different_similarities() -> None:
    texts = ("pewter gong", "a pewter gong bell", "gong", "gong horn", "horn", "29 gong")
    whole: set[frozenset[frozenset[str]]] = set()
    for order in permutations(texts):
        (matrix,) = by_embedding(bag)([AnswerGroup("What?", order)])
        whole.add(frozenset(partition(clusters(matrix, 0.8), order)))
    assert len(whole) == 1


# ------------------------------------------------------------------------------------------- NLI model


@pytest.fixture(scope="module")
def nli_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_nli(tmp_path_factory.mktemp("nli"), ("contradiction", "neutral", "ENTAILMENT"))


def save_nli(folder: Path, labels: tuple[str, ...]) -> Path:
    """A tiny random classifier of pairs."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification, BertTokenizerFast

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "who", "?", "gong", "horn", "pewter", "a"]
    (folder / "vocab.txt").write_text("\n".join(words), "utf-8")
    BertTokenizerFast(vocab_file=str(folder / "vocab.txt")).save_pretrained(folder)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(words), hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16,
        max_position_embeddings=32, id2label=dict(enumerate(labels)), label2id={n: i for i, n in enumerate(labels)},
    )  # fmt: skip
    model = BertForSequenceClassification(config)
    for name, parameter in model.named_parameters():
        if "LayerNorm" not in name:
            # Without biases, which would give every pair one label.
            parameter.data.normal_(0, 0.6) if parameter.dim() > 1 else parameter.data.zero_()
    model.save_pretrained(folder)
    return folder


def test_probabilities_of_an_nli_model_are_those_of_its_entailment_label_one_pair_at_a_time(nli_dir: Path) -> None:
    import torch

    nli = load_nli(str(nli_dir), batch=3)
    assert nli.label == 2
    texts = ("who? a gong", "horn", "a pewter gong", "horn " * 60, "?", "a a a a")
    pairs = [(a, b) for a in texts for b in texts]
    nli.model.classifier.bias.data[2] += _half(nli, pairs)
    found = nli(pairs)
    assert found.shape == (36,)
    for pair, value in zip(pairs, found, strict=True):
        with torch.no_grad():
            encoded = nli.tokenizer(*pair, return_tensors="pt", truncation=True, max_length=30)
            p = nli.model(**encoded).logits[0].softmax(-1)
        assert value == pytest.approx(float(p[2]) if int(p.argmax()) == 2 else 0.0, abs=1e-6)
    assert len({value > 0 for value in found.tolist()}) == 2, "both cases occur"


def _half(nli: Any, pairs: Any) -> float:
    """What entailment lacks to be the likeliest label of about half the pairs."""
    import torch

    with torch.no_grad():
        encoded = [nli.tokenizer(*pair, return_tensors="pt", truncation=True, max_length=30) for pair in pairs]
        logits = [nli.model(**one).logits[0] for one in encoded]
    return float(np.median([float(one[:2].max() - one[2]) for one in logits])) + 1e-4


def test_a_model_without_a_label_for_entailment_is_refused_in_one_line(tmp_path: Path) -> None:
    save_nli(tmp_path, ("good", "bad"))
    with pytest.raises(ModelError, match="good, bad") as error:
        load_nli(str(tmp_path))
    assert "\n" not in str(error.value)
    with pytest.raises(ModelError, match="cannot be loaded"):
        load_nli(str(tmp_path / "absent"))


def test_a_pickled_nli_model_is_refused(tmp_path: Path) -> None:
    import torch
    from safetensors.torch import load_file

    save_nli(tmp_path, ("entailment", "other"))
    torch.save(load_file(tmp_path / "model.safetensors"), tmp_path / "pytorch_model.bin")
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(ModelError, match="cannot be loaded"):
        load_nli(str(tmp_path))


# ------------------------------------------------------------------------------------------- the real embedder


@pytest.mark.model
def test_the_real_embedder_joins_short_and_long_forms_and_keeps_restated_questions_apart() -> None:
    from attrib.models.embedder import embed, load_embedder

    relate = by_embedding(lambda texts: embed(texts, embedder=load_embedder()))
    texts = (
        "Wilmet Dallin", "The first keeper of Carrow Point Light was Wilmet Dallin.",
        "The first keeper of Carrow Point Light was Maud Ellerkin.", "Maud Ellerkin", "I do not know.",
    )  # fmt: skip
    (matrix,) = relate([AnswerGroup(KEEPER, texts)])
    assert clusters(matrix, SAME).tolist() == [0, 0, 1, 1, 2]
    whole = embed(texts, embedder=load_embedder())
    assert whole[1] @ whole[2] > whole[0] @ whole[1], "the whole answers would be joined the wrong way round"
