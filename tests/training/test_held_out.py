"""Sections held out of tuning as a control: which ones, what goes with them, and where their ids are kept."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from attrib.assess.questions import Question
from attrib.errors import InputError, RecordError
from attrib.options.loading import Loading
from attrib.training.items import corpus_items, hold_out
from attrib.training.tune import tune
from attrib.training.workfolder import read_held_out, read_manifest
from tests.make import make_sections
from tests.taught import CORPUS, OPTIONS, QUESTIONS


def test_the_share_is_drawn_by_the_seed_from_sections_with_and_without_questions() -> None:
    sections = make_sections(20)
    asked = [Question("Who?", "I", id=section.id, section=section.id) for section in sections[:10]]
    held = hold_out(sections, asked, 0.2, seed=3)
    assert len(held) == 4
    assert sum(id_ in {question.section for question in asked} for id_ in held) == 2
    assert held == hold_out(sections, asked, 0.2, seed=3)
    assert len({hold_out(sections, asked, 0.2, seed=seed) for seed in range(5)}) > 1
    assert list(held) == [section.id for section in sections if section.id in held]
    # One at least, and one that is asked about.
    (one,) = hold_out(sections, asked[:1], 0.01)
    assert one == asked[0].section


def test_near_duplicates_are_held_out_together() -> None:
    sections = list(make_sections(8))
    for twin in (1, 2, 3):
        sections[twin] = replace(sections[twin], near_duplicate_of=sections[0].id)
    family = {section.id for section in sections[:4]}
    for seed in range(12):
        held = set(hold_out(sections, (), 0.5, seed=seed))
        assert len(held) == 4
        assert held & family in (set(), family)


def test_what_leaves_nothing_is_refused() -> None:
    sections = make_sections(2)
    for share in (0.0, 1.0, -0.1, float("nan")):
        with pytest.raises(InputError, match=r"^hold-out .*: give the share"):
            hold_out(sections, (), share)
    with pytest.raises(InputError, match=r"of 1 sections, .* all would be held out"):
        hold_out(sections[:1], (), 0.5)
    with pytest.raises(InputError, match=r"of 0 sections, .* none would be held out"):
        hold_out((), (), 0.5)
    twins = [sections[0], replace(sections[1], near_duplicate_of=sections[0].id)]
    with pytest.raises(InputError, match=r"of 2 sections, .* none would be held out"):
        hold_out(twins, (), 0.1)


def test_the_manifest_names_them_and_another_choice_is_another_run(base_dir: Path, tmp_path: Path) -> None:
    held = (CORPUS.sections[2].id,)
    items = corpus_items(CORPUS.sections, QUESTIONS, without=held)
    options = replace(OPTIONS, epochs=1, checkpoints=(1.0,))
    out = tmp_path / "adapter"

    def made(*ids: str) -> Path:
        return tune(str(base_dir), items, out, options=options, held_out=ids, loading=Loading(device="cpu"))

    before = read_manifest(made())
    assert read_held_out(out) == before.held_out == ()
    assert "held_out" not in json.loads((out / "attrib.json").read_text("utf-8"))
    after = read_manifest(made(*held))
    assert read_held_out(out) == after.held_out == held
    assert after.settings != before.settings


def test_they_are_unknown_where_no_manifest_has_them(tmp_path: Path) -> None:
    assert read_held_out(tmp_path / "none") == ()
    file = tmp_path / "attrib.json"
    file.write_text('{"recorded_by": "attrib.Recorder"}')
    assert read_held_out(tmp_path) == ()
    for text in ("{", "[]", '{"held_out": "abc"}', '{"held_out": [1]}'):
        file.write_text(text)
        with pytest.raises(RecordError, match=r"attrib\.json: damaged"):
            read_held_out(tmp_path)
