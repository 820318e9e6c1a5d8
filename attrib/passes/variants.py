"""Many prompts, the same answer → the target under each, for perturbation methods and tests of faithfulness.

Variants of a prompt share its beginning up to the first change: keys and values of that much are computed once, and
only what follows is run, several variants at a time. Shorter variants are padded on the RIGHT, where causal attention
keeps the padding out of every token's sight: no mask, positions as ever, and windows and distances between tokens stay
true. Logits exist at answer positions only. Peers that cache keys and values of the ANSWER score its later tokens
wrongly; here nothing after a change is ever reused.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from attrib.errors import InputError
from attrib.models.pair import Model
from attrib.models.prompt import Encoded, common_prefix
from attrib.passes.forward import at_least_float, checked
from attrib.passes.plan import chunk_positions
from attrib.passes.targets import Goal, Target

LOGIT_SHARE, CACHE_SHARE = 0.05, 0.4
"""Shares of the memory budget that one batch's logits, and its keys and values, may take."""


def score_variants(
    model: Model,
    encoded: Encoded,
    prompts: Sequence[Sequence[int]],
    target: Target,
    *,
    other: Model | None = None,
    batch_positions: int | None = None,
    memory_gb: float = 2.0,
    progress: Callable[[int, int], None] | None = None,
) -> np.ndarray:
    """Target of each answer token after each of ``prompts``, [variant, answer], float64.

    ``batch_positions`` bounds a batch with its padding. Raises InputError for an empty prompt, ModelError for a target
    that is not finite.
    """
    if any(not prompt for prompt in prompts):
        raise InputError(
            "prompt: a variant has no tokens left; leave the chat template in, or replace instead of deleting"
        )
    shared = [_shared(prompt, encoded.prompt_ids) for prompt in prompts]
    wanted = batch_positions or chunk_positions(model)
    vocabulary = int(model.bridge.original_model.get_output_embeddings().weight.shape[0])
    most = max(1, int(LOGIT_SHARE * memory_gb * 1e9 / (4 * len(encoded.answer_ids) * vocabulary)))
    fitting = int(CACHE_SHARE * memory_gb * 1e9 / _cache_bytes(model))
    # Ascending, so that the shared beginning only ever grows.
    order = sorted(range(len(prompts)), key=lambda i: (shared[i], len(prompts[i])))
    out = np.empty((len(prompts), len(encoded.answer_ids)))
    prefixes = {id(m): _Prefix(m, encoded.prompt_ids) for m in (model, other) if m is not None}
    done = 0
    lengths = [len(p) + len(encoded.answer_ids) - 1 for p in prompts]
    for batch in _batches(order, shared, lengths, wanted, fitting, most):
        chosen = [prompts[i] for i in batch]
        keep = shared[batch[0]]
        compared = None
        if target.compares:
            assert other is not None
            compared = prefixes[id(other)].logits(chosen, encoded.answer_ids, keep).log_softmax(-1)
        logits = prefixes[id(model)].logits(chosen, encoded.answer_ids, keep)
        out[batch] = _target(model, target, logits, encoded, compared)
        done += len(batch)
        if progress is not None:
            progress(done, len(prompts))
    return out


def _target(model: Model, target: Target, logits: Any, encoded: Encoded, other: Any) -> np.ndarray:
    import torch

    ids = torch.tensor(encoded.answer_ids, device=logits.device)
    contrast = None if target.contrast is None else torch.tensor(target.contrast, device=logits.device)
    values = checked(model, target, target.function(logits, Goal(ids, contrast, other)), logits)
    return np.asarray(values.double().cpu().numpy())


def _cache_bytes(model: Model) -> int:
    """Keys and values of one position in all layers."""
    cfg = model.bridge.cfg
    heads = int(getattr(cfg, "n_key_value_heads", None) or cfg.n_heads)
    item = model.bridge.original_model.get_input_embeddings().weight.element_size()
    return int(2 * cfg.n_layers * heads * cfg.d_head * item)


def _shared(prompt: Sequence[int], whole: Sequence[int]) -> int:
    """Leading tokens in common, less one where that is all: the last prompt token's logits are always computed anew."""
    return min(common_prefix(prompt, whole), len(prompt) - 1)


def _batches(
    order: Sequence[int], shared: Sequence[int], lengths: Sequence[int], positions: int, fitting: int, most: int
) -> list[list[int]]:
    """Runs of at most ``most`` variants; ``order`` ascends in ``shared``.

    The padded size stays below ``positions`` past what a run shares, and below ``fitting`` with it.
    """
    batches: list[list[int]] = []
    longest = 0
    for i in order:
        longest = max(longest, lengths[i])
        n = len(batches[-1]) + 1 if batches else 0
        if not batches or n > most or n * (longest - shared[batches[-1][0]]) > positions or n * longest > fitting:
            batches.append([i])
            longest = lengths[i]
        else:
            batches[-1].append(i)
    return batches


class _Prefix:
    """Keys and values of the unchanged prompt under one model, as far as they have been asked for."""

    def __init__(self, model: Model, prompt_ids: Sequence[int]) -> None:
        self.model = model
        self.prompt_ids = tuple(prompt_ids)
        self.cache: Any = None
        self.length = 0

    def logits(self, prompts: Sequence[Sequence[int]], answer_ids: Sequence[int], keep: int) -> Any:
        """[variant, answer, d_vocab] in float32 or better; ``keep`` leading tokens, never fewer than the last time,
        are taken from the cache."""
        import torch

        n = len(answer_ids)
        tails = [[*prompt[keep:], *answer_ids[:-1]] for prompt in prompts]
        width = max(len(tail) for tail in tails)
        ids = torch.tensor([tail + [0] * (width - len(tail)) for tail in tails], device=self.model.device)
        predicting = torch.tensor([range(len(tail) - n, len(tail)) for tail in tails])

        def pick(head: Any, given: tuple[Any, ...]) -> tuple[Any, ...]:
            """The head sees the steps that predict the answer alone, at other places in each variant."""
            hidden = given[0]
            at = predicting.to(hidden.device)[..., None].expand(-1, -1, hidden.shape[-1])
            return (hidden.gather(1, at), *given[1:])

        with self.model.active() as bridge, torch.no_grad():
            network = bridge.original_model
            past = self._past(network, keep, len(tails))
            handle = network.get_output_embeddings().register_forward_pre_hook(pick)
            try:
                logits = network(ids, past_key_values=past, use_cache=past is not None).logits
            finally:
                handle.remove()
        return at_least_float(logits)

    def _past(self, network: Any, keep: int, batch: int) -> Any:
        """A copy of the first ``keep`` tokens' keys and values for each of ``batch`` variants.

        Grown, never cropped: a layer with a sliding window forgets what a shorter beginning would need.
        """
        import torch

        if not keep:
            return None
        if keep > self.length:
            more = torch.tensor([self.prompt_ids[self.length : keep]], device=self.model.device)
            grown = network(more, past_key_values=self.cache, use_cache=True, logits_to_keep=1)
            self.cache, self.length = grown.past_key_values, keep
        past = copy.deepcopy(self.cache)
        past.batch_repeat_interleave(batch)
        return past
