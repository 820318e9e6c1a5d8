"""One forward and batched products against a loop over tokens in float64, on several families of decoders.

The engine's assumption, that all behind the last attention is computed position by position, is tested where it could
break: parallel blocks, shared norms, norms after attention, capped logits.
"""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from attrib.errors import InputError, ModelError
from attrib.models.pair import ModelPair
from attrib.models.prompt import Encoded
from attrib.options.methods import EMBEDDINGS
from attrib.passes.backward import Values, backpropagate
from attrib.passes.forward import Changed, Inputs, evaluate, watch
from attrib.passes.plan import RowGroup, plan, split_rows
from attrib.passes.targets import make_target
from tests.conftest import save_model
from tests.oracles import ARCHITECTURES, LONG, Loop, bare, encoded, loop, save_architecture

GATED = ("hook_mlp_in", "attn_in", "hook_q_input", "hook_k_input", "hook_v_input", "hook_result")
"""Hook points that the bridge has switched off."""
PATTERNS = [f"blocks.{i}.attn.hook_pattern" for i in range(3)]


def inputs_of(
    pair: Any, side: str = "base", answer: str | None = None, target: Any = "logprob", **options: Any
) -> Inputs:
    """What one side is fed; ``target`` a name or a function."""
    text = encoded(pair) if answer is None else encoded(pair, answer=answer)
    tuned = side == "tuned"
    found = make_target(target, tuned=tuned, contrast=None, answer=len(text.answer_ids))
    return Inputs(getattr(pair, side), text, found, other=pair.base if tuned else pair.tuned, **options)


def tokens(text: Encoded) -> list[tuple[int, ...]]:
    return [(i,) for i in range(len(text.answer_ids))]


def gradients(inputs: Inputs, units: Any = None, point: str = EMBEDDINGS) -> np.ndarray:
    """[row, batch, position, …], zero after the cut."""
    units = tokens(inputs.encoded) if units is None else units
    out: Any = None
    for part in backpropagate(inputs, units, (point,)):
        gradient = part.gradients[point].numpy()
        if out is None:
            total = len(inputs.encoded.ids)
            out = np.full((len(units), gradient.shape[1], total, *gradient.shape[3:]), np.nan)
        out[list(part.rows)] = 0
        out[list(part.rows), :, : gradient.shape[2]] = gradient
    assert not np.isnan(out).any()
    return np.asarray(out)


def planned(inputs: Inputs, points: Any = (EMBEDDINGS,), batch: int = 1) -> list[RowGroup]:
    text = inputs.encoded
    return plan(inputs, [len(text.prompt_ids) + i for i in range(len(text.answer_ids))], batch, points)


def layered(inputs: Inputs, points: Any = (EMBEDDINGS,), batch: int = 1) -> Inputs:
    """The same with just too little memory to keep a whole graph."""
    for step in range(400):
        small = replace(inputs, memory_gb=0.05 * 0.97**step)
        if all(group.layered for group in planned(small, points, batch)):
            return small
    raise AssertionError("no budget makes the plan run blocks again")


@pytest.fixture(scope="module", params=ARCHITECTURES)
def family(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any, Loop]:
    """A pair of one architecture in float64, its bare network, and what the loop over tokens finds there."""
    folder = save_architecture(tmp_path_factory.mktemp(request.param), request.param)
    pair, network = ModelPair.load(folder, folder, device="cpu", dtype="float64"), bare(folder)
    return pair, network, loop(network, encoded(pair))


@pytest.fixture(scope="module")
def plain(base_dir: Path, adapter_dir: Path) -> dict[str, Any]:
    return {"base": bare(base_dir), "tuned": bare(base_dir, adapter_dir)}


# Equal to the loop


@pytest.mark.parametrize("mode", ["graph", "layered"])
def test_one_pass_equals_a_loop_over_tokens_in_every_family(family: tuple[Any, Any, Loop], mode: str) -> None:
    pair, _, want = family
    inputs = inputs_of(pair)
    inputs = layered(inputs) if mode == "layered" else inputs
    assert {group.layered for group in planned(inputs)} == {mode == "layered"}
    np.testing.assert_allclose(gradients(inputs)[:, 0], want.gradient, atol=1e-5)
    # Capped logits of Gemma 2 have small gradients: the tolerance must mean something.
    assert np.abs(want.gradient).max() > 0.01


@pytest.mark.parametrize("mode", ["graph", "layered"])
def test_patterns_gradients_equal_a_loop_in_every_family(family: tuple[Any, Any, Loop], mode: str) -> None:
    pair, _, want = family
    inputs = inputs_of(pair)
    inputs = layered(inputs, PATTERNS) if mode == "layered" else inputs
    got = np.zeros_like(want.attention_x_gradient)
    for part in backpropagate(inputs, tokens(inputs.encoded), PATTERNS, shrink=lambda g, v: (g * v).sum((2, 3))):
        total = sum(part.gradients.values())[:, 0].numpy()
        got[list(part.rows), : total.shape[1]] = total
    np.testing.assert_allclose(got, want.attention_x_gradient, atol=1e-5)
    assert np.abs(want.attention_x_gradient).max() > 0.01


@pytest.mark.parametrize("side", ["base", "tuned"])
def test_base_and_tuned_equal_their_own_networks(tiny_pair64: Any, plain: dict[str, Any], side: str) -> None:
    inputs = inputs_of(tiny_pair64, side)
    want = {name: loop(network, inputs.encoded) for name, network in plain.items()}
    np.testing.assert_allclose(gradients(inputs)[:, 0], want[side].gradient, atol=1e-5)
    np.testing.assert_allclose(evaluate(inputs)[0].numpy(), want[side].value, atol=1e-5)
    other = "tuned" if side == "base" else "base"
    assert np.abs(want[side].gradient - want[other].gradient).max() > 0.1


def test_a_model_of_one_layer(tmp_path: Path) -> None:
    folder = save_model(tmp_path, seed=4, layers=1)
    pair = ModelPair.load(folder, folder, device="cpu", dtype="float64")
    inputs = inputs_of(pair)
    want = loop(bare(folder), inputs.encoded).gradient
    np.testing.assert_allclose(gradients(inputs)[:, 0], want, atol=1e-5)
    for point in ("blocks.0.hook_in", "hook_embed"):
        np.testing.assert_allclose(gradients(inputs, point=point)[:, 0], want, atol=1e-5)


def test_dropout_of_a_network_left_in_training_mode_is_off(tmp_path: Path) -> None:
    folder = save_architecture(tmp_path, "gpt2")
    pair = ModelPair.load(folder, folder, device="cpu", dtype="float64")
    inputs = inputs_of(pair)
    want = gradients(inputs)
    network = pair.base.bridge.original_model
    network.train()
    for mode in (inputs, layered(inputs)):
        np.testing.assert_array_equal(gradients(inputs), gradients(inputs))
        np.testing.assert_allclose(gradients(mode), want, atol=1e-9)
        assert network.training


# Every hook point


@pytest.mark.parametrize("name", ["llama", "gpt2", "phi", "gemma2"])
def test_every_hook_point_equals_autograd_without_cuts(name: str, tmp_path: Path) -> None:
    folder = save_architecture(tmp_path, name, layers=2)
    pair = ModelPair.load(folder, folder, device="cpu", dtype="float64")
    inputs = inputs_of(pair)
    small = layered(inputs)
    row = len(inputs.encoded.answer_ids) - 1
    refused = []
    wanted = uncut(inputs, row)
    for point, want in wanted.items():
        for mode in (inputs, small):
            message, found = attempt(mode, point, row)
            if message:
                assert point in message
                assert "\n" not in message
                refused.append(point)
                continue
            assert want is not None, point
            assert found is not None
            np.testing.assert_allclose(found, want, atol=1e-6, err_msg=point)
    must = ["embed.hook_out", "hook_embed", "ln_final.hook_in"]
    for block in ("blocks.0.", "blocks.1."):
        inside = ("hook_in", "hook_out", "hook_resid_pre", "hook_resid_post", "attn.hook_pattern", "attn.hook_out")
        must += [block + point for point in (*inside, "attn.hook_z", "ln1.hook_out", "mlp.hook_out")]
    assert not set(must) & set(refused)
    assert {"embed.hook_in", "unembed.hook_in", "blocks.0.hook_mlp_in"} <= set(refused)
    # Nothing else that has a gradient is refused: the head's points are, since it sees answer positions alone.
    assert {p for p in refused if wanted[p] is not None} <= {"unembed.hook_in", "unembed.hook_out", "hook_unembed"}


def attempt(inputs: Inputs, point: str, row: int) -> tuple[str, np.ndarray | None]:
    """The refusal, or the gradient of one row."""
    try:
        (part,) = backpropagate(inputs, [(row,)], (point,))
    except InputError as error:
        return str(error), None
    return "", part.gradients[point][0].numpy()


def uncut(inputs: Inputs, row: int) -> dict[str, np.ndarray | None]:
    """By hook point ∂ log p of one answer token / ∂ its value, from one graph; None where no gradient passes."""
    seen: dict[str, Any] = {}

    def begin(value: Any, hook: Any) -> Any:
        return value.detach().requires_grad_(True)

    def keep(name: str) -> Callable[[Any, Any], Any]:
        def put(value: Any, hook: Any) -> Any:
            seen[name] = value
            return value

        return put

    text = inputs.encoded
    at = len(text.prompt_ids) + row - 1
    with inputs.model.active() as bridge, torch.enable_grad():
        names = [name for name in bridge.hook_dict if not name.endswith(GATED)]
        with bridge.hooks(fwd_hooks=[(EMBEDDINGS, begin), *((name, keep(name)) for name in names)]):
            logits = bridge(torch.tensor([text.ids[: at + 1]]), use_cache=False)
    passed = [name for name, value in seen.items() if getattr(value, "requires_grad", False)]
    target = logits[0, at].log_softmax(-1)[text.answer_ids[row]]
    found = torch.autograd.grad(target, [seen[name] for name in passed], allow_unused=True)
    known = {name: g.numpy() for name, g in zip(passed, found, strict=True) if g is not None}
    return {name: known.get(name) for name in bridge.hook_dict}


# Chunks, groups, memory


@pytest.mark.parametrize("point", [EMBEDDINGS, "blocks.1.hook_out", "blocks.2.attn.hook_z", "ln_final.hook_in"])
def test_chunks_groups_and_layers_do_not_change_the_numbers(tiny_pair64: Any, point: str) -> None:
    whole = inputs_of(tiny_pair64, "tuned", LONG, chunk=1000)
    assert [group.layered for group in planned(whole)] == [False]
    want = gradients(whole, point=point)
    modes = {
        "one row a product": replace(whole, chunk=1),
        "cut groups": replace(whole, chunk=3),
        "layered": layered(replace(whole, chunk=None)),
        "layered groups": layered(replace(whole, chunk=2)),
    }
    assert len(planned(modes["cut groups"])) > 1
    assert len(planned(modes["layered groups"])) > 1
    for name, inputs in modes.items():
        np.testing.assert_allclose(gradients(inputs, point=point), want, atol=1e-5, err_msg=name)


def test_patterns_do_not_depend_on_chunks_groups_and_layers(tiny_pair64: Any) -> None:
    whole = inputs_of(tiny_pair64, "tuned", LONG, chunk=1000)

    def summed(inputs: Inputs) -> np.ndarray:
        out = np.zeros((len(whole.encoded.answer_ids), len(whole.encoded.ids)))
        for part in backpropagate(inputs, tokens(whole.encoded), PATTERNS, shrink=lambda g, v: (g * v).sum((2, 3))):
            total = sum(part.gradients.values())[:, 0].numpy()
            out[list(part.rows), : total.shape[1]] = total
        return out

    want = summed(whole)
    for inputs in (replace(whole, chunk=1), replace(whole, chunk=3), layered(replace(whole, chunk=3), PATTERNS)):
        np.testing.assert_allclose(summed(inputs), want, atol=1e-5)


def test_positions_end_where_the_rows_do(tiny_pair: Any) -> None:
    inputs = inputs_of(tiny_pair, answer=LONG, chunk=2)
    prompt = len(inputs.encoded.prompt_ids)
    lengths = {part.rows: part.length for part in backpropagate(inputs, tokens(inputs.encoded))}
    assert len(set(lengths.values())) == len(planned(inputs)) > 1
    for rows, length in lengths.items():
        assert max(rows) + prompt <= length < len(inputs.encoded.ids)


@pytest.mark.parametrize("mode", ["graph", "layered"])
def test_a_batch_of_embeddings_is_each_of_them_alone(tiny_pair64: Any, mode: str) -> None:
    scales = (1.0, 0.5, -0.3)

    def scaled(*factors: float) -> Changed:
        return Changed(lambda value: torch.cat([f * value for f in factors]), len(factors))

    one = inputs_of(tiny_pair64, "tuned", embeddings=scaled(1.0))
    one = layered(one, batch=3) if mode == "layered" else one
    together = replace(one, embeddings=scaled(*scales))
    got, values = gradients(together), evaluate(together)
    assert got.shape[1] == values.shape[0] == 3
    for i, scale in enumerate(scales):
        alone = replace(one, embeddings=scaled(scale))
        np.testing.assert_allclose(got[:, i], gradients(alone)[:, 0], atol=5e-6, rtol=2e-6)
        np.testing.assert_allclose(values[i], evaluate(alone)[0], atol=5e-6, rtol=2e-6)
    np.testing.assert_allclose(got[:, 0], gradients(replace(one, embeddings=None))[:, 0], atol=5e-6, rtol=2e-6)
    assert np.abs(got[:, 0] - got[:, 1]).max() > 1e-3


def test_rows_may_overlap_and_stand_in_any_order(tiny_pair64: Any) -> None:
    whole = inputs_of(tiny_pair64, "tuned", LONG, chunk=2)
    by_token = gradients(whole)
    last = len(whole.encoded.answer_ids) - 1
    units = [(last,), (3, 1), (0,), (1, 2, 3), (0, last), (3, 1), (2,), (7,), tuple(range(last + 1))]
    assert len(plan(whole, sorted(len(whole.encoded.prompt_ids) + max(u) for u in units), 1)) > 1
    for inputs in (whole, layered(whole), replace(whole, chunk=None)):
        want = np.stack([by_token[list(unit)].sum(0) for unit in units])
        np.testing.assert_allclose(gradients(inputs, units), want, atol=1e-4)


def test_the_targets_of_every_row_are_handed_on(tiny_pair64: Any) -> None:
    inputs = inputs_of(tiny_pair64, "tuned", LONG, chunk=2)
    n = len(inputs.encoded.answer_ids)
    targets, linear = np.full(n, np.nan), np.full(n, np.nan)

    def tell(rows: slice, values: Values) -> None:
        targets[rows], linear[rows] = values.target[0].numpy(), values.linear[0].numpy()

    list(backpropagate(inputs, tokens(inputs.encoded), values=tell))
    np.testing.assert_allclose(targets, evaluate(inputs)[0].numpy(), atol=1e-9)
    # Σ ∂ log p / ∂ logit · logit = logit − Σ p · logit.
    with tiny_pair64.tuned.active() as bridge, torch.no_grad():
        logits = bridge(torch.tensor([inputs.encoded.ids]), use_cache=False)[0, len(inputs.encoded.prompt_ids) - 1 : -1]
    ids = torch.tensor(inputs.encoded.answer_ids)[:, None]
    want = logits.gather(-1, ids)[:, 0] - (logits.softmax(-1) * logits).sum(-1)
    np.testing.assert_allclose(linear, want.numpy(), atol=1e-6)


# The plan


@given(n=st.integers(1, 200), chunk=st.integers(1, 50), groups=st.integers(1, 40))
def test_a_split_has_every_row_once_in_whole_chunks(n: int, chunk: int, groups: int) -> None:
    cuts = split_rows(n, chunk, groups)
    assert [row for start, stop in cuts for row in range(start, stop)] == list(range(n))
    assert len(cuts) <= groups
    assert all((stop - start) % chunk == 0 for start, stop in cuts[:-1])


@pytest.mark.parametrize("chunk", [None, 1, 2, 5, 1000])
@pytest.mark.parametrize("budget", [2.0, 0.002])
def test_a_plan_has_every_row_once_and_costs_no_more_than_one_group(
    tiny_pair: Any, chunk: int | None, budget: float
) -> None:
    inputs = inputs_of(tiny_pair, answer=LONG, chunk=chunk, memory_gb=budget)
    n, prompt = len(inputs.encoded.answer_ids), len(inputs.encoded.prompt_ids)
    groups = planned(inputs)
    assert [row for g in groups for row in range(g.start, g.stop)] == list(range(n))
    assert all(1 <= g.chunk <= (chunk or 1000) for g in groups)
    forward = 2 if groups[0].layered else 1
    cost = sum((prompt + g.stop - 1) * (forward + g.stop - g.start) for g in groups)
    assert cost <= (prompt + n - 1) * (forward + n)


def test_long_answers_are_cut_and_short_ones_are_not(tiny_pair: Any) -> None:
    prompt = 10
    inputs = inputs_of(tiny_pair, chunk=1)
    assert len(plan(inputs, list(range(prompt, prompt + 60)), 1)) > 1
    assert len(plan(inputs, list(range(200, 203)), 1)) == 1


def test_less_memory_makes_smaller_chunks_then_layers_then_an_error(tiny_pair: Any) -> None:
    inputs = inputs_of(tiny_pair, answer=LONG)
    seen, budget = [], 0.5
    while True:
        try:
            group = planned(replace(inputs, memory_gb=budget))[0]
        except InputError:
            break
        seen.append((group.layered, group.chunk))
        budget *= 0.8
    assert "memory_gb" in refused(InputError, lambda: planned(replace(inputs, memory_gb=budget)))
    assert seen[0][0] is False
    assert seen[-1] == (True, 1)
    # Once layered, always layered; within a mode chunks only shrink.
    assert [flag for flag, _ in seen] == sorted(flag for flag, _ in seen)
    for mode in (False, True):
        chunks = [chunk for flag, chunk in seen if flag is mode]
        assert chunks == sorted(chunks, reverse=True)


def test_patterns_and_batches_take_memory(tiny_pair: Any) -> None:
    inputs = inputs_of(tiny_pair, answer=LONG)
    edge = layered(inputs).memory_gb
    # One step above the edge input gradients keep their graph; patterns and batches do not fit there.
    above = replace(inputs, memory_gb=edge / 0.97)
    assert not planned(above)[0].layered
    for more in (lambda: planned(above, batch=3), lambda: planned(above, PATTERNS)):
        try:
            assert more()[0].layered
        except InputError as error:
            assert "memory_gb" in str(error)  # noqa: PT017


def test_chunks_shrink_before_blocks_are_run_again(tiny_pair: Any) -> None:
    inputs = inputs_of(tiny_pair, answer=LONG)
    edge = layered(inputs).memory_gb
    chunks = [planned(replace(inputs, memory_gb=edge * more))[0] for more in (1 / 0.97, 1.3, 1.6, 3, 100)]
    assert not any(group.layered for group in chunks)
    assert chunks[0].chunk < chunks[-1].chunk


# Failures leave nothing behind


def clean(pair: Any) -> bool:
    return not any(point.fwd_hooks or point.bwd_hooks for point in pair.base.bridge.hook_dict.values())


def adapters_on(pair: Any) -> bool:
    from peft.tuners.tuners_utils import BaseTunerLayer

    layers = [module for module in pair.tuned.adapter.modules() if isinstance(module, BaseTunerLayer)]
    assert layers
    return not any(layer.disable_adapters for layer in layers)


@pytest.mark.parametrize("side", ["base", "tuned"])
def test_who_stops_half_way_leaves_no_hook_and_no_switched_adapter(tiny_pair: Any, side: str) -> None:
    inputs = inputs_of(tiny_pair, side, chunk=2)
    want = evaluate(inputs_of(tiny_pair, "tuned"))
    flags = [p.requires_grad for p in tiny_pair.base.bridge.original_model.parameters()]
    running = backpropagate(inputs, tokens(inputs.encoded))
    with torch.no_grad():
        next(running)
        # Not closed, as in a traceback that is kept: everything must be as it was while nothing is computed.
        assert not torch.is_grad_enabled()
        assert clean(tiny_pair)
        assert adapters_on(tiny_pair)
        assert [p.requires_grad for p in tiny_pair.base.bridge.original_model.parameters()] == flags
        np.testing.assert_array_equal(evaluate(inputs_of(tiny_pair, "tuned")), want)
    # What was computed in between does not change what comes after.
    want_rows = gradients(inputs)[:, 0]
    for part in running:
        got = part.gradients[EMBEDDINGS][:, 0].numpy()
        np.testing.assert_allclose(got, want_rows[list(part.rows), : part.length], atol=1e-6)


@pytest.mark.parametrize("where", ["forward", "again", "target", "values", "shrink"])
def test_an_exception_leaves_no_hook_and_no_switched_adapter(tiny_pair: Any, where: str) -> None:
    calls = []

    def boom(*given: Any, hook: Any = None) -> Any:
        raise RuntimeError("boom")

    def second(value: Any, hook: Any) -> None:
        calls.append(hook.name)
        if len(calls) == 2:
            raise RuntimeError("boom")

    inputs = inputs_of(tiny_pair, "base")
    given: dict[str, Any] = {}
    if where == "forward":
        inputs = replace(inputs, rules=(("blocks.1.hook_out", boom),))
    elif where == "again":
        inputs = replace(layered(inputs), rules=(("blocks.1.attn.hook_pattern", second),))
    elif where == "target":
        inputs = replace(inputs, target=make_target(boom, tuned=False, contrast=None, answer=1))
    else:
        given[where] = boom
    want = evaluate(inputs_of(tiny_pair, "tuned"))
    with torch.no_grad(), pytest.raises(RuntimeError, match="boom"):
        list(backpropagate(inputs, tokens(inputs.encoded), **given))
    assert clean(tiny_pair)
    assert adapters_on(tiny_pair)
    np.testing.assert_array_equal(evaluate(inputs_of(tiny_pair, "tuned")), want)
    if where == "again":
        assert len(calls) == 2


def test_a_watchers_exception_leaves_no_hook(tiny_pair: Any) -> None:
    def boom(value: Any, hook: Any) -> None:
        raise RuntimeError("boom")

    with pytest.raises(RuntimeError, match="boom"):
        watch(inputs_of(tiny_pair), [("blocks.1.attn.hook_pattern", boom)])
    assert clean(tiny_pair)
    assert adapters_on(tiny_pair)


@pytest.mark.parametrize("mode", ["graph", "layered"])
def test_graphs_are_freed(tiny_pair: Any, mode: str) -> None:
    inputs = inputs_of(tiny_pair, answer=LONG, chunk=5)
    inputs = layered(inputs) if mode == "layered" else inputs
    kept: list[Any] = []

    def see(value: Any, hook: Any) -> None:
        if value.requires_grad:
            kept.append(weakref.ref(value))

    inputs = replace(inputs, rules=(("blocks.1.hook_out", see), ("blocks.2.mlp.hook_out", see)))
    gc.disable()
    try:
        for number, _ in enumerate(backpropagate(inputs, tokens(inputs.encoded))):
            alive = sum(ref() is not None for ref in kept)
            # What lies behind the last attention is gone before the first product, earlier groups with their end;
            # blocks that are run again go with their product.
            assert alive <= (mode == "graph"), (number, alive)
        assert kept
        assert not any(ref() is not None for ref in kept)
    finally:
        gc.enable()


# Refusals


def refused(error: type[Exception], call: Callable[[], Any]) -> str:
    with pytest.raises(error) as caught:
        call()
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("weight", ["lm_head.weight", "model.layers.1.mlp.up_proj.weight"])
@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_a_model_gone_bad_stops_with_a_clear_line(tmp_path: Path, weight: str, number: float) -> None:
    folder = save_model(tmp_path, seed=1)
    pair = ModelPair.load(folder, folder, device="cpu")
    inputs = inputs_of(pair)
    gradients(inputs)
    # Loading refuses such weights; they can still arise later.
    stem, _, attribute = weight.rpartition(".")
    module = pair.base.bridge.original_model
    for step in stem.split("."):
        module = getattr(module, step)
    target = getattr(module, "original_component", module)
    getattr(target, attribute).data[0, 0] = number
    for call in (lambda: gradients(inputs), lambda: evaluate(inputs)):
        message = refused(ModelError, call)
        assert "not finite" in message
        assert str(folder) in message


def test_a_gradient_that_is_not_finite_is_refused_too(tiny_pair: Any) -> None:
    def cusp(logits: Any, ids: Any) -> Any:
        """0 everywhere, with an infinite slope."""
        return (logits[..., 0] - logits[..., 0].detach()).abs().sqrt()

    inputs = inputs_of(tiny_pair, target=cusp)
    assert bool(evaluate(inputs).isfinite().all())
    message = refused(ModelError, lambda: gradients(inputs))
    assert "gradient" in message
    assert "cusp" in message


@pytest.mark.parametrize(
    ("function", "mend"),
    [
        (lambda logits, ids: logits.mean(), "one number per answer token"),
        (lambda logits, ids: logits[..., 0].sum(1), "one number per answer token"),
        (lambda logits, ids: logits, "one number per answer token"),
        (lambda logits, ids: 1.0, "one number per answer token"),
        (lambda logits, ids: logits.detach()[..., 0], "does not depend on the logits"),
        (lambda logits, ids: torch.ones(logits.shape[:2], requires_grad=True), "does not depend on the logits"),
    ],
)
def test_a_target_that_is_no_number_per_token_is_refused(tiny_pair: Any, function: Any, mend: str) -> None:
    assert mend in refused(InputError, lambda: gradients(inputs_of(tiny_pair, target=function)))


@pytest.mark.parametrize(
    "point", ["blocks.7.hook_out", "nowhere", "blocks.0.hook_mlp_in", "unembed.hook_in", "embed.hook_in"]
)
def test_a_point_without_gradients_is_refused(tiny_pair: Any, point: str) -> None:
    assert point in refused(InputError, lambda: gradients(inputs_of(tiny_pair), point=point))
    assert clean(tiny_pair)


# The other model


@pytest.mark.parametrize("side", ["base", "tuned"])
def test_kl_holds_the_other_model_fast(tiny_pair64: Any, plain: dict[str, Any], side: str) -> None:
    inputs = inputs_of(tiny_pair64, side, target="kl")
    text = inputs.encoded
    with torch.no_grad():
        start = len(text.prompt_ids) - 1
        logp = {
            name: network(torch.tensor([text.ids])).logits[0, start:-1].log_softmax(-1)
            for name, network in plain.items()
        }

    def target(logits: Any, i: int) -> Any:
        sides = {name: values[i] for name, values in logp.items()} | {side: logits.log_softmax(-1)}
        return (sides["tuned"].exp() * (sides["tuned"] - sides["base"])).sum()

    want = loop(plain[side], text, target)
    np.testing.assert_allclose(evaluate(inputs)[0].numpy(), want.value, atol=1e-5)
    assert want.value.min() > 0
    np.testing.assert_allclose(gradients(inputs)[:, 0], want.gradient, atol=1e-5)


def test_kl_between_two_full_models_in_batches_and_layers(base_dir: Path, tuned_dir: Path) -> None:
    pair = ModelPair.load(base_dir, tuned_dir, device="cpu", dtype="float64")
    inputs = inputs_of(pair, "tuned", target="kl")
    networks = {"base": bare(base_dir), "tuned": bare(tuned_dir)}
    text = inputs.encoded
    with torch.no_grad():
        held = networks["base"](torch.tensor([text.ids])).logits[0, len(text.prompt_ids) - 1 : -1].log_softmax(-1)

    def target(logits: Any, i: int) -> Any:
        logp = logits.log_softmax(-1)
        return (logp.exp() * (logp - held[i])).sum()

    want = loop(networks["tuned"], text, target).gradient
    twice = replace(inputs, embeddings=Changed(lambda value: torch.cat([value, 0.5 * value]), 2))
    for mode in (inputs, layered(inputs), replace(inputs, chunk=1), twice, layered(twice, batch=2)):
        np.testing.assert_allclose(gradients(mode)[:, 0], want, atol=1e-5)
