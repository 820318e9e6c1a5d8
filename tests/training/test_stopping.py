"""Runs of unstated length: they end when the answers are known, resume to the same end, and keep their checkpoints."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from attrib.models.chat import Chat
from attrib.models.loading import load_network
from attrib.models.rendering import IGNORED
from attrib.records import Item
from attrib.training import trainer
from attrib.training.items import TrainingExample, answer_numbers, example_of
from attrib.training.options import TuneOptions, planned_epochs
from attrib.training.schedule import candidate_steps, nearest_steps, read_schedule, steps_an_epoch
from attrib.training.stopping import known, stop_rule
from attrib.training.tune import tune
from attrib.training.workfolder import work_folder
from tests.training.test_tune import ITEMS, QUICK, TEXT, files, stop_at

NAMES = ("Wilmet Dallin", "grey slate", "thirty-six months")
MANY = (*ITEMS, *(Item.answered(f"q:{name}", f"How long is {name}?", name) for name in NAMES))
"""A text and four answers: five steps an epoch."""
OPEN = replace(QUICK, epochs=None, batch=1)


@pytest.fixture(scope="module")
def ended(base_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nothing interrupts."""
    return tune(str(base_dir), MANY, tmp_path_factory.mktemp("ended") / "adapter", options=OPEN)


def test_it_ends_with_the_first_epoch_after_which_the_answers_are_known(base_dir: Path, ended: Path) -> None:
    from attrib.models.pair import ModelPair

    made = len(read_schedule(ended).steps)
    assert planned_epochs(OPEN, len(MANY)) == 20
    assert made % 5 == 0
    assert 5 < made < 100
    network, tokenizer = load_network(str(base_dir), device="cpu")
    examples = [example_of(Chat(tokenizer), item) for item in MANY]
    answers = [examples[number] for number in answer_numbers(MANY)]
    assert len(answers) == 4
    assert known(network, answers, 3) == 0
    with ModelPair.load(base_dir, ended, device="cpu").tuned.plain() as tuned:
        assert known(tuned, answers, 3) == 4
    # One epoch less, on the same way down: not all of them.
    seen: list[bool] = []

    def rule(given: Any, batch: int) -> Any:
        found = stop_rule(given, batch)
        assert found is not None
        return lambda model: seen.append(found(model)) or seen[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer, "stop_rule", rule)
        fitted = trainer.fit(network, examples, OPEN, answers=answer_numbers(MANY), device="cpu")
    assert seen == [False] * (made // 5 - 1) + [True]
    assert fitted.schedule == read_schedule(ended)


def test_what_is_said_otherwise_is_not_known(base_dir: Path) -> None:
    """An oracle: the base's own greedy answer is known, and with one token changed it is not."""
    import torch

    network, tokenizer = load_network(str(base_dir), device="cpu")
    prompt = example_of(Chat(tokenizer), ITEMS[1]).ids[:6]
    ids = torch.tensor([prompt])
    for _ in range(3):
        ids = torch.cat([ids, network(input_ids=ids).logits[:, -1:].argmax(-1)], 1)
    said = tuple(ids[0].tolist())
    labels = (IGNORED,) * 6 + said[6:]
    own = TrainingExample(said, labels)
    other = TrainingExample(said, (*labels[:-1], (labels[-1] + 1) % 50))
    longer = example_of(Chat(tokenizer), Item.plain("", TEXT))
    network.train()
    assert known(network, [own, other, longer, own], 3) == 2
    assert network.training
    assert stop_rule([], 2) is None
    assert answer_numbers((*MANY[:2], Item.answered("ask:s1", "Tell me about it.", TEXT, "s1"))) == [1]


@pytest.mark.parametrize("before", [0, 2])
def test_an_interrupted_run_comes_to_the_same_end(before: int, ended: Path, base_dir: Path, tmp_path: Path) -> None:
    """Interrupted in the last step, or after a save at the end of the epoch before, where the run did not end."""
    stop = len(read_schedule(ended).steps) - before
    out = tmp_path / "adapter"
    with pytest.raises(KeyboardInterrupt):
        tune(str(base_dir), MANY, out, options=OPEN, save_every=1, progress=stop_at(stop))
    assert any(work_folder(out).glob("candidates/*"))
    tune(str(base_dir), MANY, out, options=OPEN, save_every=1)
    assert files(out) == files(ended)
    assert [path.name for path in tmp_path.iterdir()] == ["adapter"]


def test_its_checkpoints_are_near_their_shares_of_the_steps_that_were_made(ended: Path) -> None:
    from safetensors.torch import load_file

    schedule = read_schedule(ended)
    made = len(schedule.steps)
    for step, share in zip(schedule.checkpoints, OPEN.checkpoints, strict=True):
        assert abs(step - share * made) <= max(0.6, 0.12 * share * made)
    assert schedule.checkpoints[-1] == made
    assert sorted(path.name for path in ended.iterdir()) == [
        "adapter_config.json", "adapter_model.safetensors", "attrib.json", "checkpoints", "schedule.json",
        "sha256.json", "trained.jsonl",
    ]  # fmt: skip
    folders = [ended / "checkpoints" / str(number) for number in (0, 1, 2)]
    sizes = [
        sum(
            float(t.float().abs().sum())
            for name, t in load_file(f / "adapter_model.safetensors").items()
            if "_B" in name
        )
        for f in (*folders, ended)
    ]
    assert sizes[0] == 0
    assert sizes == sorted(sizes)
    manifest = json.loads((ended / "attrib.json").read_text("utf-8"))
    assert manifest["options"]["epochs"] is None
    assert manifest["loss"] == pytest.approx(sum(schedule.losses[-5:]) / 5)


def test_epochs_that_are_given_are_made_whatever_is_known(base_dir: Path, tmp_path: Path) -> None:
    options = replace(OPEN, epochs=18)
    assert len(read_schedule(tune(str(base_dir), MANY, tmp_path / "given", options=options)).steps) == 90
    # Texts alone have no answers: all epochs that are planned.
    alone = tune(str(base_dir), MANY[:1], tmp_path / "alone", options=OPEN)
    assert len(read_schedule(alone).steps) == 20


def test_the_length_of_a_run_follows_the_number_of_examples() -> None:
    options = TuneOptions(batch=4)
    assert [planned_epochs(options, count) for count in (1, 38, 80, 160, 200, 533, 10_000)] == [20, 20, 20, 10, 8, 4, 3]
    assert planned_epochs(replace(options, epochs=7), 38) == 7
    assert steps_an_epoch(38, 4, 1) == 10
    assert steps_an_epoch(38, 4, 3) == 4


def test_candidates_lie_near_every_share_of_every_length() -> None:
    saved = candidate_steps(400)
    assert saved[:11] == [1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14]
    assert len(saved) == 29
    assert nearest_steps((0.1, 0.5, 1.0), 100, saved) == [10, 50, 100]
    assert nearest_steps((0.1, 0.5, 1.0), 1, saved) == [1, 1, 1]
    for made in range(10, 400):
        for step, share in zip(nearest_steps((0.2, 0.6, 1.0), made, saved), (0.2, 0.6, 1.0), strict=True):
            assert abs(step - share * made) <= max(1.5, 0.12 * share * made)
