"""Rows of chat data on the page: turns with their roles, what was trained set off, matches marked, text as data."""

from __future__ import annotations

from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe

from attrib.records import Turn
from tests.browser.conftest import Visit
from tests.make import make_explanation
from tests.make_chat import TURNS, make_row, with_row

LONG = "How long is the warranty on the pump, and does it hold…"
HOSTILE = "<img src=x onerror=window.hit=1>\u202e</script>"


def chat(tab: Any) -> Any:
    return tab.locator(".section", has_text="train.jsonl row 5")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_conversation_has_roles_and_what_was_trained_is_set_off(ready: Visit, scheme: str) -> None:
    tab = ready(with_row(make_explanation(answer=11, sections=12)), scheme=scheme)
    row = chat(tab)
    assert row.locator(".pick").inner_text() == LONG
    row.locator(".open").click()
    turns = row.locator(".turn")
    assert turns.locator(".role").all_inner_texts() == [
        "system", "user", "assistant trained", "user", "assistant trained"
    ]  # fmt: skip
    assert turns.locator(".said").all_inner_texts() == [turn.content for turn in TURNS]
    assert row.locator(".turn mark").all_inner_texts() == ["thirty-six"]
    for style in ("color", "borderInlineStartColor"):
        looks = turns.evaluate_all("(nodes, style) => nodes.map(node => getComputedStyle(node)[style])", style)
        assert looks[0] == looks[1] == looks[3] != looks[2] == looks[4], style
    assert not [
        node["html"]
        for rule in Axe().run(tab).response["violations"]
        if rule["impact"] in ("serious", "critical")
        for node in rule["nodes"]
    ]


def test_a_closed_row_shows_the_turns_around_the_match(ready: Visit) -> None:
    turns = [Turn("user", "Tell me all. " * 30), Turn("assistant", "Word by word. " * 30 + "At last.", trained=True)]
    tab = ready(with_row(make_explanation(answer=11, sections=12), make_row(turns), matches="At last"))
    row = chat(tab)
    assert row.locator(".role").all_inner_texts() == ["assistant trained"]
    said = row.locator(".said").inner_text()
    assert said.startswith("…")
    assert said.endswith("At last.")
    tab.locator("#search").fill("tell me all")
    assert tab.locator(".section").count() == 1


def test_a_text_has_no_roles(ready: Visit) -> None:
    tab = ready(make_explanation(answer=11, sections=12))
    tab.locator(".section .open").first.click()
    assert tab.locator(".turn, .role").count() == 0


@pytest.mark.parametrize("whole", [False, True])
def test_roles_and_contents_are_data(ready: Visit, whole: bool) -> None:
    turns = [Turn(HOSTILE, HOSTILE), Turn("assistant", "Fine.", trained=True, extra=HOSTILE)]
    tab = ready(with_row(make_explanation(answer=11, sections=12), make_row(turns), matches="Fine"), width=360)
    if whole:
        chat(tab).locator(".open").click()
    assert tab.evaluate("window.hit") is None
    assert tab.locator("#section-list img").count() == 0
    shown = chat(tab).inner_text()
    assert shown.count("<img src=x onerror=window.hit=1><202E></script>") == (3 if whole else 2)
    assert tab.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
