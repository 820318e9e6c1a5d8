"""The page for everybody: axe finds nothing serious, small screens and paper hold it, verdicts need no colour."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe

from attrib.records import Explanation
from attrib.render import view
from tests.browser.conftest import Visit
from tests.make import make_explanation
from tests.make_heads import with_heads


@pytest.fixture(scope="module")
def explanation() -> Explanation:
    return with_heads(make_explanation(answer=11, sections=40, base_answer="The warranty on pumps is long."), 6, 4)


def grave(tab: Any) -> list[str]:
    """What axe finds that is serious or critical, one line each."""
    found = Axe().run(tab).response["violations"]
    return [
        f"{rule['id']}: {node['html'][:160]} {node.get('failureSummary', '')}"
        for rule in found
        if rule["impact"] in ("serious", "critical")
        for node in rule["nodes"]
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(
    "hash", ["", "t=3-5&numbers=1&model=base&query=part", "t=8&model=difference&method=input_x_gradient"]
)
def test_axe_finds_nothing_serious(ready: Visit, explanation: Explanation, scheme: str, hash: str) -> None:
    tab = ready(explanation, hash, scheme=scheme)
    tab.keyboard.press("ArrowDown")
    tab.keyboard.press("o")
    assert tab.locator(".section.chosen").count() == 1
    assert not grave(tab)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious_in_help_and_on_a_small_screen(
    ready: Visit, explanation: Explanation, scheme: str
) -> None:
    tab = ready(explanation, "t=3", scheme=scheme, width=360, height=740)
    assert not grave(tab)
    tab.keyboard.press("?")
    assert not grave(tab)


@pytest.mark.parametrize("width", [360, 800, 1400])
def test_nothing_is_wider_than_the_screen(ready: Visit, explanation: Explanation, width: int) -> None:
    for hash in ("", "t=1-9&numbers=1&layer=2", "t=3&model=difference"):
        tab = ready(explanation, hash, width=width, height=800)
        tab.keyboard.press("ArrowDown")
        assert tab.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"), hash
        tab.close()


def test_on_a_small_screen_there_is_one_column(ready: Visit, explanation: Explanation) -> None:
    tab = ready(explanation, width=360, height=740)
    boxes = [tab.locator(f"#{name}").bounding_box() for name in ("answer", "sections", "prompt", "heads", "minimap")]
    assert all(above["y"] + above["height"] <= below["y"] for above, below in pairwise(boxes))
    assert len({box["x"] for box in boxes[:4]}) == 1


def test_verdicts_differ_by_line_as_well_as_by_colour(ready: Visit, explanation: Explanation) -> None:
    tab = ready(explanation)
    there = set(view.token_calls(explanation))
    lines = {
        label.replace(" ", "-"): tab.locator(f".swatch.{label.replace(' ', '-')}").last.evaluate(
            "node => getComputedStyle(node).borderBottomStyle"
        )
        for label in there
    }
    assert len(there) >= 2
    assert len(set(lines.values())) == len(there)
    for label in there:
        token = tab.locator(f".token.{label.replace(' ', '-')} > .text").first
        assert token.evaluate("node => getComputedStyle(node).borderBottomStyle") == lines[label.replace(" ", "-")]


def test_every_control_says_what_it_is(ready: Visit, explanation: Explanation) -> None:
    tab = ready(explanation)
    for control in tab.locator("button:visible, select:visible, input:visible").all():
        name = control.evaluate(
            "node => node.getAttribute('aria-label') || node.textContent.trim() || node.labels?.[0]?.textContent"
        )
        assert name


def test_on_paper_there_are_no_controls_and_sections_are_whole(ready: Visit) -> None:
    text = "First words stand here. " + "Padding of many words. " * 40 + "The very last sentence."
    tab = ready(make_explanation(answer=11, sections=6, texts=[text] * 6), "t=3")
    assert "very last sentence" not in tab.locator("#sections").inner_text()
    tab.emulate_media(media="print")
    listed = tab.locator(".section").count()
    tab.wait_for_function("n => document.querySelectorAll('.section .text.whole').length === n", arg=listed)
    for hidden in ("#toolbar", ".actions", "#search", ".section .pin"):
        assert tab.locator(hidden).first.is_hidden()
    for shown in (
        "#question",
        "#sentence",
        "#answer-text",
        "#prompt-text",
        "#section-list",
        "#map",
        "#foot",
        ".control",
    ):
        assert tab.locator(shown).first.is_visible()
    lists = tab.locator("#section-scroll, #sections").evaluate_all(
        "nodes => nodes.every(n => n.scrollHeight <= n.clientHeight + 1)"
    )
    assert lists
    tab.emulate_media(media="screen")
    tab.wait_for_function("() => document.querySelectorAll('.section .text.whole').length === 0")


def test_the_system_is_followed_when_it_turns_dark(ready: Visit, explanation: Explanation) -> None:
    tab = ready(explanation, "t=4")
    heat = "getComputedStyle(document.querySelector('#prompt-text .cell:not(.template)')).backgroundColor"
    light = tab.evaluate(heat)
    tab.emulate_media(color_scheme="dark")
    tab.wait_for_function(f"before => {heat} !== before", arg=light)
