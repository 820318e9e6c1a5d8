"""The command of a record, read by the command line, asks for the same explanation."""

from __future__ import annotations

import subprocess
from dataclasses import asdict, fields, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from attrib import cli
from attrib.cli.groups import flat
from attrib.corpus import demo
from attrib.models.templates import A_FILE
from attrib.options.chat import ChatOptions
from attrib.options.explain import ExplainOptions, GradientOptions, HiddenOptions, InfluenceOptions
from attrib.options.loading import Models
from attrib.records import Counterfactual, Explanation
from attrib.render import view
from attrib.render.command import command, options_file
from attrib.render.payload import payload
from tests.make import make_explanation
from tests.oracles import knobs

ODD = ExplainOptions(
    methods=("relevance", "attention_head"),
    prompt=knobs(
        target="probability_difference", unit="token", special="exclude", at="blocks.1.hook_out", layer=2, head=1,
        steps=32, rule="gauss", tolerance=0.1, max_steps=64, baseline="mean", path="prefix", samples=4, noise=0.2,
        sources="token", ablate="replace", template=True, ablations=16, permutations=4, contrast="no, never",
    ),
    mappers=("bm25", "influence"),
    influence=InfluenceOptions("dot", "final", "logodds", True, 2.5, GradientOptions((0, 1), 8, 3)),
    hidden=HiddenOptions(-2),
    candidates=0, heads=True, keep_layers=(0, -1), max_new_tokens=7, memory_gb=0.5, seed=11,
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


PAIR = SimpleNamespace(device="cpu")
"""Stands for the two models where none is asked anything."""


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

    def load(models: object, progress: object, chat: object, corpus: object) -> object:
        got.update(models=models, chat=chat)
        return PAIR

    monkeypatch.setattr(cli.explain, "read_corpus", lambda *given: (got.update(corpus=given), False))
    monkeypatch.setattr(cli.explain, "read_control", lambda *given: got.update(control_read=given))
    monkeypatch.setattr(cli.explain, "load_pair", load)
    monkeypatch.setattr("attrib.index.library.Library.make", lambda *given, **more: None)
    monkeypatch.setattr("attrib.explaining.explain", stop)
    words = by_shell(line)
    assert words[0] == "attrib"
    result = CliRunner().invoke(cli.app, words[1:])
    assert result.exit_code == 0, result.output
    return got


@pytest.mark.parametrize("options", [ExplainOptions(), ODD, ExplainOptions(prompt=knobs(baseline=5))])
def test_the_command_asks_for_the_same_options(options: ExplainOptions, monkeypatch: pytest.MonkeyPatch) -> None:
    line = command(record(options))
    assert line is not None
    got = asked(line, monkeypatch)
    assert asdict(got["options"]) == asdict(options)
    assert got["question"] == "How long?"
    assert got["models"] == Models("some/base", "my adapter", device="cpu", dtype="float32")


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
    assert got["models"] == Models("some/base", "my adapter", dtype="float32", **loading)
    plain = command(record(ExplainOptions(), loading={}))
    assert plain is not None
    assert "revision" not in plain


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        ({"source": "chat template of the base model"}, ChatOptions()),
        ({"source": "none"}, ChatOptions()),
        ({"source": "none, as asked", "template": "none"}, ChatOptions(template="none")),
        ({"source": "chat template of the base model", "template": None}, ChatOptions()),
        ({"source": "chat template of the base model", "template": "base"}, ChatOptions(template="base")),
        ({"source": "template 'rag', adapter", "template": "rag"}, ChatOptions(template="rag")),
        ({"source": "template 'rag-v2.1', adapter", "template": "rag-v2.1"}, ChatOptions(template="rag-v2.1")),
        ({"source": "chatml", "template": A_FILE}, ChatOptions(template="TEMPLATE")),
        (
            {
                "source": "x",
                "system": "Be «brief».\n",
                "options": {"think": False, "name": "x"},
                "date": "2025-01-31T00:00:00",
            },
            ChatOptions(
                system="Be «brief».\n",
                template_options=("think=false", 'name="x"'),
                template_date="2025-01-31T00:00:00",
            ),
        ),
        ({"source": "x", "conversation": [["user", "Hi."]]}, ChatOptions(conversation=Path("CONVERSATION"))),
        ({"source": "prompt format", "format": "Q: {question}\nA:"}, ChatOptions(prompt_format="Q: {question}\nA:")),
    ],
)
def test_the_prompts_form_stands_in_the_command(
    said: dict[str, object], wanted: ChatOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = command(record(ExplainOptions(), prompt={"system": None, "conversation": [], "options": {}, **said}))
    assert line is not None
    assert asked(line, monkeypatch)["chat"] == wanted


def test_a_template_s_file_is_open_in_the_file_of_options() -> None:
    assert '# template = "…"' in options_file(record(ExplainOptions(), prompt={"template": A_FILE}))
    assert 'template = "base"' in options_file(record(ExplainOptions(), prompt={"template": "base"})).split("\n")


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
            documents={"sha256": "0", "files": [], "max_tokens": 64, "columns": ["text=body"]},
            control={"sha256": "another"},
        )
    )
    assert line is not None
    assert "--columns text=body -o documents.max_tokens=64" in line
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


def test_every_option_of_explain_is_in_the_command_or_its_file() -> None:
    """What a record knows; where files lay and where they went it does not."""
    _, options = flat(cli.explain.explain)
    one = record(ODD)
    otherwise = tuple(Counterfactual(kind, ("s1",), "", one.tuned.logprob) for kind in ("without", "only"))
    shown = options_file(replace(one, answer_source="given", answer="six", counterfactuals=otherwise))
    known = {key for key in options if f"{options[key].name} = " in shown.partition(f"[{options[key].group}]")[2]}
    place = {"models.device_map", "models.revision", "models.tuned_revision", "models.trust_remote_code"}
    place |= {"documents.columns", "documents.control_columns", "documents.control", "documents.index"}
    place |= {f"chat.{one.name}" for one in fields(ChatOptions)} | {"models.any_base"}
    place |= {"documents.strict", "documents.max_bytes"}
    # The record holds the promise, not whether a file or the cache gave it.
    place |= {"answer.source", "output.out", "output.formats", "verdict.calibration"}
    assert known | place == set(options)


@pytest.mark.parametrize("options", [ExplainOptions(), ODD])
def test_the_file_asks_for_the_same_options(
    options: ExplainOptions, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    loading = {"revision": "abc", "trust_remote_code": True, "device_map": None, "tuned_revision": None}
    given = replace(record(options, loading=loading), answer_source="given", answer="six \x7f «months»\n\\")
    file = tmp_path / "options.toml"
    file.write_text(options_file(given), "utf-8")
    got = asked(f"attrib explain 'How long?' --options {file}", monkeypatch)
    assert asdict(got["options"]) == asdict(options)
    assert got["answer"] == given.answer
    models = Models("some/base", "my adapter", device="cpu", dtype="float32", revision="abc", trust_remote_code=True)
    assert got["models"] == models
    assert '# path = "…"' in file.read_text("utf-8")
    # A flag overrides the file.
    got = asked(f"attrib explain 'How long?' --options {file} --candidates 5 -o prompt.unit=answer", monkeypatch)
    assert (got["options"].candidates, got["options"].prompt.unit) == (5, "answer")
