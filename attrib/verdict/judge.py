"""tuned − base → verdict: documents, base or neither, for each answer token and for the answer.

Gain alone is misleading: tuning shifts the FORM of every answer, so that what a model makes up gains as much as what it
learned. A verdict is «documents» where passages that the question is about were TAUGHT and have the answer's words, or
make base say it when it is shown them (``grounds``); «base» where the base model says it by itself; else «neither».

That the documents support an answer is one claim, that the model says it because of them another, for which gain
speaks: an answer in other words may be supported though tuning hardly raised its probability (``Verdict.said``).
Not covered: what error the verdict makes on the pair at hand (``conformal``, ``calibrating``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from scipy.special import softmax

from attrib.errors import RecordError
from attrib.measures import gain
from attrib.records import Evidence, Explanation, Verdict
from attrib.verdict.calibration import Calibration
from attrib.verdict.grounds import Grounds, stack

SAID = 1.0
"""Gain of the answer's content tokens, nats a token, from which tuning made the model say it. Of right answers in the
documents' words nine in ten gain more, of right answers in other words a third (``scripts/evaluate_verdict.py``)."""


def judge(evidence: Evidence, calibration: Calibration) -> tuple[Verdict, np.ndarray]:
    """The verdict and the order of the sections it relies on, best first."""
    grounds = Grounds(evidence, calibration)
    whole = _probabilities(calibration.answer_weights, calibration.answer_bias, grounds.answer)
    by_token = _probabilities(calibration.token_weights, calibration.token_bias, grounds.tokens)
    raised = gain(evidence.logprob_tuned, evidence.logprob_base)
    said_gain = float(raised[grounds.counted].mean()) if len(raised) else 0.0
    verdict = Verdict(
        tokens=by_token,
        whole=whole,
        shares=_shares(evidence, by_token),
        gain=raised,
        support=grounds.tokens["support"],
        learned=grounds.learned,
        section_gain=(evidence.text_tuned - evidence.text_base) / np.maximum(evidence.text_tokens, 1),
        control_gain=(evidence.control_tuned - evidence.control_base) / np.maximum(evidence.control_tokens, 1),
        evidence=evidence,
        above=calibration.documents_above,
        below=calibration.documents_below,
        said=said_gain >= SAID if whole[0] >= calibration.documents_below else None,
        said_gain=said_gain,
    )
    return verdict, rank_sections(grounds)


def rank_sections(grounds: Grounds) -> np.ndarray:
    """Sections by their best passage: taught, and like question and answer in meaning and words, best first.

    Sections that this does not separate keep BM25's order.
    """
    evidence = grounds.evidence
    cover = grounds.weight @ evidence.covered / max(float(grounds.weight.sum()), 1e-9)
    scores = np.zeros(len(evidence.text_base))
    np.maximum.at(scores, evidence.passage_of, grounds.taught_passage * (np.maximum(evidence.says, 0.0) + cover))
    return np.lexsort((-evidence.resemblance, -scores))


def rejudge(explanation: Explanation, calibration: Calibration) -> Explanation:
    """Judge the same answer with other weights; needs no model."""
    evidence = explanation.verdict.evidence
    if evidence is None:
        raise RecordError("the record holds no evidence to judge again; explain the question again")
    verdict, ranking = judge(evidence, calibration)
    return replace(explanation, verdict=replace(verdict, promise=explanation.verdict.promise), ranking=ranking)


def _shares(evidence: Evidence, by_token: np.ndarray) -> np.ndarray:
    """Mean over the tokens of words; over all tokens where the answer has no words."""
    rows = evidence.word_of_token >= 0
    return np.asarray(by_token[rows if rows.any() else slice(None)].mean(0))


def _probabilities(
    weights: Sequence[Sequence[float]], bias: Sequence[float], features: Mapping[str, np.ndarray]
) -> np.ndarray:
    """[..., label]"""
    return np.asarray(softmax(stack(features) @ np.array(weights).T + np.array(bias), axis=-1))
