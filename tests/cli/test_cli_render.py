"""``attrib render``: which figures of a stored record are drawn, and what is refused in one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from attrib.records import storage
from attrib.render import page
from tests.cli.commands import run
from tests.make import make_explanation
from tests.make_heads import with_heads


@pytest.fixture
def record(tmp_path: Path) -> Path:
    return storage.save(with_heads(make_explanation(methods=("attention",))), tmp_path / "record.safetensors")


def test_figures_that_are_named_are_drawn_and_listed_with_what_goes_beside_them(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, record: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    status, told, err = run(
        capsys, monkeypatch, "render", str(record), "--out", str(out), "--figure", "track,heads,strip", "--format",
        "png", "--mapper", "hidden", "--document", "manual-2.md", "--answer-part", "warranty on", "--question-part",
        "the pump", "--preset", "acl-single", "--json",
    )  # fmt: skip
    assert (status, err) == (0, "")
    files = [Path(name) for name in json.loads(told)["files"]]
    ends = ("png", "csv", "caption.txt", "tex")
    assert [file.name for file in files] == [f"{s}.{e}" for s in ("heads", "answer", "track-hidden") for e in ends]
    assert sorted(files) == sorted(out.iterdir())
    assert "to “the pump” while “warranty on”" in (out / "heads.caption.txt").read_text("utf-8")
    assert "sections of manual-2.md" in (out / "track-hidden.caption.txt").read_text("utf-8")
    assert r"\includegraphics[width=3.03in]{answer}" in (out / "answer.tex").read_text("ascii")


def test_the_page_is_drawn_alone_and_keeps_the_records_name(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, record: Path, tmp_path: Path
) -> None:
    status, told, _ = run(
        capsys, monkeypatch, "render", str(record), "--out", str(tmp_path / "out"), "--format", "html", "--json"
    )
    assert status == 0
    assert json.loads(told)["files"] == [str(tmp_path / "out" / "record.html")]
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["record.html"]
    assert (tmp_path / "out" / "record.html").read_bytes() == page.html(storage.load(record))


def test_a_budget_makes_a_smaller_page(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, record: Path
) -> None:
    run(capsys, monkeypatch, "render", str(record), "--format", "html", "--budget", "0.1")
    assert record.with_suffix(".html").read_bytes() == page.html(storage.load(record), budget=100_000)
    assert b"attention of layers and heads" in record.with_suffix(".html").read_bytes()


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--figure", "pie"), "figure 'pie': give some of sections, prompt, comparison, heads, strip, track or gains"),
        (("--figure", ""), "figure '': use sections"),
        (("--format", "gif"), "format 'gif': use pdf, svg, png, html"),
        (("--document", "no.md"), "no scored section is of document 'no.md'"),
        (("--answer-part", "nowhere"), "answer-part 'nowhere': the answer does not have it"),
        (("--figure", "heads", "--question-part", "user"), "question-part 'user'"),
        (("--figure", "strip", "--mapper", "influence"), "no mapper 'influence'"),
        (("--figure", "strip", "--mapper", "hidden"), "--mapper: no figure that is drawn uses it"),
        (("--figure", "comparison", "--method", "attention"), "--method: no figure that is drawn uses it"),
        (("--figure", "prompt", "--question-part", "pump"), "--question-part: no figure that is drawn uses it"),
        (("--figure", "sections", "--document", "manual-2.md"), "leave it out or draw track"),
        (("--figure", "track", "--top", "3"), "leave it out or draw sections"),
        (("--format", "html", "--answer-part", "warranty"), "leave it out or draw heads or track"),
        (("--format", "html", "--method", "no"), "no method 'no'"),
        (("--format", "html", "--figure", "heads"), "--figure: no picture's format is asked for"),
        (("--preset", "wall"), "no preset 'wall'"),
        (("--mapper", "influence"), "no mapper 'influence'"),
    ],
)
def test_what_cannot_be_drawn_is_refused_in_one_line_and_nothing_is_written(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, record: Path, tmp_path: Path,
    flags: tuple[str, ...], said: str,
) -> None:  # fmt: skip
    out = tmp_path / "out"
    status, told, err = run(capsys, monkeypatch, "render", str(record), "--out", str(out), *flags)
    assert (status, told) == (2, "")
    assert said in err
    assert len(err.splitlines()) == 1
    assert not out.exists() or not list(out.iterdir())
