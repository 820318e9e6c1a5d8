"""Answer token × section: which sections say what the answer says, one function a mapper.

A mapper scores the answer's tokens against a list of texts (sections, then control texts) at once; here the list is
cut in two and every score gets a q-value against the control. Similarity is not influence: a section that says the
same need not have taught it (see ``learned`` for what tuning taught).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

from attrib.errors import InputError
from attrib.mapping.answer import Answer, MapperScores
from attrib.mapping.combined import Side, combined
from attrib.mapping.embedding import embedding
from attrib.mapping.hidden import hidden
from attrib.mapping.hidden_context import hidden_context
from attrib.mapping.influence import influence
from attrib.mapping.learned import learned
from attrib.mapping.lexical import bm25, bm25_answer
from attrib.mapping.reading import Reading
from attrib.mapping.verbatim import verbatim
from attrib.measures import q_values
from attrib.records import Mapping, MappingSide


@dataclass(frozen=True, eq=False)
class Mapper:
    """A scoring function and what it needs of a reading beside the texts."""

    score: Callable[[Answer, Reading], MapperScores]
    needs: Literal["texts", "states", "gradients"]

    @property
    def uses_model(self) -> bool:
        """Whether base and tuned get scores of their own."""
        return self.needs != "texts"


MAPPERS: dict[str, Mapper] = {
    "bm25": Mapper(bm25, "texts"),
    "bm25_answer": Mapper(bm25_answer, "texts"),
    "verbatim": Mapper(verbatim, "texts"),
    "embedding": Mapper(embedding, "texts"),
    "hidden": Mapper(hidden, "states"),
    "hidden_context": Mapper(hidden_context, "states"),
    "learned": Mapper(learned, "states"),
    "influence": Mapper(influence, "gradients"),
}
NAMES = (*MAPPERS, "combined")
"""Everything that can be asked for; ``combined`` is made of the others."""
QUICK = ("bm25", "verbatim", "embedding", "hidden", "learned", "combined")
"""Those that cost no more than reading the candidate sections once."""


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
    of_tuned = _side(tuned, sections)
    return Mapping(mapper, uses_model, _side(base, sections) if uses_model else of_tuned, of_tuned)


def check_mappers(mappers: Sequence[str]) -> None:
    """InputError for a mapper that does not exist."""
    for mapper in mappers:
        if mapper not in NAMES:
            raise InputError(f"mapper {mapper!r} is unknown; choose from {', '.join(NAMES)}")


def _side(scores: MapperScores, sections: int) -> MappingSide:
    tokens, control = scores.tokens[:, :sections], scores.tokens[:, sections:]
    return MappingSide(
        tokens=tokens,
        whole=scores.whole[:sections],
        control=control,
        control_whole=scores.whole[sections:],
        q=q_values(tokens, control),
        spans=scores.spans[:, :sections],
    )
