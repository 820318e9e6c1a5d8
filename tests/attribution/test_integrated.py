"""Integrated gradients: completeness, closed forms, Captum on both paths, and the adaptive rule's promise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from attrib.attribution import attribute, attribute_model
from attrib.attribution.integrated import FIRST_PANELS, spread
from attrib.attribution.job import MethodScores
from attrib.errors import InputError
from attrib.models.pair import ModelPair
from attrib.models.prompt import Encoded
from attrib.options.methods import MethodOptions
from tests.conftest import tiny_network, tiny_tokenizer
from tests.oracles import bare, encoded, knobs


def scores_of(pair: Any, text: Encoded, *, tuned: bool = True, **options: Any) -> MethodScores:
    given = knobs(**{"unit": "token", "baseline": "eos", "rule": "gauss", **options})
    return attribute_model(pair, text, ("integrated_gradients",), given, tuned=tuned)["integrated_gradients"]


def steps_of(scores: MethodScores) -> int:
    steps = scores.settings["steps"]
    assert isinstance(steps, int)
    return steps


def change_of(scores: MethodScores) -> np.ndarray:
    change = scores.settings["change"]
    assert isinstance(change, list)
    return np.array(change)


def gap_of(scores: MethodScores) -> np.ndarray:
    assert scores.gap is not None
    return scores.gap


# Completeness


@pytest.mark.parametrize("path", ["prompt", "prefix"])
def test_the_gap_falls_with_the_steps(tiny_pair64: Any, path: Any) -> None:
    text = encoded(tiny_pair64)
    gaps = [np.abs(gap_of(scores_of(tiny_pair64, text, steps=steps, path=path))).max() for steps in (2, 20, 160)]
    assert gaps[0] > 0.1
    assert gaps[2] < 0.01
    assert gaps[0] > gaps[1] > gaps[2]


def test_a_start_at_zero_is_not_complete_and_the_gap_says_so(tiny_pair64: Any) -> None:
    # A norm undoes any scale, so that nearly all of the change happens next to zero, between two points of the rule.
    text = encoded(tiny_pair64)
    zero, token = (
        np.abs(gap_of(scores_of(tiny_pair64, text, steps=80, unit="answer", baseline=start))).max()
        for start in ("zero", "eos")
    )
    assert zero > 1
    assert token < 0.1


@pytest.mark.parametrize("baseline", ["zero", "pad", "eos", "mean", 7])
@pytest.mark.parametrize("path", ["prompt", "prefix"])
def test_the_gap_is_the_sum_less_the_change_of_the_bare_network(
    tiny_pair64: Any, base_dir: Path, baseline: Any, path: Any
) -> None:
    text, network = encoded(tiny_pair64), bare(base_dir)
    found = scores_of(tiny_pair64, text, tuned=False, steps=3, baseline=baseline, path=path)
    table = network.get_input_embeddings().weight.detach()
    token = {"pad": tiny_pair64.tokenizer.pad_token_id, "eos": tiny_pair64.tokenizer.eos_token_id}
    start = {"zero": torch.zeros_like(table[0]), "mean": table.mean(0)}.get(
        str(baseline), table[token.get(str(baseline), baseline if isinstance(baseline, int) else 0)]
    )
    embeddings = table[torch.tensor([text.ids])]
    origin = embeddings.clone()
    origin[:, : len(text.prompt_ids) if path == "prompt" else len(text.ids)] = start

    def logprobs(values: Any) -> np.ndarray:
        with torch.no_grad():
            logits = network(inputs_embeds=values, use_cache=False).logits[0, len(text.prompt_ids) - 1 : -1]
        return np.asarray(logits.log_softmax(-1).gather(-1, torch.tensor(text.answer_ids)[:, None])[:, 0].numpy())

    change = logprobs(embeddings) - logprobs(origin)
    np.testing.assert_allclose(gap_of(found), found.values.sum(1) - change, atol=1e-5)
    np.testing.assert_allclose(change_of(found), change, atol=1e-5)
    assert found.settings["baseline"] == baseline
    assert found.settings["steps"] == 3


def test_the_gap_is_in_the_record_of_both_models(tiny_pair: Any) -> None:
    text = encoded(tiny_pair)
    found = attribute(tiny_pair, text, ("integrated_gradients",), knobs(steps=2))["integrated_gradients"]
    for side, gap in (("base", found.gap_base), ("tuned", found.gap_tuned)):
        assert gap is not None
        (settings,) = [value for name, value in found.settings.items() if name == side]
        assert isinstance(settings, dict)
        np.testing.assert_allclose(gap, getattr(found, side).sum(1) - settings["change"], atol=1e-5)
        assert np.abs(gap).max() > 0.01


@pytest.mark.parametrize("target", ["kl", "entropy", "probability", "logodds"])
@pytest.mark.parametrize("tuned", [False, True])
def test_other_targets_are_complete_too(tiny_pair64: Any, target: str, tuned: bool) -> None:
    found = scores_of(tiny_pair64, encoded(tiny_pair64), tuned=tuned, target=target, steps=150, unit="answer")
    assert np.abs(gap_of(found)).max() < 0.01
    assert np.abs(found.values).sum() > 0.05


def test_only_what_moves_gets_a_score(tiny_pair: Any) -> None:
    text = encoded(tiny_pair)
    prompt = len(text.prompt_ids)
    found = scores_of(tiny_pair, text, steps=3, path="prompt", baseline="mean").values
    assert not np.any(found[:, prompt:])
    assert np.count_nonzero(found[:, :prompt]) == found[:, :prompt].size
    whole = scores_of(tiny_pair, text, steps=3, path="prefix", baseline="mean").values
    for row in range(len(whole)):
        assert not np.any(whole[row, prompt + row :])
        assert np.count_nonzero(whole[row, : prompt + row]) == prompt + row


# Closed form


@pytest.fixture(scope="module")
def linear_pair(tmp_path_factory: pytest.TempPathFactory) -> ModelPair:
    """A Llama whose logits are linear in its embeddings: norms divide by a constant, every head looks evenly back."""
    folder = tmp_path_factory.mktemp("linear")
    tokenizer = tiny_tokenizer()
    network = tiny_network(tokenizer, seed=6, layers=2)
    network.config.rms_norm_eps = EPSILON
    for layer in network.model.layers:
        layer.self_attn.q_proj.weight.data.zero_()
        layer.mlp.down_proj.weight.data.zero_()
        layer.input_layernorm.weight.data.fill_(EPSILON**0.5)
    network.model.norm.weight.data.fill_(EPSILON**0.5)
    network.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return ModelPair.load(folder, folder, device="cpu", dtype="float64")


EPSILON = 1e8
"""So large that the norm's own mean square does not count."""


@pytest.mark.parametrize("path", ["prompt", "prefix"])
def test_a_linear_model_needs_one_step_and_its_scores_have_a_closed_form(linear_pair: ModelPair, path: Any) -> None:
    text = encoded(linear_pair)
    options = {"target": "logit", "path": path, "baseline": 9}
    one = scores_of(linear_pair, text, steps=1, **options)
    scale = np.abs(one.values).max()
    assert scale > 0.1
    assert np.abs(gap_of(one)).max() < 1e-5 * scale
    np.testing.assert_allclose(one.values, scores_of(linear_pair, text, steps=7, **options).values, atol=1e-5 * scale)
    np.testing.assert_allclose(one.values, closed_form(linear_pair, text, path), atol=1e-5 * scale)


def closed_form(pair: ModelPair, text: Encoded, path: str) -> np.ndarray:
    """logit_t = w · Π_layers (1 + mean over what came before ⊗ O V) x, so that each position's part is known."""
    weights = {name: value.numpy() for name, value in bare(Path(pair.base.name)).state_dict().items()}

    def weight(*parts: str) -> np.ndarray:
        (found,) = [value for name, value in weights.items() if all(part in name for part in parts)]
        return np.asarray(found)

    length, prompt = len(text.ids) - 1, len(text.prompt_ids)
    even = np.tril(np.ones((length, length)))
    even /= even.sum(1, keepdims=True)
    table = weight("embed_tokens")
    moved = table[list(text.ids[:length])] - table[9]
    if path == "prompt":
        moved[prompt:] = 0
    # part[t, s]: what position s put into position t.
    part = np.eye(length)[..., None] * moved
    for layer in ("layers.0.", "layers.1."):
        value = weight(layer, "v_proj").reshape(2, 8, 32)[[0, 0, 1, 1]].reshape(32, 32)
        mixed = np.einsum("tu,usd->tsd", even, part)
        part = part + mixed @ value.T @ weight(layer, "o_proj").T
    head = weight("lm_head")[list(text.answer_ids)]
    out = np.zeros((len(head), len(text.ids)))
    for row in range(len(head)):
        out[row, :length] = part[prompt - 1 + row] @ head[row]
    return out


# The adaptive rule


def test_the_adaptive_rule_keeps_its_tolerance_and_says_what_it_took(tiny_pair64: Any) -> None:
    text = encoded(tiny_pair64)
    taken = []
    for tolerance in (0.5, 0.05, 0.02):
        found = scores_of(tiny_pair64, text, steps="auto", tolerance=tolerance, max_steps=400, unit="word")
        change = change_of(found)
        size = np.abs(change)
        assert (np.abs(gap_of(found)) <= tolerance * np.maximum(size, size.mean())).all()
        assert found.settings["converged"]
        assert found.settings["tolerance"] == tolerance
        taken.append(steps_of(found))
    assert taken == sorted(taken)
    assert taken[0] < taken[2] < 400


def test_the_adaptive_rule_stops_at_its_limit_and_the_gap_shows_it(tiny_pair64: Any) -> None:
    found = scores_of(tiny_pair64, encoded(tiny_pair64), steps="auto", tolerance=1e-7, max_steps=18)
    assert found.settings["steps"] == 18
    assert np.abs(gap_of(found)).max() > 1e-7


def test_the_adaptive_rule_comes_to_the_same_scores_as_many_steps(tiny_pair64: Any) -> None:
    text = encoded(tiny_pair64)
    want = scores_of(tiny_pair64, text, steps=300, unit="answer").values
    errors = []
    for tolerance in (1.0, 0.05, 1e-3):
        got = scores_of(tiny_pair64, text, steps="auto", tolerance=tolerance, max_steps=600, unit="answer").values
        errors.append(np.abs(got - want).max() / np.abs(want).max())
    assert errors[2] < 0.01
    assert errors[2] < errors[0]


def test_a_linear_target_is_done_at_once(linear_pair: ModelPair) -> None:
    found = scores_of(linear_pair, encoded(linear_pair), steps="auto", target="logit", max_steps=100)
    assert found.settings["steps"] == FIRST_PANELS
    assert found.settings["converged"]


# The guided rule


@pytest.mark.parametrize("baseline", ["zero", "eos", "mean"])
def test_points_where_the_target_changes_leave_a_smaller_gap(tiny_pair64: Any, baseline: Any) -> None:
    text = encoded(tiny_pair64)
    guided, gauss = (
        np.abs(gap_of(scores_of(tiny_pair64, text, steps=40, baseline=baseline, rule=rule))).sum()
        for rule in ("guided", "gauss")
    )
    if baseline == "zero":
        assert guided < gauss
    else:
        assert guided < 1
        assert gauss < 1


def test_panels_share_the_change_evenly() -> None:
    # All of one token's change lies in the last tenth, the other's is even.
    alphas = np.linspace(0, 1, 101)
    values = np.stack([np.maximum(0, alphas - 0.9) * 50, alphas], 1)
    edges = spread(alphas, values, 20)
    assert edges[0] == 0
    assert edges[-1] == 1
    assert (np.diff(edges) > 0).all()
    assert 8 <= int((edges[:-1] >= 0.895).sum()) <= 10
    np.testing.assert_allclose(spread(alphas, alphas[:, None], 4), [0, 0.25, 0.5, 0.75, 1], atol=1e-9)
    # Nothing changes: by length.
    np.testing.assert_allclose(spread(alphas, np.zeros((101, 2)), 4), [0, 0.25, 0.5, 0.75, 1], atol=1e-9)


def test_a_short_run_says_that_it_has_not_converged(tiny_pair64: Any) -> None:
    text = encoded(tiny_pair64)
    assert scores_of(tiny_pair64, text, steps=1).settings["converged"] is False
    assert scores_of(tiny_pair64, text, steps=200, unit="answer").settings["converged"] is True


# Chunks


@pytest.mark.parametrize("steps", [7, "auto"])
def test_points_chunks_and_memory_do_not_change_the_numbers(
    tiny_pair64: Any, steps: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = encoded(tiny_pair64)
    options: dict[str, Any] = {"steps": steps, "path": "prefix", "unit": "word", "max_steps": 24}
    want = scores_of(tiny_pair64, text, **options)
    for chunk in (1, 2):
        got = scores_of(tiny_pair64, text, **options, chunk=chunk)
        np.testing.assert_allclose(got.values, want.values, atol=1e-4)
    for positions in (1, 10_000):
        # All points by themselves, or all in one batch.
        monkeypatch.setattr("attrib.passes.plan.CHUNK_POSITIONS", {"cpu": positions})
        got = scores_of(tiny_pair64, text, **options)
        np.testing.assert_allclose(got.values, want.values, atol=1e-4)
        np.testing.assert_allclose(gap_of(got), gap_of(want), atol=1e-4)


def test_a_budget_that_holds_one_point_is_enough(tiny_pair64: Any) -> None:
    text = encoded(tiny_pair64)
    options: dict[str, Any] = {"steps": 20, "unit": "answer"}
    budget = next(gb for gb in 0.0002 * 1.1 ** np.arange(80) if fits(tiny_pair64, text, float(gb)))
    got = scores_of(tiny_pair64, text, **options, memory_gb=float(budget))
    np.testing.assert_allclose(got.values, scores_of(tiny_pair64, text, **options).values, atol=1e-4)


def fits(pair: Any, text: Encoded, budget: float) -> bool:
    """Whether one gradient of the whole answer fits into the budget, GB."""
    try:
        attribute_model(pair, text, ("input_x_gradient",), knobs(unit="answer", memory_gb=budget))
    except InputError:
        return False
    return True


@pytest.mark.parametrize("rule", ["guided", "gauss"])
def test_rows_of_words_are_sums_of_their_tokens(tiny_pair64: Any, rule: Any) -> None:
    text = encoded(tiny_pair64)
    tokens = scores_of(tiny_pair64, text, steps=4, rule=rule)
    for unit in ("word", "answer"):
        given = knobs(unit=unit, steps=4, baseline="eos", rule=rule)
        found = attribute(tiny_pair64, text, ("integrated_gradients",), given)["integrated_gradients"]
        want = np.stack([tokens.values[list(row)].sum(0) for row in found.rows])
        np.testing.assert_allclose(found.tuned, want, atol=1e-4)
        assert found.gap_tuned is not None
        np.testing.assert_allclose(found.gap_tuned, [gap_of(tokens)[list(row)].sum() for row in found.rows], atol=1e-4)


# Captum


def captum_scores(network: Any, text: Encoded, steps: int, token: int, moved: int, row: int) -> np.ndarray:
    """Captum's integrated gradients of one answer token, [position]; ``moved`` leading positions are interpolated."""
    from captum.attr import IntegratedGradients

    length = len(text.prompt_ids) + row
    embeddings = network.get_input_embeddings()(torch.tensor([text.ids[:length]])).detach()
    moved = min(moved, length)
    start = network.get_input_embeddings()(torch.full((1, moved), token)).detach()

    def logprob(values: Any) -> Any:
        rest = embeddings[:, moved:].expand(len(values), -1, -1)
        logits = network(inputs_embeds=torch.cat([values, rest], 1), use_cache=False).logits[:, -1]
        return logits.log_softmax(-1)[:, text.answer_ids[row]]

    scores = IntegratedGradients(logprob).attribute(
        embeddings[:, :moved], baselines=start, n_steps=steps, method="gausslegendre"
    )
    return np.pad(scores.sum(-1)[0].detach().numpy(), (0, len(text.ids) - moved))


@pytest.mark.parametrize(("path", "token"), [("prompt", 0), ("prefix", 1)])
def test_both_paths_agree_with_captum(tiny_pair: Any, base_dir: Path, adapter_dir: Path, path: Any, token: int) -> None:
    pytest.importorskip("captum.attr")
    text, network = encoded(tiny_pair), bare(base_dir, adapter_dir, torch.float32)
    found = scores_of(tiny_pair, text, steps=6, baseline=token, path=path).values
    moved = len(text.prompt_ids) if path == "prompt" else len(text.ids)
    want = np.stack([captum_scores(network, text, 6, token, moved, row) for row in range(len(found))])
    assert np.abs(found - want).max() <= 1e-5 * np.abs(want).max()
    if path == "prefix":
        # eos is that token by name.
        assert tiny_pair.tokenizer.eos_token_id == token
        by_name = scores_of(tiny_pair, text, steps=6, baseline="eos", path=path).values
        np.testing.assert_array_equal(by_name, found)


@pytest.mark.model
def test_the_default_model_agrees_with_captum(default_pair: Any) -> None:
    from transformers import AutoModelForCausalLM

    from attrib.models.bundled import get_default_model

    text = encoded(default_pair, "What is the capital of France?", "It is Paris.")
    found = scores_of(default_pair, text, tuned=False, steps=4, baseline=0, path="prompt").values
    network = AutoModelForCausalLM.from_pretrained(
        get_default_model(), dtype=torch.float32, attn_implementation="eager"
    )
    network.eval().requires_grad_(False)
    row = len(text.answer_ids) - 1
    want = captum_scores(network, text, 4, 0, len(text.prompt_ids), row)
    # Processors round float32 products in other orders: 1.1e-5 was seen.
    assert np.abs(found[row] - want).max() <= 3e-5 * np.abs(want).max()


# Other hook points

POINTS = ("blocks.0.hook_in", "blocks.1.hook_in", "blocks.2.hook_in", "blocks.1.hook_out", "blocks.0.mlp.hook_out")


@pytest.mark.parametrize("mode", ["graph", "layered"])
@pytest.mark.parametrize("point", POINTS)
def test_another_point_agrees_with_captum_s_layers(
    tiny_pair64: Any, base_dir: Path, adapter_dir: Path, point: str, mode: str
) -> None:
    from captum.attr import LayerIntegratedGradients

    text, network = encoded(tiny_pair64), bare(base_dir, adapter_dir, torch.float64)
    budget = 2.0 if mode == "graph" else tight(tiny_pair64, text)
    found = scores_of(tiny_pair64, text, steps=5, at=point, baseline=1, memory_gb=budget).values
    _, block, *rest = point.split(".")
    layer = network.get_submodule(f"base_model.model.model.layers.{block}" + (".mlp" if rest[0] == "mlp" else ""))
    prompt, row = len(text.prompt_ids), len(text.answer_ids) - 1
    ids = torch.tensor([text.ids[:-1]])
    start = ids.clone()
    start[:, :prompt] = 1

    def logprob(values: Any) -> Any:
        logits = network(values, use_cache=False).logits[:, prompt - 1 + row]
        return logits.log_softmax(-1)[:, text.answer_ids[row]]

    scores = LayerIntegratedGradients(logprob, layer).attribute(
        ids, start, n_steps=5, method="gausslegendre", attribute_to_layer_input=rest[-1] == "hook_in"
    )
    want = (scores[0] if isinstance(scores, tuple) else scores).sum(-1)[0].detach().numpy()
    np.testing.assert_allclose(found[row, :-1], want, atol=1e-5 * np.abs(want).max())


def tight(pair: Any, text: Encoded) -> float:
    """A budget, GB, that holds one block's graph alone."""
    from attrib.attribution import make_job
    from attrib.passes.plan import plan

    job = make_job(pair, text, ((0,),), MethodOptions(), tuned=True)
    for budget in 0.05 * 0.97 ** np.arange(400):
        if plan(job.inputs(memory_gb=float(budget)), [len(text.ids) - 1], 1)[0].layered:
            return float(budget)
    raise AssertionError("no budget makes the plan run blocks again")


def test_a_row_at_another_point_sums_to_its_change(tiny_pair64: Any) -> None:
    text = encoded(tiny_pair64)
    found = scores_of(tiny_pair64, text, steps=60, at="blocks.1.hook_out", unit="answer")
    assert np.abs(gap_of(found)).max() < 0.02 * np.abs(change_of(found)).max()
    assert found.settings["at"] == "blocks.1.hook_out"
    # The residual stream after a block is all that follows sees: the change is that of the embeddings.
    whole = scores_of(tiny_pair64, text, steps=2, unit="answer")
    np.testing.assert_allclose(change_of(found), change_of(whole), atol=1e-4)


# Refusals


@pytest.mark.parametrize(
    ("options", "mend"),
    [
        ({"steps": 0}, "a step or more"),
        ({"steps": -3}, "a step or more"),
        ({"baseline": "unk"}, "a token's id"),
        ({"baseline": 10**6}, "another id"),
        ({"baseline": -1}, "another id"),
        ({"at": "blocks.9.hook_out"}, "the model has none of this name"),
        ({"at": "blocks.0.attn.hook_pattern"}, "a vector a position"),
    ],
)
def test_options_that_make_no_sense_are_refused(tiny_pair: Any, options: dict[str, Any], mend: str) -> None:
    with pytest.raises(InputError) as caught:
        scores_of(tiny_pair, encoded(tiny_pair), **options)
    assert mend in str(caught.value)
    assert "\n" not in str(caught.value)
