"""The question box in a browser: asking, progress, cancelling, and going away."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe

from attrib.server.jobs import Limits
from tests.server.live import Live, made, serving, wait_for


@pytest.fixture
def live(tmp_path: Path) -> Iterator[Live]:
    with serving(tmp_path, limits=Limits(heartbeat=0.1, patience=0.3)) as running:
        yield running


@pytest.fixture
def tab(browser: Any, live: Live) -> Iterator[Any]:
    """The server's first page; whatever the browser complains of fails the test."""
    complaints: list[str] = []
    context = browser.new_context()
    tab = context.new_page()
    tab.set_default_timeout(10_000)
    tab.on("pageerror", lambda error: complaints.append(str(error)))
    # That a request was refused is no complaint: the page tells of it.
    tab.on("console", lambda said: "Failed to load resource" not in said.text and complaints.append(said.text))
    tab.goto(live.place.url)
    yield tab
    context.close()
    assert not complaints


def ask(tab: Any, question: str) -> None:
    tab.fill("#ask-text", question)
    tab.press("#ask-text", "Enter")


def says(tab: Any, text: str) -> None:
    tab.wait_for_function("text => document.getElementById('ask').textContent.includes(text)", arg=text)


def test_asking_on_the_list_and_on_a_page_leads_to_pages_that_the_list_then_has(tab: Any, live: Live) -> None:
    ask(tab, "Who keeps the <b>light</b>?")
    says(tab, "thinking")
    live.explainer.through.set()
    tab.wait_for_url("**/explanations/**")
    tab.wait_for_selector("html[data-ready]")
    assert tab.inner_text("#question") == "Who keeps the <b>light</b>?"
    ask(tab, "How long is the warranty?")
    tab.wait_for_url("**/explanations/how-long**")
    tab.click('a[href="/"]')
    tab.wait_for_url(live.place.url)
    assert tab.locator("#entries li").count() == 2


def test_the_button_cancels_and_another_question_can_be_asked(tab: Any, live: Live) -> None:
    ask(tab, "first")
    says(tab, "thinking")
    tab.get_by_role("button", name="Cancel").click()
    says(tab, "cancelled")
    live.explainer.through.set()
    ask(tab, "second")
    tab.wait_for_url("**/explanations/second**")
    assert len(live.shelf) == 1


def test_who_waits_is_told_how_many_are_before_them(tab: Any, live: Live, browser: Any) -> None:
    ask(tab, "first")
    says(tab, "thinking")
    other = browser.new_page()
    other.goto(live.place.url)
    ask(other, "second")
    says(other, "1")
    other.close()


def test_closing_the_tab_cancels_its_question(tab: Any, live: Live) -> None:
    ask(tab, "first")
    says(tab, "thinking")
    assert live.jobs is not None
    job = next(iter(live.jobs._jobs.values()))
    tab.close()
    wait_for(lambda: job.event.name == "cancelled")


@pytest.mark.parametrize(("question", "line"), [("yours", "this is too long"), ("ours", "internal error")])
def test_an_error_is_told_in_its_line(tab: Any, question: str, line: str) -> None:
    ask(tab, question)
    says(tab, line)


def test_what_the_server_refuses_is_told(tab: Any, live: Live) -> None:
    tab.route("**/api/jobs", lambda route: route.fulfill(status=503, json={"error": "16 questions wait already"}))
    ask(tab, "first")
    says(tab, "16 questions wait already")


def test_a_stopped_server_says_so(tab: Any, live: Live) -> None:
    ask(tab, "first")
    says(tab, "thinking")
    live.server.should_exit = True
    says(tab, "stopped")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious_in_the_question_box(browser: Any, live: Live, scheme: str) -> None:
    address = live.shelf.add(made("Who?"))
    tab = browser.new_page(color_scheme=scheme)
    for path in ("/", address):
        tab.goto(live.place.url.rstrip("/") + path)
        ask(tab, "first")
        says(tab, "thinking")
        found = Axe().run(tab).response["violations"]
        assert [rule["id"] for rule in found if rule["impact"] in ("serious", "critical")] == []
    tab.close()
