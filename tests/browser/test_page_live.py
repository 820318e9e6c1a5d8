"""The question box of a live page against a made-up server: what it sends, shows and survives."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from attrib.render import page as pages
from tests.make import make_explanation

HOST = "http://attrib.test"
LIVE = {"ask": "/api/jobs", "home": "/"}


def events(*said: tuple[str, dict[str, object]]) -> str:
    """Server-sent events as one body."""
    return "".join(f"event: {name}\ndata: {json.dumps(data)}\n\n" for name, data in said)


@dataclass
class Server:
    """Answers to asking for a job, and the events that follow; None: the connection fails."""

    status: int = 202
    reply: str = '{"id": "7", "position": 0}'
    events: str | None = ""
    asked: list[tuple[str, str, str | None]] = field(default_factory=list)
    examples: str = ""

    def answer(self, route: Any) -> None:
        request = route.request
        path = request.url.removeprefix(HOST)
        if path.startswith("/api"):
            self.asked.append((request.method, path, request.post_data))
        if path == "/api/jobs":
            route.fulfill(status=self.status, content_type="application/json", body=self.reply)
        elif path.endswith("/events"):
            if self.events is None:
                route.abort()
            else:
                route.fulfill(status=200, content_type="text/event-stream", body=self.events)
        elif path.startswith("/api"):
            route.fulfill(status=200, content_type="application/json", body="{}")
        else:
            made = make_explanation(question="Asked?" if path.startswith("/explanations") else "First?")
            route.fulfill(
                status=200, content_type="text/html", body=pages.html(made, live={**LIVE, "examples": self.examples})
            )


Open = Callable[[Server], Any]


@pytest.fixture
def live(browser: Any) -> Iterator[Open]:
    contexts = []

    def open_page(server: Server) -> Any:
        context = browser.new_context()
        contexts.append(context)
        tab = context.new_page()
        tab.set_default_timeout(10_000)
        tab.route(f"{HOST}/**", server.answer)
        tab.goto(f"{HOST}/")
        tab.wait_for_selector("html[data-ready]")
        return tab

    yield open_page
    for context in contexts:
        context.close()


def ask(tab: Any, question: str) -> None:
    tab.locator("#ask-text").fill(question)
    tab.locator("#ask").get_by_role("button", name="Ask").click()


def said(tab: Any, text: str) -> None:
    """Wait until the box says so and can be used again."""
    tab.locator("#ask [role=status]", has_text=text).wait_for()
    tab.locator("#ask button[type=submit]:enabled").wait_for()


def test_a_question_is_sent_and_its_page_opens(live: Open) -> None:
    server = Server(events=events(
        ("queued", {"position": 2}), ("progress", {"what": "scoring", "done": 1, "total": 3}),
        ("done", {"url": "/explanations/7"}),
    ))  # fmt: skip
    tab = live(server)
    ask(tab, "Who <b>keeps</b> it?")
    tab.wait_for_url(f"{HOST}/explanations/7")
    tab.wait_for_selector("html[data-ready]")
    assert tab.locator("#question").inner_text() == "Asked?"
    assert server.asked[0][:2] == ("POST", "/api/jobs")
    assert json.loads(server.asked[0][2] or "") == {"question": "Who <b>keeps</b> it?", "answer": None}
    assert [path for _, path, _ in server.asked] == ["/api/jobs", "/api/jobs/7/events"]


def test_enter_asks_and_keys_of_the_page_do_not_act_in_the_box(live: Open) -> None:
    server = Server(events=events(("failed", {"error": "no"})))
    tab = live(server)
    tab.locator("#ask-text").click()
    tab.keyboard.type("m1 /?p")
    assert tab.locator("#help").is_hidden()
    assert tab.locator("#toolbar [data-value=tuned]").get_attribute("aria-pressed") == "true"
    tab.keyboard.press("Enter")
    said(tab, "no")
    assert json.loads(server.asked[0][2] or "")["question"] == "m1 /?p"


def test_an_empty_question_is_not_sent(live: Open) -> None:
    server = Server()
    tab = live(server)
    tab.locator("#ask-text").fill("   ")
    tab.keyboard.press("Enter")
    assert server.asked == []


@pytest.mark.parametrize(
    ("server", "line"),
    [
        (Server(status=400, reply='{"error": "the question is <i>too</i> long"}'), "the question is <i>too</i> long"),
        (Server(status=500, reply="<html>"), "the server answered 500"),
        (Server(events=events(("failed", {"error": "the model stopped"}))), "the model stopped"),
        (Server(events=events(("cancelled", {}))), "cancelled"),
    ],
)  # fmt: skip
def test_what_goes_wrong_is_one_line_and_the_box_works_again(live: Open, server: Server, line: str) -> None:
    tab = live(server)
    ask(tab, "Why?")
    said(tab, line)
    assert tab.locator("#ask i").count() == 0
    assert tab.locator("#question").inner_text() == "First?"


@pytest.mark.parametrize("told", [None, events(("progress", {"what": "scoring", "done": 1, "total": 3}))])
def test_a_connection_that_does_not_come_back_is_given_up_and_the_box_works_again(live: Open, told: str | None) -> None:
    tab = live(Server(events=told))
    tab.clock.install()
    ask(tab, "Why?")
    tab.locator("#ask [role=status]", has_text="was lost; trying again").wait_for()
    tab.clock.run_for(10_000)
    said(tab, "was lost; is it still running?")


def test_a_job_is_cancelled_by_its_button(live: Open) -> None:
    server = Server()
    tab = live(server)
    # The stream stays open: no events come until the page is left.
    tab.route(f"{HOST}/api/jobs/7/events", lambda route: None)
    ask(tab, "Why?")
    tab.locator("#ask [role=status]", has_text="starting").wait_for()
    with tab.expect_response(lambda response: response.request.method == "DELETE"):
        tab.locator("#ask").get_by_role("button", name="Cancel").click()
    assert server.asked[-1] == ("DELETE", "/api/jobs/7", None)


def test_a_job_is_cancelled_before_the_server_has_named_it(live: Open) -> None:
    server = Server()
    waiting: list[Any] = []
    tab = live(server)
    tab.route(f"{HOST}/api/jobs", lambda route: waiting.append(route))
    tab.route(f"{HOST}/api/jobs/7/events", lambda route: None)
    ask(tab, "Why?")
    tab.locator("#ask").get_by_role("button", name="Cancel").click()
    tab.locator("#ask [role=status]", has_text="cancelling").wait_for()
    assert server.asked == []
    with tab.expect_response(lambda response: response.request.method == "DELETE"):
        waiting[0].fulfill(status=202, content_type="application/json", body=server.reply)
    assert server.asked == [("DELETE", "/api/jobs/7", None)]


def test_the_name_leads_home(live: Open) -> None:
    tab = live(Server())
    assert tab.locator("a#brand").get_attribute("href") == "/"


def test_example_questions_are_asked_by_a_click_and_one_bar_covers_all_stages(live: Open) -> None:
    stages = [("answers", 5, 10), ("captures", 1, 2), ("leave one out, tuned", 1, 4), ("embedding sections", 1, 2)]
    told = [("progress", {"what": what, "done": done, "total": total}) for what, done, total in stages]
    server = Server(events=events(*told, ("failed", {"error": "no"})), examples="Who <b>keeps</b> it?\nWhere is it?")
    tab = live(server)
    tab.evaluate("""() => {
        window.seen = [];
        const [bar, line] = ["progress", "[role=status]"].map((name) => document.querySelector(`#ask ${name}`));
        const look = () => bar.hidden || window.seen.push([bar.value, line.textContent]);
        new MutationObserver(look).observe(document.getElementById("ask"), {attributes: true, subtree: true});
    }""")
    assert tab.locator("#ask .examples button").count() == 2
    tab.get_by_role("button", name="Who <b>keeps</b> it?").click()
    said(tab, "no")
    assert json.loads(server.asked[0][2] or "")["question"] == "Who <b>keeps</b> it?"
    seen = tab.evaluate("window.seen")
    values = [value for value, _ in seen]
    assert values == sorted(values)
    assert values[-1] > 0.5
    assert seen[-1][1] == "reading the sections …"
    assert "leave one out" not in str(seen), "stages have plain names"
