"""The tensors in an adapter's file, and which of them are copies of weights of its base.

PEFT saves embeddings along where the vocabulary grew or they are tuned: whether they changed is seen by comparing.
Not covered: reading them into a network (``adapters``), several files.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from attrib.errors import ModelError
from attrib.models.multimodal import is_other_part, language_name
from attrib.models.quiet import reason_of
from attrib.models.sources import ModelSource

WEIGHTS, PICKLED = "adapter_model.safetensors", "adapter_model.bin"
PREFIX = "base_model.model."


@dataclass(frozen=True, eq=False)
class Stored:
    """The tensors of an adapter's file, each read when it is asked for."""

    file: Path
    names: frozenset[str]
    _open: Any
    _own: Mapping[str, str] = field(default_factory=dict)
    """Names in the file of tensors that have another name in the network."""

    @classmethod
    def of(cls, source: ModelSource) -> Stored:
        """Raises ModelError where the weights are missing, damaged, or more than tensors.

        Read before peft does, whose messages name no mend. Of a pickle only tensors are read, so that none of its code
        is run.
        """
        from safetensors import safe_open

        file = Path(WEIGHTS)
        try:
            file = weights_file(source)
            if file.name == WEIGHTS:
                opened: Any = safe_open(file, "pt")
            else:
                import torch

                opened = torch.load(file, map_location="cpu", mmap=True, weights_only=True)
            names = frozenset(opened.keys())
        except Exception as error:
            raise ModelError(
                f"{source.name}: {file.name} is missing or damaged ({reason_of(error)}); save the adapter again, as "
                "safetensors"
            ) from error
        own = _language_names(names)
        return cls(file, frozenset(own or names), opened, own)

    def tensor(self, name: str) -> Any:
        """The tensor of this name, on the CPU."""
        own = self._own.get(name, name)
        return self._open.get_tensor(own) if self.file.name == WEIGHTS else self._open[own]

    def shape(self, name: str) -> tuple[int, ...]:
        """Its shape, without reading it."""
        own = self._own.get(name, name)
        return tuple(self._open.get_slice(own).get_shape() if self.file.name == WEIGHTS else self._open[own].shape)

    @property
    def of_whole(self) -> bool:
        """Whether the adapter is one of a multimodal model; the names are those in its language model."""
        return bool(self._own)

    @property
    def modules(self) -> frozenset[str]:
        """Modules that LoRA changes, by their names in the network."""
        parts = (name.removeprefix(PREFIX).partition(".lora_") for name in self.names)
        return frozenset(module for module, found, _ in parts if found)


def _is_within(name: str, modules: Iterable[str]) -> bool:
    """Whether a tensor lies in one of these modules, which peft finds by the ends of their names."""
    parts = name.split(".")
    above = [".".join(parts[:end]) for end in range(1, len(parts))]
    return any(place.endswith(module) for place in above for module in modules)


def _language_names(names: Iterable[str]) -> dict[str, str]:
    """Names in the language model → names in the file, of what text passes; empty for an adapter of a text model."""
    own = {}
    for name in names:
        if name.startswith(PREFIX) and not is_other_part(name):
            own[PREFIX + language_name(name.removeprefix(PREFIX))] = name
    return own if any(one != name for one, name in own.items()) else {}


def weights_file(source: ModelSource) -> Path:
    """The adapter's weights: safetensors, or a pickle where there are none."""
    if source.is_local:
        pickled = source.file(PICKLED) if source.file(WEIGHTS) is None else None
        return pickled or Path(source.path) / WEIGHTS
    file = source.file(WEIGHTS) or source.file(PICKLED)
    if file is None:
        raise FileNotFoundError(f"no {WEIGHTS} in its repository")
    return file


def copies_of(names: Iterable[str], weights: Mapping[str, Any], saved: Iterable[str]) -> dict[str, str]:
    """Stored tensors that are copies of base's ``weights``: name in the file → name in the network.

    ``saved`` are the modules that were tuned whole; what is stored of them is tuning's.
    """
    found: dict[str, str] = {}
    for name in names:
        plain = name.removeprefix(PREFIX)
        inner = plain.replace(".base_layer.", ".").replace(".original_module.", ".")
        if inner in weights and not (inner == plain and _is_within(inner, saved)):
            found[name] = inner
    return found
