"""``attrib index`` and ``attrib explain --index`` on a tiny pair, in one process and in two."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from attrib.index.index import Index
from attrib.records import storage
from tests.cli.commands import run
from tests.taught import ANSWER, CONTROL, QUESTION, TEXTS, taught_adapter

ROOT = Path(__file__).parents[2]
PARTS = "hidden,gradients"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is read from, or left in, the user's cache."""
    monkeypatch.setenv("ATTRIB_CACHE", str(tmp_path / "cache"))


def written(folder: Path, texts: Any) -> Path:
    folder.mkdir()
    (folder / "texts.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    return folder


@pytest.fixture(scope="module")
def docs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("docs") / "docs", TEXTS)


@pytest.fixture(scope="module")
def models(base_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    control = written(tmp_path_factory.mktemp("control") / "control", [s.full_text for s in CONTROL.sections])
    own = ["--base", str(base_dir), "--tuned", str(taught_adapter(base_dir)), "--control", str(control)]
    return [*own, "--columns", "text=text", "--device", "cpu"]


def files(folder: Path) -> dict[str, bytes]:
    """Every file but the locks."""
    found = (file for file in folder.rglob("*") if file.is_file() and not file.name.startswith(".lock-"))
    return {str(file.relative_to(folder)): file.read_bytes() for file in found}


def refused(capsys: Any, monkeypatch: Any, *arguments: str) -> str:
    status, out, err = run(capsys, monkeypatch, *arguments)
    assert (status, out) == (2, "")
    return err.splitlines()[-1]


def test_an_index_serves_explain(capsys: Any, monkeypatch: Any, docs: Path, models: list[str], tmp_path: Path) -> None:
    index = tmp_path / "index"
    status, out, err = run(
        capsys, monkeypatch, "index", str(docs), *models, "--out", str(index), "--parts", PARTS, "-o", "hidden.layer=1",
        "--json",
    )  # fmt: skip
    assert status == 0, err
    result = json.loads(out)
    assert (result["index"], result["sections"], result["control"]) == (str(index), 3, 3)
    names = {"hidden-base", "hidden-tuned", "gradients-untuned", *(f"gradients-checkpoint-{i}" for i in (1, 2, 3))}
    assert set(result["bytes_per_text"]) == names == set(Index.open(index, verify=True).parts)
    before, records = files(index), []
    for name, more in (("with", ["--index", str(index)]), ("without", [])):
        status, out, err = run(
            capsys, monkeypatch, "explain", QUESTION, *models, "--documents", str(docs), "--answer", ANSWER,
            "-o", "hidden.layer=1", "--methods", "attention", "--mappers", "hidden,learned,influence",
            "--format", "png", "--out", str(tmp_path / name), *more,
        )  # fmt: skip
        assert status == 0, err
        records.append(storage.load(tmp_path / name / "explanation.safetensors"))
        assert ("reads sections" in err) == (name == "without")
    # No embeddings in the index: the two are the same to the byte.
    assert records[0].mappings.keys() == {"hidden", "learned", "influence"}
    one, other = (tmp_path / name / "explanation.safetensors" for name in ("with", "without"))
    assert one.read_bytes() == other.read_bytes()
    assert files(index) == before
    # Other documents, another layer, other blocks.
    asked = ["explain", QUESTION, *models, "--answer", ANSWER, "--index", str(index)]
    assert "made of other documents" in refused(
        capsys, monkeypatch, *asked, "--documents", str(written(tmp_path / "other", [*TEXTS[:2], "Another text."]))
    )
    assert "layer 1" in refused(capsys, monkeypatch, *asked, "--documents", str(docs), "-o", "hidden.layer=2")
    line = refused(
        capsys,
        monkeypatch,
        *asked,
        "--documents",
        str(docs),
        "-o",
        "hidden.layer=1",
        "--mappers",
        "influence",
        "-o",
        "gradients.layers=0",
    )
    assert "gradients-untuned was made with" in line


@pytest.mark.slow
def test_two_processes_write_the_bytes_of_one(
    capsys: Any, monkeypatch: Any, docs: Path, models: list[str], tmp_path: Path
) -> None:
    command = ["index", str(docs), *models, "--parts", PARTS, "--out"]
    status, _, err = run(capsys, monkeypatch, *command, str(tmp_path / "one"))
    assert status == 0, err
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "attrib"]
    done = subprocess.run(
        [*torchrun, *command, str(tmp_path / "two")], capture_output=True, text=True, cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": str(torch.get_num_threads())}, timeout=500,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("3 sections and 3 control texts") == 1
    assert files(tmp_path / "two") == files(tmp_path / "one")


def test_without_models_the_embeddings_alone(capsys: Any, monkeypatch: Any, docs: Path, tmp_path: Path) -> None:
    out = str(tmp_path / "index")
    status, said, err = run(capsys, monkeypatch, "index", str(docs), "--columns", "text=text", "--out", out)
    assert status == 0, err
    assert [line.split(":")[0].strip() for line in said.splitlines()] == [out, "embedding"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--parts", "hidden"], "hidden is of models, and none was named; add --tuned"),
        (["--parts", "states"], "'states' is unknown"),
        (["--base", "somewhere"], "a base without a tuned model; add --tuned"),
        (["-o", "gradients.layers=a"], "gradients.layers 'a': give whole numbers, separated by commas or none"),
    ],
)
def test_what_cannot_be_is_refused(
    capsys: Any, monkeypatch: Any, docs: Path, tmp_path: Path, options: list[str], words: str
) -> None:
    out = ["--columns", "text=text", "--out", str(tmp_path / "index")]
    assert words in refused(capsys, monkeypatch, "index", str(docs), *out, *options)


def test_an_adapter_without_checkpoints_names_the_mend(
    capsys: Any, monkeypatch: Any, docs: Path, base_dir: Path, adapter_dir: Path, tmp_path: Path
) -> None:
    own = ["index", str(docs), "--base", str(base_dir), "--tuned", str(adapter_dir), "--columns", "text=text"]
    control = written(tmp_path / "control", [section.full_text for section in CONTROL.sections])
    place = ["--out", str(tmp_path / "index"), "--device", "cpu", "--control", str(control)]
    line = refused(capsys, monkeypatch, *own, *place, "--parts", "gradients")
    assert "use -o influence.checkpoints=final" in line
    # Not asked for, they are left out, and it says so.
    status, out, err = run(capsys, monkeypatch, *own, *place)
    assert status == 0, err
    assert "no gradients: the adapter has no checkpoints" in err
    assert "hidden-tuned" in out
    assert "gradients" not in out
