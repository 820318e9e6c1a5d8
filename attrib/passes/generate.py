"""A model's own answers to prompts, as ids: greedy or sampled, many at once.

Rows that are done leave the batch and others take their places. The beginning that prompts share (the chat template's)
is read once, and samples of one prompt share its reading. Each sample has random numbers of its own, whatever else is
in the batch.
Not covered: beams, top-k and top-p, models whose cache is not one of keys and values.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from attrib.errors import InputError, ModelError
from attrib.models.pair import Model
from attrib.models.prompt import common_prefix, markers
from attrib.passes.forward import at_least_float
from attrib.progress import Progress

TIES = {"torch.float32": 5e-4, "torch.float64": 1e-9}
"""Logits closer than this may change places with the batch (a logit of up to 40 was seen to move by 1.6e-4 at most):
such a greedy answer is made again by itself, at the cost of about seven in the batch. Half precision rounds more
coarsely than most steps decide; there a batch may answer otherwise than one prompt alone."""
SHARED = 8
"""Tokens that prompts must have in common to be read once."""


@dataclass(frozen=True)
class Generated:
    """One answer of one model."""

    ids: tuple[int, ...]
    """Without the end marker; may be empty."""
    logprob: float
    """Summed log p of its tokens and of the end marker where it was written, nats, at temperature 1."""
    tokens: int
    """Number of tokens summed."""
    ended: bool
    """Whether the model ended it; False at the limit of new tokens."""


def generate(
    model: Model, prompt_ids: Sequence[int], *, max_new_tokens: int = 64, progress: Progress | None = None
) -> tuple[int, ...]:
    """Greedy answer of ``model`` without its end-of-turn marker; may be empty.

    ``progress`` is called before every token, and may raise to stop there.
    Raises InputError where prompt and answer would exceed the model's context.
    """
    return generate_batch(model, [prompt_ids], max_new_tokens=max_new_tokens, progress=progress)[0][0].ids


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
    """``samples`` answers to each prompt, [prompt][sample], at most ``batch`` answers at a time.

    ``temperature`` 0 is greedy, and then in float32 and float64 the same token for token as one prompt at a time.
    Otherwise tokens are drawn from softmax(logits / temperature); ``seed``, the prompt and the sample's number decide
    the draw. Whatever generation settings the model ships with are not used, its end markers excepted.
    ``progress`` is called before every token with the number of finished answers, or of tokens for a single answer.
    Raises InputError for invalid options and where prompt and answer would exceed the model's context.
    """
    import torch

    _check(model, prompts, max_new_tokens, batch, samples, temperature)
    rows = [[_AnswerRow(tuple(ids), number, seed) for number in range(samples)] for ids in prompts]
    # Like lengths together: less padding. All samples of a prompt at once, as far as they fit.
    queue = []
    for some in sorted(rows, key=lambda some: len(some[0].prompt)):
        queue += [some[low : low + batch] for low in range(0, samples, batch)]
    answers = len(prompts) * samples

    def report(done: int) -> None:
        if progress is None:
            return
        if answers == 1:
            progress(f"{model.name} answers", max_new_tokens if done else len(rows[0][0].ids), max_new_tokens)
        else:
            progress(f"{model.name} answers", done, answers)

    with model.plain() as network, torch.no_grad():
        run = _GenerationRun(network, _stops(model, network), max_new_tokens, temperature, batch)
        run.answer(queue, report)
        if answers > 1:
            tied = [row for some in rows for row in some if row.tied]
            for row in tied:
                row.clear()
                run.answer([[row]], lambda done: report(answers))
    return [[row.generated() for row in some] for some in rows]


@dataclass(eq=False)
class _AnswerRow:
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

    def clear(self) -> None:
        """Reset it, to be answered again."""
        self.ids, self.logprob, self.tokens, self.ended = [], 0.0, 0, False

    def generated(self) -> Generated:
        return Generated(tuple(self.ids), self.logprob, self.tokens, self.ended)


@dataclass(frozen=True, eq=False)
class _ActiveRows:
    """Rows that are being answered: all but their last token is in the cache."""

    rows: list[_AnswerRow]
    cache: Any
    mask: Any
    """1 where a row has a token, [row, position]."""

    def keep(self, kept: Sequence[int]) -> _ActiveRows:
        """The rows of these numbers, without the padding that the others needed."""
        import torch

        if len(kept) == len(self.rows):
            return self
        if not kept:
            return _ActiveRows([], None, None)
        index = torch.tensor(kept, device=self.mask.device)
        self.cache.batch_select_indices(index)
        mask = self.mask[index]
        start = int(mask.any(0).int().argmax())
        if start and _grows(self.cache):
            for layer in self.cache.layers:
                layer.keys, layer.values = layer.keys[:, :, start:], layer.values[:, :, start:]
            mask = mask[:, start:]
        return _ActiveRows([self.rows[i] for i in kept], self.cache, mask)

    def join(self, other: _ActiveRows) -> _ActiveRows:
        """Both in one batch, the shorter padded in front."""
        import torch
        from torch.nn.functional import pad

        if not other.rows:
            return self
        length = max(self.mask.shape[1], other.mask.shape[1])
        own, its = length - self.mask.shape[1], length - other.mask.shape[1]
        for layer, added in zip(self.cache.layers, other.cache.layers, strict=True):
            layer.keys = torch.cat([pad(layer.keys, (0, 0, own, 0)), pad(added.keys, (0, 0, its, 0))])
            layer.values = torch.cat([pad(layer.values, (0, 0, own, 0)), pad(added.values, (0, 0, its, 0))])
        mask = torch.cat([pad(self.mask, (own, 0)), pad(other.mask, (its, 0))])
        return _ActiveRows(self.rows + other.rows, self.cache, mask)


@dataclass(frozen=True, eq=False)
class _GenerationRun:
    """One run over a queue of rows."""

    network: Any
    stops: frozenset[int]
    max_new_tokens: int
    temperature: float
    batch: int

    def answer(self, queue: Sequence[Sequence[_AnswerRow]], report: Callable[[int], None]) -> None:
        """Fill in all rows; ``queue`` has the samples of one prompt together, ``batch`` of them at most."""
        waiting, done = list(reversed(queue)), 0
        active: _ActiveRows | None = None
        while waiting or active is not None:
            free = self.batch - (len(active.rows) if active is not None else 0)
            # Half empty: new prompts are worth a pass of their own.
            if waiting and (active is None or (2 * free >= self.batch and _grows(active.cache))):
                group: list[Sequence[_AnswerRow]] = []
                while waiting and sum(len(some) for some in group) + len(waiting[-1]) <= free:
                    group.append(waiting.pop())
                if group:
                    report(done)
                    new = self._read(group)
                    done += sum(len(some) for some in group) - len(new.rows)
                    active = new if active is None else active.join(new)
            assert active is not None
            report(done)
            left = self._step(active) if active.rows else active
            done += len(active.rows) - len(left.rows)
            active = left if left.rows else None
        report(done)

    def _step(self, active: _ActiveRows) -> _ActiveRows:
        """One more token for every row; returns the rows that continue."""
        import torch

        mask = torch.cat([active.mask, active.mask.new_ones(len(active.rows), 1)], 1)
        ids = torch.tensor([[row.ids[-1]] for row in active.rows], device=mask.device)
        logits = self._forward(ids, mask, active.cache)
        return _ActiveRows(active.rows, active.cache, mask).keep(self._take(active.rows, logits))

    def _read(self, group: Sequence[Sequence[_AnswerRow]]) -> _ActiveRows:
        """Prompts of [prompt][sample] read and each row's first token taken; returns the rows that continue."""
        import torch
        from transformers import DynamicCache

        device = self.network.get_input_embeddings().weight.device
        cache = DynamicCache(config=self.network.config)
        prompts = [some[0].prompt for some in group]
        shared = _shared(prompts)
        if shared:
            ids = torch.tensor([prompts[0][:shared]], device=device)
            self._forward(ids, torch.ones_like(ids), cache)
            cache.batch_repeat_interleave(len(prompts))
        rests = [prompt[shared:] for prompt in prompts]
        width = max(map(len, rests))
        padded, seen = [], []
        for rest in rests:
            padding = [0] * (width - len(rest))
            # Any id will do where the mask is 0.
            padded.append([*padding, *rest])
            seen.append([1] * shared + padding + [1] * len(rest))
        mask = torch.tensor(seen, device=device)
        logits = self._forward(torch.tensor(padded, device=device), mask, cache)
        rows = [row for some in group for row in some]
        if len(rows) > len(group):
            index = torch.tensor([i for i, some in enumerate(group) for _ in some], device=device)
            cache.batch_select_indices(index)
            mask, logits = mask[index], logits[index]
        return _ActiveRows(rows, cache, mask).keep(self._take(rows, logits))

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

    def _take(self, rows: Sequence[_AnswerRow], logits: Any) -> list[int]:
        """Each row's next token; returns the numbers of the rows that continue."""
        import torch

        tied = [False] * len(rows)
        if self.temperature == 0:
            chosen = logits.argmax(-1, keepdim=True)
            best = logits.gather(-1, chosen)
            if tie := TIES.get(str(self.network.dtype)):
                # Three passes over the vocabulary are a quarter of topk's time.
                second = logits.scatter_(-1, chosen, float("-inf")).amax(-1, keepdim=True)
                logits.scatter_(-1, chosen, best)
                tied = (best - second < tie)[:, 0].tolist()
        else:
            sums = (logits.double() / self.temperature).softmax(-1).cumsum(-1)
            draws = torch.tensor([row.draws.random() for row in rows], dtype=sums.dtype, device=sums.device)
            # A share of the last sum, which rounding keeps from being 1.
            chosen = torch.searchsorted(sums, draws[:, None] * sums[:, -1:], right=True).clamp(max=sums.shape[1] - 1)
            best = logits.amax(-1, keepdim=True)
        own = logits.gather(-1, chosen)
        # In place: the logits are not needed any more.
        found = (own - best - logits.sub_(best).exp_().sum(-1, keepdim=True).log())[:, 0]
        if not bool(found.isfinite().all()):
            raise ModelError("generation: the model's logits are not finite; use -o models.dtype=float32")
        steps = zip(rows, chosen[:, 0].tolist(), found.tolist(), tied, strict=True)
        for row, token, logprob, tie in steps:
            row.logprob += logprob
            row.tokens += 1
            row.tied = row.tied or tie
            row.ended = token in self.stops
            if not row.ended:
                row.ids.append(token)
        return [i for i, row in enumerate(rows) if not row.ended and len(row.ids) < self.max_new_tokens]


def _grows(cache: Any) -> bool:
    """Whether the cache holds every position, so that rows of other lengths can join (sliding windows do not)."""
    from transformers.cache_utils import DynamicLayer

    return all(type(layer) is DynamicLayer for layer in cache.layers)


def _shared(prompts: Sequence[tuple[int, ...]]) -> int:
    """Tokens that all prompts begin with; at least one of each is left over. 0 where it is not worth a pass."""
    if len(prompts) < 2:
        return 0
    n = min(common_prefix(min(prompts), max(prompts)), *(len(prompt) - 1 for prompt in prompts))
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
