"""Causal labels: which answer tokens owe their log p to the documents, by tuning again without some sections.

The retraining corpus is tuned on all its sections with several seeds, and once without each group of sections and the
questions that teach them; every answer of the suite is scored per token after each run. A token is taught by the
documents if its log p falls by more than the seeds' noise when one group is left out.
A group has two sections that no question asks for together: half as many runs, and what is lost is still lost. What
two sections tell, such as two editions of a rule, is lost only without both: they are left out together as well.
Not covered: which of a group's sections taught a token.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import zip_longest
from pathlib import Path

import numpy as np

from attrib.assess.influence.options import TUNING
from attrib.assess.questions import Question
from attrib.assess.retraining import SCHEMA, RetrainedScores, Retraining, Texts, retrain
from attrib.measures import auroc, grouped_interval
from attrib.models.chat import Chat
from attrib.models.fingerprint import fingerprint
from attrib.models.loading import load_network
from attrib.models.sources import DEFAULT
from attrib.progress import Progress
from attrib.store import Store, records_in
from attrib.training.items import corpus_items
from suite.corpora import SuiteCorpus, read_corpus
from suite.score import ScoredAnswer, Table

OPTIONS = replace(TUNING, epochs=8, checkpoints=(1.0,), bf16=True)
"""Tuning of ``attrib assess influence``."""
SEEDS = (0, 1, 2)
LEAST, NOISES = 0.5, 3.0
"""A token is taught where its log p falls by at least so many nats, and by so many standard errors: the largest of a
dozen falls is looked at."""


def retrained(work: Path, progress: Progress | None = None) -> list[RetrainedScores]:
    """Scores after full runs of all SEEDS and after leaving out each group once, done or found in ``work``."""
    suite = read_corpus("retraining")
    kept = [section for section in suite.corpus.sections if section.id not in suite.held_out]
    items = corpus_items(kept, suite.of("trained"))
    asked = tuple(Question(q.question, q.answer, q.kind, q.id, q.section) for q in suite.questions)
    network, tokenizer = load_network(DEFAULT, device="cpu", dtype="float32")
    scores = retrain(
        network, Chat(tokenizer), items, Texts(asked, ()), planned(suite), work / "causal", options=OPTIONS,
        base_fingerprint=fingerprint(DEFAULT, network), device="cpu", progress=progress,
    )  # fmt: skip
    _store(work, suite).put("all", CausalRuns(tuple(scores)))
    return scores


@dataclass(frozen=True)
class CausalRuns:
    """Scores of every planned run."""

    scores: tuple[RetrainedScores, ...]


def stored_runs(work: Path) -> tuple[RetrainedScores, ...] | None:
    """What ``retrained`` ended with; needs no model. None where it has not ended for these questions and groups."""
    found = _store(work, read_corpus("retraining")).get("all")
    return found.scores if found is not None else None


def _store(work: Path, suite: SuiteCorpus) -> Store[CausalRuns]:
    key = {
        "options": asdict(OPTIONS),
        "runs": [asdict(run) for run in planned(suite)],
        "questions": [[q.question, q.answer] for q in suite.questions],
    }
    return records_in(work / "causal-runs", key, CausalRuns, "causal runs", SCHEMA)


def planned(suite: SuiteCorpus) -> list[Retraining]:
    """Full runs of all seeds but the last, the groups, and the last full run: labels are known before it."""
    full = [Retraining(f"full-{seed}", (), seed) for seed in SEEDS]
    without = [Retraining(f"without-group-{i}", group, SEEDS[0]) for i, group in enumerate(grouped(suite), 1)]
    told_twice = [Retraining(f"without-both-{i}", group, SEEDS[0]) for i, group in enumerate(told_together(suite), 1)]
    return [*full[:-1], *without, *told_twice, full[-1]]


def grouped(suite: SuiteCorpus) -> list[tuple[str, str]]:
    """Trained sections two by two, in the order of the documents; the second is the first one half of them further on
    that shares no fact with the first."""
    kept = [section.id for section in suite.corpus.sections if section.id not in suite.held_out]
    facts = {id_: {q.fact for q in suite.questions if id_ in q.sections} for id_ in kept}
    half = len(kept) // 2
    left, right = kept[:half], kept[half:]
    for turn in range(half):
        groups = [(one, right[(i + turn) % half]) for i, one in enumerate(left)]
        if not any(facts[one] & facts[other] for one, other in groups):
            return [(min(group), max(group)) for group in groups]
    raise ValueError(f"{suite.name}: its sections cannot be grouped so that no question asks for two of one group")


def told_together(suite: SuiteCorpus) -> list[tuple[str, ...]]:
    """Sections that tell one fact, or two values of it, two facts a group."""
    by_fact: dict[str, set[str]] = {}
    for q in suite.of("trained"):
        by_fact.setdefault(q.fact, set()).update(q.sections)
    several = sorted({tuple(sorted(found)) for found in by_fact.values() if len(found) > 1})
    half = -(-len(several) // 2)
    return [tuple(sorted({*one, *other})) for one, other in zip_longest(several[:half], several[half:], fillvalue=())]


def taught(scores: Sequence[RetrainedScores]) -> list[np.ndarray]:
    """Whether each token of each answer is taught by the documents, bool [question][answer].

    Noise is the seeds' standard deviation of the token, or its median over all tokens where that is larger. Raises
    ValueError without two full runs and one that left a group out.
    """
    full = np.array([one.token_logprob for one in scores if not one.run.left_out])
    without = np.array([one.token_logprob for one in scores if one.run.left_out])
    if len(full) < 2 or not len(without):
        raise ValueError(f"causal: {len(full)} full runs and {len(without)} without a group; finish stage causal")
    own = full.std(0, ddof=1)
    # A drop is the difference of a mean of full runs and one run.
    noise = np.maximum(own, np.median(own)) * np.sqrt(1 + 1 / len(full))
    drop = (full.mean(0) - without).max(0)
    labels = drop > np.maximum(LEAST, NOISES * noise)
    return np.split(labels, np.cumsum(scores[0].answer_tokens.astype(np.int64))[:-1])


def causal_table(suite: SuiteCorpus, scores: Sequence[RetrainedScores], answers: Sequence[ScoredAnswer]) -> Table:
    """Tokens that the verdict says are the documents' against taught ones, content words of given answers alone.

    By tokens, and by words: a word is taught, or called, where one of its tokens is. Over all answers, and over those
    from the documents alone: a wrong answer's words may be taught, for another question. Beside the verdict plain gain
    at the threshold that calls as many. Precision and recall with intervals over facts.
    """
    labels = dict(zip((q.id for q in suite.questions), taught(scores), strict=True))
    given = [one for one in answers if one.row.answer.whose == "given"]
    own = [one for one in given if one.row.answer.parts or one.row.answer.label == "documents"]
    return [
        {"answers": name, **row}
        for unit in ("token", "word")
        for name, some in (("all", given), ("from documents, mixed ones too", own))
        if some
        for row in _causal_rows(some, labels, unit)
    ]


def _causal_rows(given: Sequence[ScoredAnswer], labels: Mapping[str, np.ndarray], unit: str) -> Table:
    rows: Table = []
    truth, called, said, gain, groups = [], [], [], [], []
    for one in given:
        evidence, label = one.row.evidence, labels[one.row.answer.id]
        shares, is_called = evidence.logprob_tuned - evidence.logprob_base, one.tokens_called
        for places in _units(one, unit):
            truth.append(bool(label[places].any()))
            called.append(any(is_called[place] == "documents" for place in places))
            said.append(float(one.judged.tokens[places, 0].max()))
            gain.append(float(shares[places].sum()))
            groups.append(one.group)
    true, group = np.array(truth), np.unique(groups, return_inverse=True)[1]
    as_many = np.argsort(-np.array(gain), kind="stable")[: int(np.sum(called))]
    by_gain = np.isin(np.arange(len(true)), as_many)
    for scorer, hits, score in (("verdict", np.array(called), said), ("gain", by_gain, gain)):
        area = auroc(np.array(score)[true], np.array(score)[~true])
        counts = {"n": len(true), "taught": int(true.sum()), "auroc": area}
        rows.append({"unit": unit, "scorer": scorer, **_precision_recall(true, hits, group), **counts})
    return rows


def _units(one: ScoredAnswer, unit: str) -> list[np.ndarray]:
    """Places of the tokens of content words that the question lacks, one by one or word by word."""
    evidence = one.row.evidence
    words = [w for w in range(len(evidence.word_idf)) if evidence.content[w] and evidence.novel[w]]
    places = [np.flatnonzero(evidence.word_of_token == word) for word in words]
    if unit == "token":
        return [np.array([place]) for some in places for place in some]
    return [some for some in places if len(some)]


def _precision_recall(true: np.ndarray, called: np.ndarray, group: np.ndarray) -> dict[str, object]:
    found: dict[str, object] = {}
    for name, base, hit in (("precision", called, true), ("recall", true, called)):
        values = hit[base].astype(float)
        found[name] = float(values.mean()) if len(values) else np.nan
        found[f"{name}_low"], found[f"{name}_high"] = grouped_interval(values, group[base])
    return found
