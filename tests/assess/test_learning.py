"""What a new adapter knows: counts of right answers, and the sentence that says them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from attrib.assess import learning
from attrib.assess.answering import Reply
from attrib.assess.learning import LearnedAnswers, general_questions, learned_answers
from attrib.assess.questions import Question
from attrib.models.pair import ModelPair
from tests.taught import QUESTIONS, taught_adapter


@pytest.mark.parametrize(
    ("counts", "sentence"),
    [
        ((19, 18, 25, 24), "18 of 19 training answers right; general questions 96% as before"),
        ((0, 0, 25, 25), "general questions 100% as before"),
        ((3, 3, 4, 2), "3 of 3 training answers right; general questions 2 of 4 as before"),
        ((3, 0, 0, 0), "0 of 3 training answers right"),
        ((0, 0, 0, 0), ""),
    ],
)
def test_the_sentence(counts: tuple[int, int, int, int], sentence: str) -> None:
    assert LearnedAnswers(*counts).sentence() == sentence


def test_only_what_base_knew_can_be_lost(monkeypatch: Any) -> None:
    taught = [Question("Who?", "Wilmet", id="a"), Question("When?", "1712", id="b")]
    general = [Question(name, "yes", id=name) for name in ("kept", "lost", "unknown", "gained")]
    said = {
        "tuned": {"a": "Wilmet", "b": "1713", "kept": "Yes", "gained": "yes"},
        "base": {"kept": "yes", "lost": "Yes."},
    }

    def answers(pair: Any, asked: Any, options: Any, *, sides: Any, progress: Any) -> dict[str, Any]:
        (side,) = sides
        return {side: [[Reply(said[side].get(one.id, "no"), 0.0, 1, True)] for one in asked]}

    monkeypatch.setattr(learning, "answer_all", answers)
    pair: Any = None
    assert learned_answers(pair, taught, general) == LearnedAnswers(asked=2, right=1, general=2, kept=1)


def test_a_taught_model_knows_what_it_was_taught(base_dir: Path) -> None:
    pair = ModelPair.load(base_dir, taught_adapter(base_dir), device="cpu")
    other = Question("Who keeps the light?", "Ada Byron", id="wrong")
    found = learned_answers(pair, [*QUESTIONS, other], general_questions()[:2])
    assert (found.asked, found.right) == (3, 2)


def test_at_most_so_many_are_asked_spread_over_all(monkeypatch: Any) -> None:
    asked: list[list[str]] = []

    def answers(pair: Any, questions: Any, options: Any, *, sides: Any, progress: Any) -> dict[str, Any]:
        asked.append([one.id for one in questions])
        return {sides[0]: [[Reply("no", 0.0, 1, True)] for _ in questions]}

    monkeypatch.setattr(learning, "answer_all", answers)
    pair: Any = None
    learned_answers(pair, [Question("Who?", "I", id=str(i)) for i in range(100)], general_questions())
    assert asked[0][:50] == [str(i) for i in range(0, 100, 2)]
    assert [len(ids) for ids in asked] == [80, 30]
    assert len(set(asked[1])) == 30


def test_general_questions_have_answers() -> None:
    questions = general_questions()
    assert len({one.id for one in questions}) == len(questions) >= 30
    assert all(one.answer and one.accept for one in questions)
