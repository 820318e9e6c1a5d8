"""Figures: exact widths, equal bytes, honest scales, every label drawn and none over another."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from attrib.attribution import METHODS
from attrib.errors import InputError
from attrib.render import figures, view
from tests.make import ODD_TOKENS, make_explanation, swapped

ALL = tuple(METHODS)
SPECIALS: tuple[view.Special, view.Special] = ("fold", "hide")
LONG = ["4.1 " + "A very long title that goes on and on " * 4, "$\\foo$ _x_", "水の章"]


def texts(figure: Figure) -> list[Text]:
    return [text for text in figure.findobj(Text) if text.get_text() and text.get_visible()]


def panel(figure: Figure, i: int) -> np.ndarray:
    """The numbers drawn in panel ``i``, [row, column]."""
    axes = figure.axes[i]
    return np.concatenate(
        [np.asarray(mesh.get_array()) for mesh in axes.collections if hasattr(mesh, "get_coordinates")], 1
    )


def check_texts(figure: Figure) -> None:
    """At least 6 pt, inside the figure, none over another, and the figure fits a page."""
    with figures.style():
        figure.draw_without_rendering()
    found = texts(figure)
    boxes = [text.get_window_extent() for text in found]
    width, height = figure.bbox.size
    assert min(text.get_fontsize() for text in found) >= 6
    for text, box in zip(found, boxes, strict=True):
        assert min(box.x0, box.y0) >= -0.5, text
        assert box.x1 <= width + 0.5, text
        assert box.y1 <= height + 0.5, text
    dot = figure.dpi / 72  # a point: text boxes hold some empty space above and below the letters
    for i, box in enumerate(boxes):
        for j in range(i):
            apart = min(box.x1, boxes[j].x1) - max(box.x0, boxes[j].x0) < dot or (
                min(box.y1, boxes[j].y1) - max(box.y0, boxes[j].y0) < dot
            )
            assert apart, (found[i].get_text(), found[j].get_text())
    assert height <= 9 * figure.dpi


@pytest.mark.parametrize("preset", figures.PRESETS)
def test_pdf_is_exactly_as_wide_as_the_column(preset: str, tmp_path: Path) -> None:
    explanation = make_explanation(answer=4, sections=6)
    figure = figures.section_heatmap(explanation, preset=preset, top=4)
    (file,) = figures.save(figure, explanation, tmp_path / "new" / "figure", formats=["pdf"])
    box = re.search(rb"/MediaBox \[ ?([\d. ]+)\]", file.read_bytes())
    assert box is not None
    assert float(box[1].split()[2]) == pytest.approx(72 * figures.PRESETS[preset], abs=0.01)


def test_redrawing_gives_the_same_bytes_and_another_record_others(tmp_path: Path) -> None:
    def files(name: str, seed: int) -> list[bytes]:
        explanation = make_explanation(seed, answer=4, sections=6)
        figure = figures.section_heatmap(explanation)
        return [file.read_bytes() for file in figures.save(figure, explanation, tmp_path / name)]

    first = files("a", 0)
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "red", "savefig.dpi": 10}):
        again = files("b", 0)
    assert len(first) == 3
    assert first == again
    assert all(one != other for one, other in zip(first, files("c", 1), strict=True))


def test_callers_settings_are_left_alone() -> None:
    names = [name for name in matplotlib.rcParams if name != "backend"]  # reading the backend would choose one
    before = [matplotlib.rcParams[name] for name in names]
    figures.section_heatmap(make_explanation())
    assert [matplotlib.rcParams[name] for name in names] == before


def test_pyplot_is_never_imported() -> None:
    program = (
        "import sys; from attrib.render import figures; from tests.make import make_explanation as make;"
        "assert 'matplotlib' not in sys.modules; figures.section_heatmap(make());"
        "assert 'matplotlib' in sys.modules; assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=Path(__file__).parents[2])


def test_pdf_embeds_truetype_and_provenance(tmp_path: Path) -> None:
    explanation = make_explanation(answer_texts=ODD_TOKENS, sections=6, titles=LONG)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        files = figures.save(figures.section_heatmap(explanation), explanation, tmp_path / "odd")
    data = files[0].read_bytes()
    assert b"/Type3" not in data
    assert b"/TrueType" in data or b"/CIDFontType2" in data
    assert b"000000000000" in data
    assert b"000000000000" in files[1].read_bytes()
    assert b"CreationDate" not in data


def test_difference_panel_is_antisymmetric_and_base_and_tuned_share_their_scale() -> None:
    explanation = make_explanation()
    for draw in (figures.section_heatmap, figures.prompt_heatmap):
        ours, theirs = draw(explanation), draw(swapped(explanation))
        np.testing.assert_allclose(panel(ours, 2), -panel(theirs, 2))
        np.testing.assert_allclose(panel(ours, 0), panel(theirs, 1))
        a, b, c = (figure_axes.collections[0].norm for figure_axes in ours.axes[:3])
        assert (a.vmin, a.vmax) == (b.vmin, b.vmax)
        assert c.vmin == -c.vmax != 0
        assert (a.vmin == -a.vmax) is (draw is figures.prompt_heatmap)


def test_every_odd_label_is_drawn_as_it_is() -> None:
    explanation = make_explanation(answer_texts=ODD_TOKENS, sections=5, titles=LONG)
    drawn = {text.get_text() for text in texts(figures.section_heatmap(explanation, preset="icml-double"))}
    assert {row.label for row in view.answer_rows(explanation)} - {"␠"} <= drawn
    assert "␣" in drawn  # the font has no ␠
    assert "$\\foo$ _x_" in drawn
    assert LONG[0] not in drawn
    assert any(text.startswith("4.1 A very") and text.endswith("…") for text in drawn)


@pytest.mark.parametrize(
    ("preset", "answer", "sections", "top"),
    [
        ("neurips-double", 6, 5, 12),
        ("nature-double", 40, 120, 12),
        ("acl-single", 40, 120, 8),
        ("icml-single", 90, 20, 5),
    ],
)
def test_no_text_is_small_outside_or_over_another(preset: str, answer: int, sections: int, top: int) -> None:
    explanation = make_explanation(answer=answer, sections=sections, titles=LONG)
    figure = figures.section_heatmap(explanation, preset=preset, top=top)
    check_texts(figure)


def test_long_answers_say_how_many_words_were_cut() -> None:
    explanation = make_explanation(answer=200)
    long = {text.get_text() for text in texts(figures.section_heatmap(explanation))}
    short = {text.get_text() for text in texts(figures.section_heatmap(make_explanation(answer=8)))}
    assert any(re.fullmatch(r"… \d+ more words", text) for text in long)
    assert not any("more words" in text for text in short)
    assert re.search(r"the last \d+ words not drawn", figures.caption(explanation, "hidden"))


def test_marks_stand_exactly_where_q_is_small() -> None:
    explanation = make_explanation()
    heat = view.section_heat(explanation, "hidden")
    figure = figures.section_heatmap(explanation)
    counts = [
        sum(len(c.get_offsets()) for c in axes.collections if not hasattr(c, "get_coordinates"))
        for axes in figure.axes[:3]
    ]
    assert counts == [heat.base_marks.sum(), heat.tuned_marks.sum(), 0]


def test_own_axes_are_drawn_in_and_their_figure_returned() -> None:
    mine = Figure(figsize=(9, 4))
    axes = list(mine.subplots(1, 3))
    assert figures.section_heatmap(make_explanation(), axs=axes) is mine
    with pytest.raises(InputError, match="2 axes"):
        figures.section_heatmap(make_explanation(), axs=axes[:2])


def test_captions_say_what_applies_and_nothing_else() -> None:
    explanation = make_explanation(sections=20)
    hidden, attention = figures.caption(explanation, "hidden"), figures.caption(explanation, "attention")
    assert "of 20 scored sections the 12 first in the verdict's order, drawn in document order" in hidden
    assert "(c), other and control: difference of the two models' bests" in hidden
    assert "(c), control:" in figures.caption(explanation, "hidden", top=20)
    assert "two models' bests" not in figures.caption(explanation, "bm25")
    assert "Similarity is not influence" in hidden
    assert "q < 0.05" in hidden
    assert "Attention is not cause" in attention
    assert "influence" not in attention
    assert "q <" not in attention
    assert "the same under base and tuned, since the score reads the text alone" in figures.caption(explanation, "bm25")
    assert "base and tuned are the same" not in hidden
    assert "\n" not in hidden + attention


def test_a_caption_speaks_of_dots_only_where_there_are_dots() -> None:
    explanation = make_explanation()
    hidden = explanation.mappings["hidden"]
    sides = {
        name: replace(side, q=np.ones_like(side.q)) for name, side in (("base", hidden.base), ("tuned", hidden.tuned))
    }
    unmarked = replace(explanation, mappings={"hidden": replace(hidden, **sides)})
    assert "•" in figures.caption(explanation, "hidden")
    assert "•" not in figures.caption(unmarked, "hidden")


@pytest.mark.parametrize("preset", figures.PRESETS)
def test_a_heatmap_has_as_many_sections_as_the_preset_has_room_for(preset: str) -> None:
    explanation = make_explanation(sections=30, documents=9)
    figure = figures.section_heatmap(explanation, preset=preset)
    assert figure.get_size_inches()[0] == figures.PRESETS[preset]
    check_texts(figure)
    shown = {row["column"] for row in figures.section_numbers(explanation, preset=preset) if row["kind"] == "section"}
    assert f"the {len(shown)} first in" in figures.caption(explanation, "hidden", preset=preset)
    if len(shown) == 12:
        return
    assert len(shown) >= 6
    with pytest.raises(InputError, match="smaller top"):
        figures.section_heatmap(explanation, preset=preset, top=len(shown) + 1)


def test_what_cannot_be_drawn_or_written_is_refused_in_one_line(tmp_path: Path) -> None:
    explanation = make_explanation(sections=80)
    with pytest.raises(InputError, match="smaller top"):
        figures.section_heatmap(explanation, preset="acl-single", top=60)
    with pytest.raises(InputError, match="no preset 'a4'"):
        figures.section_heatmap(explanation, preset="a4")
    figure = figures.section_heatmap(explanation)
    with pytest.raises(InputError, match="gif"):
        figures.save(figure, explanation, tmp_path / "x", formats=["gif"])
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(InputError, match="cannot be written") as refused:
        figures.save(figure, explanation, tmp_path / "file" / "x", formats=["png"])
    assert "\n" not in str(refused.value)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="the superuser may write everywhere")
def test_read_only_folder_is_refused_in_one_line(tmp_path: Path) -> None:
    explanation = make_explanation()
    figure = figures.section_heatmap(explanation)
    tmp_path.chmod(0o500)
    with pytest.raises(InputError, match="cannot be written"):
        figures.save(figure, explanation, tmp_path / "x", formats=["png"])


def test_failed_write_leaves_the_old_file_and_no_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    explanation = make_explanation()
    figure = figures.section_heatmap(explanation)
    (file,) = figures.save(figure, explanation, tmp_path / "x.png", formats=["png"])
    assert file.name == "x.png"
    before = file.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(InputError, match="No space left"):
        figures.save(figure, make_explanation(1), tmp_path / "x.png", formats=["png"])
    assert file.read_bytes() == before
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("preset", ["acl-single", "nature-double"])
@pytest.mark.parametrize(
    ("method", "unit", "answer", "prompt", "special"),
    [
        ("integrated_gradients", "word", 11, 13, "fold"),
        ("integrated_gradients", "token", 90, 13, "show"),
        ("attention_x_gradient", "answer", 11, 60, "fold"),
        ("shapley", "answer", 11, 60, "hide"),
        ("relevance", "sentence", 33, 13, "hide"),
        ("leave_one_out", "token", 40, 13, "fold"),
        ("saliency", ((0, 1), (3, 6)), 8, 40, "show"),
    ],
)
def test_no_text_of_a_prompt_heatmap_is_small_outside_or_over_another(
    preset: str, method: str, unit: Any, answer: int, prompt: int, special: view.Special
) -> None:
    explanation = make_explanation(
        answer=answer, prompt=prompt, methods=(method,), unit=unit, gap=0.4, target="logprob_difference"
    )
    figure = figures.prompt_heatmap(explanation, method, preset=preset, special=special)
    assert figure.get_size_inches()[0] == figures.PRESETS[preset]
    check_texts(figure)


@pytest.mark.parametrize("preset", ["acl-single", "neurips-double", "nature-double"])
@pytest.mark.parametrize(
    ("methods", "prompt", "side"),
    [
        (ALL, 13, "both"),
        (ALL, 60, "both"),
        (ALL, 13, "tuned"),
        (("attention", "shapley"), 5, "both"),
        (("attention", "saliency", "input_x_gradient", "relevance"), 25, "both"),
        (("relevance",), 60, "base"),
    ],
)
def test_no_text_of_a_comparison_is_small_outside_or_over_another(
    preset: str, methods: tuple[str, ...], prompt: int, side: view.Side
) -> None:
    explanation = make_explanation(prompt=prompt, methods=methods, unit="word", gap=0.4)
    figure = figures.method_comparison(explanation, methods, side, preset=preset)
    assert figure.get_size_inches()[0] == figures.PRESETS[preset]
    check_texts(figure)


def test_comparison_draws_what_the_view_says_and_the_matrix_has_base_below_and_tuned_above() -> None:
    explanation = make_explanation(prompt=13, methods=ALL, unit="word")
    found = view.comparison(explanation)
    figure = figures.method_comparison(explanation)
    np.testing.assert_allclose(panel(figure, 0), found.base)
    np.testing.assert_allclose(panel(figure, 1), found.tuned)
    matrix = np.asarray(panel(figure, 2))
    below, above = np.tril_indices(len(ALL), -1), np.triu_indices(len(ALL), 1)
    np.testing.assert_allclose(matrix[below], found.agreement_base[below])
    np.testing.assert_allclose(matrix[above], found.agreement_tuned[above])
    assert not np.allclose(found.agreement_base, found.agreement_tuned)
    one = figures.method_comparison(explanation, side="tuned")
    np.testing.assert_allclose(panel(one, 0), found.tuned)
    np.testing.assert_allclose(np.asarray(panel(one, 1))[below], found.agreement_tuned[below])


def test_comparison_gives_the_same_bytes_again(tmp_path: Path) -> None:
    def files(name: str) -> list[bytes]:
        explanation = make_explanation(prompt=13, methods=ALL, unit="word", gap=0.4)
        figure = figures.method_comparison(explanation)
        return [file.read_bytes() for file in figures.save(figure, explanation, tmp_path / name)]

    assert files("a") == files("b")


def test_comparison_marks_methods_that_miss_their_sum_and_its_caption_says_by_how_much() -> None:
    def drawn(gap: float) -> tuple[set[str], str]:
        explanation = make_explanation(prompt=13, methods=("attention", "integrated_gradients"), unit="word", gap=gap)
        names = {text.get_text() for text in texts(figures.method_comparison(explanation))}
        return names, figures.comparison_caption(explanation)

    names, said = drawn(0.4)
    assert {"integrated gradients †", "attention"} <= names
    assert "not converged" in said
    assert "†" in said
    names, said = drawn(0.01)
    assert "integrated gradients" in names
    assert "integrated gradients: gap (largest row): base" in said
    assert "†" not in said + "".join(names)
    assert "\n" not in said


def test_comparison_of_more_methods_than_fit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(figures.PRESETS, "tiny", 2.0)
    explanation = make_explanation(methods=ALL)
    with pytest.raises(InputError, match="17 methods cannot be labelled"):
        figures.method_comparison(explanation, preset="tiny")
    with pytest.raises(InputError, match="no preset"):
        figures.method_comparison(explanation, preset="a4")


def test_gap_stands_at_the_foot_and_in_the_caption_of_methods_that_promise_a_sum() -> None:
    explanation = make_explanation(methods=("integrated_gradients", "input_x_gradient"), gap=0.4)
    note = view.gap_note(explanation.attributions["integrated_gradients"])

    def foot(method: str) -> str:
        drawn = [text.get_text() for text in texts(figures.prompt_heatmap(explanation, method, preset="acl-single"))]
        return " ".join(text for text in drawn if text.startswith("gap"))

    assert " ".join(foot("integrated_gradients").split()) == note.replace("; ", " ")
    assert foot("input_x_gradient") == ""
    said = figures.caption(explanation, "integrated_gradients")
    assert "Not converged: over 10%" in said
    assert "Gap between a row's summed scores" in said
    assert "Gap" not in figures.caption(explanation, "input_x_gradient")
    small = make_explanation(methods=("integrated_gradients",), gap=0.01)
    assert "onverged" not in figures.caption(small, "integrated_gradients")
    assert "Gap between" in figures.caption(small, "integrated_gradients")


def test_hiding_the_template_is_said_with_its_share_and_changes_no_other_cell() -> None:
    explanation = make_explanation()
    share = view.template_share(explanation, explanation.attributions["attention"])
    assert share is not None
    said = figures.caption(explanation, "attention", special="hide")
    assert f"which has {share[0]:.0%} (base) and {share[1]:.0%} (tuned) of all |score|" in said
    assert "Not drawn" not in figures.caption(explanation, "attention")
    folded, hidden = (figures.prompt_heatmap(explanation, "attention", special=special) for special in SPECIALS)
    np.testing.assert_allclose(panel(folded, 0)[:, 1:], panel(hidden, 0))


def test_captions_say_how_rows_of_several_tokens_came_about() -> None:
    methods = ("attention", "input_x_gradient", "leave_one_out")
    words, tokens, long = (
        make_explanation(answer=answer, methods=methods, unit=unit)  # type: ignore[arg-type]
        for answer, unit in ((11, "word"), (11, "token"), (200, "token"))
    )
    assert "one row a word (for the sum of its tokens' log p)" in figures.caption(words, "input_x_gradient")
    assert "one row a word (the mean of its tokens)" in figures.caption(words, "attention")
    assert "one row a token." in figures.caption(tokens, "attention")
    assert "one row a word (the sum of its tokens), the last" in figures.caption(long, "input_x_gradient")
    assert "earlier answer tokens have no scores" in figures.caption(words, "leave_one_out")
    assert "the question's words" in figures.caption(make_explanation(prompt=13, methods=methods), "leave_one_out")


def test_target_is_named_on_the_colour_bar_and_in_the_caption() -> None:
    explanation = make_explanation(target="logprob_difference", methods=("input_x_gradient", "attention"))
    drawn = {text.get_text() for text in texts(figures.prompt_heatmap(explanation, "input_x_gradient"))}
    assert "input × gradient of log p − log p′" in drawn
    said = figures.caption(explanation, "input_x_gradient")
    assert "the row's log p − log p′" in said
    assert "the contrast answer's token" in said
    assert "contrast" not in figures.caption(explanation, "attention")


@pytest.mark.parametrize(("scale", "power"), [(1.0, ""), (3e-5, "10⁻"), (5e-3, "10⁻³"), (4e6, "10⁶")])
def test_small_and_large_scores_have_a_power_of_ten_beside_their_bar(scale: float, power: str) -> None:
    explanation = make_explanation(answer=8, methods=("input_x_gradient",))
    one = explanation.attributions["input_x_gradient"]
    largest = max(np.abs(one.base).max(), np.abs(one.tuned).max())
    changed = replace(one, base=one.base / largest * scale, tuned=one.tuned / largest * scale)
    small = replace(explanation, attributions={"input_x_gradient": changed})
    figure = figures.prompt_heatmap(small, "input_x_gradient", preset="acl-single", special="show")
    check_texts(figure)
    (said,) = [text.get_text() for text in texts(figure) if text.get_text().startswith("input × gradient of log p")]
    assert power in said
    assert ("×10" in said.replace(" ", "")) is bool(power)


def test_numbers_name_the_section_that_a_cell_is_of() -> None:
    explanation = make_explanation(sections=20)
    rows = figures.section_numbers(explanation)
    ids = {row["section"] for row in rows if row["kind"] == "section"}
    assert ids == {explanation.sections[int(i)].id for i in explanation.ranking[:12]}
    assert {row["section"] for row in rows if row["kind"] != "section"} == {None}
    assert {row["section"] for row in figures.prompt_numbers(explanation, "attention")} == {None}
