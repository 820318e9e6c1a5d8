"""Figures of assessments: as files what a journal asks for, and at home in the caller's axes."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
from matplotlib.figure import Figure

from attrib.assess.attribution.draw import verdicts_figure
from attrib.assess.benchmark.draw import benchmark_figure
from attrib.assess.consistency.draw import consistency_figure
from attrib.assess.faithfulness.draw import faithfulness_figure
from attrib.assess.holdout.draw import holdout_figure
from attrib.assess.influence.draw import retraining_figure
from attrib.assess.influence.metrics import table
from attrib.errors import InputError
from attrib.render import figures
from tests.make_benchmark import make_benchmark, make_verdicts
from tests.make_consistency import make_consistency
from tests.make_holdout import make_report
from tests.make_retraining import make_retraining
from tests.make_stored import make_faithfulness
from tests.render import pdf
from tests.render.inside import drawn_inside, texts

ODD = ("$x_1$ {of} \\alpha", "水の質問 🙂", "in\ntwo lines")


@cache
def retraining() -> tuple[Any, Any]:
    found = make_retraining(pairs=3, singles=4, decoys=3, halves=12)
    return found, table(found, resamples=60)


@cache
def report(name: str) -> Any:
    makers: dict[str, Callable[[], Any]] = {
        "faithfulness": make_faithfulness,
        "benchmark": lambda: make_benchmark(ODD, n=4),
        "verdicts": make_verdicts,
        "consistency": make_consistency,
        "holdout": lambda: make_report(removal=True),
    }
    return makers[name]()


DRAW: dict[str, tuple[Callable[..., Figure], int]] = {
    "faithfulness": (lambda **how: faithfulness_figure(report("faithfulness"), **how), 4),
    "benchmark": (lambda **how: benchmark_figure(report("benchmark"), **how), 2),
    "verdicts": (lambda **how: verdicts_figure(report("verdicts"), **how), 2),
    "consistency": (lambda **how: consistency_figure(report("consistency"), **how), 4),
    "holdout": (lambda **how: holdout_figure(report("holdout"), **how), 4),
    "retraining": (lambda **how: retraining_figure(*retraining(), **how), 0),
}
"""How each is drawn, and its panels; 0: as many as it happens to have."""


def check(name: str, preset: str) -> None:
    draw, _ = DRAW[name]
    data = figures.to_bytes(draw(preset=preset), "pdf", figures.plain_metadata(name, "pdf"))
    assert figures.to_bytes(draw(preset=preset), "pdf", figures.plain_metadata(name, "pdf")) == data
    drawn_inside(draw(preset=preset), preset)
    facts = pdf.read(data)
    assert facts.width == pytest.approx(figures.PRESETS[preset], abs=1e-4)
    assert set(facts.fonts) == {"TrueType"}
    assert min(facts.sizes) >= 6 - 1e-6


@pytest.mark.parametrize("name", DRAW)
def test_a_figure_is_as_wide_as_its_column_with_truetype_and_no_small_text(name: str) -> None:
    check(name, "acl-single")


@pytest.mark.slow
@pytest.mark.parametrize("preset", figures.PRESETS)
@pytest.mark.parametrize("name", DRAW)
def test_every_figure_at_every_width(name: str, preset: str) -> None:
    check(name, preset)


@pytest.mark.parametrize("name", DRAW)
def test_the_callers_axes_hold_what_a_figure_of_its_own_holds(name: str) -> None:
    draw, panels = DRAW[name]
    own = draw()
    panels = panels or len(own.axes)
    assert len(own.axes) == panels
    mine = Figure(figsize=(16, 5))
    axes = list(mine.subplots(1, panels, squeeze=False)[0])
    assert draw(axs=axes) is mine
    assert mine.axes == axes
    for ax, other in zip(axes, own.axes, strict=True):
        assert len(ax.lines) == len(other.lines)
        assert len(ax.collections) == len(other.collections)
        assert len(ax.containers) == len(other.containers)
    legend = axes[0].get_legend()
    assert legend is not None
    assert not mine.legends
    named = {text.get_text() for text in legend.get_texts()}
    assert named <= {text.get_text() for one in own.legends for text in one.get_texts()}
    # What stands beside nothing has its rows' names.
    if name != "retraining":
        assert [t.get_text() for t in axes[0].get_yticklabels()] == [
            t.get_text() for t in own.axes[0].get_yticklabels()
        ]
    with pytest.raises(InputError, match=f"axs has {panels - 1} axes; this figure needs {panels}"):
        draw(axs=axes[:-1])
    assert texts(mine)
