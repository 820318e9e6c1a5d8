"""Sentence embeddings: cosine of the answer's words in their window against the sections.

The embedder does not look at the models: base and tuned get the same.
"""

from __future__ import annotations

from attrib.mapping.answer import Answer, MapperScores, resemblance
from attrib.mapping.reading import Reading
from attrib.models.embedder import embed

EMBEDDING = resemblance("max", "cosine", "cosine of sentence embeddings")

WINDOW = 4
"""Words on either side of a word that are embedded with it."""


def embedding(answer: Answer, reading: Reading) -> MapperScores:
    """Cosine of «question + the word's window» with the best passage of each text; ``whole`` of question + answer."""
    spans = answer.words
    windows = []
    for i in range(len(spans)):
        first, last = max(0, i - WINDOW), min(len(spans) - 1, i + WINDOW)
        windows.append(answer.text[spans[first][0] : spans[last][1]])
    queries = [f"{answer.question} {text}" for text in (*windows, answer.text)]
    distinct = list(dict.fromkeys(queries))
    rows = {query: i for i, query in enumerate(distinct)}
    vectors = embed(distinct, embedder=reading.embedder)[[rows[query] for query in queries]]
    by_query, places = reading.passage_scores(vectors)
    owner = answer.word_of_token
    # Punctuation takes the whole answer's row.
    return MapperScores(by_query[owner], by_query[-1], places[owner])
