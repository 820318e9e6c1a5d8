"""Pages about the code name files, modules and attributes that exist.

Not covered: the recipes' own new files (``test_recipes``).
"""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

from tests.docs.pages import ROOT, anchors, commands, inline_code, links, name_of
from tests.docs.test_docs_pages import unknown
from tests.test_architecture import ORDER

ARCHITECTURE = ROOT / "docs" / "architecture.md"
PAGES = (ROOT / "CONTRIBUTING.md", ARCHITECTURE)
PATH = re.compile(r"\.?[\w-]+(/[\w.*-]*)+|[\w-]+\.(md|toml|txt)")
DOTTED = re.compile(r"attrib(\.\w+)+")


def absent(code: str) -> str | None:
    """A path or dotted name that does not exist; None for everything else."""
    if PATH.fullmatch(code) and "://" not in code:
        there = any(ROOT.glob(code.rstrip("/"))) if "*" in code else (ROOT / code).exists()
        return None if there else f"{code}: no such file"
    if DOTTED.fullmatch(code):
        return None if resolves(code) else f"{code}: no such name"
    return None


def resolves(name: str) -> bool:
    """Whether ``name`` is a module, or an attribute of one."""
    parts = name.split(".")
    for depth in range(len(parts), 0, -1):
        try:
            found: object = importlib.import_module(".".join(parts[:depth]))
        except ModuleNotFoundError:
            continue
        return all((found := getattr(found, part, None)) is not None for part in parts[depth:])
    return False


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_paths_and_names_exist(page: Path) -> None:
    codes = inline_code(page)
    assert [fault for code in codes if (fault := absent(code))] == []
    assert sum(bool(PATH.fullmatch(code)) for code in codes) >= 10


def test_a_path_or_name_that_does_not_exist_would_be_seen() -> None:
    for code in (
        "attrib/explain.py",
        "attrib/mappers/",
        "attrib.mapping.nonsense",
        "attrib.render.no.page",
        ".ci/no.sh",
    ):
        assert absent(code), code
    for code in (
        "attrib/explaining.py",
        "attrib/mapping/",
        "attrib.records.Explanation.save",
        "figures/*.json",
        "answer",
    ):
        assert absent(code) is None, code


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_options_and_links_lead_somewhere(page: Path) -> None:
    said = [*inline_code(page), *(command.text for command in commands(page))]
    assert [fault for code in said if (fault := unknown(code))] == []
    for target in links(page):
        file, _, anchor = target.partition("#")
        where = page.parent / file if file else page
        assert where.exists(), target
        assert not anchor or anchor in anchors(where), target


def test_the_rooms_stand_in_the_order_of_imports() -> None:
    table = ARCHITECTURE.read_text("utf-8").split("\n## Rooms\n")[1].split("\n## ")[0]
    firsts = [row.split("|")[1] for row in table.split("\n") if row.startswith("| `")]
    rooms = re.findall(r"`attrib/(\w+)(?:\.py|/)`", " ".join(firsts))
    assert rooms == [name for name in ORDER if name != "__main__"]
