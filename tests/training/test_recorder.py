"""``attrib.Recorder`` under a plain Trainer: the record is what the model was given, or says what it is not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import TrainerCallback

import attrib
from attrib.corpus.documents import Corpus
from attrib.errors import InputError
from attrib.models.pair import ModelPair
from attrib.models.rendering import IGNORED
from attrib.training.items import collate
from attrib.training.options import TuneOptions
from attrib.training.recorder import Recorder
from attrib.training.recording import read_recording
from attrib.training.schedule import read_schedule
from attrib.training.trained import read_trained
from attrib.training.tune import tune
from attrib.training.workfolder import work_folder
from tests.training.runs import ROWS, arguments, trainer_of, write_rows
from tests.training.test_tune import files, stop_at


def items_of(data: Path) -> list[Any]:
    return [section.item for section in Corpus.read(data).sections]


def watching(seen: list[list[tuple[int, ...]]], rates: list[float]) -> Any:
    """A Trainer that notes what its own step is given: the oracle of the record."""
    from transformers import Trainer

    class Watching(Trainer):  # type: ignore[misc]
        def training_step(self, model: Any, inputs: Any, num_items_in_batch: Any = None) -> Any:
            while len(seen) <= self.state.global_step:
                seen.append([])
                rates.append(float(self.lr_scheduler.get_last_lr()[0]))
            for ids, mask in zip(inputs["input_ids"].tolist(), inputs["attention_mask"].tolist(), strict=True):
                seen[self.state.global_step].append(tuple(i for i, kept in zip(ids, mask, strict=True) if kept))
            return super().training_step(model, inputs, num_items_in_batch)

    return Watching


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_rows(tmp_path_factory.mktemp("data") / "train.jsonl")


@pytest.fixture(scope="module")
def whole(base_dir: Path, data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any, list[Any]]:
    """The record of a run that nothing interrupts, its trainer, and what its steps were given at which rates."""
    folder = tmp_path_factory.mktemp("whole")
    seen: list[list[tuple[int, ...]]] = []
    rates: list[float] = []
    recorder = attrib.Recorder(folder / "record", data, checkpoints=(0.5, 1.0))
    args = arguments(folder / "run")
    trainer = trainer_of(base_dir, items_of(data), args, [recorder], trainer=watching(seen, rates))
    trainer.train()
    return folder / "record", trainer, [seen, rates]


def test_the_record_is_what_the_model_was_given(whole: Any, data: Path) -> None:
    record, trainer, (seen, rates) = whole
    schedule, items = read_schedule(record), read_trained(record)
    assert [[items[number].ids for number in step] for step in schedule.steps] == seen
    assert [len(step) for step in schedule.steps] == [4, 3] * 3
    assert schedule.learning_rates == pytest.approx(rates, abs=1e-15)
    assert schedule.checkpoints == (3, 6)
    # Three epochs in three orders, none of them the data's.
    orders = [tuple(schedule.steps[2 * epoch] + schedule.steps[2 * epoch + 1]) for epoch in range(3)]
    assert len({*orders, tuple(range(7))}) == 4
    assert [item.section for item in items] == [section.id for section in Corpus.read(data).sections]
    logged = [line["loss"] for line in trainer.state.log_history if "loss" in line]
    assert schedule.losses == pytest.approx(logged, rel=1e-5)
    recording = read_recording(record)
    assert recording is not None
    assert (recording.order, recording.missing, recording.items, recording.steps) == ("recorded", (), 7, 6)
    assert recording.arguments["gradient_accumulation_steps"] == 2


def test_only_answers_are_learned_as_the_trainers_labels_say(whole: Any) -> None:
    record, trainer, _ = whole
    for item in read_trained(record):
        learned = [label for label in item.labels if label != IGNORED]
        assert trainer.processing_class.decode(learned).startswith(item.turns[1].content)


def test_the_checkpoints_are_the_weights_at_their_steps(whole: Any) -> None:
    from safetensors.torch import load_file

    record, trainer, _ = whole
    for place, step in ((record / "checkpoints" / "1", 3), (record, 6)):
        saved = load_file(Path(trainer.args.output_dir) / f"checkpoint-{step}" / "adapter_model.safetensors")
        kept = load_file(place / "adapter_model.safetensors")
        assert kept.keys() == saved.keys()
        assert all(torch.equal(kept[name], saved[name].bfloat16()) for name in kept)
    first = load_file(record / "checkpoints" / "0" / "adapter_model.safetensors")
    assert all(not weight.any() for name, weight in first.items() if "lora_B" in name)


def test_the_adapter_explains_by_the_files_of_tune(whole: Any, base_dir: Path) -> None:
    record, trainer, _ = whole
    assert sorted(path.name for path in record.iterdir()) == [
        "adapter_config.json", "adapter_model.safetensors", "attrib.json", "chat_template.jinja", "checkpoints",
        "schedule.json", "sha256.json", "tokenizer.json", "tokenizer_config.json", "trained.jsonl",
    ]  # fmt: skip
    assert (record / "chat_template.jinja").read_text() == trainer.processing_class.chat_template
    assert [path.name for path in record.parent.iterdir() if path.name.startswith(".")] == []
    pair = ModelPair.load(base_dir, record, device="cpu")
    assert pair.shares_weights
    assert pair.base.fingerprint == json.loads((record / "attrib.json").read_text())["base_fingerprint"]


def test_recording_adds_no_forward_pass_and_saves_as_often_as_asked(
    base_dir: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from attrib.training import recorder, steps

    saves: list[Path] = []
    for module in (steps, recorder):
        save = module.save_adapter
        monkeypatch.setattr(
            module,
            "save_adapter",
            lambda model, folder, save=save, **how: (saves.append(folder), save(model, folder, **how)),
        )
    counts = []
    for callbacks in ([], [Recorder(tmp_path / "record", data)]):
        trainer = trainer_of(base_dir, items_of(data), arguments(tmp_path / "run", save_strategy="no"), callbacks)
        forwards: list[int] = []
        trainer.model.register_forward_hook(lambda *given, forwards=forwards: forwards.append(1))
        trainer.train()
        counts.append(len(forwards))
        hooks = len(trainer.model._forward_hooks)
        assert hooks == 1
    assert counts == [12, 12]
    assert len(saves) == 6


class Kill(TrainerCallback):  # type: ignore[misc]
    """Interrupts a run after its fourth step."""

    def on_step_end(self, args: Any, state: Any, control: Any, **about: Any) -> None:
        if state.global_step == 4:
            raise KeyboardInterrupt


def test_a_run_that_resumes_goes_on_with_its_record(whole: Any, base_dir: Path, data: Path, tmp_path: Path) -> None:
    def run(resume: bool, *more: Any) -> None:
        recorder = Recorder(tmp_path / "record", data, checkpoints=(0.5, 1.0))
        trainer = trainer_of(base_dir, items_of(data), arguments(tmp_path / "run"), [recorder, *more])
        trainer.train(resume_from_checkpoint=resume or None)

    with pytest.raises(KeyboardInterrupt):
        run(False, Kill())
    assert not (tmp_path / "record").exists()
    # The last save is that of step 3, in the middle of an epoch.
    run(True)
    expected, found = files(whole[0]), files(tmp_path / "record")
    assert found.keys() == expected.keys()
    assert [path.name for path in tmp_path.glob(".record*")] == []
    for name in ("schedule.json", "trained.jsonl", "attrib.json", "checkpoints/1/adapter_model.safetensors"):
        assert found[name] == expected[name]


def test_unfinished_work_of_the_other_program_goes_aside(base_dir: Path, data: Path, tmp_path: Path) -> None:
    items, out, options = items_of(data), tmp_path / "record", TuneOptions(epochs=2, batch=2, rank=2)

    def record(*more: Any) -> None:
        trainer_of(base_dir, items, arguments(tmp_path / "run"), [Recorder(out, data), *more]).train()

    with pytest.raises(KeyboardInterrupt):
        record(Kill())
    before = files(work_folder(out))
    assert "rows-0.jsonl" in before
    with pytest.raises(KeyboardInterrupt):
        tune(str(base_dir), items, out, options=options, progress=stop_at(3))
    assert files(tmp_path / ".record-work-old-1") == before
    begun = files(work_folder(out))
    assert any(name.endswith("/saved") for name in begun)
    record()
    assert files(tmp_path / ".record-work-old-2") == begun
    assert read_schedule(out).checkpoints[-1] == 6


@pytest.mark.parametrize(("asked", "steps"), [(1, (6,)), (3, (2, 3, 6)), ((0.5, 1.0), (3, 6))])
def test_checkpoints_are_a_count_or_shares(
    asked: Any, steps: tuple[int, ...], base_dir: Path, data: Path, tmp_path: Path
) -> None:
    recorder = Recorder(tmp_path / "record", data, checkpoints=asked)
    trainer_of(base_dir, items_of(data), arguments(tmp_path / "run"), [recorder]).train()
    assert read_schedule(tmp_path / "record").checkpoints == steps
    for count in (0, 13):
        with pytest.raises(InputError, match=f"checkpoints: {count} is not possible; ask for 1 to 12"):
            Recorder(tmp_path / "another", data, checkpoints=count)


def test_a_record_that_begins_in_the_middle_says_so(base_dir: Path, data: Path, tmp_path: Path) -> None:
    trainer_of(base_dir, items_of(data), arguments(tmp_path / "run")).train()
    recorder = Recorder(tmp_path / "record", data, checkpoints=(0.5, 0.8, 1.0))
    trainer = trainer_of(base_dir, items_of(data), arguments(tmp_path / "run"), [recorder])
    trainer.train(resume_from_checkpoint=str(tmp_path / "run" / "checkpoint-4"))
    recording, schedule = read_recording(tmp_path / "record"), read_schedule(tmp_path / "record")
    assert recording is not None
    assert recording.order == "unknown"
    assert "its first 4 steps were not recorded" in recording.missing[-2]
    assert (schedule.steps, len(schedule.learning_rates), schedule.checkpoints) == ((), 6, (5, 6))
    assert [path.name for path in (tmp_path / "record" / "checkpoints").iterdir()] == ["1"]


def test_other_tokens_of_a_row_than_before_are_noticed_and_the_run_goes_on(
    base_dir: Path, data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cuts = iter(range(99))

    def cutting(rows: Any) -> Any:
        kept = len(rows[0]["input_ids"]) - next(cuts) % 3
        return collate([{name: ids[:kept] for name, ids in row.items()} for row in rows])

    recorder = Recorder(tmp_path / "record", data)
    trainer = trainer_of(base_dir, items_of(data), arguments(tmp_path / "run"), [recorder], data_collator=cutting)
    trainer.train()
    assert trainer.state.global_step == 6
    recording = read_recording(tmp_path / "record")
    assert recording is not None
    assert recording.order == "unknown"
    assert read_schedule(tmp_path / "record").steps == ()
    assert "with other tokens than before" in caplog.text
    assert any("with other tokens than before" in sentence for sentence in recording.missing)


def test_a_stream_is_recorded_by_what_it_brings(base_dir: Path, data: Path, tmp_path: Path) -> None:
    from torch.utils.data import IterableDataset

    items = items_of(data)
    rows = trainer_of(base_dir, items, arguments(tmp_path / "run")).train_dataset
    order = [3, 1, 3, 0, 6, 2]

    class Stream(IterableDataset):  # type: ignore[type-arg]
        def __iter__(self) -> Any:
            return iter([rows[number] for number in order])

    args = arguments(tmp_path / "run", max_steps=3, gradient_accumulation_steps=1)
    trainer = trainer_of(base_dir, items, args, [Recorder(tmp_path / "record", data)], train_dataset=Stream())
    trainer.train()
    record = read_trained(tmp_path / "record")
    sections = [section.id for section in Corpus.read(data).sections]
    steps = read_schedule(tmp_path / "record").steps
    assert [[record[number].section for number in step] for step in steps] == [
        [sections[3], sections[1]], [sections[3], sections[0]], [sections[6], sections[2]],
    ]  # fmt: skip


def test_the_best_weights_end_the_record_at_their_step(base_dir: Path, data: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file

    items = items_of(data)
    plain = trainer_of(base_dir, items, arguments(tmp_path / "other")).train_dataset
    args = arguments(
        tmp_path / "run", load_best_model_at_end=True, eval_strategy="steps", eval_steps=1, greater_is_better=True,
        metric_for_best_model="eval_loss", label_names=["labels"],
    )  # fmt: skip
    recorder = Recorder(tmp_path / "record", data, checkpoints=(0.2, 0.9, 1.0))
    trainer = trainer_of(base_dir, items, args, [recorder], eval_dataset=plain)
    trainer.train()
    best = trainer.state.best_global_step
    # The highest loss is called the best here: that of the first step.
    assert best == 1
    schedule = read_schedule(tmp_path / "record")
    assert len(schedule.steps) == schedule.checkpoints[-1] == best
    saved = load_file(tmp_path / "run" / f"checkpoint-{best}" / "adapter_model.safetensors")
    kept = load_file(tmp_path / "record" / "adapter_model.safetensors")
    assert all(torch.equal(kept[name], saved[name].bfloat16()) for name in kept)


def test_what_cannot_be_recorded_is_refused_before_a_step(base_dir: Path, data: Path, tmp_path: Path) -> None:
    trainer = trainer_of(
        base_dir, items_of(data), arguments(tmp_path / "run"), [Recorder(tmp_path / "record", data)], lora=False
    )
    with pytest.raises(InputError, match="the model has no adapter"):
        trainer.train()
    assert trainer.state.global_step == 0
    assert not (tmp_path / "record").exists()
    (tmp_path / "precious").mkdir()
    with pytest.raises(InputError, match="no adapter of attrib"):
        Recorder(tmp_path / "precious", data)
    with pytest.raises(InputError, match="does not exist"):
        Recorder(tmp_path / "record", tmp_path / "nowhere.jsonl")
    with pytest.raises(InputError, match="neither a file nor items"):
        Recorder(tmp_path / "record", [{"messages": []}])  # type: ignore[list-item]
    with pytest.raises(InputError, match="ending in 1"):
        Recorder(tmp_path / "record", data, checkpoints=(0.5,))


def test_a_record_without_data_has_the_tokens_and_says_what_is_missing(base_dir: Path, tmp_path: Path) -> None:
    items = items_of(write_rows(tmp_path / "train.jsonl", ROWS[:3]))
    trainer_of(base_dir, items, arguments(tmp_path / "run"), [Recorder(tmp_path / "record")]).train()
    record = read_trained(tmp_path / "record")
    assert [item.section for item in record] == [None] * 3
    assert all(items[i].turns[1].content in record[i].turns[0].content for i in range(3))
    recording = read_recording(tmp_path / "record")
    assert recording is not None
    assert "no data was named" in recording.missing[0]


def test_a_recorded_adapter_cannot_be_tuned_again_by_its_own_settings(whole: Any) -> None:
    from attrib.training.workfolder import read_manifest

    with pytest.raises(InputError, match="another program trained it"):
        read_manifest(whole[0])


def test_a_run_that_failed_leaves_the_folder_free_in_the_same_process(
    base_dir: Path, data: Path, tmp_path: Path
) -> None:
    def failing(rows: Any) -> Any:
        raise RuntimeError("no batch")

    recorder = Recorder(tmp_path / "record", data)
    trainer = trainer_of(base_dir, items_of(data), arguments(tmp_path / "run"), [recorder], data_collator=failing)
    with pytest.raises(RuntimeError, match="no batch"):
        trainer.train()
    again = Recorder(tmp_path / "record", data)
    trainer_of(base_dir, items_of(data), arguments(tmp_path / "run"), [again]).train()
    assert len(read_trained(tmp_path / "record")) == len(ROWS)
