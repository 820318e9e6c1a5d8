"""Targets: closed forms in numpy, digits kept where a model is sure, gradients, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from attrib.attribution import attribute
from attrib.errors import InputError
from attrib.options.methods import MethodOptions
from attrib.passes.targets import CONTRASTIVE, TARGETS, Goal, make_target
from tests.oracles import encoded

BATCH, ANSWER, VOCABULARY = 3, 4, 11
IDS, FOIL = (2, 0, 10, 5), (1, 0, 3, 7)


def logits(seed: int = 0, scale: float = 3.0) -> Any:
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn(BATCH, ANSWER, VOCABULARY, dtype=torch.float64, generator=generator)


def goal(other: Any = None) -> Goal:
    return Goal(torch.tensor(IDS), torch.tensor(FOIL), None if other is None else other.log_softmax(-1))


def value(name: str, z: Any, *, tuned: bool = True, against: Goal | None = None) -> Any:
    contrast = FOIL if name in CONTRASTIVE else None
    return make_target(name, tuned=tuned, contrast=contrast, answer=ANSWER).function(z, against or goal())


def at(values: np.ndarray, ids: tuple[int, ...]) -> np.ndarray:
    return np.stack([values[:, i, token] for i, token in enumerate(ids)], 1)


def softmax(z: Any) -> np.ndarray:
    e = np.exp(z.numpy())
    return np.asarray(e / e.sum(-1, keepdims=True))


FORMS: dict[str, Callable[[Any], np.ndarray]] = {
    "logit": lambda z: at(z.numpy(), IDS),
    "logprob": lambda z: np.log(at(softmax(z), IDS)),
    "probability": lambda z: at(softmax(z), IDS),
    "logodds": lambda z: np.log(at(softmax(z), IDS) / (1 - at(softmax(z), IDS))),
    "probability_difference": lambda z: at(softmax(z), IDS) - at(softmax(z), FOIL),
    "logprob_difference": lambda z: np.log(at(softmax(z), IDS) / at(softmax(z), FOIL)),
    "entropy": lambda z: -(softmax(z) * np.log(softmax(z))).sum(-1),
}


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("tuned", [False, True])
def test_closed_forms(name: str, tuned: bool) -> None:
    z = logits()
    np.testing.assert_allclose(value(name, z, tuned=tuned), FORMS[name](z), rtol=1e-10)


@pytest.mark.parametrize("tuned", [False, True])
def test_kl_is_tuneds_from_base_on_both_sides(tuned: bool) -> None:
    base, tuned_logits = logits(0), logits(1)
    p, q = softmax(tuned_logits), softmax(base)
    want = (p * np.log(p / q)).sum(-1)
    mine, others = (tuned_logits, base) if tuned else (base, tuned_logits)
    np.testing.assert_allclose(value("kl", mine, tuned=tuned, against=goal(others)), want, rtol=1e-10)
    assert want.min() > 0


def test_every_target_is_covered() -> None:
    assert {*FORMS, "kl"} == set(TARGETS)


# Laws


@pytest.mark.parametrize("name", sorted({*TARGETS} - {"logit"}))
def test_a_constant_added_to_all_logits_changes_nothing(name: str) -> None:
    z, against = logits(), goal(logits(1))
    shifted = z + torch.linspace(-50, 50, ANSWER, dtype=torch.float64)[:, None]
    np.testing.assert_allclose(value(name, shifted, against=against), value(name, z, against=against), atol=1e-9)


@pytest.mark.parametrize("name", sorted(CONTRASTIVE))
def test_differences_are_antisymmetric_and_zero_against_the_token_itself(name: str) -> None:
    z = logits()
    turned = Goal(torch.tensor(FOIL), torch.tensor(IDS))
    np.testing.assert_allclose(value(name, z), -value(name, z, against=turned), atol=1e-12)
    itself = Goal(torch.tensor(IDS), torch.tensor(IDS))
    assert not value(name, z, against=itself).any()
    assert value(name, z).abs().max() > 0.1


def test_kl_of_a_model_from_itself_is_zero_with_its_gradient() -> None:
    z = logits().requires_grad_(True)
    for tuned in (False, True):
        found = value("kl", z, tuned=tuned, against=goal(z.detach()))
        np.testing.assert_allclose(found.detach(), 0, atol=1e-12)
        (gradient,) = torch.autograd.grad(found.sum(), z)
        np.testing.assert_allclose(gradient, 0, atol=1e-12)


def test_gradients_of_both_sides_sum_to_the_whole_gradient_of_kl() -> None:
    # One parameter that moves both models: its derivative is the sum of both sides'.
    base, tuned = logits(0), logits(1)
    to_base, to_tuned = logits(2), logits(3)

    def kl(t: Any) -> Any:
        p, q = (tuned + t * to_tuned).log_softmax(-1), (base + t * to_base).log_softmax(-1)
        return (p.exp() * (p - q)).sum(-1)

    step = 1e-6
    whole = (kl(step) - kl(-step)) / (2 * step)
    sides = []
    for z, other, direction, is_tuned in ((base, tuned, to_base, False), (tuned, base, to_tuned, True)):
        leaf = z.clone().requires_grad_(True)
        (gradient,) = torch.autograd.grad(value("kl", leaf, tuned=is_tuned, against=goal(other)).sum(), leaf)
        sides.append((gradient * direction).sum(-1))
    np.testing.assert_allclose(sides[0] + sides[1], whole, rtol=1e-6, atol=1e-7)
    assert min(float(side.abs().max()) for side in sides) > 0.1


@pytest.mark.parametrize("name", sorted(TARGETS))
@pytest.mark.parametrize("tuned", [False, True])
def test_gradients_equal_differences(name: str, tuned: bool) -> None:
    z, against = logits().requires_grad_(True), goal(logits(1))
    direction, step = logits(2), 1e-6
    (gradient,) = torch.autograd.grad(value(name, z, tuned=tuned, against=against).sum(), z)
    with torch.no_grad():
        up, down = (value(name, z + s * direction, tuned=tuned, against=against) for s in (step, -step))
    np.testing.assert_allclose((gradient * direction).sum(-1), (up - down) / (2 * step), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_each_answer_token_reads_its_own_step_alone(name: str) -> None:
    z, against = logits().requires_grad_(True), goal(logits(1))
    (gradient,) = torch.autograd.grad(value(name, z, against=against)[1, 2], z)
    assert gradient[1, 2].any()
    gradient[1, 2] = 0
    assert not gradient.any()


# Precision


@pytest.mark.parametrize("lead", [0.0, 10.0, 17.0, 40.0, 100.0, -40.0, -100.0])
def test_log_odds_keep_their_digits_in_single_precision(lead: float) -> None:
    # The others' logits are all 0: the odds are exp(lead) / (d_vocab - 1), whatever p rounds to.
    z = torch.zeros(1, 1, VOCABULARY, dtype=torch.float32)
    z[0, 0, 2] = lead
    z.requires_grad_(True)
    found = make_target("logodds", tuned=True, contrast=None, answer=1).function(z, Goal(torch.tensor([2])))
    assert float(found) == pytest.approx(lead - np.log(VOCABULARY - 1), rel=1e-6)
    (gradient,) = torch.autograd.grad(found.sum(), z)
    want = np.full(VOCABULARY, -1 / (VOCABULARY - 1))
    want[2] = 1
    # It does not fade where the model is sure; log p's does.
    np.testing.assert_allclose(gradient[0, 0], want, rtol=1e-6)


@pytest.mark.parametrize("name", sorted(TARGETS))
@pytest.mark.parametrize("scale", [0.0, 1e2, 1e4])
def test_flat_and_peaked_predictions_have_finite_gradients(name: str, scale: float) -> None:
    z = (scale * logits()).float().requires_grad_(True)
    found = value(name, z, against=goal((scale * logits(1)).float()))
    (gradient,) = torch.autograd.grad(found.sum(), z)
    assert bool(found.isfinite().all())
    assert bool(gradient.isfinite().all())


# Made from options


def test_an_unknown_name_lists_the_names() -> None:
    with pytest.raises(InputError, match=r"target 'logprobs' is unknown; choose from logprob, logit, .*kl"):
        make_target("logprobs", tuned=True, contrast=None, answer=2)


@pytest.mark.parametrize("name", sorted(CONTRASTIVE))
def test_a_contrast_that_is_missing_or_short_is_refused(name: str) -> None:
    with pytest.raises(
        InputError, match=rf"target '{name}': it needs a contrast answer; add -o prompt.contrast=ANSWER"
    ):
        make_target(name, tuned=True, contrast=None, answer=2)
    with pytest.raises(InputError, match=r"contrast: it has 1 tokens, the answer 2; .*at least as long"):
        make_target(name, tuned=True, contrast=(5,), answer=2)
    assert make_target(name, tuned=True, contrast=(5, 6), answer=2).contrast == (5, 6)
    assert make_target(name, tuned=True, contrast=(5, 6, 7), answer=2).contrast == (5, 6)


@pytest.mark.parametrize("name", [*sorted({*TARGETS} - CONTRASTIVE), "function"])
def test_a_contrast_that_nothing_uses_is_refused(name: str) -> None:
    target = (lambda z, ids: z.sum(-1)) if name == "function" else name
    with pytest.raises(InputError, match="contrast: "):
        make_target(target, tuned=True, contrast=(5, 6), answer=2)


def test_only_kl_needs_the_other_model() -> None:
    for name in TARGETS:
        found = make_target(name, tuned=True, contrast=FOIL if name in CONTRASTIVE else None, answer=ANSWER)
        assert found.compares == (name == "kl")
        assert found.name == name


def test_a_function_of_ones_own_gets_logits_and_ids() -> None:
    def margin(z: Any, ids: Any) -> Any:
        return z.gather(-1, ids[None, :, None].expand(len(z), -1, 1))[..., 0] - z.mean(-1)

    target = make_target(margin, tuned=False, contrast=None, answer=ANSWER)
    z = logits()
    assert target.name == "margin"
    np.testing.assert_allclose(target.function(z, goal()), at(z.numpy(), IDS) - z.numpy().mean(-1))


def test_a_named_target_and_the_same_function_agree_in_every_family_of_methods(tiny_pair: Any) -> None:
    methods = ("input_x_gradient", "relevance", "leave_one_out")
    text = encoded(tiny_pair)

    def surprise(z: Any, ids: Any) -> Any:
        return z.log_softmax(-1).gather(-1, ids[None, :, None].expand(len(z), -1, 1))[..., 0]

    named, own = (attribute(tiny_pair, text, methods, MethodOptions(target=target)) for target in ("logprob", surprise))
    for method in methods:
        assert own[method].target == "surprise"
        np.testing.assert_allclose(own[method].tuned, named[method].tuned, atol=1e-5)
        np.testing.assert_allclose(own[method].value_base, named[method].value_base, atol=1e-5)
