"""Answers after other prompts: the numbers of a whole forward pass, whatever is in the batch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from attrib.passes.after import Prompted, score_after

PROMPTS = ((5, 6, 7, 8, 9), (11, 12))
ANSWERS = ((20, 21, 22, 23), (30,), (40, 41))


def whole(network: Any, prompt: tuple[int, ...], answer: tuple[int, ...]) -> np.ndarray:
    ids = torch.tensor([[*prompt, *answer]])
    with torch.no_grad():
        steps = network(input_ids=ids).logits[0, len(prompt) - 1 : -1].log_softmax(-1)
    return np.asarray(steps.gather(1, ids[0, len(prompt) :, None])[:, 0].double().numpy())


@pytest.mark.parametrize("batch", [1, 2, 16])
def test_answers_after_prompts_are_read_as_in_one_pass(tiny_pair64: Any, batch: int) -> None:
    jobs = [Prompted(prompt, ANSWERS) for prompt in PROMPTS]
    for model in (tiny_pair64.base, tiny_pair64.tuned):
        got = score_after(model, jobs, batch=batch)
        with model.plain() as network:
            for job, found in zip(jobs, got, strict=True):
                for answer, logprob in zip(ANSWERS, found, strict=True):
                    np.testing.assert_allclose(logprob, whole(network, job.prompt_ids, answer), atol=1e-10)
    assert score_after(tiny_pair64.base, []) == []
