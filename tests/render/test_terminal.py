"""Terminal: text is data, plain means plain, and the facts survive without colour."""

from __future__ import annotations

import io

import pytest
from rich.cells import cell_len
from rich.console import Console

from attrib.attribution import METHODS
from attrib.records import LABELS, Explanation
from attrib.render import terminal, view
from tests.make import ODD_TOKENS, make_explanation


def printed(explanation: Explanation, *, width: int = 100, colour: bool = False, terminal_like: bool = False) -> str:
    console = Console(
        file=io.StringIO(),
        width=width,
        force_terminal=colour or terminal_like,
        no_color=not colour,
        color_system="truecolor" if colour or terminal_like else None,
        _environ={},
    )
    terminal.show(explanation, console, top=3)
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
    terminal.show(make_explanation(), console)
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
    runs = view.verdict_spans(explanation)
    text = terminal.answer_text(explanation, plain=True).plain
    assert [text.count(terminal.MARKS[label]) for label in LABELS] == [
        sum(run[1] == label for run in runs) for label in LABELS
    ]
    assert terminal.answer_text(explanation, plain=False).plain == explanation.answer


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


@pytest.mark.parametrize("width", [40, 80, 160])
def test_lines_keep_to_the_console_even_with_odd_tokens(width: int) -> None:
    explanation = make_explanation(answer_texts=ODD_TOKENS * 10, titles=["水" * 90, "x" * 300])
    assert max(cell_len(line) for line in printed(explanation, width=width).splitlines()) <= width


def test_sparkline_has_one_bar_a_value_and_keeps_their_order() -> None:
    assert terminal.sparkline([0.0, 1.0, 7.0]) == "▁▂█"
    assert terminal.sparkline([-7.0, 0.0]) == "▁█"
    assert terminal.sparkline([0.0, 0.0]) == "▁▁"
    assert terminal.sparkline([]) == ""


def test_small_records_print() -> None:
    for explanation in (
        make_explanation(answer=0),
        make_explanation(sections=0, mappers=(), methods=()),
        make_explanation(controls=0),
    ):
        assert "Verdict" in printed(explanation)


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
