"""A model's own answers to prompts, as ids: greedy or sampled, many at once.

Rows that are done leave the batch, the beginning that all prompts share (the chat template's) is read once, samples of
one prompt share its reading, and each sample has random numbers of its own, whatever else is in the batch.
Not covered: beams, top-k and top-p, models whose cache is not one of keys and values.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from attrib.errors import InputError, ModelError
from attrib.models.pair import Model
from attrib.passes import at_least_float
from attrib.progress import Progress
from attrib.tokens import markers

TIES = {"torch.float32": 1e-3, "torch.float64": 1e-9}
"""Logits closer than this may change places with the batch: such a greedy answer is made again by itself. Half
precision rounds more coarsely than most steps decide; there a batch may answer otherwise than one prompt alone."""
SHARED = 8
"""Tokens that prompts must have in common to be read once."""


@dataclass(frozen=True)
class Generated:
    """One answer of one model."""

    ids: tuple[int, ...]
    """Without the end marker; may be empty."""
    logprob: float
    """Summed log p of its tokens and of the end marker where it was said, nats, at temperature 1."""
    tokens: int
    """How many were summed."""
    ended: bool
    """Whether the model ended it; False where it was cut off."""


def generate(model: Model, prompt_ids: Sequence[int], *, max_new_tokens: int = 64) -> tuple[int, ...]:
    """Greedy answer of ``model`` without its end-of-turn marker; may be empty.

    Raises InputError where prompt and answer would exceed the model's context.
    """
    return generate_batch(model, [prompt_ids], max_new_tokens=max_new_tokens)[0][0].ids


def generate_batch(
    model: Model,
    prompts: Sequence[Sequence[int]],
    *,
    max_new_tokens: int = 64,
    batch: int = 16,
    samples: int = 1,
    temperature: float = 0.0,
    seed: int = 0,
    progress: Progress | None = None,
) -> list[list[Generated]]:
    """``samples`` answers to each prompt, [prompt][sample], ``batch`` answers at a time.

    ``temperature`` 0 is greedy, and then in float32 and float64 the same token for token as one prompt at a time.
    Otherwise tokens are drawn from softmax(logits / temperature); ``seed``, the prompt and the sample's number decide
    the draw. Whatever generation settings the model ships with are not used, its end markers excepted.
    Raises InputError for options that cannot be and where prompt and answer would exceed the model's context.
    """
    _check(model, prompts, max_new_tokens, batch, samples, temperature)
    rows = [[_Row(tuple(ids), number, seed) for number in range(samples)] for ids in prompts]
    # Like lengths together: less padding. All samples of a prompt in one batch, as far as they fit.
    order = sorted(range(len(rows)), key=lambda i: len(rows[i][0].prompt))
    step, width = max(1, batch // samples), min(samples, batch)
    done = 0
    with model.active() as bridge:
        run = _Run(bridge.original_model, _stops(model, bridge.original_model), max_new_tokens, temperature)
        for first in range(0, len(order), step):
            for low in range(0, samples, width):
                if progress is not None:
                    progress(f"{model.name} answers", done, len(prompts) * samples)
                group = [rows[i][low : low + width] for i in order[first : first + step]]
                run.answer(group)
                done += sum(map(len, group))
    if progress is not None:
        progress(f"{model.name} answers", done, done)
    return [[row.generated() for row in some] for some in rows]


@dataclass(eq=False)
class _Row:
    """One answer in the making."""

    prompt: tuple[int, ...]
    number: int
    seed: int
    ids: list[int] = field(default_factory=list)
    logprob: float = 0.0
    tokens: int = 0
    ended: bool = False
    tied: bool = False
    """Two tokens were so close that another batch might have taken the other."""

    def __post_init__(self) -> None:
        self.draws = np.random.default_rng([self.seed, self.number, *self.prompt])

    def generated(self) -> Generated:
        return Generated(tuple(self.ids), self.logprob, self.tokens, self.ended)


@dataclass(frozen=True, eq=False)
class _Run:
    """How rows are answered."""

    network: Any
    stops: frozenset[int]
    max_new_tokens: int
    temperature: float

    def answer(self, group: Sequence[Sequence[_Row]]) -> None:
        """Fill in a group of rows, [prompt][sample]."""
        rows = [row for some in group for row in some]
        self._decode([some[0].prompt for some in group], rows)
        if len(rows) > 1:
            for row in rows:
                if row.tied:
                    row.ids, row.logprob, row.tokens, row.ended = [], 0.0, 0, False
                    self._decode([row.prompt], [row])

    def _decode(self, prompts: Sequence[tuple[int, ...]], rows: Sequence[_Row]) -> None:
        """All rows to their ends; ``rows`` hold as many samples of each prompt, in the prompts' order."""
        import torch

        with torch.no_grad():
            cache, mask, logits = self._read(prompts, len(rows) // len(prompts))
            active = list(rows)
            while True:
                kept = [i for i, stopped in enumerate(self._take(active, logits)) if not stopped]
                if not kept:
                    return
                if len(kept) < len(active):
                    index = torch.tensor(kept, device=mask.device)
                    cache.batch_select_indices(index)
                    mask, active = mask[index], [active[i] for i in kept]
                mask = torch.cat([mask, mask.new_ones(len(active), 1)], 1)
                ids = torch.tensor([[row.ids[-1]] for row in active], device=mask.device)
                logits = self._forward(ids, mask, cache)

    def _read(self, prompts: Sequence[tuple[int, ...]], samples: int) -> tuple[Any, Any, Any]:
        """Cache, mask [row, position] and last logits [row, d_vocab] of the prompts, each ``samples`` times."""
        import torch
        from transformers import DynamicCache

        device = self.network.get_input_embeddings().weight.device
        cache = DynamicCache(config=self.network.config)
        shared = _shared(prompts)
        if shared:
            ids = torch.tensor([prompts[0][:shared]], device=device)
            self._forward(ids, torch.ones_like(ids), cache)
            cache.batch_repeat_interleave(len(prompts))
        rests = [prompt[shared:] for prompt in prompts]
        pads = [max(map(len, rests)) - len(rest) for rest in rests]
        # Any id will do where the mask is 0.
        ids = torch.tensor([[0] * n + list(rest) for n, rest in zip(pads, rests, strict=True)], device=device)
        ones = [[1] * shared + [0] * n + [1] * len(rest) for n, rest in zip(pads, rests, strict=True)]
        mask = torch.tensor(ones, device=device)
        logits = self._forward(ids, mask, cache)
        if samples > 1:
            cache.batch_repeat_interleave(samples)
            mask, logits = mask.repeat_interleave(samples, 0), logits.repeat_interleave(samples, 0)
        return cache, mask, logits

    def _forward(self, ids: Any, mask: Any, cache: Any) -> Any:
        """Logits after the last of ``ids`` [row, new position], [row, d_vocab]; the cache grows by them."""
        positions = (mask.cumsum(-1) - 1).clamp(min=0)[:, -ids.shape[1] :]
        out = self.network(
            input_ids=ids,
            attention_mask=mask,
            position_ids=positions,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        )
        return at_least_float(out.logits[:, -1])

    def _take(self, rows: Sequence[_Row], logits: Any) -> list[bool]:
        """Each row's next token; whether the row is done."""
        import torch

        if not bool(logits.isfinite().any(-1).all()) or bool(logits.isnan().any()):
            raise ModelError("generation: the model's logits are not finite; use --dtype float32")
        if self.temperature == 0:
            best, chosen = logits.topk(2, -1)
            chosen = chosen[:, 0]
            tied = (best[:, 0] - best[:, 1] < TIES.get(str(self.network.dtype), 0.0)).tolist()
        else:
            tied = [False] * len(rows)
            sums = (logits.double() / self.temperature).softmax(-1).cumsum(-1)
            draws = torch.tensor([row.draws.random() for row in rows], dtype=sums.dtype, device=sums.device)
            # A share of the last sum, which rounding keeps from being 1.
            chosen = torch.searchsorted(sums, draws[:, None] * sums[:, -1:], right=True)[:, 0]
            chosen = chosen.clamp(max=sums.shape[1] - 1)
        logprobs = logits.log_softmax(-1).gather(-1, chosen[:, None])[:, 0].tolist()
        for row, token, logprob, tie in zip(rows, chosen.tolist(), logprobs, tied, strict=True):
            row.logprob += logprob
            row.tokens += 1
            row.tied = row.tied or tie
            row.ended = token in self.stops
            if not row.ended:
                row.ids.append(token)
        return [row.ended or len(row.ids) == self.max_new_tokens for row in rows]


def _shared(prompts: Sequence[tuple[int, ...]]) -> int:
    """Tokens that all prompts begin with; at least one of each is left over. 0 where it is not worth a pass."""
    if len(prompts) < 2:
        return 0
    low, high = min(prompts), max(prompts)
    limit = min(map(len, prompts)) - 1
    n = next((i for i in range(limit) if low[i] != high[i]), limit)
    return n if n >= SHARED else 0


def _stops(model: Model, network: Any) -> frozenset[int]:
    """The end markers that the model names, and every other marker of the tokenizer: none belongs in an answer."""
    named = network.generation_config.eos_token_id if network.generation_config is not None else None
    named = named if isinstance(named, list) else [named] if named is not None else []
    return frozenset((*named, *markers(model.tokenizer)))


def _check(
    model: Model,
    prompts: Sequence[Sequence[int]],
    max_new_tokens: int,
    batch: int,
    samples: int,
    temperature: float,
) -> None:
    for name, value in (("max_new_tokens", max_new_tokens), ("batch", batch), ("samples", samples)):
        if value < 1:
            raise InputError(f"{name} is {value}; give at least 1")
    if not 0 <= temperature < float("inf"):
        raise InputError(f"temperature is {temperature}; give 0 (greedy) or more")
    longest = max(map(len, prompts), default=0)
    if longest + max_new_tokens > model.context:
        raise InputError(
            f"question: {longest:,} prompt tokens and up to {max_new_tokens} of the answer exceed the model's "
            f"context of {model.context:,}; shorten the question or lower --max-new-tokens"
        )
