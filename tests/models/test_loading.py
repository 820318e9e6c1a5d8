"""Files of a model as people have them: what loads, and what a refusal says."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from attrib.errors import ModelError
from attrib.models.pair import ModelPair
from tests.conftest import save_adapter, tiny_tokenizer
from tests.oracles import bare, gaps


def refusal(*names: Any, **options: Any) -> str:
    with pytest.raises(ModelError) as caught:
        ModelPair.load(*names, device="cpu", **options)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_a_trainers_folder_names_what_is_inside(
    base_dir: Path, tuned_dir: Path, adapter_dir: Path, tmp_path: Path
) -> None:
    for step in (5, 10, 100):
        shutil.copytree(adapter_dir, tmp_path / "out" / f"checkpoint-{step}")
    said = refusal(base_dir, tmp_path / "out")
    places = [said.index(f"{tmp_path / 'out' / f'checkpoint-{step}'}") for step in (5, 10, 100)]
    assert "name one of them" in said
    assert places == sorted(places)
    # The same where no base is named, of a full model, and of an adapter below.
    assert refusal(tuned=tmp_path / "out") == said
    shutil.copytree(tuned_dir, tmp_path / "full" / "checkpoint-7")
    assert f"name one of them: {tmp_path / 'full' / 'checkpoint-7'}" in refusal(base_dir, tmp_path / "full")
    shutil.copytree(adapter_dir, tmp_path / "parent" / "dpo")
    assert f"name one of them: {tmp_path / 'parent' / 'dpo'}" in refusal(base_dir, tmp_path / "parent")
    assert ModelPair.load(base_dir, tmp_path / "parent" / "dpo", device="cpu").shares_weights


def test_a_tuned_model_without_a_tokenizer_takes_its_bases(base_dir: Path, tuned_dir: Path, tmp_path: Path) -> None:
    bare(tuned_dir, dtype=torch.float32).save_pretrained(tmp_path)
    pair = ModelPair.load(base_dir, tmp_path, device="cpu")
    assert pair.notes == (f"{tmp_path.name} has no tokenizer of its own; that of {base_dir.name} is taken",)
    assert pair.tokenizer.get_vocab() == tiny_tokenizer().get_vocab()
    assert ModelPair.load(base_dir, tuned_dir, device="cpu").notes == ()
    # Base itself must have one.
    assert "cannot be loaded" in refusal(tmp_path, tuned_dir)


def test_more_embeddings_without_a_tokenizer_that_names_them(base_dir: Path, tmp_path: Path) -> None:
    network = bare(base_dir, dtype=torch.float32)
    network.resize_token_embeddings(360)
    network.save_pretrained(tmp_path)
    assert "embeddings of 360 tokens and no tokenizer, base 353; save the tokenizer" in refusal(base_dir, tmp_path)


@pytest.mark.parametrize("kind", ["mamba", "mamba2", "rwkv", "recurrent_gemma", "jamba", "zamba2"])
def test_models_that_do_not_attend_are_refused_as_what_they_are(kind: str, tmp_path: Path) -> None:
    """From the configuration alone, whatever it says of a context."""
    from transformers import AutoConfig
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES as NAMES

    AutoConfig.for_model(kind, architectures=[NAMES[kind]], max_position_embeddings=512).save_pretrained(tmp_path)
    tiny_tokenizer().save_pretrained(tmp_path)
    assert f"{NAMES[kind]} is a state-space or recurrent model" in refusal(tmp_path, tmp_path)


def test_a_block_without_attention_is_found_after_loading(tmp_path: Path) -> None:
    from transformers import Lfm2Config, Lfm2ForCausalLM

    tokenizer = tiny_tokenizer()
    shape = {"hidden_size": 32, "intermediate_size": 48, "num_attention_heads": 4, "num_key_value_heads": 2}
    config = Lfm2Config(vocab_size=len(tokenizer), num_hidden_layers=2, layer_types=["full_attention", "conv"], **shape)
    Lfm2ForCausalLM(config).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    assert "block 1 of Lfm2ForCausalLM does not attend to earlier tokens; name a transformer" in refusal(
        tmp_path, tmp_path
    )


def test_alibi_models_state_their_context_otherwise(tmp_path: Path) -> None:
    from transformers import BloomConfig, BloomForCausalLM

    tokenizer = tiny_tokenizer()
    torch.manual_seed(0)
    config = BloomConfig(vocab_size=len(tokenizer), hidden_size=32, n_layer=2, n_head=4)
    BloomForCausalLM(config).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    assert 'how long a text may be; add "max_position_embeddings"' in refusal(tmp_path, tmp_path)
    file = tmp_path / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text("utf-8")), "seq_length": 96}), "utf-8")
    pair = ModelPair.load(tmp_path, tmp_path, device="cpu")
    assert pair.context == 96
    found = gaps(pair, tmp_path, tmp_path)
    assert found.pop("change") == 0
    assert max(found.values()) <= 1e-5


@pytest.mark.parametrize("method", ["gptq", "awq"])
def test_quantised_weights_are_told_with_their_cause(
    method: str, base_dir: Path, adapter_dir: Path, tmp_path: Path
) -> None:
    base = Path(shutil.copytree(base_dir, tmp_path / "base"))
    file = base / "config.json"
    quantised = {"quant_method": method, "bits": 4, "group_size": 128}
    file.write_text(json.dumps({**json.loads(file.read_text("utf-8")), "quantization_config": quantised}), "utf-8")
    said = refusal(base, adapter_dir)
    assert f"quantised ({method}) and cannot be loaded here: " in said
    assert "name the model as it was before quantisation with --base" in said


def test_an_own_base_that_fails_is_said_to_be_the_adapters(base_dir: Path, tmp_path: Path) -> None:
    base = Path(shutil.copytree(base_dir, tmp_path / "base"))
    adapter = save_adapter(tmp_path / "tuned", base)
    (base / "tokenizer.json").write_text("no JSON", "utf-8")
    said = refusal(tuned=adapter)
    assert said.endswith(f"it is the base that {adapter} names, and --base names another")
    assert ModelPair.load(base_dir, adapter, device="cpu", any_base=True).shares_weights


@pytest.mark.parametrize("what", ["family", "layers"])
def test_models_that_cannot_be_tuned_from_each_other(what: str, base_dir: Path, tmp_path: Path) -> None:
    from tests.conftest import save_model
    from tests.oracles import save_architecture

    other = save_model(tmp_path, 1, layers=2) if what == "layers" else save_architecture(tmp_path, "qwen3")
    assert "cannot have been tuned from" in refusal(base_dir, other)


@pytest.mark.parametrize("tied", [True, False])
def test_a_configuration_that_names_no_class(tied: bool, tmp_path: Path) -> None:
    """As transformers makes it of a GGUF file; texts are longer than the sliding window."""
    from tests.oracles import save_architecture

    base = save_architecture(tmp_path / "base", "gemma3_text", tied=tied)
    file = base / "config.json"
    config = json.loads(file.read_text("utf-8"))
    assert config.pop("architectures") == ["Gemma3ForCausalLM"]
    assert config["tie_word_embeddings"] is tied
    file.write_text(json.dumps(config), "utf-8")
    adapter = save_adapter(tmp_path / "tuned", base)
    found = gaps(ModelPair.load(base, adapter, device="cpu"), base, adapter)
    assert found.pop("change") > 0.01
    assert max(found.values()) <= 1e-5
