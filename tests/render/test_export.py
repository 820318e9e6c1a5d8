"""What --out and --json hand out: whole files, numbers that JSON can hold, nothing of a gap left out."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from attrib import storage
from attrib.attribution import METHODS
from attrib.render import export, view
from tests.make import make_explanation


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


def test_figures_and_comparison_are_written_with_their_captions(tmp_path: Path) -> None:
    methods = ("attention", "leave_one_out")
    explanation = make_explanation(methods=methods, unit="word")
    files = export.figures(
        explanation, tmp_path, ["png"], mappers=("bm25",), methods=methods, preset="acl-single", top=4, special="hide"
    )
    files += export.comparison(explanation, tmp_path, ["png", "svg"], methods=methods, preset="acl-single")
    assert {Path(file).name for file in files} == {file.name for file in tmp_path.iterdir()}
    assert len(files) == 4 * 2 + 3
    assert "Not drawn: the chat template" in (tmp_path / "prompt-attention.caption.txt").read_text("utf-8")
    assert "Spearman" in (tmp_path / "prompt-comparison.caption.txt").read_text("utf-8")


def test_a_stored_record_draws_the_same_comparison(tmp_path: Path) -> None:
    explanation = make_explanation(methods=("attention", "integrated_gradients", "leave_one_out"), unit="word")
    again = storage.load(storage.save(explanation, tmp_path / "record"))
    one, two = (
        export.comparison(e, tmp_path / name, ["svg"], methods=tuple(e.attributions), preset="acl-single")
        for name, e in (("one", explanation), ("two", again))
    )
    assert [Path(file).read_bytes() for file in one] == [Path(file).read_bytes() for file in two]
