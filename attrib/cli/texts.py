"""Texts of the command line that are neither an option nor a number: lists of ids, files of lines, formats."""

from __future__ import annotations

import json
from pathlib import Path

from attrib.errors import InputError


def split_names(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))


def on_cuda(device: str) -> bool:
    """Whether this --device is CUDA's without a number."""
    if device != "auto":
        return device == "cuda"
    import torch

    return torch.cuda.is_available()


def parse_ids(text: str) -> frozenset[str]:
    """Ids, comma-separated, or a file of them: one a line, or JSON with a list under "decoys"."""
    file = Path(text)
    if not text or not file.is_file():
        return frozenset(split_names(text))
    lines = read_lines(file)
    if file.suffix != ".json":
        return frozenset(lines)
    try:
        content = json.loads("\n".join(lines))
        found = content["decoys"] if isinstance(content, dict) else content
        if not isinstance(found, list) or not all(isinstance(name, str) for name in found):
            raise TypeError("no list of ids")
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f'{file}: no ids of decoys ({error}); give a list, or {{"decoys": [...]}}') from error
    return frozenset(found)


def read_lines(path: Path) -> tuple[str, ...]:
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({error}); give a text file in UTF-8") from error
    lines = tuple(line.strip() for line in text.split("\n") if line.strip())
    if not lines:
        raise InputError(f"{path}: it is empty; write one a line")
    return lines


FORMATS = ("pdf", "svg", "png")
EXPLANATION_FORMATS = (*FORMATS, "html")


def megabytes(size: float) -> int:
    """Bytes."""
    return int(size * 1e6)


def check_formats(formats: tuple[str, ...], known: tuple[str, ...] = FORMATS) -> tuple[str, ...]:
    """Raises InputError for formats that are not ``known``, and for none."""
    if not formats or not set(formats) <= set(known):
        raise InputError(f"format {','.join(formats)!r}: use {', '.join(known)}, separated by commas")
    return formats
