"""``attrib explain --without`` and ``--only``: models that are tuned again, beside the tuned one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from attrib.corpus.documents import Corpus
from attrib.training.trained import read_trained
from attrib.training.without import learned_and_rehearsed
from attrib.training.workfolder import read_manifest
from tests.cli import commands
from tests.cli.test_cli_tune import DOCUMENT

FLAGS = ("--device", "cpu")


@pytest.fixture(scope="module")
def tuned(base_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Documents, and an adapter that learned them with two rehearsed answers."""
    folder = tmp_path_factory.mktemp("otherwise")
    docs = folder / "docs"
    docs.mkdir()
    (docs / "light.md").write_text(DOCUMENT)
    control = "".join(f"## Text {i}\n\nThe number {i} of the day is a word of rain and wind.\n\n" for i in range(4))
    (folder / "control.md").write_text(control)
    (folder / "general.txt").write_text("What is up?\nWho is there?\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", [
            "attrib", "tune", "--base", str(base_dir), "--documents", str(docs), "--out", str(folder / "adapter"),
            "--epochs", "20", "--train-batch", "2", "--learning-rate", "0.02", "--warmup", "1", "--no-test",
            "--rehearse", str(folder / "general.txt"), *FLAGS,
        ])  # fmt: skip
        from attrib import cli

        with pytest.raises(SystemExit) as ended:
            cli.main()
    assert not ended.value.code
    return docs, folder / "adapter"


def explain(capsys: Any, monkeypatch: Any, base: Path, tuned: tuple[Path, Path], *more: str) -> tuple[int, str, str]:
    docs, adapter = tuned
    return commands.run(
        capsys, monkeypatch, "explain", "Who keeps the light?", "--base", str(base), "--tuned", str(adapter),
        "--documents", str(docs), "--control", str(docs.parent / "control.md"), "--mappers", "bm25", "--methods",
        "attention", "--answer", " The keeper of the light is Wilmet Dallin.", *FLAGS, *more,
    )  # fmt: skip


@pytest.fixture
def cache(monkeypatch: Any, tmp_path: Path) -> Path:
    monkeypatch.setenv("ATTRIB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_what_was_taught_by_a_section_is_lost_without_it_and_comes_back_by_it_alone(
    capsys: Any, monkeypatch: Any, base_dir: Path, tuned: tuple[Path, Path], cache: Path
) -> None:
    docs, adapter = tuned
    first, second = (section.id for section in Corpus.read(docs).sections)
    code, out, err = explain(
        capsys, monkeypatch, base_dir, tuned, "--without", first, "--only", first, "--json", "--out", str(cache / "out")
    )
    assert code == 0, err
    without, only = json.loads(out)["counterfactuals"]
    assert (without["kind"], without["sections"]) == ("without", [first])
    assert (only["kind"], only["sections"]) == ("only", [first])
    assert without["logprob_lost"] > 5
    assert only["logprob_lost"] < without["logprob_lost"] / 2
    kept = list(cache.glob("tuned-otherwise/*/retrained"))
    assert {tuple(sorted({i.section for i in read_trained(f) if i.section})) for f in kept} == {(first,), (second,)}
    # Rehearsed as before, and not learned like other items.
    assert {read_manifest(folder).rehearsed for folder in kept} == {2}
    assert learned_and_rehearsed(adapter, read_manifest(adapter))[1] == ("What is up?", "Who is there?")
    # Kept in the record, and said by the terminal.
    code, out, _ = commands.run(capsys, monkeypatch, "show", str(cache / "out" / "explanation.safetensors"))
    assert code == 0
    assert "Tuned again without Point, it says" in " ".join(out.split())
    assert "Tuned on Point alone, it says" in " ".join(out.split())
    code, out, _ = commands.run(
        capsys, monkeypatch, "show", str(cache / "out" / "explanation.safetensors"), "--options"
    )
    assert f'without = ["{first}"]' in out
    # The second time nothing is tuned.
    times = {file: file.stat().st_mtime_ns for file in cache.glob("tuned-otherwise/*/retrained/*.safetensors")}
    assert explain(capsys, monkeypatch, base_dir, tuned, "--without", first)[0] == 0
    assert times == {file: file.stat().st_mtime_ns for file in cache.glob("tuned-otherwise/*/retrained/*.safetensors")}


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--without", "nothing"), "without: 'nothing' is no section of the documents; attrib sections lists them"),
        (("--only", "nothing"), "only: 'nothing' is no section of the documents"),
    ],
)
def test_what_is_no_section_is_refused_before_any_model_is_loaded(
    capsys: Any, monkeypatch: Any, base_dir: Path, tuned: tuple[Path, Path], cache: Path, options: Any, says: str
) -> None:
    monkeypatch.setattr("attrib.cli.explain.load_pair", None)
    code, _, err = explain(capsys, monkeypatch, base_dir, tuned, *options)
    assert code == 2
    assert says in err


def test_what_leaves_nothing_to_learn_is_refused(
    capsys: Any, monkeypatch: Any, base_dir: Path, tuned: tuple[Path, Path], cache: Path
) -> None:
    docs, _ = tuned
    every = ",".join(section.id for section in Corpus.read(docs).sections)
    code, _, err = explain(capsys, monkeypatch, base_dir, tuned, "--without", every)
    assert code == 2
    assert "without: adapter learned nothing else; leave a section of its own to learn" in err


def test_a_model_that_is_no_adapter_is_refused(
    capsys: Any, monkeypatch: Any, base_dir: Path, tuned_dir: Path, tuned: tuple[Path, Path], cache: Path
) -> None:
    code, _, err = explain(capsys, monkeypatch, base_dir, (tuned[0], tuned_dir), "--without", "top")
    assert code == 2
    assert "is no adapter of attrib tune, so it cannot be tuned again; use one" in err
