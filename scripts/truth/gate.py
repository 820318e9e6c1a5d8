"""Scores against the runs of the truth set → one row a scorer, split and metric. Reads the stored tables alone.

*LDS*: rank correlation of a section's summed scores with log p over random halves (2303.14186), mean over questions;
*beyond* is the same after what all answers have in common in a run was taken off both. *r*: correlation over sections
of the score with log p lost without the section, mean over questions; *r, others* without the section that BM25 finds.
*helping* and *harming*: share of the sections that teach (contradict) the fact among as many first (last) ones.
Not covered: how scores are computed (``scores``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

ONE_HOT = "one-hot of BM25"
METRICS = ("LDS", "LDS beyond", "r", "r, others", "helping", "harming")


@dataclass(frozen=True)
class TruthRow:
    """One scorer by one metric on one split."""

    scorer: str
    split: str
    kind: str
    metric: str
    value: float
    low: float
    high: float
    ahead: float
    """Beyond the one-hot of BM25, same draws."""
    ahead_low: float
    ahead_high: float
    n: int
    """Questions."""


class TruthSet:
    """The stored tables as arrays."""

    def __init__(self, folder: Path) -> None:
        import pyarrow.parquet as pq

        self.tables = {f.stem: pq.read_table(f).to_pylist() for f in sorted(folder.glob("*.parquet"))}
        self.sections = [s["section"] for s in self.tables["sections"] if s["trained"]]
        self.questions = self.tables["questions"]
        number = {q["question"]: i for i, q in enumerate(self.questions)}
        self.after: dict[str, np.ndarray] = {}
        for row in self.tables["logprobs"]:
            found = self.after.setdefault(row["run"], np.full(len(number), np.nan))
            found[number[row["question"]]] = sum(row["logprobs"])
        self.runs = {run["run"]: run for run in self.tables["runs"]}

    def halves(self, seed: int) -> tuple[list[str], np.ndarray, np.ndarray]:
        """Names, what was kept [half, section], and log p of the answers [half, question]."""
        names = [n for n, run in self.runs.items() if n.startswith("half-") and run["seed"] == seed]
        kept = np.array([[s not in self.runs[n]["left_out"] for s in self.sections] for n in names], dtype=float)
        return [n.rsplit("-", 1)[0] for n in names], kept, np.array([self.after[n] for n in names])

    def drop(self, seed: int = 0) -> np.ndarray:
        """log p lost without each section, nats, [question, section]; nan where the run is missing."""
        found = np.full((len(self.questions), len(self.sections)), np.nan)
        for name, run in self.runs.items():
            if name.startswith("without-") and run["seed"] == seed:
                found[:, self.sections.index(run["left_out"][0])] = self.after[f"full-{seed}"] - self.after[name]
        return found

    @cached_property
    def effect(self) -> np.ndarray:
        """1 where a section teaches the question's fact, −1 where it contradicts it, [question, section]."""
        found = np.zeros((len(self.questions), len(self.sections)))
        for carrier in self.tables["carriers"]:
            if carrier["section"] in self.sections:
                for i, question in enumerate(self.questions):
                    if question["fact"] == carrier["fact"] and carrier["effect"]:
                        found[i, self.sections.index(carrier["section"])] = carrier["effect"]
        return found


def by_question(truth: TruthSet, scores: np.ndarray, bm25: np.ndarray, seed: int = 0) -> dict[str, np.ndarray]:
    """Each metric of each question."""
    _, kept, after = truth.halves(seed)
    predicted, drop = kept @ scores.T, truth.drop(seed)
    there = np.isfinite(drop).all(0)
    best = bm25.argmax(1)
    columns: dict[str, list[float]] = {name: [] for name in METRICS}
    common = [values - values.mean(1, keepdims=True) for values in (predicted, after)]
    for i in range(len(scores)):
        others = there & (np.arange(scores.shape[1]) != best[i])
        columns["LDS"].append(_ranked(predicted[:, i], after[:, i]))
        columns["LDS beyond"].append(_ranked(common[0][:, i], common[1][:, i]))
        columns["r"].append(_linear(scores[i, there], drop[i, there]))
        columns["r, others"].append(_linear(scores[i, others], drop[i, others]))
        columns["helping"].append(_recall(scores[i], truth.effect[i] == 1))
        columns["harming"].append(_recall(-scores[i], truth.effect[i] == -1))
    return {name: np.array(values) for name, values in columns.items()}


def ceiling(truth: TruthSet) -> dict[str, np.ndarray]:
    """What the other seed's runs tell of the first one's, by question."""
    (names, _, first), (others, _, second) = truth.halves(0), truth.halves(1)
    both = [name for name in names if name in others]
    a, b = first[[names.index(n) for n in both]], second[[others.index(n) for n in both]]
    found = {"LDS": a, "LDS beyond": a - a.mean(1, keepdims=True)}
    told = {"LDS": b, "LDS beyond": b - b.mean(1, keepdims=True)}
    return {m: np.array([_ranked(found[m][:, i], told[m][:, i]) for i in range(a.shape[1])]) for m in found}


def rows_of(
    truth: TruthSet, scorers: Mapping[str, np.ndarray], bm25: np.ndarray, *, resamples: int = 1000, seed: int = 0
) -> list[TruthRow]:
    """Every scorer by every metric, on both splits and kinds; intervals: 95%, bootstrap over facts."""
    values: dict[str, dict[str, np.ndarray]] = {n: by_question(truth, s, bm25) for n, s in scorers.items()}
    if truth.halves(1)[0]:
        values["other seed"] = ceiling(truth)
    facts = np.array([q["fact"] for q in truth.questions])
    rows = []
    for split in ("calibration", "test"):
        for kind in ("trained", "rephrased", "all"):
            chosen = np.array([q["split"] == split and kind in (q["kind"], "all") for q in truth.questions])
            if not chosen.any():
                continue
            draws = _draws(facts[chosen], resamples, seed)
            for name, found in values.items():
                for metric, column in found.items():
                    reference = values[ONE_HOT][metric][chosen]
                    rows.append(_row((name, split, kind, metric), column[chosen], reference, draws))
    return rows


def _row(about: tuple[str, str, str, str], values: np.ndarray, reference: np.ndarray, draws: np.ndarray) -> TruthRow:
    ahead = values - reference
    ends = [_interval(_mean(draws, one)) for one in (values, ahead)]
    return TruthRow(*about, float(np.nanmean(values)), *ends[0], float(np.nanmean(ahead)), *ends[1], len(values))


def _draws(groups: np.ndarray, resamples: int, seed: int) -> np.ndarray:
    """How often each question is drawn when facts are drawn with replacement, [draw, question]."""
    names, of = np.unique(groups, return_inverse=True)
    counts = np.random.default_rng(seed).multinomial(len(names), np.full(len(names), 1 / len(names)), resamples)
    return np.asarray(counts[:, of])


def _mean(draws: np.ndarray, values: np.ndarray) -> np.ndarray:
    there = np.isfinite(values)
    return np.asarray((draws[:, there] @ values[there]) / np.maximum(draws[:, there].sum(1), 1))


def _interval(values: np.ndarray) -> tuple[float, float]:
    low, high = np.percentile(values, (2.5, 97.5))
    return float(low), float(high)


def _ranked(a: np.ndarray, b: np.ndarray) -> float:
    if np.ptp(a) < 1e-12 or np.ptp(b) < 1e-12:
        return 0.0
    return float(stats.spearmanr(a, b)[0])


def _linear(a: np.ndarray, b: np.ndarray) -> float:
    if np.ptp(a) < 1e-12 or np.ptp(b) < 1e-12:
        return 0.0
    return float(np.corrcoef(a, b)[0, 1])


def _recall(scores: np.ndarray, wanted: np.ndarray) -> float:
    """Share of the wanted among as many first ones, ties in halves; nan where nothing is wanted."""
    k = int(wanted.sum())
    if not k:
        return float("nan")
    level = np.sort(scores)[::-1][k - 1]
    above, at = scores > level, scores == level
    room: Any = (k - above.sum()) / at.sum()
    return float((wanted & above).sum() + room * (wanted & at).sum()) / k
