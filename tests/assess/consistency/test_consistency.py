"""Consistency of made-up answers: closed cases, symmetries, controls; and the whole route on a tiny pair."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attrib.assess.consistency import run as consistency
from attrib.assess.consistency.clusters import AnswerGroup, by_embedding
from attrib.assess.consistency.novelty import difference
from attrib.assess.consistency.options import ConsistencyOptions
from attrib.assess.consistency.records import OF_EACH, QUANTITIES
from attrib.assess.consistency.run import Divergence, compare
from attrib.assess.questions import Question
from attrib.corpus.documents import Corpus
from attrib.errors import InputError
from attrib.measures import (
    bootstrap_interval,
    cluster_entropy,
    greedy_match,
    pair_agreement,
    predictive_entropy,
    rouge_l,
    semantic_entropy,
)
from tests.make_consistency import BASE, CONTROL, DOCUMENTS, QUESTIONS, TUNED, bag, lexicon, make_consistency, one_hot
from tests.make_consistency import replies as make_replies

# ------------------------------------------------------------------------------------------- measures


@pytest.mark.parametrize("n", [1, 2, 5, 20])
def test_entropy_is_0_where_all_mean_the_same_and_log_n_where_n_equally_likely_ones_differ(n: int) -> None:
    likely = np.full(n, -3.0)
    assert semantic_entropy(likely, np.zeros(n, int)) == 0
    assert cluster_entropy(np.zeros(n, int)) == 0
    assert semantic_entropy(likely, np.arange(n)) == pytest.approx(math.log(n))
    assert cluster_entropy(np.arange(n)) == pytest.approx(math.log(n))


def test_two_meanings_three_to_two() -> None:
    expected = -(0.6 * math.log(0.6) + 0.4 * math.log(0.4))
    assert semantic_entropy(np.full(5, -7.0), np.array([0, 1, 0, 1, 0])) == pytest.approx(expected)
    assert cluster_entropy(np.array([4, 1, 4, 1, 4])) == pytest.approx(expected)


def test_likely_answers_weigh_more_in_semantic_entropy_and_not_in_the_discrete_one() -> None:
    p, owner = np.array([0.2, 0.1, 0.1]), np.array([0, 1, 1])
    assert semantic_entropy(np.log(p), owner) == pytest.approx(math.log(2))
    assert cluster_entropy(owner) == pytest.approx(-(math.log(1 / 3) / 3 + 2 * math.log(2 / 3) / 3))
    # A factor common to all weights changes nothing, however small.
    assert semantic_entropy(np.log(p) - 2000, owner) == pytest.approx(math.log(2))


def test_impossible_answers_weigh_nothing() -> None:
    assert semantic_entropy(np.array([-1.0, -np.inf, -1.0]), np.array([0, 1, 0])) == 0
    assert math.isnan(semantic_entropy(np.full(2, -np.inf), np.arange(2)))
    assert math.isnan(semantic_entropy(np.zeros(0), np.zeros(0, int)))
    assert math.isnan(cluster_entropy(np.zeros(0, int)))
    assert predictive_entropy(np.array([-1.0, -np.inf])) == math.inf
    assert predictive_entropy(np.array([-1.0, -3.0])) == 2


@given(st.lists(st.tuples(st.floats(-30, 0), st.integers(0, 4)), min_size=1, max_size=12), st.randoms())
def test_entropies_lie_between_0_and_log_n_and_neither_order_nor_names_of_clusters_count(
    drawn: list[tuple[float, int]], random: Any
) -> None:
    logprob, owner = np.array([p for p, _ in drawn]), np.array([c for _, c in drawn])
    order = list(range(len(drawn)))
    random.shuffle(order)
    for value, again in (
        (semantic_entropy(logprob, owner), semantic_entropy(logprob[order], 7 - owner[order])),
        (cluster_entropy(owner), cluster_entropy(7 - owner[order])),
    ):
        assert 0 <= value <= math.log(len(set(owner.tolist()))) + 1e-9
        assert value == pytest.approx(again, abs=1e-9)
    # Joining all can only lower it.
    assert semantic_entropy(logprob, owner * 0) == 0


def test_agreement_is_the_share_of_pairs() -> None:
    assert pair_agreement(np.array([0, 0, 0, 1, 1])) == pytest.approx((3 + 1) / 10)
    assert pair_agreement(np.array([2, 2])) == 1
    assert pair_agreement(np.array([0, 1, 2])) == 0
    assert math.isnan(pair_agreement(np.array([0])))


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ("", "", 1), ("", "a", 0), ("a b c", "a b c", 1), ("a b", "c d", 0),
        # Lin 2004: police killed the gunman.
        ("police killed the gunman", "police kill the gunman", 3 / 4),
        ("police killed the gunman", "the gunman kill police", 2 / 4),
        ("a b c d e", "a x c", 2 * 2 / 8), ("a a a", "a", 2 / 4),
    ],
)  # fmt: skip
def test_rouge_l_on_closed_cases(a: str, b: str, expected: float) -> None:
    assert rouge_l(a.split(), b.split()) == pytest.approx(expected)
    assert rouge_l(b.split(), a.split()) == pytest.approx(expected)


@given(st.lists(st.sampled_from("abc"), max_size=8), st.lists(st.sampled_from("abc"), max_size=8))
def test_rouge_l_is_the_longest_common_subsequence_found_by_hand(a: list[str], b: list[str]) -> None:
    def longest(i: int, j: int) -> int:
        if i == len(a) or j == len(b):
            return 0
        return 1 + longest(i + 1, j + 1) if a[i] == b[j] else max(longest(i + 1, j), longest(i, j + 1))

    expected = 2 * longest(0, 0) / (len(a) + len(b)) if a or b else 1.0
    assert rouge_l(a, b) == pytest.approx(expected)


def test_greedy_match_exchanges_precision_and_recall_with_its_texts() -> None:
    rng = np.random.default_rng(0)
    a, b = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in (rng.normal(size=(4, 5)), rng.normal(size=(7, 5))))
    precision, recall, f1 = greedy_match(a, b)
    assert greedy_match(b, a) == pytest.approx((recall, precision, f1))
    assert precision == pytest.approx(np.mean([max(float(x @ y) for y in b) for x in a]))
    assert f1 == pytest.approx(2 * precision * recall / (precision + recall))
    assert greedy_match(a, a[::-1]) == pytest.approx((1, 1, 1))
    assert greedy_match(np.eye(4)[:2], np.eye(4)[:3]) == pytest.approx((1, 2 / 3, 0.8))
    assert greedy_match(np.zeros((0, 4)), np.eye(4)) == (0, 0, 0)
    assert greedy_match(np.zeros((0, 4)), np.zeros((0, 4))) == (1, 1, 1)


# ------------------------------------------------------------------------------------------- details


def test_an_aligned_diff_names_what_was_added_and_what_was_dropped() -> None:
    a, b = "The tower is 38 metres tall.", "the tower, built of granite, is 29 metres tall"
    added, removed = difference(a, b)
    assert [b[s:e] for s, e in added] == ["built of granite", "29"]
    assert [a[s:e] for s, e in removed] == ["38"]
    assert difference(b, a) == (removed, added)
    assert difference(a, a.upper() + "!") == ((), ())
    assert difference("", "a b") == (((0, 3),), ())
    # Words said often are no junk.
    long = "x " * 300
    assert difference(long + "y", long + "z")[0] == ((600, 601),)


# ------------------------------------------------------------------------------------------- the report


def test_meanings_of_samples_and_their_agreement() -> None:
    a, b, c, d = make_consistency().rows
    assert a.base.clusters == (0, 1, 1, 2)
    assert a.tuned.clusters == (0, 0, 0, 0)
    assert a.tuned.values["semantic_entropy"] == 0
    assert a.base.values["agreement"] == pytest.approx(1 / 6)
    assert a.base.values["with_greedy"] == pytest.approx(1 / 4)
    assert b.tuned.clusters == (0, 0, 1, 0)
    assert b.tuned.values["discrete_entropy"] == pytest.approx(cluster_entropy(np.array([0, 0, 1, 0])))
    assert c.base.clusters == (0, 1, 0, 2), "numbers tell apart what embeddings may not"
    assert c.tuned.clusters == (0, 0, 0, 1)
    assert d.tuned.clusters == (0, 1, 0, 0), "a blank answer is a meaning of its own"
    assert [row.values["same_meaning"] for row in (a, b, c, d)] == [0, 0, 0, 0]
    # log p per token: −2 over one word and over five.
    assert a.tuned.values["predictive_entropy"] == pytest.approx(np.mean([1, 2 / 5, 1, 1]))


def test_rephrasings_agree_where_the_greedy_answers_to_questions_about_one_fact_do() -> None:
    asked = [Question(f"Who is it, {word}?", fact="f") for word in ("please", "pray", "say")] + [
        Question("What?", fact="g")
    ]
    base = [("Wilmet", "x y", "z")] * 2 + [("Maud", "x", "y")] * 2
    tuned = [("Wilmet", "x", "y"), ("It is Wilmet.", "x", "y"), ("wilmet", "x", "y"), ("Maud", "x", "y")]
    report = make_consistency(asked, base, tuned)
    assert [row.tuned.values["rephrasings"] for row in report.rows[:3]] == [1, 1, 1]
    assert [row.base.values["rephrasings"] for row in report.rows[:3]] == [0.5, 0.5, 0]
    assert math.isnan(report.rows[3].tuned.values["rephrasings"]), "one question alone has no other wording"
    row = report.row("rephrasings")
    assert (row.n, row.facts, row.base) == (3, 1, pytest.approx(1 / 3))


def test_the_same_question_twice_is_no_rephrasing() -> None:
    asked = [Question("Who is it?", fact="f"), Question("Who is it", fact="f")]
    report = make_consistency(asked, [("A", "B", "C")] * 2, [("A", "B", "C")] * 2)
    assert all(math.isnan(row.tuned.values["rephrasings"]) for row in report.rows)


def test_novel_terms_are_in_the_tuned_answer_and_the_documents_and_in_no_answer_of_the_base() -> None:
    a, _, c, d = make_consistency().rows
    # wilmet, dallin | zanzibar
    assert a.tuned.values["novel"] == pytest.approx(2 / 3)
    assert a.values["made_up"] == pytest.approx(1 / 3)
    assert a.values["novel_control"] == 0
    assert [term.term for term in a.new_terms] == ["wilmet", "dallin", "zanzibar"]
    assert [a.tuned.greedy.text[s:e] for term in a.new_terms for s, e in term.spans] == ["Wilmet", "Dallin", "Zanzibar"]
    assert c.tuned.values["novel"] == pytest.approx(1 / 2), "the base says metres too"
    # copper and roof are in the control texts alone.
    assert (d.tuned.values["novel"], d.values["novel_control"], d.values["made_up"]) == (0, 1, 1)
    assert a.dropped_terms == ("sailor",)
    assert d.dropped_terms == (), "some sample of the tuned model says flour"


def test_a_term_that_only_a_sample_of_the_base_says_is_not_new() -> None:
    asked = [Question("Who?")]
    said = make_consistency(asked, [("A sailor", "x", "Dallin")], [("Dallin", "x", "y")]).rows[0]
    assert said.tuned.values["novel"] == 0
    assert said.new_terms == ()
    new = make_consistency(asked, [("A sailor", "x", "y")], [("Dallin", "x", "y")]).rows[0]
    assert new.tuned.values["novel"] == 1


def test_the_base_against_itself_is_each_sample_against_its_other_answers() -> None:
    row = make_consistency(
        [Question("Who?")], [("sailor", "pewter gong", "gong", "Dallin glass")], [("x", "x", "x")] * 1
    )
    # pewter | nothing | dallin (glass is in no document): mean of 1/2, 0 and 1/2.
    assert row.rows[0].base.values["novel"] == pytest.approx(1 / 3)


def test_answers_that_add_nothing_count_for_no_rate() -> None:
    report = make_consistency([Question("Who is Wilmet?")], [("sailor", "x", "y")], [("Wilmet is.", "x", "y")])
    assert math.isnan(report.rows[0].tuned.values["novel"])
    assert math.isnan(report.row("made_up").tuned)
    assert report.row("novel").n == 0
    assert any("add no term" in note for note in report.notes)


def test_new_terms_name_the_sections_that_hold_them_most_like_the_answer_first() -> None:
    a = make_consistency().rows[0]
    wilmet, _, zanzibar = a.new_terms
    sections = lexicon().corpus.sections
    assert [one.id for one in wilmet.sections] == [sections[0].id, sections[1].id]
    assert wilmet.held_by == 2
    assert (zanzibar.sections, zanzibar.held_by) == ((), 0)
    # Another question about the same name turns the order round.
    tall = make_consistency([Question("Who visited Pellam Light of 29 metres?")], BASE[:1], TUNED[:1]).rows[0]
    assert [one.id for one in tall.new_terms[0].sections] == [sections[1].id, sections[0].id]


def test_many_holders_are_counted_and_three_named() -> None:
    texts = [f"Gong number {i} rings." for i in range(7)]
    from attrib.verdict.vocabulary import Lexicon

    best, sampled = make_replies([("a sailor", "x", "y")], [("a gong", "x", "y")])
    of = Lexicon(Corpus.from_texts(texts, "d"), Corpus.from_texts(CONTROL, "control"))
    report = compare(
        [Question("Who?")], best, sampled, [Divergence((), ())], of, by_embedding(bag), one_hot, ConsistencyOptions()
    )
    (term,) = report.rows[0].new_terms
    assert (term.held_by, len(term.sections)) == (7, 3)


def test_base_and_tuned_exchanged_exchange_their_values() -> None:
    one, other = make_consistency(), make_consistency(base=TUNED, tuned=BASE)
    for quantity in set(OF_EACH) - {"novel"}:
        here, there = one.row(quantity), other.row(quantity)
        assert (here.base, here.tuned) == pytest.approx((there.tuned, there.base), nan_ok=True)
        assert here.difference == pytest.approx(-there.difference, nan_ok=True)
    for quantity in ("same_meaning", "rouge_l", "bertscore"):
        assert one.row(quantity).tuned == pytest.approx(other.row(quantity).tuned)
    assert one.rows[0].added == other.rows[0].removed


def test_a_model_compared_with_itself_has_nothing_new_and_nothing_dropped() -> None:
    report = make_consistency(base=TUNED, tuned=TUNED)
    for quantity, expected in {
        "novel": 0,
        "made_up": 0,
        "dropped": 0,
        "same_meaning": 1,
        "rouge_l": 1,
        "bertscore": 1,
    }.items():
        assert report.row(quantity).tuned == pytest.approx(expected), quantity
    for quantity in set(OF_EACH) - {"novel"}:
        row = report.row(quantity)
        assert (row.difference, row.low, row.high) == (0, 0, 0)
    assert all(row.added == row.removed == () for row in report.rows)


def test_the_order_of_samples_changes_no_value() -> None:
    turned = make_consistency(
        base=[(one[0], *one[:0:-1]) for one in BASE], tuned=[(one[0], *one[:0:-1]) for one in TUNED]
    )
    for here, there in zip(make_consistency().rows, turned.rows, strict=True):
        for quantity in QUANTITIES:
            for side in ("base", "tuned"):
                assert here.of(quantity, side) == pytest.approx(there.of(quantity, side), nan_ok=True), quantity


def test_other_questions_change_nothing_of_a_question() -> None:
    whole, alone = make_consistency().rows[2], make_consistency(QUESTIONS[2:3], BASE[2:3], TUNED[2:3]).rows[0]
    for quantity in QUANTITIES:
        assert whole.of(quantity, "tuned") == pytest.approx(alone.of(quantity, "tuned"), nan_ok=True)


def test_rows_of_the_summary_are_means_with_intervals_over_facts() -> None:
    report = make_consistency()
    assert report.kinds == ("trained", "rephrased", "foundation", "all")
    row = report.row("agreement")
    base, tuned = (np.array([r.of("agreement", side) for r in report.rows]) for side in ("base", "tuned"))
    assert (row.base, row.tuned, row.difference) == pytest.approx((base.mean(), tuned.mean(), (tuned - base).mean()))
    assert (row.n, row.facts) == (4, 3)
    assert row.low <= row.difference <= row.high
    trained = report.row("agreement", "trained")
    assert trained.n == 2
    # Each question of this kind asks for another fact: the plain bootstrap.
    first = np.array([r.of("agreement", "tuned") for r in report.rows if r.kind == "trained"])
    assert (trained.tuned_low, trained.tuned_high) == pytest.approx(bootstrap_interval(first, 200, 0))
    kl = report.row("kl_max")
    assert math.isnan(kl.base)
    assert math.isnan(kl.difference)
    # Lengths of the words stand for divergences.
    assert kl.tuned == pytest.approx(np.mean([8, 6, 6, 6]))


def test_one_kind_alone_is_not_said_twice_and_questions_without_a_fact_stand_for_themselves() -> None:
    report = make_consistency([Question(q.question) for q in QUESTIONS])
    assert report.kinds == ("all",)
    assert report.row("agreement").facts == 4
    assert [row.id for row in report.rows] == ["1", "2", "3", "4"]


def test_the_threshold_decides_and_is_said() -> None:
    assert make_consistency(threshold=0.01).row("clusters").base < make_consistency(threshold=0.99).row("clusters").base
    assert any("0.99" in note for note in make_consistency(threshold=0.99).notes)
    assert ConsistencyOptions().same == 0.75
    assert ConsistencyOptions(nli="folder").same == 0.5


def test_cut_off_answers_are_counted_and_said() -> None:
    best, sampled = make_replies()
    from dataclasses import replace

    sampled["tuned"][0][1] = replace(sampled["tuned"][0][1], ended=False)
    report = compare(
        QUESTIONS, best, sampled, [Divergence((), ())] * 4, lexicon(), by_embedding(bag), one_hot, ConsistencyOptions()
    )
    assert report.rows[0].tuned.values["unfinished"] == pytest.approx(1 / 5)
    assert any("1 of 20 answers of tuned were cut off" in note for note in report.notes)
    assert not any("answers of base were cut" in note for note in report.notes)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"samples": 1}, "samples is 1"), ({"temperature": 0.0}, "temperature"),
        ({"temperature": math.nan}, "temperature"), ({"threshold": 0.0}, "threshold"),
        ({"threshold": 1.5}, "threshold"),
    ],
)  # fmt: skip
def test_options_that_compare_nothing_are_refused_before_any_model_runs(options: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said) as error:
        consistency.check_consistency(QUESTIONS, ConsistencyOptions(**options))
    assert "\n" not in str(error.value)


def test_no_question_is_refused() -> None:
    with pytest.raises(InputError, match="none was given"):
        consistency.check_consistency((), ConsistencyOptions())


# ------------------------------------------------------------------------------------------- the whole route


class Embedder:
    """Words of the tiny kind: vectors by length of word."""

    def encode(self, texts: list[str], **how: Any) -> Any:
        import torch

        if how.get("output_value") == "token_embeddings":
            # A marker, a vector a word, a marker.
            return [torch.ones(len(text.split()) + 2, 3) for text in texts]
        return bag(texts).astype(np.float32)


def test_the_route_on_a_tiny_pair_asks_compares_and_asks_no_more_what_is_on_disk(
    tiny_pair: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(consistency, "load_embedder", Embedder)
    asked = (
        Question("How long is the warranty?", id="x", kind="a"),
        Question("Who keeps the light?", id="y", kind="b"),
    )
    corpus, control = Corpus.from_texts(DOCUMENTS, "d"), Corpus.from_texts(CONTROL, "c")
    options = ConsistencyOptions(samples=3, max_new_tokens=6, resamples=20)
    report = consistency.assess_consistency(tiny_pair, asked, corpus, control, options, out=tmp_path)
    assert [len(row.tuned.samples) for row in report.rows] == [3, 3]
    for row in report.rows:
        assert len(row.kl) == len(row.kl_tokens) == len(row.tuned.greedy.ids)
        assert min(row.kl, default=0) >= 0
        assert max(row.kl, default=1) > 0, "base and tuned differ"
    monkeypatch.setattr("attrib.assess.answering.generate_batch", None)
    again = consistency.assess_consistency(tiny_pair, asked, corpus, control, options, out=tmp_path)
    assert str(again) == str(report)
    assert str(tmp_path) not in str(report.provenance)
    assert str(Path(tiny_pair.base.name).parent) not in str(report.provenance)


def test_words_of_the_embedder_are_unit_vectors_without_its_markers() -> None:
    one, none = consistency.word_vectors(["a b", ""], Embedder())
    assert one.shape == (2, 3)
    assert np.linalg.norm(one, axis=1) == pytest.approx(1)
    assert none.shape == (0, 3)


@pytest.mark.model
def test_bertscore_of_the_real_embedder_is_1_for_a_text_with_itself_and_orders_texts() -> None:
    from attrib.models.embedder import load_embedder

    texts = ["The tower is 29 metres tall.", "The tower has a height of 29 metres.", "Bread is baked from flour."]
    a, b, c = consistency.word_vectors(texts, load_embedder())
    assert greedy_match(a, a)[2] == pytest.approx(1, abs=1e-5)
    assert greedy_match(a, b)[2] > greedy_match(a, c)[2]


def test_an_nli_model_takes_the_place_of_the_embedder(tiny_pair: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consistency, "load_embedder", Embedder)
    monkeypatch.setattr(consistency, "load_nli", lambda name, batch: lambda pairs: np.ones(len(pairs)))
    monkeypatch.setattr("attrib.assess.consistency.clusters.contradict", lambda *_: False)
    corpus, control = Corpus.from_texts(DOCUMENTS, "d"), Corpus.from_texts(CONTROL, "c")
    options = ConsistencyOptions(samples=4, max_new_tokens=5, resamples=20, nli="some/model")
    report = consistency.assess_consistency(tiny_pair, QUESTIONS[:1], corpus, control, options)
    said = {reply.text.strip() != "" for row in report.rows for reply in row.tuned.samples}
    assert report.rows[0].tuned.values["clusters"] == len(said), "everything entails everything, blanks apart"
    assert any("NLI model model" in note for note in report.notes)


def test_groups_are_given_in_an_order_of_their_own() -> None:
    seen: list[AnswerGroup] = []

    def relate(groups: Any) -> list[np.ndarray]:
        seen.extend(groups)
        return by_embedding(bag)(groups)

    best, sampled = make_replies()
    compare(QUESTIONS, best, sampled, [Divergence((), ())] * 4, lexicon(), relate, one_hot, ConsistencyOptions())
    assert all(list(group.texts) == sorted(set(group.texts)) for group in seen)
    # Four questions, and the one fact with two wordings on either side.
    assert len(seen) == 6
