"""Heads, strip and track: what is drawn is what the record says, and what cannot be drawn is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.collections import PolyCollection, QuadMesh
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from attrib.errors import InputError
from attrib.measures import bits
from attrib.records import CALLS, Explanation
from attrib.render import figures, view
from attrib.text.units import question_positions
from tests.make import ODD_TOKENS, make_explanation, swapped
from tests.make_heads import with_heads


@pytest.fixture(scope="module")
def explanation() -> Explanation:
    return with_heads(make_explanation(answer=8, sections=12))


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for ax in figure.axes for text in ax.texts]


# ------------------------------------------------------------------------------------------- parts


def test_words_of_answer_and_question_are_found_where_they_first_stand(explanation: Explanation) -> None:
    assert view.answer_part(explanation, "warranty on") == (1, 2)
    assert view.answer_part(explanation, "arra") == (1,)
    later = make_explanation(answer_texts=[" Kathe", " saw", " the", " heat"])
    assert view.answer_part(later, "the") == (2,)
    assert view.answer_part(later, "hea") == (3,)
    found = view.question_part(explanation, "the warranty")
    assert [explanation.prompt_tokens[i].text for i in found] == [" the", " warranty"]
    assert set(found) <= set(question_positions(explanation.prompt_tokens, explanation.question))
    # The template's own words are no part of the question.
    for wrong in ("assistant", "no such", "", "  "):
        with pytest.raises(InputError, match="copy it from"):
            view.question_part(explanation, wrong)


# ------------------------------------------------------------------------------------------- heads


def test_heads_show_the_share_of_attention_on_the_question(explanation: Explanation) -> None:
    found = view.head_map(explanation)
    question = question_positions(explanation.prompt_tokens, explanation.question)
    heads = explanation.tuned.heads
    assert heads is not None
    for layer, head in np.ndindex(4, 3):
        expected = np.mean([heads[layer, head, i, list(question)].sum() for i in range(8)])
        assert found.tuned[layer, head] == pytest.approx(expected)
    drawn = [mesh for ax in figures.head_heatmap(explanation).axes for mesh in ax.collections]
    meshes = [mesh for mesh in drawn if isinstance(mesh, QuadMesh)][:3]
    np.testing.assert_allclose([m.get_array() for m in meshes], [found.base.T, found.tuned.T, found.difference.T])
    a, b, c = (mesh.norm for mesh in meshes)
    assert (a.vmin, a.vmax) == (b.vmin, b.vmax) == (0, max(found.base.max(), found.tuned.max()))
    assert c.vmin == -c.vmax != 0


def test_all_positions_before_a_token_take_all_of_its_attention(explanation: Explanation) -> None:
    every = range(len(explanation.prompt_tokens))
    np.testing.assert_allclose(view.head_map(explanation, (0,), every).base, 1.0)
    one, two = (view.head_map(explanation, (3,), part).base for part in ((1, 2), (5,)))
    np.testing.assert_allclose(one + two, view.head_map(explanation, (3,), (1, 2, 5)).base)


def test_heads_of_swapped_models_change_sign_and_the_largest_changes_are_framed_and_named(
    explanation: Explanation,
) -> None:
    found, other = view.head_map(explanation), view.head_map(swapped(explanation))
    np.testing.assert_allclose(found.difference, -other.difference)
    layer, head = found.changed[0]
    assert abs(found.difference[layer, head]) == np.abs(found.difference).max()
    frames = [p for p in figures.head_heatmap(explanation).axes[2].patches if isinstance(p, Rectangle)]
    assert {(p.get_x(), p.get_y()) for p in frames} == set(found.changed)
    shares = f"({found.base[layer, head]:.2f} → {found.tuned[layer, head]:.2f})"
    assert f"layer {layer} head {head} {shares}" in figures.head_caption(explanation)
    same = replace(explanation, tuned=explanation.base)
    assert view.head_map(same).changed == ()
    assert "largest changes" not in figures.head_caption(same)


def test_heads_that_are_not_there_are_refused_with_the_mend(explanation: Explanation) -> None:
    with pytest.raises(InputError, match=r"explain again with -o explain\.heads=true"):
        figures.head_heatmap(make_explanation())
    for tokens, positions in (((99,), None), ((), None), (None, (-1,)), (None, ())):
        with pytest.raises(InputError, match="name some from 0"):
            view.head_map(explanation, tokens, positions)
    fewer = replace(explanation, tuned=with_heads(explanation, 4, 2).tuned)
    with pytest.raises(InputError, match="different heads"):
        view.head_map(fewer)


# ------------------------------------------------------------------------------------------- strip


def test_every_token_stands_on_the_strip_with_its_verdict_and_gain() -> None:
    explanation = make_explanation(answer=30)
    figure = figures.answer_strip(explanation, preset="acl-single")
    (ax,) = figure.axes
    said = "".join(text.get_text() for text in ax.texts if text.get_fontsize() == 7)
    assert said.replace(" ", "") == explanation.answer.replace(" ", "")
    assert "cannot tell" in view.token_calls(explanation)
    key = len(CALLS)
    tints = [p for p in ax.patches if isinstance(p, Rectangle) and p.get_alpha() is not None][key:]
    assert len(tints) == 30
    colours = [figures.COLOURS[label] for label in view.token_calls(explanation)]
    assert [matplotlib_hex(p) for p in tints] == [colour.lower() for colour in colours]
    bars = [p for p in ax.patches if isinstance(p, Rectangle) and p.get_alpha() is None][1:]
    gain = np.array([bits(float(value)) for value in explanation.verdict.gain])
    heights = np.array([p.get_height() for p in bars])
    np.testing.assert_allclose(heights / heights.max(), np.abs(gain) / np.abs(gain).max())
    # Downwards is more on this axis: what is gained stands above its line.
    zero = {round(p.get_y() + (p.get_height() if g > 0 else 0.0), 6) for p, g in zip(bars, gain, strict=True)}
    assert len(zero) == len({round(p.get_y(), 6) for p in tints})


def matplotlib_hex(patch: Rectangle) -> str:
    from matplotlib.colors import to_hex

    return str(to_hex(patch.get_facecolor()))


def test_verdicts_are_told_apart_without_colour() -> None:
    explanation = make_explanation(answer=30)
    (ax,) = figures.answer_strip(explanation).axes
    # The first four lines are the legend's.
    dashes = [line._unscaled_dash_pattern for line in ax.lines[: len(CALLS)]]
    assert len(set(map(str, dashes))) == len(CALLS)


def test_lines_break_between_words_and_after_a_line_end() -> None:
    explanation = make_explanation(answer_texts=["One", " li", "ne", "\n", "an", "other", " word"])
    figure = figures.answer_strip(explanation)
    places = {text.get_text(): round(text.get_position()[1], 4) for text in figure.axes[0].texts}
    assert places["One"] == places["ne"] == places["↵"] < places["an"] == places["other"]
    narrow = Figure(figsize=(0.9, 4))
    figures.answer_strip(explanation, ax=narrow.add_axes((0, 0, 1, 1)))
    places = {text.get_text(): round(text.get_position()[1], 4) for text in narrow.axes[0].texts}
    assert places["an"] == places["other"]


def test_odd_tokens_stand_on_the_strip_as_signs() -> None:
    figure = figures.answer_strip(make_explanation(answer_texts=ODD_TOKENS))
    drawn = {text.strip() for text in texts(figure)}
    assert {"$\\foo$", "_x_", "↵", "∅", "␣", "水", "🙂", "⇥", "[red]x[/red]", "%d{}"} <= drawn


def test_a_long_answer_is_cut_to_a_page_and_says_so() -> None:
    explanation = make_explanation(answer=2000)
    figure = figures.answer_strip(explanation, preset="acl-single")
    assert figure.get_size_inches()[1] <= 9
    (said,) = [text for text in texts(figure) if text.endswith("more tokens")]
    shown = sum(text.get_fontsize() == 7 for text in figure.axes[0].texts)
    assert said == f"… {2000 - shown:,} more tokens"
    assert f"The last {2000 - shown:,} of 2,000 tokens" in figures.strip_caption(explanation, preset="acl-single")
    assert len(figures.strip_numbers(explanation)) == 2000
    assert "not drawn" not in figures.strip_caption(make_explanation())


def test_what_the_other_model_said_stands_below(explanation: Explanation) -> None:
    def said(source: str, **changes: str) -> str:
        changed = replace(explanation, answer_source=source, **changes)  # type: ignore[arg-type]
        return " ".join(text for text in texts(figures.answer_strip(changed)) if "said" in text)

    assert said("tuned") == "base said: The warranty is twelve months."
    assert "tuned said: another" in said("base", tuned_answer="another")
    assert "base said:" not in said("base")
    assert "Below: what base answered by itself." in figures.strip_caption(explanation)
    given = replace(explanation, answer_source="given", tuned_answer="another")
    assert "Below: what base and tuned answered by themselves." in figures.strip_caption(given)
    assert view.headline(given).words in figures.strip_caption(given)
    both = said("given", tuned_answer="another")
    assert "base said: The" in both
    assert "tuned said: another" in both
    assert said("tuned", base_answer="\n") == "base said nothing"


def test_an_empty_answer_and_axes_too_narrow_are_refused() -> None:
    with pytest.raises(InputError, match="no tokens"):
        figures.answer_strip(make_explanation(answer_texts=[], mappers=(), methods=()))
    with pytest.raises(InputError, match="wider axes"):
        figures.answer_strip(make_explanation(), ax=Figure(figsize=(0.5, 2)).add_axes((0, 0, 1, 1)))


# ------------------------------------------------------------------------------------------- track


def boxes(figure: Figure, panel: int) -> list[np.ndarray]:
    (found,) = [c for c in figure.axes[panel].collections if isinstance(c, PolyCollection)]
    return [path.vertices for path in found.get_paths()]


def test_sections_stand_in_order_as_wide_as_their_text_and_as_high_as_their_score(explanation: Explanation) -> None:
    figure = figures.section_track(explanation, "hidden")
    mapping = explanation.mappings["hidden"]
    for panel, side in enumerate((mapping.base, mapping.tuned)):
        found = boxes(figure, panel)
        assert [v[:, 1].max() for v in found] == pytest.approx(list(side.whole))
        assert [np.ptp(v[:, 0]) for v in found] == pytest.approx([len(s.full_text) for s in explanation.sections])
        starts = [v[:, 0].min() for v in found]
        assert starts == sorted(starts)
        dashes = [line for line in figure.axes[panel].lines if len(line.get_xdata()) == 2]
        assert side.control_whole.max() in [line.get_ydata()[0] for line in dashes]
    assert figure.axes[0].get_ylim() == figure.axes[1].get_ylim()
    assert figure.axes[0].get_xlim() == figure.axes[1].get_xlim()


def test_a_track_of_one_document_and_one_token_has_their_scores_alone(explanation: Explanation) -> None:
    found = view.track(explanation, "hidden", document="manual-2.md", tokens=(2, 3))
    own = [i for i, section in enumerate(explanation.sections) if section.document == "manual-2.md"]
    assert found.sections == tuple(own)
    side = explanation.mappings["hidden"].tuned
    np.testing.assert_allclose(found.tuned.scores, side.tokens[[2, 3]][:, own].max(0))
    np.testing.assert_allclose(found.tuned.control, side.control[[2, 3]].max(0))
    assert found.tuned.marks.tolist() == (side.q[[2, 3]][:, own] < view.SIGNIFICANT).any(0).tolist()
    assert found.best(1) == (int(found.tuned.scores.argmax()),)
    added = view.track(explanation, "bm25", tokens=(2, 3))
    np.testing.assert_allclose(added.tuned.scores, explanation.mappings["bm25"].tuned.tokens[[2, 3]].sum(0))


def test_learned_sections_are_told_apart_and_boundaries_stand_between_documents(explanation: Explanation) -> None:
    figure = figures.section_track(explanation, "hidden")
    (drawn,) = [c for c in figure.axes[0].collections if isinstance(c, PolyCollection)]
    learned = explanation.verdict.learned >= view.LEARNED
    colours = drawn.get_facecolor()
    assert len({tuple(c) for c in colours[learned]}) == len({tuple(c) for c in colours[~learned]}) == 1
    assert tuple(colours[learned][0]) != tuple(colours[~learned][0])
    edges = view.track(explanation, "hidden").edges
    upright = {line.get_xdata()[0] for line in figure.axes[0].lines if len(set(line.get_xdata())) == 1}
    assert upright == {edges[4], edges[8]}


def test_the_best_sections_are_numbered_and_named(explanation: Explanation) -> None:
    figure = figures.section_track(explanation, "hidden", top=3)
    drawn = texts(figure)
    assert {"1", "2", "3"} <= set(drawn)
    assert "4" not in drawn
    best = int(explanation.mappings["hidden"].tuned.whole.argmax())
    assert any(text.startswith(f"1 {view.section_label(explanation.sections[best])}") for text in drawn)


def test_a_record_without_control_draws_no_band_and_speaks_of_none() -> None:
    explanation = make_explanation(controls=0, sections=5)
    figure = figures.section_track(explanation, "hidden")
    legend = figure.axes[0].get_legend()
    assert legend is not None
    assert not any("control" in text.get_text() for text in legend.get_texts())
    said = figures.track_caption(explanation, "hidden")
    assert "Control:" not in said
    assert "Control: 6 texts" in figures.track_caption(make_explanation(), "hidden")


def test_captions_say_what_is_missing_and_what_a_score_is_not(explanation: Explanation) -> None:
    said = figures.track_caption(replace(explanation, sections_total=100), "hidden")
    assert "Of 100 sections 12 were scored" in said
    assert "Similarity is not influence" in said
    assert "were scored" not in figures.track_caption(explanation, "hidden")
    assert "•: some answer token has q < 0.05" in said
    hidden = explanation.mappings["hidden"]
    none = replace(
        hidden, base=replace(hidden.base, q=np.ones((8, 12))), tuned=replace(hidden.tuned, q=np.ones((8, 12)))
    )  # fmt: skip
    unmarked = figures.track_caption(replace(explanation, mappings={"hidden": none}), "hidden")
    assert "•" not in unmarked
    assert "No dots: 40 of the 96 pairs of answer token and section must beat every control score" in unmarked
    assert "base and tuned are the same" in figures.track_caption(explanation, "bm25")


def test_a_track_without_dots_says_whether_there_could_have_been_any() -> None:
    def said(controls: int, answer: int = 4) -> str:
        explanation = make_explanation(answer=answer, sections=4, controls=controls)
        hidden = explanation.mappings["hidden"]
        sides = (replace(side, q=np.ones_like(side.q)) for side in (hidden.base, hidden.tuned))
        none = replace(hidden, **dict(zip(("base", "tuned"), sides, strict=True)))
        return figures.track_caption(replace(explanation, mappings={"hidden": none}), "hidden")

    assert "No answer token has for any section q < 0.05" in said(100)
    assert "No dots: 4 of the 16 pairs" in said(20)
    assert "So few control texts cannot give q < 0.05" in said(1)
    assert "q <" not in said(100, answer=0)


def test_what_the_record_lacks_is_refused(explanation: Explanation) -> None:
    with pytest.raises(InputError, match=r"there are manual-1\.md, manual-2\.md"):
        figures.section_track(explanation, document="other.md")
    with pytest.raises(InputError, match="no mapper 'influence'"):
        figures.section_track(explanation, "influence")
    with pytest.raises(InputError, match="--mappers"):
        figures.section_track(make_explanation(mappers=()))
    with pytest.raises(InputError, match="top=0"):
        figures.section_track(explanation, top=0)
    with pytest.raises(InputError, match="no preset"):
        figures.section_track(explanation, preset="wall")


def test_five_thousand_sections_are_drawn_in_a_second_or_so() -> None:
    import time

    explanation = make_explanation(answer=2, sections=5000, documents=40)
    start = time.process_time()
    figure = figures.section_track(explanation, "hidden")
    data = figures.to_bytes(figure, "pdf", figures.plain_metadata("x", "pdf"))
    assert time.process_time() - start < 15
    assert len(data) < 3_000_000


# ------------------------------------------------------------------------------------------- the caller's axes


def test_every_figure_draws_in_the_callers_axes_and_returns_their_figure(explanation: Explanation) -> None:
    mine = Figure(figsize=(14, 12))
    grid = mine.subplots(4, 3)
    assert figures.head_heatmap(explanation, axs=list(grid[0])) is mine
    assert figures.answer_strip(explanation, ax=grid[1, 0]) is mine
    assert figures.section_track(explanation, "hidden", axs=[grid[2, 0], grid[3, 0]]) is mine
    assert figures.method_comparison(explanation, axs=[grid[2, 1], grid[2, 2], grid[3, 1]]) is mine
    assert all(ax.collections or ax.texts for ax in (*grid[0], grid[1, 0], *grid[2], grid[3, 0], grid[3, 1]))
    for draw in (figures.head_heatmap, figures.method_comparison, figures.section_heatmap, figures.prompt_heatmap):
        with pytest.raises(InputError, match="axs has 1 axes; this figure needs 3"):
            draw(explanation, axs=[grid[3, 2]])
    with pytest.raises(InputError, match="needs 2: base, tuned"):
        figures.section_track(explanation, axs=[grid[3, 2]])


@pytest.mark.parametrize("odd", [np.inf, -np.inf, np.nan])
def test_a_gain_without_a_number_does_not_keep_the_others_from_being_drawn(
    explanation: Explanation, odd: float
) -> None:
    gain = explanation.verdict.gain.copy()
    gain[0] = odd
    changed = replace(explanation, verdict=replace(explanation.verdict, gain=gain))
    for figure in (figures.answer_strip(changed), figures.section_heatmap(changed)):
        assert figures.to_bytes(figure, "pdf", figures.plain_metadata("x", "pdf"))
    assert figures.strip_caption(changed)


def test_each_texts_own_gain_is_drawn_in_its_group() -> None:
    explanation = replace(make_explanation(sections=9, controls=7), provenance={"held_out": ["000000000002"]})
    figure = figures.gain_histogram(explanation, preset="acl-single")
    (ax,) = figure.axes
    assert [text.get_text() for text in ax.texts] == [
        "control texts (7)",
        "held-out sections (1)",
        "trained sections (8)",
    ]
    rows = figures.gain_numbers(explanation)
    verdict = explanation.verdict
    for group, values in (("control texts", verdict.control_gain), ("held-out sections", verdict.section_gain[2:3])):
        own = [row["gain_bits"] for row in rows if row["group"] == group]
        assert own == pytest.approx([bits(float(value)) for value in values])
    # No bar outside its group's row, and all texts are in some bar.
    for row, count in enumerate((8, 1, 7)):
        bars = [p for p in ax.patches if isinstance(p, Rectangle) and p.get_y() == row]
        assert sum(p.get_height() > 0 for p in bars) <= count
        assert max(p.get_height() for p in bars) < 1
    said = figures.gain_caption(explanation)
    assert "need not have changed the answer" in said
    assert "held out of tuning" in figures.gain_caption(replace(explanation, provenance={}))
    with pytest.raises(InputError, match="no scored text"):
        figures.gain_histogram(make_explanation(sections=0, mappers=(), controls=0))
