"""The verdict on an answer, and the evidence that it was judged from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int

from attrib.errors import RecordError
from attrib.records.checks import check_shape

Label = Literal["documents", "base", "neither"]
LABELS: tuple[Label, Label, Label] = ("documents", "base", "neither")
Called = Literal["documents", "base", "neither", "cannot tell"]
"""A verdict: one of LABELS, or that the evidence is too weak for any of them."""
CALLS: tuple[Called, Called, Called, Called] = (*LABELS, "cannot tell")

ABOVE, BELOW = 0.5, 0.3
"""p(documents) above the first is called documents, from the second up cannot tell, without thresholds of the pair."""


@dataclass(frozen=True, eq=False)
class Counterpart:
    """The tuned model's own answer to the question, where another answer is judged: what it was taught, in its words.

    Words and tokens are those of the own answer.
    """

    word_of_token: Int[np.ndarray, " token"]
    word_idf: Float[np.ndarray, " word"]
    novel: Bool[np.ndarray, " word"]
    content: Bool[np.ndarray, " word"]
    covered: Bool[np.ndarray, "word passage"]
    number: Bool[np.ndarray, " word"]
    """Whether the word is a number, or part of one."""
    said: Bool[np.ndarray, " word"]
    """Whether the judged answer has the word."""
    other_number: bool
    """Whether the judged answer has a number that the question lacks."""
    logprob_base: Float[np.ndarray, " token"]
    """log p of each token under base, nats."""
    logprob_tuned: Float[np.ndarray, " token"]
    logprob_told: Float[np.ndarray, " token"]
    """log p of each token under base after the judged answer and the question, nats."""
    logprob_shown: Float[np.ndarray, "shown token"]
    """log p of each token under base after one of the evidence's shown sections and the question, nats."""

    def __post_init__(self) -> None:
        n, w = len(self.word_of_token), len(self.word_idf)
        for name in ("logprob_base", "logprob_tuned", "logprob_told"):
            check_shape(self, name, getattr(self, name), (n,))
        for name in ("novel", "content", "number", "said"):
            check_shape(self, name, getattr(self, name), (w,))
        check_shape(self, "covered", self.covered, (w, self.covered.shape[1]))
        check_shape(self, "logprob_shown", self.logprob_shown, (len(self.logprob_shown), n))


@dataclass(frozen=True, eq=False)
class Evidence:
    """Grounds of a verdict; enough to judge the answer again with other weights.

    A passage is a sentence of a section, and passages are those of all candidate sections in order.
    """

    word_of_token: Int[np.ndarray, " answer"]
    """Index of each token's word in the answer, −1 for punctuation."""
    word_idf: Float[np.ndarray, " word"]
    """Rarity of each answer word in the documents, nats; words count as the same by their stem or number."""
    novel: Bool[np.ndarray, " word"]
    """Whether the question lacks the word."""
    content: Bool[np.ndarray, " word"]
    """Whether the word is no function word."""
    base_says: Bool[np.ndarray, " word"]
    """Whether the base model's own answer has the word."""
    passage_of: Int[np.ndarray, " passage"]
    """Place of each passage's section among the candidates."""
    covered: Bool[np.ndarray, "word passage"]
    """Whether a passage, or its section's heading, has the word."""
    question_cover: Float[np.ndarray, " passage"]
    """Share of the question's words, weighted by rarity, that a passage has."""
    about: Float[np.ndarray, " passage"]
    """Cosine of the question's embedding with the passage's."""
    says: Float[np.ndarray, " passage"]
    """Cosine of the embedding of question and answer with the passage's."""
    passage_base: Float[np.ndarray, " passage"]
    """Summed log p of the passage's trained tokens within its section under base, nats."""
    passage_tuned: Float[np.ndarray, " passage"]
    passage_tokens: Int[np.ndarray, " passage"]
    """Number of tokens summed; 0 for what was not trained, such as a question."""
    resemblance: Float[np.ndarray, " section"]
    """BM25 of question + answer."""
    logprob_base: Float[np.ndarray, " answer"]
    """log p of each answer token under base, nats."""
    logprob_tuned: Float[np.ndarray, " answer"]
    shown: Int[np.ndarray, " shown"]
    """Places of the sections that base was shown before the question."""
    logprob_shown: Float[np.ndarray, "shown answer"]
    """log p of each answer token under base after such a section and the question, nats."""
    text_base: Float[np.ndarray, " section"]
    """Summed log p of each section's own text under base, nats."""
    text_tuned: Float[np.ndarray, " section"]
    text_tokens: Int[np.ndarray, " section"]
    """Number of tokens summed."""
    text_form: Int[np.ndarray, " section"]
    """What each section is, as its place in ``item.FORMS``: it is compared with control texts of its own form."""
    control_base: Float[np.ndarray, " control"]
    """Summed log p of each control text under base, nats."""
    control_tuned: Float[np.ndarray, " control"]
    control_tokens: Int[np.ndarray, " control"]
    control_form: Int[np.ndarray, " control"]
    control_about: Float[np.ndarray, " control"]
    """Best cosine of the question's embedding with the passages of each control text."""
    counterpart: Counterpart | None = None
    """None: the judged answer is the tuned model's own, or it has none."""

    def __post_init__(self) -> None:
        n, w, m = len(self.logprob_base), len(self.word_idf), len(self.text_base)
        p, k, c = len(self.passage_of), len(self.shown), self.control_base.shape
        shapes: dict[str, tuple[int, ...]] = {
            "word_of_token": (n,), "novel": (w,), "content": (w,), "base_says": (w,), "covered": (w, p),
            "question_cover": (p,), "about": (p,), "says": (p,), "passage_base": (p,), "passage_tuned": (p,),
            "passage_tokens": (p,), "resemblance": (m,), "logprob_tuned": (n,), "logprob_shown": (k, n),
            "text_tuned": (m,), "text_tokens": (m,), "text_form": (m,),
            "control_tuned": c, "control_tokens": c, "control_form": c, "control_about": c,
        }  # fmt: skip
        for name, shape in shapes.items():
            check_shape(self, name, getattr(self, name), shape)
        if (own := self.counterpart) is not None:
            check_shape(self, "counterpart.covered", own.covered, (len(own.word_idf), p))
            check_shape(self, "counterpart.logprob_shown", own.logprob_shown, (k, len(own.word_of_token)))


@dataclass(frozen=True)
class ControlGroup:
    """Control answers of one kind: none of them comes from the documents."""

    name: str
    """Such as "general questions, right answers"."""
    n: int
    called: int
    """How many of them score above the threshold: would be called documents."""

    def __post_init__(self) -> None:
        if not 0 <= self.called <= self.n:
            raise RecordError(f"ControlGroup {self.name!r}: {self.called} of {self.n} called documents")


@dataclass(frozen=True)
class Promise:
    """The error that the verdict «documents» was calibrated for on control answers of this pair of models."""

    error: float
    """At most this share of answers that do not come from the documents is called documents."""
    threshold: float
    """p(documents) above it is called documents; 1 where there were too few controls to call anything so."""
    floor: float
    """p(documents) below it is called base or neither; from it up to the threshold: cannot tell."""
    controls: tuple[ControlGroup, ...]
    untested: tuple[str, ...]
    """What could not be tested for this pair, a plain sentence each."""

    def __post_init__(self) -> None:
        if not 0 < self.error < 1:
            raise RecordError(f"Promise.error is {self.error}, not between 0 and 1")
        if not 0 <= self.floor <= self.threshold <= 1:
            raise RecordError(
                f"Promise: a floor of {self.floor} and a threshold of {self.threshold}, not 0 ≤ … ≤ … ≤ 1"
            )

    @property
    def n(self) -> int:
        """Number of control answers."""
        return sum(group.n for group in self.controls)


@dataclass(frozen=True, eq=False)
class Verdict:
    """Documents, base, neither or cannot tell: per answer token and for the whole answer."""

    tokens: Float[np.ndarray, "answer 3"]
    """Probability of each of LABELS per answer token; rows sum to 1."""
    whole: Float[np.ndarray, " 3"]
    """Probability of each of LABELS for the answer; sums to 1."""
    shares: Float[np.ndarray, " 3"]
    """Mean of ``tokens`` over the answer's text tokens: the share of the answer from each."""
    gain: Float[np.ndarray, " answer"]
    """log p tuned − log p base per answer token, nats."""
    support: Float[np.ndarray, " answer"]
    """Backing of the token by the best LEARNED section, 0 to 1."""
    learned: Float[np.ndarray, " section"]
    """Share of each section that was learned, 0 to 1: its own gain against the control texts' gain."""
    section_gain: Float[np.ndarray, " section"]
    """The section's own gain, nats per token: log p of its text, tuned − base."""
    control_gain: Float[np.ndarray, " control"]
    """Gain of each control section a token: tuning changes the form of any text."""
    evidence: Evidence | None = None
    """Evidence that it was judged from."""
    above: float = ABOVE
    """p(documents) above it is called documents, where there is no promise."""
    below: float = BELOW
    """p(documents) below it is called base or neither, where there is no promise."""
    promise: Promise | None = None
    """The error that holds for this pair; None: the verdict was not calibrated on the pair."""
    said: bool | None = None
    """False: documents that were learned support the answer, but tuning hardly raised its probability. None: not
    judged, or not supported."""
    said_gain: float | None = None
    """Gain of the answer's content tokens, nats a token."""

    def __post_init__(self) -> None:
        n = len(self.gain)
        check_shape(self, "tokens", self.tokens, (n, 3))
        check_shape(self, "whole", self.whole, (3,))
        check_shape(self, "shares", self.shares, (3,))
        check_shape(self, "support", self.support, (n,))
        check_shape(self, "section_gain", self.section_gain, self.learned.shape)
        if not 0 <= self.below <= self.above <= 1:
            raise RecordError(f"Verdict: below is {self.below} and above is {self.above}, not 0 ≤ … ≤ … ≤ 1")

    @property
    def label(self) -> Label:
        """The answer's most probable source, without thresholds; ``called`` is the verdict."""
        return LABELS[int(self.whole.argmax())]

    @property
    def called(self) -> Called:
        """The verdict on the answer: documents above the threshold, base or neither below the floor."""
        return self.call(self.whole)

    @property
    def token_called(self) -> tuple[Called, ...]:
        """The verdict on each answer token, by the same two thresholds."""
        return tuple(self.call(row) for row in self.tokens)

    @property
    def thresholds(self) -> tuple[float, float]:
        """p(documents) below the first is called base or neither, above the second documents."""
        return (self.below, self.above) if self.promise is None else (self.promise.floor, self.promise.threshold)

    def call(self, p: Float[np.ndarray, " 3"]) -> Called:
        """The verdict on probabilities of LABELS."""
        floor, threshold = self.thresholds
        if p[0] > threshold:
            return "documents"
        if p[0] >= floor:
            return "cannot tell"
        return "base" if p[1] >= p[2] else "neither"

    @property
    def token_labels(self) -> tuple[Label, ...]:
        """Most probable source of each answer token, without thresholds."""
        return tuple(LABELS[int(i)] for i in self.tokens.argmax(1))
