"""The tutorial: stored without outputs or traces of a machine, and it runs on the demo and says what its text says."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import nbformat
import pytest

from attrib.errors import ModelError
from attrib.models.bundled import get_default_model
from tests.docs.pages import ROOT

FILE = ROOT / "docs" / "tutorial.ipynb"


@pytest.fixture
def notebook() -> Any:
    return nbformat.read(FILE, as_version=4)


def test_it_is_stored_clean(notebook: Any) -> None:
    nbformat.validate(notebook)
    for cell in notebook.cells:
        assert cell.metadata == {}
        if cell.cell_type == "code":
            assert (cell.outputs, cell.execution_count) == ([], None)
    assert set(notebook.metadata) == {"kernelspec", "language_info"}
    assert notebook.metadata.kernelspec.name == "python3"


def test_it_names_nothing_of_the_machine_that_made_it() -> None:
    text = FILE.read_text("utf-8")
    for trace in (str(ROOT), str(Path.home()), os.environ.get("USER", "no such user"), "/tmp", "site-packages"):
        assert not re.search(rf"(?<![\w]){re.escape(trace)}(?![\w])", text), trace


def test_its_links_lead_somewhere(notebook: Any) -> None:
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    targets = re.findall(r"\]\((\S+?)\)", text)
    assert len(targets) >= 5
    assert [target for target in targets if not (FILE.parent / target).is_file()] == []


@pytest.mark.docs
@pytest.mark.model
def test_it_runs_on_the_demo(notebook: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from nbclient import NotebookClient

    try:
        get_default_model()
    except ModelError as error:
        pytest.skip(f"the default model cannot be had: {error}")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(tmp_path)}}).execute()
    said = {cell.source: cell.outputs for cell in notebook.cells if cell.cell_type == "code"}
    printed = "".join(output.text for outputs in said.values() for output in outputs if output.output_type == "stream")
    assert "shards of melted chapel windows" in printed
    assert re.search(r"^trained +documents +BM25 of the best section \d+\.\d, learned (?:1\.00|0\.9\d)$", printed, re.M)
    assert re.search(r"^held-out +neither +BM25 of the best section \d+\.\d, learned 0\.0\d$", printed, re.M)
    assert "True documents" in printed
    assert any("image/png" in output.get("data", {}) for output in said['explanation.figure("hidden")'])
    assert said["explanation"][0].output_type == "execute_result"
