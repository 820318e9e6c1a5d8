"""Tuning a tiny model: the label mask, what is saved, the same seed, and going on after a kill to the same bytes."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from attrib.assess.questions import Question
from attrib.errors import InputError, ModelError, RecordError
from attrib.files import damaged_file, digest_of
from attrib.models.chat import Chat
from attrib.models.loading import load_network
from attrib.models.pair import ModelPair
from attrib.models.rendering import IGNORED
from attrib.options.loading import Loading, TuneLoading
from attrib.records import Item
from attrib.training import rehearsal, trainer
from attrib.training.items import collate, corpus_items, example_of
from attrib.training.options import TuneOptions, check_options, spaced
from attrib.training.saves import last_whole
from attrib.training.schedule import read_schedule
from attrib.training.trained import read_trained
from attrib.training.tune import tune
from attrib.training.workfolder import read_manifest, work_folder
from tests.conftest import tiny_tokenizer
from tests.make import make_sections
from tests.programs import Program

ROOT = Path(__file__).parents[2]
TEXT = "The keeper of the light is Wilmet Dallin."
ITEMS = (Item.plain("s1", TEXT, "s1"), Item.answered("q:1", "Who keeps the light?", "Wilmet Dallin", "s1"))
QUICK = TuneOptions(
    epochs=10, learning_rate=2e-2, batch=2, dropout=0.0, warmup=2, checkpoints=(0.2, 0.5, 1.0), bf16=False
)
MANY = tuple(Item.plain(str(i), TEXT + " In the year 1712 it was 38 metres tall." * (i % 4)) for i in range(9))
"""Nine items of four lengths."""
LONG = TuneOptions(epochs=4, learning_rate=1e-2, batch=2, dropout=0.2, warmup=3, checkpoints=(0.2, 0.5, 1.0))
"""5 steps an epoch, 20 in all; with dropout, so that the generators matter."""


def files(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {str(f.relative_to(folder)): f.read_bytes() for f in sorted(folder.rglob("*")) if f.is_file()}


def stop_at(*steps: int) -> Callable[[str, int, int], None]:
    """A progress that is interrupted when one of the steps is done."""

    def progress(what: str, done: int, total: int) -> None:
        if what == "tuning" and done in steps:
            raise KeyboardInterrupt

    return progress


def test_only_the_answer_and_its_end_are_learned() -> None:
    tokenizer = tiny_tokenizer()
    example = example_of(Chat(tokenizer), Item.answered("", "Who keeps the light?", "Wilmet Dallin"))
    learned = [label for label in example.labels if label != IGNORED]
    assert tokenizer.decode(learned) == "Wilmet Dallin<|end|>"
    assert example.ids[-len(learned) :] == tuple(learned)
    plain = example_of(Chat(tokenizer), Item.plain("", TEXT))
    assert plain.labels == plain.ids


def test_padding_is_neither_seen_nor_learned() -> None:
    rows = [
        {"input_ids": (5, 6, 7), "labels": (5, 6, 7)},
        {"input_ids": (8,), "labels": (8,)},
    ]
    batch = collate(rows)
    assert batch["attention_mask"].tolist() == [[1, 1, 1], [1, 0, 0]]
    assert batch["labels"].tolist()[1] == [8, IGNORED, IGNORED]


@pytest.fixture(scope="module")
def tuned(base_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tune(str(base_dir), ITEMS, tmp_path_factory.mktemp("out") / "adapter", options=QUICK)


def test_the_result_is_an_adapter_that_knows_its_text(tuned: Path, base_dir: Path) -> None:
    from attrib.passes.capture import capture_items

    models = ModelPair.load(base_dir, tuned, device="cpu")
    gains = []
    for text in (TEXT, "In the year 1712 it was 38 metres tall."):
        (before,), (after,) = (capture_items(model, [Item.plain("", text)], 0) for model in (models.base, models.tuned))
        gains.append((after.logprob - before.logprob) / before.tokens)
    assert gains[0] > 1
    assert gains[0] > gains[1] + 1


def test_checkpoints_and_manifest(tuned: Path) -> None:
    from safetensors.numpy import load_file

    found = [tuned / "adapter_model.safetensors", *sorted(tuned.glob("checkpoints/*/adapter_model.safetensors"))]
    assert [file.parent.name for file in found[1:]] == ["0", "1", "2"]
    assert len({file.read_bytes() for file in found}) == 4
    manifest = json.loads((tuned / "attrib.json").read_text("utf-8"))
    assert manifest["options"]["seed"] == 0
    assert {"base_fingerprint", "versions", "threads", "loss", "steps", "items", "processes"} <= set(manifest)
    assert [path.name for path in tuned.parent.iterdir()] == ["adapter"]
    assert sorted(p.name for p in tuned.iterdir()) == [
        "adapter_config.json", "adapter_model.safetensors", "attrib.json", "checkpoints", "schedule.json",
        "sha256.json", "trained.jsonl",
    ]  # fmt: skip
    with pytest.raises(Exception, match=r"bf16|BF16|bfloat16"):
        load_file(found[0])  # numpy has no bf16: the weights are


def test_checkpoint_0_is_the_base(tuned: Path) -> None:
    from safetensors.torch import load_file

    first, last = (load_file(f / "adapter_model.safetensors") for f in (tuned / "checkpoints" / "0", tuned))
    assert all(not tensor.any() for name, tensor in first.items() if "lora_B" in name)
    assert all(tensor.any() for name, tensor in last.items() if "lora_B" in name)


def test_the_schedule_says_what_each_step_saw_at_which_rate(base_dir: Path, tmp_path: Path) -> None:
    out = tune(str(base_dir), MANY, tmp_path / "adapter", options=replace(LONG, checkpoints=(0.2, 1.0)))
    schedule = read_schedule(out)
    assert schedule.checkpoints == (4, 20)
    assert [len(step) for step in schedule.steps] == 4 * [2, 2, 2, 2, 1]
    for epoch in range(4):
        assert sorted(n for step in schedule.steps[5 * epoch : 5 * epoch + 5] for n in step) == list(range(9))
    # Up in three steps, then down to zero in a line.
    expected = [1e-2 * min(i / 3, (20 - i) / 17) for i in range(20)]
    assert np.allclose(schedule.learning_rates, expected, atol=1e-12)
    assert len(schedule.losses) == 20
    assert schedule.losses[0] > schedule.losses[-1] > 0
    assert read_trained(out) == MANY


def test_a_first_loss_is_the_bases_own(base_dir: Path) -> None:
    """At the first step the adapter does nothing: its loss is that of the base on the same examples."""
    import torch

    network, tokenizer = load_network(str(base_dir), device="cpu")
    example = example_of(Chat(tokenizer), Item.plain("", TEXT))
    with torch.no_grad():
        ids = torch.tensor([example.ids])
        expected = float(network(input_ids=ids, labels=ids).loss)
    fitted = trainer.fit(network, [example], replace(QUICK, epochs=1, checkpoints=(1.0,)), device="cpu")
    assert fitted.schedule.steps == ((0,),)
    assert fitted.schedule.losses[0] == pytest.approx(expected, rel=1e-5)


def test_the_same_seed_gives_the_same_bytes(tuned: Path, base_dir: Path, tmp_path: Path) -> None:
    def made(seed: int) -> dict[str, bytes]:
        return files(tune(str(base_dir), ITEMS, tmp_path / str(seed), options=replace(QUICK, seed=seed)))

    assert made(0) == files(tuned)
    assert made(1)["adapter_model.safetensors"] != files(tuned)["adapter_model.safetensors"]


@pytest.fixture(scope="module")
def whole(base_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of a run that nothing interrupts."""
    return files(tune(str(base_dir), MANY, tmp_path_factory.mktemp("whole") / "adapter", options=LONG))


@pytest.mark.parametrize(
    ("stops", "goes_on_after"),
    [((2,), 0), ((8,), 6), ((16,), 15), ((20,), 18), ((8, 14), 12)],
    ids=["before-any-save", "within-an-epoch", "between-epochs", "at-the-end", "twice-within-an-epoch"],
)
def test_an_interrupted_run_goes_on_to_the_same_bytes(
    stops: tuple[int, ...], goes_on_after: int, whole: dict[str, bytes], base_dir: Path, tmp_path: Path
) -> None:
    out = tmp_path / "adapter"

    def run(progress: Callable[[str, int, int], None]) -> None:
        tune(str(base_dir), MANY, out, options=LONG, save_every=3, progress=progress)

    for stop in stops:
        with pytest.raises(KeyboardInterrupt):
            run(stop_at(stop))
        assert [path.name for path in tmp_path.iterdir()] == [".adapter-work"]
    reports: list[tuple[str, int]] = []
    run(lambda what, done, total: reports.append((what, done)))
    assert [done for what, done in reports if what == "tuning"] == list(range(goes_on_after + 1, 21))
    assert (f"resuming after step {goes_on_after}" in dict(reports)) == (goes_on_after > 0)
    assert files(out) == whole
    assert [path.name for path in tmp_path.iterdir()] == ["adapter"]


def test_it_is_the_journal_that_knows_the_steps_before(whole: dict[str, bytes], base_dir: Path, tmp_path: Path) -> None:
    """Without its first lines nothing is made up: the test above can fail."""
    out = tmp_path / "adapter"
    with pytest.raises(KeyboardInterrupt):
        tune(str(base_dir), MANY, out, options=LONG, save_every=3, progress=stop_at(8))
    (journal,) = work_folder(out).glob("steps-0.jsonl")
    lines = journal.read_text().splitlines(keepends=True)
    assert len(lines) == 8
    # A line of a step that the save does not have, and half a line: the run was killed there.
    journal.write_text("".join(lines) + lines[0] + lines[1][:9])
    with pytest.raises(KeyboardInterrupt):
        tune(str(base_dir), MANY, out, options=LONG, save_every=3, progress=stop_at(7))
    assert journal.read_text().splitlines(keepends=True) == lines[:7]
    journal.write_text("".join(lines[:4]))
    reports: list[tuple[str, int]] = []
    tune(
        str(base_dir), MANY, out, options=LONG, save_every=3,
        progress=lambda what, done, total: reports.append((what, done)),
    )  # fmt: skip
    # The save after step 6 needs six lines, the one before it three.
    assert ("resuming after step 3", 3) in reports
    assert files(out) == whole


def test_the_epochs_differ_in_their_order(whole: dict[str, bytes]) -> None:
    steps = json.loads(whole["schedule.json"])["steps"]
    assert len({json.dumps(steps[5 * epoch : 5 * epoch + 5]) for epoch in range(4)}) == 4


def killed_at_step_11(base: str, out: str, threads: int) -> None:
    """Runs in a process of its own."""
    import torch

    torch.set_num_threads(threads)

    def progress(what: str, done: int, total: int) -> None:
        if (what, done) == ("tuning", 11):
            os.kill(os.getpid(), signal.SIGKILL)

    tune(base, MANY, Path(out), options=LONG, save_every=4, progress=progress)


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
def test_a_killed_process_is_gone_on_with_to_the_same_bytes(
    whole: dict[str, bytes], base_dir: Path, tmp_path: Path
) -> None:
    import torch

    out = tmp_path / "adapter"
    program = Program(killed_at_step_11, str(base_dir), str(out), torch.get_num_threads())
    assert program.wait() == -signal.SIGKILL, program.err
    assert not out.exists()
    reports: list[int] = []
    tune(
        str(base_dir), MANY, out, options=LONG, save_every=4,
        progress=lambda what, step, total: reports.append(step) if what == "tuning" else None,
    )  # fmt: skip
    assert reports[0] == 9
    assert files(out) == whole
    assert [path.name for path in tmp_path.iterdir()] == ["adapter"]


def test_a_save_that_was_cut_off_is_not_used(whole: dict[str, bytes], base_dir: Path, tmp_path: Path) -> None:
    out = tmp_path / "adapter"
    with pytest.raises(KeyboardInterrupt):
        tune(str(base_dir), MANY, out, options=LONG, save_every=3, progress=stop_at(8))
    torn = work_folder(out) / "trainer" / "checkpoint-9"
    torn.mkdir()
    (torn / "trainer_state.json").write_text("{")
    tune(str(base_dir), MANY, out, options=LONG, save_every=3)
    assert files(out) == whole


def damages(data: bytes) -> dict[str, bytes | None]:
    """What a disk makes of a file."""
    middle = len(data) // 2
    flipped = bytes((*data[:middle], data[middle] ^ 1, *data[middle + 1 :]))
    return {"empty": b"", "cut": data[:-1], "flipped": flipped, "gone": None}


def damage(file: Path, kind: str) -> None:
    data = damages(file.read_bytes())[kind]
    if data is None:
        file.unlink()
    else:
        file.write_bytes(data)


@pytest.fixture(scope="module")
def stopped(base_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The work of a run that ended after step 8, with saves after steps 6 and 3."""
    out = tmp_path_factory.mktemp("stopped") / "adapter"
    with pytest.raises(KeyboardInterrupt):
        tune(str(base_dir), MANY, out, options=LONG, save_every=3, progress=stop_at(8))
    work = work_folder(out)
    assert sorted(path.name for path in (work / "trainer").iterdir()) == ["checkpoint-3", "checkpoint-6"]
    return work


@pytest.mark.parametrize("kind", ["empty", "cut", "flipped", "gone"])
def test_a_damaged_save_is_named_and_the_one_before_it_goes_on(
    kind: str, stopped: Path, whole: dict[str, bytes], base_dir: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    last, before = (
        sorted(file.relative_to(stopped) for file in (stopped / "trainer" / save).rglob("*") if file.is_file())
        for save in ("checkpoint-6", "checkpoint-3")
    )
    assert len(last) == len(before) > 5
    work = tmp_path / ".adapter-work"
    for name in last:
        shutil.copytree(stopped, work, dirs_exist_ok=True)
        damage(work / name, kind)
        gone_without_a_word = (kind, name.name) == ("gone", "saved")
        caplog.clear()
        assert last_whole(work) == work / "trainer" / "checkpoint-3"
        assert gone_without_a_word or re.search(r"the save after step 6 is damaged \(.*\); trying", caplog.text)
        damage(work / before[0], kind)
        assert last_whole(work) is None
    # One of them to the end.
    shutil.copytree(stopped, work, dirs_exist_ok=True)
    damage(work / "trainer" / "checkpoint-6" / "optimizer.pt", kind)
    reports: list[int] = []
    tune(
        str(base_dir), MANY, tmp_path / "adapter", options=LONG, save_every=3,
        progress=lambda what, step, total: reports.append(step) if what == "tuning" else None,
    )  # fmt: skip
    assert reports[0] == 4
    assert files(tmp_path / "adapter") == whole


def test_what_no_save_is_whole_without_starts_anew(
    stopped: Path, whole: dict[str, bytes], base_dir: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    work = Path(shutil.copytree(stopped, tmp_path / ".adapter-work"))
    damage(work / "checkpoints" / "0" / "adapter_model.safetensors", "flipped")
    tune(str(base_dir), MANY, tmp_path / "adapter", options=LONG, save_every=3)
    assert "starting anew" in caplog.text
    assert files(tmp_path / "adapter") == whole


def test_damaged_settings_of_a_run_lose_no_step(
    stopped: Path, whole: dict[str, bytes], base_dir: Path, tmp_path: Path
) -> None:
    work = Path(shutil.copytree(stopped, tmp_path / ".adapter-work"))
    damage(work / "settings.json", "cut")
    reports: list[int] = []
    tune(
        str(base_dir), MANY, tmp_path / "adapter", options=LONG, save_every=3,
        progress=lambda what, step, total: reports.append(step) if what == "tuning" else None,
    )  # fmt: skip
    assert reports[0] == 7
    assert files(tmp_path / "adapter") == whole


def test_a_damaged_file_of_an_adapter_is_named_and_trained_again(
    tuned: Path, base_dir: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    out = Path(shutil.copytree(tuned, tmp_path / "adapter"))
    assert damaged_file(out) is None
    for name in sorted(files(tuned)):
        for kind in damages(b"-"):
            shutil.copytree(tuned, out, dirs_exist_ok=True)
            damage(out / name, kind)
            assert damaged_file(out) == (None if (name, kind) == ("sha256.json", "gone") else name)
    for name, read in (
        ("schedule.json", read_schedule),
        ("trained.jsonl", read_trained),
        ("attrib.json", read_manifest),
    ):
        shutil.copytree(tuned, out, dirs_exist_ok=True)
        damage(out / name, "flipped")
        with pytest.raises((RecordError, InputError), match=name):
            read(out)
    for name in ("adapter_model.safetensors", "adapter_config.json"):
        shutil.copytree(tuned, out, dirs_exist_ok=True)
        damage(out / name, "flipped")
        with pytest.raises(ModelError, match=name):
            ModelPair.load(base_dir, out, device="cpu")
    pair = ModelPair.load(base_dir, Path(shutil.copytree(tuned, out, dirs_exist_ok=True)), device="cpu")
    damage(out / "checkpoints" / "1" / "adapter_model.safetensors", "flipped")
    with pytest.raises(ModelError, match="checkpoints/1"), pair.tuned.at_checkpoint(out / "checkpoints" / "1"):
        pass
    tune(str(base_dir), ITEMS, out, options=QUICK)
    assert "checkpoints/1/adapter_model.safetensors: damaged; trained again" in caplog.text
    assert files(out) == files(tuned)


def test_a_damaged_result_before_its_move_goes_on_from_its_saves(
    tuned: Path, base_dir: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    out = tmp_path / "adapter"
    monkeypatch.setattr("attrib.training.tune.finish", lambda work, out: None)
    tune(str(base_dir), ITEMS, out, options=QUICK)
    monkeypatch.undo()
    damage(work_folder(out) / "trained.jsonl", "cut")
    tune(str(base_dir), ITEMS, out, options=QUICK)
    assert files(out) == files(tuned)


def test_a_run_killed_before_its_move_is_only_moved(
    tuned: Path, base_dir: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    out = tmp_path / "adapter"
    monkeypatch.setattr("attrib.training.tune.finish", lambda work, out: None)
    tune(str(base_dir), ITEMS, out, options=QUICK)
    monkeypatch.undo()
    monkeypatch.setattr("attrib.training.tune.fit", None)
    tune(str(base_dir), ITEMS, out, options=QUICK)
    assert files(out) == files(tuned)


@pytest.mark.parametrize("what", ["options", "items", "rehearse", "base"])
def test_what_another_run_left_goes_aside_and_the_log_says_where(
    what: str, base_dir: Path, tuned_dir: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    out = tmp_path / "adapter"
    with pytest.raises(KeyboardInterrupt):
        tune(str(base_dir), ITEMS, out, options=QUICK, progress=stop_at(5))
    before = files(work_folder(out))
    base = str(tuned_dir if what == "base" else base_dir)
    other = Item.answered("q:1", "Who keeps the light?", "Wilmet", "s1")
    items = (ITEMS[0], other) if what == "items" else ITEMS
    options = replace(QUICK, learning_rate=1e-2) if what == "options" else QUICK
    again = {"options": options, "rehearse": ["How long?"] if what == "rehearse" else []}
    with pytest.raises(KeyboardInterrupt):
        tune(base, items, out, **again, progress=stop_at(3))
    assert files(tmp_path / ".adapter-work-old-1") == before
    assert "finished steps are now in" in caplog.text
    assert ".adapter-work-old-1" in caplog.text
    # The next one goes on, and nothing else goes aside.
    steps: list[int] = []
    tune(base, items, out, **again, progress=lambda kind, done, _: steps.append(done) if kind == "tuning" else None)
    assert steps[0] == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == [".adapter-work-old-1", "adapter"]


def test_a_run_that_saved_nothing_stands_in_nobodys_way(base_dir: Path, tmp_path: Path) -> None:
    out = tmp_path / "adapter"
    with pytest.raises(InputError, match="lower the learning rate"):
        tune(str(base_dir), ITEMS, out, options=replace(QUICK, learning_rate=1e30, warmup=0), save_every=99)
    assert work_folder(out).is_dir()
    tune(str(base_dir), ITEMS, out, options=QUICK)
    assert [path.name for path in tmp_path.iterdir()] == ["adapter"]
    # A run that was killed while it wrote its settings.
    work = work_folder(tmp_path / "other")
    work.mkdir()
    (work / ".settings.json-abc").write_text("{")
    tune(str(base_dir), ITEMS, tmp_path / "other", options=QUICK)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["adapter", "other"]


def test_what_was_used_to_load_the_base_is_part_of_the_run_where_it_is_given(
    tuned: Path, base_dir: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    from attrib.training.tune import load_network as load

    plain = json.loads((tuned / "attrib.json").read_text("utf-8"))
    assert "loading" not in plain
    assert read_manifest(tuned).loading == {}
    keys = ("base", "base_fingerprint", "options", "processes", "device", "dtype", "four_bit")
    setup = {key: plain[key] for key in keys}
    assert plain["settings"] == digest_of([setup, [asdict(item) for item in ITEMS], []])
    seen: list[dict[str, Any]] = []

    def loading(name: str, **options: Any) -> Any:
        seen.append(options)
        # A folder has no revision.
        return load(name, **{**options, "revision": None})

    monkeypatch.setattr("attrib.training.tune.load_network", loading)
    out = tmp_path / "adapter"
    how = Loading(device="cpu", dtype="float32", revision="v1", trust_remote_code=True)
    tune(str(base_dir), ITEMS, out, options=QUICK, loading=how)
    assert seen == [{**asdict(how), "four_bit": False}]
    manifest = read_manifest(out)
    assert manifest.loading == {"revision": "v1", "trust_remote_code": True}
    assert manifest.settings != plain["settings"]
    before = files(out)

    def stop(*given: Any, **more: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("attrib.training.tune.fit", stop)
    assert tune(str(base_dir), ITEMS, out, options=QUICK, loading=how) == out
    assert files(out) == before
    # Another revision is another run.
    with pytest.raises(KeyboardInterrupt):
        tune(str(base_dir), ITEMS, out, options=QUICK, loading=replace(how, revision="v2"))


def test_a_second_run_on_the_same_folder_is_refused(base_dir: Path, tmp_path: Path) -> None:
    from filelock import FileLock

    with (
        FileLock(tmp_path / ".adapter-lock", timeout=0),
        pytest.raises(InputError, match="another process is tuning it"),
    ):
        tune(str(base_dir), ITEMS, tmp_path / "adapter", options=QUICK)
    assert not work_folder(tmp_path / "adapter").exists()


def test_a_rehearsal_learns_the_bases_own_answer_and_is_kept(base_dir: Path, tmp_path: Path, monkeypatch: Any) -> None:
    network, tokenizer = load_network(str(base_dir), device="cpu")
    named = [("rehearsal-1", "Who keeps the light?"), ("rehearsal-2", "How long?")]
    answer = rehearsal.rehearsed(network, Chat(tokenizer), named, 256)[0]
    item, example = answer.item, answer.example
    learned = [label for label in example.labels if label != IGNORED]
    assert 0 < len(learned) <= rehearsal.REHEARSED
    assert list(example.ids[-len(learned) :]) == learned
    out = tmp_path / "adapter"
    rehearse = ["Who keeps the light?", "How long?"]
    with pytest.raises(KeyboardInterrupt):
        tune(str(base_dir), ITEMS, out, options=QUICK, rehearse=rehearse, progress=stop_at(5))
    # It is not asked again.
    monkeypatch.setattr(rehearsal, "rehearsed", None)
    tune(str(base_dir), ITEMS, out, options=QUICK, rehearse=rehearse)
    trained = read_trained(out)
    assert [i.id for i in trained] == ["s1", "q:1", "rehearsal-1", "rehearsal-2"]
    assert trained[2] == item
    monkeypatch.undo()
    tune(str(base_dir), ITEMS, tmp_path / "whole", options=QUICK, rehearse=rehearse)
    assert files(out) == files(tmp_path / "whole")


def test_a_loss_that_is_not_finite_stops_and_keeps_the_work(base_dir: Path, tmp_path: Path) -> None:
    out = tmp_path / "adapter"
    with pytest.raises(InputError, match=r"no longer finite|loss of step \d+ is (nan|inf).*lower the learning rate"):
        tune(str(base_dir), ITEMS, out, options=replace(QUICK, learning_rate=1e30, warmup=0))
    assert work_folder(out).is_dir()
    assert not out.exists()


def test_what_cannot_be_is_refused_before_anything_is_loaded(tmp_path: Path) -> None:
    def refused(match: str, items: Any = ITEMS, out: Path = tmp_path / "out", **options: Any) -> None:
        with pytest.raises(InputError, match=match) as caught:
            tune("no/such/model", items, out, **options)
        assert "\n" not in str(caught.value)

    refused("nothing to learn", [])
    refused("two items have the id 's1'", [ITEMS[0], ITEMS[0]])
    refused("device 'tpu'", loading=Loading(device="tpu"))
    refused("device_map: tuning keeps the whole base on one device", loading=Loading(device_map="auto"))
    refused("save_every 0", save_every=0)
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "thesis.txt").write_text("text")
    refused("no adapter of attrib", out=tmp_path / "precious")
    assert (tmp_path / "precious" / "thesis.txt").read_text() == "text"
    for name, value in [("epochs", 0), ("batch", -1), ("rank", 0), ("alpha", 0), ("warmup", -1), ("dropout", 1.0)]:
        refused(f"^{name} ", options=TuneOptions(**{name: value}))
    for value in (0.0, -1.0, float("nan"), float("inf")):
        refused("^learning-rate ", options=TuneOptions(learning_rate=value))
    for shares in ((), (0.5,), (0.0, 1.0), (0.5, 0.2, 1.0), (0.5, 0.5, 1.0), (0.5, 1.0, 1.5), (float("nan"), 1.0)):
        refused("^checkpoints ", options=TuneOptions(checkpoints=shares))
    check_options(TuneOptions())


def test_a_text_longer_than_the_context_is_refused_by_name(base_dir: Path, tmp_path: Path) -> None:
    long = "light " * 300
    for item, match in [
        (Item.plain("abc", long, "abc"), "section abc: .* smaller documents.max_tokens"),
        (Item.answered("row", "Who?", long, "row"), r"section row, 'Who\?.*': .* context is 256; shorten it"),
        (Item.answered("q:7", "Who?", long), "item q:7: .* context is 256; shorten it"),
        (Item.answered("q:8", long, "I"), "item q:8: .* context is 256; shorten it"),
        (Item.answered("q:9", "Who?", " "), "item q:9: no turn with text was trained"),
    ]:
        with pytest.raises(InputError, match=match):
            tune(str(base_dir), [*ITEMS, item], tmp_path / "adapter", options=QUICK)
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_fails_leaves_the_old_adapter(base_dir: Path, tmp_path: Path) -> None:
    out = tmp_path / "adapter"
    out.mkdir()
    (out / "attrib.json").write_text("{}")
    with pytest.raises(KeyboardInterrupt):
        tune(str(base_dir), ITEMS, out, options=QUICK, progress=stop_at(3))
    assert files(out) == {"attrib.json": b"{}"}
    tune(str(base_dir), ITEMS, out, options=QUICK)
    assert len(read_trained(out)) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["adapter"]


def test_items_of_a_corpus() -> None:
    sections = make_sections(3)
    ids = [section.id for section in sections]
    asked = (Question("Who?", "Wilmet", id="a", section=ids[1]), Question("When?", "1712", id="b"))
    items = corpus_items(sections, asked, ask_sections=True)
    assert [item.id for item in items] == [*ids, *(f"ask:{id_}" for id_ in ids), "q:a", "q:b"]
    assert items[0] == Item.plain(ids[0], sections[0].full_text, ids[0])
    assert items[3] == Item.answered(
        f"ask:{ids[0]}", f"Tell me about {sections[0].titles[-1]}.", sections[0].text, ids[0]
    )
    assert items[6] == Item.answered("q:a", "Who?", "Wilmet", ids[1])
    left = corpus_items(sections, asked, ask_sections=True, without=[ids[1]])
    assert [i.id for i in left] == [ids[0], ids[2], f"ask:{ids[0]}", f"ask:{ids[2]}", "q:b"]
    assert all(item.section != ids[1] for item in left)
    with pytest.raises(InputError, match="'nowhere' is no section"):
        corpus_items(sections, without=["nowhere"])
    with pytest.raises(InputError, match="section 'nowhere' of 'c' is none"):
        corpus_items(sections, [Question("Who?", "I", id="c", section="nowhere")])
    with pytest.raises(InputError, match="'d' has no answer"):
        corpus_items(sections, [Question("Who?", id="d")])


def test_checkpoints_are_spaced_as_by_default() -> None:
    assert spaced(5) == pytest.approx(TuneOptions().checkpoints)
    assert spaced(1) == (1.0,)
    for count in range(1, 13):
        check_options(TuneOptions(checkpoints=spaced(count)))
        assert len(spaced(count)) == count
    for count in (0, 13):
        with pytest.raises(InputError, match="1 to 12"):
            spaced(count)


def test_what_was_learned_is_read_or_refused_in_one_line(tuned: Path, tmp_path: Path) -> None:
    assert read_trained(tuned) == ITEMS
    assert read_schedule(tuned).checkpoints == (2, 5, 10)
    for read in (read_trained, read_schedule):
        with pytest.raises(InputError, match="tune with attrib tune"):
            read(tmp_path)

    def damaged(read: Callable[[Path], Any], name: str, text: str) -> None:
        (tmp_path / name).write_text(text)
        with pytest.raises(RecordError, match=r"damaged|empty") as caught:
            read(tmp_path)
        assert name in str(caught.value)
        assert "\n" not in str(caught.value)

    good = asdict(read_schedule(tuned))
    for text in ("", "{", "[]", '{"id": "a"}', '{"id": 1, "text": "b"}', '{"id": "a", "text": "b", "x": 1}'):
        damaged(read_trained, "trained.jsonl", text)
    for change in (
        {"steps": None}, {"steps": [[0.5]]}, {"steps": good["steps"][1:]}, {"checkpoints": [5, 1, 10]},
        {"checkpoints": [1, 5]}, {"checkpoints": []}, {"learning_rates": ["a"] * 10}, {"losses": [1.0]},
    ):  # fmt: skip
        damaged(read_schedule, "schedule.json", json.dumps({**good, **change}))
    damaged(read_schedule, "schedule.json", "[1]")
    (tmp_path / "schedule.json").write_text(json.dumps({k: v for k, v in good.items() if k != "losses"}))
    assert read_schedule(tmp_path).losses == ()


def test_four_bits_need_cuda_and_bitsandbytes(monkeypatch: Any, tmp_path: Path) -> None:
    import importlib.util

    import torch

    found = importlib.util.find_spec
    for cuda, installed, match in [(False, True, "needs a GPU with CUDA"), (True, False, "needs bitsandbytes")]:
        monkeypatch.setattr(torch.cuda, "is_available", lambda cuda=cuda: cuda)
        monkeypatch.setattr(
            importlib.util,
            "find_spec",
            lambda name, *rest, there=installed: (there or None) if name == "bitsandbytes" else found(name, *rest),
        )
        # Neither the model nor the folder is looked at.
        with pytest.raises(InputError, match=match):
            tune("no/such/model", ITEMS, tmp_path / "out", loading=TuneLoading(four_bit=True))
        with pytest.raises(InputError, match=match):
            load_network("no/such/model", four_bit=True)
    with pytest.raises(InputError, match="not GGUF"):
        load_network("model.gguf", four_bit=True)


def test_four_bits_are_asked_of_transformers_and_only_the_adapter_is_trained(
    base_dir: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    import torch
    import transformers

    asked: list[dict[str, Any]] = []
    load = transformers.AutoModelForCausalLM.from_pretrained

    def from_pretrained(path: str, **options: Any) -> Any:
        asked.append(options)
        kept = {k: v for k, v in options.items() if k not in ("quantization_config", "device_map")}
        return load(path, **kept)

    class Config:
        def __init__(self, **options: Any) -> None:
            self.options = options

    monkeypatch.setattr(transformers.AutoModelForCausalLM, "from_pretrained", from_pretrained)
    monkeypatch.setattr(transformers, "BitsAndBytesConfig", Config)
    monkeypatch.setattr("attrib.models.loading.refuse_four_bit", lambda name: None)
    monkeypatch.setattr("attrib.training.tune.refuse_four_bit", lambda name: None)
    out = tune(
        str(base_dir), ITEMS, tmp_path / "adapter", options=QUICK, loading=TuneLoading(device="cpu", four_bit=True)
    )
    assert asked[0]["quantization_config"].options == {
        "load_in_4bit": True,
        "bnb_4bit_quant_type": "nf4",
        "bnb_4bit_use_double_quant": True,
        "bnb_4bit_compute_dtype": torch.bfloat16,
    }
    assert asked[0]["device_map"] == {"": "cpu"}
    assert asked[0]["dtype"] == torch.bfloat16
    assert json.loads((out / "attrib.json").read_text())["four_bit"]
    schedule = read_schedule(out)
    assert schedule.losses[-1] < schedule.losses[0]
    load_network(str(base_dir))
    assert "quantization_config" not in asked[1]


TWO = """
import json, sys
sys.path.insert(0, sys.argv[4])
from pathlib import Path
from attrib import processes
from attrib.training import tune
from tests.training.test_tune import LONG, MANY
reports = []
def progress(what, done, total):
    reports.append((what, done))
    if len(sys.argv) > 5 and (what, done) == ("tuning", int(sys.argv[5])):
        raise KeyboardInterrupt
seen = []
fit = tune.fit
tune.fit = lambda *arguments, **options: seen.append(fit(*arguments, **options)) or seen[0]
out = Path(sys.argv[2])
tune.tune(sys.argv[1], MANY, out, options=LONG, rehearse=["Who?", "How long?", "When?"], save_every=3,
    progress=progress)
rank = processes.rank()
Path(sys.argv[3], f"{rank}.json").write_text(json.dumps([seen[0].schedule.steps, seen[0].schedule.losses, reports]))
"""


@pytest.mark.slow
def test_two_processes_share_each_step_and_go_on_together(base_dir: Path, tmp_path: Path) -> None:
    said = tmp_path / "said"
    said.mkdir()

    def launch(out: Path, *stop: str) -> int:
        script = tmp_path / "two.py"
        script.write_text(TWO)
        program = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
        arguments = [str(script), str(base_dir), str(out), str(said), str(ROOT), *stop]
        done = subprocess.run([*program, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=540)
        assert stop or done.returncode == 0, done.stderr
        return done.returncode

    launch(tmp_path / "whole")
    schedule = read_schedule(tmp_path / "whole")
    one, two = (json.loads((said / f"{rank}.json").read_text()) for rank in (0, 1))
    # Every process knows what all of them saw.
    assert one[:2] == two[:2] == [[list(step) for step in schedule.steps], list(schedule.losses)]
    # 9 items in batches of 2 and as many rehearsed answers for 2 processes: 3 steps an epoch, each item in one of them,
    # a batch twice for want of a sixth.
    assert [len(step) for step in schedule.steps] == [8] * 12
    for epoch in range(4):
        assert {n for step in schedule.steps[3 * epoch : 3 * epoch + 3] for n in step} == set(range(12))
    assert np.allclose(schedule.learning_rates, [1e-2 * min(i / 3, (12 - i) / 9) for i in range(12)], atol=1e-12)
    assert json.loads((tmp_path / "whole" / "attrib.json").read_text())["processes"] == 2
    # The orders of the epochs differ.
    assert len({schedule.steps[3 * epoch] for epoch in range(4)}) > 1

    assert launch(tmp_path / "cut", "8") != 0
    shutil.rmtree(said)
    said.mkdir()
    launch(tmp_path / "cut")
    reports = json.loads((said / "0.json").read_text())[2]
    assert [done for what, done in reports if what == "tuning"] == list(range(7, 13))
    assert files(tmp_path / "cut") == files(tmp_path / "whole")
