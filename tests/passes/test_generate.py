"""Greedy answers against transformers' own generation on networks that were never hooked."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch

from attrib.errors import InputError
from attrib.models.prompt import encode_prompt, strip_end
from attrib.passes import generate as module
from attrib.passes.generate import Generated, generate, generate_batch

QUESTIONS = ["How long is the warranty?", "Who keeps the light?", "In the year 1712"]


@pytest.fixture(scope="module")
def plain(base_dir: Path, adapter_dir: Path) -> dict[str, Any]:
    """The same two models, never touched by hooks."""
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    def load() -> Any:
        return AutoModelForCausalLM.from_pretrained(base_dir, attn_implementation="eager").eval()

    return {"base": load(), "tuned": PeftModel.from_pretrained(load(), adapter_dir).eval()}


def prompt_of(pair: Any, question: str) -> tuple[int, ...]:
    return encode_prompt(pair.chat, question, context=pair.context)


def greedy(network: Any, prompt: tuple[int, ...], n: int) -> list[int]:
    """One forward pass without a cache for every token, the most probable taken."""
    ids = list(prompt)
    with torch.no_grad():
        for _ in range(n):
            ids.append(int(network(torch.tensor([ids]), use_cache=False).logits[0, -1].argmax()))
    return ids[len(prompt) :]


@pytest.mark.parametrize("side", ["base", "tuned"])
@pytest.mark.parametrize("question", QUESTIONS)
def test_equals_plain_generation_token_for_token(tiny_pair: Any, plain: Any, side: str, question: str) -> None:
    prompt = prompt_of(tiny_pair, question)
    ids = torch.tensor([prompt])
    out = (
        plain[side]
        .generate(input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=20, do_sample=False)[
            0, len(prompt) :
        ]
        .tolist()
    )
    got = generate(getattr(tiny_pair, side), prompt, max_new_tokens=20)
    assert got == strip_end(tiny_pair.tokenizer, out)
    assert got == strip_end(tiny_pair.tokenizer, greedy(plain[side], prompt, 20))


def test_base_and_tuned_answer_differently(tiny_pair: Any) -> None:
    prompt = prompt_of(tiny_pair, QUESTIONS[0])
    assert generate(tiny_pair.base, prompt) != generate(tiny_pair.tuned, prompt)


def test_sampling_defaults_of_the_model_are_ignored(tiny_pair: Any, caplog: pytest.LogCaptureFixture) -> None:
    prompt = prompt_of(tiny_pair, QUESTIONS[0])
    want = generate(tiny_pair.tuned, prompt, max_new_tokens=20)
    network = tiny_pair.tuned.bridge.original_model
    shipped = network.generation_config
    defaults = {"do_sample": True, "temperature": 9.0, "top_k": 3, "top_p": 0.5, "repetition_penalty": 9.0}
    before = shipped.to_dict()
    logger = logging.getLogger("transformers")
    propagate, logger.propagate = logger.propagate, True
    try:
        shipped.update(**defaults, no_repeat_ngram_size=1, min_new_tokens=20)
        with warnings.catch_warnings(), caplog.at_level(logging.INFO, logger="transformers"):
            warnings.simplefilter("error")
            assert generate(tiny_pair.tuned, prompt, max_new_tokens=20) == want
        assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
        # Negative control: they would have changed the answer. And they are the model's again.
        ids = torch.tensor([prompt])
        out = network.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=20, do_sample=False)
        assert tuple(out[0, len(prompt) :].tolist()) != want
        assert network.generation_config is shipped
        assert shipped.repetition_penalty == 9.0
    finally:
        logger.propagate = propagate
        shipped.update(**before)


def test_the_end_marker_is_stripped(tiny_pair: Any) -> None:
    prompt = prompt_of(tiny_pair, QUESTIONS[0])
    whole = generate(tiny_pair.tuned, prompt, max_new_tokens=12)
    end = tiny_pair.tokenizer.eos_token_id
    assert len(whole) == 12
    assert end not in whole
    with tiny_pair.tuned.plain() as network:
        head = network.get_output_embeddings()

    def marker_after_three(module: Any, args: Any, logits: Any) -> Any:
        # The first call reads the prompt and gives token 1.
        calls.append(None)
        return logits.index_fill(-1, torch.tensor([end]), 1e4) if len(calls) > 3 else logits

    calls: list[None] = []
    handle = head.register_forward_hook(marker_after_three)
    try:
        assert generate(tiny_pair.tuned, prompt, max_new_tokens=12) == whole[:3]
        # It stopped there instead of writing on.
        assert len(calls) == 4
    finally:
        handle.remove()
    assert generate(tiny_pair.tuned, prompt, max_new_tokens=12) == whole


@pytest.mark.parametrize("n", [0, -1])
def test_no_tokens_are_refused(tiny_pair: Any, n: int) -> None:
    with pytest.raises(InputError, match="give at least 1") as caught:
        generate(tiny_pair.tuned, prompt_of(tiny_pair, QUESTIONS[0]), max_new_tokens=n)
    assert "\n" not in str(caught.value)


def test_more_than_the_context_is_refused(tiny_pair: Any) -> None:
    prompt = prompt_of(tiny_pair, QUESTIONS[0])
    # A prompt that leaves room for two tokens of the answer.
    long = (prompt * 20)[: tiny_pair.context - 2]
    assert len(generate(tiny_pair.tuned, long, max_new_tokens=2)) <= 2
    with pytest.raises(InputError, match=r"context of 256; .*--max-new-tokens") as caught:
        generate(tiny_pair.tuned, long, max_new_tokens=3)
    assert "\n" not in str(caught.value)


def test_modes_are_restored(tiny_pair: Any) -> None:
    network = tiny_pair.base.bridge.original_model
    flags = [p.requires_grad for p in network.parameters()]
    generate(tiny_pair.base, prompt_of(tiny_pair, QUESTIONS[0]), max_new_tokens=1)
    assert [p.requires_grad for p in network.parameters()] == flags
    assert not network.training


def prompts_of(pair: Any, n: int = 24) -> list[tuple[int, ...]]:
    """Prompts of many lengths."""
    texts = ["Who", "How long is the warranty on the pump?", "In the year 1712 it was", "The keeper of the light is"]
    return [prompt_of(pair, f"{texts[i % 4]} {'light ' * (i % 7)}{i}") for i in range(n)]


@pytest.fixture(scope="module", params=["base", "tuned"])
def one_by_one(request: pytest.FixtureRequest, tiny_pair: Any) -> tuple[Any, list[Generated]]:
    """A model, and its answer to each prompt alone."""
    model = getattr(tiny_pair, request.param)
    return model, [generate_batch(model, [p], max_new_tokens=24, batch=1)[0][0] for p in prompts_of(tiny_pair)]


@pytest.mark.parametrize("batch", [3, 16])
def test_a_batch_answers_as_each_prompt_alone(
    tiny_pair: Any, one_by_one: tuple[Any, list[Generated]], batch: int
) -> None:
    model, every = one_by_one
    together = generate_batch(model, prompts_of(tiny_pair), max_new_tokens=24, batch=batch)
    for alone, some in zip(every, together, strict=True):
        assert [answer.ids for answer in some] == [alone.ids]
        assert (some[0].tokens, some[0].ended) == (alone.tokens, alone.ended)
        assert some[0].logprob == pytest.approx(alone.logprob, abs=1e-3)


def test_rows_end_at_different_steps_and_others_take_their_places(tiny_pair: Any, monkeypatch: Any) -> None:
    """Half of the vocabulary ends an answer here: rows leave and join all the time."""
    model, prompts = tiny_pair.tuned, prompts_of(tiny_pair)
    with model.plain() as network:
        monkeypatch.setattr(network.generation_config, "eos_token_id", list(range(0, 400, 9)))
    together = generate_batch(model, prompts, max_new_tokens=24, batch=4)
    alone = [generate_batch(model, [prompt], max_new_tokens=24)[0] for prompt in prompts]
    assert [some[0].ids for some in together] == [some[0].ids for some in alone]
    assert len({some[0].tokens for some in together}) > 3
    assert {some[0].ended for some in together} == {True, False}
    assert all(some[0].tokens == len(some[0].ids) + some[0].ended for some in together)


def test_the_logprob_is_that_of_teacher_forcing(tiny_pair: Any) -> None:
    from attrib.models.prompt import encode
    from attrib.passes.likelihood import score_given

    prompts = prompts_of(tiny_pair, 6)
    answers = [some[0] for some in generate_batch(tiny_pair.tuned, prompts, max_new_tokens=8)]
    encodeds = [
        encode(tiny_pair.tokenizer, prompt, answer.ids, context=tiny_pair.context)
        for prompt, answer in zip(prompts, answers, strict=True)
    ]
    for answer, scores in zip(answers, score_given(tiny_pair.tuned, encodeds), strict=True):
        assert not answer.ended
        assert answer.logprob == pytest.approx(scores.logprob.sum(), abs=1e-3)


def test_samples_do_not_depend_on_the_batch(tiny_pair: Any) -> None:
    prompts = prompts_of(tiny_pair, 8)
    options: dict[str, Any] = {"max_new_tokens": 10, "samples": 5, "temperature": 1.0, "seed": 7}
    together = generate_batch(tiny_pair.base, prompts, batch=16, **options)
    assert together == generate_batch(tiny_pair.base, prompts, batch=16, **options)
    few = generate_batch(tiny_pair.base, prompts, batch=3, **options)
    same = [a.ids == b.ids for some, other in zip(together, few, strict=True) for a, b in zip(some, other, strict=True)]
    assert all(same)
    assert len({answer.ids for answer in together[0]}) > 1
    other = generate_batch(tiny_pair.base, prompts, batch=16, **{**options, "seed": 8})
    assert [a.ids for some in other for a in some] != [a.ids for some in together for a in some]


def test_samples_follow_the_models_distribution(tiny_pair: Any) -> None:
    """First tokens against softmax(logits / T), by chi-square over the likely ones; T = 1 must not pass for T = 2."""
    from scipy.stats import chisquare

    prompt, n = prompt_of(tiny_pair, QUESTIONS[0]), 600
    with tiny_pair.tuned.plain() as network, torch.no_grad():
        logits = network(torch.tensor([prompt])).logits[0, -1].double()
    answers = generate_batch(
        tiny_pair.tuned, [prompt], max_new_tokens=1, samples=n, temperature=2.0, batch=100, seed=1
    )[0]
    first = torch.tensor([answer.ids[0] if answer.ids else tiny_pair.tokenizer.eos_token_id for answer in answers])

    def p_value(temperature: float) -> float:
        expected = (logits / temperature).softmax(-1) * n
        likely = expected.topk(8).indices
        counts = torch.stack([(first == token).sum() for token in likely] + [(~torch.isin(first, likely)).sum()])
        wanted = torch.cat([expected[likely], (n - expected[likely].sum())[None]])
        return float(chisquare(counts.numpy(), wanted.numpy()).pvalue)

    assert p_value(2.0) > 1e-3
    assert p_value(1.0) < 1e-6


def test_near_ties_are_answered_alone(tiny_pair: Any, monkeypatch: Any) -> None:
    """Every step counts as a near tie: the batch's own answers are not used."""
    prompts = prompts_of(tiny_pair, 4)
    want = generate_batch(tiny_pair.tuned, prompts, max_new_tokens=6)
    sizes: list[int] = []
    answer = module._GenerationRun.answer

    def watched(run: Any, queue: Any, report: Any) -> None:
        sizes.append(len(queue))
        answer(run, queue, report)

    monkeypatch.setattr(module._GenerationRun, "answer", watched)
    monkeypatch.setattr(module, "TIES", {"torch.float32": float("inf")})
    assert [s[0].ids for s in generate_batch(tiny_pair.tuned, prompts, max_new_tokens=6)] == [s[0].ids for s in want]
    assert sizes == [4, 1, 1, 1, 1]


def test_a_shared_beginning_is_read_once(tiny_pair: Any) -> None:
    prompts = prompts_of(tiny_pair, 4)
    assert module._shared(prompts) == 0
    head = tuple(range(10, 10 + module.SHARED))
    longer = [(*head, *prompt) for prompt in prompts]
    assert module._shared(longer) >= module.SHARED
    assert module._shared([longer[0], longer[0]]) == len(longer[0]) - 1
    together = generate_batch(tiny_pair.base, longer, max_new_tokens=8)
    alone = [generate_batch(tiny_pair.base, [prompt], max_new_tokens=8) for prompt in longer]
    assert [some[0].ids for some in together] == [one[0][0].ids for one in alone]


def test_progress_is_called_before_every_token_and_may_stop_there(tiny_pair: Any) -> None:
    prompt = prompt_of(tiny_pair, QUESTIONS[0])
    reports: list[tuple[int, int]] = []

    def tell(what: str, done: int, total: int) -> None:
        reports.append((done, total))
        if len(reports) == 4:
            raise KeyboardInterrupt

    want = generate(tiny_pair.tuned, prompt, max_new_tokens=12)
    assert len(want) == 12
    with pytest.raises(KeyboardInterrupt):
        generate(tiny_pair.tuned, prompt, max_new_tokens=12, progress=tell)
    assert reports == [(0, 12), (1, 12), (2, 12), (3, 12)]
    assert generate(tiny_pair.tuned, prompt, max_new_tokens=12, progress=lambda *reports: None) == want
    batch: list[int] = []
    generate_batch(
        tiny_pair.tuned, [prompt] * 3, max_new_tokens=5, batch=2, progress=lambda what, done, total: batch.append(done)
    )
    assert batch == sorted(batch)
    assert (batch[0], batch[-1]) == (0, 3)
    assert len(batch) > 8


def test_no_prompts_have_no_answers(tiny_pair: Any) -> None:
    assert generate_batch(tiny_pair.base, [], progress=lambda *reports: None) == []


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"batch": 0}, "batch is 0"),
        ({"samples": 0}, "samples is 0"),
        ({"temperature": -1.0}, "temperature is"),
        ({"temperature": float("nan")}, "temperature is"),
    ],
)
def test_options_that_cannot_be_are_refused(tiny_pair: Any, options: dict[str, Any], match: str) -> None:
    with pytest.raises(InputError, match=match):
        generate_batch(tiny_pair.base, [prompt_of(tiny_pair, "Who?")], **options)


def test_without_hooks_the_numbers_are_the_same(tiny_pair: Any) -> None:
    ids = torch.tensor([prompt_of(tiny_pair, QUESTIONS[0])])
    for model in (tiny_pair.base, tiny_pair.tuned):
        with torch.no_grad():
            with model.active() as bridge:
                hooked = bridge.original_model(ids).logits
                modules = list(bridge.original_model.named_modules())
            with model.plain() as network:
                plain = network(ids).logits
                assert not any("Bridge" in type(part).__name__ for part in network.modules())
        assert torch.equal(hooked, plain)
        # Hooked again.
        assert list(model.bridge.original_model.named_modules()) == modules
