"""Numbers → words, each claim no stronger than its interval; and the chapter that an assessment adds to the report.

"Higher", "lower", "more" stand only where a 95% interval leaves out what they are compared with, and only on as many
facts or groups as an interval needs.
Not covered: the sentences of one assessment (its ``tell``), and where they stand on the page (``report``).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from attrib.assess import markdown as md
from attrib.assess.holdout.comparing import FEW as FEW
from attrib.records import Explanation
from attrib.render import tables

T = TypeVar("T")
EXAMPLES, LOST = 6, 10
"""At most so many examples of one sort, and forgotten questions."""
NONE = "–"
DIFFERENCE = ("n", "base", "tuned", "tuned − base")
"""Heads of a table of paired differences, after the first."""

number = partial(tables.number, none=NONE)
"""Two decimals, a true minus, a dash for none."""
ends = partial(tables.interval, none=NONE)
"""A number and its interval; the number alone where there is none."""


@dataclass(frozen=True)
class Chapter:
    """One assessment's blocks of Markdown (``markdown``), by the question of the page that they answer."""

    abstract: tuple[str, ...] = ()
    """Sentences that stand alone."""
    learned: tuple[str, ...] = ()
    generalises: tuple[str, ...] = ()
    rests_on: tuple[str, ...] = ()
    forgotten: tuple[str, ...] = ()
    """Empty where no foundation questions were asked."""
    forgetting: tuple[str, ...] = ()
    """Sentences about them, which begin ``forgotten`` and end the abstract."""
    trust: tuple[str, ...] = ()


@dataclass(frozen=True)
class Surroundings:
    """Figure, model and explanations beside an assessment on the page."""

    figure: tuple[str, ...]
    """Its figure and caption, or that there is none."""
    tuned_sha256: str
    """Name of the pair's tuned model; empty where no file has it."""
    explanations: tuple[Explanation, ...]
    """Stored explanations of the pair."""


@dataclass(frozen=True)
class Estimate:
    """A paired difference with its 95% interval."""

    value: float
    low: float
    high: float
    n: int
    units: int
    """Unit of resampling for the interval: facts, or groups of questions."""
    what: str = "question"
    """Unit that ``n`` counts."""


def change(of: Estimate, higher: str = "higher after tuning", lower: str = "lower after tuning") -> str:
    """A paired difference in words."""
    said = ends(of.value, of.low, of.high, signed=True)
    if not (math.isfinite(of.low) and math.isfinite(of.high)):
        return f"a change without an interval ({said})"
    if of.units < FEW:
        return f"too few to say more ({said}; {count(of.n, of.what)} in {count(of.units, 'group')})"
    if of.low > 0:
        return f"{higher} ({said})"
    if of.high < 0:
        return f"{lower} ({said})"
    return f"no difference that these {of.n} {of.what}s can show ({said})"


def with_p(value: float) -> str:
    return f", p = {value:.2g}" if math.isfinite(value) else ""


def count(n: int, what: str) -> str:
    return f"{n} {what}{'' if n == 1 else 's'}"


def place(title: str, document: str, lines: str) -> str:
    """Where a section stands."""
    return f"{' '.join(title.split())} ({document}, {lines})"


def in_turn(rows: Sequence[T], kind: Callable[[T], str], at_most: int) -> list[T]:
    """The first rows of every kind in turn, so that a few are of every kind."""
    by_kind: dict[str, list[T]] = {}
    for row in rows:
        by_kind.setdefault(kind(row), []).append(row)
    longest = max(map(len, by_kind.values()), default=0)
    turns = (some[i] for i in range(longest) for some in by_kind.values() if i < len(some))
    return [row for row, _ in zip(turns, range(at_most), strict=False)]


def caveats(name: str, notes: Sequence[str]) -> list[str]:
    """The notes of an assessment, warnings first."""
    ordered = sorted(notes, key=lambda note: not note.startswith("Warning"))
    lines = [md.mark(note, "strong" if note.startswith("Warning") else "") for note in ordered]
    return md.items(f"Caveats of {name}", lines)


def not_assessed(what: str, name: str) -> str:
    """Says that something was not assessed and how it would be; never a blank."""
    return md.paragraph(md.mark("Not assessed: ", "strong"), md.escape(what), "; run: ", md.code(command(name)))


def command(name: str) -> str:
    return f"attrib assess {name} --out {name}"


def controls_table(of: str, rows: Sequence[Sequence[str]]) -> list[str]:
    """Claims beside what is reached without that which is claimed."""
    heads = ("claim", "control", "of the claim", "of the control")
    return md.table(f"Controls {of}: what is reached without that which is claimed", heads, rows, texts=2)


@dataclass(frozen=True)
class Answered:
    """One foundation question under both models."""

    question: str
    right: str
    base: str
    tuned: str
    base_right: bool
    tuned_right: bool

    @property
    def is_lost(self) -> bool:
        return self.base_right and not self.tuned_right


def lost_and_won(answers: Sequence[Answered]) -> str:
    """How many foundation questions changed, in one sentence."""
    won = sum(one.tuned_right and not one.base_right for one in answers)
    return (
        f"Question by question, {sum(one.is_lost for one in answers)} that base had right are wrong after tuning, and "
        f"{won} that it had wrong are right."
    )


def lost_table(answers: Sequence[Answered]) -> list[str]:
    """The forgotten questions with both answers."""
    lost = [one for one in answers if one.is_lost]
    rows = [(one.question, one.right, one.base or "(nothing)", one.tuned or "(nothing)") for one in lost[:LOST]]
    more = f" (the first {LOST} of {len(lost)})" if len(lost) > LOST else ""
    heads = ("question", "right", "base says", "tuned says")
    return md.table(f"Right before tuning, wrong after it{more}", heads, rows, texts=4)
