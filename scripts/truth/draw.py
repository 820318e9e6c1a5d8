"""The stored comparison of scorers → figure and caption: LDS and r among other sections, test split."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from attrib.assess import dots
from attrib.assess.dots import Dot, Look, Mark, Panel, PanelGroup, RowName, Rule
from attrib.render import figures as draw
from attrib.render.figures import COLOURS
from attrib.render.tables import csv_bytes, write_files
from truth.gate import TruthRow

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SCORERS = {
    "other seed": "another seed",
    "Gram of units 1, Adam": "Gram, Adam",
    "cosine, Adam": "cosine, Adam",
    "cosine, metric of 4 sections": "cosine, 4 sections",
    "cosine": "cosine",
    "dot": "product",
    "BM25": "BM25",
    "one-hot of BM25": "BM25's best",
    "one-hot of the own row": "own row",
    "embedding": "embedding",
    "random": "random",
}
"""Those that are drawn, by their names in the figure; the table has all."""
GRADIENTS = Look("gradients along training", COLOURS["documents"], "o", 3.2)
TEXTS = Look("texts alone", "#D55E00", "D", 2.6)
CONTROL = Look("ceiling and chance", "#666666", "s", 2.6)
ZERO = Look("", "#BBBBBB", line=0.6)
PANELS = (
    ("LDS", "LDS, random halves"),
    ("r, others", "r among other sections"),
)


def read(record: Path) -> list[TruthRow]:
    """The stored rows."""
    return [TruthRow(**row) for row in json.loads(record.read_text("utf-8"))]


def truth_figure(rows: Sequence[TruthRow], *, preset: str = "neurips-double") -> Figure:
    """Every scorer by two metrics, with intervals."""
    names = list(SCORERS)
    panels = []
    for letter, (metric, title) in zip("ab", PANELS, strict=True):
        marks: list[Mark] = [Rule(0.0, ZERO)]
        for row in rows:
            if (row.split, row.kind, row.metric) == ("test", "all", metric) and row.scorer in names:
                marks.append(Dot(names.index(row.scorer), row.value, row.low, row.high, _look(row.scorer)))
        panels.append(Panel(f"({letter}) {title}", "correlation", tuple(marks), (-0.15, 1.0)))
    shown = tuple(RowName(name) for name in SCORERS.values())
    return dots.figure([[PanelGroup(tuple(panels), shown, (GRADIENTS, TEXTS, CONTROL), row=0.17)]], preset=preset)


def _look(scorer: str) -> Look:
    if scorer in ("other seed", "random"):
        return CONTROL
    return TEXTS if scorer.startswith(("BM25", "one-hot", "embedding")) else GRADIENTS


def truth_caption(rows: Sequence[TruthRow]) -> str:
    """One paragraph: what was compared, and the limits."""
    found = {(r.scorer, r.metric): r for r in rows if (r.split, r.kind) == ("test", "all")}
    n, cosine = found["cosine", "LDS"].n, found["cosine", "LDS"]
    ahead = f"{cosine.ahead:.2f} [{cosine.ahead_low:.2f}, {cosine.ahead_high:.2f}]"
    lines = [
        f"Scorers against retraining on attrib-truth, where several sections carry each fact: {n} questions of the "
        "test split, 43 sections, SmolLM2-135M with LoRA.",
        "(a) Rank correlation of a section's summed scores with log p of the answer after training on random halves; "
        "(b) correlation of the score with log p lost without the section, over the sections that BM25 does not rank "
        "first.",
        "Means over questions; bars: 95%, bootstrap over facts. Adam: divided by the root of AdamW's second moment; "
        "4 sections: by that of four sections' gradients. Another seed: the same halves, another start and order.",
        f"The cosine is ahead of BM25's best section by {ahead} in (a). One base of 135M parameters; "
        "nothing is said of others.",
    ]
    return " ".join(lines)


def write_truth(record: Path, out: Path, formats: Sequence[str], preset: str) -> list[str]:
    """Draw the stored rows again; returns the files."""
    rows = read(record)
    columns = ("scorer", "split", "kind", "metric", "value", "low", "high", "ahead", "ahead_low", "ahead_high", "n")
    figure, caption = truth_figure(rows, preset=preset), truth_caption(rows)
    table = csv_bytes([vars(row) for row in rows], columns)
    return write_files(out, {"truth.csv": table, **draw.drawn("truth", figure, caption, formats, preset=preset)})
