"""The prompt that ``attrib tune`` trained with, kept beside the adapter in ``prompt.json``, so that it is asked again.

Only where it is more than the base's chat template. Not covered: adapters of other programs (``templates``).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from attrib.errors import InputError, ModelError
from attrib.files import write_atomically
from attrib.models.chat import Chat, PromptForm
from attrib.models.templates import Templates
from attrib.options.chat import TemplateOptions
from attrib.records import Turn
from attrib.records.codec import from_json, to_json

FILE = "prompt.json"
SOURCE = "chat template that the adapter was tuned with"


@dataclass(frozen=True)
class TunedPrompt:
    """What ``prompt.json`` holds."""

    template: str
    """Jinja; empty for none."""
    around: str
    """Text with ``{question}`` in it; empty for none."""
    variables: Mapping[str, str]
    """Options of the template, as JSON."""
    earlier: tuple[Turn, ...]
    date: str | None
    """What the template's clock showed; None for a template without one."""

    @classmethod
    def of(cls, chat: Chat) -> TunedPrompt:
        """The prompt's form in a chat."""
        form, date = chat.form, chat.provenance()["date"]
        variables = {name: json.dumps(value) for name, value in form.variables.items()}
        return cls(form.template.text, form.around, variables, form.earlier, str(date) if date is not None else None)


def write_prompt(chat: Chat, folder: Path) -> None:
    """Write ``prompt.json`` into an adapter's folder, where its prompt is more than the base's chat template."""
    if chat.identity:
        write_atomically(folder / FILE, (json.dumps(to_json(TunedPrompt.of(chat)), ensure_ascii=False) + "\n").encode())


def read_prompt(folder: Path | None) -> TunedPrompt | None:
    """The prompt beside an adapter, if it has one. Raises ModelError for a damaged file."""
    if folder is None or not (folder / FILE).is_file():
        return None
    try:
        found: TunedPrompt = from_json(TunedPrompt, json.loads((folder / FILE).read_text("utf-8")))
    except Exception as error:
        raise ModelError(f"{folder / FILE}: damaged ({error}); tune again, or remove it and give the prompt") from error
    return found


def merged(tuned: TunedPrompt, options: TemplateOptions, form: PromptForm) -> tuple[PromptForm, Templates | str | None]:
    """The form that is asked for, with the adapter's own in place of what is not given; its template, or ``none``.

    None where the template is given. Raises InputError for parts that cannot be added to a format.
    """
    if form.around:
        return form, None
    given = form.earlier
    date = form.date if options.template_date is not None or tuned.date is None else datetime.fromisoformat(tuned.date)
    form = replace(form, earlier=given or tuned.earlier, date=date)
    if options.template is not None:
        return form, None
    if tuned.around:
        if given or options.template_options or options.template_date is not None:
            raise InputError(
                f"prompt: the adapter was tuned with the format {tuned.around!r}; give the whole prompt by "
                "--prompt-format, or name another template with --template"
            )
        return replace(form, around=tuned.around), None
    variables = form.variables or {name: json.loads(value) for name, value in tuned.variables.items()}
    template = Templates.of(tuned.template, SOURCE)
    return replace(form, variables=variables), template if template is not None else "none"
