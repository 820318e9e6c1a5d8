"""A model's own answer to a prompt, as ids.

Not covered: batches and samples of several answers.
"""

from __future__ import annotations

from collections.abc import Sequence

from attrib.errors import InputError
from attrib.models.pair import Model
from attrib.tokens import strip_end


def generate(model: Model, prompt_ids: Sequence[int], *, max_new_tokens: int = 64) -> tuple[int, ...]:
    """Greedy answer of ``model`` without its end-of-turn marker; may be empty.

    Raises InputError where prompt and answer would exceed the model's context.
    """
    import torch
    from transformers import GenerationConfig

    if max_new_tokens < 1:
        raise InputError(f"max_new_tokens is {max_new_tokens}; give at least 1")
    if len(prompt_ids) + max_new_tokens > model.context:
        raise InputError(
            f"question: {len(prompt_ids):,} prompt tokens and up to {max_new_tokens} of the answer exceed the model's "
            f"context of {model.context:,}; shorten the question or lower --max-new-tokens"
        )
    with model.active() as bridge, torch.no_grad():
        network = bridge.original_model
        shipped = network.generation_config
        stop = shipped.eos_token_id
        ids = torch.tensor([list(prompt_ids)], device=model.device)
        # transformers fills whatever a given configuration leaves open from the model's own, so that a repetition
        # penalty that ships with a model would change the greedy answer: the model's own is taken away meanwhile.
        network.generation_config = GenerationConfig(
            max_new_tokens=max_new_tokens, do_sample=False, eos_token_id=stop, pad_token_id=_first(stop)
        )
        try:
            out = network.generate(ids, attention_mask=torch.ones_like(ids))
        finally:
            network.generation_config = shipped
    return strip_end(model.tokenizer, out[0, len(prompt_ids) :].tolist())


def _first(stop: int | list[int] | None) -> int | None:
    return stop[0] if isinstance(stop, list) else stop
