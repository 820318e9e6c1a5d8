"""Digests that tell models, adapters and tokenizers apart, and versions of the libraries that can change a number.

Not covered: digests of documents (``corpus``).
"""

from __future__ import annotations

import hashlib
import json
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from attrib.files import sha256
from attrib.models.sources import resolve


def fingerprint(name: str, network: Any) -> str:
    """SHA-256 over the weight files; hub models are content-addressed by their commit.

    Configuration files are left out: libraries write their own version into them.
    """
    path = Path(resolve(name))
    if path.is_file():
        return sha256(path)
    if path.is_dir():
        files = sorted(path.glob("*.safetensors")) or sorted(path.glob("pytorch_model*.bin"))
        return combined(*map(sha256, files))
    return str(getattr(network.config, "_commit_hash", None) or name)


def tokenizer_sha256(tokenizer: Any) -> str:
    """SHA-256 over vocabulary and chat template."""
    vocabulary = json.dumps(sorted(tokenizer.get_vocab().items()))
    return combined(vocabulary, str(tokenizer.chat_template))


def combined(*parts: str) -> str:
    """One SHA-256 of several texts."""
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def versions() -> dict[str, str]:
    """Versions that can change a number."""

    def one(name: str) -> str:
        try:
            return version(name)
        except PackageNotFoundError:
            return "not installed"

    return {name: one(name) for name in ("attrib", "torch", "transformers", "transformer-lens", "peft", "numpy")}
