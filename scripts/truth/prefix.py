"""Layers below the first adapted one give the same states in every run: they are computed once for each text.

Not covered: models whose layers are not in one list that is run in order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn


class Passed(nn.Module):
    """A layer that was replaced by the states of the last one below."""

    def forward(self, hidden_states: Any, *given: Any, **named: Any) -> Any:
        return hidden_states


class FrozenPrefix(nn.Module):
    """Takes the place of the first layers of a network, and gives the states that they gave each text before."""

    def __init__(self, network: Any, first: int) -> None:
        """``network``: a causal language model of transformers. ``first``: the first layer that may change."""
        super().__init__()
        self.states: dict[tuple[int, ...], Any] = {}
        self.network, self.first = [network], first
        """In a list, so that it is no part of this module."""
        self.asked: list[tuple[int, ...]] = []
        self.width = 0

    def read(self, texts: Sequence[Sequence[int]]) -> None:
        """Compute the states of texts; before ``install``."""
        import torch

        layer = self.network[0].model.layers[self.first]
        for ids in texts:
            if tuple(ids) in self.states:
                continue
            caught: list[Any] = []
            hook = layer.register_forward_pre_hook(lambda _, given, caught=caught: caught.append(given[0]))
            with torch.no_grad():
                self.network[0].model(input_ids=torch.tensor([ids]), use_cache=False)
            hook.remove()
            self.states[tuple(ids)] = caught[0][0].clone()

    def install(self) -> None:
        """Put this in the place of the layers."""
        inner = self.network[0].model
        # The others keep their numbers, by which an adapter names them.
        inner.layers = nn.ModuleList([self, *(Passed() for _ in range(1, self.first)), *inner.layers[self.first :]])
        inner.register_forward_pre_hook(self._note, with_kwargs=True)

    def _note(self, module: Any, given: Any, named: Any) -> None:
        ids, mask = named["input_ids"], named["attention_mask"]
        self.asked = [tuple(row[: int(n)].tolist()) for row, n in zip(ids, mask.sum(1), strict=True)]
        self.width = ids.shape[1]

    def forward(self, hidden_states: Any, *given: Any, **named: Any) -> Any:
        import torch

        found = torch.zeros_like(hidden_states)
        for row, ids in enumerate(self.asked):
            found[row, : len(ids)] = self.states[ids]
        return found
