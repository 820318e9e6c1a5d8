"""Captum's path for language models on given ids: python run_captum.py TASK.json

LLMGradientAttribution (one forward and one backward an answer token, log p of the token) and LLMAttribution with
``forward_in_tokens=False``, Captum's one-forward mode: with its cache, which is the default, scores are wrong from the
second answer token on. ``leave_one_out_by_token`` is that default with the cache off.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from measure import Found, Task, completeness, library, load_network, serve, warm_network

BASELINE = 0
"""Token that stands for "nothing", Captum's default."""


class GivenIds:
    """The part of a tokenizer that TextTokenInput asks for; every text is the prompt's ids."""

    def __init__(self, ids: tuple[int, ...], tokenizer: Any) -> None:
        self.ids = ids
        self.convert_ids_to_tokens = tokenizer.convert_ids_to_tokens

    def encode(self, text: str, return_tensors: str) -> Any:
        """The given ids, [1, prompt]."""
        return library("torch").tensor([self.ids])


def attribute(tool: tuple[Any, Any], task: Task) -> np.ndarray:
    """[answer, prompt]."""
    network, tokenizer = tool
    captum, torch = library("captum.attr"), library("torch")
    embeddings = network.get_input_embeddings()
    given = captum.TextTokenInput("", GivenIds(task.prompt_ids, tokenizer), baselines=BASELINE)
    target = torch.tensor(task.answer_ids)
    if task.method == "input_x_gradient":
        way = captum.LLMGradientAttribution(captum.LayerGradientXActivation(network, embeddings), tokenizer)
        found = way.attribute(given, target=target)
    elif task.method == "integrated_gradients":
        way = captum.LLMGradientAttribution(captum.LayerIntegratedGradients(network, embeddings), tokenizer)
        found = way.attribute(given, target=target, n_steps=task.steps)
    else:
        way = captum.LLMAttribution(captum.FeatureAblation(network), tokenizer)
        slow = task.method == "leave_one_out_by_token"
        found = way.attribute(given, target=target, forward_in_tokens=slow, use_cached_outputs=False)
    return np.asarray(found.token_attr.detach().numpy())


def check(tool: tuple[Any, Any], task: Task, scores: np.ndarray) -> Found:
    """With the completeness gap of integrated gradients."""
    if task.method != "integrated_gradients":
        return Found(scores)
    return completeness(tool[0], task, scores, BASELINE, prefix=False)


if __name__ == "__main__":
    serve(load_network, lambda tool, task: warm_network(tool[0], task), attribute, check)
