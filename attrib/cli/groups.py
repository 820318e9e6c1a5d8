"""Option dataclasses → the flags, panels, keys and file of options of a command.

A command's function takes dataclasses. Their everyday fields become flags under the headings of the help; every field
is also a key for ``-o KEY=VALUE`` and for the tables of ``--options FILE``. Not covered: what the options mean
(``attrib.options``).
"""

from __future__ import annotations

import inspect
import tomllib
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, dataclass, is_dataclass
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import typer
from typer.core import TyperCommand

from attrib.cli.moved import MOVED
from attrib.errors import InputError
from attrib.options.fields import Option, everyday, find, options_of, parse, with_values, written
from attrib.options.figures import FigureOptions

LAST = "Run"
"""The panel that stands at the end."""


class Given(dict[str, str]):
    """Keys of the options that the caller set → how they are typed: a flag, or the key."""


@dataclass(frozen=True)
class Output:
    """Where an explanation's files go."""

    out: Path | None = everyday(None, "Output")
    """Folder for the record, figures and captions."""
    formats: tuple[str, ...] = everyday(("pdf", "svg", "png", "html"), "Output", flag="--format")
    """Formats, comma-separated: html (the page), pdf, svg and png (figures with caption, LaTeX snippet and numbers)."""


@dataclass(frozen=True)
class Results:
    """Where an assessment's files go."""

    out: Path = everyday(MISSING, "Output")
    """Folder for results; finished work in it is reused."""
    formats: tuple[str, ...] = everyday(("pdf", "png"), "Output", flag="--format")
    """Figure formats, comma-separated: pdf, svg, png; caption, LaTeX snippet and numbers (CSV) come with them."""
    preset: str = everyday(FigureOptions.preset, "Output")
    """Column width: neurips-double, icml-single, acl-double, nature-single and others."""


@dataclass(frozen=True)
class OptionalResults(Results):
    """The same, where nothing is kept without a folder."""

    out: Path | None = everyday(None, "Output")  # type: ignore[assignment]
    """Folder for table, figure and finished questions, which are reused."""


Json = Annotated[
    bool,
    typer.Option("--json", help="Print one JSON object and nothing else on stdout.", rich_help_panel="Output"),
]
RecordFile = Annotated[Path, typer.Argument(help="Record written by attrib explain --out.")]
DocumentsFolder = Annotated[Path, typer.Argument(help="Folder or file of documents, or hf://OWNER/NAME:SPLIT.")]
Budget = Annotated[
    float,
    typer.Option(
        min=0.1, help="Largest page in MB; beyond it detail is dropped, as the page says.", rich_help_panel="Output"
    ),
]


class GroupedCommand(TyperCommand):
    """A command whose help lists its options by panel, and whose old flags name the new ones."""

    options: Mapping[str, Option] = {}

    def format_options(self, ctx: Any, formatter: Any) -> None:
        panels: dict[str, list[tuple[str, str]]] = defaultdict(list)
        for parameter in self.get_params(ctx):
            if (row := parameter.get_help_record(ctx)) is None:
                continue
            is_argument = parameter.param_type_name == "argument"
            panels["Arguments" if is_argument else getattr(parameter, "rich_help_panel", None) or LAST].append(row)
        for title, rows in sorted(panels.items(), key=lambda panel: panel[0] == LAST):
            with formatter.section(title):
                formatter.write_dl(rows)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except Exception as error:
            old = getattr(error, "option_name", None)
            if (new := self._moved(old)) is None:
                raise
            raise InputError(f"{old}: {new}") from None

    def _moved(self, old: str | None) -> str | None:
        """Replacement of an old flag in this command."""
        key, example = MOVED.get(old or "", ("", ""))
        name = key.partition(".")[2]
        # Commands keep some options in groups of their own.
        mine = [one for one in self.options.values() if one.key == key or one.name == name]
        if not mine:
            return None
        new = min(mine, key=lambda one: (one.key != key, bool(one.flag)))
        return _spelled(new, example)


def command(app: typer.Typer, name: str | None = None, *, example: str) -> Callable[[Callable[..., None]], Any]:
    """Make a function a command of ``app``; parameters that are option dataclasses become flags and keys."""

    def register(function: Callable[..., None]) -> Callable[..., None]:
        run, options = flat(function)
        cls = type("Command", (GroupedCommand,), {"options": options})
        app.command(name, cls=cls, epilog=f"Example: {example}")(run)
        return function

    return register


def flat(function: Callable[..., None]) -> tuple[Callable[..., None], dict[str, Option]]:
    """The function as Typer reads it, and every option by its key: an everyday one is a parameter of its own."""
    hints = get_type_hints(function, include_extras=True)
    parameters: list[inspect.Parameter] = []
    groups: dict[str, Any] = {}
    options: dict[str, Option] = {}
    flags: dict[str, Option] = {}
    wants_given = [name for name, hint in hints.items() if hint is Given]
    for parameter in inspect.signature(function).parameters.values():
        hint = hints[parameter.name]
        if is_dataclass(hint):
            group = hint if parameter.default is inspect.Parameter.empty else parameter.default
            groups[parameter.name] = group
            for option in options_of(group, parameter.name):
                options[option.key] = option
                if option.flag:
                    flags[parameter_name(option)] = option
                    parameters.append(_parameter(parameter_name(option), option))
        elif hint is not Given:
            parameters.append(parameter.replace(annotation=hint, kind=inspect.Parameter.KEYWORD_ONLY))
    if options:
        parameters += _of_keys()

    def run(ctx: Any, **given: Any) -> None:
        keys = _read_keys(given.pop("settings", None), options)
        values = _read_file(given.pop("options_file", None), options) | keys
        for name, option in flags.items():
            value = given.pop(name)
            source = ctx.get_parameter_source(name)
            if source is None or source.name in ("DEFAULT", "DEFAULT_MAP"):
                continue
            if option.key in keys:
                raise InputError(f"{option.flag} and -o {option.key}: both set the same option; leave one out")
            values[option.key] = parse(value, option, option.flag) if isinstance(value, str) else value
        for name, group in groups.items():
            given[name] = _built(name, group, values, options)
        spelled = Given({key: options[key].flag or key for key in values})
        given |= dict.fromkeys(wants_given, spelled)
        function(**given)

    context = inspect.Parameter("ctx", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)
    run.__signature__ = inspect.Signature([context, *parameters])  # type: ignore[attr-defined]
    run.__annotations__ = {one.name: one.annotation for one in (context, *parameters)}
    run.__name__, run.__doc__ = function.__name__, function.__doc__
    return run, options


def parameter_name(option: Option) -> str:
    """Name of the flag's parameter."""
    return option.key.replace(".", "_")


def _parameter(name: str, option: Option) -> inspect.Parameter:
    """The flag of an everyday option; what is neither number, path nor choice is read as text."""
    kind, default = option.kind, option.default
    plain = [one for one in get_args(kind) if one is not NoneType] if NoneType in get_args(kind) else [kind]
    native = len(plain) == 1 and (plain[0] in (int, float, bool, str, Path) or get_origin(plain[0]) is Literal)
    if not native:
        kind, default = str if default is not None else str | None, None if default is None else option.shown
    info = typer.Option(option.flag, help=option.meaning, rich_help_panel=option.panel, min=option.low, max=option.high)
    empty = inspect.Parameter.empty
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        default=empty if default is MISSING else default,
        annotation=Annotated[kind, info],
    )


def _of_keys() -> Iterator[inspect.Parameter]:
    file = typer.Option(
        "--options", help="TOML file of options by group and name; flags and -o override it.", rich_help_panel=LAST
    )
    key = typer.Option(
        "-o", metavar="KEY=VALUE", help="Any option by its key, such as prompt.unit=token; repeatable.",
        rich_help_panel=LAST,
    )  # fmt: skip
    kind = inspect.Parameter.KEYWORD_ONLY
    yield inspect.Parameter("options_file", kind, default=None, annotation=Annotated[Path | None, file])
    yield inspect.Parameter("settings", kind, default=None, annotation=Annotated[list[str] | None, key])


def _read_keys(settings: list[str] | None, options: Mapping[str, Option]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for setting in settings or ():
        key, equals, text = setting.partition("=")
        if not key.strip():
            raise InputError(f"-o {setting}: no key; write -o KEY=VALUE, such as -o prompt.unit=token")
        option = _found(key.strip(), options)
        if not equals:
            raise InputError(f"{option.key}: no value; write -o {option.key}=VALUE")
        if option.key in values:
            raise InputError(f"-o {option.key}: given twice; leave one out")
        values[option.key] = parse(text, option)
    return values


def _found(key: str, options: Mapping[str, Option]) -> Option:
    """The option of a key; an old key is an error that names the new one."""
    new, example = MOVED.get(key, ("", ""))
    if new in options:
        raise InputError(f"{key}: {_spelled(options[new], example)}")
    return find(key, options)


def _spelled(new: Option, example: str) -> str:
    """The option that takes the place of an old one, as it is typed."""
    return f"now {new.flag} {example}" if new.flag else f"now -o {new.key}={example}"


def _read_file(path: Path | None, options: Mapping[str, Option]) -> dict[str, Any]:
    """Values of a TOML file by key; a list's parts are read as on the command line. Errors name the file."""
    if path is None:
        return {}
    try:
        tables = tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as TOML ({error}); write tables such as [prompt]") from error
    values: dict[str, Any] = {}
    for group, table in tables.items():
        if not isinstance(table, dict):
            raise InputError(f"{path}: {group} stands in no table; write it below one such as [prompt]")
        for name, value in table.items():
            try:
                option = _found(f"{group}.{name}", options)
                values[option.key] = parse(written(value), option)
            except InputError as error:
                raise InputError(f"{path}: {error}") from error
    return values


def _built(name: str, group: Any, values: Mapping[str, object], options: Mapping[str, Option]) -> Any:
    """The group's dataclass with the values that were given."""
    mine = {option.key: option.path for option in options_of(group, name)}
    chosen = {path: values[key] for key, path in mine.items() if key in values}
    if isinstance(group, type):
        above = {path[0]: value for path, value in chosen.items() if len(path) == 1}
        below = {path: value for path, value in chosen.items() if len(path) > 1}
        return with_values(group(**above), below)
    return with_values(group, chosen)
