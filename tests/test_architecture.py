"""Imports point one way and in no circle, every heavy library has one door, the light parts stay light, files and
functions stay short, and one name means one class.

Not covered: whether a function is too dense to read.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
ORDER = (
    "errors", "options", "progress", "printable", "files", "processes", "measures", "records", "store", "text",
    "corpus", "models", "passes", "attribution", "training", "index", "mapping", "verdict", "explaining", "render",
    "checking", "assess", "calibrating", "server", "cli", "__main__",
)  # fmt: skip
"""A module imports from itself and from those before it."""
ASSESSMENTS = ("attribution", "benchmark", "consistency", "faithfulness", "holdout", "influence")
DOORS = {
    "transformer_lens": ("attrib.models",),
    "sentence_transformers": ("attrib.models.embedder",),
    "matplotlib": (
        "attrib.render.figures",
        "attrib.assess.dots",
        *(f"attrib.assess.{name}.draw" for name in ASSESSMENTS),
    ),
    "mpl_toolkits": ("attrib.render.figures",),
    "peft": ("attrib.training", "attrib.models"),
    "captum": ("attrib.attribution",),
    "datasets": ("attrib.corpus.saved",),
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


def import_graph(sources: Mapping[str, str]) -> dict[str, set[str]]:
    """Module → modules of ``sources`` that it imports, late and for the type checker too."""
    graph = {}
    for name, source in sources.items():
        found = (one for one in imports(source, name) if (name, *one.scope[:1]) != CONVENIENCE or len(one.scope) < 2)
        graph[name] = {one.module for one in found if one.module in sources} - {name}
    return graph


def circles(graph: Mapping[str, set[str]]) -> list[list[str]]:
    """Modules that reach themselves, those of one circle together."""
    reach = {name: set(targets) for name, targets in graph.items()}
    for middle in graph:
        for targets in reach.values():
            if middle in targets:
                targets |= reach[middle]
    found = {tuple(sorted(n for n in graph if n in reach[name] and name in reach[n])) for name in graph}
    return [list(circle) for circle in sorted(found) if circle]


LINES, FUNCTION_LINES, PARAMETERS = 400, 60, 10


def too_long(name: str, source: str) -> list[str]:
    """The module, if it has too many lines, and its functions with too many lines or parameters."""
    found = [name] if source.count("\n") > LINES else []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            given = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            parameters = sum(one.arg not in ("self", "cls") for one in given)
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > FUNCTION_LINES or parameters > PARAMETERS:
                found.append(f"{name}:{node.name}")
    return found


def repeated_classes(sources: Mapping[str, str]) -> set[str]:
    """Names of classes that stand in several modules."""
    places = defaultdict(set)
    for name, source in sources.items():
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.ClassDef):
                places[node.name].add(name)
    return {name for name, modules in places.items() if len(modules) > 1}


def says_what_is_in_and_what_is_not(source: str) -> bool:
    """Whether a package's docstring goes on after its first sentence and says what is not there."""
    text = ast.get_docstring(ast.parse(source)) or ""
    return (
        text.count(".") > 1 and re.search(r"\b(not|no|nothing|none|neither|never|elsewhere)\b", text, re.I) is not None
    )


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
        "def f():\n    from attrib.store import Store",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from attrib.mapping import MAPPERS",
        "class Other:\n    def save(self):\n        from attrib import verdict",
        "class Explanation:\n    from attrib import verdict",
    ],
)
def test_a_wrong_import_would_be_seen(source: str) -> None:
    assert len(wrong_way("attrib.records.explanation", source)) == 1
    assert wrong_way("attrib.cli", source) == []


def test_the_package_itself_is_no_module_and_only_methods_of_the_record_are_let_through() -> None:
    assert wrong_way("attrib.cli", "import attrib") != []
    method = "class Explanation:\n    def save(self):\n        from attrib import verdict"
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


SOURCES = {name: file.read_text("utf-8") for name, file in MODULES.items()}


def test_no_module_imports_itself_by_way_of_others() -> None:
    assert circles(import_graph(SOURCES)) == []


def test_a_circle_would_be_seen_inside_a_package_and_in_late_imports() -> None:
    one = "def f():\n    from attrib.text.words import split"
    other = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import attrib.text.units"
    graph = import_graph({"attrib.text.units": one, "attrib.text.words": other, "attrib.cli": one})
    assert circles(graph) == [["attrib.text.units", "attrib.text.words"]]
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a", "e"}, "e": set()}) == [["a", "b", "c"]]
    assert circles({"a": {"b"}, "b": {"c"}, "c": set()}) == []
    method = "class Explanation:\n    def save(self):\n        from attrib.records import storage"
    back = "from attrib.records.explanation import Explanation"
    assert not circles(import_graph({"attrib.records.explanation": method, "attrib.records.storage": back}))
    assert circles(import_graph({"attrib.records.section": method, "attrib.records.storage": back})) == []
    assert circles(
        import_graph({"attrib.records.storage": back, "attrib.records.explanation": method[:19] + method[42:]})
    )


def test_files_and_functions_are_short() -> None:
    assert [one for name, source in SOURCES.items() for one in too_long(name, source)] == []


def test_a_long_file_a_long_function_and_many_parameters_would_be_seen() -> None:
    assert too_long("a", "\n" * LINES) == []
    assert too_long("a", "\n" * (LINES + 1)) == ["a"]
    for lines, found in ((FUNCTION_LINES, []), (FUNCTION_LINES + 1, ["a:f"])):
        assert too_long("a", "def f():\n" + "    pass\n" * (lines - 1)) == found
        assert too_long("a", "class A:\n    async def f(self):\n" + "        pass\n" * (lines - 1)) == found
    names = ", ".join(f"a{i}" for i in range(PARAMETERS))
    assert too_long("a", f"def f(self, {names}): pass") == []
    assert too_long("a", f"def f(a, *, {names}): pass") == ["a:f"]


def test_a_name_means_one_class() -> None:
    assert repeated_classes(SOURCES) == set()


def test_a_second_class_of_a_name_would_be_seen() -> None:
    inner = "def f():\n    class A: pass"
    assert repeated_classes({"a": "class A: pass", "b": inner, "c": "class B: pass"}) == {"A"}
    assert repeated_classes({"a": "class A: pass\n" + inner}) == set()


def test_every_package_says_what_is_in_and_what_is_not() -> None:
    packages = {name for name, file in MODULES.items() if file.name == "__init__.py"}
    assert [name for name in sorted(packages) if not says_what_is_in_and_what_is_not(SOURCES[name])] == []


def test_a_package_that_does_not_say_so_would_be_seen() -> None:
    assert says_what_is_in_and_what_is_not('"""Forwards and backwards.\n\nNot here: what is made of them."""')
    assert not says_what_is_in_and_what_is_not('"""Not much."""')
    assert not says_what_is_in_and_what_is_not('"""Forwards. Backwards."""')
    assert not says_what_is_in_and_what_is_not("import os")


def test_drawing_one_answer_knows_nothing_of_assessments() -> None:
    sources = {name: source for name, source in SOURCES.items() if name.startswith("attrib.render")}
    found = {one.module for name, source in sources.items() for one in imports(source, name)}
    assert not [module for module in found if module.startswith("attrib.assess")]
    assert wrong_way("attrib.render.latex", "def f():\n    from attrib.assess.dots import figure") != []


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


def test_the_slowest_files_of_tests_are_there() -> None:
    from tests.conftest import SLOWEST

    assert [name for name in SLOWEST if not (ROOT / "tests" / f"{name}.py").is_file()] == []
