"""``attrib import``: what it makes, prints and refuses, and that its adapter explains by influence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from attrib.corpus.documents import Corpus
from tests.cli.commands import run
from tests.training.runs import ROWS, arguments, trainer_of, write_rows


@pytest.fixture(scope="module")
def finished(base_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """The folder of a finished run, and its data."""
    folder = tmp_path_factory.mktemp("finished")
    data = write_rows(folder / "train.jsonl")
    items = [section.item for section in Corpus.read(data).sections]
    trainer_of(base_dir, items, arguments(folder / "run", num_train_epochs=8, save_steps=2, logging_steps=3)).train()
    return str(folder / "run"), str(data)


def test_it_says_what_is_missing_and_the_adapter_explains_by_influence(
    capsys: Any, monkeypatch: Any, finished: tuple[str, str], base_dir: Path, tmp_path: Path
) -> None:
    folder, data = finished
    out = str(tmp_path / "adapter")
    own = ("import", folder, "--data", data, "--seed", "7", "--base", str(base_dir), "--out", out)
    status, said, err = run(capsys, monkeypatch, *own)
    assert status == 0, err
    assert f"{out}: adapter of {base_dir}, 7 items, 16 steps" in said
    assert "order of the data: by seed" in said
    assert said.rstrip().endswith(f"--tuned {out} --documents {data} --mappers influence,combined")
    missing = [line for line in err.splitlines() if line.startswith("attrib: missing: ")]
    assert [line.split(": ")[2] for line in missing] == [
        "learning rates of 11 of 16 steps, which are drawn as lines between those in the log", "a check of the order",
        "token ids and labels as the trainer made them",
    ]  # fmt: skip
    question, answer = (message["content"] for message in ROWS[3]["messages"])
    status, said, err = run(
        capsys, monkeypatch, "explain", question, "--answer", answer, "--tuned", out, "--documents", data, "--device",
        "cpu", "--mappers", "bm25,influence", "--methods", "", "--json",
    )  # fmt: skip
    assert status == 0, err
    found = json.loads(said)["sections"]
    best = max(found, key=lambda section: section["scores"]["influence"]["tuned"])
    assert best["id"] == Corpus.read(data).sections[3].id


def test_one_object_with_json(capsys: Any, monkeypatch: Any, finished: tuple[str, str], tmp_path: Path) -> None:
    folder, data = finished
    out = str(tmp_path / "adapter")
    status, said, err = run(capsys, monkeypatch, "import", folder, "--data", data, "--out", out, "--json")
    assert status == 0, err
    result = json.loads(said)
    assert result.keys() == {"adapter", "base", "items", "steps", "checkpoints", "order", "missing"}
    assert (result["items"], result["steps"], result["order"]) == (7, 16, "unknown")


def test_rows_that_are_cut_or_left_out_have_no_order(
    capsys: Any, monkeypatch: Any, finished: tuple[str, str], tmp_path: Path
) -> None:
    data = write_rows(tmp_path / "texts.jsonl", [{"text": "The light is red. " * 30}, *({"text": "x y"},) * 6])
    out = str(tmp_path / "adapter")
    status, said, err = run(
        capsys, monkeypatch, "import", finished[0], "--data", str(data), "--seed", "7", "--out", out, "--json",
        "-o", "documents.max_tokens=20",
    )  # fmt: skip
    assert status == 0, err
    assert json.loads(said)["order"] == "unknown"
    assert any("not every row of the data is one section" in sentence for sentence in json.loads(said)["missing"])


def test_what_is_missing_on_the_command_line_is_said_in_one_line(
    capsys: Any, monkeypatch: Any, finished: tuple[str, str], tmp_path: Path
) -> None:
    folder, data = finished
    for given, match in (
        ([folder, "--out", "a"], "add --data"),
        ([folder, "--data", data], "add --out"),
        ([str(tmp_path), "--data", data, "--out", str(tmp_path / "a")], "no adapter in it"),
        ([folder, "--data", str(tmp_path / "none.jsonl"), "--out", "a"], "does not exist"),
    ):
        status, said, err = run(capsys, monkeypatch, "import", *given)
        assert (status, said) == (2, "")
        assert match in err.splitlines()[-1]
        assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


def test_all_but_the_data_is_checked_before_the_data_is_read(
    capsys: Any, monkeypatch: Any, finished: tuple[str, str], adapter_dir: Path, tmp_path: Path
) -> None:
    folder, data = finished
    (tmp_path / "empty").mkdir()
    nowhere, empty, out = (str(tmp_path / name) for name in ("nowhere", "empty", "a"))
    for given, match in (
        (["--base", nowhere], f"{nowhere}: no such file or folder; check the path"),
        (["--base", empty], f"{empty}: the folder has no config.json and no adapter_config.json"),
        (["--base", str(adapter_dir)], f"{adapter_dir}: it is an adapter; name the model that the run began with"),
        (["--base", folder], f"{folder}: the folder is not a model, but holds some"),
        (["--seed", "-1"], "seed -1: no Trainer takes it"),
    ):
        status, said, err = run(capsys, monkeypatch, "import", folder, "--data", data, "--out", out, *given)
        assert (status, said) == (2, "")
        (line,) = err.splitlines()
        assert match in line
    # What is on the hub is not looked up, so that an import needs no network.
    assert run(capsys, monkeypatch, "import", folder, "--data", data, "--out", out, "--base", "org/base")[0] == 0
    assert json.loads((tmp_path / "a" / "adapter_config.json").read_text())["base_model_name_or_path"] == "org/base"
