"""tuned − base → verdict: documents, base or neither, for each answer token and for the answer.

Gain alone is misleading: tuning shifts the FORM of every answer, so that facts never seen gain nearly as much as facts
learned. What tells them apart is whether a section that says the same was itself LEARNED: its own text's log-prob
rose far more than that of control texts. A verdict is «documents» where such a section backs the answer, «base» where
the base model says it by itself, «neither» otherwise.

Not covered: facts joined from several sections, answers in other words than their section's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from scipy.special import expit, softmax

from attrib.errors import RecordError
from attrib.measures import beyond_form, gain
from attrib.records import Evidence, Explanation, Verdict
from attrib.verdict.calibration import FEATURES, Calibration

FLOOR = -8.0
"""Log-probs below this count as this, nats: a token is not more than impossible."""


def judge(evidence: Evidence, calibration: Calibration) -> tuple[Verdict, np.ndarray]:
    """The verdict and the order of the sections it relies on, best first."""
    learned = learned_share(evidence, calibration)
    backing = backing_by_section(evidence, learned)
    answer = answer_features(evidence, backing)
    tokens = token_features(evidence, backing)
    whole = _probabilities(calibration.answer_weights, calibration.answer_bias, answer)
    by_token = _probabilities(calibration.token_weights, calibration.token_bias, tokens)
    # By backing; sections that it does not separate keep BM25's order.
    ranking = np.lexsort((-evidence.resemblance, -backing))
    verdict = Verdict(
        tokens=by_token,
        whole=whole,
        shares=_shares(evidence, by_token),
        gain=gain(evidence.logprob_tuned, evidence.logprob_base),
        support=tokens["support"],
        learned=learned,
        section_gain=(evidence.text_tuned - evidence.text_base) / np.maximum(evidence.text_tokens, 1),
        control_gain=(evidence.control_tuned - evidence.control_base) / np.maximum(evidence.control_tokens, 1),
        evidence=evidence,
    )
    return verdict, ranking


def rejudge(explanation: Explanation, calibration: Calibration) -> Explanation:
    """Judge the same answer with other weights; needs no model."""
    evidence = explanation.verdict.evidence
    if evidence is None:
        raise RecordError("the record holds no evidence to judge again; explain the question again")
    verdict, ranking = judge(evidence, calibration)
    return replace(explanation, verdict=verdict, ranking=ranking)


def learned_beyond_form(evidence: Evidence) -> np.ndarray:
    """Share of each section's surprise that tuning removed, beyond that of control texts, [section]."""
    removed = beyond_form(
        (evidence.text_base, evidence.text_tuned, evidence.text_form),
        (evidence.control_base, evidence.control_tuned, evidence.control_form),
    )
    # A text of a single token has no log-prob, so that nothing shows that it was learned.
    return np.asarray(np.where(evidence.text_tokens > 0, removed, -np.inf))


def learned_share(evidence: Evidence, calibration: Calibration) -> np.ndarray:
    """Share of each section that was learned, 0 to 1, [section]."""
    removed = learned_beyond_form(evidence)
    return np.asarray(expit((removed - calibration.learned_middle) / calibration.learned_width))


def backing_by_section(evidence: Evidence, learned: np.ndarray) -> np.ndarray:
    """Backing of the answer by each section, 0 to 1: learned × says it × is about the question, [section]."""
    about = np.array([evidence.question_cover[own].max(initial=0.0) for own in _passages(evidence)])
    return np.asarray(learned * answer_cover(evidence) * about)


def covered_by_section(evidence: Evidence) -> np.ndarray:
    """Whether any passage of a section has the word, [word, section]."""
    found = [evidence.covered[:, own].any(1) for own in _passages(evidence)]
    return np.stack(found, 1) if found else np.zeros((len(evidence.word_idf), 0), dtype=bool)


def answer_cover(evidence: Evidence) -> np.ndarray:
    """Share of the answer's words, weighted by rarity, that a section has, [section]."""
    weight = word_weight(evidence)
    return np.asarray(weight @ covered_by_section(evidence) / max(weight.sum(), 1e-9))


def _passages(evidence: Evidence) -> list[np.ndarray]:
    """Which passages each section has."""
    return [np.flatnonzero(evidence.passage_of == place) for place in range(len(evidence.text_base))]


def word_weight(evidence: Evidence) -> np.ndarray:
    """Rarity of each answer word; 0 for words that repeat the question, unless the answer has no others, [word]."""
    return np.where(evidence.novel, evidence.word_idf, 0.0) if evidence.novel.any() else evidence.word_idf


def answer_features(evidence: Evidence, backing: np.ndarray) -> dict[str, np.ndarray]:
    """One number of each of FEATURES."""
    weight = word_weight(evidence)
    base = np.maximum(evidence.logprob_base, FLOOR)
    return {
        "support": np.asarray(backing.max(initial=0.0)),
        "base_says": np.asarray(weight @ evidence.base_says / max(weight.sum(), 1e-9)),
        "logprob_base": np.asarray(base.mean()),
    }


def token_features(evidence: Evidence, backing: np.ndarray) -> dict[str, np.ndarray]:
    """Each of FEATURES per answer token, [answer]; punctuation takes the answer's mean support."""
    n = len(evidence.logprob_base)
    by_word = np.zeros(len(evidence.word_idf))
    if backing.size:
        by_word = backing.max(initial=0.0) * covered_by_section(evidence)[:, int(backing.argmax())]
    support = np.full(n, by_word.mean() if by_word.size else 0.0)
    base_says = np.full(n, evidence.base_says.mean() if evidence.base_says.size else 0.0)
    in_word = evidence.word_of_token >= 0
    support[in_word] = by_word[evidence.word_of_token[in_word]]
    base_says[in_word] = evidence.base_says[evidence.word_of_token[in_word]]
    return {
        "support": support,
        "base_says": base_says,
        "logprob_base": np.maximum(evidence.logprob_base, FLOOR),
    }


def _shares(evidence: Evidence, by_token: np.ndarray) -> np.ndarray:
    """Mean over the tokens of words; over all tokens where the answer has no words."""
    rows = evidence.word_of_token >= 0
    return np.asarray(by_token[rows if rows.any() else slice(None)].mean(0))


def stack(features: Mapping[str, np.ndarray]) -> np.ndarray:
    """Features side by side in the order of FEATURES, [..., feature]."""
    return np.stack([features[name] for name in FEATURES], -1)


def _probabilities(
    weights: Sequence[Sequence[float]], bias: Sequence[float], features: Mapping[str, np.ndarray]
) -> np.ndarray:
    """[..., label]"""
    return np.asarray(softmax(stack(features) @ np.array(weights).T + np.array(bias), axis=-1))
