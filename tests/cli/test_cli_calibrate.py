"""``attrib calibrate`` on a tiny pair whose control answers are judged by a stand-in, and ``--calibration``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from attrib.calibrating import run as calibrating
from attrib.calibrating.run import Told
from attrib.verdict.pair_calibration import JudgedControl, PairCalibration
from tests.cli.commands import run
from tests.taught import taught_adapter

FACTS = "# Keeper\n\nThe keeper of the light is Wilmet Dallin.\n\n# Pump\n\nThe pump has a warranty of the light.\n"


@pytest.fixture(autouse=True)
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Scores without a model; nothing of the user's cache."""

    def judged(pair: Any, library: Any, told: Sequence[Told], weights: Any) -> list[JudgedControl]:
        return [JudgedControl(one.control.group, one.control.asked.question, "A", 0.625) for one in told]

    monkeypatch.setattr(calibrating, "_judged", judged)
    monkeypatch.setattr(calibrating, "with_decoys", lambda library: dict.fromkeys(_headings(), library))
    monkeypatch.setenv("ATTRIB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "200")


def _headings() -> list[str]:
    from attrib.corpus import demo

    return [section.titles[-1] for section in demo.control().sections]


@pytest.fixture
def inputs(base_dir: Path, tmp_path: Path) -> list[str]:
    (tmp_path / "docs.md").write_text(FACTS)
    control = tmp_path / "control.md"
    control.write_text("# A\n\nThe board met at noon.\n\n# B\n\nTurn the screw.\n")
    return [
        "--base", str(base_dir), "--tuned", str(taught_adapter(base_dir)), "--device", "cpu",
        "--documents", str(tmp_path / "docs.md"), "--control", str(control),
    ]  # fmt: skip


SHORT = ("--max-new-tokens", "2")
ANSWER = ("--answer", "Wilmet Dallin", "--methods", "attention", "--mappers", "bm25")


def test_the_promise_is_printed_kept_and_found_by_explain(
    capsys: Any, monkeypatch: Any, inputs: list[str], tmp_path: Path
) -> None:
    file = tmp_path / "calibration.json"
    status, out, err = run(
        capsys, monkeypatch, "calibrate", *inputs, *SHORT, "--limit", "5", "--out", str(file), "--error", "0.2"
    )
    assert status == 0, err
    lines = out.splitlines()
    assert lines[0].startswith(
        "Calibrated for this pair on 12 control answers: at most 20% of answers that do not come"
    )
    assert "  general questions, right answers: 0 of 5 called documents" in lines
    assert lines[-1] == str(file)
    assert PairCalibration.load(file).promise().threshold == 0.625
    status, out, err = run(capsys, monkeypatch, "explain", "Who keeps the light?", *inputs, *SHORT, *ANSWER, "--json")
    assert status == 0, err
    assert json.loads(out)["verdict"]["documents_above"] == 0.625
    # A file that fits is taken; one of another pair is refused before anything is explained.
    named = ("--calibration", str(file))
    status, out, err = run(
        capsys, monkeypatch, "explain", "Who keeps the light?", *inputs, *SHORT, *ANSWER, *named, "--json"
    )
    assert json.loads(out)["verdict"]["promise"]["error"] == 0.2
    (tmp_path / "docs.md").write_text(FACTS + "\n# More\n\nIt rained.\n")
    status, out, err = run(capsys, monkeypatch, "explain", "Who keeps the light?", *inputs, *SHORT, *ANSWER, *named)
    assert (status, out) == (2, "")
    assert "calibration.json: made with another set of documents, so that its promise does not hold here" in err


def test_json_says_the_same(capsys: Any, monkeypatch: Any, inputs: list[str]) -> None:
    status, out, err = run(capsys, monkeypatch, "calibrate", *inputs, *SHORT, "--limit", "1", "--json")
    assert status == 0, err
    found = json.loads(out)
    # Fewer than nine controls promise nothing at 10%.
    assert (found["promise"]["threshold"], found["file"]) == (1.0, None)


@pytest.mark.parametrize("error", ["0", "1"])
def test_an_error_that_is_no_share_is_refused(capsys: Any, monkeypatch: Any, inputs: list[str], error: str) -> None:
    status, _, err = run(capsys, monkeypatch, "calibrate", *inputs, "--error", error)
    assert status == 2
    assert f"error is {float(error)}; give a share between 0 and 1" in err


def test_a_folder_for_a_file_is_refused(capsys: Any, monkeypatch: Any, inputs: list[str], tmp_path: Path) -> None:
    status, _, err = run(capsys, monkeypatch, "calibrate", *inputs, "--out", str(tmp_path))
    assert status == 2
    assert "a folder; give --out a file" in err
