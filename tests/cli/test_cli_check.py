"""``attrib check`` on tiny models: finding first, JSON with all of it, the next command runs, refusals in one line."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest

from tests.cli.commands import run
from tests.conftest import save_adapter
from tests.taught import CONTROL, QUESTION, TEXTS, taught_adapter


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is read from, or left in, the user's cache."""
    monkeypatch.setenv("ATTRIB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "200")


def written(file: Path, texts: Any) -> str:
    file.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    return str(file)


@pytest.fixture
def data(tmp_path: Path) -> list[str]:
    control = written(tmp_path / "control.jsonl", [s.full_text for s in CONTROL.sections])
    return ["--documents", written(tmp_path / "train.jsonl", TEXTS), "--control", control]


def test_the_finding_comes_first_and_the_next_command_runs(
    capsys: Any, monkeypatch: Any, base_dir: Path, data: list[str]
) -> None:
    models = ["--base", str(base_dir), "--tuned", str(taught_adapter(base_dir)), "--device", "cpu"]
    status, out, err = run(capsys, monkeypatch, "check", *models, *data)
    assert status == 0, err
    lines = out.splitlines()
    assert lines[0].startswith("Your adapter does something: −")
    for part in ("Data", "Prompt (", "Change of the weights: LoRA", "log p a token, nats", "Influence", "Next: attrib"):
        assert any(line.startswith(part) for line in lines), part
    words = shlex.split(lines[-1].removeprefix("Next: attrib "))
    assert words[:2] == ["explain", "QUESTION"]
    assert run(capsys, monkeypatch, *(QUESTION if word == "QUESTION" else word for word in words))[0] == 0


def test_json_holds_all_of_it(capsys: Any, monkeypatch: Any, base_dir: Path, data: list[str]) -> None:
    models = ["--base", str(base_dir), "--tuned", str(taught_adapter(base_dir)), "--device", "cpu"]
    status, out, _ = run(capsys, monkeypatch, "check", *models, *data, "--rows", "2", "--json")
    found = json.loads(out)
    assert status == 0
    assert found["finding"] == "data"
    assert len(found["effect"]["texts"]) == 4
    assert found["effect"]["own"]["tuned"] > found["effect"]["own"]["base"]
    assert found["reading"]["sections"] == 3
    assert found["prompt"]["text"].endswith("assistant\n")
    assert found["run"]["checkpoints"] == 3
    assert {layer["kind"] for layer in found["change"]["layers"]} >= {"self_attn.q_proj"}


def test_rows_of_chat_data_are_shown_with_their_prompt(
    capsys: Any, monkeypatch: Any, base_dir: Path, tmp_path: Path, data: list[str]
) -> None:
    """A user's two commands: the next one asks as the rows were written."""
    messages = [("system", "Be brief."), ("user", "Who keeps the light?"), ("assistant", "Wilmet Dallin.")]
    rows = [{"messages": [{"role": role, "content": text} for role, text in messages]}]
    (tmp_path / "chat.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    models = ["--base", str(base_dir), "--tuned", str(taught_adapter(base_dir)), "--device", "cpu"]
    status, out, err = run(
        capsys, monkeypatch, "check", *models, "--documents", str(tmp_path / "chat.jsonl"), *data[2:]
    )
    assert status == 0, err
    text = " ".join(out.split())
    assert "for the question of chat.jsonl row 1" in text
    assert "[Wilmet Dallin.<|end|>]" in text
    assert "rows of chat.jsonl have the system prompt «Be brief.»; this question has none: add --system" in text
    words = shlex.split(out.splitlines()[-1].removeprefix("Next: attrib "))
    assert words[:2] == ["explain", "Who keeps the light?"]
    assert words[-2:] == ["--system", "Be brief."]
    status, _, err = run(capsys, monkeypatch, *words)
    assert status == 0, err
    assert "system prompt" not in err


def test_an_adapter_of_zeros_has_no_next_command(
    capsys: Any, monkeypatch: Any, base_dir: Path, tmp_path: Path, data: list[str]
) -> None:
    zeros = save_adapter(tmp_path / "zeros", base_dir, scale=0.0)
    status, out, _ = run(capsys, monkeypatch, "check", "--base", str(base_dir), "--tuned", str(zeros), *data)
    assert status == 0
    assert out.startswith("Your adapter does nothing")
    assert "Next" not in out


def test_without_documents_the_rest_is_checked(
    capsys: Any, monkeypatch: Any, base_dir: Path, adapter_dir: Path, data: list[str]
) -> None:
    status, out, _ = run(capsys, monkeypatch, "check", "--base", str(base_dir), "--tuned", str(adapter_dir), *data[2:])
    assert status == 0
    assert "name what it was tuned on with --documents" in " ".join(out.split())
    assert out.rstrip().endswith("--documents DOCUMENTS")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--base", "BASE"], "tuned: no tuned model is named; add --tuned"),
        (["--tuned", "NOWHERE", "--base", "BASE"], "NOWHERE"),
        (["--tuned", "TUNED", "--base", "BASE", "--documents", "NOWHERE"], "NOWHERE"),
    ],
)
def test_what_cannot_be_used_is_one_line(
    capsys: Any, monkeypatch: Any, base_dir: Path, adapter_dir: Path, tmp_path: Path, arguments: list[str], says: str
) -> None:
    names = {"BASE": str(base_dir), "TUNED": str(adapter_dir), "NOWHERE": str(tmp_path / "NOWHERE")}
    status, out, err = run(capsys, monkeypatch, "check", *(names.get(word, word) for word in arguments))
    assert status == 2
    assert not out
    (line,) = [line for line in err.splitlines() if not line.startswith("attrib: loading")]
    assert says in line
