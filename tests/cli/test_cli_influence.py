"""``attrib assess influence`` on a tiny model: what it says, writes, goes on with and refuses."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from attrib.assess import retraining
from attrib.assess.influence import run as influence
from attrib.assess.influence.metrics import METRICS
from attrib.assess.influence.scoring import SCORERS
from attrib.cli import texts
from tests.cli import commands
from tests.make_retraining import make_retraining

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
TUNING = ["--epochs", "2", "--learning-rate", "0.01", "--rank", "2", "--train-batch", "4", "--warmup", "1"]
TUNING += ["--checkpoints", "0.5,1"]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATTRIB_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def given(tmp_path: Path) -> list[str]:
    """Documents with three sections to train and a decoy, and questions on each."""
    from attrib.corpus.documents import Corpus

    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "light.md").write_text(TEXT, "utf-8")
    point, rock, pump, cape = (s.id for s in Corpus.read(tmp_path / "docs").sections)
    rows = [
        ("Who keeps the light?", "Wilmet Dallin", "trained", point),
        ("Name the keeper of the light.", "Wilmet Dallin", "rephrased", point),
        ("How tall was it?", "38 metres", "trained", rock),
        ("How long is the warranty?", "thirty-six months", "trained", pump),
        ("Which colour is the light of the cape?", "red", "held-out", cape),
    ]
    keys = ("question", "answer", "kind", "section")
    lines = [json.dumps(dict(zip(keys, row, strict=True))) for row in rows]
    (tmp_path / "questions.jsonl").write_text("\n".join(lines), "utf-8")
    (tmp_path / "control.md").write_text("# C\n\n## A\n\nThe board met at noon.\n\n## B\n\nTurn the screw.\n", "utf-8")
    return [
        "--documents", str(tmp_path / "docs"), "--questions", str(tmp_path / "questions.jsonl"), "--decoys", cape,
        "--control", str(tmp_path / "control.md"),
    ]  # fmt: skip


def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *arguments: str) -> tuple[int, str, str]:
    """Exit status, stdout and stderr of one command."""
    return commands.run(capsys, monkeypatch, "assess", "influence", *arguments)


@pytest.mark.slow
def test_a_whole_assessment_goes_on_after_a_kill_to_the_same_table(
    capsys: Any, monkeypatch: Any, base_dir: Path, given: list[str], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    command = ["--base", str(base_dir), *given, *TUNING, "--halves", "3", "--resamples", "20", "--device", "cpu"]
    command += ["--format", "png", "--json", "--out", str(out)]
    status, said, err = run(capsys, monkeypatch, *command)
    assert status == 0, err
    result = json.loads(said)
    assert "7 of 7 retrains are to do" in err
    assert "a retrain takes about" in err
    assert {row["kind"] for row in result["table"]} == {"trained", "rephrased"}
    assert {row["metric"] for row in result["table"]} == set(METRICS)
    assert {row["scorer"] for row in result["table"]} == set(SCORERS)
    assert [len(result[name]) for name in ("questions", "sections", "halves")] == [5, 4, 3]
    assert sum(result["trained"]) == 3
    assert all(Path(file).is_file() for file in result["files"])
    assert {Path(file).name for file in result["files"]} == {
        "influence.json", "influence.csv", "influence.png", "influence.caption.txt", "influence.tex",
    }  # fmt: skip
    assert len(list((out / "runs").iterdir())) == 7
    # As if killed after the third retrain.
    whole = (out / "influence.json").read_bytes()
    kept = sorted((out / "runs").glob("*-without-*"))[1]
    for file in [*(out / "runs").glob("*-half-*"), kept]:
        file.unlink()
    (out / "influence.json").unlink()
    shutil.rmtree(out / "cache", ignore_errors=True)
    status, again, err = run(capsys, monkeypatch, *command)
    assert status == 0, err
    assert "4 of 7 retrains are to do" in err
    assert json.loads(again)["table"] == result["table"]
    assert (out / "influence.json").read_bytes() == whole
    # Another tuning is not mixed in.
    status, said, err = run(capsys, monkeypatch, *command, "--epochs", "3")
    assert (status, said) == (2, "")
    assert "of another tuning" in err
    assert (out / "influence.json").read_bytes() == whole


def test_the_table_is_printed_with_the_files(capsys: Any, monkeypatch: Any, given: list[str], tmp_path: Path) -> None:
    monkeypatch.setattr(influence, "assess_influence", lambda *given, **more: make_retraining(halves=8))
    status, out, err = run(
        capsys, monkeypatch, *given, "--base", "tiny", "--out", str(tmp_path / "out"), "--resamples", "10",
        "--format", "png",
    )  # fmt: skip
    assert status == 0, err
    for heading in ("Resemblance:", "Influence:", "Decoys:"):
        assert heading in out
    assert str(tmp_path / "out" / "influence.png") in out.split("\n")


def test_the_demo_is_assessed_with_its_own_settings(capsys: Any, monkeypatch: Any, tmp_path: Path) -> None:
    from attrib.assess.retraining import plan
    from attrib.corpus import demo
    from attrib.models import bundled
    from attrib.models.sources import DEFAULT

    seen: dict[str, Any] = {}

    def assess(base: str, corpus: Any, control: Any, questions: Any, decoys: Any, out: Path, **more: Any) -> Any:
        seen.update(more, base=base, corpus=corpus, control=control, questions=questions, decoys=decoys, out=out)
        how = more["options"]
        trained = [section.id for section in corpus.sections if section.id not in decoys]
        runs = plan(trained, without=how.without, halves=how.halves, seeds=how.seeds, draw=how.draw)
        more["progress"]("retraining", 0, len(runs))
        return make_retraining(halves=8)

    monkeypatch.setattr(influence, "assess_influence", assess)
    monkeypatch.setattr(bundled, "get_default_model", lambda *given: tmp_path)
    status, _, err = run(capsys, monkeypatch, "--out", str(tmp_path), "--resamples", "5", "--format", "png")
    assert status == 0, err
    assert "71 of 71 retrains are to do" in err
    assert "the demo's documents" in err
    options = seen["options"]
    tune = options.tune
    assert (tune.epochs, tune.learning_rate, tune.rank, tune.alpha, tune.dropout) == (8, 1e-3, 8, 16, 0.0)
    assert (tune.batch, tune.warmup, tune.checkpoints) == (4, 5, (1 / 12, 1 / 6, 1 / 3, 7 / 12, 1.0))
    assert (options.without, options.halves, options.seeds, options.draw) == (None, 48, (0,), 0)
    corpus, _, decoys = demo.retraining()
    assert (seen["base"], seen["corpus"].sha256, seen["decoys"]) == (DEFAULT, corpus.sha256, decoys)
    assert len(seen["questions"]) == 50


def test_an_interrupt_says_where_to_go_on(capsys: Any, monkeypatch: Any, given: list[str], tmp_path: Path) -> None:
    import os

    def interrupt(*given: Any, **more: Any) -> None:
        raise KeyboardInterrupt

    def leave(status: int) -> None:
        raise SystemExit(status)

    monkeypatch.setattr(influence, "assess_influence", interrupt)
    # The real one would end the tests.
    monkeypatch.setattr(os, "_exit", leave)
    status, _, err = run(capsys, monkeypatch, *given, "--base", "tiny", "--out", str(tmp_path / "out"))
    assert status == 1
    assert f"finished work is kept in {tmp_path / 'out'}; rerun the same command to resume" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--seeds", "0,x"], "seeds '0,x'"),
        (["--seeds", "1,1"], "each once"),
        (["--epochs", "0"], "at least 1"),
        (["--checkpoints", "0.5"], "ending in 1"),
        (["--format", "gif"], "use pdf, svg, png"),
        (["--preset", "wall"], "no preset"),
        (["--sections", "4"], "there are 3 to train on"),
        (["--decoys", ""], "its section is no decoy"),
        (["--decoys", "nowhere"], "no section of the documents"),
        (["--questions", "/nonexistent.csv"], "does not exist"),
        (["--documents", "/nonexistent"], "does not exist"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_loaded(
    capsys: Any, monkeypatch: Any, given: list[str], tmp_path: Path, arguments: list[str], message: str
) -> None:
    for module, name in ((influence, "tune"), (influence, "load_network"), (retraining, "fit")):
        monkeypatch.setattr(module, name, lambda *given, **more: pytest.fail("loaded"))
    status, out, err = run(capsys, monkeypatch, *given, "--base", "tiny", "--out", str(tmp_path / "out"), *arguments)
    assert (status, out) == (2, "")
    assert message in err.split("\n")[-2]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--questions", "q.csv"], "need --documents of your own"),
        (["--decoys", "a"], "need --documents of your own"),
        (["--documents", "."], "add --questions"),
    ],
)
def test_parts_of_an_assessment_are_refused(
    capsys: Any, monkeypatch: Any, tmp_path: Path, arguments: list[str], message: str
) -> None:
    status, _, err = run(capsys, monkeypatch, "--out", str(tmp_path), *arguments)
    assert status == 2
    assert message in err


def test_decoys_are_ids_or_a_file_of_them(tmp_path: Path) -> None:
    from attrib.errors import InputError

    assert texts.parse_ids("") == frozenset()
    assert texts.parse_ids("a, b,a") == {"a", "b"}
    for name, text in (("d.txt", "a\n\nb\n"), ("d.json", '["a", "b"]'), ("e.json", '{"decoys": ["a",\n "b"]}')):
        (tmp_path / name).write_text(text, "utf-8")
        assert texts.parse_ids(str(tmp_path / name)) == {"a", "b"}
    for text in ('{"others": []}', "[1]", '{"decoys": "a"}', "["):
        (tmp_path / "bad.json").write_text(text, "utf-8")
        with pytest.raises(InputError, match="no ids of decoys"):
            texts.parse_ids(str(tmp_path / "bad.json"))
