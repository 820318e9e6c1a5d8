"""Explanation → the terminal's first screen: answer, sentence, section, what base says, how sure.

24 lines of 80 columns for an answer of a sentence or two. Not covered: scores, prompt and provenance (``terminal``).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from attrib.measures import bits
from attrib.records import CALLS, Called, Explanation
from attrib.render import view
from attrib.render.blocks import hanging, headed, text_of

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

STYLES = {
    "documents": "bold underline blue",
    "base": "yellow",
    "neither": "bright_black",
    "cannot tell": "italic",
    "mixed": "bold",
}
MARKS = {"documents": "[d]", "base": "[b]", "neither": "[n]", "cannot tell": "[?]"}
_BARS = "▁▂▃▄▅▆▇█"
_ROWS = 6
"""Rows of the answer that the first screen has; a longer answer is cut, and says so."""
_FIRST = ("words", "tuning", "promise")
"""Lines of "how sure?" on the first screen."""


def first_screen(explanation: Explanation, plain: bool, width: int, *, whole: bool = False) -> Iterator[RenderableType]:
    """The lines; ``whole``: the answer and what base says uncut."""
    found = view.headline(explanation)
    yield headed("Question: ", text_of(explanation.question), plain)
    yield headed(f"Answer ({explanation.answer_source}):", text_of(""), plain)
    yield from answer_lines(explanation, plain, width, None if whole else _ROWS)
    yield _key(explanation, plain)
    yield ""
    yield text_of(found.sentence)
    for row in view.section_rows(explanation, top=1):
        yield headed(f"{found.named.capitalize()}: ", text_of(_where(row)), plain)
        yield hanging("  ", quoted(view.snippet(row), "", plain))
    if whole and explanation.answer_source != "base":
        said = " ".join(explanation.base_answer.split())
        yield headed("Base said: ", text_of(f"“{said}”" if said else "nothing"), plain)
    yield from map(text_of, view.otherwise_lines(explanation))
    lines = [one for one in view.sureness(explanation, found) if whole or one.name in _FIRST]
    for i, one in enumerate(lines):
        line = text_of(f"{one.name}: {one.text}")
        yield hanging("  ", line) if i else headed("How sure? ", line, plain)
    if not whole:
        yield text_of("More: attrib show FILE --all, or the page", "" if plain else "dim")


def quoted(pieces: Sequence[tuple[str, bool]], style: str, plain: bool) -> Text:
    """Pieces in quotes, matches in brackets."""
    said = text_of("“")
    for piece, match in pieces:
        said.append_text(text_of(f"[{piece}]" if match else piece, "bold underline" if match and not plain else style))
    return said.append("”")


def answer_lines(explanation: Explanation, plain: bool, width: int, most: int | None = None) -> Iterator[Text]:
    """The answer's words in rows, under each row the gain of its words as bars."""
    rows = view.answer_rows(explanation, "word")
    gain = np.array([row.gain_bits for row in rows])
    lines: list[tuple[Text, Text]] = []
    last: Called | None = None
    for row, bar in zip(rows, bars(gain), strict=True):
        mark = MARKS[row.verdict] if plain and row.verdict != last else ""
        word = text_of(f"{mark}{row.label}", "" if plain else STYLES[row.verdict])
        last = row.verdict
        if not lines or lines[-1][0].cell_len + 1 + word.cell_len > max(width - 2, 10):
            lines.append((text_of("  "), text_of("  ")))
        above, below = lines[-1]
        above.append_text(word).append(" ")
        below.append(" " * len(mark) + bar * (word.cell_len - len(mark)) + " ")
    for above, below in lines[:most]:
        above.rstrip()
        below.rstrip()
        yield above
        yield below
    if most is not None and len(lines) > most:
        yield text_of(f"  … {len(lines) - most} more lines")


def bars(values: np.ndarray) -> list[str]:
    """One character a value, from the smallest (or zero) to the largest (or zero); what has no number is ``?``, what
    has no end stands at the ends."""
    finite = [0.0, *(float(value) for value in values if np.isfinite(value))]
    low, high = min(finite), max(finite)
    steps = (len(_BARS) - 1) / ((high - low) or 1.0)
    return ["?" if np.isnan(v) else _BARS[round((min(max(v, low), high) - low) * steps)] for v in values]


def _key(explanation: Explanation, plain: bool) -> Text:
    legend = text_of("  ")
    there = set(view.token_calls(explanation))
    for label in (label for label in CALLS if label in there):
        name = f"{MARKS[label]} {label}" if plain else label
        legend.append_text(text_of(name, "" if plain else STYLES[label])).append("  ")
    gain = bits(explanation.verdict.gain.astype(np.float64))
    if len(gain):
        low, high = (f"{float(end):+.1f}".replace("-", "−") for end in (gain.min(), gain.max()))
        legend.append(f"bars: gain, {low} to {high} bits a token")
    return legend


def _where(row: view.SectionRow) -> str:
    return f"{view.short_title(row.section)} ({view.place(row.section)}); learned {view.percent(row.learned)}"
