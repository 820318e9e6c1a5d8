"""The waits that the page promises, measured as ``scripts/bench_page.py`` measures them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from attrib.errors import InputError
from attrib.render import page
from scripts import bench_page as bench


@pytest.mark.slow
def test_two_hundred_tokens_and_five_hundred_sections_are_fast(browser: Any, tmp_path: Path) -> None:
    file = page.write(bench.record(200, 500), tmp_path / "page.html")
    figures = bench.measure(browser, file, repeats=5)
    assert figures["first_paint_ms"] < 1000
    assert figures["token_ms"] < 50
    assert figures["model_ms"] < 50


def test_a_measurement_gives_every_figure(browser: Any, tmp_path: Path) -> None:
    file = page.write(bench.record(8, 30), tmp_path / "page.html")
    figures = bench.measure(browser, file, repeats=1, keys=3)
    assert all(value > 0 for value in figures.values()), figures


@pytest.mark.parametrize("text", ["", "200", "200x", "0x5", "2x3x4", "axb"])
def test_sizes_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(InputError, match="tokens x sections"):
        bench.read_sizes(text)


def test_sizes_are_read() -> None:
    assert bench.read_sizes("200x500,3x4") == [(200, 500), (3, 4)]
