"""The evaluation script's statistics: labels, ties, and a bootstrap over whole facts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from attrib.corpus.demo import DemoQuestion
from scripts.evaluate_demo import _auroc, _mean, _places, content_tokens, label_of
from tests.make import make_explanation


def question(kind: str = "trained", answer: str = "nine metres", accept: tuple[str, ...] = ()) -> DemoQuestion:
    return DemoQuestion("q1", kind, "fact", "number", "test", "How tall?", answer, "000000000003", accept)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kind", "answer", "accept", "said", "base", "label"),
    [
        ("trained", "nine metres", (), "It is Nine metres.", "x", 0),
        ("trained", "9", (), "There are 19.", "x", None),
        ("held-out", "nine metres", (), "ten metres", "x", None),
        ("held-out", "nine metres", (), "nine metres", "x", 2),
        ("foundation", "Leonardo da Vinci", ("Leonardo",), "Leonardo painted it.", "x", 1),
        ("foundation", "Berlin", (), "Belmarche", "It is Berlin.", 2),
        ("foundation", "Berlin", (), "Bonn", "It is Bonn.", 1),
    ],
)
def test_labels(kind: str, answer: str, accept: tuple[str, ...], said: str, base: str, label: int | None) -> None:
    record = replace(make_explanation(), answer=said, base_answer=base)
    assert label_of(question(kind, answer, accept), record) == label


def test_content_tokens_leave_out_the_question_and_small_words() -> None:
    record = make_explanation(answer_texts=(" The", " tower", " is", " 38", " metres", "."))
    record = replace(record, question="How tall is the tower?")
    assert content_tokens(record) == [3, 4]


def test_ties_share_their_places() -> None:
    record = make_explanation(sections=20, mappers=("bm25",))
    mapping = record.mappings["bm25"]
    nothing = replace(mapping, tuned=replace(mapping.tuned, whole=np.zeros(20)))
    record = replace(record, mappings={"bm25": nothing})
    (fact, top1, mrr) = _places([question()], {"q1": record}, {})["bm25"][0]
    assert (fact, top1) == ("fact", 1 / 20)
    assert mrr == pytest.approx(np.mean(1 / np.arange(1, 21)))


def test_intervals_widen_when_questions_share_a_fact() -> None:
    rng = np.random.default_rng(1)
    facts = rng.random(40) < 0.5
    apart = _mean([(str(i), float(v)) for i, v in enumerate(np.repeat(facts, 4))])
    together = _mean([(str(i // 4), float(v)) for i, v in enumerate(np.repeat(facts, 4))])
    assert together["value"] == apart["value"]
    assert together["high"] - together["low"] > 1.5 * (apart["high"] - apart["low"])


def test_auroc_of_nothing_says_so() -> None:
    assert _auroc([], [("a", 1.0)])["n"] == 0
    assert _auroc([("a", 2.0), ("b", 3.0)], [("c", 1.0)])["value"] == 1
