"""Encoders turn sections into arrays: their protocols, and the hashes that name sections and settings."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Protocol, runtime_checkable

import numpy as np

from attrib.errors import InputError
from attrib.files import digest
from attrib.models.chat import Chat
from attrib.models.rendering import fitting_item
from attrib.records import Section


@runtime_checkable
class Identity(Protocol):
    """Name and settings of an encoder."""

    @property
    def name(self) -> str:
        """Name of its part of the index: lower-case letters, digits, ``-``, ``_``, ``.``."""

    @property
    def key(self) -> str:
        """Hash of ALL that changes the numbers: fingerprint of the model, layer, dtype, device, cutting of texts …"""

    @property
    def describe(self) -> Mapping[str, object]:
        """The same as plain settings, for index.json and for errors."""


@runtime_checkable
class Encoder(Identity, Protocol):
    """Turns sections into arrays."""

    def encode(self, sections: Sequence[Section]) -> list[dict[str, np.ndarray]]:
        """One dict of arrays a section; the first axis of an array may differ from one to the next, the others may not.

        Only ``content_of`` a section may decide its arrays. They must not depend, by a single bit, on which other
        sections are in the call: only then is an index that was changed the same as one built at once. Scalars are
        arrays of shape [1].
        """


class CachedEncoder(Encoder, Protocol):
    """An encoder whose arrays are kept section by section in the cache folder too."""

    @property
    def settings(self) -> Mapping[str, object]:
        """Everything that changes the numbers of all sections."""

    def section_key(self, section: Section) -> object:
        """Everything that changes the numbers of one section: its content, and what was trained with it."""


def content_of(section: Section) -> str | list[object]:
    """What a section says: its text; of a conversation its turns and tools too. Equal content has equal arrays."""
    if not section.turns:
        return section.full_text
    return [section.full_text, [asdict(turn) for turn in section.turns], section.tools]


def content_digest(section: Section) -> bytes:
    """SHA-256 of ``content_of`` a section."""
    content = content_of(section)
    text = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
    return hashlib.sha256(text.encode()).digest()


def item_key(chat: Chat, section: Section, context: int) -> object:
    """The text as it is; a conversation as the very tokens that are read of it, so that its template counts.

    Raises InputError as ``fitting_item`` does, naming the row.
    """
    if not section.turns:
        return section.full_text
    try:
        found = fitting_item(chat, section.item, context)
    except InputError as error:
        raise InputError(f"{section.document} {section.lines}: {error}") from error
    return ["conversation", found.ids, found.labels, found.characters]


def rendering_of(chat: Chat, sections: Iterable[Section]) -> str:
    """``Chat.rendering`` for encoders that read conversations; empty where all sections are texts."""
    return chat.of_rows.rendering if any(section.turns for section in sections) else ""


def key_of(settings: Mapping[str, object]) -> str:
    """Hash of an encoder's settings."""
    return digest(json.dumps(settings, sort_keys=True))


def device_kind(device: str) -> str:
    """``cuda`` of ``cuda:1``: processes that share an index have a GPU each, and the same numbers."""
    return device.split(":")[0]
