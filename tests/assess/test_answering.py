"""Answers of both sides: kept on disk, resumed, asked once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from attrib.assess import answering
from attrib.assess.answering import answer_all, greedy, questions_sha256, write_answers
from attrib.assess.questions import Question
from attrib.errors import InputError
from attrib.models.prompt import decode, encode_prompt
from attrib.options.answers import AnswerOptions
from attrib.passes.generate import generate, generate_batch
from attrib.records import Turn

ASKED = [
    Question(f"Who keeps the light of {name}?", "Wilmet", "trained", id=f"q{i}") for i, name in enumerate("abcdefghij")
]
OPTIONS = AnswerOptions(max_new_tokens=5, batch=2)


def test_answers_are_those_of_each_model(tiny_pair: Any) -> None:
    found = answer_all(tiny_pair, ASKED, OPTIONS)
    for side in ("base", "tuned"):
        for asked, replies in zip(ASKED, found[side], strict=True):
            prompt = encode_prompt(tiny_pair.chat, asked.question, context=tiny_pair.context)
            want = generate_batch(getattr(tiny_pair, side), [prompt], max_new_tokens=5)[0][0]
            assert replies[0].ids == want.ids
            assert replies[0].text == decode(tiny_pair.tokenizer, want.ids)
    assert found["base"] != found["tuned"]


def parts_in(out: Path) -> list[Path]:
    """Files of answers, those of one model and one set of options together."""
    return sorted((out / "answers").glob("*/*.json"))


def test_a_killed_run_goes_on_to_the_same(tiny_pair: Any, tmp_path: Path, monkeypatch: Any) -> None:
    whole = answer_all(tiny_pair, ASKED, OPTIONS, out=tmp_path / "whole")
    calls: list[int] = []

    def dies(model: Any, prompts: Any, **options: Any) -> Any:
        calls.append(len(prompts))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return generate_batch(model, prompts, **options)

    monkeypatch.setattr(answering, "generate_batch", dies)
    with pytest.raises(KeyboardInterrupt):
        answer_all(tiny_pair, ASKED, OPTIONS, out=tmp_path / "killed")
    assert len(parts_in(tmp_path / "killed")) == 2
    assert answer_all(tiny_pair, ASKED, OPTIONS, out=tmp_path / "killed") == whole
    # Ten questions in parts of eight: the two parts that were done are not done again.
    assert calls == [8, 2, 8, 8, 2]
    files = [parts_in(tmp_path / name) for name in ("whole", "killed")]
    assert [f.name for f in files[0]] == [f.name for f in files[1]]
    assert [f.read_bytes() for f in files[0]] == [f.read_bytes() for f in files[1]]


def test_a_damaged_part_is_made_again(tiny_pair: Any, tmp_path: Path) -> None:
    want = answer_all(tiny_pair, ASKED, OPTIONS, out=tmp_path)
    file = parts_in(tmp_path)[0]
    for damage in (b"", b"{", b"[[1]]", b"[]", file.read_bytes()[:-40]):
        file.write_bytes(damage)
        assert answer_all(tiny_pair, ASKED, OPTIONS, out=tmp_path) == want


@pytest.mark.parametrize("change", [{"seed": 1}, {"max_new_tokens": 6}, {"samples": 2}, {"temperature": 1.0}])
def test_other_options_are_other_answers(tiny_pair: Any, tmp_path: Path, change: dict[str, Any]) -> None:
    from dataclasses import replace

    answer_all(tiny_pair, ASKED, OPTIONS, out=tmp_path)
    before = len(parts_in(tmp_path))
    answer_all(tiny_pair, ASKED, replace(OPTIONS, **change), out=tmp_path)
    assert len(parts_in(tmp_path)) > before


def test_the_same_words_are_asked_once(tiny_pair: Any, monkeypatch: Any) -> None:
    asked: list[int] = []

    def counts(model: Any, prompts: Any, **options: Any) -> Any:
        asked.append(len(prompts))
        return generate_batch(model, prompts, **options)

    monkeypatch.setattr(answering, "generate_batch", counts)
    found = answer_all(tiny_pair, [*ASKED[:2], *ASKED[:2]], OPTIONS, sides=("tuned",))
    assert asked == [2]
    assert list(found) == ["tuned"]
    assert found["tuned"][:2] == found["tuned"][2:]


def test_lines_are_read_by_pandas_and_json(tiny_pair: Any, tmp_path: Path) -> None:
    found = answer_all(tiny_pair, ASKED, AnswerOptions(samples=2, temperature=1.0, max_new_tokens=3))
    write_answers(ASKED, found, tmp_path / "answers.jsonl")
    rows = [json.loads(line) for line in (tmp_path / "answers.jsonl").read_text("utf-8").split("\n") if line]
    assert len(rows) == 2 * 2 * len(ASKED)
    assert rows[1] == {
        "id": "q0", "kind": "trained", "question": ASKED[0].question, "answer": "Wilmet", "side": "base", "sample": 1,
        "text": found["base"][0][1].text, "logprob": found["base"][0][1].logprob, "tokens": 3, "ended": False,
    }  # fmt: skip


def test_a_question_that_does_not_fit_is_named(tiny_pair: Any) -> None:
    with pytest.raises(InputError, match=r"question 'long': .*shorten") as caught:
        answer_all(tiny_pair, [Question("light " * 900, id="long")], OPTIONS)
    assert "\n" not in str(caught.value)


def test_digest_and_greedy() -> None:
    assert questions_sha256(ASKED) == questions_sha256(list(ASKED)) != questions_sha256(ASKED[1:])
    assert greedy(AnswerOptions(samples=5, temperature=0.7, seed=3)) == AnswerOptions(seed=3)


def test_what_was_answered_among_others_is_not_asked_again(tiny_pair: Any, tmp_path: Path, monkeypatch: Any) -> None:
    whole = answer_all(tiny_pair, ASKED, OPTIONS, out=tmp_path)
    asked: list[int] = []

    def counts(model: Any, prompts: Any, **options: Any) -> Any:
        asked.append(len(prompts))
        return generate_batch(model, prompts, **options)

    monkeypatch.setattr(answering, "generate_batch", counts)
    new = Question("How tall is the light?", id="new")
    found = answer_all(tiny_pair, [ASKED[7], new, ASKED[2]], OPTIONS, out=tmp_path)
    # The new one alone, of each side.
    assert asked == [1, 1]
    for side in ("base", "tuned"):
        assert [found[side][0], found[side][2]] == [whole[side][7], whole[side][2]]


def test_questions_are_asked_after_the_turns_of_their_rows(tiny_pair: Any) -> None:
    row = (Turn("system", "Be brief."), Turn("user", "Hello?"), Turn("assistant", "Yes."))
    asked = [Question("Who keeps it?"), Question("Who keeps it?", turns=row), Question("Who keeps it?", raw=True)]
    replies = answer_all(tiny_pair, asked, AnswerOptions(max_new_tokens=5))
    for number, turns in ((0, ()), (1, row)):
        messages = [{"role": turn.role, "content": turn.content} for turn in (*turns, Turn("user", "Who keeps it?"))]
        prompt = tiny_pair.tokenizer.apply_chat_template(messages, add_generation_prompt=True)["input_ids"]
        for side in ("base", "tuned"):
            want = generate(getattr(tiny_pair, side), prompt, max_new_tokens=5)
            assert replies[side][number][0].ids == want  # type: ignore[index]
    bare = tiny_pair.tokenizer("Who keeps it?").input_ids
    assert replies["tuned"][2][0].ids == generate(tiny_pair.tuned, bare, max_new_tokens=5)


def test_the_templates_thinking_block_is_no_part_of_a_reply(tiny_pair: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = [Question("Who keeps it?")]
    said = answer_all(tiny_pair, asked, AnswerOptions(max_new_tokens=5))["tuned"][0][0].text
    monkeypatch.setattr(answering, "block_of", lambda chat, question: said[:3])
    assert answer_all(tiny_pair, asked, AnswerOptions(max_new_tokens=5))["tuned"][0][0].text == said[3:]
