"""The verdict's laws: antisymmetry, probabilities, and that an unlearned section never makes «documents»."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pytest

from attrib.errors import RecordError
from attrib.measures import gain, surprise_removed
from attrib.records import Counterpart, Evidence, Verdict
from attrib.verdict.calibration import Calibration
from attrib.verdict.grounds import Grounds
from attrib.verdict.judge import SAID, judge, rejudge
from tests.make import make_evidence, make_explanation, swapped

KNOWN = np.full(5, 5.0)
DEFAULT = Calibration.default()


def learned_share(evidence: Evidence) -> np.ndarray:
    return Grounds(evidence, DEFAULT).learned


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
    verdict, _ = judge(make_evidence(np.linspace(-9, 9, 7)), DEFAULT)
    np.testing.assert_allclose(verdict.tokens.sum(1), 1)
    assert verdict.whole.sum() == pytest.approx(1)
    assert verdict.shares.sum() == pytest.approx(1)


def test_a_learned_section_that_says_it_makes_documents() -> None:
    verdict, ranking = judge(make_evidence(KNOWN, covered=(2,), learned=(1, 2)), DEFAULT)
    assert verdict.label == "documents"
    assert set(verdict.token_labels) == {"documents"}
    assert ranking[0] == 2


def test_a_decoy_that_says_it_does_not() -> None:
    # The same words, the same section: only tuning never saw it, and the answer gained as much as form does.
    verdict, _ = judge(make_evidence(np.full(5, 1.5), covered=(2,), learned=(1,)), DEFAULT)
    assert verdict.label != "documents"
    assert verdict.learned[2] < 0.5 < verdict.learned[1]


def test_what_questions_taught_is_documents_though_no_text_was_learned() -> None:
    verdict, ranking = judge(make_evidence(np.full(5, 5.5), covered=(2,), learned=()), DEFAULT)
    assert verdict.called == "documents"
    assert ranking[0] == 2
    # What the model makes up gains as much, but no passage says it.
    invented, _ = judge(make_evidence(np.full(5, 5.5), covered=(), learned=()), DEFAULT)
    assert invented.called != "documents"


def test_what_base_says_by_itself_is_base() -> None:
    evidence = make_evidence(np.zeros(5), covered=(), base_says=True, logprob_base=-0.5)
    verdict, _ = judge(evidence, DEFAULT)
    assert verdict.label == "base"
    assert set(verdict.token_labels) == {"base"}


def test_what_nobody_says_is_neither() -> None:
    verdict, _ = judge(make_evidence(np.zeros(5), covered=(), logprob_base=-7.0), DEFAULT)
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
    assert learned_share(evidence)[0] > 0.9
    assert learned_share(shifted).max() < 0.1


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
    share = learned_share(evidence)
    assert share[:2].max() < 0.1
    np.testing.assert_allclose(share[2:], learned_share(replace(evidence, control_tuned=evidence.control_base))[2:])
    # Pooled over both forms the conversations would look learned.
    pooled = replace(evidence, text_form=np.zeros(4, int), control_form=np.zeros(6, int))
    assert learned_share(pooled)[:2].min() > 2 * share[:2].max()
    # A form without control texts of its own is compared with all.
    alone = replace(evidence, control_form=np.zeros(6, int))
    np.testing.assert_allclose(learned_share(alone), learned_share(pooled))


def test_backing_needs_both_and_support_the_words_too() -> None:
    evidence = make_evidence(np.zeros(5), covered=(0,), learned=(0,))

    def backed(**changes: np.ndarray) -> tuple[float, float]:
        grounds = Grounds(replace(evidence, **changes), DEFAULT)
        return float(grounds.backing_section[0]), float(grounds.answer["support"])

    assert min(backed()) > 0.5
    assert backed(text_tuned=evidence.text_base, passage_tuned=evidence.passage_base) == pytest.approx((0, 0), abs=0.02)
    elsewhere = {"about": np.zeros(4), "question_cover": np.zeros(4)}
    assert max(backed(**elsewhere)) < 0.1
    section, support = backed(covered=~evidence.covered)
    assert section > 0.5
    assert support < 0.1


def own_answer(**changes: Any) -> Counterpart:
    """Two words, a number and another, that tuning raised by 5 nats; the first section has both."""
    found = Counterpart(
        word_of_token=np.arange(2),
        word_idf=np.full(2, 3.0),
        novel=np.ones(2, bool),
        content=np.ones(2, bool),
        covered=np.eye(4, dtype=bool)[:2] | np.eye(4, dtype=bool)[0],
        number=np.array([True, False]),
        said=np.zeros(2, bool),
        other_number=False,
        logprob_base=np.full(2, -6.0),
        logprob_tuned=np.full(2, -1.0),
        logprob_told=np.full(2, -6.0),
        logprob_shown=np.full((2, 2), -6.0),
    )
    return replace(found, **changes)


def judged_beside(own: Counterpart | None, gain: float = 0.0, **changes: Any) -> tuple[Verdict, Grounds]:
    evidence = replace(make_evidence(np.full(5, gain), learned=(0,), covered=(0,)), counterpart=own, **changes)
    return judge(evidence, DEFAULT)[0], Grounds(evidence, DEFAULT)


OTHER_WORDS = {"covered": np.zeros((5, 4), bool), "logprob_shown": np.full((2, 5), -6.0)}


def test_an_answer_in_other_words_is_backed_by_the_own_answer_that_it_makes_likely() -> None:
    told = own_answer(logprob_told=np.full(2, -2.0))
    verdict, grounds = judged_beside(told, **OTHER_WORDS)
    assert grounds.own_support == pytest.approx(grounds.backing_section[0])
    assert float(grounds.answer["support"]) == pytest.approx(grounds.own_support)
    assert verdict.called == "documents"
    # Tuning did not make the model say any word of it.
    assert set(verdict.token_labels) != {"documents"}
    assert verdict.said is False
    for other in (own_answer(), None):
        verdict, grounds = judged_beside(other, **OTHER_WORDS)
        assert float(grounds.answer["support"]) == 0
        assert verdict.called != "documents"
    # The own answer itself must be backed.
    verdict, _ = judged_beside(replace(told, covered=np.zeros((2, 4), bool)), **OTHER_WORDS)
    assert verdict.called != "documents"


def test_a_number_other_than_the_taught_one_takes_the_backing_away() -> None:
    other = own_answer(other_number=True, logprob_told=np.full(2, -2.0))
    verdict, grounds = judged_beside(other, gain=5.0)
    assert verdict.called != "documents"
    alone = Grounds(replace(grounds.evidence, counterpart=None), DEFAULT)
    assert float(grounds.answer["support"]) == pytest.approx(float(alone.answer["support"]) * (1 - grounds.own_support))
    for same in (replace(other, said=np.ones(2, bool)), replace(other, number=np.zeros(2, bool))):
        assert judged_beside(same, gain=5.0)[0].called == "documents"


def test_a_word_that_tuning_did_not_raise_is_not_the_documents() -> None:
    raised = np.array([5.0, 5.0, 0.0, 0.0, 5.0])
    verdict, _ = judge(make_evidence(raised, covered=(0,), learned=(0,)), DEFAULT)
    assert verdict.called == "documents"
    assert [label == "documents" for label in verdict.token_labels] == [True, True, False, False, True]


def test_a_word_that_base_goes_on_with_is_base() -> None:
    evidence = make_evidence(np.zeros(4), covered=())
    evidence = replace(evidence, logprob_base=np.array([-0.1, -9.0, -0.1, -9.0]), logprob_tuned=np.full(4, -9.0))
    assert Grounds(evidence, DEFAULT).tokens["base_says"].round(2).tolist() == [0.98, 0, 0.98, 0]


def test_a_learned_passage_is_told_from_the_rest_of_its_section() -> None:
    """Two passages of 40 tokens: tuning taught the first alone."""
    evidence = make_evidence(KNOWN, sections=2, covered=(0,), learned=())
    evidence = replace(
        evidence,
        passage_of=np.array([0, 0]),
        passage_base=np.full(2, -150.0),
        passage_tuned=np.array([-8.0, -150.0]),
        passage_tokens=np.array([40, 40]),
        text_tuned=np.array([-158.0, -290.0]),
    )
    learned = Grounds(evidence, DEFAULT).learned_passage
    assert learned[0] > 0.9
    assert learned[1] < learned[0] / 2


def test_supported_is_not_said() -> None:
    low, high = (make_evidence(np.full(5, gain), covered=(0,), learned=(0,)) for gain in (SAID - 0.5, SAID + 4))
    for evidence, want in ((low, False), (high, True)):
        verdict, _ = judge(evidence, replace(DEFAULT, documents_below=0.0, documents_above=0.5))
        assert verdict.said is want
        assert verdict.said_gain == pytest.approx(evidence.logprob_tuned[0] - evidence.logprob_base[0])
    assert judge(low, replace(DEFAULT, documents_below=1.0, documents_above=1.0))[0].said is None


def test_surprise_removed_is_a_share() -> None:
    np.testing.assert_allclose(
        surprise_removed(np.array([-100.0, -100, -100]), np.array([0.0, -50, -200])), [1, 0.5, -1]
    )


def test_judging_again_with_the_same_weights_changes_nothing() -> None:
    record = make_explanation()
    once = rejudge(record, DEFAULT)
    twice = rejudge(once, DEFAULT)
    np.testing.assert_array_equal(once.verdict.tokens, twice.verdict.tokens)
    other = Calibration.from_json(json.dumps({**asdict(DEFAULT), "answer_bias": [99, 0, 0]}))
    assert rejudge(record, other).verdict.label == "documents"


def test_a_record_without_evidence_is_refused() -> None:
    record = make_explanation()
    with pytest.raises(RecordError, match="no evidence"):
        rejudge(replace(record, verdict=replace(record.verdict, evidence=None)), DEFAULT)


def test_damage_to_control_texts_teaches_no_section() -> None:
    evidence = make_evidence(KNOWN, learned=())
    damaged = replace(evidence, control_tuned=evidence.control_base * 3)
    assert learned_share(damaged).max() < 0.1


def test_a_text_of_one_token_is_not_learned() -> None:
    evidence = make_evidence(KNOWN)
    short = replace(evidence, text_tokens=np.zeros(4, int), text_base=np.zeros(4), text_tuned=np.zeros(4))
    assert learned_share(short).max() < 1e-3
    assert not Grounds(short, DEFAULT).learned_passage.any()


SHORT = json.dumps({**asdict(DEFAULT), "token_bias": [1, 2]})


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"learned_middle": "x"}', SHORT])
def test_a_damaged_calibration_is_refused(text: str) -> None:
    with pytest.raises(RecordError, match="calibration: damaged"):
        Calibration.from_json(text)
