"""Queries, keys and values that one matrix makes, and gates that share one with what they gate, under an adapter.

The bridge cuts such a matrix into parts when it is made, and computes with the parts: an adapter on the matrix would be
passed by. Here each part takes its columns from what the matrix itself, adapter and all, makes of the input.
Not covered: joint layers of families that the bridge does not cut; what it computes past is refused in ``adapters``.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any


def use_whole(bridge: Any, swapped: Iterable[Any]) -> None:
    """Let the parts of each fused matrix that an adapter changes take their columns from the matrix itself.

    ``swapped``: parameters of base whose values are switched between the two sides.
    """
    from transformer_lens.model_bridge.generalized_components.joint_gate_up_mlp import JointGateUpMLPBridge
    from transformer_lens.model_bridge.generalized_components.joint_qkv_attention import JointQKVAttentionBridge

    switched = {id(parameter) for parameter in swapped}
    for joint in list(bridge.modules()):
        if isinstance(joint, JointQKVAttentionBridge) and "qkv" in joint.submodules:
            _replace(
                joint, str(joint.submodules["qkv"].name), joint.split_qkv_matrix, (joint.q, joint.k, joint.v), switched
            )
        elif isinstance(joint, JointGateUpMLPBridge):
            parts = joint.gate, getattr(joint, "in")
            _replace(joint, joint.fused_attr, joint.split_gate_up_matrix, parts, switched)


def _replace(joint: Any, name: str, split: Any, parts: Sequence[Any], switched: set[int]) -> None:
    from peft.tuners.tuners_utils import BaseTunerLayer
    from peft.utils.other import AuxiliaryTrainingWrapper

    whole = joint.original_component
    matrix = inner(getattr(whole, name, None))
    if matrix is None:
        return
    if isinstance(matrix, BaseTunerLayer | AuxiliaryTrainingWrapper) or any(
        id(parameter) in switched for parameter in matrix.parameters()
    ):
        shared = _classes()[0](matrix, len(parts))
        for number, (part, columns) in enumerate(zip(parts, _columns(whole, name, matrix, split), strict=True)):
            part.set_original_component(_classes()[1](shared, number, columns))


def inner(module: Any) -> Any:
    """What a bridge's component wraps; other modules as they are."""
    from transformer_lens.model_bridge.generalized_components.base import GeneralizedComponent

    while isinstance(module, GeneralizedComponent) and module.original_component is not None:
        module = module.original_component
    return module


def _columns(whole: Any, name: str, matrix: Any, split: Any) -> list[Any]:
    """The columns of the matrix's output that each part has: the bridge's own cut of a matrix of column numbers."""
    import torch
    from peft.tuners.tuners_utils import BaseTunerLayer
    from transformers.pytorch_utils import Conv1D

    base = matrix.get_base_layer() if isinstance(matrix, BaseTunerLayer) else getattr(matrix, "original_module", matrix)
    height, width = base.weight.shape
    turned = isinstance(base, Conv1D)
    numbers = torch.arange(width if turned else height, dtype=torch.float32)
    numbered: Any = torch.nn.Module()
    numbered.weight = numbers.expand(height, width) if turned else numbers[:, None].expand(height, width)
    numbered.bias = None if base.bias is None else numbers
    stand_in = copy.copy(whole)
    stand_in._modules = {**whole._modules, name: numbered}
    device = base.weight.device
    return [part.weight[:, 0].detach().round().long().to(device) for part in split(stand_in)]


@cache
def _classes() -> tuple[Any, Any]:
    import torch

    class Shared:
        """A matrix's output, computed once for all parts: gradients are watched at each of its layers once."""

        def __init__(self, matrix: Any, parts: int) -> None:
            self.matrix = matrix
            self.parts = parts
            self.seen: Any = None
            self.made: Any = None
            self.waiting: set[int] = set()

        def part(self, number: int, given: Any) -> Any:
            """The whole output, held until every part has taken its own."""
            if self.seen is not given or number not in self.waiting:
                self.seen, self.made, self.waiting = given, self.matrix(given), set(range(self.parts))
            made = self.made
            self.waiting.discard(number)
            if not self.waiting:
                self.seen = self.made = None
            return made

    class Part(torch.nn.Module):
        """Some columns of a matrix's output."""

        def __init__(self, shared: Shared, number: int, columns: Any) -> None:
            super().__init__()
            # No submodule: the matrix has its place in the network already.
            self._shared = (shared,)
            self.number = number
            self.register_buffer("columns", columns, persistent=False)

        def forward(self, given: Any) -> Any:
            return self._shared[0].part(self.number, given)[..., self.columns]

    return Shared, Part
