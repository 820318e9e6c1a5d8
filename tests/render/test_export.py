"""What --out and --json hand out: whole files, numbers that JSON can hold, nothing of a gap left out."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from attrib.attribution import METHODS
from attrib.errors import InputError
from attrib.options.figures import FIGURE_KINDS, FigureKind, FigureOptions
from attrib.records import Explanation, storage
from attrib.render import export, view
from attrib.render.figures import PRESETS
from tests.make import make_explanation
from tests.make_heads import with_heads


def test_summary_has_target_pieces_gaps_and_settings_of_every_method() -> None:
    explanation = make_explanation(methods=tuple(METHODS), unit="word", target="logodds", gap=0.4)
    told = json.loads(json.dumps(export.summary(explanation, []), allow_nan=False))["attributions"]
    assert list(told) == list(METHODS)
    for name, attribution in explanation.attributions.items():
        one, gaps = told[name], view.gaps(attribution)
        assert (one["target"], one["unit"], one["rows"]) == ("logodds", "word", len(attribution.rows))
        assert one["columns"] == len(attribution.columns)
        assert one["value"]["tuned"] == pytest.approx(attribution.value_tuned.sum())
        if gaps is None:
            assert one["gap"] == {"base": None, "tuned": None}
            assert one["gap_verdict"] is None
        else:
            assert one["gap"]["base"]["largest"] == pytest.approx(np.abs(attribution.gap_base).max())
            assert one["gap"]["tuned"]["median"] == pytest.approx(np.median(np.abs(attribution.gap_tuned)))
            assert one["gap"]["tuned"]["missed"] > 0
            assert one["gap_verdict"].startswith("not con")
    assert told["shapley"]["settings"]["base"]["sources"] == "word"
    assert told["shapley"]["template_share"] is None
    assert 0 < told["attention"]["template_share"]["base"] < 1


def test_settings_of_any_kind_become_json() -> None:
    explanation = make_explanation()
    odd = {
        "base": {"r2": np.array([0.5, np.nan]), "steps": np.int64(3), "target": json.dumps},
        "limit": float("inf"),
        "span": (1, (2.5, None, True)),
    }
    changed = replace(explanation.attributions["attention"], settings=odd)
    told = export.summary(replace(explanation, attributions={"attention": changed}), [])
    settings = json.loads(json.dumps(told, allow_nan=False))["attributions"]["attention"]["settings"]
    assert settings == {
        "base": {"r2": [0.5, None], "steps": 3, "target": "dumps"},
        "limit": None,
        "span": [1, [2.5, None, True]],
    }


def test_every_figure_of_a_record_is_written_with_what_goes_beside_it(tmp_path: Path) -> None:
    methods = ("attention", "leave_one_out")
    explanation = make_explanation(methods=methods, unit="word")
    kinds: tuple[FigureKind, ...] = ("sections", "prompt", "comparison", "strip", "track", "gains")
    options = FigureOptions(kinds, mapper="bm25", preset="acl-single", top=4, special="hide")
    files = export.figures(explanation, tmp_path, ["png", "svg"], options)
    assert {Path(file).name for file in files} == {file.name for file in tmp_path.iterdir()}
    stems = (
        "sections-bm25",
        "prompt-attention",
        "prompt-leave_one_out",
        "prompt-comparison",
        "answer",
        "track-bm25",
        "gains",
    )
    assert len(files) == len(set(files)) == len(stems) * 5
    assert {Path(file).name for file in files} == {
        f"{stem}.{end}" for stem in stems for end in ("png", "svg", "csv", "caption.txt", "tex")
    }
    assert "Not drawn: the chat template" in (tmp_path / "prompt-attention.caption.txt").read_text("utf-8")
    assert "Spearman" in (tmp_path / "prompt-comparison.caption.txt").read_text("utf-8")


def test_a_stored_record_draws_the_same_comparison(tmp_path: Path) -> None:
    explanation = make_explanation(methods=("attention", "integrated_gradients", "leave_one_out"), unit="word")
    again = storage.load(storage.save(explanation, tmp_path / "record"))
    one, two = (
        export.figures(e, tmp_path / name, ["svg"], FigureOptions(kinds=("comparison",), preset="acl-single"))
        for name, e in (("one", explanation), ("two", again))
    )
    assert [Path(file).read_bytes() for file in one] == [Path(file).read_bytes() for file in two]


def test_kinds_that_are_named_are_drawn_alone_and_refused_where_the_record_lacks_them() -> None:
    explanation = with_heads(make_explanation(methods=("attention",)))

    def stems(kinds: tuple[FigureKind, ...] | None, of: Explanation = explanation) -> list[str]:
        return [drawing.name for drawing in export.drawings(of, FigureOptions(kinds=kinds))]

    assert stems(("heads", "strip")) == ["heads", "answer"]
    assert stems(("sections", "track")) == ["sections-bm25", "sections-hidden", "track-hidden"]
    # One of each kind where none is named: the last mapper, the most faithful method.
    assert stems(None) == ["sections-hidden", "prompt-attention", "answer"]
    methods = ("attention", "leave_one_out", "saliency")
    assert stems(None, make_explanation(methods=methods, unit="word"))[1] == "prompt-leave_one_out"
    asked = FigureOptions(document="manual-1.md")
    assert [one.name for one in export.drawings(explanation, asked)][-1] == "track-hidden"
    with pytest.raises(InputError, match=r"explain\.heads"):
        stems(("heads",), make_explanation())
    with pytest.raises(InputError, match="no mapper"):
        stems(("sections",), make_explanation(mappers=()))
    with pytest.raises(InputError, match="no method"):
        stems(("prompt",), make_explanation(methods=()))
    assert stems(None, make_explanation(answer_texts=[], mappers=(), methods=())) == []


@pytest.mark.parametrize("kind", FIGURE_KINDS)
@pytest.mark.parametrize(
    "lacking",
    [{"answer": 0}, {"sections": 0}, {"mappers": ()}, {"methods": ()}, {"sections": 0, "mappers": (), "methods": ()}],
    ids=lambda lacking: "-".join(lacking),
)
def test_a_figure_is_drawn_or_refused_in_one_line_whatever_the_record_lacks(
    kind: FigureKind, lacking: dict[str, Any]
) -> None:
    explanation = with_heads(make_explanation(**lacking))
    needs = {
        "sections": {"answer", "sections", "mappers"}, "prompt": {"answer", "methods"},
        "comparison": {"answer", "methods"}, "heads": {"answer"}, "strip": {"answer"}, "track": {"sections", "mappers"},
        "gains": set(),
    }[kind]  # fmt: skip
    options = FigureOptions(kinds=(kind,))
    if needs & set(lacking):
        with pytest.raises(InputError) as refused:
            list(export.drawings(explanation, options))
        assert "\n" not in str(refused.value)
    else:
        assert list(export.drawings(explanation, options))


@pytest.mark.parametrize("preset", PRESETS)
def test_every_figure_is_drawn_in_every_preset(preset: str) -> None:
    explanation = with_heads(make_explanation(sections=30, documents=9))
    drawn = [drawing.name for drawing in export.drawings(explanation, FigureOptions(FIGURE_KINDS, preset=preset))]
    assert {"sections-bm25", "sections-hidden", "heads", "answer", "track-hidden", "gains"} <= set(drawn)


def test_what_is_refused_leaves_no_file_of_the_others(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not have it"):
        export.figures(make_explanation(), tmp_path, ["png"], FigureOptions(answer_part="no such words"))
    assert list(tmp_path.iterdir()) == []


def test_parts_and_document_reach_the_figures() -> None:
    explanation = with_heads(make_explanation())
    options = FigureOptions(
        kinds=("heads", "track"), mapper="hidden", document="manual-2.md", answer_part="warranty on",
        question_part="warranty",
    )  # fmt: skip
    heads, track = export.drawings(explanation, options)
    assert "gives to “warranty” while “warranty on” is predicted (mean over 2 tokens)" in heads.caption
    assert "Score of “warranty on”" in track.caption
    assert "sections of manual-2.md" in track.caption
    assert {row["document"] for row in track.numbers} == {"manual-2.md", None}


def test_names_from_a_record_never_leave_the_folder(tmp_path: Path) -> None:
    mapper = "../../x\\y:*?"
    explanation = make_explanation(mappers=(mapper,), methods=())
    files = export.figures(explanation, tmp_path / "out", ["png"], FigureOptions())
    assert {Path(file).parent for file in files} == {tmp_path / "out"}
    assert (tmp_path / "out" / "sections-..-..-x-y-.png").is_file()
    assert [file.name for file in tmp_path.iterdir()] == ["out"]


def test_two_names_that_are_one_as_a_files_name_get_two_files() -> None:
    explanation = make_explanation(mappers=("hidden v2", "hidden/v2", "Hidden-v2"), methods=())
    drawn = export.drawings(explanation, FigureOptions(kinds=("sections",)))
    assert [drawing.name for drawing in drawn] == ["sections-hidden-v2", "sections-hidden-v2-2", "sections-Hidden-v2-3"]
