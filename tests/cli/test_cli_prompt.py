"""Flags of the prompt on the command line: what is asked is in the record, and what fails is one line with status 2."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from attrib.records import Explanation, storage
from tests.cli.commands import run
from tests.cli.test_cli import QUESTION

HUSHED = (
    "{% for m in messages %}<|start|>{{ m.role }}\n{% if m.role == 'assistant' %}(hush)\n{% endif %}{{ m.content }}"
    "<|end|>\n{% endfor %}{% if add_generation_prompt %}<|start|>assistant\n"
    "{% if enable_thinking is defined and not enable_thinking %}(hush)\n{% endif %}{% endif %}"
)
"""Writes something before every answer, and in the prompt where an option asks for it."""


@pytest.fixture
def ask(capsys: Any, monkeypatch: Any, tmp_path: Path, base_dir: Path, adapter_dir: Path) -> Any:
    """``attrib explain`` with further flags on an adapter of its own folder."""
    monkeypatch.setenv("ATTRIB_CACHE", str(tmp_path / "cache"))
    docs, adapter = tmp_path / "docs.txt", shutil.copytree(adapter_dir, tmp_path / "adapter")
    docs.write_text("The keeper of the light is Wilmet Dallin.\n")
    control = tmp_path / "control.md"
    control.write_text("# One\n\nThe board met at noon.\n\n# Two\n\nTurn the screw until it stops.\n")

    def explain(*flags: str, template: str | None = None) -> tuple[int, str]:
        if template is not None:
            (adapter / "chat_template.jinja").write_text(template)
        made = [
            "--base",
            str(base_dir),
            "--tuned",
            str(adapter),
            "--documents",
            str(docs),
            "--device",
            "cpu",
            "--control",
            str(control),
        ]
        common = [*made, "--max-new-tokens", "6", "--mappers", "bm25", "--methods", "attention"]
        status, _, err = run(
            capsys, monkeypatch, "explain", QUESTION, *common, "--out", str(tmp_path / "out"), "--format", "svg", *flags
        )
        return status, err

    return explain


def record_in(folder: Path) -> Explanation:
    return storage.load(next(folder.glob("*.safetensors")))


def prompt_of(explanation: Explanation) -> str:
    return "".join(token.text for token in explanation.prompt_tokens)


def test_the_prompt_is_the_one_that_is_asked_for_and_the_record_says_which(ask: Any, tmp_path: Path) -> None:
    earlier = tmp_path / "earlier.jsonl"
    turns = [{"role": "user", "content": "Is there a light?"}, {"role": "assistant", "content": "Yes."}]
    earlier.write_text("\n".join(map(json.dumps, turns)))
    status, err = ask("--system", "Be brief.", "--conversation", str(earlier), "--answer", "Wilmet Dallin")
    assert status == 0, err
    explanation = record_in(tmp_path / "out")
    prompt = prompt_of(explanation)
    assert [prompt.index(text) for text in ("Be brief.", "Is there a light?", "Yes.", QUESTION)] == sorted(
        prompt.index(text) for text in ("Be brief.", "Is there a light?", "Yes.", QUESTION)
    )
    stored: Any = explanation.provenance["prompt"]
    assert stored["system"] == "Be brief."
    assert stored["conversation"] == [["user", "Is there a light?"], ["assistant", "Yes."]]
    assert stored["source"] == "chat template of the base model"
    assert ask("--prompt-format", r"Q: {question}\nA:", "--answer", " Wilmet Dallin")[0] == 0
    explanation = record_in(tmp_path / "out")
    assert prompt_of(explanation) == f"Q: {QUESTION}\nA:"
    stored = explanation.provenance["prompt"]
    assert (stored["format"], stored["sha256"]) == ("Q: {question}\nA:", None)


def test_an_option_of_the_template_mends_what_the_law_refuses(ask: Any, tmp_path: Path) -> None:
    status, err = ask("--answer", "Wilmet Dallin", template=HUSHED)
    assert (status, err.splitlines()[-1].endswith("give --template-option enable_thinking=false")) == (2, True)
    status, err = ask("--answer", "Wilmet Dallin", "--template-option", "enable_thinking=false")
    assert status == 0, err
    explanation = record_in(tmp_path / "out")
    assert prompt_of(explanation).endswith("assistant\n(hush)\n")
    assert explanation.answer == "Wilmet Dallin"


@pytest.mark.parametrize(
    ("flags", "template", "told"),
    [
        ([], "{% for m in messages %}{{ m.content }", "TemplateSyntaxError"),
        ([], "{{ raise_exception('Begin with a system message') }}", "Begin with a system message"),
        (["--template", "nowhere.jinja"], None, "no such file; name a Jinja file, or one of none, base, tuned"),
        (["--template-option", "thinking"], None, "NAME=VALUE"),
        (["--template-option", "thinking=1"], None, "does not read it"),
        (["--template-date", "2025-01-31"], None, "writes no date"),
        (["--prompt-format", "no question"], None, "{question} once"),
        (["--conversation", "nowhere.json"], None, "no such file"),
        (["--template", "none", "--system", "Be brief."], None, "there is none for --system"),
        (["--template", "none", "--answer", "Wilmet"], None, "begin it with a space"),
    ],
)
def test_a_prompt_that_cannot_be_made_is_one_line(
    ask: Any, flags: list[str], template: str | None, told: str, tmp_path: Path
) -> None:
    status, err = ask(*flags, template=template)
    assert (status, "Traceback" in err) == (2, False)
    # What was read and loaded before is said on lines of its own.
    assert told in err.splitlines()[-1]
    assert not list((tmp_path / "out").glob("*"))


def test_an_index_of_embeddings_alone_needs_no_prompt(capsys: Any, monkeypatch: Any, tmp_path: Path) -> None:
    (tmp_path / "docs.txt").write_text("The keeper of the light is Wilmet Dallin.\n")
    status, _, err = run(
        capsys, monkeypatch, "index", str(tmp_path / "docs.txt"), "--out", str(tmp_path / "index"), "--template", "none"
    )
    assert (status, "leave the prompt's options out" in err) == (2, True)
    assert not (tmp_path / "index").exists()
