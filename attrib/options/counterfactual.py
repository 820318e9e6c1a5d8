"""Sections that ``attrib explain`` tunes again without."""

from __future__ import annotations

from dataclasses import dataclass

from attrib.options.fields import everyday

TOP = "top"
"""The first section of the answer's ranking."""


@dataclass(frozen=True)
class CounterfactualOptions:
    """What the model would say had it been tuned otherwise; each is a tuning, kept in the cache."""

    without: tuple[str, ...] = everyday((), "Counterfactual")
    """Ids of sections (top: the first of the ranking): tune again without them and their questions, and show what the
    model says then."""
    only: tuple[str, ...] = everyday((), "Counterfactual")
    """Ids of sections (or top): tune again on them and their questions alone, and show what the model says then."""
