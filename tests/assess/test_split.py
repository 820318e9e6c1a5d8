"""Parts that keep together what belongs together, with every document's share, the same on every call."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attrib.assess.questions import Question
from attrib.assess.split import Split, given_split, learned, split
from attrib.errors import InputError
from attrib.records import Section


def section(number: int, document: str = "a.md", twin: int | None = None) -> Section:
    return Section(
        f"s{number}", document, (f"Part {number}",), f"text {number}", number, number,
        near_duplicate_of=None if twin is None else f"s{twin}",
    )  # fmt: skip


def ask(number: int, section: int | None, **more: Any) -> Question:
    return Question(
        f"What is {number}?", f"it is {number}", id=f"q{number}",
        section=None if section is None else f"s{section}", **more,
    )  # fmt: skip


def corpus(per_document: list[int]) -> tuple[Section, ...]:
    documents = [f"d{d}.md" for d, n in enumerate(per_document) for _ in range(n)]
    return tuple(section(i, document) for i, document in enumerate(documents))


TEN = corpus([10])
QUESTIONS = tuple(ask(i, i) for i in range(10))


def test_every_section_is_of_one_part_and_its_questions_go_with_it() -> None:
    found = split(TEN, QUESTIONS, share=0.6, seed=3)
    assert sorted((*found.kept, *found.held)) == sorted(s.id for s in TEN)
    assert len(found.kept) == 6
    for question, part in zip(QUESTIONS, found.parts, strict=True):
        assert part == ("tuned-on" if question.section in found.kept else "held-out")
    by_section = dict(zip((*found.kept, *found.held), found.section_groups, strict=True))
    assert [by_section[q.section or ""] for q in QUESTIONS] == list(found.groups)


def test_the_same_seed_gives_the_same_parts_and_another_one_others() -> None:
    assert split(TEN, QUESTIONS, seed=1) == split(TEN, QUESTIONS, seed=1)
    assert len({split(TEN, QUESTIONS, seed=seed).kept for seed in range(20)}) > 15


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(st.integers(2, 9), min_size=1, max_size=5),
    share=st.sampled_from([0.25, 0.5, 0.6, 0.75]),
    seed=st.integers(0, 99),
)
def test_each_documents_share_is_within_one_section(sizes: list[int], share: float, seed: int) -> None:
    sections = corpus(sizes)
    if sum(sizes) * min(share, 1 - share) < 1:
        return
    found = split(sections, (), share=share, seed=seed)
    kept = Counter(s.document for s in sections if s.id in found.kept)
    for d, n in enumerate(sizes):
        assert abs(kept[f"d{d}.md"] - share * n) < 1
    assert abs(len(found.kept) - share * len(sections)) < 1


def test_without_strata_a_documents_share_is_left_to_chance() -> None:
    """The negative control of the test above."""
    sections = corpus([10, 10])
    counts = {sum(int(id_[1:]) < 10 for id_ in split(sections, (), stratify="none", seed=s).kept) for s in range(30)}
    assert counts - {4, 5, 6}


def test_each_section_is_tuned_on_as_often_as_the_share_says() -> None:
    sections, n = corpus([5, 3, 4]), 600
    often = Counter(id_ for seed in range(n) for id_ in split(sections, (), share=0.3, seed=seed).kept)
    # Five binomial standard deviations.
    assert all(abs(often[s.id] / n - 0.3) < 0.095 for s in sections)


def test_kinds_of_questions_are_parted_evenly() -> None:
    sections = corpus([20])
    asked = [ask(i, i, kind="medical" if i % 4 == 0 else "news") for i in range(20)]
    for seed in range(10):
        found = split(sections, asked, stratify="kind", seed=seed)
        kept = Counter(q.kind for q, part in zip(asked, found.parts, strict=True) if part == "tuned-on")
        assert kept["news"] in (7, 8)
        assert kept["medical"] in (2, 3)


def side(found: Split, number: int) -> str:
    return "kept" if f"s{number}" in found.kept else "held"


@pytest.mark.parametrize("seed", range(12))
def test_near_duplicates_questions_of_one_fact_and_of_one_wording_stay_on_one_side(seed: int) -> None:
    sections = (*corpus([8]), section(8, twin=0), section(9, twin=8))
    asked = [
        *(ask(i, i) for i in range(10)),
        ask(20, 1, fact="f"), ask(21, 2, fact="f"), ask(22, None, fact="f"),
        replace(ask(23, 3), question="Who?"), replace(ask(24, 4), question=" who?"),
    ]  # fmt: skip
    found = split(sections, asked, seed=seed)
    assert side(found, 0) == side(found, 8) == side(found, 9)
    assert side(found, 1) == side(found, 2)
    assert side(found, 3) == side(found, 4)
    # No section of its own, yet its fact is known to be of one part.
    assert found.parts[12] == found.parts[10] != "general"
    assert found.groups[10] == found.groups[11] == found.groups[12]
    assert len({found.groups[0], found.groups[8], found.groups[9]}) == 1
    assert len(set(found.groups)) == 10 - 2 - 1 - 1


def test_untied_they_would_be_parted() -> None:
    found = [split(corpus([10]), QUESTIONS, seed=seed) for seed in range(12)]
    assert any(side(one, 0) != side(one, 8) for one in found)


def test_by_document_no_document_is_cut() -> None:
    sections = corpus([4, 2, 3, 5])
    for seed in range(10):
        found = split(sections, [ask(i, i) for i in range(14)], by="document", seed=seed)
        assert {s.document for s in sections if s.id in found.kept}.isdisjoint(
            s.document for s in sections if s.id in found.held
        )
    assert len({split(sections, (), by="document", seed=seed).kept for seed in range(20)}) > 2


def test_a_question_about_no_section_is_general() -> None:
    found = split(TEN, (*QUESTIONS, ask(30, None, kind="foundation")))
    assert found.parts[-1] == "general"
    assert found.groups[-1] not in found.groups[:-1]


def test_a_column_says_the_part_and_sections_follow() -> None:
    asked = [ask(i, i, split="held-out" if i < 3 else "tuned" if i < 6 else "") for i in range(8)]
    found = split(TEN, asked, by="column")
    assert found.held == ("s0", "s1", "s2")
    assert found.parts == ("held-out",) * 3 + ("tuned-on",) * 5


def test_a_column_that_cuts_a_fact_or_says_nothing_known_is_refused() -> None:
    cut = [ask(0, 0, split="tuned", fact="f"), ask(1, 1, split="held-out", fact="f")]
    with pytest.raises(InputError, match="'q0' is tuned-on and 'q1' is held-out"):
        split(TEN, cut, by="column")
    with pytest.raises(InputError, match="'dev' of 'q0' is no part"):
        split(TEN, [ask(0, 0, split="dev")], by="column")


@pytest.mark.parametrize("share", [0.0, 1.0, -1.0, 2.0])
def test_a_share_that_leaves_nothing_is_refused(share: float) -> None:
    with pytest.raises(InputError, match="share"):
        split(TEN, QUESTIONS, share=share)


def test_empty_parts_are_refused() -> None:
    with pytest.raises(InputError, match="no section is"):
        split(corpus([1]), ())
    with pytest.raises(InputError, match="no section is held-out"):
        split(TEN, [ask(0, 0, split="tuned")], by="column")
    with pytest.raises(InputError, match="no question is"):
        split(TEN, [ask(0, 0)])
    with pytest.raises(InputError, match="none of the documents"):
        split(TEN, [ask(0, 99)])


def test_a_given_split_reads_column_then_kind_then_the_sections_named() -> None:
    asked = [
        ask(0, 0, kind="trained"), ask(1, 0, kind="rephrased"), ask(2, 1, kind="held-out"),
        ask(3, None, kind="foundation"), ask(4, 2, kind="trained", split="held-out"),
    ]  # fmt: skip
    found = given_split(TEN[:4], asked)
    assert found.parts == ("tuned-on", "tuned-on", "held-out", "general", "held-out")
    assert found.held == ("s1", "s2")
    assert found.kept == ("s0", "s3")
    assert found.groups[0] == found.groups[1]
    named = given_split(TEN[:4], asked, held=["s0"])
    assert named.parts == ("held-out", "held-out", "tuned-on", "general", "tuned-on")
    assert dict(zip((*named.kept, *named.held), named.section_groups, strict=True))["s0"] == named.groups[0]
    with pytest.raises(InputError, match="'s77' is no section"):
        given_split(TEN, asked, held=["s77"])
    with pytest.raises(InputError, match="neither the split '' nor the kind 'quiz' of 'q9'"):
        given_split(TEN, [ask(9, 0, kind="quiz")])
    with pytest.raises(InputError, match="none is held-out"):
        given_split(TEN, [ask(9, 0, kind="trained")])


def test_what_ties_given_parts_together_is_said() -> None:
    clean = [ask(0, 0, kind="trained", fact="f"), ask(1, 1, kind="held-out", fact="g")]
    assert given_split(TEN, clean).leaks == ()
    tied = [ask(0, 0, kind="trained", fact="f"), ask(1, 1, kind="held-out", fact="f")]
    assert "1 fact asked for in both parts" in given_split(TEN, tied).leaks[0]
    same = [ask(0, 0, kind="trained"), replace(ask(1, 1, kind="held-out"), question="what is 0?")]
    assert "1 wording" in given_split(TEN, same).leaks[0]
    twins = (section(0), section(1, twin=0))
    assert "1 near-duplicate" in given_split(twins, clean).leaks[0]


def test_rephrasings_and_questions_without_an_answer_are_not_learned() -> None:
    asked = [ask(0, 0), ask(1, 0, kind="rephrased"), replace(ask(2, 0), answer=None), ask(3, 1)]
    assert learned(asked, ["tuned-on", "tuned-on", "tuned-on", "held-out"]) == (asked[0],)
