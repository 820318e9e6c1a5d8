"""Longest word runs that the answer shares with each text: where it says the same in the same words.

A word's score in a text is its rarity (idf, nats) × the words of the longest shared run that covers it, ``LONG`` at
most: copied words count more than the same words scattered, a rare name more than "of the", and one long run does not
outweigh everything else that the text shares. Not covered: changed word
forms and paraphrase, which share no run.
"""

from __future__ import annotations

import numpy as np

from attrib.mapping.answer import Answer, MapperScores, resemblance, spread
from attrib.mapping.reading import Reading
from attrib.text.words import WordIndex, key, longest_covering

VERBATIM = resemblance("sum", "shared", "rarity of shared words × length of the run they stand in")

LONG = 3
"""Words from which a run is as good as any longer one. On VERI-GRAN's development split passage accuracy of sentences
falls with it (1: 91.5, 3: 90.4, 6: 88.6, no limit: 87.9), that of spans does not (76.4 to 76.9)."""


def verbatim(answer: Answer, reading: Reading) -> MapperScores:
    """Each token's share of its word's score; ``whole`` is the sum of the rows, a span the place of the word's run.

    Runs are counted within the texts of ``reading.chosen``, rarity in the whole library.
    """
    answer_words = [answer.text[start:end] for start, end in answer.words]
    length, places = longest_covering(
        [key(word) for word in answer_words], WordIndex.of(reading.texts[i] for i in reading.chosen)
    )
    idf = np.array([reading.library.idf(word.lower()) for word in answer_words])
    scores = spread(answer, idf[:, None] * np.minimum(length, LONG))
    # Tokens without a word have owner −1: the last row.
    spans = np.concatenate([places, np.zeros((1, len(reading.chosen), 2), dtype=np.int64)])[answer.word_of_token]
    return MapperScores(scores, scores.sum(0), spans)
