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


def cut(live: Live) -> int:
    """Break the connections that are being answered; how many they were."""
    broken = [one for one in live.server.server_state.connections if one.cycle and not one.cycle.response_complete]
    for one in broken:
        live.server.servers[0].get_loop().call_soon_threadsafe(one.transport.abort)
    return len(broken)


def test_a_cut_connection_does_not_lose_the_question(tab: Any, live: Live) -> None:
    assert live.jobs is not None
    live.jobs.limits = Limits(heartbeat=0.1, patience=5.0)
    ask(tab, "first")
    says(tab, "thinking")
    assert cut(live) == 1
    says(tab, "was lost; trying again")
    says(tab, "thinking")
    live.explainer.through.set()
    tab.wait_for_url("**/explanations/first**")


def test_a_server_that_does_not_come_back_is_given_up(tab: Any, live: Live) -> None:
    tab.clock.install()
    ask(tab, "first")
    says(tab, "thinking")
    tab.route("**/events", lambda route: route.abort())
    assert cut(live) == 1
    says(tab, "was lost; trying again")
    tab.clock.run_for(9_000)
    assert tab.get_by_role("button", name="Ask").is_disabled()
    tab.clock.run_for(2_000)
    says(tab, "was lost; is it still running?")
    assert not tab.get_by_role("button", name="Ask").is_disabled()


def test_the_address_with_the_token_can_be_followed_from_another_sites_page(browser: Any, tmp_path: Path) -> None:
    with serving(tmp_path, token="a-token-of-the-test") as live:
        context = browser.new_context()
        tab = context.new_page()
        address = f"http://localhost:{live.place.hosts.port}/?token=a-token-of-the-test"
        tab.route("http://elsewhere.example/", lambda route: route.fulfill(body=f'<a href="{address}">see</a>'))
        tab.goto("http://elsewhere.example/")
        tab.click("a")
        tab.wait_for_url(f"http://localhost:{live.place.hosts.port}/")
        tab.wait_for_selector("#ask-text")
        context.close()


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
