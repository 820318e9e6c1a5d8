"""What a reader does: select, switch, link both ways, by pointer and by keyboard; the address keeps it."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from attrib.records import Explanation
from attrib.render import view
from tests.browser.conftest import Visit
from tests.make import make_explanation
from tests.make_heads import with_heads


@pytest.fixture(scope="module")
def explanation() -> Explanation:
    return make_explanation(answer=11, sections=40, mappers=("bm25", "hidden"))


def token(tab: Any, index: int) -> Any:
    return tab.locator(f".token[data-token='{index}']")


def selected(tab: Any) -> list[int]:
    found = tab.locator(".token[aria-selected=true]")
    return [int(i) for i in found.evaluate_all("nodes => nodes.map(node => node.dataset.token)")]


def titles(tab: Any) -> list[str]:
    return list(tab.locator(".section .pick").all_inner_texts())


def scores(tab: Any) -> list[float]:
    texts = tab.locator(".section .score").all_inner_texts()
    return [float(text.replace("−", "-").replace("+", "")) for text in texts]


def address(tab: Any, wanted: str) -> None:
    """Wait until the address says so: it follows the view a moment later."""
    tab.wait_for_function("wanted => location.hash.includes(wanted)", arg=wanted)


def pressed(tab: Any, name: str) -> bool:
    return bool(tab.locator(f"#toolbar [data-value='{name}']").get_attribute("aria-pressed") == "true")


def test_the_page_starts_with_the_whole_answer_under_the_tuned_model(ready: Visit, explanation: Explanation) -> None:
    tab = ready(explanation)
    assert tab.locator(".token").count() == 11
    assert not selected(tab)
    assert pressed(tab, "tuned")
    order = view.section_order(explanation)
    for _ in range(3):
        if tab.locator("#more").count():
            tab.locator("#more").click()
    assert titles(tab) == [" › ".join(explanation.sections[i].titles[-2:]) for i in order]
    tab.keyboard.press("1")
    assert scores(tab) == sorted(scores(tab), reverse=True)


def test_a_click_on_a_token_ranks_the_sections_for_it_and_heats_the_prompt(
    ready: Visit, explanation: Explanation
) -> None:
    tab = ready(explanation, "unit=token")
    before = tab.locator("#prompt-text").inner_html()
    token(tab, 6).click()
    assert selected(tab) == [6]
    column = explanation.mappings["hidden"].tuned.tokens[6]
    best = explanation.sections[int(column.argmax())]
    assert titles(tab)[0] == " › ".join(best.titles[-2:])
    assert scores(tab)[0] == pytest.approx(column.max(), rel=0.06)
    assert tab.locator("#prompt-text").inner_html() != before
    assert "thirty" in tab.locator("#sections-what").inner_text()
    assert "thirty" in tab.locator("#prompt-what").inner_text()


def test_shift_click_extends_and_a_second_click_lets_go(ready: Visit, explanation: Explanation) -> None:
    tab = ready(explanation)
    token(tab, 2).click()
    token(tab, 4).click(modifiers=["Shift"])
    assert selected(tab) == [2, 3, 4]
    token(tab, 3).click()
    assert selected(tab) == [3]
    token(tab, 3).click()
    assert selected(tab) == []


def test_words_are_selected_whole_where_words_are_shown(ready: Visit, explanation: Explanation) -> None:
    tab = ready(explanation, "unit=token")
    token(tab, 7).click()
    assert selected(tab) == [7]
    tab.get_by_role("button", name="words").click()
    assert selected(tab) == [6, 7, 8]  # thirty-six
    token(tab, 1).click()
    assert selected(tab) == [1]
    token(tab, 8).click(modifiers=["Shift"])
    assert selected(tab) == list(range(1, 9))
    token(tab, 7).click()
    assert selected(tab) == [6, 7, 8]
    token(tab, 7).click()
    assert selected(tab) == []


def test_arrows_walk_over_tokens_and_shift_extends(ready: Visit, explanation: Explanation) -> None:
    tab = ready(explanation)
    tab.keyboard.press("ArrowRight")
    assert selected(tab) == [0]
    tab.keyboard.press("ArrowRight")
    tab.keyboard.press("Shift+ArrowRight")
    tab.keyboard.press("Shift+ArrowRight")
    assert selected(tab) == [1, 2, 3]
    tab.keyboard.press("Shift+ArrowLeft")
    assert selected(tab) == [1, 2]
    tab.keyboard.press("ArrowLeft")
    assert selected(tab) == [0]
    tab.keyboard.press("ArrowLeft")
    assert selected(tab) == [0]


def test_one_token_at_a_time_is_in_the_tab_order_and_it_has_the_focus(ready: Visit, explanation: Explanation) -> None:
    tab = ready(explanation)
    assert tab.locator(".token[tabindex='0']").count() == 1
    tab.keyboard.press("ArrowRight")
    tab.keyboard.press("ArrowRight")
    assert tab.locator(".token[tabindex='0']").get_attribute("data-token") == "1"
    assert tab.evaluate("document.activeElement.dataset.token") == "1"


def test_what_was_selected_is_said_to_screen_readers(ready: Visit, explanation: Explanation) -> None:
    tab = ready(explanation, "unit=token")
    token(tab, 6).click()
    said = tab.locator("#live").inner_text()
    label = view.token_calls(explanation)[6]
    assert re.fullmatch(rf"thirty, {label}, section .+, \d.*", said), said


def test_a_section_marks_the_tokens_that_its_score_points_at_and_there_is_a_way_back(
    ready: Visit, explanation: Explanation
) -> None:
    tab = ready(explanation)
    tab.keyboard.press("ArrowDown")
    chosen = tab.locator(".section.chosen")
    index = int(chosen.get_attribute("data-index"))
    backed = np.flatnonzero(explanation.mappings["hidden"].tuned.q[:, index] < 0.05)
    marked = tab.locator(".token.sure").evaluate_all("nodes => nodes.map(node => Number(node.dataset.token))")
    assert marked == backed.tolist()
    assert f"says the same as {len(marked)} token" in tab.locator("#backed").inner_text()
    tab.get_by_role("button", name="Back").click()
    assert tab.locator(".section.chosen, .token.sure, .token.above").count() == 0
    assert tab.locator("#backed").is_hidden()


def test_a_click_on_a_section_selects_it_and_escape_goes_back_step_by_step(
    ready: Visit, explanation: Explanation
) -> None:
    tab = ready(explanation)
    token(tab, 2).click()
    tab.locator(".section .pick").nth(1).click()
    assert tab.locator(".section.chosen").count() == 1
    tab.keyboard.press("Escape")
    assert tab.locator(".section.chosen").count() == 0
    assert selected(tab) == [2]
    tab.keyboard.press("Escape")
    assert selected(tab) == []


def test_arrows_walk_over_sections_beyond_those_first_listed(ready: Visit, explanation: Explanation) -> None:
    tab = ready(explanation)
    assert 3 <= tab.locator(".section").count() <= 8
    for _ in range(30):
        tab.keyboard.press("ArrowDown")
    assert tab.locator(".section.chosen .rank").inner_text().split() == ["rank", "30"]


def test_numbers_switch_the_model_and_the_selection_stays(ready: Visit, explanation: Explanation) -> None:
    tab = ready(explanation)
    token(tab, 3).click()
    for key, model in (("1", "base"), ("3", "tuned − base"), ("2", "tuned")):
        tab.keyboard.press(key)
        assert selected(tab) == [3]
        assert model in tab.locator("#sections-what").inner_text()
        assert model in tab.locator("#prompt-what").inner_text()
    mapping = explanation.mappings["hidden"]
    tab.keyboard.press("1")
    assert scores(tab)[0] == pytest.approx(mapping.base.tokens[3].max(), rel=0.06)
    tab.keyboard.press("3")
    assert scores(tab)[0] == pytest.approx(mapping.difference[3].max(), rel=0.06)


def test_method_and_mapper_change_by_menu_and_by_key(ready: Visit, explanation: Explanation) -> None:
    tab = ready(explanation)
    tab.keyboard.press("m")
    assert "input × gradient" in tab.locator("#prompt-what").inner_text()
    tab.locator("#menu-method").select_option("attention")
    assert "looked at" in tab.locator("#prompt-what").inner_text()
    tab.locator("#answer-title").click()
    tab.keyboard.press("n")
    assert tab.locator("#menu-mapper option:checked").inner_text() == "same words"
    assert "says the same" in tab.locator("#sections-what").inner_text()
    tab.get_by_role("button", name="What does “same words” mean?").click()
    assert "not influence" in tab.locator("#sections-what").inner_text()


def test_the_control_texts_stand_in_their_rank_place(ready: Visit, explanation: Explanation) -> None:
    tab = ready(explanation, "t=5")
    side = explanation.mappings["hidden"].tuned
    better = int((side.tokens[5] >= side.control[5].max()).sum())
    kinds = tab.locator("#section-list > li").evaluate_all("nodes => nodes.map(node => node.className.split(' ')[0])")
    assert kinds.index("control") == min(better, tab.locator(".section").count())
    assert f"rank {better + 1}" in tab.locator(".control").inner_text()
    assert "never trained on" in tab.locator(".control").inner_text()
    assert tab.locator(".control").is_visible()


def test_search_keeps_the_sections_that_hold_the_words(ready: Visit, explanation: Explanation) -> None:
    tab = ready(explanation)
    tab.keyboard.press("/")
    tab.keyboard.type("part 17")
    assert titles(tab) == ["Manual 2 › 2.17 Part 17"]
    address(tab, "query=part")
    tab.keyboard.press("Escape")
    tab.keyboard.press("ArrowRight")
    assert selected(tab) == [0]


def test_a_section_opens_to_its_whole_text_with_the_match_marked(ready: Visit) -> None:
    text = "First words stand here. " + "Padding of many words. " * 40 + "The very last sentence."
    tab = ready(make_explanation(sections=4, texts=[text] * 4))
    row = tab.locator(".section").first
    assert "very last sentence" not in row.inner_text()
    row.get_by_role("button", name="Open").click()
    assert "very last sentence" in row.inner_text()
    assert row.locator(".open").get_attribute("aria-expanded") == "true"
    assert row.locator("mark").count() >= 1
    tab.keyboard.press("ArrowDown")
    tab.keyboard.press("o")
    assert row.locator(".open").get_attribute("aria-expanded") == "false"


def test_matches_are_marked_where_characters_are_wide(ready: Visit) -> None:
    """Spans count characters; a browser's strings count halves of some."""
    tab = ready(
        make_explanation(sections=2, titles=["T"] * 2, texts=["🙂🙂🙂 warranted for thirty-six months"] * 2), "t=1"
    )
    whole = "T\n🙂🙂🙂 warranted for thirty-six months"
    assert tab.locator(".section mark").first.inner_text().strip() == whole[6:24].strip()


def test_a_pinned_section_stays_on_top(ready: Visit, explanation: Explanation) -> None:
    tab = ready(explanation)
    for _ in range(4):
        tab.keyboard.press("ArrowDown")
    name = tab.locator(".section.chosen .pick").inner_text()
    tab.keyboard.press("p")
    assert titles(tab)[0] == name
    tab.keyboard.press("ArrowRight")
    tab.keyboard.press("ArrowRight")
    assert titles(tab)[0] == name
    assert titles(tab).count(name) == 1
    tab.locator(".section .pin").first.click()
    assert tab.locator(".section.pinned").count() == 0


def test_the_view_is_restored_from_its_address(ready: Visit, explanation: Explanation) -> None:
    tab = ready(explanation)
    tab.keyboard.press("ArrowRight")
    tab.keyboard.press("Shift+ArrowRight")
    for key in ("3", "m", "n", "ArrowDown", "p"):
        tab.keyboard.press(key)
    tab.locator("#numbers-toggle").click()
    address(tab, "numbers=1")
    views = ("#sections-what", "#prompt-what", "#section-list", "#readout", "#numbers", "#backed")
    before = [tab.locator(view).inner_text() for view in views]
    tab.reload()
    tab.wait_for_selector("html[data-ready]")
    assert selected(tab) == [0, 1]
    assert [tab.locator(view).inner_text() for view in views] == before


def test_a_changed_address_changes_the_view_and_a_wrong_one_is_harmless(ready: Visit, explanation: Explanation) -> None:
    tab = ready(explanation, "t=2")
    tab.evaluate("location.hash = 't=4-5&model=base&mapper=bm25'")
    tab.wait_for_function("() => document.querySelectorAll('.token.selected').length === 2")
    assert selected(tab) == [4, 5]
    assert tab.locator("#menu-mapper").input_value() == "bm25"
    tab.evaluate("location.hash = 't=99-3&model=x&mapper=__proto__&method=%3Cb%3E&layer=7&section=no&pin=no&theme=z'")
    tab.wait_for_function("() => document.querySelectorAll('.token.selected').length === 0")
    assert tab.locator("#menu-mapper").input_value() == "hidden"


def test_help_opens_with_a_key_and_gives_the_focus_back(ready: Visit, explanation: Explanation) -> None:
    tab = ready(explanation)
    tab.locator("#help-open").focus()
    tab.keyboard.press("?")
    assert tab.locator("#help").is_visible()
    assert tab.evaluate("document.activeElement.closest('dialog') !== null")
    tab.keyboard.press("1")
    assert pressed(tab, "tuned")  # keys belong to the dialog while it is open
    tab.keyboard.press("Escape")
    assert tab.locator("#help").is_hidden()
    assert tab.evaluate("document.activeElement.id") == "help-open"


def test_numbers_are_shown_on_demand(ready: Visit, explanation: Explanation) -> None:
    tab = ready(explanation, "t=6&unit=token")
    assert tab.locator("#numbers").is_hidden()
    token(tab, 6).hover()
    tip = tab.locator("#tip").inner_text()
    assert "␣thirty" in tip
    assert "id 106" in tip
    assert "rank" in tip
    tab.locator("#numbers-toggle").click()
    row = tab.locator("#numbers tbody tr")
    assert row.count() == 1
    assert "␣thirty" in row.inner_text()
    assert str(int(explanation.tuned.rank[6]) + 1) in row.inner_text()


def test_a_click_on_the_map_jumps_to_the_section(ready: Visit, explanation: Explanation) -> None:
    tab = ready(explanation)
    canvas = tab.locator("#map")
    box = canvas.bounding_box()
    canvas.click(position={"x": box["width"] * 30.5 / 40, "y": 20})
    assert tab.locator(".section.chosen").get_attribute("data-index") == "30"


def test_without_heads_there_is_no_dead_control(ready: Visit, explanation: Explanation) -> None:
    tab = ready(explanation)
    assert "head" not in tab.locator("main").inner_text()
    assert tab.locator("#heads").count() == 0


def test_a_click_on_the_strip_shows_that_head_in_the_prompt(ready: Visit, explanation: Explanation) -> None:
    tab = ready(with_heads(explanation, layers=4, heads=3), "t=4")
    canvas = tab.locator("#heads-map")
    box = canvas.bounding_box()
    cell = (box["width"] - 23) / 4
    canvas.click(position={"x": 22 + cell * 2.5, "y": 11 * 1.5})
    assert "layer 2, head 1" in tab.locator("#prompt-what").inner_text()
    assert tab.locator("#menu-layer").input_value() == "2"
    assert tab.locator("#menu-head").input_value() == "1"
    address(tab, "layer=2&head=1")
    tab.keyboard.press("3")
    assert "tuned − base" in tab.locator("#prompt-what").inner_text()
    tab.locator("#menu-layer").select_option("-1")
    tab.locator("#menu-head").select_option("-1")
    assert "attention · tuned − base" in tab.locator("#prompt-what").inner_text()


def test_bases_own_answer_selects_what_both_say(ready: Visit, explanation: Explanation) -> None:
    tab = ready(explanation)
    same = tab.locator(".base-said .same").first
    words = same.inner_text().strip()
    same.click()
    texts = "".join(explanation.answer_tokens[i].text for i in selected(tab))
    assert texts.strip().casefold().startswith(words.casefold().split()[0])
    assert "twelve" in tab.locator(".base-said").inner_text()


def test_ranks_are_those_among_all_sections_while_searching(ready: Visit, explanation: Explanation) -> None:
    tab = ready(explanation, "t=5&query=part%2017")
    column = explanation.mappings["hidden"].tuned.tokens[5]
    assert tab.locator(".section .rank").inner_text().split()[-1] == str(int((column > column[16]).sum()) + 1)
    best_control = explanation.mappings["hidden"].tuned.control[5].max()
    assert f"rank {int((column >= best_control).sum()) + 1} " in tab.locator(".control").inner_text()
    tab.locator("#search").focus()
    tab.keyboard.press("Enter")
    assert tab.locator(".section.chosen").get_attribute("data-index") == "16"


def test_drawing_the_list_again_leaves_the_focus_where_it_was(ready: Visit, explanation: Explanation) -> None:
    tab = ready(explanation)
    name = tab.locator(".section .pick").nth(3).inner_text()
    tab.locator(".section .pin").nth(3).focus()
    tab.keyboard.press("Enter")
    assert titles(tab)[0] == name
    assert tab.evaluate("document.activeElement.className").split()[-1] == "pin"
    assert tab.evaluate("document.activeElement.closest('.section').querySelector('.pick').textContent") == name
    tab.keyboard.press("3")
    assert tab.evaluate("document.activeElement.closest('.section').querySelector('.pick').textContent") == name
    tab.keyboard.press("ArrowRight")
    tab.get_by_role("button", name="Whole answer").focus()
    tab.keyboard.press("Enter")
    assert tab.evaluate("document.activeElement.dataset.token") == "0"


def test_a_method_that_misses_its_sum_says_so(ready: Visit) -> None:
    methods = ("integrated_gradients", "saliency")
    tab = ready(make_explanation(methods=methods, gap=0.5))
    assert "not converged" in tab.locator("#prompt .warning").inner_text().lower()
    assert "baseline" in tab.locator("#prompt-notes").text_content()
    tab.keyboard.press("m")
    assert tab.locator("#prompt .warning").count() == 0
    tab = ready(make_explanation(methods=methods, gap=0.001))
    assert "gap" in tab.locator("#prompt-notes").text_content().lower()
    assert tab.locator("#prompt .warning").count() == 0


def test_base_and_tuned_share_one_scale_and_the_difference_is_centred(ready: Visit, explanation: Explanation) -> None:
    tab = ready(explanation, "t=4")
    scale = tab.locator("#prompt-scale")
    shared = scale.inner_text()
    tab.keyboard.press("1")
    assert scale.inner_text() == shared
    assert shared.split()[0] == "0"
    tab.keyboard.press("3")
    low, high = (float(text.replace("−", "-").strip("+%")) for text in scale.inner_text().split()[:2])
    assert low == -high < 0


def test_a_mapper_of_text_alone_says_that_there_is_no_difference(ready: Visit, explanation: Explanation) -> None:
    tab = ready(explanation, "mapper=bm25&model=difference")
    assert "no difference to show" in tab.locator("#sections-what").text_content()
