"""Inseq on given ids: python run_inseq.py TASK.json (with the Python of Inseq's own environment)

The log-prob of each answer token is explained, with Inseq's own defaults otherwise: it interpolates the whole prefix,
from the unknown token. Scores are read step by step: the table of a whole sequence has lost the tokens equal to pad.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
from measure import Found, Task, completeness, library, serve, warm_network

NAMES = {"integrated_gradients_prefix": "integrated_gradients"}
"""Inseq's names of methods that are called otherwise here."""


def load(task: Task) -> Any:
    """Inseq's model, which takes the ids of this task for every text."""
    inseq, torch = library("inseq"), library("torch")
    options = {"dtype": getattr(torch, task.dtype)}
    if task.method == "attention":
        options["attn_implementation"] = "eager"
    name = NAMES.get(task.method, task.method)
    model = inseq.load_model(task.model, name, device="cpu", model_kwargs=options)
    prompt, whole = (model.decode([list(ids)], skip_special_tokens=False)[0] for ids in (task.prompt_ids, task.ids))
    model.encode = _encode(model, {prompt: task.prompt_ids, whole: task.ids})
    return SimpleNamespace(model=model, prompt=prompt, whole=whole)


def _encode(model: Any, known: dict[str, tuple[int, ...]]) -> Any:
    """Ids by text, so that nothing is tokenized again."""
    encoding, torch = library("inseq.data").BatchEncoding, library("torch")

    def encode(texts: Any, *_: Any, **__: Any) -> Any:
        (text,) = [texts] if isinstance(texts, str) else texts
        ids = torch.tensor([known[text]])
        return encoding(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            input_tokens=[model.tokenizer.convert_ids_to_tokens(list(known[text]))],
            baseline_ids=torch.full_like(ids, model.tokenizer.unk_token_id),
        )

    return encode


def attribute(tool: Any, task: Task) -> np.ndarray:
    """[answer, position]."""
    options: dict[str, Any] = {"n_steps": task.steps} if task.method.startswith("integrated") else {}
    # For attention Inseq takes no target.
    if task.method != "attention":
        options |= {"attributed_fn": "probability", "logprob": True}
    out = tool.model.attribute(
        tool.prompt, tool.whole, show_progress=False, pretty_progress=False, output_step_attributions=True, **options
    )
    scores = np.zeros((len(task.answer_ids), len(task.ids)))
    for i, step in enumerate(out.step_attributions):
        # [1, prefix, width] or [1, prefix, layer, head]
        row = step.target_attributions[0]
        assert [token.id for token in step.prefix[0]] == list(task.ids[: len(task.prompt_ids) + i])
        row = row.mean((-2, -1)) if task.method == "attention" else row.sum(-1)
        scores[i, : len(row)] = row.numpy()
    return scores


def check(tool: Any, task: Task, scores: np.ndarray) -> Found:
    """With the completeness gap of integrated gradients."""
    if not task.method.startswith("integrated"):
        return Found(scores)
    # While Inseq's hooks are on, the model reads embeddings in place of ids.
    tool.model.attribution_method.unhook()
    return completeness(tool.model.model, task, scores, tool.model.tokenizer.unk_token_id, prefix=True)


if __name__ == "__main__":
    serve(load, lambda tool, task: warm_network(tool.model.model, task), attribute, check)
