"""figures/ is what the scripts draw from the records stored there, and ``make figures`` draws all of it."""

from __future__ import annotations

import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import matplotlib
import pytest

ROOT = Path(__file__).parents[2]
FIGURES = ROOT / "figures"
SCRIPTS = sorted(ROOT.glob("scripts/figure_*.py"))


def pinned(package: str) -> str:
    """Version that constraints.txt names."""
    found = re.search(rf"^{package}==(\S+)$", (ROOT / "constraints.txt").read_text("utf-8"), re.M)
    assert found is not None
    return found[1]


def redrawn(script: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """What the script writes into a new folder, by name."""
    if matplotlib.__version__ != pinned("matplotlib"):
        pytest.skip(f"matplotlib is {matplotlib.__version__}; the pictures were drawn by {pinned('matplotlib')}")
    constants = runpy.run_path(str(script))
    record = FIGURES / constants.get("RECORD", f"{constants['NAME']}.json")
    monkeypatch.setattr(sys, "argv", [script.name, str(record), str(folder)])
    runpy.run_path(str(script), run_name="__main__")
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def test_make_figures_draws_every_picture() -> None:
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    done = subprocess.run(["make", "-n", "figures"], cwd=ROOT, capture_output=True, text=True, check=True)
    called = set(re.findall(r"scripts/figure_\w+\.py", done.stdout))
    assert called == {f"scripts/{script.name}" for script in SCRIPTS}
    names = [runpy.run_path(str(script))["NAME"] for script in SCRIPTS]
    assert sorted(names) == sorted({file.stem for file in FIGURES.iterdir() if file.suffix in (".png", ".pdf", ".svg")})
    for name in names:
        assert {f"{name}.{end}" for end in ("png", "pdf", "caption.txt", "tex", "csv")} <= {
            file.name for file in FIGURES.iterdir()
        }


def test_a_picture_is_redrawn_to_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = redrawn(ROOT / "scripts" / "figure_strip.py", tmp_path, monkeypatch)
    assert set(made) == {f"demo-strip.{end}" for end in ("png", "pdf", "csv", "caption.txt", "tex")}
    for name, data in made.items():
        assert data == (FIGURES / name).read_bytes(), name


@pytest.mark.slow
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_every_picture_is_redrawn_to_the_same_bytes(
    script: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, data in redrawn(script, tmp_path, monkeypatch).items():
        assert data == (FIGURES / name).read_bytes(), name


def test_every_script_says_how_its_record_was_made() -> None:
    for script in SCRIPTS:
        head = script.read_text("utf-8").split('"""')[1]
        assert f"python scripts/{script.name}" in head
        assert "made with: attrib " in head
