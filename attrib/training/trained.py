"""``trained.jsonl``: everything that an adapter learned, one ``Item`` a line, in the order of the schedule's numbers.

Not covered: how an item becomes token ids (``items``).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from attrib.errors import InputError, RecordError
from attrib.files import damaged_file, write_atomically
from attrib.records import Item
from attrib.records.codec import from_json, to_json

TRAINED = "trained.jsonl"


@dataclass(frozen=True)
class _TextLine:
    """A line as it was written when an item was a text or one answered question."""

    id: str
    text: str
    question: str | None
    section: str | None

    @property
    def item(self) -> Item:
        if self.question is None:
            return Item.plain(self.id, self.text, self.section)
        return Item.answered(self.id, self.question, self.text, self.section)


def write_trained(folder: Path, items: Sequence[Item]) -> None:
    """Write the items, those without recorded ids in short."""
    lines = []
    for item in items:
        content = to_json(item)
        if not item.ids:
            del content["ids"], content["labels"]
        lines.append(json.dumps(content, ensure_ascii=False) + "\n")
    write_atomically(folder / TRAINED, "".join(lines).encode("utf-8", "surrogatepass"))


def read_trained(folder: Path) -> tuple[Item, ...]:
    """Everything that the adapter in ``folder`` learned.

    Raises InputError for an adapter of another program, RecordError for a damaged file.
    """
    file = folder / TRAINED
    items = []
    for number, line in enumerate(read_training_file(file).split("\n"), 1):
        if line.strip():
            try:
                items.append(_item(json.loads(line)))
            except (ValueError, RecordError) as error:
                raise RecordError(f"{file}, line {number}: damaged ({error}); tune again") from error
    if not items:
        raise RecordError(f"{file}: it is empty; tune again")
    return tuple(items)


def _item(content: Any) -> Item:
    if isinstance(content, dict) and "text" in content:
        old: _TextLine = from_json(_TextLine, {"question": None, "section": None, **content})
        return old.item
    if isinstance(content, dict):
        content = {"ids": [], "labels": [], **content}
    item: Item = from_json(Item, content)
    return item


def read_training_file(file: Path) -> str:
    """A text file that tuning left beside its adapter. Raises InputError where there is none."""
    try:
        text = file.read_text("utf-8")
    except FileNotFoundError:
        raise InputError(
            f"{file.parent}: no {file.name}, so what was learned when is unknown; tune with attrib tune, record the "
            "run with attrib.Recorder or import it with attrib import"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise RecordError(f"{file}: cannot be read ({error}); tune again") from error
    if (damaged := damaged_file(file.parent, file.name)) is not None:
        raise RecordError(
            f"{file.parent / damaged}: damaged (its SHA-256 is another than when it was written); tune again"
        )
    return text
