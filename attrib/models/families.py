"""Model families that TransformerLens does not list: their class in transformers → an adapter for its bridge.

Families that TransformerLens lists need no line here. A new one shares the layout of a listed family, or has an adapter
in a file of its own. A wrong layout can load without an error and compute other numbers, so every family is compared
with its bare network (``tests/oracles.py``, ``ARCHITECTURES``).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def _mistral() -> Any:
    from transformer_lens.model_bridge.supported_architectures import MistralArchitectureAdapter

    return MistralArchitectureAdapter


FAMILIES: dict[str, Callable[[], Any]] = {
    "MinistralForCausalLM": _mistral,
}


def register_families() -> None:
    """Add FAMILIES to the two tables in which the bridge looks a family up."""
    from transformer_lens.factories import architecture_adapter_factory as factory

    for name, adapter in FAMILIES.items():
        factory.SUPPORTED_ARCHITECTURES[name] = adapter()
        factory.ArchitectureAdapterFactory.register_adapter(name, adapter())
