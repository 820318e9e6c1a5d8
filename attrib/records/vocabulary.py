"""The question's and the answer's words that the documents have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int

from attrib.errors import RecordError
from attrib.records.checks import check_shape

VocabularyKind = Literal["words", "phrases"]


@dataclass(frozen=True, eq=False)
class Phrase:
    """A run of question words that the documents hold verbatim."""

    text: str
    """Its spelling in the question."""
    first: int
    """Index of its first word among the question's words."""
    words: int
    """Number of words, at least 2."""
    sections: tuple[str, ...]
    """Ids of the sections that hold it, in the documents' order."""


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """Words of a question, and which of them are fine-tuned vocabulary.

    Axis ``question``: the question's tokens, ``word``: its words in order, repetitions included.
    """

    positions: Int[np.ndarray, " question"]
    """Position of each question token in the prompt."""
    word_of_token: Int[np.ndarray, " question"]
    """Index of each token's word, −1 for punctuation and blanks."""
    words: tuple[str, ...]
    """Their spelling in the question."""
    in_documents: Bool[np.ndarray, " word"]
    """Whether some section has the word."""
    common: Bool[np.ndarray, " word"]
    """Whether it is a function word or as usual in the control texts (see ``KEY``)."""
    sections: tuple[tuple[str, ...], ...]
    """For each word, ids of the sections that have it; empty for words that are not fine-tuned vocabulary."""
    phrases: tuple[Phrase, ...]
    """In the question's order; they may overlap."""

    def __post_init__(self) -> None:
        n = len(self.words)
        check_shape(self, "word_of_token", self.word_of_token, self.positions.shape)
        check_shape(self, "in_documents", self.in_documents, (n,))
        check_shape(self, "common", self.common, (n,))
        if len(self.sections) != n:
            raise RecordError(f"Vocabulary.sections has {len(self.sections)} entries, expected {n}, one a word")

    @property
    def tuned_on(self) -> Bool[np.ndarray, " word"]:
        """Whether each word is fine-tuned vocabulary."""
        return np.asarray(self.in_documents & ~self.common)

    @property
    def in_phrase(self) -> Bool[np.ndarray, " word"]:
        """Whether each word lies in a phrase, the common words in it included."""
        inside = np.zeros(len(self.words), dtype=bool)
        for phrase in self.phrases:
            inside[phrase.first : phrase.first + phrase.words] = True
        return inside

    def chosen(self, kind: VocabularyKind) -> Bool[np.ndarray, " word"]:
        """Words that the share counts."""
        return self.tuned_on if kind == "words" else self.in_phrase

    def tokens(self, kind: VocabularyKind) -> tuple[int, ...]:
        """Prompt positions of the chosen words' tokens."""
        hit = np.append(self.chosen(kind), False)[self.word_of_token]
        return tuple(int(i) for i in self.positions[hit])


@dataclass(frozen=True, eq=False)
class VocabularyShare:
    """Share of one method's mass in the question that falls on fine-tuned vocabulary, base and tuned.

    Axis ``row``: row 0 is the whole answer (each row's |score| made to sum to 1, then the mean over the rows that have
    any), the others are the score matrix's rows. All shares lie in 0 to 1, without unit; nan where a row has no mass
    on the question, and the p-value there is 1.
    """

    method: str
    kind: VocabularyKind
    token_share: float
    """Chosen tokens / question tokens: the share of a method that looks at all tokens alike."""
    question_base: Float[np.ndarray, " row"]
    """Share of ALL mass (template and earlier answer tokens too) that lies on the question at all."""
    question_tuned: Float[np.ndarray, " row"]
    base: Float[np.ndarray, " row"]
    """Mass on the chosen tokens / mass on the question's tokens."""
    tuned: Float[np.ndarray, " row"]
    expected_base: Float[np.ndarray, " row"]
    """Mean share when the words' mean scores are permuted."""
    expected_tuned: Float[np.ndarray, " row"]
    p_base: Float[np.ndarray, " row"]
    """P(permuted share ≥ share)."""
    p_tuned: Float[np.ndarray, " row"]
    p_difference: Float[np.ndarray, " row"]
    """Two-sided; base and tuned are permuted together."""
    permutations: int
    """Number of permutations; 0 where there was nothing to permute (no word chosen, or every word)."""
    exact: bool
    """Whether they were all there are; else they are random and the observed order counts as one more."""

    def __post_init__(self) -> None:
        names = ("question_tuned", "base", "tuned", "expected_base", "expected_tuned")
        for name in (*names, "p_base", "p_tuned", "p_difference"):
            check_shape(self, name, getattr(self, name), self.question_base.shape)

    @property
    def difference(self) -> Float[np.ndarray, " row"]:
        """Share tuned − share base."""
        return np.asarray(self.tuned - self.base)


@dataclass(frozen=True, eq=False)
class Verbatim:
    """A run of answer words that some section holds too and that no longer shared run of this answer contains."""

    text: str
    """Its spelling in the answer."""
    start: int
    """First character in the answer."""
    end: int
    words: int
    """Number of words."""
    tokens: tuple[int, ...]
    """Answer tokens that overlap its characters."""
    sections: tuple[str, ...]
    """Id of the section of each place; a section that holds it twice stands here twice."""
    spans: Int[np.ndarray, "place 2"]
    """[start, end) characters of each place in the section's ``full_text``. At most ``PLACES`` are listed."""
    sections_total: int
    """Number of sections that hold it."""
    asked: int
    """Words of the longest part of it that the question has too."""
    controls: int
    """Number of control texts that hold it whole."""

    def __post_init__(self) -> None:
        check_shape(self, "spans", self.spans, (len(self.sections), 2))

    @property
    def in_question(self) -> bool:
        """Whether the question has it: no evidence that the documents are its source."""
        return self.asked == self.words

    @property
    def in_control(self) -> bool:
        """Whether a control text has it: a common phrase."""
        return self.controls > 0
