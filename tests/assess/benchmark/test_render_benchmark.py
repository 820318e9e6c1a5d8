"""A benchmark report as files, table and figure."""

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
from matplotlib.figure import Figure
from rich.console import Console

from attrib.assess.benchmark.draw import benchmark_caption, benchmark_figure, drawn_once, key, labels
from attrib.assess.benchmark.run import MEASURES, BenchmarkReport, BenchmarkSummary
from attrib.assess.benchmark.tell import benchmark_table, write_benchmark
from attrib.assess.questions import Malformed
from attrib.assess.stored import read_report, report_content
from attrib.errors import InputError, RecordError
from attrib.render.view import visible
from tests.make_benchmark import asked, make_benchmark, make_report
from tests.render.inside import drawn_inside

LONG = "a very long name of a kind of question that goes on and on for ever and is never read to its end"
ODD = ("$x_1$ {of} \\alpha", "水の質問 مرحبا 🙂", "[red]trained[/red]\nin two lines", LONG)


@pytest.fixture(scope="module")
def report() -> BenchmarkReport:
    return make_benchmark()


def test_files_are_whole_and_the_same_twice(report: BenchmarkReport, tmp_path: Path) -> None:
    names = write_benchmark(report, tmp_path / "a", ("pdf", "svg", "png"), "neurips-double")
    assert [Path(name).name for name in names] == [
        "benchmark.json", "benchmark.parquet", "benchmark.csv", "benchmark.pdf", "benchmark.svg", "benchmark.png",
        "benchmark.caption.txt", "benchmark.tex",
    ]  # fmt: skip
    write_benchmark(make_benchmark(), tmp_path / "b", ("pdf", "svg", "png"), "neurips-double")
    for name in names:
        assert Path(name).stat().st_size > 0
        assert Path(name).read_bytes() == (tmp_path / "b" / Path(name).name).read_bytes()
    write_benchmark(make_benchmark(seed=1), tmp_path / "c", (), "neurips-double")
    for name in ("benchmark.json", "benchmark.csv", "benchmark.parquet"):
        assert (tmp_path / "a" / name).read_bytes() != (tmp_path / "c" / name).read_bytes()


def test_json_has_the_shared_shape_and_no_nan(report: BenchmarkReport, tmp_path: Path) -> None:
    bad = replace(report.summary[0], base_low=math.nan, base_high=math.nan)
    lines = (Malformed("q.jsonl", 3, "not JSON"),)
    write_benchmark(replace(report, summary=(bad, *report.summary[1:]), malformed=lines), tmp_path, (), "acl-single")
    text = (tmp_path / "benchmark.json").read_text("utf-8")
    assert "NaN" not in text
    assert "Infinity" not in text
    content = json.loads(text)
    assert (content["attrib"], content["schema"]) == ("benchmark", BenchmarkReport.SCHEMA)
    assert set(content) == {"attrib", "schema", "sha256", "summary", "rows", "notes", "malformed", "provenance"}
    assert (content["summary"][0]["base_low"], content["summary"][0]["base_high"]) == (None, None)
    assert content["summary"][0]["base"] == report.summary[0].base
    assert content["malformed"] == [{"file": "q.jsonl", "line": 3, "reason": "not JSON"}]
    assert len(content["rows"]) == len(report.rows)
    assert content["rows"][1] == {
        "id": "memorization/0", "subset": "latest_news", "kind": "memorization", "knowledge": "new", "fact": "0/0",
        "side": "tuned", "question": "Question 0?", "answer": "red", "answer_before": None,
        "prediction": report.rows[1].prediction, "ended": True, "scores": dict(report.rows[1].scores),
    }  # fmt: skip
    assert len(content.pop("sha256")) == 64
    assert content == json.loads(json.dumps(report_content(replace(
        report, summary=(bad, *report.summary[1:]), malformed=lines
    ))))  # fmt: skip


def test_the_summary_is_tidy_and_says_what_the_rows_say(report: BenchmarkReport, tmp_path: Path) -> None:
    write_benchmark(report, tmp_path, (), "neurips-double")
    rows = list(csv.DictReader(io.StringIO((tmp_path / "benchmark.csv").read_text("utf-8"))))
    assert list(rows[0]) == list(BenchmarkSummary.__dataclass_fields__)
    keys = [(row["subset"], row["kind"], row["knowledge"], row["measure"]) for row in rows]
    assert len(set(keys)) == len(keys) == len(report.summary)
    table = pq.read_table(tmp_path / "benchmark.parquet").to_pylist()
    for row in rows:
        for side in ("base", "tuned"):
            own = [
                one[f"scores_{row['measure']}"]
                for one in table
                if one["side"] == side
                and one["knowledge"] == row["knowledge"]
                and row["kind"] in (one["kind"], "all")
                and one[f"scores_{row['measure']}"] is not None
            ]
            assert float(row[side]) == pytest.approx(np.mean(own))
            assert int(row["n"]) == len(own)
        assert bool(row["majority"]) == (row["measure"] == "accuracy")


def test_parquet_says_its_types_and_keeps_every_text(report: BenchmarkReport, tmp_path: Path) -> None:
    odd = replace(report.rows[0], prediction="half \ud83d of it, 水\x00\n", ended=False)
    write_benchmark(replace(report, rows=(odd, *report.rows[1:])), tmp_path, (), "neurips-double")
    table = pq.read_table(tmp_path / "benchmark.parquet")
    assert {field.name: str(field.type) for field in table.schema} == {
        **dict.fromkeys(
            ("id", "subset", "kind", "knowledge", "fact", "side", "question", "answer", "answer_before", "prediction"),
            "string",
        ),
        "ended": "bool",
        **dict.fromkeys((f"scores_{name}" for name in MEASURES), "double"),
    }
    rows = table.to_pylist()
    assert len(rows) == len(report.rows)
    assert [row["side"] for row in rows[:4]] == ["base", "tuned"] * 2
    assert (rows[0]["prediction"], rows[0]["ended"]) == ("half ? of it, 水\x00\n", False)
    assert rows[0]["scores_judge"] is None
    assert rows[0]["answer_before"] is None


@pytest.mark.parametrize("preset", ["neurips-single", "neurips-double", "acl-single", "icml-single", "nature-double"])
@pytest.mark.parametrize("kinds", [("memorization", "rephrased"), ODD, ("trained",), ("",), (LONG, f"{LONG} 2")])
def test_figures_fit_their_width_with_texts_inside_and_apart(preset: str, kinds: tuple[str, ...]) -> None:
    figure = benchmark_figure(make_benchmark(kinds, n=4), preset=preset)
    drawn_inside(figure, preset)
    assert len(figure.axes) == 2


@pytest.mark.parametrize("preset", ["neurips-double", "acl-single"])
def test_names_that_fit_are_not_cut_and_others_keep_their_number(report: BenchmarkReport, preset: str) -> None:
    names = [text.get_text() for text in benchmark_figure(report, preset=preset).axes[0].get_yticklabels()]
    assert names == [f"{labels(report)[key(one)]} ({one.n})" for one in drawn_once(report.of("accuracy"))]
    long = benchmark_figure(make_benchmark((LONG,), n=4), preset=preset)
    [name] = [text.get_text() for text in long.axes[0].get_yticklabels()]
    assert name.startswith("latest news: a very long")
    assert name.endswith("… (4)")


def test_a_figure_of_very_many_kinds_fits_a_page_and_its_caption_says_what_is_missing() -> None:
    many = make_benchmark([f"kind {i}" for i in range(30)], n=2, resamples=20)
    for preset in ("acl-single", "neurips-double"):
        figure = benchmark_figure(many, preset=preset)
        drawn_inside(figure, preset)
        assert figure.get_size_inches()[1] <= 9
    assert "The first 18 of 30 kinds are drawn." in benchmark_caption(many)
    assert "are drawn" not in benchmark_caption(make_benchmark())


def points(figure: Figure, panel: int, marker: str) -> list[float]:
    """Values that a side's markers stand at, from the top."""
    return [float(np.asarray(line.get_xdata())[0]) for line in figure.axes[panel].lines if line.get_marker() == marker]


def test_no_answer_is_counted_in_two_rows_of_the_figure(report: BenchmarkReport) -> None:
    """ "new knowledge" is the sum of kinds that have rows of their own; alone it is drawn."""
    drawn = drawn_once(report.of("accuracy"))
    assert len(drawn) < len(report.of("accuracy"))
    assert sum(one.n for one in drawn) == len(report.rows) // 2
    sums = [one for one in report.of("accuracy") if one not in drawn]
    assert drawn_once(sums) == sums


def test_points_and_baselines_lie_where_the_numbers_say(report: BenchmarkReport) -> None:
    figure = benchmark_figure(report)
    for panel, measure in enumerate(("accuracy", "token_f1")):
        assert points(figure, panel, "o") == [one.base for one in drawn_once(report.of(measure))]
        assert points(figure, panel, "s") == [one.tuned for one in drawn_once(report.of(measure))]
    upright = [line for line in figure.axes[0].lines if len(set(np.asarray(line.get_xdata()))) == 1]
    dashes = {float(np.asarray(line.get_xdata())[0]) for line in upright if line.get_color() == "#555555"}
    assert dashes == {
        share for one in drawn_once(report.of("accuracy")) for share in (one.majority, one.majority_by_template)
    }  # fmt: skip
    assert all(line.get_color() != "#555555" for line in figure.axes[1].lines)


def test_an_unknown_preset_is_refused(report: BenchmarkReport, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no preset 'wall'"):
        write_benchmark(report, tmp_path, ("png",), "wall")
    assert list(tmp_path.iterdir()) == []


def said(report: BenchmarkReport) -> list[str]:
    console = Console(width=160, file=io.StringIO(), record=True)
    benchmark_table(report, console)
    return console.export_text().split("\n")


def test_the_table_names_each_kind_once_and_its_number_where_it_changes(report: BenchmarkReport) -> None:
    lines = said(report)
    for name in ("latest news: memorization", "medical: rephrased", "new knowledge", "updated knowledge"):
        assert sum(line.startswith(f"{name} ") for line in lines) == 1
    own = next(line for line in lines if line.startswith("medical: vignette")).split()
    one = next(one for one in report.of("accuracy") if one.kind == "vignette")
    assert own[2:4] == ["12", "accuracy"]
    assert f"{one.tuned:.2f}" in own
    # Its other measures are of as many questions.
    i = next(i for i, line in enumerate(lines) if line.startswith("medical: vignette"))
    assert [line.split()[0] for line in lines[i + 1 : i + 4]] == ["contains", "token", "old"]
    assert "note: 3 answers of base were cut off at 48 tokens." in lines
    fewer = replace(report.of("contains")[0], n=3)
    changed = [fewer if one is report.of("contains")[0] else one for one in report.summary]
    rows = [line.split() for line in said(replace(report, summary=tuple(changed)))]
    assert ["3", "contains"] in [row[:2] for row in rows]


def test_odd_names_are_printed_as_they_are() -> None:
    report = make_benchmark(("[red]x[/red]", "$y$"), n=2, notes=("[bold]a note[/bold]",))
    text = "\n".join(said(report))
    for words in ("[red]x[/red]", "$y$", "[bold]a note[/bold]"):
        assert words in text


def test_kinds_that_differ_in_knowledge_or_subset_alone_have_names_of_their_own() -> None:
    questions = [
        *asked(["a", "b"], kind="trained", knowledge="new"),
        *(replace(one, id=f"u{one.id}") for one in asked(["a", "b"], kind="trained", knowledge="updated")),
        *(replace(one, id=f"n{one.id}") for one in asked(["a"], kind="trained")),
        *(replace(one, id=f"k{one.id}") for one in asked(["a"], kind="")),
        *(replace(one, id=f"s{one.id}") for one in asked(["a"], kind="", subset="of_mine")),
    ]
    names = labels(make_report(questions, ["a"] * 7, ["a"] * 7, resamples=10))
    assert list(names.values()) == [
        "trained, new", "trained, updated", "trained, other", "no kind", "of mine: no kind", "new knowledge",
        "updated knowledge",
    ]  # fmt: skip
    alone = make_report(asked(["a"]), ["a"], ["a"], resamples=10)
    assert list(labels(alone).values()) == ["all"]


def test_the_caption_says_n_seed_what_is_measured_and_what_is_wrong(report: BenchmarkReport) -> None:
    noted = replace(report, notes=("comparison: 3 of 9 published labels are wrong; right ones are used.", "Else."))
    caption = benchmark_caption(noted)
    for words in (
        "48 questions", "Seed 7.", "95%", "at most 48 tokens", "(a)", "(b)", "medical: vignette", "labels are wrong",
    ):  # fmt: skip
        assert words in caption
    assert "Else." not in caption
    assert "\n" not in caption
    old = next(one for one in report.of("old_answer") if one.kind == "vignette")
    assert f"medical: vignette: the answer before the update is given by base in {old.base:.0%}" in caption


def test_a_stored_report_is_the_same_again(report: BenchmarkReport, tmp_path: Path) -> None:
    write_benchmark(report, tmp_path, ("png",), "neurips-double")
    again = tmp_path / "again"
    write_benchmark(read_report(BenchmarkReport, tmp_path / "benchmark.json"), again, ("png",), "neurips-double")
    for name in ("benchmark.json", "benchmark.csv", "benchmark.png", "benchmark.caption.txt"):
        assert (again / name).read_bytes() == (tmp_path / name).read_bytes()


@pytest.mark.parametrize("change", [{"schema": 1}, {"attrib": "holdout"}, {"rows": [{}]}, {"summary": [{"n": 1}]}])
def test_another_report_is_refused(report: BenchmarkReport, tmp_path: Path, change: dict[str, object]) -> None:
    file = tmp_path / "benchmark.json"
    file.write_text(json.dumps({**report_content(report), **change}), "utf-8")
    with pytest.raises(RecordError, match=r"benchmark\.json: .*make it again with attrib assess benchmark"):
        read_report(BenchmarkReport, file)


def test_control_characters_do_nothing_in_the_table() -> None:
    text = "\n".join(said(make_benchmark(("a\x1b[31mb",), n=2, notes=("c\x1bd",))))
    assert "\x1b" not in text
    assert visible("a\x1b[31mb") in text
    assert visible("c\x1bd") in text
