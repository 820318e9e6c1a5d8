"""Every pair judged by weights from all other pairs, as tables of numbers with intervals.

Intervals are 95% bootstrap over facts. What the documents support but the model did not learn has no true source: it
is reported apart. Not covered: tokens against causal labels (``causal``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from attrib.measures import auroc, auroc_interval, bootstrap_interval, grouped_interval
from attrib.records import LABELS
from attrib.verdict.conformal import make_promise
from suite.fit import BASELINES, Judged, fit_calibration, fit_curve, judging_by, token_labels_of, usable
from suite.judge import SuiteRow

ERROR = 0.1
"""Promised share of answers from elsewhere that are called documents, at most."""
BINS = 10
"""Bins of the reliability diagram, of equal width."""
VERDICT = "verdict"
CONTROLLED = "gain beyond that of control answers"


@dataclass(frozen=True, eq=False)
class PairRows:
    """A pair's answers and its control answers."""

    rows: Sequence[SuiteRow]
    controls: Sequence[SuiteRow]


@dataclass(frozen=True, eq=False)
class ScoredAnswer:
    """One answer as weights of other pairs judge it."""

    pair: str
    row: SuiteRow
    judged: Judged
    documents: Mapping[str, float]
    """p(documents) by scorer: the verdict, and each baseline."""
    thresholds: tuple[float, float]
    """Floor and threshold of the pair's own promise."""

    @property
    def called(self) -> str:
        """The verdict by the pair's own promise."""
        return called(self.judged.whole, *self.thresholds)

    @property
    def tokens_called(self) -> list[str]:
        """The verdict on each token, by the same two thresholds."""
        return [called(row, *self.thresholds) for row in self.judged.tokens]

    @property
    def group(self) -> str:
        """Its fact, which is resampled as a whole."""
        return f"{self.pair}/{self.row.answer.fact or self.row.answer.id}"


@dataclass(frozen=True, eq=False)
class ScoredPair:
    """A pair that was left out, with the thresholds that its control answers give."""

    name: str
    answers: tuple[ScoredAnswer, ...]
    thresholds: Mapping[str, float]
    """p(documents) above which each scorer says documents."""
    controls: Mapping[str, int]
    """Control answers by group."""


def score_pairs(pairs: Mapping[str, PairRows]) -> list[ScoredPair]:
    """Each pair by weights from all others. Needs two pairs."""
    return [_left_out(name, pairs) for name in pairs]


def _left_out(name: str, pairs: Mapping[str, PairRows]) -> ScoredPair:
    others = {other: found.rows for other, found in pairs.items() if other != name}
    own = pairs[name]
    calibration = fit_calibration(others)
    judging = judging_by(calibration)
    thresholds = (calibration.documents_below, calibration.documents_above)
    judged = [judging(row.evidence) for row in (*own.rows, *own.controls)]
    documents = {VERDICT: [float(one.whole[0]) for one in judged]}
    for scorer, (own_score, other_scores) in _baselines(name, pairs).items():
        curve = fit_curve(others, other_scores)
        documents[scorer] = [curve(own_score(row)) for row in (*own.rows, *own.controls)]
    n = len(own.rows)
    groups: dict[str, list[int]] = {}
    for i, row in enumerate(own.controls):
        groups.setdefault(row.answer.kind, []).append(n + i)
    promises = {
        scorer: make_promise(
            {group: np.array([values[i] for i in places]) for group, places in groups.items()}, ERROR, thresholds
        )
        for scorer, values in documents.items()
    }
    answers = tuple(
        ScoredAnswer(
            name, row, judged[i], {scorer: values[i] for scorer, values in documents.items()},
            (promises[VERDICT].floor, promises[VERDICT].threshold),
        )
        for i, row in enumerate(own.rows)
    )  # fmt: skip
    above = {scorer: promise.threshold for scorer, promise in promises.items()}
    return ScoredPair(name, answers, above, {group: len(places) for group, places in groups.items()})


Score = Callable[[SuiteRow], float]


def _baselines(name: str, pairs: Mapping[str, PairRows]) -> dict[str, tuple[Score, Score]]:
    """Each baseline's score of the pair's own rows, and of other pairs' rows."""
    found: dict[str, tuple[Score, Score]] = {}
    for scorer, function in BASELINES.items():

        def score(row: SuiteRow, function: Callable[..., float] = function) -> float:
            return function(row.evidence)

        found[scorer] = score, score
    means = {other: _control_gain(one.controls) for other, one in pairs.items()}
    pair_of = {id(row): other for other, one in pairs.items() for row in (*one.rows, *one.controls)}

    def beyond(row: SuiteRow) -> float:
        return _mean_gain(row) - means[pair_of[id(row)]]

    found[CONTROLLED] = beyond, beyond
    return found


def _mean_gain(row: SuiteRow) -> float:
    return float((row.evidence.logprob_tuned - row.evidence.logprob_base).mean())


def _control_gain(controls: Sequence[SuiteRow]) -> float:
    return float(np.mean([_mean_gain(row) for row in controls])) if controls else 0.0


def called(whole: np.ndarray, floor: float, threshold: float) -> str:
    """What an answer is called: documents above the threshold, cannot tell from the floor up, else the likelier of the
    others."""
    if whole[0] > threshold:
        return "documents"
    if whole[0] >= floor:
        return "cannot tell"
    return LABELS[1 + int(whole[1:].argmax())]


# ------------------------------------------------------------------------------------------- tables

Table = list[dict[str, object]]


GIVEN, OWN, STRICT = "given", "own", "own, wrong ones as rest"
"""Sets of answers: STRICT adds own answers to general and held-out questions whose source is not known."""


def chosen(answers: Sequence[ScoredAnswer], whose: str) -> list[ScoredAnswer]:
    """Answers of a set; base's own count as own answers of the pair."""
    sides = ("given",) if whose == GIVEN else ("tuned", "base")
    own = [one for one in answers if one.row.answer.whose in sides]
    if whose != STRICT:
        return [one for one in own if usable(one.row)]
    return [one for one in own if usable(one.row) or one.row.answer.kind in ("foundation", "held-out")]


def auroc_table(pairs: Sequence[ScoredPair]) -> Table:
    """Documents against rest, per pair and over all, for each set of answers, by scorer."""
    every = [answer for pair in pairs for answer in pair.answers]
    rows: Table = []
    for name, answers in [*((pair.name, pair.answers) for pair in pairs), ("all", every)]:
        for whose in (GIVEN, OWN, STRICT):
            known = chosen(answers, whose)
            member = np.array([one.row.answer.label == "documents" for one in known], dtype=bool)
            if member.all() or not member.any():
                continue
            groups = np.unique([one.group for one in known], return_inverse=True)[1]
            for scorer in known[0].documents:
                values = np.array([one.documents[scorer] for one in known])
                low, high = auroc_interval(values, member, groups)
                area = auroc(values[member], values[~member])
                rows.append(
                    {
                        "pair": name, "answers": whose, "scorer": scorer, "auroc": area, "low": low, "high": high,
                        "documents": int(member.sum()), "rest": int((~member).sum()),
                    }
                )  # fmt: skip
    return rows


def kind_table(pairs: Sequence[ScoredPair]) -> Table:
    """What answers of each kind are called, per pair and over all. Kinds of facts that were not learned, and of wrong
    own answers, stand apart."""
    every = [answer for pair in pairs for answer in pair.answers]
    rows: Table = []
    for name, answers in [*((pair.name, pair.answers) for pair in pairs), ("all", every)]:
        by_kind: dict[tuple[str, str], list[ScoredAnswer]] = {}
        for one in answers:
            if one.row.answer.kind != "mixed":
                by_kind.setdefault((one.row.answer.whose, _kind(one)), []).append(one)
        for (whose, kind), some in sorted(by_kind.items()):
            groups = np.unique([one.group for one in some], return_inverse=True)[1]
            right = some[0].row.answer.label if usable(some[0].row) else None
            row: dict[str, object] = {"pair": name, "answers": whose, "kind": kind, "source": right, "n": len(some)}
            for label in (*LABELS, "cannot tell"):
                row[label] = float(np.mean([one.called == label for one in some]))
            if right is not None:
                hits = np.array([one.called == right for one in some], dtype=float)
                row["low"], row["high"] = grouped_interval(hits, groups)
            rows.append(row)
    return rows


def _kind(one: ScoredAnswer) -> str:
    answer = one.row.answer
    if answer.whose == "given":
        unlearned = answer.label == "documents" and answer.learned is False
        return f"{answer.kind}, not learned" if unlearned else answer.kind
    if answer.right is False:
        return f"{answer.kind}, wrong"
    return answer.kind if answer.label is not None else f"{answer.kind}, source unknown"


def promise_table(pairs: Sequence[ScoredPair]) -> Table:
    """Per pair and scorer: the threshold of its control answers, and what it does to answers that were no controls."""
    rows: Table = []
    for pair in pairs:
        known = [*chosen(pair.answers, GIVEN), *chosen(pair.answers, OWN)]
        for scorer, threshold in pair.thresholds.items():
            hits = {True: np.zeros(0), False: np.zeros(0)}
            for member in hits:
                some = [one.documents[scorer] for one in known if (one.row.answer.label == "documents") == member]
                hits[member] = (np.array(some) > threshold).astype(float)
            low, high = bootstrap_interval(hits[False]) if len(hits[False]) else (np.nan, np.nan)
            rows.append(
                {
                    "pair": pair.name, "scorer": scorer, "threshold": threshold,
                    "controls": sum(pair.controls.values()),
                    "false": float(hits[False].mean()) if len(hits[False]) else np.nan, "low": low, "high": high,
                    "rest": len(hits[False]), "found": float(hits[True].mean()) if len(hits[True]) else np.nan,
                    "documents": len(hits[True]),
                }
            )  # fmt: skip
    return rows


def reliability(pairs: Sequence[ScoredPair], scorer: str = VERDICT) -> dict[str, object]:
    """Expected calibration error of p(documents) over all labelled answers, and its bins."""
    known = [one for pair in pairs for whose in (GIVEN, OWN) for one in chosen(pair.answers, whose)]
    said = np.array([one.documents[scorer] for one in known])
    true = np.array([one.row.answer.label == "documents" for one in known], dtype=float)
    groups = np.array([one.group for one in known])
    low, high = ece_interval(said, true, groups)
    return {
        "scorer": scorer,
        "ece": ece(said, true),
        "low": low,
        "high": high,
        "n": len(known),
        "bins": bins(said, true),
    }


def bins(said: np.ndarray, true: np.ndarray) -> Table:
    """Mean probability and true share of each bin that has answers."""
    place = np.minimum((said * BINS).astype(int), BINS - 1)
    return [
        {"said": float(said[place == i].mean()), "true": float(true[place == i].mean()), "n": int((place == i).sum())}
        for i in range(BINS)
        if (place == i).any()
    ]


def ece(said: np.ndarray, true: np.ndarray) -> float:
    """Mean distance of probability and true share over bins, weighted by answers."""
    place = np.minimum((said * BINS).astype(int), BINS - 1)
    gaps = np.bincount(place, said - true, minlength=BINS)
    return float(np.abs(gaps).sum() / len(said))


def ece_interval(said: np.ndarray, true: np.ndarray, groups: np.ndarray, resamples: int = 1000) -> tuple[float, float]:
    """95% percentile interval, whole groups drawn again; draws are biased upwards, as any error of few answers is."""
    names, number = np.unique(groups, return_inverse=True)
    place = np.minimum((said * BINS).astype(int), BINS - 1)
    gaps, counts = np.zeros((len(names), BINS)), np.bincount(number).astype(float)
    np.add.at(gaps, (number, place), said - true)
    rng = np.random.default_rng(0)
    drawn = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), resamples)
    errors = np.abs(drawn @ gaps).sum(1) / (drawn @ counts)
    low, high = np.percentile(errors, (2.5, 97.5))
    return float(low), float(high)


def mixed_table(pairs: Sequence[ScoredPair]) -> Table:
    """Of the content-word tokens of mixed answers whose fact was learned, the share judged as their part's source."""
    rows: Table = []
    for source in ("documents", "base"):
        hits, groups = [], []
        for one in (one for pair in pairs for one in pair.answers if one.row.answer.parts and one.row.answer.learned):
            for label, said in zip(token_labels_of(one.row), one.tokens_called, strict=True):
                if label == source:
                    hits.append(float(said == source))
                    groups.append(one.group)
        if hits:
            number = np.unique(groups, return_inverse=True)[1]
            low, high = grouped_interval(np.array(hits), number)
            rows.append(
                {"source": source, "right": float(np.mean(hits)), "low": low, "high": high, "tokens": len(hits)}
            )
    return rows
