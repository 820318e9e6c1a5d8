"""Shapes of annotations are checked, of every function and dataclass that says some."""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import jaxtyping
import numpy as np
import pytest

from tests.shapes import SHAPE, checked

SOURCE = """
from __future__ import annotations
from dataclasses import dataclass
import numpy as np
from jaxtyping import Float

def both(x: Float[np.ndarray, "a b"], y: Float[np.ndarray, "b"]) -> Float[np.ndarray, "a"]:
    return x @ y

def result(x: np.ndarray) -> Float[np.ndarray, "a b"]:
    return x

def plain(x: int) -> str:
    return x

def outer() -> object:
    def inner(x: Float[np.ndarray, "a"]) -> None: ...
    return inner

@dataclass(frozen=True, eq=False)
class Record:
    x: Float[np.ndarray, "a"]
    y: Float[np.ndarray, "a b"]

    @property
    def double(self) -> Float[np.ndarray, "a"]:
        return 2 * self.y

class Other:
    z: Float[np.ndarray, "a"]
"""


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Any:
    module = ModuleType("made")
    monkeypatch.setitem(sys.modules, "made", module)
    exec(compile(checked(SOURCE), "made.py", "exec", dont_inherit=True), module.__dict__)
    return module


def test_a_wrong_shape_is_refused_and_a_right_one_is_not(made: Any) -> None:
    matrix, row = np.zeros((2, 3)), np.zeros(3)
    assert made.both(matrix, row).shape == (2,)
    assert made.result(matrix) is matrix
    record = made.Record(np.zeros(2), matrix)
    for call in (
        lambda: made.both(matrix, np.zeros(2)),
        lambda: made.both(row, row),
        lambda: made.both(matrix, np.zeros(3, int)),
        lambda: made.result(row),
        lambda: made.outer()(matrix),
        lambda: made.Record(row, matrix),
        lambda: record.double,
    ):
        with pytest.raises(jaxtyping.TypeCheckError):
            call()
    assert made.plain("no number") == "no number"


def test_modules_of_the_package_are_checked() -> None:
    from attrib.records import Capture

    right = {"logprob": np.zeros(3), "rank": np.zeros(3, int), "entropy": np.zeros(3)}
    Capture(**right)
    with pytest.raises(jaxtyping.TypeCheckError):
        Capture(**right | {"entropy": np.zeros((3, 1))})


def test_every_kind_of_shape_is_known_and_no_name_stands_for_one() -> None:
    """What is imported from jaxtyping stands in annotations alone, where it is seen."""
    for file in (Path(__file__).parents[1] / "attrib").rglob("*.py"):
        tree = ast.parse(file.read_text("utf-8"))
        names = {
            alias.asname or alias.name
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom) and node.module == "jaxtyping"
            for alias in node.names
        } - {"AbstractArray"}
        assert [name for name in names if not SHAPE.search(f"{name}[")] == [], file
        for node in ast.walk(tree):
            if isinstance(node, ast.Assign):
                assert not SHAPE.search(ast.unparse(node.value)), f"{file}:{node.lineno}"
