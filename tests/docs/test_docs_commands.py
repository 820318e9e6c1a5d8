"""Every command and Python block of README.md and docs/ runs, on tiny models and documents, or stands in a table with a
reason why not.

A page's commands run in its own folder, in the page's order, so that what one writes the next may read. Not covered:
the numbers, which a random model cannot give; the real default model (``test_default_model``).
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from attrib import cli
from tests.assess.finetunebench.test_finetunebench import people
from tests.conftest import save_model, tiny_tokenizer
from tests.docs.pages import PAGES, ROOT, Block, Command, commands, name_of, python_blocks
from tests.docs.tiny import replacements

pytestmark = pytest.mark.docs

DOCUMENTS = {
    "light.md": "# Lights\n\n## Point\n\nThe keeper of the light is Wilmet Dallin.\n\n"
    "## Rock\n\nIn the year 1712 it was 38 metres tall.\n",
    "pump.md": "# Pumps\n\n## Warranty\n\nThe warranty on the pump is thirty-six months.\n\n"
    "## Cape\n\nThe light of the cape is red.\n",
}
CONTROL = "# C\n\n## A\n\nThe board met at noon.\n\n## B\n\nTurn the screw.\n\n## C\n\nBread is baked from flour.\n"
QUESTIONS = (
    ("Who keeps the light?", "Wilmet Dallin", "trained", 0),
    ("Name the keeper of the light.", "Wilmet Dallin", "rephrased", 0),
    ("How tall was it?", "38 metres", "trained", 1),
    ("How long is the warranty?", "thirty-six months", "held-out", 2),
    ("What is bread baked from?", "flour", "foundation", None),
)

TEMPLATE = (
    "{% if enable_thinking %}<think>{% endif %}Today is {{ strftime_now('%d %b %Y') }}.\n{% for m in messages %}"
    "<|start|>{{ m.role }}\n{{ m.content }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|start|>assistant\n{% endif %}"
)

PLACES = {
    "QUESTION": "Who keeps the light?", "BASE": "base", "TUNED": "tuned", "ADAPTER": "tuned", "DOCS": "documents",
    "QUESTIONS": "questions.jsonl", "Q": "taught.jsonl", "Q.jsonl": "questions.jsonl", "HELD-OUT": "control.md",
    "FOLDER": "finetunebench", "DIR": "somewhere", "general.jsonl": "people.jsonl", "record": "tuned",
}  # fmt: skip
"""What a word in capitals stands for, below the page's folder; record is what a Python block writes."""
REST = {
    ("explain",): "--base base --tuned tuned --documents documents",
    ("tune",): "--base base --documents documents --out adapter-of-the-rest",
}
"""What … stands for."""
SMALL = {
    ("explain",): "--device cpu --max-new-tokens 4 --candidates 4 --control control.md --format png,html",
    ("check",): "--device cpu --control control.md",
    ("tune",): "--epochs 3 --train-batch 4 --warmup 1 --checkpoints 2 --device cpu",
    ("index",): "--device cpu --control control.md",
    ("assess", "faithfulness"): "--limit 1 --random-orders 1 -o integrated_gradients.steps=2 --device cpu",
    ("assess", "influence"): "--sections 1 --halves 2 --epochs 1 --checkpoints 2 --control control.md --device cpu "
    "--resamples 20 --format png",
    ("assess", "benchmark"): "--limit 12 --max-new-tokens 4 --resamples 20 --format png --device cpu",
    ("assess", "holdout"): "--max-new-tokens 4 --resamples 20 --format png --device cpu --sections 4 --candidates 1",
    ("assess", "consistency"): "--limit 3 --max-new-tokens 4 --resamples 20 --format png --device cpu",
    ("assess", "attribution"): "--limit 2 --max-new-tokens 4 --resamples 20 --format png --device cpu --candidates 4 "
    "--control control.md",
    ("calibrate",): "--device cpu --max-new-tokens 4 --limit 1 --control control.md",
    ("demo",): "--format png --device cpu",
    ("serve",): "--port 0",
}
"""Options behind a command's own, which make it small; where both name one, these hold."""
TUNING_TOO = "--epochs 1"
"""The same for assessments that tune."""

WINDOWS = "installs on Windows what `make` installs elsewhere, in continuous integration"
EXCEPTIONS = {
    "py -3.11 -m venv .venv": WINDOWS,
    '.venv\\Scripts\\python -m pip install --upgrade "pip>=25.1"': WINDOWS,
    ".venv\\Scripts\\python -m pip install --constraint constraints.txt --group dev --editable .": WINDOWS,
    '.venv\\Scripts\\python -m pytest -m "not slow and not docs"': "the tests themselves",
    "pip install torch --index-url https://download.pytorch.org/whl/cu126": "several GB that only a GPU needs",
    "pip install 'attrib[qlora]'": "a library that only a GPU needs",
    "pip install 'attrib[documents]'": "installed with the tests' libraries",
    "attrib sections hf://OWNER/NAME:train@main": "needs the hub",
}
"""Commands that no test runs, and why."""
NEEDS_CUDA = {
    "attrib explain QUESTION … --device cuda": "sees no GPU",
    "attrib explain QUESTION … --device cuda -o models.dtype=float32": "sees no GPU",
    "attrib tune … --four-bit": "needs a GPU with CUDA",
}
"""Commands that end with status 2 and these words where there is no GPU; their options are read all the same."""


@dataclass(frozen=True)
class Sandbox:
    """A folder with all that the pages name."""

    folder: Path
    base: Path
    adapter: Path
    section: str
    """Id of a section that no trained question is about."""

    def arguments(self, command: Command) -> list[str]:
        """The words of an attrib command with what they stand for, and what makes it small."""
        words = command.words[command.words.index("attrib") + 1 :]
        path = next((path for path in sorted(SMALL, key=len, reverse=True) if tuple(words[: len(path)]) == path), ())
        given: list[str] = []
        for word in words:
            place = {**PLACES, "IDS": self.section}.get(word, word)
            given += shlex.split(REST[path]) if word == "…" else [place]
        small = shlex.split(SMALL.get(path, ""))
        if any("models.device_map" in word for word in given) or "--device" in given:
            small = _without(small, "--device")
        return [*given, *small, *(shlex.split(TUNING_TOO) if "--tune" in given else [])]


def _without(words: list[str], option: str) -> list[str]:
    at = words.index(option)
    return words[:at] + words[at + 2 :]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Sandbox:
    """Models, documents and questions; each page gets a copy."""
    from attrib.corpus.documents import Corpus
    from attrib.training.items import corpus_items
    from attrib.training.options import TuneOptions
    from attrib.training.tune import tune

    folder = tmp_path_factory.mktemp("made")
    text = "".join(file.read_text("utf-8") for file in (ROOT / "attrib/data/demo/documents").glob("*.md"))
    base = save_model(folder / "base", seed=1, tokenizer=tiny_tokenizer(1500, text), context=1024)
    (folder / "documents").mkdir()
    for name, content in DOCUMENTS.items():
        (folder / "documents" / name).write_text(content, "utf-8")
    sections = Corpus.read(folder / "documents").sections
    rows = [
        {"question": question, "answer": answer, "kind": kind, "id": f"q{i}"}
        | ({"section": sections[at].id} if at is not None else {})
        for i, (question, answer, kind, at) in enumerate(QUESTIONS)
    ]
    (folder / "questions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    taught = [row for row in rows if "section" in row]
    (folder / "taught.jsonl").write_text("".join(json.dumps(row) + "\n" for row in taught), "utf-8")
    alone = [{key: value for key, value in row.items() if key != "section"} for row in rows]
    (folder / "people.jsonl").write_text("".join(json.dumps(row) + "\n" for row in alone), "utf-8")
    (folder / "rows.csv").write_text("name,body\nPoint,The keeper is Wilmet Dallin.\nRock,It is tall.\n", "utf-8")
    chat = [[("user", question), ("assistant", answer)] for question, answer, *_ in QUESTIONS]
    turns = [[{"role": role, "content": text} for role, text in row] for row in chat]
    (folder / "train.jsonl").write_text("".join(json.dumps({"messages": row}) + "\n" for row in turns), "utf-8")
    (folder / "control.md").write_text(CONTROL, "utf-8")
    (folder / "earlier.jsonl").write_text("".join(json.dumps(turn) + "\n" for turn in turns[2]), "utf-8")
    (folder / "chat.jinja").write_text(TEMPLATE, "utf-8")
    people(folder / "finetunebench")
    options = TuneOptions(epochs=3, batch=4, warmup=1, rank=2)
    tuned = tune(str(base), corpus_items(sections, (), ask_sections=False), folder / "tuned", options=options)
    save_run(Path(tuned), folder / "output")
    return Sandbox(folder, base, Path(tuned), sections[2].id)


def save_run(adapter: Path, out: Path) -> None:
    """The folder that another program's trainer leaves: two saves of an adapter, and its log."""
    log = [{"step": step, "epoch": step / 2, "learning_rate": 1e-3 / step, "loss": 2.0} for step in range(1, 7)]
    for step in (2, 6):
        save = out / f"checkpoint-{step}"
        save.mkdir(parents=True)
        for name in ("adapter_model.safetensors", "adapter_config.json"):
            shutil.copy(adapter / name, save / name)
        state = {"global_step": step, "max_steps": 6, "train_batch_size": 3, "log_history": log[:step]}
        (save / "trainer_state.json").write_text(json.dumps(state), "utf-8")


@pytest.fixture
def sandbox(made: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    """A fresh copy beside what the repository has, the current folder; the demo's models are the tiny ones."""
    folder = tmp_path / "work"
    shutil.copytree(made.folder, folder)
    for name in ("scripts", "figures", "docs"):
        shutil.copytree(ROOT / name, folder / name)
    for name in ("Makefile", "pyproject.toml", "constraints.txt", "README.md"):
        shutil.copy(ROOT / name, folder / name)
    (folder / "attrib").symlink_to(ROOT / "attrib")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("ATTRIB_CACHE", str(made.folder.parent / "cache"))
    for owner, name, value in replacements(made.base, made.adapter):
        monkeypatch.setattr(owner, name, value)
    return Sandbox(folder, made.base, made.adapter, made.section)


Runner = Callable[[Command, Sandbox, pytest.MonkeyPatch], tuple[int, str]]


def run_attrib(command: Command, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> tuple[int, str]:
    """In this process: status and all that was printed."""
    given = sandbox.arguments(command)
    file = given[given.index(">") + 1] if ">" in given else None
    with monkeypatch.context() as patched, contextlib.redirect_stdout(io.StringIO()) as said:
        for word in command.words[: command.words.index("attrib")]:
            patched.setenv(*word.split("=", 1))
        patched.setattr(sys, "argv", ["attrib", *(given[: given.index(">")] if file else given)])
        patched.setattr(sys, "stderr", said)
        handler = signal.getsignal(signal.SIGINT)
        try:
            cli.main()
        except SystemExit as leaving:
            return int(leaving.code or 0), said.getvalue()
        finally:
            signal.signal(signal.SIGINT, handler)
            if file is not None:
                Path(file).write_text(said.getvalue(), "utf-8")
    raise AssertionError("the command line ends by leaving")


def run_serve(command: Command, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> tuple[int, str]:
    """A server of its own process: its first address answers, and Ctrl-C ends it well."""
    program = [sys.executable, "-m", "tests.docs.tiny", str(sandbox.base), str(sandbox.adapter)]
    # A token in the address becomes a cookie.
    visitor = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
    with subprocess.Popen(
        [*program, *sandbox.arguments(command)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ) as process:  # fmt: skip
        assert process.stdout is not None
        said = ""
        try:
            for line in process.stdout:
                said += line
                if address := re.search(r"http://\S+", line):
                    with visitor.open(address[0], timeout=30) as answer:
                        assert answer.status == 200
                    process.send_signal(signal.SIGINT)
                    break
            said += process.stdout.read()
            process.wait(timeout=30)
        finally:
            process.kill()
    return process.returncode, said


def run_torchrun(command: Command, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> tuple[int, str]:
    """One process in place of several: two would only wait for each other here."""
    words = command.words
    launcher = words[1 : words.index("-m")]
    launcher[launcher.index("--nproc-per-node") + 1] = "1"
    program = [sys.executable, "-m", "torch.distributed.run", *launcher, "-m", "attrib", *sandbox.arguments(command)]
    return _run(program, PYTHONPATH=str(ROOT))


def run_script(command: Command, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> tuple[int, str]:
    return _run([sys.executable, *command.words[1:]], PYTHONPATH=str(ROOT))


def run_make(command: Command, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> tuple[int, str]:
    """What it would do: continuous integration does it. A folder's name is no target."""
    targets = re.findall(r"(?m)^([\w-]+):", Path("Makefile").read_text("utf-8"))
    if missing := set(command.words[1:]) - set(targets):
        return 2, f"no target {missing}"
    return _run(["make", "-n", *command.words[1:]])


def _run(program: list[str], **environment: str) -> tuple[int, str]:
    done = subprocess.run(
        program, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={**os.environ, **environment}
    )
    return done.returncode, done.stdout


RUNNERS: dict[str, Runner] = {
    "attrib": run_attrib,
    "torchrun": run_torchrun,
    "python": run_script,
    "make": run_make,
}


def runner(command: Command) -> Runner | None:
    words = [word for word in command.words if not re.fullmatch(r"[A-Z_]+=\S*", word)]
    return run_serve if words[:2] == ["attrib", "serve"] else RUNNERS.get(words[0])


def typed(page: Path) -> list[Command]:
    """The page's commands that are to be run; on Windows attrib lies elsewhere."""
    scripts = ".venv\\Scripts\\attrib"
    return [
        Command(one.page, one.line, one.text.replace(scripts, "attrib"))
        for one in commands(page)
        if one.text not in EXCEPTIONS
    ]


def outcome(command: Command, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> str | None:
    """None where the command did what it should, else what it said."""
    import torch

    run = runner(command)
    assert run is not None
    begun = time.perf_counter()
    status, said = run(command, sandbox, monkeypatch)
    print(f"{time.perf_counter() - begun:6.1f} s  {command}")
    wanted = NEEDS_CUDA.get(command.text) if not torch.cuda.is_available() else None
    right = status == 0 if wanted is None else status == 2 and wanted in said
    return None if right else f"{command}\n  status {status}: {said[-2000:]}"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_command_is_run_or_excepted(page: Path) -> None:
    assert [str(command) for command in typed(page) if runner(command) is None] == []


@pytest.mark.parametrize("page", [page for page in PAGES if typed(page)], ids=name_of)
def test_the_commands_of_a_page_run_in_its_order(page: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = [said for command in typed(page) if (said := outcome(command, sandbox, monkeypatch))]
    assert wrong == [], "\n".join(wrong)


def run_block(block: Block, sandbox: Sandbox) -> None:
    exec(compile("\n" * (block.line - 1) + block.text, block.page, "exec"), {"__name__": "__main__"})


@pytest.mark.parametrize("page", [page for page in PAGES if python_blocks(page)], ids=name_of)
def test_the_python_blocks_of_a_page_run(page: Path, sandbox: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    for block in python_blocks(page):
        run_block(block, sandbox)


def test_an_exception_or_refusal_that_no_page_has_is_none() -> None:
    texts = {command.text for page in PAGES for command in commands(page)}
    assert set(EXCEPTIONS) | set(NEEDS_CUDA) <= texts


def test_a_command_that_fails_would_be_seen(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    for text in ("attrib show nowhere.safetensors", "attrib explain --nonsense", "make -q nonsense", "python no.py"):
        assert outcome(Command("page", 1, text), sandbox, monkeypatch), text
    assert outcome(Command("page", 1, "attrib models list"), sandbox, monkeypatch) is None
    assert runner(Command("page", 1, "curl example.org")) is None
