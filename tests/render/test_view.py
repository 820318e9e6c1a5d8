"""Rows and columns: nothing is lost, invented or allowed to act."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from attrib.errors import InputError
from attrib.records import LABELS
from attrib.render import view
from tests.make import ODD_TOKENS, make_explanation, make_tokens, swapped


@pytest.mark.parametrize(
    ("text", "label"),
    [("", "∅"), (" ", "␠"), ("  ", "␠␠"), (" six", "six"), ("\n", "↵"), ("a\nb", "a↵b"), ("$\\foo$", "$\\foo$")],
)
def test_token_labels_show_what_is_there(text: str, label: str) -> None:
    assert view.token_label(text) == label


def test_characters_that_act_are_made_visible_and_others_stay() -> None:
    assert view.visible("\x1b[31m\u202ex") == "<1B>[31m<202E>x"
    assert view.visible("مرحبا 水 🙂 [red]") == "مرحبا 水 🙂 [red]"
    assert view.visible("a\nb", keep="\n") == "a\nb"


def test_words_are_a_partition_that_starts_at_white_space_and_at_wide_characters() -> None:
    tokens = make_tokens([" thirty", "-", "six", " months", "水", "水", "", "."])
    groups = view.words(tokens)
    assert [i for group in groups for i in group] == list(range(len(tokens)))
    assert groups == ((0, 1, 2), (3,), (4,), (5, 6, 7))


def test_gain_of_words_is_the_gain_of_their_tokens_in_bits() -> None:
    explanation = make_explanation(answer=30)
    total = explanation.verdict.gain.sum() / np.log(2)
    for unit in ("token", "word"):
        assert sum(row.gain_bits for row in view.answer_rows(explanation, unit)) == pytest.approx(total)
    assert len(view.answer_rows(explanation, "word")) < 30


def test_top_sections_stand_in_document_order_and_the_rest_is_one_column() -> None:
    explanation = make_explanation(sections=20)
    columns = view.section_columns(explanation, "hidden", top=5)
    members = [i for column in columns for i in column.members]
    assert [column.kind for column in columns] == ["section"] * 5 + ["other", "control"]
    assert members[:5] == sorted(int(i) for i in explanation.ranking[:5])
    assert sorted(members) == list(range(20))
    assert [column.kind for column in view.section_columns(explanation, "hidden", top=20)][-2:] == [
        "section",
        "control",
    ]


def test_section_cells_are_the_records_and_folded_cells_are_the_best() -> None:
    explanation = make_explanation(sections=20)
    side = explanation.mappings["hidden"].tuned
    heat = view.section_heat(explanation, "hidden", top=5)
    for j, column in enumerate(heat.columns):
        expected = side.control if column.kind == "control" else side.tokens[:, list(column.members)]
        np.testing.assert_array_equal(heat.tuned[:, j], expected.max(1))
    section = heat.columns[0].members[0]
    np.testing.assert_array_equal(heat.tuned_marks[:, 0], side.q[:, section] < 0.05)
    assert not heat.tuned_marks[:, -1].any()


def test_words_sum_additive_scores_and_take_the_largest_similarity() -> None:
    explanation = make_explanation(answer=30, sections=4)
    for mapper, reduce in (("bm25", np.sum), ("hidden", np.max)):
        heat = view.section_heat(explanation, mapper, max_rows=25)
        first = next(row for row in heat.rows if len(row.members) > 1)
        tokens = explanation.mappings[mapper].tuned.tokens[list(first.members)]
        assert heat.unit == "word"
        np.testing.assert_allclose(heat.tuned[heat.rows.index(first), :4], reduce(tokens, axis=0))


def test_rows_that_do_not_fit_become_words_and_then_are_cut_and_counted() -> None:
    explanation = make_explanation(answer=30)
    words = len(view.answer_rows(explanation, "word"))
    assert view.section_heat(explanation, "hidden", max_rows=30).unit == "token"
    heat = view.section_heat(explanation, "hidden", max_rows=10)
    assert (heat.unit, len(heat.rows), heat.cut) == ("word", 10, words - 10)


def test_difference_changes_its_sign_when_base_and_tuned_are_swapped() -> None:
    explanation = make_explanation()
    for heat in (view.section_heat, view.prompt_heat):
        name = "hidden" if heat is view.section_heat else "input_x_gradient"
        ours, theirs = heat(explanation, name).difference, heat(swapped(explanation), name).difference
        np.testing.assert_allclose(ours, -theirs)
        assert np.abs(ours).max() > 0


def test_prompt_folds_keep_the_sum_of_a_row() -> None:
    explanation = make_explanation(prompt=14)
    total = explanation.attributions["attention"].tuned.sum(1)
    for fold, top in ((False, None), (True, None), (True, 3)):
        heat = view.prompt_heat(explanation, "attention", fold_template=fold, top=top)
        np.testing.assert_allclose(heat.tuned.sum(1), total)
    assert [c.kind for c in heat.columns] == ["template", "token", "token", "token", "other", "answer"]


def test_template_is_all_but_the_question_even_where_its_letters_return_in_a_role() -> None:
    explanation = make_explanation(question="a")
    assert [explanation.prompt_tokens[i].text for i in view.template_positions(explanation)] == [
        "<|im_start|>",
        "user\n",
        "<|im_end|>",
        "assistant\n",
    ]
    lost = replace(explanation, question="not in the prompt")
    assert view.template_positions(lost) == (0, 3)


def test_percents_sum_to_100() -> None:
    assert view.percents(np.full(3, 1 / 3)) == (34, 33, 33)
    assert view.verdict_line(np.array([0.714, 0.176, 0.11])) == "documents 71% · base 18% · neither 11%"


def test_verdict_runs_join_to_the_answer_and_neighbours_differ() -> None:
    explanation = make_explanation(answer=20)
    runs = view.verdict_spans(explanation)
    assert "".join(text for text, _ in runs) == explanation.answer
    assert all(left[1] != right[1] for left, right in pairwise(runs))
    assert {label for _, label in runs} <= set(LABELS)


def test_section_rows_follow_the_ranking_and_snippets_mark_the_match() -> None:
    explanation = make_explanation(texts=["x " * 300] * 20)
    rows = view.section_rows(explanation, top=4, mapper="hidden")
    assert [row.index for row in rows] == [int(i) for i in explanation.ranking[:4]]
    row = rows[0]
    side = explanation.mappings["hidden"].tuned
    assert row.scores["hidden"].tuned == side.whole[row.index]
    assert row.scores["hidden"].control_tuned == side.control_whole.max()
    pieces = view.snippet(replace(row, matches=((400, 410),)))
    assert [len(text) for text, match in pieces if match] == [10]
    assert not any(match for _, match in view.snippet(replace(row, matches=())))


def test_explained_spans_are_tokens_with_small_q() -> None:
    explanation = make_explanation(answer=12)
    q = explanation.mappings["hidden"].tuned.q
    for row in view.section_rows(explanation, top=20, mapper="hidden"):
        inside = [
            any(a <= token.start and token.end <= b for a, b in row.explains) for token in explanation.answer_tokens
        ]
        np.testing.assert_array_equal(inside, q[:, row.index] < 0.05)


def test_unknown_names_and_empty_answers_are_refused() -> None:
    explanation = make_explanation()
    with pytest.raises(InputError, match="no mapper 'nope'; it has bm25, hidden"):
        view.section_heat(explanation, "nope")
    with pytest.raises(InputError, match="no method 'nope'"):
        view.prompt_heat(explanation, "nope")
    with pytest.raises(InputError, match="top=0"):
        view.section_heat(explanation, "hidden", top=0)
    with pytest.raises(InputError, match="no tokens"):
        view.section_heat(make_explanation(answer=0), "hidden")


def test_odd_tokens_each_have_a_label_on_one_line() -> None:
    rows = view.answer_rows(make_explanation(answer_texts=ODD_TOKENS))
    assert len(rows) == len(ODD_TOKENS)
    assert all(row.label and "\n" not in row.label for row in rows)
