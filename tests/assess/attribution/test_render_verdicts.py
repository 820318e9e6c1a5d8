"""A report of verdicts as files, table and figure."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from matplotlib.colors import to_hex
from rich.console import Console

from attrib.assess.attribution.draw import verdicts_caption, verdicts_figure
from attrib.assess.attribution.run import AttributionReport, field_of
from attrib.assess.attribution.tell import verdicts_table, write_verdicts
from attrib.assess.stored import read_report, report_content
from attrib.errors import InputError
from attrib.records import CALLS, LABELS
from attrib.render.figures import COLOURS
from tests.make_benchmark import make_verdicts
from tests.render.inside import drawn_inside

LONG = "a very long name of a kind of question that goes on and on for ever and is never read to its end"
ODD = ("$x_1$ {of} \\alpha", "水の質問 مرحبا 🙂", "[red]trained[/red]\nin two lines", LONG)


@pytest.fixture(scope="module")
def report() -> AttributionReport:
    return make_verdicts(silent=(3,))


def test_files_are_whole_and_the_same_twice(report: AttributionReport, tmp_path: Path) -> None:
    names = write_verdicts(report, tmp_path / "a", ("pdf", "svg", "png"), "neurips-double")
    assert [Path(name).name for name in names] == [
        "attribution.json", "attribution.csv", "attribution.parquet", "attribution.pdf", "attribution.svg",
        "attribution.png", "attribution.caption.txt", "attribution.tex",
    ]  # fmt: skip
    write_verdicts(make_verdicts(silent=(3,)), tmp_path / "b", ("pdf", "svg", "png"), "neurips-double")
    for name in names:
        assert Path(name).stat().st_size > 0
        assert Path(name).read_bytes() == (tmp_path / "b" / Path(name).name).read_bytes()
    write_verdicts(make_verdicts(silent=(4,)), tmp_path / "c", (), "neurips-double")
    assert (tmp_path / "a/attribution.json").read_bytes() != (tmp_path / "c/attribution.json").read_bytes()


def test_json_has_the_shared_shape_and_each_token_its_source(report: AttributionReport, tmp_path: Path) -> None:
    write_verdicts(report, tmp_path, (), "neurips-double")
    text = (tmp_path / "attribution.json").read_text("utf-8")
    assert "NaN" not in text
    content = json.loads(text)
    assert content == {"sha256": content["sha256"], **json.loads(json.dumps(report_content(report)))}
    assert (content["attrib"], content["schema"]) == ("attribution", AttributionReport.SCHEMA)
    assert set(content) == {"attrib", "schema", "sha256", "summary", "rows", "notes", "promise", "provenance"}
    for row, made in zip(content["rows"], report.rows, strict=True):
        assert row["shares"] == made.shares
        assert "".join(token["text"] for token in row["tokens"]) == made.answer
        assert all(token["verdict"] in CALLS and 1 / 3 <= token["confidence"] <= 1 for token in row["tokens"])
        assert [one["id"] for one in row["sections"]] == [one.id for one in made.sections]
    assert content["rows"][3]["label"] == ""
    assert read_report(AttributionReport, tmp_path / "attribution.json") == report


def test_parquet_has_a_row_a_question(report: AttributionReport, tmp_path: Path) -> None:
    odd = replace(report, rows=(replace(report.rows[0], answer="half \ud83d of it"), *report.rows[1:]))
    write_verdicts(odd, tmp_path, (), "neurips-double")
    table = pq.read_table(tmp_path / "attribution.parquet")
    best = ("best_bm25", "best_embedding", "best_verdict")
    texts = (
        "id",
        "kind",
        "question",
        "right_answer",
        "answer",
        "base_answer",
        "label",
        "gold",
        *best,
        "headline",
        "sentence",
    )
    assert {field.name: str(field.type) for field in table.schema} == {
        **dict.fromkeys(texts, "string"),
        **dict.fromkeys(("right", *(f"shares_{label}" for label in LABELS), "gain_bits"), "double"),
        "section_ids": "list<item: string>" if "item" in str(table.schema) else "list<element: string>",
    }
    rows = table.to_pylist()
    assert len(rows) == len(report.rows)
    assert rows[0]["answer"] == "half ? of it"
    for row, made in zip(rows, report.rows, strict=True):
        assert row["label"] == made.label
        assert row["section_ids"] == [one.id for one in made.sections]
        assert row["best_verdict"] == made.best.get("verdict")
        assert row["gain_bits"] == pytest.approx(made.gain_bits)
    assert (rows[3]["label"], rows[3]["section_ids"], rows[3]["best_verdict"]) == ("", [], None)


def test_the_summary_is_tidy(report: AttributionReport, tmp_path: Path) -> None:
    write_verdicts(report, tmp_path, (), "neurips-double")
    rows = list(csv.DictReader(io.StringIO((tmp_path / "attribution.csv").read_text("utf-8"))))
    assert [row["kind"] for row in rows] == ["trained", "rephrased", "held-out", "all"]
    for row, made in zip(rows, report.summary, strict=True):
        assert sum(float(row[field_of(label)]) for label in CALLS) + float(row["silent"]) == pytest.approx(1)
        assert made.gold_top1 is not None
        assert float(row["gold_top1_bm25"]) == made.gold_top1["bm25"]
        assert float(row["shares_documents"]) == made.shares["documents"]
    write_verdicts(make_verdicts(gold=False), tmp_path, (), "neurips-double")
    assert "gold_top1" not in (tmp_path / "attribution.csv").read_text("utf-8")


@pytest.mark.parametrize("preset", ["neurips-single", "neurips-double", "acl-single", "icml-single", "nature-double"])
@pytest.mark.parametrize("kinds", [("trained", "rephrased"), ODD, ("trained",), ("",), (LONG, f"{LONG} 2")])
def test_figures_fit_their_width_with_texts_inside_and_apart(preset: str, kinds: tuple[str, ...]) -> None:
    figure = verdicts_figure(make_verdicts(kinds, n=2, silent=(0,), resamples=20), preset=preset)
    drawn_inside(figure, preset)
    assert len(figure.axes) == 2


def test_a_figure_of_very_many_kinds_fits_a_page_and_its_caption_says_what_is_missing() -> None:
    many = make_verdicts([f"kind {i}" for i in range(30)], n=1, resamples=5)
    for preset in ("acl-single", "neurips-double"):
        figure = verdicts_figure(many, preset=preset)
        drawn_inside(figure, preset)
        assert figure.get_size_inches()[1] <= 9.1
        names = [text.get_text() for text in figure.axes[0].get_yticklabels()]
        assert (len(names), names[-1]) == (17, "all (30)")
    assert "17 of 31 kinds are drawn." in verdicts_caption(many)


def test_bars_are_as_long_as_the_shares_say(report: AttributionReport) -> None:
    figure = verdicts_figure(report)
    for panel, ax in enumerate(figure.axes):
        for label in CALLS if panel == 0 else LABELS:
            own = [bar.get_width() for bar in ax.patches if to_hex(bar.get_facecolor()).upper() == COLOURS[label]]
            own = own[: len(report.summary)]
            shares = [getattr(one, field_of(label)) if panel == 0 else one.shares[label] for one in report.summary]
            assert own == pytest.approx(shares)
    ends = [sorted(map(float, line.get_xdata())) for line in figure.axes[0].lines if line.get_color() == "black"]
    assert ends == [[one.documents_low, one.documents_high] for one in report.summary]
    assert not figure.axes[1].lines


def test_an_unknown_preset_is_refused(report: AttributionReport) -> None:
    with pytest.raises(InputError, match="no preset 'wall'"):
        verdicts_figure(report, preset="wall")


def test_the_table_and_the_caption_say_n_seed_gold_and_silence(report: AttributionReport) -> None:
    console = Console(width=180, file=io.StringIO(), record=True)
    verdicts_table(replace(report, notes=("[b]a note[/b]",)), console)
    text = console.export_text()
    for words in ("held-out", "gold first: bm25", "[b]a note[/b]"):
        assert words in text
    last = next(line for line in text.split("\n") if line.startswith("all ")).split()
    assert last[1] == "15"
    assert last[3] == f"{report.summary[-1].documents:.2f}"
    caption = verdicts_caption(report)
    for words in (
        "15 questions",
        "Seed 7.",
        "A plain note.",
        "ranked first in: verdict",
        "lacks to 1",
        "no retraining",
    ):
        assert words in caption
    assert "\n" not in caption
    without = verdicts_caption(make_verdicts(gold=False))
    assert "ranked first" not in without
    assert "lacks to 1" not in without
