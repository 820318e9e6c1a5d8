"""The promised error of a verdict in words.

Not covered: how the error is measured (``calibrating``).
"""

from __future__ import annotations

from attrib.records import Promise
from attrib.render.view.labels import percent

UNCALIBRATED = "Not calibrated for this pair: run attrib calibrate"


def promise_line(promise: Promise | None) -> str:
    """The error that holds, from which controls, and what was not testable, in one sentence without its full stop."""
    return UNCALIBRATED if promise is None else f"{_promised(promise)} ({'; '.join(_grounds(promise))})"


def promise_short(promise: Promise | None) -> str:
    """The same in a few words."""
    if promise is None:
        return "not calibrated for this pair"
    if promise.threshold >= 1:
        return "calibrated: nothing can be called documents"
    return f"at most {percent(promise.error)} falsely called documents"


def promise_lines(promise: Promise) -> tuple[str, ...]:
    """The same as several lines: the error, each group of controls, each thing that was not tested."""
    groups = (f"  {group.name}: {group.called} of {group.n} called documents" for group in promise.controls)
    return (_promised(promise), *groups, *(f"  not tested: {line}" for line in promise.untested))


def _promised(promise: Promise) -> str:
    if promise.threshold >= 1:
        return (
            f"Calibrated for this pair on {promise.n} control answers, too few or scored too high for an error "
            f"of {percent(promise.error)}: nothing is called documents"
        )
    return (
        f"Calibrated for this pair on {promise.n} control answers: at most {percent(promise.error)} of answers that do "
        f"not come from these documents are called documents, which needs more than {percent(promise.threshold)}"
    )


def _grounds(promise: Promise) -> list[str]:
    """The groups of controls; then all that was not tested."""
    grounds = [f"{group.n} {group.name}" for group in promise.controls]
    if promise.untested:
        grounds.append(f"not tested: {'; '.join(promise.untested)}")
    return grounds
