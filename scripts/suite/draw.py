"""The stored table → figure and caption: AUROC of each pair, verdicts by kind, reliability."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrib.assess import dots
from attrib.assess.dots import Bar, Dot, Look, Mark, Panel, PanelGroup, RowName, Rule
from attrib.render import figures as draw
from attrib.render.figures import COLOURS
from attrib.render.tables import csv_bytes, write_files
from suite.table import Content, read

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

VERDICT = Look("verdict", COLOURS["documents"], "o", 3.2)
BASELINES = {
    "gain": Look("gain", "#666666", "v", 2.6, line=0.0),
    "gain beyond that of control answers": Look("gain beyond control answers'", "#666666", "^", 2.6, line=0.0),
    "learned share of BM25's best section": Look("best section learned", "#CC79A7", "s", 2.4, line=0.0),
    "BM25 of question and answer": Look("BM25", "#D55E00", "D", 2.2, line=0.0),
    "embedding cosine": Look("embedding", "#009E73", "X", 2.8, line=0.0),
}
"""Baselines that are drawn; the table has all."""
HALF = Look("", "#999999", line=0.6)
CALLS = {name: Look(name, colour, area=True) for name, colour in {
    "documents": COLOURS["documents"], "base": COLOURS["base"], "neither": COLOURS["neither"], "cannot tell": "#8C8C8C",
}.items()}  # fmt: skip
GIVEN = (
    "trained", "rephrased", "own-words", "sentence", "joined", "foundation", "held-out", "borrowed", "invented",
    "swapped", "refusal", "trained, not learned", "rephrased, not learned", "own-words, not learned",
)  # fmt: skip
OWN = ("trained", "rephrased", "foundation", "trained, wrong", "rephrased, wrong", "held-out, wrong")


def verdict_figure(content: Content, *, preset: str = "neurips-double") -> Figure:
    """AUROC per pair, given and own answers; what answers of each kind are called; reliability of p(documents)."""
    names = [*(pair["pair"] for pair in content["pairs"]), "all"]
    panels = tuple(
        Panel(f"({letter}) {title}", "AUROC, documents against rest", tuple(_areas(content, whose, names)), (0.3, 1.0))
        for letter, whose, title in (("a", "given", "right answers given"), ("b", "own", "own answers"))
    )
    rows = tuple(RowName(name) for name in names)
    areas = PanelGroup(panels, rows, (VERDICT, *BASELINES.values()), row=0.17, divided=len(names) - 1)
    kinds = _kinds(content)
    shares = Panel("(c) called, all pairs", "share of answers", tuple(_shares(kinds)), (0.0, 1.0))
    called = PanelGroup(
        (shares,), tuple(RowName(name, f" ({row['n']})") for name, row in kinds), tuple(CALLS.values()), row=0.15
    )
    found = next(one for one in content["reliability"] if one["scorer"] == "verdict")
    curve = Panel("(d) reliability", "p(documents) said", content=partial(_reliability, bins=found["bins"]))
    curve = replace(curve, side_unit="share from the documents", limits=(0.0, 1.0))
    return dots.figure([[areas], [called, PanelGroup((curve,), height=called.tall)]], preset=preset)


def _areas(content: Content, whose: str, names: Sequence[str]) -> list[Mark]:
    marks: list[Mark] = [Rule(0.5, HALF)]
    looks = {**BASELINES, "verdict": VERDICT}
    for scorer, look in looks.items():
        for row in content["auroc"]:
            if (row["scorer"], row["answers"]) == (scorer, whose) and row["pair"] in names:
                ends = (row["low"], row["high"]) if scorer == "verdict" else (row["auroc"], row["auroc"])
                low, high = map(_finite, ends)
                marks.append(Dot(names.index(row["pair"]), row["auroc"], low, high, look))
    return marks


def _finite(value: float | None) -> float:
    return float("nan") if value is None else value


def _kinds(content: Content) -> list[tuple[str, Any]]:
    """Name and row of every kind that is drawn and there."""
    by_kind = {(row["answers"], row["kind"]): row for row in content["kinds"] if row["pair"] == "all"}
    found = [(kind, by_kind["given", kind]) for kind in GIVEN if ("given", kind) in by_kind]
    return found + [(f"own: {kind}", by_kind["tuned", kind]) for kind in OWN if ("tuned", kind) in by_kind]


def _shares(kinds: Sequence[tuple[str, Any]]) -> list[Mark]:
    marks: list[Mark] = []
    for place, (_, row) in enumerate(kinds):
        start = 0.0
        for name, look in CALLS.items():
            marks.append(Bar(place, start, row[name], look))
            start += row[name]
    return marks


def _reliability(ax: Axes, bins: Sequence[Any]) -> None:
    """A point a bin, its area by the number of answers."""
    ax.plot([0, 1], [0, 1], color=HALF.colour, lw=HALF.line)
    most = max(one["n"] for one in bins)
    sizes = [4 + 36 * one["n"] / most for one in bins]
    ax.plot([one["said"] for one in bins], [one["true"] for one in bins], color=VERDICT.colour, lw=0.7)
    ax.scatter([one["said"] for one in bins], [one["true"] for one in bins], s=sizes, color=VERDICT.colour, lw=0)
    ax.set_ylim(0, 1.02)


def verdict_caption(content: Content) -> str:
    """One paragraph: what was judged by which weights, and the limits of the numbers."""
    pairs, found = content["pairs"], next(one for one in content["reliability"] if one["scorer"] == "verdict")
    answers = sum(pair["answers"] for pair in pairs)
    lines = [
        f"Verdict on {answers:,} answers of {len(pairs)} pairs of base and tuned model, each judged by weights fitted "
        "on the other pairs.",
        "(a, b) AUROC of documents against base and neither; bars: 95% bootstrap over facts; baselines are one number "
        "of an answer each, fitted in the same way. Own answers: the models' own right ones.",
        "(c) What answers of a kind are called at the threshold that each pair's own control answers give (at most 10% "
        "of answers from elsewhere called documents); number of answers in brackets. Not learned: facts whose trained "
        "question the tuned model answers wrong.",
        f"(d) Share of answers from the documents by p(documents), areas by number; expected calibration error "
        f"{found['ece']:.3f} [{found['low']:.3f}, {found['high']:.3f}], n = {found['n']:,}.",
    ]
    return " ".join(lines)


def verdict_files(content: Content, formats: Sequence[str], preset: str) -> dict[str, bytes]:
    """The figure with caption and LaTeX, and its numbers as CSV, by file name."""
    columns = ("pair", "answers", "scorer", "auroc", "low", "high", "documents", "rest")
    figure, caption = verdict_figure(content, preset=preset), verdict_caption(content)
    return {
        "verdict.csv": csv_bytes(content["auroc"], columns),
        **draw.drawn("verdict", figure, caption, formats, preset=preset),
    }


def write_verdict(record: Path, out: Path, formats: Sequence[str], preset: str) -> list[str]:
    """Draw the stored table again; returns the files."""
    return write_files(out, verdict_files(read(record), formats, preset))
