"""Sizes of tuning's change are those of the merged weights, for every kind of adapter; none is none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from peft import (
    AdaLoraConfig,
    IA3Config,
    LoHaConfig,
    LoKrConfig,
    LoraConfig,
    OFTConfig,
    PeftModel,
    VeraConfig,
    get_peft_model,
)
from transformers import AutoModelForCausalLM

from attrib.models.change import LayerChange, measure_change
from attrib.models.pair import ModelPair
from tests.conftest import save_adapter, tiny_network, tiny_tokenizer

LINEAR = ["q_proj", "down_proj"]
ADAPTERS: dict[str, Any] = {
    "LoRA, rank 4, alpha 8": LoraConfig(r=4, lora_alpha=8, target_modules=LINEAR),
    "LoRA, rank 4, alpha 8, rank-stabilised": LoraConfig(r=4, target_modules=LINEAR, use_rslora=True),
    "LoRA, rank 2, alpha 8, other ranks in some layers": LoraConfig(
        r=2, rank_pattern={"layers.1.self_attn.q_proj": 5}, target_modules=LINEAR
    ),
    "DoRA, rank 4, alpha 8": LoraConfig(r=4, target_modules=LINEAR, use_dora=True),
    "LoRA, rank 3, alpha 8": LoraConfig(r=3, target_modules=["embed_tokens", "v_proj"]),
    "LoRA, rank 4, alpha 1": LoraConfig(r=4, lora_alpha=1, target_modules=LINEAR, modules_to_save=["lm_head"]),
    "LoHa, rank 4, alpha 8": LoHaConfig(r=4, alpha=8, target_modules=LINEAR),
    "LoKr, rank 4, alpha 8": LoKrConfig(r=4, alpha=8, target_modules=LINEAR),
    "AdaLoRA, rank 4, alpha 8": AdaLoraConfig(init_r=6, r=4, target_r=4, total_step=10, target_modules=LINEAR),
    "VeRA, rank 4": VeraConfig(r=4, target_modules=["q_proj", "o_proj"]),
    "(IA)³": IA3Config(target_modules=["k_proj", "down_proj"], feedforward_modules=["down_proj"]),
    "LoRA, rank 2, alpha 8": LoraConfig(r=2, target_modules=LINEAR, trainable_token_indices=[5, 9]),
    "OFT": OFTConfig(oft_block_size=4, r=0, target_modules=LINEAR),
}


def save(folder: Path, base: Path, config: Any) -> Path:
    """An adapter whose every weight is a little away from where it began."""
    torch.manual_seed(0)
    network = AutoModelForCausalLM.from_pretrained(base)
    model = get_peft_model(network, config)
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data.add_(0.1 * torch.randn_like(parameter))
    model.save_pretrained(folder, save_embedding_layers=False)
    return folder


def merged_sizes(base: Path, adapter: Path) -> dict[str, float]:
    """‖ΔW‖ / ‖W‖ of every matrix that merging changes, by name."""
    network = AutoModelForCausalLM.from_pretrained(base)
    before = {name: weight.detach().clone() for name, weight in network.named_parameters()}
    after = dict(PeftModel.from_pretrained(network, adapter).merge_and_unload().named_parameters())
    return {
        name.removesuffix(".weight"): float((after[name] - weight).norm() / weight.norm())
        for name, weight in before.items()
        if not torch.equal(after[name], weight)
    }


@pytest.mark.parametrize("said", ADAPTERS)
def test_sizes_are_those_of_the_merged_weights(tmp_path: Path, base_dir: Path, said: str) -> None:
    adapter = save(tmp_path / "adapter", base_dir, ADAPTERS[said])
    change = measure_change(ModelPair.load(base_dir, adapter, device="cpu"))
    # Whoever measures goes on to train or to read gradients.
    assert torch.is_grad_enabled()
    wanted = merged_sizes(base_dir, adapter)
    assert change.kind == said
    assert change.weights > 0
    assert sum(layer.matrices for layer in change.layers) == len(wanted)
    for layer in change.layers:
        mine = {name: size for name, size in wanted.items() if name.endswith(layer.kind)}
        assert layer.largest_at == max(mine, key=lambda name: mine[name])
        assert layer.largest == pytest.approx(max(mine.values()), rel=1e-3)
        assert min(mine.values()) * 0.999 <= layer.relative <= layer.largest * 1.001
    assert [layer.relative for layer in change.layers] == sorted((x.relative for x in change.layers), reverse=True)
    assert not change.is_zero


def test_an_adapter_of_zeros_changes_nothing(tmp_path: Path, base_dir: Path) -> None:
    change = measure_change(ModelPair.load(base_dir, save_adapter(tmp_path / "a", base_dir, scale=0.0), device="cpu"))
    assert change.is_zero
    assert [layer.relative for layer in change.layers] == [0.0] * 7


def test_a_full_fine_tune_is_compared_weight_by_weight(tmp_path: Path, base_dir: Path) -> None:
    tokenizer = tiny_tokenizer()
    network = tiny_network(tokenizer, 1)
    weight = network.model.layers[2].mlp.up_proj.weight
    weight.data *= 1.25
    network.save_pretrained(tmp_path / "tuned")
    tokenizer.save_pretrained(tmp_path / "tuned")
    change = measure_change(ModelPair.load(base_dir, tmp_path / "tuned", device="cpu"))
    assert change.kind == "full fine-tune"
    assert change.weights == sum(p.numel() for p in network.parameters())
    first, *rest = change.layers
    assert first == LayerChange(
        "mlp.up_proj", 3, first.relative, pytest.approx(0.25, rel=1e-3), "model.layers.2.mlp.up_proj"
    )
    assert 0 < first.relative < 0.25
    assert {layer.largest for layer in rest} == {0.0}
    same = measure_change(ModelPair.load(base_dir, base_dir, device="cpu"))
    assert same.is_zero
