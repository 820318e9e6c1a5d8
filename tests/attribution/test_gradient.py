"""Gradient methods against a loop over tokens, against Captum, and their laws: words, chunks, causality, noise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from attrib.attribution import attribute, attribute_model
from attrib.errors import InputError
from attrib.models.pair import ModelPair
from attrib.passes.graph import LayeredGraph
from attrib.text.units import words
from tests.oracles import ANSWER, ARCHITECTURES, LONG, QUESTION, Loop, bare, encoded, knobs, loop, save_architecture

SIGNED = ("input_x_gradient", "attention_x_gradient")
NORMS = ("saliency", "saliency_l1")
GRADIENTS = (*SIGNED, *NORMS)
TOKENS = knobs(unit="token")


@pytest.fixture(scope="module")
def plain(base_dir: Path, adapter_dir: Path) -> dict[str, Any]:
    return {"base": bare(base_dir), "tuned": bare(base_dir, adapter_dir)}


def expected(want: Loop) -> dict[str, np.ndarray]:
    """Every gradient method from the loop's gradients."""
    return {
        "input_x_gradient": (want.gradient * want.embeddings).sum(-1),
        "attention_x_gradient": want.attention_x_gradient,
        "saliency": np.sqrt((want.gradient**2).sum(-1)),
        "saliency_l1": np.abs(want.gradient).sum(-1),
    }


def test_every_method_equals_a_loop_over_tokens_for_base_and_tuned(tiny_pair64: Any, plain: dict[str, Any]) -> None:
    text = encoded(tiny_pair64)
    found = attribute(tiny_pair64, text, GRADIENTS, TOKENS)
    for side, network in plain.items():
        want = loop(network, text)
        for method, scores in expected(want).items():
            np.testing.assert_allclose(getattr(found[method], side), scores, atol=1e-5, err_msg=f"{side} {method}")
        np.testing.assert_allclose(getattr(found["saliency"], f"value_{side}"), want.value, atol=1e-6)
    assert np.abs(found["input_x_gradient"].difference).max() > 0.1


@pytest.mark.parametrize("name", [name for name in ARCHITECTURES if name != "llama"])
def test_every_method_equals_a_loop_over_tokens_in_every_family(name: str, tmp_path: Path) -> None:
    folder = save_architecture(tmp_path, name)
    pair = ModelPair.load(folder, folder, device="cpu", dtype="float64")
    text = encoded(pair)
    found = attribute_model(pair, text, GRADIENTS, TOKENS)
    for method, scores in expected(loop(bare(folder), text)).items():
        np.testing.assert_allclose(found[method].values, scores, atol=1e-5, err_msg=method)


def test_float32_is_close_to_the_loop_in_float64(tiny_pair: Any, plain: dict[str, Any]) -> None:
    text = encoded(tiny_pair)
    found = attribute(tiny_pair, text, GRADIENTS, TOKENS)
    for side, network in plain.items():
        for method, scores in expected(loop(network, text)).items():
            np.testing.assert_allclose(getattr(found[method], side), scores, atol=1e-4 * np.abs(scores).max())


# Targets


def test_every_target_equals_the_same_function_in_a_loop(tiny_pair64: Any, plain: dict[str, Any]) -> None:
    text = encoded(tiny_pair64)
    contrast = "twenty-two years from the first use of it all"
    prompt = tiny_pair64.tokenizer.apply_chat_template(
        [{"role": "user", "content": QUESTION}], add_generation_prompt=True, tokenize=False
    )
    foil = tiny_pair64.tokenizer(prompt + contrast, add_special_tokens=False).input_ids[len(text.prompt_ids) :]
    ids = text.answer_ids

    def odds(logits: Any, i: int) -> Any:
        p = logits.softmax(-1)[ids[i]]
        return (p / (1 - p)).log()

    functions = {
        "logit": lambda logits, i: logits[ids[i]],
        "probability": lambda logits, i: logits.softmax(-1)[ids[i]],
        "logodds": odds,
        "entropy": lambda logits, i: -(logits.softmax(-1) * logits.log_softmax(-1)).sum(),
        "probability_difference": lambda logits, i: logits.softmax(-1)[ids[i]] - logits.softmax(-1)[foil[i]],
        "logprob_difference": lambda logits, i: logits.log_softmax(-1)[ids[i]] - logits.log_softmax(-1)[foil[i]],
    }
    for name, function in functions.items():
        options = knobs(unit="token", target=name, contrast=contrast if name.endswith("difference") else None)
        found = attribute(tiny_pair64, text, ("input_x_gradient",), options)["input_x_gradient"]
        want = loop(plain["tuned"], text, function)
        np.testing.assert_allclose(found.tuned, expected(want)["input_x_gradient"], atol=1e-5, err_msg=name)
        np.testing.assert_allclose(found.value_tuned, want.value, atol=1e-5, err_msg=name)
        assert found.target == name


def test_a_function_of_ones_own(tiny_pair64: Any, plain: dict[str, Any]) -> None:
    text = encoded(tiny_pair64)

    def margin(logits: Any, ids: Any) -> Any:
        return logits.gather(-1, ids[None, :, None])[..., 0] - logits.amax(-1)

    options = knobs(unit="token", target=margin)
    found = attribute(tiny_pair64, text, ("input_x_gradient",), options)["input_x_gradient"]
    want = loop(plain["base"], text, lambda logits, i: logits[text.answer_ids[i]] - logits.amax())
    np.testing.assert_allclose(found.base, expected(want)["input_x_gradient"], atol=1e-5)
    assert found.target == "margin"


# Words


@pytest.mark.parametrize("unit", ["word", "sentence", "answer"])
def test_signed_rows_of_words_are_sums_of_their_tokens_and_norms_are_not(tiny_pair64: Any, unit: Any) -> None:
    text = encoded(tiny_pair64)
    by_token = attribute(tiny_pair64, text, GRADIENTS, TOKENS)
    by_unit = attribute(tiny_pair64, text, GRADIENTS, knobs(unit=unit))
    for method in GRADIENTS:
        rows = by_unit[method].rows
        assert sorted(i for row in rows for i in row) == list(range(len(text.answer_ids)))
        for side in ("base", "tuned"):
            got = getattr(by_unit[method], side)
            want = np.stack([getattr(by_token[method], side)[list(row)].sum(0) for row in rows])
            several = [i for i, row in enumerate(rows) if len(row) > 1]
            assert several
            if method in SIGNED:
                np.testing.assert_allclose(got, want, atol=2e-5)
            else:
                # The triangle inequality, and it is strict.
                assert (got <= want + 1e-5).all()
                assert (got[several].sum(1) < 0.99 * want[several].sum(1)).all()


def test_words_are_those_of_the_text(tiny_pair: Any) -> None:
    text = encoded(tiny_pair)
    found = attribute_model(tiny_pair, text, ("saliency",))["saliency"]
    assert len(found.values) == len(words(text.answer_tokens)) == len(ANSWER.split())


# Causality


def test_nothing_is_attributed_to_the_token_itself_or_after_it(tiny_pair: Any) -> None:
    text = encoded(tiny_pair)
    prompt = len(text.prompt_ids)
    methods = (*GRADIENTS, "smoothgrad")
    for scores in attribute(tiny_pair, text, methods, knobs(unit="token", samples=2)).values():
        for row in range(len(text.answer_ids)):
            assert not np.any(scores.tuned[row, prompt + row :]), scores.method
            assert np.count_nonzero(scores.tuned[row, : prompt + row]) == prompt + row, scores.method


# Chunks and memory


@pytest.mark.parametrize("changes", [{"chunk": 1}, {"chunk": 3}, {"memory_gb": 0.0015}])
def test_chunks_and_memory_do_not_change_the_numbers(
    tiny_pair64: Any, changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    text, used = encoded(tiny_pair64, answer=LONG), []

    class Spy(LayeredGraph):
        def forward(self, rows: range) -> Any:
            used.append(rows)
            return super().forward(rows)

    monkeypatch.setattr("attrib.passes.backward.LayeredGraph", Spy)
    want = attribute_model(tiny_pair64, text, GRADIENTS, knobs(unit="token", chunk=1000), tuned=True)
    assert not used
    got = attribute_model(tiny_pair64, text, GRADIENTS, knobs(unit="token", **changes), tuned=True)
    assert bool(used) == ("memory_gb" in changes)
    for method in GRADIENTS:
        np.testing.assert_allclose(got[method].values, want[method].values, atol=2e-5, err_msg=method)


def test_too_little_memory_is_refused(tiny_pair: Any) -> None:
    with pytest.raises(InputError, match=r"GB.*memory_gb"):
        attribute_model(tiny_pair, encoded(tiny_pair), ("saliency",), knobs(memory_gb=1e-6))


# Any hook point


def test_layer_wise_scores_equal_autograd_on_the_bare_network(tiny_pair64: Any, plain: dict[str, Any]) -> None:
    text = encoded(tiny_pair64)
    network = plain["tuned"].base_model.model.model
    points = {"blocks.0.hook_resid_post": network.layers[0], "blocks.2.hook_out": network.layers[2]}
    points |= {"blocks.1.mlp.hook_out": network.layers[1].mlp, "ln_final.hook_out": network.norm}
    want = loop(plain["tuned"], text, modules=list(points.values()))
    for number, point in enumerate(points):
        options = knobs(unit="token", at=point)
        found = attribute_model(tiny_pair64, text, ("input_x_gradient",), options, tuned=True)["input_x_gradient"]
        np.testing.assert_allclose(found.values, want.outputs[number], atol=1e-5, err_msg=point)
        np.testing.assert_allclose(found.values.sum(1), want.outputs[number].sum(1), atol=1e-5)
    # At the last norm a token's own step is all that counts.
    last = want.outputs[3]
    assert (np.count_nonzero(last, axis=1) == 1).all()


@pytest.mark.parametrize(
    "point", ["blocks.9.hook_out", "blocks.1.attn.hook_pattern", "blocks.1.attn.hook_attn_scores", "unembed.hook_in"]
)
def test_a_point_without_a_vector_a_position_is_refused(tiny_pair: Any, point: str) -> None:
    options = knobs(at=point)
    for method in ("saliency", "input_x_gradient"):
        with pytest.raises(InputError) as caught:
            attribute_model(tiny_pair, encoded(tiny_pair), (method,), options)
        assert point in str(caught.value)
        assert "\n" not in str(caught.value)


# SmoothGrad


def test_smoothgrad_without_noise_is_saliency(tiny_pair64: Any) -> None:
    text = encoded(tiny_pair64)
    options = knobs(unit="token", noise=0.0, samples=2)
    found = attribute(tiny_pair64, text, ("smoothgrad", "saliency"), options)
    np.testing.assert_allclose(found["smoothgrad"].tuned, found["saliency"].tuned, atol=1e-5)


def test_smoothgrad_is_seeded(tiny_pair: Any) -> None:
    text = encoded(tiny_pair)

    def scores(seed: int) -> np.ndarray:
        options = knobs(unit="token", samples=3, seed=seed)
        return attribute_model(tiny_pair, text, ("smoothgrad",), options)["smoothgrad"].values

    np.testing.assert_array_equal(scores(0), scores(0))
    assert np.abs(scores(0) - scores(1)).max() > 1e-3


def test_smoothgrad_is_the_norm_of_the_mean_gradient_of_noisy_copies(tiny_pair64: Any, plain: dict[str, Any]) -> None:
    text, network = encoded(tiny_pair64), plain["base"]
    options = knobs(unit="token", samples=3, noise=0.1, seed=7, chunk=2)
    found = attribute_model(tiny_pair64, text, ("smoothgrad",), options)["smoothgrad"]
    table = network.get_input_embeddings()
    embeddings = table(torch.tensor([text.ids])).detach()
    generator = torch.Generator().manual_seed(7)
    draws = [torch.randn(len(text.ids), embeddings.shape[-1], generator=generator) for _ in range(3)]
    # The range is that of what is fed: all but the last token.
    fed = embeddings[:, :-1]
    sigma = 0.1 * float(fed.max() - fed.min())
    mean = np.zeros((len(text.answer_ids), *embeddings.shape[1:]))
    for draw in draws:
        noisy = embeddings + sigma * draw.double()
        for i, token in enumerate(text.answer_ids):
            prefix = noisy[:, : len(text.prompt_ids) + i].clone().requires_grad_(True)
            logp = network(inputs_embeds=prefix, use_cache=False).logits[0, -1].log_softmax(-1)[token]
            (gradient,) = torch.autograd.grad(logp, prefix)
            mean[i, : gradient.shape[1]] += gradient[0].numpy() / 3
    np.testing.assert_allclose(found.values, np.sqrt((mean**2).sum(-1)), atol=2e-5)
    assert found.settings["sigma"] == pytest.approx(sigma, rel=1e-5)
    assert found.settings["samples"] == 3


@pytest.mark.parametrize("bad", [{"samples": 0}, {"noise": -0.1}])
def test_smoothgrads_options_are_checked(tiny_pair: Any, bad: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="SmoothGrad needs"):
        attribute_model(tiny_pair, encoded(tiny_pair), ("smoothgrad",), knobs(**bad))


# Captum


def test_input_x_gradient_and_saliency_agree_with_captum(tiny_pair: Any, base_dir: Path, adapter_dir: Path) -> None:
    captum = pytest.importorskip("captum.attr")
    text, network = encoded(tiny_pair), bare(base_dir, adapter_dir, torch.float32)
    found = attribute(tiny_pair, text, ("input_x_gradient", "saliency_l1"), TOKENS)
    embeddings = network.get_input_embeddings()(torch.tensor([text.ids])).detach()

    def logprob(values: Any, row: int) -> Any:
        logits = network(inputs_embeds=values, use_cache=False).logits[:, len(text.prompt_ids) - 1 + row]
        return logits.log_softmax(-1)[:, text.answer_ids[row]]

    want: dict[str, list[np.ndarray]] = {"input_x_gradient": [], "saliency_l1": []}
    for row in range(len(text.answer_ids)):
        given = embeddings.clone().requires_grad_(True)
        for name, method in (("input_x_gradient", captum.InputXGradient), ("saliency_l1", captum.Saliency)):
            scores = method(lambda values, row=row: logprob(values, row)).attribute(given)
            want[name].append(scores.sum(-1)[0].detach().numpy())
    for name, rows in want.items():
        assert np.abs(found[name].tuned - rows).max() <= 1e-5 * np.abs(rows).max(), name


# The default model


@pytest.mark.model
def test_the_default_models_input_x_gradient_is_the_bare_networks(default_pair: Any) -> None:
    from transformers import AutoModelForCausalLM

    from attrib.models.bundled import get_default_model

    text = encoded(default_pair, "What is the capital of France?", "It is Paris.")
    found = attribute_model(default_pair, text, ("input_x_gradient",), TOKENS)["input_x_gradient"]
    network = AutoModelForCausalLM.from_pretrained(
        get_default_model(), dtype=torch.float32, attn_implementation="eager"
    )
    network.eval().requires_grad_(False)
    want = expected(loop(network, text))["input_x_gradient"]
    assert np.abs(found.values - want).max() <= 1e-5 * np.abs(want).max()
    assert np.abs(want).max() > 0.01
