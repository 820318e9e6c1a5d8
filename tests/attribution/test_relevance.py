"""Relevance: each rule in closed form, whole models against plain forwards with detached factors, conservation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from attrib.attribution import make_job, relevance
from attrib.attribution.gradient import differentiated, times_value
from attrib.attribution.job import AttributionJob, MethodScores
from attrib.attribution.relevance import Kind, attnlrp, fixed_attention, propagated, rules
from attrib.errors import ModelError
from attrib.models.pair import ModelPair
from attrib.models.prompt import Encoded
from attrib.options.methods import EMBEDDINGS
from attrib.passes.backward import backpropagate
from attrib.passes.forward import logits_at
from attrib.passes.plan import plan
from attrib.text.units import units
from tests.conftest import save_model, tiny_tokenizer
from tests.oracles import ARCHITECTURES, QUESTION, bare, encoded, knobs, save_architecture

KINDS: tuple[Kind, Kind] = (attnlrp, fixed_attention)


def job_of(pair: Any, text: Encoded, *, tuned: bool = False, **options: Any) -> AttributionJob:
    given = knobs(**{"unit": "token", "target": "logit", **options})
    return make_job(pair, text, units(text.answer_tokens, given.unit), given, tuned=tuned)


def scores_of(job: AttributionJob, kind: Kind = attnlrp) -> MethodScores:
    return propagated(job, {"relevance": kind})["relevance"]


def gap_of(scores: MethodScores) -> np.ndarray:
    assert scores.gap is not None
    return scores.gap


def gradient_times_input(job: AttributionJob) -> np.ndarray:
    """The same without rules."""
    return differentiated(job, {"plain": times_value})["plain"].values


def small_budget(job: AttributionJob) -> AttributionJob:
    """The same with just too little memory to keep a whole graph."""
    lengths = [job.prompt + i for i in range(len(job.rows))]
    for step in range(400):
        small = replace(job, options=replace(job.options, memory_gb=0.05 * 0.97**step))
        if all(group.layered for group in plan(small.inputs(), lengths, 1)):
            return small
    raise AssertionError("no budget makes the plan run blocks again")


# Each rule in closed form


def leaf(seed: int, *shape: int) -> Any:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, dtype=torch.float64, generator=generator).requires_grad_(True)


def pulled(y: Any, inputs: list[Any], seed: Any) -> list[np.ndarray]:
    return [g.numpy() for g in torch.autograd.grad(y, inputs, seed, retain_graph=True)]


def close(got: Any, want: Any) -> None:
    np.testing.assert_allclose(np.asarray(got), want.detach().numpy(), rtol=1e-12, atol=1e-14)


def test_a_halved_factor_keeps_its_value_and_half_its_gradient() -> None:
    x, seed = leaf(0, 3, 4), leaf(1, 3, 4).detach()
    y = relevance._Scaled.apply(x)
    assert torch.equal(y, x)
    close(pulled(y, [x], seed)[0], seed / 2)


def test_a_gated_product_gives_half_to_each_factor_through_the_slope_of_the_activation() -> None:
    gate, up, seed = leaf(0, 3, 4), leaf(1, 3, 4), leaf(2, 3, 4).detach()
    product = functional.silu(gate) * up
    y = relevance._Product.apply(gate, up, product.detach())
    assert torch.equal(y, product)
    by_gate, by_up = pulled(y, [gate, up], seed)
    # silu(x) / x is the logistic function.
    close(by_gate, seed * up * torch.sigmoid(gate) / 2)
    close(by_up, seed * functional.silu(gate) / 2)
    close(gate.detach().numpy() * by_gate + up.detach().numpy() * by_up, seed * product)


def test_an_activation_has_the_slope_of_the_line_to_the_origin() -> None:
    x, seed = leaf(0, 3, 4), leaf(1, 3, 4).detach()
    y = relevance._Slope.apply(x, functional.gelu(x).detach(), 0.0, False)
    close(pulled(y, [x], seed)[0], seed * functional.gelu(x) / x)


def test_a_norm_counts_as_its_scale() -> None:
    x, weight, seed = leaf(0, 3, 8), leaf(1, 8).detach(), leaf(2, 3, 8).detach()
    y = functional.rms_norm(x, (8,), weight, 1e-6)
    got = pulled(relevance._Slope.apply(x, y.detach(), 0.0, False), [x], seed)[0]
    close(got, seed * weight / (x.square().mean(-1, keepdim=True) + 1e-6).sqrt())
    # Its own gradient has no relevance to hand on: a norm does not change with the size of its input.
    np.testing.assert_allclose((x.detach().numpy() * pulled(y, [x], seed)[0]).sum(-1), 0, atol=1e-5)
    close((x.detach().numpy() * got).sum(-1), (seed * y).sum(-1))


def test_a_layer_norm_is_centred_and_its_bias_takes_its_own_share() -> None:
    x, weight, bias, seed = leaf(0, 3, 8), leaf(1, 8).detach(), leaf(2, 8).detach(), leaf(3, 3, 8).detach()
    y = functional.layer_norm(x, (8,), weight, bias, 1e-5)
    got = pulled(relevance._Slope.apply(x, y.detach(), bias, True), [x], seed)[0]
    back = seed * weight / (x.var(-1, unbiased=False, keepdim=True) + 1e-5).sqrt()
    close(got, back - back.mean(-1, keepdim=True))
    close((x.detach().numpy() * got).sum(-1), (seed * (y - bias)).sum(-1))


def test_capped_logits_hand_on_their_value() -> None:
    cap = 3.0
    x, seed = (6 * leaf(0, 3, 4)).detach().requires_grad_(True), leaf(1, 3, 4).detach()
    y = cap * torch.tanh(relevance._Capped.apply(x, cap) / cap)
    assert torch.equal(y, cap * torch.tanh(x / cap))
    close(pulled(y, [x], seed)[0] * x.detach().numpy(), seed * y)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_capped_logits_that_saturate_stay_finite(dtype: torch.dtype) -> None:
    x = torch.tensor([-1e6, -60.0, 0.0, 60.0, 1e6], dtype=dtype, requires_grad=True)
    (gradient,) = torch.autograd.grad(torch.tanh(relevance._Capped.apply(x, 1.0)).sum(), x)
    assert bool(gradient.isfinite().all())
    assert gradient[2] == 1


def test_nothing_comes_back_from_a_zero() -> None:
    x = torch.tensor([0.0, 1e-320, 1.0], dtype=torch.float64, requires_grad=True)
    up = torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64, requires_grad=True)
    product = relevance._Product.apply(x, up, (functional.silu(x) * up).detach())
    slope = relevance._Slope.apply(x, functional.relu(x).detach(), 0.0, False)
    for gradient in torch.autograd.grad((product + slope).sum(), [x, up]):
        assert bool(gradient.isfinite().all())
        assert gradient[0] == 0


def test_rules_are_batched_like_any_gradient() -> None:
    x, up, seeds = leaf(0, 3, 8), leaf(1, 3, 8), leaf(2, 5, 3, 8).detach()
    y = relevance._Scaled.apply(relevance._Product.apply(x, up, (functional.silu(x) * up).detach()))
    y = relevance._Slope.apply(y, functional.layer_norm(y, (8,)).detach(), 0.0, True)
    y = torch.tanh(relevance._Capped.apply(y, 1.0))
    together = torch.autograd.grad(y, [x, up], seeds, is_grads_batched=True, retain_graph=True)
    for i, seed in enumerate(seeds):
        for batched, one in zip(together, torch.autograd.grad(y, [x, up], seed, retain_graph=True), strict=True):
            torch.testing.assert_close(batched[i], one)


# Whole models against plain forwards


def half(value: Any) -> Any:
    return value / 2 + (value / 2).detach()


def rms(x: Any, weight: Any, eps: float) -> Any:
    return x * (weight / (x.square().mean(-1, keepdim=True) + eps).sqrt()).detach()


def layer_norm(x: Any, weight: Any, bias: Any, eps: float) -> Any:
    x = x - x.mean(-1, keepdim=True)
    return x * (weight / (x.square().mean(-1, keepdim=True) + eps).sqrt()).detach() + bias


def through(function: Callable[[Any], Any], x: Any) -> Any:
    return x * (function(x) / x).detach()


def attend(q: Any, k: Any, v: Any, kind: Kind) -> Any:
    """[head, position, d_head] each."""
    n = q.shape[1]
    seen = half(q @ k.transpose(-1, -2)) / q.shape[-1] ** 0.5
    seen = seen.masked_fill(torch.ones(n, n, dtype=torch.bool).triu(1), float("-inf")).softmax(-1)
    return seen.detach() @ v if kind == fixed_attention else half(seen @ v)


def turned(x: Any, base: float) -> Any:
    """Rotary positions: the two halves of a head are the coordinates of d_head / 2 planes."""
    planes = x.shape[-1] // 2
    angle = torch.arange(x.shape[1])[:, None].double() / base ** (torch.arange(planes).double() / planes)
    a, b = x[..., :planes], x[..., planes:]
    return torch.cat([a * angle.cos() - b * angle.sin(), b * angle.cos() + a * angle.sin()], -1)


def heads(x: Any, n: int) -> Any:
    return x.view(len(x), n, -1).transpose(0, 1)


def plain_llama(network: Any, x: Any, kind: Kind) -> Any:
    """Embeddings [position, d_model] → logits; Qwen 3 is a Llama whose queries and keys have a norm each."""
    config, w = network.config, dict(network.named_parameters())
    eps, theta = config.rms_norm_eps, config.rope_parameters["rope_theta"]
    groups = config.num_attention_heads // config.num_key_value_heads
    for i in range(config.num_hidden_layers):
        p = f"model.layers.{i}."
        y = rms(x, w[p + "input_layernorm.weight"], eps)
        q, k, v = (y @ w[f"{p}self_attn.{name}_proj.weight"].T for name in "qkv")
        q, k = heads(q, config.num_attention_heads), heads(k, config.num_key_value_heads)
        if p + "self_attn.q_norm.weight" in w:
            q, k = (rms(x, w[f"{p}self_attn.{n}_norm.weight"], eps) for x, n in ((q, "q"), (k, "k")))
        q, k = turned(q, theta), turned(k, theta).repeat_interleave(groups, 0)
        v = heads(v, config.num_key_value_heads).repeat_interleave(groups, 0)
        z = attend(q, k, v, kind).transpose(0, 1).flatten(1)
        x = x + z @ w[p + "self_attn.o_proj.weight"].T
        y = rms(x, w[p + "post_attention_layernorm.weight"], eps)
        gate, up = (y @ w[f"{p}mlp.{name}_proj.weight"].T for name in ("gate", "up"))
        x = x + half(through(functional.silu, gate) * up) @ w[p + "mlp.down_proj.weight"].T
    return rms(x, w["model.norm.weight"], eps) @ network.lm_head.weight.T


def plain_gpt2(network: Any, x: Any, kind: Kind) -> Any:
    """Embeddings [position, d_model] without positions → logits; layer norms, biases, one matrix for q, k and v."""
    config, w = network.config, dict(network.named_parameters())
    eps = config.layer_norm_epsilon

    def norm(x: Any, name: str) -> Any:
        return layer_norm(x, w[f"{name}.weight"], w[f"{name}.bias"], eps)

    def linear(x: Any, name: str) -> Any:
        return x @ w[f"{name}.weight"] + w[f"{name}.bias"]

    x = x + w["transformer.wpe.weight"][: len(x)]
    for i in range(config.n_layer):
        p = f"transformer.h.{i}."
        q, k, v = linear(norm(x, p + "ln_1"), p + "attn.c_attn").split(config.n_embd, -1)
        q, k, v = (heads(part, config.n_head) for part in (q, k, v))
        z = attend(q, k, v, kind).transpose(0, 1).flatten(1)
        x = x + linear(z, p + "attn.c_proj")
        inner = linear(norm(x, p + "ln_2"), p + "mlp.c_fc")
        x = x + linear(through(lambda t: functional.gelu(t, approximate="tanh"), inner), p + "mlp.c_proj")
    return norm(x, "transformer.ln_f") @ network.lm_head.weight.T


def reference(network: Any, forward: Callable[[Any, Any, Kind], Any], text: Encoded, kind: Kind) -> np.ndarray:
    """Relevance of each token's logit, [answer, position], one prefix and one backward a token."""
    out = np.zeros((len(text.answer_ids), len(text.ids)))
    for i, token in enumerate(text.answer_ids):
        ids = torch.tensor(text.ids[: len(text.prompt_ids) + i])
        x = network.get_input_embeddings().weight[ids].detach().requires_grad_(True)
        logits = forward(network, x, kind)
        with torch.no_grad():
            torch.testing.assert_close(logits, network(ids[None]).logits[0], atol=1e-5, rtol=1e-5)
        (gradient,) = torch.autograd.grad(logits[-1, token], x)
        out[i, : len(ids)] = (gradient * x.detach()).sum(-1).numpy()
    return out


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("side", ["base", "tuned"])
def test_base_and_tuned_llamas_equal_a_plain_forward(
    tiny_pair64: Any, base_dir: Path, adapter_dir: Path, side: str, kind: Kind
) -> None:
    network = bare(base_dir) if side == "base" else bare(base_dir, adapter_dir).merge_and_unload()
    job = job_of(tiny_pair64, encoded(tiny_pair64), tuned=side == "tuned")
    want = reference(network, plain_llama, job.encoded, kind)
    np.testing.assert_allclose(scores_of(job, kind).values, want, atol=1e-5)
    assert np.abs(want).max() > 0.1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("name", "forward"), [("gpt2", plain_gpt2), ("qwen3", plain_llama)])
def test_other_families_equal_a_plain_forward(tmp_path: Path, name: str, forward: Any, kind: Kind) -> None:
    folder = save_architecture(tmp_path, name)
    pair = ModelPair.load(folder, folder, device="cpu", dtype="float64")
    job = job_of(pair, encoded(pair))
    want = reference(bare(folder), forward, job.encoded, kind)
    np.testing.assert_allclose(scores_of(job, kind).values, want, atol=1e-5)
    assert np.abs(want).max() > 0.1


# Conservation


@pytest.fixture(scope="module", params=ARCHITECTURES)
def unbiased(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A pair of one architecture, in which nothing but the tokens' embeddings adds to anything."""
    from transformers import AutoModelForCausalLM

    folder = save_architecture(tmp_path_factory.mktemp(request.param), request.param)
    network = AutoModelForCausalLM.from_pretrained(folder)
    for name, parameter in network.named_parameters():
        if name.endswith(".bias") or "wpe" in name:
            parameter.data.zero_()
    network.save_pretrained(folder)
    return ModelPair.load(folder, folder, device="cpu", dtype="float64")


@pytest.mark.parametrize("point", [EMBEDDINGS, "blocks.0.hook_out", "blocks.1.hook_out"])
def test_with_fixed_attention_relevance_is_the_logit_in_every_family(unbiased: Any, point: str) -> None:
    job = job_of(unbiased, encoded(unbiased), at=point)
    scores = scores_of(job, fixed_attention)
    logit = reference_logits(unbiased, job.encoded)
    np.testing.assert_allclose(scores.values.sum(1), logit, atol=1e-5)
    np.testing.assert_allclose(gap_of(scores), 0, atol=1e-5)
    assert np.abs(logit).max() > 0.5
    # Without the rules nothing of the kind holds.
    assert np.abs(gradient_times_input(job).sum(1) - logit).max() > 0.1


def reference_logits(pair: Any, text: Encoded) -> np.ndarray:
    network = pair.base.bridge.original_model
    with torch.no_grad():
        logits = network(torch.tensor([text.ids[:-1]])).logits[0, len(text.prompt_ids) - 1 :]
    return np.array([row[token].item() for row, token in zip(logits, text.answer_ids, strict=True)])


def test_attention_scores_are_where_relevance_is_not_conserved(unbiased: Any) -> None:
    job = job_of(unbiased, encoded(unbiased))
    assert np.abs(gap_of(scores_of(job))).max() > 1e-3


@pytest.mark.parametrize("target", ["logit", "logprob", "logodds", "entropy"])
def test_the_gap_is_the_sum_less_what_relevance_started_from(tiny_pair64: Any, target: str) -> None:
    job = job_of(tiny_pair64, encoded(tiny_pair64), target=target, unit="word")
    scores = scores_of(job)
    start = starts(tiny_pair64, job, target)
    np.testing.assert_allclose(gap_of(scores), scores.values.sum(1) - job.by_row(start), atol=1e-5)
    assert np.abs(gap_of(scores)).max() > 1e-3
    # What it starts from does not depend on the rules, and is conserved where attention is fixed.
    fixed = scores_of(job, fixed_attention)
    np.testing.assert_allclose(fixed.values.sum(1), job.by_row(start), atol=1e-5)


def starts(pair: Any, job: AttributionJob, target: str) -> np.ndarray:
    """Σ ∂target/∂logit · logit, each derivative written out."""
    text = job.encoded
    network = pair.base.bridge.original_model
    with job.model.active(), torch.no_grad():
        z = network(torch.tensor([text.ids[:-1]])).logits[0, len(text.prompt_ids) - 1 :].numpy()
    p = np.exp(z - z.max(-1, keepdims=True))
    p /= p.sum(-1, keepdims=True)
    own = np.eye(z.shape[1])[list(text.answer_ids)]
    entropy = -(p * np.log(p)).sum(-1, keepdims=True)
    others = p * (1 - own) / (p * (1 - own)).sum(-1, keepdims=True)
    slope = {"logit": own, "logprob": own - p, "logodds": own - others, "entropy": -p * (np.log(p) + entropy)}[target]
    return np.asarray((slope * z).sum(-1))


@pytest.mark.parametrize("layers", [1, 2])
def test_shallow_models_are_conserved(tmp_path: Path, layers: int) -> None:
    folder = save_model(tmp_path, seed=4, layers=layers)
    pair = ModelPair.load(folder, folder, device="cpu", dtype="float64")
    job = job_of(pair, encoded(pair))
    np.testing.assert_allclose(gap_of(scores_of(job, fixed_attention)), 0, atol=1e-5)
    want = reference(bare(folder), plain_llama, job.encoded, attnlrp)
    np.testing.assert_allclose(scores_of(job).values, want, atol=1e-5)


def test_an_answer_of_one_token(tiny_pair64: Any) -> None:
    whole = encoded(tiny_pair64)
    first = replace(whole, answer_ids=whole.answer_ids[:1], answer_tokens=whole.answer_tokens[:1])
    got, want = scores_of(job_of(tiny_pair64, first)), scores_of(job_of(tiny_pair64, whole))
    np.testing.assert_allclose(got.values[0], want.values[0, : len(first.ids)], atol=1e-5)
    assert not want.values[0, len(first.ids) :].any()
    np.testing.assert_allclose(gap_of(got)[0], gap_of(want)[0], atol=1e-5)


# The rules fire, change no value, and end


@pytest.fixture(scope="module", params=ARCHITECTURES)
def family(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = save_architecture(tmp_path_factory.mktemp(request.param), request.param)
    return ModelPair.load(folder, folder, device="cpu", dtype="float64")


def logits_with(job: AttributionJob, hooks: Any = ()) -> Any:
    ids = torch.tensor([job.encoded.ids[:-1]])
    with job.model.active() as bridge, torch.no_grad():
        return logits_at(bridge, ids, range(job.prompt - 1, job.positions - 1), list(hooks))


@pytest.mark.parametrize("kind", KINDS)
def test_no_logit_changes_by_a_bit_in_any_family(family: Any, kind: Kind) -> None:
    job = job_of(family, encoded(family))
    assert torch.equal(logits_with(job, rules(job, kind)), logits_with(job))


def test_every_rule_sits_on_the_way_to_the_logits_in_every_family(family: Any) -> None:
    job = job_of(family, encoded(family))
    plain = logits_with(job)
    names = [name for name, _ in rules(job)]
    # A block without its feed-forward's or its norms' rules would go unseen elsewhere.
    for i in range(job.model.n_layers):
        parts = ("attn.q", "attn.k", "attn.v", "attn.hook_pattern", "mlp.in", "mlp.out", "ln1.hook_in", "ln1.hook_out")
        for part in parts:
            assert any(name.startswith(f"blocks.{i}.{part}") for name in names), part
    assert "ln_final.hook_out" in names
    for name in names:
        calls: list[int] = []

        def disturb(value: Any, hook: Any, calls: list[int] = calls) -> Any:
            calls.append(1)
            return value + 0.5 * torch.linspace(-1, 2, value.shape[-1], dtype=value.dtype) ** 2

        assert not torch.equal(logits_with(job, [(name, disturb)]), plain), name
        assert len(calls) == 1, name


@pytest.mark.parametrize("dropped", ["attn.q", "attn.k", "attn.v", "hook_pattern", "mlp", "ln1", "ln2", "ln_final"])
def test_each_rule_makes_a_difference_in_every_family(family: Any, dropped: str) -> None:
    job = job_of(family, encoded(family), unit="answer")
    chosen = rules(job)
    rest = tuple(rule for rule in chosen if dropped not in rule[0])
    if len(rest) == len(chosen):
        assert dropped == "ln2"  # Phi's one norm serves both.
        return

    def relevances(hooks: Any) -> Any:
        (part,) = backpropagate(job.inputs(rules=hooks), job.rows)
        return part.gradients[EMBEDDINGS]

    whole = relevances(chosen)
    assert float((relevances(rest) - whole).abs().max()) > 1e-4 * float(whole.abs().max())


def test_gradients_before_and_after_are_the_same(family: Any) -> None:
    job = job_of(family, encoded(family))
    before, logits = gradient_times_input(job), logits_with(job)
    relevance_ = scores_of(job).values
    np.testing.assert_array_equal(gradient_times_input(job), before)
    assert torch.equal(logits_with(job), logits)
    assert np.abs(relevance_ - before).max() > 0.01


@pytest.mark.parametrize("where", ["rule", "target", "progress"])
def test_an_exception_leaves_no_rule_behind(tiny_pair64: Any, where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    job = job_of(tiny_pair64, encoded(tiny_pair64), tuned=True, chunk=3)
    plain = job_of(tiny_pair64, encoded(tiny_pair64), tuned=True)
    before, logits = gradient_times_input(plain), logits_with(plain)

    def fail(*given: Any) -> Any:
        raise ZeroDivisionError

    if where == "rule":
        monkeypatch.setattr(relevance._Slope, "apply", fail)
    elif where == "target":
        job = replace(job, target=replace(job.target, function=fail))
    else:
        job = replace(job, progress=fail)
    with pytest.raises(ZeroDivisionError):
        scores_of(job)
    monkeypatch.undo()
    np.testing.assert_array_equal(gradient_times_input(plain), before)
    assert torch.equal(logits_with(plain), logits)


# How it is computed changes nothing


def test_chunks_and_blocks_run_again_give_the_same(family: Any) -> None:
    job = job_of(family, encoded(family))
    want = scores_of(job)
    others = [replace(job, options=replace(job.options, chunk=chunk)) for chunk in (1, 5)]
    for other in [*others, small_budget(job), small_budget(others[1])]:
        got = scores_of(other)
        np.testing.assert_allclose(got.values, want.values, atol=1e-5)
        np.testing.assert_allclose(gap_of(got), gap_of(want), atol=1e-5)


def test_rows_of_words_are_sums_of_their_tokens(tiny_pair64: Any) -> None:
    text = encoded(tiny_pair64)
    tokens, words = job_of(tiny_pair64, text, tuned=True), job_of(tiny_pair64, text, tuned=True, unit="word")
    by_token = scores_of(tokens).values
    want = np.stack([by_token[list(row)].sum(0) for row in words.rows])
    np.testing.assert_allclose(scores_of(words).values, want, atol=1e-5)
    assert 1 < len(words.rows) < len(tokens.rows)


def test_single_precision_stays_close(tiny_pair: Any, tiny_pair64: Any) -> None:
    single, double = (scores_of(job_of(p, encoded(p), tuned=True)).values for p in (tiny_pair, tiny_pair64))
    np.testing.assert_allclose(single, double, atol=1e-4)


# Refused


def test_experts_behind_a_router_are_refused(tmp_path: Path) -> None:
    from transformers import MixtralConfig, MixtralForCausalLM

    tokenizer = tiny_tokenizer()
    config = MixtralConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=48, num_hidden_layers=1, num_attention_heads=4,
        num_key_value_heads=2, num_local_experts=2, max_position_embeddings=256,
    )  # fmt: skip
    MixtralForCausalLM(config).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    pair = ModelPair.load(tmp_path, tmp_path, device="cpu")
    # The router is called "gate" there, and is none.
    with pytest.raises(
        ModelError, match=r"relevance: .* has no hook point blocks\.0\.mlp\.in\.hook_out.*leave_one_out"
    ):
        scores_of(job_of(pair, encoded(pair, QUESTION)))
