"""Write docs/reference.md from signatures, docstrings and the command line's own help.

    python scripts/make_reference.py [--out docs/reference.md] [--check]

``--check`` writes nothing and ends with status 1 where the file is not what it would write. Sources are read, the
command line is imported and asked for its options: no model library is imported. Not covered: names that begin with an
underscore.
"""

from __future__ import annotations

import argparse
import ast
import inspect
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin, get_type_hints

if TYPE_CHECKING:
    from attrib.options.fields import Option
    from attrib.records.kind import ScoreKind

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
HEAD = """# Reference

Made from docstrings and signatures by `python scripts/make_reference.py`; `make docs` makes it again. What the scores
claim: [concepts](concepts.md). How to use them: [how-to](howto.md).

- [Python](#python): [functions and classes](#functions-and-classes), [records](#records), [methods](#methods),
  [mappers](#mappers), [figures](#figures)
- [Command line](#command-line)
"""
RECORDS = "attrib.records"
FIGURES = "attrib.render.figures"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "reference.md")
    parser.add_argument("--check", action="store_true", help="write nothing; status 1 where the file is out of date")
    arguments = parser.parse_args()
    text = reference()
    if not arguments.check:
        arguments.out.write_text(text, "utf-8")
    elif not arguments.out.is_file() or arguments.out.read_text("utf-8") != text:
        sys.exit(f"{arguments.out}: out of date; run: make docs")


def reference() -> str:
    """The whole page."""
    import attrib
    from attrib import records
    from attrib.attribution import METHODS
    from attrib.mapping import NAMES, mapper_kind

    parts = [HEAD, "## Python\n", "### Functions and classes\n"]
    for name in sorted(attrib._WHERE):
        if attrib._WHERE[name] != RECORDS:
            parts += described(definition(attrib._WHERE[name], name), f"attrib.{name}")
    parts += ["### Errors\n"]
    for name in sorted(set(attrib.__all__) - set(attrib._WHERE)):
        parts += described(definition("attrib.errors", name), f"attrib.{name}")
    parts += ["### Records\n", f"{docstring(tree(RECORDS))}\n"]
    for name in records.__all__:
        if inspect.isclass(getattr(records, name)):
            parts += described(definition(RECORDS, name), f"{RECORDS}.{name}")
    parts += ["### Methods\n", table({name: method.kind for name, method in METHODS.items()})]
    parts += ["### Mappers\n", table({name: mapper_kind(name) for name in NAMES})]
    parts += ["### Figures\n", f"{docstring(tree(FIGURES))}\n"]
    for name in public(FIGURES):
        parts += described(definition(FIGURES, name), f"{FIGURES}.{name}")
    parts += ["## Command line\n", *command_line()]
    return "\n".join(parts)


@cache
def tree(module: str) -> ast.Module:
    path = ROOT.joinpath(*module.split("."))
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return ast.parse(file.read_text("utf-8"))


def definition(module: str, name: str) -> ast.FunctionDef | ast.ClassDef | ast.Assign:
    """Where ``module`` has ``name`` from: its own definition, or the one that it imports."""
    for node in tree(module).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == name:
            return node
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name:
            return node
        if isinstance(node, ast.ImportFrom) and any((alias.asname or alias.name) == name for alias in node.names):
            return definition(str(node.module), next(a.name for a in node.names if (a.asname or a.name) == name))
    raise LookupError(f"{module} has no {name}")


def public(module: str) -> list[str]:
    """Functions and classes without an underscore, its own and those in its __all__, as they stand there."""
    names: list[str] = []
    for node in tree(module).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            names.append(node.name)
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            names += [name for name in ast.literal_eval(node.value) if not name.isupper()]
    return list(dict.fromkeys(names))


def described(node: ast.FunctionDef | ast.ClassDef | ast.Assign, title: str) -> list[str]:
    """Heading, signature, docstring, and for a class its fields, properties and methods; nothing for an alias."""
    if isinstance(node, ast.Assign):
        return []
    if isinstance(node, ast.FunctionDef):
        return [f"#### `{title}`\n", f"```text\n{signature(node)}\n```\n", f"{docstring(node)}\n"]
    parts = [f"#### `{title}`\n", *([f"{text}\n"] if (text := docstring(node)) else [])]
    fields = [f"- `{name}: {kind}`{default}{after(said)}" for name, kind, default, said in fields_of(node)]
    if fields:
        parts += ["\n".join(fields) + "\n"]
    for child in node.body:
        if not isinstance(child, ast.FunctionDef) or child.name.startswith("_"):
            continue
        said = f"\n\n{indented(docstring(child))}" if docstring(child) else ""
        if is_property(child):
            parts.append(f"- `.{child.name}: {ast.unparse(child.returns) if child.returns else ''}`{said}\n")
        else:
            parts.append(f"- `.{flat(signature(child, bound=True))}`{said}\n")
    return parts


def fields_of(node: ast.ClassDef) -> Iterator[tuple[str, str, str, str]]:
    """Name, type, default and docstring of a dataclass's fields."""
    for at, child in enumerate(node.body):
        if not isinstance(child, ast.AnnAssign) or not isinstance(child.target, ast.Name):
            continue
        text = ""
        following = node.body[at + 1] if at + 1 < len(node.body) else None
        if isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant):
            text = cleaned(str(following.value.value))
        value = child.value
        if isinstance(value, ast.Call) and ast.unparse(value.func) in ("everyday", "bounded", "internal"):
            value = value.args[0]
        default = f" = `{ast.unparse(value)}`" if value is not None else ""
        if not child.target.id.startswith("_"):
            yield child.target.id, ast.unparse(child.annotation), default, text


def signature(node: ast.FunctionDef, *, bound: bool = False) -> str:
    """``name(a: int, *, b: str = 'c') -> float``, over several lines where it is long; without self where bound."""
    arguments = node.args
    if bound and arguments.args and arguments.args[0].arg in ("self", "cls"):
        arguments = ast.arguments(
            arguments.posonlyargs, arguments.args[1:], arguments.vararg, arguments.kwonlyargs, arguments.kw_defaults,
            arguments.kwarg, arguments.defaults,
        )  # fmt: skip
    returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    line = f"{node.name}({ast.unparse(arguments)}){returns}"
    if len(line) <= 100:
        return line
    parts = re.split(r", (?=[^\[\]()]*(?:[\[(][^\[\]()]*[\])][^\[\]()]*)*$)", ast.unparse(arguments))
    return f"{node.name}(\n" + "".join(f"    {part},\n" for part in parts) + f"){returns}"


def is_property(node: ast.FunctionDef) -> bool:
    return any(ast.unparse(one) in ("property", "cached_property") for one in node.decorator_list)


def docstring(node: ast.Module | ast.FunctionDef | ast.ClassDef) -> str:
    return cleaned(ast.get_docstring(node) or "")


def cleaned(text: str) -> str:
    """A docstring as Markdown: code in single backticks, examples fenced."""
    text = re.sub(r"``(.+?)``", r"`\1`", inspect.cleandoc(text))
    return re.sub(r"(?m)(?:^>>> .*\n?)(?:^(?!\n).+\n?)*", _fenced, text)


def _fenced(example: re.Match[str]) -> str:
    lines = [re.sub(r"\s+# doctest:.*", "", line) for line in example.group().rstrip("\n").split("\n")]
    return "\n".join(["```text", *lines, "```"])


def after(text: str) -> str:
    return f": {' '.join(text.split())}" if text else ""


def indented(text: str) -> str:
    return "\n".join(f"  {line}" if line else "" for line in text.split("\n"))


def flat(text: str) -> str:
    return " ".join(text.split()).replace("( ", "(").replace(",)", ")")


def table(kinds: Mapping[str, ScoreKind]) -> str:
    """By name: what a score is, whether it has a sign, and what must be said beside it."""
    rows = ["| name | a score is | signed | what it does not say |", "|---|---|---|---|"]
    for name, kind in kinds.items():
        filled = kind.of_target("target")
        rows.append(f"| `{name}` | {filled.meaning} | {'yes' if kind.signed else 'no'} | {kind.caveat} |")
    return "\n".join(rows) + "\n"


@dataclass(frozen=True)
class Parameter:
    """An argument or option of a command."""

    name: str
    option: bool
    kind: Any
    default: object
    """``inspect.Parameter.empty`` where it must be given."""
    help: str

    @property
    def row(self) -> str:
        plain = next((kind for kind in get_args(self.kind) if kind is not type(None)), self.kind)
        choices = get_args(self.kind) if get_origin(self.kind) is Literal else ()
        name = f"`{self.name}`" + (": " + ", ".join(map(str, choices)) if choices else "")
        if plain is not bool and self.option and not choices:
            name += f" {getattr(plain, '__name__', 'list')}"
        required = self.default is inspect.Parameter.empty
        default = "required" if required else "" if self.default in (None, False, "") else f"`{self.default}`"
        return f"| {name} | {default} | {self.help} |"


@dataclass(frozen=True)
class Command:
    """One command of the command line."""

    path: tuple[str, ...]
    help: str
    example: str
    parameters: tuple[Parameter, ...]
    keys: tuple[Option, ...]
    """Options without a flag, set by ``-o KEY=VALUE`` or in a file."""


def commands() -> list[Command]:
    """Every command, as the command line's own declarations have it."""
    from attrib.cli import app

    return list(_commands(app, ("attrib",)))


def _commands(app: Any, path: tuple[str, ...]) -> Iterator[Command]:
    for one in app.registered_commands:
        name = one.name or one.callback.__name__.replace("_", "-")
        example = (one.epilog or "").removeprefix("Example: ")
        keys = tuple(option for option in one.cls.options.values() if not option.flag)
        parameters = tuple(_parameters(one.callback))
        yield Command((*path, name), inspect.getdoc(one.callback) or "", example, parameters, keys)
    for group in app.registered_groups:
        yield from _commands(group.typer_instance, (*path, group.name))


def _parameters(callback: Callable[..., object]) -> Iterator[Parameter]:
    from typer.models import OptionInfo

    for name, annotation in get_type_hints(callback, include_extras=True).items():
        if name in ("return", "ctx"):
            continue
        kind, info = get_args(annotation)
        # What stands first in an annotation's Option(...) is taken for a default there, and for a name here.
        declared = [one for one in (info.default, *(info.param_decls or ())) if str(one).startswith("-")]
        option = isinstance(info, OptionInfo)
        shown = (declared or [f"--{name.replace('_', '-')}"])[0] if option else name.upper()
        yield Parameter(shown, option, kind, inspect.signature(callback).parameters[name].default, info.help or "")


def code(text: str) -> str:
    return f"`{text}`" if text else ""


def command_line() -> Iterator[str]:
    """Every command with its arguments and options."""
    yield "Exit status: 0 done, 2 something of yours to mend (one line says what), 1 else.\n"
    for command in commands():
        line = [*command.path, *(one.name for one in command.parameters if not one.option), "[OPTIONS]"]
        yield f"### `{' '.join(command.path)}`\n"
        yield f"{command.help}\n"
        yield f"```text\n{' '.join(line)}\n```\n"
        yield "\n".join(["| | default | meaning |", "|---|---|---|", *(one.row for one in command.parameters)]) + "\n"
        if command.keys:
            rows = [
                f"| `{one.key}` | {f'`{one.shown}`' if one.shown else ''} | {one.meaning} |" for one in command.keys
            ]
            yield "\n".join(["| `-o KEY=VALUE` | default | meaning |", "|---|---|---|", *rows]) + "\n"
        if command.example:
            yield f"Example: `{command.example}`\n"


if __name__ == "__main__":
    main()
