"""Perturbation: plain loops over bare forwards, Captum, exact Shapley values, planted surrogates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import combinations, permutations
from math import factorial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from attrib.attribution import attribute, attribute_model, make_job, perturbation
from attrib.attribution.job import MethodScores
from attrib.errors import InputError
from attrib.models.prompt import Encoded
from attrib.options.methods import MethodOptions
from attrib.passes.variants import score_variants
from attrib.text.units import question_positions, sentences, words
from tests.oracles import bare, encoded, knobs

TWO = "How long is it? Who keeps the light?"
FEW = "keeper of the light"
"""Four words, so that every subset can be run."""


def scores_of(pair: Any, text: Encoded, method: str, *, tuned: bool = True, **options: Any) -> MethodScores:
    given = knobs(**{"unit": "token", **options})
    return attribute_model(pair, text, (method,), given, tuned=tuned)[method]


@pytest.fixture(scope="module")
def networks(base_dir: Path, adapter_dir: Path) -> dict[str, Any]:
    return {"base": bare(base_dir), "tuned": bare(base_dir, adapter_dir)}


def logprobs(network: Any, text: Encoded, prompt: Sequence[int]) -> np.ndarray:
    """log p of each answer token after ``prompt``, one forward of its own."""
    with torch.no_grad():
        logits = network(torch.tensor([[*prompt, *text.answer_ids[:-1]]]), use_cache=False).logits[0]
    found = logits[len(prompt) - 1 :].log_softmax(-1)
    return np.array([found[i, token].item() for i, token in enumerate(text.answer_ids)])


def without(text: Encoded, gone: Sequence[int], by: int | None = None) -> list[int]:
    """The prompt less the positions ``gone``, or with ``by`` in their place."""
    if by is None:
        return [token for i, token in enumerate(text.prompt_ids) if i not in gone]
    return [by if i in gone else token for i, token in enumerate(text.prompt_ids)]


def sources_of(text: Encoded, name: str) -> list[tuple[int, ...]]:
    inside = question_positions(text.prompt_tokens, text.question)
    tokens = [text.prompt_tokens[i] for i in inside]
    if name == "token":
        return [(i,) for i in inside]
    return [tuple(inside[i] for i in group) for group in (words if name == "word" else sentences)(tokens)]


# Leave one out


@pytest.mark.parametrize("side", ["base", "tuned"])
@pytest.mark.parametrize("ablate", ["delete", "replace"])
@pytest.mark.parametrize(("sources", "count"), [("token", 0), ("word", 8), ("sentence", 2)])
def test_leave_one_out_equals_a_plain_loop(
    tiny_pair64: Any, networks: dict[str, Any], side: str, ablate: Any, sources: Any, count: int
) -> None:
    text, network = encoded(tiny_pair64, TWO), networks[side]
    by = tiny_pair64.tokenizer.eos_token_id if ablate == "replace" else None
    options: dict[str, Any] = {"sources": sources, "ablate": ablate, "baseline": "eos" if by is not None else "zero"}
    got = scores_of(tiny_pair64, text, "leave_one_out", tuned=side == "tuned", **options)
    groups = sources_of(text, sources)
    full = logprobs(network, text, text.prompt_ids)
    want = np.stack([full - logprobs(network, text, without(text, group, by)) for group in groups], 1)
    assert got.columns == tuple(groups)
    assert len(groups) == (count or len(question_positions(text.prompt_tokens, text.question)))
    np.testing.assert_allclose(got.values, want, atol=1e-5)
    assert np.abs(want).max() > 0.1


def test_leave_one_out_equals_captum(tiny_pair64: Any, networks: dict[str, Any]) -> None:
    from captum.attr import FeatureAblation

    text, by = encoded(tiny_pair64), 11
    got = scores_of(tiny_pair64, text, "leave_one_out", sources="token", ablate="replace", baseline=by, template=True)
    assert got.columns == tuple((i,) for i in range(len(text.prompt_ids)))
    ids = torch.tensor([text.prompt_ids])
    for i in (0, 3, len(text.answer_ids) - 1):

        def forward(prompt: Any, i: int = i) -> Any:
            return torch.tensor([logprobs(networks["tuned"], text, prompt[0].tolist())[i]])

        want = FeatureAblation(forward).attribute(ids, baselines=by)
        np.testing.assert_allclose(got.values[i], want[0].numpy(), atol=1e-5)


def test_a_row_is_the_sum_of_its_tokens(tiny_pair64: Any) -> None:
    text = encoded(tiny_pair64, TWO)
    tokens, answer = (scores_of(tiny_pair64, text, "leave_one_out", unit=unit) for unit in ("token", "answer"))
    np.testing.assert_allclose(answer.values[0], tokens.values.sum(0), atol=1e-8)


def test_kl_is_the_same_number_from_both_sides(tiny_pair64: Any) -> None:
    text = encoded(tiny_pair64, FEW)
    found = attribute(tiny_pair64, text, ("leave_one_out", "shapley"), knobs(target="kl", permutations=2))
    for name, one in found.items():
        np.testing.assert_allclose(one.base, one.tuned, atol=1e-5, err_msg=name)
        assert np.abs(one.tuned).max() > 0.01


# Sources


@pytest.mark.parametrize("method", ["leave_one_out", "contextcite", "shapley"])
def test_the_template_is_no_source_unless_asked_for(tiny_pair: Any, method: str) -> None:
    text = encoded(tiny_pair, FEW)
    few: dict[str, Any] = {
        "ablations": 8,
        "permutations": 1,
        "ablate": "replace",
        "baseline": "eos",
        "sources": "token",
    }
    question = question_positions(text.prompt_tokens, text.question)
    assert scores_of(tiny_pair, text, method, **few).columns == tuple((i,) for i in question)
    every = scores_of(tiny_pair, text, method, template=True, **few)
    assert every.columns == tuple((i,) for i in range(len(text.prompt_ids)))
    assert len(question) < len(text.prompt_ids)


def test_nothing_to_take_away_is_refused(tiny_pair: Any) -> None:
    text = encoded(tiny_pair, FEW)
    marked = replace(text, prompt_tokens=tuple(replace(token, special=True) for token in text.prompt_tokens))
    for method in ("leave_one_out", "contextcite", "shapley"):
        with pytest.raises(
            InputError, match=r"sources: the prompt has nothing to take away .*-o perturbation.template=true"
        ):
            scores_of(tiny_pair, marked, method)
        assert scores_of(
            tiny_pair, marked, method, template=True, ablate="replace", baseline="eos", permutations=1
        ).columns


def test_of_a_prompt_that_is_deleted_altogether_the_begin_of_text_is_left(tiny_pair: Any) -> None:
    text = encoded(tiny_pair, FEW)
    found = scores_of(tiny_pair, text, "shapley", template=True, permutations=1, unit="answer")
    job = make_job(tiny_pair, text, (tuple(range(len(text.answer_ids))),), MethodOptions(), tuned=True)
    prompts = [text.prompt_ids, (tiny_pair.tokenizer.bos_token_id,)]
    full, empty = score_variants(tiny_pair.tuned, text, prompts, job.target).sum(1)
    assert found.values.sum() == pytest.approx(full - empty, abs=1e-4)


def test_a_replacement_must_be_a_token(tiny_pair: Any) -> None:
    text = encoded(tiny_pair, FEW)
    with pytest.raises(InputError, match=r"a token is replaced by a token; add -o prompt\.baseline=eos"):
        scores_of(tiny_pair, text, "leave_one_out", ablate="replace", baseline="zero")
    with pytest.raises(InputError, match="baseline: token 100000 is not in the vocabulary"):
        scores_of(tiny_pair, text, "leave_one_out", ablate="replace", baseline=100_000)


def test_earlier_answer_tokens_are_never_taken_away(tiny_pair: Any) -> None:
    text = encoded(tiny_pair, TWO)
    for method in ("leave_one_out", "contextcite", "shapley"):
        columns = scores_of(tiny_pair, text, method, ablations=8, permutations=1).columns
        assert max(i for column in columns for i in column) < len(text.prompt_ids)


# Shapley values


def exact_shapley(value: Callable[[frozenset[int]], np.ndarray], n: int) -> np.ndarray:
    """[answer, source] by the definition: every subset of the other sources, weighted."""
    columns = []
    for i in range(n):
        others = [j for j in range(n) if j != i]
        total: Any = 0
        for size in range(n):
            weight = factorial(size) * factorial(n - size - 1) / factorial(n)
            for chosen in combinations(others, size):
                total = total + weight * (value(frozenset({*chosen, i})) - value(frozenset(chosen)))
        columns.append(total)
    return np.stack(columns, 1)


def value_of(network: Any, text: Encoded, groups: Sequence[tuple[int, ...]]) -> Callable[[frozenset[int]], np.ndarray]:
    known: dict[frozenset[int], np.ndarray] = {}

    def value(kept: frozenset[int]) -> np.ndarray:
        if kept not in known:
            gone = [i for number, group in enumerate(groups) if number not in kept for i in group]
            known[kept] = logprobs(network, text, without(text, gone))
        return known[kept]

    return value


class Orders:
    """A generator whose permutations are those that are given."""

    def __init__(self, orders: Sequence[Sequence[int]]) -> None:
        self.orders = iter(orders)

    def permutation(self, n: int) -> np.ndarray:
        return np.array(next(self.orders))


def test_all_orders_give_the_exact_shapley_values(
    tiny_pair64: Any, networks: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = encoded(tiny_pair64, FEW)
    groups = sources_of(text, "word")
    n = len(groups)
    assert n == 4
    orders = list(permutations(range(n)))
    monkeypatch.setattr(np.random, "default_rng", lambda seed: Orders(orders))
    got = scores_of(tiny_pair64, text, "shapley", permutations=len(orders))
    want = exact_shapley(value_of(networks["tuned"], text, groups), n)
    np.testing.assert_allclose(got.values, want, atol=1e-5)
    # Sources act together: leaving one out is something else.
    assert np.abs(scores_of(tiny_pair64, text, "leave_one_out").values - want).max() > 0.05
    # Orders share their subsets, and each is run once.
    assert got.settings["forwards"] == 2**n


def test_random_orders_come_near_the_exact_values(tiny_pair64: Any, networks: dict[str, Any]) -> None:
    text = encoded(tiny_pair64, FEW)
    groups = sources_of(text, "word")
    want = exact_shapley(value_of(networks["base"], text, groups), len(groups))
    errors = [
        np.abs(scores_of(tiny_pair64, text, "shapley", tuned=False, permutations=orders).values - want).mean()
        for orders in (1, 1000)
    ]
    assert errors[1] < 0.03
    assert errors[0] > 5 * errors[1]


@pytest.mark.parametrize("orders", [1, 3])
def test_shapley_rows_sum_to_all_less_nothing(tiny_pair64: Any, networks: dict[str, Any], orders: int) -> None:
    text = encoded(tiny_pair64, TWO)
    got = scores_of(tiny_pair64, text, "shapley", permutations=orders)
    network = networks["tuned"]
    gone = [i for group in sources_of(text, "word") for i in group]
    change = logprobs(network, text, text.prompt_ids) - logprobs(network, text, without(text, gone))
    np.testing.assert_allclose(got.values.sum(1), change, atol=1e-5)
    assert got.gap is not None
    np.testing.assert_allclose(got.gap, 0, atol=1e-9)
    assert np.abs(change).max() > 0.1


def test_one_order_equals_captum(tiny_pair64: Any, networks: dict[str, Any]) -> None:
    from captum.attr import ShapleyValueSampling

    text, by, seed = encoded(tiny_pair64, TWO), 11, 3
    got = scores_of(
        tiny_pair64, text, "shapley", permutations=2, seed=seed, ablate="replace", baseline=by, unit="answer"
    )
    rng, groups = np.random.default_rng(seed), sources_of(text, "word")
    orders = [rng.permutation(len(groups)).tolist() for _ in range(2)]
    mask = torch.full((1, len(text.prompt_ids)), len(groups))
    for number, group in enumerate(groups):
        mask[0, list(group)] = number

    def forward(question: Any) -> Any:
        # The template, Captum's last feature, is put back: it is no source of ours.
        prompt = torch.where(mask == len(groups), torch.tensor([text.prompt_ids]), question)
        return torch.tensor([logprobs(networks["tuned"], text, prompt[0].tolist()).sum()])

    captum = ShapleyValueSampling(forward)
    captum.permutation_generator = lambda features, samples: [[*order, features - 1] for order in orders]
    want = captum.attribute(torch.tensor([text.prompt_ids]), baselines=by, feature_mask=mask, n_samples=2)[0].numpy()
    for number, group in enumerate(groups):
        np.testing.assert_allclose(got.values[0, number], want[list(group)], atol=1e-5)


def test_seeds_choose_the_orders(tiny_pair: Any) -> None:
    text = encoded(tiny_pair, TWO)
    for method in ("shapley", "contextcite"):
        first, again, other = (
            scores_of(tiny_pair, text, method, permutations=1, ablations=8, seed=seed).values for seed in (1, 1, 2)
        )
        np.testing.assert_array_equal(first, again)
        assert np.abs(first - other).max() > 0.01


# ContextCite's surrogate


def plant(monkeypatch: pytest.MonkeyPatch, text: Encoded, value: Callable[[np.ndarray], np.ndarray]) -> None:
    """In the model's place a function of which words of the question are there, [variant, source] → [variant]."""
    groups = sources_of(text, "word")

    def score(model: Any, encoded: Any, prompts: Any, target: Any, **given: Any) -> np.ndarray:
        kept = np.array([[prompt[group[0]] == text.prompt_ids[group[0]] for group in groups] for prompt in prompts])
        return np.outer(value(kept.astype(float)), np.arange(1, len(encoded.answer_ids) + 1))

    monkeypatch.setattr(perturbation, "score_variants", score)


REPLACED: dict[str, Any] = {"ablate": "replace", "baseline": "eos"}


def r2_of(scores: MethodScores) -> list[float]:
    found = scores.settings["r2"]
    assert isinstance(found, list)
    return found


def test_a_planted_linear_function_is_recovered(tiny_pair: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    text = encoded(tiny_pair, TWO)
    weights = np.array([2.0, 0, 0, -1, 0, 0, 0.5, 0])
    plant(monkeypatch, text, lambda kept: 3 + kept @ weights)
    got = scores_of(tiny_pair, text, "contextcite", ablations=200, **REPLACED)
    # Row i is the same function times i + 1; the L1 penalty takes 1% of y's deviation off each weight's deviation.
    deviation = np.sqrt((weights**2).sum() / 4)
    for i, row in enumerate(got.values):
        np.testing.assert_allclose(row / (i + 1), weights, atol=2 * 0.01 * deviation / 0.5)
        # Words without effect get exactly nothing: the surrogate is sparse.
        assert np.abs(row[weights == 0]).max() / (i + 1) < 0.005
    assert min(r2_of(got)) > 0.99
    assert len(r2_of(got)) == len(got.values)


def test_a_poor_fit_is_in_the_record(tiny_pair: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    text = encoded(tiny_pair, TWO)
    plant(monkeypatch, text, lambda kept: kept[:, :4].sum(1) % 2)
    # Parity has no linear part at all.
    assert max(r2_of(scores_of(tiny_pair, text, "contextcite", ablations=300, **REPLACED))) < 0.2


def test_a_constant_has_no_weights(tiny_pair: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    text = encoded(tiny_pair, TWO)
    plant(monkeypatch, text, lambda kept: np.ones(len(kept)))
    got = scores_of(tiny_pair, text, "contextcite", **REPLACED)
    assert not got.values.any()
    assert r2_of(got) == [0.0] * len(got.values)


def test_a_source_that_was_always_there_gets_nothing(tiny_pair: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    text = encoded(tiny_pair, TWO)
    plant(monkeypatch, text, lambda kept: kept.sum(1))
    draws = np.random.default_rng(0).random((40, 8))
    draws[:, 2], draws[:, 5] = 0.1, 0.9

    class Fixed:
        def random(self, shape: Any) -> np.ndarray:
            return draws

    monkeypatch.setattr(np.random, "default_rng", lambda seed: Fixed())
    got = scores_of(tiny_pair, text, "contextcite", ablations=40, **REPLACED)
    assert np.isfinite(got.values).all()
    assert not got.values[:, [2, 5]].any()
    assert (got.values[:, [0, 1, 3, 4, 6, 7]] > 0.8).all()


def test_subsets_drawn_twice_are_run_once(tiny_pair: Any) -> None:
    text = encoded(tiny_pair, FEW)
    got = scores_of(tiny_pair, text, "contextcite", ablations=500)
    assert got.settings["forwards"] == 2**4
    assert got.settings["ablations"] == 500


def test_the_surrogate_agrees_with_a_plain_fit_on_a_real_model(tiny_pair64: Any, networks: dict[str, Any]) -> None:
    from sklearn.linear_model import Lasso
    from sklearn.preprocessing import StandardScaler

    text, n, seed = encoded(tiny_pair64, TWO), 40, 7
    got = scores_of(tiny_pair64, text, "contextcite", ablations=n, seed=seed, unit="answer")
    groups = sources_of(text, "word")
    kept = np.random.default_rng(seed).random((n, len(groups))) < 0.5
    value = value_of(networks["tuned"], text, groups)
    y = np.array([value(frozenset(np.flatnonzero(row).tolist())).sum() for row in kept])
    x_scale, y_scale = StandardScaler().fit(kept.astype(float)), StandardScaler().fit(y[:, None])
    fit = Lasso(alpha=0.01).fit(x_scale.transform(kept.astype(float)), y_scale.transform(y[:, None])[:, 0])
    np.testing.assert_allclose(got.values[0], fit.coef_ / x_scale.scale_ * y_scale.scale_, atol=1e-3)
    assert np.abs(got.values).max() > 0.1


@pytest.mark.parametrize(("method", "options"), [("contextcite", {"ablations": 3}), ("shapley", {"permutations": 0})])
def test_too_few_draws_are_refused(tiny_pair: Any, method: str, options: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=rf"{next(iter(options))}=\d+: "):
        scores_of(tiny_pair, encoded(tiny_pair, FEW), method, **options)
