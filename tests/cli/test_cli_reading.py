"""Every command that reads files says what became of them: on stderr, in its JSON, in its record; --strict refuses a
loss before anything is loaded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from attrib.models.pair import ModelPair
from attrib.records import storage
from tests.cli import commands
from tests.make_documents import notebook

QUESTION = "Who keeps the light?"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is read from, or left in, the user's cache."""
    monkeypatch.setenv("ATTRIB_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    """Two files that are read, with something left out, and two that are not."""
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "light.md").write_text("---\ntitle: Lights\n---\n# Lights\n\nThe keeper is Wilmet Dallin.\n\n## Rock\n")
    (folder / "code.ipynb").write_bytes(notebook([("markdown", "# Pump\n\nIt runs at noon."), ("code", "go()")], 1))
    (folder / "a.png").write_bytes(b"\x89PNG")
    (folder / ".hidden.md").write_text("Hidden.")
    return folder


@pytest.fixture
def control(tmp_path: Path) -> Path:
    file = tmp_path / "control.jsonl"
    file.write_text('{"text": "The board met at noon.", "source": "a"}\n{"text": "Turn the screw.", "source": "b"}\n')
    return file


TOLD = [
    "documents: 4 sections in 2 files (1 Markdown, 1 notebook); passed over: 1 hidden name",
    "documents: 1 heading without text, each a section of its own",
    "documents: not read: 1 file: .png (1)",
    "documents: not read: outputs of cells (1) in code.ipynb",
    "documents: not read: front matter (1) in light.md",
]
LOST = [line.removeprefix("documents: ") for line in TOLD[2:]]


def run(capsys: Any, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> tuple[int, str, list[str]]:
    """Exit status, stdout and lines of stderr of one command."""
    status, out, err = commands.run(capsys, monkeypatch, *arguments)
    return status, out, [line.removeprefix("attrib: ") for line in err.splitlines()]


def test_sections_says_what_became_of_all_files(capsys: Any, monkeypatch: pytest.MonkeyPatch, docs: Path) -> None:
    status, out, told = run(capsys, monkeypatch, "sections", str(docs), "--json")
    assert (status, told) == (0, TOLD)
    reading = json.loads(out)["reading"]
    assert reading["losses"] == LOST
    assert (reading["sections"], reading["headings"], reading["skipped"]) == (4, 1, {".png": 1})
    status, out, told = run(capsys, monkeypatch, "sections", str(docs))
    assert (status, told) == (0, TOLD)
    assert "cell 2" in out


def test_a_reading_without_loss_is_one_line(capsys: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("# One\n\nFirst.\n")
    status, _, told = run(capsys, monkeypatch, "sections", str(tmp_path / "a.md"), "--strict")
    assert (status, told) == (0, ["documents: 1 section in 1 file (Markdown)"])


def test_explain_keeps_the_counts_in_json_and_record(
    capsys: Any, monkeypatch: pytest.MonkeyPatch, docs: Path, control: Path, base_dir: Path, adapter_dir: Path,
    tmp_path: Path,
) -> None:  # fmt: skip
    status, out, told = run(
        capsys, monkeypatch, "explain", QUESTION, "--base", str(base_dir), "--tuned", str(adapter_dir),
        "--documents", str(docs), "--control", str(control), "--device", "cpu", "--answer", "Wilmet Dallin",
        "--out", str(tmp_path / "out"), "--format", "png", "--json",
    )  # fmt: skip
    assert status == 0, told
    assert told[: len(TOLD)] == TOLD
    assert told[len(TOLD) + 1] == "control: control.jsonl: 2 rows read as text (`text`); columns not used: source"
    reading = json.loads(out)["reading"]
    assert reading["losses"] == LOST
    stored: dict[str, Any] = dict(storage.load(tmp_path / "out" / "explanation.safetensors").provenance)
    assert stored["documents"]["reading"] == reading
    assert stored["control"]["reading"]["losses"] == ["control.jsonl: columns not used: source"]


@pytest.mark.parametrize("lossy", ["documents", "control"])
def test_strict_refuses_a_loss_before_a_model_is_loaded(
    capsys: Any, monkeypatch: pytest.MonkeyPatch, docs: Path, control: Path, tmp_path: Path, lossy: str
) -> None:
    def load(*arguments: object, **options: object) -> None:
        raise AssertionError("a model is loaded")

    monkeypatch.setattr(ModelPair, "load", load)
    if lossy == "control":
        docs = tmp_path / "whole"
        docs.mkdir()
        (docs / "a.md").write_text("# One\n\nFirst.\n")
    status, out, told = run(
        capsys, monkeypatch, "explain", QUESTION, "--base", "b", "--tuned", "t",
        "--documents", str(docs), "--control", str(control), "--strict",
    )  # fmt: skip
    assert (status, out) == (2, "")
    expected = LOST if lossy == "documents" else ["control.jsonl: columns not used: source"]
    refused = [line.partition("strict: ")[2] for line in told if "strict: " in line]
    assert refused == [f"{line}; remove it, or leave strict out" for line in expected]


def test_questions_are_counted_and_strict_refuses_their_loss(
    capsys: Any, monkeypatch: pytest.MonkeyPatch, control: Path, tmp_path: Path
) -> None:
    asked = tmp_path / "asked.csv"
    asked.write_text("question,answer,source\nWho?,Wilmet Dallin,a\nWhen?,At noon,b\n")
    given = ["--questions", str(asked), "--base", "nowhere", "--out", str(tmp_path / "adapter")]
    status, _, told = run(capsys, monkeypatch, "tune", *given)
    assert status == 2
    read = "asked.csv: 2 rows read as question and answer (`question`, `answer`); columns not used: source"
    assert told[0] == f"questions: {read}"
    status, _, told = run(capsys, monkeypatch, "tune", *given, "--strict")
    assert (status, told[1:]) == (2, ["strict: asked.csv: columns not used: source; remove it, or leave strict out"])
    assert not (tmp_path / "adapter").exists()


def test_the_largest_file_is_an_option(capsys: Any, monkeypatch: pytest.MonkeyPatch, docs: Path) -> None:
    limited = ["sections", str(docs / "light.md"), "-o", "documents.max_bytes=10"]
    status, out, told = run(capsys, monkeypatch, *limited)
    assert (status, out) == (2, "")
    assert told == ["light.md: 70 bytes, over the limit of 10; split the file or raise max_bytes"]


def test_a_hub_data_set_is_named_like_a_folder(capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("datasets")
    rows = datasets.Dataset.from_list([{"text": "The keeper is Wilmet Dallin."}])
    monkeypatch.setattr(datasets, "load_dataset", lambda *given, **options: rows)
    status, out, told = run(capsys, monkeypatch, "sections", "hf://own/lights:train", "--json")
    assert (status, told[0]) == (0, "documents: 1 section in 1 file (Arrow)")
    assert json.loads(out)["sections"][0]["document"] == "own/lights:train"


def test_an_assessment_keeps_the_counts_of_documents_and_questions(
    capsys: Any, monkeypatch: pytest.MonkeyPatch, docs: Path, base_dir: Path, adapter_dir: Path, tmp_path: Path
) -> None:
    asked = tmp_path / "asked.csv"
    asked.write_text("question,answer,source\nWho keeps it?,Wilmet Dallin,a\n")
    status, out, told = run(
        capsys, monkeypatch, "assess", "faithfulness", "--base", str(base_dir), "--tuned", str(adapter_dir),
        "--documents", str(docs), "--questions", str(asked), "--methods", "saliency", "--device", "cpu", "--json",
    )  # fmt: skip
    assert status == 0, told
    reading = json.loads(out)["provenance"]["reading"]
    assert reading["losses"] == [*LOST[:1], "asked.csv: columns not used: source", *LOST[1:]]
    assert reading["questions"]["shapes"] == {"question and answer (`question`, `answer`)": 1}


def test_counts_of_questions_without_documents_are_kept_too(
    capsys: Any, monkeypatch: pytest.MonkeyPatch, base_dir: Path, adapter_dir: Path, tmp_path: Path
) -> None:
    asked = tmp_path / "asked.csv"
    asked.write_text("question,answer,source\nWho keeps it?,Wilmet Dallin,a\n")
    models = ["--base", str(base_dir), "--tuned", str(adapter_dir), "--device", "cpu", "--questions", str(asked)]
    quick = {
        "faithfulness": ["--methods", "saliency", "--random-orders", "1"],
        "benchmark": ["--max-new-tokens", "2", "--resamples", "20", "--format", "png", "--out", str(tmp_path / "out")],
    }
    for name, options in quick.items():
        status, out, told = run(capsys, monkeypatch, "assess", name, *models, *options, "--json")
        assert status == 0, told
        reading = json.loads(out)["provenance"]["reading"]
        assert reading["losses"] == ["asked.csv: columns not used: source"], name
        assert reading["questions"]["unused"] == ["source"]


def test_a_benchmark_refuses_losses_before_a_model_is_loaded(
    capsys: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(ModelPair, "load", None)
    asked = tmp_path / "asked.jsonl"
    asked.write_text('{"question": "Who?", "answer": "I", "source": "a"}\n{"question": ""}\n')
    given = ["assess", "benchmark", "--questions", str(asked), "--out", str(tmp_path / "out"), "--strict"]
    status, out, told = run(capsys, monkeypatch, *given)
    assert (status, out) == (2, "")
    refused = [line.partition("strict: ")[2] for line in told if "strict: " in line]
    mend = "; remove it, or leave strict out"
    assert refused[0] == f"asked.jsonl: 1 row without text to learn; columns not used: source{mend}"
    assert refused[1].startswith(f"{asked}, line 2: ")
    assert len(refused) == 2
