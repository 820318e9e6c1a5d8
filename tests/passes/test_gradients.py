"""Gradients of the adapter's weights against autograd's, through projections, alone and in company."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from attrib.errors import InputError, ModelError
from attrib.models.pair import ModelPair
from attrib.options.explain import GradientOptions
from attrib.passes import gradients as module
from attrib.passes.gradients import GradientReader
from tests.conftest import tiny_tokenizer

IDS = (60, 61, 70, 62, 63, 64, 65, 66, 67)
ROWS = ([3], [4, 5], [8], [], [1, 2, 3, 8])
WHOLE = GradientOptions(width=64)
"""As long as the longest side: nothing is projected."""


def plain(base_dir: Path, adapter_dir: Path | None = None) -> Any:
    """The network in float64 as transformers and peft load it, without a bridge, trainable."""
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    network = AutoModelForCausalLM.from_pretrained(base_dir, dtype=torch.float64, attn_implementation="eager")
    if adapter_dir is not None:
        network = PeftModel.from_pretrained(network, adapter_dir)
    return network.double().eval().requires_grad_(True)


def autograd(network: Any, places: Sequence[int], target: str = "logprob") -> dict[str, np.ndarray]:
    """Gradient of the summed target by the name of the weight."""
    network.zero_grad()
    logp = network(torch.tensor([IDS]), use_cache=False).logits[0].log_softmax(-1)
    value = torch.zeros(())
    for p in places:
        own = logp[p - 1, IDS[p]]
        value = value + (own - torch.log1p(-own.exp()) if target == "logodds" else own)
    value.backward()
    return {name: p.grad.numpy() for name, p in network.named_parameters() if p.grad is not None}


def by_layer(reader: GradientReader, found: dict[str, np.ndarray], prefix: str) -> list[np.ndarray]:
    return [found[f"{prefix}{layer.name}.weight"] for layer in reader.layers]


@pytest.fixture(scope="module")
def full_pair(base_dir: Path, tuned_dir: Path) -> ModelPair:
    return ModelPair.load(base_dir, tuned_dir, device="cpu", dtype="float64")


def hooks(model: Any) -> int:
    return sum(len(part._forward_hooks) for part in model.bridge.original_model.modules())


@pytest.mark.parametrize("target", ["logprob", "logodds"])
def test_a_gradient_is_that_of_the_adapters_weights_one_layer_after_the_other(
    tiny_pair64: Any, base_dir: Path, adapter_dir: Path, target: str
) -> None:
    reader = GradientReader.make(tiny_pair64.tuned, WHOLE)
    want = by_layer(reader, autograd(plain(base_dir, adapter_dir), [3, 5, 6], target), "base_model.model.")
    (got,) = reader.read(IDS, [[3, 5, 6]], target)
    assert len(reader.layers) == 3 * 7 * 2
    assert len(got) == reader.size == sum(gradient.size for gradient in want)
    for part, gradient in zip(reader.slices, want, strict=True):
        assert np.abs(gradient).max() > 0
        np.testing.assert_allclose(got[part], gradient.ravel(), rtol=1e-5, atol=1e-6 * np.abs(gradient).max())


def test_a_projected_gradient_is_the_whole_one_between_the_projections(
    tiny_pair64: Any, base_dir: Path, adapter_dir: Path
) -> None:
    reader = GradientReader.make(tiny_pair64.tuned, GradientOptions(width=5))
    want = by_layer(reader, autograd(plain(base_dir, adapter_dir), [2, 7]), "base_model.model.")
    (got,) = reader.read(IDS, [[2, 7]])
    assert reader.size == 3 * 7 * 2 * 2 * 5
    for layer, part, gradient in zip(reader.layers, reader.slices, want, strict=True):
        short = gradient if layer.left is None else layer.left.double().numpy().T @ gradient
        short = short if layer.right is None else short @ layer.right.double().numpy()
        assert (layer.left is None) != (layer.right is None)
        np.testing.assert_allclose(got[part], short.ravel(), rtol=1e-4, atol=1e-5 * np.abs(short).max())


def test_projected_dot_products_are_the_whole_ones_on_average(tiny_pair64: Any) -> None:
    def both(options: GradientOptions) -> np.ndarray:
        return GradientReader.make(tiny_pair64.tuned, options).read(IDS, [[3, 4], [4, 8]]).astype(np.float64)

    one, other = both(WHOLE)
    pairs = [both(GradientOptions(width=8, seed=seed)) for seed in range(16)]
    products, lengths = (np.array([a @ b for a, b in found]) for found in (pairs, [(a, a) for a, _ in pairs]))
    for got, want in ((products, one @ other), (lengths, one @ one)):
        assert abs(got.mean() - want) < 4 * got.std(ddof=1) / len(got) ** 0.5
        assert 0 < got.std(ddof=1) < 0.5 * (one @ one)
    assert 0.8 < lengths.mean() / (one @ one) < 1.25


def test_rows_sum_to_the_whole_and_are_those_of_calls_of_their_own(tiny_pair64: Any, monkeypatch: Any) -> None:
    reader = GradientReader.make(tiny_pair64.tuned)
    together = reader.read(IDS, ROWS)
    size = np.abs(together).max()
    for row, got in zip(ROWS, together, strict=True):
        np.testing.assert_allclose(got, reader.read(IDS, [row])[0], atol=1e-6 * size)
    np.testing.assert_allclose(together[3], 0)
    (whole,) = reader.read(IDS, [[p for row in ROWS for p in row]])
    np.testing.assert_allclose(together.sum(0), whole, atol=1e-6 * size)
    monkeypatch.setattr(module, "POSITIONS", 2 * len(IDS))
    np.testing.assert_allclose(reader.read(IDS, ROWS), together, atol=1e-6 * size)
    assert reader.read(IDS, []).shape == (0, reader.size)


def test_what_comes_after_the_last_token_changes_nothing(tiny_pair64: Any) -> None:
    reader = GradientReader.make(tiny_pair64.tuned)
    np.testing.assert_array_equal(reader.read(IDS, [[2, 4]]), reader.read((*IDS[:5], 9, 9), [[2, 4]]))


def test_chosen_layers_of_two_full_models(full_pair: ModelPair, base_dir: Path) -> None:
    reader = GradientReader.make(full_pair.base, GradientOptions(layers=(1,), width=64))
    want = by_layer(reader, autograd(plain(base_dir), [3, 5]), "")
    assert len(reader.layers) == 7
    assert all(".1." in layer.name for layer in reader.layers)
    for part, gradient in zip(reader.slices, want, strict=True):
        np.testing.assert_allclose(
            reader.read(IDS, [[3, 5]])[0, part], gradient.ravel(), rtol=1e-5, atol=1e-6 * np.abs(gradient).max()
        )
    assert len(GradientReader.make(full_pair.tuned).layers) == 3 * 7
    # The same projections on both sides: gradients of two models can be compared.
    names = [layer.name for layer in GradientReader.make(full_pair.tuned, GradientOptions(layers=(1,))).layers]
    assert names == [layer.name for layer in reader.layers]


def test_chosen_layers_beside_an_adapter_are_the_weights_under_it(
    tiny_pair64: Any, base_dir: Path, adapter_dir: Path
) -> None:
    reader = GradientReader.make(tiny_pair64.tuned, GradientOptions(layers=(-1,), width=64))
    want = by_layer(reader, autograd(plain(base_dir, adapter_dir), [4]), "base_model.model.")
    assert all(".2." in layer.name and "lora" not in layer.name for layer in reader.layers)
    (got,) = reader.read(IDS, [[4]])
    for part, gradient in zip(reader.slices, want, strict=True):
        np.testing.assert_allclose(got[part], gradient.ravel(), rtol=1e-5, atol=1e-6 * np.abs(gradient).max())
    both = GradientReader.make(tiny_pair64.tuned, GradientOptions(layers=(2, -1)))
    assert [layer.name for layer in both.layers] == [layer.name for layer in reader.layers]


@pytest.mark.parametrize("places", [[0], [len(IDS)], [-1], [3, 40]])
def test_positions_without_a_prediction_are_refused(tiny_pair: Any, places: list[int]) -> None:
    with pytest.raises(InputError, match="a position outside 1 to 8"):
        GradientReader.make(tiny_pair.tuned).read(IDS, [[2], places])


@pytest.mark.parametrize("layers", [(3,), (0, 7), (-4,), ()])
def test_layers_that_are_not_there_are_refused(tiny_pair: Any, layers: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=r"layers") as caught:
        GradientReader.make(tiny_pair.tuned, GradientOptions(layers=layers))
    assert "\n" not in str(caught.value)


def test_a_width_of_nothing_is_refused() -> None:
    with pytest.raises(InputError, match="give a number from 1"):
        GradientOptions(width=0)


@pytest.mark.parametrize("fails", [False, True])
def test_the_model_is_as_it_was(tiny_pair: Any, monkeypatch: Any, fails: bool) -> None:
    reader, network = GradientReader.make(tiny_pair.tuned), tiny_pair.tuned.bridge.original_model
    before, weights = hooks(tiny_pair.tuned), [p.clone() for p in network.parameters()]
    if fails:
        monkeypatch.setattr(module, "make_target", None)
        with pytest.raises(TypeError):
            reader.read(IDS, [[3]])
    else:
        with reader._watched():
            assert hooks(tiny_pair.tuned) == before + len(reader.layers)
        reader.read(IDS, [[3]])
    assert hooks(tiny_pair.tuned) == before
    assert not any(p.requires_grad or p.grad is not None for p in network.parameters())
    assert all(torch.equal(p, was) for p, was in zip(network.parameters(), weights, strict=True))


def test_numbers_that_are_not_finite_are_refused(tiny_pair: Any, monkeypatch: Any) -> None:
    reader = GradientReader.make(tiny_pair.tuned)
    reader.layers[0].right.fill_(float("inf"))
    with pytest.raises(ModelError, match=r"not finite; use -o models\.dtype=float32"):
        reader.read(IDS, [[3]])


def save_neox(folder: Path) -> Path:
    """A model whose queries, keys and values come from one matrix."""
    from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

    tokenizer = tiny_tokenizer()
    torch.manual_seed(0)
    config = GPTNeoXConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        max_position_embeddings=64,
    )  # fmt: skip
    GPTNeoXForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def test_a_fused_layer_counts_once(tmp_path: Path) -> None:
    """The bridge computes with parts that it cut from it; what is not used has no gradient."""
    folder = save_neox(tmp_path)
    pair = ModelPair.load(folder, folder, device="cpu", dtype="float64")
    reader = GradientReader.make(pair.base, GradientOptions(layers=(0,), width=200))
    (got,) = reader.read(IDS, [[3, 5]])
    found = {layer.name.rsplit(".", 1)[1]: got[part] for layer, part in zip(reader.layers, reader.slices, strict=True)}
    assert not found["qkv"].any()
    want = autograd(plain(folder), [3, 5])["gpt_neox.layers.0.attention.query_key_value.weight"]
    parts = np.concatenate([found[name] for name in "qkv"])
    # The matrix has them head by head: the same numbers in another order.
    np.testing.assert_allclose(np.sort(parts), np.sort(want.ravel()), atol=1e-6 * np.abs(want).max())
