"""Shapes that annotations say are checked while tests run: of the functions and dataclasses that say some, no others.

Annotations without shapes are mypy's; checked here too they would double the time of all tests. Not covered: variables,
and names that stand for a shape.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import CodeType, ModuleType

SHAPE = re.compile(r"\b(?:Float|Float32|Float64|Int|Int64|Bool|UInt8|Num|Real|Shaped)\[")
CHECKED = "__import__('jaxtyping').jaxtyped(typechecker=__import__('beartype').beartype)"


def says_shapes(node: ast.AST) -> bool:
    """Whether a function's parameters or result, or a dataclass's fields, are annotated with shapes."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        given = node.args
        every = [*given.posonlyargs, *given.args, *given.kwonlyargs]
        found = [one.annotation for one in every] + [node.returns]
    elif isinstance(node, ast.ClassDef):
        if not any("dataclass" in ast.unparse(one) for one in node.decorator_list):
            return False
        found = [one.annotation for one in node.body if isinstance(one, ast.AnnAssign)]
    else:
        return False
    return any(one is not None and SHAPE.search(ast.unparse(one)) for one in found)


def checked(source: str) -> ast.Module:
    """The module with a check around everything that says shapes."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if says_shapes(node):
            check = ast.parse(CHECKED, mode="eval").body
            # Around a class when it is a dataclass already; inside of property, staticmethod and the like.
            place = 0 if isinstance(node, ast.ClassDef) else len(node.decorator_list)
            node.decorator_list.insert(place, check)  # type: ignore[attr-defined]
    return ast.fix_missing_locations(tree)


class _Loader(SourceFileLoader):
    def get_code(self, fullname: str) -> CodeType:
        tree = checked(self.get_data(self.path).decode("utf-8"))
        return compile(tree, self.path, "exec", dont_inherit=True)


class _Finder(MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname.split(".")[0] != "attrib":
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            with open(spec.loader.path, encoding="utf-8") as file:
                if "jaxtyping" in file.read():
                    spec.loader = _Loader(fullname, spec.loader.path)
        return spec


def check_shapes() -> None:
    """From now on, of what is imported from the package; nothing where jaxtyping checks every annotation already."""
    if not any(type(finder).__module__.startswith(("jaxtyping", "tests.shapes")) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())
