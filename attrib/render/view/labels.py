"""Tokens, sections, numbers and shares as text: short, on one line, nothing in them can act.

Not covered: names of methods and targets (``kinds``).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from pathlib import PurePosixPath, PureWindowsPath

import numpy as np
from jaxtyping import Float

from attrib.records import LABELS, Section, Token


def model_name(name: str) -> str:
    """A model's name for others: of a folder on some machine its last part, a relative path or hub id as it is."""
    for kind in (PurePosixPath, PureWindowsPath):
        if kind(name).is_absolute():
            return kind(name).name or name
    return name


def number(value: float) -> str:
    """Two significant digits, no exponent from 100 up, zero for rounding errors, a true minus sign."""
    if abs(value) < 1e-9:
        return "0"
    return (f"{value:.0f}" if abs(value) >= 99.5 else f"{value:.2g}").replace("-", "−")


def visible(text: str, *, keep: str = "") -> str:
    """Text with every character that would act instead of showing made visible, except those in ``keep``.

    Covers terminal escapes and direction overrides, which documents may hold and which must not act on a reader.
    """
    return "".join(char if char in keep else _shown(char) for char in text)


def _shown(char: str) -> str:
    if char in _SIGNS:
        return _SIGNS[char]
    return f"<{ord(char):02X}>" if unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") or char in _BIDI else char


_SIGNS = {"\n": "↵", "\r": "␍", "\t": "⇥"}
_BIDI = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


def token_label(text: str) -> str:
    """How a token stands beside an axis: never empty, never with a line break."""
    if not text:
        return "∅"
    if not text.strip(" "):
        return "␠" * len(text)
    return visible(text.strip(" "))


def section_label(section: Section) -> str:
    """A short name: the innermost heading, a conversation's question, or file and place where there is none."""
    if section.titles:
        return visible(" ".join(section.titles[-1].split()))
    asked = section.title != section.document
    return visible(section.title if asked else f"{section.document} {section.lines}")


def percents(shares: Float[np.ndarray, " label"]) -> tuple[int, ...]:
    """Whole percents that sum to 100 (largest remainder)."""
    exact = 100 * np.asarray(shares, dtype=float) / np.sum(shares)
    whole = np.floor(exact).astype(int)
    for i in np.argsort(whole - exact, kind="stable")[: 100 - int(whole.sum())]:
        whole[i] += 1
    return tuple(int(n) for n in whole)


def verdict_line(shares: Float[np.ndarray, " 3"]) -> str:
    """``documents 71% · base 18% · neither 11%``."""
    return " · ".join(f"{label} {said}" for label, said in zip(LABELS, percent_texts(shares), strict=True))


def percent_texts(shares: Float[np.ndarray, " label"]) -> tuple[str, ...]:
    """``percents`` in words: ``<1%`` and ``>99%`` for what is not wholly nothing or all."""
    # A share may be 1 by rounding alone: it is all only where no other is left.
    several = int(np.count_nonzero(shares)) > 1
    return tuple(
        ">99%" if several and n >= 100 else _whole_percent(n, float(one))
        for n, one in zip(percents(shares), shares, strict=True)
    )


def percent(share: float) -> str:
    """One share of 0…1, as in ``percent_texts``; ``none`` for what is not finite."""
    if not np.isfinite(share):
        return "none"
    return _whole_percent(int(f"{100 * share:.0f}"), share)


def _whole_percent(percents: int, share: float) -> str:
    if percents <= 0 and share > 0:
        return "<1%"
    return ">99%" if percents >= 100 and share < 1 else f"{percents}%"


def p_value(p: float) -> str:
    """``p 0.04``; ``p <0.01`` for what two decimals would call zero."""
    return "p <0.01" if p < 0.005 else f"p {p:.2f}"


def joined_label(tokens: Sequence[Token], members: Sequence[int]) -> str:
    """The text of ``members`` of the tokens, an ellipsis where some between them are missing."""
    text = ""
    for before, i in zip((None, *members), members, strict=False):
        text += tokens[i].text if before in (None, i - 1) else f"…{tokens[i].text}"
    return token_label(text)
