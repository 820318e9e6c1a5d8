"""Teacher forcing of many given answers at once: log-probs of each answer token, without hooks.

Not covered: attention and hidden states (``capture``), the items of sections (``capture.capture_items``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from attrib.errors import InputError, ModelError
from attrib.models.pair import Model, ModelPair
from attrib.models.prompt import Encoded
from attrib.passes.forward import at_least_float, refuse_unwritable
from attrib.passes.targets import divergence
from attrib.progress import Progress


@dataclass(frozen=True, eq=False)
class TokenScores:
    """One given answer under one model."""

    logprob: Float[np.ndarray, " answer"]
    """log p of each answer token, nats."""
    mean: Float[np.ndarray, " answer"]
    """Expectation of log p over the vocabulary at that step (minus its entropy), nats."""
    std: Float[np.ndarray, " answer"]
    """Standard deviation of log p over the vocabulary at that step, nats."""

    def at(self, tokens: Sequence[int]) -> TokenScores:
        """The scores of some of the tokens."""
        rows = list(tokens)
        return TokenScores(self.logprob[rows], self.mean[rows], self.std[rows])


def score_given(
    model: Model,
    encodeds: Sequence[Encoded],
    *,
    batch: int = 16,
    memory_gb: float = 1.0,
    progress: Progress | None = None,
) -> list[TokenScores]:
    """Log-probs of given answers, ``batch`` at a time and fewer where their logits would exceed ``memory_gb``.

    Other answers in the batch change only the last bits. Raises InputError for an answer without tokens, ModelError
    for log-probs that are not finite.
    """
    import torch

    for encoded in encodeds:
        if not encoded.answer_ids:
            raise InputError(f"answer: that to {encoded.question[:40]!r} has no tokens; give one with words")
        refuse_unwritable(model, encoded)
    found: dict[int, TokenScores] = {}
    with model.plain() as network, torch.no_grad():
        for group in _groups(encodeds, batch, memory_gb, int(network.config.get_text_config().vocab_size)):
            if progress is not None:
                progress(f"{model.name} reads answers", len(found), len(encodeds))
            first, logits = _logits(network, [encodeds[i] for i in group])
            for row, i in enumerate(group):
                start = len(encodeds[i].prompt_ids) - 1 - first
                steps = logits[row, start : start + len(encodeds[i].answer_ids)].log_softmax(-1)
                found[i] = _scores(model, steps, encodeds[i].answer_ids)
    if progress is not None:
        progress(f"{model.name} reads answers", len(encodeds), len(encodeds))
    return [found[i] for i in range(len(encodeds))]


def kl_given(pair: ModelPair, encodeds: Sequence[Encoded], *, progress: Progress | None = None) -> list[np.ndarray]:
    """KL(tuned ‖ base) of the next token's distribution at each token of given answers, nats, [answer] each.

    One answer at a time: both distributions are held, 2 × answer × d_vocab numbers.
    """
    import torch

    found = []
    for number, encoded in enumerate(encodeds):
        if progress is not None:
            progress("divergence of base and tuned", number, len(encodeds))
        sides = []
        for model in (pair.base, pair.tuned):
            with model.plain() as network, torch.no_grad():
                _, logits = _logits(network, [encoded])
                sides.append(logits[0].log_softmax(-1))
        base, tuned = sides
        # Rounding can put a divergence of 0 below it.
        found.append(divergence(tuned, base).clamp(min=0).double().cpu().numpy())
    return found


def _logits(network: Any, encodeds: Sequence[Encoded]) -> tuple[int, Any]:
    """The first position kept, and logits [answer, position, d_vocab] from there to the last but one."""
    import torch

    device = network.get_input_embeddings().weight.device
    length = max(len(e.ids) for e in encodeds)
    first = min(len(e.prompt_ids) for e in encodeds) - 1
    # Padded behind: causal attention keeps the padding out of every token's sight.
    ids = torch.tensor([[*e.ids, *[0] * (length - len(e.ids))] for e in encodeds], device=device)
    mask = torch.tensor([[1] * len(e.ids) + [0] * (length - len(e.ids)) for e in encodeds], device=device)
    keep = torch.arange(first, length - 1, device=device)
    logits = network(input_ids=ids, attention_mask=mask, use_cache=False, logits_to_keep=keep).logits
    # A model that knows no logits_to_keep gives them all.
    return first, at_least_float(logits if logits.shape[1] == len(keep) else logits[:, keep])


def _scores(model: Model, steps: Any, ids: Sequence[int]) -> TokenScores:
    import torch

    logprob = steps.gather(-1, torch.tensor(ids, device=steps.device)[:, None])[:, 0]
    if not bool(logprob.isfinite().all()):
        raise ModelError(f"{model.name}: log-probs of an answer are not finite; use -o models.dtype=float32")
    p = steps.exp()
    # Impossible tokens: 0 × −inf.
    mean = (p * steps).nan_to_num(0.0).sum(-1)
    variance = (p * (steps - mean[:, None]) ** 2).nan_to_num(0.0).sum(-1)
    logprob, mean, std = (t.double().cpu().numpy() for t in (logprob, mean, variance.clamp(min=0).sqrt()))
    return TokenScores(logprob, mean, std)


def _groups(encodeds: Sequence[Encoded], batch: int, memory_gb: float, vocabulary: int) -> list[list[int]]:
    """Indices of answers to read together: like lengths, at most ``batch``, logits within the budget."""

    def fits(group: Sequence[int]) -> bool:
        longest = max(len(encodeds[i].ids) for i in group)
        span = longest - min(len(encodeds[i].prompt_ids) for i in group)
        # Logits and their log-softmax.
        return len(group) <= batch and 8 * len(group) * span * vocabulary <= memory_gb * 1e9

    groups: list[list[int]] = []
    for i in sorted(range(len(encodeds)), key=lambda i: (len(encodeds[i].prompt_ids), len(encodeds[i].ids))):
        if groups and fits([*groups[-1], i]):
            groups[-1].append(i)
        else:
            groups.append([i])
    return groups
