"""The bench of the server, on a server whose models are made up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from scripts import bench_serve as bench
from tests.server.live import made, serving


def test_waits_and_pages_are_counted_with_and_without_work(tmp_path: Path) -> None:
    with serving(tmp_path) as live:
        address = live.shelf.add(made("Who?"))
        found = bench._measure(live.place.url, address, 3, 0.2)
        assert live.jobs is not None
        assert len(live.explainer.begun) >= 1
    assert 0 < found["first_event_median_s"] <= found["first_event_worst_s"] < 5
    assert found["pages_per_s_idle"] > 0
    assert found["ratio"] == found["pages_per_s_working"] / found["pages_per_s_idle"]


def test_events_are_read_to_the_end_and_a_line_stands_for_each_number_of_clients(tmp_path: Path) -> None:
    with serving(tmp_path) as live:
        live.explainer.through.set()
        told = bench._events(live.client, bench._ask(live.client, "Who?"))
    assert told[-1] == ("done", {"url": told[-1][1]["url"]})
    found = {
        "first_event_median_s": 0.01,
        "first_event_worst_s": 0.25,
        "pages_per_s_idle": 100.0,
        "pages_per_s_working": 50.0,
        "ratio": 0.5,
    }
    report: dict[str, Any] = {"start_s": 1.0, "answer_s": 2.0, "page_kb": 3.0, "peak_gb": 1.5, "clients": {1: found}}
    lines = list(bench._lines(report))
    assert lines[-1].startswith("1 at once: first event after 10 ms (worst 250); 100 pages/s, 50 while")
    assert "1.50 GB" in lines[1]
