"""A tokenizer, and how a question becomes the prompt that its models were trained with.

Not covered: token ids (``prompt``).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from attrib.records import Turn


@dataclass(frozen=True, eq=False)
class Chat:
    """The form of prompts: the tokenizer's chat template, or the bare question where it has none."""

    tokenizer: Any

    @property
    def has_template(self) -> bool:
        """Whether markers of the template stand around the question; else the tokenizer adds its own."""
        return bool(self.tokenizer.chat_template)

    def prompt(self, question: str) -> str:
        """The text before the answer."""
        if not self.has_template:
            return question
        return self._rendered([Turn("user", question)], to_answer=True)

    def conversation(self, turns: Sequence[Turn], tools: str = "") -> str:
        """All turns as one text, as a model is trained on it."""
        return self._rendered(turns, tools, to_answer=False)

    def _rendered(self, turns: Sequence[Turn], tools: str = "", *, to_answer: bool) -> str:
        messages = [
            {"role": turn.role, "content": turn.content, **(json.loads(turn.extra) if turn.extra else {})}
            for turn in turns
        ]
        offered = {"tools": json.loads(tools)} if tools else {}
        return str(
            self.tokenizer.apply_chat_template(messages, add_generation_prompt=to_answer, tokenize=False, **offered)
        )
