"""How a question becomes the prompt that the models read."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from attrib.errors import InputError
from attrib.options.fields import everyday


@dataclass(frozen=True)
class TemplateOptions:
    """The chat template, and what it is given."""

    template: str | None = everyday(None, "Prompt")
    """Chat template: a Jinja file, none, base, tuned, or a name where a model has several; default: the tuned
    model's, else the base's."""
    template_options: tuple[str, ...] = everyday((), "Prompt", flag="--template-option")
    """Variables of the template, comma-separated: enable_thinking=false."""
    template_date: str | None = everyday(None, "Prompt")
    """Date that the template writes, as 2025-01-31; default: today."""

    def __post_init__(self) -> None:
        self.variables()
        self.date()

    def variables(self) -> dict[str, object]:
        """Values by variable: JSON where they are JSON, else texts. Raises InputError for an option without a value."""
        found: dict[str, object] = {}
        for given in self.template_options:
            name, equals, value = given.partition("=")
            if not equals or not name.strip().isidentifier():
                raise InputError(f"template-option {given!r}: give NAME=VALUE, such as enable_thinking=false")
            if name.strip() in found:
                raise InputError(f"template-option {name.strip()}: it is given twice; leave one out")
            try:
                found[name.strip()] = json.loads(value)
            except ValueError:
                found[name.strip()] = value
        return found

    def date(self) -> datetime | None:
        """The fixed date. Raises InputError for what is none."""
        if self.template_date is None:
            return None
        try:
            return datetime.fromisoformat(self.template_date)
        except ValueError:
            raise InputError(f"template-date {self.template_date!r}: give a date as 2025-01-31") from None


@dataclass(frozen=True)
class ChatOptions(TemplateOptions):
    """Everything around the question: template or format, system prompt, earlier turns."""

    prompt_format: str | None = everyday(None, "Prompt")
    r"""Text around {question} instead of a chat template: "### Instruction:\n{question}\n### Response:\n"."""
    system: str | None = everyday(None, "Prompt")
    """System prompt."""
    conversation: Path | None = everyday(None, "Prompt")
    """Earlier turns: a JSON or JSONL file of messages; the question is the next user turn."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.prompt_format is None:
            return
        if self.prompt_format.count("{question}") != 1:
            raise InputError("prompt-format: it must hold {question} once, where the question stands")
        others = {
            "--template": self.template, "--template-option": self.template_options, "--system": self.system,
            "--template-date": self.template_date, "--conversation": self.conversation,
        }  # fmt: skip
        if vain := [flag for flag, value in others.items() if value not in (None, ())]:
            raise InputError(f"prompt-format: it is the whole prompt; write it out there and leave {vain[0]} out")

    @property
    def around(self) -> str:
        r"""The prompt's format, ``\n`` and ``\t`` read as a line end and a tab; empty without one."""
        return (self.prompt_format or "").replace("\\n", "\n").replace("\\t", "\t")
