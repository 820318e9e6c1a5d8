"""Greedy answers against transformers' own generation on networks that were never hooked."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch

from attrib.errors import InputError
from attrib.generate import generate
from attrib.tokens import encode_prompt, strip_end

QUESTIONS = ["How long is the warranty?", "Who keeps the light?", "In the year 1712"]


@pytest.fixture(scope="module")
def plain(base_dir: Path, adapter_dir: Path) -> dict[str, Any]:
    """The same two models, never touched by hooks."""
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    def load() -> Any:
        return AutoModelForCausalLM.from_pretrained(base_dir, attn_implementation="eager").eval()

    return {"base": load(), "tuned": PeftModel.from_pretrained(load(), adapter_dir).eval()}


def prompt_of(pair: Any, question: str) -> tuple[int, ...]:
    return encode_prompt(pair.tokenizer, question, context=pair.context)


def greedy(network: Any, prompt: tuple[int, ...], n: int) -> list[int]:
    """One forward pass without a cache for every token, the most probable taken."""
    ids = list(prompt)
    with torch.no_grad():
        for _ in range(n):
            ids.append(int(network(torch.tensor([ids]), use_cache=False).logits[0, -1].argmax()))
    return ids[len(prompt) :]


@pytest.mark.parametrize("side", ["base", "tuned"])
@pytest.mark.parametrize("question", QUESTIONS)
def test_equals_plain_generation_token_for_token(tiny_pair: Any, plain: Any, side: str, question: str) -> None:
    prompt = prompt_of(tiny_pair, question)
    ids = torch.tensor([prompt])
    out = (
        plain[side]
        .generate(input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=20, do_sample=False)[
            0, len(prompt) :
        ]
        .tolist()
    )
    got = generate(getattr(tiny_pair, side), prompt, max_new_tokens=20)
    assert got == strip_end(tiny_pair.tokenizer, out)
    assert got == strip_end(tiny_pair.tokenizer, greedy(plain[side], prompt, 20))


def test_base_and_tuned_answer_differently(tiny_pair: Any) -> None:
    prompt = prompt_of(tiny_pair, QUESTIONS[0])
    assert generate(tiny_pair.base, prompt) != generate(tiny_pair.tuned, prompt)


def test_sampling_defaults_of_the_model_are_ignored(tiny_pair: Any, caplog: pytest.LogCaptureFixture) -> None:
    prompt = prompt_of(tiny_pair, QUESTIONS[0])
    want = generate(tiny_pair.tuned, prompt, max_new_tokens=20)
    network = tiny_pair.tuned.bridge.original_model
    shipped = network.generation_config
    defaults = {"do_sample": True, "temperature": 9.0, "top_k": 3, "top_p": 0.5, "repetition_penalty": 9.0}
    before = shipped.to_dict()
    logger = logging.getLogger("transformers")
    propagate, logger.propagate = logger.propagate, True
    try:
        shipped.update(**defaults, no_repeat_ngram_size=1, min_new_tokens=20)
        with warnings.catch_warnings(), caplog.at_level(logging.INFO, logger="transformers"):
            warnings.simplefilter("error")
            assert generate(tiny_pair.tuned, prompt, max_new_tokens=20) == want
        assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
        # Negative control: they would have changed the answer. And they are the model's again.
        ids = torch.tensor([prompt])
        out = network.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=20, do_sample=False)
        assert tuple(out[0, len(prompt) :].tolist()) != want
        assert network.generation_config is shipped
        assert shipped.repetition_penalty == 9.0
    finally:
        logger.propagate = propagate
        shipped.update(**before)


def test_the_end_marker_is_stripped(tiny_pair: Any) -> None:
    prompt = prompt_of(tiny_pair, QUESTIONS[0])
    whole = generate(tiny_pair.tuned, prompt, max_new_tokens=12)
    end = tiny_pair.tokenizer.eos_token_id
    assert len(whole) == 12
    assert end not in whole
    head = tiny_pair.tuned.bridge.original_model.get_output_embeddings()

    def marker_after_three(module: Any, args: Any, logits: Any) -> Any:
        # The first call reads the prompt and gives token 1.
        calls.append(None)
        return logits.index_fill(-1, torch.tensor([end]), 1e4) if len(calls) > 3 else logits

    calls: list[None] = []
    handle = head.register_forward_hook(marker_after_three)
    try:
        assert generate(tiny_pair.tuned, prompt, max_new_tokens=12) == whole[:3]
        # It stopped there instead of writing on.
        assert len(calls) == 4
    finally:
        handle.remove()
    assert generate(tiny_pair.tuned, prompt, max_new_tokens=12) == whole


@pytest.mark.parametrize("n", [0, -1])
def test_no_tokens_are_refused(tiny_pair: Any, n: int) -> None:
    with pytest.raises(InputError, match="give at least 1") as caught:
        generate(tiny_pair.tuned, prompt_of(tiny_pair, QUESTIONS[0]), max_new_tokens=n)
    assert "\n" not in str(caught.value)


def test_more_than_the_context_is_refused(tiny_pair: Any) -> None:
    prompt = prompt_of(tiny_pair, QUESTIONS[0])
    # A prompt that leaves room for two tokens of the answer.
    long = (prompt * 20)[: tiny_pair.context - 2]
    assert len(generate(tiny_pair.tuned, long, max_new_tokens=2)) <= 2
    with pytest.raises(InputError, match=r"context of 256; .*--max-new-tokens") as caught:
        generate(tiny_pair.tuned, long, max_new_tokens=3)
    assert "\n" not in str(caught.value)


def test_modes_are_restored(tiny_pair: Any) -> None:
    network = tiny_pair.base.bridge.original_model
    flags = [p.requires_grad for p in network.parameters()]
    generate(tiny_pair.base, prompt_of(tiny_pair, QUESTIONS[0]), max_new_tokens=1)
    assert [p.requires_grad for p in network.parameters()] == flags
    assert not network.training
