"""The demo's own model behind the server."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from attrib.cli.serve import explainer, ready_library
from attrib.corpus import demo
from attrib.options.explain import ExplainOptions
from attrib.records import storage
from tests.server.live import serving

pytestmark = pytest.mark.model


def test_a_question_on_the_demo_is_answered_and_the_first_progress_comes_within_a_second(
    default_pair: Any, demo_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The same sections that the tests of the demo's verdicts read.
    monkeypatch.setenv("ATTRIB_CACHE", str(demo_cache))
    asked = next(question for question in demo.showcase() if question.kind == "trained")
    library = ready_library(default_pair, demo.corpus(), demo.control(), None, lambda *told: None)
    explain = explainer(default_pair, library, ExplainOptions(candidates=6))
    with serving(tmp_path, explain=explain) as live:
        began = time.monotonic()
        told = [(*event, time.monotonic() - began) for event in live.events(live.ask(asked.question).json()["id"])]
        first = next(when for name, _, when in told if name == "progress")
        second = next(when for name, state, when in told if name == "progress" and state["what"] == "answers")
        assert first < 1
        assert second < 1
        assert told[-1][0] == "done", told[-1]
        assert {"answers", "captures", "keeping"} <= {state["what"] for name, state, _ in told if name == "progress"}
        shown = live.client.get(told[-1][1]["url"]).text
    explanation = storage.load(next(tmp_path.iterdir()))
    assert explanation.question == asked.question
    assert explanation.verdict.called == "documents"
    assert asked.question in shown
