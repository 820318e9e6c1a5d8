"""attrib on given ids, the base model alone: python run_ours.py TASK.json"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
from measure import Found, Task, library, serve, warm_network

BASELINE = 0
"""Captum's baseline token."""
PROMPT: dict[str, Any] = {"path": "prompt", "baseline": BASELINE}
"""Captum's path."""
PREFIX: dict[str, Any] = {"path": "prefix", "baseline": "unk"}
"""Inseq's path."""
GAUSS: dict[str, Any] = {"rule": "gauss"}
"""The points of both."""
OPTIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "input_x_gradient_answer": ("input_x_gradient", {"unit": "answer"}),
    "integrated_gradients": ("integrated_gradients", PROMPT | GAUSS),
    "integrated_gradients_prefix": ("integrated_gradients", PREFIX | GAUSS),
    "integrated_gradients_answer": ("integrated_gradients", PROMPT | GAUSS | {"unit": "answer"}),
    "integrated_gradients_guided": ("integrated_gradients", PROMPT),
    "integrated_gradients_prefix_guided": ("integrated_gradients", PREFIX),
    "integrated_gradients_adaptive": ("integrated_gradients", PROMPT | {"steps": "auto"}),
    "integrated_gradients_prefix_adaptive": ("integrated_gradients", PREFIX | {"steps": "auto"}),
    "leave_one_out": (
        "leave_one_out",
        {"ablate": "replace", "baseline": BASELINE, "sources": "token", "ablate_template": True},
    ),
}
"""By method of the bench: the name in METHODS, and options beside the default ones."""


def load(task: Task) -> Any:
    """The pair and the encoded answer."""
    pairs, tokens = library("attrib.models.pair"), library("attrib.models.prompt")
    pair = pairs.ModelPair.load(task.model, task.tuned, device="cpu", dtype=task.dtype)
    encoded = tokens.encode(pair.tokenizer, task.prompt_ids, task.answer_ids, context=pair.context)
    return SimpleNamespace(
        pair=pair,
        encoded=encoded,
        scores=None,
        attribution=library("attrib.attribution"),
        options=library("attrib.options.methods"),
    )


def warm(tool: Any, task: Task) -> None:
    """One forward of two tokens, with the adapter off."""
    with tool.pair.base.active() as bridge:
        warm_network(bridge.original_model, task)


def attribute(tool: Any, task: Task) -> np.ndarray:
    """[row, column]; columns are positions, or the prompt's tokens where each was left out."""
    name, changes = OPTIONS.get(task.method, (task.method, {}))
    named = {"unit": "token", "steps": task.steps, "tolerance": task.tolerance} | changes
    of_path = {name: named.pop(name) for name in ("steps", "tolerance", "rule", "path") if name in named}
    path = tool.options.IntegratedGradientsOptions(**of_path)
    options = tool.options.MethodOptions(**named, integrated_gradients=path)
    tool.scores = tool.attribution.attribute_model(tool.pair, tool.encoded, (name,), options)[name]
    return np.asarray(tool.scores.values)


def check(tool: Any, task: Task, scores: np.ndarray) -> Found:
    """With the gap that the record holds."""
    settings = tool.scores.settings
    steps = settings.get("steps")
    spread = np.zeros((len(scores), len(task.ids)))
    for column, positions in enumerate(tool.scores.columns):
        spread[:, list(positions)] = scores[:, column : column + 1] / len(positions)
    change = np.asarray(settings["change"]) if "change" in settings else None
    return Found(spread, tool.scores.gap, change, {"steps": steps} if steps is not None else {})


if __name__ == "__main__":
    serve(load, warm, attribute, check)
