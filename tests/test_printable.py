"""Streams that lack characters: what is written never stops, keeps its width, and keeps what they have."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from rich.cells import cell_len

from attrib.printable import can_print, make_printable, plain, printable

SIGNS = "→ − – “q” … · ‖ × ▁▂▃▄▅▆▇█ › é ﬁ 水 🙂 e\u0301 λ"


def written(text: str, encoding: str) -> str:
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    with printable(stream):
        stream.write(text)
    stream.flush()
    return stream.buffer.getvalue().decode(encoding)  # type: ignore[attr-defined]


def test_what_the_stream_lacks_is_replaced_and_what_it_has_stays() -> None:
    assert written("a → b − c… “q” é", "ascii") == 'a > b - c~ "q" e'
    assert written("a → b − c… “q” é", "cp1252") == "a > b - c… “q” é"
    assert written(SIGNS, "utf-8") == SIGNS


@pytest.mark.parametrize("char", SIGNS.replace(" ", ""))
def test_a_replacement_is_ascii_and_as_wide(char: str) -> None:
    assert plain(char).isascii()
    assert len(plain(char)) == cell_len(char)


def test_bars_of_different_heights_stay_different() -> None:
    assert len({plain(bar) for bar in "▁▂▃▄▅▆▇█"}) == 8


def test_the_stream_is_as_before_afterwards_and_closed_or_other_streams_do_no_harm() -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    with printable(stream):
        stream.write("→")
    assert stream.errors == "strict"
    with pytest.raises(UnicodeEncodeError):
        stream.write("→")
    with printable(stream):
        stream.close()
    make_printable(io.StringIO(), None)


def test_only_encoding_is_mended() -> None:
    with pytest.raises(UnicodeDecodeError):
        b"\xff".decode("ascii", errors="attrib.printable")


def test_can_print_says_what_an_encoding_has() -> None:
    assert can_print("é", "latin-1")
    assert not can_print("→", "latin-1")
    assert can_print("→", None)


def test_a_command_on_an_ascii_console_ends_well_and_its_json_loses_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("# Licht → λ\n\nDas Öl — 水 — brennt.\n", "utf-8")
    here = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONPATH": str(Path(__file__).parents[1])}
    out = {
        flag: subprocess.run(
            [sys.executable, "-m", "attrib", "sections", str(tmp_path), *flag],
            capture_output=True,
            env=here,
            check=True,
        ).stdout.decode("ascii")
        for flag in ((), ("--json",))
    }
    assert "Licht > ?" in out[()]
    assert json.loads(out[("--json",)])["sections"][0]["text"] == "Das Öl — 水 — brennt."
