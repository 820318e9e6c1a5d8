"""Every field of an address is restored; keys, the skip link and the theme leave the view as it is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from attrib.records import Explanation
from attrib.render import view
from tests.browser.conftest import Visit
from tests.browser.test_gallery_views import index, listing
from tests.browser.test_page_views import address, pressed, selected, titles, token
from tests.make import make_explanation
from tests.make_heads import with_heads

BACKGROUND = "getComputedStyle(document.body).backgroundColor"


@pytest.fixture(scope="module")
def explanation() -> Explanation:
    made = make_explanation(answer=11, sections=40, mappers=("bm25", "hidden"), base_answer="A line of words. " * 60)
    return with_heads(made, layers=4, heads=3)


def in_list(tab: Any, item: str) -> bool:
    """Is a row inside the part of the list that is seen?"""
    return bool(
        tab.evaluate(
            """item => {
        const row = document.querySelector(item).getBoundingClientRect();
        const frame = document.getElementById("section-scroll").getBoundingClientRect();
        return row.top >= frame.top - 1 && row.bottom <= frame.bottom + 1;
    }""",
            item,
        )
    )


def worst(explanation: Explanation) -> str:
    """Id of the section that is ranked last for the whole answer."""
    return explanation.sections[view.section_order(explanation)[-1]].id


def holds(tab: Any, element: str, value: str) -> bool:
    """Does a field have this value?"""
    return bool(tab.locator(element).input_value() == value)


def says(tab: Any, element: str, text: str) -> bool:
    return text in tab.locator(element).inner_text()


PARTS = ["Manual 1 › 1.8 Part 8", "Manual 1 › 1.4 Part 4"]
FIELDS: dict[str, Callable[[Any], bool]] = {
    "t=2-4": lambda tab: selected(tab) == [2, 3, 4],
    "t=7&unit=token": lambda tab: selected(tab) == [7] and pressed(tab, "token"),
    "model=base": lambda tab: pressed(tab, "base") and says(tab, "#prompt-what", "· base"),
    "method=input_x_gradient": lambda tab: says(tab, "#prompt-what", "input × gradient"),
    "mapper=bm25": lambda tab: holds(tab, "#menu-mapper", "bm25") and says(tab, "#menu-mapper", "same words"),
    "layer=2": lambda tab: holds(tab, "#menu-layer", "2") and says(tab, "#prompt-what", "layer 2"),
    "head=1": lambda tab: holds(tab, "#menu-head", "1") and says(tab, "#prompt-what", "head 1"),
    "focus=4": lambda tab: holds(tab, "#heads select", "4") and tab.locator("#prompt-text .focus").count() == 1,
    "focus=0": lambda tab: holds(tab, "#heads select", "0"),
    "query=part+17": lambda tab: holds(tab, "#search", "part 17") and len(titles(tab)) == 1,
    "numbers=1": lambda tab: tab.locator("#numbers").is_visible() and tab.locator("#prompt-numbers").is_visible(),
    "pin=000000000007+000000000003+000000000007": lambda tab: (
        titles(tab)[:2] == PARTS and tab.locator(".pinned").count() == 2
    ),
    "theme=dark": lambda tab: bool(tab.evaluate("document.documentElement.dataset.theme") == "dark"),
}


@pytest.mark.parametrize("hash", FIELDS)
def test_a_field_is_restored(ready: Visit, explanation: Explanation, hash: str) -> None:
    assert not FIELDS[hash](ready(explanation))
    assert FIELDS[hash](ready(explanation, hash))


def test_a_section_beyond_the_first_rows_is_shown_and_scrolled_to(ready: Visit, explanation: Explanation) -> None:
    tab = ready(explanation, f"section={worst(explanation)}")
    assert tab.locator(".section.chosen .rank").inner_text().split() == ["rank", "40"]
    assert tab.locator("#backed").is_visible()
    tab.wait_for_timeout(200)  # the map below takes its place a frame later
    assert in_list(tab, ".section.chosen")


def test_a_link_that_is_followed_restores_the_same(ready: Visit, explanation: Explanation) -> None:
    tab = ready(explanation)
    tab.evaluate("id => { location.hash = `t=7&unit=word&query=part&focus=0&section=${id}` }", worst(explanation))
    tab.locator(".section.chosen").wait_for()
    assert selected(tab) == [6, 7, 8]
    assert tab.locator("#search").input_value() == "part"
    assert tab.locator("#heads select").input_value() == "0"


def test_the_skip_link_leads_to_the_answer_and_leaves_the_view(ready: Visit, explanation: Explanation) -> None:
    tab = ready(explanation, "t=3&model=base")
    tab.locator("#skip").focus()
    tab.keyboard.press("Enter")
    assert tab.evaluate("document.activeElement.id") == "answer-title"
    assert selected(tab) == [3]
    tab.evaluate("location.hash = 'answer-title'")
    tab.wait_for_timeout(200)
    assert selected(tab) == [3]
    assert pressed(tab, "base")


def test_in_words_shift_moves_the_far_end_by_whole_words(ready: Visit, explanation: Explanation) -> None:
    tab = ready(explanation, "unit=word")
    token(tab, 7).click()  # thirty-six
    steps = [
        ("ArrowRight", 6, 10), ("ArrowLeft", 6, 8), ("ArrowLeft", 5, 8), ("ArrowLeft", 4, 8), ("ArrowRight", 5, 8),
        ("ArrowRight", 6, 8), ("ArrowRight", 6, 10),
    ]  # fmt: skip
    for key, first, last in steps:
        tab.keyboard.press(f"Shift+{key}")
        assert selected(tab) == list(range(first, last + 1))
    # Over a word of several tokens from the other side: months and its full stop are one word.
    token(tab, 9).click()
    for key, first in (("ArrowLeft", 6), ("ArrowLeft", 5), ("ArrowRight", 6), ("ArrowRight", 9)):
        tab.keyboard.press(f"Shift+{key}")
        assert selected(tab) == list(range(first, 11))


def test_home_and_end_lead_to_the_ends_of_the_answer(ready: Visit, explanation: Explanation) -> None:
    tab = ready(explanation, "t=4&unit=token")
    token(tab, 4).focus()
    tab.keyboard.press("End")
    assert selected(tab) == [10]
    assert tab.evaluate("document.activeElement.dataset.token") == "10"
    tab.keyboard.press("Home")
    assert selected(tab) == [0]
    tab.keyboard.press("Shift+End")
    assert selected(tab) == list(range(11))
    tab.locator("#answer-title").focus()
    tab.keyboard.press("Home")
    assert selected(tab) == list(range(11))


def test_a_box_that_scrolls_is_reached_by_keys(ready: Visit, explanation: Explanation) -> None:
    box = ready(explanation).locator(".base-said")
    assert box.evaluate("node => node.scrollHeight > node.clientHeight")
    box.page.wait_for_selector(".base-said[tabindex='0']")
    assert ready(make_explanation()).locator(".base-said").get_attribute("tabindex") is None


def test_the_theme_stays_out_of_the_address_and_is_kept(ready: Visit, explanation: Explanation) -> None:
    tab = ready(explanation, "t=2")
    tab.locator("#theme").click()
    dark = tab.evaluate(BACKGROUND)
    tab.keyboard.press("1")
    address(tab, "model=base")
    assert "theme" not in tab.evaluate("location.hash")
    tab.evaluate("location.hash = 't=4'")
    tab.wait_for_function("() => document.querySelector('.token.selected')?.dataset.token === '4'")
    assert tab.evaluate(BACKGROUND) == dark
    tab.reload()
    tab.wait_for_selector("html[data-ready]")
    assert tab.evaluate(BACKGROUND) == dark


def test_a_link_with_a_theme_keeps_it_in_the_address(ready: Visit, explanation: Explanation) -> None:
    tab = ready(explanation, "theme=dark")
    tab.keyboard.press("ArrowRight")
    address(tab, "t=0&theme=dark")
    tab.locator("#theme").click()
    address(tab, "t=0&theme=light")


@pytest.mark.parametrize(("hash", "scheme"), [("t=4", "dark"), ("t=4&theme=dark", "light")])
def test_a_dark_page_is_printed_in_the_colours_of_a_light_one(
    ready: Visit, explanation: Explanation, hash: str, scheme: str
) -> None:
    seen = """() => [
      getComputedStyle(document.body).color,
      ...[...document.querySelectorAll("#prompt-text .cell")].map((cell) => getComputedStyle(cell).backgroundColor),
      document.querySelector("#prompt-scale .scale").style.background,
      ...["map", "heads-map"].map((id) => document.getElementById(id).toDataURL()),
    ]"""
    light = ready(explanation, "t=4", scheme="light")
    light.emulate_media(media="print")
    light.wait_for_selector(".text.whole")
    wanted = light.evaluate(seen)
    tab = ready(explanation, hash, scheme=scheme)
    before = tab.evaluate(seen)
    tab.emulate_media(media="print")
    tab.wait_for_selector(".text.whole")
    assert tab.evaluate(seen) == wanted
    tab.emulate_media(media="screen")
    tab.wait_for_function("() => !document.querySelector('.text.whole')")
    tab.wait_for_timeout(100)
    assert tab.evaluate(seen) == before


def test_the_index_and_the_pages_share_the_readers_theme(browser: Any, tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / f"{name}.html").write_text(index(listing(2)), encoding="utf-8")
    (tmp_path / "page.html").write_text(make_explanation().to_html(), encoding="utf-8")
    tab = browser.new_context(color_scheme="light").new_page()
    tab.goto((tmp_path / "one.html").as_uri())
    tab.locator("#theme").click()
    for name in ("page", "two"):
        tab.goto((tmp_path / f"{name}.html").as_uri())
        assert tab.evaluate("document.documentElement.dataset.theme") == "dark"
    tab.context.close()
