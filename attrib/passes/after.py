"""Answers after other prompts: a section before the question.

Keys and values of a prompt are computed once for all answers after it. Not covered: attention and hidden states
(``capture``).
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from attrib.errors import ModelError
from attrib.models.pair import Model
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

    found: list[list[np.ndarray]] = []
    with model.plain() as network, torch.no_grad():
        for number, job in enumerate(jobs):
            if progress is not None:
                progress(f"{model.name} reads answers after other prompts", number, len(jobs))
            found.append(_after_one(model, network, job, batch))
    if progress is not None and jobs:
        progress(f"{model.name} reads answers after other prompts", len(jobs), len(jobs))
    return found


def _after_one(model: Model, network: Any, job: Prompted, batch: int) -> list[np.ndarray]:
    import torch

    read = network(torch.tensor([job.prompt_ids], device=model.device), use_cache=True, logits_to_keep=1)
    first = at_least_float(read.logits[:, -1]).log_softmax(-1)[0]
    order = sorted(range(len(job.answers)), key=lambda i: len(job.answers[i]))
    found: dict[int, np.ndarray] = {}
    for start in range(0, len(order), batch):
        group = order[start : start + batch]
        answers = [job.answers[i] for i in group]
        width = max(len(ids) for ids in answers) - 1
        steps = None
        if width > 0:
            past = copy.deepcopy(read.past_key_values)
            past.batch_repeat_interleave(len(group))
            # Padded behind, where causal attention keeps the padding out of every token's sight.
            tails = [[*ids[:-1], *[0] * (width - len(ids) + 1)] for ids in answers]
            logits = network(torch.tensor(tails, device=model.device), past_key_values=past, use_cache=True).logits
            steps = at_least_float(logits).log_softmax(-1)
        for row, i in enumerate(group):
            ids = torch.tensor(job.answers[i], device=first.device)
            logprob = first[ids[:1]]
            if steps is not None and len(ids) > 1:
                logprob = torch.cat([logprob, steps[row, : len(ids) - 1].gather(1, ids[1:, None])[:, 0]])
            if not bool(logprob.isfinite().all()):
                raise ModelError(f"{model.name}: log-probs of an answer are not finite; use -o models.dtype=float32")
            found[i] = logprob.double().cpu().numpy()
    return [found[i] for i in range(len(job.answers))]
