"""Explanation → the answer as text, every token with its verdict and its gain, and what the other model said.

Verdicts differ in colour and, in grey, in the line under the token. Not covered: right-to-left order; tokens
stand one after the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from attrib.errors import InputError
from attrib.measures import bits
from attrib.records import CALLS, LABELS, Called, Explanation
from attrib.render import view
from attrib.render.figures.captions import answer_called, asked
from attrib.render.figures.parts import HALF_CAPITAL, new_axes, write
from attrib.render.figures.style import (
    COLOURS,
    FONT,
    HATCHES,
    LESS,
    LINE,
    MARGIN,
    MAX_HEIGHT,
    MORE,
    elide,
    figure_of,
    in_font,
    inches,
    short_bits,
    size,
    style,
    width_of,
)
from attrib.text.units import words

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_POINTS = 7.0
"""Size of the answer's text."""
_BARS, _TEXT, _UNDER, _LEADING = 0.2, 0.15, 0.04, 0.06
"""Inches of a line of the answer: gain bars, text, line under it, space below."""
_STEP = _BARS + _TEXT + _UNDER + _LEADING
_KEY = 0.27  # inches of the legend with the space below it
_SAID = 4
"""Lines of another answer that are drawn at most."""
_TINTS: dict[Called, float] = {"documents": 0.3, "base": 0.4, "neither": 0.45, "cannot tell": 0.2}
"""How strong a verdict's colour is behind black text."""
_LINES: dict[Called, tuple[str, Any, float]] = {
    "documents": ("#0072B2", "-", 1.5),
    "base": ("#A86F00", (0, (3, 1.2)), 1.2),
    "neither": ("#6E6E6E", (0, (0.8, 1.2)), 1.2),
    "cannot tell": ("#6E6E6E", (0, (3, 0.9, 0.8, 0.9)), 1.2),
}
"""Colour, dashes and width in points of the line under a token."""


@dataclass(frozen=True)
class Piece:
    """A token where it stands."""

    index: int
    text: str
    left: float
    """Inches from the line's beginning."""
    right: float


@dataclass(frozen=True)
class _Plan:
    """All lines, in inches."""

    width: float
    gutter: float
    """Space for the ends of the gain."""
    key: tuple[str, ...]
    key_lines: tuple[tuple[Piece, ...], ...]
    lines: tuple[tuple[Piece, ...], ...]
    cut: int
    """Answer tokens left out at the end."""
    said: tuple[str, ...]
    low: float
    high: float
    """Ends of the gain, bits."""

    @property
    def top(self) -> float:
        return _KEY + (len(self.key_lines) - 1) * 1.5 * LINE

    @property
    def height(self) -> float:
        cut = 1.4 * LINE if self.cut else 0.0
        return self.top + len(self.lines) * _STEP + cut + len(self.said) * 1.3 * LINE + 2 * MARGIN


def answer_strip(explanation: Explanation, *, preset: str = "neurips-double", ax: Axes | None = None) -> Figure:
    """The answer's tokens in lines, each under its gain in bits and over its verdict's line; then the other answers.

    ``ax``: axes of the caller's; the text fills them and is cut where they end, the preset is then not used. Raises
    InputError for an answer without tokens and for an unknown preset.
    """
    with style():
        if ax is None:
            plan = _plan(explanation, width_of(preset), MAX_HEIGHT)
            (ax,) = new_axes(plan.width, plan.height, [(0.0, 0.0, plan.width, plan.height)])
        else:
            plan = _plan(explanation, *size(ax))
        _draw(ax, explanation, plan)
        return figure_of(ax)


def _plan(explanation: Explanation, width: float, height: float) -> _Plan:
    view.require_rows(explanation.answer_tokens)
    low, high = view.gain_ends([bits(float(value)) for value in explanation.verdict.gain])
    gutter = MARGIN + max(inches(short_bits(end)) for end in (low, high)) + 0.05
    room = width - gutter - MARGIN
    # Two letters of the widest kind must fit.
    if room < 0.4:
        raise InputError(f"an answer cannot be set in {width:.2g} in; give wider axes")
    key = (*_shown(explanation), f"gain {short_bits(low)}…{short_bits(high)} bit")
    key_lines = _flow([(f"{name}  ", True) for name in key], width - 2 * MARGIN, 6.0)
    said = _said(explanation, width - 2 * MARGIN)
    lines = _flow(_tokens(explanation), room, _POINTS)
    top = _KEY + (len(key_lines) - 1) * 1.5 * LINE
    free = height - top - len(said) * 1.3 * LINE - 2 * MARGIN
    most = max(1, int((free + 1e-6) / _STEP))
    if len(lines) > most:
        most = max(1, int((free - 1.4 * LINE) / _STEP))
    cut = sum(len(line) for line in lines[most:])
    return _Plan(width, gutter, key, key_lines, lines[:most], cut, said, low, high)


def _shown(explanation: Explanation) -> tuple[Called, ...]:
    """Verdicts of the legend: «cannot tell», the last, only where a token has it."""
    return CALLS if "cannot tell" in view.token_calls(explanation) else CALLS[:-1]


def _tokens(explanation: Explanation) -> list[tuple[str, bool]]:
    """Text of each token as drawn, and whether a word starts with it."""
    starts = {group[0] for group in words(explanation.answer_tokens)}
    shown = []
    for i, token in enumerate(explanation.answer_tokens):
        text = view.visible(token.text) if token.text.strip(" ") else view.token_label(token.text)
        shown.append((text, i in starts))
    return shown


def _flow(pieces: Sequence[tuple[str, bool]], room: float, points: float) -> tuple[tuple[Piece, ...], ...]:
    """Pieces in lines of ``room`` inches; words stay whole where they fit a line, a line's end sign ends its line."""
    scale = points / 6
    lines: list[list[Piece]] = [[]]
    at, i = 0.0, 0
    while i < len(pieces):
        end = i + 1
        while end < len(pieces) and not pieces[end][1]:
            end += 1
        wide = sum(inches(in_font(text)) for text, _ in pieces[i:end]) * scale
        if at > 0 and at + wide > room + 1e-9:
            lines.append([])
            at = 0.0
        for index in range(i, end):
            text = in_font(pieces[index][0])
            if at == 0:
                text = text.lstrip(" ") or text
            text = elide(text, room / scale)
            across = inches(text) * scale
            if at > 0 and at + across > room + 1e-9:
                lines.append([])
                at = 0.0
            lines[-1].append(Piece(index, text, at, at + across))
            at += across
            if text.endswith("↵"):
                lines.append([])
                at = 0.0
        i = end
    return tuple(tuple(line) for line in lines if line)


def _said(explanation: Explanation, room: float) -> tuple[str, ...]:
    """Lines of what the models said by themselves, where that is not the answer."""
    lines: list[str] = []
    for name, text in _told(explanation):
        blank = f"{name} said nothing"
        whole = f"{name} said: {view.visible(' '.join(text.split()))}" if text.strip() else blank
        pieces = [(word if not i else f" {word}", True) for i, word in enumerate(whole.split())]
        own = ["".join(piece.text for piece in line) for line in _flow(pieces, room, 6.0)]
        if len(own) > _SAID:
            own[_SAID - 1 :] = [elide(f"{own[_SAID - 1]} {own[_SAID]}", room)]
        lines += own
    return tuple(lines)


def _told(explanation: Explanation) -> list[tuple[str, str]]:
    """The models whose own answer is not the one that is explained, with that answer."""
    return [
        (name, text)
        for name, text in (("base", explanation.base_answer), ("tuned", explanation.tuned_answer))
        if explanation.answer_source != name and (name == "base" or text.strip() != explanation.answer.strip())
    ]


def _draw(ax: Axes, explanation: Explanation, plan: _Plan) -> None:
    from matplotlib.patches import Rectangle

    wide, tall = size(ax)
    ax.set(xlim=(0, wide), ylim=(tall, 0), xticks=[], yticks=[])
    ax.spines[:].set_visible(False)
    _key(ax, plan)
    gain = [view.drawn_gain(bits(float(value)), plan.low, plan.high) for value in explanation.verdict.gain]
    scale, labels = _BARS / (plan.high - plan.low), view.token_calls(explanation)
    for number, line in enumerate(plan.lines):
        top = plan.top + number * _STEP
        zero = top + plan.high * scale
        for piece in line:
            left, right = plan.gutter + piece.left, plan.gutter + piece.right
            _token(ax, left, right, top + _BARS, piece.text, labels[piece.index], _POINTS)
            bar = min(0.0, -gain[piece.index] * scale), abs(gain[piece.index]) * scale
            inset = min(0.01, (right - left) / 8)
            colour = MORE if gain[piece.index] >= 0 else LESS
            ax.add_patch(
                Rectangle((left + inset, zero + bar[0]), right - left - 2 * inset, bar[1], color=colour, linewidth=0)
            )
        ax.plot([plan.gutter, plan.gutter + line[-1].right], [zero, zero], color="black", linewidth=0.4)
        for end, place in ((plan.high, top), (plan.low, top + _BARS)):
            # The ends alone, and one of them where they would touch.
            if end and (number == 0) and abs(end) * scale > 0.02:
                at = min(max(place, top + 0.045), top + _BARS - 0.02)
                left = plan.gutter - 0.03
                write(ax, short_bits(end), (left, at), (0, HALF_CAPITAL), "data", ha="right", color="0.35")
    down = plan.top + len(plan.lines) * _STEP
    if plan.cut:
        _write(ax, plan.gutter, down + LINE, f"… {plan.cut:,} more tokens", "black")
        down += 1.4 * LINE
    for number, text in enumerate(plan.said):
        _write(ax, MARGIN, down + MARGIN + LINE + number * 1.3 * LINE, text, "0.25")


def _key(ax: Axes, plan: _Plan) -> None:
    """The verdicts' names as tokens, and what the bars are."""
    from matplotlib.patches import Rectangle

    for number, line in enumerate(plan.key_lines):
        top = 0.02 + number * 1.5 * LINE
        for piece in line:
            name = plan.key[piece.index]
            left = MARGIN + piece.left
            if piece.index < len(plan.key) - 1:
                _token(ax, left, left + inches(name), top, name, CALLS[piece.index], 6.0)
            else:
                ax.add_patch(Rectangle((left, top + 0.03), 0.04, 0.09, color=MORE, linewidth=0))
                _write(ax, left + 0.07, top + 0.11, name, "black")


def _token(ax: Axes, left: float, right: float, top: float, text: str, verdict: Called, points: float) -> None:
    """One token: tint, text, line under it."""
    from matplotlib.patches import Rectangle

    colour, dashes, thick = _LINES[verdict]
    ax.add_patch(
        Rectangle(
            (left, top),
            right - left,
            _TEXT,
            facecolor=COLOURS[verdict],
            alpha=_TINTS[verdict],
            linewidth=0,
            hatch=HATCHES.get(verdict),
            edgecolor="0.6",
        )
    )
    edge = min(0.008, (right - left) / 8)
    under = top + _TEXT + _UNDER / 2
    ax.plot(
        [left + edge, right - edge], [under, under], color=colour, linestyle=dashes, linewidth=thick,
        dash_capstyle="butt", solid_capstyle="butt",
    )  # fmt: skip
    _write(ax, left, top + _TEXT - 0.045, text, "black", points)


def _write(ax: Axes, left: float, baseline: float, text: str, colour: str, points: float = 6.0) -> None:
    ax.text(left, baseline, text, ha="left", va="baseline", color=colour, **{**FONT, "fontsize": points})


def strip_caption(explanation: Explanation, *, preset: str = "neurips-double") -> str:
    """One paragraph for under the strip drawn with the same preset."""
    with style():
        plan = _plan(explanation, width_of(preset), MAX_HEIGHT)
    gain = explanation.verdict.gain
    shown = "cannot tell" in _shown(explanation)
    unsure, last = (", ", " or cannot tell (dashes and dots, hatched)") if shown else (" or ", "")
    lines = [
        f"{asked(explanation)}, token by token. Line and colour: the verdict on each token, documents (solid, blue),"
        f" base (dashed, orange){unsure}neither (dotted, grey){last}; the answer:"
        f" {answer_called(explanation)}.",
        f"Bars: gain, log p tuned − log p base in bits, {short_bits(plan.low)} to {short_bits(plan.high)} on one scale"
        f" for all lines, {view.number(bits(float(gain.sum())))} bits in all.",
    ]
    if plan.cut:
        lines.append(f"The last {plan.cut:,} of {len(gain):,} tokens are not drawn.")
    if plan.said:
        own = [name for name, _ in _told(explanation)]
        lines.append(f"Below: what {' and '.join(own)} answered by {'itself' if len(own) == 1 else 'themselves'}.")
    lines.append("Every word is judged by itself; words like “the” go with the word that they belong to.")
    lines.append(f"{view.promise_line(explanation.verdict.promise)}.")
    lines.append("The verdict is a calibrated judgement: only retraining shows what caused a token.")
    return " ".join(lines)


def strip_numbers(explanation: Explanation) -> list[dict[str, object]]:
    """Every token of the answer, one row each, those that were not drawn too."""
    verdict = explanation.verdict
    return [
        {
            "token": i,
            "text": token.text,
            "verdict": label,
            **{f"p_{label}": float(verdict.tokens[i, j]) for j, label in enumerate(LABELS)},
            "logprob_base": float(explanation.base.logprob[i]),
            "logprob_tuned": float(explanation.tuned.logprob[i]),
            "gain_bits": bits(float(verdict.gain[i])),
        }
        for i, (token, label) in enumerate(zip(explanation.answer_tokens, verdict.token_labels, strict=True))
    ]
