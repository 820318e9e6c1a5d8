"""Stored assessments → sentences, each no stronger than its interval.

"Higher", "lower", "more" stand only where a 95% interval leaves out what they are compared with, and only on as many
facts or groups as an interval needs.
Not covered: where on a page they stand (``report``).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from attrib.assess.attribution.run import HELD_OUT
from attrib.assess.attribution.run import AttributionSummary as VerdictSummary
from attrib.assess.benchmark.draw import key, labels
from attrib.assess.benchmark.run import BenchmarkReport, BenchmarkSummary
from attrib.assess.consistency.records import SummaryRow
from attrib.assess.holdout.blind import Blind
from attrib.assess.holdout.comparing import FEW
from attrib.assess.holdout.membership import CONTROL, Auc
from attrib.assess.holdout.records import GAP, REPHRASED_GAP, HoldoutQuantity, HoldoutReport
from attrib.assess.report.find import StoredAssessments as Found
from attrib.render import tables

FOUNDATION = "foundation"
"""Kind of the questions whose answers the base knows and tuning should leave alone."""
ALL = "all"
"""Kind of the rows over all questions about new or updated knowledge."""
NONE = "–"
NAMED = 8
"""Kinds of questions that a paragraph names."""
MAPPERS = {"verdict": "by the verdict", "bm25": "by BM25", "embedding": "by sentence embeddings"}
"""The verdict, then those that know nothing of the models."""


# ------------------------------------------------------------------------------------------- numbers


@dataclass(frozen=True)
class Estimate:
    """A paired difference with its 95% interval."""

    value: float
    low: float
    high: float
    n: int
    units: int
    """What is drawn again for the interval: facts, or groups of questions."""
    what: str = "question"
    """What ``n`` counts."""


def number(value: float | None, *, signed: bool = False) -> str:
    """Two decimals, a true minus, a dash for none."""
    return tables.number(value, none=NONE, signed=signed)


def ends(value: float, low: float, high: float, *, signed: bool = False) -> str:
    """A number and its interval; the number alone where there is none."""
    if not (math.isfinite(low) and math.isfinite(high)):
        return number(value, signed=signed)
    return tables.interval(value, low, high, none=NONE, signed=signed)


def change(of: Estimate, higher: str = "higher after tuning", lower: str = "lower after tuning") -> str:
    """What a paired difference says."""
    said = ends(of.value, of.low, of.high, signed=True)
    if not (math.isfinite(of.low) and math.isfinite(of.high)):
        return f"a change without an interval ({said})"
    if of.units < FEW:
        return f"too few to say more ({said}; {count(of.n, of.what)} in {count(of.units, 'group')})"
    if of.low > 0:
        return f"{higher} ({said})"
    if of.high < 0:
        return f"{lower} ({said})"
    return f"no difference that these {of.n} {of.what}s can show ({said})"


def with_p(value: float) -> str:
    return f", p = {value:.2g}" if math.isfinite(value) else ""


def count(n: int, what: str) -> str:
    return f"{n} {what}{'' if n == 1 else 's'}"


def of_quantity(q: HoldoutQuantity, what: str = "question", units: int | None = None) -> Estimate:
    return Estimate(q.value, q.low, q.high, q.n, q.groups if units is None else units, what)


def of_consistency(row: SummaryRow) -> Estimate:
    return Estimate(row.difference, row.low, row.high, row.n, row.facts)


@dataclass(frozen=True)
class Kind:
    """One measure of one kind of question, and the kind in words."""

    name: str
    of: BenchmarkSummary

    @property
    def base(self) -> str:
        return ends(self.of.base, self.of.base_low, self.of.base_high)

    @property
    def tuned(self) -> str:
        return ends(self.of.tuned, self.of.tuned_low, self.of.tuned_high)

    @property
    def paired(self) -> Estimate:
        one = self.of
        return Estimate(one.difference, one.difference_low, one.difference_high, one.n, one.facts)

    @property
    def went(self) -> str:
        return f"{self.name} ({self.of.n}) {self.base} → {self.tuned}, {change(self.paired)}"


def kinds(found: Found, measure: str = "accuracy") -> list[Kind]:
    """A measure of the benchmark by kind of question, in its order."""
    if found.benchmark is None:
        return []
    names = labels(BenchmarkReport((), found.benchmark.summary, (), (), {}))
    return [Kind(names[key(one)], one) for one in found.benchmark.summary if one.measure == measure]


# ------------------------------------------------------------------------------------------- right answers


def accuracy(found: Found) -> Iterator[str]:
    """Right answers by kind of question, base → tuned, in one sentence."""
    rows = [one for one in kinds(found) if one.of.kind not in (FOUNDATION, ALL)]
    if found.benchmark is not None and rows:
        asked = len(found.benchmark.rows) // 2
        more = f"; {len(rows) - NAMED} more kinds stand in the tables" if len(rows) > NAMED else ""
        yield (
            f"They answered {count(asked, 'question')} greedily; right answers by kind (number of questions), base → "
            f"tuned: {'; '.join(one.went for one in rows[:NAMED])}{more}."
        )
    elif found.holdout is not None:
        parts = [said for part in ("tuned-on", "held-out") if (said := part_went(found.holdout, part))]
        if parts:
            yield f"Right answers by part (number of questions), base → tuned: {'; '.join(parts)}."


def part_went(held: HoldoutReport, part: str) -> str:
    """Right answers of one part of the holdout; empty where it was not asked."""
    base, tuned, gained = (held.quantity("accuracy", part, side) for side in ("base", "tuned", "difference"))
    if base is None or tuned is None or gained is None:
        return ""
    return (
        f"{part} ({tuned.n}) {ends(base.value, base.low, base.high)} → {ends(tuned.value, tuned.low, tuned.high)}, "
        f"{change(of_quantity(gained))}"
    )


def gaps(found: Found) -> Iterator[str]:
    """Memorization less generalization: between the parts, and between questions and their rephrasings."""
    if found.holdout is None:
        return
    summary = found.holdout
    gap = summary.quantity("accuracy", GAP, "difference")
    if gap is not None:
        parts = [summary.quantity("accuracy", part, "tuned") for part in ("tuned-on", "held-out")]
        groups = min((q.groups for q in parts if q is not None), default=0)
        said = change(
            of_quantity(gap, units=groups), "more for what was tuned on", "less for what was tuned on"
        )  # fmt: skip
        yield (
            f"What tuning adds to right answers (tuned − base), for what was tuned on against what was held out: {said}"
            f"{with_p(gap.p)}."
        )
    own = summary.quantity("accuracy", REPHRASED_GAP, "difference")
    if own is not None:
        said = change(of_quantity(own, "fact"), "more as they were learned", "less as they were learned")
        yield f"The same for facts as they were learned against their rephrasings: {said}{with_p(own.p)}."


def rephrasings(found: Found) -> Iterator[str]:
    row = found.consistency.row("rephrasings") if found.consistency is not None else None
    if row is not None and row.n:
        yield (
            f"Answers to differently worded questions about one fact agree in {number(row.base)} (base) and "
            f"{number(row.tuned)} (tuned) of the pairs: {change(of_consistency(row))}; agreeing is not being right."
        )


def forgetting(found: Found) -> Iterator[str]:
    """Foundation questions before and after tuning."""
    rows = [one for one in kinds(found) if one.of.kind == FOUNDATION]
    for one in rows:
        yield (
            f"Forgetting: of {count(one.of.n, 'foundation question')}, {one.base} are answered rightly before and "
            f"{one.tuned} after tuning: {change(one.paired)}."
        )
    if not rows and found.holdout is not None and (went := part_went(found.holdout, "general")):
        yield f"Forgetting: right answers to foundation questions before and after tuning, {went}."


# ------------------------------------------------------------------------------------------- membership and removal


def membership(found: Found, *, of: tuple[str, ...] = ("answers", "sections")) -> Iterator[str]:
    """The score that has base as its reference, beside the baselines that know nothing of tuning."""
    if found.holdout is None:
        return
    summary = found.holdout
    for what in of:
        scores = {auc.score: auc for auc in summary.membership if auc.of == what}
        best, own = scores.get("reference"), scores.get(CONTROL)
        without = next((seen for seen in summary.blind if seen.of == what), None)
        if best is None:
            continue
        beside = [f"the texts alone reach {ends(without.auc, without.low, without.high)}"] if without else []
        beside += [f"base's own loss {ends(own.auc, own.low, own.high)}"] if own else []
        yield (
            f"Membership: which {what} were tuned on is told with AUC {ends(best.auc, best.low, best.high)} by log p "
            f"tuned − base ({best.members} against {best.others}; chance 0.5){'; ' * bool(beside)}{', '.join(beside)}: "
            f"{_judged(best, own, without)}."
        )


def _judged(best: Auc, own: Auc | None, without: Blind | None) -> str:
    if (without is not None and without.low > 0.5) or (own is not None and (own.low > 0.5 or own.high < 0.5)):
        return "the two parts differ without any tuning, so this is no evidence of it by itself"
    if min(best.members, best.others) < FEW:
        return "too few texts to say more"
    if best.low > 0.5:
        return "more than chance"
    return "less than chance" if best.high < 0.5 else "no difference from chance that these texts can show"


def removal(found: Found) -> Iterator[str]:
    """What a model that was tuned again without some sections no longer knows: the one claim of a cause."""
    gone = found.holdout.removal if found.holdout is not None else None
    if gone is None:
        return
    models = {q.side: q for q in gone.quantities if (q.measure, q.part, q.kind) == ("accuracy", "removed", "all")}
    full, again = models.get("full"), models.get("retrained")
    if full is None or again is None:
        return
    few = min(full.groups, again.groups) < FEW
    judged = "what is lost was caused by those sections and their questions"
    if few:
        judged = "too few questions to say more"
    elif again.high >= full.low:
        judged = "the intervals overlap, so no loss is shown"
    yield (
        f"Tuned again without {count(len(gone.sections), 'section')}, the model answers "
        f"{ends(again.value, again.low, again.high)} of {count(again.n, 'question')} about them rightly, the full one "
        f"{ends(full.value, full.low, full.high)}: {judged}."
    )


# ------------------------------------------------------------------------------------------- words and verdicts


def novelty(found: Found) -> Iterator[str]:
    """New terms beside their control."""
    if found.consistency is None:
        return
    novel, control = found.consistency.row("novel"), found.consistency.row("novel_control")
    if novel is None or control is None or not math.isfinite(novel.tuned):
        return
    judged = "no more than that can be shown"
    if novel.facts < FEW:
        judged = "too few questions to say more"
    elif novel.tuned_low > control.tuned_high:
        judged = "more than control texts hold"
    yield (
        f"Of the terms in a tuned answer, {ends(novel.tuned, novel.tuned_low, novel.tuned_high)} are in no answer of "
        "the base but in the documents; control texts hold "
        f"{ends(control.tuned, control.tuned_low, control.tuned_high)}: {judged}."
    )


def verdict_ends(one: VerdictSummary) -> tuple[str, str, str]:
    """Share of answers by verdict, as LABELS."""
    return (
        ends(one.documents, one.documents_low, one.documents_high),
        ends(one.base, one.base_low, one.base_high),
        ends(one.neither, one.neither_low, one.neither_high),
    )


def verdicts(found: Found) -> Iterator[str]:
    if found.attribution is None or not found.attribution.summary:
        return
    one = found.attribution.summary[-1]
    documents, base, neither = verdict_ends(one)
    yield (
        f"Of {count(one.n, 'answer')} of the tuned model, the verdict calls {documents} documents, {base} base and "
        f"{neither} neither."
    )


def gold(one: VerdictSummary | None) -> Iterator[str]:
    """How often the section that a question was made from comes first, beside what resemblance alone finds."""
    # Held-out questions have a decoy for it, which should not be named.
    if one is None or not one.gold_top1 or one.kind == HELD_OUT:
        return
    named = [name for name in MAPPERS if name in one.gold_top1]
    said = ", ".join(f"{number(one.gold_top1[name])} {MAPPERS[name]}" for name in named)
    blind = len(named) > 1
    yield (
        f"The section that a question was made from comes first in {said}"
        f"{'; all but the verdict know nothing of the models: so much is found by resemblance alone' * blind}."
    )
