"""``combined`` and the board of all mappers: closed forms, and no score made twice."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from attrib import mapping
from attrib.corpus.documents import Corpus
from attrib.index.library import Library
from attrib.mapping import MAPPERS, map_answer
from attrib.mapping.answer import Answer, MapperScores
from attrib.mapping.combined import Blend, blend, combined, in_spreads, learned_share
from attrib.mapping.reading import Reading
from attrib.passes.capture import TextCapture
from attrib.records import Token

TEXTS, CONTROL = ["a", "b", "c"], ["d", "e", "f"]
LIBRARY = Library(Corpus.from_texts(TEXTS), Corpus.from_texts(CONTROL))
IS_CONTROL = np.array([False] * 3 + [True] * 3)


def reading_of(logprobs: list[float]) -> Reading:
    nothing = np.zeros((10, 2), np.float16), np.arange(10), np.arange(10)
    captures = {
        i: TextCapture(float(logprob), 10, nothing[0], nothing[0], *nothing) for i, logprob in enumerate(logprobs)
    }
    return Reading(LIBRARY, LIBRARY.with_control(np.arange(3)), captures)


def scores_of(seed: int, tokens: int = 2) -> MapperScores:
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(tokens, 6))
    return MapperScores(rows, rows.sum(0) + rng.normal(size=6), np.zeros((tokens, 6, 2), dtype=np.int64))


ANSWER = Answer("q", "a b", (Token(0, "a", 0, 1, False), Token(1, " b", 1, 3, False)))
BASE = ANSWER, reading_of([-50.0, -50, -50, -50, -50, -50])
TUNED = ANSWER, reading_of([-5.0, -50, -30, -50, -50, -50])


@pytest.mark.parametrize("centre", [True, False])
@pytest.mark.parametrize("threshold", [0.0, 1.0])
def test_a_part_is_in_units_of_the_controls_spread_and_soft_thresholded(threshold: float, centre: bool) -> None:
    one = scores_of(1)
    null = one.whole[3:]
    z = (one.whole - (null.mean() if centre else 0)) / null.std()
    rows = in_spreads(one, IS_CONTROL, threshold, centre=centre)
    np.testing.assert_allclose(rows.sum(0), np.sign(z) * np.maximum(np.abs(z) - threshold, 0), atol=1e-12)


def test_what_was_not_learned_counts_for_nothing_and_rows_sum_to_the_whole() -> None:
    parts = {name: scores_of(seed) for seed, name in enumerate(blend().resemblance)}
    before, after = combined(lambda name, side: parts[name], BASE, TUNED)
    choice = blend()
    mixed = sum(
        weight * in_spreads(parts[name], IS_CONTROL, choice.threshold, centre=True)
        for name, weight in choice.resemblance.items()
    )
    share = learned_share(BASE[1], TUNED[1], choice)
    # 0.9, 0 and 0.4 of the surprise removed, none of the control's.
    want = 1 / (1 + np.exp(-(np.array([0.9, 0, 0.4, 0, 0, 0]) - choice.middle) / choice.width))
    np.testing.assert_allclose(share, want)
    np.testing.assert_allclose(after.tokens, mixed * share)
    np.testing.assert_allclose(after.whole, after.tokens.sum(0))
    assert np.abs(before.tokens).max() <= 0.01 * np.abs(np.asarray(mixed)).max()


def test_the_curve_of_learned_is_the_verdicts() -> None:
    from attrib.verdict.calibration import Calibration

    verdict, choice = Calibration.default(), blend()
    assert isinstance(choice, Blend)
    assert (choice.middle, choice.width) == (verdict.learned_middle, verdict.learned_width)


def test_every_score_is_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[tuple[str, bool]] = []

    def counted(name: str) -> Any:
        def score(answer: Answer, reading: Reading) -> MapperScores:
            made.append((name, reading is TUNED[1]))
            return scores_of(len(name) + (reading is TUNED[1] and MAPPERS[name].uses_model))

        return score

    names = [*blend().resemblance, "learned"]
    for name in names:
        monkeypatch.setitem(mapping.MAPPERS, name, replace(MAPPERS[name], score=counted(name)))
    found = map_answer((*names, "combined"), BASE, TUNED, 3)
    assert list(found) == [*names, "combined"]
    assert sorted(made) == sorted(
        (name, tuned) for name in names for tuned in ((False, True) if MAPPERS[name].uses_model else (True,))
    )
    assert found["bm25"].base is found["bm25"].tuned
    assert found["combined"].uses_model
    assert found["hidden"].difference.any()
