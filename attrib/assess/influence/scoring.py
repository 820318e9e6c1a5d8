"""Every scorer's score of every section for every question: mappers and their controls.

Not covered: comparing scores with retraining (``metrics``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from attrib.assess.questions import Question
from attrib.index.gradients import NO_QUESTIONS, Gradients, read_gradients, trained_questions
from attrib.index.library import Library
from attrib.mapping import MAPPERS, map_answer
from attrib.mapping.answer import MapperScores
from attrib.mapping.combined import blend, learned_share, mix
from attrib.mapping.influence import score
from attrib.mapping.reading import Side, mapping_layer, read_sides
from attrib.models.pair import ModelPair
from attrib.models.prompt import encode_given
from attrib.options.explain import ExplainOptions, InfluenceOptions
from attrib.passes.capture import CaptureOptions, capture
from attrib.progress import Progress

TEXTUAL = ("bm25", "bm25_answer", "verbatim", "embedding")
INFLUENCE: dict[str, tuple[InfluenceOptions, bool]] = {
    "influence": (InfluenceOptions(), False),
    "influence, no threshold": (InfluenceOptions(threshold=0.0), False),
    "influence, centred": (InfluenceOptions(centred=True), False),
    "influence, dot products": (InfluenceOptions(form="dot"), False),
    "influence, preconditioned": (InfluenceOptions(form="preconditioned"), False),
    "influence, log-odds": (InfluenceOptions(target="logodds"), False),
    "influence, texts alone": (InfluenceOptions(), True),
    "influence, final model": (InfluenceOptions(checkpoints="final"), False),
    "influence, final model, log p": (InfluenceOptions(checkpoints="final", target="logprob"), False),
}
"""Options of the tuned side, and whether a section's gradient is of its text alone, without its trained questions."""

GATED = ("influence × learned", "influence, texts alone × learned", "combined", "combined, no influence")
BEFORE, CONTRAST = "gradients before tuning", "influence − before tuning"
BEFORE_RAW = f"{BEFORE}, no threshold"
SCORERS = (
    *TEXTUAL, "hidden (base)", "hidden (tuned)", "hidden (tuned − base)", "learned", *INFLUENCE, BEFORE, BEFORE_RAW,
    CONTRAST, *GATED, "random",
)  # fmt: skip
"""Rows of every table: mappers and their controls."""


def score_questions(
    pair: ModelPair,
    library: Library,
    questions: Sequence[Question],
    *,
    options: ExplainOptions | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> dict[str, np.ndarray]:
    """Whole-answer scores of every section by every scorer, [question, section] each."""
    options = replace(options or ExplainOptions(), mappers=(*TEXTUAL, "hidden", "learned"))
    rows: dict[str, list[np.ndarray]] = {name: [] for name in SCORERS}
    rng = np.random.default_rng(seed)
    for number, question in enumerate(questions):
        if progress is not None:
            progress("scores", number, len(questions))
        scores = _score(pair, library, question, options)
        scores["random"] = rng.normal(size=len(library.corpus))
        for name in SCORERS:
            rows[name].append(scores[name])
    if progress is not None:
        progress("scores", len(questions), len(questions))
    return {name: np.stack(scores) for name, scores in rows.items()}


def _score(pair: ModelPair, library: Library, question: Question, options: ExplainOptions) -> dict[str, np.ndarray]:
    pair = pair.asking(question.turns, question.tools, raw=question.raw)
    encoded = encode_given(pair.chat, question.question, question.answer or "", context=pair.context)
    states = CaptureOptions(layers=(mapping_layer(pair, options.hidden.layer),))
    captures = [capture(m, encoded, states) for m in (pair.base, pair.tuned)]
    everything = np.arange(len(library.corpus))
    sides = read_sides(pair, library, encoded, captures, everything, options.hidden.layer)
    maps = map_answer(options.mappers, *sides, len(everything))
    numbers = [int(i) for i in library.with_control(everything)]
    sections = {i: library.sections[i] for i in numbers}
    questions_of = trained_questions(pair, library.corpus)

    def whole(side: Literal["base", "tuned"], variant: InfluenceOptions, alone: bool) -> tuple[Gradients, ...]:
        chosen = replace(variant, gradients=options.influence.gradients)
        trained = NO_QUESTIONS if alone else questions_of
        return read_gradients(pair, side, encoded, sections, chosen, trained=trained, cache=library.cache, whole=True)

    scores = {name: maps[name].tuned.whole for name in TEXTUAL}
    read: dict[tuple[str, str, bool], tuple[Gradients, ...]] = {}
    for name, (variant, alone) in INFLUENCE.items():
        key = (variant.checkpoints, variant.target, alone)
        # Forms, centring and thresholds read the same gradients.
        read[key] = read[key] if key in read else whole("tuned", variant, alone)
        gradients = [
            replace(part, form=variant.form, centred=variant.centred, threshold=variant.threshold) for part in read[key]
        ]
        scores[name] = score(gradients, numbers, numbers[len(everything) :])[0, : len(everything)]
    null = numbers[len(everything) :]
    untuned = whole("base", InfluenceOptions(), False)
    before, before_raw = (
        score([replace(part, threshold=threshold) for part in untuned], numbers, null)[0, : len(everything)]
        for threshold in (InfluenceOptions.threshold, 0.0)
    )
    raw = [replace(part, threshold=0.0) for part in read["all", "auto", False]]
    gated = _gated(sides, score(raw, numbers, null), scores)
    return scores | {
        "hidden (base)": maps["hidden"].base.whole,
        "hidden (tuned)": maps["hidden"].tuned.whole,
        "hidden (tuned − base)": maps["hidden"].tuned.whole - maps["hidden"].base.whole,
        "learned": maps["learned"].tuned.whole - maps["learned"].base.whole,
        BEFORE: before,
        BEFORE_RAW: before_raw,
        CONTRAST: scores["influence"] - before,
        **gated,
    }


def _gated(sides: tuple[Side, Side], raw: np.ndarray, scores: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The scorers that look at what was learned; ``raw``: influence without threshold on all texts, [1, text]."""
    base, tuned = sides
    sections = tuned[1].sections
    learned = learned_share(base[1], tuned[1], blend())
    # The whole answer in one row, as the gradients are.
    parts = {name: MAPPERS[name].score(*tuned) for name in blend().resemblance}
    rows = {name: MapperScores(part.whole[None], part.whole, part.spans) for name, part in parts.items()}
    everything = {**rows, "influence": MapperScores(raw, raw[0], next(iter(rows.values())).spans)}
    control = tuned[1].chosen >= len(tuned[1].library.corpus)
    combined, without = (mix(chosen, control, blend()).whole * learned for chosen in (everything, rows))
    return {
        "influence × learned": scores["influence"] * learned[:sections],
        "influence, texts alone × learned": scores["influence, texts alone"] * learned[:sections],
        "combined": combined[:sections],
        "combined, no influence": without[:sections],
    }
