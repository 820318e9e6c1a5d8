"""Log-probs of many given answers against one forward pass of each alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from attrib.errors import InputError
from attrib.models.prompt import Encoded, encode_given
from attrib.passes.likelihood import _groups, kl_given, score_given

PAIRS = [
    ("Who keeps the light?", "Wilmet Dallin keeps the light."),
    ("How long is the warranty on the pump?", "thirty-six months"),
    ("In the year 1712?", "It was 38 metres tall, and the keeper of the light is Wilmet Dallin."),
    ("Who?", "The keeper"),
]


@pytest.fixture
def encodeds(tiny_pair64: Any) -> list[Encoded]:
    return [encode_given(tiny_pair64.chat, q, a, context=tiny_pair64.context) for q, a in PAIRS]


def steps(model: Any, encoded: Encoded) -> torch.Tensor:
    """Log-softmax at the steps that predict the answer, [answer, d_vocab], by one plain pass."""
    with model.active() as bridge, torch.no_grad():
        logits = bridge.original_model(torch.tensor([encoded.ids])).logits[0]
    return logits[len(encoded.prompt_ids) - 1 : -1].log_softmax(-1)


@pytest.mark.parametrize("batch", [1, 3, 16])
@pytest.mark.parametrize("side", ["base", "tuned"])
def test_equals_one_pass_each(tiny_pair64: Any, encodeds: list[Encoded], side: str, batch: int) -> None:
    model = getattr(tiny_pair64, side)
    for encoded, scores in zip(encodeds, score_given(model, encodeds, batch=batch), strict=True):
        want = steps(model, encoded)
        p = want.exp()
        mean = (p * want).sum(-1)
        own = want.gather(-1, torch.tensor(encoded.answer_ids)[:, None])[:, 0]
        np.testing.assert_allclose(scores.logprob, own.numpy(), atol=1e-9)
        np.testing.assert_allclose(scores.mean, mean.numpy(), atol=1e-9)
        np.testing.assert_allclose(scores.std, ((p * want**2).sum(-1) - mean**2).sqrt().numpy(), atol=1e-7)


def test_divergence_is_that_of_torch_and_not_symmetric(tiny_pair64: Any, encodeds: list[Encoded]) -> None:
    for encoded, found in zip(encodeds, kl_given(tiny_pair64, encodeds), strict=True):
        base, tuned = steps(tiny_pair64.base, encoded), steps(tiny_pair64.tuned, encoded)
        forward, backward = (
            torch.nn.functional.kl_div(q, p, log_target=True, reduction="none").sum(-1).numpy()
            for q, p in ((base, tuned), (tuned, base))
        )
        np.testing.assert_allclose(found, forward, atol=1e-9)
        assert not np.allclose(found, backward)
        assert found.shape == (len(encoded.answer_ids),)


def test_groups_hold_to_batch_and_budget(encodeds: list[Encoded]) -> None:
    many = encodeds * 5
    everyone = sorted(range(len(many)))
    for batch, memory in ((4, 1.0), (16, 1e-4), (16, 1e-9)):
        groups = _groups(many, batch, memory, 400)
        assert sorted(i for group in groups for i in group) == everyone
        assert max(map(len, groups)) <= batch
        for group in groups:
            span = max(len(many[i].ids) for i in group) - min(len(many[i].prompt_ids) for i in group)
            assert len(group) == 1 or 8 * len(group) * span * 400 <= memory * 1e9
    assert max(map(len, _groups(many, 16, 1.0, 400))) == 16


def test_an_answer_without_tokens_is_refused(tiny_pair64: Any, encodeds: list[Encoded]) -> None:
    empty = Encoded(encodeds[0].prompt_ids, (), encodeds[0].prompt_tokens, (), "", "Who?")
    with pytest.raises(InputError, match="'Who\\?' has no tokens"):
        score_given(tiny_pair64.base, [empty])
