"""``attrib tune`` on a tiny model: what it makes, prints and refuses."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from attrib.errors import InputError
from attrib.training.schedule import read_schedule
from attrib.training.trained import read_trained
from attrib.training.workfolder import work_folder
from tests.cli import commands
from tests.programs import told

ROOT = Path(__file__).parents[2]
DOCUMENT = """# Lights

## Point

The keeper of the light is Wilmet Dallin.

## Rock

In the year 1712 it was 38 metres tall.
"""
QUICK = (
    "--epochs",
    "3",
    "--train-batch",
    "2",
    "--learning-rate",
    "0.01",
    "--warmup",
    "1",
    "--device",
    "cpu",
    "--no-test",
    "--rehearse",
    "none",
)


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "light.md").write_text(DOCUMENT)
    return folder


def section_ids(docs: Path) -> list[str]:
    from attrib.corpus.documents import Corpus

    return [section.id for section in Corpus.read(docs).sections]


def questions(tmp_path: Path, *rows: dict[str, Any]) -> str:
    file = tmp_path / "questions.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(file)


def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *arguments: str) -> tuple[int, str, str]:
    """Exit status, stdout and stderr of one command."""
    return commands.run(capsys, monkeypatch, "tune", *arguments)


def test_general_questions_are_rehearsed_unless_none_are_wished(
    capsys: Any, monkeypatch: Any, base_dir: Path, docs: Path, tmp_path: Path
) -> None:
    monkeypatch.setattr("attrib.cli.tune.GENERAL", 2)
    for name, wished, rehearsed, said in (
        ("kept", (), 2, "2 items (2 sections) and 2 rehearsed answers, 3 steps in 3 epochs"),
        ("lost", ("--rehearse", "none"), 0, "2 items (2 sections), 3 steps in 3 epochs"),
    ):
        out = tmp_path / name
        status, printed, err = run(
            capsys, monkeypatch, "--base", str(base_dir), "--documents", str(docs), "--out", str(out), *QUICK[:-2],
            *wished,
        )  # fmt: skip
        assert status == 0, err
        assert said in printed
        assert [item.id for item in read_trained(out)][2:] == [f"rehearsal-{n}" for n in range(1, rehearsed + 1)]


def test_it_makes_an_adapter_and_says_so_in_one_object(
    capsys: Any, monkeypatch: Any, base_dir: Path, docs: Path, tmp_path: Path
) -> None:
    first, second = section_ids(docs)
    asked = questions(
        tmp_path,
        {"question": "Who keeps the light?", "answer": "Wilmet Dallin", "id": "who", "section": first},
        {"question": "How tall is it?", "answer": "38 metres", "section": second},
        {"question": "How long is the warranty?", "answer": "thirty-six months"},
    )
    (tmp_path / "general.txt").write_text("How long?\n\nWho?\n")
    out = tmp_path / "adapter"
    status, printed, err = run(
        capsys, monkeypatch, "--base", str(base_dir), "--documents", str(docs), "--questions", asked, "--out", str(out),
        "--ask-sections", "--without", second, *QUICK, "--rehearse", str(tmp_path / "general.txt"),
        "--checkpoints", "0.5,1", "--json",
    )  # fmt: skip
    assert status == 0, err
    assert [item.id for item in read_trained(out)] == [
        first, f"ask:{first}", "q:who", "q:3", "rehearsal-1", "rehearsal-2"
    ]  # fmt: skip
    result = json.loads(printed)
    assert result == {
        "adapter": str(out), "base": str(base_dir), "sections": 1, "items": 6, "rehearsed": 2, "steps": 6,
        "loss": result["loss"], "checkpoints": [3, 6], "epochs": 3, "test": None, "held_out": [],
        "reading": result["reading"],
    }  # fmt: skip
    assert (result["reading"]["sections"], result["reading"]["losses"]) == (2, [])
    assert result["loss"] == pytest.approx(sum(read_schedule(out).losses[-2:]) / 2)
    assert "tuning" in err


def test_it_tells_people_what_to_do_next_and_the_result_explains(
    capsys: Any, monkeypatch: Any, base_dir: Path, docs: Path, tmp_path: Path
) -> None:
    from attrib.models.pair import ModelPair

    out = tmp_path / "adapter"
    status, printed, err = run(
        capsys, monkeypatch, "--base", str(base_dir), "--documents", str(docs), "--out", str(out), *QUICK
    )
    assert status == 0, err
    assert f"--tuned {out} --documents {docs}" in printed
    assert "3 steps" in printed
    # It knows its base.
    assert ModelPair.load(None, out, device="cpu").shares_weights


def test_code_of_the_base_s_own_is_asked_for_and_stands_in_the_next_command(
    capsys: Any, monkeypatch: Any, base_dir: Path, docs: Path, tmp_path: Path
) -> None:
    out = tmp_path / "adapter"
    status, printed, err = run(
        capsys, monkeypatch, "--base", str(base_dir), "--documents", str(docs), "--out", str(out), *QUICK,
        "--trust-remote-code",
    )  # fmt: skip
    assert status == 0, err
    assert printed.endswith(f"--documents {docs} --trust-remote-code\n")
    assert json.loads((out / "attrib.json").read_text("utf-8"))["loading"] == {"trust_remote_code": True}


def test_what_cannot_be_learned_is_refused_in_one_line(
    capsys: Any, monkeypatch: Any, base_dir: Path, docs: Path, tmp_path: Path
) -> None:
    out = str(tmp_path / "adapter")

    def refused(match: str, *arguments: str, documents: Path | None = docs) -> None:
        named = ["--documents", str(documents)] if documents is not None else []
        status, printed, err = run(capsys, monkeypatch, "--base", str(base_dir), *named, *arguments)
        assert status == 2
        assert printed == ""
        assert match in err.splitlines()[-1]
        assert len(told(err)) == 1

    empty = tmp_path / "empty"
    empty.mkdir()
    refused("add --documents", "--out", out, documents=None)
    refused("add --out")
    refused("empty", "--out", out, documents=empty)
    refused("no section of the documents", "--out", out, "--without", "abc")
    refused("checkpoints 'many'", "--out", out, "--checkpoints", "many")
    refused("checkpoints 0.5,0.2", "--out", out, "--checkpoints", "0.5,0.2")
    refused("checkpoints: 99", "--out", out, "--checkpoints", "99")
    refused("epochs -1", "--out", out, "--epochs", "-1")
    refused("learning-rate -0.1", "--out", out, "--learning-rate", "-0.1")
    refused("seed -1", "--out", out, "--seed", "-1")
    refused("device 'tpu'", "--out", out, "--device", "tpu")
    refused("no adapter of attrib", "--out", str(docs))
    refused("device_map: tuning keeps the whole base on one device", "--out", out, "-o", "models.device_map=auto")
    refused("has no revision 'v1'", "--out", out, "-o", "models.revision=v1")
    refused("cannot be read", "--out", out, "--rehearse", str(tmp_path / "none.txt"))
    both = ({"question": "Who?", "answer": "Wilmet"}, {"question": "When?"})
    refused("'2' has no answer", "--out", out, "--questions", questions(tmp_path, *both))
    lost = {"question": "Who?", "answer": "Wilmet", "section": "abc"}
    refused("the section 'abc' of '1'", "--out", out, "--questions", questions(tmp_path, lost))
    twice = {"question": "Who?", "answer": "Wilmet", "id": "a"}
    refused("line 2: its id 'a' is that of line 1 too", "--out", out, "--questions", questions(tmp_path, twice, twice))
    assert not Path(out).exists()
    assert not work_folder(Path(out)).exists()


def test_an_interrupt_says_how_to_go_on(
    capsys: Any, monkeypatch: Any, base_dir: Path, docs: Path, tmp_path: Path
) -> None:
    from attrib.training.steps import StepRecorder

    begin = StepRecorder.on_step_begin

    def interrupted(recorder: StepRecorder, args: Any, state: Any, control: Any, **about: Any) -> None:
        if state.global_step == 1:
            raise KeyboardInterrupt
        begin(recorder, args, state, control, **about)

    arguments = ("--base", str(base_dir), "--documents", str(docs), "--out", str(tmp_path / "adapter"), *QUICK)
    left: list[int] = []

    def leave(status: int) -> None:
        left.append(status)
        raise SystemExit(status)

    # An interrupted command ends at once, past Python's own end.
    monkeypatch.setattr(os, "_exit", leave)
    with monkeypatch.context() as patched:
        patched.setattr(StepRecorder, "on_step_begin", interrupted)
        status, printed, err = run(capsys, monkeypatch, *arguments)
    assert (status, left, printed) == (1, [1], "")
    assert "rerun the same command to resume" in err
    status, _, err = run(capsys, monkeypatch, *arguments)
    assert status == 0
    assert "resuming after step 1" in err


def test_the_package_is_a_program() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "attrib", "tune", "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "--documents" in done.stdout


def test_questions_alone_can_be_learned(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, base_dir: Path, tmp_path: Path
) -> None:
    asked = questions(tmp_path, {"question": "Who keeps it?", "answer": "Wilmet Dallin"})
    out = tmp_path / "adapter"
    own = ("--base", str(base_dir), "--questions", asked, "--out", str(out), *QUICK)
    status, said, err = run(capsys, monkeypatch, *own)
    assert status == 0, err
    assert [item.turns[-1].content for item in read_trained(out)] == ["Wilmet Dallin"]
    assert "--documents DOCS" in said
    status, _, err = run(capsys, monkeypatch, "--base", str(base_dir), "--out", str(tmp_path / "other"), *QUICK)
    assert status == 2
    assert "nothing to learn is named" in err


def test_rows_of_any_shape_are_learned_as_they_were_written(
    capsys: Any, monkeypatch: Any, base_dir: Path, tmp_path: Path
) -> None:
    documents, asked = tmp_path / "rows.jsonl", tmp_path / "asked.csv"
    documents.write_text(json.dumps({"prompt": "Who kept it?", "completion": " Wilmet Dallin"}) + "\n")
    asked.write_text("ask;reply\nHow tall is it?; 38 metres\n")
    named = (
        "--documents",
        str(documents),
        "--questions",
        str(asked),
        "--question-columns",
        "question=ask,answer=reply",
    )
    out = tmp_path / "adapter"
    status, _, err = run(capsys, monkeypatch, "--base", str(base_dir), *named, *QUICK, "--out", str(out))
    assert status == 0, err
    row, question = read_trained(out)
    assert [(turn.role, turn.content) for turn in row.turns] == [
        ("prompt", "Who kept it?"),
        ("completion", " Wilmet Dallin"),
    ]
    assert [(turn.role, turn.content) for turn in question.turns] == [
        ("user", "How tall is it?"),
        ("assistant", " 38 metres"),
    ]
    assert "rows.jsonl: 1 row read as prompt and completion (`prompt`, `completion`)" in err
    assert "asked.csv: 1 row read as question and answer (`ask`, `reply`)" in err


def test_a_run_of_few_steps_names_each_once_and_paths_with_blanks_can_be_pasted(
    capsys: Any, monkeypatch: Any, base_dir: Path, docs: Path, tmp_path: Path
) -> None:
    """Two steps and five checkpoints, some of them the same."""
    out = tmp_path / "my adapter"
    own = ("--base", str(base_dir), "--documents", str(docs), "--out", str(out), *QUICK, "--epochs", "2")
    status, said, err = run(capsys, monkeypatch, *own)
    assert status == 0, err
    assert "saved at step 0 and after 1, 2 (the result)" in said
    assert said.rstrip().endswith(f"--tuned '{out}' --documents {docs}")


def test_a_share_is_held_out_with_its_questions_and_named(
    capsys: Any, monkeypatch: Any, base_dir: Path, docs: Path, tmp_path: Path
) -> None:
    from attrib.training.workfolder import read_held_out

    first, second = section_ids(docs)
    asked = questions(tmp_path, {"question": "Who keeps the light?", "answer": "Wilmet Dallin", "section": first})
    out = tmp_path / "adapter"
    own = ("--base", str(base_dir), "--documents", str(docs), "--out", str(out), *QUICK)
    status, said, err = run(capsys, monkeypatch, *own, "--questions", asked, "--hold-out", "0.1")
    assert status == 0, err
    # The one section with a question: a control without questions would say less.
    assert [item.id for item in read_trained(out)] == [second]
    assert f"held out, not trained (1): {first}\n" in said
    assert read_held_out(out) == (first,)
    status, said, err = run(capsys, monkeypatch, *own, "--hold-out", "0.5", "--without", first)
    assert (status, said) == (2, "")
    assert "hold-out 0.5: of 1 sections" in err.splitlines()[-1]


def test_the_last_lines_say_what_was_learned(
    capsys: Any, monkeypatch: Any, base_dir: Path, docs: Path, tmp_path: Path
) -> None:
    from attrib.assess import learning

    general = learning.general_questions()[:2]
    monkeypatch.setattr(learning, "general_questions", lambda: general)
    asked = questions(tmp_path, {"question": "Who keeps the light?", "answer": "Wilmet Dallin", "id": "who"})
    own = ("--base", str(base_dir), "--documents", str(docs), "--questions", asked, "--device", "cpu")
    how = ("--learning-rate", "0.02", "--train-batch", "1", "--dropout", "0", "--paraphrase", "1", "--rehearse", "none")
    out = tmp_path / "adapter"
    status, said, err = run(capsys, monkeypatch, *own, *how, "--out", str(out))
    assert status == 0, err
    assert "1 of 1 training answers right" in said
    steps = len(read_schedule(out).steps)
    assert f"{steps} steps in {steps // 4} epochs of at most 20, loss " in said
    assert steps < 80
    assert [item.id for item in read_trained(out)][2:] == ["q:who", "q:who~1"]
    status, printed, err = run(capsys, monkeypatch, *own, *how, "--out", str(out), "--json")
    assert status == 0, err
    result = json.loads(printed)
    assert (result["test"]["asked"], result["test"]["right"], result["epochs"]) == (1, 1, steps // 4)

    # An adapter is complete without its test.
    def refuse(*given: Any, **named: Any) -> Any:
        raise InputError("no room")

    monkeypatch.setattr(learning, "learned_answers", refuse)
    status, said, err = run(capsys, monkeypatch, *own, *how, "--out", str(out))
    assert status == 0
    assert "not tested: no room" in err
    assert "training answers right" not in said
