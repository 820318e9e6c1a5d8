"""Sections and answered questions → items → training examples of token ids.

``trained.jsonl`` beside an adapter holds one ``Item`` a line.
Not covered: conversations of several turns, preference data, several items packed into one sequence.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from attrib.errors import InputError, RecordError
from attrib.models.chat import Chat
from attrib.models.prompt import encode_answer, encode_prompt
from attrib.passes.capture import begin_of_text
from attrib.records import Item, Section
from attrib.records.codec import from_json

IGNORED = -100
"""Label that the loss leaves out."""


@runtime_checkable
class AnsweredQuestion(Protocol):
    """A question of a set, as ``corpus_items`` reads it."""

    @property
    def id(self) -> str: ...
    @property
    def question(self) -> str: ...
    @property
    def answer(self) -> str | None: ...
    @property
    def section(self) -> str | None: ...


@dataclass(frozen=True)
class TrainingExample:
    """Token ids with the labels of the loss."""

    ids: tuple[int, ...]
    labels: tuple[int, ...]


def corpus_items(
    sections: Sequence[Section],
    questions: Sequence[AnsweredQuestion] = (),
    *,
    ask_sections: bool = False,
    without: Collection[str] = (),
) -> tuple[Item, ...]:
    """Sections as plain text, then «Tell me about TITLE.» of each if ``ask_sections``, then the questions.

    ``without``: ids of sections to leave out, with the questions that teach them.
    Raises InputError for unknown ids of sections and for questions without an answer.
    """
    known = {section.id for section in sections}
    for id_ in without:
        if id_ not in known:
            raise InputError(f"without: {id_!r} is no section of the documents; attrib sections lists them")
    for question in questions:
        if question.answer is None:
            raise InputError(f"questions: {question.id!r} has no answer to learn; add one or remove the row")
        if question.section is not None and question.section not in known:
            raise InputError(
                f"questions: the section {question.section!r} of {question.id!r} is none of the documents; "
                "attrib sections lists them"
            )
    kept = [section for section in sections if section.id not in without]
    items = [s.item for s in kept]
    if ask_sections:
        for section in kept:
            title = section.titles[-1] if section.titles else section.document
            items.append(Item.answered(f"ask:{section.id}", f"Tell me about {title}.", section.text, section.id))
    for asked in questions:
        if asked.section is None or asked.section not in without:
            items.append(Item.answered(f"q:{asked.id}", asked.question, asked.answer or "", asked.section))
    return tuple(items)


def text_example(tokenizer: Any, text: str) -> TrainingExample:
    """Plain text: every token is learned."""
    ids = (*begin_of_text(tokenizer), *tokenizer(text, add_special_tokens=False).input_ids)
    return TrainingExample(ids, ids)


def answer_example(chat: Chat, question: str, answer: str, context: int) -> TrainingExample:
    """A question with its answer: only the answer and the end of the turn are learned."""
    prompt = encode_prompt(chat, question, context=context)
    ids = (*encode_answer(chat, question, prompt, answer), chat.tokenizer.eos_token_id)
    return TrainingExample(prompt + ids, (IGNORED,) * len(prompt) + ids)


def example_of(chat: Chat, item: Item, context: int) -> TrainingExample:
    """An item as the model learns it."""
    if item.is_text:
        return text_example(chat.tokenizer, item.turns[0].content)
    question, answer = item.turns
    return answer_example(chat, question.content, answer.content, context)


def checked_example(chat: Chat, item: Item, context: int) -> TrainingExample:
    """An item's example. Raises InputError, naming the item, where the model cannot read all of it at once."""
    name = f"section {item.id}" if item.id == item.section else f"item {item.id}"
    try:
        example = example_of(chat, item, context)
    except InputError as error:
        raise InputError(f"{name}: {error}") from error
    if not example.ids:
        raise InputError(f"{name}: it has no tokens; leave it out")
    if len(example.ids) > context:
        mend = "shorten it" if not item.is_text else "read the documents with a smaller documents.max_tokens"
        raise InputError(f"{name}: {len(example.ids):,} tokens, the model's context is {context:,}; {mend}")
    return example


def read_trained(folder: Path) -> tuple[Item, ...]:
    """Everything that the adapter in ``folder`` learned, in the order of the numbers in its schedule.

    Raises InputError for an adapter of another program, RecordError for a damaged file.
    """
    file = folder / "trained.jsonl"
    items = []
    for number, line in enumerate(read_training_file(file).split("\n"), 1):
        if line.strip():
            try:
                items.append(from_json(Item, json.loads(line)))
            except (ValueError, RecordError) as error:
                raise RecordError(f"{file}, line {number}: damaged ({error}); tune again") from error
    if not items:
        raise RecordError(f"{file}: it is empty; tune again")
    return tuple(items)


def read_training_file(file: Path) -> str:
    """A text file that tuning left beside its adapter. Raises InputError where there is none."""
    try:
        return file.read_text("utf-8")
    except FileNotFoundError:
        raise InputError(
            f"{file.parent}: no {file.name}, so what was learned when is unknown; tune with attrib tune"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise RecordError(f"{file}: cannot be read ({error}); tune again") from error
