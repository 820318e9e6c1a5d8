"""Imports point one way, every heavy library has one door, and the light parts stay light."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
ORDER = (
    "errors", "progress", "printable", "files", "measures", "records", "store", "text", "corpus", "models", "passes",
    "attribution", "training", "index", "mapping", "verdict", "explaining", "render", "assess", "server", "cli",
    "__main__",
)  # fmt: skip
"""A module imports from itself and from those before it."""
ASSESSMENTS = ("attribution", "benchmark", "consistency", "faithfulness", "holdout", "influence")
DOORS = {
    "transformer_lens": ("attrib.models",),
    "sentence_transformers": ("attrib.models.embedder",),
    "matplotlib": (
        "attrib.render.figures",
        "attrib.assess.panels",
        *(f"attrib.assess.{name}.draw" for name in ASSESSMENTS),
    ),
    "mpl_toolkits": ("attrib.render.figures",),
    "peft": ("attrib.training", "attrib.models"),
    "captum": ("attrib.attribution",),
    "starlette": ("attrib.server",),
    "uvicorn": ("attrib.server",),
}
CONVENIENCE = ("attrib.records.explanation", "Explanation")
"""Methods of this class hand a record on to those who store and draw it."""


class Import(NamedTuple):
    module: str
    """Dotted name of what is imported, as deep as it is a module."""
    line: int
    scope: tuple[str, ...]
    """Names of the classes and functions around it."""
    typing_only: bool


def modules() -> dict[str, Path]:
    """Dotted name → file of every module of the package."""
    files = sorted((ROOT / "attrib").rglob("*.py"))
    names = [".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for file in files]
    return dict(zip(names, files, strict=True))


MODULES = modules()


def imports(source: str, name: str = "attrib.made_up") -> list[Import]:
    """Every import of ``source``, wherever it stands."""

    def walk(node: ast.AST, scope: tuple[str, ...], typing_only: bool) -> Iterator[Import]:
        for child in ast.iter_child_nodes(node):
            inner, typed = scope, typing_only
            if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                inner = (*scope, child.name)
            if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
                typed = True
            if isinstance(child, ast.Import):
                yield from (Import(alias.name, child.lineno, scope, typing_only) for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                assert child.level == 0, f"{name}:{child.lineno}: relative import"
                for alias in child.names:
                    deep = f"{child.module}.{alias.name}"
                    yield Import(deep if deep in MODULES else str(child.module), child.lineno, scope, typing_only)
            yield from walk(child, inner, typed)

    return list(walk(ast.parse(source), (), False))


def wrong_way(name: str, source: str) -> list[str]:
    """Imports that point down the list, or to the package itself."""
    if name == "attrib":
        return []
    here = ORDER.index(name.split(".")[1])
    found = []
    for one in imports(source, name):
        part = one.module.split(".")
        if part[0] != "attrib" or ((name, *one.scope[:1]) == CONVENIENCE and len(one.scope) > 1):
            continue
        if len(part) == 1 or ORDER.index(part[1]) > here:
            found.append(f"{name}:{one.line} imports {one.module}")
    return found


def wrong_door(name: str, source: str) -> list[str]:
    """Imports of a heavy library outside its door; what only the type checker sees costs nothing."""
    found = []
    for one in imports(source, name):
        doors = DOORS.get(one.module.split(".")[0])
        if doors and not one.typing_only and not any(name == d or name.startswith(f"{d}.") for d in doors):
            found.append(f"{name}:{one.line} imports {one.module}")
    return found


def test_every_module_has_its_place_in_the_list_and_no_place_is_empty() -> None:
    assert {name.split(".")[1] for name in MODULES if name != "attrib"} == set(ORDER)


@pytest.mark.parametrize("name", MODULES)
def test_imports_point_up_the_list(name: str) -> None:
    assert wrong_way(name, MODULES[name].read_text("utf-8")) == []


@pytest.mark.parametrize("name", MODULES)
def test_heavy_libraries_come_in_by_their_door(name: str) -> None:
    assert wrong_door(name, MODULES[name].read_text("utf-8")) == []


@pytest.mark.parametrize(
    "source",
    [
        "from attrib.cli import main",
        "from attrib import cli",
        "import attrib.render.view",
        "def f():\n    from attrib.records.storage import save",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from attrib.mapping import MAPPERS",
        "class Other:\n    def save(self):\n        from attrib import storage",
        "class Explanation:\n    from attrib import storage",
    ],
)
def test_a_wrong_import_would_be_seen(source: str) -> None:
    assert len(wrong_way("attrib.records.explanation", source)) == 1
    assert wrong_way("attrib.cli", source) == []


def test_the_package_itself_is_no_module_and_only_methods_of_the_record_are_let_through() -> None:
    assert wrong_way("attrib.cli", "import attrib") != []
    method = "class Explanation:\n    def save(self):\n        from attrib import storage"
    assert wrong_way("attrib.records.explanation", method) == []
    assert wrong_way("attrib.models.prompt", method) != []
    assert wrong_way("attrib.mapping.lexical", "from attrib.mapping.reading import Reading\nimport numpy") == []


@pytest.mark.parametrize("library", DOORS)
def test_a_library_by_the_window_would_be_seen(library: str) -> None:
    lazy = f"def f():\n    from {library}.deep import thing"
    assert len(wrong_door("attrib.cli", lazy)) == 1
    assert len(wrong_door("attrib.cli", f"import {library}")) == 1
    assert wrong_door(DOORS[library][0], lazy) == []
    assert len(wrong_door(f"{DOORS[library][0]}ish", lazy)) == 1


HEAVY = ("torch", "transformers", "matplotlib", "transformer_lens", "sentence_transformers", "peft", "scipy", "sklearn")


def loaded(program: str) -> set[str]:
    """Which of HEAVY a new interpreter holds after ``program``."""
    tail = f"\nimport sys\nprint('loaded', *(name for name in {HEAVY!r} if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", program + tail], capture_output=True, text=True, cwd=ROOT, check=True)
    return set(done.stdout.splitlines()[-1].split()[1:])


def test_importing_the_package_and_asking_for_help_load_nothing_heavy() -> None:
    ask = """
import sys
from attrib.cli import main
sys.argv = ["attrib", "--help"]
try:
    main()
except SystemExit as stop:
    assert not stop.code, stop.code
"""
    assert loaded("import attrib") == set()
    assert loaded(ask) == set()
    assert loaded("import scipy.stats, attrib") == {"scipy"}


def test_importing_every_module_loads_no_model_library() -> None:
    assert loaded(f"import {', '.join(MODULES)}") <= {"scipy"}
