"""Which answers mean the same: to one question, and to all questions about one fact."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from attrib.assess.answering import SIDES, Reply, Side
from attrib.assess.consistency.clusters import AnswerGroup, Relate, clusters
from attrib.assess.consistency.records import (
    Answers,
)
from attrib.assess.questions import Question
from attrib.measures import (
    cluster_entropy,
    pair_agreement,
    predictive_entropy,
    semantic_entropy,
)
from attrib.text.words import keys

Replies = Mapping[Side, Sequence[Sequence[Reply]]]


class Meanings:
    """Clusters of answers with one meaning: to each question, and to all questions about one fact."""

    def __init__(
        self, questions: Sequence[Question], greedy: Replies, sampled: Replies, relate: Relate, threshold: float
    ) -> None:
        self.threshold = threshold
        own = [
            AnswerGroup(
                q.question,
                distinct_texts(r.text for replies in (greedy, sampled) for side in SIDES for r in replies[side][i]),
            )
            for i, q in enumerate(questions)
        ]
        self.facts = _others(questions)
        shared: dict[tuple[Side, tuple[int, ...]], AnswerGroup] = {}
        for i, others in enumerate(self.facts):
            for side in SIDES if others else ():
                members = tuple(sorted({i, *others}))
                texts = distinct_texts(greedy[side][j][0].text for j in members)
                shared[side, members] = AnswerGroup(" ".join(questions[j].question for j in members), texts)
        similarities = relate([*own, *shared.values()])
        self._own = list(zip(own, similarities[: len(own)], strict=True))
        self._shared = {
            name: dict(zip(group.texts, clusters(matrix, threshold).tolist(), strict=True))
            for (name, group), matrix in zip(shared.items(), similarities[len(own) :], strict=True)
        }

    def same(self, i: int, a: str, b: str) -> bool:
        """Whether two answers to question ``i`` mean the same."""
        group, matrix = self._own[i]
        return bool(matrix[group.texts.index(a), group.texts.index(b)] >= self.threshold)

    def clusters(self, i: int, answers: Sequence[str]) -> tuple[int, ...]:
        """Meaning of each answer to question ``i``, numbered by first appearance, [answer]."""
        group, matrix = self._own[i]
        distinct = distinct_texts(answers)
        rows = [group.texts.index(text) for text in distinct]
        owner = dict(zip(distinct, clusters(matrix[np.ix_(rows, rows)], self.threshold).tolist(), strict=True))
        numbers: dict[int, int] = {}
        return tuple(numbers.setdefault(owner[text], len(numbers)) for text in answers)

    def rephrasings(self, i: int, side: Side, greedy: Replies) -> float:
        """Share of the other questions about the fact of question ``i`` with an answer of the same meaning."""
        others = self.facts[i]
        if not others:
            return math.nan
        cluster = self._shared[side, tuple(sorted({i, *others}))]
        return float(np.mean([cluster[greedy[side][j][0].text] == cluster[greedy[side][i][0].text] for j in others]))


def distinct_texts(texts: Iterable[str]) -> tuple[str, ...]:
    """Each once, in an order of their own: clusters then do not depend on the order of sampling."""
    return tuple(sorted(set(texts)))


def _others(questions: Sequence[Question]) -> list[tuple[int, ...]]:
    """For each question the other ones about the same fact that are worded differently."""
    members: dict[str, list[int]] = {}
    for i, question in enumerate(questions):
        if question.fact:
            members.setdefault(question.fact, []).append(i)
    worded = [keys(question.question) for question in questions]
    return [
        tuple(j for j in members.get(question.fact, ()) if worded[j] != worded[i])
        for i, question in enumerate(questions)
    ]


def answers_of(i: int, side: Side, greedy: Replies, sampled: Replies, meanings: Meanings) -> Answers:
    """One model's answers to question ``i`` with the measures that each model has."""
    top, samples = greedy[side][i][0], tuple(sampled[side][i])
    clusters = np.array(meanings.clusters(i, [reply.text for reply in samples]))
    per_token = np.array([reply.logprob / max(reply.tokens, 1) for reply in samples])
    values = {
        "semantic_entropy": semantic_entropy(per_token, clusters),
        "discrete_entropy": cluster_entropy(clusters),
        "predictive_entropy": predictive_entropy(per_token),
        "clusters": float(len(set(clusters.tolist()))),
        "agreement": pair_agreement(clusters),
        "with_greedy": float(np.mean([meanings.same(i, top.text, reply.text) for reply in samples])),
        "rephrasings": meanings.rephrasings(i, side, greedy),
        "novel": math.nan,
        "unfinished": float(np.mean([not reply.ended for reply in (top, *samples)])),
    }
    return Answers(top, samples, tuple(clusters.tolist()), values)
