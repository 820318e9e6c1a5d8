"""The verdict's laws: antisymmetry, probabilities, and that an unlearned section never makes «documents»."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import numpy as np
import pytest

from attrib.errors import RecordError
from attrib.measures import gain, surprise_removed
from attrib.verdict.calibration import Calibration
from attrib.verdict.judge import backing_by_section, judge, learned_share, rejudge
from tests.make import make_evidence, make_explanation, swapped

KNOWN = np.full(5, 5.0)


def test_contrast_is_antisymmetric() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=9), rng.normal(size=9)
    np.testing.assert_array_equal(gain(a, b), -gain(b, a))
    record = make_explanation()
    other = swapped(record)
    for name, attribution in record.attributions.items():
        np.testing.assert_array_equal(attribution.difference, -other.attributions[name].difference)
    for name, mapping in record.mappings.items():
        np.testing.assert_array_equal(mapping.difference, -other.mappings[name].difference)


def test_probabilities_sum_to_one() -> None:
    verdict, _ = judge(make_evidence(np.linspace(-9, 9, 7)), Calibration.default())
    np.testing.assert_allclose(verdict.tokens.sum(1), 1)
    assert verdict.whole.sum() == pytest.approx(1)
    assert verdict.shares.sum() == pytest.approx(1)


def test_a_learned_section_that_says_it_makes_documents() -> None:
    verdict, ranking = judge(make_evidence(KNOWN, covered=(2,), learned=(1, 2)), Calibration.default())
    assert verdict.label == "documents"
    assert set(verdict.token_labels) == {"documents"}
    assert ranking[0] == 2


def test_a_decoy_that_says_it_does_not() -> None:
    # The same gains, the same words, the same section: only tuning never saw it.
    verdict, _ = judge(make_evidence(KNOWN, covered=(2,), learned=(1,)), Calibration.default())
    assert verdict.label != "documents"
    assert verdict.learned[2] < 0.5 < verdict.learned[1]


def test_what_base_says_by_itself_is_base() -> None:
    evidence = make_evidence(np.zeros(5), covered=(), base_says=True, logprob_base=-0.5)
    verdict, _ = judge(evidence, Calibration.default())
    assert verdict.label == "base"
    assert set(verdict.token_labels) == {"base"}


def test_what_nobody_says_is_neither() -> None:
    verdict, _ = judge(make_evidence(np.zeros(5), covered=(), logprob_base=-7.0), Calibration.default())
    assert verdict.label == "neither"


def test_form_that_every_text_gained_is_not_learning() -> None:
    # Control texts lost the same share of surprise as the sections: nothing was learned in particular.
    evidence = make_evidence(KNOWN)
    shifted = replace(
        evidence,
        text_tuned=evidence.text_base * 0.5,
        control_base=evidence.control_base,
        control_tuned=evidence.control_base * 0.5,
    )
    assert learned_share(evidence, Calibration.default())[0] > 0.9
    assert learned_share(shifted, Calibration.default()).max() < 0.1


def test_a_section_is_compared_with_control_texts_of_its_own_form() -> None:
    """Conversations of any content lost half of their surprise: that is their form. Texts lost nothing."""
    evidence = make_evidence(KNOWN, learned=())
    half = np.arange(6) % 2 == 0
    evidence = replace(
        evidence,
        text_tuned=evidence.text_base * 0.5,
        text_form=np.array([1, 1, 0, 0]),
        control_tuned=np.where(half, 0.5, 1.0) * evidence.control_base,
        control_form=half.astype(int),
    )
    share = learned_share(evidence, Calibration.default())
    assert share[:2].max() < 0.1
    np.testing.assert_allclose(share[2:], learned_share(replace(evidence, control_tuned=evidence.control_base),
                                                        Calibration.default())[2:])  # fmt: skip
    # Pooled over both forms the conversations would look learned.
    pooled = replace(evidence, text_form=np.zeros(4, int), control_form=np.zeros(6, int))
    assert learned_share(pooled, Calibration.default())[:2].min() > 2 * share[:2].max()
    # A form without control texts of its own is compared with all.
    alone = replace(evidence, control_form=np.zeros(6, int))
    np.testing.assert_allclose(
        learned_share(alone, Calibration.default()), learned_share(pooled, Calibration.default())
    )


def test_backing_needs_all_three() -> None:
    evidence = make_evidence(KNOWN, covered=(0,), learned=(0,))
    learned = learned_share(evidence, Calibration.default())
    assert backing_by_section(evidence, learned)[0] > 0.5
    assert backing_by_section(evidence, learned * 0)[0] == 0
    assert backing_by_section(replace(evidence, covered=~evidence.covered), learned)[0] == 0
    assert backing_by_section(replace(evidence, question_cover=np.zeros(4)), learned)[0] == 0


def test_surprise_removed_is_a_share() -> None:
    np.testing.assert_allclose(
        surprise_removed(np.array([-100.0, -100, -100]), np.array([0.0, -50, -200])), [1, 0.5, -1]
    )


def test_judging_again_with_the_same_weights_changes_nothing() -> None:
    record = make_explanation()
    once = rejudge(record, Calibration.default())
    twice = rejudge(once, Calibration.default())
    np.testing.assert_array_equal(once.verdict.tokens, twice.verdict.tokens)
    other = Calibration.from_json(json.dumps({**asdict(Calibration.default()), "answer_bias": [99, 0, 0]}))
    assert rejudge(record, other).verdict.label == "documents"


def test_a_record_without_evidence_is_refused() -> None:
    record = make_explanation()
    with pytest.raises(RecordError, match="no evidence"):
        rejudge(replace(record, verdict=replace(record.verdict, evidence=None)), Calibration.default())


def test_damage_to_control_texts_teaches_no_section() -> None:
    evidence = make_evidence(KNOWN, learned=())
    damaged = replace(evidence, control_tuned=evidence.control_base * 3)
    assert learned_share(damaged, Calibration.default()).max() < 0.1


def test_a_text_of_one_token_is_not_learned() -> None:
    evidence = make_evidence(KNOWN)
    short = replace(evidence, text_tokens=np.zeros(4, int), text_base=np.zeros(4), text_tuned=np.zeros(4))
    assert not learned_share(short, Calibration.default()).any()


SHORT = json.dumps({**asdict(Calibration.default()), "token_bias": [1, 2]})


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"learned_middle": "x"}', SHORT])
def test_a_damaged_calibration_is_refused(text: str) -> None:
    with pytest.raises(RecordError, match="calibration: damaged"):
        Calibration.from_json(text)
