"""Tuning an adapter of a GGUF file: it trains, is interrupted, goes on, and loads with the file as its base."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from attrib.models.loading import load_network
from attrib.models.pair import ModelPair
from attrib.training.tune import tune
from tests.conftest import tiny_network, tiny_tokenizer
from tests.training.test_tune import ITEMS, QUICK, files, stop_at

BLOCK = {
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down", "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
}  # fmt: skip


def save_gguf(file: Path) -> Path:
    """A tiny random Llama with its tokenizer."""
    import gguf

    tokenizer = tiny_tokenizer()
    network = tiny_network(tokenizer, seed=1)
    config = network.config
    writer = gguf.GGUFWriter(str(file), "llama")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(10_000.0)
    writer.add_rope_dimension_count(config.head_dim)
    writer.add_vocab_size(config.vocab_size)
    vocabulary = tokenizer.get_vocab()
    tokens = sorted(vocabulary, key=lambda token: vocabulary[token])
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    control, normal = 3, 1
    writer.add_token_types([control if token in tokenizer.all_special_tokens else normal for token in tokens])
    merges = json.loads(tokenizer.backend_tokenizer.to_str())["model"]["merges"]
    writer.add_token_merges([" ".join(merge) for merge in merges])
    writer.add_bos_token_id(tokenizer.bos_token_id)
    writer.add_eos_token_id(tokenizer.eos_token_id)
    writer.add_pad_token_id(tokenizer.pad_token_id)
    writer.add_chat_template(tokenizer.chat_template)
    names = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}
    for number in range(config.num_hidden_layers):
        names |= {f"model.layers.{number}.{one}": f"blk.{number}.{other}" for one, other in BLOCK.items()}
    for name, weight in network.state_dict().items():
        writer.add_tensor(f"{names[name.removesuffix('.weight')]}.weight", weight.float().numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file


def test_a_gguf_file_is_tuned_and_an_interrupted_run_goes_on_to_the_same_bytes(tmp_path: Path) -> None:
    base = save_gguf(tmp_path / "tiny.gguf")
    whole = tune(str(base), ITEMS, tmp_path / "whole", options=QUICK)
    with pytest.raises(KeyboardInterrupt):
        tune(str(base), ITEMS, tmp_path / "adapter", options=QUICK, progress=stop_at(5))
    reports: list[str] = []
    out = tune(str(base), ITEMS, tmp_path / "adapter", options=QUICK, progress=lambda what, *_: reports.append(what))
    assert reports[0] == "resuming after step 4"
    assert files(out) == files(whole)
    pair = ModelPair.load(base, out, device="cpu")
    assert pair.shares_weights
    # Its own base, found by the name that tuning wrote.
    assert ModelPair.load(None, out, device="cpu").base.fingerprint == pair.base.fingerprint


def test_the_weights_of_a_gguf_file_are_plain(tmp_path: Path) -> None:
    network, _ = load_network(str(save_gguf(tmp_path / "tiny.gguf")), device="cpu")
    weights = {name: weight.numpy() for name, weight in network.state_dict().items()}
    expected = tiny_network(tiny_tokenizer(), seed=1).state_dict()
    assert {str(weight.dtype) for weight in weights.values()} == {"float32"}
    # Queries and keys are stored in another order.
    assert np.array_equal(weights["model.layers.0.mlp.up_proj.weight"], expected["model.layers.0.mlp.up_proj.weight"])
