"""The page says the verdict, the promised error, and what is supported but not said."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from tests.browser.test_page_access import Visit
from tests.make import make_explanation
from tests.render.test_promise import LINE, NOT_SAID, NOTHING, PROMISE


def lines(tab: Any) -> dict[str, str]:
    """What "how sure?" says, by name."""
    names, texts = (tab.locator(f"#sure {kind}").all_text_contents() for kind in ("dt", "dd"))
    return dict(zip(names, (text.split(" ?")[0] for text in texts), strict=True))


def test_without_a_calibration_the_page_says_so(visit: Visit) -> None:
    tab = visit(make_explanation())
    assert lines(tab)["promise"] == NOTHING
    assert NOT_SAID not in tab.locator("#sentence").inner_text()


def test_the_promise_and_what_was_not_tested_stand_below_the_verdict(visit: Visit) -> None:
    made = make_explanation()
    whole = np.array([0.5, 0.3, 0.2])
    tab = visit(replace(made, verdict=replace(made.verdict, whole=whole, promise=PROMISE, said=False)))
    tab.locator("#sure summary").click()
    assert lines(tab)["promise"] == LINE
    assert NOT_SAID in tab.locator("#sentence").inner_text()
    assert lines(tab)["as a whole"] == "documents 50% · base 30% · neither 20%"
    tab.get_by_role("button", name="What does “as a whole” mean?").click()
    assert "It is called documents above 62%" in tab.locator("#sure").inner_text()


def test_a_word_is_judged_by_the_same_thresholds_as_in_the_record(visit: Visit) -> None:
    made = make_explanation(answer=12)
    tokens = np.tile([0.4, 0.2, 0.4], (12, 1))
    tab = visit(replace(made, verdict=replace(made.verdict, tokens=tokens, promise=PROMISE)))
    assert tab.locator(".token.cannot-tell").count() == 12
    tab.locator(".token").nth(2).click()
    assert "cannot tell" in tab.locator("#live").inner_text()
