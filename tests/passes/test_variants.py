"""Many prompts at once against one bare forward each: shared beginnings, padding, windows, adapters, batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from attrib.errors import InputError, ModelError
from attrib.models.pair import ModelPair
from attrib.models.prompt import Encoded, encode
from attrib.passes.targets import Target, make_target
from attrib.passes.variants import _batches, _cache_bytes, _shared, score_variants
from tests.conftest import tiny_tokenizer
from tests.oracles import ARCHITECTURES, LONG, bare, encoded, save_architecture

LOGIT = make_target("logit", tuned=False, contrast=None, answer=1)
LOGPROB = make_target("logprob", tuned=False, contrast=None, answer=1)
Prompt = tuple[int, ...]


def variants_of(text: Encoded) -> list[Prompt]:
    """The prompt itself, parts deleted anywhere and of any length, tokens replaced, and what shares nothing with it."""
    ids = text.prompt_ids
    n = len(ids)
    deleted = [ids[:i] + ids[i + size :] for size in (1, 2, 5) for i in range(n - size + 1)]
    replaced = [(*ids[:i], 7, *ids[i + 1 :]) for i in range(n)]
    odd = [ids[:1], ids[-1:], ids[: n // 2], (9,), (9, 8, 7, 6), (*ids, 9, 8), (9, *ids), (*ids[:4], 9, 8, 7, *ids[4:])]
    return [ids, *deleted, *replaced, *odd, ids]


def one_by_one(network: Any, text: Encoded, prompts: Sequence[Prompt], *, logprob: bool = True) -> np.ndarray:
    """[variant, answer]: a forward of its own for each, nothing shared or padded."""
    values = []
    for prompt in prompts:
        with torch.no_grad():
            logits = network(torch.tensor([[*prompt, *text.answer_ids[:-1]]]), use_cache=False).logits[0]
        rows = logits[len(prompt) - 1 :].log_softmax(-1) if logprob else logits[len(prompt) - 1 :]
        values.append([rows[i, token].item() for i, token in enumerate(text.answer_ids)])
    return np.array(values)


def save_windowed(folder: Path, name: str) -> Path:
    """Families whose attention sees a few tokens back only, in some layers or in all."""
    from transformers import AutoConfig, AutoModelForCausalLM

    own: dict[str, dict[str, Any]] = {
        "mistral": {
            "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3, "num_attention_heads": 4,
            "num_key_value_heads": 2, "sliding_window": 8,
        },
        "gpt_neo": {
            "hidden_size": 32, "num_layers": 2, "num_heads": 4, "window_size": 8,
            "attention_types": [[["global", "local"], 1]],
        },
    }  # fmt: skip
    tokenizer = tiny_tokenizer()
    torch.manual_seed(5)
    config = AutoConfig.for_model(name, vocab_size=len(tokenizer), max_position_embeddings=256, **own[name])
    network = AutoModelForCausalLM.from_config(config)
    for parameter in network.parameters():
        if parameter.dim() > 1:
            parameter.data.normal_(0, 0.2)
    network.eval().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module", params=[*ARCHITECTURES, "mistral", "gpt_neo"])
def family(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any]:
    """A pair in float64 and the bare network."""
    folder = tmp_path_factory.mktemp(request.param)
    (save_architecture if request.param in ARCHITECTURES else save_windowed)(folder, request.param)
    return ModelPair.load(folder, folder, device="cpu", dtype="float64"), bare(folder)


@pytest.fixture(scope="module")
def forwards(family: tuple[Any, Any]) -> np.ndarray:
    """[variant, answer]: the logits of the bare network's own forward for each variant."""
    pair, network = family
    text = encoded(pair)
    return one_by_one(network, text, variants_of(text), logprob=False)


# Equal to one forward each


@pytest.mark.parametrize("batch_positions", [None, 100])
def test_every_kind_of_variant_equals_its_own_forward_in_every_family(
    family: tuple[Any, Any], forwards: np.ndarray, batch_positions: int | None
) -> None:
    pair, _ = family
    text = encoded(pair)
    got = score_variants(pair.base, text, variants_of(text), LOGIT, batch_positions=batch_positions)
    np.testing.assert_allclose(got, forwards, atol=1e-5)
    assert forwards.std(0).min() > 0.05


@pytest.mark.parametrize("side", ["base", "tuned"])
def test_a_live_adapter_is_on_for_tuned_alone(tiny_pair64: Any, base_dir: Path, adapter_dir: Path, side: str) -> None:
    text = encoded(tiny_pair64)
    networks = {"base": bare(base_dir), "tuned": bare(base_dir, adapter_dir)}
    prompts = variants_of(text)
    want = {name: one_by_one(network, text, prompts) for name, network in networks.items()}
    got = score_variants(getattr(tiny_pair64, side), text, prompts, LOGPROB)
    np.testing.assert_allclose(got, want[side], atol=1e-5)
    assert np.abs(want["base"] - want["tuned"]).max() > 0.1


@pytest.mark.parametrize("side", ["base", "tuned"])
def test_kl_compares_both_models_after_the_same_variant(
    tiny_pair64: Any, base_dir: Path, adapter_dir: Path, side: str
) -> None:
    text = encoded(tiny_pair64)
    prompts = variants_of(text)[::4]
    networks = bare(base_dir), bare(base_dir, adapter_dir)
    want = []
    for prompt in prompts:
        ids = torch.tensor([[*prompt, *text.answer_ids[:-1]]])
        with torch.no_grad():
            q, p = (network(ids).logits[0, len(prompt) - 1 :].log_softmax(-1) for network in networks)
        want.append((p.exp() * (p - q)).sum(-1).numpy())
    model, other = (getattr(tiny_pair64, name) for name in (side, "base" if side == "tuned" else "tuned"))
    target = make_target("kl", tuned=side == "tuned", contrast=None, answer=len(text.answer_ids))
    np.testing.assert_allclose(score_variants(model, text, prompts, target, other=other), want, atol=1e-5)


def test_single_precision_is_close(tiny_pair: Any, base_dir: Path) -> None:
    text = encoded(tiny_pair)
    prompts = variants_of(text)
    want = one_by_one(bare(base_dir), text, prompts)
    np.testing.assert_allclose(score_variants(tiny_pair.base, text, prompts, LOGPROB), want, atol=1e-4)


@pytest.mark.parametrize("batch_positions", [1, 37, 300, 100_000])
def test_batches_change_nothing(tiny_pair64: Any, batch_positions: int) -> None:
    text = encoded(tiny_pair64)
    prompts = variants_of(text)
    want = score_variants(tiny_pair64.tuned, text, prompts, LOGPROB)
    got = score_variants(tiny_pair64.tuned, text, prompts, LOGPROB, batch_positions=batch_positions)
    np.testing.assert_allclose(got, want, atol=1e-6)


def test_order_and_company_change_nothing(family: tuple[Any, Any]) -> None:
    pair, _ = family
    text = encoded(pair)
    prompts = variants_of(text)
    want = score_variants(pair.base, text, prompts, LOGPROB)
    order = np.random.default_rng(0).permutation(len(prompts))
    mixed = score_variants(pair.base, text, [prompts[i] for i in order], LOGPROB)
    np.testing.assert_allclose(mixed, want[order], atol=1e-5)
    np.testing.assert_allclose(score_variants(pair.base, text, [prompts[9]], LOGPROB)[0], want[9], atol=1e-5)


@pytest.mark.parametrize("architecture", ["llama", "gpt2"])
def test_an_answer_as_long_as_the_context(tmp_path: Path, architecture: str) -> None:
    folder = save_architecture(tmp_path, architecture, layers=1)
    pair, network = ModelPair.load(folder, folder, device="cpu", dtype="float64"), bare(folder)
    short = encoded(pair)
    answer = (pair.tokenizer(LONG * 20).input_ids)[: pair.context - len(short.prompt_ids)]
    text = encode(pair.tokenizer, short.prompt_ids, answer, context=pair.context)
    assert len(text.ids) == pair.context
    prompts = [text.prompt_ids, text.prompt_ids[:4] + text.prompt_ids[6:], text.prompt_ids[1:], text.prompt_ids[:-1]]
    got = score_variants(pair.base, text, prompts, LOGPROB)
    np.testing.assert_allclose(got, one_by_one(network, text, prompts), atol=1e-5)


def test_an_answer_of_one_token(family: tuple[Any, Any]) -> None:
    pair, network = family
    whole = encoded(pair)
    text = replace(whole, answer_ids=whole.answer_ids[:1], answer_tokens=whole.answer_tokens[:1])
    prompts = variants_of(text)
    got = score_variants(pair.base, text, prompts, LOGPROB)
    assert got.shape == (len(prompts), 1)
    np.testing.assert_allclose(got, one_by_one(network, text, prompts), atol=1e-5)


# What is run


class Counted:
    """Positions that entered a model, and [variant, position] of the logits that its head made."""

    def __init__(self, pair: Any) -> None:
        self.positions = 0
        self.heads: list[tuple[int, ...]] = []
        self.network = pair.base.bridge.original_model

    def __enter__(self) -> Counted:
        def count(module: Any, args: tuple[Any, ...]) -> None:
            self.positions += args[0].numel()

        def see(module: Any, args: Any, logits: Any) -> None:
            self.heads.append(tuple(logits.shape[:2]))

        head = self.network.get_output_embeddings()
        self.handles = [self.network.register_forward_pre_hook(count), head.register_forward_hook(see)]
        return self

    def __exit__(self, *given: object) -> None:
        for handle in self.handles:
            handle.remove()


def test_the_shared_beginning_runs_once_and_logits_are_made_for_the_answer_alone(tiny_pair: Any) -> None:
    text = encoded(tiny_pair, question="How long is the warranty on the pump? " * 6)
    ids, n = text.prompt_ids, len(text.answer_ids)
    prompts = [ids[:i] + ids[i + 1 :] for i in range(len(ids) - 20, len(ids))]
    with Counted(tiny_pair) as counted:
        score_variants(tiny_pair.base, text, prompts, LOGPROB)
    tails = sum(len(prompt) + n - 1 - (len(ids) - 20) for prompt in prompts)
    naive = sum(len(prompt) + n - 1 for prompt in prompts)
    assert counted.positions <= len(ids) + 1.1 * tails
    assert counted.positions < naive / 2
    answers = [shape for shape in counted.heads if shape != (1, 1)]
    assert {width for _, width in answers} == {n}
    assert sum(size for size, _ in answers) == len(prompts)


@given(
    st.lists(st.tuples(st.integers(0, 30), st.integers(1, 40)), max_size=30),
    st.integers(1, 300), st.integers(1, 900), st.integers(1, 9),
)  # fmt: skip
def test_batches_are_a_partition_within_their_bounds(
    sizes: list[tuple[int, int]], positions: int, fitting: int, most: int
) -> None:
    shared = [keep for keep, _ in sizes]
    lengths = [keep + tail for keep, tail in sizes]
    order = sorted(range(len(sizes)), key=lambda i: (shared[i], lengths[i]))
    batches = _batches(order, shared, lengths, positions, fitting, most)
    assert [i for batch in batches for i in batch] == order
    for batch in batches:
        assert shared[batch[0]] == min(shared[i] for i in batch)
        longest = max(lengths[i] for i in batch)
        if len(batch) > 1:
            assert len(batch) <= most
            assert len(batch) * (longest - shared[batch[0]]) <= positions
            assert len(batch) * longest <= fitting


@given(st.lists(st.integers(0, 2), min_size=1, max_size=8), st.lists(st.integers(0, 2), min_size=1, max_size=8))
def test_what_is_shared_leaves_a_token_to_run(prompt: list[int], whole: list[int]) -> None:
    n = _shared(prompt, whole)
    assert prompt[:n] == whole[:n]
    assert n < len(prompt)
    longer = n + 1
    assert longer == len(prompt) or prompt[:longer] != whole[:longer]


def test_copies_of_a_long_beginning_stay_within_their_bound(tiny_pair: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert _cache_bytes(tiny_pair.base) == 2 * 3 * 2 * 8 * 4  # keys and values, layers, heads, d_head, bytes
    text = encoded(tiny_pair)
    prompts = [(*text.prompt_ids[:-2], i) for i in range(20)]
    want = score_variants(tiny_pair.base, text, prompts, LOGPROB)
    per_variant = _cache_bytes(tiny_pair.base) * (len(prompts[0]) + len(text.answer_ids) - 1)
    monkeypatch.setattr("attrib.passes.variants.CACHE_SHARE", 3.5 * per_variant / 2e9)
    with Counted(tiny_pair) as counted:
        got = score_variants(tiny_pair.base, text, prompts, LOGPROB)
    np.testing.assert_allclose(got, want, atol=1e-5)
    assert max(size for size, _ in counted.heads) == 3


def test_progress_ends_at_all_of_them(tiny_pair: Any) -> None:
    reports: list[tuple[int, int]] = []

    def tell(done: int, total: int) -> None:
        reports.append((done, total))

    text = encoded(tiny_pair)
    prompts = variants_of(text)
    score_variants(
        tiny_pair.base,
        text,
        prompts,
        LOGPROB,
        batch_positions=100,
        progress=lambda done, total: reports.append((done, total)),
    )
    assert reports[-1] == (len(prompts), len(prompts))
    assert len(reports) > 3
    assert reports == sorted(reports)


def test_no_variants_are_no_values(tiny_pair: Any) -> None:
    text = encoded(tiny_pair)
    assert score_variants(tiny_pair.base, text, [], LOGPROB).shape == (0, len(text.answer_ids))


# Afterwards, and refused


@pytest.mark.parametrize("fails", [False, True])
def test_the_model_is_as_it_was(tiny_pair64: Any, base_dir: Path, adapter_dir: Path, fails: bool) -> None:
    text = encoded(tiny_pair64)
    ids = torch.tensor([text.ids])
    head = tiny_pair64.base.bridge.original_model.get_output_embeddings()

    def after() -> Any:
        with tiny_pair64.tuned.active() as bridge, torch.no_grad():
            return bridge.original_model(ids).logits

    before = after()

    def broken(logits: Any, goal: Any) -> Any:
        raise ZeroDivisionError

    if fails:
        with pytest.raises(ZeroDivisionError):
            score_variants(tiny_pair64.base, text, variants_of(text), Target("broken", broken))
    else:
        score_variants(tiny_pair64.base, text, variants_of(text), LOGPROB)
    assert not head._forward_pre_hooks
    assert torch.equal(after(), before)


def test_an_empty_variant_is_refused(tiny_pair: Any) -> None:
    text = encoded(tiny_pair)
    with pytest.raises(InputError, match="a variant has no tokens left; leave the chat template in, or replace"):
        score_variants(tiny_pair.base, text, [text.prompt_ids, ()], LOGPROB)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_target_that_is_not_finite_is_refused(tiny_pair: Any, value: float) -> None:
    text = encoded(tiny_pair)
    target = Target("mine", lambda logits, goal: logits[..., 0] * value)
    with pytest.raises(ModelError, match="the target 'mine' is not finite"):
        score_variants(tiny_pair.base, text, [text.prompt_ids], target)


@pytest.mark.parametrize("reduce", [lambda z: z.sum(), lambda z: z[..., 0].sum(-1), lambda z: z, lambda z: 1.0])
def test_a_target_that_is_not_one_number_a_token_is_refused(tiny_pair: Any, reduce: Any) -> None:
    text = encoded(tiny_pair)
    with pytest.raises(InputError, match=r"target 'mine': it gives .* for logits .*; give one number per answer token"):
        score_variants(tiny_pair.base, text, [text.prompt_ids], Target("mine", lambda logits, goal: reduce(logits)))
