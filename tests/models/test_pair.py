"""Laws of a pair: one copy of the weights serves both sides, base never drifts, and what does not fit is refused.

Every refusal is one line that names its mend, and the same files unharmed are the negative control.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from attrib.errors import ModelError
from attrib.models.fingerprint import fingerprint
from attrib.models.loading import load_network
from attrib.models.pair import ModelPair
from tests.conftest import save_adapter, save_model, tiny_network, tiny_tokenizer

IDS = torch.tensor([[60, 61, 62, 63, 64, 65, 66]])


def logits(model: Any) -> torch.Tensor:
    with model.active() as bridge, torch.no_grad():
        return bridge(IDS, use_cache=False)


def plain_logits(network: Any) -> torch.Tensor:
    with torch.no_grad():
        return network(IDS, use_cache=False).logits


def plain_network(folder: Path, dtype: torch.dtype = torch.float32) -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, attn_implementation="eager").eval()


@pytest.fixture(scope="module")
def plain_base(base_dir: Path) -> torch.Tensor:
    """Logits of the base that no bridge and no adapter ever touched."""
    return plain_logits(plain_network(base_dir))


@pytest.fixture(scope="module")
def plain_tuned(base_dir: Path, adapter_dir: Path) -> torch.Tensor:
    from peft import PeftModel

    return plain_logits(PeftModel.from_pretrained(plain_network(base_dir), adapter_dir).eval())


@pytest.fixture(scope="module")
def full_pair(base_dir: Path, tuned_dir: Path) -> ModelPair:
    return ModelPair.load(base_dir, tuned_dir, device="cpu")


@pytest.fixture
def copy_of(tmp_path: Path) -> Callable[[Path], Path]:
    return lambda folder: Path(shutil.copytree(folder, tmp_path / f"copy of {folder.name}"))


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """HF_HUB_OFFLINE=1, which the hub's client reads when it is imported."""
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)


def refusal(*names: Any, **options: Any) -> str:
    """The message of the ModelError that loading raises: one line that names a mend."""
    with pytest.raises(ModelError) as caught:
        ModelPair.load(*names, **{"device": "cpu", **options})
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 700
    assert re.search(r"; (name|check|use|add|load|save|merge)|, or give", message), message
    return message


def edit_weights(file: Path, edit: Callable[[dict[str, torch.Tensor]], object]) -> None:
    weights = load_file(file)
    edit(weights)
    save_file(weights, file, metadata={"format": "pt"})


def edit_json(file: Path, **changes: object) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text("utf-8")), **changes}), "utf-8")


# What a pair is


def test_two_full_models_hold_their_own_weights(full_pair: ModelPair, base_dir: Path, tuned_dir: Path) -> None:
    assert not full_pair.shares_weights
    assert full_pair.memory_saved == 0
    assert torch.equal(logits(full_pair.base), plain_logits(plain_network(base_dir)))
    assert torch.equal(logits(full_pair.tuned), plain_logits(plain_network(tuned_dir)))
    assert not torch.equal(logits(full_pair.base), logits(full_pair.tuned))


def test_base_and_adapter_share_one_copy_of_the_weights(tiny_pair: ModelPair, base_dir: Path) -> None:
    assert tiny_pair.shares_weights
    held = sum(p.numel() * p.element_size() for p in plain_network(base_dir).parameters())
    assert tiny_pair.memory_saved == held
    network = tiny_pair.base.bridge.original_model
    assert sum(p.numel() * p.element_size() for p in network.parameters()) > held
    assert (tiny_pair.base.n_layers, tiny_pair.context, tiny_pair.device, tiny_pair.dtype) == (3, 256, "cpu", "float32")


def test_memory_saved_counts_the_base_only_whatever_the_adapter(base_dir: Path, tmp_path: Path) -> None:
    from peft import IA3Config, get_peft_model

    config = IA3Config(target_modules=["k_proj", "v_proj", "down_proj"], feedforward_modules=["down_proj"])
    get_peft_model(plain_network(base_dir), config).save_pretrained(tmp_path)
    pair = ModelPair.load(base_dir, tmp_path, device="cpu")
    assert pair.memory_saved == sum(p.numel() * p.element_size() for p in plain_network(base_dir).parameters())


def test_the_base_side_is_the_plain_base_and_never_drifts(tiny_pair: ModelPair, plain_base: torch.Tensor) -> None:
    weights = {name: p.clone() for name, p in tiny_pair.base.bridge.original_model.named_parameters()}
    assert torch.equal(logits(tiny_pair.base), plain_base)
    assert not torch.equal(logits(tiny_pair.tuned), plain_base)
    assert torch.equal(logits(tiny_pair.base), plain_base)

    def fail(model: Any) -> None:
        with model.active():
            raise KeyError("boom")

    for side in (tiny_pair.tuned, tiny_pair.base):
        with pytest.raises(KeyError):
            fail(side)
        assert torch.equal(logits(tiny_pair.base), plain_base)
    after = dict(tiny_pair.base.bridge.original_model.named_parameters())
    assert after.keys() == weights.keys()
    assert all(torch.equal(after[name], weight) for name, weight in weights.items())


def test_the_tuned_side_is_the_plain_peft_model(tiny_pair: ModelPair, plain_tuned: torch.Tensor) -> None:
    assert torch.equal(logits(tiny_pair.tuned), plain_tuned)
    logits(tiny_pair.base)
    assert torch.equal(logits(tiny_pair.tuned), plain_tuned)


def test_nothing_is_trainable_before_and_after_a_side_was_active(tiny_pair: ModelPair) -> None:
    network = tiny_pair.base.bridge.original_model
    for side in (tiny_pair.base, tiny_pair.tuned):
        logits(side)
        assert not any(p.requires_grad for p in network.parameters())
        assert not any(module.training for module in network.modules())


def fired(model: Any) -> set[str]:
    """Hook points that one forward pass reaches; those behind a ``use_…`` flag are left out."""
    behind_flags = re.compile(r"hook_(mlp_in|attn_in|result)$|_input$")
    seen: set[str] = set()

    def note(name: str) -> Callable[..., None]:
        return lambda value, hook: seen.add(name)

    with model.active() as bridge, torch.no_grad():
        names = [name for name in bridge.hook_dict if not behind_flags.search(name)]
        with bridge.hooks(fwd_hooks=[(name, note(name)) for name in names]):
            bridge(IDS, use_cache=False)
    return seen


def test_every_hook_point_of_the_plain_model_fires_in_both_states(tiny_pair: ModelPair, full_pair: ModelPair) -> None:
    want = fired(full_pair.base)
    assert {f"blocks.{i}.{name}" for i in range(3) for name in ("attn.hook_pattern", "hook_resid_post")} < want
    assert len(want) > 100
    assert fired(tiny_pair.base) == want
    assert fired(tiny_pair.tuned) == want


def test_hooks_see_the_adapter_in_the_tuned_state_only(tiny_pair: ModelPair, full_pair: ModelPair) -> None:
    def queries(model: Any) -> torch.Tensor:
        seen: list[torch.Tensor] = []
        with (
            model.active() as bridge,
            bridge.hooks(fwd_hooks=[("blocks.0.attn.hook_q", lambda v, hook: seen.append(v))]),
        ):
            bridge(IDS, use_cache=False)
        return seen[0]

    assert torch.equal(queries(tiny_pair.base), queries(full_pair.base))
    assert not torch.equal(queries(tiny_pair.tuned), queries(tiny_pair.base))


def test_an_adapter_brings_its_own_base(adapter_dir: Path, base_dir: Path) -> None:
    pair = ModelPair.load(tuned=adapter_dir, device="cpu")
    assert pair.base.name == str(base_dir)


def test_the_tuned_models_chat_template_is_used(base_dir: Path, tuned_dir: Path, copy_of: Any) -> None:
    bare = copy_of(base_dir)
    (bare / "chat_template.jinja").unlink()
    want = (tuned_dir / "chat_template.jinja").read_text("utf-8")
    assert ModelPair.load(bare, tuned_dir, device="cpu").tokenizer.chat_template == want


def test_the_tokenizer_is_loaded_once_a_model_and_left_as_it_is(
    base_dir: Path, adapter_dir: Path, copy_of: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import AutoTokenizer

    folder = copy_of(base_dir)
    edit_json(folder / "tokenizer_config.json", pad_token=None, bos_token=None)
    loaded: list[str] = []
    original = AutoTokenizer.from_pretrained

    def counting(name: str, *args: Any, **options: Any) -> Any:
        loaded.append(name)
        return original(name, *args, **options)

    monkeypatch.setattr(AutoTokenizer, "from_pretrained", counting)
    for base in (base_dir, folder):
        loaded.clear()
        pair = ModelPair.load(base, adapter_dir, device="cpu")
        assert loaded == [str(base)]
    assert pair.tokenizer.bos_token is None
    assert pair.tokenizer.get_vocab() == original(folder).get_vocab()


def test_device_map_cpu_equals_the_plain_load(tiny_pair: ModelPair, base_dir: Path, adapter_dir: Path) -> None:
    pair = ModelPair.load(base_dir, adapter_dir, device="cpu", device_map="cpu")
    assert torch.equal(logits(pair.base), logits(tiny_pair.base))
    assert torch.equal(logits(pair.tuned), logits(tiny_pair.tuned))
    assert pair.memory_saved == tiny_pair.memory_saved
    assert (dict(pair.loading), dict(tiny_pair.loading)) == ({"device_map": "cpu"}, {})


def test_bfloat16_is_the_plain_bfloat16_model(tiny_pair: ModelPair, base_dir: Path, adapter_dir: Path) -> None:
    pair = ModelPair.load(base_dir, adapter_dir, device="cpu", dtype="bfloat16")
    want = plain_logits(plain_network(base_dir, torch.bfloat16))
    assert logits(pair.base).dtype == want.dtype == torch.bfloat16
    assert torch.equal(logits(pair.base), want)
    logits(pair.tuned)
    assert torch.equal(logits(pair.base), want)
    assert pair.memory_saved * 2 == tiny_pair.memory_saved
    assert bool(logits(pair.tuned).isfinite().all())


# Names and files that are not there


@pytest.mark.parametrize("name", ["/nowhere/model.gguf", "model.gguf", "/nowhere/model", "./nowhere"])
def test_a_path_that_does_not_exist(name: str, base_dir: Path, adapter_dir: Path) -> None:
    assert "no such file or folder" in refusal(name, adapter_dir)
    assert "no such file or folder" in refusal(base_dir, name)
    assert "no such file or folder" in refusal(None, name)


def test_a_folder_that_is_no_model(tmp_path: Path, base_dir: Path, adapter_dir: Path) -> None:
    assert "so it is not a model" in refusal(tmp_path, adapter_dir)
    assert "so it is not a model" in refusal(base_dir, tmp_path)


def test_an_adapter_as_base(adapter_dir: Path) -> None:
    assert "an adapter, which can only be the tuned model" in refusal(adapter_dir, adapter_dir)


def test_a_tuned_full_model_without_a_base(tuned_dir: Path) -> None:
    assert "add --base" in refusal(None, tuned_dir)


def test_an_adapter_that_does_not_name_its_base(adapter_dir: Path, base_dir: Path, copy_of: Any) -> None:
    folder = copy_of(adapter_dir)
    edit_json(folder / "adapter_config.json", base_model_name_or_path=None)
    assert "does not name its base model; add --base" in refusal(None, folder)
    assert ModelPair.load(base_dir, folder, device="cpu").shares_weights


def test_a_name_of_the_hub_without_network(offline: None, base_dir: Path, adapter_dir: Path) -> None:
    for names in (("org/no-such-model", adapter_dir), (base_dir, "org/no-such-model")):
        assert "org/no-such-model: neither a local path nor loadable from the hub" in refusal(*names)


def test_a_local_pair_asks_no_hub(
    base_dir: Path, adapter_dir: Path, copy_of: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import socket

    def asked(*args: Any) -> None:
        hosts.append(args)
        raise OSError("no network")

    hosts: list[Any] = []
    monkeypatch.setattr(socket.socket, "connect", asked)
    monkeypatch.setattr(socket, "getaddrinfo", asked)
    folder = copy_of(adapter_dir)
    # peft would look there for the configuration of the base.
    edit_json(folder / "adapter_config.json", base_model_name_or_path="org/base")
    ModelPair.load(base_dir, folder, device="cpu")
    assert hosts == []


def test_a_checkpoint_that_is_a_pickle(base_dir: Path, tuned_dir: Path, full_pair: ModelPair, copy_of: Any) -> None:
    """Tensors of a pickle are read; a pickle that would run code is not opened."""
    folder = copy_of(tuned_dir)
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    torch.save(weights, folder / "pytorch_model.bin")
    pair = ModelPair.load(base_dir, folder, device="cpu")
    assert torch.equal(logits(pair.tuned), logits(full_pair.tuned))
    before = pair.tuned.fingerprint
    weights["model.norm.weight"][0] += 1
    torch.save(weights, folder / "pytorch_model.bin")
    assert ModelPair.load(base_dir, folder, device="cpu").tuned.fingerprint != before
    torch.save({"a": OpensIfUnpickled(), **weights}, folder / "pytorch_model.bin")
    assert "cannot be loaded" in refusal(base_dir, folder)


def test_an_adapter_without_safetensors(base_dir: Path, adapter_dir: Path, tiny_pair: ModelPair, copy_of: Any) -> None:
    """Tensors of a pickle are read; a pickle that would run code is not opened."""
    folder = copy_of(adapter_dir)
    weights = load_file(folder / "adapter_model.safetensors")
    (folder / "adapter_model.safetensors").unlink()
    assert "adapter_model.safetensors is missing" in refusal(base_dir, folder)
    torch.save({"a": OpensIfUnpickled(), **weights}, folder / "adapter_model.bin")
    assert "adapter_model.bin is missing or damaged" in refusal(base_dir, folder)
    torch.save(weights, folder / "adapter_model.bin")
    assert torch.equal(logits(ModelPair.load(base_dir, folder, device="cpu").tuned), logits(tiny_pair.tuned))


class OpensIfUnpickled:
    def __reduce__(self) -> Any:
        return (pytest.fail, ("the pickle was opened",))


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json"])
def test_a_damaged_base(base_dir: Path, adapter_dir: Path, copy_of: Any, name: str) -> None:
    folder = copy_of(base_dir)
    os.truncate(folder / name, 40)
    assert "cannot be loaded" in refusal(folder, adapter_dir)


@pytest.mark.parametrize(
    ("name", "words"),
    [("adapter_model.safetensors", "missing or damaged"), ("adapter_config.json", "is not JSON")],
)
def test_a_damaged_adapter(base_dir: Path, adapter_dir: Path, copy_of: Any, name: str, words: str) -> None:
    folder = copy_of(adapter_dir)
    os.truncate(folder / name, 40)
    assert words in refusal(base_dir, folder)


def test_a_configuration_that_is_a_list(base_dir: Path, adapter_dir: Path, copy_of: Any) -> None:
    folder = copy_of(adapter_dir)
    (folder / "adapter_config.json").write_text("[]")
    assert "no JSON object" in refusal(base_dir, folder)


def test_weights_that_are_missing_are_not_made_up(base_dir: Path, adapter_dir: Path, copy_of: Any) -> None:
    folder = copy_of(base_dir)
    name = "model.layers.1.mlp.up_proj.weight"
    edit_weights(folder / "model.safetensors", lambda weights: weights.pop(name))
    assert f"{name} are missing" in refusal(folder, adapter_dir)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers(base_dir: Path, adapter_dir: Path, copy_of: Any, value: float) -> None:
    def spoil(weights: dict[str, torch.Tensor]) -> None:
        next(iter(weights.values())).view(-1)[3] = value

    base, adapter = copy_of(base_dir), copy_of(adapter_dir)
    edit_weights(base / "model.safetensors", spoil)
    edit_weights(adapter / "adapter_model.safetensors", spoil)
    assert f"{base}: weights of " in refusal(base, adapter_dir)
    assert f"{adapter}: weights of " in refusal(base_dir, adapter)


# What does not fit together


@pytest.mark.parametrize("layers", [2, 4])
def test_an_adapter_of_a_model_with_other_layers(adapter_dir: Path, tmp_path: Path, layers: int) -> None:
    assert "layers are not those of" in refusal(save_model(tmp_path, 1, layers=layers), adapter_dir, any_base=True)


def test_an_adapter_of_a_model_with_another_hidden_size(adapter_dir: Path, tmp_path: Path) -> None:
    from transformers import LlamaForCausalLM

    tokenizer = tiny_tokenizer()
    config = tiny_network(tokenizer, 1).config
    config.hidden_size, config.head_dim = 64, 16
    LlamaForCausalLM(config).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    assert "does not fit" in refusal(tmp_path, adapter_dir, any_base=True)


def test_an_adapter_that_was_tuned_on_other_weights(
    base_dir: Path, tuned_dir: Path, adapter_dir: Path, copy_of: Any
) -> None:
    folder = copy_of(adapter_dir)
    manifest = folder / "attrib.json"
    manifest.write_text(json.dumps({"base_fingerprint": fingerprint(str(tuned_dir), None)}), "utf-8")
    assert "was tuned on another model than" in refusal(base_dir, folder)
    # The same shapes, and now the same weights.
    assert ModelPair.load(tuned_dir, folder, device="cpu").shares_weights
    edit_json(manifest, base_fingerprint=fingerprint(str(base_dir), None))
    assert ModelPair.load(base_dir, folder, device="cpu").shares_weights


def lora(**options: Any) -> Any:
    from peft import LoraConfig

    return LoraConfig(r=2, **options)


@pytest.mark.parametrize(
    "options",
    [
        {"target_modules": ["q_proj"], "init_lora_weights": "pissa"},
        {"target_modules": ["q_proj"], "layer_replication": [(0, 2), (1, 3)]},
    ],
    ids=["pissa", "replication"],
)
def test_an_adapter_that_rewrites_its_base(base_dir: Path, tmp_path: Path, options: dict[str, Any]) -> None:
    from peft import get_peft_model

    get_peft_model(plain_network(base_dir), lora(**options)).save_pretrained(tmp_path)
    assert "rewrites weights of" in refusal(base_dir, tmp_path)


def test_a_prompt_tuning_adapter(base_dir: Path, tmp_path: Path) -> None:
    from peft import PromptTuningConfig, get_peft_model

    config = PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=2)
    get_peft_model(plain_network(base_dir), config).save_pretrained(tmp_path)
    assert "PROMPT_TUNING are not supported" in refusal(base_dir, tmp_path)


def test_a_tuned_model_with_fewer_embeddings(base_dir: Path, tmp_path: Path) -> None:
    larger = save_model(tmp_path, 2, vocabulary=400)
    assert "a vocabulary of 400 and" in refusal(larger, base_dir)


def test_tokenizers_of_the_same_size_that_differ(base_dir: Path, tmp_path: Path) -> None:
    tokenizer = tiny_tokenizer(353, "Zebras quietly jump over vexing dwarfs; mixing 1934 boxes of foggy jazz. " * 20)
    other = tiny_tokenizer(len(tokenizer))
    assert len(tokenizer) == len(other) < 353
    one, two = (
        save_model(tmp_path / name, 2, tokenizer=t, vocabulary=353) for name, t in (("1", tokenizer), ("2", other))
    )
    assert "split text into different tokens" in refusal(one, two)
    assert not ModelPair.load(one, one, device="cpu").shares_weights


# Models of other kinds


def test_encoders_are_refused(tmp_path: Path, adapter_dir: Path) -> None:
    from transformers import (
        BertConfig,
        BertForMaskedLM,
        BertLMHeadModel,
        T5Config,
        T5ForConditionalGeneration,
    )

    tokenizer = tiny_tokenizer()
    size = {"vocab_size": len(tokenizer), "hidden_size": 16, "num_attention_heads": 2, "num_hidden_layers": 1}
    bert = BertConfig(**size, intermediate_size=16)
    t5 = T5Config(vocab_size=len(tokenizer), d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2)
    for network in (BertForMaskedLM(bert), BertLMHeadModel(bert), T5ForConditionalGeneration(t5)):
        kind = type(network).__name__
        network.save_pretrained(tmp_path / kind)
        tokenizer.save_pretrained(tmp_path / kind)
        assert f"{kind} is not a decoder" in refusal(tmp_path / kind, adapter_dir)


@pytest.mark.parametrize("dtype", ["float8", "int8", ""])
def test_an_unknown_dtype(base_dir: Path, adapter_dir: Path, dtype: str) -> None:
    assert "use one of auto, float32" in refusal(base_dir, adapter_dir, dtype=dtype)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
@pytest.mark.parametrize("device", ["cuda", "cuda:1"])
def test_cuda_without_a_gpu(base_dir: Path, adapter_dir: Path, device: str) -> None:
    assert "use --device cpu or install a CUDA build" in refusal(base_dir, adapter_dir, device=device)


@pytest.mark.parametrize("device", ["gpu", "meta", "", "cpu:x"])
def test_a_device_that_pytorch_cannot_use(base_dir: Path, adapter_dir: Path, device: str) -> None:
    assert "use --device cpu" in refusal(base_dir, adapter_dir, device=device)


# Fingerprints


def test_a_fingerprint_follows_the_weights_and_nothing_else(base_dir: Path, copy_of: Any) -> None:
    folder = copy_of(base_dir)
    want = fingerprint(str(base_dir), None)
    assert re.fullmatch(r"[0-9a-f]{64}", want)
    assert fingerprint(str(folder), None) == want
    edit_json(folder / "config.json", transformers_version="0.0.0")
    assert fingerprint(str(folder), None) == want

    def nudge(weights: dict[str, torch.Tensor]) -> None:
        weights["model.norm.weight"][0] += 1e-3

    edit_weights(folder / "model.safetensors", nudge)
    assert fingerprint(str(folder), None) != want


def test_fingerprints_of_a_pair(tiny_pair: ModelPair, full_pair: ModelPair, base_dir: Path, tmp_path: Path) -> None:
    assert tiny_pair.base.fingerprint == full_pair.base.fingerprint == fingerprint(str(base_dir), None)
    other = ModelPair.load(base_dir, save_adapter(tmp_path, base_dir, seed=4), device="cpu")
    prints = [tiny_pair.base, tiny_pair.tuned, full_pair.tuned, other.tuned]
    assert len({model.fingerprint for model in prints}) == len(prints)
    assert other.base.fingerprint == tiny_pair.base.fingerprint


def test_a_network_is_loaded_frozen_and_in_evaluation_mode(base_dir: Path) -> None:
    network, _ = load_network(str(base_dir))
    assert not network.training
    assert not any(p.requires_grad for p in network.parameters())


@pytest.mark.model
def test_the_default_pair_shares_its_weights_and_does_not_drift(default_pair: ModelPair) -> None:
    assert default_pair.shares_weights
    assert default_pair.memory_saved == 134_515_008 * 4
    before = logits(default_pair.base)
    assert not torch.equal(logits(default_pair.tuned), before)
    assert torch.equal(logits(default_pair.base), before)


@pytest.mark.parametrize("side", ["revision", "tuned_revision"])
def test_a_revision_of_a_local_path_is_refused_not_ignored(base_dir: Path, adapter_dir: Path, side: str) -> None:
    with pytest.raises(ModelError, match="local path and has no revision 'main'") as caught:
        ModelPair.load(base_dir, adapter_dir, device="cpu", **{side: "main"})
    assert "\n" not in str(caught.value)


def weights_of(model: Any) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in model.bridge.original_model.state_dict().items()}


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(tensor, other[name]) for name, tensor in one.items())


@pytest.mark.parametrize("fails", [False, True])
def test_at_a_checkpoint_the_weights_are_the_folders_and_afterwards_the_own_to_the_bit(
    tiny_pair: ModelPair, plain_base: torch.Tensor, base_dir: Path, tmp_path: Path, fails: bool
) -> None:
    from peft import PeftModel

    folder = save_adapter(tmp_path, base_dir, seed=4)
    want = plain_logits(PeftModel.from_pretrained(plain_network(base_dir), folder).eval())
    before, own = weights_of(tiny_pair.tuned), logits(tiny_pair.tuned)
    try:
        with tiny_pair.tuned.at_checkpoint(folder):
            assert torch.allclose(logits(tiny_pair.tuned), want, atol=1e-5)
            assert not torch.allclose(want, own, atol=1e-2)
            assert torch.allclose(logits(tiny_pair.base), plain_base, atol=1e-5)
            if fails:
                raise KeyboardInterrupt
    except KeyboardInterrupt:
        assert fails
    assert same(weights_of(tiny_pair.tuned), before)
    assert torch.equal(logits(tiny_pair.tuned), own)


def test_before_tuning_the_adapter_is_there_and_does_nothing(tiny_pair: ModelPair) -> None:
    before, drawn = weights_of(tiny_pair.tuned), []
    for _ in range(2):
        with tiny_pair.tuned.at_checkpoint(None):
            assert torch.equal(logits(tiny_pair.tuned), logits(tiny_pair.base))
            drawn.append(weights_of(tiny_pair.tuned))
    assert same(*drawn)
    of = {part: [tensor for name, tensor in drawn[0].items() if part in name] for part in ("lora_A", "lora_B")}
    assert len(of["lora_A"]) == len(of["lora_B"]) > 0
    assert not any(tensor.any() for tensor in of["lora_B"])
    for tensor in of["lora_A"]:
        bound = tensor.shape[1] ** -0.5
        assert 0.8 * bound < tensor.abs().max() <= bound
    # Each layer's own; the bridge names a weight several times.
    assert len({float(tensor[0, 0]) for tensor in of["lora_A"]}) == 3 * 7
    assert same(weights_of(tiny_pair.tuned), before)


@pytest.mark.parametrize("what", ["nothing there", "no adapter", "other layers", "another rank"])
def test_a_folder_that_is_no_checkpoint_of_it(
    tiny_pair: ModelPair, base_dir: Path, tuned_dir: Path, tmp_path: Path, what: str
) -> None:
    from peft import get_peft_model

    folder = {"nothing there": tmp_path / "none", "no adapter": tuned_dir}.get(what, tmp_path)
    if what == "other layers":
        save_adapter(tmp_path, save_model(tmp_path / "base", seed=1, layers=2))
    elif what == "another rank":
        # Of one row: a copy into two would pass unseen.
        config = lora(target_modules="all-linear", task_type="CAUSAL_LM")
        config.r = 1
        get_peft_model(plain_network(base_dir), config).save_pretrained(tmp_path)
    before = weights_of(tiny_pair.tuned)
    with pytest.raises(ModelError) as caught, tiny_pair.tuned.at_checkpoint(folder):
        pass
    assert str(folder) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert same(weights_of(tiny_pair.tuned), before)


def test_the_adapter_is_its_own_last_checkpoint_by_a_relative_path_too(
    tiny_pair: ModelPair, adapter_dir: Path, monkeypatch: Any
) -> None:
    monkeypatch.chdir(adapter_dir.parent)
    before = weights_of(tiny_pair.tuned)
    with tiny_pair.tuned.at_checkpoint(Path(adapter_dir.name)):
        assert same(weights_of(tiny_pair.tuned), before)


def test_a_side_without_an_adapter_has_no_checkpoints(
    tiny_pair: ModelPair, full_pair: ModelPair, adapter_dir: Path
) -> None:
    for model in (tiny_pair.base, full_pair.tuned):
        with pytest.raises(ModelError, match="no checkpoints; name an adapter made by attrib tune"):
            model.at_checkpoint(adapter_dir).__enter__()


def test_weights_before_tuning_are_made_up_for_plain_lora_alone(base_dir: Path, tmp_path: Path) -> None:
    """DoRA's magnitudes of zero would be another model."""
    from peft import get_peft_model

    get_peft_model(plain_network(base_dir), lora(target_modules=["q_proj"], use_dora=True)).save_pretrained(tmp_path)
    pair = ModelPair.load(base_dir, tmp_path, device="cpu")
    with pair.tuned.at_checkpoint(tmp_path):
        pass
    with pytest.raises(ModelError, match=r"lora_magnitude_vector.* before tuning is unknown"):
        pair.tuned.at_checkpoint(None).__enter__()
