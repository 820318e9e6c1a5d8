"""Answer × section: every mapper's scores beside the control texts, the texts, and words found verbatim.

Not covered: the prompt (``prompt``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from attrib.measures import bits
from attrib.records import Explanation, MappingSide, Section
from attrib.records import Mapping as SectionMapping
from attrib.render import view
from attrib.render.payload.codes import Json, array, flags, probabilities, rounded, rounded_list, whole_numbers
from attrib.render.payload.detail import EXCERPT, Detail, limited

_SIMILAR = {"base": "says the same", "tuned": "says the same", "difference": "says the same"}
_ESTIMATE = {
    "base": "before tuning: the control of the estimate",
    "tuned": "learned from (estimate)",
    "difference": "learned from (estimate)",
}
_LIKELY = {
    "base": "was likely before tuning, whatever the answer",
    "tuned": "is likely after tuning, whatever the answer",
    "difference": "was learned, whatever the answer",
}
_EVIDENCE = {
    "base": "before tuning: nothing was trained yet",
    "tuned": "says the same, and was trained",
    "difference": "says the same, and was trained",
}
_WORDS = {"learned": _LIKELY, "evidence": _EVIDENCE, "influence": _ESTIMATE}
"""Claim of a section's score, by the mapper's claim and the model; other mappers compare texts."""
_SAME = dict.fromkeys(("base", "tuned", "untrained"), "says the same as")
_TAUGHT = {
    "base": "scores high before tuning on",
    "tuned": "may have taught",
    "untrained": "was not learned, so that it taught nothing, though it scores high on",
}
_VERBS = {"learned": None, "influence": _TAUGHT}
"""Verb between a section with a high score and answer tokens; None where the score does not look at them. Only what was
learned can have taught, and only influence looks for it."""
_LABELS = {
    "combined": "all evidence",
    "bm25": "same words",
    "bm25_answer": "same words, of the answer alone",
    "verbatim": "same runs of words",
    "embedding": "same meaning",
    "hidden": "model’s view",
    "hidden_context": "model’s view, in context",
    "learned": "was trained",
    "influence": "influence (estimate)",
}
"""Plain name of each mapper."""


def sections_of(explanation: Explanation, kept: Sequence[int], detail: Detail) -> list[Json]:
    rank = {index: at for at, index in enumerate(view.section_order(explanation), 1)}
    full = limited(detail.texts, len(kept))
    return [_section(explanation, i, rank[i], cut=rank[i] > full) for i in kept]


def _section(explanation: Explanation, index: int, rank: int, *, cut: bool) -> Json:
    section, verdict = explanation.sections[index], explanation.verdict
    text = section.full_text
    short = cut and len(text) > EXCERPT
    return {
        "id": section.id,
        "document": section.document,
        "title": _title(section),
        "lines": section.lines,
        "text": text[:EXCERPT] + "…" if short else text,
        "cut": short,
        "turns": _turns(section, EXCERPT if short else len(text)),
        "learned": probabilities(verdict.learned[index : index + 1])[0],
        "gainBits": rounded(bits(float(verdict.section_gain[index]))),
        "rank": rank,
        "nearDuplicateOf": section.near_duplicate_of,
    }


def _title(section: Section) -> str:
    return " › ".join(section.titles[-2:]) or section.title


def _turns(section: Section, length: int) -> list[list[object]]:
    """Role, whether it was trained, first and last + 1 character, other fields: of each turn within ``length``."""
    return [
        [turn.role, turn.trained, start, min(end, length), turn.extra]
        for turn, start, end in section.turn_spans
        if start < min(end, length) or (turn.extra and start < length)
    ]


def mapper_of(
    explanation: Explanation, name: str, mapping: SectionMapping, kept: Sequence[int], detail: Detail
) -> Json:
    kind = view.kind_in(explanation, name)
    others = sorted(set(range(len(explanation.sections))) - set(kept))
    spans = sorted(int(i) for i in explanation.ranking[: limited(detail.spans, len(explanation.sections))])
    with_span = np.isin(kept, spans)

    def side(found: MappingSide, model: Literal["base", "tuned"]) -> Json:
        made = _side(found, kept, others, with_span, fold=not detail.texts_of_control)
        return made | {"noDots": view.no_q(explanation, name, found, model)}

    return {
        "name": name,
        "label": _LABELS.get(name, view.method_label(name)),
        "unit": kind.unit,
        "meaning": kind.meaning,
        "caveat": kind.caveat,
        "signed": kind.signed,
        "fold": kind.reduction,
        "usesModel": mapping.uses_model,
        "says": _WORDS.get(kind.claim, _SIMILAR),
        "verbs": _VERBS.get(kind.claim, _SAME),
        "base": side(mapping.base, "base"),
        "tuned": side(mapping.tuned, "tuned") if mapping.uses_model else None,
        "difference": _beside(mapping, others, fold=not detail.texts_of_control) if mapping.uses_model else None,
    }


def _side(side: MappingSide, kept: Sequence[int], others: Sequence[int], with_span: np.ndarray, *, fold: bool) -> Json:
    """One model's scores of the kept sections, beside control and the best of the others.

    All scores of tokens are on one grid, so that what is equal or larger in the record is so on the page.
    """
    chosen = list(kept)
    tokens, q, spans = side.tokens[:, chosen], side.q[:, chosen], side.spans[:, chosen]
    every = np.concatenate([side.tokens.ravel(), side.control.ravel()])
    ends = np.nanmin(every, initial=np.inf), np.nanmax(every, initial=-np.inf)
    # A control that cannot fail is nothing to be above of.
    above = tokens > side.control.max(1, keepdims=True) if side.control.shape[1] else np.zeros(tokens.shape, bool)
    above &= ~np.isnan(q)
    return {
        "tokens": array(tokens, *ends),
        "whole": rounded_list(side.whole[chosen]),
        "control": None if fold else array(side.control, *ends),
        "controlFolded": array(_spread(side.control), *ends) if fold else None,
        "controlWhole": rounded_list(side.control_whole),
        "other": array(side.tokens[:, list(others)].max(1), *ends) if others else None,
        "otherWhole": rounded(float(side.whole[list(others)].max())) if others else None,
        "q": array(q, 0.0, 1.0),
        "marked": flags(q < view.SIGNIFICANT),
        "above": flags(above),
        # Sections without a span have none of any token: the page then shows the text unmarked.
        "spans": whole_numbers(spans[:, with_span]),
        "withSpan": None if with_span.all() else [int(i) for i in np.flatnonzero(with_span)],
    }


def _beside(mapping: SectionMapping, others: Sequence[int], *, fold: bool) -> Json:
    """Numbers of tuned − base that the sides do not give: the best of differences is no difference of bests."""
    base, tuned, rest = mapping.base, mapping.tuned, list(others)
    return {
        "controlFolded": array(_spread(tuned.control - base.control)) if fold else None,
        "other": array(mapping.difference[:, rest].max(1)) if rest else None,
        "otherWhole": rounded(float((tuned.whole - base.whole)[rest].max())) if rest else None,
    }


def _spread(control: np.ndarray) -> np.ndarray:
    """Best, 95th and 5th percentile of the control texts at each token: [3, answer]."""
    if not control.shape[1]:
        return np.full((3, len(control)), np.nan)
    return np.stack([control.max(1), *np.percentile(control, (95, 5), axis=1)])


def verbatim_runs(explanation: Explanation, place: Mapping[int, int]) -> list[Json]:
    index = {section.id: place[i] for i, section in enumerate(explanation.sections) if i in place}
    found = []
    for run in explanation.verbatim:
        there = [at for at, section in enumerate(run.sections) if section in index]
        found.append(
            {
                "text": run.text,
                "tokens": list(run.tokens),
                "sections": [index[run.sections[at]] for at in there],
                "spans": [[int(run.spans[at, 0]), int(run.spans[at, 1])] for at in there],
                "sectionsTotal": run.sections_total,
                "inQuestion": run.in_question,
                "inControl": run.in_control,
            }
        )
    return found
