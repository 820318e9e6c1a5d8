"""A model's name → where its files are: bundled, a local folder, a GGUF file, or the hub.

Not covered: fetching them (``bundled``, ``loading``).
"""

from __future__ import annotations

import importlib.resources
import re
from dataclasses import dataclass
from pathlib import Path

from attrib.errors import ModelError
from attrib.models import bundled
from attrib.models.quiet import quiet, reason_of

DEFAULT = "smollm2-135m-instruct"
"""Name of the bundled base model."""
DEMO_ADAPTER = "demo"
"""Name of the bundled adapter, tuned on the demo's documents."""


@dataclass(frozen=True)
class ModelSource:
    """A model as it was named, and where its files are."""

    name: str
    path: str
    """A local path, or the hub's id."""
    revision: str | None = None
    """Revision on the hub; None for local files and for the newest."""

    @classmethod
    def of(cls, name: str, revision: str | None = None) -> ModelSource:
        """Raises ModelError for a path that does not exist, and for a revision of a local path."""
        source = cls(name, resolve(name), revision)
        if not source.is_local and (source.is_gguf or source.path.startswith((".", "/", "~"))):
            raise ModelError(f"{name}: no such file or folder; check the path")
        if source.is_local and revision is not None:
            raise ModelError(f"{name}: it is a local path and has no revision {revision!r}; leave the revision out")
        return source

    @property
    def is_local(self) -> bool:
        """False for a model of the hub."""
        return Path(self.path).exists()

    @property
    def is_gguf(self) -> bool:
        """Whether all of the model is one GGUF file."""
        return self.path.endswith(".gguf")

    @property
    def label(self) -> str:
        """The name as others may see it: of a local path the last part."""
        return Path(self.path).name if Path(self.name).exists() else self.name

    @property
    def folder(self) -> Path | None:
        """The local folder, if it is one."""
        return Path(self.path) if Path(self.path).is_dir() else None

    def file(self, name: str) -> Path | None:
        """One of its files, fetched from the hub where it is there; None where there is none."""
        if self.is_local:
            file = Path(self.path) / name
            return file if file.is_file() else None
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import EntryNotFoundError

        with quiet():
            try:
                return Path(hf_hub_download(self.path, name, revision=self.revision))
            except EntryNotFoundError:
                return None
            except Exception as error:
                raise self.not_loaded(error) from error

    @property
    def is_model(self) -> bool:
        """Whether a local folder holds a model of transformers."""
        return self.folder is not None and (self.folder / "config.json").is_file()

    @property
    def pickled(self) -> Path | None:
        """The pickled weights of a local folder that has no safetensors."""
        if self.folder is None or any(self.folder.glob("*.safetensors")):
            return None
        return next(iter(sorted(self.folder.glob("pytorch_model*.bin"))), None)

    @property
    def has_tokenizer(self) -> bool:
        """False for a local folder without any file of a tokenizer."""
        return self.folder is None or any((self.folder / name).is_file() for name in TOKENIZER_FILES)

    def refuse_other_folders(self) -> None:
        """Raises ModelError for a local folder that is neither model nor adapter, and names those inside."""
        if self.folder is None or self.is_model or (self.folder / "adapter_config.json").is_file():
            return
        found = _models_in(self.folder)
        if not found:
            raise ModelError(
                f"{self.name}: the folder has no config.json and no adapter_config.json, so it is not a model; name a "
                "folder that has one"
            )
        names = ", ".join(found[:4]) + (f", … ({len(found)} in all)" if len(found) > 4 else "")
        raise ModelError(f"{self.name}: the folder is not a model, but holds some; name one of them: {names}")

    def not_loaded(self, error: BaseException, quantised: str = "") -> ModelError:
        """Why the model was not loaded, in one line; ``quantised``: how its weights are, if they are."""
        if quantised:
            return ModelError(
                f"{self.name}: its weights are quantised ({quantised}) and cannot be loaded here: {reason_of(error)}; "
                "name the model as it was before quantisation with --base"
            )
        if not self.is_local and not self.is_gguf:
            return ModelError(
                f"{self.name}: neither a local path nor loadable from the hub ({reason_of(error)}); check the name, "
                "the network, or give a local folder"
            )
        return ModelError(
            f"{self.name}: cannot be loaded ({reason_of(error)}); check that it is a complete transformers model with "
            "safetensors"
        )


TOKENIZER_FILES = (
    "tokenizer.json", "tokenizer_config.json", "tokenizer.model", "vocab.json", "vocab.txt", "spiece.model",
    "merges.txt", "special_tokens_map.json", "added_tokens.json", "tekken.json",
)  # fmt: skip
"""Files that tokenizers are saved in."""


def _models_in(folder: Path) -> list[str]:
    """Models, adapters and GGUF files up to two levels below, checkpoints in order of their number."""
    files = [*folder.glob("*.gguf")]
    for name in ("config.json", "adapter_config.json"):
        files += [file.parent for depth in ("*", "*/*") for file in folder.glob(f"{depth}/{name}")]

    def order(path: Path) -> list[tuple[int, str]]:
        return [(int(part or 0), word) for word, part in re.findall(r"([^\d]*)(\d*)", str(path))]

    return [str(path) for path in sorted(set(files), key=order)]


def resolve(name: str) -> str:
    """The path of a bundled model; every other name as it is."""
    if name == DEFAULT:
        return str(bundled.get_default_model())
    if name == DEMO_ADAPTER:
        return str(importlib.resources.files("attrib") / "data" / "demo" / "adapter")
    return name
