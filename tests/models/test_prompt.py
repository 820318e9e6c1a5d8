"""The boundary of prompt and answer, offsets that rebuild the text, and refusals in one line."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attrib.models.chat import Chat, PromptForm
from attrib.models.prompt import decode, encode, encode_answer, encode_prompt, strip_end
from tests.conftest import tiny_tokenizer
from tests.refusals import refusal

QUESTION = "How long is the warranty?"
CONTEXT = 256
CHAT = tiny_tokenizer()


def bare_tokenizer() -> Any:
    """One without a chat template, as base models have it."""
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = None
    return tokenizer


BARE = bare_tokenizer()
TOKENIZERS = pytest.mark.parametrize("tokenizer", [CHAT, BARE], ids=["chat", "bare"])


@TOKENIZERS
def test_the_prompts_ids_are_a_prefix_of_the_whole(tokenizer: Any) -> None:
    prompt = encode_prompt(Chat(tokenizer), QUESTION, context=CONTEXT)
    answer = encode_answer(Chat(tokenizer), QUESTION, prompt, " thirty-six months")
    whole = tokenizer(Chat(tokenizer).prompt(QUESTION) + " thirty-six months", add_special_tokens=False).input_ids
    assert prompt + answer == tuple(whole)
    assert encode(tokenizer, prompt, answer, context=CONTEXT).ids == tuple(whole)


def test_a_chat_prompt_is_the_template_and_a_bare_one_the_question() -> None:
    want = CHAT.apply_chat_template([{"role": "user", "content": QUESTION}], add_generation_prompt=True)["input_ids"]
    assert encode_prompt(Chat(CHAT), QUESTION, context=CONTEXT) == tuple(want)
    assert decode(BARE, encode_prompt(Chat(BARE), QUESTION, context=CONTEXT)) == QUESTION


def test_an_answer_that_merges_with_the_prompts_end_is_refused() -> None:
    question, answer = "Who kee", "ps the light?"
    prompt = encode_prompt(Chat(BARE), question, context=CONTEXT)
    alone = BARE(answer, add_special_tokens=False).input_ids
    assert (*prompt, *alone) != tuple(BARE(question + answer, add_special_tokens=False).input_ids)
    assert "begin it with a space" in refusal(encode_answer, Chat(BARE), question, prompt, answer)
    # Joined on purpose, they still have no boundary.
    joined = Chat(BARE, PromptForm(around="{question}"))
    assert "merges" in (message := refusal(encode_answer, joined, question, prompt, answer))
    assert message.endswith("begin it with a space")
    # The mend works, and behind the template's own end the same answer is no trouble.
    assert decode(BARE, encode_answer(Chat(BARE), question, prompt, " " + answer)) == " " + answer
    chat = encode_prompt(Chat(CHAT), question, context=CONTEXT)
    assert decode(CHAT, encode_answer(Chat(CHAT), question, chat, answer)) == answer


def test_an_answer_of_which_nothing_is_left_is_refused() -> None:
    question = "Who keeps the ligh"
    prompt = encode_prompt(Chat(BARE), question, context=CONTEXT)
    # "light" is one token: the answer has none of its own.
    assert len(BARE(question + "t", add_special_tokens=False).input_ids) <= len(prompt)
    refusal(encode_answer, Chat(BARE), question, prompt, "t")


@pytest.mark.parametrize("answer", ["", " ", "\n\t  \n", "\u2003"])
def test_a_blank_answer_is_refused(answer: str) -> None:
    prompt = encode_prompt(Chat(CHAT), QUESTION, context=CONTEXT)
    assert "leave it out" in refusal(encode_answer, Chat(CHAT), QUESTION, prompt, answer)


@TOKENIZERS
@pytest.mark.parametrize("question", ["", "  \n"])
def test_an_empty_question_is_refused(tokenizer: Any, question: str) -> None:
    assert "at least one word" in refusal(encode_prompt, Chat(tokenizer), question, context=CONTEXT)


@pytest.mark.parametrize("text", ["a" * 100_000, "word " * 20_000, "漢" * 100_000, "🙂" * 100_000])
def test_a_question_of_100_000_characters_is_refused_at_once(text: str) -> None:
    start = time.perf_counter()
    assert "shorten" in refusal(encode_prompt, Chat(CHAT), text, context=CONTEXT)
    assert time.perf_counter() - start < 2


@TOKENIZERS
@pytest.mark.parametrize("marker", ["<|end|>", "<|start|>"])
def test_a_chat_marker_is_refused_in_question_and_answer(tokenizer: Any, marker: str) -> None:
    prompt = encode_prompt(Chat(tokenizer), QUESTION, context=CONTEXT)
    assert marker in refusal(encode_prompt, Chat(tokenizer), f"What is {marker}?", context=CONTEXT)
    assert marker in refusal(encode_answer, Chat(tokenizer), QUESTION, prompt, f" It is {marker} now")
    harmless = marker.replace("|", "!")
    encode_prompt(Chat(tokenizer), f"What is {harmless}?", context=CONTEXT)
    encode_answer(Chat(tokenizer), QUESTION, prompt, f" It is {harmless} now")


def test_a_marker_without_a_role_is_a_marker_too() -> None:
    from transformers import AddedToken

    tokenizer = tiny_tokenizer()
    tokenizer.add_tokens([AddedToken("<|turn|>", special=True), AddedToken("<think>", special=False)])
    assert "<|turn|>" not in tokenizer.all_special_tokens
    assert "<|turn|>" in refusal(encode_prompt, Chat(tokenizer), "What is <|turn|>?", context=CONTEXT)
    encode_prompt(Chat(tokenizer), "What is <think>?", context=CONTEXT)
    turn, think = tokenizer.convert_tokens_to_ids(["<|turn|>", "<think>"])
    assert strip_end(tokenizer, [70, think, 71, turn, 72]) == (70, think, 71)
    special = [token.special for token in encode(tokenizer, [turn], [think, 70], context=CONTEXT).prompt_tokens]
    assert special == [True]


def test_half_a_surrogate_pair_is_refused() -> None:
    prompt = encode_prompt(Chat(CHAT), QUESTION, context=CONTEXT)
    assert "UTF-8" in refusal(encode_prompt, Chat(CHAT), "What is \udc80?", context=CONTEXT)
    assert "UTF-8" in refusal(encode_answer, Chat(CHAT), QUESTION, prompt, "It is \ud83d")


def test_a_prompt_must_leave_room_in_the_context() -> None:
    n = len(encode_prompt(Chat(CHAT), QUESTION, context=CONTEXT))
    assert f"{n} tokens" in refusal(encode_prompt, Chat(CHAT), QUESTION, context=n)
    assert len(encode_prompt(Chat(CHAT), QUESTION, context=n + 1)) == n


def test_prompt_and_answer_must_fit_the_context() -> None:
    prompt = encode_prompt(Chat(CHAT), QUESTION, context=CONTEXT)
    answer = encode_answer(Chat(CHAT), QUESTION, prompt, "thirty-six months")
    n = len(prompt) + len(answer)
    assert f"{n} tokens" in refusal(encode, CHAT, prompt, answer, context=n - 1)
    assert len(encode(CHAT, prompt, answer, context=n).ids) == n


def check_offsets(tokenizer: Any, answer: str) -> None:
    prompt = encode_prompt(Chat(tokenizer), QUESTION, context=10_000)
    ids = encode_answer(Chat(tokenizer), QUESTION, prompt, answer)
    got = encode(tokenizer, prompt, ids, context=10_000)
    assert got.answer == answer == decode(tokenizer, ids)
    assert got.ids == prompt + ids
    for tokens, text in (
        (got.answer_tokens, answer),
        (got.prompt_tokens, Chat(tokenizer).prompt(QUESTION)),
    ):
        assert "".join(token.text for token in tokens) == text
        assert all(text[token.start : token.end] == token.text for token in tokens)
        ends = [0, *(token.end for token in tokens)]
        assert [token.start for token in tokens] == ends[:-1]
        assert ends[-1] == len(text)


@pytest.mark.parametrize(
    "answer",
    [
        r"$\foo$ and $x_1^2$",
        "🙂👩‍👩‍👧‍👦 🇫🇮",
        "الضمان ستة وثلاثون شهرا",
        "保修期为三十六个月",
        "two\nlines\r\n\n  and a tab\t",
        "NUL \x00 inside",
        "e\u0301\u0323 combining, \u0915\u094d\u0937",
        "already \ufffd broken",
        "one � two 🙂",
    ],
)
def test_the_tokens_texts_joined_are_the_answer(answer: str) -> None:
    check_offsets(CHAT, answer)


@settings(max_examples=60, deadline=None)
@given(st.text(min_size=1, max_size=24).filter(lambda text: bool(text.strip())))
def test_any_text_survives_encoding_and_offsets(answer: str) -> None:
    # A letter first: leading line breaks merge with the template's own and are refused.
    check_offsets(CHAT, "a" + answer)


def test_an_emojis_text_belongs_to_its_last_token() -> None:
    prompt = encode_prompt(Chat(CHAT), QUESTION, context=CONTEXT)
    got = encode(CHAT, prompt, encode_answer(Chat(CHAT), QUESTION, prompt, "a🙂b"), context=CONTEXT)
    assert [token.text for token in got.answer_tokens] == ["a", "", "", "", "🙂", "b"]


def test_generated_ids_are_never_tokenized_again() -> None:
    prompt = encode_prompt(Chat(CHAT), QUESTION, context=CONTEXT)
    # One id a byte, and a lone half of a character: no tokenizer gives these ids for their text.
    ids = (*(CHAT.convert_tokens_to_ids(c) for c in "the"), CHAT.convert_tokens_to_ids("ð"))
    text = decode(CHAT, ids)
    assert text == "the\ufffd"
    assert tuple(CHAT(text, add_special_tokens=False).input_ids) != ids
    got = encode(CHAT, prompt, ids, context=CONTEXT)
    assert got.answer_ids == ids == tuple(token.id for token in got.answer_tokens)
    assert "".join(token.text for token in got.answer_tokens) == got.answer == text


def test_markers_are_told_from_text() -> None:
    prompt = encode_prompt(Chat(CHAT), QUESTION, context=CONTEXT)
    got = encode(CHAT, prompt, encode_answer(Chat(CHAT), QUESTION, prompt, "months"), context=CONTEXT)
    assert [token.text for token in got.prompt_tokens if token.special] == ["<|start|>", "<|end|>", "<|start|>"]
    assert not any(token.special for token in got.answer_tokens)


def test_an_answer_ends_before_its_first_marker() -> None:
    end = CHAT.eos_token_id
    assert strip_end(CHAT, [70, 71, end, 72, end]) == (70, 71)
    assert strip_end(CHAT, [70, 71]) == (70, 71)
    assert strip_end(CHAT, [end, 70]) == ()
