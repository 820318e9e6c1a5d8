"""The index in a browser: search and filters, the choice in the address, keys, and no serious finding of axe."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from attrib.render import gallery
from attrib.render.gallery import Entry, Listing
from attrib.render.view import HeadlineName
from tests.browser.conftest import Visit
from tests.browser.test_page_access import grave
from tests.make import make_explanation
from tests.render.test_page import HOSTILE

KINDS = ("trained", "held-out", "")
LABELS: tuple[HeadlineName, ...] = ("documents", "base")


def listing(n: int = 12, question: str = "Who keeps light") -> Listing:
    """Entries in three kinds, verdicts and documents, ``question`` with a number."""
    one = gallery.entry_of(make_explanation(), Path(__file__), "0" * 64)
    entries = [
        replace(
            one,
            id=f"e{i}",
            kind=KINDS[i % 3],
            question=f"{question} {i}?",
            label=LABELS[i % 2],
            counts=(100 - i % 100, i % 100, 0, 0),
            said=f"{100 - i % 100} of 100 words documents, {i % 100} base",
            gain_bits=float(i),
            section=f"Part {i % 4}",
            document=f"manual-{i % 2}.md",
        )
        for i in range(n)
    ]
    return Listing(tuple(entries), ("b.safetensors: damaged; write it again",))


def index(found: Listing) -> str:
    return gallery.index_html(found, {entry.id: f"{entry.id}.html" for entry in found.entries}).decode()


def shown(tab: Any) -> list[str]:
    """The questions that are seen, in order."""
    return [text.split("?")[0].split()[-1] for text in tab.locator("#entries li:visible h2").all_inner_texts()]


def test_search_and_filters_narrow_together_and_clear(visit: Visit) -> None:
    tab = visit(index(listing()))
    assert len(shown(tab)) == 12
    tab.get_by_role("checkbox", name="documents").check()
    assert shown(tab) == ["0", "2", "4", "6", "8", "10"]
    tab.get_by_label("Kind of question").select_option(label="trained (4)")
    assert shown(tab) == ["0", "6"]
    tab.keyboard.press("/")
    tab.keyboard.type("LIGHT 6")
    assert shown(tab) == ["6"]
    assert tab.locator("#count").inner_text() == "1 of 12 explanations"
    tab.keyboard.type("6 nothing")
    assert shown(tab) == []
    tab.get_by_role("button", name="Show all").click()
    tab.wait_for_function("() => document.querySelectorAll('#entries li:not([hidden])').length === 12")


def test_a_document_and_one_of_its_sections_are_filters(visit: Visit) -> None:
    tab = visit(index(listing()))
    select = tab.get_by_label("Best section")
    select.select_option(label="all of manual-1.md (6)")
    assert shown(tab) == ["1", "3", "5", "7", "9", "11"]
    select.select_option(label="Part 3 (3)")
    assert shown(tab) == ["3", "7", "11"]


def test_the_order_follows_the_choice_and_comes_back(visit: Visit) -> None:
    tab = visit(index(listing(4)))
    for choice, order in (
        ("gain", ["3", "2", "1", "0"]),
        ("documents", ["0", "1", "2", "3"]),
        ("", ["0", "1", "2", "3"]),
    ):
        tab.get_by_label("Order").select_option(choice)
        assert shown(tab) == order


def test_the_choice_lives_in_the_address(visit: Visit) -> None:
    tab = visit(index(listing()))
    tab.get_by_role("checkbox", name="base").check()
    tab.get_by_label("Order").select_option("gain")
    tab.reload()
    assert shown(tab) == ["11", "9", "7", "5", "3", "1"]
    tab.evaluate("location.hash = 'kind=knone+such&verdict=documents'")
    tab.wait_for_function("() => document.querySelectorAll('#entries li:not([hidden])').length === 6")
    assert shown(tab)[0] == "0"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1200])
def test_the_index_is_for_everybody(visit: Visit, scheme: str, width: int) -> None:
    tab = visit(index(listing()), scheme=scheme, width=width)
    assert not grave(tab)
    assert tab.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


def test_the_theme_can_be_switched(visit: Visit) -> None:
    tab = visit(index(listing(1)))
    before = tab.evaluate("getComputedStyle(document.body).backgroundColor")
    tab.get_by_label("Switch between light and dark").click()
    assert tab.evaluate("getComputedStyle(document.body).backgroundColor") != before


def test_hostile_texts_are_shown_and_filtered_by(visit: Visit) -> None:
    entry: Entry = replace(listing(1).entries[0], question=HOSTILE, kind=HOSTILE, section=HOSTILE, document=HOSTILE)
    tab = visit(index(Listing((entry, *listing(2).entries))))
    assert "<script>alert(1)</script>" in tab.locator("#entries h2").first.inner_text()
    tab.get_by_label("Kind of question").select_option(index=1)
    assert tab.locator("#entries li:visible").count() == 1
    tab.get_by_label("Best section").select_option(index=2)
    assert tab.locator("#entries li:visible").count() == 1


def test_without_script_the_list_is_whole(browser: Any, tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text(index(listing()), encoding="utf-8")
    context = browser.new_context(java_script_enabled=False)
    tab = context.new_page()
    tab.goto((tmp_path / "index.html").as_uri())
    assert tab.locator("#entries li:visible").count() == 12
    assert not tab.locator("#filters").is_visible()
    context.close()


def test_thousands_are_searched_at_once(visit: Visit) -> None:
    tab = visit(index(listing(3000)))
    spent = tab.evaluate(
        """() => { const field = document.getElementById("search"); const start = performance.now();
        field.value = "light 2999"; field.dispatchEvent(new Event("input", {bubbles: true}));
        document.body.offsetHeight; return performance.now() - start; }"""
    )
    assert shown(tab) == ["2999"]
    assert spent < 1000
