"""``attrib import``: a run without Recorder against the record of the same run, and folders that are no such run."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from attrib.corpus.documents import Corpus
from attrib.errors import InputError
from attrib.models.pair import ModelPair
from attrib.records import Item
from attrib.training.imported import import_run
from attrib.training.recorder import Recorder
from attrib.training.recording import read_recording
from attrib.training.schedule import read_schedule
from attrib.training.trained import read_trained
from attrib.training.tune import tune
from tests.training.runs import arguments, trainer_of, write_rows
from tests.training.test_tune import files

SEED = 7


@pytest.fixture(scope="module")
def items(tmp_path_factory: pytest.TempPathFactory) -> list[Item]:
    return [s.item for s in Corpus.read(write_rows(tmp_path_factory.mktemp("data") / "train.jsonl")).sections]


@pytest.fixture(scope="module")
def runs(base_dir: Path, items: list[Item], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The folder of a run with a save every step, and the record of the same run."""
    folder = tmp_path_factory.mktemp("runs")
    trainer_of(base_dir, items, arguments(folder / "run"), [Recorder(folder / "record", items)]).train()
    return folder / "run", folder / "record"


@pytest.fixture
def run(runs: tuple[Path, Path], tmp_path: Path) -> Path:
    """A copy to change."""
    return Path(shutil.copytree(runs[0], tmp_path / "run"))


def test_it_is_the_record_where_everything_was_logged_and_the_seed_is_known(
    runs: tuple[Path, Path], items: list[Item], tmp_path: Path
) -> None:
    recording = import_run(runs[0], items, tmp_path / "adapter", seed=SEED)
    found, recorded = read_schedule(tmp_path / "adapter"), read_schedule(runs[1])
    # The default sampler's order, with accumulation and over three epochs.
    assert found.steps == recorded.steps
    assert found.learning_rates == pytest.approx(recorded.learning_rates, abs=1e-12)
    assert found.checkpoints == tuple(sorted({*recorded.checkpoints}))
    assert read_trained(tmp_path / "adapter") == tuple(items)
    assert recording == read_recording(tmp_path / "adapter")
    assert (recording.order, recording.steps) == ("by seed", 6)
    assert [sentence.split(":")[0] for sentence in recording.missing] == [
        "a check of the order", "token ids and labels as the trainer made them",
    ]  # fmt: skip


def test_another_seed_is_another_order_and_none_is_unknown(
    runs: tuple[Path, Path], items: list[Item], tmp_path: Path
) -> None:
    import_run(runs[0], items, tmp_path / "other", seed=SEED + 1)
    assert read_schedule(tmp_path / "other").steps != read_schedule(runs[1]).steps
    recording = import_run(runs[0], items, tmp_path / "none")
    assert (read_schedule(tmp_path / "none").steps, recording.order) == ((), "unknown")
    assert "no --seed was named" in recording.missing[0]
    # A file of other rows than those of the run.
    recording = import_run(runs[0], items[:2], tmp_path / "few", seed=SEED)
    assert recording.order == "unknown"
    assert "do not fit 2 rows" in recording.missing[0]


def test_a_run_without_a_log_has_no_order_and_the_cause_is_said(run: Path, items: list[Item], tmp_path: Path) -> None:
    for file in run.glob("checkpoint-*/trainer_state.json"):
        file.unlink()
    recording = import_run(run, items, tmp_path / "adapter", seed=SEED)
    assert recording.order == "unknown"
    assert recording.missing[1].startswith("the order of the data: the run has no log with epochs")


def test_its_adapters_are_the_runs_and_the_pair_loads(
    runs: tuple[Path, Path], items: list[Item], base_dir: Path, tmp_path: Path
) -> None:
    from safetensors.torch import load_file

    out = tmp_path / "adapter"
    import_run(runs[0], items, out, base=str(base_dir))
    schedule = read_schedule(out)
    places = [*(out / "checkpoints" / str(number) for number in range(1, len(schedule.checkpoints))), out]
    for place, step in zip(places, schedule.checkpoints, strict=True):
        saved = load_file(runs[0] / f"checkpoint-{step}" / "adapter_model.safetensors")
        kept = load_file(place / "adapter_model.safetensors")
        assert all(torch.equal(kept[name], saved[name]) for name in saved)
    assert (out / "chat_template.jinja").is_file()
    pair = ModelPair.load(None, out, device="cpu")
    assert pair.shares_weights
    with pair.tuned.at_checkpoint(out / "checkpoints" / "1"):
        pass


def test_learning_rates_between_those_in_the_log_are_lines(run: Path, items: list[Item], tmp_path: Path) -> None:
    state = run / "checkpoint-6" / "trainer_state.json"
    content = json.loads(state.read_text())
    content["log_history"] = [line for line in content["log_history"] if line["step"] in (1, 3, 6)]
    state.write_text(json.dumps(content))
    recording = import_run(run, items, tmp_path / "adapter")
    expected = np.interp(range(1, 7), [1, 3, 6], [line["learning_rate"] for line in content["log_history"]])
    assert read_schedule(tmp_path / "adapter").learning_rates == pytest.approx(expected)
    assert "learning rates of 3 of 6 steps" in recording.missing[0]
    state.write_text(json.dumps({**content, "log_history": content["log_history"][::-1]}))
    import_run(run, items, tmp_path / "backwards")
    assert read_schedule(tmp_path / "backwards").learning_rates == pytest.approx(expected)
    state.write_text(json.dumps({**content, "log_history": []}))
    recording = import_run(run, items, tmp_path / "blind")
    assert read_schedule(tmp_path / "blind").learning_rates == (1.0,) * 6
    assert "the log has none" in recording.missing[0]


def test_the_run_s_own_folder_holds_the_result(run: Path, items: list[Item], tmp_path: Path) -> None:
    for name in ("adapter_model.safetensors", "adapter_config.json"):
        shutil.copy(run / "checkpoint-4" / name, run / name)
    import_run(run, items, tmp_path / "best")
    # The best weights were loaded again: what came after them is not in them.
    assert read_schedule(tmp_path / "best").checkpoints[-1] == len(read_schedule(tmp_path / "best").learning_rates) == 4
    for step in (1, 2, 3, 5, 6):
        shutil.rmtree(run / f"checkpoint-{step}")
    recording = import_run(run, items, tmp_path / "last")
    assert read_schedule(tmp_path / "last").checkpoints == (4,)
    assert any(sentence.startswith("checkpoints but the result") for sentence in recording.missing)


def test_an_adapter_that_influence_cannot_use_is_said(run: Path, items: list[Item], tmp_path: Path) -> None:
    config = run / "checkpoint-6" / "adapter_config.json"
    plain = json.loads(config.read_text())
    config.write_text(json.dumps({**plain, "modules_to_save": ["lm_head"]}))
    recording = import_run(run, items, tmp_path / "adapter")
    assert any("of modules_to_save: influence needs plain LoRA" in sentence for sentence in recording.missing)
    config.write_text(json.dumps(plain))
    assert not any("plain LoRA" in sentence for sentence in import_run(run, items, tmp_path / "adapter").missing)


def test_a_late_first_checkpoint_is_said(run: Path, items: list[Item], tmp_path: Path) -> None:
    for step in (1, 2, 3):
        shutil.rmtree(run / f"checkpoint-{step}")
    recording = import_run(run, items, tmp_path / "adapter")
    assert read_schedule(tmp_path / "adapter").checkpoints == (4, 6)
    assert "checkpoints before 67% of the steps" in recording.missing[-1]


def test_the_pickle_is_never_opened(run: Path, items: list[Item], tmp_path: Path) -> None:
    for file in run.glob("checkpoint-*/*"):
        if file.suffix in (".bin", ".pt", ".pth"):
            file.unlink()
            file.mkdir()
    import_run(run, items, tmp_path / "adapter")


def test_an_earlier_import_is_replaced_and_nothing_else(run: Path, items: list[Item], tmp_path: Path) -> None:
    out = tmp_path / "adapter"
    import_run(run, items, out)
    before = files(out)
    import_run(run, items, out)
    assert files(out) == before
    (out / "attrib.json").write_text("{}")
    with pytest.raises(InputError, match="no imported run"):
        import_run(run, items, out)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["adapter", "run"]


def test_what_is_no_such_run_is_refused_in_one_line_and_leaves_nothing(
    run: Path, items: list[Item], tmp_path: Path
) -> None:
    out = tmp_path / "adapter"

    def refused(match: str, folder: Path = run, **more: Any) -> None:
        with pytest.raises(InputError, match=match) as caught:
            import_run(folder, more.pop("items", items), out, **more)
        assert "\n" not in str(caught.value)
        assert sorted(path.name for path in tmp_path.iterdir()) == before

    before = ["run"]
    refused("no such folder", tmp_path / "nowhere")
    refused("one checkpoint of a run; name the folder above it", run / "checkpoint-3")
    refused("no data", items=[])
    empty, full, pickled = (tmp_path / name for name in ("empty", "full", "pickled"))
    for folder in (empty, full / "checkpoint-5", pickled / "checkpoint-5"):
        folder.mkdir(parents=True)
    before = ["empty", "full", "pickled", "run"]
    (full / "checkpoint-5" / "model.safetensors").write_bytes(b"")
    (pickled / "checkpoint-5" / "adapter_model.bin").write_bytes(b"")
    refused("no adapter in it", empty)
    refused("a full fine-tune", full)
    refused("are pickles", pickled)
    (run / "checkpoint-2" / "adapter_model.safetensors").write_bytes(b"{")
    refused("checkpoint-2/adapter_model.safetensors: damaged")
    shutil.rmtree(run / "checkpoint-2")
    (run / "checkpoint-6" / "trainer_state.json").write_text("{")
    refused("trainer_state.json: cannot be read")
    for state in ([], {"log_history": 5}, {"global_step": "six"}):
        (run / "checkpoint-6" / "trainer_state.json").write_text(json.dumps(state))
        refused("trainer_state.json: it is no state of a Trainer")
    refused("no Trainer takes it", seed=2**32)
    config = run / "checkpoint-6" / "adapter_config.json"
    (run / "checkpoint-6" / "trainer_state.json").unlink()
    config.write_text(json.dumps({**json.loads(config.read_text()), "base_model_name_or_path": None}))
    refused("does not name its base; add --base")


def test_checkpoints_of_another_adapter_are_refused(run: Path, items: list[Item], tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    weights = run / "checkpoint-1" / "adapter_model.safetensors"
    save_file({name: tensor[:1].contiguous() for name, tensor in load_file(weights).items()}, weights)
    with pytest.raises(InputError, match=r"checkpoint-1: its adapter has other layers"):
        import_run(run, items, tmp_path / "adapter")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run"]


def test_a_recorded_run_is_never_replaced(runs: tuple[Path, Path], items: list[Item], tmp_path: Path) -> None:
    """Neither by an import nor by tuning: it cannot be made again from what is left."""
    out = Path(shutil.copytree(runs[1], tmp_path / "record"))
    before = files(out)
    with pytest.raises(InputError, match="it is there already and no imported run"):
        import_run(runs[0], items, out)
    with pytest.raises(InputError, match="it holds the run of another program"):
        tune("base", items, out)
    assert files(out) == before


def test_fewer_rows_than_the_steps_took_are_told(run: Path, items: list[Item], tmp_path: Path) -> None:
    """Six steps in three epochs of batches of two: two batches an epoch, so three rows or more."""
    for number in (7, 3):
        said = import_run(run, items[:number], tmp_path / "adapter").missing
        assert not any(line.startswith("rows: ") for line in said)
    said = import_run(run, items[:2], tmp_path / "adapter").missing
    assert any("need at least 3 rows, and the data has 2" in line for line in said)


def test_the_result_alone_names_the_run_above_it(run: Path, items: list[Item], tmp_path: Path) -> None:
    final = Path(shutil.copytree(run / "checkpoint-6", run / "final"))
    (line,) = (line for line in import_run(final, items, tmp_path / "a").missing if line.startswith("checkpoints but"))
    assert line.endswith(f"the folder above, {run}, holds some: name it as the run")
