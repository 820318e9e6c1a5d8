"""Answer token × section: which sections say what the answer says, one function a mapper.

A mapper scores the answer's tokens against a list of texts (sections, then control texts) at once; here the list is
cut in two and every score gets a q-value against the control. Similarity is not influence: a section that says the
same need not have taught it (see ``learned`` for what tuning taught).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from attrib.errors import InputError
from attrib.mapping.answer import Answer, Scores
from attrib.mapping.embedding import embedding
from attrib.mapping.hidden import hidden
from attrib.mapping.lexical import bm25
from attrib.mapping.reading import Reading
from attrib.measures import q_values
from attrib.records import Mapping, MappingSide


@dataclass(frozen=True, eq=False)
class Mapper:
    """A scoring function and whether it looks at the model."""

    score: Callable[[Answer, Reading], Scores]
    uses_model: bool


MAPPERS: dict[str, Mapper] = {
    "bm25": Mapper(bm25, uses_model=False),
    "embedding": Mapper(embedding, uses_model=False),
    "hidden": Mapper(hidden, uses_model=True),
}


def map_answer(mapper: str, base: tuple[Answer, Reading], tuned: tuple[Answer, Reading], sections: int) -> Mapping:
    """One mapper for both models; the first ``sections`` texts of a reading are sections, the rest control."""
    chosen = MAPPERS[mapper]
    tuned_side = _side(chosen.score(*tuned), sections)
    base_side = _side(chosen.score(*base), sections) if chosen.uses_model else tuned_side
    return Mapping(mapper, chosen.uses_model, base_side, tuned_side)


def check_mappers(mappers: Sequence[str]) -> None:
    """InputError for a mapper that does not exist."""
    for mapper in mappers:
        if mapper not in MAPPERS:
            raise InputError(f"mapper {mapper!r} is unknown; choose from {', '.join(MAPPERS)}")


def _side(scores: Scores, sections: int) -> MappingSide:
    tokens, control = scores.tokens[:, :sections], scores.tokens[:, sections:]
    return MappingSide(
        tokens=tokens,
        whole=scores.whole[:sections],
        control=control,
        control_whole=scores.whole[sections:],
        q=q_values(tokens, control),
        spans=scores.spans[:, :sections],
    )
