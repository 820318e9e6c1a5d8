"""A record's provenance → the command, and the file of options, that make the record again.

Documents, control texts, index and files of the prompt are placeholders: a record does not say where they lay. In the
command, which the page shows, models on some machine are named by the last part of their folder.
Not covered: options that only Python has (a target or spans of one's own).
"""

from __future__ import annotations

import json
import shlex
import unicodedata
from collections.abc import Iterator, Mapping
from functools import cache

from attrib.corpus import demo
from attrib.models.templates import A_FILE
from attrib.options.chat import ChatOptions
from attrib.options.explain import ExplainedAnswer, ExplainOptions
from attrib.options.fields import Option, options_of, written
from attrib.options.loading import IndexedDocuments, Models
from attrib.records import Explanation
from attrib.render import view

Setting = tuple[Option, object]
"""An option and the value that the record has for it."""


def command(explanation: Explanation) -> str | None:
    """``attrib explain …`` with every option that is not the default; None where the record lacks its options."""
    said = explanation.provenance
    if not _is_complete(said):
        return None
    words = ["attrib", "explain"]
    for option, value in _settings(explanation):
        names_model = option.key in ("models.base", "models.tuned")
        # Where and in which numbers it ran is said always: the defaults depend on the machine.
        always = option.key in ("models.device", "models.dtype", "explain.seed")
        if value != option.default or always:
            words += option_words(option, view.model_name(str(value)) if names_model else value)
    # A question may start like an option.
    question = explanation.question
    words += ["--", question] if question.startswith("-") else [question]
    return " ".join(map(quoted, words))


def options_file(explanation: Explanation) -> str:
    """TOML for ``attrib explain QUESTION --options FILE``: every option of the run, defaults included."""
    lines = [
        f"# attrib explain {quoted(explanation.question)} --options THIS_FILE",
        "# The record holds digests of documents, control texts and index, not where they lay: fill in what is open.",
    ]
    group = ""
    for option, value in _settings(explanation) if _is_complete(explanation.provenance) else ():
        if option.group != group:
            group = option.group
            lines += ["", f"[{group}]"]
        if value is PLACE:
            lines.append(f'# {option.name} = "…"')
        elif value is not None:
            lines.append(f"{option.name} = {_toml(value)}")
    return "\n".join(lines) + "\n"


class _Place:
    """Stands for a path that the record does not know."""


PLACE = _Place()


def _settings(explanation: Explanation) -> Iterator[Setting]:
    """Every option that the record knows or that must be filled in, in the order of the help."""
    said = explanation.provenance
    is_demo, own_control = _is_demo(said), _at(said, "control.sha256") in (_ABSENT, _own_control())
    # A device map places the model by itself.
    placed = _at(said, "loading.device_map") not in (_ABSENT, None)
    known: dict[str, object] = {
        "models.base": _ABSENT if is_demo else _at(said, "base.name"),
        "models.tuned": _ABSENT if is_demo else _at(said, "tuned.name"),
        "models.device": _ABSENT if placed else _at(said, "device"),
        "models.dtype": _at(said, "dtype"),
        "documents.path": _ABSENT if is_demo else PLACE,
        "documents.control": _ABSENT if own_control else PLACE,
        "answer.text": explanation.answer if explanation.answer_source == "given" else _ABSENT,
        "answer.source": "base" if explanation.answer_source == "base" else _ABSENT,
        **{f"answer.{kind}": _tuned_otherwise(explanation, kind) for kind in ("without", "only")},
    }
    for option in options_of(Models, "models"):
        yield from _known(option, known.get(option.key, _at(said, f"loading.{option.name}")))
    for option in options_of(IndexedDocuments, "documents"):
        yield from _known(option, known.get(option.key, _at(said, f"documents.{option.name}")))
    for option in options_of(ExplainedAnswer, "answer"):
        yield from _known(option, known[option.key])
    prompt = _prompt(said)
    for option in options_of(ChatOptions, "chat"):
        yield from _known(option, prompt.get(option.name, _ABSENT))
    recorded = sorted(options_of(ExplainOptions(), "explain"), key=lambda option: len(option.path) > 1)
    for option in recorded:
        yield from _known(option, _at(said, f"options.{'.'.join(option.path)}"))


def _tuned_otherwise(explanation: Explanation, kind: str) -> object:
    """Ids of the sections that the record's counterfactual of this kind is about."""
    return next((found.sections for found in explanation.counterfactuals if found.kind == kind), _ABSENT)


def _prompt(said: Mapping[str, object]) -> dict[str, object]:
    """Options of the prompt that the record knows; files of templates and of turns are placeholders."""
    earlier, variables, date = (_at(said, f"prompt.{name}") for name in ("conversation", "options", "date"))
    found: dict[str, object] = {}
    if isinstance(template := _at(said, "prompt.template"), str):
        found["template"] = PLACE if template == A_FILE else template
    if isinstance(variables, Mapping) and variables:
        found["template_options"] = tuple(
            f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in variables.items()
        )
    if isinstance(date, str):
        found["template_date"] = date
    if earlier:
        found["conversation"] = PLACE
    elif isinstance(system := _at(said, "prompt.system"), str):
        found["system"] = system
    if isinstance(around := _at(said, "prompt.format"), str):
        found["prompt_format"] = around
    return found


def _known(option: Option, value: object) -> Iterator[Setting]:
    if isinstance(value, list | tuple):
        if any(isinstance(part, list | tuple) for part in value):
            return
        value = tuple(value)
    if value is not _ABSENT:
        yield option, value


def option_words(option: Option, value: object) -> list[str]:
    """The option as it is typed."""
    text = option.name.upper() if option.name != "path" else "DOCUMENTS"
    text = text if value is PLACE else written(value)
    if not option.flag:
        return ["-o", f"{option.key}={text}"]
    return [option.flag] if value is True else [option.flag, text]


def _toml(value: object) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(map(_toml, value))}]"
    # TOML wants this character escaped; JSON does not.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _is_complete(said: Mapping[str, object]) -> bool:
    return all(isinstance(said.get(name), Mapping) for name in ("options", "base", "tuned", "documents"))


def quoted(word: str) -> str:
    """A word of a shell's line. One with characters that act or are not seen names them (``$'…'``, bash and zsh): what
    is copied is what is read."""
    if not any(map(_is_unseen, word)):
        return shlex.quote(word)
    return "$'" + "".join(_escaped(char) for char in word) + "'"


def _is_unseen(char: str) -> bool:
    return char == "\ufe0f" or (char != " " and unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp", "Zs"))


def _escaped(char: str) -> str:
    if _is_unseen(char):
        return "".join(f"\\x{byte:02x}" for byte in char.encode("utf-8", "surrogatepass"))
    return f"\\{char}" if char in "\\'" else char


def _is_demo(said: Mapping[str, object]) -> bool:
    """Whether models and documents are those that are taken where none are named."""
    names = (_at(said, "base.name"), _at(said, "tuned.name"))
    files = _at(said, "documents.files")
    return (
        names == ("smollm2-135m-instruct", "demo")
        and isinstance(files, list | tuple)
        and list(files) == _own_documents()
    )


@cache
def _own_documents() -> list[dict[str, str]]:
    return [{"name": name, "sha256": digest} for name, digest in demo.corpus().documents]


@cache
def _own_control() -> str:
    return demo.control().sha256


_ABSENT = object()


def _at(options: object, path: str) -> object:
    """The option under a dotted path."""
    for name in path.split("."):
        if not isinstance(options, Mapping) or name not in options:
            return _ABSENT
        options = options[name]
    return options
