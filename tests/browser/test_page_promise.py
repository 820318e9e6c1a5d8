"""The page says the verdict, the promised error, and what is supported but not said."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tests.browser.test_page_access import Visit
from tests.make import make_explanation
from tests.render.test_promise import LINE, NOT_SAID, NOTHING, PROMISE


def test_without_a_calibration_the_page_says_so(visit: Visit) -> None:
    tab = visit(make_explanation())
    assert tab.locator("#verdict .promise").inner_text() == f"{NOTHING}."
    assert not tab.locator("#verdict .not-said").count()


def test_the_promise_and_what_was_not_tested_stand_below_the_verdict(visit: Visit) -> None:
    made = make_explanation()
    whole = np.array([0.5, 0.3, 0.2])
    tab = visit(replace(made, verdict=replace(made.verdict, whole=whole, promise=PROMISE, said=False)))
    assert tab.locator("#verdict .promise").inner_text() == f"{LINE}."
    assert tab.locator("#verdict .not-said").inner_text() == f"{NOT_SAID}."
    assert tab.locator("#verdict .call").inner_text() == (
        "The answer as a whole: cannot tell documents 50% · base 30% · neither 20%; documents needs more than 62%, "
        "base or neither less than 30% documents"
    )


def test_a_word_is_judged_by_the_same_thresholds_as_in_the_record(visit: Visit) -> None:
    made = make_explanation(answer=12)
    tokens = np.tile([0.4, 0.2, 0.4], (12, 1))
    tab = visit(replace(made, verdict=replace(made.verdict, tokens=tokens, promise=PROMISE)))
    assert tab.locator(".token.cannot-tell").count() == 12
    tab.locator(".token").nth(2).click()
    assert "cannot tell" in tab.locator("#live").inner_text()
