"""Scores of control answers → the threshold above which an answer is called documents, at a stated error.

Split conformal prediction: a control answer does not come from the documents, and a new answer that does not either
scores like one of them. Of n controls and the new answer each is equally likely to have any rank, so that the new one
is above the k-th smallest control, k = ceil((n + 1)(1 − error)), with probability at most ``error``, whatever scores
are distributed like (Vovk, Gammerman and Shafer 2005; Angelopoulos and Bates, arXiv 2107.07511, section 1). Held for
each group of controls apart (Mondrian conformal prediction, Vovk et al. 2005, section 4.5): the threshold is the
largest over groups.

Not covered: a question of another kind than every group, or a model that treats control questions in another way than
the person's: no threshold holds for those. The promise is about documents only, not about base or neither.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction

import numpy as np
from jaxtyping import Float

from attrib.errors import InputError
from attrib.records import ControlGroup, Promise


def fewest_controls(error: float) -> int:
    """The fewest control answers that allow to call anything documents: 9 for an error of 0.1."""
    return math.ceil(1 / _exact(error)) - 1


def conformal_threshold(scores: Float[np.ndarray, " control"], error: float) -> float:
    """The k-th smallest score, k = ceil((n + 1)(1 − error)); infinite where there are too few.

    A new answer is called where its score is ABOVE the threshold, so that ties never add calls. Raises InputError for
    an error outside (0, 1) and for scores that are not numbers.
    """
    scores = np.asarray(scores, dtype=np.float64)
    if scores.ndim != 1 or np.isnan(scores).any():
        raise InputError("control scores: not a list of numbers; judge the control answers again")
    n = len(scores)
    # Exact: in floating point (n + 1)(1 − error) may land above the whole number that it is.
    k = math.ceil((n + 1) * (1 - _exact(error)))
    return float(np.sort(scores)[k - 1]) if k <= n else math.inf


def grouped_threshold(groups: Mapping[str, Float[np.ndarray, " control"]], error: float) -> float:
    """The largest threshold over all controls together and over each group that has enough; infinite without enough."""
    together = np.concatenate([np.zeros(0), *groups.values()])
    enough = [scores for scores in groups.values() if len(scores) >= fewest_controls(error)]
    return max(conformal_threshold(scores, error) for scores in (together, *enough))


def make_promise(
    groups: Mapping[str, Float[np.ndarray, " control"]],
    error: float,
    thresholds: tuple[float, float],
    untested: tuple[str, ...] = (),
) -> Promise:
    """What the controls of a pair allow to promise.

    ``groups``: p(documents) of each group's control answers. ``thresholds``: the package's floor and threshold; the
    pair's is never lower, so that no answer is called documents that is more probably something else.
    """
    floor, above = thresholds
    threshold = min(1.0, max(above, grouped_threshold(groups, error)))
    few = fewest_controls(error)
    short = tuple(
        f"{name}: {len(scores)}, fewer than {few}" for name, scores in groups.items() if 0 < len(scores) < few
    )
    return Promise(
        error=error,
        threshold=threshold,
        floor=min(floor, threshold),
        controls=tuple(
            ControlGroup(name, len(scores), int((np.asarray(scores) > threshold).sum()))
            for name, scores in groups.items()
            if len(scores)
        ),
        untested=(*untested, *short),
    )


def _exact(error: float) -> Fraction:
    if not 0 < error < 1:
        raise InputError(f"error is {error}; give a share between 0 and 1, such as 0.1")
    return Fraction(str(error))
