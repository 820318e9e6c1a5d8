"""How much each head of each layer looks at chosen words of the prompt while chosen words of the answer are predicted.

Not covered: what the heads do with what they look at.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from attrib.errors import InputError
from attrib.records import Explanation
from attrib.render.view.choice import checked
from attrib.text.units import question_positions

_NAMED = 3
"""Heads that the caption names and (c) frames."""


@dataclass(frozen=True, eq=False)
class HeadMap:
    """Share of each head's attention that lies on the chosen positions, mean over the chosen answer tokens."""

    tokens: tuple[int, ...]
    """Answer tokens; the attention is that of the steps that predict them."""
    positions: tuple[int, ...]
    """Positions in the prompt."""
    whole: tuple[bool, bool]
    """Whether these are all answer tokens, and all of the question."""
    base: Float[np.ndarray, "layer head"]
    tuned: Float[np.ndarray, "layer head"]

    @property
    def difference(self) -> Float[np.ndarray, "layer head"]:
        """tuned − base."""
        return np.asarray(self.tuned - self.base)

    @property
    def changed(self) -> tuple[tuple[int, int], ...]:
        """(layer, head) of the largest changes, largest first; none where nothing changed."""
        size = np.abs(self.difference)
        order = np.argsort(-size, axis=None, kind="stable")[:_NAMED]
        found = [divmod(int(i), size.shape[1]) for i in order]
        return tuple((layer, head) for layer, head in found if size[layer, head] > 0)


def head_map(
    explanation: Explanation, tokens: Sequence[int] | None = None, positions: Sequence[int] | None = None
) -> HeadMap:
    """``tokens`` of the answer (default: all) on ``positions`` of the prompt (default: the question).

    Raises InputError for a record without heads and for indices that do not exist.
    """
    base, tuned = explanation.base.heads, explanation.tuned.heads
    if base is None or tuned is None:
        raise InputError("this explanation has no attention by head; explain again with -o explain.heads=true")
    if base.shape != tuned.shape:
        raise InputError(f"base and tuned have different heads ({base.shape[:2]}, {tuned.shape[:2]}): no map of both")
    question = question_positions(explanation.prompt_tokens, explanation.question)
    rows = checked("answer", tokens, len(explanation.answer_tokens))
    columns = checked("prompt", question if positions is None else positions, len(explanation.prompt_tokens))

    def mass(heads: np.ndarray) -> np.ndarray:
        return np.asarray(heads[:, :, list(rows)][..., list(columns)].sum(-1).mean(-1), dtype=float)

    return HeadMap(
        rows, columns, (len(rows) == len(explanation.answer_tokens), set(columns) == set(question)), mass(base),
        mass(tuned),
    )  # fmt: skip
