"""The first screen answers the question: answer, sentence and best section are seen without scrolling."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from attrib.records import Explanation, storage
from attrib.render import view
from tests.browser.conftest import Visit
from tests.browser.test_page_access import grave
from tests.make import make_explanation

FIGURES = Path(__file__).parents[2] / "figures"
SCREENS = [(1440, 900), (1366, 768), (1024, 700)]
PHONE = (390, 800)


def stored(name: str) -> Explanation:
    return storage.load(FIGURES / f"{name}.safetensors")


def seen(tab: Any, element: str) -> bool:
    """Is all of it on the screen, and nothing fixed over its middle?"""
    return bool(
        tab.locator(element).first.evaluate(
            """node => {
        const box = node.getBoundingClientRect();
        const inside = box.top >= -1 && box.bottom <= window.innerHeight + 1 && box.height > 0;
        const top = document.elementFromPoint(box.left + Math.min(8, box.width / 2), box.bottom - 4);
        return inside && (node.contains(top) || top?.contains(node));
    }"""
        )
    )


@pytest.mark.parametrize("name", ["demo", "strip", "track"])
@pytest.mark.parametrize(("width", "height"), [*SCREENS, PHONE])
def test_answer_sentence_and_source_need_no_scrolling(ready: Visit, name: str, width: int, height: int) -> None:
    explanation = stored(name)
    tab = ready(explanation, width=width, height=height)
    found = view.headline(explanation)
    assert " ".join(tab.locator("#sentence").inner_text().split()) == found.sentence
    for element in ("#question", "#answer-text", "#sentence"):
        assert seen(tab, element)
    if width > PHONE[0]:
        assert found.section is not None
        best = tab.locator(".section").first
        assert explanation.sections[found.section].titles[-1] in best.locator(".pick").inner_text()
        assert seen(tab, ".section .pick")
        assert seen(tab, ".section .place")
    else:
        tops = [tab.locator(f"#{part}").bounding_box()["y"] for part in ("answer", "sections", "said", "prompt")]
        assert tops == sorted(tops)


@pytest.mark.parametrize(("width", "height"), SCREENS)
def test_the_chosen_section_is_wholly_seen(ready: Visit, width: int, height: int) -> None:
    tab = ready(stored("strip"), width=width, height=height)
    for _ in range(5):
        tab.keyboard.press("ArrowDown")
        tab.wait_for_timeout(50)
        assert seen(tab, ".section.chosen")
        assert seen(tab, ".section.chosen .text")


@pytest.mark.parametrize(("width", "height"), [*SCREENS, PHONE])
def test_nothing_is_blank_below_the_footer(ready: Visit, width: int, height: int) -> None:
    tab = ready(make_explanation(answer=11, sections=40), width=width, height=height)
    end = tab.evaluate(
        "document.documentElement.scrollHeight - (document.getElementById('foot').getBoundingClientRect().bottom"
        " + window.scrollY)"
    )
    assert end <= 2


def test_numbers_wait_below_the_sentence_and_each_says_what_it_is(ready: Visit) -> None:
    tab = ready(stored("demo"))
    assert "%" not in tab.locator("#answer").inner_text()
    tab.locator("#sure summary").click()
    marks = tab.locator("#sure .mark")
    assert marks.count() == tab.locator("#sure dt").count()
    for i in range(marks.count()):
        marks.nth(i).click()
        assert len(tab.locator("#sure .explained").nth(i).inner_text()) > 40


def test_the_named_section_is_a_link_to_it(ready: Visit) -> None:
    explanation = stored("track")
    tab = ready(explanation)
    tab.locator("#sentence .named").click()
    found = view.headline(explanation)
    assert int(tab.locator(".section.chosen").get_attribute("data-index")) == found.section
    assert seen(tab, ".section.chosen .pick")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["demo", "strip"])
def test_axe_finds_nothing_grave_with_everything_open(ready: Visit, name: str, scheme: str) -> None:
    tab = ready(stored(name), scheme=scheme)
    tab.locator("#sure summary").click()
    for mark in tab.locator(".mark:visible").all():
        mark.click()
    tab.locator("#numbers-toggle").click()
    assert not grave(tab)
