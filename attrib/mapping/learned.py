"""The section's own log-prob: what each model makes of the text, beyond what it makes of control texts.

Tuned − base is the section's gain, debiased for form: did tuning teach this text at all? It does not look at the
answer, so that every answer token has the same share of it. A text that was never trained gains as little as the
control texts do, however much it resembles the answer.
"""

from __future__ import annotations

import numpy as np

from attrib.mapping.answer import Answer, MapperScores
from attrib.mapping.reading import Reading
from attrib.measures import of_forms
from attrib.records.kind import ScoreKind

LEARNED = ScoreKind(
    claim="learned",
    reduction="mean",
    unit="log p",
    meaning="log p a token of the section's own text beyond that of control texts, shared by the answer's tokens",
    caveat="It does not look at the answer: tuned − base says that the section was learned, "
    "not that the answer rests on it.",
)


def learned(answer: Answer, reading: Reading) -> MapperScores:
    """log p a token of each text, less that of control texts of its form (pooled over their tokens), nats.

    Rows sum to ``whole``.
    """
    logprob = np.array([reading.captures[int(i)].logprob for i in reading.chosen])
    tokens = np.array([reading.captures[int(i)].tokens for i in reading.chosen])
    control, forms = reading.chosen >= len(reading.library.corpus), reading.library.forms[reading.chosen]
    whole = logprob / np.maximum(tokens, 1)
    for form, own in of_forms(forms, forms[control]):
        whole[forms == form] -= logprob[control][own].sum() / max(tokens[control][own].sum(), 1)
    n = len(answer.tokens)
    lengths = np.array([len(reading.texts[int(i)]) for i in reading.chosen])
    spans = np.stack([np.zeros_like(lengths), lengths], 1)
    return MapperScores(np.tile(whole / n, (n, 1)), whole, np.tile(spans, (n, 1, 1)))
