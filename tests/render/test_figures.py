"""Figures: exact widths, equal bytes, honest scales, every label drawn and none over another."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import warnings
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from attrib.errors import InputError
from attrib.render import figures, view
from tests.make import ODD_TOKENS, make_explanation, swapped

LONG = ["4.1 " + "A very long title that goes on and on " * 4, "$\\foo$ _x_", "水の章"]


def texts(figure: Figure) -> list[Text]:
    return [text for text in figure.findobj(Text) if text.get_text() and text.get_visible()]


def panel(figure: Figure, i: int) -> np.ndarray:
    """The numbers drawn in panel ``i``, [row, column]."""
    axes = figure.axes[i]
    return np.concatenate(
        [np.asarray(mesh.get_array()) for mesh in axes.collections if hasattr(mesh, "get_coordinates")], 1
    )


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
    with figures._style():
        figure.draw_without_rendering()
    found = texts(figure)
    boxes = [text.get_window_extent() for text in found]
    width, height = figure.bbox.size
    assert min(text.get_fontsize() for text in found) >= 6
    for text, box in zip(found, boxes, strict=True):
        assert box.x0 >= -0.5, text
        assert box.y0 >= -0.5, text
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
    assert "12 best of 20 scored sections" in hidden
    assert "Similarity is not influence" in hidden
    assert "q < 0.05" in hidden
    assert "Attention is not cause" in attention
    assert "influence" not in attention
    assert "q <" not in attention
    assert "base and tuned are the same" in figures.caption(explanation, "bm25")
    assert "base and tuned are the same" not in hidden
    assert "\n" not in hidden + attention


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
