"""Frozen records that the stages hand on: numpy arrays and tuples, no model handles.

Axis names: ``answer`` answer tokens, ``prompt`` prompt tokens, ``position`` prompt + answer tokens,
``section`` sections, ``layer``, ``head``, ``d_model``. Log-probs and gains are in nats.
Not covered: how records are stored (``storage``) or drawn (``render``).
"""

from __future__ import annotations

from collections.abc import Mapping as MappingABC
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from jaxtyping import Bool, Float, Int

from attrib.errors import RecordError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Label = Literal["documents", "base", "neither"]
LABELS: tuple[Label, Label, Label] = ("documents", "base", "neither")
AnswerSource = Literal["tuned", "base", "given"]
VocabularyKind = Literal["words", "phrases"]


def _check(record: object, name: str, array: np.ndarray | None, shape: tuple[int | None, ...]) -> None:
    """Refuse an array whose shape is not ``shape`` (None matches any size), naming both."""
    if array is None:
        return
    fits = array.ndim == len(shape) and all(want in (None, have) for have, want in zip(array.shape, shape, strict=True))
    if not fits:
        wanted = tuple("any" if size is None else size for size in shape)
        raise RecordError(f"{type(record).__name__}.{name} has shape {array.shape}, expected {wanted}")


@dataclass(frozen=True, eq=False)
class Token:
    """One token of the prompt or of the answer."""

    id: int
    text: str
    """Its characters in the text, special tokens as their name; may be empty for half a character."""
    start: int
    """First character in the answer (answer tokens) or in the prompt's text (prompt tokens)."""
    end: int
    special: bool = False
    """A marker of the chat template or of the tokenizer, not text."""


@dataclass(frozen=True, eq=False)
class Section:
    """A contiguous span of one document."""

    id: str
    """First 12 hex digits of the SHA-256 of titles and text; ``-2``, ``-3`` … for exact repetitions."""
    document: str
    """Path below the folder that was read, or the file's name."""
    titles: tuple[str, ...]
    """Headings from the outermost inwards; empty where the document has none."""
    text: str
    """The section's text without its heading, as it stands in the document."""
    first_line: int
    """1-based line of the file where the text starts (row files: the row's number)."""
    last_line: int
    row: int | None = None
    """1-based row of a JSONL, CSV or Parquet file, else None."""
    near_duplicate_of: str | None = None
    """Id of an earlier section with nearly the same text, else None."""

    @property
    def title(self) -> str:
        """Title path in one line, or the document's name."""
        return " › ".join(self.titles) or self.document

    @property
    def lines(self) -> str:
        """Where it stands: ``L12–18`` or ``row 5``."""
        if self.row is not None:
            return f"row {self.row}"
        return f"L{self.first_line}" if self.first_line == self.last_line else f"L{self.first_line}–{self.last_line}"

    @property
    def full_text(self) -> str:
        """Heading and text, as the mappers and ``tune`` see the section."""
        return f"{self.titles[-1]}\n{self.text}" if self.titles else self.text


@dataclass(frozen=True, eq=False)
class Capture:
    """What one model did with one answer under teacher forcing.

    Attention of answer token ``i`` is that of the forward step that predicts it, so a row covers positions before the
    token and is zero from the token on.
    """

    logprob: Float[np.ndarray, " answer"]
    """log p of each answer token given all before it, nats."""
    rank: Int[np.ndarray, " answer"]
    """Number of vocabulary tokens more likely than it (0 = the model's first choice)."""
    entropy: Float[np.ndarray, " answer"]
    """Entropy of the model's next-token distribution, nats."""
    attention: Float[np.ndarray, "answer position"] | None = None
    """Mean over layers and heads; a row sums to 1."""
    heads: Float[np.ndarray, "layer head answer position"] | None = None
    """Every layer and head, only on request."""
    hidden: Float[np.ndarray, "kept position d_model"] | None = None
    """Residual stream after the chosen layers."""
    layers: tuple[int, ...] = ()
    """Which layers ``hidden`` holds; negative numbers are resolved."""

    def __post_init__(self) -> None:
        n = len(self.logprob)
        _check(self, "rank", self.rank, (n,))
        _check(self, "entropy", self.entropy, (n,))
        _check(self, "attention", self.attention, (n, None))
        _check(self, "heads", self.heads, (None, None, n, None))
        _check(self, "hidden", self.hidden, (len(self.layers), None, None))


@dataclass(frozen=True, eq=False)
class Attribution:
    """Answer tokens or words × earlier tokens or words by one method, base and tuned."""

    method: str
    target: str
    """What is explained: the name of a target, e.g. ``logprob``."""
    rows: tuple[tuple[int, ...], ...]
    """Answer tokens of each row: one for tokens, several for words and spans."""
    columns: tuple[tuple[int, ...], ...]
    """Positions of each column: one for tokens, several where they were taken away together."""
    base: Float[np.ndarray, "row column"]
    tuned: Float[np.ndarray, "row column"]
    value_base: Float[np.ndarray, " row"]
    """The target under base, summed over the row's tokens."""
    value_tuned: Float[np.ndarray, " row"]
    gap_base: Float[np.ndarray, " row"] | None = None
    """Sum of the row's scores − what it should be, for methods that promise a sum; in the target's unit."""
    gap_tuned: Float[np.ndarray, " row"] | None = None
    settings: MappingABC[str, object] = field(default_factory=dict)
    """What the method used: steps, baseline, seed …"""

    def __post_init__(self) -> None:
        shape = (len(self.rows), len(self.columns))
        _check(self, "base", self.base, shape)
        _check(self, "tuned", self.tuned, shape)
        for name in ("value_base", "value_tuned", "gap_base", "gap_tuned"):
            _check(self, name, getattr(self, name), shape[:1])

    @property
    def difference(self) -> Float[np.ndarray, "row column"]:
        """tuned − base."""
        return np.asarray(self.tuned - self.base)

    def expanded(self, positions: int) -> tuple[Float[np.ndarray, "row position"], Float[np.ndarray, "row position"]]:
        """Base and tuned by position; a column's score is spread evenly over its positions, so that sums stay."""
        spread = np.zeros((len(self.columns), positions))
        for column, members in enumerate(self.columns):
            spread[column, list(members)] = 1 / len(members)
        return np.asarray(self.base @ spread), np.asarray(self.tuned @ spread)


@dataclass(frozen=True, eq=False)
class MappingSide:
    """Answer token × section by one mapper under one model, beside its control.

    ``whole`` is the score of question and answer together: ``context + tokens.sum(0)`` for additive mappers
    (bm25), the mapper's own whole-answer score else.
    """

    tokens: Float[np.ndarray, "answer section"]
    """Score of each answer token against each section."""
    whole: Float[np.ndarray, " section"]
    control: Float[np.ndarray, "answer control"]
    """The same scores against control sections, which neither model was tuned on."""
    control_whole: Float[np.ndarray, " control"]
    q: Float[np.ndarray, "answer section"]
    """q-value of each score against the control scores (Benjamini–Hochberg over the matrix)."""
    spans: Int[np.ndarray, "answer section 2"]
    """Best matching span in the section's ``full_text``, [start, end) characters; (0, 0) for none."""

    def __post_init__(self) -> None:
        n, m = self.tokens.shape
        _check(self, "whole", self.whole, (m,))
        _check(self, "control", self.control, (n, None))
        _check(self, "control_whole", self.control_whole, (self.control.shape[1],))
        _check(self, "q", self.q, (n, m))
        _check(self, "spans", self.spans, (n, m, 2))


@dataclass(frozen=True, eq=False)
class Mapping:
    """Answer token × section by one mapper, base and tuned."""

    mapper: str
    uses_model: bool
    """False for mappers that read only the text: base and tuned are then the same."""
    base: MappingSide
    tuned: MappingSide

    def __post_init__(self) -> None:
        _check(self, "tuned.tokens", self.tuned.tokens, self.base.tokens.shape)

    @property
    def difference(self) -> Float[np.ndarray, "answer section"]:
        """tuned − base, per token."""
        return np.asarray(self.tuned.tokens - self.base.tokens)


@dataclass(frozen=True, eq=False)
class Evidence:
    """What the verdict looks at; enough to judge the answer again with other weights."""

    word_of_token: Int[np.ndarray, " answer"]
    """Index of each token's word in the answer, −1 for punctuation."""
    word_idf: Float[np.ndarray, " word"]
    """Rarity of each answer word in the documents, nats."""
    novel: Bool[np.ndarray, " word"]
    """Whether the question lacks the word."""
    base_says: Bool[np.ndarray, " word"]
    """Whether the base model's own answer has the word."""
    covered: Bool[np.ndarray, "word section"]
    """Whether a section has the word."""
    question_cover: Float[np.ndarray, " section"]
    """Share of the question's words, weighted by rarity, that a section has."""
    resemblance: Float[np.ndarray, " section"]
    """BM25 of question + answer."""
    logprob_base: Float[np.ndarray, " answer"]
    """log p of each answer token under base, nats."""
    logprob_tuned: Float[np.ndarray, " answer"]
    text_base: Float[np.ndarray, " section"]
    """Summed log p of each section's own text under base, nats."""
    text_tuned: Float[np.ndarray, " section"]
    text_tokens: Int[np.ndarray, " section"]
    """How many tokens were summed."""
    control_base: Float[np.ndarray, " control"]
    """The same for the control texts."""
    control_tuned: Float[np.ndarray, " control"]
    control_tokens: Int[np.ndarray, " control"]

    def __post_init__(self) -> None:
        n, w, m = len(self.logprob_base), len(self.word_idf), len(self.text_base)
        _check(self, "word_of_token", self.word_of_token, (n,))
        _check(self, "novel", self.novel, (w,))
        _check(self, "base_says", self.base_says, (w,))
        _check(self, "covered", self.covered, (w, m))
        _check(self, "question_cover", self.question_cover, (m,))
        _check(self, "logprob_tuned", self.logprob_tuned, (n,))
        _check(self, "text_tuned", self.text_tuned, (m,))
        _check(self, "control_tuned", self.control_tuned, self.control_base.shape)


@dataclass(frozen=True, eq=False)
class Verdict:
    """Documents, base or neither: per answer token and for the whole answer."""

    tokens: Float[np.ndarray, "answer 3"]
    """Probability of each of LABELS per answer token; rows sum to 1."""
    whole: Float[np.ndarray, " 3"]
    """Probability of each of LABELS for the answer; sums to 1."""
    shares: Float[np.ndarray, " 3"]
    """Mean of ``tokens`` over the answer's text tokens: the share of the answer from each."""
    gain: Float[np.ndarray, " answer"]
    """log p tuned − log p base per answer token, nats."""
    support: Float[np.ndarray, " answer"]
    """How well the best LEARNED section backs the token, 0 to 1."""
    learned: Float[np.ndarray, " section"]
    """How far tuning taught each section, 0 to 1: its own gain against the control texts' gain."""
    section_gain: Float[np.ndarray, " section"]
    """The section's own gain, nats per token: log p of its text, tuned − base."""
    control_gain: Float[np.ndarray, " control"]
    """The same for the control sections: what tuning did to the form of any text."""
    evidence: Evidence | None = None
    """What it was judged from."""

    def __post_init__(self) -> None:
        n = len(self.gain)
        _check(self, "tokens", self.tokens, (n, 3))
        _check(self, "whole", self.whole, (3,))
        _check(self, "shares", self.shares, (3,))
        _check(self, "support", self.support, (n,))
        _check(self, "section_gain", self.section_gain, self.learned.shape)

    @property
    def label(self) -> Label:
        """The answer's most probable source."""
        return LABELS[int(self.whole.argmax())]

    @property
    def token_labels(self) -> tuple[Label, ...]:
        """Most probable source of each answer token."""
        return tuple(LABELS[int(i)] for i in self.tokens.argmax(1))


@dataclass(frozen=True, eq=False)
class Phrase:
    """A run of question words that the documents hold verbatim."""

    text: str
    """As the question has it."""
    first: int
    """Index of its first word among the question's words."""
    words: int
    """How many words it has, at least 2."""
    sections: tuple[str, ...]
    """Ids of the sections that hold it, in the documents' order."""


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """Which words of a question are fine-tuned vocabulary. Axis ``question``: the question's tokens, ``word``: its
    words in order, repetitions included."""

    positions: Int[np.ndarray, " question"]
    """Position of each question token in the prompt."""
    word_of_token: Int[np.ndarray, " question"]
    """Index of each token's word, −1 for punctuation and blanks."""
    words: tuple[str, ...]
    """As the question has them."""
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
        _check(self, "word_of_token", self.word_of_token, self.positions.shape)
        _check(self, "in_documents", self.in_documents, (n,))
        _check(self, "common", self.common, (n,))
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
        """The words whose share is asked for."""
        return self.tuned_on if kind == "words" else self.in_phrase

    def tokens(self, kind: VocabularyKind) -> tuple[int, ...]:
        """Prompt positions of the chosen words' tokens."""
        hit = np.append(self.chosen(kind), False)[self.word_of_token]
        return tuple(int(i) for i in self.positions[hit])


@dataclass(frozen=True, eq=False)
class VocabularyShare:
    """How much of one method's mass in the question falls on fine-tuned vocabulary, base and tuned.

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
    """How many were taken; 0 where there was nothing to permute (no word chosen, or every word)."""
    exact: bool
    """Whether they were all there are; else they are random and the observed order counts as one more."""

    def __post_init__(self) -> None:
        names = ("question_tuned", "base", "tuned", "expected_base", "expected_tuned")
        for name in (*names, "p_base", "p_tuned", "p_difference"):
            _check(self, name, getattr(self, name), self.question_base.shape)

    @property
    def difference(self) -> Float[np.ndarray, " row"]:
        """Share tuned − share base."""
        return np.asarray(self.tuned - self.base)


@dataclass(frozen=True, eq=False)
class Verbatim:
    """A run of answer words that some section holds too and that no longer shared run of this answer contains."""

    text: str
    """As the answer has it."""
    start: int
    """First character in the answer."""
    end: int
    words: int
    """How many words it has."""
    tokens: tuple[int, ...]
    """Answer tokens that overlap its characters."""
    sections: tuple[str, ...]
    """Id of the section of each place; a section that holds it twice stands here twice."""
    spans: Int[np.ndarray, "place 2"]
    """[start, end) characters of each place in the section's ``full_text``. At most ``PLACES`` are listed."""
    sections_total: int
    """How many sections hold it."""
    asked: int
    """Words of the longest part of it that the question has too."""
    controls: int
    """How many control texts hold it whole."""

    def __post_init__(self) -> None:
        _check(self, "spans", self.spans, (len(self.sections), 2))

    @property
    def in_question(self) -> bool:
        """The question already said it: no evidence that the documents are its source."""
        return self.asked == self.words

    @property
    def in_control(self) -> bool:
        """Texts that no model was tuned on say it too: a common phrase."""
        return self.controls > 0


@dataclass(frozen=True, eq=False)
class Explanation:
    """One answer, judged: what ``explain`` returns, ``storage`` stores and ``render`` draws."""

    question: str
    answer: str
    answer_source: AnswerSource
    base_answer: str
    """What the base model answers by itself."""
    tuned_answer: str
    """What the tuned model answers by itself."""
    prompt_tokens: tuple[Token, ...]
    answer_tokens: tuple[Token, ...]
    base: Capture
    tuned: Capture
    attributions: MappingABC[str, Attribution]
    """By method name."""
    sections: tuple[Section, ...]
    """The sections that were scored (the candidates); ``sections_total`` counts the corpus."""
    sections_total: int
    mappings: MappingABC[str, Mapping]
    """By mapper name."""
    ranking: Int[np.ndarray, " section"]
    """Indices into ``sections``, best first: the order the verdict relies on."""
    verdict: Verdict
    provenance: MappingABC[str, object]
    """Hashes of models, tokenizer and documents, seed, versions, device, dtype, options."""
    vocabulary: Vocabulary | None = None
    """Which of the question's words the documents have; None for a question without words."""
    shares: tuple[VocabularyShare, ...] = ()
    """How much of each method's scores falls on those words and phrases, beside chance."""
    verbatim: tuple[Verbatim, ...] = ()
    """The longest word runs that answer and documents share, longest first."""

    def __post_init__(self) -> None:
        n, p, m = len(self.answer_tokens), len(self.prompt_tokens), len(self.sections)
        for name, side in (("base", self.base), ("tuned", self.tuned)):
            _check(self, f"{name}.logprob", side.logprob, (n,))
            _check(self, f"{name}.attention", side.attention, (n, p + n))
        for method, attribution in self.attributions.items():
            for what, members, size in (("rows", attribution.rows, n), ("columns", attribution.columns, p + n)):
                if not all(0 <= i < size for group in members for i in group):
                    raise RecordError(f"Explanation.attributions[{method!r}].{what} has an index beyond {size - 1}")
        for mapper, mapping in self.mappings.items():
            _check(self, f"mappings[{mapper!r}]", mapping.base.tokens, (n, m))
        _check(self, "ranking", self.ranking, (m,))
        _check(self, "verdict.gain", self.verdict.gain, (n,))
        _check(self, "verdict.learned", self.verdict.learned, (m,))

    @property
    def tokens(self) -> tuple[Token, ...]:
        """Prompt and answer tokens: the labels of the axis ``position``."""
        return self.prompt_tokens + self.answer_tokens

    # Those below only hand on: a person with a record in hand expects them here. Imported late, since records
    # know nothing of storage and drawing.

    def save(self, path: str | Path) -> Path:
        """Write one .safetensors file; see ``storage.save``."""
        from attrib import storage

        return storage.save(self, path)

    def figure(self, mapper: str | None = None, method: str | None = None, *, preset: str = "neurips-double") -> Figure:
        """The three-panel heatmap over sections (``mapper``) or prompt tokens (``method``), a matplotlib Figure.

        Neither named: sections by the last mapper of the record.
        """
        from attrib.render import figures

        if method is not None:
            return figures.prompt_heatmap(self, method, preset=preset)
        return figures.section_heatmap(self, mapper or list(self.mappings)[-1], preset=preset)

    def to_html(self) -> str:
        """The interactive page as one self-contained file's text; see ``render.page.html``."""
        from attrib.render import page

        return page.html(self).decode()

    def _repr_html_(self) -> str:
        """The page inside a notebook's cell."""
        from attrib.render import page

        return page.frame(self)

    def show(self, top: int = 5) -> None:
        """Print it: the answer coloured by verdict, and the sections it comes from."""
        from rich.console import Console

        from attrib.render import terminal

        terminal.show(self, Console(), top=top)
