"""One Chromium a session, one page a test; a page that logs an error or asks for anything fails its test.

Chromium is looked for in ``ATTRIB_CHROMIUM``, then where Debian puts it, then among playwright's own; without one the
tests are skipped, or fail where ``REQUIRE_BROWSER=1``.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import pytest

from attrib.records import Explanation
from attrib.render import page as pages
from scripts import bench_page


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    try:
        from playwright.sync_api import Error, sync_playwright
    except ImportError:
        _without("playwright is not installed")
    with sync_playwright() as playwright:
        try:
            chromium = playwright.chromium.launch(executable_path=bench_page.executable(), args=list(bench_page.FLAGS))
        except Error as error:
            _without(f"no Chromium in $ATTRIB_CHROMIUM, /usr/bin or playwright's folder: {str(error).splitlines()[0]}")
        yield chromium
        chromium.close()


def _without(reason: str) -> NoReturn:
    """Continuous integration must not pass for want of a browser."""
    if os.environ.get("REQUIRE_BROWSER") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


@dataclass
class Seen:
    """What one page asked for and complained of."""

    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)


Visit = Callable[..., Any]


@pytest.fixture
def visit(browser: Any, tmp_path: Path) -> Iterator[Visit]:
    """Open an explanation's page from a file: ``visit(explanation, "t=3", width=…, scheme=…)``."""
    seen, contexts = Seen(), []

    def open_page(
        explanation: Explanation | str, hash: str = "", *, width: int = 1400, height: int = 900, scheme: str = "light"
    ) -> Any:
        file = tmp_path / "page.html"
        if isinstance(explanation, str):
            file.write_text(explanation, encoding="utf-8")
        else:
            pages.write(explanation, file)
        context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=scheme, accept_downloads=True
        )
        contexts.append(context)
        tab = context.new_page()
        tab.set_default_timeout(10_000)
        tab.on("request", lambda request: seen.requests.append(request.url))
        tab.on("pageerror", lambda error: seen.complaints.append(str(error)))
        tab.on("console", lambda said: said.type in ("error", "warning") and seen.complaints.append(said.text))
        tab.goto(f"{file.as_uri()}#{hash}" if hash else file.as_uri())
        return tab

    yield open_page
    for context in contexts:
        context.close()
    assert not seen.complaints
    asked = [url for url in seen.requests if not url.startswith(("data:", "blob:", tmp_path.as_uri()))]
    assert not asked


@pytest.fixture
def ready(visit: Visit) -> Visit:
    """``visit``, once every view is drawn."""

    def open_ready(*args: Any, **options: Any) -> Any:
        tab = visit(*args, **options)
        tab.wait_for_selector("html[data-ready]")
        return tab

    return open_ready
