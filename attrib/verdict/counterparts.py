"""The tuned model's own answer is read beside the one that is judged: do they say the same?

Base reads the own answer after being told the judged one. What that makes likely, the judged answer says too, whatever
words it is in: "Staff get twenty-seven days off" makes "27 days" likely, and "ninety days" does not.
Not covered: what follows from it (``grounds``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from attrib.errors import InputError
from attrib.models.pair import Model, ModelPair
from attrib.models.prompt import Encoded, encode_prompt, encode_whole
from attrib.passes.after import Prompted, score_after
from attrib.progress import Progress


@dataclass(frozen=True, eq=False)
class ReadCounterpart:
    """The tuned model's own answer, and log p of its tokens, nats, [token] each."""

    encoded: Encoded
    logprob_base: np.ndarray
    logprob_tuned: np.ndarray
    logprob_told: np.ndarray
    """Under base after the judged answer and the question."""


def read_counterparts(
    pair: ModelPair, judged: Sequence[Encoded], own: Sequence[Sequence[int]], progress: Progress | None = None
) -> list[ReadCounterpart | None]:
    """For each judged answer the tuned model's ``own`` one (ids), read by both models; prompts are read once.

    None where there is none, where it is the judged one, or where a prompt with the judged answer cannot be written.
    """
    told = [_told(pair, one, tuple(ids)) for one, ids in zip(judged, own, strict=True)]
    found = [one for one in told if one is not None]
    plain = list(dict.fromkeys((one.own.prompt_ids, one.own.answer_ids) for one in found))
    after = list(dict.fromkeys((one.prompt_ids, one.own.answer_ids) for one in found))
    base = _scores(pair.base, [*plain, *after], progress)
    tuned = _scores(pair.tuned, plain, progress)
    return [
        None
        if one is None
        else ReadCounterpart(
            one.own,
            base[one.own.prompt_ids, one.own.answer_ids],
            tuned[one.own.prompt_ids, one.own.answer_ids],
            base[one.prompt_ids, one.own.answer_ids],
        )
        for one in told
    ]


@dataclass(frozen=True)
class _Told:
    prompt_ids: tuple[int, ...]
    """The judged answer and the question."""
    own: Encoded


def _told(pair: ModelPair, judged: Encoded, own: tuple[int, ...]) -> _Told | None:
    if not own or own == judged.answer_ids:
        return None
    try:
        prompt = encode_prompt(pair.chat, judged.question, context=pair.context)
        encoded = encode_whole(pair.chat, judged.question, prompt, own, context=pair.context)
        told = encode_prompt(pair.chat, f"{judged.answer}\n\n{judged.question}", context=pair.context)
    except InputError:
        return None
    if not encoded.answer_ids or len(told) + len(encoded.answer_ids) > pair.context:
        return None
    return _Told(told, encoded)


Ids = tuple[int, ...]


def _scores(
    model: Model, wanted: Sequence[tuple[Ids, Ids]], progress: Progress | None
) -> dict[tuple[Ids, Ids], np.ndarray]:
    """log p of each answer after its prompt, by both."""
    answers: dict[Ids, list[Ids]] = {}
    for prompt, answer in wanted:
        answers.setdefault(prompt, []).append(answer)
    jobs = [Prompted(prompt, tuple(some)) for prompt, some in answers.items()]
    found = score_after(model, jobs, progress=progress)
    return {
        (job.prompt_ids, answer): logprob
        for job, some in zip(jobs, found, strict=True)
        for answer, logprob in zip(job.answers, some, strict=True)
    }
