"""tuned − base → verdict: documents, base or neither, for each answer token and for the answer.

Gain alone is misleading: tuning shifts the FORM of every answer, so that facts never seen gain nearly as much as facts
learned. What tells them apart is whether a section that says the same was itself LEARNED: its own text's log-prob
rose far more than that of control texts. A verdict is «documents» where such a section backs the answer, «base» where
the base model says it by itself, «neither» otherwise.

The weights are fitted on the demo's calibration split (``scripts/evaluate_demo.py``) and hold for models tuned until
they know their documents; a model tuned more lightly gets fewer «documents». Not covered: facts joined from several
sections, answers in other words than their section's.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import resources
from typing import Any

import numpy as np
from scipy.special import expit, softmax

from attrib.errors import RecordError
from attrib.index.library import Library
from attrib.mapping.answer import Answer
from attrib.mapping.reading import Reading
from attrib.measures import beyond_form, gain
from attrib.records import Capture, Evidence, Explanation, Verdict
from attrib.text.words import words

FEATURES = ("support", "base_says", "logprob_base")
"""What answers and tokens are judged by. Gain is left out: what a model makes up gains as much as what it learned."""
FLOOR = -8.0
"""Log-probs below this count as this, nats: how impossible a token was says nothing more."""


def _row(values: Sequence[Any]) -> tuple[float, ...]:
    return tuple(float(value) for value in values)


def _rows(values: Sequence[Sequence[Any]]) -> tuple[tuple[float, ...], ...]:
    return tuple(_row(row) for row in values)


@dataclass(frozen=True)
class Calibration:
    """Weights of the verdict: a logistic curve for «learned», multinomial logistic models for answer and token."""

    learned_middle: float
    """Debiased share of a text's surprise that tuning removed, at which «learned» is 1/2."""
    learned_width: float
    answer_weights: tuple[tuple[float, ...], ...]
    """[label, feature], features as in FEATURES."""
    answer_bias: tuple[float, ...]
    token_weights: tuple[tuple[float, ...], ...]
    token_bias: tuple[float, ...]

    @classmethod
    def default(cls) -> Calibration:
        """The weights that ship with the package."""
        text = (resources.files("attrib") / "data" / "calibration.json").read_text("utf-8")
        return cls.from_json(text)

    @classmethod
    def from_json(cls, text: str) -> Calibration:
        """Read what ``to_json`` wrote; RecordError when it is not that."""
        try:
            content = json.loads(text)
            calibration = cls(
                learned_middle=float(content["learned_middle"]),
                learned_width=float(content["learned_width"]),
                answer_weights=_rows(content["answer_weights"]),
                answer_bias=_row(content["answer_bias"]),
                token_weights=_rows(content["token_weights"]),
                token_bias=_row(content["token_bias"]),
            )
            shapes = {np.shape(calibration.answer_weights), np.shape(calibration.token_weights)}
            biases = {np.shape(calibration.answer_bias), np.shape(calibration.token_bias)}
            if shapes != {(3, len(FEATURES))} or biases != {(3,)} or calibration.learned_width <= 0:
                raise ValueError(f"weights of shape {shapes} and {biases}")
            return calibration
        except (KeyError, TypeError, ValueError) as error:
            raise RecordError(f"calibration: damaged ({error}); make it again with scripts/evaluate_demo.py") from error


def gather(
    library: Library,
    chosen: np.ndarray,
    answer: Answer,
    base_answer: str,
    captures: Sequence[Capture],
    readings: Sequence[Reading],
) -> Evidence:
    """Collect the evidence for one answer; ``captures`` and ``readings`` are (base, tuned)."""
    texts = [library.texts[i] for i in chosen]
    vocabulary = [frozenset(words(text)) for text in texts]
    asked = list(dict.fromkeys(words(answer.question)))
    said = [answer.text[start:end].lower() for start, end in answer.words]
    idf = np.array([library.idf(word) for word in asked])
    has = np.array([[word in v for v in vocabulary] for word in asked], dtype=float).reshape(len(asked), len(texts))
    control = library.with_control(chosen)[len(chosen) :]

    def logprobs(side: int, indices: np.ndarray) -> np.ndarray:
        return np.array([readings[side].captures[int(i)].logprob for i in indices])

    def lengths(indices: np.ndarray) -> np.ndarray:
        return np.array([readings[0].captures[int(i)].tokens for i in indices])

    spoken = frozenset(words(base_answer))
    return Evidence(
        word_of_token=answer.word_of_token,
        word_idf=np.array([library.idf(word) for word in said]),
        novel=np.array([word not in asked for word in said], dtype=bool),
        base_says=np.array([word in spoken for word in said], dtype=bool),
        covered=np.array([[w in v for v in vocabulary] for w in said], dtype=bool).reshape(len(said), len(texts)),
        question_cover=idf @ has / max(idf.sum(), 1e-9),
        resemblance=library.bm25.query(f"{answer.question} {answer.text}")[chosen],
        logprob_base=captures[0].logprob,
        logprob_tuned=captures[1].logprob,
        text_base=logprobs(0, chosen),
        text_tuned=logprobs(1, chosen),
        text_tokens=lengths(chosen),
        control_base=logprobs(0, control),
        control_tuned=logprobs(1, control),
        control_tokens=lengths(control),
    )


def judge(evidence: Evidence, calibration: Calibration) -> tuple[Verdict, np.ndarray]:
    """The verdict and the order of the sections it relies on, best first."""
    learned = learned_share(evidence, calibration)
    backing = backing_by_section(evidence, learned)
    answer = answer_features(evidence, backing)
    tokens = token_features(evidence, backing)
    whole = _probabilities(calibration.answer_weights, calibration.answer_bias, answer)
    by_token = _probabilities(calibration.token_weights, calibration.token_bias, tokens)
    # The order of what backs the answer; sections that nothing separates keep BM25's order.
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
    """The same answer judged with other weights; needs no model."""
    evidence = explanation.verdict.evidence
    if evidence is None:
        raise RecordError("the record holds no evidence to judge again; explain the question again")
    verdict, ranking = judge(evidence, calibration)
    return replace(explanation, verdict=verdict, ranking=ranking)


def learned_beyond_form(evidence: Evidence) -> np.ndarray:
    """Each section's surprise removed beyond what tuning removed from control texts, [section]."""
    removed = beyond_form(evidence.text_base, evidence.text_tuned, evidence.control_base, evidence.control_tuned)
    # A text of a single token has no log-prob: nothing says that it was learned.
    return np.asarray(np.where(evidence.text_tokens > 0, removed, -np.inf))


def learned_share(evidence: Evidence, calibration: Calibration) -> np.ndarray:
    """How far each section was learned, 0 to 1, [section]."""
    removed = learned_beyond_form(evidence)
    return np.asarray(expit((removed - calibration.learned_middle) / calibration.learned_width))


def backing_by_section(evidence: Evidence, learned: np.ndarray) -> np.ndarray:
    """How far each section backs the answer, 0 to 1: learned × says it × is about the question, [section]."""
    return np.asarray(learned * answer_cover(evidence) * evidence.question_cover)


def answer_cover(evidence: Evidence) -> np.ndarray:
    """Share of the answer's words, weighted by rarity, that a section has, [section]."""
    weight = word_weight(evidence)
    return np.asarray(weight @ evidence.covered / max(weight.sum(), 1e-9))


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
    best = int(backing.argmax()) if backing.size else 0
    by_word = backing.max(initial=0.0) * evidence.covered[:, best] if backing.size else np.zeros(len(evidence.word_idf))
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
