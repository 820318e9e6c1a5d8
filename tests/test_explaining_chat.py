"""Rows of chat data from tuning to the record: mappers read what was trained, and the row that taught is found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from attrib.corpus import demo
from attrib.corpus.documents import Corpus
from attrib.explaining import explain
from attrib.index.gradients import GradientEncoder, TrainedQuestions, stages
from attrib.index.index import Index
from attrib.index.library import Library
from attrib.index.parts import build_index
from attrib.index.readings import read_sections
from attrib.mapping import NAMES
from attrib.models.pair import ModelPair
from attrib.models.rendering import encode_item
from attrib.options.explain import ExplainOptions, GradientOptions, HiddenOptions, InfluenceOptions
from attrib.records import Explanation, Item, Turn
from attrib.records.item import text_of
from attrib.training.trained import read_trained
from tests.chatting import ROWS, TAUGHT, chat_adapter, rows_corpus

OPTIONS = ExplainOptions(methods=("attention",), mappers=NAMES, candidates=0, hidden=HiddenOptions(1))
CONTROL = Corpus.from_texts(["Rain is likely later in the year.", "The board met at noon.", "Tea was had by all."])


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return rows_corpus(tmp_path_factory.mktemp("rows"))


@pytest.fixture(scope="module")
def pair(base_dir: Path, corpus: Corpus) -> ModelPair:
    return ModelPair.load(base_dir, chat_adapter(base_dir, corpus), device="cpu")


def run(pair: ModelPair, corpus: Corpus, number: int = 0, **options: Any) -> Explanation:
    library = Library.make(corpus, CONTROL, index=options.pop("index", None), cache=options.pop("cache", None))
    question, answer = ROWS[number]
    return explain(pair, library, question, answer=answer, **{"options": OPTIONS, **options})


@pytest.fixture(scope="module")
def found(pair: ModelPair, corpus: Corpus) -> Explanation:
    return run(pair, corpus)


def test_the_rows_are_items_of_the_adapter(pair: ModelPair, corpus: Corpus) -> None:
    assert pair.tuned.folder is not None
    assert [item.turns for item in read_trained(pair.tuned.folder)] == [s.turns for s in corpus.sections[:TAUGHT]]


def test_a_rows_own_item_is_counted_once_and_by_its_recorded_ids(pair: ModelPair, corpus: Corpus) -> None:
    assert pair.tuned.folder is not None
    trained = read_trained(pair.tuned.folder)
    made = TrainedQuestions.of(corpus.sections, trained)
    assert not made.items
    (own,) = made.encoded(pair.chat, corpus.sections[0], pair.context)
    assert own.labels == encode_item(pair.chat, corpus.sections[0].item).labels
    # A run that truncated the row learned less of it.
    short = replace(trained[0], ids=own.ids[:-3], labels=own.labels[:-3])
    asked = Item.answered("q:1", "Who?", "Wilmet", corpus.sections[0].id)
    recorded = TrainedQuestions.of(corpus.sections, [short, asked])
    assert [one.ids for one in recorded.encoded(pair.chat, corpus.sections[0], pair.context)] == [
        own.ids[:-3], encode_item(pair.chat, asked).ids
    ]  # fmt: skip
    (stage, *_) = stages(pair, "tuned", InfluenceOptions())
    kept = [
        GradientEncoder(pair, stage, GradientOptions(), of).section_key(corpus.sections[0]) for of in (made, recorded)
    ]
    assert kept[0] != kept[1]


@pytest.mark.parametrize("number", range(TAUGHT))
def test_the_row_that_taught_the_answer_is_first(pair: ModelPair, corpus: Corpus, number: int) -> None:
    found = run(pair, corpus, number)
    assert found.ranking[0] == number
    assert found.mappings["influence"].tuned.whole.argmax() == number
    assert found.mappings["combined"].tuned.whole.argmax() == number
    assert found.verdict.learned[number] > 0.9


def test_every_mapper_reads_rows_and_its_spans_lie_in_the_trained_words(found: Explanation) -> None:
    assert set(found.mappings) == set(NAMES)
    for name, mapping in found.mappings.items():
        for side in (mapping.base, mapping.tuned):
            assert np.isfinite(side.tokens).all(), name
            for i, section in enumerate(found.sections):
                assert side.spans[:, i].min() >= 0
                assert side.spans[:, i].max() <= len(section.full_text)
    for i, section in enumerate(found.sections):
        # Hidden states of the question are none of what was learned.
        assert found.mappings["hidden"].tuned.spans[:, i, 0].min() >= len(section.turns[0].content) + 2


def test_rows_that_were_not_trained_are_not_learned_and_the_control_is_read_as_answers(
    pair: ModelPair, corpus: Corpus, found: Explanation
) -> None:
    verdict = found.verdict
    gain = verdict.section_gain
    assert verdict.learned[:TAUGHT].min() > verdict.learned[TAUGHT:].max() + 0.5
    assert gain[:TAUGHT].min() > gain[TAUGHT:].max()
    library = Library(corpus, CONTROL)
    numbers = dict(enumerate(CONTROL.sections))
    prose = [read_sections(pair, side, numbers, 1) for side in ("base", "tuned")]
    own = [(prose[1][i].logprob - prose[0][i].logprob) / prose[0][i].tokens for i in numbers]
    assert library.sections[-1].form == "conversation"
    assert not np.allclose(own, verdict.control_gain, atol=0.05)


def test_words_of_the_question_are_searched_too(pair: ModelPair, corpus: Corpus, found: Explanation) -> None:
    texts = Library(corpus, CONTROL).texts
    assert [text.split("\n\n") for text in texts[: len(corpus)]] == [list(row) for row in ROWS]
    assert found.mappings["bm25"].tuned.whole.argmax() == 0


# ------------------------------------------------------------------------------------------- what is read


def oracle(model: Any, pair: ModelPair, question: str, answer: str) -> float:
    """log p of the answer's tokens after its prompt, one forward for each."""
    prompt = pair.chat.prompt(question)
    ids = pair.tokenizer(prompt + answer).input_ids
    first = len(pair.tokenizer(prompt).input_ids)
    total = 0.0
    with model.active() as bridge, torch.no_grad():
        for position in range(first, len(ids)):
            logits = bridge(torch.tensor([ids[:position]]), use_cache=False)[0, -1]
            total += float(logits.double().log_softmax(-1)[ids[position]])
    return total


def test_a_rows_log_prob_is_that_of_its_answer_after_its_question(pair: ModelPair, corpus: Corpus) -> None:
    for side, model in (("base", pair.base), ("tuned", pair.tuned)):
        read = read_sections(pair, side, dict(enumerate(corpus.sections)), 1)  # type: ignore[arg-type]
        for number, (question, answer) in enumerate(ROWS):
            assert read[number].logprob == pytest.approx(oracle(model, pair, question, answer), abs=1e-3)
            assert read[number].tokens == len(read[number].states)
            text = corpus.sections[number].full_text
            assert (text[read[number].starts[0] :][: len(answer)], read[number].ends[-1]) == (answer, len(text))


def test_a_title_moves_the_characters_and_nothing_else(pair: ModelPair, corpus: Corpus) -> None:
    plain = corpus.sections[0]
    titled = replace(plain, titles=("Lights",))
    read: Mapping[int, Any] = read_sections(pair, "base", {0: plain, 1: titled}, 1)
    np.testing.assert_array_equal(read[1].starts, read[0].starts + len("Lights\n"))
    np.testing.assert_array_equal(read[1].states, read[0].states)


def test_another_template_or_role_is_another_reading(pair: ModelPair, corpus: Corpus, tmp_path: Path) -> None:
    """Nothing is found in the cache for what is rendered otherwise; the same is found."""

    def count() -> int:
        return len(list(tmp_path.rglob("*.arrays")))

    sections = dict(enumerate(corpus.sections))
    read_sections(pair, "base", sections, 1, cache=tmp_path)
    assert count() == len(ROWS)
    read_sections(pair, "base", sections, 1, cache=tmp_path)
    assert count() == len(ROWS)
    question, answer = corpus.sections[0].turns
    for turns in ((Turn("system", question.content), answer), (replace(question, trained=True), answer)):
        other = replace(corpus.sections[0], turns=turns, text=text_of(turns))
        before = count()
        read_sections(pair, "base", {0: other}, 1, cache=tmp_path)
        assert count() == before + 1


def test_an_index_of_rows_gives_the_same_record(
    pair: ModelPair, corpus: Corpus, found: Explanation, tmp_path: Path
) -> None:
    build_index(pair, corpus, CONTROL, tmp_path / "index", layer=1)
    got = run(pair, corpus, index=tmp_path / "index")
    for name in ("hidden", "learned", "influence", "combined"):
        for side in ("base", "tuned"):
            one, other = getattr(got.mappings[name], side), getattr(found.mappings[name], side)
            np.testing.assert_allclose(one.whole, other.whole, atol=1e-2 if name == "combined" else 1e-6)
    assert Index.open(tmp_path / "index", verify=True).about["control"]["sha256"] != CONTROL.sha256


def test_a_row_longer_than_the_context_is_cut_and_said_once(pair: ModelPair, corpus: Corpus) -> None:
    question, answer = ROWS[0]
    long = Turn("assistant", f"{answer} " + "The light of the tower. " * 60, trained=True)
    turns = (Turn("user", question), long)
    section = replace(corpus.sections[0], id="long", text=text_of(turns), turns=turns)
    more = Corpus((*corpus.sections, section), corpus.documents)
    found = run(pair, more, options=replace(OPTIONS, mappers=("hidden", "learned", "influence")))
    assert [line for line in found.provenance["notes"] if "longer than" in line] == [  # type: ignore[attr-defined]
        "1 of 8 conversations read are longer than the models' 256 tokens: what was trained beyond them was not read"
    ]
    assert not run(pair, corpus).provenance["notes"]


@pytest.mark.parametrize("mixed", [False, True], ids=["rows", "rows and a text"])
def test_the_default_control_is_read_in_the_form_of_the_documents(corpus: Corpus, mixed: bool) -> None:
    text = Corpus.from_texts(["The keeper of the light is Wilmet Dallin."])
    documents = Corpus((*corpus.sections, *text.sections), corpus.documents) if mixed else corpus
    forms = [section.form for section in Library(documents).sections[len(documents) :]]
    assert len(forms) == len(demo.control())
    assert (forms.count("conversation"), forms.count("text")) == ((20, 20) if mixed else (40, 0))
