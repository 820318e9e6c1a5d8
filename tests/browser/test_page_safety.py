"""Text is data and nothing leaves the page; large records stay usable; the page works inside a notebook's frame."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from attrib.render import page as pages
from attrib.render.payload import payload, to_json
from tests.browser.conftest import Visit
from tests.make import ODD_TOKENS, make_explanation

HOSTILE = (
    "<script>window.hit = 1</script>", "</script><script>window.hit = 1</script>", "{{7*7}}", "${7*7}",
    "<img src=x onerror=window.hit=1>", "\u202ereversed\u202c", "\u2066isolated", "&lt;b&gt;", "<!--", "]]>",
    "javascript:window.hit=1", "\x1b[31mred", "\x00",
)  # fmt: skip


def hostile() -> Any:
    return make_explanation(
        answer_texts=[f" {text}" for text in HOSTILE] + list(ODD_TOKENS), question=" ".join(HOSTILE), sections=24,
        titles=HOSTILE, texts=[f"{text} and {text}" for text in HOSTILE], base_answer=" ".join(HOSTILE),
    )  # fmt: skip


def test_hostile_text_is_shown_as_text(ready: Visit) -> None:
    tab = ready(hostile())
    for i in range(len(HOSTILE)):
        tab.evaluate("i => { location.hash = `t=${i}&numbers=1&unit=token` }", i)
        tab.wait_for_selector(f".token.selected[data-token='{i}']")
        tab.locator(f".token[data-token='{i}']").hover()
    while tab.locator("#more").count():
        tab.locator("#more").click()
    for button in tab.locator(".section .open").all():
        button.click()
    assert tab.evaluate("window.hit") is None
    assert tab.locator("#page img, #page script, #page b > b").count() == 0
    shown = tab.locator("#page").inner_text()
    for text in (
        "<script>window.hit = 1</script>",
        "{{7*7}}",
        "${7*7}",
        "<img src=x onerror=window.hit=1>",
        "&lt;b&gt;",
    ):
        assert text in tab.locator("#question").inner_text()
        assert text in tab.locator("#answer-text").inner_text()
        assert text in tab.locator("#section-list").inner_text()
    assert not re.search("[\u202a-\u202e\u2066-\u2069\x00\x1b]", shown)
    assert "<202E>" in shown


def test_odd_tokens_can_be_pointed_at(ready: Visit) -> None:
    tab = ready(hostile())
    for i in range(len(HOSTILE), len(HOSTILE) + len(ODD_TOKENS)):
        box = tab.locator(f".token[data-token='{i}']").bounding_box()
        assert box["width"] > 3, ODD_TOKENS[i - len(HOSTILE)]
        tab.evaluate("i => { location.hash = `t=${i}` }", i)
        tab.wait_for_selector(f".token.selected[data-token='{i}']")
    assert "↵" in tab.locator("#answer-text").inner_text()


def test_an_answer_from_right_to_left_is_walked_in_its_own_direction(ready: Visit) -> None:
    tab = ready(make_explanation(answer_texts=["مرحبا", " بالعالم", " 12", " كيف", "؟"]))
    assert tab.evaluate("getComputedStyle(document.getElementById('answer-text')).direction") == "rtl"
    boxes = [tab.locator(f".token[data-token='{i}']").bounding_box() for i in (0, 1)]
    assert boxes[0]["x"] > boxes[1]["x"]
    for wanted in ("0", "1"):
        tab.keyboard.press("ArrowLeft")
        assert tab.locator(".token.selected").get_attribute("data-token") == wanted


def test_wide_characters_do_not_break_the_line_they_stand_on(ready: Visit) -> None:
    tab = ready(make_explanation(answer_texts=["水", "を", "飲", "む", "🙂", "👩‍🚀", "a" * 300, "水" * 200]), width=360)
    assert tab.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


def test_an_empty_answer_and_no_sections_are_pages_too(ready: Visit) -> None:
    tab = ready(make_explanation(answer_texts=[], base_answer=""))
    assert "nothing to explain" in tab.locator("#answer").inner_text()
    for key in ("ArrowRight", "ArrowDown", "1", "3", "p", "o", "m", "n", "Escape"):
        tab.keyboard.press(key)
    tab = ready(make_explanation(sections=0, mappers=(), methods=(), controls=0))
    assert "no section scores" in tab.locator("#sections").inner_text()
    for key in ("ArrowRight", "ArrowDown", "1", "3", "p", "o", "m", "n", "Escape"):
        tab.keyboard.press(key)


def test_without_control_texts_the_page_says_so(ready: Visit) -> None:
    tab = ready(make_explanation(controls=0), "t=2")
    assert "no control texts" in tab.locator("#sections-what").text_content()
    assert tab.locator(".control").count() == 0
    assert "control texts" not in tab.locator("#sure").text_content()


def test_two_thousand_tokens_stay_usable(ready: Visit) -> None:
    tab = ready(make_explanation(answer=2000, sections=30))
    assert tab.locator(".token").count() == 2000
    tab.locator(".token[data-token='1990']").click()
    tab.keyboard.press("ArrowRight")
    assert tab.locator(".token.selected").get_attribute("data-token") == "1991"
    assert tab.evaluate("""() => {
        const token = document.querySelector(".token.selected").getBoundingClientRect();
        const frame = document.getElementById("answer-text").getBoundingClientRect();
        return token.top >= frame.top - 1 && token.bottom <= frame.bottom + 1;
    }""")


def test_five_thousand_sections_stay_usable(ready: Visit) -> None:
    tab = ready(make_explanation(answer=12, sections=5000, documents=40))
    assert tab.locator(".section").count() <= 50
    tab.locator("#more").click()
    assert 25 < tab.locator(".section").count() <= 60
    tab.keyboard.press("/")
    tab.keyboard.type("part 4321")
    assert tab.locator(".section .pick").all_inner_texts() == ["Manual 35 › 35.4321 Part 4321"]


def test_what_was_dropped_for_size_is_said(ready: Visit) -> None:
    explanation = make_explanation(answer=40, sections=300)
    tab = ready(pages.html(explanation, budget=150_000).decode())
    said = payload(explanation, 150_000)["dropped"]
    assert isinstance(said, list)
    assert said
    for line in said:
        assert line in tab.locator("#foot").inner_text()
    assert tab.locator(".control", has_text="leaves out").count() == 1


def test_the_page_works_inside_a_notebooks_frame(visit: Visit) -> None:
    tab = visit("<!doctype html><meta charset=utf-8>" + pages.frame(make_explanation(answer=11)))
    inside = tab.frame_locator("iframe")
    inside.locator(".token[data-token='4']").click()
    assert inside.locator(".token.selected").count() == 1
    tab.keyboard.press("ArrowRight")
    tab.keyboard.press("3")
    inside.locator("#theme").click()
    inside.locator("[data-theme]").wait_for(state="attached")
    assert inside.locator(".token.selected").get_attribute("data-token") == "5"
    tab.wait_for_timeout(200)  # the address is written a moment later, and here it cannot be
    with tab.expect_download() as saved:
        inside.locator("#save-json").click()
    assert json.loads(saved.value.path().read_text("utf-8"))["schema"] == 1


def test_the_answer_is_saved_as_a_drawing_and_the_numbers_as_json(ready: Visit, tmp_path: Path) -> None:
    explanation = hostile()
    tab = ready(explanation)
    with tab.expect_download() as drawing:
        tab.locator("#save-svg").click()
    root = ElementTree.fromstring(Path(drawing.value.path()).read_text("utf-8"))
    assert drawing.value.suggested_filename == "attrib-answer.svg"
    assert {node.tag.rpartition("}")[2] for node in root.iter()} == {"svg", "title", "text", "rect", "line"}
    texts = [node.text for node in root.iter() if node.tag.endswith("text")]
    assert "<script>window.hit = 1</script>".replace(" ", "␣") in texts
    with tab.expect_download() as numbers:
        tab.locator("#save-json").click()
    assert json.loads(Path(numbers.value.path()).read_text("utf-8")) == json.loads(to_json(payload(explanation)))


def test_a_link_to_the_view_is_copied(ready: Visit) -> None:
    tab = ready(make_explanation(answer=11))
    tab.context.grant_permissions(["clipboard-read", "clipboard-write"])
    tab.keyboard.press("ArrowRight")
    tab.keyboard.press("1")
    tab.keyboard.press("y")
    tab.locator("#toast.on").wait_for()
    copied = tab.evaluate("navigator.clipboard.readText()")
    assert copied.startswith("file://")
    assert copied.endswith("#t=0&model=base")


@pytest.mark.parametrize("broken", ["history.replaceState", "localStorage.setItem", "localStorage.getItem"])
def test_a_browser_that_refuses_to_remember_is_no_obstacle(visit: Visit, broken: str) -> None:
    tab = visit(make_explanation(answer=11))
    holder, name = broken.split(".")
    holder = "Storage.prototype" if holder == "localStorage" else "History.prototype"
    tab.add_init_script(f"{holder}.{name} = () => {{ throw new DOMException('no', 'SecurityError'); }}")
    tab.reload()
    tab.wait_for_selector("html[data-ready]")
    tab.keyboard.press("ArrowRight")
    tab.locator("#theme").click()
    tab.wait_for_timeout(200)
    assert tab.locator(".token.selected").count() == 1
