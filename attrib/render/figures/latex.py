"""Caption → a LaTeX figure that pdflatex and lualatex set alike, in the fonts that every installation has.

Everything written is ASCII. Characters with a command become that command, letters with an accent that LaTeX's oldest
encoding knows become accent and letter, and any other becomes its code, as in ``U+6C34``: LaTeX would stop at it, or
leave it out without a word. Not covered: \\usepackage lines; the snippet says which package it needs.
"""

from __future__ import annotations

import re
import unicodedata

from attrib.render.figures.style import PRESETS, width_of

_SPECIAL = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "%": r"\%", "_": r"\_",
    "^": r"\textasciicircum{}", "~": r"\textasciitilde{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", '"': r"\char34{}", "`": r"\char96{}",
}  # fmt: skip
_TEXT = {
    "\u00a0": "~", "“": "``", "”": "''", "‘": "`", "’": "'", "„": ",,", "‚": ",", "–": "--", "—": "---", "‐": "-",
    "‑": "-", "…": r"\ldots{}", "•": r"\textbullet{}", "†": r"\dag{}", "‡": r"\ddag{}", "§": r"\S{}", "¶": r"\P{}",
    "©": r"\copyright{}", "£": r"\pounds{}", "ß": r"\ss{}", "æ": r"\ae{}", "Æ": r"\AE{}", "œ": r"\oe{}",
    "Œ": r"\OE{}", "ø": r"\o{}", "Ø": r"\O{}", "å": r"\aa{}", "Å": r"\AA{}", "ł": r"\l{}", "Ł": r"\L{}",
    "ı": r"\i{}", "ȷ": r"\j{}", "¡": "!`", "¿": "?`",
}  # fmt: skip
_MATHS = {
    "−": "-", "×": r"\times", "·": r"\cdot", "÷": r"\div", "±": r"\pm", "≤": r"\leq", "≥": r"\geq", "≠": r"\neq",
    "≈": r"\approx", "≡": r"\equiv", "∞": r"\infty", "√": r"\surd", "∑": r"\sum", "Σ": r"\Sigma", "∅": r"\emptyset",
    "∈": r"\in", "→": r"\rightarrow", "←": r"\leftarrow", "↔": r"\leftrightarrow", "↑": r"\uparrow",
    "↓": r"\downarrow", "⇒": r"\Rightarrow", "‖": r"\Vert", "′": r"{}^{\prime}", "″": r"{}^{\prime\prime}",
    "°": r"{}^{\circ}", "²": "{}^{2}", "³": "{}^{3}", "¹": "{}^{1}", "«": r"\ll", "»": r"\gg", "‹": "<", "›": ">",
    "¬": r"\neg", "µ": r"\mu", "↵": r"\hookleftarrow", "½": r"\frac{1}{2}", "¼": r"\frac{1}{4}",
    "¾": r"\frac{3}{4}",
} | {
    letter: rf"\{name}"
    for letter, name in zip(
        "αβγδεζηθικλμνξπρστυφχψωΓΔΘΛΞΠΦΨΩ",
        (
            "alpha", "beta", "gamma", "delta", "varepsilon", "zeta", "eta", "theta", "iota", "kappa", "lambda", "mu",
            "nu", "xi", "pi", "rho", "sigma", "tau", "upsilon", "varphi", "chi", "psi", "omega", "Gamma", "Delta",
            "Theta", "Lambda", "Xi", "Pi", "Phi", "Psi", "Omega",
        ),
        strict=True,
    )
}  # fmt: skip
_ACCENTS = {
    "\u0300": "`", "\u0301": "'", "\u0302": "^", "\u0303": "~", "\u0304": "=", "\u0306": "u", "\u0307": ".",
    "\u0308": '"', "\u030a": "r", "\u030b": "H", "\u030c": "v", "\u0327": "c",
}  # fmt: skip
_LIGATURES = frozenset(("--", "''", "``", ",,", "!`", "?`", "'`", "`'"))
"""Pairs that run together to another sign."""


def escape(text: str) -> str:
    """Text of any kind as LaTeX that shows it; line breaks become blanks, since a caption is one paragraph."""
    shown, made, at = " ".join(text.split()), "", 0
    while at < len(shown):
        end = at + 1
        while end < len(shown) and unicodedata.combining(shown[end]):
            end += 1
        piece = _cluster(shown[at:end])
        made += "{}" * (made[-1:] + piece[0] in _LIGATURES) + piece
        at = end
    return made


def _cluster(text: str) -> str:
    """A character and the accents on it."""
    whole = unicodedata.normalize("NFC", text)
    if len(whole) == 1 and (known := _character(whole)) is not None:
        return known
    apart = unicodedata.normalize("NFD", whole)
    # Beyond Latin Extended-A the fonts of one engine or the other lack the letter.
    if len(whole) == 1 and whole <= "\u017f" and len(apart) == 2 and apart[0].isascii() and apart[1] in _ACCENTS:
        return rf"\{_ACCENTS[apart[1]]}{{{apart[0]}}}"
    return "".join(
        found if (found := _character(char)) is not None else rf"\texttt{{U+{ord(char):04X}}}" for char in text
    )


def _character(char: str) -> str | None:
    """One character; None for what has no command."""
    if char in _SPECIAL:
        return _SPECIAL[char]
    if char in _TEXT:
        return _TEXT[char]
    if char in _MATHS:
        return rf"\ensuremath{{{_MATHS[char]}}}"
    return char if char.isascii() and char.isprintable() else None


def snippet(name: str, caption: str, preset: str) -> str:
    """A figure of the file ``name`` (without its suffix) at exactly the preset's width, over two columns if so named.

    Raises InputError for an unknown preset.
    """
    width = width_of(preset)
    # Where both columns are as wide as one, the page has one.
    wide = preset.endswith("-double") and PRESETS.get(preset.replace("-double", "-single")) != width
    figure = "figure*" if wide else "figure"
    return "\n".join(
        (
            r"% needs \usepackage{graphicx}; PDF or PNG is taken, whichever is there",
            rf"\begin{{{figure}}}[t]",
            r"  \centering",
            rf"  \includegraphics[width={width:g}in]{{{name}}}",
            rf"  \caption{{{escape(caption)}}}",
            rf"  \label{{fig:{re.sub('[^A-Za-z0-9.:-]+', '-', name)}}}",
            rf"\end{{{figure}}}",
            "",
        )
    )
