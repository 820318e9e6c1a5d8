"""Answers after other prompts: the numbers of a whole forward pass, whatever is in the batch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from attrib.passes.after import Prompted, score_after

PROMPTS = ((5, 6, 7, 8, 9), (11, 12), (5, 6, 7, 13), (5, 6, 7, 8, 9, 20, 21), (5, 6, 7, 8))
ANSWERS = ((20, 21, 22, 23), (30,), (40, 41))


def whole(network: Any, prompt: tuple[int, ...], answer: tuple[int, ...]) -> np.ndarray:
    ids = torch.tensor([[*prompt, *answer]])
    with torch.no_grad():
        steps = network(input_ids=ids).logits[0, len(prompt) - 1 : -1].log_softmax(-1)
    return np.asarray(steps.gather(1, ids[0, len(prompt) :, None])[:, 0].double().numpy())


@pytest.mark.parametrize("batch", [1, 2, 16])
def test_answers_after_prompts_are_read_as_in_one_pass(tiny_pair64: Any, batch: int) -> None:
    # Each prompt with all answers, and with a single one: what follows begins as the last prompt and its answer did.
    jobs = [Prompted(prompt, answers) for prompt in PROMPTS for answers in (ANSWERS, ANSWERS[:1], ANSWERS[1:2])]
    for model in (tiny_pair64.base, tiny_pair64.tuned):
        got = score_after(model, jobs, batch=batch)
        with model.plain() as network:
            for job, found in zip(jobs, got, strict=True):
                for answer, logprob in zip(job.answers, found, strict=True):
                    np.testing.assert_allclose(logprob, whole(network, job.prompt_ids, answer), atol=1e-10)
    assert score_after(tiny_pair64.base, []) == []


def test_prompts_with_a_common_beginning_are_read_once(tiny_pair64: Any) -> None:
    read: list[int] = []
    with tiny_pair64.base.plain() as network:
        hook = network.register_forward_pre_hook(lambda module, args: read.append(args[0].shape[1]))
        score_after(tiny_pair64.base, [Prompted((*range(5, 25), last), ((30,),)) for last in (40, 41, 42)])
        hook.remove()
    assert read == [21, 1, 1]
