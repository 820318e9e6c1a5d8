"""Description of the scores of one method or mapper: reduction, unit, claim and limits.

Not covered: how scores are computed (``attribution``, ``mapping``); colours and layout (``render``).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

Claim = Literal["attention", "effect", "resemblance", "learned", "evidence", "influence"]
"""Attention: the model looked there. Effect: the target depends on it. Resemblance: the section says the same.
Learned: tuning taught the section, whatever the answer. Evidence: it says the same and was taught. Influence: training
on the section moved the answer."""


@dataclass(frozen=True, kw_only=True)
class ScoreKind:
    """One per method and mapper, written beside the function that computes it. ``{target}`` in a text stands for the
    target's short name."""

    claim: Claim = "effect"
    reduction: Literal["sum", "mean", "max"] = "sum"
    """How the answer tokens of one word are reduced to one score."""
    signed: bool = True
    """True where zero is the middle of the scale, not its low end."""
    unit: str
    """Label of a colour bar."""
    meaning: str
    """Definition of a score, for captions and the reference."""
    caveat: str = ""
    """Limit of the scores, as one sentence."""
    fold: Literal["sum", "max"] = "sum"
    """How prompt columns are folded into one."""
    broken: str = ""
    """Verdict on rows that miss their sum by far, for methods that promise one."""
    label: str = ""
    """Name for people; empty: the name in the dict with blanks and ×."""

    def of_target(self, short: str) -> ScoreKind:
        """The same with the target's short name filled in."""
        unit, meaning = (text.replace("{target}", short) for text in (self.unit, self.meaning))
        return replace(self, unit=unit, meaning=meaning)
