"""Encoders turn texts into arrays: their protocols, and the hash that names their settings."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

import numpy as np

from attrib.files import digest


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
    """Turns texts into arrays."""

    def encode(self, texts: Sequence[str]) -> list[dict[str, np.ndarray]]:
        """One dict of arrays a text; the first axis of an array may differ from text to text, the others may not.

        A text's arrays must not depend, by a single bit, on which other texts are in the call: only then is an index
        that was changed the same as one built at once. Scalars are arrays of shape [1].
        """


class CachedEncoder(Encoder, Protocol):
    """An encoder whose arrays are kept text by text in the cache folder too."""

    @property
    def settings(self) -> Mapping[str, object]:
        """Everything that changes the numbers of all texts."""

    def text_key(self, text: str) -> object:
        """Everything that changes the numbers of one text: the text, and what was trained with it."""


def key_of(settings: Mapping[str, object]) -> str:
    """Hash of an encoder's settings."""
    return digest(json.dumps(settings, sort_keys=True))


def device_kind(device: str) -> str:
    """``cuda`` of ``cuda:1``: processes that share an index have a GPU each, and the same numbers."""
    return device.split(":")[0]
