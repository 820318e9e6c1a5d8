"""Answers after other prompts: a section before the question.

Keys and values of a prompt are computed once for all answers after it, and those of a beginning that prompts share,
such as a section before several questions, once for all of them.
Not covered: attention and hidden states (``capture``).
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from attrib.errors import ModelError
from attrib.models.pair import Model
from attrib.models.prompt import common_prefix
from attrib.passes.forward import at_least_float
from attrib.progress import Progress


@dataclass(frozen=True)
class Prompted:
    """A prompt, and the answers to be read after it."""

    prompt_ids: tuple[int, ...]
    answers: tuple[tuple[int, ...], ...]


def score_after(
    model: Model, jobs: Sequence[Prompted], *, batch: int = 16, progress: Progress | None = None
) -> list[list[np.ndarray]]:
    """log p of each token of each answer, nats, [prompt][answer][token]; ``batch`` answers at a time.

    Raises ModelError for log-probs that are not finite.
    """
    import torch

    found: dict[int, list[np.ndarray]] = {}
    # Prompts with a common beginning follow each other.
    order = sorted(range(len(jobs)), key=lambda i: jobs[i].prompt_ids)
    with model.plain() as network, torch.no_grad():
        last = _Read((), None, None)
        for number, i in enumerate(order):
            if progress is not None:
                progress(f"{model.name} reads answers after other prompts", number, len(jobs))
            last = _read(model, network, jobs[i], last)
            found[i] = _after_one(model, network, jobs[i], last, batch)
    if progress is not None and jobs:
        progress(f"{model.name} reads answers after other prompts", len(jobs), len(jobs))
    return [found[i] for i in range(len(jobs))]


@dataclass(frozen=True, eq=False)
class _Read:
    """Tokens with their keys and values: a prompt, and its answer where it has only one."""

    ids: tuple[int, ...]
    cache: Any
    steps: Any
    """log p over the vocabulary after the prompt, and after each token of a single answer but its last, [step, id]."""


def _read(model: Model, network: Any, job: Prompted, last: _Read) -> _Read:
    """The job from where it differs from the last one, of which the cache is cropped."""
    import torch

    alone = job.answers[0][:-1] if len(job.answers) == 1 else ()
    cache, start = last.cache, common_prefix(job.prompt_ids[:-1], last.ids)
    if cache is None or not _can_be_cropped(cache):
        cache, start = None, 0
    elif start < len(last.ids):
        cache.crop(start - len(last.ids))
    ids = (*job.prompt_ids, *alone)
    keep = 1 + len(alone)
    rest = torch.tensor([ids[start:]], device=model.device)
    read = network(rest, past_key_values=cache, use_cache=True, logits_to_keep=keep)
    # A model that knows no logits_to_keep gives them all.
    return _Read(ids, read.past_key_values, at_least_float(read.logits[0, -keep:]).log_softmax(-1))


def _can_be_cropped(cache: Any) -> bool:
    """Layers that keep a window or a state instead of every position cannot go back."""
    from transformers.cache_utils import DynamicLayer

    return all(type(layer) is DynamicLayer for layer in getattr(cache, "layers", [None]))


def _after_one(model: Model, network: Any, job: Prompted, read: _Read, batch: int) -> list[np.ndarray]:
    """log p of the tokens of each answer."""
    if len(job.answers) == 1:
        return [_logprob(model, read.steps, job.answers[0])]
    order = sorted(range(len(job.answers)), key=lambda i: len(job.answers[i]))
    found: dict[int, np.ndarray] = {}
    for start in range(0, len(order), batch):
        group = order[start : start + batch]
        steps = _steps(model, network, [job.answers[i] for i in group], read)
        for row, i in enumerate(group):
            found[i] = _logprob(model, steps[row], job.answers[i])
    return [found[i] for i in range(len(job.answers))]


def _steps(model: Model, network: Any, answers: Sequence[tuple[int, ...]], read: _Read) -> Any:
    """log p over the vocabulary before each token of the answers, [answer, step, id]."""
    import torch

    first = read.steps[None].expand(len(answers), -1, -1)
    width = max(len(ids) for ids in answers) - 1
    if not width:
        return first
    past = copy.deepcopy(read.cache)
    past.batch_repeat_interleave(len(answers))
    # Padded behind, where causal attention keeps the padding out of every token's sight.
    tails = [[*ids[:-1], *[0] * (width - len(ids) + 1)] for ids in answers]
    logits = network(torch.tensor(tails, device=model.device), past_key_values=past, use_cache=True).logits
    return torch.cat([first, at_least_float(logits).log_softmax(-1)], dim=1)


def _logprob(model: Model, steps: Any, ids: tuple[int, ...]) -> np.ndarray:
    import torch

    known = steps[: len(ids)].gather(1, torch.tensor(ids, device=steps.device)[:, None])[:, 0]
    if not bool(known.isfinite().all()):
        raise ModelError(f"{model.name}: log-probs of an answer are not finite; use -o models.dtype=float32")
    return np.asarray(known.double().cpu().numpy())
