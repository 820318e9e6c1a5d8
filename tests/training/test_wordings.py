"""Further wordings of questions: what they keep, and what has none."""

from __future__ import annotations

import pytest

from attrib.errors import InputError
from attrib.records import Item, Turn
from attrib.training.wordings import WORDINGS, reworded


def test_a_wording_keeps_answer_section_and_the_turns_before() -> None:
    system = Turn("system", "Be brief.")
    asked = Item.answered("q:1", "Who keeps {it}? ", "Wilmet Dallin", "s1")
    asked = Item(asked.id, (system, *asked.turns), asked.tools, asked.section)
    text = Item.plain("s1", "The keeper is Wilmet Dallin.", "s1")
    one, *wordings, last = reworded((asked, text), 2)
    assert (one, last) == (asked, text)
    assert [(item.id, item.section) for item in wordings] == [("q:1~1", "s1"), ("q:1~2", "s1")]
    assert [item.turns[1].content for item in wordings] == [
        "Please tell me: Who keeps {it}?", "I have a question. Who keeps {it}?"
    ]  # fmt: skip
    for item in wordings:
        assert (item.turns[0], item.turns[2]) == (system, asked.turns[2])
    assert reworded((asked, text), 0) == (asked, text)


def test_neither_rows_nor_raw_prompts_have_wordings() -> None:
    row = Item.answered("a1b2", "Who?", "I", "a1b2")
    ask = Item.answered("ask:s1", "Tell me about it.", "I", "s1")
    raw = Item("q:2", (Turn("prompt", "Q: Who? A:"), Turn("completion", " I", trained=True)))
    assert reworded((row, ask, raw), 3) == (row, ask, raw)


def test_there_are_so_many_and_no_two_alike() -> None:
    found = reworded([Item.answered("q:1", "Who?", "I")], len(WORDINGS))
    assert len({item.turns[0].content for item in found}) == len({item.id for item in found}) == 9
    for count in (-1, 9):
        with pytest.raises(InputError, match=r"paraphrase .*: give the number of further wordings, 0 to 8"):
            reworded((), count)
