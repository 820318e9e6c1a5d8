"""The promised error in words, and the same words in terminal, JSON, gallery and captions."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from attrib.records import ControlGroup, Explanation, Promise
from attrib.render import export, figures, gallery, terminal, view
from attrib.render.payload import payload
from tests.make import make_explanation

PROMISE = Promise(
    0.1,
    0.62,
    0.3,
    (ControlGroup("general questions, right answers", 80, 5), ControlGroup("questions on control texts", 40, 4)),
    ("questions on held-out sections: none were kept out of tuning",),
)
LINE = (
    "Calibrated for this pair on 120 control answers: at most 10% of answers that do not come from these documents are "
    "called documents, which needs more than 62% (80 general questions, right answers; 40 questions on control texts; "
    "not tested: questions on held-out sections: none were kept out of tuning)"
)
NOTHING = "Not calibrated for this pair: run attrib calibrate"
NOT_SAID = "tuning did not make the model say it"


def explained(promise: Promise | None = None, said: bool | None = None) -> Explanation:
    made = make_explanation(answer=12)
    whole = np.array([0.9, 0.05, 0.05])
    verdict = replace(made.verdict, whole=whole, tokens=np.tile(whole, (12, 1)), promise=promise)
    return replace(made, verdict=replace(verdict, said=said, said_gain=0.01))


def printed(explanation: Explanation) -> str:
    console = Console(file=io.StringIO(), width=100, color_system=None)
    terminal.show(explanation, console)
    assert isinstance(console.file, io.StringIO)
    return " ".join(console.file.getvalue().split())


def test_the_promise_is_one_sentence() -> None:
    assert view.promise_line(PROMISE) == LINE
    assert view.promise_line(None) == NOTHING
    assert view.promise_line(replace(PROMISE, threshold=1.0)).startswith(
        "Calibrated for this pair on 120 control answers, too few or scored too high for an error of 10%: nothing is "
        "called documents ("
    )


def test_the_promise_group_by_group() -> None:
    assert view.promise_lines(PROMISE)[1:] == (
        "  general questions, right answers: 5 of 80 called documents",
        "  questions on control texts: 4 of 40 called documents",
        "  not tested: questions on held-out sections: none were kept out of tuning",
    )


@pytest.mark.parametrize(("promise", "line"), [(PROMISE, LINE), (None, NOTHING)])
def test_every_view_says_the_same(promise: Promise | None, line: str) -> None:
    record = explained(promise)
    assert line in printed(record)
    assert export.summary(record, [])["verdict"]["sentences"] == [view.headline(record).sentence, line]
    shown = payload(record)["verdict"]
    assert isinstance(shown, dict)
    assert line in [text for _, text, _ in shown["sure"]]  # type: ignore[attr-defined]
    assert line in figures.strip_caption(record)


def test_an_answer_that_is_supported_but_not_said_is_told_apart() -> None:
    for said, told in ((False, True), (True, False), (None, False)):
        record = explained(PROMISE, said)
        assert (NOT_SAID in printed(record)) is told
        assert export.summary(record, [])["verdict"]["said"] is said
        entry = gallery.entry_of(record, Path("a"), "0" * 64)
        page = gallery.index_html(gallery.Listing((entry,)), {entry.id: "a"}).decode()
        assert (NOT_SAID in page) is told


def test_json_has_verdict_thresholds_and_controls() -> None:
    found = export.summary(explained(PROMISE), [])["verdict"]
    assert (found["documents_below"], found["documents_above"]) == (0.3, 0.62)
    assert found["called"] == explained(PROMISE).verdict.called
    assert found["promise"]["controls"][0] == {"name": "general questions, right answers", "n": 80, "called": 5}


def test_the_gallery_filters_by_cannot_tell() -> None:
    made = explained()
    unsure = replace(made, verdict=replace(made.verdict, below=0.0, above=1.0))
    entry = gallery.entry_of(unsure, Path("a"), "0" * 64)
    assert entry.label == "cannot tell"
    page = gallery.index_html(gallery.Listing((entry,)), {entry.id: "a"}).decode()
    assert '<span class="label cannot-tell">cannot tell</span>' in page
    assert 'value="cannot tell"> cannot tell <small>1</small>' in page
