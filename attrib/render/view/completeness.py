"""How far the scores of methods that promise a sum are from it.

Not covered: methods that promise none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from attrib.records import Attribution
from attrib.render.view.columns import side_settings
from attrib.render.view.kinds import kind_of, target_name
from attrib.render.view.labels import number

GAP_SHARE = 0.1
"""Share of a row's change from which its gap is called too large."""


@dataclass(frozen=True)
class Gap:
    """How far one model's scores are from the sums that the method promises, in the target's unit."""

    largest: float
    """|sum of the scores − what it should be| of the row where it is largest."""
    change: float | None
    """|what that row should sum to|; None where the record lacks it."""
    median: float
    """Median |gap| over rows."""
    missed: int | None
    """Rows whose |gap| exceeds GAP_SHARE of their change, or of the rows' mean change where that is larger: a row that
    hardly changes has no scale of its own. None where the changes are not known."""
    rows: int

    @property
    def broken(self) -> bool:
        """Whether some row misses its sum by far."""
        return bool(self.missed)


def gaps(attribution: Attribution) -> tuple[Gap, Gap] | None:
    """Base and tuned; None for methods that promise no sum."""
    base, tuned = attribution.gap_base, attribution.gap_tuned
    if base is None or tuned is None or not len(base):
        return None
    return _gap(attribution, "base", base), _gap(attribution, "tuned", tuned)


def _gap(attribution: Attribution, side: Literal["base", "tuned"], gap: np.ndarray) -> Gap:
    size, change = np.abs(gap), _change(attribution, side, gap)
    worst = int(size.argmax())
    missed = None
    if change is not None:
        missed = int((size > GAP_SHARE * np.maximum(change, change.mean())).sum())
    return Gap(
        largest=float(size[worst]),
        change=None if change is None else float(change[worst]),
        median=float(np.median(size)),
        missed=missed,
        rows=len(size),
    )


def _change(attribution: Attribution, side: Literal["base", "tuned"], gap: np.ndarray) -> np.ndarray | None:
    """|Expected sum of each row|; None with excluded columns, whose scores the sum lacks."""
    if "excluded_base" not in attribution.settings:
        scores = attribution.base if side == "base" else attribution.tuned
        return np.asarray(np.abs(scores.sum(1) - gap))
    known = side_settings(attribution, side).get("change")
    if isinstance(known, list | tuple) and len(known) == len(gap):
        return np.asarray(np.abs(np.asarray(known, dtype=float)))
    return None


def gap_line(gap: Gap, target: str) -> str:
    """``0.05 of 7.9 nats``: the largest gap and what its row should sum to."""
    of = "" if gap.change is None else f" of {number(gap.change)}"
    return f"{number(gap.largest)}{of} {target_name(target).unit}".rstrip()


def gap_note(attribution: Attribution) -> str:
    """One line for beside a figure; empty for methods that promise no sum."""
    found = gaps(attribution)
    if found is None:
        return ""
    base, tuned = (gap_line(gap, attribution.target) for gap in found)
    return f"gap (largest row): base {base}, tuned {tuned}{'; ' if (said := gap_verdict(attribution)) else ''}{said}"


def gap_verdict(attribution: Attribution) -> str:
    """``not converged: over 10% in 2 of 8 rows (tuned)``; empty where the gaps are small or nothing is promised."""
    found = gaps(attribution)
    broken = [(name, gap) for name, gap in zip(("base", "tuned"), found or (), strict=False) if gap.broken]
    if not broken:
        return ""
    word = kind_of(attribution.method).broken or "not converged"  # a method that this module does not know
    where = ", ".join(f"{gap.missed} of {gap.rows} row{'s' * (gap.rows > 1)} ({name})" for name, gap in broken)
    return f"{word}: over {GAP_SHARE:.0%} in {where}"
