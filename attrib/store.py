"""Finished work on disk: one file for each entry, found again by everything that decides its content.

An entry's name is the SHA-256 of its key, and the key holds whatever changes the content: models, options, texts, the
schema of what is stored. A file is written whole or not at all and carries the SHA-256 of its content, so an entry
that is damaged is told from one that is not; a damaged entry is reported on the log and computed again. Two processes
that compute the same entry write the same file. ``locked`` makes the second one wait instead.
Not covered: removing entries that nobody asks for any more, and the index of a corpus (``index``), which keeps many
texts in one file.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np

from attrib.errors import RecordError
from attrib.files import digest_of, write_atomically
from attrib.records import codec

T = TypeVar("T")
log = logging.getLogger("attrib.store")


@dataclass(frozen=True)
class Store(Generic[T]):
    """Entries of one kind in one folder. Make one with ``arrays_in`` or ``records_in``."""

    folder: Path | None
    """None keeps nothing: every entry is absent, and nothing is written."""
    key: Mapping[str, Any]
    """What all entries have in common: the schema of what is stored, models, options, versions."""
    suffix: str
    pack: Callable[[T], bytes]
    unpack: Callable[[bytes], T]
    """The inverse of ``pack``; raises ValueError or RecordError where the bytes are damaged."""

    def file(self, key: object) -> Path | None:
        """Where the entry with this key lies; None where nothing is kept."""
        if self.folder is None:
            return None
        return self.folder / f"{digest_of([self.key, key])[:32]}{self.suffix}"

    def get(self, key: object) -> T | None:
        """The entry, or None where there is none or it is damaged, which is logged."""
        file = self.file(key)
        if file is None:
            return None
        try:
            return self.unpack(file.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, RecordError) as error:
            log.warning("%s: damaged (%s); it is computed again", file, " ".join(str(error).split()))
            return None

    def put(self, key: object, value: T) -> None:
        """Keep an entry. Raises InputError where the folder cannot be written."""
        if (file := self.file(key)) is not None:
            write_atomically(file, self.pack(value))

    def get_or_make(self, key: object, make: Callable[[], T]) -> T:
        """The entry; where there is none, what ``make`` returns, which is kept."""
        found = self.get(key)
        if found is None:
            found = make()
            self.put(key, found)
        return found

    @contextmanager
    def locked(self, key: object) -> Iterator[None]:
        """Hold the entry: another process that wants it waits until this one has left."""
        file = self.file(key)
        if file is None:
            yield
            return
        from filelock import FileLock

        file.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(file.with_name(f".{file.name}.lock")):
            yield


def arrays_in(folder: Path | None, key: Mapping[str, Any]) -> Store[dict[str, np.ndarray]]:
    """Entries that are named arrays, one ``.safetensors`` file each."""
    return Store(folder, key, ".safetensors", pack_arrays, unpack_arrays)


def records_in(folder: Path | None, key: Mapping[str, Any], kind: type[T], name: str, schema: int) -> Store[T]:
    """Entries that are dataclasses, one JSON file each, written and checked by ``records.codec``."""
    return Store(
        folder,
        {**key, "schema": schema},
        ".json",
        lambda record: _sealed(codec.dump(name, schema, record)),
        lambda data: codec.parse(kind, _opened(data), name, schema),
    )


def pack_arrays(arrays: Mapping[str, np.ndarray]) -> bytes:
    """A .safetensors file of ``arrays``, with the SHA-256 of their bytes in its metadata."""
    from safetensors.numpy import save

    # safetensors writes the memory of a view as it lies: a copy in C order.
    whole = {name: np.array(array, order="C") for name, array in arrays.items()}
    return save(whole, metadata={"sha256": _digest(whole)})


def unpack_arrays(data: bytes) -> dict[str, np.ndarray]:
    """The arrays of ``pack_arrays``. Raises ValueError where a byte of them is another."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        arrays = load(data)
        length = int.from_bytes(data[:8], "little")
        sha256 = json.loads(data[8 : 8 + length])["__metadata__"]["sha256"]
    except (SafetensorError, KeyError, TypeError) as error:
        raise ValueError(f"not a whole .safetensors file: {error}") from error
    if sha256 != _digest(arrays):
        raise ValueError("another SHA-256 than when it was written")
    return arrays


def _digest(arrays: Mapping[str, np.ndarray]) -> str:
    whole = hashlib.sha256()
    for name in sorted(arrays):
        whole.update(f"{name} {arrays[name].dtype} {arrays[name].shape}".encode())
        whole.update(arrays[name].tobytes())
    return whole.hexdigest()


def _sealed(data: bytes) -> bytes:
    """JSON with the SHA-256 of its text in a last line of its own."""
    return data + f'"sha256 {hashlib.sha256(data).hexdigest()}"\n'.encode()


def _opened(data: bytes) -> bytes:
    content, _, seal = data.removesuffix(b"\n").rpartition(b"\n")
    if content + b"\n" + seal + b"\n" != _sealed(content + b"\n"):
        raise ValueError("another SHA-256 than when it was written")
    return content
