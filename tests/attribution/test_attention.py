"""Attention against the bare network's own attentions, and attention × gradient against autograd on the patterns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from attrib.attribution import attribute, attribute_model
from attrib.attribution.job import MethodScores
from attrib.errors import AttribError, InputError
from attrib.models.pair import ModelPair
from attrib.models.prompt import Encoded
from tests.conftest import save_model
from tests.oracles import ARCHITECTURES, Loop, bare, encoded, knobs, loop, save_architecture

LOOKED = ("attention", "attention_last", "attention_max", "attention_head")


@pytest.fixture(scope="module")
def wanted(tiny_pair64: Any, base_dir: Path, adapter_dir: Path) -> dict[str, Loop]:
    """By side what the loop over tokens finds in the bare networks."""
    text = encoded(tiny_pair64)
    return {"base": loop(bare(base_dir), text), "tuned": loop(bare(base_dir, adapter_dir), text)}


def scores_of(pair: Any, text: Encoded, method: str, *, tuned: bool = True, **options: Any) -> MethodScores:
    given = knobs(**{"unit": "token", "layer": 1, **options})
    return attribute_model(pair, text, (method,), given, tuned=tuned)[method]


def expected(attention: np.ndarray, layer: int = 1, head: int | None = None) -> dict[str, np.ndarray]:
    """Reductions of [layer, head, answer, position]."""
    one = attention[layer].mean(0) if head is None else attention[layer, head]
    return {
        "attention": attention.mean((0, 1)),
        "attention_last": attention[-1].mean(0),
        "attention_max": attention.max((0, 1)),
        "attention_head": one,
    }


@pytest.mark.parametrize("side", ["base", "tuned"])
def test_attention_is_the_bare_networks(tiny_pair64: Any, wanted: dict[str, Loop], side: str) -> None:
    found = attribute(tiny_pair64, encoded(tiny_pair64), LOOKED, knobs(unit="token", layer=1))
    for method, want in expected(wanted[side].attention).items():
        np.testing.assert_allclose(getattr(found[method], side), want, atol=1e-6, err_msg=method)
    assert np.abs(found["attention"].difference).max() > 0.01


@pytest.mark.parametrize("name", [name for name in ARCHITECTURES if name != "llama"])
def test_attention_is_the_bare_networks_in_every_family(name: str, tmp_path: Path) -> None:
    folder = save_architecture(tmp_path, name)
    pair = ModelPair.load(folder, folder, device="cpu", dtype="float64")
    text = encoded(pair)
    found = attribute_model(pair, text, LOOKED, knobs(unit="token", layer=1))
    for method, want in expected(loop(bare(folder), text).attention).items():
        np.testing.assert_allclose(found[method].values, want, atol=1e-6, err_msg=method)


def test_every_layer_and_head_can_be_named(tiny_pair64: Any, wanted: dict[str, Loop]) -> None:
    text, attention = encoded(tiny_pair64), wanted["tuned"].attention
    for layer in (0, 1, 2, -1, -3):
        for head in (0, 3, -1, None):
            got = scores_of(tiny_pair64, text, "attention_head", layer=layer, head=head).values
            np.testing.assert_allclose(got, expected(attention, layer, head)["attention_head"], atol=1e-6)
    assert np.abs(attention[0, 0] - attention[0, 3]).max() > 0.01


@pytest.mark.parametrize("options", [{"layer": 3}, {"layer": -4}, {"head": 4}, {"head": -5}, {"layer": None}])
def test_layers_and_heads_that_do_not_exist_are_refused(tiny_pair: Any, options: dict[str, Any]) -> None:
    with pytest.raises(InputError) as caught:
        scores_of(tiny_pair, encoded(tiny_pair), "attention_head", **options)
    assert "\n" not in str(caught.value)
    assert any(word in str(caught.value) for word in ("layer", "heads 0 to 3"))


@pytest.mark.parametrize("unit", ["token", "word", "answer", ((0, 3), (2, 1))])
def test_rows_are_shares_and_a_words_row_is_the_mean_of_its_tokens(tiny_pair64: Any, unit: Any) -> None:
    text = encoded(tiny_pair64)
    tokens = attribute(tiny_pair64, text, LOOKED, knobs(unit="token", layer=1))
    for method, found in attribute(tiny_pair64, text, LOOKED, knobs(unit=unit, layer=1)).items():
        want = np.stack([tokens[method].tuned[list(row)].mean(0) for row in found.rows])
        np.testing.assert_allclose(found.tuned, want, atol=1e-7)
        if method == "attention_max":
            # The largest of several rows that sum to 1 sums to more.
            assert (found.tuned.sum(1) > 1.01).all()
        else:
            np.testing.assert_allclose(found.tuned.sum(1), 1, atol=1e-6)


def test_nothing_looks_at_the_token_itself_or_after_it(tiny_pair: Any) -> None:
    text = encoded(tiny_pair)
    prompt = len(text.prompt_ids)
    for method in (*LOOKED, "attention_x_gradient"):
        values = scores_of(tiny_pair, text, method).values
        for row in range(len(values)):
            assert not np.any(values[row, prompt + row :]), method
            assert np.all(values[row, : prompt + row]), method


@pytest.mark.parametrize("side", ["base", "tuned"])
def test_attention_x_gradient_is_autograd_on_the_patterns(tiny_pair64: Any, wanted: dict[str, Loop], side: str) -> None:
    got = scores_of(tiny_pair64, encoded(tiny_pair64), "attention_x_gradient", tuned=side == "tuned").values
    np.testing.assert_allclose(got, wanted[side].attention_x_gradient, atol=1e-5)
    assert got.min() < 0 < got.max()


def test_progress_counts_every_row(tiny_pair: Any) -> None:
    seen: list[tuple[str, int, int]] = []
    text = encoded(tiny_pair)
    given = knobs(unit="token", chunk=5)
    attribute_model(tiny_pair, text, ("attention_x_gradient",), given, progress=lambda *told: seen.append(told))
    assert [done for _, done, _ in seen] == sorted(done for _, done, _ in seen)
    assert seen[-1][1:] == (len(text.answer_ids), len(text.answer_ids))


@pytest.mark.parametrize("method", [*LOOKED, "attention_x_gradient", "rollout", "value_norm", "information_flow"])
def test_a_model_gone_bad_stops_with_a_clear_line(tmp_path: Path, method: str) -> None:
    folder = save_model(tmp_path, seed=1)
    pair = ModelPair.load(folder, folder, device="cpu")
    text = encoded(pair)
    scores_of(pair, text, method)
    for name, parameter in pair.base.bridge.original_model.named_parameters():
        if "layers.1." in name and "up_proj" in name:
            parameter.data[0, 0] = float("nan")
    with pytest.raises(AttribError, match="not finite") as caught:
        scores_of(pair, text, method, tuned=False)
    assert "\n" not in str(caught.value)
