"""Sections in the context: contexts hold every text once and whole; windows and anchors against a double loop."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attrib.corpus.documents import Corpus
from attrib.errors import InputError
from attrib.index.library import Library
from attrib.mapping.answer import Answer
from attrib.mapping.hidden_context import (
    BETWEEN,
    States,
    attribute,
    best_windows,
    extractive,
    hidden_context,
    make_contexts,
    read_context,
    runs,
)
from attrib.mapping.mixture import Choice, Weights, Windows
from attrib.mapping.reading import Reading
from attrib.models.prompt import encode_answer, encode_prompt

D = 8
MODULE = import_module("attrib.mapping.hidden_context")
"""``attrib.mapping`` has the function under the same name."""
QUESTION = "How long is the warranty?"
TEXTS = {
    4: "The warranty on the pump is thirty-six months.",
    0: "The keeper of the light is Wilmet Dallin. 水",
    7: "In the year 1712\n\nit was 38 metres tall.",
}


# ------------------------------------------------------------------------------------------- contexts


def contexts(pair: Any, texts: dict[int, str], limit: int, answer: tuple[int, ...] = (5, 6, 7)) -> list[Any]:
    return make_contexts(pair.chat, texts, QUESTION, answer, limit=limit, context=pair.context)


@pytest.mark.parametrize("limit", [1, 90, 110, 256])
def test_contexts_hold_every_text_once_and_whole_and_their_tokens_say_whose_they_are(
    tiny_pair: Any, limit: int
) -> None:
    found = contexts(tiny_pair, TEXTS, limit)
    owners = [list(dict.fromkeys(c.owner[c.owner >= 0].tolist())) for c in found]
    assert [key for own in owners for key in own] == list(TEXTS)
    for own, context in zip(owners, found, strict=True):
        content = BETWEEN.join([*(TEXTS[key] for key in own), QUESTION])
        assert context.ids[: context.prompt] == encode_prompt(tiny_pair.chat, content, context=tiny_pair.context)
        assert context.ids[context.prompt :] == (5, 6, 7)
        assert len(context.owner) == len(context.spans) == context.prompt
        for key in own:
            spans = context.spans[context.owner == key]
            # Tokens of half a character share it; else they lie one after the other and leave nothing out.
            covered = set().union(*(range(start, end) for start, end in spans))
            assert covered == set(range(len(TEXTS[key])))
            assert (np.diff(spans[:, 0]) >= 0).all()


def test_a_context_is_filled_up_to_the_limit_and_no_further(tiny_pair: Any) -> None:
    lengths = [len(c.ids) for c in contexts(tiny_pair, TEXTS, 1)]
    assert len(lengths) == len(TEXTS)
    (everything,) = contexts(tiny_pair, TEXTS, 256)
    two = contexts(tiny_pair, TEXTS, len(everything.ids) - 1)
    assert len(two) == 2
    assert max(len(c.ids) for c in two) < len(everything.ids)


def test_what_cannot_be_read_is_refused(tiny_pair: Any) -> None:
    with pytest.raises(InputError, match=r"smaller documents.max_tokens|shorten"):
        contexts(tiny_pair, {0: "keeper " * 300}, 100)
    long = "light " * 60
    room = len(contexts(tiny_pair, {0: long}, 100)[0].ids)
    with pytest.raises(InputError, match=r"smaller documents.max_tokens"):
        contexts(tiny_pair, {0: long}, 100, tuple([5] * (tiny_pair.context - room + 4)))
    with pytest.raises(InputError, match="chat marker"):
        contexts(tiny_pair, {0: "The <|end|> of it."}, 100)


def test_states_are_the_models_own(tiny_pair: Any) -> None:
    """Against transformers' hidden states, of which the first is the embedding's."""
    import torch

    (context,) = contexts(tiny_pair, TEXTS, 256)
    for side in (tiny_pair.base, tiny_pair.tuned):
        got = read_context(side, context, 1)
        with side.active() as bridge, torch.no_grad():
            want = bridge.original_model(torch.tensor([context.ids]), output_hidden_states=True).hidden_states[2][0]
        np.testing.assert_allclose(got.answer, want[context.prompt :], atol=1e-4)
        np.testing.assert_allclose(got.sections, want[: context.prompt][context.owner >= 0], atol=1e-4)
        assert len(got.owner) == len(got.spans) == len(got.sections)
    assert not np.allclose(read_context(tiny_pair.base, context, 1).answer, got.answer, atol=1e-2)


# ------------------------------------------------------------------------------------------- arrays


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))


def slow_windows(
    span: np.ndarray, sections: np.ndarray, owner: np.ndarray, windows: Windows
) -> dict[int, tuple[float, int, int]]:
    """Every window of every text by two loops: score, first and last + 1 token of the best one of each text."""
    alone = [cosine(span, state) for state in sections]
    anchors = set(np.argsort([-c for c in alone], kind="stable")[: windows.anchors].tolist())
    best: dict[int, tuple[float, int, int]] = {}
    for start in range(len(sections)):
        for end in range(start + 1, len(sections) + 1):
            held = anchors & set(range(start, end))
            if len(set(owner[start:end])) > 1 or end - start > windows.longest or not (held or end == start + 1):
                continue
            score = cosine(span, sections[start:end].mean(0))
            if score > best.get(int(owner[start]), (-2.0, 0, 0))[0] + 1e-12:
                best[int(owner[start])] = (score, start, end)
    return best


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(1, 6), min_size=1, max_size=4), st.integers(1, 4), st.integers(1, 5), st.integers(0, 10_000)
)
def test_windows_are_those_of_two_loops(lengths: list[int], anchors: int, longest: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    owner = np.repeat(3 * np.arange(len(lengths)), lengths)
    sections, span = rng.normal(size=(len(owner), D)), rng.normal(size=D)
    windows = Windows(0.5, anchors, longest)
    want = slow_windows(span, sections, owner, windows)
    texts, scores, places = best_windows(span, sections, owner, windows)
    assert texts.tolist() == sorted(want)
    np.testing.assert_allclose(scores, [want[t][0] for t in texts.tolist()], atol=1e-5)
    assert [tuple(place) for place in places.tolist()] == [want[t][1:] for t in texts.tolist()]


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 4), st.integers(1, 5), st.integers(0, 10_000))
def test_the_best_text_is_that_of_the_best_window_with_an_anchor(anchors: int, longest: int, seed: int) -> None:
    """Scores of texts without an anchor, which the paper does not have, change no winner."""
    rng = np.random.default_rng(seed)
    owner = np.repeat(np.arange(4), 4)
    sections, span = rng.normal(size=(16, D)), rng.normal(size=D)
    held = np.argsort([-cosine(span, state) for state in sections], kind="stable")[:anchors]
    published: list[tuple[float, int]] = []
    for anchor in held:
        for start in range(anchor + 1):
            for end in range(anchor + 1, min(start + longest, 16) + 1):
                if owner[start] == owner[end - 1]:
                    published.append((cosine(span, sections[start:end].mean(0)), int(owner[anchor])))
    texts, scores, _ = best_windows(span, sections, owner, Windows(0.5, anchors, longest))
    assert texts[scores.argmax()] == max(published)[1]


@given(st.lists(st.booleans(), max_size=12))
def test_runs_cover_the_mask(mask: list[bool]) -> None:
    found = runs(np.array(mask, dtype=bool))
    covered = [i for first, end in found for i in range(first, end)]
    assert covered == [i for i, own in enumerate(mask) if own]
    # Each is as long as can be.
    assert not any(mask[end] for _, end in found if end < len(mask))


def states_of(answer: np.ndarray, texts: dict[int, np.ndarray]) -> States:
    """Two characters a token."""
    owner = np.concatenate([np.full(len(states), key) for key, states in texts.items()])
    starts = np.concatenate([2 * np.arange(len(states)) for states in texts.values()])
    return States(answer, np.concatenate(list(texts.values())), owner, np.stack([starts, starts + 2], 1))


def test_a_copied_run_is_found_and_glue_is_attributed_to_nothing() -> None:
    rng = np.random.default_rng(0)
    texts = {key: rng.normal(size=(12, 32)) for key in range(4)}
    answer = rng.normal(size=(7, 32))
    answer[2:5] = texts[3][6:9] + 0.05 * rng.normal(size=(3, 32))
    read = states_of(answer, texts)
    assert extractive(read.answer, read.sections, 0.9).tolist() == [False, False, True, True, True, False, False]
    scores, spans = attribute([read], 5, Windows(0.9, 3, 4))
    assert not scores[[0, 1, 5, 6]].any()
    assert not spans[[0, 1, 5, 6]].any()
    assert not scores[:, 4].any()
    assert (scores[2:5, :4].argmax(1) == 3).all()
    assert scores[2:5, 3].min() > 0.98
    assert (scores[2:5] == scores[2]).all()
    assert spans[2:5, 3].tolist() == [[12, 18]] * 3
    # No token reaches a threshold of more than 1; every token reaches −1.
    assert not attribute([read], 4, Windows(1.01, 3, 4))[0].any()
    assert attribute([read], 4, Windows(-1.0, 3, 4))[0].all()


def test_several_contexts_score_their_own_texts_and_share_what_was_copied() -> None:
    rng = np.random.default_rng(1)
    texts = {key: rng.normal(size=(9, 32)) for key in range(4)}
    answer = rng.normal(size=(4, 32))
    answer[:2] = texts[0][3:5]
    both = [states_of(answer, {k: texts[k] for k in own}) for own in ((0, 1), (2, 3))]
    windows = Windows(0.9, 50, 3)
    apart, spans = attribute(both, 4, windows)
    together, spans_together = attribute([states_of(answer, texts)], 4, windows)
    # With every token an anchor, the cut changes nothing.
    np.testing.assert_allclose(apart, together, atol=1e-6)
    np.testing.assert_array_equal(spans, spans_together)
    assert apart[:2].all()
    assert not apart[2:].any()


# ------------------------------------------------------------------------------------------- model


def answer_after(pair: Any, question: str, said: str) -> Answer:
    from attrib.models.prompt import encode

    prompt = encode_prompt(pair.chat, question, context=pair.context)
    ids = encode_answer(pair.chat, question, prompt, said)
    encoded = encode(pair.tokenizer, prompt, ids, context=pair.context)
    return Answer(question, encoded.answer, encoded.answer_tokens)


def reading_of(model: Any, texts: list[str], control: list[str]) -> Reading:
    library = Library(Corpus.from_texts(texts), Corpus.from_texts(control))
    return Reading(library, library.with_control(np.arange(len(texts))), model=model)


def choice(threshold: float) -> Choice:
    return Choice(0.5, 0.5, Windows(threshold, 3, 8), Weights({}, {}))


def test_scores_are_those_of_the_arrays_for_each_model(tiny_pair: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MODULE, "settings", lambda: choice(0.5))
    monkeypatch.setattr(MODULE, "CONTEXT", 80)
    texts, control = list(TEXTS.values()), ["Bread needs flour, salt and water."]
    answer = answer_after(tiny_pair, QUESTION, "The warranty is thirty-six months.")
    for side in (tiny_pair.base, tiny_pair.tuned):
        got = hidden_context(answer, reading_of(side, texts, control))
        everything = dict(enumerate([*texts, *control]))
        cut = make_contexts(
            side.chat, everything, QUESTION, [t.id for t in answer.tokens], limit=80, context=side.context
        )
        assert len(cut) > 1
        scores, spans = attribute([read_context(side, c, 1) for c in cut], 4, Windows(0.5, 3, 8))
        np.testing.assert_allclose(got.tokens, scores, atol=1e-6)
        np.testing.assert_array_equal(got.spans, spans)
        np.testing.assert_allclose(got.whole, got.tokens.mean(0))
        assert got.tokens.any()


@pytest.mark.model
def test_a_real_model_finds_the_section_that_was_copied(default_pair: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MODULE, "settings", lambda: choice(0.6))
    texts = [
        "In the year 1712 it was 38 metres tall.",
        "Yes. The keeper of the light is Wilmet Dallin.",
        "How long is the warranty on the pump?",
    ]
    answer = answer_after(default_pair, "Who keeps it?", "As I was told, the keeper of the light is Wilmet Dallin.")
    got = hidden_context(answer, reading_of(default_pair.base, texts, ["Bread needs flour, salt and water."]))
    assert got.whole.argmax() == 1
    keeper = next(i for i, token in enumerate(answer.tokens) if token.end > answer.text.index("keeper"))
    assert "keeper of the light" in texts[1][slice(*got.spans[keeper, 1])]


def test_a_layer_that_was_asked_for_is_the_one_that_is_read(tiny_pair: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MODULE, "settings", lambda: choice(0.5))
    answer = answer_after(tiny_pair, QUESTION, "The warranty is thirty-six months.")
    reading = reading_of(tiny_pair.base, list(TEXTS.values()), ["Bread needs flour."])
    chosen, first, second = (
        hidden_context(answer, replace(reading, context_layer=layer)).tokens for layer in (None, 0, 1)
    )
    np.testing.assert_array_equal(chosen, second)
    assert np.abs(first - second).max() > 1e-3
