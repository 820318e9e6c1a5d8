"""Sections and answered questions → items → training examples of token ids.

Not covered: preference data, several items packed into one sequence.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

import numpy as np

from attrib.corpus.control import question_about
from attrib.errors import InputError
from attrib.models.chat import Chat
from attrib.models.rendering import IGNORED, encode_item
from attrib.records import Item, Section, Turn


@runtime_checkable
class AnsweredQuestion(Protocol):
    """A question of a set, as ``corpus_items`` reads it."""

    @property
    def id(self) -> str: ...
    @property
    def answer(self) -> str | None: ...
    @property
    def section(self) -> str | None: ...
    def item(self, id: str) -> Item: ...


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
    earlier: Sequence[Turn] = (),
) -> tuple[Item, ...]:
    """Sections as texts and conversations, «Tell me about TITLE.» of each text if ``ask_sections``, then the questions.

    ``without``: ids of sections to leave out, with the questions that teach them. ``earlier``: system prompt and turns
    that stand before every question that has none of its own.
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
            if section.turns:
                continue
            asked_for = Item.answered(f"ask:{section.id}", question_about(section), section.text, section.id)
            items.append(after(earlier, asked_for))
    for asked in questions:
        if asked.section is None or asked.section not in without:
            items.append(after(earlier, asked.item(f"q:{asked.id}")))
    return tuple(items)


def hold_out(
    sections: Sequence[Section], questions: Sequence[AnsweredQuestion], share: float, *, seed: int = 0
) -> tuple[str, ...]:
    """Ids of about ``share`` of the sections, drawn by ``seed``, in their order: at least one, and not all.

    Sections that a question teaches and those that none does are drawn in the same share, near-duplicates together.
    Raises InputError for a share outside 0 to 1 and for documents that leave nothing to hold out or to learn.
    """
    if not 0 < share < 1:
        raise InputError(f"hold-out {share:g}: give the share of the sections to keep from training, such as 0.1")
    groups: dict[str, list[str]] = {}
    leader: dict[str, str] = {}
    for section in sections:
        twin = section.near_duplicate_of
        leader[section.id] = leader.get(twin, section.id) if twin is not None else section.id
        groups.setdefault(leader[section.id], []).append(section.id)
    asked = {question.section for question in questions}
    strata = [[group for group in groups.values() if asked.isdisjoint(group) is unasked] for unasked in (False, True)]
    wanted = [round(share * sum(map(len, stratum))) for stratum in strata]
    if not any(wanted):
        wanted[0 if strata[0] else 1] = 1
    held: set[str] = set()
    rng = np.random.default_rng(seed)
    for stratum, most in zip(strata, wanted, strict=True):
        room = most
        for number in rng.permutation(len(stratum)).tolist():
            if len(stratum[number]) <= room:
                held.update(stratum[number])
                room -= len(stratum[number])
    if not held or len(held) == len(sections):
        raise InputError(
            f"hold-out {share:g}: of {len(sections)} sections, near-duplicates taken together, "
            f"{'all' if held else 'none'} would be held out; give another share or more documents"
        )
    return tuple(section.id for section in sections if section.id in held)


def answer_numbers(items: Sequence[Item]) -> list[int]:
    """Numbers of the items that teach an answer: chat data and questions, neither texts nor «Tell me about TITLE.»."""
    return [number for number, item in enumerate(items) if not (item.is_text or item.id.startswith("ask:"))]


def after(earlier: Sequence[Turn], item: Item) -> Item:
    """The item after these turns, where it begins with its question; one of several turns after their system prompt."""
    if item.turns[0].role != "user":
        return item
    kept = earlier if len(item.turns) == 2 else [turn for turn in earlier if turn.role == "system"]
    return replace(item, turns=(*kept, *item.turns))


def example_of(chat: Chat, item: Item) -> TrainingExample:
    """An item as the model learns it; InputError as ``encode_item`` raises it."""
    found = encode_item(chat, item)
    return TrainingExample(found.ids, found.labels)


def checked_example(chat: Chat, item: Item, context: int) -> TrainingExample:
    """An item's example. Raises InputError, naming the item, where the model cannot read all of it at once."""
    name = f"section {item.id}" if item.id == item.section else f"item {item.id}"
    if item.id == item.section and not item.is_text:
        # People know a row by its words.
        name = f"{name}, {item.text[:40]!r}"
    try:
        example = example_of(chat, item)
    except InputError as error:
        raise InputError(f"{name}: {error}") from error
    if not example.ids:
        raise InputError(f"{name}: it has no tokens; leave it out")
    if len(example.ids) > context:
        mend = "shorten it" if not item.is_text else "read the documents with a smaller documents.max_tokens"
        raise InputError(f"{name}: {len(example.ids):,} tokens, the model's context is {context:,}; {mend}")
    return example


def collate(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Rows of ids and labels as one batch, padded on the right; the mask, never a token id, marks padding."""
    import torch

    width = max(len(row["input_ids"]) for row in rows)

    def padded(key: str, fill: int) -> Any:
        return torch.tensor([[*row[key], *[fill] * (width - len(row[key]))] for row in rows])

    mask = [[1] * len(row["input_ids"]) + [0] * (width - len(row["input_ids"])) for row in rows]
    return {
        "input_ids": padded("input_ids", 0),
        "labels": padded("labels", IGNORED),
        "attention_mask": torch.tensor(mask),
    }
