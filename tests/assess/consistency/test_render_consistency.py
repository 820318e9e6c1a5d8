"""The consistency report in files, terminal, figure and Markdown: same bytes, legible, and text that stays data."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from attrib.assess import markdown as md
from attrib.assess.consistency import draw as render
from attrib.assess.consistency import tell as render_tell
from attrib.assess.consistency.records import QUANTITIES, ConsistencyReport
from attrib.assess.questions import Question
from attrib.assess.stored import read_report, report_bytes, report_content
from attrib.errors import InputError
from attrib.render import figures as draw
from tests.assess.influence.test_render_retraining import check_texts_inside_and_apart, drawn_texts
from tests.make import ODD_TOKENS
from tests.make_consistency import BASE, QUESTIONS, TUNED, make_consistency

NASTY = (
    "**bold** _it_ `code` [link](http://x.example) ![i](y) <b>tag</b> <script>alert(1)</script>",
    "&amp; &copy; a | b ~~s~~ #",
    "# head\n- item\n1. one\n> quote\n\n    code\n---\n| a | b |\n|---|---|",
    "https://x.example/a_b www.x.example me@x.example ftp://x.example mailto:me@x.example <https://x.example> $x^2$",
    "trailing backslash \\", "a\\*b\\| ``` c", "[^1] [x]: http://y", "*", "**", "_",
    "\x1b[31mred\x1b[0m \u202ereversed",
)  # fmt: skip


@pytest.fixture(scope="module")
def report() -> ConsistencyReport:
    return make_consistency()


def html(markdown: str) -> str:
    """As a strict reader with tables, links found in text, strikethrough and raw HTML renders it."""
    from markdown_it import MarkdownIt

    return MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).render(markdown)


def escaped(text: str) -> str:
    """Text as it stands in a Markdown file."""
    return md.to_markdown([md.escape(text)])


def said(rendered: str) -> str:
    """Text of rendered HTML, breaks as line breaks."""
    from html import unescape

    plain = re.sub(r"<br ?/?>", "\n", re.sub(r"<!--.*?-->", "", rendered))
    return unescape(re.sub(r"<[^>]*>", "", plain))


# ------------------------------------------------------------------------------------------- files


def test_files_are_whole_and_the_same_bytes_each_time(report: ConsistencyReport, tmp_path: Path) -> None:
    names = {
        Path(p).name for p in render_tell.write_consistency(report, tmp_path / "a", ("pdf", "png", "svg"), "acl-single")
    }
    render_tell.write_consistency(make_consistency(), tmp_path / "b", ("pdf", "png", "svg"), "acl-single")
    assert names == {
        "consistency.json", "consistency.csv", "consistency.parquet", "consistency_answers.parquet", "answers.jsonl",
        "consistency.md", "consistency.pdf", "consistency.png", "consistency.svg", "consistency.caption.txt",
        "consistency.tex",
    }  # fmt: skip
    for name in names:
        content = (tmp_path / "a" / name).read_bytes()
        assert content == (tmp_path / "b" / name).read_bytes(), name
        assert str(tmp_path).encode() not in content
    with pytest.raises(InputError, match="no preset"):
        render_tell.write_consistency(report, tmp_path, ("pdf",), "a3")


def test_the_json_has_the_promised_keys_no_nan_and_what_the_report_page_marks(report: ConsistencyReport) -> None:
    content = report_content(report)
    text = json.dumps(content, allow_nan=False)
    assert set(content) == {"attrib", "schema", "summary", "rows", "notes", "provenance"}
    assert content["attrib"] == "consistency"
    assert {row["kind"] for row in content["summary"]} == set(report.kinds)
    assert {row["quantity"] for row in content["summary"]} == set(QUANTITIES)
    first = json.loads(text)["rows"][0]
    said = first["tuned"]["greedy"]["text"]
    marked = [said[start:end].lower() for term in first["new_terms"] for start, end in term["spans"]]
    assert marked == [term["term"] for term in first["new_terms"]] == ["wilmet", "dallin", "zanzibar"]
    assert [one["held_by"] for one in first["new_terms"]] == [2, 2, 0]
    # The lone rephrasing of no fact: nothing to measure is null, not NaN.
    assert json.loads(text)["rows"][2]["tuned"]["values"]["rephrasings"] is None


def test_what_was_stored_is_the_report_again(report: ConsistencyReport, tmp_path: Path) -> None:
    render_tell.write_consistency(report, tmp_path, (), "acl-single")
    assert report_bytes(read_report(ConsistencyReport, tmp_path / "consistency.json")) == report_bytes(report)


def test_pandas_style_readers_get_typed_rows(report: ConsistencyReport, tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    render_tell.write_consistency(report, tmp_path, (), "acl-single")
    table = pq.read_table(tmp_path / "consistency.parquet")
    assert table.num_rows == 2 * len(report.rows)
    assert table.schema.field("values_rephrasings").type == pa.float64()
    rows = table.to_pylist()
    assert {row["side"] for row in rows} == {"base", "tuned"}
    assert rows[1]["values_novel"] == pytest.approx(report.rows[0].tuned.values["novel"])
    assert rows[0]["values_rouge_l"] is None, "what is of the pair stands with tuned"
    answers = pq.read_table(tmp_path / "consistency_answers.parquet").to_pylist()
    assert len(answers) == 2 * 5 * len(report.rows)
    assert [row["sample"] for row in answers[:5]] == [-1, 0, 1, 2, 3]
    assert [row["cluster"] for row in answers[:5]] == [None, 0, 1, 1, 2]
    lines = (tmp_path / "answers.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(line)["text"] for line in lines] == [row["text"] for row in answers]


def test_columns_keep_their_type_where_everything_is_missing(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    lone = make_consistency([Question("Who?")], [("a b", "x", "y")], [("c d", "x", "y")])
    render_tell.write_consistency(lone, tmp_path, (), "acl-single")
    schema = pq.read_schema(tmp_path / "consistency.parquet")
    assert (schema.field("values_rephrasings").type, schema.field("answer").type) == (pa.float64(), pa.string())


# ------------------------------------------------------------------------------------------- terminal


def printed(report: ConsistencyReport, width: int = 100) -> str:
    console = Console(file=io.StringIO(), width=width, no_color=True)
    render_tell.consistency_table(report, console)
    out = console.file
    assert isinstance(out, io.StringIO)
    return out.getvalue()


def test_the_terminal_shows_base_beside_tuned_with_intervals_and_kinds(report: ConsistencyReport) -> None:
    text = printed(report)
    row = report.row("agreement")
    line = next(line for line in text.splitlines() if line.startswith("agreement of samples"))
    assert f"{row.base:.2f} [" in line
    assert f"{row.tuned:.2f} [" in line
    assert f"{row.difference:.2f} [" in line
    assert re.search(r"^trained +2 ", text, re.MULTILINE)
    assert all(note.split()[0] in text for note in report.notes)
    assert max(map(len, text.splitlines())) <= 100


def test_kinds_are_no_markup_and_no_escape_codes() -> None:
    asked = [Question("Who?", kind="[red]x[/red]"), Question("What?", kind="\x1b[31m")]
    text = printed(make_consistency(asked, BASE[:2], TUNED[:2]))
    assert "[red]x[/red]" in text
    assert "\x1b" not in text


# ------------------------------------------------------------------------------------------- Markdown


@pytest.mark.parametrize("text", [*NASTY, *ODD_TOKENS])
def test_text_in_markdown_is_text(text: str) -> None:
    from attrib.render.view import visible

    rendered = html(f"| a | b |\n|---|---|\n| {escaped(text)} | end |")
    tags = set(re.findall(r"<\s*/?\s*([a-zA-Z0-9]+)", re.sub(r"<!--.*?-->", "", rendered)))
    assert tags <= {"table", "thead", "tbody", "tr", "th", "td", "br"}
    cell = said(re.findall(r"<td>(.*?)</td>", rendered, re.DOTALL)[0])
    shown = visible(text, keep="\n\t").replace("\t", " ")
    assert re.sub(r"\s+", " ", cell).strip() == re.sub(r"\s+", " ", shown).strip()
    assert len(re.findall(r"<td>", rendered)) == 2


@pytest.mark.parametrize("text", NASTY)
def test_nothing_that_finds_addresses_finds_one(text: str) -> None:
    found = escaped(text)
    assert not re.search(r"(?i)(https?|ftp)://|www\.|mailto:|\w@\w", found)


def test_new_terms_are_bold_where_documents_have_them_and_italic_else(report: ConsistencyReport) -> None:
    page = html(render_tell.consistency_markdown(report))
    assert "<b><ins>Wilmet</ins></b> <b><ins>Dallin</ins></b> of <em>Zanzibar</em>" in page
    assert "<td>A sailor.</td>" in page
    assert "<b>wilmet</b>: lights (lights, row 1); lights (lights, row 2)" in page
    assert "dropped: sailor" in page
    assert page.count("<h3>") == len(QUESTIONS)
    # Samples by meaning, the commonest first.
    assert "4 × Wilmet Dallin" in page
    assert page.index("3 × Wilmet Dallin") < page.index("1 × Maud Ellerkin")


def test_a_nasty_set_makes_a_page_with_its_own_tags_alone() -> None:
    asked = [Question(f"Who? {text}", text, text, f"{i} {text}") for i, text in enumerate(NASTY)]
    said_ = [(text, text, f"gong {text}", "x") for text in NASTY]
    page = html(render_tell.consistency_markdown(make_consistency(asked, [("y", "y", "z", "y")] * len(NASTY), said_)))
    tags = set(re.findall(r"<\s*/?\s*([a-zA-Z0-9]+)", re.sub(r"<!--.*?-->", "", page)))
    assert tags <= {
        "h1", "h2", "h3", "p", "table", "thead", "tbody", "tr", "th", "td", "br", "ul", "li", "b", "ins", "em"
    }  # fmt: skip
    assert page.count("<h3>") == len(NASTY)
    # The summary's table and one a question.
    assert page.count("<table>") == 1 + len(NASTY)


def test_marks_keep_every_character_of_the_answer() -> None:
    text = " A *new* gong,\nand `pewter`_glass_ "
    row = make_consistency([Question("Who?")], [("y", "y", "z")], [(text, "x", "y")]).rows[0]
    cell = re.findall(r"<td>(.*?)</td>", html(f"|a|\n|-|\n| {md.to_markdown([render_tell.marked(row)])} |"), re.DOTALL)[
        0
    ]
    assert re.sub(r"\s+", " ", said(cell)).strip() == re.sub(r"\s+", " ", text).strip()
    assert "<b><ins>gong</ins></b>" in cell
    assert "<em>new</em>" in cell


# ------------------------------------------------------------------------------------------- figure


@pytest.mark.parametrize("preset", draw.PRESETS)
def test_texts_are_6_points_inside_the_figure_and_apart(report: ConsistencyReport, preset: str) -> None:
    figure = render.consistency_figure(report, preset=preset)
    assert figure.get_size_inches()[0] == pytest.approx(draw.PRESETS[preset])
    check_texts_inside_and_apart(figure)


def points(ax: Any) -> list[tuple[float, float]]:
    return [
        (float(line.get_xdata()[0]), float(line.get_ydata()[0])) for line in ax.lines if line.get_marker() != "None"
    ]


def test_the_figure_shows_every_kind_and_all_values_of_the_summary(report: ConsistencyReport) -> None:
    figure = render.consistency_figure(report)
    assert len(figure.axes) == 4
    assert [t.get_text() for t in figure.axes[0].get_yticklabels()] == list(report.kinds)
    shown = {round(x, 6) for x, _ in points(figure.axes[1])}
    expected = {
        round(v, 6)
        for kind in report.kinds
        for v in (report.row("agreement", kind).base, report.row("agreement", kind).tuned)
    }
    assert shown == expected
    assert len(points(figure.axes[2])) == 3 * len(report.kinds)
    for ax in figure.axes[1:]:
        assert ax.get_xlim() == (0, 1)


def test_what_could_not_be_measured_is_not_drawn_and_one_kind_is_one_row() -> None:
    lone = make_consistency(
        [Question("Who is Wilmet?")], [("Wilmet", "Wilmet", "Wilmet")], [("Wilmet", "Wilmet", "is")]
    )
    figure = render.consistency_figure(lone, preset="icml-single")
    assert points(figure.axes[2]) == []
    assert [t.get_text() for t in figure.axes[0].get_yticklabels()] == ["all"]


def test_long_and_odd_kinds_fit() -> None:
    asked = [Question(f"Who {i}?", kind=kind) for i, kind in enumerate(("$\\foo$ " * 9, "水" * 40, "\x1b[31m\nred"))]
    figure = render.consistency_figure(make_consistency(asked, BASE[:3], TUNED[:3]), preset="acl-single")
    draw.to_bytes(figure, "pdf", draw.plain_metadata("x", "pdf"))
    for text, box in drawn_texts(figure):
        assert box.x0 >= -1, text.get_text()


def test_the_caption_says_how_and_what_it_does_not_say(report: ConsistencyReport) -> None:
    caption = render.consistency_caption(report)
    assert "4 questions (3 facts), greedy and 4 sampled at temperature 0.7 (seed 0, at most 64 tokens)" in caption
    assert "need not have been learned" in caption
    assert "\n" not in caption
    assert "nan" not in caption
