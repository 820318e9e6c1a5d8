"""Laws of the reading report: every file, row and column is counted, a loss is said, and ``strict`` refuses it."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from attrib.corpus.documents import Corpus
from attrib.corpus.reading import SHOWN, ReadingReport
from attrib.errors import InputError


def test_a_reading_without_loss_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("# One\n\nFirst.\n\n# Two\n\nSecond.\n")
    (tmp_path / "b.md").write_text("# Three\n\nThird.\n")
    report = Corpus.read(tmp_path, strict=True).report
    assert report.lines() == ("3 sections in 2 files (Markdown)",)
    assert report.losses == ()


def test_every_loss_is_counted_and_strict_refuses_each(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("# One\n\nFirst of all.\n")
    (tmp_path / "b.jsonl").write_text('{"text": "First of all.", "source": "x"}\n{"text": " "}\n')
    (tmp_path / "c.png").write_bytes(b"\x89PNG")
    (tmp_path / ".hidden.md").write_text("Hidden.")
    report = Corpus.read(tmp_path).report
    assert (report.sections, report.files, report.hidden) == (2, {"Markdown": 1, "JSONL": 1}, 1)
    assert report.lines() == (
        "2 sections in 2 files (1 JSONL, 1 Markdown); passed over: 1 hidden name",
        "b.jsonl: 1 row read as text (`text`); 1 row without text to learn; columns not used: source",
        "0 exact duplicates and 1 near-duplicate among the sections",
        "not read: 1 file: .png (1)",
    )
    losses = ["not read: 1 file: .png (1)", "b.jsonl: 1 row without text to learn; columns not used: source"]
    assert list(report.losses) == losses
    with pytest.raises(InputError) as caught:
        Corpus.read(tmp_path, strict=True)
    assert str(caught.value).split("\n") == [f"strict: {loss}; remove it, or leave strict out" for loss in losses]
    assert json.loads(json.dumps(report.fields()))["rows"][0]["unused"] == ["source"]


def test_exact_duplicates_are_told_from_near_ones(tmp_path: Path) -> None:
    words = "the storm broke over the harbour at noon and nobody had taken in the nets that day"
    rows = [{"text": words}, {"text": words}, {"text": words + " again"}, {"text": "Another matter."}]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    report = Corpus.read(tmp_path).report
    assert (report.exact_duplicates, report.near_duplicates) == (1, 1)
    assert ReadingReport().lines() == ("0 sections in 0 files ()",)


def test_a_packed_file_is_read_as_what_it_packs(tmp_path: Path) -> None:
    text = "# One\n\nFirst.\n" + "word " * 1000
    (tmp_path / "a.md").write_text(text)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "a.md.gz").write_bytes(gzip.compress(text.encode()))
    plain, packed = Corpus.read(tmp_path / "a.md"), Corpus.read(tmp_path / "b")
    assert [s.id for s in plain.sections] == [s.id for s in packed.sections]
    assert plain.documents[0][1] == packed.documents[0][1]
    with pytest.raises(InputError, match=r"more than 4,000 bytes when unpacked, over the limit"):
        Corpus.read(tmp_path / "b", max_bytes=4000)
    (tmp_path / "b" / "a.md.gz").write_bytes(gzip.compress(text.encode())[:-20])
    with pytest.raises(InputError, match="not a whole gzip file"):
        Corpus.read(tmp_path / "b")
    (tmp_path / "b" / "a.md.gz").write_bytes(b"no gzip")
    with pytest.raises(InputError, match="not a whole gzip file"):
        Corpus.read(tmp_path / "b")


def test_what_readers_leave_out_is_said_once_for_all_files(tmp_path: Path) -> None:
    for number in range(5):
        (tmp_path / f"{number}.md").write_text(f"---\ntitle: T\n---\n# One\n\nText {number} of five different ones.\n")
    (tmp_path / "5.md").write_text("# One\n\nNothing is left out of this one here.\n")
    report = Corpus.read(tmp_path).report
    (line,) = report.losses
    assert line == "not read: front matter (5) in 5 files: 0.md, 1.md, 2.md and 2 more"
    assert line in report.lines()
    assert report.fields()["left_out"][0]["files"] == [f"{number}.md" for number in range(5)]


def test_many_row_files_are_not_all_shown(tmp_path: Path) -> None:
    for number in range(SHOWN + 3):
        (tmp_path / f"{number:02}.jsonl").write_text(json.dumps({"text": f"Text {number}.", "id": number}))
    lines = Corpus.read(tmp_path).report.lines()
    assert len(lines) == 1 + SHOWN + 1
    assert lines[-1] == "and 3 row files more (--json has all)"
