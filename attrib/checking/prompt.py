"""The prompt, whole, and one row of the data as it was trained.

Not covered: whether an answer follows the prompt as the template writes it (``models.law``, for every prompt).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby

from attrib.errors import InputError
from attrib.models.chat import Chat
from attrib.models.prompt import decode, encode_prompt
from attrib.models.rendering import IGNORED, encode_item
from attrib.records import Section
from attrib.records.item import ASKING

PLACEHOLDER = "QUESTION"


@dataclass(frozen=True)
class ShownPrompt:
    """The prompt of one question, and the row that the question is of."""

    source: str
    """Where its form comes from, in words."""
    question: str
    """The row's, or QUESTION where the data asks nothing."""
    text: str
    """The text before the answer."""
    row: str
    """Document and row; empty where the data asks nothing."""
    trained: tuple[tuple[str, bool], ...]
    """The row as it was trained: pieces of its text, and whether the loss was on them; empty without a row."""
    missing_system: str
    """System prompt of the row that the prompt lacks; empty without one."""


def show_prompt(chat: Chat, section: Section | None, context: int) -> ShownPrompt:
    """The prompt of the section's question, or of a placeholder. Raises InputError as ``encode_prompt`` does."""
    asked = question_of(section) if section is not None else ""
    question = asked or PLACEHOLDER
    encode_prompt(chat, question, context=context)
    row = f"{section.document} {section.lines}" if section is not None and asked else ""
    pieces = trained_pieces(chat, section) if section is not None and section.turns else ()
    text = chat.prompt(question)
    system = next((turn.content for turn in section.turns if turn.role == "system"), "") if section is not None else ""
    missing = system if chat.has_template and system.strip() not in text else ""
    return ShownPrompt(chat.source, question, text, row, pieces, missing)


def question_of(section: Section) -> str:
    """The turn before the first trained one that asks; empty without one."""
    asked = ""
    for turn in section.turns:
        if turn.trained:
            break
        if turn.role in ASKING and turn.content.strip():
            asked = turn.content
    return asked


def trained_pieces(chat: Chat, section: Section) -> tuple[tuple[str, bool], ...]:
    """The section's item as one text, in pieces with and without loss. Raises InputError, naming the section, where it
    cannot be written as it was trained."""
    try:
        encoded = encode_item(chat, section.item)
    except InputError as error:
        raise InputError(f"{section.document} {section.lines}: {error}") from error
    pairs = zip(encoded.ids, encoded.labels, strict=True)
    runs = groupby(pairs, key=lambda pair: pair[1] != IGNORED)
    return tuple((decode(chat.tokenizer, [id_ for id_, _ in run]), learned) for learned, run in runs)
