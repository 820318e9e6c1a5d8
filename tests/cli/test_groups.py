"""Option dataclasses as flags, panels, keys and a file: one definition, one default, and errors that name the mend."""

from __future__ import annotations

import ast
import json
import re
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import pytest
import typer
from typer.testing import CliRunner

from attrib import cli
from attrib.attribution import METHODS
from attrib.cli.groups import Given, command, flat
from attrib.cli.moved import MOVED
from attrib.errors import InputError
from attrib.mapping import NAMES
from attrib.options.explain import ExplainedAnswer, ExplainOptions
from attrib.options.fields import bounded, everyday, internal, options_of, parse, with_values, written
from attrib.options.loading import Models

ROOT = Path(__file__).parents[2]
SHORT = 80


@dataclass(frozen=True)
class Inner:
    """Inside another."""

    steps: int | Literal["auto"] = "auto"
    """Points."""
    share: float = bounded(0.5, low=0, high=1)
    """Share of something."""


@dataclass(frozen=True)
class Outer:
    """The group."""

    name: str | None = everyday(None, "Names")
    """Name of it."""
    kinds: tuple[str, ...] = everyday(("a", "b"), "Names", flag="--kind")
    """Kinds, comma-separated."""
    layers: tuple[int, ...] | None = None
    """Layers; none takes all."""
    inner: Inner = field(default_factory=Inner)
    quick: bool = False
    """Be quick."""
    seed: int = internal(3)
    """Not for keys."""


def asked(*words: str, preset: Outer | None = None) -> tuple[Outer, dict[str, str]]:
    """What a command gets for these words."""
    got: list[Any] = []
    app = typer.Typer()
    default = preset or Outer()

    def run(outer: Outer = default, given: Given = Given()) -> None:  # noqa: B008
        """A command."""
        got.extend([outer, given])

    command(app, "run", example="none")(run)
    result = CliRunner().invoke(app, list(words))
    if result.exception is not None and isinstance(result.exception, InputError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return got[0], dict(got[1])


def refused(*words: str) -> str:
    with pytest.raises(InputError) as caught:
        asked(*words)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_flags_keys_and_file_set_the_same_options_and_the_later_hold(tmp_path: Path) -> None:
    assert asked() == (Outer(), {})
    file = tmp_path / "options.toml"
    outer = '[outer]\nname = "x, y"\nkinds = ["c", "d"]\nlayers = [1, 2]\nquick = true\n'
    file.write_text(f"{outer}[inner]\nshare = 0.25\n")
    whole = Outer("x, y", ("c", "d"), (1, 2), Inner("auto", 0.25), True)
    assert asked("--options", str(file))[0] == whole
    got, given = asked("--options", str(file), "-o", "inner.share=0.75", "-o", "outer.layers=none", "--kind", "e")
    assert got == replace(whole, kinds=("e",), layers=None, inner=Inner("auto", 0.75))
    assert given == {
        "outer.name": "--name", "outer.kinds": "--kind", "outer.layers": "outer.layers", "outer.quick": "outer.quick",
        "inner.share": "inner.share",
    }  # fmt: skip
    words = ("-o", "outer.name=x, y", "-o", "outer.kinds=c,d", "-o", "outer.layers=1,2", "-o", "outer.quick=true")
    assert asked(*words, "-o", "inner.share=0.25")[0] == whole
    assert asked("-o", "inner.steps=20")[0].inner.steps == 20
    # A preset's values are the defaults, and what is not named stays as the preset has it.
    preset = Outer(kinds=("z",), inner=Inner(7), seed=9)
    assert asked("-o", "inner.share=1", preset=preset)[0] == replace(preset, inner=Inner(7, 1.0))


@pytest.mark.parametrize("words", [["--kind", "e", "-o", "outer.kinds=d"], ["-o", "outer.kinds=e", "--kind", "e"]])
def test_a_flag_and_a_key_of_the_same_option_are_refused_by_both_names(words: list[str], tmp_path: Path) -> None:
    assert refused(*words) == "--kind and -o outer.kinds: both set the same option; leave one out"
    file = tmp_path / "options.toml"
    file.write_text('[outer]\nkinds = ["c"]\n')
    # A file is overridden by either.
    assert asked("--options", str(file), "--kind", "e")[0].kinds == ("e",)
    assert asked("--options", str(file), "-o", "outer.kinds=e")[0].kinds == ("e",)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["-o", "inner.step=3"], "inner.step: there is no such option; did you mean inner.steps"),
        (["-o", "steps=3"], "steps: there is no such option; did you mean inner.steps?"),
        (["-o", "outer.seed=3"], "outer.seed: there is no such option"),
        (["-o", "inner.steps"], "inner.steps: no value; write -o inner.steps=VALUE"),
        (["-o", "inner.steps=3", "-o", "inner.steps=4"], "-o inner.steps: given twice; leave one out"),
        (["-o", "zzz=3"], "zzz: there is no such option; keys are GROUP.NAME, with a group of outer, inner"),
        (["-o", "=3"], "-o =3: no key; write -o KEY=VALUE"),
        (["--options", "{type}"], "type.toml: inner.steps 'many': give a whole number or auto"),
        (["-o", "inner.steps=many"], "inner.steps 'many': give a whole number or auto"),
        (["-o", "inner.share=2"], "inner.share '2': give a number to 1"),
        (["-o", "inner.share=-1"], "inner.share '-1': give a number from 0"),
        (["-o", "inner.share=nan-ish"], "give a number"),
        (["-o", "inner.share=nan"], "inner.share 'nan': give a number from 0"),
        (["-o", "outer.quick=yes"], "outer.quick 'yes': give true or false"),
        (["-o", "outer.layers=a"], "outer.layers 'a': give whole numbers, separated by commas or none"),
        (["--options", "nowhere.toml"], "nowhere.toml: cannot be read as TOML"),
        (["--options", "{wrong}"], "inner.stepz: there is no such option; did you mean inner.steps"),
        (["--options", "{loose}"], "steps stands in no table"),
    ],
)
def test_what_is_no_option_or_value_is_refused_by_name(words: list[str], says: str, tmp_path: Path) -> None:
    (tmp_path / "wrong.toml").write_text("[inner]\nstepz = 3\n")
    (tmp_path / "loose.toml").write_text("steps = 3\n")
    (tmp_path / "type.toml").write_text('[inner]\nsteps = "many"\n')
    named = [word.format(**{name: tmp_path / f"{name}.toml" for name in ("wrong", "loose", "type")}) for word in words]
    assert says in refused(*named)


@pytest.mark.parametrize("option", list(options_of(ExplainOptions(), "explain")), ids=lambda option: option.key)
def test_every_default_of_explain_is_read_back_as_it_is_written(option: Any) -> None:
    assert option.meaning, f"{option.key} has no docstring"
    assert option.meaning.endswith(".")
    if option.default not in (None, ()):
        value = parse(written(option.default), option)
        assert (value, type(value)) == (option.default, type(option.default))
        assert with_values(ExplainOptions(), {option.path: value}) == ExplainOptions()


def help_of(*path: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("COLUMNS", str(SHORT))
    result = CliRunner().invoke(cli.app, [*path, "--help"], prog_name="attrib")
    assert result.exit_code == 0
    return result.output


def commands() -> dict[tuple[str, ...], Any]:
    """Every command by its path, as Typer has it registered."""
    found: dict[tuple[str, ...], Any] = {}

    def walk(app: Any, path: tuple[str, ...]) -> None:
        found.update({(*path, str(one.name)): one for one in app.registered_commands})
        for group in app.registered_groups:
            walk(group.typer_instance, (*path, str(group.name)))

    walk(cli.app, ())
    return found


def test_the_help_of_explain_is_short_and_in_panels(monkeypatch: pytest.MonkeyPatch) -> None:
    text = help_of("explain", monkeypatch=monkeypatch)
    assert len(re.findall(r"(?m)^  -", text.partition("Arguments:")[2])) <= 32
    panels = ["Arguments", "Models", "Documents", "Answer", "Prompt", "Scores", "Output", "Run"]
    assert [line[:-1] for line in text.splitlines() if re.fullmatch(r"[A-Z]\w+:", line)] == panels


@pytest.mark.parametrize("group", [(), ("assess",), ("models",)])
def test_no_line_of_a_list_of_commands_is_cut_off(group: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    text = help_of(*group, monkeypatch=monkeypatch)
    rows = text.partition("Commands:\n")[2].splitlines()
    assert rows
    assert all(row.endswith(".") and not row.endswith("...") for row in rows), text


@pytest.mark.parametrize("path", commands(), ids=" ".join)
def test_every_line_of_help_is_a_sentence(path: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    for option in commands()[path].cls.options.values():
        assert re.match(r"[A-Z]", option.meaning), option
        assert option.meaning.endswith((".", '"')), option
        assert not re.match(r"(Of|What|That|Whose) ", option.meaning), option


def test_commands_that_load_a_pair_take_every_option_for_it() -> None:
    loading = {"base", "tuned", "device", "dtype", "device_map", "revision", "tuned_revision", "trust_remote_code"}
    pairs = [("explain",), ("serve",), ("index",)]
    pairs += [("assess", name) for name in ("faithfulness", "consistency", "holdout", "benchmark", "attribution")]
    for path in pairs:
        options = commands()[path].cls.options
        assert {f"models.{name}" for name in loading} <= set(options), path
    # One model, or the demo's two.
    for path, names in ((("tune",), {"base"}), (("assess", "influence"), {"base"}), (("demo",), set())):
        taken = {key for key in commands()[path].cls.options if key.startswith("models.")} - {"models.four_bit"}
        assert taken == {f"models.{name}" for name in (loading - {"base", "tuned", "tuned_revision"}) | names}, path


@pytest.mark.parametrize("old", MOVED)
def test_an_old_flag_names_the_option_that_took_its_place(old: str) -> None:
    key, example = MOVED[old]
    takes = [path for path, one in commands().items() if key in one.cls.options]
    assert takes, f"{old}: no command has {key}"
    option = commands()[takes[0]].cls.options[key]
    if option.kind is not Path:
        parse(example, option)
    value = [] if old in ("--ablate-template", "--heads") else ["1"]
    # A key that is gone is given as one.
    given = [old, *value] if old.startswith("--") else ["-o", f"{old}=1"]
    needed = ["x"] if takes[0] == ("explain",) else []
    result = CliRunner().invoke(
        cli.app, [*takes[0], *needed, *(["--out", "x"] if takes[0][0] == "assess" else []), *given]
    )
    assert isinstance(result.exception, InputError)
    new = f"{option.flag} {example}" if option.flag else f"-o {key}={example}"
    assert str(result.exception) == f"{old}: now {new}"


def test_no_old_flag_is_an_option_of_explain() -> None:
    _, options = flat(cli.explain.explain)
    assert not {option.flag for option in options.values()} & set(MOVED)


# Errors of the whole package


def flags() -> set[str]:
    """Every flag of every command."""
    found = {"--help", "--json", "--options"}
    for one in commands().values():
        found |= {option.flag for option in one.cls.options.values() if option.flag}
        for hint in one.callback.__annotations__.values():
            for info in getattr(hint, "__metadata__", ()):
                declared = [info.default, *(getattr(info, "param_decls", None) or ())]
                found |= {str(name) for name in declared if str(name).startswith("--")}
        for name in one.callback.__annotations__:
            found.add(f"--{name.replace('_', '-')}")
    return found


FOREIGN = {
    "--force-reinstall", "--no-deps", "--only-binary", "--require-hashes", "--no-cache-dir", "--quiet", "--no-input",
    "--disable-pip-version-check", "--dest", "--requirement", "--hash", "--nproc-per-node",
}  # fmt: skip
"""Flags of pip and torchrun."""


def named(file: Path) -> tuple[set[str], set[str]]:
    """Flags, and keys behind -o, in the strings of a module."""
    tree = ast.parse(file.read_text("utf-8"))
    texts = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    joined = "\n".join(texts)
    return set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", joined)), set(re.findall(r"-o ([a-z_]+\.[a-z_]+)", joined))


def test_messages_name_only_options_that_are_there() -> None:
    there = flags() | FOREIGN
    keys = {key for one in commands().values() for key in one.cls.options}
    for file in (ROOT / "attrib").rglob("*.py"):
        if file.name == "moved.py":
            continue
        told, set_by_key = named(file)
        assert told <= there, f"{file}: {told - there}"
        assert set_by_key <= keys | {"group.field"}, f"{file}: {set_by_key - keys}"


# attrib methods, attrib mappers


@pytest.mark.parametrize(("name", "all_names"), [("methods", tuple(METHODS)), ("mappers", NAMES)])
def test_every_method_and_mapper_is_listed_with_every_knob(
    name: str, all_names: tuple[str, ...], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def said(*more: str) -> str:
        monkeypatch.setattr(sys, "argv", ["attrib", name, *more])
        with pytest.raises(SystemExit) as caught:
            cli.main()
        assert not caught.value.code
        return capsys.readouterr().out

    content = json.loads(said("--json"))
    rows = content[name]
    assert tuple(row["name"] for row in rows) == all_names
    assert all(row["meaning"] and row["cost"] for row in rows)
    assert [row["name"] for row in rows if row["default"]] == [
        one for one in all_names if one in getattr(ExplainOptions(), name)
    ]
    listed = {knob["key"] for row in rows for knob in row["knobs"]} | {k["key"] for k in content.get("shared", ())}
    groups = {key.partition(".")[0] for key in listed}
    options = list(options_of(ExplainOptions(), "explain"))
    assert listed == {option.key for option in options if option.group in groups}
    text = said()
    for word in (*all_names, *listed):
        assert word in text
    # Between the two lists and the general options, no knob is left out.
    mappers = {"influence", "gradients", "hidden"}
    expected = mappers if name == "mappers" else {option.group for option in options} - mappers - {"explain"}
    assert groups == expected


def test_a_text_keeps_the_blanks_around_it() -> None:
    """An answer may begin with one, a system prompt end with a line."""
    options = {option.key: option for option in (*options_of(ExplainedAnswer, "answer"), *options_of(Models, "models"))}
    assert parse(" Iven Marsh.\n", options["answer.text"]) == " Iven Marsh.\n"
    assert parse(" true ", options["models.trust_remote_code"]) is True
