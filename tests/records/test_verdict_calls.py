"""Thresholds turn probabilities into a verdict, «cannot tell» among them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from attrib.errors import RecordError
from attrib.records import CALLS, ControlGroup, Promise, Verdict
from attrib.records.storage import load, save
from tests.make import make_explanation

GROUPS = (ControlGroup("general questions", 80, 8), ControlGroup("control texts", 40, 2))
PROMISE = Promise(0.1, 0.9, 0.2, GROUPS, ("questions on held-out sections: none were kept",))


def verdict(*whole: float, promise: Promise | None = None) -> Verdict:
    rows = np.tile(np.array(whole), (len(make_explanation().answer_tokens), 1))
    return replace(make_explanation().verdict, whole=np.array(whole), tokens=rows, promise=promise)


@pytest.mark.parametrize(
    ("whole", "called"),
    [
        ((0.51, 0.49, 0.0), "documents"),
        # At the threshold itself the answer is not called documents, at the floor it cannot be told.
        ((0.5, 0.5, 0.0), "cannot tell"),
        ((0.3, 0.0, 0.7), "cannot tell"),
        ((0.29, 0.36, 0.35), "base"),
        ((0.29, 0.35, 0.36), "neither"),
    ],
)
def test_without_a_promise_the_thresholds_are_a_half_and_three_tenths(whole: tuple[float, ...], called: str) -> None:
    found = verdict(*whole)
    assert found.called == called
    assert set(found.token_called) == {called}
    assert called in CALLS


@pytest.mark.parametrize(
    ("p", "called"), [(0.95, "documents"), (0.9, "cannot tell"), (0.2, "cannot tell"), (0.19, "neither")]
)
def test_a_promise_moves_both_thresholds(p: float, called: str) -> None:
    found = verdict(p, 0.0, 1 - p, promise=PROMISE)
    assert (found.called, found.token_called[0]) == (called, called)


def test_a_threshold_of_one_calls_nothing_documents() -> None:
    assert verdict(1.0, 0.0, 0.0, promise=replace(PROMISE, threshold=1.0)).called == "cannot tell"


def test_a_floor_above_a_third_never_leaves_documents_as_the_most_probable_source() -> None:
    found = verdict(0.4, 0.35, 0.25, promise=replace(PROMISE, floor=0.8))
    assert (found.label, found.called) == ("documents", "base")


def test_the_promise_is_stored(tmp_path: Path) -> None:
    made = make_explanation()
    path = save(
        replace(made, verdict=replace(made.verdict, promise=PROMISE, said=False, said_gain=0.02)), tmp_path / "a"
    )
    found = load(path).verdict
    assert (found.promise, found.said, found.said_gain) == (PROMISE, False, 0.02)
    assert PROMISE.n == 120


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"error": 1.0}, "error is 1.0, not between 0 and 1"),
        ({"floor": 0.95}, "a floor of 0.95 and a threshold of 0.9"),
        ({"threshold": 1.5}, "a threshold of 1.5"),
    ],
)
def test_a_promise_that_makes_no_sense_is_refused(fields: dict[str, float], message: str) -> None:
    with pytest.raises(RecordError, match=message):
        replace(PROMISE, **fields)


def test_a_group_cannot_have_more_called_than_it_has() -> None:
    with pytest.raises(RecordError, match="'control texts': 3 of 2 called documents"):
        ControlGroup("control texts", 2, 3)
