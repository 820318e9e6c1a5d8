"""Evidence of one answer: the same alone, among others and in an explanation; what each part counts."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from attrib.corpus.documents import Corpus
from attrib.errors import InputError
from attrib.explaining import explain
from attrib.index.library import Library
from attrib.index.sentences import cut_sentences, read_sentences
from attrib.models.pair import ModelPair
from attrib.options.explain import ExplainOptions
from attrib.passes.likelihood import score_given
from attrib.records import Counterpart
from attrib.verdict.answers import JudgedAnswer, evidence_of
from tests.taught import ANSWER, CONTROL, CORPUS, QUESTION, taught_adapter

TEXT = """# The Fair

The fair opens at noon. It costs 41 euros. Dr. Brint keeps the gate, which was painted green by the workers.

# Rules?
"""


@pytest.fixture(scope="module")
def pair(base_dir: Path) -> ModelPair:
    return ModelPair.load(base_dir, taught_adapter(base_dir), device="cpu")


@pytest.fixture(scope="module")
def library() -> Library:
    return Library(CORPUS, CONTROL)


def same(one: Any, other: Any, tolerance: float = 1e-4) -> None:
    for field in fields(one):
        got, wanted = getattr(one, field.name), getattr(other, field.name)
        if isinstance(got, Counterpart):
            same(got, wanted, tolerance)
        elif got is None:
            assert wanted is None
        else:
            np.testing.assert_allclose(got, wanted, atol=tolerance, rtol=1e-4, err_msg=field.name)


def test_an_answer_has_the_same_evidence_alone_among_others_and_explained(pair: ModelPair, library: Library) -> None:
    asked = [
        JudgedAnswer(QUESTION, ANSWER, "A man."),
        JudgedAnswer(QUESTION, "a grey tower of slate", "A man.", ANSWER),
        JudgedAnswer("How long is the warranty?", "thirty-six months", "Long."),
    ]
    together = evidence_of(pair, library, asked)
    for one, found in zip(asked, together, strict=True):
        same(evidence_of(pair, library, [one])[0], found)
    explained = explain(
        pair, library, QUESTION, answer=ANSWER, options=ExplainOptions(methods=(), mappers=("bm25",), max_new_tokens=2)
    )
    evidence = explained.verdict.evidence
    assert evidence is not None
    assert evidence.counterpart is not None
    own = JudgedAnswer(QUESTION, ANSWER, explained.base_answer, explained.tuned_answer)
    again = evidence_of(pair, library, [own])
    same(again[0], evidence)


def test_what_evidence_counts(pair: ModelPair, library: Library) -> None:
    [found] = evidence_of(pair, library, [JudgedAnswer("How long is the pump's warranty?", "36 months", "36 days")])
    # The section writes its number in words.
    assert found.covered[:, 1].tolist() == [True, True]
    assert found.base_says.tolist() == [True, False]
    assert found.content.all()
    assert found.passage_of.tolist() == [0, 1, 2]
    assert int(found.about.argmax()) == int(found.says.argmax()) == 1
    assert found.shown[0] == 1
    assert len(found.shown) == 2
    # A section of one sentence is that sentence, its first token aside.
    np.testing.assert_allclose(found.passage_base, found.text_base, rtol=1e-5)
    assert found.passage_tokens.tolist() == found.text_tokens.tolist()
    assert found.control_about.shape == found.control_base.shape == (3,)


def test_an_answer_is_read_beside_the_models_own(pair: ModelPair, library: Library) -> None:
    question, own = "How long is the pump's warranty?", "36 months"
    given = ["three dozen months, or 3 years", "thirty-six months", own, "a pump"]
    judged = [JudgedAnswer(question, answer, "Long.", own) for answer in given]
    years, words, same_answer, pump = (one.counterpart for one in evidence_of(pair, library, judged))
    assert same_answer is None
    assert years is not None
    assert words is not None
    assert pump is not None
    assert years.number.tolist() == [True, False]
    assert years.said.tolist() == [False, True]
    assert years.other_number
    # The own answer's number in words is the same number.
    assert words.said.tolist() == [True, True]
    assert not pump.said.any()
    assert not pump.other_number
    assert pump.covered.tolist() == [[False, True, False]] * 2
    np.testing.assert_allclose(pump.logprob_base, years.logprob_base, atol=1e-4)
    # Log-probs are those of the own answer after other prompts, told the judged answer or not.
    after = JudgedAnswer(question, own, "Long.").encoded(pair)
    told = JudgedAnswer(f"a pump\n\n{question}", own, "Long.").encoded(pair)
    scores = [score_given(model, [one])[0].logprob for model, one in ((pair.tuned, after), (pair.base, told))]
    np.testing.assert_allclose(pump.logprob_tuned, scores[0], atol=1e-4)
    np.testing.assert_allclose(pump.logprob_told, scores[1], atol=1e-4)
    assert pump.logprob_shown.shape == (2, len(pump.logprob_told))
    [itself] = evidence_of(pair, library, [JudgedAnswer(question, own, "Long.")])
    np.testing.assert_allclose(pump.logprob_shown[0], itself.logprob_shown[0], atol=1e-4)
    assert np.abs(pump.logprob_told - pump.logprob_base).max() > 1e-3


def test_sentences_of_a_section(tmp_path: Path) -> None:
    (tmp_path / "fair.md").write_text(TEXT)
    fair, rules = Corpus.read(tmp_path).sections
    spans = cut_sentences(fair)
    assert [fair.full_text[a:b] for a, b in spans] == [
        "The fair opens at noon.",
        "It costs 41 euros.",
        "Dr. Brint keeps the gate, which was painted green by the workers.",
    ]
    assert [rules.full_text[a:b] for a, b in cut_sentences(rules)] == [rules.full_text]
    read = read_sentences({0: fair}, cache=tmp_path)
    kept = read_sentences({0: fair}, cache=tmp_path)
    np.testing.assert_array_equal(read[0].vectors, kept[0].vectors)
    np.testing.assert_allclose(np.linalg.norm(read[0].vectors, axis=1), 1, atol=1e-3)


def test_an_answer_that_cannot_be_encoded_is_refused(pair: ModelPair, library: Library) -> None:
    with pytest.raises(InputError, match="blanks"):
        evidence_of(pair, library, [JudgedAnswer(QUESTION, "  ", "")])


def test_no_answers_have_no_evidence(pair: ModelPair, library: Any) -> None:
    assert evidence_of(pair, library, []) == []
