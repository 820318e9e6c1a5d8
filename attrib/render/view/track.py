"""One mapper's score of every section in document order, for all of the answer or a part, beside the control texts.

Not covered: sections that the record did not score.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from attrib.errors import InputError
from attrib.records import Explanation, MappingSide
from attrib.records.kind import ScoreKind
from attrib.render.view.answer import reduced
from attrib.render.view.choice import checked
from attrib.render.view.kinds import SIGNIFICANT, kind_in, mapping_of
from attrib.render.view.labels import visible

BAND_SHARE = 95
"""Percentile of the control texts' scores that the band reaches to."""


@dataclass(frozen=True, eq=False)
class TrackSide:
    """One model's scores."""

    scores: Float[np.ndarray, " section"]
    control: Float[np.ndarray, " control"]
    marks: Bool[np.ndarray, " section"]
    """Whether some chosen answer token has q < SIGNIFICANT."""

    @property
    def band(self) -> tuple[float, float] | None:
        """The control texts' 95th percentile and their best; None without control texts."""
        if not len(self.control):
            return None
        return float(np.percentile(self.control, BAND_SHARE)), float(self.control.max())


@dataclass(frozen=True, eq=False)
class Track:
    """Sections in document order with their scores for the chosen part of the answer."""

    mapper: str
    kind: ScoreKind
    sections: tuple[int, ...]
    """Indices into the record's sections."""
    owners: tuple[str, ...]
    """Document of each section."""
    tokens: tuple[int, ...] | None
    """Answer tokens; None for question and answer together."""
    lengths: Float[np.ndarray, " section"]
    """Characters of heading and text."""
    learned: Float[np.ndarray, " section"]
    base: TrackSide
    tuned: TrackSide

    @property
    def edges(self) -> Float[np.ndarray, " edge"]:
        """Where sections begin and the last one ends, characters."""
        return np.concatenate([[0.0], np.cumsum(self.lengths)])

    @property
    def starts(self) -> tuple[int, ...]:
        """Places at which a document begins."""
        owners = self.owners
        return tuple(i for i in range(len(owners)) if not i or owners[i] != owners[i - 1])

    @property
    def documents(self) -> tuple[str, ...]:
        """The document of each start."""
        return tuple(self.owners[i] for i in self.starts)

    def best(self, top: int) -> tuple[int, ...]:
        """Places of the ``top`` best sections under tuned, best first."""
        return tuple(int(i) for i in np.argsort(-self.tuned.scores, kind="stable")[:top])


def track(
    explanation: Explanation,
    mapper: str | None = None,
    *,
    document: str | None = None,
    tokens: Sequence[int] | None = None,
) -> Track:
    """``mapper`` (default: the record's last) over one document or all; ``tokens`` of the answer or the whole.

    Raises InputError for a mapper, document or token that the record lacks, and where it has no section.
    """
    name = mapper or next(reversed(list(explanation.mappings)), None)
    if name is None or not explanation.sections:
        raise InputError("this explanation has no scored section; explain again with --mappers and --candidates")
    mapping, kind = mapping_of(explanation, name), kind_in(explanation, name)
    have = list(dict.fromkeys(section.document for section in explanation.sections))
    if document is not None and document not in have:
        shown = ", ".join(visible(name) for name in have[:8]) + (" …" if len(have) > 8 else "")
        raise InputError(f"no scored section is of document {document!r}; there are {shown}")
    at = [i for i, section in enumerate(explanation.sections) if document in (None, section.document)]
    rows = None if tokens is None else checked("answer", tokens, len(explanation.answer_tokens))

    def side(one: MappingSide) -> TrackSide:
        if rows is None:
            scores, control, q = one.whole, one.control_whole, one.q
        else:
            scores, control = (reduced(block, [rows], kind)[0] for block in (one.tokens, one.control))
            q = one.q[list(rows)]
        return TrackSide(
            np.asarray(scores[at], dtype=float),
            np.asarray(control, dtype=float),
            np.asarray((q[:, at] < SIGNIFICANT).any(0)),
        )

    lengths = [float(max(len(explanation.sections[i].full_text), 1)) for i in at]
    owners = tuple(explanation.sections[i].document for i in at)
    return Track(
        name, kind, tuple(at), owners, rows, np.array(lengths), explanation.verdict.learned[at], side(mapping.base),
        side(mapping.tuned),
    )  # fmt: skip
