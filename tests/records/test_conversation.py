"""A row of chat data as a section: its text is that of its turns, its title the first question."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attrib.records import Turn
from tests.make_chat import TURNS, make_row


@given(st.lists(st.text(max_size=8), min_size=1, max_size=5), st.sampled_from([(), ("Pumps", "Warranty")]))
def test_each_turns_characters_in_the_full_text_are_its_content(contents: list[str], titles: tuple[str, ...]) -> None:
    turns = [Turn("user" if i % 2 == 0 else "assistant", content) for i, content in enumerate(contents)]
    row = make_row(turns, titles=titles)
    assert [row.full_text[start:end] for _, start, end in row.turn_spans] == contents
    assert [turn for turn, _, _ in row.turn_spans] == turns


def test_a_text_has_no_turns_and_a_conversation_no_other_text() -> None:
    assert replace(make_row(), turns=(), text="Any text").turn_spans == ()
    with pytest.raises(ValueError, match=r"section c+: its text is not the contents of its 5 turns"):
        replace(make_row(), text="Another text")


@pytest.mark.parametrize(
    ("turns", "title"),
    [
        (TURNS, "How long is the warranty on the pump, and does it hold…"),
        ([Turn("prompt", " Who keeps\nthe light? "), Turn("completion", "Iven.")], "Who keeps the light?"),
        ([Turn("user", "\n"), Turn("assistant", "A."), Turn("user", "Who?")], "Who?"),
        ([Turn("user", "灯" * 61)], "灯" * 60 + "…"),
        ([Turn("system", "Be brief."), Turn("assistant", "A.")], "train.jsonl"),
    ],
)
def test_the_title_is_the_first_question_on_one_line_cut_at_a_word(turns: list[Turn], title: str) -> None:
    row = make_row(turns)
    assert row.title == title
    assert len(row.title) <= 61
    assert replace(row, titles=("Pumps", "Warranty")).title == "Pumps › Warranty"
