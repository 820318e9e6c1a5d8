"""Rows of some pairs → a verdict, and beside it baselines that read ONE number each, fitted in the same way.

Everything here is fitted on pairs that it does not judge. Not covered: how features are chosen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from attrib.records import LABELS, Evidence
from attrib.verdict.calibration import Calibration
from attrib.verdict.judge import (
    answer_features,
    backing_by_section,
    judge,
    learned_beyond_form,
    learned_share,
    stack,
    token_features,
)
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


def fit_verdict(rows: Mapping[str, Sequence[SuiteRow]]) -> Judging:
    """The verdict's weights from the labelled rows of each pair; every pair counts alike."""
    start = Calibration.default()
    answers, labels, weights = [], [], []
    tokens, token_labels, token_weights = [], [], []
    for some in rows.values():
        known = [row for row in some if usable(row)]
        for row in known:
            backing = backing_by_section(row.evidence, learned_share(row.evidence, start))
            answers.append(stack(answer_features(row.evidence, backing)))
            labels.append(LABELS.index(row.answer.label or "neither"))
            weights.append(1 / len(known))
        for row in [*known, *(row for row in some if row.answer.parts and row.answer.learned)]:
            backing = backing_by_section(row.evidence, learned_share(row.evidence, start))
            found = token_labels_of(row)
            chosen = [i for i, label in enumerate(found) if label is not None]
            tokens += list(stack(token_features(row.evidence, backing))[chosen])
            token_labels += [LABELS.index(label) for label in found if label is not None]
            token_weights += [1 / len(known) / len(chosen)] * len(chosen)
    whole, by_token = _weights(answers, labels, weights), _weights(tokens, token_labels, token_weights)
    calibration = Calibration(start.learned_middle, start.learned_width, *whole, *by_token)

    def judging(evidence: Evidence) -> Judged:
        verdict, _ = judge(evidence, calibration)
        return Judged(verdict.whole, verdict.tokens)

    return judging


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
    counts = np.bincount(labels, np.asarray(weights), minlength=len(LABELS))
    scaled = np.asarray(weights) / counts[labels]
    model = LogisticRegression(C=STRENGTH, max_iter=10_000)
    model.fit(np.array(features), labels, sample_weight=scaled * sum(weights) / scaled.sum())
    return tuple(tuple(map(float, row)) for row in model.coef_), tuple(map(float, model.intercept_))


# ------------------------------------------------------------------------------------------- baselines


def _gain(evidence: Evidence) -> float:
    return float((evidence.logprob_tuned - evidence.logprob_base).sum())


def _gain_beyond_other_questions(evidence: Evidence) -> float:
    own = float((evidence.logprob_tuned - evidence.logprob_base).mean())
    return own - float((evidence.other_tuned - evidence.other_base).mean()) if evidence.other_base.size else own


def _learned(evidence: Evidence) -> float:
    best = int(evidence.resemblance.argmax())
    return float(np.clip(learned_beyond_form(evidence)[best], -1, 1))


def _bm25(evidence: Evidence) -> float:
    return float(evidence.resemblance.max())


def _embedding(evidence: Evidence) -> float:
    return float(evidence.says.max())


BASELINES: dict[str, Callable[[Evidence], float]] = {
    "gain": _gain,
    "gain beyond that after other questions": _gain_beyond_other_questions,
    "learned share of BM25's best section": _learned,
    "BM25 of question and answer": _bm25,
    "embedding cosine": _embedding,
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
