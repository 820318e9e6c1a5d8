"""Whether a base is the one that an adapter was tuned on, as far as that can be known.

The rule: weights decide where they can be compared (``attrib.json`` beside the adapter has their digest, or the folder
that the adapter names is here); else the last parts of both names must agree, marks of format and quantisation aside.
A name that tells nothing (base, model, checkpoint-10) is noted, not refused.
Not covered: bases of full fine-tunes, which name none that can be trusted.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from attrib.errors import ModelError
from attrib.models.fingerprint import fingerprint
from attrib.models.sources import ModelSource, resolve

_QUANTISED = re.compile(r"[-_.](unsloth|bnb|[48]bit|gptq|awq|int[48]|fp8|i?q\d(_[a-z0-9]+)*)$")
_FORMAT = re.compile(r"[-_.](gguf|hf|b?f16|fp16|f32|fp32)$")
_TELLS_NOTHING = re.compile(
    r"|\.+|[0-9a-f]{7,64}|"
    r"(base|model|models|checkpoint|ckpt|final|last|best|latest|merged|output|outputs|out|weights|pretrained)"
    r"([-_]?(base|model|weights|dir|folder))?[-_]?\d*"
)


def own_base(source: ModelSource, config: dict[str, Any] | None, revision: str | None) -> ModelSource:
    """The base that the adapter names, for when none was named; ``revision`` goes before the adapter's.

    Raises ModelError where there is none, or it is not on this machine.
    """
    if config is None:
        raise ModelError(f"{source.name}: it is a full model, so its base must be named; add --base")
    named = config.get("base_model_name_or_path")
    if not named:
        raise ModelError(f"{source.name}: the adapter does not name its base model; add --base")
    if re.match(r"[./~\\]|[A-Za-z]:[\\/]", str(named)) and not Path(str(named)).exists():
        raise ModelError(
            f"{source.name}: {named}, which the adapter names as its base, is not on this machine; name the base with "
            "--base"
        )
    # Meant for the hub: a base in a folder has none.
    own = None if Path(resolve(str(named))).exists() else config.get("revision")
    return ModelSource.of(str(named), revision or own)


def check_base(
    source: ModelSource, config: dict[str, Any], base: ModelSource, base_fingerprint: str, *, any_base: bool
) -> tuple[str, ...]:
    """Notes on what could not be compared.

    Raises ModelError for a base that is not the one the adapter names, unless ``any_base``.
    """
    named = config.get("base_model_name_or_path")
    tuned_on = _tuned_on(Path(source.path) / "attrib.json")
    if tuned_on is not None and len(tuned_on) != len(base_fingerprint):
        # A commit of the hub and a digest of files say nothing about each other.
        tuned_on = None
    if tuned_on is not None:
        other = "weights differ" if tuned_on != base_fingerprint else ""
    elif not named:
        return (f"{source.label}: the adapter does not name its base; {base.label} is taken for it",)
    else:
        other = _difference(str(named), base, base_fingerprint)
    if not other:
        return _uncertain(source, str(named), base) if tuned_on is None else ()
    about = f"the adapter was tuned on another model than {base.name} ({other})"
    if not any_base:
        raise ModelError(f"{source.name}: {about}; name its own base, or add --any-base if the two are the same")
    return (f"{source.label}: tuned on another model than {base.label}, used as --any-base asks",)


def _difference(named: str, base: ModelSource, base_fingerprint: str) -> str:
    """What tells the two apart, in words; empty where nothing does."""
    if _same_place(named, base):
        return ""
    folder = Path(resolve(named))
    if folder.is_dir() and base.folder is not None and not _is_quantised(folder) and not _is_quantised(base.folder):
        return "" if fingerprint(str(folder), None) == base_fingerprint else f"the weights of {named} differ"
    known = [told for told in (_told(base.name), _told(_saved_from(base))) if not _TELLS_NOTHING.fullmatch(told)]
    agree = _told(named) in known or not known or _TELLS_NOTHING.fullmatch(_told(named))
    return "" if agree else f"it names {named}"


def _uncertain(source: ModelSource, named: str, base: ModelSource) -> tuple[str, ...]:
    """The note on a base that is taken for the named one."""
    if _same_place(named, base) or Path(resolve(named)).is_dir():
        return ()
    taken = f"{base.label} is taken for it"
    if _told(named) not in (_told(base.name), _told(_saved_from(base))):
        return (f"{source.label}: it names {named} as its base, which cannot be compared; {taken}",)
    if _QUANTISED.search(_last(named)) and not _QUANTISED.search(_last(base.name)):
        return (f"{source.label}: it was tuned on the quantised {named}; {taken}",)
    return ()


def _tuned_on(manifest: Path) -> str | None:
    """Fingerprint of the base that ``attrib tune`` tuned; None where another program made the adapter."""
    try:
        content = json.loads(manifest.read_text("utf-8"))
    except (OSError, ValueError):
        return None
    found = content.get("base_fingerprint") if isinstance(content, dict) else None
    return found if isinstance(found, str) else None


def _same_place(named: str, base: ModelSource) -> bool:
    if named in (base.name, base.path):
        return True
    return Path(resolve(named)).exists() and Path(resolve(named)).resolve() == Path(base.path).resolve()


def _config(folder: Path) -> dict[str, Any]:
    try:
        found = json.loads((folder / "config.json").read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _is_quantised(folder: Path) -> bool:
    """Whether the weights of a folder are no more those that were quantised."""
    return "quantization_config" in _config(folder)


def _saved_from(base: ModelSource) -> str:
    """The name that a folder's model was loaded by before it was saved; older versions of transformers wrote it."""
    return str(_config(base.folder).get("_name_or_path") or "") if base.folder is not None else ""


def _last(name: str) -> str:
    """Last part of a path or a hub id, in small letters; of a folder in the hub's cache the repository's name."""
    parts = re.split(r"[\\/]+", name.rstrip("\\/"))
    cached = [part.split("--")[-1] for part in parts if part.startswith("models--")]
    return (cached or parts)[-1].lower().removesuffix(".gguf")


def _told(name: str) -> str:
    """What a name tells of the model, to be compared."""
    told, before = _last(name), None
    while told != before:
        before = told
        told = _FORMAT.sub("", _QUANTISED.sub("", told))
    # Hub repositories of the same model are named with it and without.
    return told.replace("_", "-").removeprefix("meta-")
