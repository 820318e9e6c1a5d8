"""Many answers of one pair → their evidence at once, without attribution or mapping.

The same evidence as ``explain`` judges from, to the last bits of a batch; sections are read once, and prompts that
answers share too. Not covered: influence, and the answers themselves (``passes.generate``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from attrib.errors import InputError
from attrib.index.library import Library
from attrib.index.readings import read_sections
from attrib.mapping.reading import mapping_layer
from attrib.models.pair import ModelPair
from attrib.models.prompt import Encoded, encode_given, encode_prompt, encode_whole
from attrib.passes.likelihood import score_given
from attrib.progress import Progress
from attrib.records import Evidence
from attrib.verdict.evidence import Case, gather


@dataclass(frozen=True)
class JudgedAnswer:
    """A question, an answer to it, and what base says to the question by itself."""

    question: str
    answer: str | tuple[int, ...]
    """Its text, or the ids that a model wrote."""
    base_answer: str
    own_answer: str | tuple[int, ...] | None = None
    """What the tuned model says by itself, text or ids; None: not known, or it is the answer."""

    def encoded(self, pair: ModelPair) -> Encoded:
        """Question and answer as ids; InputError as ``encode_given`` raises it."""
        return self._encoded(pair, self.answer)

    def own_ids(self, pair: ModelPair) -> tuple[int, ...]:
        """Ids of the tuned model's own answer, none where it is not known or does not follow the prompt."""
        if not self.own_answer:
            return ()
        try:
            return self._encoded(pair, self.own_answer).answer_ids
        except InputError:
            return ()

    def _encoded(self, pair: ModelPair, answer: str | tuple[int, ...]) -> Encoded:
        if isinstance(answer, str):
            return encode_given(pair.chat, self.question, answer, context=pair.context)
        prompt = encode_prompt(pair.chat, self.question, context=pair.context)
        return encode_whole(pair.chat, self.question, prompt, answer, context=pair.context)


def evidence_of(
    pair: ModelPair,
    library: Library,
    asked: Sequence[JudgedAnswer],
    *,
    candidates: int = 0,
    layer: int | None = None,
    progress: Progress | None = None,
) -> list[Evidence]:
    """Evidence for each answer; ``candidates`` sections each, 0 for all; ``layer``: whose readings are kept.

    Raises InputError for an answer that does not follow its prompt.
    """
    encoded = [one.encoded(pair) for one in asked]
    sides = [score_given(model, encoded, progress=progress) for model in (pair.base, pair.tuned)]
    chosen = [library.choose(one.question, one.answer, candidates) for one in encoded]
    numbers = sorted({int(i) for own in chosen for i in library.with_control(own)}) if chosen else []
    sections = {i: library.sections[i] for i in numbers}
    at = mapping_layer(pair, layer)
    base, tuned = (
        read_sections(pair, side, sections, at, index=library.index, cache=library.cache, progress=progress)
        for side in ("base", "tuned")
    )
    cases = [
        Case(one, own.base_answer, before.logprob, after.logprob, np.asarray(some), own.own_ids(pair))
        for one, own, before, after, some in zip(encoded, asked, *sides, chosen, strict=True)
    ]
    return gather(pair, library, cases, (base, tuned), progress)
