"""Tokens put together: always a partition, cut where people would cut; the question told from the chat template."""

from __future__ import annotations

import inspect
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attrib.errors import InputError
from attrib.options.methods import UnitName
from attrib.records import Token
from attrib.text.units import question_positions, sentences, units, words
from tests.make import ODD_TOKENS, make_tokens
from tests.oracles import encoded

PIECES = (*ODD_TOKENS, " word", "ing", "ly", ".", ". ", "!”", "。", " e.g.", "?\n", "\n\n", "<|end|>", "  ", "½.", "é")


def texts_of(texts: Any, groups: Any) -> list[str]:
    return ["".join(texts[i] for i in group) for group in groups]


@st.composite
def some_tokens(draw: st.DrawFn) -> tuple[Token, ...]:
    texts = draw(st.lists(st.sampled_from(PIECES), max_size=20))
    special = [i for i in range(len(texts)) if draw(st.booleans()) and (texts[i] == "<|end|>" or draw(st.booleans()))]
    return make_tokens(texts, special=special)


# Laws


@given(some_tokens(), st.sampled_from(get_args(UnitName)))
def test_units_are_a_partition_in_order(tokens: tuple[Token, ...], unit: Any) -> None:
    groups = units(tokens, unit)
    assert [i for group in groups for i in group] == list(range(len(tokens)))
    assert all(groups) or (unit == "answer" and not tokens)


@given(some_tokens(), st.sampled_from(["token", "word", "sentence"]))
def test_special_tokens_stand_by_themselves(tokens: tuple[Token, ...], unit: Any) -> None:
    groups = units(tokens, unit)
    for i, token in enumerate(tokens):
        assert not token.special or (i,) in groups


@given(some_tokens())
def test_words_never_join_what_white_space_parts(tokens: tuple[Token, ...]) -> None:
    for group in words(tokens):
        # An empty token is part of the character after it: only behind text is there something to part.
        behind = [i for k, i in enumerate(group) if any(tokens[j].text for j in group[:k])]
        assert not any(tokens[i].text[:1].isspace() for i in behind)


@given(some_tokens(), st.text(alphabet="aeg. ½é水", max_size=6))
def test_the_question_is_never_a_marker(tokens: tuple[Token, ...], question: str) -> None:
    found = question_positions(tokens, question)
    assert not any(tokens[i].special for i in found)
    assert list(found) == sorted(set(found))


# Words


@pytest.mark.parametrize(
    ("texts", "want"),
    [
        ([" thirty", "-", "six", " months", "."], [" thirty-six", " months."]),
        (["The", "\n", "pump", "\n\n", " is"], ["The", "\n", "pump", "\n\n", " is"]),
        # Numbers are often split from their blank, digit by digit.
        ([" in", " ", "1", "9", "9", "8", ",", " ", "3"], [" in", " 1998,", " 3"]),
        (["def", "  ", "  ", "x"], ["def", "  ", "  x"]),
        (["水", "火", " a", "水"], ["水", "火", " a", "水"]),
        (["水", "b"], ["水", "b"]),
        ([" ", "水"], [" 水"]),
        ([""], [""]),
        ([], []),
    ],
)
def test_words(texts: list[str], want: list[str]) -> None:
    assert texts_of(texts, words(make_tokens(texts))) == want


@pytest.mark.parametrize(
    ("texts", "want"),
    [
        (["hi", "", "", "🙂"], ((0,), (1, 2, 3))),
        (["hi", "", "é"], ((0, 1, 2),)),
        ([" ", "", "م", "ر"], ((0, 1, 2, 3),)),
        (["hi", "\n", "", "é"], ((0,), (1,), (2, 3))),
        (["hi", "", " a"], ((0,), (1, 2))),
        (["hi", ""], ((0, 1),)),
        (["", "🙂"], ((0, 1),)),
    ],
)
def test_half_a_character_goes_with_its_other_half(texts: list[str], want: Any) -> None:
    assert words(make_tokens(texts)) == want


def test_half_a_character_behind_a_marker_is_no_part_of_it() -> None:
    assert words(make_tokens(["<|start|>", "", "é", "<|end|>", ""], special=(0, 3))) == ((0,), (1, 2), (3,), (4,))


def test_words_of_a_real_tokenizer_are_the_texts_words(tiny_pair: Any) -> None:
    answer = "thirty-six months, 水 1712 naïve مرحبا 🙂🙂 end"
    text = encoded(tiny_pair, answer=answer)
    found = texts_of([token.text for token in text.answer_tokens], words(text.answer_tokens))
    # 🙂 is wide: each is a word.
    assert [word.strip() for word in found] == [*answer.split()[:-2], "🙂", "🙂", "end"]


# Sentences


@pytest.mark.parametrize(
    ("texts", "want"),
    [
        (["One", " two", ".", " Three", "?", " Four"], ["One two.", " Three?", " Four"]),
        (["He", " said", " “", "no", ".", "”", " Then", "!"], ["He said “no.”", " Then!"]),
        (["Wait", "...", " what", "?!", " Yes", "…"], ["Wait...", " what?!", " Yes…"]),
        (["3", ".", "5", " km", "."], ["3.5 km."]),
        (["A", "\n", "B", "\n\n", "C"], ["A\n", "B\n\n", "C"]),
        # The end of a line is no sentence of its own.
        (["A", ".", "\n", "B", ".", " \n", "\n", "C"], ["A.\n", "B. \n\n", "C"]),
        # Full-width marks have no blank after them.
        (["你好", "。", "再见", "！", "」", "好"], ["你好。", "再见！」", "好"]),
        (["a", ".b", ".", " c"], ["a.b.", " c"]),
        # Ends inside a token: the token ends the sentence.
        (["One", ".\n", "Two", ". Th", "ree"], ["One.\n", "Two. Th", "ree"]),
        (["One", ".", "", " Two"], ["One.", " Two"]),
        ([".", " a"], [".", " a"]),
        ([], []),
    ],
)
def test_sentences(texts: list[str], want: list[str]) -> None:
    assert texts_of(texts, sentences(make_tokens(texts))) == want


def test_markers_part_sentences() -> None:
    texts = ["<|start|>", "user\n", "How", " long", "?", "<|end|>", "\n", "<|start|>", "assistant\n"]
    assert sentences(make_tokens(texts, special=(0, 5, 7))) == ((0,), (1,), (2, 3, 4), (5,), (6,), (7,), (8,))


# Spans of one's own


def test_spans_are_sorted_and_kept_as_given() -> None:
    tokens = make_tokens(["a", "b", "c"])
    assert units(tokens, ((2, 0), (1,), (0, 1))) == ((0, 2), (1,), (0, 1))


@pytest.mark.parametrize("spans", [((),), ((0, 0),), ((-1,),), ((3,),), ((0, 1), (2, 3))])
def test_spans_that_are_empty_repeat_or_leave_the_answer_are_refused(spans: Any) -> None:
    with pytest.raises(InputError, match=r"unit: the span .* must name different answer tokens from 0 to 2"):
        units(make_tokens(["a", "b", "c"]), spans)


def test_no_span_and_an_unknown_unit_are_refused() -> None:
    with pytest.raises(InputError, match="no span was given"):
        units(make_tokens(["a"]), ())
    # Past the annotations, which are not checked outside tests.
    with pytest.raises(InputError, match="unit 'line' is unknown; choose token, word, sentence, answer"):
        inspect.unwrap(units)(make_tokens(["a"]), "line")


# The question in its template


@pytest.mark.parametrize(
    "question", ["How long?", "a", "user", "assistant", "水 🙂 naïve", " leading and trailing \n", "38"]
)
def test_the_question_is_found_in_the_chat_template(tiny_pair: Any, question: str) -> None:
    text = encoded(tiny_pair, question=question)
    found = question_positions(text.prompt_tokens, text.question)
    assert "".join(text.prompt_tokens[i].text for i in found).strip() == question.strip()


def test_the_last_occurrence_counts() -> None:
    tokens = make_tokens(["<s>", "long", " ago", ":", " long", "</s>"], special=(0, 5))
    assert question_positions(tokens, "long") == (4,)
    assert question_positions(make_tokens(["long", " ago"]), "long") == (0,)


def test_a_question_whose_end_merges_with_the_template_keeps_its_last_token() -> None:
    tokens = make_tokens(["Q", ":", " why", " so", "?\n", "A", ":"])
    assert question_positions(tokens, "why so?") == (2, 3, 4)


def test_without_its_text_all_but_markers_is_the_question() -> None:
    tokens = make_tokens(["<s>", "user", "why", "</s>"], special=(0, 3))
    assert question_positions(tokens, "how") == (1, 2)
    assert question_positions(tokens, "") == (1, 2)
