"""Rollout, value-weighted norms and information flow against explicit loops over heads and pairs of positions.

The loops read bare Hugging Face networks: patterns from ``output_attentions``, values and output projections from their
modules, the adapter's part included.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from attrib.attribution import attribute, attribute_model, flow
from attrib.models.pair import ModelPair
from attrib.models.prompt import Encoded
from attrib.options.methods import MethodOptions
from tests.oracles import bare, encoded, save_architecture

FLOW = ("rollout", "value_norm", "information_flow")
TOKENS = MethodOptions(unit="token")


@dataclass(frozen=True, eq=False)
class Seen:
    """One layer of a bare network, all by position."""

    pattern: np.ndarray
    """[head, query, key]"""
    sent: np.ndarray
    """[head, position, d_model]: one head's value of one position through the output projection alone."""
    residual: np.ndarray
    """[position, d_model]"""
    total: np.ndarray
    """residual + the attention's whole output."""


def llama_parts(layer: Any) -> tuple[Any, Any, Callable[[Any], Any]]:
    """Module that makes values, output projection, and the values by head from the module's output."""
    attention = layer.self_attn
    return attention.v_proj, attention.o_proj, lambda v: v.reshape(-1, 2, 8)[:, [0, 0, 1, 1]]


def gpt2_parts(layer: Any) -> tuple[Any, Any, Callable[[Any], Any]]:
    return layer.attn.c_attn, layer.attn.c_proj, lambda qkv: qkv[:, 64:].reshape(-1, 4, 8)


def neox_parts(layer: Any) -> tuple[Any, Any, Callable[[Any], Any]]:
    attention = layer.attention
    return attention.query_key_value, attention.dense, lambda qkv: qkv.reshape(-1, 4, 24)[:, :, 16:]


def phi_parts(layer: Any) -> tuple[Any, Any, Callable[[Any], Any]]:
    return layer.self_attn.v_proj, layer.self_attn.dense, lambda v: v.reshape(-1, 4, 8)


def qwen_parts(layer: Any) -> tuple[Any, Any, Callable[[Any], Any]]:
    return llama_parts(layer)


def look(network: Any, layers: Any, parts: Callable[[Any], Any], text: Encoded) -> list[Seen]:
    """One forward of a bare network over all but the last token."""
    seen: dict[tuple[int, str], Any] = {}
    handles = []

    def keep(at: int, name: str) -> Callable[..., None]:
        def put(module: Any, given: Any, out: Any) -> None:
            seen[at, name] = out[0].detach()

        return put

    for at, layer in enumerate(layers):
        values, project, _ = parts(layer)
        handles += [values.register_forward_hook(keep(at, "v")), project.register_forward_hook(keep(at, "out"))]
    with torch.no_grad():
        ids = torch.tensor([text.ids[:-1]])
        result = network(ids, output_attentions=True, output_hidden_states=True, use_cache=False)
        for handle in handles:
            handle.remove()
        out = []
        for at, layer in enumerate(layers):
            _, project, by_head = parts(layer)
            values = by_head(seen[at, "v"])
            sent = np.zeros((values.shape[1], values.shape[0], values.shape[1] * values.shape[2]))
            nothing = project(torch.zeros(1, 1, sent.shape[-1], dtype=torch.float64))[0, 0]
            for head in range(values.shape[1]):
                for position in range(values.shape[0]):
                    alone = torch.zeros(1, 1, *values.shape[1:], dtype=torch.float64)
                    alone[0, 0, head] = values[position, head]
                    sent[head, position] = (project(alone.reshape(1, 1, -1))[0, 0] - nothing).numpy()
            residual = result.hidden_states[at][0].numpy()
            pattern = result.attentions[at][0].numpy()
            out.append(Seen(pattern, sent, residual, residual + seen[at, "out"].numpy()))
    return out


def rollout(layers: list[Seen]) -> np.ndarray:
    """(mean over heads + identity) / 2, multiplied from the last layer down; [query, position]."""
    product = np.eye(layers[0].pattern.shape[1])
    for layer in layers:
        product = ((layer.pattern.mean(0) + np.eye(len(product))) / 2) @ product
    return product


def value_norm(layers: list[Seen]) -> np.ndarray:
    """Mean over layers of shares of ‖Σ_head α f(x)‖, pair by pair."""
    n = layers[0].pattern.shape[1]
    shares = np.zeros((n, n))
    for layer in layers:
        for query in range(n):
            norms = [
                np.linalg.norm(sum(layer.pattern[h, query, key] * layer.sent[h, key] for h in range(len(layer.sent))))
                for key in range(n)
            ]
            shares[query] += np.array(norms) / np.sum(norms) / len(layers)
    return shares


def information_flow(layers: list[Seen]) -> np.ndarray:
    """Edges weighed by max(0, ‖y‖₁ − ‖y − part‖₁), pair by pair and head by head, then multiplied."""
    n = layers[0].pattern.shape[1]
    product = np.eye(n)
    for layer in layers:
        edges = np.zeros((n, n))
        for query in range(n):
            y = layer.total[query]
            size = np.abs(y).sum()
            for key in range(query + 1):
                for head in range(len(layer.sent)):
                    part = layer.pattern[head, query, key] * layer.sent[head, key]
                    edges[query, key] += max(0.0, size - np.abs(y - part).sum())
            edges[query, query] += max(0.0, size - np.abs(y - layer.residual[query]).sum())
            if not edges[query].any():
                # All parts point away from their sum: it keeps to itself.
                edges[query, query] = 1
        product = (edges / edges.sum(1, keepdims=True)) @ product
    return product


SLOW = {"rollout": rollout, "value_norm": value_norm, "information_flow": information_flow}


def rows(whole: np.ndarray, text: Encoded) -> np.ndarray:
    """[query, position] → [answer, position], with the last position that nothing sees."""
    return np.pad(whole[len(text.prompt_ids) - 1 :], ((0, 0), (0, 1)))


@pytest.mark.parametrize("side", ["base", "tuned"])
def test_flows_equal_loops_over_heads_and_pairs(tiny_pair64: Any, base_dir: Path, adapter_dir: Path, side: str) -> None:
    text = encoded(tiny_pair64)
    network = bare(base_dir, adapter_dir if side == "tuned" else None)
    inner = network.base_model.model if side == "tuned" else network
    layers = look(network, inner.model.layers, llama_parts, text)
    found = attribute(tiny_pair64, text, FLOW, TOKENS)
    for method, slow in SLOW.items():
        np.testing.assert_allclose(getattr(found[method], side), rows(slow(layers), text), atol=1e-5, err_msg=method)
        assert np.abs(found[method].difference).max() > 0.01


@pytest.mark.parametrize(
    ("name", "parts", "blocks"),
    [
        ("gpt2", gpt2_parts, "transformer.h"),
        ("gpt_neox", neox_parts, "gpt_neox.layers"),
        ("phi", phi_parts, "model.layers"),
        ("qwen3", qwen_parts, "model.layers"),
    ],
)
def test_flows_equal_loops_in_other_families(name: str, parts: Any, blocks: str, tmp_path: Path) -> None:
    folder = save_architecture(tmp_path, name)
    pair, network = ModelPair.load(folder, folder, device="cpu", dtype="float64"), bare(folder)
    text = encoded(pair)
    layers: Any = network
    for step in blocks.split("."):
        layers = getattr(layers, step)
    seen = look(network, layers, parts, text)
    found = attribute_model(pair, text, FLOW, TOKENS)
    for method, slow in SLOW.items():
        np.testing.assert_allclose(found[method].values, rows(slow(seen), text), atol=1e-5, err_msg=method)


def test_the_three_are_not_one(tiny_pair: Any) -> None:
    found = attribute_model(tiny_pair, encoded(tiny_pair), (*FLOW, "attention"), TOKENS)
    names = list(found)
    for i, one in enumerate(names):
        for other in names[i + 1 :]:
            assert np.abs(found[one].values - found[other].values).max() > 0.02, (one, other)


@pytest.mark.parametrize("unit", ["token", "word", "answer"])
def test_rows_are_shares_before_the_token(tiny_pair: Any, unit: Any) -> None:
    text = encoded(tiny_pair)
    prompt = len(text.prompt_ids)
    tokens = attribute(tiny_pair, text, FLOW, TOKENS)
    for method, found in attribute(tiny_pair, text, FLOW, MethodOptions(unit=unit)).items():
        np.testing.assert_allclose(found.tuned.sum(1), 1, atol=1e-6, err_msg=method)
        assert (found.tuned >= 0).all()
        for scores, row in zip(found.tuned, found.rows, strict=True):
            assert not np.any(scores[prompt + max(row) :])
            np.testing.assert_allclose(scores, tokens[method].tuned[list(row)].mean(0), atol=1e-7)


def test_pieces_do_not_change_the_numbers(tiny_pair64: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    text = encoded(tiny_pair64)
    want = attribute_model(tiny_pair64, text, FLOW, TOKENS, tuned=True)
    for floats in (1, 5_000):
        monkeypatch.setattr(flow, "CHUNK_FLOATS", floats)
        got = attribute_model(tiny_pair64, text, FLOW, TOKENS, tuned=True)
        for method in FLOW:
            np.testing.assert_allclose(got[method].values, want[method].values, atol=1e-6, err_msg=method)


def test_a_stream_without_attention_stays_where_it_is(tmp_path: Path) -> None:
    """Heads that send nothing: information flow sees that, attention and rollout do not."""
    from tests.conftest import tiny_network, tiny_tokenizer

    tokenizer = tiny_tokenizer()
    network = tiny_network(tokenizer, seed=8)
    for layer in network.model.layers:
        layer.self_attn.o_proj.weight.data.mul_(1e-6)
    network.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    pair = ModelPair.load(tmp_path, tmp_path, device="cpu")
    text = encoded(pair)
    own = len(text.prompt_ids) - 1 + np.arange(len(text.answer_ids))
    found = attribute_model(pair, text, (*FLOW, "attention"), TOKENS)
    at = {method: scores.values[np.arange(len(own)), own] for method, scores in found.items()}
    np.testing.assert_allclose(at["information_flow"], 1, atol=1e-3)
    assert (at["rollout"] < 0.5).all()
    assert (at["attention"] < 0.5).all()
