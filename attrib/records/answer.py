"""Tokens of prompt and answer, sections of the documents, and one model's numbers for one answer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from attrib.records.checks import check_shape
from attrib.records.item import ASKING, BETWEEN_TURNS, Form, Item, Turn, form_of, text_of

_TITLE = 60
"""Characters of a question that stands for the title of a conversation."""


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
    """The section's text without its heading, as it stands in the document; of chat data the contents of all turns,
    joined by a blank line."""
    first_line: int
    """1-based line of the file where the text starts (row files: the row's number)."""
    last_line: int
    row: int | None = None
    """1-based row of a row file, page of a PDF or cell of a notebook; None where lines say where it is."""
    near_duplicate_of: str | None = None
    """Id of an earlier section with nearly the same text, else None."""
    turns: tuple[Turn, ...] = ()
    """Turns of a row of chat data, whose contents ``text`` joins; empty for a text."""
    tools: str = ""
    """Tools offered in the conversation, as JSON; empty without."""

    def __post_init__(self) -> None:
        if self.turns and self.text != text_of(self.turns):
            raise ValueError(f"section {self.id}: its text is not the contents of its {len(self.turns)} turns")

    @property
    def item(self) -> Item:
        """What a model learns from the section: its conversation, or heading and text."""
        if self.turns:
            return Item(self.id, self.turns, self.tools, self.id)
        return Item.plain(self.id, self.full_text, self.id)

    @property
    def form(self) -> Form:
        """Text, conversation or completion."""
        return form_of(self.turns)

    @property
    def title(self) -> str:
        """Title path in one line; else the first question of a conversation, shortened; else the document's name."""
        return " › ".join(self.titles) or self._question or self.document

    @property
    def _question(self) -> str:
        """First words of the first turn that asks, in one line; empty without one."""
        asked = next((t.content for t in self.turns if t.role in ASKING and t.content.strip()), "")
        line = " ".join(asked.split())
        if len(line) <= _TITLE:
            return line
        # A word of more than 60 characters, or a script without blanks, is cut where it stands.
        return f"{line[:_TITLE].rpartition(' ')[0] or line[:_TITLE]}…"

    @property
    def lines(self) -> str:
        """Its lines, ``L12–18``, or its row, ``row 5``; ``page 5`` of a PDF, ``cell 5`` of a notebook."""
        if self.row is not None:
            name = self.document.lower().removesuffix(".gz")
            unit = "page" if name.endswith(".pdf") else "cell" if name.endswith(".ipynb") else "row"
            return f"{unit} {self.row}"
        first = f"L{self.first_line}"
        return first if self.first_line == self.last_line else f"{first}–{self.last_line}"

    @property
    def full_text(self) -> str:
        """Heading and text, as the mappers and ``tune`` see the section."""
        return f"{self.titles[-1]}\n{self.text}" if self.titles else self.text

    @property
    def turn_spans(self) -> tuple[tuple[Turn, int, int], ...]:
        """Each turn with the [start, end) characters of its content in ``full_text``; none for a text."""
        at, found = len(self.full_text) - len(self.text), []
        for turn in self.turns:
            found.append((turn, at, at + len(turn.content)))
            at += len(turn.content) + len(BETWEEN_TURNS)
        return tuple(found)


@dataclass(frozen=True, eq=False)
class Capture:
    """One model's numbers for one answer under teacher forcing.

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
    """Layers that ``hidden`` holds; negative numbers are resolved."""

    def __post_init__(self) -> None:
        n = len(self.logprob)
        check_shape(self, "rank", self.rank, (n,))
        check_shape(self, "entropy", self.entropy, (n,))
        check_shape(self, "attention", self.attention, (n, None))
        check_shape(self, "heads", self.heads, (None, None, n, None))
        check_shape(self, "hidden", self.hidden, (len(self.layers), None, None))
