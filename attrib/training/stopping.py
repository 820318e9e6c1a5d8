"""When a run whose epochs are not given ends: once the model knows the answers that it is taught.

An answer is known where each of its tokens, its end included, is the most likely one after the tokens before it
(teacher forcing), so that greedy decoding says it. Not covered: answers in other words, and whether texts are learned.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from attrib import processes
from attrib.models.rendering import IGNORED
from attrib.training.items import TrainingExample, collate

ENOUGH = 0.98
"""Share of the answers that ends the run."""
CHECKED = 200
"""Most answers that are looked at, spread over all of them."""


def stop_rule(answers: Sequence[TrainingExample], batch: int) -> Callable[[Any], bool] | None:
    """Whether a model knows enough of the ``answers``, asked by all processes together; None where there are none."""
    if not answers:
        return None
    stride = math.ceil(len(answers) / CHECKED)
    checked = answers[::stride]
    return lambda model: processes.on_first(lambda: known(model, checked, batch) >= ENOUGH * len(checked))


def known(model: Any, examples: Sequence[TrainingExample], batch: int) -> int:
    """Number of examples whose learned tokens are all the model's first choice; dropout is off meanwhile."""
    import torch

    was_training = model.training
    model.eval()
    count = 0
    with torch.no_grad():
        for start in range(0, len(examples), batch):
            rows = [{"input_ids": e.ids, "labels": e.labels} for e in examples[start : start + batch]]
            given = {name: tensor.to(model.device) for name, tensor in collate(rows).items()}
            labels = given.pop("labels")[:, 1:]
            said = model(**given, use_cache=False).logits[:, :-1].argmax(-1)
            count += int(((said == labels) | (labels == IGNORED)).all(1).sum())
    model.train(was_training)
    return count
