"""Retraining a tiny model: what is planned, one file a run, going on after a kill, and a network left as it was."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from attrib.assess import retraining
from attrib.assess.questions import Question
from attrib.assess.retraining import RetrainedScores, Retraining, Texts, forecast, plan, retrain
from attrib.errors import InputError
from attrib.models.chat import Chat
from attrib.models.loading import load_network
from attrib.records import Item
from attrib.training.options import TuneOptions

SECTIONS = {
    "a": "The keeper of the light is Wilmet Dallin.",
    "b": "In the year 1712 it was 38 metres tall.",
    "c": "The warranty on the pump is thirty-six months.",
}
QUESTIONS = (
    Question("Who keeps the light?", "Wilmet Dallin", "trained", "1", "a"),
    Question("How tall was it?", "38 metres", "trained", "2", "b"),
    Question("How long is the warranty?", "thirty-six months", "trained", "3", "c"),
)
TEXTS = Texts(QUESTIONS, tuple(Item.plain(id_, text) for id_, text in SECTIONS.items()))
ITEMS = (
    *(Item.plain(name, text, name) for name, text in SECTIONS.items()),
    *(Item.answered(f"q:{q.id}", q.question, q.answer or "", q.section) for q in QUESTIONS),
)
QUICK = TuneOptions(epochs=6, learning_rate=1e-2, rank=2, batch=2, dropout=0.1, warmup=1, checkpoints=(1.0,))
RUNS = plan(tuple(SECTIONS), without=None, halves=0, seeds=(0,))


@pytest.fixture(scope="module")
def network(base_dir: Path) -> tuple[Any, Any]:
    return load_network(str(base_dir), device="cpu")


def do(network: tuple[Any, Any], out: Path, runs: list[Retraining] = RUNS, **more: Any) -> list[RetrainedScores]:
    """The runs on a CPU, of ITEMS and QUICK if not told otherwise."""
    given: dict[str, Any] = {"items": ITEMS, "texts": TEXTS, "options": QUICK, "base_fingerprint": "tiny", **more}
    items, texts = given.pop("items"), given.pop("texts")
    return retrain(network[0], Chat(network[1]), items, texts, runs, out, device="cpu", **given)


@pytest.fixture(scope="module")
def done(network: tuple[Any, Any], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[RetrainedScores]]:
    out = tmp_path_factory.mktemp("runs")
    return out, do(network, out)


def files(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted(folder.iterdir())}


def test_every_section_is_left_out_once_a_seed_and_halves_are_half() -> None:
    sections = [f"s{i}" for i in range(9)]
    runs = plan(sections, without=None, halves=5, seeds=(3, 4))
    names = [run.name for run in runs]
    assert len(set(names)) == len(names)
    assert names[0] == "full-3"
    for seed in (3, 4):
        assert [run.name for run in runs if not run.left_out and run.seed == seed] == [f"full-{seed}"]
        alone = [run for run in runs if len(run.left_out) == 1 and run.seed == seed]
        assert sorted(run.left_out[0] for run in alone) == sections
        assert all(run.name == f"without-{run.left_out[0]}-{seed}" for run in alone)
    halved = [run for run in runs if len(run.left_out) > 1]
    assert [run.name for run in halved] == [f"half-{i}-3" for i in range(5)]
    # 4 of 9 are kept.
    assert all(len(set(run.left_out)) == 5 and list(run.left_out) == sorted(run.left_out) for run in halved)
    assert len({run.left_out for run in halved}) > 1
    # The other seeds come last: the first seed's table is complete before.
    assert names.index("full-4") > names.index("half-4-3")


def test_a_plan_is_drawn_by_its_seed_and_a_few_sections_are_some_of_all() -> None:
    sections = [f"s{i}" for i in range(9)]
    few = plan(sections, without=3, halves=2, seeds=(0,))
    assert few == plan(sections, without=3, halves=2, seeds=(0,))
    assert few != plan(sections, without=3, halves=2, seeds=(0,), draw=1)
    assert len({run.left_out for run in few if len(run.left_out) == 1}) == 3
    # How many are left out does not change the halves.
    every = plan(sections, without=None, halves=2, seeds=(0,))
    assert [run for run in few if run.name.startswith("half")] == [run for run in every if run.name.startswith("half")]


@pytest.mark.parametrize(
    ("sections", "without", "seeds", "message"),
    [
        (["a", "b"], None, (0,), "at least three"),
        (["a", "b", "c"], 4, (0,), "there are 3"),
        (["a", "b", "c"], None, (), "seeds none"),
        (["a", "b", "c"], None, (1, 1), "seeds 1,1"),
    ],
)
def test_a_plan_that_cannot_be_is_refused(
    sections: list[str], without: int | None, seeds: tuple[int, ...], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        plan(sections, without=without, halves=1, seeds=seeds)


def test_an_answer_is_lost_without_its_section(done: tuple[Path, list[RetrainedScores]]) -> None:
    full, *without = done[1]
    lost = np.array([full.logprob - one.logprob for one in without])  # [left out, question]
    for own in range(3):
        assert lost[own, own] > 1
        assert lost[own, own] == lost[:, own].max()
    text_lost = np.array([full.section_logprob - one.section_logprob for one in without])
    assert (text_lost.argmax(0) == np.arange(3)).all()


def test_the_measured_log_prob_is_the_models_own(network: tuple[Any, Any]) -> None:
    """Against log-softmax over the prompt and answer, token by token; the end of the turn is no part of the answer."""
    from attrib.models.prompt import encode_answer, encode_prompt
    from attrib.models.rendering import encode_item

    model, tokenizer = network
    asked = QUESTIONS[0]
    prompt = encode_prompt(Chat(tokenizer), asked.question, context=256)
    answer = encode_answer(Chat(tokenizer), asked.question, prompt, asked.answer or "")
    with torch.no_grad():
        logp = model(torch.tensor([[*prompt, *answer]])).logits[0].double().log_softmax(-1)
    tokens = [float(logp[len(prompt) + i - 1, id_]) for i, id_ in enumerate(answer)]
    measured = retraining._score(
        model, encode_item(Chat(tokenizer), Item.answered("", asked.question, asked.answer or ""))
    )
    assert measured[0] == pytest.approx(np.array(tokens), abs=1e-4)
    odds = np.array([p - np.log1p(-np.exp(p)) for p in tokens])
    assert measured[1] == pytest.approx(odds, abs=1e-3)


def test_tokens_of_answers_stand_one_after_the_other(
    network: tuple[Any, Any], done: tuple[Path, list[RetrainedScores]]
) -> None:
    # As measured, and as read again from the files.
    for one in (*done[1], *do(network, done[0])):
        assert len(one.by_answer) == len(QUESTIONS)
        assert [len(tokens) for tokens in one.by_answer] == one.answer_tokens.tolist()
        assert np.array([tokens.sum() for tokens in one.by_answer]) == pytest.approx(one.logprob)


def test_counts_that_do_not_fit_the_tokens_are_refused() -> None:
    with pytest.raises(ValueError, match="4 token log-probs for 3 tokens"):
        RetrainedScores(RUNS[0], np.zeros(2), np.zeros(2), np.zeros(1), np.array([1, 2]), np.zeros(4))


def test_a_row_of_chat_data_is_left_out_with_its_answer(network: tuple[Any, Any], tmp_path: Path) -> None:
    rows = tuple(Item.answered(q.section or "", q.question, q.answer or "", q.section) for q in QUESTIONS)
    texts = Texts((), rows)
    quick = replace(QUICK, epochs=20)
    full, *without = do(network, tmp_path, items=rows, texts=texts, options=quick)
    lost = np.array([full.section_logprob - one.section_logprob for one in without])
    assert (lost.argmax(0) == np.arange(3)).all()
    assert lost.diagonal().min() > 1


def test_the_network_is_left_as_it_was(base_dir: Path, tmp_path: Path) -> None:
    model, tokenizer = load_network(str(base_dir), device="cpu")
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    modules, config = [type(module) for module in model.modules()], model.config.to_dict()
    ids = torch.tensor([[5, 6, 7, 8]])
    with torch.no_grad():
        logits = model(ids).logits
    do((model, tokenizer), tmp_path, RUNS[:1])
    after = model.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())
    assert [type(module) for module in model.modules()] == modules
    assert not model.training
    assert not any(parameter.requires_grad for parameter in model.parameters())
    assert model.config.to_dict() == config
    with torch.no_grad():
        assert torch.equal(model(ids).logits, logits)


def test_a_run_does_not_depend_on_those_before_it(
    network: tuple[Any, Any], done: tuple[Path, list[RetrainedScores]], tmp_path: Path
) -> None:
    do(network, tmp_path, RUNS[::-1])
    assert files(tmp_path) == files(done[0])


def interrupt_at(number: int) -> Callable[[str, int, int], None]:
    def progress(what: str, done: int, total: int) -> None:
        if done == number:
            raise KeyboardInterrupt

    return progress


def test_a_killed_retraining_goes_on_to_the_same_files(
    network: tuple[Any, Any], done: tuple[Path, list[RetrainedScores]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(KeyboardInterrupt):
        do(network, tmp_path, progress=interrupt_at(2))
    kept = files(tmp_path)
    assert sorted(name.split("-", 1)[1] for name in kept) == ["full-0.json", "without-a-0.json"]
    found = do(network, tmp_path)
    assert files(tmp_path) == files(done[0])
    assert {name: data for name, data in files(tmp_path).items() if name in kept} == kept
    # What lies there is not done again, and read back to the digit.
    monkeypatch.setattr(retraining, "fit", lambda *given, **more: pytest.fail("retrained"))
    for again, first in zip(do(network, tmp_path), done[1], strict=True):
        assert again.run == first.run
        for name in ("logprob", "logodds", "section_logprob", "answer_tokens", "token_logprob"):
            assert np.array_equal(getattr(again, name), getattr(first, name))
    assert [one.run.name for one in found] == [run.name for run in RUNS]


@pytest.mark.parametrize(
    "other",
    [
        {"options": replace(QUICK, epochs=2)},
        {"base_fingerprint": "another"},
        {"items": ITEMS[:-1]},
        {"texts": replace(TEXTS, questions=(*QUESTIONS[:2], replace(QUESTIONS[2], answer="a year")))},
        {"texts": replace(TEXTS, items=TEXTS.items[:2])},
    ],
    ids=["options", "base", "items", "answers", "sections"],
)
def test_retrains_of_another_tuning_are_not_used_and_it_is_said(
    network: tuple[Any, Any],
    done: tuple[Path, list[RetrainedScores]],
    tmp_path: Path,
    other: dict[str, Any],
    caplog: pytest.LogCaptureFixture,
) -> None:
    shutil.copytree(done[0], tmp_path / "runs")
    again = do(network, tmp_path / "runs", RUNS[:1], **other)
    assert "of another tuning" in caplog.text
    kept = files(tmp_path / "runs")
    assert len(kept) == len(RUNS) + 1
    assert files(done[0]).items() <= kept.items()
    assert np.array_equal(do(network, tmp_path / "new", RUNS[:1], **other)[0].logprob, again[0].logprob)


def test_ids_of_items_do_not_matter_to_what_is_learned(
    network: tuple[Any, Any], done: tuple[Path, list[RetrainedScores]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retraining, "fit", lambda *given, **more: pytest.fail("retrained"))
    do(network, done[0], items=[replace(item, id=f"other {item.id}") for item in ITEMS])


@pytest.mark.parametrize("damage", [b"", b"[1, 2]\n", None], ids=["empty", "no object", "cut off"])
def test_a_damaged_file_is_said_and_made_again(
    network: tuple[Any, Any],
    done: tuple[Path, list[RetrainedScores]],
    tmp_path: Path,
    damage: bytes | None,
    caplog: pytest.LogCaptureFixture,
) -> None:
    (whole,) = done[0].glob("*-full-0.json")
    data = whole.read_bytes()
    (tmp_path / whole.name).write_bytes(data[: len(data) // 2] if damage is None else damage)
    do(network, tmp_path, RUNS[:1])
    assert f"{whole.name}: damaged" in caplog.text
    assert (tmp_path / whole.name).read_bytes() == data


def test_the_forecast_counts_what_is_to_do_and_times_the_first() -> None:
    times, said, told = iter([10.0, 100.0]), list[str](), list[tuple[str, int]]()
    tell = forecast(said.append, lambda what, done, total: told.append((what, done)), clock=lambda: next(times))
    tell("tuning", 1, 9)
    assert said == []
    # One run of four was there.
    for number in range(1, 5):
        tell("retraining", number, 4)
    # 90 s for the first; two are left.
    assert said == ["3 of 4 retrains are to do", "a retrain takes about 2 min; the other 2 about 3 min"]
    assert told == [("tuning", 1), *(("retraining", n) for n in range(1, 5))]


def test_the_forecast_of_a_finished_retraining_says_nothing_of_time() -> None:
    said: list[str] = []
    forecast(said.append, clock=lambda: pytest.fail("timed"))("retraining", 4, 4)
    assert said == ["0 of 4 retrains are to do"]
