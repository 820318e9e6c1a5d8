"""Control answers of ``attrib calibrate``, and the file of promises that other commands take."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from attrib.errors import InputError
from attrib.options.fields import bounded, everyday


@dataclass(frozen=True)
class CalibrateOptions:
    """Promised error, and the control answers that it is measured on."""

    error: float = everyday(0.1, "Controls", low=0, high=1)
    """Largest share of answers that do not come from the documents that may be called documents."""
    limit: int = everyday(40, "Controls", low=1)
    """Most control answers of each group, evenly spaced."""
    max_new_tokens: int = everyday(32, "Controls", low=1)
    """Longest generated answer, in tokens."""
    batch: int = bounded(16, low=1)
    """Answers generated at a time."""

    def __post_init__(self) -> None:
        if not 0 < self.error < 1:
            raise InputError(f"error is {self.error}; give a share between 0 and 1, such as 0.1")


@dataclass(frozen=True)
class ControlQuestions:
    """Questions of the caller's own for control answers."""

    questions: Path | None = everyday(None, "Controls")
    """Row file of questions on the documents, with right answers and the section of each; those on sections that were
    held out of tuning are controls."""
    control_questions: Path | None = everyday(None, "Controls")
    """Row file of questions with right answers that do not stand in the documents, such as general knowledge of your
    field."""


@dataclass(frozen=True)
class PromiseOptions:
    """The calibration of this pair."""

    calibration: Path | None = everyday(None, "Scores")
    """File that attrib calibrate --out made for these models and documents; default: the one it left in the cache."""
