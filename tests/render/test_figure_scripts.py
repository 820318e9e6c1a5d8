"""figures/ is what scripts/figures.py draws from the records stored there, and ``make figures`` draws all of it."""

from __future__ import annotations

import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import matplotlib
import pytest

ROOT = Path(__file__).parents[2]
FIGURES = ROOT / "figures"
SCRIPT = ROOT / "scripts" / "figures.py"
TABLE: dict[str, Any] = runpy.run_path(str(SCRIPT))


def pinned(package: str) -> str:
    """Version that constraints.txt names."""
    found = re.search(rf"^{package}==(\S+)$", (ROOT / "constraints.txt").read_text("utf-8"), re.M)
    assert found is not None
    return found[1]


def file_name(name: str) -> str:
    """What the files of a figure are called."""
    return f"demo-{name}" if name in TABLE["ANSWERS"] else name


def redrawn(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """What the script writes into a new folder, by name."""
    if matplotlib.__version__ != pinned("matplotlib"):
        pytest.skip(f"matplotlib is {matplotlib.__version__}; the pictures were drawn by {pinned('matplotlib')}")
    monkeypatch.setattr(sys, "argv", [SCRIPT.name, name, "--out", str(folder)])
    runpy.run_path(str(SCRIPT), run_name="__main__")
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def test_make_figures_draws_every_picture() -> None:
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    done = subprocess.run(["make", "-n", "figures"], cwd=ROOT, capture_output=True, text=True, check=True)
    # Without a name the script draws all.
    assert re.findall(r"scripts/figure\S*.*", done.stdout) == ["scripts/figures.py"]
    names = [file_name(name) for name in TABLE["NAMES"]]
    assert sorted(names) == sorted({file.stem for file in FIGURES.iterdir() if file.suffix in (".png", ".pdf", ".svg")})
    for name in names:
        assert {f"{name}.{end}" for end in ("png", "pdf", "caption.txt", "tex", "csv")} <= {
            file.name for file in FIGURES.iterdir()
        }


def test_a_picture_is_redrawn_to_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = redrawn("strip", tmp_path, monkeypatch)
    assert set(made) == {f"demo-strip.{end}" for end in ("png", "pdf", "csv", "caption.txt", "tex")}
    for name, data in made.items():
        assert data == (FIGURES / name).read_bytes(), name


@pytest.mark.slow
@pytest.mark.parametrize("name", TABLE["NAMES"])
def test_every_picture_is_redrawn_to_the_same_bytes(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for file, data in redrawn(name, tmp_path, monkeypatch).items():
        assert data == (FIGURES / file).read_bytes(), file


def test_the_script_says_how_every_record_was_made() -> None:
    head = SCRIPT.read_text("utf-8").split('"""')[1]
    assert f"python scripts/{SCRIPT.name}" in head
    made = re.findall(r"^([a-z, ]+): (?:attrib (?:explain|assess)|python scripts/\w+\.py) ", head, re.M)
    assert sorted(name for names in made for name in names.split(", ")) == sorted(TABLE["NAMES"])


def test_an_unknown_name_is_refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", [SCRIPT.name, "sectoins"])
    with pytest.raises(SystemExit) as stop:
        runpy.run_path(str(SCRIPT), run_name="__main__")
    assert stop.value.code == 2
    assert "no figure sectoins; choose from sections, " in capsys.readouterr().err
