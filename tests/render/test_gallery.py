"""A folder of pages: every record is listed once, with its kind, and nothing in it acts."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from attrib import cli
from attrib.errors import InputError
from attrib.records import Explanation, storage
from attrib.render import gallery, page
from tests.make import make_explanation
from tests.render.test_page import HOSTILE, Parts, policy


def store(folder: Path, *places: str, **options: Any) -> Path:
    """Different records in files below a folder."""
    for seed, place in enumerate(places):
        storage.save(make_explanation(seed, **options), folder / place)
    return folder


def listed(text: bytes) -> list[dict[str, str | None]]:
    return [
        attributes for tag, attributes in Parts(text.decode()).elements if tag == "li" and "data-verdict" in attributes
    ]


def test_every_record_has_a_page_that_the_index_links(tmp_path: Path) -> None:
    folder = store(tmp_path / "in", "trained/explanation.safetensors", "held-out/explanation.safetensors")
    files, problems = gallery.write([folder], tmp_path / "out")
    assert problems == ()
    assert len(files) == 3
    index = (tmp_path / "out" / "index.html").read_bytes()
    links = [a["href"] for tag, a in Parts(index.decode()).elements if tag == "a"]
    assert sorted(links) == sorted(str(Path(file).relative_to(tmp_path / "out")) for file in files[1:])
    assert [entry["data-kind"] for entry in listed(index)] == ["held-out", "trained"]
    (data,) = [
        json.loads(t) for tag, a, t in Parts(Path(files[1]).read_text()).inside if a.get("type") == "application/json"
    ]
    assert data["home"] == "../index.html"


def test_the_kinds_of_an_assessment_are_taken(tmp_path: Path) -> None:
    folder = store(tmp_path / "attribution", "records/q1-0.safetensors", "records/q2-0.safetensors")
    question = make_explanation(0).question
    (folder / "attribution.json").write_text(json.dumps({"rows": [{"question": question, "kind": "updated"}]}))
    assert {entry.kind for entry in gallery.find([folder]).entries} == {"updated"}
    (folder / "attribution.json").write_text("[]")
    assert {entry.kind for entry in gallery.find([folder]).entries} == {""}


def test_a_record_that_is_named_twice_is_listed_once(tmp_path: Path) -> None:
    folder = store(tmp_path, "a/x.safetensors")
    assert len(gallery.find([folder, folder / "a"]).entries) == 1


def test_files_of_others_are_passed_over_and_damaged_records_are_said(tmp_path: Path) -> None:
    import numpy as np
    from safetensors.numpy import save_file

    store(tmp_path, "a.safetensors")
    save_file({"weight": np.zeros(3)}, tmp_path / "adapter_model.safetensors")
    whole = (tmp_path / "a.safetensors").read_bytes()
    (tmp_path / "b.safetensors").write_bytes(whole[: len(whole) // 2])
    found = gallery.find([tmp_path])
    assert [entry.path.name for entry in found.entries] == ["a.safetensors"]
    (line,) = found.problems
    assert "b.safetensors" in line


def test_one_file_however_it_is_damaged_hides_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store(tmp_path, "a.safetensors", "b.safetensors", "gone.safetensors")
    (tmp_path / "loop.safetensors").symlink_to("loop.safetensors")
    storage.save(make_explanation(7, sections=2), tmp_path / "ranking")
    digest = gallery.sha256

    def vanish(file: Path) -> str:
        if file.name == "gone.safetensors":
            file.unlink()
        return digest(file)

    monkeypatch.setattr(gallery, "sha256", vanish)
    load = storage.load

    def out_of_range(file: Path) -> Explanation:
        explanation = load(file)
        return replace(explanation, ranking=explanation.ranking + 99) if file.stem == "ranking" else explanation

    monkeypatch.setattr(storage, "load", out_of_range)
    found = gallery.find([tmp_path])
    assert [entry.path.stem for entry in found.entries] == ["a", "b"]
    assert [Path(line.partition(":")[0]).stem for line in found.problems] == ["gone", "loop", "ranking"]
    assert all("write" in line or "no such file" in line for line in found.problems)


def test_kinds_of_an_assessment_are_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = store(tmp_path / "attribution", *(f"records/q{number}-0.safetensors" for number in range(4)))
    rows = [{"question": make_explanation(0).question, "kind": "half \ud800 of a character"}]
    (folder / "attribution.json").write_text(json.dumps({"rows": rows}))
    read: list[Path] = []
    read_text = Path.read_text
    monkeypatch.setattr(
        Path, "read_text", lambda file, *how, **more: read.append(file) or read_text(file, *how, **more)
    )
    found = gallery.find([folder])
    assert {entry.kind for entry in found.entries} == {"half ? of a character"}
    assert folder / "attribution.json" in read
    assert len(read) == len(set(read))
    assert gallery.index_html(found, {entry.id: "a.html" for entry in found.entries})


def test_no_folder_and_no_record_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        gallery.find([tmp_path / "none"])
    with pytest.raises(InputError, match="no explanation there"):
        gallery.find([tmp_path])


def test_hostile_texts_make_no_element(tmp_path: Path) -> None:
    plain, hostile = store(tmp_path / "a" / "kind", "x.safetensors"), tmp_path / "b"
    explanation = make_explanation(
        question=HOSTILE, answer_texts=(HOSTILE,), base_answer=HOSTILE, titles=[HOSTILE] * 20, texts=(HOSTILE,)
    )
    storage.save(explanation, hostile / "<b>kind" / "x.safetensors")

    def index(folder: Path) -> Parts:
        found = gallery.find([folder])
        return Parts(gallery.index_html(found, {entry.id: f"{entry.id}.html" for entry in found.entries}).decode())

    ours, theirs = index(plain.parent), index(hostile)
    tags = [[tag for tag, _ in found.elements if tag not in ("span", "rect")] for found in (ours, theirs)]
    assert tags[0] == tags[1]
    assert "script" in {tag for tag, _ in theirs.elements}
    assert "\u202e" not in "".join(str(a.get("aria-label")) for _, a in theirs.elements)


def test_the_index_asks_for_nothing_and_its_policy_says_so(tmp_path: Path) -> None:
    found = gallery.find([store(tmp_path, "a.safetensors")])
    index = Parts(gallery.index_html(found, {found.entries[0].id: "a.html"}).decode())
    said = policy(index)
    assert "default-src 'none'" in said
    assert "connect-src" not in said
    assert not any(tag in ("img", "iframe", "object") or "style" in a for tag, a in index.elements)


def test_a_live_index_has_a_question_box_even_without_an_entry() -> None:
    text = gallery.index_html(gallery.Listing(()), {}, {"ask": "/api/jobs", "home": "/"}).decode()
    found = Parts(text)
    assert "connect-src 'self'" in policy(found)
    assert any(a.get("id") == "ask" for _, a in found.elements)
    listing_only = Parts(gallery.index_html(gallery.Listing(()), {}, {"home": "/"}).decode())
    assert not any(a.get("id") == "ask" for _, a in listing_only.elements)


def test_names_of_pages_are_plain_and_do_not_clash(tmp_path: Path) -> None:
    for seed in range(3):
        storage.save(make_explanation(seed, question="../../etc/passwd?"), tmp_path / f"{seed}.safetensors")
    names = [entry.id for entry in gallery.find([tmp_path]).entries]
    assert len(set(names)) == 3
    assert all(name.replace("-", "").isalnum() and name.isascii() for name in names)


def test_the_command_writes_the_same_bytes_twice_and_says_what_it_wrote(tmp_path: Path) -> None:
    folder = store(tmp_path / "in", "a.safetensors", "b.safetensors")
    runner = CliRunner()
    first = runner.invoke(cli.app, ["gallery", str(folder), "--out", str(tmp_path / "out"), "--json"])
    assert first.exit_code == 0, first.output
    files = json.loads(first.stdout)["files"]
    before = [Path(file).read_bytes() for file in files]
    runner.invoke(cli.app, ["gallery", str(folder), "--out", str(tmp_path / "out")])
    assert [Path(file).read_bytes() for file in files] == before
    assert Path(files[1]).read_bytes() == page.html(storage.load(folder / "a.safetensors"), home="../index.html")
