"""Both models read an answer after other prompts: a section before its question, and questions about other things.

A base model that a section makes say the answer shows that the section supports it, whatever words it is in. What
tuning did to the same answer after other questions is form and habit; the rest was learned for this question.
Not covered: what follows from it (``judge``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from attrib.errors import InputError
from attrib.index.library import Library
from attrib.models.pair import Model, ModelPair
from attrib.models.prompt import Encoded, encode_prompt
from attrib.passes.after import Prompted, score_after
from attrib.progress import Progress
from attrib.records import Section
from attrib.records.item import ASKING

GENERAL = ("What is the largest animal on Earth?", "Why do people wear coats in winter?")
"""Other questions that no documents are needed for."""
OWN = 2
"""Questions about other sections."""


@dataclass(frozen=True, eq=False)
class Probe:
    """An answer, and the sections that base is shown before its question."""

    encoded: Encoded
    shown: tuple[int, ...]
    """Numbers of sections in the library."""


@dataclass(frozen=True, eq=False)
class Probed:
    """log p of the answer's tokens after other prompts, nats."""

    shown: tuple[int, ...]
    """Those of the probe's sections that fit before the question."""
    logprob_shown: np.ndarray
    """Under base, [shown, answer]."""
    other_base: np.ndarray
    """[other, answer]"""
    other_tuned: np.ndarray


def run_probes(
    pair: ModelPair, library: Library, probes: Sequence[Probe], progress: Progress | None = None
) -> list[Probed]:
    """Every probe; prompts that several answers share are read once.

    A section that does not fit the model's context with the question, or has chat markers, is not shown.
    """
    after = [_prompts_shown(pair, library, probe) for probe in probes]
    others = [_prompts_other(pair, library, probe) for probe in probes]
    answers = [probe.encoded.answer_ids for probe in probes]
    both = [[*(ids for _, ids in shown), *other] for shown, other in zip(after, others, strict=True)]
    base = _scores(pair.base, both, answers, progress)
    tuned = _scores(pair.tuned, others, answers, progress)
    found = []
    for shown, under_base, under_tuned in zip(after, base, tuned, strict=True):
        k = len(shown)
        found.append(Probed(tuple(number for number, _ in shown), under_base[:k], under_base[k:], under_tuned))
    return found


def _prompts_shown(pair: ModelPair, library: Library, probe: Probe) -> list[tuple[int, tuple[int, ...]]]:
    found = []
    for number in probe.shown:
        text = f"{library.sections[number].full_text}\n\n{probe.encoded.question}"
        ids = _prompt(pair, text)
        if ids is not None and len(ids) + len(probe.encoded.answer_ids) <= pair.context:
            found.append((number, ids))
    return found


def _prompts_other(pair: ModelPair, library: Library, probe: Probe) -> list[tuple[int, ...]]:
    """Prompts of other questions: general ones, and ones about sections that are not shown."""
    total = len(library.corpus)
    # The same few sections for all answers, so that their prompts are read once.
    spread = dict.fromkeys(int(i) for i in np.linspace(0, total - 1, min(total, OWN + 2)))
    own = [_question_of(library.sections[i]) for i in spread if i not in probe.shown][:OWN]
    prompts = (_prompt(pair, question) for question in (*GENERAL, *own) if question != probe.encoded.question)
    return [ids for ids in prompts if ids is not None and len(ids) + len(probe.encoded.answer_ids) <= pair.context]


def _question_of(section: Section) -> str:
    """A conversation's first question; of a text, one about its title."""
    asked = next((turn.content for turn in section.turns if turn.role in ASKING and turn.content.strip()), None)
    return asked or f"Tell me about {section.title}."


def _prompt(pair: ModelPair, question: str) -> tuple[int, ...] | None:
    try:
        return encode_prompt(pair.chat, question, context=pair.context)
    except InputError:
        return None


def _scores(
    model: Model,
    prompts: Sequence[Sequence[tuple[int, ...]]],
    answers: Sequence[tuple[int, ...]],
    progress: Progress | None,
) -> list[np.ndarray]:
    """log p of each answer after each of its prompts, [prompt, answer] each."""
    wanted: dict[tuple[int, ...], dict[tuple[int, ...], int]] = {}
    for some, answer in zip(prompts, answers, strict=True):
        for prompt in some:
            wanted.setdefault(prompt, {}).setdefault(answer, len(wanted[prompt]))
    jobs = [Prompted(prompt, tuple(wanted[prompt])) for prompt in wanted]
    read = dict(zip(wanted, score_after(model, jobs, progress=progress), strict=True))
    return [
        np.array([read[prompt][wanted[prompt][answer]] for prompt in some]).reshape(len(some), len(answer))
        for some, answer in zip(prompts, answers, strict=True)
    ]
