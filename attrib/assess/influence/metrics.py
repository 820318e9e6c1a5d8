"""Scores against outcomes of retraining → one row a scorer, metric and kind of question, with bootstrap intervals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import stats

from attrib.assess.influence.records import InfluenceReport


@dataclass(frozen=True)
class InfluenceRow:
    """One scorer by one metric on one kind of question."""

    scorer: str
    metric: str
    kind: str
    value: float
    low: float
    high: float
    """95% bootstrap interval over questions (LDS: over halves too, decoys: over those too); nan where none could be."""
    behind: float
    """The reference scorer's value less this one's, same resamples."""
    behind_low: float
    behind_high: float
    n: int
    """Questions (decoys: held-out questions)."""


METRICS = {
    "MRR": "mean reciprocal rank of the question's own section among all, decoys included (ties: the mean rank)",
    "recall@1": "own section first",
    "recall@3": "own section among the first three",
    "pearson": "Pearson correlation of score and log p lost without the section, question × section pairs",
    "spearman": "the same, ranks",
    "LDS": "rank correlation of summed scores and log p over random halves, mean over questions",
    "decoys": "AUROC of own sections that were trained against decoys, pairs of one document",
}
REFERENCE = "influence"


def table(report: InfluenceReport, *, resamples: int = 1000, seed: int = 0) -> list[InfluenceRow]:
    """Every scorer by every metric on trained and rephrased questions."""
    rows = []
    for kind in ("trained", "rephrased"):
        questions = report.rows(kind)
        if len(questions):
            for metric in METRICS:
                rows += _rows(report, metric, kind, questions, resamples, seed)
    return rows


Statistic = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""How often each draw takes each question [draw, question], and each half or decoy [draw, other] → values [draw]."""


def _rows(
    report: InfluenceReport, metric: str, kind: str, questions: np.ndarray, resamples: int, seed: int
) -> list[InfluenceRow]:
    names = [name for name in report.scores if _applies(report, metric, kind)]
    rng = np.random.default_rng(seed)
    n, others = len(questions), len(report.rows("held-out") if metric == "decoys" else report.halves)
    # The first draw is the sample itself.
    taken, taken_others = (np.concatenate([np.ones((1, k)), _counts(rng, resamples, k)]) for k in (n, others))
    drawn = {name: _statistic(report, metric, report.scores[name], questions)(taken, taken_others) for name in names}
    rows = []
    for name in names:
        ends = [_interval(values[1:]) for values in (drawn[name], drawn[REFERENCE] - drawn[name])]
        value, behind = float(drawn[name][0]), float(drawn[REFERENCE][0] - drawn[name][0])
        rows.append(
            InfluenceRow(name, metric, kind, value, *ends[0], behind, *ends[1], others if metric == "decoys" else n)
        )
    return rows


def _counts(rng: np.random.Generator, draws: int, n: int) -> np.ndarray:
    """How often each of ``n`` is drawn when ``n`` are drawn with replacement, [draw, n]."""
    return rng.multinomial(n, np.full(n, 1 / n), draws) if n else np.zeros((draws, 0))


def _interval(values: np.ndarray) -> tuple[float, float]:
    """95% of the draws that could be computed; nan, nan where none could."""
    values = values[np.isfinite(values)]
    if not len(values):
        return float("nan"), float("nan")
    low, high = np.percentile(values, (2.5, 97.5))
    return float(low), float(high)


def _applies(report: InfluenceReport, metric: str, kind: str) -> bool:
    if metric in ("pearson", "spearman"):
        return bool(np.isfinite(report.drop).any())
    if metric == "LDS":
        return len(report.halves) > 2
    if metric == "decoys":
        return kind == "trained" and bool(len(report.rows("held-out")))
    return True


def _statistic(report: InfluenceReport, metric: str, scores: np.ndarray, questions: np.ndarray) -> Statistic:
    own = scores[questions]
    if metric in ("MRR", "recall@1", "recall@3"):
        rank = ranks(own, report.gold[questions])
        value = 1 / rank if metric == "MRR" else rank <= int(metric[-1])
        return lambda q, h: q @ value / q.sum(1)
    if metric == "decoys":
        return _decoys(report, scores, questions)
    if metric == "LDS":
        sums, after = report.halves.astype(float) @ own.T, report.after[:, questions]
        return lambda q, h: (q * correlations(sums, after, h)).sum(1) / q.sum(1)
    drop = report.drop[questions]
    columns = np.isfinite(drop).all(0)
    x, y = own[:, columns], drop[:, columns]
    if metric == "spearman":
        # Ranks among all pairs, not among those of a draw.
        x, y = (stats.rankdata(values).reshape(values.shape) for values in (x, y))
    return lambda q, h: pearson(x, y, q)


def ranks(scores: np.ndarray, gold: np.ndarray) -> np.ndarray:
    """Rank of each question's own section, 1 = best; among equals the mean of their ranks, [question]."""
    own = scores[np.arange(len(gold)), gold][:, None]
    return np.asarray(1 + (scores > own).sum(1) + ((scores == own).sum(1) - 1) / 2)


def correlations(a: np.ndarray, b: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Spearman correlation of each column of ``a`` with that of ``b``, [row, column] each, where draw d takes row i
    ``counts[d, i]`` times, [draw, column]; 0 where one does not vary."""
    # All draws at once would take columns × rows × draws numbers.
    parts = np.array_split(counts, -(-len(counts) // 200))
    return np.concatenate([_drawn_correlations(a, b, np.asarray(part, np.float64).T) for part in parts])


def _drawn_correlations(a: np.ndarray, b: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """``counts`` is [row, draw] here."""
    ranked = []
    for values in (a, b):
        # Last digits depend on the order of summation and give no ranking.
        values = np.round(values, 9).T
        lower = (values[:, None] < values[:, :, None]) + 0.5 * (values[:, None] == values[:, :, None])
        ranks_of = lower @ counts  # [column, row, draw]
        ranked.append(ranks_of - (counts * ranks_of).sum(1, keepdims=True) / counts.sum(0))
    x, y = ranked
    spread = np.sqrt((counts * x**2).sum(1) * (counts * y**2).sum(1))
    return np.asarray(np.where(spread > 1e-9, (counts * x * y).sum(1) / np.where(spread > 1e-9, spread, 1), 0.0).T)


def pearson(x: np.ndarray, y: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Over all pairs of the rows that each draw takes ``counts`` times, [draw]; 0 where one does not vary."""
    # Near their means sums of squares lose no digits.
    x, y = x - x.mean(), y - y.mean()
    n = counts.sum(1) * x.shape[1]
    sx, sy, sxx, syy, sxy = (counts @ values.sum(1) for values in (x, y, x * x, y * y, x * y))
    spread = np.sqrt(np.maximum(sxx - sx**2 / n, 0) * np.maximum(syy - sy**2 / n, 0))
    floor = 1e-12 * np.sqrt(float((x * x).sum() * (y * y).sum()))
    return np.asarray(np.where(spread > floor, (sxy - sx * sy / n) / np.where(spread > floor, spread, 1), 0.0))


def _decoys(report: InfluenceReport, scores: np.ndarray, questions: np.ndarray) -> Statistic:
    """Pairs of a trained and a held-out question whose own sections are of one document; decoys are drawn again too."""
    held = report.rows("held-out")
    own = scores[np.arange(len(scores)), report.gold]
    documents = np.array(report.documents)[report.gold]
    wins = (own[questions][:, None] > own[held]) + 0.5 * (own[questions][:, None] == own[held])
    same = (documents[questions][:, None] == documents[held]).astype(float)

    def statistic(q: np.ndarray, h: np.ndarray) -> np.ndarray:
        won, pairs = ((q @ matrix * h).sum(1) for matrix in (wins * same, same))
        return np.asarray(np.where(pairs > 0, won / np.where(pairs > 0, pairs, 1), np.nan))

    return statistic
