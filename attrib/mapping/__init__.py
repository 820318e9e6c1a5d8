"""Answer token × section: which sections say what the answer says, one function a mapper.

A mapper scores the answer's tokens against a list of texts (sections, then control texts) at once; here the list is
cut in two and every score gets a q-value against the control. Similarity is not influence: a section that says the
same need not have taught it (see ``learned`` for what tuning taught).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np

from attrib.errors import InputError
from attrib.mapping import embedding, hidden, hidden_context, influence, learned, lexical, verbatim
from attrib.mapping.answer import Answer, MapperScores
from attrib.mapping.combined import COMBINED, EVIDENCE, combined
from attrib.mapping.reading import Reading, Side
from attrib.measures import q_values
from attrib.records import Mapping, MappingSide
from attrib.records.kind import Claim, ScoreKind


@dataclass(frozen=True, eq=False)
class Mapper:
    """One line of MAPPERS."""

    score: Callable[[Answer, Reading], MapperScores]
    needs: Literal["texts", "states", "gradients"]
    """Deepest part of a reading that ``score`` uses."""
    kind: ScoreKind
    cost: str
    """In forwards (F) and backwards (B) a section, for the documentation."""
    knobs: tuple[str, ...] = ()
    """Groups of ``ExplainOptions`` that this mapper heeds."""

    @property
    def uses_model(self) -> bool:
        """Whether base and tuned get scores of their own."""
        return self.needs != "texts"


MAPPERS: dict[str, Mapper] = {
    "bm25": Mapper(lexical.bm25, "texts", lexical.BM25, "no pass"),
    "bm25_answer": Mapper(lexical.bm25_answer, "texts", lexical.BM25, "no pass"),
    "verbatim": Mapper(verbatim.verbatim, "texts", verbatim.VERBATIM, "no pass"),
    "embedding": Mapper(embedding.embedding, "texts", embedding.EMBEDDING, "1 F of the embedder"),
    "hidden": Mapper(hidden.hidden, "states", hidden.HIDDEN, "1 F under each model", ("hidden",)),
    "hidden_context": Mapper(
        hidden_context.hidden_context, "states", hidden_context.HIDDEN_CONTEXT, "2 F under each model", ("hidden",)
    ),
    "learned": Mapper(learned.learned, "states", learned.LEARNED, "1 F under each model"),
    "influence": Mapper(
        influence.influence,
        "gradients",
        influence.INFLUENCE,
        "1 F + 1 B for each checkpoint",
        ("influence", "gradients"),
    ),
}
NAMES = (*MAPPERS, "combined")
"""Everything that can be asked for; ``combined`` is made of the others."""


def mapper_kind(mapper: str, beside: Collection[str] = ("influence",)) -> ScoreKind:
    """Kind of a mapper's scores; ``combined`` has influence in it where that mapper was asked for ``beside`` it.

    KeyError for a name outside NAMES.
    """
    if mapper == "combined":
        return COMBINED if needs_gradients(beside) else EVIDENCE
    return MAPPERS[mapper].kind


ABOUT_TUNING: tuple[Claim, ...] = ("learned", "evidence", "influence")
"""Claims that speak of tuning: the model before tuning has no score that could be significant."""


def has_q(claim: Claim, side: Literal["base", "tuned"]) -> bool:
    """Whether scores of this claim get q-values: none where they do not look at the answer, and none under base where
    they speak of tuning."""
    return claim != "learned" and (side == "tuned" or claim not in ABOUT_TUNING)


def map_answer(mappers: Sequence[str], base: Side, tuned: Side, sections: int) -> dict[str, Mapping]:
    """Every mapper for both models; the first ``sections`` texts of a reading are sections, the rest control."""

    @cache
    def scores(mapper: str, side: Side) -> MapperScores:
        return MAPPERS[mapper].score(*side)

    def of(mapper: str) -> tuple[MapperScores, MapperScores]:
        if mapper == "combined":
            return combined(lambda name, side: scores(name, side if MAPPERS[name].uses_model else tuned), base, tuned)
        after = scores(mapper, tuned)
        return scores(mapper, base) if MAPPERS[mapper].uses_model else after, after

    return {mapper: _mapping(mapper, *of(mapper), sections) for mapper in mappers}


def _mapping(mapper: str, base: MapperScores, tuned: MapperScores, sections: int) -> Mapping:
    uses_model = mapper not in MAPPERS or MAPPERS[mapper].uses_model
    claim = mapper_kind(mapper).claim
    of_tuned = _side(tuned, sections, compare=has_q(claim, "tuned"))
    of_base = _side(base, sections, compare=has_q(claim, "base")) if uses_model else of_tuned
    return Mapping(mapper, uses_model, of_base, of_tuned)


def check_mappers(mappers: Sequence[str]) -> None:
    """InputError for a mapper that does not exist."""
    for mapper in mappers:
        if mapper not in NAMES:
            raise InputError(f"mapper {mapper!r} is unknown; choose from {', '.join(NAMES)}")


def needs_gradients(mappers: Collection[str]) -> bool:
    """Whether one of the mappers compares gradients."""
    return any(mapper in MAPPERS and MAPPERS[mapper].needs == "gradients" for mapper in mappers)


def _side(scores: MapperScores, sections: int, *, compare: bool) -> MappingSide:
    tokens, control = scores.tokens[:, :sections], scores.tokens[:, sections:]
    return MappingSide(
        tokens=tokens,
        whole=scores.whole[:sections],
        control=control,
        control_whole=scores.whole[sections:],
        q=q_values(tokens, control) if compare else np.full(tokens.shape, np.nan),
        spans=scores.spans[:, :sections],
    )
