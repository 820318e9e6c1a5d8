"""Kinds of adapters: each gives the logits of transformers + PEFT on both sides, or is refused with its reason."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import peft
import pytest
import torch
from safetensors.torch import load_file, save_file

from attrib.errors import ModelError
from attrib.index.gradients import GradientEncoder, Stage
from attrib.models.pair import ModelPair
from attrib.options.explain import GradientOptions
from tests.conftest import save_model
from tests.oracles import bare, gaps, save_architecture

MOST = 1e-5


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory, base_dir: Path) -> dict[str, Path]:
    """Models by what an adapter may find in them: output embeddings that are the input's, biases."""
    folder = tmp_path_factory.mktemp("bases")
    network, tied = bare(base_dir, dtype=torch.float32), folder / "tied"
    network.config.tie_word_embeddings = True
    network.tie_weights()
    network.save_pretrained(tied)
    for file in ("tokenizer.json", "tokenizer_config.json"):
        (tied / file).write_bytes((base_dir / file).read_bytes())
    others = {name: save_architecture(folder / name, name, layers=2) for name in ("phi", "gpt2", "gpt_neox", "phi3")}
    return {"plain": base_dir, "tied": tied, "biases": others["phi"], **others}


def save(base: Path, folder: Path, config: Any, **how: Any) -> Path:
    """An adapter of random weights, as PEFT saves it."""
    torch.manual_seed(7)
    model = peft.get_peft_model(bare(base, dtype=torch.float32), config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.2 * torch.randn_like(parameter))
    model.save_pretrained(folder, **how)
    return folder


def lora(**options: Any) -> Any:
    return peft.LoraConfig(**{"r": 2, "lora_alpha": 4, "target_modules": ["q_proj", "v_proj"], **options})


KINDS: dict[str, tuple[str, Any]] = {
    "rslora": ("plain", lora(use_rslora=True)),
    "dora": ("plain", lora(use_dora=True)),
    "patterns of rank and alpha": (
        "plain", lora(rank_pattern={"layers.1.self_attn.q_proj": 4}, alpha_pattern={"layers.1.self_attn.q_proj": 1})
    ),
    "modules to save": ("plain", lora(modules_to_save=["embed_tokens", "lm_head"])),
    "modules to save, tied": ("tied", lora(modules_to_save=["embed_tokens"])),
    "mlps to save": ("plain", lora(modules_to_save=["mlp"])),
    "norms to save": ("plain", lora(modules_to_save=["norm", "input_layernorm"])),
    "embeddings": ("plain", lora(target_modules=["embed_tokens", "q_proj"])),
    "embeddings, tied": ("tied", lora(target_modules=["embed_tokens", "q_proj"])),
    "output embeddings": ("plain", lora(target_modules=["lm_head", "q_proj"])),
    "output embeddings, tied": ("tied", lora(target_modules=["lm_head", "q_proj"])),
    "both, tied on purpose": ("tied", lora(target_modules=["embed_tokens"], ensure_weight_tying=True)),
    "tokens": ("plain", lora(trainable_token_indices=[5, 6, 40])),
    "tokens, tied": ("tied", lora(trainable_token_indices=[5, 6, 40])),
    "biases of adapted layers": ("biases", lora(bias="lora_only")),
    "all biases": ("biases", lora(bias="all")),
    "biases of its own": ("plain", lora(lora_bias=True)),
    "queries, keys and values of GPT-2": ("gpt2", lora(target_modules=["c_attn"], fan_in_fan_out=True)),
    "their biases": ("gpt2", lora(target_modules=["c_fc"], fan_in_fan_out=True, bias="all")),
    "their copy": ("gpt2", lora(target_modules=["c_fc"], fan_in_fan_out=True, modules_to_save=["c_attn"])),
    "queries, keys and values of GPT-NeoX": ("gpt_neox", lora(target_modules="all-linear")),
    "queries, keys and values of Phi-3": ("phi3", lora(target_modules=["qkv_proj"])),
    "gates of Phi-3": ("phi3", lora(target_modules=["gate_up_proj"], use_dora=True)),
    "ia3": ("plain", peft.IA3Config(target_modules=["k_proj", "down_proj"], feedforward_modules=["down_proj"])),
    "oft": ("plain", peft.OFTConfig(target_modules=["q_proj"], oft_block_size=8, r=0)),
    "vera": ("plain", peft.VeraConfig(target_modules=["q_proj"], r=4)),
    "loha": ("plain", peft.LoHaConfig(target_modules=["q_proj"], r=2)),
    "lokr": ("plain", peft.LoKrConfig(target_modules=["q_proj"], r=2)),
    "tokens alone": ("plain", peft.TrainableTokensConfig(token_indices=[5, 6, 40])),
    "tokens alone, tied": ("tied", peft.TrainableTokensConfig(token_indices=[5, 6, 40])),
    "hra": ("plain", peft.HRAConfig(target_modules=["q_proj"], r=4)),
    "miss": ("plain", peft.MissConfig(target_modules=["q_proj"], r=4)),
    "randlora": ("plain", peft.RandLoraConfig(target_modules=["q_proj"], r=4)),
    "shira": ("plain", peft.ShiraConfig(target_modules=["q_proj"], r=4)),
    "fourierft": ("plain", peft.FourierFTConfig(target_modules=["q_proj"], n_frequency=20)),
    "vblora": ("plain", peft.VBLoRAConfig(target_modules=["q_proj"], vector_length=4, num_vectors=8)),
    "c3a": ("plain", peft.C3AConfig(target_modules=["q_proj"], block_size=8)),
    "adalora": ("plain", peft.AdaLoraConfig(target_modules=["q_proj"], total_step=10, tinit=1, tfinal=1)),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_both_sides_have_the_logits_of_peft(kind: str, bases: dict[str, Path], tmp_path: Path) -> None:
    base = bases[KINDS[kind][0]]
    folder = save(base, tmp_path / "tuned", KINDS[kind][1])
    pair = ModelPair.load(base, folder, device="cpu")
    found = gaps(pair, base, folder)
    assert found.pop("change") > 0.01
    assert max(found.values()) <= MOST, found
    assert pair.shares_weights
    assert pair.notes == ()
    assert pair.base.fingerprint != pair.tuned.fingerprint


@pytest.mark.parametrize("kind", ["gpt2", "gpt_neox", "phi3"])
def test_a_fused_matrix_is_computed_once_and_its_gradients_are_whole(
    kind: str, bases: dict[str, Path], tmp_path: Path
) -> None:
    """Each part taking its own pass would show a watcher of gradients the last part's alone."""
    folder = save(bases[kind], tmp_path, lora(target_modules="all-linear", fan_in_fan_out=kind == "gpt2"))
    pair = ModelPair.load(bases[kind], folder, device="cpu")
    ids = torch.arange(5, 17)[None]
    weights = {name: weight for name, weight in pair.tuned.adapter.named_parameters() if "lora_" in name}
    calls: dict[str, int] = {}
    gradients = []
    for way in (pair.tuned.active, pair.tuned.plain):
        with way() as network:
            for weight in weights.values():
                weight.requires_grad_(True)
            out = network(ids, use_cache=False)
            chosen = getattr(out, "logits", out).log_softmax(-1)[0, :, 7].sum()
            gradients.append(torch.autograd.grad(chosen, list(weights.values())))
            for weight in weights.values():
                weight.requires_grad_(False)
    for name, one, other in zip(weights, *gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-5, msg=name)
    handles = [
        module.register_forward_hook(lambda *_, name=name: calls.update({name: calls.get(name, 0) + 1}))
        for name, module in pair.tuned.adapter.named_modules()
        if name.endswith("lora_A.default")
    ]
    with pair.tuned.active() as bridge, torch.no_grad():
        bridge(ids, use_cache=False)
    for handle in handles:
        handle.remove()
    assert set(calls.values()) == {1}


def test_an_adapter_that_the_bridge_passes_by_is_refused(
    bases: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The parts as the bridge cuts them know nothing of the adapter; beside them, it is used."""
    fused = save(bases["gpt_neox"], tmp_path / "fused", lora(target_modules=["query_key_value"]))
    beside = save(bases["gpt_neox"], tmp_path / "beside", lora(target_modules=["dense_h_to_4h"]))
    monkeypatch.setattr("attrib.models.pair.use_whole", lambda *_: None)
    with pytest.raises(ModelError, match=r"attention.qkv of .* without the adapter; merge the adapter into its base"):
        ModelPair.load(bases["gpt_neox"], fused, device="cpu")
    assert ModelPair.load(bases["gpt_neox"], beside, device="cpu").shares_weights


REFUSED: dict[str, tuple[Any, str]] = {
    "activated": (lora(alora_invocation_tokens=[8, 9]), r"activated LoRA \(alora_invocation_tokens\)"),
    "prefix": (peft.PrefixTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=2), "PREFIX_TUNING"),
    "norms": (peft.LNTuningConfig(task_type="CAUSAL_LM"), "LN_TUNING"),
    "pissa": (lora(init_lora_weights="pissa"), "rewrites weights of"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_other_kinds_are_refused_with_their_reason(kind: str, base_dir: Path, tmp_path: Path) -> None:
    config, reason = REFUSED[kind]
    with pytest.raises(ModelError, match=reason):
        ModelPair.load(base_dir, save(base_dir, tmp_path, config), device="cpu")


def test_a_copy_of_embeddings_that_differs_is_refused(base_dir: Path, tmp_path: Path) -> None:
    """PEFT would put it into base's weights: one number less alike, and it is another base."""
    folder = save(base_dir, tmp_path, lora(target_modules=["embed_tokens", "q_proj"]))
    assert ModelPair.load(base_dir, folder, device="cpu").shares_weights
    file = folder / "adapter_model.safetensors"
    weights = load_file(file)
    (name,) = (name for name in weights if "base_layer" in name)
    weights[name][3, 4] += 0.001
    save_file(weights, file, metadata={"format": "pt"})
    with pytest.raises(
        ModelError, match=r"embed_tokens.weight stored with the adapter is not that of .*; name the base"
    ):
        ModelPair.load(base_dir, folder, device="cpu")


def test_biases_are_switched_and_never_mixed(bases: dict[str, Path], tmp_path: Path) -> None:
    folder = save(bases["biases"], tmp_path, lora(bias="all"))
    pair = ModelPair.load(bases["biases"], folder, device="cpu")
    own = dict(bare(bases["biases"], dtype=torch.float32).named_parameters())
    name = "model.layers.1.mlp.fc1.bias"
    with pair.tuned.plain() as network:
        assert not torch.equal(dict(network.named_parameters())[name], own[name])
        live = {one: weight.clone() for one, weight in network.named_parameters()}
    with pair.base.plain() as network:
        assert torch.equal(dict(network.named_parameters())[name], own[name])
    with pytest.raises(ValueError, match="stop"), pair.base.plain():
        raise ValueError("stop")
    with pair.tuned.plain() as network:
        assert all(torch.equal(weight, live[one]) for one, weight in network.named_parameters())


def test_checkpoints_may_hold_copies_of_frozen_embeddings(base_dir: Path, tmp_path: Path) -> None:
    folder = save(base_dir, tmp_path / "tuned", lora(target_modules=["embed_tokens", "q_proj"]))
    pair = ModelPair.load(base_dir, folder, device="cpu")
    with pair.tuned.at_checkpoint(folder):
        pass
    other = save_model(tmp_path / "other", seed=9)
    stranger = save(other, tmp_path / "stranger", lora(target_modules=["embed_tokens", "q_proj"]))
    with pytest.raises(ModelError, match="it is no checkpoint of"):
        pair.tuned.at_checkpoint(stranger).__enter__()


def test_gradients_of_pickled_weights_have_their_own_key(base_dir: Path, tmp_path: Path) -> None:
    keys = []
    for seed in (0, 1):
        folder = save(base_dir, tmp_path / str(seed), lora())
        weights = load_file(folder / "adapter_model.safetensors")
        (folder / "adapter_model.safetensors").unlink()
        torch.save({name: tensor + seed for name, tensor in weights.items()}, folder / "adapter_model.bin")
        pair = ModelPair.load(base_dir, folder, device="cpu")
        stage = Stage("final", "final", None, 1.0, "logprob")
        keys.append(GradientEncoder(pair, stage, GradientOptions()).settings["weights"])
    assert len(set(keys)) == 2
