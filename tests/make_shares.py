"""Random shares on fine-tuned vocabulary, and a shared run of words, for a made record."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from attrib.records import Explanation, Verbatim, Vocabulary, VocabularyShare
from attrib.text.units import question_positions


def with_shares(explanation: Explanation, seed: int = 0) -> Explanation:
    """The record with one share a method; every question token is a word, and every other one is vocabulary."""
    rng = np.random.default_rng(seed)
    positions = np.array(question_positions(explanation.prompt_tokens, explanation.question), int)
    n = len(positions)
    vocabulary = Vocabulary(
        positions=positions,
        word_of_token=np.arange(n),
        words=tuple(explanation.prompt_tokens[i].text.strip() for i in positions),
        in_documents=np.arange(n) % 2 == 0,
        common=np.zeros(n, bool),
        sections=((),) * n,
        phrases=(),
    )
    run = Verbatim(
        text="The warranty", start=0, end=12, words=2, tokens=(0, 1), sections=(explanation.sections[0].id,),
        spans=np.array([[0, 12]]), sections_total=1, asked=0, controls=0,
    )  # fmt: skip
    shares = []
    for name, attribution in explanation.attributions.items():
        of = {key: rng.random(len(attribution.rows) + 1) for key in NUMBERS}
        shares.append(VocabularyShare(method=name, kind="words", token_share=0.5, permutations=99, exact=False, **of))
    return replace(explanation, vocabulary=vocabulary, shares=tuple(shares), verbatim=(run,))


NUMBERS = (
    "question_base", "question_tuned", "base", "tuned", "expected_base", "expected_tuned", "p_base", "p_tuned",
    "p_difference",
)  # fmt: skip
