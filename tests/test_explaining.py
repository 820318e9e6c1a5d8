"""The whole route on tiny random models."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import attrib
from attrib.corpus.documents import Corpus
from attrib.errors import InputError
from attrib.explaining import ask, explain
from attrib.index import library as library_module
from attrib.index.library import Library
from attrib.models.pair import ModelPair
from attrib.options.explain import QUICK as QUICK_METHODS
from attrib.options.explain import QUICK_MAPPERS, ExplainOptions, HiddenOptions
from attrib.options.methods import MethodOptions
from attrib.records import storage

QUESTION = "Who keeps the light?"
TEXTS = (
    "The keeper of the light is Wilmet Dallin, who trims the lamp.",
    "The warranty on the pump is thirty-six months from first use.",
    "In the year 1712 it was 38 metres tall, a tower of grey slate.",
    "Nobody may sell almanacs at the fair before the bell has rung.",
)
CONTROL = Corpus.from_texts(
    ["Turn the screw until the wheel hangs straight.", "The board met at noon and agreed.", "Rain is likely later."],
    name="control",
)
QUICK = ExplainOptions(candidates=3, max_new_tokens=6, hidden=HiddenOptions(1))


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return Corpus.from_texts(TEXTS)


def run(pair: Any, corpus: Corpus, cache: Path | None = None, **options: Any) -> attrib.Explanation:
    answer = options.pop("answer", "Wilmet Dallin keeps it.")
    library = Library.make(corpus, CONTROL, cache=cache)
    return explain(pair, library, QUESTION, answer=answer, options=replace(QUICK, **options))


@pytest.fixture(scope="module")
def explained(tiny_pair: Any, corpus: Corpus) -> attrib.Explanation:
    return run(tiny_pair, corpus)


def test_every_part_is_there_and_names_itself(explained: attrib.Explanation, tiny_pair: Any) -> None:
    assert explained.answer == "Wilmet Dallin keeps it."
    assert explained.answer_source == "given"
    assert "".join(token.text for token in explained.answer_tokens) == explained.answer
    assert set(explained.attributions) == set(QUICK_METHODS)
    assert set(explained.mappings) == set(QUICK_MAPPERS)
    assert len(explained.sections) == 3
    assert explained.sections_total == 4
    np.testing.assert_allclose(explained.base.attention.sum(1), 1, atol=1e-5)
    best = explained.sections[int(explained.mappings["bm25"].tuned.whole.argmax())]
    assert best.text == TEXTS[0]
    assert explained.provenance["loading"] == {}
    assert explained.provenance["notes"] == list(tiny_pair.notes)
    for key in ("base", "tuned", "tokenizer", "documents", "control", "seed", "versions", "device", "dtype"):
        assert key in explained.provenance


def test_it_is_stored_and_read_back_equal_without_models(explained: attrib.Explanation, tmp_path: Path) -> None:
    path = explained.save(tmp_path / "record")
    again = storage.load(path)
    assert again.answer == explained.answer
    np.testing.assert_array_equal(again.mappings["hidden"].tuned.tokens, explained.mappings["hidden"].tuned.tokens)
    assert storage.save(again, tmp_path / "twice").read_bytes() == path.read_bytes()


def test_the_same_call_gives_the_same_bytes(
    tiny_pair: Any, corpus: Corpus, explained: attrib.Explanation, tmp_path: Path
) -> None:
    # Once more, and once with and once from the cache.
    for name in ("again", "cached", "from-cache"):
        other = run(tiny_pair, corpus, None if name == "again" else tmp_path / "cache")
        assert other.save(tmp_path / name).read_bytes() == explained.save(tmp_path / "first").read_bytes(), name


def test_a_model_against_itself_differs_nowhere(base_dir: Path, corpus: Corpus) -> None:
    pair = ModelPair.load(base_dir, base_dir, device="cpu")
    result = run(pair, corpus)
    assert not result.verdict.gain.any()
    for attribution in result.attributions.values():
        assert not attribution.difference.any()
    for mapping in result.mappings.values():
        assert not mapping.difference.any()


def test_swapping_the_models_turns_every_difference_round(base_dir: Path, tuned_dir: Path, corpus: Corpus) -> None:
    one, other = (
        run(ModelPair.load(*pair, device="cpu"), corpus) for pair in ((base_dir, tuned_dir), (tuned_dir, base_dir))
    )
    np.testing.assert_allclose(one.verdict.gain, -other.verdict.gain, atol=1e-6)
    np.testing.assert_allclose(one.verdict.section_gain, -other.verdict.section_gain, atol=1e-6)
    assert np.abs(one.verdict.gain).max() > 0.1
    for name, attribution in one.attributions.items():
        np.testing.assert_allclose(attribution.difference, -other.attributions[name].difference, atol=1e-6)
    for name, mapping in one.mappings.items():
        # combined asks what tuning taught, which has a direction.
        if name != "combined":
            np.testing.assert_allclose(mapping.difference, -other.mappings[name].difference, atol=1e-6)


def test_a_model_against_itself_is_never_documents(base_dir: Path, corpus: Corpus) -> None:
    result = run(ModelPair.load(base_dir, base_dir, device="cpu"), corpus)
    assert result.verdict.called != "documents"


@pytest.mark.parametrize("chunk", [1, 3])
def test_chunks_change_nothing(tiny_pair: Any, corpus: Corpus, explained: attrib.Explanation, chunk: int) -> None:
    other = run(tiny_pair, corpus, prompt=MethodOptions(chunk=chunk))
    for name, want in explained.attributions.items():
        np.testing.assert_allclose(other.attributions[name].tuned, want.tuned, atol=1e-5)


def test_a_sections_scores_do_not_depend_on_the_other_candidates(
    tiny_pair: Any, corpus: Corpus, explained: attrib.Explanation
) -> None:
    everything = run(tiny_pair, corpus, candidates=0)
    at = {section.id: i for i, section in enumerate(everything.sections)}
    columns = [at[section.id] for section in explained.sections]
    for name, mapping in explained.mappings.items():
        np.testing.assert_allclose(everything.mappings[name].tuned.tokens[:, columns], mapping.tuned.tokens, atol=2e-3)
    np.testing.assert_allclose(everything.verdict.section_gain[columns], explained.verdict.section_gain, atol=1e-4)


def test_the_tokens_of_both_answers_are_counted(tiny_pair: Any) -> None:
    told: list[tuple[str, int, int]] = []
    asked = ask(tiny_pair, "Who keeps the light?", max_new_tokens=6, progress=lambda *what: told.append(what))
    assert (len(asked.base_ids), len(asked.tuned_ids)) == (6, 6)
    assert told == [("answers", done, 12) for done in (0, 1, 2, 3, 4, 5, 6, 6, 7, 8, 9, 10, 11, 12)]


@pytest.mark.parametrize("source", ["base", "tuned"])
def test_a_models_own_answer_is_explained_with_the_ids_it_wrote(tiny_pair: Any, corpus: Corpus, source: Any) -> None:
    asked = ask(tiny_pair, QUESTION, max_new_tokens=6)
    result = explain(tiny_pair, Library(corpus, CONTROL), asked, answer_from=source, options=QUICK)
    assert result.question == QUESTION
    assert result.answer_source == source
    assert tuple(token.id for token in result.answer_tokens) == getattr(asked, f"{source}_ids")
    assert result.answer == getattr(result, f"{source}_answer")


def test_what_is_kept_is_what_was_asked_for(tiny_pair: Any, corpus: Corpus, explained: attrib.Explanation) -> None:
    assert explained.tuned.hidden is None
    assert explained.tuned.heads is None
    full = run(tiny_pair, corpus, heads=True, keep_layers=(-1, 0))
    n, positions = len(full.answer_tokens), len(full.tokens)
    assert full.tuned.heads.shape == (3, 4, n, positions)
    assert full.tuned.hidden.shape == (2, positions, 32)
    assert full.tuned.layers == (2, 0)


@pytest.mark.parametrize(
    "question",
    [
        "What is $\\foo$?",
        "🙂 naïve?",
        "ما هذا؟",
        "这是什么？",
        "two\nlines\n?",
        "nul \x00 inside",
        "<b>[red]x[/red]</b>",
    ],
)
def test_odd_questions_are_text_like_any_other(tiny_pair: Any, question: str) -> None:
    corpus = Corpus.from_texts([f"{question.replace(chr(0), '')} is told here.", "Another text."])
    result = explain(tiny_pair, Library(corpus, CONTROL), question, answer=question, options=QUICK)
    assert result.answer == question
    assert result.verdict.tokens.shape == (len(result.answer_tokens), 3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"methods": ("magic",)}, "method 'magic' is unknown"),
        ({"mappers": ("magic",)}, "mapper 'magic' is unknown"),
        ({"candidates": -1}, "candidates is -1"),
        ({"hidden": HiddenOptions(99)}, "layer 99"),
        ({"seed": -1}, "seed is -1"),
        ({"answer": "  \n"}, "only blanks"),
        ({"memory_gb": 1e-9}, "raise memory_gb"),
    ],
)
def test_bad_options_are_refused_in_one_line(
    tiny_pair: Any, corpus: Corpus, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message) as caught:
        run(tiny_pair, corpus, **options)
    assert "\n" not in str(caught.value)


def test_a_corpus_is_explained_as_the_library_that_is_made_of_it(
    tiny_pair: Any, corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(library_module, "cache_dir", lambda: tmp_path)
    monkeypatch.setattr(library_module.demo, "control", lambda: CONTROL)
    one, other = (
        explain(tiny_pair, documents, QUESTION, answer="It is he.", options=QUICK).save(tmp_path / name)
        for name, documents in (("corpus", corpus), ("library", Library.make(corpus, cache=None)))
    )
    assert one.read_bytes() == other.read_bytes()
    assert (tmp_path / "readings").is_dir()


def test_documents_without_text_and_control_inside_the_documents_are_refused(tiny_pair: Any, corpus: Corpus) -> None:
    with pytest.raises(InputError, match="no sections"):
        explain(tiny_pair, Corpus((), ()), QUESTION)
    with pytest.raises(InputError, match="are in the documents too"):
        Library.make(corpus, corpus)


def test_influence_without_checkpoints_is_refused_before_anything_is_computed(
    tiny_pair: Any, corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("attrib.explaining.ask", None)
    with pytest.raises(InputError, match="has no checkpoints"):
        explain(tiny_pair, corpus, "Who keeps it?", options=ExplainOptions(mappers=("influence",)))
