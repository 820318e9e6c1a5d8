"""How large tuning's change of the weights is: ‖ΔW‖ / ‖W‖ by kind of layer.

LoRA's ΔW = s·BA is never formed: ‖BA‖² = Σ (BᵀB) ∘ (AAᵀ). The ΔW of other adapters is what the layer makes of the
identity beyond base's, the difference of two full models that of their weights.
Not covered: biases, and what a change does to texts (``checking``).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from attrib.models.pair import Model, ModelPair

_ROWS = 1024
"""Rows of the identity that go through a layer at once."""


@dataclass(frozen=True)
class LayerChange:
    """Change of all weight matrices of one kind, such as the query projections of all blocks."""

    kind: str
    """Name of the layer within its block, such as ``self_attn.q_proj``."""
    matrices: int
    relative: float
    """‖ΔW‖ / ‖W‖ over all of them, Frobenius norms."""
    largest: float
    """The same of the matrix with the largest."""
    largest_at: str
    """Full name of that matrix."""


@dataclass(frozen=True)
class Change:
    """What tuning changed."""

    kind: str
    """Such as ``LoRA, rank 8, alpha 16``, or ``full fine-tune``."""
    weights: int
    """Numbers that tuning could change."""
    layers: tuple[LayerChange, ...]
    """Kinds of layers whose weights changed or could, largest change first."""

    @property
    def is_zero(self) -> bool:
        """Whether no matrix differs from base's."""
        return not any(layer.largest for layer in self.layers)


@dataclass(frozen=True)
class _Size:
    """One weight matrix: squared norms of its change and of base's weight."""

    name: str
    change: float
    weight: float


def measure_change(pair: ModelPair) -> Change:
    """Sizes of tuned − base, by kind of layer."""
    if pair.tuned.adapter is None:
        sizes, weights = list(_between(pair.base, pair.tuned)), _count(pair.tuned)
        return Change("full fine-tune", weights, _by_kind(sizes))
    with pair.tuned.plain() as network:
        sizes = list(_of_adapter(network))
        trained = _trained(network)
    return Change(_described(pair.tuned.adapter), trained, _by_kind([size for size in sizes if size.weight]))


def _by_kind(sizes: list[_Size]) -> tuple[LayerChange, ...]:
    groups: dict[str, list[_Size]] = {}
    for size in sizes:
        groups.setdefault(_kind(size.name), []).append(size)
    found = []
    for kind, group in groups.items():
        largest = max(group, key=_relative)
        whole = _Size(kind, sum(one.change for one in group), sum(one.weight for one in group))
        found.append(LayerChange(kind, len(group), _relative(whole), _relative(largest), largest.name))
    return tuple(sorted(found, key=lambda layer: -layer.relative))


def _relative(size: _Size) -> float:
    return math.sqrt(size.change / size.weight) if size.weight else 0.0


def _kind(name: str) -> str:
    """``model.layers.3.self_attn.q_proj`` → ``self_attn.q_proj``; numbers of experts become ``*``."""
    within = re.sub(r"^.*?\.\d+\.", "", name, count=1)
    return re.sub(r"\.\d+\.", ".*.", within).removeprefix("model.")


def _between(base: Model, tuned: Model) -> Iterator[_Size]:
    """Every weight that both networks have; rows that only tuned has are left out."""
    with base.plain() as one, tuned.plain() as other:
        own = dict(one.named_parameters())
        for name, weight in other.named_parameters():
            before = own.get(name)
            if before is None or weight.ndim < 2:
                continue
            rows = min(len(before), len(weight))
            yield _Size(name.removesuffix(".weight"), _square(weight[:rows], before[:rows]), _square(before))


def _count(tuned: Model) -> int:
    with tuned.plain() as network:
        return sum(int(weight.numel()) for weight in network.parameters())


def _of_adapter(network: Any) -> Iterator[_Size]:
    """Every layer that the adapter wraps, and every module of which it has a copy."""
    from peft.tuners.tuners_utils import BaseTunerLayer
    from peft.utils.other import ModulesToSaveWrapper

    for name, module in network.named_modules():
        if isinstance(module, BaseTunerLayer):
            # Chosen tokens are trained by a part of the embedding's wrapper.
            yield _Size(name.removesuffix(".token_adapter"), _adapted(module), _weight(module.get_base_layer()))
        elif isinstance(module, ModulesToSaveWrapper):
            own = dict(module.original_module.named_parameters())
            for copied in module.modules_to_save.values():
                for part, weight in copied.named_parameters():
                    rows = min(len(own[part]), len(weight))
                    full = f"{name}.{part}".removesuffix(".weight")
                    yield _Size(full, _square(weight[:rows], own[part][:rows]), _square(own[part]))


def _adapted(layer: Any) -> float:
    """‖ΔW‖² of one wrapped layer."""
    factors = _factors(layer)
    if factors is None:
        return _through(layer)
    import torch

    a, b, scale = factors
    with torch.no_grad():
        a, b = a.detach().flatten(1).double(), b.detach().flatten(1).double()
        return float(((b.T @ b) * (a @ a.T)).sum()) * scale**2


def _factors(layer: Any) -> tuple[Any, Any, float] | None:
    """A [rank, in], B [out, rank] and scale of plain LoRA; None for another adapter."""
    from peft.tuners.adalora.layer import AdaLoraLayer
    from peft.tuners.lora.layer import LoraLayer, ParamWrapper

    if not isinstance(layer, LoraLayer) or isinstance(layer, AdaLoraLayer | ParamWrapper):
        return None
    (name,) = layer.active_adapters
    if layer.lora_variant.get(name) is not None or layer.use_dora.get(name):
        return None
    if name in layer.lora_A:
        return layer.lora_A[name].weight, layer.lora_B[name].weight, float(layer.scaling[name])
    return layer.lora_embedding_A[name], layer.lora_embedding_B[name], float(layer.scaling[name])


def _through(layer: Any) -> float:
    """‖ΔW‖² by what the layer makes of the identity beyond base's."""
    import torch

    base = layer.get_base_layer()
    with torch.no_grad():
        return sum(_square(after, before) for after, before in zip(_rows(layer, base), _rows(base, base), strict=True))


def _weight(base: Any) -> float:
    """‖W‖² of a layer, whatever the form in which it is kept."""
    import torch

    if base.weight.is_floating_point():
        return _square(base.weight)
    with torch.no_grad():
        return sum(map(_square, _rows(base, base)))


def _rows(layer: Any, base: Any) -> Iterator[Any]:
    """Rows of the layer's weight, some at a time: what it makes of the identity, less what it makes of zero.

    Whoever reads them switches gradients off: two of these side by side would leave them off for good.
    """
    import torch

    place = base.weight.device
    if isinstance(base, torch.nn.Embedding):
        for first in range(0, base.num_embeddings, _ROWS):
            yield layer(torch.arange(first, min(first + _ROWS, base.num_embeddings), device=place)).float()
        return
    # Conv1D of transformers holds its weight the other way round.
    width = base.in_features if hasattr(base, "in_features") else base.weight.shape[0]
    number = base.weight.dtype if base.weight.is_floating_point() else torch.float32
    bias = layer(torch.zeros(1, width, dtype=number, device=place)).float()
    for first in range(0, width, _ROWS):
        some = torch.eye(width, dtype=number, device=place)[first : first + _ROWS]
        yield layer(some).float() - bias


def _square(one: Any, other: Any = None) -> float:
    """Squared Frobenius norm of ``one``, or of one − other."""
    import torch

    with torch.no_grad():
        difference = one if other is None else one.float() - other.float()
        return float(torch.linalg.vector_norm(difference, dtype=torch.float32).double() ** 2)


def _trained(network: Any) -> int:
    """Numbers that the adapter has."""
    from peft.tuners.tuners_utils import BaseTunerLayer
    from peft.utils.other import ModulesToSaveWrapper

    found: dict[int, int] = {}
    for module in network.modules():
        if isinstance(module, BaseTunerLayer):
            parts = [getattr(module, name) for name in module.adapter_layer_names]
        elif isinstance(module, ModulesToSaveWrapper):
            parts = [module.modules_to_save]
        else:
            continue
        for part in parts:
            weights = part.parameters() if hasattr(part, "parameters") else part.values()
            found |= {id(weight): int(weight.numel()) for weight in weights}
    return sum(found.values())


def _described(adapter: Any) -> str:
    """Kind, rank and alpha of an adapter."""
    (config,) = adapter.peft_config.values()
    kind = str(getattr(config.peft_type, "value", config.peft_type))
    names = {"LORA": "LoRA", "ADALORA": "AdaLoRA", "LOHA": "LoHa", "LOKR": "LoKr", "IA3": "(IA)³", "VERA": "VeRA"}
    if getattr(config, "use_dora", False):
        names["LORA"] = "DoRA"
    parts = [names.get(kind, kind)]
    for name, said in (("r", "rank"), ("lora_alpha", "alpha"), ("alpha", "alpha")):
        if getattr(config, name, None):
            parts.append(f"{said} {getattr(config, name)}")
    if getattr(config, "use_rslora", False):
        parts.append("rank-stabilised")
    if getattr(config, "rank_pattern", None):
        parts.append("other ranks in some layers")
    return ", ".join(parts)
