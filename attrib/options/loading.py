"""Where models and documents come from, and how they are read."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from attrib.options.fields import bounded, everyday


@dataclass(frozen=True)
class Loading:
    """How any model is loaded, whatever its name."""

    device: str = everyday("auto", "Models")
    """Device to run on: auto, cpu, cuda or mps."""
    dtype: str = "auto"
    """Number format of the weights: auto, float32, bfloat16, float16 or float64."""
    device_map: str | None = None
    """Device map for models beyond one GPU, handed to transformers; tuning refuses one."""
    revision: str | None = None
    """Revision of the base model on the hub."""
    trust_remote_code: bool = everyday(False, "Models")
    """Run code that comes with a model."""

    def arguments(self) -> dict[str, Any]:
        """Keywords of ``load_network`` and ``ModelPair.load``; the names that a subclass adds are left out."""
        return {one.name: getattr(self, one.name) for one in fields(Loading)}

    def identity(self) -> dict[str, str | bool]:
        """Options that can make another model of the same name, those that were given."""
        named = {"revision": self.revision, "trust_remote_code": self.trust_remote_code}
        return {name: value for name, value in named.items() if value}


@dataclass(frozen=True)
class TuneLoading(Loading):
    """How the base of an adapter is loaded, in 4 bits if wished."""

    four_bit: bool = everyday(False, "Models")
    """Load the base in 4 bits (QLoRA); needs CUDA."""


@dataclass(frozen=True)
class BaseToTune:
    """The model that is tuned."""

    base: str | None = everyday(None, "Models")
    """Base model to tune: hub id, folder or GGUF file; default: the demo's."""


@dataclass(frozen=True)
class TunableModel(Loading, BaseToTune):
    """The model that is tuned, and how it is loaded."""


@dataclass(frozen=True)
class ModelNames:
    """A base model and the model tuned from it; without both, the demo's."""

    base: str | None = everyday(None, "Models")
    """Base model: hub id, folder or GGUF file; default: the adapter's own base."""
    tuned: str | None = everyday(None, "Models")
    """Tuned model: hub id, folder, GGUF file or PEFT adapter."""
    tuned_revision: str | None = None
    """Revision of the tuned model on the hub."""
    any_base: bool = everyday(False, "Models")
    """Use the base that is named even where the adapter names another."""


@dataclass(frozen=True)
class Models(Loading, ModelNames):
    """A base model and the model tuned from it, and how they are loaded."""


@dataclass(frozen=True)
class ReadingOptions:
    """How documents are cut into sections."""

    columns: tuple[str, ...] = everyday((), "Documents")
    """Columns of row files by what they hold, where guessing fails: question=ask,answer=data.reply."""
    max_tokens: int = bounded(256, low=8)
    """Longest section, in words and punctuation marks."""
    max_bytes: int = bounded(64 * 2**20, low=1)
    """Largest file that is read, in bytes, unpacked."""
    strict: bool = everyday(False, "Documents")
    """Refuse documents of which anything is not read: files of other kinds, rows without text, unused columns."""


@dataclass(frozen=True)
class Documents(ReadingOptions):
    """The fine-tuning documents."""

    path: Path | None = everyday(None, "Documents", flag="--documents")
    """Folder, file or hub data set (hf://OWNER/NAME:SPLIT) that the model was tuned on."""


@dataclass(frozen=True)
class Control(ReadingOptions):
    """Texts beside the documents, as a control."""

    control: Path | None = everyday(None, "Documents")
    """Control texts that neither model was tuned on; default: texts of the package."""
    control_columns: tuple[str, ...] = ()
    """Columns of the control texts; default: those of the documents."""


@dataclass(frozen=True)
class ControlledDocuments(Control, Documents):
    """The fine-tuning documents, and control texts."""


@dataclass(frozen=True)
class IndexedDocuments(ControlledDocuments):
    """The same, with an index of them."""

    index: Path | None = everyday(None, "Documents")
    """Folder that attrib index made of the same documents."""
