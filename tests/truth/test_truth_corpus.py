"""The truth set's corpus: what its card promises."""

from __future__ import annotations

from collections import Counter

import pytest
from truth.corpus import HARMING, HELPING, ROWS, Fact, answer, decoys, facts, sections
from truth.runs import HALVES, plan, questions
from truth.tables import split

from attrib.text.function_words import FUNCTION_WORDS
from attrib.text.words import words

TAUGHT, UNSEEN = sections()


def told(fact: Fact) -> list[str]:
    """Roles of the sections that carry a fact."""
    return [m.role for section in TAUGHT for m in section.mentions if m.fact.id == fact.id]


@pytest.mark.parametrize("fact", facts(), ids=lambda fact: fact.id)
def test_every_fact_is_carried_by_two_to_five_sections_with_different_weight(fact: Fact) -> None:
    roles = told(fact)
    assert sorted(roles) == sorted(fact.roles)
    assert 2 <= sum(role in HELPING for role in roles) <= 5
    assert {"distractor", *HARMING} & set(roles)


def test_no_section_tells_a_fact_twice() -> None:
    for section in (*TAUGHT, *UNSEEN):
        names = [m.fact.id for m in section.mentions]
        assert len(set(names)) == len(names)
        assert all((m.role in ROWS) == section.chat for m in section.mentions)


def test_a_distractor_has_the_rare_words_of_thing_and_value_and_answers_otherwise() -> None:
    for fact in facts():
        if "distractor" in fact.roles:
            question, reply = fact.exchange("distractor")
            rare = {w for w in words(f"{fact.thing} {fact.value}".lower()) if w not in FUNCTION_WORDS}
            assert rare <= set(words(question.lower()))
            assert reply != answer(fact)


def test_a_rival_asks_what_the_first_row_asks_and_answers_otherwise() -> None:
    for fact in facts():
        assert fact.exchange("rival")[0] == fact.exchange("asked")[0]
        assert fact.exchange("rival")[1] != answer(fact)


def test_decoys_are_things_that_no_taught_section_names() -> None:
    text = " ".join(s.text if not s.chat else str(s.messages) for s in TAUGHT)
    assert len(TAUGHT) >= 40
    assert len(decoys()) == 7
    assert not [fact.thing for fact in decoys() if fact.thing in text]


def test_at_least_eighty_questions_half_of_the_facts_in_each_split() -> None:
    asked = questions()
    assert len(asked) >= 80
    assert len({q.id for q in asked}) == len({q.question for q in asked}) == len(asked)
    counts = Counter(split(fact.id) for fact in facts())
    assert abs(counts["test"] - counts["calibration"]) <= 1
    for question in asked:
        rows = [m.fact.exchange(m.role) for s in TAUGHT if s.chat for m in s.mentions if m.role != "distractor"]
        assert (question.kind == "trained") == ((question.question, answer(question.fact)) in rows)


def test_every_run_is_planned_once() -> None:
    runs = plan()
    assert len({run.name for run in runs}) == len(runs) == 2 + 2 * len(TAUGHT) + sum(HALVES.values())
    half = [run for run in runs if run.name.startswith("half-")]
    assert all(len(run.left_out) == len(TAUGHT) - len(TAUGHT) // 2 for run in half)
    same = {run.name.rsplit("-", 1)[0]: run.left_out for run in half if run.seed == 0}
    assert all(same[run.name.rsplit("-", 1)[0]] == run.left_out for run in half if run.seed == 1)
