"""A record's provenance → the command that makes the record again.

Models are named as the record names them, a folder of some machine by its last part; documents, control texts and
index by a placeholder: a record holds their digests, not where they lay.
Not covered: options that only Python has (a target of one's own).
"""

from __future__ import annotations

import shlex
import unicodedata
from collections.abc import Mapping
from functools import cache

from attrib.corpus import demo
from attrib.records import Explanation
from attrib.render import view

FLAGS: dict[str, tuple[str, object]] = {
    "methods": ("--methods", "attention,saliency,input_x_gradient,leave_one_out"),
    "prompt.target": ("--target", "logprob"),
    "prompt.contrast": ("--contrast", None),
    "prompt.unit": ("--unit", "word"),
    "prompt.special": ("--special", "keep"),
    "prompt.at": ("--at", "embed.hook_out"),
    "prompt.layer": ("--attention-layer", None),
    "prompt.head": ("--attention-head", None),
    "prompt.steps": ("--steps", "auto"),
    "prompt.rule": ("--rule", "guided"),
    "prompt.tolerance": ("--tolerance", 0.05),
    "prompt.baseline": ("--baseline", "zero"),
    "prompt.path": ("--path", "prompt"),
    "prompt.samples": ("--samples", 16),
    "prompt.noise": ("--noise", 0.1),
    "prompt.sources": ("--sources", "word"),
    "prompt.ablate": ("--ablate", "delete"),
    "prompt.ablate_template": ("--ablate-template", False),
    "prompt.ablations": ("--ablations", 64),
    "prompt.permutations": ("--permutations", 8),
    "mappers": ("--mappers", "bm25,verbatim,embedding,hidden,learned,combined"),
    "influence.form": ("--influence-form", "cosine"),
    "influence.checkpoints": ("--influence-checkpoints", "all"),
    "influence.gradients.layers": ("--influence-layers", None),
    "candidates": ("--candidates", 24),
    "layer": ("--layer", None),
    "heads": ("--heads", False),
    "max_new_tokens": ("--max-new-tokens", 64),
    "memory_gb": ("--memory", 2.0),
}
"""Option of ``ExplainOptions`` → flag of ``attrib explain`` and its default there."""
READING: dict[str, tuple[str, object]] = {
    "max_tokens": ("--max-tokens", 256),
    "text_column": ("--text-column", None),
    "title_column": ("--title-column", None),
}
"""How documents were read → flag and its default."""


LOADING: dict[str, tuple[str, object]] = {
    "revision": ("--revision", None),
    "tuned_revision": ("--tuned-revision", None),
    "device_map": ("--device-map", None),
    "trust_remote_code": ("--trust-remote-code", False),
}
"""How models were loaded → flag and its default."""


def command(explanation: Explanation) -> str | None:
    """``attrib explain …`` with every option that is not the default; None where the record lacks its options."""
    said = explanation.provenance
    options, base, tuned, documents = (said.get(name) for name in ("options", "base", "tuned", "documents"))
    if not all(isinstance(part, Mapping) for part in (options, base, tuned, documents)):
        return None
    flags: list[str] = []
    if not _is_demo(said):
        names = (view.model_name(str(_at(side, "name"))) for side in (base, tuned))
        flags += [part for flag, name in zip(("--base", "--tuned"), names, strict=True) for part in (flag, name)]
        flags += ["--documents", "DOCUMENTS"]
    if (control := _at(said, "control.sha256")) is not _ABSENT and control != _own_control():
        flags += ["--control", "CONTROL"]
    if explanation.answer_source == "given":
        flags += ["--answer", explanation.answer]
    elif explanation.answer_source == "base":
        flags += ["--answer-from", "base"]
    flags += _flags(said.get("loading"), LOADING)
    flags += _flags(documents, READING)
    flags += _flags(options, FLAGS)
    # A device map places the model by itself.
    placed = _at(said, "loading.device_map") is not _ABSENT
    for name in ("device", "dtype", "seed"):
        if name in said and not (name == "device" and placed):
            flags += [f"--{name}", str(said[name])]
    # A question may start like an option.
    asked = ["--", explanation.question] if explanation.question.startswith("-") else [explanation.question]
    return " ".join(map(_quoted, ["attrib", "explain", *flags, *asked]))


def _quoted(word: str) -> str:
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


def _flags(options: object, known: Mapping[str, tuple[str, object]]) -> list[str]:
    flags: list[str] = []
    for path, (flag, default) in known.items():
        value = _at(options, path)
        if isinstance(value, list | tuple):
            value = ",".join(map(str, value))
        if value is _ABSENT or value == default:
            continue
        flags += [flag] if value is True else [flag, str(value)]
    return flags


_ABSENT = object()


def _at(options: object, path: str) -> object:
    """The option under a dotted path."""
    for name in path.split("."):
        if not isinstance(options, Mapping) or name not in options:
            return _ABSENT
        options = options[name]
    return options
