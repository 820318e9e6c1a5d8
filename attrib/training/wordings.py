"""Questions that are trained → the same in further wordings, by templates, so that an answer hangs less on one wording.

The templates are English and change how a question is put, not its words. Not covered: rewording by a model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from attrib.errors import InputError
from attrib.records import Item, Turn
from attrib.records.item import CHAT_ROLES

WORDINGS = (
    "Please tell me: {question}",
    "I have a question. {question}",
    "{question} Please answer briefly.",
    "Do you know the answer to this? {question}",
    "I would like to know: {question}",
    "Can you help me with this question: {question}",
    "{question} Thank you.",
    "Question: {question}",
)
"""Ways to put a question, in the order in which they are used."""


def reworded(items: Sequence[Item], count: int) -> tuple[Item, ...]:
    """The items, each question of a set (id ``q:…``) followed by ``count`` further wordings of it.

    A question that its answer follows directly, without a chat template, has no other wordings. A wording has the
    question's answer, section and earlier turns, and its id with ``~1``, ``~2`` …
    Raises InputError for a count that there are no templates for.
    """
    if not 0 <= count <= len(WORDINGS):
        raise InputError(f"paraphrase {count}: give the number of further wordings, 0 to {len(WORDINGS)}")
    found: list[Item] = []
    for item in items:
        found.append(item)
        if item.id.startswith("q:") and item.turns[-2].role == CHAT_ROLES[0]:
            found += [_reworded(item, number) for number in range(1, count + 1)]
    return tuple(found)


def _reworded(item: Item, number: int) -> Item:
    *earlier, asked, answered = item.turns
    content = WORDINGS[number - 1].format(question=asked.content.strip())
    return replace(item, id=f"{item.id}~{number}", turns=(*earlier, Turn(asked.role, content), answered))
