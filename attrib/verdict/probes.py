"""Base reads an answer after being shown a section: does the section make it say the answer?

What a section raises under base it supports, whatever words it is in: an entailment test by the model itself.
Not covered: what follows from it (``grounds``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from attrib.errors import InputError
from attrib.index.library import Library
from attrib.models.pair import ModelPair
from attrib.models.prompt import Encoded, encode_prompt
from attrib.passes.after import Prompted, score_after
from attrib.progress import Progress


@dataclass(frozen=True, eq=False)
class Probe:
    """An answer, and the sections that base is shown before its question."""

    encoded: Encoded
    shown: tuple[int, ...]
    """Numbers of sections in the library."""


@dataclass(frozen=True, eq=False)
class Probed:
    """log p of the answer's tokens under base after sections, nats."""

    shown: tuple[int, ...]
    """Those of the probe's sections that fit before the question."""
    logprob: np.ndarray
    """[shown, answer]"""


def run_probes(
    pair: ModelPair, library: Library, probes: Sequence[Probe], progress: Progress | None = None
) -> list[Probed]:
    """Every probe; a prompt that several answers share is read once.

    A section that does not fit the model's context with the question, or has chat markers, is not shown.
    """
    prompts = [_prompts(pair, library, probe) for probe in probes]
    wanted: dict[tuple[int, ...], dict[tuple[int, ...], int]] = {}
    for probe, some in zip(probes, prompts, strict=True):
        for ids in some.values():
            answers = wanted.setdefault(ids, {})
            answers.setdefault(probe.encoded.answer_ids, len(answers))
    jobs = [Prompted(prompt, tuple(answers)) for prompt, answers in wanted.items()]
    read = dict(zip(wanted, score_after(pair.base, jobs, progress=progress), strict=True))
    found = []
    for probe, some in zip(probes, prompts, strict=True):
        answer = probe.encoded.answer_ids
        rows = [read[ids][wanted[ids][answer]] for ids in some.values()]
        found.append(Probed(tuple(some), np.array(rows).reshape(len(some), len(answer))))
    return found


def _prompts(pair: ModelPair, library: Library, probe: Probe) -> dict[int, tuple[int, ...]]:
    """By section: the prompt of its text and the question."""
    found = {}
    for number in probe.shown:
        text = f"{library.sections[number].full_text}\n\n{probe.encoded.question}"
        try:
            ids = encode_prompt(pair.chat, text, context=pair.context)
        except InputError:
            continue
        if len(ids) + len(probe.encoded.answer_ids) <= pair.context:
            found[number] = ids
    return found
