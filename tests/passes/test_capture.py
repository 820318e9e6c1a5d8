"""Capture against a per-token loop in float64, and the laws of attention, chunks and hooks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from attrib.errors import InputError
from attrib.models.prompt import encode, encode_answer, encode_prompt
from attrib.passes.capture import CaptureOptions, capture, capture_items
from attrib.records import Item

QUESTION, ANSWER = "How long is the warranty?", "thirty-six months, for the keeper"


def encoded(pair: Any, question: str = QUESTION, answer: str = ANSWER) -> Any:
    prompt = encode_prompt(pair.chat, question, context=pair.context)
    ids = encode_answer(pair.chat, question, prompt, answer)
    return encode(pair.tokenizer, prompt, ids, context=pair.context)


@pytest.fixture(scope="module")
def plain(base_dir: Path, adapter_dir: Path) -> dict[str, Any]:
    """The same two models in float64, never touched by hooks."""
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    def load() -> Any:
        return AutoModelForCausalLM.from_pretrained(base_dir, dtype=torch.float64, attn_implementation="eager").eval()

    return {"base": load(), "tuned": PeftModel.from_pretrained(load(), adapter_dir).double().eval()}


def loop(network: Any, text: Any) -> dict[str, np.ndarray]:
    """One forward for every answer token, each on its own prefix."""
    out: dict[str, list[Any]] = {"logprob": [], "rank": [], "entropy": [], "attention": []}
    total = len(text.ids)
    for i, token in enumerate(text.answer_ids):
        prefix = torch.tensor([text.ids[: len(text.prompt_ids) + i]])
        with torch.no_grad():
            result = network(prefix, output_attentions=True, use_cache=False)
        logprobs = result.logits[0, -1].log_softmax(-1)
        pad = total - prefix.shape[1]
        out["logprob"].append(logprobs[token].item())
        out["rank"].append(int((logprobs > logprobs[token]).sum()))
        out["entropy"].append(-(logprobs.exp() * logprobs).sum().item())
        mean = torch.stack([a[0, :, -1] for a in result.attentions]).mean((0, 1))
        out["attention"].append(np.pad(mean.detach().numpy(), (0, pad)))
    return {key: np.array(value) for key, value in out.items()}


@pytest.mark.parametrize("side", ["base", "tuned"])
def test_one_pass_equals_a_loop_over_tokens_in_float64(tiny_pair64: Any, plain: Any, side: str) -> None:
    text = encoded(tiny_pair64)
    got, want = capture(getattr(tiny_pair64, side), text), loop(plain[side], text)
    for name, array in want.items():
        np.testing.assert_allclose(getattr(got, name), array, atol=1e-5, rtol=1e-6, err_msg=name)


def test_float32_is_within_1e4_of_float64(tiny_pair: Any, plain: Any) -> None:
    text = encoded(tiny_pair)
    got, want = capture(tiny_pair.tuned, text), loop(plain["tuned"], text)
    for name in ("logprob", "entropy", "attention"):
        np.testing.assert_allclose(getattr(got, name), want[name], atol=1e-4, err_msg=name)


def test_base_and_tuned_differ(tiny_pair: Any) -> None:
    text = encoded(tiny_pair)
    assert np.abs(capture(tiny_pair.base, text).logprob - capture(tiny_pair.tuned, text).logprob).max() > 0.1


def test_every_row_of_attention_sums_to_one_before_reduction(tiny_pair: Any) -> None:
    got = capture(tiny_pair.tuned, encoded(tiny_pair), CaptureOptions(heads=True))
    np.testing.assert_allclose(got.heads.sum(-1), 1, atol=1e-5)
    np.testing.assert_allclose(got.heads.mean((0, 1)), got.attention, atol=1e-6)


def test_hooks_and_modes_are_restored_after_an_exception(tiny_pair: Any) -> None:
    text = encoded(tiny_pair)
    want = capture(tiny_pair.tuned, text).logprob
    bridge = tiny_pair.base.bridge
    network = bridge.original_model
    network.train()
    flags = [p.requires_grad for p in network.parameters()]

    def boom(value: Any, hook: Any) -> None:
        raise RuntimeError("boom")

    def half_way() -> None:
        with tiny_pair.base.active() as inside, inside.hooks(fwd_hooks=[("blocks.1.hook_resid_post", boom)]):
            assert not network.training
            inside(torch.tensor([text.ids]), use_cache=False)

    try:
        with pytest.raises(RuntimeError, match="boom"):
            half_way()
        assert network.training
        assert [p.requires_grad for p in network.parameters()] == flags
        assert not any(point.fwd_hooks or point.bwd_hooks for point in bridge.hook_dict.values())
    finally:
        network.eval()
    # The adapter, switched off for base, is on again.
    np.testing.assert_array_equal(capture(tiny_pair.tuned, text).logprob, want)


def test_a_record_beyond_the_budget_is_refused_with_the_mend(tiny_pair: Any) -> None:
    with pytest.raises(InputError, match=r"GB.*memory_gb"):
        capture(tiny_pair.tuned, encoded(tiny_pair), CaptureOptions(heads=True, memory_gb=1e-6))


def test_unknown_layers_are_refused(tiny_pair: Any) -> None:
    with pytest.raises(InputError, match="layers 0 to 2"):
        capture(tiny_pair.tuned, encoded(tiny_pair), CaptureOptions(layers=(7,)))


def test_a_texts_capture_does_not_depend_on_its_batch(tiny_pair: Any) -> None:
    texts = ["The warranty", "Who keeps the light? In the year 1712 it was 38 metres tall.", "thirty-six months"]
    together = capture_items(tiny_pair.tuned, [Item.plain("", text) for text in texts], 1, batch_tokens=1000)
    for text, got in zip(texts, together, strict=True):
        (alone,) = capture_items(tiny_pair.tuned, [Item.plain("", text)], 1)
        assert got.logprob == pytest.approx(alone.logprob, abs=1e-4)
        np.testing.assert_allclose(got.states.astype(float), alone.states.astype(float), atol=2e-3)
        assert [text[a:b] for a, b in zip(got.starts, got.ends, strict=True)] != [""] * len(got.starts)
    assert together[0].logprob != pytest.approx(together[2].logprob, abs=1e-2)


def test_a_texts_log_prob_is_the_networks_own(tiny_pair64: Any, plain: Any) -> None:
    text = "The keeper of the light"
    (got,) = capture_items(tiny_pair64.base, [Item.plain("", text)], 0)
    ids = torch.tensor([tiny_pair64.tokenizer(text).input_ids])
    with torch.no_grad():
        logprobs = plain["base"](ids).logits[0, :-1].log_softmax(-1)
    want = logprobs.gather(1, ids[0, 1:, None]).sum().item()
    assert got.logprob == pytest.approx(want, abs=1e-3)
    assert got.tokens == ids.shape[1] - 1
