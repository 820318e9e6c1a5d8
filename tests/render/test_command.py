"""The command of a record, read by the command line, asks for the same explanation."""

from __future__ import annotations

import subprocess
from dataclasses import asdict, replace
from typing import Any

import pytest
from typer.testing import CliRunner

from attrib import cli
from attrib.corpus import demo
from attrib.options.explain import ExplainOptions, GradientOptions, InfluenceOptions
from attrib.options.methods import MethodOptions
from attrib.records import Explanation
from attrib.render import view
from attrib.render.command import FLAGS, LOADING, READING, command
from attrib.render.payload import payload
from tests.make import make_explanation

ODD = ExplainOptions(
    methods=("relevance", "attention_head"),
    prompt=MethodOptions(
        target="probability_difference", unit="token", special="exclude", at="blocks.1.hook_out", layer=2, head=1,
        steps=32, rule="gauss", tolerance=0.1, baseline="mean", path="prefix", samples=4, noise=0.2, sources="token",
        ablate="replace", ablate_template=True, ablations=16, permutations=4, contrast="no, never",
    ),
    mappers=("bm25", "influence"),
    influence=InfluenceOptions(form="dot", checkpoints="final", gradients=GradientOptions(layers=(0, 1))),
    candidates=0, layer=-2, heads=True, max_new_tokens=7, memory_gb=0.5, seed=11,
)  # fmt: skip


def record(options: ExplainOptions, question: str = "How long?", **said: Any) -> Explanation:
    """A record that says these options."""
    provenance = {
        "base": {"name": "some/base"},
        "tuned": {"name": "my adapter"},
        "documents": {"sha256": "0", "files": [], "max_tokens": 256},
        "control": {"sha256": demo.control().sha256},
        "device": "cpu",
        "dtype": "float32",
        "seed": options.seed,
        "options": asdict(options),
    }
    return replace(make_explanation(question=question), question=question, provenance=provenance | said)


def by_shell(line: str) -> list[str]:
    """The words that bash makes of a line."""
    said = subprocess.run(["bash", "-c", f"printf '%s\\0' {line}"], capture_output=True, check=True).stdout
    return said.decode("utf-8", "surrogateescape").split("\0")[:-1]


def asked(line: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What ``attrib explain`` would hand on for this command."""
    got: dict[str, Any] = {}

    def stop(pair: object, corpus: object, question: str, **rest: Any) -> None:
        got.update(rest, question=question)
        raise SystemExit(0)

    def pair(*given: Any) -> None:
        got["pair"] = given

    monkeypatch.setattr(cli, "read_corpus", lambda *given: (got.update(corpus=given), False))
    monkeypatch.setattr(cli, "read_control", lambda *given: got.update(control_read=given))
    monkeypatch.setattr(cli, "load_pair", pair)
    monkeypatch.setattr("attrib.explaining.explain", stop)
    words = by_shell(line)
    assert words[0] == "attrib"
    result = CliRunner().invoke(cli.app, words[1:])
    assert result.exit_code == 0, result.output
    return got


@pytest.mark.parametrize("options", [ExplainOptions(), ODD, ExplainOptions(prompt=MethodOptions(baseline=5))])
def test_the_command_asks_for_the_same_options(options: ExplainOptions, monkeypatch: pytest.MonkeyPatch) -> None:
    line = command(record(options))
    assert line is not None
    got = asked(line, monkeypatch)
    assert asdict(got["options"]) == asdict(options)
    assert got["question"] == "How long?"
    assert got["pair"][:4] == ("some/base", "my adapter", "cpu", "float32")


@pytest.mark.parametrize("question", ["it's «$HOME» `id`; rm -rf", "--help", "two\nlines", "水 🙂", "-", "a\\'b\tc"])
def test_no_question_breaks_out_of_its_quotes(question: str, monkeypatch: pytest.MonkeyPatch) -> None:
    line = command(record(ExplainOptions(), question))
    assert line is not None
    assert asked(line, monkeypatch)["question"] == question


@pytest.mark.parametrize("hidden", ["\u202e", "\x1b[2J", "\n", "\u200b", "\u00a0", "\u2028", "\r", "\ufeff"])
def test_what_is_copied_is_what_is_shown(hidden: str) -> None:
    question = f"it's {hidden}9f \\ ok"
    line = command(record(ExplainOptions(), question))
    assert line is not None
    assert hidden not in line
    assert view.visible(line) == line
    assert by_shell(line)[-1] == question


def test_how_models_were_loaded_stands_in_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    loading = {"revision": "abc", "tuned_revision": "v2", "device_map": "auto", "trust_remote_code": True}
    line = command(record(ExplainOptions(), loading=loading))
    assert line is not None
    got = asked(line, monkeypatch)
    assert got["pair"][:8] == ("some/base", "my adapter", "auto", "float32", "auto", "abc", "v2", True)
    plain = command(record(ExplainOptions(), loading={}))
    assert plain is not None
    assert "--revision" not in plain


def test_a_given_answer_stands_in_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    given = replace(record(ExplainOptions()), answer_source="given", answer="-6 months")
    line = command(given)
    assert line is not None
    assert asked(line, monkeypatch)["answer"] == "-6 months"
    base = command(replace(given, answer_source="base"))
    assert base is not None
    assert asked(base, monkeypatch)["answer_from"] == "base"


def test_other_readings_and_other_control_texts_are_said() -> None:
    line = command(
        record(
            ExplainOptions(),
            documents={"sha256": "0", "files": [], "max_tokens": 64, "text_column": "body"},
            control={"sha256": "another"},
        )
    )
    assert line is not None
    assert "--max-tokens 64 --text-column body" in line
    assert "--control CONTROL" in line


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("/home/somebody/models/mine", "mine"),
        ("C:\\Users\\somebody\\mine", "mine"),
        ("./models/mine", "./models/mine"),
        ("org/mine", "org/mine"),
        ("/", "/"),
    ],
)
def test_where_a_model_lay_is_nobodys_business(name: str, said: str) -> None:
    explanation = record(ExplainOptions(), tuned={"name": name, "sha256": "0"})
    line = command(explanation)
    assert line is not None
    assert f"--tuned {said} " in line
    rows: Any = payload(explanation)["provenance"]
    assert ["tuned", f"{said} · sha256 0"] in rows


def test_the_demo_needs_no_names() -> None:
    files = [{"name": name, "sha256": digest} for name, digest in demo.corpus().documents]
    said = {"base": {"name": "smollm2-135m-instruct"}, "tuned": {"name": "demo"}}
    ours = command(record(ExplainOptions(), **said, documents={"sha256": "0", "files": files}))
    theirs = command(record(ExplainOptions(), **said))
    assert ours is not None
    assert theirs is not None
    assert "--documents" not in ours
    assert "--documents DOCUMENTS" in theirs


def test_a_record_without_options_has_no_command() -> None:
    assert command(make_explanation()) is None


def test_every_option_of_explain_has_its_flag() -> None:
    """An option that is added without a flag here would be missing from the command."""
    import inspect

    parameters = set(inspect.signature(cli.explain).parameters)
    known = {flag.removeprefix("--").replace("-", "_") for flag, _ in (FLAGS | LOADING | READING).values()}
    elsewhere = {
        "question", "base", "tuned", "documents", "answer", "answer_from", "index", "out", "formats", "control",
        "device", "dtype", "seed", "as_json",
    }  # fmt: skip
    assert known | elsewhere == parameters
