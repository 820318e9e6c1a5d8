"""The pages agree with the code and with each other: reference, options named in sentences, links, stored figures."""

from __future__ import annotations

import csv
import importlib.util
import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from types import ModuleType

import pytest

import attrib
from attrib.attribution import METHODS
from attrib.mapping import NAMES
from tests.docs.pages import (
    PAGES,
    ROOT,
    Block,
    anchors,
    blocks,
    commands,
    inline_code,
    links,
    name_of,
    prose,
)

ELSEWHERE = {"--nnodes", "--rdzv-endpoint", "--standalone"}
"""Options of other programs that the pages name."""


def load(script: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(script, ROOT / "scripts" / f"{script}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[script] = module
    spec.loader.exec_module(module)
    return module


MAKER = load("make_reference")
COMMANDS = {command.path[1:]: {one.name for one in command.parameters} for command in MAKER.commands()}
KEYS = {command.path[1:]: {one.key for one in command.keys} for command in MAKER.commands()}
SCRIPTS = "\n".join(file.read_text("utf-8") for file in (ROOT / "scripts").rglob("*.py"))
TARGETS = set(re.findall(r"(?m)^([\w-]+):", (ROOT / "Makefile").read_text("utf-8")))


def unknown(code: str) -> str | None:
    """What a piece of code in a sentence names that does not exist; None for all that is no command."""
    words = code.split()
    options = {word.split("=")[0] for word in words if re.fullmatch(r"--[a-z][\w-]*(=.*)?", word)}
    keys = {word.split("=")[0] for flag, word in pairwise(words) if flag == "-o" and word != "KEY=VALUE"}
    if words[0] == "-o":
        missing = keys - set().union(*KEYS.values())
        return f"{code}: no key {missing}" if missing else None
    if words[0] == "attrib" and words[1:] not in ([], ["--help"]):
        path = next((path for path in COMMANDS if tuple(words[1 : 1 + len(path)]) == path), None)
        if path is not None:
            missing = (options | keys) - COMMANDS[path] - KEYS[path] - {"--help"}
            return f"{code}: no option {missing}" if missing else None
        groups = {path[:1] for path in COMMANDS if len(path) > 1}
        return None if tuple(words[1:2]) in groups and len(words) == 2 else f"{code}: no such command"
    if words[0] == "make" and len(words) == 2:
        return None if words[1] in TARGETS else f"{code}: no such target"
    if words[0] == "python" and words[1].startswith("scripts/"):
        if not (ROOT / words[1]).is_file():
            return f"{code}: no such script"
        missing = {option for option in options if f'"{option}"' not in (ROOT / words[1]).read_text("utf-8")}
        return f"{code}: no option {missing}" if missing else None
    if words[0].startswith("--"):
        known = set().union(*COMMANDS.values()) | ELSEWHERE
        missing = {option for option in options if option not in known and f'"{option}"' not in SCRIPTS}
        return f"{code}: no option {missing}" if missing else None
    return None


def test_the_reference_is_what_the_sources_say() -> None:
    assert (ROOT / "docs" / "reference.md").read_text("utf-8") == MAKER.reference(), "out of date; run: make docs"


def test_the_reference_has_every_public_name_record_method_mapper_and_command() -> None:
    text = MAKER.reference()
    for name in attrib.__all__:
        assert f"#### `attrib.{name}`" in text or f"#### `attrib.records.{name}`" in text, name
    for name in (*METHODS, *NAMES):
        assert f"| `{name}` |" in text, name
    for path, options in COMMANDS.items():
        part = text.split(f"### `attrib {' '.join(path)}`\n")[1].split("\n### ")[0]
        assert all(f"| `{option}`" in part for option in options), path
    assert "Residual stream after the chosen layers." in text
    assert "``" not in text.replace("```", "")


def test_an_old_reference_is_told_and_made_again(tmp_path: Path) -> None:
    file = tmp_path / "reference.md"
    file.write_text("old", "utf-8")
    program = [sys.executable, str(ROOT / "scripts" / "make_reference.py"), "--out", str(file)]
    told = subprocess.run([*program, "--check"], capture_output=True, text=True)
    assert told.returncode == 1
    assert "run: make docs" in told.stderr
    assert file.read_text("utf-8") == "old"
    subprocess.run(program, check=True)
    assert subprocess.run([*program, "--check"]).returncode == 0


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_and_options_in_sentences_exist(page: Path) -> None:
    assert [said for code in inline_code(page) if code.strip() and (said := unknown(code))] == []


def test_a_name_that_does_not_exist_would_be_seen() -> None:
    for code in (
        "attrib explode", "attrib show --tp 3", "make nonsense", "--nonsense", "python scripts/no.py",
        "python scripts/make_reference.py --chek", "attrib assess nothing", "-o prompt.units=token",
        "attrib sections DOCS -o prompt.unit=token",
    ):  # fmt: skip
        assert unknown(code), code
    for code in (
        "attrib explain --index", "attrib assess", "make docs", "--candidates", "python scripts/train_demo.py",
        "-o prompt.unit=token", "attrib explain QUESTION -o prompt.unit=token",
    ):  # fmt: skip
        assert unknown(code) is None, code


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    for target in links(page):
        file, _, anchor = target.partition("#")
        where = page.parent / file if file else page
        assert where.exists(), target
        assert not anchor or where.suffix != ".md" or anchor in anchors(where), target


def test_the_index_leads_to_every_page() -> None:
    index = ROOT / "docs" / "index.md"
    pages = {file.name for file in (ROOT / "docs").iterdir() if file.suffix in (".md", ".ipynb")} - {"index.md"}
    assert pages <= set(links(index))
    assert "docs/index.md" in links(ROOT / "README.md")


def test_the_retraining_figures_of_the_concepts_are_the_stored_ones() -> None:
    rows = list(csv.DictReader((ROOT / "figures" / "influence.csv").read_text("utf-8").splitlines()))
    stored = {(row["scorer"], row["metric"], row["kind"]): float(row["value"]) for row in rows}
    said = 0
    for line in (ROOT / "docs" / "concepts.md").read_text("utf-8").split("\n"):
        row = re.match(r"\| \*\*(\w+)\*\*.* R: (.*) \|$", line)
        if row is None:
            continue
        for what, metric in (("r", "pearson"), ("LDS", "LDS"), ("decoys", "decoys")):
            number = re.search(rf"\b{what} ([−.\d]+\d)", row[2])
            if number is None:
                continue
            value = stored[{"hidden": "hidden (tuned)"}.get(row[1], row[1]), metric, "trained"]
            assert float(number[1].replace("−", "-")) == pytest.approx(value, abs=0.0051), (row[1], number[0])
            said += 1
    assert said >= 16


def test_blocks_are_told_apart(tmp_path: Path) -> None:
    page = ROOT / "README.md"
    assert {block.language for block in blocks(page)} >= {"", "python"}
    assert "make demo" in [command.text for command in commands(page)]
    assert "make demo" not in prose(page)
    made = ROOT / "docs" / "index.md"
    assert blocks(made)[0] == Block(
        "docs/index.md", blocks(made)[0].line, "", tuple(command.text for command in commands(made))
    )
