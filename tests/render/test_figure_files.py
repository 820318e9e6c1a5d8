"""Every figure as a file: as wide as its column, TrueType inside, no small text, the same bytes again; its numbers."""

from __future__ import annotations

import csv
import io
import warnings
from collections.abc import Callable
from functools import cache

import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from pypdf import PdfReader

from attrib.records import Explanation
from attrib.render import drawing, figures
from attrib.render.drawing import Drawing
from tests.make import ODD_TOKENS, make_explanation
from tests.make_heads import with_heads
from tests.render import pdf

LONG = ["4.1 " + "A very long title that goes on and on " * 4, "$\\foo$ _x_", "水の章 🙂\nin two lines", ""]
METHODS = ("attention", "integrated_gradients", "leave_one_out")
MAKERS: dict[str, Callable[[Explanation, str], Drawing]] = {
    "sections": lambda e, preset: drawing.sections(e, "hidden", preset=preset, top=5),
    "prompt": lambda e, preset: drawing.prompt(e, "integrated_gradients", preset=preset),
    "comparison": lambda e, preset: drawing.comparison(e, preset=preset),
    "heads": lambda e, preset: drawing.heads(e, preset=preset),
    "one head": lambda e, preset: drawing.heads(e, (0,), (2,), preset=preset),
    "strip": lambda e, preset: drawing.strip(e, preset=preset),
    "track": lambda e, preset: drawing.track(e, "hidden", preset=preset),
    "one document": lambda e, preset: drawing.track(e, "bm25", document="manual-1.md", tokens=(0,), preset=preset),
}


@cache
def record(kind: str) -> Explanation:
    """One ordinary, one as small as can be, one with everything that broke drawings elsewhere."""
    if kind == "tiny":
        tiny = make_explanation(
            answer=1, prompt=5, sections=1, controls=0, documents=1, base_answer="", methods=METHODS, unit="word"
        )
        return with_heads(tiny, 1, 1)
    if kind == "hostile":
        odd = make_explanation(
            answer_texts=ODD_TOKENS, sections=9, titles=LONG, question="$\\foo$ _x_\n水 🙂 why", methods=METHODS,
            unit="word", gap=0.4, base_answer="\n".join(ODD_TOKENS) * 20,
        )  # fmt: skip
        return with_heads(odd, 40, 24)
    return with_heads(make_explanation(answer=40, sections=60, methods=METHODS, unit="word", documents=5), 30, 9)


def check(kind: str, of: str, preset: str) -> None:
    """All that a file must be."""
    explanation = record(of)

    def draw() -> tuple[Drawing, bytes]:
        drawing = MAKERS[kind](explanation, preset)
        data = figures.to_bytes(drawing.figure, "pdf", figures.record_metadata(explanation, "pdf"))
        return drawing, data

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        drawing, data = draw()
        assert draw()[1] == data
    facts = pdf.read(data)
    assert facts.pages == 1
    assert facts.width == pytest.approx(figures.PRESETS[preset], abs=1e-4)
    assert facts.fonts
    assert set(facts.fonts) == {"TrueType"}
    assert facts.sizes
    assert min(facts.sizes) >= 6 - 1e-6
    assert drawing.figure.get_size_inches()[1] <= 9
    inside(drawing.figure)
    assert "\n" not in drawing.caption


def inside(figure: Figure) -> None:
    """No text beyond the figure's edges, and none over another's letters."""
    with figures.style():
        figure.draw_without_rendering()
    # Ticks beyond an axis are kept and not drawn.
    beyond = {
        id(label)
        for ax in (*figure.axes, *(inset for ax in figure.axes for inset in ax.child_axes))
        for axis, (low, high) in ((ax.xaxis, sorted(ax.get_xlim())), (ax.yaxis, sorted(ax.get_ylim())))
        for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks())
        for label in (tick.label1, tick.label2)
        if not low - 1e-9 <= tick.get_loc() <= high + 1e-9
    }
    shown = [
        text
        for text in figure.findobj(Text)
        if text.get_text().strip() and text.get_visible() and id(text) not in beyond
    ]
    width, height = figure.bbox.size
    boxes = [text.get_window_extent() for text in shown]
    for text, box in zip(shown, boxes, strict=True):
        assert min(box.x0, box.y0) >= -0.6, text
        assert box.x1 <= width + 0.6, text
        assert box.y1 <= height + 0.6, text
    dot = figure.dpi / 72
    for i, one in enumerate(boxes):
        for j in range(i):
            across = min(one.x1, boxes[j].x1) - max(one.x0, boxes[j].x0)
            down = min(one.y1, boxes[j].y1) - max(one.y0, boxes[j].y0)
            # Boxes hold empty space above and below the letters.
            assert across < dot or down < 1.6 * dot, (shown[i].get_text(), shown[j].get_text())


@pytest.mark.parametrize(("of", "preset"), [("hostile", "acl-single"), ("tiny", "icml-single")])
@pytest.mark.parametrize("kind", MAKERS)
def test_a_figure_is_as_wide_as_its_column_with_truetype_and_no_small_text(kind: str, of: str, preset: str) -> None:
    check(kind, of, preset)


@pytest.mark.slow
@pytest.mark.parametrize("preset", figures.PRESETS)
@pytest.mark.parametrize("of", ["ordinary", "tiny", "hostile"])
@pytest.mark.parametrize("kind", MAKERS)
def test_every_figure_of_every_record_at_every_width(kind: str, of: str, preset: str) -> None:
    check(kind, of, preset)


def test_a_text_set_too_small_and_a_font_of_type_3_would_be_seen() -> None:
    import matplotlib

    def facts(size: float, kind: int) -> pdf.Facts:
        with matplotlib.rc_context({"pdf.fonttype": kind}):
            figure = Figure(figsize=(2, 1))
            figure.text(0.1, 0.5, "small", fontsize=size)
            buffer = io.BytesIO()
            figure.savefig(buffer, format="pdf")
        return pdf.read(buffer.getvalue())

    assert min(facts(5.5, 42).sizes) == pytest.approx(5.5)
    assert set(facts(7, 3).fonts) == {"/Type3"}


@pytest.mark.parametrize("kind", MAKERS)
def test_numbers_are_tidy_rows_that_come_back_from_the_csv(kind: str) -> None:
    drawing = MAKERS[kind](record("hostile"), "acl-double")
    files = figures.drawn("it", drawing.figure, drawing.caption, (), preset="acl-double", numbers=drawing.numbers)
    assert list(files) == ["it.csv", "it.caption.txt", "it.tex"]
    text = files["it.csv"].decode()
    # RFC 4180: every record ends with CRLF, line ends of texts stay as they are, inside quotes.
    assert text.endswith("\r\n")
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert len(rows) == len(drawing.numbers) > 0
    for row, told in zip(rows, drawing.numbers, strict=True):
        assert list(row) == list(told)
        for name, value in told.items():
            if isinstance(value, float):
                assert row[name] == "" if value != value else float(row[name]) == pytest.approx(value, rel=1e-7)
            else:
                assert row[name] == ("" if value is None else str(value))


def test_a_figure_is_written_in_each_format_with_caption_and_snippet_the_same_twice() -> None:
    explanation = record("ordinary")

    def made() -> dict[str, bytes]:
        strip = drawing.strip(explanation)
        return figures.drawn(
            "it", strip.figure, "What 水 is, 50% of it.", figures.FORMATS, preset="icml-double",
            metadata=lambda form: figures.record_metadata(explanation, form),
        )  # fmt: skip

    files = made()
    assert list(files) == ["it.pdf", "it.svg", "it.png", "it.caption.txt", "it.tex"]
    assert [files[f"it.{form}"][:4] for form in ("pdf", "png")] == [b"%PDF", b"\x89PNG"]
    assert b"<svg" in files["it.svg"]
    assert files["it.caption.txt"].decode() == "What 水 is, 50% of it.\n"
    assert b"50\\% of it" in files["it.tex"]
    assert b"width=6.75in]{it}" in files["it.tex"]
    assert made() == files
    told = PdfReader(io.BytesIO(files["it.pdf"])).metadata
    assert told is not None
    assert told["/Title"] == explanation.question
    assert "000000000000" in told["/Keywords"]
    assert "/CreationDate" not in told
