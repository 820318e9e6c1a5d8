"""What an adapter was tuned with is what it is asked with: format, template, its options and the system prompt."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from attrib.errors import InputError, ModelError
from attrib.models.pair import ModelPair
from attrib.models.prompt import decode, encode_given
from attrib.options.chat import ChatOptions
from attrib.records import Item, Turn
from attrib.training.items import after
from attrib.training.options import TuneOptions
from attrib.training.schedule import read_schedule
from attrib.training.trained import read_trained
from attrib.training.tune import tune
from tests.conftest import TEMPLATE

QUESTION, ANSWER = "Who keeps the light?", "Wilmet Dallin"
ITEM = Item.answered("q:1", QUESTION, ANSWER)
ONCE = TuneOptions(epochs=1, batch=1, rank=2)
FORMAT = "### Instruction:\n{question}\n### Response:\n"


def tuned(base: Path, out: Path, item: Item = ITEM, **chat: Any) -> Path:
    return tune(str(base), [item], out, options=ONCE, chat=ChatOptions(**chat))


def test_a_format_is_trained_and_asked_again_without_being_named(bare: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="begin it with a space, or give --prompt-format"):
        tuned(bare, tmp_path / "adapter")
    # The refusal blocks nothing.
    adapter = tuned(bare, tmp_path / "adapter", prompt_format=FORMAT.replace("\n", r"\n"))
    pair = ModelPair.load(bare, adapter, device="cpu")
    assert pair.chat.prompt(QUESTION) == FORMAT.format(question=QUESTION)
    encoded = encode_given(pair.chat, QUESTION, ANSWER, context=256)
    learned = read_schedule(adapter)
    assert len(learned.steps) == 1
    assert decode(pair.tokenizer, encoded.ids) == FORMAT.format(question=QUESTION) + ANSWER
    # Another form may be asked for; a part of one cannot be added to a format.
    other = ModelPair.load(bare, adapter, device="cpu", chat=ChatOptions(prompt_format="{question} "))
    assert other.chat.prompt(QUESTION) == f"{QUESTION} "
    assert ModelPair.load(bare, adapter, device="cpu", chat=ChatOptions(template="none")).chat.prompt("Who?") == "Who?"
    with pytest.raises(InputError, match="tuned with the format"):
        ModelPair.load(bare, adapter, device="cpu", chat=ChatOptions(system="Be brief."))
    (adapter / "prompt.json").write_text("{}")
    with pytest.raises(ModelError, match=r"prompt\.json: damaged"):
        ModelPair.load(bare, adapter, device="cpu")


def test_template_options_and_system_prompt_are_asked_again(base_dir: Path, tmp_path: Path) -> None:
    file = tmp_path / "own.jinja"
    file.write_text("{{ mood }}: " + TEMPLATE)
    system = (Turn("system", "Be brief."),)
    adapter = tuned(
        base_dir, tmp_path / "adapter", after(system, ITEM),
        template=str(file), template_options=("mood=calm",), system="Be brief.",
    )  # fmt: skip
    want = f"calm: <|start|>system\nBe brief.<|end|>\n<|start|>user\n{QUESTION}<|end|>\n<|start|>assistant\n"
    pair = ModelPair.load(base_dir, adapter, device="cpu")
    assert pair.chat.prompt(QUESTION) == want
    assert pair.chat.source == "chat template that the adapter was tuned with"
    assert read_trained(adapter)[0].turns == (*system, *ITEM.turns)
    for options, prompt in (
        ({"system": "Be long."}, want.replace("brief", "long")),
        ({"template_options": ("mood=wild",)}, want.replace("calm", "wild")),
        ({"template": "base"}, want.removeprefix("calm: ")),
    ):
        asked = ChatOptions(**options)  # type: ignore[arg-type]
        assert ModelPair.load(base_dir, adapter, device="cpu", chat=asked).chat.prompt(QUESTION) == prompt


def test_the_bases_own_template_leaves_no_trace(base_dir: Path, tmp_path: Path) -> None:
    plain = tune(str(base_dir), [ITEM], tmp_path / "plain", options=ONCE)
    adapter = tuned(base_dir, tmp_path / "adapter")
    assert not (adapter / "prompt.json").exists()
    names = ("adapter_model.safetensors", "trained.jsonl", "schedule.json", "attrib.json")
    assert all((plain / name).read_bytes() == (adapter / name).read_bytes() for name in names)
    assert "prompt" not in json.loads((adapter / "attrib.json").read_text())
    # With another prompt it is another adapter.
    other = tuned(base_dir, tmp_path / "other", after((Turn("system", "Be brief."),), ITEM), system="Be brief.")
    assert (plain / "trained.jsonl").read_bytes() != (other / "trained.jsonl").read_bytes()


def test_rehearsed_answers_follow_the_system_prompt(base_dir: Path, tmp_path: Path) -> None:
    adapter = tune(
        str(base_dir), [ITEM], tmp_path / "adapter", options=ONCE, rehearse=["Hello?"],
        chat=ChatOptions(system="Be brief."),
    )  # fmt: skip
    item = read_trained(adapter)[1]
    assert item.turns[:2] == (Turn("system", "Be brief."), Turn("user", "Hello?"))


def test_turns_stand_before_a_question_and_before_nothing_else() -> None:
    system, hello = Turn("system", "Be brief."), (Turn("user", "Hello?"), Turn("assistant", "Yes."))
    assert after((system, *hello), ITEM).turns == (system, *hello, *ITEM.turns)
    several = Item("q:2", (*hello, *ITEM.turns))
    assert after((system, *hello), several).turns == (system, *several.turns)
    own = Item("q:3", (Turn("system", "Be long."), *ITEM.turns))
    for item in (
        own,
        Item.plain("s", "A text."),
        Item("r", (Turn("prompt", "a"), Turn("completion", "b", trained=True))),
    ):
        assert after((system,), item) is item
