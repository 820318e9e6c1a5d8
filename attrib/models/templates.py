"""Chat templates: where a model or adapter keeps them, and which one a prompt gets.

Not covered: how one is rendered (``jinja``), several templates of one hub repository beside its default.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from attrib.errors import InputError, ModelError
from attrib.models.sources import ModelSource
from attrib.options.chat import TemplateOptions

DEFAULT_NAME = "default"
WITH_TOOLS = "tool_use"
"""Name of the template that transformers takes for conversations with tools."""
A_FILE = "<file>"
"""Stands in ``ChosenTemplate.named`` for a file: a record does not say where files lay."""


@dataclass(frozen=True)
class Templates:
    """The chat templates of one model or adapter."""

    by_name: Mapping[str, str]
    source: str
    """Where they are, in words."""

    @classmethod
    def of(cls, value: object, source: str) -> Templates | None:
        """From what a tokenizer or its configuration holds: one template, or several by name; None for none."""
        if isinstance(value, str) and value:
            return cls({DEFAULT_NAME: value}, source)
        if isinstance(value, list):
            value = {one.get("name"): one.get("template") for one in value if isinstance(one, dict)}
        if not isinstance(value, Mapping):
            return None
        named = {str(name): text for name, text in value.items() if isinstance(text, str) and text}
        return cls(named, source) if named else None

    @property
    def value(self) -> str | dict[str, str]:
        """As a tokenizer holds them."""
        return self.by_name[DEFAULT_NAME] if set(self.by_name) == {DEFAULT_NAME} else dict(self.by_name)

    def choice(self, name: str = "") -> ChosenTemplate:
        """The template of this name, or the default with the one for tools. Raises InputError where there is none."""
        if name:
            return ChosenTemplate(f"template {name!r}, {self.source}", self.by_name[name], named=name)
        if DEFAULT_NAME not in self.by_name:
            raise InputError(
                f"template: there are several, none of them the default ({self.source}); name one with --template: "
                f"{', '.join(sorted(self.by_name))}"
            )
        return ChosenTemplate(self.source, self.by_name[DEFAULT_NAME], self.by_name.get(WITH_TOOLS, ""))


@dataclass(frozen=True)
class ChosenTemplate:
    """The template of a prompt."""

    source: str = "none"
    """Where it comes from, in words."""
    text: str = ""
    """Jinja; empty for the bare question."""
    with_tools: str = ""
    """Another one, for conversations with tools; empty without."""
    named: str = ""
    """What ``--template`` asked for: none, base, tuned or a name; ``A_FILE`` for a file, empty for the default."""


def choose(options: TemplateOptions, tuned: Templates | None, base: Templates | None) -> ChosenTemplate:
    """The template that is asked for; by default the tuned model's, else the base's, else none.

    Raises InputError for a template that is not there and for a file that cannot be read.
    """
    name, own = options.template, tuned or base
    if name is None:
        return own.choice() if own is not None else ChosenTemplate()
    if name == "none":
        return ChosenTemplate("none, as asked", named=name)
    if name in ("base", "tuned"):
        side = base if name == "base" else tuned
        if side is None:
            raise InputError(f"template: the {name} model has no chat template of its own; name a file, or none")
        return replace(side.choice(), named=name)
    if own is not None and name in own.by_name:
        return own.choice(name)
    return ChosenTemplate(Path(name).name, read_template(name, own), named=A_FILE)


def read_template(name: str, own: Templates | None = None) -> str:
    """The text of a template's file. Raises InputError that says what may be named."""
    file = Path(name)
    if not file.is_file():
        names = ["none", "base", "tuned", *(own.by_name if own is not None else ())]
        raise InputError(f"template {name!r}: no such file; name a Jinja file, or one of {', '.join(names)}")
    try:
        text = file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{name}: cannot be read as a template ({error}); write it in UTF-8") from error
    if not text.strip():
        raise InputError(f"{name}: the template is empty; give --template none for the bare question")
    return text


def adapter_templates(source: ModelSource) -> Templates | None:
    """Templates beside an adapter: in its folder, or in its repository on the hub.

    Raises ModelError where a file that should hold one is damaged.
    """
    place = "the adapter's folder" if source.is_local else "the adapter's hub repository"
    config = source.file("tokenizer_config.json")
    found: dict[str, str] = {}
    if config is not None:
        stored = Templates.of(_json(config, source).get("chat_template"), "")
        found |= stored.by_name if stored is not None else {}
    older = source.file("chat_template.json")
    if older is not None and (stored := Templates.of(_json(older, source).get("chat_template"), "")) is not None:
        found |= stored.by_name
    if source.folder is not None:
        for file in sorted((source.folder / "additional_chat_templates").glob("*.jinja")):
            found[file.stem] = _text(file, source)
    alone = source.file("chat_template.jinja")
    if alone is not None and (text := _text(alone, source)):
        found[DEFAULT_NAME] = text
        if config is None:
            return Templates(found, f"chat_template.jinja in {place}")
    return Templates(found, f"chat template in {place}") if found else None


def unknown_template(source: ModelSource) -> tuple[str, ...]:
    """A note where the hub could not be asked whether an adapter has a template of its own; else empty."""
    if source.is_local:
        return ()
    from huggingface_hub import try_to_load_from_cache

    names = ("chat_template.jinja", "tokenizer_config.json")
    # A text for a file, a mark for one that is known not to be there, None for what was never asked.
    if any(try_to_load_from_cache(source.path, name, revision=source.revision) is not None for name in names):
        return ()
    return (
        f"{source.name}: the hub was not reached, so whether the adapter has a chat template of its own is unknown; "
        "connect once, or name it with --template FILE",
    )


def _text(file: Path, source: ModelSource) -> str:
    try:
        return file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(f"{source.name}: {file.name} cannot be read ({error}); save it again in UTF-8") from error


def _json(file: Path, source: ModelSource) -> dict[str, object]:
    try:
        content = json.loads(_text(file, source))
    except ValueError as error:
        raise ModelError(f"{source.name}: {file.name} is not JSON ({error}); save the tokenizer again") from error
    return content if isinstance(content, dict) else {}
