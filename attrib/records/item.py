"""What was trained: a conversation whose trained turns are marked, or a plain text.

Not covered: how an item becomes token ids (``models.rendering``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Literal

from attrib.errors import RecordError

BETWEEN_TURNS = "\n\n"
"""Separator of two turns in ``Item.text``."""
TEXT = "text"
"""Role of the only turn of a plain text."""
PROMPT = "prompt"
"""Role of a text that its completion follows directly, without a chat template: the only turn before it."""
COMPLETION = "completion"
"""Role of the trained text after a ``PROMPT``."""
RAW_ROLES = (PROMPT, COMPLETION)
"""Roles of a question and its answer that are glued as they stand."""
CHAT_ROLES = ("user", "assistant")
"""Roles of a question and its answer in a conversation."""
ASKING, ANSWERING = (CHAT_ROLES[0], PROMPT), (CHAT_ROLES[1], COMPLETION)
"""Roles of turns that ask, and of turns that answer."""
Form = Literal["text", "conversation", "completion"]
FORMS: tuple[Form, Form, Form] = ("text", "conversation", "completion")
"""What an item is: a plain text, turns of a conversation, or a completion that follows its prompt directly."""


@dataclass(frozen=True)
class Turn:
    """One turn of a conversation."""

    role: str
    """system, user, assistant, tool, or another role that the chat template knows; ``text`` for a plain text;
    ``prompt`` and ``completion`` for two texts that are glued as they stand."""
    content: str
    trained: bool = False
    """Whether the loss was on its tokens."""
    extra: str = ""
    """Other fields of the message as JSON, such as ``tool_calls``, handed to the chat template; empty without."""


def text_of(turns: Sequence[Turn]) -> str:
    """Contents of all turns, joined by a blank line."""
    return BETWEEN_TURNS.join(turn.content for turn in turns)


def form_of(turns: Sequence[Turn]) -> Form:
    """The form of these turns; a section without turns is a text."""
    if not turns or (len(turns) == 1 and turns[0].role == TEXT):
        return "text"
    return "completion" if all(turn.role in RAW_ROLES for turn in turns) else "conversation"


@dataclass(frozen=True)
class Item:
    """One thing that was trained: a conversation, or a plain text."""

    id: str
    turns: tuple[Turn, ...]
    tools: str = ""
    """Tools offered in the conversation, as JSON; empty without."""
    section: str | None = None
    """Id of the section that it teaches, if any."""
    ids: tuple[int, ...] = ()
    """Token ids as a recorded run saw them, truncation included; empty where they follow from the turns."""
    labels: tuple[int, ...] = ()
    """The label of each of ``ids``: the id, or −100 where the loss left it out."""

    def __post_init__(self) -> None:
        if len(self.ids) != len(self.labels):
            raise RecordError(f"item {self.id}: {len(self.ids)} ids, {len(self.labels)} labels")

    @classmethod
    def plain(cls, id: str, text: str, section: str | None = None) -> Item:
        """A text of which every token is trained."""
        return cls(id, (Turn(TEXT, text, trained=True),), section=section)

    @classmethod
    def answered(cls, id: str, question: str, answer: str, section: str | None = None) -> Item:
        """A question whose answer is trained."""
        return cls(id, (Turn("user", question), Turn("assistant", answer, trained=True)), section=section)

    @property
    def form(self) -> Form:
        """Which of FORMS it is."""
        return form_of(self.turns)

    @property
    def is_text(self) -> bool:
        """Whether it is a plain text rather than a conversation."""
        return self.form == "text"

    @property
    def text(self) -> str:
        """Contents of all turns, joined by a blank line."""
        return text_of(self.turns)

    @property
    def starts(self) -> tuple[int, ...]:
        """First character of each turn's content in ``text``."""
        lengths = (len(turn.content) + len(BETWEEN_TURNS) for turn in self.turns[:-1])
        return tuple(accumulate(lengths, initial=0))
