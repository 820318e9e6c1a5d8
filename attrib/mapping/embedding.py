"""Sentence embeddings: cosine of the answer's words in their window against the sections.

The only importer of sentence_transformers. The embedder does not look at the models: base and tuned get the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from attrib.errors import ModelError
from attrib.mapping.answer import WORD, Answer, Scores
from attrib.mapping.reading import Reading
from attrib.models.bundled import embedder_path
from attrib.models.pair import quiet

WINDOW = 4
"""Words on either side of a word that are embedded with it."""
PASSAGE = 120
"""Words of a section that are embedded together: the embedder reads no more than 256 word pieces."""


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
        reason = " ".join(str(error).split())[:160]
        kind = "folder" if Path(name).exists() else "hub id"
        raise ModelError(f"embedder {name}: the {kind} cannot be loaded ({reason}); leave --embedder out") from error


def embed(texts: Sequence[str], *, embedder: Any) -> np.ndarray:
    """Unit vectors of ``texts``, [text, d_embedding], float32."""
    if not texts:
        return np.zeros((0, embedder.get_sentence_embedding_dimension()), dtype=np.float32)
    vectors = embedder.encode(list(texts), batch_size=32, normalize_embeddings=True, show_progress_bar=False)
    return np.asarray(vectors, dtype=np.float32)


def embedding(answer: Answer, reading: Reading) -> Scores:
    """Cosine of «question + the word's window» with the best passage of each text; ``whole`` of question + answer."""
    spans = answer.words
    windows = [
        answer.text[spans[max(0, i - WINDOW)][0] : spans[min(len(spans) - 1, i + WINDOW)][1]] for i in range(len(spans))
    ]
    queries = [f"{answer.question} {text}" for text in (*windows, answer.text)]
    distinct = list(dict.fromkeys(queries))
    rows = {query: i for i, query in enumerate(distinct)}
    vectors = embed(distinct, embedder=reading.embedder)[[rows[query] for query in queries]]
    by_query, places = reading.passage_scores(vectors)
    owner = answer.word_of_token
    # Punctuation takes the whole answer's row.
    return Scores(by_query[owner], by_query[-1], places[owner])


def passages(text: str) -> list[tuple[int, int]]:
    """[start, end) of consecutive runs of at most PASSAGE words; the whole text where it is short."""
    starts = [match.start() for match in WORD.finditer(text)][::PASSAGE]
    if len(starts) <= 1:
        return [(0, len(text))]
    return list(pairwise([0, *starts[1:], len(text)]))
