"""The parts of an index: which encoders make them, and an index built with them.

Not covered: BM25, which is made of the texts at every start (0.6 s at 10⁴ sections, 7.6 s at 10⁵).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from attrib.corpus.control import in_form_of
from attrib.corpus.documents import Corpus
from attrib.errors import InputError
from attrib.index.build import build
from attrib.index.embeddings import EmbeddingEncoder
from attrib.index.encoder import Encoder, rendering_of
from attrib.index.gradients import (
    NO_QUESTIONS,
    GradientEncoder,
    TrainedQuestions,
    has_checkpoints,
    stages,
    trained_questions,
)
from attrib.index.index import Index
from attrib.index.readings import HiddenEncoder
from attrib.models.pair import ModelPair
from attrib.options.explain import InfluenceOptions
from attrib.progress import Progress

Part = Literal["embedding", "hidden", "gradients"]
PARTS: tuple[Part, ...] = ("embedding", "hidden", "gradients")
"""The last two need the models."""
SIDES: tuple[Literal["base", "tuned"], ...] = ("base", "tuned")


def encoders(
    parts: Sequence[str],
    pair: ModelPair | None,
    *,
    layer: int = 0,
    influence: InfluenceOptions | None = None,
    trained: TrainedQuestions = NO_QUESTIONS,
    rendering: str = "",
    device: str = "cpu",
) -> list[Encoder]:
    """The encoders of the named parts; ``rendering``: ``rendering_of`` the sections.

    InputError for a part that does not exist, and for one that needs models.
    """
    made: list[Encoder] = []
    for part in parts:
        if part not in PARTS:
            raise InputError(f"parts: {part!r} is unknown; choose from {', '.join(PARTS)}")
        if part == "embedding":
            made.append(EmbeddingEncoder(device=device))
        elif pair is None:
            raise InputError(f"parts: {part} is of models, and none was named; add --tuned, or leave {part} out")
        elif part == "hidden":
            made += [HiddenEncoder(pair, side, layer, rendering) for side in SIDES]
        else:
            options = influence or InfluenceOptions()
            made += [
                GradientEncoder(pair, stage, options.gradients, trained, rendering)
                for side in SIDES
                for stage in stages(pair, side, options)
            ]
    return made


def possible_parts(pair: ModelPair | None, influence: InfluenceOptions) -> list[Part]:
    """Without models the embeddings alone; gradients only where tuning left checkpoints, or the final model counts."""
    if pair is None:
        return ["embedding"]
    gradients = influence.checkpoints == "final" or has_checkpoints(pair.tuned)
    return ["embedding", "hidden", "gradients"] if gradients else ["embedding", "hidden"]


def build_index(
    pair: ModelPair | None,
    corpus: Corpus,
    control: Corpus,
    out: Path,
    *,
    parts: Sequence[str] | None = None,
    layer: int = 0,
    influence: InfluenceOptions | None = None,
    progress: Progress | None = None,
) -> Index:
    """Make or bring up to date the index of a corpus in the folder ``out``; see ``build``.

    Control texts are read in the form of the documents, see ``in_form_of``. ``parts``: by default all that can be made.
    ``layer``: whose hidden states are kept, counted from 0.
    """
    influence = influence or InfluenceOptions()
    control = in_form_of(corpus, control)
    made = encoders(
        possible_parts(pair, influence) if parts is None else parts,
        pair,
        layer=layer,
        influence=influence,
        trained=trained_questions(pair, corpus) if pair is not None else NO_QUESTIONS,
        rendering=rendering_of(pair.chat, (*corpus.sections, *control.sections)) if pair is not None else "",
        device=pair.device if pair is not None else "cpu",
    )
    return build(corpus, made, out, control=control, progress=progress)
