"""Answer token × section: which sections say what the answer says, one function a mapper.

A mapper scores the answer's tokens against a list of texts (sections, then control texts) at once; here the list is
cut in two and every score gets a q-value against the control. Similarity is not influence: a section that says the
same need not have taught it (see ``learned`` for what tuning taught).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from attrib.errors import InputError
from attrib.mapping.answer import Answer, Scores
from attrib.mapping.combined import combined
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

    score: Callable[[Answer, Reading], Scores]
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


def map_answer(mapper: str, base: tuple[Answer, Reading], tuned: tuple[Answer, Reading], sections: int) -> Mapping:
    """One mapper for both models; the first ``sections`` texts of a reading are sections, the rest control."""
    if mapper == "combined":
        parts = {name: one.score for name, one in MAPPERS.items()}
        of_base, of_tuned = combined(parts, base, tuned)
        return Mapping(mapper, True, _side(of_base, sections), _side(of_tuned, sections))
    chosen = MAPPERS[mapper]
    tuned_side = _side(chosen.score(*tuned), sections)
    base_side = _side(chosen.score(*base), sections) if chosen.uses_model else tuned_side
    return Mapping(mapper, chosen.uses_model, base_side, tuned_side)


def check_mappers(mappers: Sequence[str]) -> None:
    """InputError for a mapper that does not exist."""
    for mapper in mappers:
        if mapper not in NAMES:
            raise InputError(f"mapper {mapper!r} is unknown; choose from {', '.join(NAMES)}")


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
