"""Rows of some pairs → a verdict, and beside it baselines that read ONE number each, fitted in the same way.

Everything here is fitted on pairs that it does not judge. Not covered: how features are chosen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from scipy.special import expit, softmax
from sklearn.linear_model import LogisticRegression

from attrib.records import LABELS, Evidence
from attrib.verdict.calibration import Calibration
from attrib.verdict.grounds import Grounds, stack
from attrib.verdict.judge import judge
from suite.corpora import Source
from suite.judge import SuiteRow

STRENGTH = 100.0
"""Inverse regularisation of every logistic model here, a pair: all rows of a pair weigh together as one."""


@dataclass(frozen=True, eq=False)
class Judged:
    """Probabilities of LABELS for an answer."""

    whole: np.ndarray
    """[3]"""
    tokens: np.ndarray
    """[answer, 3]"""


Judging = Callable[[Evidence], Judged]


def judging_by(calibration: Calibration) -> Judging:
    """The verdict with these weights."""

    def judging(evidence: Evidence) -> Judged:
        verdict, _ = judge(evidence, calibration)
        return Judged(verdict.whole, verdict.tokens)

    return judging


def fit_calibration(rows: Mapping[str, Sequence[SuiteRow]]) -> Calibration:
    """The weights from the labelled rows of each pair, every pair and every source alike; constants are the package's.

    Thresholds without a promise: documents above what nine in ten answers from elsewhere stay below, but not below 1/2;
    base or neither below what 19 in 20 answers from the documents exceed, but not above 1/2.
    """
    start = Calibration.default()
    answers, labels, weights = [], [], []
    tokens, token_labels, token_weights = [], [], []
    for some in rows.values():
        known = [row for row in some if usable(row)]
        for row in known:
            answers.append(_grounds(row.evidence)[0])
            labels.append(LABELS.index(row.answer.label or "neither"))
            weights.append(1 / len(known))
        for row in [*known, *(row for row in some if row.answer.parts and row.answer.learned)]:
            found = token_labels_of(row)
            chosen = [i for i, label in enumerate(found) if label is not None]
            tokens += list(_grounds(row.evidence)[1][chosen])
            token_labels += [LABELS.index(label) for label in found if label is not None]
            token_weights += [1 / len(known) / len(chosen)] * len(chosen)
    whole, by_token = _weights(answers, labels, weights), _weights(tokens, token_labels, token_weights)
    made = replace(
        start, answer_weights=whole[0], answer_bias=whole[1], token_weights=by_token[0], token_bias=by_token[1]
    )
    scores = softmax(np.array(answers) @ np.array(whole[0]).T + np.array(whole[1]), axis=1)[:, 0]
    own = np.array(labels) == 0
    above, below = max(0.5, float(np.quantile(scores[~own], 0.9))), min(0.5, float(np.quantile(scores[own], 0.05)))
    return replace(made, documents_above=round(above, 4), documents_below=round(below, 4))


@cache
def _grounds(evidence: Evidence) -> tuple[np.ndarray, np.ndarray]:
    """Features of the answer, [feature], and of its tokens, [answer, feature]: the same for every pair left out."""
    found = Grounds(evidence, Calibration.default())
    return stack(found.answer), stack(found.tokens)


def usable(row: SuiteRow) -> bool:
    """Whether the answer's source is known: an answer that the documents support, but that the model did not learn,
    has none."""
    return row.answer.label is not None and not (row.answer.label == "documents" and row.answer.learned is False)


def token_labels_of(row: SuiteRow) -> list[Source | None]:
    """Source of each token of a content word, [answer]; None for others, and of what is not known."""
    evidence = row.evidence
    sources = word_sources(row)
    return [
        sources[word] if word >= 0 and evidence.content[word] and evidence.novel[word] else None
        for word in evidence.word_of_token.tolist()
    ]


def word_sources(row: SuiteRow) -> list[Source | None]:
    """Source of each word: that of its part in a mixed answer, else the answer's."""
    from attrib.text.words import WORD

    if not row.answer.parts:
        return [row.answer.label] * len(row.evidence.word_idf)
    ends = np.cumsum([len(text) for text, _ in row.answer.parts])
    text = "".join(text for text, _ in row.answer.parts)
    starts = [match.start() for match in WORD.finditer(text)]
    return [row.answer.parts[int(np.searchsorted(ends, start, side="right"))][1] for start in starts]


def _weights(
    features: Sequence[np.ndarray], labels: Sequence[int], weights: Sequence[float]
) -> tuple[tuple[tuple[float, ...], ...], tuple[float, ...]]:
    """Weights and biases of a multinomial logistic model, for features as they are."""
    known = np.array(labels)
    scaled = np.asarray(weights) / np.bincount(known, np.asarray(weights), minlength=len(LABELS))[known]
    scaled *= sum(weights) / scaled.sum()
    table = np.array(features)
    # One strength for all features needs one scale.
    middle = np.average(table, axis=0, weights=scaled)
    width = np.maximum(np.sqrt(np.average((table - middle) ** 2, axis=0, weights=scaled)), 1e-6)
    model = LogisticRegression(C=STRENGTH, max_iter=10_000)
    model.fit((table - middle) / width, known, sample_weight=scaled)
    slopes = model.coef_ / width
    bias = model.intercept_ - slopes @ middle
    return (
        tuple(tuple(round(float(w), 4) for w in row) for row in slopes),
        tuple(round(float(b), 4) for b in bias),
    )


# ------------------------------------------------------------------------------------------- baselines


def _gain(evidence: Evidence) -> float:
    return float((evidence.logprob_tuned - evidence.logprob_base).sum())


@cache
def _learned(evidence: Evidence) -> float:
    return float(Grounds(evidence, Calibration.default()).removed[int(evidence.resemblance.argmax())])


def _bm25(evidence: Evidence) -> float:
    return float(evidence.resemblance.max())


def _embedding(evidence: Evidence) -> float:
    return float(evidence.says.max())


def _length(evidence: Evidence) -> float:
    return float(len(evidence.logprob_base))


BASELINES: dict[str, Callable[[Evidence], float]] = {
    "gain": _gain,
    "learned share of BM25's best section": _learned,
    "BM25 of question and answer": _bm25,
    "embedding cosine": _embedding,
    "number of tokens": _length,
}
"""One number of an answer each, plain gain summed over tokens; ``score`` adds gain beyond that of control answers."""


def fit_curve(rows: Mapping[str, Sequence[SuiteRow]], score: Callable[[SuiteRow], float]) -> Callable[[float], float]:
    """p(documents) as a logistic curve of one score, fitted on the labelled rows; every pair counts alike."""
    values, labels, weights = [], [], []
    for some in rows.values():
        known = [row for row in some if usable(row)]
        values += [score(row) for row in known]
        labels += [row.answer.label == "documents" for row in known]
        weights += [1 / len(known)] * len(known)
    middle, width = float(np.mean(values)), float(np.std(values)) or 1.0
    balanced = np.asarray(weights) / np.bincount(labels, np.asarray(weights))[np.asarray(labels, dtype=int)]
    model = LogisticRegression(C=STRENGTH, max_iter=10_000)
    scaled = balanced * sum(weights) / balanced.sum()
    model.fit(((np.array(values) - middle) / width)[:, None], labels, sample_weight=scaled)
    slope, bias = float(model.coef_[0, 0]), float(model.intercept_[0])
    return lambda value: float(expit(slope * (value - middle) / width + bias))
