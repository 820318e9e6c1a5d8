"""Captions as LaTeX: nothing of a text acts, every engine sets it, and what no font has is named by its code."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attrib.errors import InputError
from attrib.render.figures import PRESETS, escape, snippet
from attrib.render.figures.latex import _ACCENTS, _MATHS, _SPECIAL, _TEXT

HOSTILE = "\\input{/etc/passwd} $x_1^2$ 100% #1 & a~b {c} <d> |e| \"f\" `g` 'h' --- ?` !` ,, ''\n\n\\end{figure}"
EVERY = "".join(dict.fromkeys([*_SPECIAL, *_TEXT, *_MATHS]))


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("50% of $5 & #2_a", r"50\% of \$5 \& \#2\_a"),
        ("a\\b{c}", r"a\textbackslash{}b\{c\}"),
        ("x^y~z", r"x\textasciicircum{}y\textasciitilde{}z"),
        ("“q”: −1 × 2", r"``q'': \ensuremath{-}1 \ensuremath{\times} 2"),
        ("two\n\nlines\tand  more ", "two lines and more"),
        ("a--b", "a-{}-b"),
        ("''", "'{}'"),
        ("’’", "'{}'"),
        ("?`", r"?\char96{}"),
        ("?‘", "?{}`"),
        ("naïve café", r"na\\"[:2] + r"\"{i}ve caf" + r"\'{e}"),
        ("cafe\u0301", r"caf\'{e}"),
        ("Łódź", r"\L{}\'{o}d\'{z}"),
        ("ρ = .5, r²", r"\ensuremath{\rho} = .5, r\ensuremath{{}^{2}}"),
        ("水", r"\texttt{U+6C34}"),
        ("🙂", r"\texttt{U+1F642}"),
        ("e\u0301\u0323", None),
        ("\u0301", r"\texttt{U+0301}"),
        ("q\u0327", r"q\texttt{U+0327}"),
        ("\x00\x1b", r"\texttt{U+0000}\texttt{U+001B}"),
        ("", ""),
    ],
)
def test_text_is_shown_and_does_nothing(text: str, made: str | None) -> None:
    found = escape(text)
    assert found.isascii()
    if made is not None:
        assert found == made


@settings(deadline=None)
@given(st.text(st.characters()))
def test_any_text_becomes_one_balanced_paragraph_of_ascii_without_specials(text: str) -> None:
    made = escape(text)
    assert made.isascii()
    assert made.isprintable()
    plain = re.sub(r"\\(?:[a-zA-Z]+|.)", "", made)
    assert not set(plain) & set('\\$&#%_"`' if "``" not in made and "`" not in plain else '\\$&#%_"')
    depth = 0
    for char in plain:
        depth += {"{": 1, "}": -1}.get(char, 0)
        assert depth >= 0
    assert depth == 0


@settings(deadline=None)
@given(st.text(st.sampled_from("-'`,!?‘’“”–—„‚ a")))
def test_signs_do_not_run_together_to_others(text: str) -> None:
    # Single quotes of either kind, hyphens and commas are as many as there were.
    made = re.sub(r"\\char96\{\}", "G", escape(text))
    runs = re.findall(r"-+|'+|`+|,+", made)
    assert all(run in ("-", "--", "---", "'", "''", "`", "``", ",", ",,") for run in runs)
    assert sum(run == "''" for run in runs) == text.count("”")
    assert sum(run == "--" for run in runs) == text.count("–")
    assert sum(run == ",," for run in runs) == text.count("„")
    assert not re.search(r"[?!]`(?!`)", made)


def test_accents_are_those_that_the_oldest_encoding_has() -> None:
    # \k (ogonek) and the like are errors in OT1.
    assert set(_ACCENTS.values()) <= set("`'^~=u.\"rHvc")
    made = escape("".join(map(chr, range(0xC0, 0x180))))
    assert made.count("U+") <= 27


@pytest.mark.parametrize("preset", PRESETS)
def test_snippet_is_as_wide_as_the_preset_and_spans_columns_where_there_are_two(preset: str) -> None:
    made = snippet("prompt-input_x_gradient", "50% sure", preset)
    assert rf"\includegraphics[width={PRESETS[preset]:g}in]{{prompt-input_x_gradient}}" in made
    assert (r"\begin{figure*}" in made) is (preset in ("icml-double", "acl-double", "nature-double"))
    assert made.count("figure*") in (0, 2)
    assert r"\caption{50\% sure}" in made
    assert r"\label{fig:prompt-input-x-gradient}" in made


def test_an_unknown_preset_is_refused() -> None:
    with pytest.raises(InputError, match="no preset 'wall'"):
        snippet("x", "y", "wall")


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["pdflatex", "lualatex"])
def test_snippets_of_hostile_captions_compile(engine: str, tmp_path: Path) -> None:
    if shutil.which(engine) is None:
        pytest.skip(f"{engine} is not installed")
    from matplotlib.figure import Figure

    Figure(figsize=(1, 1)).savefig(tmp_path / "a_b.pdf")
    accents = " ".join(map(chr, range(0xA0, 0x180))) + " " + " ".join(f"{a}{b}" for a in "aeqcA" for b in _ACCENTS)
    body = [snippet("a_b", text, "acl-single") for text in (HOSTILE, EVERY, accents, "水 مرحبا 🙂 é ő\x00", "")]
    (tmp_path / "paper.tex").write_text(
        "\\documentclass[twocolumn]{article}\n\\usepackage{graphicx}\n\\begin{document}\n\\listoffigures\n"
        + "\n".join([*body, snippet("a_b", HOSTILE, "acl-double")])
        + "\n\\end{document}\n",
        "ascii",
    )
    for _ in range(2):
        done = subprocess.run(
            [engine, "-halt-on-error", "-interaction=nonstopmode", "paper.tex"],
            cwd=tmp_path, capture_output=True, timeout=120, check=False,
        )  # fmt: skip
        log = (tmp_path / "paper.log").read_text("utf-8", "replace")
        assert done.returncode == 0, log[-2000:]
        assert "Missing character" not in log
        assert not re.search(r"^! ", log, re.M)
