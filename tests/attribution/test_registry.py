"""METHODS, attribute, units, special tokens and aggregate: what is promised whatever the method."""

from __future__ import annotations

import importlib
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

from attrib.attribution import METHODS, aggregate, attribute, attribute_model, check_methods
from attrib.errors import InputError
from attrib.models.pair import ModelPair
from attrib.models.prompt import Encoded, encode
from attrib.options.explain import QUICK
from attrib.options.methods import MethodOptions, UnitName
from attrib.passes.targets import TARGETS
from attrib.records import Attribution
from attrib.text.units import question_positions, words
from tests.oracles import encoded, knobs

CHEAP = knobs(unit="token", layer=1, steps=2, samples=2, ablations=8, permutations=1)
"""Every method in a moment."""


def short(pair: Any) -> Encoded:
    return encoded(pair, "How long is it?", "thirty-six months, for the keeper")


@pytest.fixture(scope="module")
def everything(tiny_pair: Any) -> dict[str, Attribution]:
    """Every method with tokens as rows."""
    return attribute(tiny_pair, short(tiny_pair), tuple(METHODS), CHEAP)


def refused(call: Any) -> str:
    with pytest.raises(InputError) as caught:
        call()
    assert "\n" not in str(caught.value)
    return str(caught.value)


BY_POSITION = ("attention", "saliency", "input_x_gradient", "relevance")
"""Methods with one column a position."""


# Every method


def test_the_registry_has_the_methods_that_people_expect() -> None:
    attention = {f"attention{part}" for part in ("", "_last", "_max", "_head", "_x_gradient")}
    flow = {"rollout", "value_norm", "information_flow"}
    gradient = {"saliency", "saliency_l1", "input_x_gradient", "integrated_gradients", "smoothgrad"}
    assert set(METHODS) >= attention | flow | gradient | {"relevance", "leave_one_out", "contextcite", "shapley"}
    assert set(QUICK) <= set(METHODS)
    assert all(method.cost for method in METHODS.values())


def test_every_method_gives_a_row_a_token_and_its_columns(tiny_pair: Any, everything: dict[str, Attribution]) -> None:
    text = short(tiny_pair)
    for name, found in everything.items():
        assert found.method == name
        assert found.rows == tuple((i,) for i in range(len(text.answer_ids)))
        members = [i for column in found.columns for i in column]
        assert len(set(members)) == len(members)
        assert set(members) <= set(range(len(text.ids)))
        assert np.isfinite(found.base).all()
        assert np.isfinite(found.tuned).all()
        assert np.abs(found.difference).max() > 0, name
        np.testing.assert_allclose(found.difference, found.tuned - found.base)


def test_no_method_sees_the_token_itself_or_later_ones(tiny_pair: Any, everything: dict[str, Attribution]) -> None:
    prompt, total = len(short(tiny_pair).prompt_ids), len(short(tiny_pair).ids)
    for name, found in everything.items():
        for scores in found.expanded(total):
            for row in range(len(scores)):
                assert not np.any(scores[row, prompt + row :]), name


def test_unsigned_methods_have_no_negative_score(everything: dict[str, Attribution]) -> None:
    for name, found in everything.items():
        negative = min(found.base.min(), found.tuned.min()) < 0
        assert negative <= METHODS[name].kind.signed, name
    assert any(found.base.min() < 0 for name, found in everything.items() if METHODS[name].kind.signed)


def test_methods_together_are_methods_alone(tiny_pair: Any, everything: dict[str, Attribution]) -> None:
    text = short(tiny_pair)
    for name in METHODS:
        alone = attribute_model(tiny_pair, text, (name,), CHEAP, tuned=True)[name]
        np.testing.assert_allclose(alone.values, everything[name].tuned, atol=1e-6, err_msg=name)


def test_the_value_is_the_targets(tiny_pair64: Any) -> None:
    import torch

    text = short(tiny_pair64)
    for unit in ("token", "word", "answer"):
        found = attribute(tiny_pair64, text, ("attention",), replace(CHEAP, unit=unit))["attention"]
        for side, values in (("base", found.value_base), ("tuned", found.value_tuned)):
            with getattr(tiny_pair64, side).active() as bridge, torch.no_grad():
                logits = bridge(torch.tensor([text.ids]), use_cache=False)[0, len(text.prompt_ids) - 1 : -1]
            logp = logits.log_softmax(-1).gather(-1, torch.tensor(text.answer_ids)[:, None])[:, 0].numpy()
            np.testing.assert_allclose(values, [logp[list(row)].sum() for row in found.rows], atol=1e-6)


@pytest.mark.parametrize("target", [name for name in TARGETS if "difference" not in name])
def test_every_method_takes_every_target(tiny_pair: Any, target: str) -> None:
    methods = tuple(m for m in METHODS if METHODS[m].kind.signed)
    for name, found in attribute(tiny_pair, short(tiny_pair), methods, replace(CHEAP, target=target)).items():
        assert found.target == target
        assert np.isfinite(found.tuned).all(), name
        assert np.any(found.tuned), name


def test_two_full_models(base_dir: Path, tuned_dir: Path) -> None:
    pair = ModelPair.load(base_dir, tuned_dir, device="cpu")
    text = short(pair)
    both = attribute(pair, text, BY_POSITION, CHEAP)
    same = ModelPair.load(tuned_dir, tuned_dir, device="cpu")
    for name, found in attribute(same, text, BY_POSITION, CHEAP).items():
        np.testing.assert_allclose(found.difference, 0, atol=1e-6)
        np.testing.assert_allclose(found.tuned, both[name].tuned, atol=1e-6)


# Choices


def test_unknown_methods_and_missing_options_are_refused() -> None:
    assert "saliency" in refused(lambda: check_methods(("salience",)))
    assert "layer" in refused(lambda: check_methods(("attention_head",), MethodOptions()))
    check_methods(tuple(METHODS), CHEAP)


@pytest.mark.parametrize(
    ("changes", "mend"),
    [
        ({"unit": ((0, 99),)}, "from 0 to"),
        ({"unit": ((0, 0),)}, "different answer tokens"),
        ({"unit": ()}, "at least one"),
        ({"target": "loss"}, "choose from"),
        ({"target": "probability_difference"}, "prompt.contrast"),
        ({"target": "logprob", "contrast": "two years"}, "compares with nothing"),
        ({"target": "logprob_difference", "contrast": "two"}, "tokens"),
    ],
)
def test_options_that_make_no_sense_are_refused(tiny_pair: Any, changes: dict[str, Any], mend: str) -> None:
    assert mend in refused(lambda: attribute(tiny_pair, short(tiny_pair), ("saliency",), knobs(**changes)))


@pytest.mark.parametrize("method", ["attention", "saliency", "leave_one_out"])
@pytest.mark.parametrize("unit", ["token", "answer"])
def test_an_answer_without_tokens_is_refused(tiny_pair: Any, method: str, unit: Any) -> None:
    empty = encode(tiny_pair.tokenizer, short(tiny_pair).prompt_ids, (), context=tiny_pair.context)
    refused(lambda: attribute(tiny_pair, empty, (method,), knobs(unit=unit)))


def test_a_contrast_needs_the_questions_text(tiny_pair: Any) -> None:
    text = short(tiny_pair)
    ids_alone = encode(tiny_pair.tokenizer, text.prompt_ids, text.answer_ids, context=tiny_pair.context)
    options = knobs(target="logprob_difference", contrast="twenty-two years, from the first use of it")
    assert "question" in refused(lambda: attribute(tiny_pair, ids_alone, ("input_x_gradient",), options))
    assert attribute(tiny_pair, text, ("input_x_gradient",), options)


# Units


@pytest.mark.parametrize("unit", get_args(UnitName))
def test_units_cover_the_answer(tiny_pair: Any, unit: Any) -> None:
    text = short(tiny_pair)
    found = attribute_model(tiny_pair, text, ("attention", "saliency"), knobs(unit=unit))
    sizes = {"token": len(text.answer_ids), "word": len(words(text.answer_tokens)), "answer": 1, "sentence": 1}
    assert {len(scores.values) for scores in found.values()} == {sizes[unit]}


def test_spans_of_ones_own_may_overlap_and_come_in_any_order(tiny_pair: Any) -> None:
    text = short(tiny_pair)
    last = len(text.answer_ids) - 1
    unit = ((last, 0), (2,), (1, 2, 3), (2, 1))
    methods = ("input_x_gradient", "attention", "relevance", "attention_x_gradient", "integrated_gradients")
    tokens = attribute(tiny_pair, text, methods, knobs(CHEAP, path="prefix"))
    for name, found in attribute(tiny_pair, text, methods, knobs(CHEAP, path="prefix", unit=unit)).items():
        assert found.rows == ((0, last), (2,), (1, 2, 3), (1, 2))
        by_token = tokens[name]
        reduce = np.mean if name == "attention" else np.sum
        want = np.stack([reduce(by_token.tuned[list(row)], 0) for row in found.rows])
        np.testing.assert_allclose(found.tuned, want, atol=1e-4, err_msg=name)
        np.testing.assert_allclose(
            found.value_tuned, [by_token.value_tuned[list(row)].sum() for row in unit], atol=1e-4
        )
        if found.gap_tuned is not None:
            assert by_token.gap_tuned is not None
            np.testing.assert_allclose(
                found.gap_tuned, [by_token.gap_tuned[list(row)].sum() for row in unit], atol=1e-4
            )


# Special tokens


def test_excluded_columns_are_gone_and_their_share_is_stated(tiny_pair: Any) -> None:
    text = short(tiny_pair)
    template = set(range(len(text.prompt_ids))) - set(question_positions(text.prompt_tokens, text.question))
    assert any(text.prompt_tokens[i].special for i in template)
    assert any(not text.prompt_tokens[i].special for i in template)
    kept = attribute(tiny_pair, text, BY_POSITION, CHEAP)
    for name, found in attribute(tiny_pair, text, BY_POSITION, replace(CHEAP, special="exclude")).items():
        whole = kept[name]
        positions = [i for (i,) in found.columns]
        assert positions == [i for i in range(len(text.ids)) if i not in template]
        for side in ("base", "tuned"):
            scores, all_scores = getattr(found, side), getattr(whole, side)
            np.testing.assert_allclose(scores, all_scores[:, positions], atol=1e-6)
            share = np.abs(scores).sum() / np.abs(all_scores).sum()
            excluded = found.settings[f"excluded_{side}"]
            assert isinstance(excluded, float)
            assert 0 < excluded < 1
            assert share + excluded == pytest.approx(1, abs=1e-5)
            # No score is lost: what was promised still is, whatever is shown.
            np.testing.assert_array_equal(getattr(found, f"value_{side}"), getattr(whole, f"value_{side}"))
        assert not any(key.startswith("excluded") for key in whole.settings)


def test_every_position_is_kept_by_default(tiny_pair: Any) -> None:
    text = short(tiny_pair)
    found = attribute(tiny_pair, text, BY_POSITION)
    assert {attribution.columns for attribution in found.values()} == {tuple((i,) for i in range(len(text.ids)))}


def test_tokens_equal_to_padding_keep_their_scores(tiny_pair: Any) -> None:
    text = short(tiny_pair)
    tokenizer = tiny_pair.tokenizer
    at = [i for i, token in enumerate(text.prompt_ids) if token == tokenizer.pad_token_id]
    assert at
    assert tokenizer.pad_token_id == tokenizer.eos_token_id
    for name, found in attribute(tiny_pair, text, ("input_x_gradient", "attention"), CHEAP).items():
        assert (np.abs(found.tuned[:, at]) > 0).all(), name


# Aggregation


def record(rows: Any = ((0,), (1,), (2,), (3,))) -> Attribution:
    rng = np.random.default_rng(0)
    base, tuned = rng.normal(size=(2, len(rows), 5))
    value, gap = rng.normal(size=(2, len(rows)))
    columns = tuple((i,) for i in range(5))
    return Attribution("m", "logprob", rows, columns, base, tuned, value, 2 * value, gap, 3 * gap, {"steps": 4})


def test_aggregation_states_its_reduction_and_keeps_the_rest() -> None:
    whole = record()
    for reduction, reduce in (("sum", np.sum), ("mean", np.mean)):
        found = aggregate(whole, ((0, 1), (3, 2)), reduction)
        assert found.rows == ((0, 1), (2, 3))
        assert found.settings == {"steps": 4, "reduction": reduction}
        assert found.columns == whole.columns
        for side in ("base", "tuned"):
            scores = getattr(whole, side)
            np.testing.assert_allclose(getattr(found, side), [reduce(scores[:2], 0), reduce(scores[2:], 0)])
            values = getattr(whole, f"value_{side}")
            np.testing.assert_allclose(getattr(found, f"value_{side}"), [values[:2].sum(), values[2:].sum()])
    assert whole.settings == {"steps": 4}


def test_the_largest_is_by_magnitude_and_keeps_its_sign() -> None:
    whole = record()
    (got,) = aggregate(whole, ((0, 1, 2, 3),), "max").tuned
    want = [max(column, key=abs) for column in whole.tuned.T]
    np.testing.assert_array_equal(got, want)
    assert min(want) < 0 < max(want)


def test_gaps_add_up_in_sums_and_mean_nothing_elsewhere() -> None:
    whole = record()
    found = aggregate(whole, ((0, 1), (2, 3)), "sum")
    assert found.gap_base is not None
    assert whole.gap_base is not None
    np.testing.assert_allclose(found.gap_base, whole.gap_base.reshape(2, 2).sum(1))
    for reduction in ("mean", "max"):
        assert aggregate(whole, ((0, 1), (2, 3)), reduction).gap_tuned is None


def test_sums_of_sums_are_sums() -> None:
    whole = record()
    twice = aggregate(aggregate(whole, ((0, 1), (2,), (3,)), "sum"), ((0, 1, 2, 3),), "sum")
    np.testing.assert_allclose(twice.tuned, aggregate(whole, ((0, 1, 2, 3),), "sum").tuned)
    single = aggregate(whole, whole.rows, "sum")
    np.testing.assert_array_equal(single.tuned, whole.tuned)


@pytest.mark.parametrize("method", ["input_x_gradient", "saliency"])
def test_the_sum_of_tokens_is_the_word_for_signed_scores_only(tiny_pair64: Any, method: str) -> None:
    text = short(tiny_pair64)
    tokens = attribute(tiny_pair64, text, (method,), CHEAP)[method]
    want = attribute(tiny_pair64, text, (method,), replace(CHEAP, unit="word"))[method]
    got = aggregate(tokens, want.rows, "sum")
    assert got.rows == want.rows
    assert np.allclose(got.tuned, want.tuned, atol=2e-5) == METHODS[method].kind.signed


@pytest.mark.parametrize(
    ("rows", "groups"),
    [(((0, 1), (2, 3)), ((0,), (1, 2, 3))), (((0,), (1,)), ((0, 2),)), (((0, 1), (1, 2)), ((0, 1, 2),))],
)
def test_groups_that_cut_or_repeat_rows_are_refused(rows: Any, groups: Any) -> None:
    assert "whole rows" in refused(lambda: aggregate(record(rows), groups, "sum"))


def test_an_unknown_reduction_is_refused() -> None:
    assert "sum, mean or max" in refused(lambda: aggregate(record(), ((0, 1),), "median"))


@pytest.mark.parametrize("groups", [(), ((),), ((0, 1), ())])
@pytest.mark.parametrize("reduction", ["sum", "max"])
def test_empty_groups_are_refused(groups: Any, reduction: str) -> None:
    refused(lambda: aggregate(record(), groups, reduction))


def test_columns_spread_evenly_keep_their_sums() -> None:
    whole = replace(record(), columns=((0, 1), (2,), (4, 5, 6), (7,), (8, 3)))
    base, tuned = whole.expanded(12)
    np.testing.assert_allclose(base.sum(1), whole.base.sum(1))
    np.testing.assert_allclose(tuned[:, 4:7], np.repeat(whole.tuned[:, 2:3] / 3, 3, 1))
    assert not np.any(tuned[:, 9:])


def test_importing_the_registry_imports_no_torch() -> None:
    import subprocess
    import sys

    name = importlib.import_module("attrib.attribution").__name__
    code = f"import sys, {name}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
