"""Texts → unit vectors, by a sentence embedder; the only importer of sentence_transformers.

Not covered: keeping the vectors of a corpus (``index``).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from attrib.errors import ModelError
from attrib.models.bundled import embedder_path
from attrib.models.quiet import quiet, reason_of


@cache
def load_embedder(path: str | None = None, device: str = "cpu") -> Any:
    """A SentenceTransformer from a local folder or hub id; the bundled all-MiniLM-L6-v2 by default."""
    from sentence_transformers import SentenceTransformer

    name = path or str(embedder_path())
    options = {"use_safetensors": True}
    try:
        with quiet():
            return SentenceTransformer(name, device=device, trust_remote_code=False, model_kwargs=options)
    except Exception as error:
        kind = "folder" if Path(name).exists() else "hub id"
        raise ModelError(
            f"embedder {name}: the {kind} cannot be loaded ({reason_of(error)}); name a complete sentence-transformers "
            "model, or none for the bundled one"
        ) from error


def embed(texts: Sequence[str], *, embedder: Any) -> np.ndarray:
    """Unit vectors of ``texts``, [text, d_embedding], float32."""
    if not texts:
        return np.zeros((0, embedder.get_sentence_embedding_dimension()), dtype=np.float32)
    vectors = embedder.encode(list(texts), batch_size=32, normalize_embeddings=True, show_progress_bar=False)
    return np.asarray(vectors, dtype=np.float32)
