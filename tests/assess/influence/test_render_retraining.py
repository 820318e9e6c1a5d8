"""Mappers against retraining drawn from stored outcomes: same bytes, legible, nothing overlaps, honest axes."""

from __future__ import annotations

import csv
import io
import runpy
import sys
from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from attrib.assess.influence import draw as render
from attrib.assess.influence import tell as render_tell
from attrib.assess.influence.metrics import METRICS, InfluenceRow, table
from attrib.assess.influence.records import InfluenceReport
from attrib.errors import InputError
from attrib.render import figures as draw
from tests.make_retraining import make_retraining

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def found() -> InfluenceReport:
    """With two sections that give the same answer."""
    made = make_retraining(pairs=3, singles=4, decoys=3, halves=12)
    questions = [replace(q, answer="answer 6") if q.section == "s7" else q for q in made.questions]
    return replace(made, questions=tuple(questions))


@pytest.fixture(scope="module")
def rows(found: InfluenceReport) -> list[InfluenceRow]:
    return table(found, resamples=60)


def drawn_texts(figure: Any) -> Iterator[tuple[Any, Any]]:
    """Every visible text with its box in pixels at 300 dpi."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.text import Text

    figure.set_dpi(300)
    with draw.style():
        FigureCanvasAgg(figure).draw()
        renderer = figure.canvas.get_renderer()
        # Ticks just outside the axes exist but are not drawn.
        hidden = set()
        for ax in figure.axes:
            for axis in (ax.xaxis, ax.yaxis):
                low, high = sorted(axis.get_view_interval())
                hidden |= {id(t.label1) for t in axis.get_major_ticks() if not low <= t.get_loc() <= high}
        for text in figure.findobj(Text):
            if text.get_visible() and text.get_text() and id(text) not in hidden:
                yield text, text.get_window_extent(renderer)


def check_texts_inside_and_apart(figure: Any) -> None:
    """Every text is at least 6 pt, inside the figure and clear of the others."""
    texts = list(drawn_texts(figure))
    width, height = figure.bbox.size
    for text, box in texts:
        assert text.get_fontsize() >= 6, text.get_text()
        assert box.x0 >= -1, text.get_text()
        assert box.y0 >= -1, text.get_text()
        assert box.x1 <= width + 1, text.get_text()
        assert box.y1 <= height + 1, text.get_text()
    for (one, a), (other, b) in combinations(texts, 2):
        apart = a.x1 <= b.x0 + 1 or b.x1 <= a.x0 + 1 or a.y1 <= b.y0 + 1 or b.y1 <= a.y0 + 1
        assert apart, (one.get_text(), other.get_text())


@pytest.mark.parametrize(
    ("preset", "combined"),
    [("acl-single", False), ("icml-single", True), ("neurips-double", False), ("neurips-double", True),
     ("nature-double", True)],
)  # fmt: skip
def test_texts_are_6_points_inside_the_figure_and_apart(
    found: InfluenceReport, rows: list[InfluenceRow], preset: str, combined: bool
) -> None:
    if combined:
        found = replace(found, scores={**found.scores, "combined": found.scores["influence"]})
        rows = [*rows, *(replace(row, scorer="combined") for row in rows if row.scorer == "influence")]
    figure = render.retraining_figure(found, rows, preset=preset)
    assert figure.get_size_inches()[0] == pytest.approx(draw.PRESETS[preset])
    check_texts_inside_and_apart(figure)


def test_each_panel_shows_every_pair_on_one_scale_of_losses(found: InfluenceReport, rows: list[InfluenceRow]) -> None:
    figure = render.retraining_figure(found, rows)
    *panels, bars = figure.axes
    assert len(panels) == len(render.DRAWN)
    questions, sections = found.rows("trained"), np.flatnonzero(found.trained)
    for ax, name in zip(panels, render.DRAWN, strict=False):
        points = np.concatenate([line.get_xydata() for line in ax.lines if line.get_linestyle() == "None"])
        chosen = np.ix_(questions, sections)
        expected = np.stack([found.scores[name][chosen].ravel(), found.drop[chosen].ravel()], 1)
        assert sorted(map(tuple, points)) == sorted(map(tuple, expected))
        assert ax.get_ylim() == panels[0].get_ylim()
        low, high = ax.get_ylim()
        assert low < min(0.0, points[:, 1].min()) <= max(0.0, points[:, 1].max()) < high
        left, right = ax.get_xlim()
        assert left < points[:, 0].min() < points[:, 0].max() < right
    r = next(row for row in rows if (row.scorer, row.metric, row.kind) == ("influence", "pearson", "trained"))
    told = [panels[3].get_title(loc="left"), *(text.get_text() for text in panels[3].texts)]
    assert told == ["(d) influence", f"r = {r.value:.2f} [{r.low:.2f}, {r.high:.2f}]"]
    # Best first, 0 in view.
    order = [label.get_text() for label in bars.get_yticklabels()]
    values = {row.scorer: row.value for row in rows if (row.metric, row.kind) == ("LDS", "trained")}
    assert order == sorted(values, key=lambda name: -values[name])
    assert bars.get_xlim()[0] < 0 < bars.get_xlim()[1]


def test_what_a_section_is_to_a_question(found: InfluenceReport) -> None:
    kinds = render.relations(found)
    assert kinds.shape == (10, 13)
    for s in range(10):
        expected = np.full(13, render.OTHER)
        if s < 6:
            expected[s ^ 1] = render.AGAINST
        if s in (6, 7):
            expected[13 - s] = render.SAME
        expected[s] = render.OWN
        assert kinds[s].tolist() == expected.tolist()


def test_hollow_is_what_the_interval_does_not_tell_from_influence(
    found: InfluenceReport, rows: list[InfluenceRow]
) -> None:
    row = next(row for row in rows if row.scorer == "bm25")
    assert render.told_apart(replace(row, behind_low=0.01, behind_high=0.2))
    assert render.told_apart(replace(row, behind_low=-0.2, behind_high=-0.01))
    assert not render.told_apart(replace(row, behind_low=-0.01, behind_high=0.2))
    assert not render.told_apart(replace(row, behind_low=0.0, behind_high=0.2))
    assert not render.told_apart(replace(row, scorer="influence", behind_low=0.1, behind_high=0.2))
    bars = render.retraining_figure(found, rows).axes[-1]
    names = [label.get_text() for label in bars.get_yticklabels()]
    hollow = {names[round(line.get_ydata()[0])] for line in bars.lines if line.get_markerfacecolor() == "white"}
    chosen = [row for row in rows if (row.metric, row.kind) == ("LDS", "trained")]
    assert hollow == {row.scorer for row in chosen if not render.told_apart(row)} - {"influence"}


def test_files_are_the_same_bytes_from_the_stored_outcomes_alone(
    found: InfluenceReport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    formats = ("pdf", "svg", "png")
    names = render_tell.write_retraining(found, table(found), tmp_path / "a", formats, "neurips-double")
    assert sorted(Path(name).name for name in names) == sorted(
        f"influence.{end}" for end in ("json", "csv", "caption.txt", "tex", *formats)
    )
    assert all(Path(name).is_file() for name in names)
    record = str(tmp_path / "a" / "influence.json")
    monkeypatch.setattr(sys, "argv", ["figures.py", "influence", "--record", record, "--out", str(tmp_path)])
    runpy.run_path(str(ROOT / "scripts" / "figures.py"), run_name="__main__")
    for end in ("json", "csv", "caption.txt", "tex", "png", "pdf"):
        assert (tmp_path / f"influence.{end}").read_bytes() == (tmp_path / "a" / f"influence.{end}").read_bytes(), end
    pdf = (tmp_path / "influence.pdf").read_bytes()
    assert b"/Type3" not in pdf
    assert b"/TrueType" in pdf or b"/CIDFontType2" in pdf


def test_the_csv_has_every_row(found: InfluenceReport, rows: list[InfluenceRow], tmp_path: Path) -> None:
    render_tell.write_retraining(found, rows, tmp_path, (), "acl-single")
    read = list(csv.DictReader(io.StringIO((tmp_path / "influence.csv").read_text("utf-8"))))
    assert [(r["scorer"], r["metric"], r["kind"], float(r["value"])) for r in read] == [
        (row.scorer, row.metric, row.kind, row.value) for row in rows
    ]


def test_the_caption_says_what_was_done_and_what_is_not_known(found: InfluenceReport, rows: list[InfluenceRow]) -> None:
    text = render.retraining_caption(found, rows)
    for part in (
        "10 trained sections, 10 trained questions, seed 0", "rank 8, 8 epochs", "(a–e)", "10 × 10 pairs",
        "12 random halves", "95%, bootstrap over questions (LDS: over halves too)", "the noise of tuning itself is not",
        "nothing is said of other models",
    ):  # fmt: skip
        assert part in text
    assert "\n" not in text
    noisy = replace(found, noise=np.full(len(found.questions), 1.25))
    assert "differs by 1.2 nats" in render.retraining_caption(noisy, rows)
    # Own sections are left out of this number: a scorer that knows nothing else has none.
    blind = np.zeros_like(found.drop)
    blind[np.arange(len(blind)), found.gold] = 1
    text = render.retraining_caption(replace(found, scores={**found.scores, "bm25": blind}), rows)
    assert "r is none (bm25)" in text


def test_the_table_has_a_heading_a_claim_and_a_line_a_scorer(found: InfluenceReport, rows: list[InfluenceRow]) -> None:
    console = Console(record=True, width=120, file=io.StringIO())
    render_tell.retraining_table(found, rows, console)
    text = console.export_text()
    heads = [line for line in text.split("\n") if line.startswith(("Resemblance", "Influence:", "Decoys"))]
    assert [head.split("(")[1] for head in heads] == [
        "10 trained questions)", "10 rephrased questions)", "10 trained questions)", "10 rephrased questions)",
        "3 decoys)",
    ]  # fmt: skip
    for name in found.scores:
        assert text.count(f"\n{name} ") >= 5
    star = next(line for line in text.split("Influence:")[1].split("\n") if line.startswith("random"))
    assert "*" in star
    assert "10 sections left out one at a time, 12 halves, seed 0" in text


def test_without_halves_there_is_no_lds_and_without_left_out_sections_no_figure(
    found: InfluenceReport, tmp_path: Path
) -> None:
    alone = replace(found, halves=found.halves[:0], after=found.after[:0])
    rows = table(alone, resamples=20)
    figure = render.retraining_figure(alone, rows, preset="acl-single")
    assert len(figure.axes) == len(render.DRAWN)
    list(drawn_texts(figure))
    assert "halves" not in render.retraining_caption(alone, rows)
    render_tell.retraining_table(alone, rows, Console(file=io.StringIO()))

    none = replace(found, drop=np.full_like(found.drop, np.nan))
    rows = table(none, resamples=20)
    assert {row.metric for row in rows} == set(METRICS) - {"pearson", "spearman"}
    names = render_tell.write_retraining(none, rows, tmp_path, ("png",), "acl-single")
    assert {Path(name).suffix for name in names} == {".json", ".csv"}
    with pytest.raises(InputError, match="no section was left out"):
        render.retraining_figure(none, rows)
    render_tell.retraining_table(none, rows, Console(file=io.StringIO()))


def test_an_unknown_preset_is_refused(found: InfluenceReport, rows: list[InfluenceRow]) -> None:
    with pytest.raises(InputError, match="no preset 'wall'"):
        render.retraining_figure(found, rows, preset="wall")


def test_the_dictionary_is_json(found: InfluenceReport, rows: list[InfluenceRow]) -> None:
    import json

    rows = [replace(rows[0], low=float("nan")), *rows[1:]]
    content = json.loads(json.dumps(render_tell.retraining_content(found, rows), allow_nan=False))
    assert content["table"][0]["low"] is None
    assert len(content["table"]) == len(rows)
    assert (len(content["sections"]), sum(content["trained"]), len(content["halves"])) == (13, 10, 12)
