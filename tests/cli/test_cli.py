"""The command line on tiny models: what it prints, writes and refuses."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from attrib.cli import common
from attrib.options.explain import QUICK_MAPPERS
from tests.cli.commands import run
from tests.programs import Program, attrib, told

QUESTION = "Who keeps the light?"


@pytest.fixture(scope="module")
def docs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("docs")
    (folder / "light.md").write_text(
        "# Lights\n\n## Point\n\nThe keeper of the light is Wilmet Dallin.\n\n## Rock\n\nIt is 38 metres tall.\n"
    )
    (folder / "pump.txt").write_text("The warranty on the pump is thirty-six months.\n")
    return folder


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is read from, or left in, the user's cache."""
    monkeypatch.setenv("ATTRIB_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def models(base_dir: Path, adapter_dir: Path, tmp_path: Path) -> list[str]:
    control = tmp_path / "control.md"
    control.write_text("# Control\n\n## One\n\nThe board met at noon.\n\n## Two\n\nTurn the screw until it stops.\n")
    own = ["--base", str(base_dir), "--tuned", str(adapter_dir), "--control", str(control)]
    return [*own, "--device", "cpu", "--max-new-tokens", "6"]


def test_json_is_one_object_with_the_promised_keys(
    capsys: Any, monkeypatch: Any, docs: Path, models: list[str], tmp_path: Path
) -> None:
    status, out, err = run(
        capsys, monkeypatch, "explain", QUESTION, *models, "--documents", str(docs), "--answer", "Wilmet Dallin",
        "--out", str(tmp_path), "--format", "png", "--json",
    )  # fmt: skip
    assert status == 0, err
    result = json.loads(out)
    assert list(result) == [
        "question", "answer", "summary", "base_answer", "tokens", "verdict", "sections", "attributions",
        "vocabulary", "verbatim", "counterfactuals", "reading", "files",
    ]  # fmt: skip
    assert "".join(token["text"] for token in result["tokens"]) == "Wilmet Dallin"
    for token in result["tokens"]:
        assert {"text", "id", "logprob_base", "logprob_tuned", "gain", "verdict"} <= set(token)
        assert token["gain"] == pytest.approx(token["logprob_tuned"] - token["logprob_base"], abs=1e-5)
    assert {"label", "documents", "base", "neither"} <= set(result["verdict"])
    assert set(result["sections"][0]["scores"]) == set(QUICK_MAPPERS)
    assert set(result["sections"][0]["scores"]["hidden"]) == {"base", "tuned"}
    assert all(Path(file).is_file() for file in result["files"])


def test_show_and_render_work_without_models_and_redraw_the_same_bytes(
    capsys: Any, monkeypatch: Any, docs: Path, models: list[str], tmp_path: Path
) -> None:
    command = (
        "explain",
        QUESTION,
        *models,
        "--documents",
        str(docs),
        "--answer",
        "Wilmet Dallin",
        "--methods",
        "attention",
    )
    assert run(capsys, monkeypatch, *command, "--mappers", "bm25", "--out", str(tmp_path / "a"))[0] == 0
    record = tmp_path / "a" / "explanation.safetensors"
    status, out, err = run(capsys, monkeypatch, "show", str(record))
    assert status == 0, err
    assert "Wilmet" in out
    assert "\x1b" not in out
    assert run(capsys, monkeypatch, "render", str(record), "--out", str(tmp_path / "b"))[0] == 0
    drawn = sorted(path.name for path in (tmp_path / "b").iterdir())
    assert len([name for name in drawn if name.endswith((".pdf", ".svg", ".png"))]) == 9
    for name in drawn:
        assert (tmp_path / "b" / name).read_bytes() == (tmp_path / "a" / name).read_bytes(), name
    assert run(capsys, monkeypatch, *command, "--mappers", "bm25", "--out", str(tmp_path / "c"))[0] == 0
    assert (tmp_path / "c" / "explanation.safetensors").read_bytes() == record.read_bytes()


def test_a_run_is_repeated_from_the_file_of_options_that_its_record_prints(
    capsys: Any, monkeypatch: Any, docs: Path, models: list[str], tmp_path: Path
) -> None:
    places = ["--documents", str(docs), *models[4:6]]
    knobs = (
        "smoothgrad.samples=3",
        "prompt.unit=token",
        "documents.max_tokens=64",
        "hidden.layer=0",
        "models.dtype=float64",
    )
    keys = [word for knob in knobs for word in ("-o", knob)]
    command = ["explain", QUESTION, *models, "--documents", str(docs), *keys, "--methods", "smoothgrad,shapley"]
    status, _, err = run(
        capsys, monkeypatch, *command, "--seed", "7", "--answer", "Wilmet «Dallin»", "--out", str(tmp_path / "a")
    )
    assert status == 0, err
    first = tmp_path / "a" / "explanation.safetensors"
    status, out, err = run(capsys, monkeypatch, "show", str(first), "--options")
    assert (status, err) == (0, "")
    file = tmp_path / "run.toml"
    file.write_text(out, "utf-8")
    again = ["explain", QUESTION, "--options", str(file), *places, "--out", str(tmp_path / "b")]
    status, _, err = run(capsys, monkeypatch, *again)
    assert status == 0, err
    assert (tmp_path / "b" / "explanation.safetensors").read_bytes() == first.read_bytes()
    # A flag overrides the file.
    assert run(capsys, monkeypatch, *again[:-1], str(tmp_path / "c"), "--seed", "8")[0] == 0
    assert (tmp_path / "c" / "explanation.safetensors").read_bytes() != first.read_bytes()


def test_sections_lists_what_the_reader_made(capsys: Any, monkeypatch: Any, docs: Path) -> None:
    status, out, err = run(capsys, monkeypatch, "sections", str(docs), "--json")
    rows = json.loads(out)["sections"]
    assert status == 0, err
    assert [(row["document"], row["lines"]) for row in rows] == [
        ("light.md", "L5"),
        ("light.md", "L9"),
        ("pump.txt", "L1"),
    ]
    status, out, err = run(capsys, monkeypatch, "sections", str(docs))
    assert "3 sections in 2 documents" in out


def test_models_list_needs_no_model(capsys: Any, monkeypatch: Any, tmp_path: Path) -> None:
    monkeypatch.setenv("ATTRIB_CACHE", str(tmp_path))
    status, out, err = run(capsys, monkeypatch, "models", "list")
    assert status == 0, err
    assert "attrib models get" in out
    assert "licence" in json.dumps(json.loads(run(capsys, monkeypatch, "models", "list", "--json")[1]))


@pytest.mark.parametrize(
    "command",
    [[], ["explain"], ["show"], ["render"], ["sections"], ["serve"], ["demo"], ["methods"], ["models", "get"]],
)
def test_help_has_an_example(capsys: Any, monkeypatch: Any, command: list[str]) -> None:
    status, out, err = run(capsys, monkeypatch, *command, "--help")
    assert status == 0, err
    assert "Usage: attrib" in out
    assert not command or f"attrib {' '.join(command)}" in out.split("Example", 1)[1]


def refused(capsys: Any, monkeypatch: Any, *arguments: str) -> str:
    """The one line of a refusal."""
    status, out, err = run(capsys, monkeypatch, *arguments)
    lines = [line for line in told(err) if line not in ("attrib: loading models", "attrib: answers")]
    assert status == 2, err
    assert out == ""
    assert len(lines) == 1, err
    assert lines[0].startswith("attrib: ")
    assert "Traceback" not in err
    return lines[0]


def test_bad_documents_are_refused_before_any_model_is_loaded(
    capsys: Any, monkeypatch: Any, tmp_path: Path, models: list[str]
) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "a.png").write_bytes(b"\x89PNG\r\n")
    empty = tmp_path / "empty"
    empty.mkdir()
    absent = ["--base", "/no/such/base", "--tuned", "/no/such/adapter"]
    assert "png" in refused(capsys, monkeypatch, "explain", QUESTION, *absent, "--documents", str(photos))
    assert "no documents" in refused(capsys, monkeypatch, "explain", QUESTION, *absent, "--documents", str(empty))
    assert "does not exist" in refused(
        capsys, monkeypatch, "explain", QUESTION, *absent, "--documents", str(tmp_path / "nowhere")
    )
    assert "--documents" in refused(capsys, monkeypatch, "explain", QUESTION, *models)
    assert "--tuned" in refused(capsys, monkeypatch, "explain", QUESTION, "--documents", str(photos))


def test_bad_questions_and_answers_are_refused(capsys: Any, monkeypatch: Any, docs: Path, models: list[str]) -> None:
    rest = [*models, "--documents", str(docs)]
    assert "it is empty" in refused(capsys, monkeypatch, "explain", "", *rest)
    started = time.monotonic()
    assert "100,000 characters" in refused(capsys, monkeypatch, "explain", "x" * 100_000, *rest)
    assert time.monotonic() - started < 60
    assert "context" in refused(capsys, monkeypatch, "explain", "how long? " * 100, *rest)
    assert "only blanks" in refused(capsys, monkeypatch, "explain", QUESTION, *rest, "--answer", "   ")
    assert "chat marker" in refused(capsys, monkeypatch, "explain", "a <|end|> b", *rest)


def test_bad_models_are_refused(
    capsys: Any, monkeypatch: Any, docs: Path, base_dir: Path, adapter_dir: Path, tmp_path: Path
) -> None:
    import torch
    from safetensors.torch import load_file, save_file

    rest = ["--documents", str(docs), "--device", "cpu"]
    broken = tmp_path / "nan"
    shutil.copytree(base_dir, broken)
    weights = load_file(broken / "model.safetensors")
    next(iter(weights.values())).view(-1)[0] = torch.nan
    save_file(weights, broken / "model.safetensors", metadata={"format": "pt"})
    foreign = tmp_path / "foreign"
    shutil.copytree(adapter_dir, foreign)
    (foreign / "attrib.json").write_text(json.dumps({"base_fingerprint": "0" * 64}))
    explain = ("explain", QUESTION, *rest)
    assert "NaN" in refused(capsys, monkeypatch, *explain, "--base", str(broken), "--tuned", str(adapter_dir))
    assert str(foreign) in refused(capsys, monkeypatch, *explain, "--base", str(base_dir), "--tuned", str(foreign))
    assert "no such" in refused(capsys, monkeypatch, *explain, "--base", "./nowhere", "--tuned", str(adapter_dir))
    assert "dtype" in refused(
        capsys, monkeypatch, *explain, "--base", str(base_dir), "--tuned", str(adapter_dir), "-o", "models.dtype=int3"
    )


def test_bad_outputs_and_records_are_refused(
    capsys: Any, monkeypatch: Any, docs: Path, models: list[str], tmp_path: Path
) -> None:
    file = tmp_path / "file"
    file.write_text("not a folder")
    explain = ("explain", QUESTION, *models, "--documents", str(docs))
    assert "cannot be written" in refused(capsys, monkeypatch, *explain, "--out", str(file))
    if os.geteuid() != 0:
        locked = tmp_path / "locked"
        locked.mkdir(mode=0o500)
        assert "cannot be written" in refused(capsys, monkeypatch, *explain, "--out", str(locked))
    assert "format" in refused(capsys, monkeypatch, *explain, "--format", "gif")
    assert "method 'magic'" in refused(capsys, monkeypatch, *explain, "--methods", "magic")
    assert "mapper 'magic'" in refused(capsys, monkeypatch, *explain, "--mappers", "magic")
    assert "contradict" in refused(capsys, monkeypatch, *explain, "--answer", "x", "-o", "answer.source=base")
    assert "models.device_map places" in refused(capsys, monkeypatch, *explain, "-o", "models.device_map=auto")
    assert "no such file" in refused(capsys, monkeypatch, "show", str(tmp_path / "nothing.safetensors"))
    assert str(file) in refused(capsys, monkeypatch, "render", str(file))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-o", "integrated_gradients.steps=²"], "give a whole number or auto"),
        (["-o", f"prompt.baseline={'9' * 30}"], "give zero, mean, pad, unk or eos or a whole number"),
        (["--target", "magic"], "target 'magic' is unknown"),
        (["--target", "probability_difference"], "add -o prompt.contrast="),
        (["-o", "prompt.contrast=x"], "compares with nothing"),
        (["--methods", "attention_head"], "add -o attention_head.layer=5"),
        (["-o", "attention_head.layer=1"], "add it to --methods"),
        (["--methods", "shapley", "-o", "perturbation.ablate=replace"], "add -o prompt.baseline=eos"),
        (["-o", "integrated_gradients.tolerance=0"], "above 0"),
    ],
)
def test_options_of_methods_are_checked_before_models_are_loaded(
    capsys: Any, monkeypatch: Any, arguments: list[str], message: str
) -> None:
    monkeypatch.setattr("attrib.models.pair.ModelPair.load", lambda *given, **more: pytest.fail("loaded"))
    assert message in refused(capsys, monkeypatch, "explain", QUESTION, *arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--methods", ","], "name at least one"),
        (["--methods", "magic"], "unknown"),
        (["--target", "logprob_difference"], "does not fit all questions"),
        (["--preset", "bad"], "no preset"),
        (["-o", "perturbation.ablate=replace"], "add -o prompt.baseline=eos"),
        (["-o", "prompt.unit=token"], "prompt.unit 'token': whole answers are assessed; leave it out"),
        (["-o", "perturbation.sources=sentence"], "perturbation.sources 'sentence': words are removed; leave it out"),
        (["--documents", "/nonexistent"], "does not exist"),
        (["--questions", "/nonexistent.csv"], "does not exist"),
    ],
)
def test_an_assessment_is_checked_before_models_are_loaded(
    capsys: Any, monkeypatch: Any, arguments: list[str], message: str
) -> None:
    monkeypatch.setattr("attrib.models.pair.ModelPair.load", lambda *given, **more: pytest.fail("loaded"))
    assert message in refused(capsys, monkeypatch, "assess", "faithfulness", *arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-o", "models.revision=v1"], "models.revision: the demo's models come with the package and have none"),
        (["-o", "models.device_map=auto", "--device", "cpu"], "leave --device out"),
    ],
)
def test_the_demo_takes_every_option_for_loading_that_its_models_can_follow(
    capsys: Any, monkeypatch: Any, tmp_path: Path, arguments: list[str], message: str
) -> None:
    seen: list[dict[str, Any]] = []

    def load(**more: Any) -> None:
        seen.append(more)
        raise KeyboardInterrupt

    def leave(status: int) -> None:
        raise SystemExit(status)

    monkeypatch.setattr("attrib.models.pair.ModelPair.load", load)
    monkeypatch.setattr("attrib.models.bundled.get_default_model", lambda *given: tmp_path)
    # The real one would end the tests.
    monkeypatch.setattr("os._exit", leave)
    out = ["--out", str(tmp_path / "out")]
    assert message in refused(capsys, monkeypatch, "demo", *out, *arguments)
    assert not seen
    run(capsys, monkeypatch, "demo", *out, "-o", "models.device_map=auto", "--trust-remote-code")
    assert (seen[0]["device_map"], seen[0]["trust_remote_code"]) == ("auto", True)
    assert (seen[0]["base"], seen[0]["tuned"]) == (None, None)


def test_faithfulness_on_questions_of_ones_own(
    capsys: Any, monkeypatch: Any, models: list[str], tmp_path: Path
) -> None:
    file = tmp_path / "q.csv"
    file.write_text(
        "question,answer\nWho keeps the light?,Wilmet Dallin\nHow tall was it in 1712?,38 metres\n", "utf-8"
    )
    own = models[: models.index("--control")]
    command = [
        "assess",
        "faithfulness",
        *own,
        "--device",
        "cpu",
        "--questions",
        str(file),
        "--methods",
        "attention,leave_one_out",
    ]
    status, out, err = run(
        capsys,
        monkeypatch,
        *command,
        "--random-orders",
        "2",
        "--out",
        str(tmp_path / "out"),
        "--format",
        "png",
        "--json",
    )
    assert status == 0, err
    result = json.loads(out)
    assert {row["method"] for row in result["rows"]} == {
        "attention",
        "leave_one_out",
        "random order",
        "rare words first",
    }
    assert all(Path(name).is_file() for name in result["files"])
    assert result["provenance"]["questions"] == 2


def test_ctrl_c_leaves_nothing_half_written(docs: Path, models: list[str], tmp_path: Path) -> None:
    out = tmp_path / "out"
    program = Program(attrib, "explain", QUESTION, *models, "--documents", str(docs), "--out", str(out))
    program.wait_for(lambda: "loading models" in program.err)
    time.sleep(0.2)
    program.send_signal(signal.SIGINT)
    assert program.wait() == 1, program.err
    assert "Traceback" not in program.err
    assert list(out.iterdir()) == []


def test_ctrl_c_waits_for_an_import(monkeypatch: Any, tmp_path: Path) -> None:
    """Raised inside one it may be swallowed: a module that catches everything must not see it."""
    (tmp_path / "swallows.py").write_text(
        "import os, signal\ntry:\n    os.kill(os.getpid(), signal.SIGINT)\n    inside = False\n"
        "except BaseException:\n    inside = True\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    before = signal.signal(signal.SIGINT, common.interrupt)
    try:
        import swallows  # type: ignore[import-not-found]

        assert not swallows.inside
        with common.show_progress() as progress, pytest.raises(KeyboardInterrupt):
            progress("work", 0, 1)
        # Elsewhere it is not kept waiting.
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)
