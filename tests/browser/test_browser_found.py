"""A missing browser skips the tests at home and fails them where they must run."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts import bench_page
from tests.browser import conftest


def test_a_missing_browser_skips_unless_it_is_required(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REQUIRE_BROWSER", raising=False)
    with pytest.raises(pytest.skip.Exception, match="no Chromium"):
        conftest._without("no Chromium")
    monkeypatch.setenv("REQUIRE_BROWSER", "1")
    with pytest.raises(pytest.fail.Exception, match="no Chromium"):
        conftest._without("no Chromium")


def test_a_chosen_browser_is_taken_before_all_others(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ATTRIB_CHROMIUM", str(tmp_path / "chromium"))
    assert bench_page.executable() == str(tmp_path / "chromium")
