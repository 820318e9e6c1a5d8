"""A holdout report as files: the same bytes twice, no NaN, tidy rows, a figure with its text inside."""

from __future__ import annotations

import csv
import io
import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from make_holdout import make_report
from matplotlib.backends.backend_agg import FigureCanvasAgg
from rich.console import Console

from attrib.assess.holdout.draw import UNSEEN, holdout_caption, holdout_figure
from attrib.assess.holdout.records import GAP, HoldoutReport
from attrib.assess.holdout.tell import holdout_table, membership_rows, write_holdout
from attrib.assess.stored import read_report, report_bytes, report_content
from attrib.errors import InputError
from attrib.render import figures
from attrib.render.view import visible
from tests.render.inside import texts


@pytest.fixture(scope="module")
def report() -> HoldoutReport:
    return make_report(removal=True)


def test_files_are_whole_and_the_same_twice(report: HoldoutReport, tmp_path: Path) -> None:
    names = write_holdout(report, tmp_path / "a", ("pdf", "png"), "neurips-double")
    assert [Path(name).name for name in names] == [
        "holdout.json", "holdout.csv", "holdout.parquet", "holdout.pdf", "holdout.png", "holdout.caption.txt",
        "holdout.tex",
    ]  # fmt: skip
    write_holdout(make_report(removal=True), tmp_path / "b", ("pdf", "png"), "neurips-double")
    for name in names:
        assert Path(name).read_bytes() == (tmp_path / "b" / Path(name).name).read_bytes()
    write_holdout(make_report(seed=1, removal=True), tmp_path / "c", ("png",), "neurips-double")
    assert (tmp_path / "a" / "holdout.json").read_bytes() != (tmp_path / "c" / "holdout.json").read_bytes()


def test_json_has_the_shared_shape_and_no_nan(report: HoldoutReport, tmp_path: Path) -> None:
    write_holdout(report, tmp_path, (), "neurips-double")
    text = (tmp_path / "holdout.json").read_text("utf-8")
    assert "NaN" not in text
    assert "Infinity" not in text
    content = json.loads(text)
    assert (content["attrib"], content["schema"]) == ("holdout", HoldoutReport.SCHEMA)
    assert set(content) == {
        "attrib", "schema", "sha256", "rows", "quantities", "membership", "blind", "notes", "provenance", "removal"
    }  # fmt: skip
    assert len(content["rows"]) == len(report.rows)
    assert content == {"sha256": content["sha256"], **json.loads(json.dumps(report_content(report)))}
    assert report_content(replace(report, removal=None))["removal"] is None
    again = read_report(HoldoutReport, tmp_path / "holdout.json")
    assert report_bytes(again) == report_bytes(report)


def test_the_summary_is_tidy(report: HoldoutReport, tmp_path: Path) -> None:
    write_holdout(report, tmp_path, (), "neurips-double")
    rows = list(csv.DictReader(io.StringIO((tmp_path / "holdout.csv").read_text("utf-8"))))
    keys = [(row["measure"], row["part"], row["kind"], row["side"]) for row in rows]
    assert len(set(keys)) == len(keys)
    assert ("accuracy", GAP, "all", "difference") in keys
    assert ("AUC reference", "sections", "all", "tuned") in keys
    assert ("AUC", "answers", "all", UNSEEN) in keys
    assert ("forget quality", "removed", "all", "full") in keys
    assert all(not row["value"] or math.isfinite(float(row["value"])) for row in rows)


def test_parquet_has_a_row_a_question_and_side(report: HoldoutReport, tmp_path: Path) -> None:
    odd = replace(report, rows=(replace(report.rows[0], reply="half \ud83d of it"), *report.rows[1:]))
    write_holdout(odd, tmp_path, (), "neurips-double")
    table = pq.read_table(tmp_path / "holdout.parquet").to_pylist()
    assert report.removal is not None
    assert len(table) == len(report.rows) + len(report.removal.rows)
    assert {row["side"] for row in table if row["table"] == "parts"} == {"base", "tuned"}
    assert {row["side"] for row in table if row["table"] == "removal"} == {"base", "full", "retrained"}
    assert table[1]["reply"] == report.rows[1].reply
    assert table[0]["reply"] == "half ? of it"


@pytest.mark.parametrize("preset", ["neurips-double", "acl-single", "nature-double"])
@pytest.mark.parametrize("what", ["all", "no removal", "no membership", "one kind"])
def test_figures_fit_their_width_with_texts_inside_and_apart(report: HoldoutReport, preset: str, what: str) -> None:
    shown = report
    if what != "all":
        shown = replace(report, removal=None)
    if what == "no membership":
        shown = replace(report, membership=(), blind=())
    if what == "one kind":
        shown = replace(shown, quantities=tuple(q for q in report.quantities if q.kind == "all"))
    figure = holdout_figure(shown, preset=preset)

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    assert figure.get_size_inches()[0] == figures.width_of(preset)
    assert len(figure.axes) == 2 + bool(shown.membership) + (shown.removal is not None)
    seen = texts(figure)
    boxes = [t.get_window_extent() for t in seen]
    for text, box in zip(seen, boxes, strict=True):
        assert text.get_fontsize() >= 6
        assert box.x0 >= -1, text.get_text()
        assert box.x1 <= figure.bbox.x1 + 1, text.get_text()
        assert box.y0 >= -1, text.get_text()
        assert box.y1 <= figure.bbox.y1 + 1, text.get_text()
    for i, one in enumerate(boxes):
        for j in range(i):
            if seen[i].get_text() != seen[j].get_text():
                lap = (
                    min(one.x1, boxes[j].x1) - max(one.x0, boxes[j].x0),
                    min(one.y1, boxes[j].y1) - max(one.y0, boxes[j].y0),
                )
                assert min(lap) < 1.5, (seen[i].get_text(), seen[j].get_text())


def test_points_lie_where_the_numbers_say(report: HoldoutReport) -> None:
    figure = holdout_figure(report)
    lines = [line for line in figure.axes[1].lines if len(line.get_xdata()) == 1]
    drawn = {round(float(np.asarray(line.get_xdata())[0]), 9) for line in lines}
    for part in ("tuned-on", "held-out", "general"):
        for side in ("base", "tuned"):
            q = report.quantity("logprob", part, side)
            assert q is not None
            assert round(q.value, 9) in drawn


def test_an_unknown_preset_is_refused(report: HoldoutReport) -> None:
    with pytest.raises(InputError, match="no preset 'wall'"):
        holdout_figure(report, preset="wall")


def test_membership_ends_with_what_needs_no_model(report: HoldoutReport) -> None:
    assert list(membership_rows(report))[-1] == UNSEEN


def test_the_table_and_the_caption_say_gaps_warnings_and_what_is_blind(report: HoldoutReport) -> None:
    noted = replace(report, notes=("Warning: the parts [differ].", "A plain note."))
    console = Console(width=200, record=True, file=io.StringIO())
    holdout_table(noted, console)
    text = console.export_text()
    for said in (
        GAP,
        "Warning: the parts [differ].",
        "A plain note.",
        "forget quality",
        "held-out",
        UNSEEN,
        "reference",
    ):
        assert said in text
    assert "0.00 → 1.00" in text
    caption = holdout_caption(report)
    for said in ("24 tuned-on (12 groups)", "12 held-out", "p = 0.005", "Forget quality", "(d)", "by chance among"):
        assert said in caption
    plain = holdout_caption(replace(report, removal=None, membership=(), blind=()))
    assert "Forget quality" not in plain
    assert "AUC" not in plain


def of_kind(report: HoldoutReport, kind: str) -> HoldoutReport:
    """The same with another name for its kinds of question."""
    named = [q if q.kind == "all" else replace(q, kind=kind) for q in report.quantities]
    return replace(report, quantities=tuple(named), notes=(*report.notes, f"About {kind}."))


@pytest.mark.parametrize("kind", ["[/x]", "[red]k[/red]", "a\x1b[31mb"])
def test_names_do_nothing_in_the_table(report: HoldoutReport, kind: str) -> None:
    out = io.StringIO()
    holdout_table(of_kind(report, kind), Console(file=out, width=200))
    assert "\x1b" not in out.getvalue()
    assert f"  {visible(kind)}" in out.getvalue()
    assert f"About {visible(kind)}." in out.getvalue()


@pytest.mark.parametrize("preset", ["neurips-double", "icml-single"])
def test_a_long_name_leaves_the_panels_their_room(report: HoldoutReport, preset: str) -> None:
    figure = holdout_figure(of_kind(report, "a kind of question with a very long name " * 8), preset=preset)
    assert min(ax.get_position().width for ax in figure.axes) > 0.15
