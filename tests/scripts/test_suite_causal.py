"""Causal labels on planted falls: what a group taught is taught, noise is not, and no group has two facts of a kind."""

from __future__ import annotations

import numpy as np
import pytest
from suite.causal import causal_table, grouped, planned, taught, told_together
from suite.corpora import SuiteCorpus, SuiteQuestion, read_corpus
from suite.fit import Judged
from suite.score import ScoredAnswer

from attrib.assess.retraining import RetrainedScores, Retraining
from tests.make_suite import make_row

TOKENS = np.array([2, 3])


def run(name: str, left_out: tuple[str, ...], logprob: list[float]) -> RetrainedScores:
    return RetrainedScores(
        Retraining(name, left_out, 0), np.zeros(2), np.zeros(2), np.zeros(0), TOKENS, np.array(logprob)
    )


FULL = [run(f"full-{i}", (), [-1.0 + d, -1.0 - d, -0.5, -0.5 + d, -2.0]) for i, d in enumerate((-0.1, 0.0, 0.1))]


def test_a_token_is_taught_where_its_log_p_falls_beyond_the_noise() -> None:
    # The first token falls by 4, the fourth by .3, which is less than half a nat.
    scores = [*FULL, run("a", ("s",), [-5.0, -1.0, -0.5, -0.8, -2.0]), run("b", ("t",), [-1.0, -1.0, -0.5, -0.5, -2.2])]
    labels = taught(scores)
    assert [label.tolist() for label in labels] == [[True, False], [False, False, False]]


def test_a_noisy_token_needs_a_larger_fall() -> None:
    noisy = [run(f"full-{i}", (), [-1.0 + d, -1.0, -0.5, -0.5, -2.0]) for i, d in enumerate((-1.0, 0.0, 1.0))]
    fallen = [-4.0, -4.0, -0.5, -0.5, -2.0]
    # A standard error of 1.15 nats: 3 nats are not beyond it, and a quiet token's 3 are.
    assert taught([*noisy, run("a", ("s",), fallen)])[0].tolist() == [False, True]


def test_labels_need_full_runs_and_a_group_left_out() -> None:
    with pytest.raises(ValueError, match="1 full runs and 0 without a group"):
        taught(FULL[:1])


def test_what_two_sections_tell_is_left_out_with_both() -> None:
    suite = read_corpus("retraining")
    together = told_together(suite)
    members = [id_ for group in together for id_ in group]
    assert len(members) == len(set(members)) == 16
    for q in suite.of("trained"):
        editions = {id_ for other in suite.of("trained") if other.fact == q.fact for id_ in other.sections}
        assert len(editions) == 1 or any(editions <= set(group) for group in together)


def test_groups_of_the_retraining_corpus_take_one_section_of_a_question() -> None:
    suite = read_corpus("retraining")
    groups = grouped(suite)
    members = [id_ for group in groups for id_ in group]
    assert len(members) == len(set(members)) == len(suite.corpus) - len(suite.held_out)
    for q in suite.questions:
        assert not any(len(set(group) & set(q.sections)) > 1 for group in groups)
    runs = planned(suite)
    assert sorted(len(one.left_out) for one in runs) == [0, 0, 0, *[2] * 11, *[4] * 4]
    # Labels need two full runs: the last one refines the noise.
    assert [not one.left_out for one in runs][:2] == [True, True]
    assert not runs[-1].left_out
    assert len({one.name for one in runs}) == len(runs)


def test_verdicts_of_tokens_are_compared_with_the_labels() -> None:
    questions = tuple(SuiteQuestion(id_, "trained", "Which one?", "x", id_, ("s",)) for id_ in ("q", "r"))
    suite = SuiteCorpus("tiny", read_corpus("retraining").corpus, questions, frozenset())
    tokens = np.array([4, 4])
    rng = np.random.default_rng(0)

    def retrained(name: str, left_out: tuple[str, ...], values: list[float]) -> RetrainedScores:
        return RetrainedScores(
            Retraining(name, left_out, 0), np.zeros(2), np.zeros(2), np.zeros(0), tokens, np.array(values)
        )

    scores = [
        retrained("full-0", (), [-1.0] * 8), retrained("full-1", (), [-1.1] * 8),
        retrained("a", ("s",), [-6.0] * 4 + [-1.0] * 4),
    ]  # fmt: skip
    answers = []
    for id_, said in (("q", (0.9, 0.9, 0.9, 0.1)), ("r", (0.9, 0.1, 0.1, 0.1))):
        row = make_row(id_, "trained", "documents", rng, learned=True)
        judged = Judged(np.array([0.5, 0.3, 0.2]), np.array([[p, (1 - p) * 0.6, (1 - p) * 0.4] for p in said]))
        answers.append(ScoredAnswer("tiny", row, judged, {"verdict": 0.5}, (0.3, 0.5)))
    rows = causal_table(suite, scores, answers)
    token = next(row for row in rows if (row["unit"], row["scorer"]) == ("token", "verdict"))
    # Taught are the first answer's four tokens; called are three of them and one of the other's.
    assert (token["precision"], token["recall"], token["n"], token["taught"]) == (0.75, 0.75, 8, 4)
