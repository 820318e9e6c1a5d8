"""``attrib assess consistency, holdout, benchmark, attribution`` on tiny models: what they say, write and refuse."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from attrib.assess import answering
from attrib.errors import InputError
from attrib.training.trained import read_trained
from tests.assess.finetunebench.test_finetunebench import medical, people
from tests.assess.grading.test_answer_judge import KEY, Server, said, server
from tests.cli import commands
from tests.programs import Program, attrib, told
from tests.test_architecture import loaded

__all__ = ["server"]

ROOT = Path(__file__).parents[2]
COMMANDS = ("consistency", "holdout", "benchmark", "attribution")
TEXT = """# Lights

## Point

The keeper of the light is Wilmet Dallin.

## Rock

In the year 1712 it was 38 metres tall.

## Pump

The warranty on the pump is thirty-six months.

## Cape

The light of the cape is red.
"""
OTHER = "# C\n\n## A\n\nThe board met at noon.\n\n## B\n\nTurn the screw.\n\n## C\n\nBread is baked from flour.\n"
QUICK = ("--device", "cpu", "--max-new-tokens", "4", "--resamples", "20", "--format", "png")
TUNING = ("--epochs", "1", "--learning-rate", "0.01", "--rank", "2", "--train-batch", "2", "--warmup", "1")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATTRIB_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def docs(tmp_path: Path) -> list[str]:
    """Sections' ids; ``docs`` and ``control.md`` beside each other."""
    from attrib.corpus.documents import Corpus

    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "light.md").write_text(TEXT, "utf-8")
    (tmp_path / "control.md").write_text(OTHER, "utf-8")
    return [section.id for section in Corpus.read(tmp_path / "docs").sections]


@pytest.fixture
def asked(tmp_path: Path, docs: list[str]) -> Path:
    point, rock, pump, cape = docs
    rows = [
        ("Who keeps the light?", "Wilmet Dallin", "trained", point),
        ("Name the keeper of the light.", "Wilmet Dallin", "rephrased", point),
        ("How tall was it?", "38 metres", "trained", rock),
        ("How long is the warranty?", "thirty-six months", "held-out", pump),
        ("Which colour is the light of the cape?", "red", "held-out", cape),
        ("What is bread baked from?", "flour", "foundation", None),
    ]
    keys = ("question", "answer", "kind", "section")
    lines = [json.dumps({"id": f"q{i}", **dict(zip(keys, row, strict=True))}) for i, row in enumerate(rows)]
    file = tmp_path / "questions.jsonl"
    file.write_text("\n".join(lines), "utf-8")
    return file


@pytest.fixture
def models(base_dir: Path, adapter_dir: Path) -> tuple[str, ...]:
    return ("--base", str(base_dir), "--tuned", str(adapter_dir))


def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *arguments: str) -> tuple[int, str, str]:
    """Exit status, stdout and stderr of one command."""

    def leave(status: int) -> None:
        raise SystemExit(status)

    # An interrupted command ends at once, past Python's own end.
    monkeypatch.setattr(os, "_exit", leave)
    return commands.run(capsys, monkeypatch, "assess", *arguments)


def refused(capsys: Any, monkeypatch: Any, *arguments: str) -> str:
    """The one line of a refusal."""
    status, out, err = run(capsys, monkeypatch, *arguments)
    assert (status, out) == (2, ""), err
    assert "Traceback" not in err
    lines = [line for line in told(err) if not line.startswith(("attrib: using", "attrib: loading"))]
    assert len(lines) == 1, err
    assert lines[0].startswith("attrib: ")
    return lines[0]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@pytest.mark.parametrize("name", COMMANDS)
def test_each_says_one_object_writes_files_and_does_nothing_twice(
    capsys: Any, monkeypatch: Any, models: tuple[str, ...], asked: Path, tmp_path: Path, name: str
) -> None:
    out = tmp_path / "out"
    command = [name, *models, "--questions", str(asked), *QUICK, "--out", str(out)]
    if name != "benchmark":
        command += ["--documents", str(tmp_path / "docs")]
    if name in ("consistency", "attribution"):
        command += ["--control", str(tmp_path / "control.md")]
    if name == "consistency":
        command += ["--samples", "2"]
    status, printed, err = run(capsys, monkeypatch, *command, "--json")
    assert status == 0, err
    assert printed.count("\n") == 1
    result = json.loads(printed, parse_constant=lambda constant: pytest.fail(constant))
    files = [Path(file) for file in result.pop("files")]
    assert {f"{name}.{end}" for end in ("json", "csv", "parquet", "png", "caption.txt")} <= {f.name for f in files}
    assert all(file.stat().st_size > 0 for file in files)
    stored = json.loads((out / f"{name}.json").read_text("utf-8"))
    assert len(stored.pop("sha256")) == 64
    assert stored == result
    schema = 4 if name == "attribution" else 2
    assert (result["attrib"], result["schema"], result["provenance"]["seed"]) == (name, schema, 0)
    questions = {row["id"] for row in pq.read_table(out / f"{name}.parquet").to_pylist()}
    assert questions == {f"q{i}" for i in range(6)}
    for file in files:
        assert str(tmp_path).encode() not in file.read_bytes()
    # All that was asked is on disk.
    before = contents(out)
    monkeypatch.setattr(answering, "generate_batch", lambda *given, **more: pytest.fail("asked again"))
    status, printed, err = run(capsys, monkeypatch, *command)
    assert status == 0, err
    assert printed.splitlines()[-len(files) :] == [str(file) for file in files]
    assert "held-out" in printed
    assert "\x1b" not in printed
    assert contents(out) == before


def benchmark(models: tuple[str, ...], asked: Path, out: Path) -> list[str]:
    """Two parts of answers a side."""
    return ["benchmark", *models, "--questions", str(asked), *QUICK, "-o", "answers.batch=1", "--out", str(out)]


def test_an_interrupted_run_says_where_it_goes_on_and_ends_with_the_same_bytes(
    capsys: Any, monkeypatch: Any, models: tuple[str, ...], asked: Path, tmp_path: Path
) -> None:
    assert run(capsys, monkeypatch, *benchmark(models, asked, tmp_path / "whole"))[0] == 0
    made, calls = answering.generate_batch, 0

    def dies(*given: Any, **more: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise KeyboardInterrupt
        return made(*given, **more)

    out = tmp_path / "killed"
    monkeypatch.setattr(answering, "generate_batch", dies)
    status, printed, err = run(capsys, monkeypatch, *benchmark(models, asked, out))
    assert (status, printed) == (1, "")
    assert f"finished work is kept in {out}; rerun the same command to resume" in err
    assert "Traceback" not in err
    assert not (out / "benchmark.json").exists()
    status, _, err = run(capsys, monkeypatch, *benchmark(models, asked, out))
    assert status == 0, err
    # Of four parts two were made before, one was cut off.
    assert calls == 5
    assert contents(out) == contents(tmp_path / "whole")


def killed_in_the_third_part(*command: str) -> None:
    """Runs in a process of its own."""
    made, calls = answering.generate_batch, 0

    def dies(*given: Any, **more: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        return made(*given, **more)

    answering.generate_batch = dies
    attrib("assess", *command)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no such signal here")
def test_a_killed_process_is_gone_on_from_to_the_same_bytes(
    capsys: Any, monkeypatch: Any, models: tuple[str, ...], asked: Path, tmp_path: Path
) -> None:
    out = tmp_path / "killed"
    program = Program(killed_in_the_third_part, *benchmark(models, asked, out))
    assert program.wait() == -signal.SIGKILL, program.err
    assert program.out == ""
    assert len(list((out / "answers").glob("*/*.json"))) == 2
    for folder in (out, tmp_path / "whole"):
        status, _, err = run(capsys, monkeypatch, *benchmark(models, asked, folder))
        assert status == 0, err
    assert contents(out) == contents(tmp_path / "whole")


def test_malformed_rows_are_said_by_file_and_line_and_stand_in_the_report(
    capsys: Any, monkeypatch: Any, models: tuple[str, ...], asked: Path, tmp_path: Path
) -> None:
    rows = asked.read_text("utf-8").split("\n")
    asked.write_text("\n".join([rows[0], "{", rows[1], '{"answer": "x"}', "", rows[0], *rows[2:]]), "utf-8")
    status, printed, err = run(capsys, monkeypatch, *benchmark(models, asked, tmp_path / "out"), "--json")
    assert status == 0, err
    told = [line for line in err.splitlines() if "left out" in line]
    assert [line.split(": ")[2].split(", ")[-1] for line in told] == ["line 2", "line 4", "line 6"]
    assert all(line.startswith(f"attrib: left out: {asked}, line ") for line in told)
    assert "its id 'q0' is that of line 1 too" in told[2]
    result = json.loads(printed)
    assert [(one["file"], one["line"]) for one in result["malformed"]] == [
        ("questions.jsonl", 2), ("questions.jsonl", 4), ("questions.jsonl", 6),
    ]  # fmt: skip
    assert len(result["rows"]) == 12
    assert sum("left out: questions.jsonl, line" in note for note in result["notes"]) == 3
    stored = json.loads((tmp_path / "out/benchmark.json").read_text("utf-8"))
    assert stored["malformed"] == result["malformed"]
    assert str(tmp_path) not in json.dumps(stored)


def test_csv_questions_of_one_s_own_are_a_benchmark_too(
    capsys: Any, monkeypatch: Any, models: tuple[str, ...], tmp_path: Path
) -> None:
    file = tmp_path / "own.csv"
    file.write_text(
        "id,question,answer,accept,kind,knowledge,answer_before,fact\n"
        "1,Who keeps the light?,Wilmet,Dallin|W. Dallin,trained,new,,keeper\n"
        '2,"How long, then?",36 months,,updated,updated,24 months,pump\n'
        "3,Too,many,cells,in,this,row,here,there\n",
        "utf-8",
    )
    command = ["benchmark", *models, "--questions", str(file), *QUICK, "--out", str(tmp_path / "out"), "--json"]
    status, printed, err = run(capsys, monkeypatch, *command)
    assert status == 0, err
    result = json.loads(printed)
    assert "own.csv, line 4: 9 cells below 8 columns; mend the row" in err
    assert [row["fact"] for row in result["rows"][::2]] == ["keeper", "pump"]
    kinds = {(row["subset"], row["kind"], row["knowledge"]) for row in result["summary"]}
    assert {("", "trained", "new"), ("", "updated", "updated"), ("all", "all", "new")} <= kinds
    assert [row["kind"] for row in result["summary"] if row["measure"] == "old_answer"] == ["updated", "all"]
    # --limit takes the first ones.
    status, printed, err = run(capsys, monkeypatch, *command, "--limit", "1")
    assert {row["id"] for row in json.loads(printed)["rows"]} == {"1"}


def test_a_folder_in_the_published_layout_is_asked_and_its_defects_are_said(
    capsys: Any, monkeypatch: Any, models: tuple[str, ...], tmp_path: Path
) -> None:
    folder = tmp_path / "bench"
    people(folder, [("Is Quill taller than Zedda?", "No"), ("Is Brindle older than Zedda?", "No")])
    medical(folder)
    with (folder / "medical" / "medical_memorization.csv").open("a", encoding="utf-8") as file:
        file.write("1,1,What dose?,,20 mg\n")
    command = ["benchmark", *models, "--finetunebench", str(folder), "--out", str(tmp_path / "out"), *QUICK, "--json"]
    status, printed, err = run(capsys, monkeypatch, *command)
    assert status == 0, err
    assert "attrib: left out: medical/medical_memorization.csv, line 3: nothing in its column 'answer_before'" in err
    result = json.loads(printed)
    assert [one["file"] for one in result["malformed"]] == ["medical/medical_memorization.csv"]
    accuracy = {
        (row["subset"], row["kind"]): row["n"] for row in result["summary"] if row["measure"] == "accuracy"
    }  # fmt: skip
    assert accuracy == {
        ("fictional_people", "memorization"): 9, ("fictional_people", "rephrased"): 9,
        ("fictional_people", "secondary"): 9, ("fictional_people", "comparison"): 2, ("medical", "memorization"): 1,
        ("medical", "vignette"): 1, ("all", "all"): 2,
    }  # fmt: skip
    assert any("1 of 2 published labels are wrong" in note for note in result["notes"])
    caption = (tmp_path / "out/benchmark.caption.txt").read_text("utf-8")
    assert "1 of 2 published labels are wrong" in caption
    right = {row["question"].split("\n")[-1]: row["answer"] for row in result["rows"] if row["kind"] == "comparison"}
    assert right == {"Is Quill taller than Zedda?": "Yes", "Is Brindle older than Zedda?": "No"}
    # The protocol's 100 tokens, where none are named.
    status, printed, err = run(
        capsys, monkeypatch, "benchmark", *models, "--finetunebench", str(folder), "--subset", "medical", "--out",
        str(tmp_path / "some"), "--json", "--device", "cpu", "--resamples", "5", "--format", "png",
    )  # fmt: skip
    assert status == 0, err
    result = json.loads(printed)
    assert {row["subset"] for row in result["rows"]} == {"medical"}
    assert result["provenance"]["options"]["answers"]["max_new_tokens"] == 100


def test_the_judge_is_asked_once_and_its_key_is_nowhere(
    capsys: Any, monkeypatch: Any, server: Server, models: tuple[str, ...], asked: Path, tmp_path: Path
) -> None:
    command = [*benchmark(models, asked, tmp_path / "out"), "--judge-url", server.url, "--judge-model", "judge-1"]
    server.replies += [said("CORRECT"), said("INCORRECT")] * 6
    status, printed, err = run(capsys, monkeypatch, *command, "--json")
    assert status == 0, err
    verdicts = [row["scores"]["judge"] for row in json.loads(printed)["rows"]]
    assert set(verdicts) == {0, 1}
    asked_for = len(server.requests)
    assert asked_for <= 12
    before = contents(tmp_path / "out")
    assert json.loads(before["benchmark.json"])["provenance"]["options"]["judge"]["model"] == "judge-1"
    assert all(KEY.encode() not in content for content in before.values())
    assert KEY not in printed + err
    assert run(capsys, monkeypatch, *command)[0] == 0
    assert len(server.requests) == asked_for
    assert contents(tmp_path / "out") == before


def test_one_command_tunes_and_asks(capsys: Any, monkeypatch: Any, base_dir: Path, asked: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = ["benchmark", "--base", str(base_dir), "--questions", str(asked), "--tune", *TUNING, *QUICK]
    command += ["--out", str(out), "--json"]
    status, printed, err = run(capsys, monkeypatch, *command)
    assert status == 0, err
    assert "tuning" in err
    assert [item.id for item in read_trained(out / "adapter")] == ["q:q0", "q:q2"]
    result = json.loads(printed)
    assert result["provenance"]["tuned"]["name"] == "adapter"
    assert len(result["rows"]) == 12
    status, again, err = run(capsys, monkeypatch, *command)
    assert status == 0, err
    assert json.loads(again) == result
    # Other kinds are another adapter.
    status, again, err = run(capsys, monkeypatch, *command, "-o", "learning.kinds=rephrased,held-out", "--limit", "1")
    assert status == 0, err
    assert "tuning" in err
    assert [item.id for item in read_trained(out / "adapter")] == ["q:q1", "q:q3", "q:q4"]
    assert {row["id"] for row in json.loads(again)["rows"]} == {"q0"}


def test_a_second_command_does_not_tune_again(
    capsys: Any, monkeypatch: Any, base_dir: Path, asked: Path, tmp_path: Path
) -> None:
    command = ["benchmark", "--base", str(base_dir), "--questions", str(asked), "--tune", *TUNING, *QUICK]
    command += ["--out", str(tmp_path / "out")]
    assert run(capsys, monkeypatch, *command)[0] == 0
    before = contents(tmp_path / "out")

    def fit(*given: Any, **more: Any) -> None:
        raise AssertionError("tuned again")

    monkeypatch.setattr("attrib.training.tune.fit", fit)
    status, _, err = run(capsys, monkeypatch, *command)
    assert status == 0, err
    assert contents(tmp_path / "out") == before


def test_holdout_parts_sections_tunes_on_one_part_and_removes(
    capsys: Any, monkeypatch: Any, base_dir: Path, asked: Path, docs: list[str], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    command = ["holdout", "--base", str(base_dir), "--documents", str(tmp_path / "docs"), "--questions", str(asked)]
    command += ["--tune", *TUNING, *QUICK, "--candidates", "1", "--out", str(out), "--json"]
    status, printed, err = run(capsys, monkeypatch, *command)
    assert status == 0, err
    learned = {item.section for item in read_trained(out / "adapter")}
    assert len(learned) == 2
    assert learned < set(docs)
    parts = {row["section"]: row["part"] for row in json.loads(printed)["rows"] if row["section"]}
    assert {section for section, part in parts.items() if part == "tuned-on"} == learned
    status, printed, err = run(capsys, monkeypatch, *command, "--remove", sorted(map(str, learned))[0])
    assert status == 0, err
    assert json.loads(printed)["removal"] is not None


# ------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--tune"], "leave --tuned out"),
        (["--questions", "QUESTIONS", "--finetunebench", "."], "two benchmarks"),
        (["--questions", "QUESTIONS", "--subset", "medical"], "--finetunebench"),
        (["--questions", "QUESTIONS", "--all-rows"], "--finetunebench"),
        (["--finetunebench", "DOCS"], "not in FineTuneBench's layout"),
        (["--finetunebench", "DOCS", "--subset", "poetry"], "'poetry'"),
        (["--judge-url", "http://127.0.0.1:9/v1"], "needs both"),
        (["--judge-model", "judge-1"], "needs both"),
        (["--judge-url", "ftp://x", "--judge-model", "judge-1"], "not an http(s) address"),
        (["--preset", "wall"], "no preset 'wall'"),
        (["--format", "gif"], "use pdf, svg, png"),
        (["--format", ""], "use pdf, svg, png"),
        (["--questions", "/nonexistent.csv"], "does not exist"),
        (["--questions", "OPEN"], "question '2': it has no right answer"),
        (["--questions", "EMPTY"], "it has no questions"),
        (["--out", "QUESTIONS"], "cannot be written"),
        (["--tune", "--epochs", "0"], "at least 1"),
        (["--tune", "--learning-rate", "-1"], "above 0"),
    ],
)
def test_what_cannot_be_is_refused_before_a_model_is_loaded(
    capsys: Any, monkeypatch: Any, models: tuple[str, ...], asked: Path, tmp_path: Path,
    arguments: list[str], message: str,
) -> None:  # fmt: skip
    from attrib.models.pair import ModelPair

    monkeypatch.setattr(ModelPair, "load", lambda *given, **more: pytest.fail("loaded"))
    (tmp_path / "open.jsonl").write_text('{"question": "Who?", "answer": "W"}\n{"question": "When?"}\n')
    (tmp_path / "empty.jsonl").write_text("\n")
    named = {
        "QUESTIONS": asked, "DOCS": tmp_path / "docs", "OPEN": tmp_path / "open.jsonl",
        "EMPTY": tmp_path / "empty.jsonl",
    }  # fmt: skip
    own = [str(named.get(name, name)) for name in arguments]
    if "--questions" not in own and "--finetunebench" not in own:
        own += ["--questions", str(asked)]
    assert message in refused(capsys, monkeypatch, "benchmark", *models, "--out", str(tmp_path / "out"), *own)


def test_nothing_is_tuned_for_questions_that_cannot_be_scored(
    capsys: Any, monkeypatch: Any, base_dir: Path, tmp_path: Path
) -> None:
    file = tmp_path / "q.jsonl"
    rows = [{"question": "Who?", "answer": "W", "kind": "trained"}, {"question": "When?"}]
    file.write_text("\n".join(map(json.dumps, rows)))
    command = ["benchmark", "--base", str(base_dir), "--questions", str(file), "--tune", "--out", str(tmp_path / "out")]
    assert "question '2': it has no right answer" in refused(capsys, monkeypatch, *command)
    assert not (tmp_path / "out/adapter").exists()
    file.write_text(json.dumps(rows[0] | {"kind": "secondary"}))
    assert "no question is of kind memorization, trained, updated" in refused(capsys, monkeypatch, *command)


@pytest.mark.parametrize("name", ["consistency", "holdout", "attribution"])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--preset", "wall"], "no preset 'wall'"),
        (["--format", "gif"], "use pdf, svg, png"),
        (["--out", "QUESTIONS"], "cannot be written"),
        (["--documents", "/nonexistent"], "does not exist"),
        (["--questions", "/nonexistent.csv"], "does not exist"),
        (["NOTHING", "--documents"], "add --documents"),
        (["NOTHING", "--questions"], "add --questions"),
        (["NOTHING", "--tuned"], "add --tuned"),
    ],
)
def test_the_others_refuse_alike(
    capsys: Any, monkeypatch: Any, models: tuple[str, ...], asked: Path, tmp_path: Path, name: str,
    arguments: list[str], message: str,
) -> None:  # fmt: skip
    from attrib.models.pair import ModelPair

    monkeypatch.setattr(ModelPair, "load", lambda *given, **more: pytest.fail("loaded"))
    flags = {
        "--base": models[1], "--tuned": models[3], "--documents": str(tmp_path / "docs"), "--questions": str(asked),
        "--out": str(tmp_path / "out"),
    }  # fmt: skip
    if arguments[0] == "NOTHING":
        del flags[arguments[1]]
    else:
        flags[arguments[0]] = arguments[1].replace("QUESTIONS", str(asked))
    line = refused(capsys, monkeypatch, name, *(part for flag in flags.items() for part in flag))
    assert message in line


@pytest.mark.parametrize("more", [["--tuned", "x"], ["--held-out", "a"]])
def test_holdout_with_tune_takes_no_model_and_no_parts(
    capsys: Any, monkeypatch: Any, base_dir: Path, asked: Path, tmp_path: Path, more: list[str]
) -> None:
    command = ["holdout", "--base", str(base_dir), "--documents", str(tmp_path / "docs"), "--questions", str(asked)]
    line = refused(capsys, monkeypatch, *command, "--tune", *more, "--out", str(tmp_path / "out"))
    assert "leave --tuned and --held-out out" in line


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["holdout", "--tune", "-o", "models.device_map=auto"], "device_map: tuning keeps the whole base"),
        (["holdout", "--remove", "a", "-o", "models.device_map=auto"], "device_map: tuning keeps the whole base"),
        (["benchmark", "--tune", "-o", "models.device_map=auto"], "device_map: tuning keeps the whole base"),
        (["influence", "-o", "models.device_map=auto"], "device_map: tuning keeps the whole base"),
        (["benchmark", "--tune", "-o", "models.tuned_revision=v1"], "models.tuned_revision: --tune makes the tuned"),
        (["holdout", "--tune", "-o", "models.tuned_revision=v1"], "models.tuned_revision: --tune makes the tuned"),
    ],
)
def test_what_tuning_cannot_follow_is_refused_before_a_model_is_loaded(
    capsys: Any, monkeypatch: Any, tmp_path: Path, arguments: list[str], message: str
) -> None:
    monkeypatch.setattr("attrib.models.pair.ModelPair.load", lambda *given, **more: pytest.fail("loaded"))
    assert message in refused(capsys, monkeypatch, *arguments, "--out", str(tmp_path / "out"))


def test_tuning_within_an_assessment_loads_the_base_as_the_pair(
    capsys: Any, monkeypatch: Any, base_dir: Path, asked: Path, tmp_path: Path
) -> None:
    seen: list[Any] = []

    def tune(*given: Any, loading: Any, **more: Any) -> None:
        seen.append(loading.arguments())
        raise InputError("stop: seen")

    monkeypatch.setattr("attrib.training.tune.tune", tune)
    monkeypatch.setattr("attrib.assess.holdout.run.tune", tune)
    more = ["--device", "cpu", "-o", "models.dtype=float64", "-o", "models.revision=v1", "--trust-remote-code"]
    own = ["--base", str(base_dir), "--questions", str(asked), "--tune", "--out", str(tmp_path / "out")]
    assert "stop: seen" in refused(capsys, monkeypatch, "benchmark", *own, *more)
    own += ["--documents", str(tmp_path / "docs")]
    assert "stop: seen" in refused(capsys, monkeypatch, "holdout", *own, *more)
    expected = {
        "device": "cpu", "dtype": "float64", "device_map": None, "revision": "v1", "trust_remote_code": True
    }  # fmt: skip
    assert seen == [expected, expected]


# ------------------------------------------------------------------------------------------- help

HELP = """
import sys
from attrib.cli import main
for words in ([], *([name] for name in {names!r})):
    sys.argv = ["attrib", "assess", *words, "--help"]
    try:
        main()
    except SystemExit as stop:
        assert not stop.code, stop.code
"""


def test_help_loads_nothing_heavy_and_is_fast() -> None:
    begun = time.perf_counter()
    assert loaded(HELP.format(names=(*COMMANDS, "faithfulness", "influence"))) == set()
    assert time.perf_counter() - begun < 10


@pytest.mark.parametrize("name", COMMANDS)
def test_help_has_an_example_and_names_its_flags(capsys: Any, monkeypatch: Any, name: str) -> None:
    status, out, err = run(capsys, monkeypatch, name, "--help")
    assert status == 0, err
    assert f"attrib assess {name} --out" in out.split("Example", 1)[1]
    for flag in ("--questions", "--out", "--preset", "--format", "--seed", "--json"):
        assert flag in out


@pytest.mark.parametrize("command", ["holdout", "benchmark"])
def test_what_only_tuning_heeds_is_not_ignored(capsys: Any, monkeypatch: Any, tmp_path: Path, command: str) -> None:
    status, _, err = run(capsys, monkeypatch, command, "--out", str(tmp_path / "out"), "--learning-rate", "1e-3")
    assert status == 2
    assert err.strip().splitlines()[-1] == "attrib: --learning-rate: it is for --tune; add that, or leave it out"
