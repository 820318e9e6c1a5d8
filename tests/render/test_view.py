"""Rows and columns: nothing is lost, invented or allowed to act."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from attrib.attribution import METHODS
from attrib.errors import InputError
from attrib.mapping import NAMES
from attrib.records import CALLS, Attribution, Explanation
from attrib.render import view
from attrib.text import units
from tests.make import ODD_TOKENS, PERTURBATION, make_explanation, make_tokens, question_words, swapped
from tests.make_chat import TURNS, make_row, with_row


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
    groups = units.words(tokens)
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
    specials: tuple[tuple[view.Special, int | None], ...] = (("show", None), ("fold", None), ("fold", 3))
    for special, top in specials:
        heat = view.prompt_heat(explanation, "attention", special=special, top=top)
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


def test_nearly_all_and_nearly_nothing_are_not_said_to_be_all_and_nothing() -> None:
    assert view.verdict_line(np.array([0.996, 0.003, 0.001])) == "documents >99% · base <1% · neither <1%"
    assert view.verdict_line(np.array([1.0, 0.0, 0.0])) == "documents 100% · base 0% · neither 0%"
    assert view.verdict_line(np.array([1.0, 1e-20, 0.0])) == "documents >99% · base <1% · neither 0%"
    assert [view.percent(share) for share in (0.0, 0.004, 0.5, 0.996, 1.0)] == ["0%", "<1%", "50%", ">99%", "100%"]
    assert view.percent(float("nan")) == "none"
    assert [view.p_value(p) for p in (0.001, 0.0051, 0.3)] == ["p <0.01", "p 0.01", "p 0.30"]


def test_verdict_runs_join_to_the_answer_and_neighbours_differ() -> None:
    explanation = make_explanation(answer=20)
    runs = view.verdict_spans(explanation)
    assert "".join(text for text, _ in runs) == explanation.answer
    assert all(left[1] != right[1] for left, right in pairwise(runs))
    assert {label for _, label in runs} <= set(CALLS)


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


def test_a_conversations_snippet_is_cut_at_its_turns() -> None:
    row = replace(view.section_rows(with_row(make_explanation()), top=1)[0], matches=())
    text = row.section.full_text
    for length in (10, 30, 80, 1000):
        said = list(view.spoken(row, length))
        assert "".join(piece for _, pieces in said for piece, _ in pieces if piece != "…") == "".join(
            text[start : min(end, length)] for _, start, end in row.section.turn_spans if start < length
        )
        assert [turn for turn, _ in said] == list(TURNS[: len(said)])
        assert (said[-1][1][-1][0] == "…") == (length < 1000)
    start = text.index("thirty-six")
    (turn, pieces), *_ = [
        one for one in view.spoken(replace(row, matches=((start, start + 10),))) if any(m for _, m in one[1])
    ]
    assert turn == TURNS[2]
    assert [piece for piece, match in pieces if match] == ["thirty-six"]
    assert not list(view.spoken(view.section_rows(make_explanation(), top=1)[0]))


def test_a_conversation_is_called_by_its_question() -> None:
    row = make_row()
    assert view.section_label(row) == row.title
    assert view.section_label(replace(row, turns=row.turns[:1], text=row.turns[0].content)) == "train.jsonl row 5"


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


def with_attribution(explanation: Explanation, name: str, **changes: object) -> Explanation:
    """The record with one attribution changed."""
    changed = replace(explanation.attributions[name], **changes)  # type: ignore[arg-type]
    return replace(explanation, attributions={**explanation.attributions, name: changed})


def only(
    explanation: Explanation, method: str, base: np.ndarray, tuned: np.ndarray, columns: tuple[tuple[int, ...], ...]
) -> Attribution:
    """One row, the whole answer."""
    n = len(explanation.answer_tokens)
    value = np.zeros(1)
    return Attribution(method, "logprob", (tuple(range(n)),), columns, base, tuned, value, value)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_has_a_kind_that_says_what_it_is_not(method: str) -> None:
    kind = METHODS[method].kind
    assert not kind.signed or kind.reduction == "sum"
    assert kind.caveat.endswith(".")
    # Signed scores are in the target's unit, so that their names must say which.
    if kind.signed:
        assert "{target}" in kind.unit
        assert "{target}" in kind.meaning
    filled = view.kind_of(method, "kl")
    assert "{" not in filled.unit + filled.meaning
    assert ("KL(tuned‖base)" in filled.unit) == ("{target}" in kind.unit)


@pytest.mark.parametrize("mapper", NAMES)
def test_every_mapper_has_a_kind_that_says_what_it_is_not(mapper: str) -> None:
    kind = view.kind_of(mapper)
    assert kind.claim in ("resemblance", "learned", "influence")
    assert kind.caveat.endswith(".")
    assert "{" not in kind.unit + kind.meaning


def test_a_record_of_an_unknown_method_is_drawn_without_a_caveat() -> None:
    kind = view.kind_of("made_up")
    assert (kind.unit, kind.signed, kind.caveat) == ("made_up", False, "")


def test_a_target_of_the_callers_own_is_shown_by_its_name_and_cannot_act() -> None:
    assert view.kind_of("input_x_gradient", "margin").unit == "input × gradient of margin"
    assert view.target_name("\x1b[31m").short == "<1B>[31m"
    assert view.target_name("margin").unit == ""


@pytest.mark.parametrize("unit", ["token", "word", "sentence", "answer"])
def test_rows_of_the_record_are_the_rows_of_the_heatmap(unit: str) -> None:
    explanation = make_explanation(answer=22, unit=unit)  # type: ignore[arg-type]
    heat = view.prompt_heat(explanation, "input_x_gradient")
    record = explanation.attributions["input_x_gradient"]
    assert heat.unit == unit
    assert tuple(row.members for row in heat.rows) == record.rows
    np.testing.assert_allclose(heat.tuned[:, 0], record.tuned[:, 0])
    gain = explanation.verdict.gain
    for row in heat.rows:
        assert row.gain_bits == pytest.approx(gain[list(row.members)].sum() / np.log(2))
        calls = {view.token_calls(explanation)[i] for i in row.members}
        assert row.verdict in calls


def test_spans_of_ones_own_are_rows_with_an_ellipsis_where_tokens_are_missing() -> None:
    explanation = make_explanation(answer=8, unit=((0, 1), (3, 6)))
    heat = view.prompt_heat(explanation, "input_x_gradient")
    assert heat.unit == "span"
    assert [row.label for row in heat.rows] == ["The warranty", "the… thirty"]


@pytest.mark.parametrize(
    ("method", "reduce"), [("input_x_gradient", np.sum), ("attention", np.mean), ("saliency", np.max)]
)
def test_tokens_that_do_not_fit_are_merged_to_words_as_their_kind_says(method: str, reduce: object) -> None:
    explanation = make_explanation(answer=30, methods=("input_x_gradient", "attention", "saliency"))
    heat = view.prompt_heat(explanation, method, max_rows=25)
    assert (heat.unit, heat.merged, heat.cut) == ("word", True, 0)
    row = next(i for i, row in enumerate(heat.rows) if len(row.members) > 1)
    tokens = explanation.attributions[method].base[list(heat.rows[row].members), 2]
    assert heat.base[row, 2] == pytest.approx(reduce(tokens))  # type: ignore[operator]


def test_words_of_the_record_that_do_not_fit_are_cut_and_not_merged() -> None:
    explanation = make_explanation(answer=30, unit="word")
    whole, heat = view.prompt_heat(explanation, "attention"), view.prompt_heat(explanation, "attention", max_rows=5)
    assert (heat.unit, heat.merged, len(heat.rows), heat.cut) == ("word", False, 5, len(whole.rows) - 5)
    np.testing.assert_array_equal(heat.base, whole.base[:5])


def test_parts_that_were_taken_away_together_are_one_column_with_their_own_score() -> None:
    explanation = make_explanation(prompt=13, methods=("leave_one_out",))
    record = explanation.attributions["leave_one_out"]
    assert any(len(column) > 1 for column in record.columns)
    heat = view.prompt_heat(explanation, "leave_one_out", special="fold")
    assert [column.kind for column in heat.columns] == ["token"] * len(record.columns)
    assert tuple(column.members for column in heat.columns) == record.columns
    assert [column.label for column in heat.columns][-1] == "pump?"
    np.testing.assert_allclose(heat.tuned, record.tuned)
    folded = view.prompt_heat(explanation, "leave_one_out", top=2)
    np.testing.assert_allclose(folded.tuned.sum(1), record.tuned.sum(1))
    assert folded.columns[-1].label == f"other {len(record.columns) - 2}"


def test_columns_that_were_taken_away_in_any_order_stand_in_the_order_of_the_text() -> None:
    explanation = make_explanation(prompt=13, methods=("leave_one_out",))
    record = explanation.attributions["leave_one_out"]
    turned = with_attribution(
        explanation,
        "leave_one_out",
        columns=record.columns[::-1],
        base=record.base[:, ::-1],
        tuned=record.tuned[:, ::-1],
    )
    ours, theirs = (view.prompt_heat(e, "leave_one_out") for e in (explanation, turned))
    assert [c.label for c in ours.columns] == [c.label for c in theirs.columns]
    np.testing.assert_array_equal(ours.base, theirs.base)
    assert view.looked_at(explanation, "leave_one_out") == view.looked_at(turned, "leave_one_out")


def test_hidden_template_is_missing_and_its_share_is_known() -> None:
    explanation = make_explanation()
    record = explanation.attributions["input_x_gradient"]
    heat = view.prompt_heat(explanation, "input_x_gradient", special="hide")
    template = list(view.template_positions(explanation))
    assert not {i for column in heat.columns for i in column.members} & set(template)
    expected = np.abs(record.base[:, template]).sum() / np.abs(record.base).sum()
    assert heat.hidden is not None
    assert heat.hidden[0] == pytest.approx(expected)
    assert 0 < heat.hidden[0] != heat.hidden[1]
    assert view.prompt_heat(explanation, "input_x_gradient", special="fold").hidden is None
    assert explanation.attributions["input_x_gradient"] is record


def test_template_excluded_from_the_record_is_still_accounted_for() -> None:
    explanation = make_explanation()
    record = explanation.attributions["input_x_gradient"]
    kept = [i for i in range(len(record.columns)) if i not in view.template_positions(explanation)]
    short = with_attribution(
        explanation,
        "input_x_gradient",
        columns=tuple(record.columns[i] for i in kept),
        base=record.base[:, kept],
        tuned=record.tuned[:, kept],
        settings={"excluded_base": 0.25, "excluded_tuned": 0.5},
    )
    for special in ("show", "fold", "hide"):
        heat = view.prompt_heat(short, "input_x_gradient", special=special)  # type: ignore[arg-type]
        assert heat.hidden == (0.25, 0.5)
        assert {column.kind for column in heat.columns} == {"token", "answer"}


def test_what_has_the_template_alone_cannot_hide_it() -> None:
    explanation = make_explanation()
    record = explanation.attributions["input_x_gradient"]
    first = with_attribution(
        explanation, "input_x_gradient", columns=record.columns[:1], base=record.base[:, :1], tuned=record.tuned[:, :1]
    )
    with pytest.raises(InputError, match="special='show'"):
        view.prompt_heat(first, "input_x_gradient", special="hide")


def test_gap_is_the_rows_largest_and_its_change_is_what_it_should_sum_to() -> None:
    explanation = make_explanation(methods=("integrated_gradients",))
    record = explanation.attributions["integrated_gradients"]
    gap = np.zeros(len(record.rows))
    gap[3] = -0.5
    record = replace(record, gap_base=gap, gap_tuned=gap * 0)
    found = view.gaps(record)
    assert found is not None
    base, tuned = found
    assert base.largest == 0.5
    assert base.change == pytest.approx(abs(record.base[3].sum() + 0.5))
    assert (base.median, tuned.largest, tuned.missed) == (0.0, 0.0, 0)
    assert view.gaps(make_explanation().attributions["input_x_gradient"]) is None
    assert view.gap_note(make_explanation().attributions["input_x_gradient"]) == ""


@pytest.mark.parametrize(("gap", "said"), [(0.02, ""), (0.09, ""), (0.3, "not converged"), (-0.3, "not converged")])
def test_gaps_over_a_tenth_are_said_in_plain_words(gap: float, said: str) -> None:
    explanation = make_explanation(methods=("integrated_gradients", "relevance"), unit="answer", gap=gap)
    note = view.gap_note(explanation.attributions["integrated_gradients"])
    assert ("; not converged: over 10% in 1 of 1 row (base), 1 of 1 row (tuned)" in note) == bool(said)
    relevance = view.gap_note(explanation.attributions["relevance"])
    assert ("not conserved" in relevance) == bool(said)
    assert "not converged" not in relevance
    assert note.startswith("gap (largest row): base ")
    assert " nats, tuned " in note


def test_a_row_that_hardly_changes_is_measured_by_the_others() -> None:
    record = make_explanation(answer=2, methods=("integrated_gradients",)).attributions["integrated_gradients"]
    scores = np.zeros_like(record.base)
    scores[:, 0] = (10.0, 0.02)
    small = replace(record, base=scores, tuned=scores, gap_base=np.array([0.0, 0.01]), gap_tuned=np.array([0.0, 0.6]))
    found = view.gaps(small)
    assert found is not None
    assert [gap.missed for gap in found] == [0, 1]


def test_gap_of_a_record_without_its_template_takes_the_change_from_the_settings_or_says_nothing() -> None:
    record = make_explanation(methods=("integrated_gradients",), unit="answer", gap=0.5).attributions[
        "integrated_gradients"
    ]
    excluded = {"excluded_base": 0.5, "excluded_tuned": 0.5}
    silent = view.gaps(replace(record, settings=excluded))
    assert silent is not None
    assert (silent[0].change, silent[0].missed) == (None, None)
    assert " of " not in view.gap_line(silent[0], "logprob")
    known = {side: {"change": [-40.0]} for side in ("base", "tuned")}
    told = view.gaps(replace(record, settings={**excluded, **known}))
    assert told is not None
    assert told[0].change == 40.0


def test_gaps_have_the_targets_unit() -> None:
    gap = view.Gap(0.031, 7.94, 0.0, 0, 1)
    assert view.gap_line(gap, "logprob") == "0.031 of 7.9 nats"
    assert view.gap_line(gap, "probability") == "0.031 of 7.9"
    assert [view.number(x) for x in (4e-16, -0.5, 1234.5, 99.6)] == ["0", "−0.5", "1234", "100"]


def test_question_parts_are_looked_at_by_their_mean_over_rows() -> None:
    explanation = make_explanation(prompt=13, methods=("leave_one_out", "attention"), unit="word")
    record = explanation.attributions["leave_one_out"]
    (base, tuned) = view.looked_at(explanation, "leave_one_out", top=3)
    weights = np.abs(record.tuned).mean(0)
    assert [value for _, value in tuned] == pytest.approx(sorted(weights, reverse=True)[:3])
    assert len(base) == 3
    questions = {"How", "long", "is", "the", "warranty", "on", "pump", "?"}
    assert {label for label, _ in view.looked_at(explanation, "attention")[0]} <= questions


def test_template_share_is_none_where_a_method_leaves_the_template_alone() -> None:
    explanation = make_explanation(methods=("leave_one_out", "attention"))
    assert view.template_share(explanation, explanation.attributions["leave_one_out"]) is None
    share = view.template_share(explanation, explanation.attributions["attention"])
    assert share is not None
    assert 0 < share[0] < 1


def test_comparison_sums_signed_rows_and_averages_shares_over_tokens() -> None:
    explanation = make_explanation(prompt=13, methods=("attention", "input_x_gradient", "leave_one_out"), unit="word")
    found = view.comparison(explanation)
    groups = question_words(explanation.prompt_tokens, explanation.question)
    assert tuple(column.members for column in found.columns) == groups
    raw = []
    for method in found.methods:
        record = explanation.attributions[method]
        scores = np.stack([record.expanded(len(explanation.tokens))[1][:, list(group)].sum(1) for group in groups], 1)
        sizes = np.array([len(row) for row in record.rows])
        raw.append(sizes @ scores / sizes.sum() if method == "attention" else scores.sum(0))
    for ours, theirs in zip(found.tuned, raw, strict=True):
        np.testing.assert_allclose(ours, theirs / np.abs(theirs).max())
    assert np.abs(found.base).max(1) == pytest.approx(1)


def test_comparison_is_the_same_for_tokens_and_words_where_rows_add_up() -> None:
    tokens = make_explanation(answer=22, methods=("input_x_gradient",))
    record = tokens.attributions["input_x_gradient"]
    merged = view.prompt_heat(tokens, "input_x_gradient", max_rows=17)
    assert merged.unit == "word"
    rows = [list(row.members) for row in merged.rows]
    joined = with_attribution(
        tokens,
        "input_x_gradient",
        rows=tuple(tuple(row) for row in rows),
        base=np.stack([record.base[row].sum(0) for row in rows]),
        tuned=np.stack([record.tuned[row].sum(0) for row in rows]),
        value_base=np.array([record.value_base[row].sum() for row in rows]),
        value_tuned=np.array([record.value_tuned[row].sum() for row in rows]),
    )
    np.testing.assert_allclose(view.comparison(tokens).tuned, view.comparison(joined).tuned)


def test_agreement_is_spearmans_and_sizes_are_compared_where_one_method_has_no_sign() -> None:
    explanation = make_explanation(answer=2, prompt=9)
    groups = question_words(explanation.prompt_tokens, explanation.question)
    n = len(groups)
    rising = np.arange(1.0, n + 1)[None]
    records = {
        "input_x_gradient": only(explanation, "input_x_gradient", rising, rising, groups),
        "relevance": only(explanation, "relevance", -rising, rising[:, ::-1] ** 3, groups),
        "saliency": only(explanation, "saliency", rising**2, rising, groups),
        "attention": only(explanation, "attention", np.ones((1, n)), rising, groups),
    }
    found = view.comparison(replace(explanation, attributions=records))
    base, tuned = found.agreement_base, found.agreement_tuned
    assert base[0, 1] == pytest.approx(-1)
    assert base[0, 2] == pytest.approx(1)
    assert base[1, 2] == pytest.approx(1), "a size has no sign to disagree with"
    assert tuned[0, 1] == tuned[1, 2] == pytest.approx(-1)
    assert np.isnan(base[3]).all()
    np.testing.assert_allclose(tuned, tuned.T)
    assert found.ratio[2] == pytest.approx(1 / n)


def test_words_beyond_the_top_are_one_column_but_count_for_the_agreement() -> None:
    explanation = make_explanation(prompt=20, methods=("attention", "input_x_gradient", *PERTURBATION))
    whole, short = view.comparison(explanation), view.comparison(explanation, top=3)
    assert [column.kind for column in short.columns] == ["token"] * 3 + ["other"]
    np.testing.assert_allclose(short.tuned.sum(1), whole.tuned.sum(1))
    np.testing.assert_array_equal(short.agreement_base, whole.agreement_base)
    assert short.words == len(whole.columns)


def test_nothing_to_compare_is_refused() -> None:
    explanation = make_explanation()
    with pytest.raises(InputError, match="no method 'nope'"):
        view.comparison(explanation, ("nope",))
    with pytest.raises(InputError, match="none to compare"):
        view.comparison(explanation, ())
    with pytest.raises(InputError, match="top=0"):
        view.comparison(explanation, top=0)


def test_chance_correlation_is_the_published_critical_value() -> None:
    # Two-sided 5% points of r at 8 and 18 degrees of freedom.
    assert view.chance_correlation(10) == pytest.approx(0.632, abs=5e-4)
    assert view.chance_correlation(20) == pytest.approx(0.444, abs=5e-4)
    assert view.chance_correlation(4) is None


def test_a_part_that_reaches_into_the_question_is_no_template() -> None:
    explanation = make_explanation(methods=("leave_one_out",))
    first = view.template_positions(explanation)[1]
    record = explanation.attributions["leave_one_out"]
    wide = with_attribution(explanation, "leave_one_out", columns=((first, *record.columns[0]), *record.columns[1:]))
    heat = view.prompt_heat(wide, "leave_one_out", special="hide")
    assert heat.columns[0].label == "user↵ How"
    np.testing.assert_allclose(heat.base, record.base)
    assert heat.hidden is None
