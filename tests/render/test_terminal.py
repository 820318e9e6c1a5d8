"""Terminal: text is data, plain means plain, and the facts survive without colour."""

from __future__ import annotations

import io
import os
import re
import struct
import subprocess
import sys
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.cells import cell_len
from rich.console import Console
from wcwidth import wcswidth

from attrib.attribution import METHODS
from attrib.corpus.reading import ReadingReport
from attrib.mapping import NAMES as MAPPERS
from attrib.records import CALLS, LABELS, Explanation, Phrase, Verbatim, Vocabulary, VocabularyShare, storage
from attrib.render import first_screen, terminal, view
from tests.make import ODD_TOKENS, make_explanation
from tests.make_chat import with_row

ROOT = Path(__file__).parents[2]


def full(**options: Any) -> Explanation:
    """A record that has every part: all methods, vocabulary with its shares, a run that the documents hold."""
    explanation = make_explanation(**{"methods": tuple(METHODS), "unit": "word", "gap": 0.4, **options})
    ids = tuple(section.id for section in explanation.sections[:2])
    vocabulary = Vocabulary(
        positions=np.arange(2, 5),
        word_of_token=np.arange(3),
        words=("warranty", "on", "水の灯台"),
        in_documents=np.array([True, True, True]),
        common=np.array([False, True, False]),
        sections=(ids, (), ids),
        phrases=(Phrase("warranty on", 0, 2, ids),),
    )
    one = np.array([0.5])
    shares = tuple(
        VocabularyShare(method, kind, 0.38, one, one, one, one / 2, one, one, one, one, one, 100, exact=False)
        for method in METHODS
        for kind in ("words", "phrases")
    )
    found = Verbatim("thirty-six months", 0, 3, 2, (0,), ids[:1], np.array([[0, 3]]), 1, 0, 0)
    return replace(explanation, vocabulary=vocabulary, shares=shares, verbatim=(found,))


def printed(explanation: Explanation, *, width: int = 100, colour: bool = False, terminal_like: bool = False) -> str:
    console = Console(
        file=io.StringIO(),
        width=width,
        force_terminal=colour or terminal_like,
        no_color=not colour,
        color_system="truecolor" if colour or terminal_like else None,
        _environ={},
    )
    terminal.show(explanation, console, top=3, everything=True)
    terminal.verdict_table([explanation, explanation], console)
    output = console.file.getvalue()  # type: ignore[attr-defined]
    assert isinstance(output, str)
    return output


def test_no_colour_has_no_escape_codes_and_colour_has() -> None:
    explanation = make_explanation()
    assert "\x1b" not in printed(explanation)
    assert "\x1b" not in printed(explanation, terminal_like=True)
    assert "\x1b[" in printed(explanation, colour=True)


def test_no_color_in_the_environment_is_obeyed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    console = Console(file=io.StringIO(), force_terminal=True, width=100)
    terminal.show(make_explanation(), console, everything=True)
    assert "\x1b" not in console.file.getvalue()  # type: ignore[attr-defined]


def test_markup_and_escapes_in_texts_show_and_do_not_act() -> None:
    evil = "[red]x[/red] \x1b[31m [/] \x07"
    explanation = make_explanation(
        answer_texts=[" [bold]a[/bold]"],
        texts=[evil] * 20,
        titles=["[i]t[/i]"] * 20,
        question="[b]q[/b]",
        base_answer=evil,
    )
    output = printed(explanation)
    for literal in ("[red]x[/red]", "<1B>[31m", "<07>", "[bold]a[/bold]", "[b]q[/b]", "[i]t[/i]"):
        assert literal in output
    assert "\x1b" not in output
    assert "\x1b[31m" not in printed(explanation, colour=True)


def test_plain_answer_marks_each_change_of_verdict() -> None:
    explanation = make_explanation(answer=20)
    words = [row.verdict for row in view.answer_rows(explanation, "word")]
    runs = [called for called, _ in groupby(words)]
    text = "".join(line.plain for line in first_screen.answer_lines(explanation, True, 80))
    assert [text.count(first_screen.MARKS[label]) for label in CALLS] == [runs.count(label) for label in CALLS]
    rows = list(first_screen.answer_lines(explanation, False, 80))[::2]
    assert " ".join(line.plain for line in rows).split() == explanation.answer.split()


def test_facts_are_printed() -> None:
    explanation = make_explanation(texts=["alpha beta"] * 20)
    output = printed(explanation, width=200)
    best = explanation.sections[int(explanation.ranking[0])]
    worst = explanation.sections[int(explanation.ranking[-1])]
    assert view.verdict_line(explanation.verdict.whole) in output
    assert explanation.base_answer in output
    assert f"{best.document} {best.lines}" in output
    assert f"{worst.document} {worst.lines}" not in output
    assert "best control" in output
    assert "Similarity is not influence" in output


@pytest.mark.parametrize("width", [20, 40, 80, 120, 200])
def test_lines_keep_to_the_console_even_with_odd_tokens(width: int) -> None:
    explanation = full(answer_texts=ODD_TOKENS * 10, titles=["水" * 90, "x" * 300], mappers=tuple(MAPPERS))
    lines = printed(explanation, width=width).splitlines()
    assert max(wcswidth(line) for line in lines) <= width
    assert max(wcswidth(line) for line in lines) > 0.8 * width


@pytest.mark.parametrize("width", [40, 60, 80, 120, 200])
def test_nothing_is_cut_and_no_column_is_a_thread(width: int) -> None:
    explanation = full(mappers=tuple(MAPPERS))
    output = printed(explanation, width=width)
    assert "…" not in output.replace("“…", "").replace("…”", "")
    words = " ".join(output.split())
    for word in (*METHODS, *MAPPERS, "warranted", "thirty-six", "control"):
        assert word in words, word
    assert re.search(r"^(.{1,6}\n){3}", output, re.M) is None


@pytest.mark.parametrize("width", [80, 200])
def test_scores_stand_below_their_names_whatever_is_beside_them(width: int) -> None:
    titles = ["水の灯台 🙂 e\u0301e\u0301e\u0301", "plain", "مرحبا", "🏳️‍🌈 flag"]
    output = printed(full(titles=titles, texts=["水" * 30, "🙂" * 30, "e\u0301" * 30, "x"]), width=width)
    head = next(line for line in output.splitlines() if line.rstrip().endswith("hidden"))
    right = wcswidth(head)
    scores = [line for line in output.splitlines() if re.search(r"\d\.\d\d +\d\.\d\d$", line)]
    assert len(scores) >= 8
    assert {wcswidth(line) for line in scores} == {right}


def test_only_heads_and_matches_are_bold() -> None:
    console = Console(file=io.StringIO(), width=80, force_terminal=True, color_system="truecolor", record=True)
    explanation = full(texts=["alpha beta"] * 20)
    terminal.show(explanation, console, top=1, everything=True)
    output = console.file.getvalue()  # type: ignore[attr-defined]
    assert "\x1b[1mQuestion: \x1b[0m" + explanation.question in output
    best = explanation.sections[int(explanation.ranking[0])]
    assert f"\x1b[1m{best.title}\x1b[0m" in output
    assert "\x1b[1mattention: \x1b[0mAttention is not cause" in output


def test_plain_lines_end_without_blanks_and_colours_keep_the_same_words() -> None:
    explanation = full()
    output = printed(explanation)
    assert [line for line in output.splitlines() if line != line.rstrip()] == []
    coloured = re.sub(r"\x1b\[[0-9;]*m", "", printed(explanation, colour=True))
    marks = re.compile(r"\[[dbn?]\] ?|\(a mark holds until the next\)")
    assert marks.sub("", output).split() == marks.sub("", coloured).split()


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "latin-1", "cp437"])
def test_a_console_that_lacks_characters_gets_others_of_the_same_width(encoding: str) -> None:
    explanation = full(answer_texts=ODD_TOKENS * 3, titles=["水の灯台", "naïve é", "🙂 λ"])
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding, newline="\n")
    console = Console(file=stream, width=120, color_system=None, _environ={})
    terminal.show(explanation, console, everything=True)
    assert stream.errors == "strict"
    stream.flush()
    narrow = stream.buffer.getvalue().decode(encoding)  # type: ignore[attr-defined]
    full_output = io.StringIO()
    terminal.show(explanation, Console(file=full_output, width=120, color_system=None, _environ={}), everything=True)
    wide = full_output.getvalue()
    assert narrow != wide
    assert [cell_len(line) for line in narrow.splitlines()] == [cell_len(line) for line in wide.splitlines()]
    assert "How sure? words:" in narrow


@pytest.fixture
def record(tmp_path: Path) -> Path:
    return storage.save(full(answer=20, titles=["水の灯台 🙂"]), tmp_path / "explanation.safetensors")


def shown(record: Path, **environment: str) -> bytes:
    """What the command prints into a pipe."""
    done = subprocess.run(
        [sys.executable, "-m", "attrib", "show", str(record)], capture_output=True, env=clean(environment), check=True
    )
    assert done.stderr == b""
    return done.stdout


def clean(environment: dict[str, str]) -> dict[str, str]:
    """This process's environment without what decides on colours and widths, and ``environment`` upon it."""
    ours = ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "TERM", "COLORTERM", "PYTHONIOENCODING", "TTY_COMPATIBLE")
    here = {name: value for name, value in os.environ.items() if name not in ours}
    return {**here, "PYTHONPATH": str(ROOT), "PYTHONUTF8": "0", **environment}


def test_a_pipe_gets_plain_text_of_one_width_and_colours_only_when_forced(record: Path) -> None:
    utf8 = {"PYTHONIOENCODING": "utf-8", "TERM": "xterm-256color"}
    plain = shown(record, **utf8).decode()
    assert "\x1b" not in plain
    assert 80 < max(wcswidth(line) for line in plain.splitlines()) <= 100
    forced = shown(record, **utf8, FORCE_COLOR="1").decode()
    assert "\x1b[" in forced
    assert shown(record, **utf8, FORCE_COLOR="1", NO_COLOR="1").decode() == plain
    ascii_only = shown(record, PYTHONIOENCODING="ascii").decode("ascii")
    assert ascii_only.splitlines()[0] == plain.splitlines()[0]


def on_terminal(record: Path, columns: int, **environment: str) -> str:
    """What the command prints on a pseudo-terminal of that many columns."""
    pty, fcntl, termios = (pytest.importorskip(name) for name in ("pty", "fcntl", "termios"))
    parent, child = pty.openpty()
    fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    command = [sys.executable, "-m", "attrib", "show", str(record)]
    with subprocess.Popen(
        command, stdin=child, stdout=child, stderr=child, env=clean({"PYTHONIOENCODING": "utf-8", **environment})
    ) as process:
        os.close(child)
        pieces = []
        while True:
            try:
                piece = os.read(parent, 65536)
            except OSError:  # Linux says so that the other end is closed.
                break
            if not piece:
                break
            pieces.append(piece)
    os.close(parent)
    assert process.returncode == 0
    return b"".join(pieces).decode().replace("\r\n", "\n")


def test_a_terminal_gets_colours_and_its_own_width(record: Path) -> None:
    bare = {}
    for columns in (40, 120):
        output = on_terminal(record, columns, TERM="xterm-256color")
        assert "\x1b[1;4;34m" in output
        bare[columns] = re.sub(r"\x1b\[[0-9;]*m", "", output)
        assert 0.8 * columns < max(wcswidth(line) for line in bare[columns].splitlines()) <= columns
    dumb = on_terminal(record, 120, TERM="dumb")
    assert "\x1b" not in dumb
    assert "[d]" in dumb
    assert max(wcswidth(line) for line in dumb.splitlines()) > 96
    assert on_terminal(record, 120, TERM="xterm-256color", NO_COLOR="1") == dumb


def test_verdicts_stand_as_blocks_where_a_table_would_be_too_narrow() -> None:
    explanation = make_explanation()
    for width in (40, 80, 119, 120, 200):
        console = Console(file=io.StringIO(), width=width, color_system=None, _environ={})
        terminal.verdict_table([explanation], console)
        output = console.file.getvalue()  # type: ignore[attr-defined]
        percents = view.percents(explanation.verdict.whole)
        said = all(f"{label} {n}%" in output for label, n in zip(LABELS, percents, strict=True))
        assert said == (width < 120)
        words = " ".join(output.split())
        assert explanation.verdict.called in words
        assert max(map(cell_len, output.splitlines())) <= width


def test_gain_has_one_bar_a_value_and_keeps_their_order() -> None:
    def bars(*values: float) -> str:
        return "".join(first_screen.bars(np.array(values)))

    assert bars(0.0, 1.0, 7.0) == "▁▂█"
    assert bars(-7.0, 0.0) == "▁█"
    assert bars(0.0, 0.0) == "▁▁"
    assert bars() == ""
    assert bars(0.0, np.inf, 1.0, -np.inf, np.nan) == "▁██▁?"


@pytest.mark.parametrize("name", ["demo", "strip", "track"])
def test_the_first_screen_has_24_lines_and_the_gain_stands_under_its_word(name: str) -> None:
    explanation = storage.load(ROOT / "figures" / f"{name}.safetensors")
    console = Console(file=io.StringIO(), width=80, color_system=None, _environ={})
    terminal.show(explanation, console)
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 80
    first = next(i for i, line in enumerate(lines) if line.startswith("Answer")) + 1
    for word in explanation.answer.split()[:2]:
        at = lines[first].index(word)
        bar = lines[first + 1][at : at + len(word)]
        assert len(set(bar)) == 1, "one bar a word, as wide as it"
        assert bar[0] in "▁▂▃▄▅▆▇█"


def test_what_is_nearly_sure_is_not_said_to_be_sure() -> None:
    explanation = make_explanation(sections=3)
    verdict = replace(explanation.verdict, whole=np.array([0.998, 0.001, 0.001]), learned=np.array([0.999, 0.001, 1.0]))
    console = Console(file=io.StringIO(), width=120, color_system=None, _environ={})
    terminal.show(replace(explanation, verdict=verdict), console, everything=True)
    output = console.file.getvalue()  # type: ignore[attr-defined]
    assert "documents >99% · base <1% · neither <1%" in output
    for said in ("learned: yes >99%", "learned: no <1%", "learned: yes 100%"):
        assert said in output


def test_words_of_an_unscored_section_are_given_a_place_that_a_reader_knows() -> None:
    explanation = make_explanation(sections=3)
    known = explanation.sections[1]

    def said(*sections: str) -> str:
        spans = np.zeros((len(sections), 2), int)
        found = Verbatim("The warranty", 0, 12, 2, (0, 1), sections, spans, len(sections), 0, 0)
        console = Console(file=io.StringIO(), width=160, color_system=None, _environ={})
        terminal.show(replace(explanation, verbatim=(found,)), console, everything=True)
        return console.file.getvalue()  # type: ignore[attr-defined,no-any-return]

    assert f"verbatim in {known.document} {known.lines} (and 1 more section)" in said("feedbeef", known.id)
    assert "verbatim in a section that was not scored (and 2 more sections)" in said("a", "b", "c")
    assert "verbatim in a section that was not scored\n" in said("a")


def test_small_records_print() -> None:
    for explanation in (
        make_explanation(answer=0),
        make_explanation(sections=0, mappers=(), methods=()),
        make_explanation(controls=0),
    ):
        assert "Question" in printed(explanation)


def test_methods_show_their_gap_their_target_and_the_templates_share() -> None:
    methods = ("attention", "leave_one_out", "integrated_gradients", "relevance")
    explanation = make_explanation(methods=methods, target="kl", gap=0.4, unit="word")
    output = printed(explanation, width=200)
    gaps = view.gaps(explanation.attributions["integrated_gradients"])
    share = view.template_share(explanation, explanation.attributions["attention"])
    assert gaps is not None
    assert share is not None
    for gap in gaps:
        assert f"gap {view.gap_line(gap, 'kl')}" in output
    for side in share:
        assert f"(template {side:.0%})" in output
    assert "not converged: over" in output
    assert "not conserved: over" in output
    assert "of KL(tuned‖base)" in output
    small = printed(make_explanation(methods=methods, gap=0.01, unit="word"), width=200)
    assert "(template " in small
    assert "; gap " in small
    assert ": over 10%" not in small
    assert "of log p" not in small


def test_every_method_and_unit_prints() -> None:
    for unit in ("word", "answer", ((0, 2),)):
        explanation = make_explanation(methods=tuple(METHODS), unit=unit, gap=0.4)  # type: ignore[arg-type]
        output = printed(explanation, width=80)
        assert all(method in output for method in METHODS)
        assert max(cell_len(line) for line in output.splitlines()) <= 80


@pytest.mark.parametrize("width", [50, 120])
def test_a_row_of_chat_data_is_shown_turn_by_turn(width: int) -> None:
    explanation = with_row(make_explanation())
    output = " ".join(printed(explanation, width=width).split())
    assert "train.jsonl row 5" in output
    for line in (
        "How long is the warranty on the pump, and does it hold…",
        "user: “",
        "assistant, trained: “The warranty on the pump is [thirty-six] months.”",
        "user: “From when?”",
    ):
        assert line in output
    plain = replace(explanation.sections[int(explanation.ranking[0])], turns=())
    text_alone = with_row(make_explanation(), plain)
    assert ", trained:" not in printed(text_alone, width=width)
    assert "\x1b[2m" in printed(explanation, colour=True), "context is dimmed"
    assert "\x1b[2m" not in printed(text_alone, colour=True)


def test_notes_prompt_and_reading_stand_before_the_scores() -> None:
    made = make_explanation()
    documents = {"reading": ReadingReport(20, {"Markdown": 3}, skipped={".png": 2}).fields()}
    said = {**made.provenance, "documents": documents, "prompt": {"source": "none"}, "notes": ["another base"]}
    lines = printed(replace(made, provenance=said)).splitlines()
    for line in (
        "Note: another base",
        "Prompt: no chat template",
        "Read: 20 sections in 3 files (Markdown)",
        "Read: not read: 2 files: .png (2)",
    ):
        assert line in lines
    assert not any(line.startswith(("Note:", "Prompt:", "Read:")) for line in printed(made).splitlines())
