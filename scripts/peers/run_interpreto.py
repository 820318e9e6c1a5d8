"""Interpreto on given ids: python run_interpreto.py TASK.json (with the Python of Interpreto's own environment)

Its gradient methods average |embedding × gradient| over the width, so their scores have no sign, sum to nothing, and
resemble ours only in their order. It would tokenize the text again without the chat's markers: it is given ids.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from measure import Found, Task, library, load_network, serve, warm_network

REPLACEMENT = 0
"""Token that occlusion puts in; without one Interpreto would add a row of its own to the model."""


def attribute(tool: tuple[Any, Any], task: Task) -> np.ndarray:
    """[answer, position]."""
    network, tokenizer = tool
    interpreto, torch = library("interpreto"), library("torch")
    modes = library("interpreto.attributions.inference_wrappers.inference_wrapper").InferenceModes
    options = {"granularity": interpreto.Granularity.ALL_TOKENS, "inference_mode": modes.LOG_SOFTMAX}
    if task.method == "input_x_gradient":
        explainer = interpreto.Saliency(network, tokenizer, input_x_gradient=True, **options)
    elif task.method == "integrated_gradients":
        explainer = interpreto.IntegratedGradients(network, tokenizer, n_perturbations=task.steps, **options)
    else:
        tokenizer.mask_token = tokenizer.convert_ids_to_tokens(REPLACEMENT)
        explainer = interpreto.Occlusion(network, tokenizer, **options)
    ids, answer = torch.tensor([task.ids]), torch.tensor(task.answer_ids)
    given = library("transformers").BatchEncoding({"input_ids": ids, "attention_mask": torch.ones_like(ids)})
    explainer.process_inputs_to_explain_and_targets = lambda inputs, targets: ([given], [answer])
    (found,) = explainer.explain(given, answer)
    scores = np.asarray(np.nan_to_num(found.attributions.numpy()))
    # Occlusion takes earlier answer tokens away too; the other tools leave them.
    return scores[:, : len(task.prompt_ids)] if task.method == "leave_one_out" else scores


if __name__ == "__main__":
    serve(
        load_network,
        lambda tool, task: warm_network(tool[0], task),
        attribute,
        lambda tool, task, scores: Found(scores),
    )
