"""Finished work on disk: one file for each entry, found again by its key.

    store = arrays_in(folder, {"what": "hidden states", "schema": 1, "model": fingerprint, "layer": 12})
    states = store.get_or_make(text, lambda: compute(text))

The key holds everything that changes the content: models, options, texts, the schema of what is stored; what all
entries share stands in the store's own key. A file's name is the SHA-256 of its key. It is written whole or not at
all, and ends with the SHA-256 of its name and content: an entry that is damaged, or stands in the place of another, is
reported on the log and computed again. Two processes may compute the same entry, and both write the same; ``locked``
makes the second one wait instead.
Not covered: removing entries that nobody asks for any more, and the index of a corpus (``index``), which keeps many
texts in one file.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np

from attrib.errors import RecordError
from attrib.files import digest_of, locked, write_atomically
from attrib.records import codec

T = TypeVar("T")
log = logging.getLogger("attrib.store")


@dataclass(frozen=True)
class Store(Generic[T]):
    """Entries of one kind in one folder. Make one with ``arrays_in`` or ``records_in``."""

    folder: Path | None
    """None keeps nothing: every entry is absent, and nothing is written."""
    key: Mapping[str, Any]
    """The part of the key that all entries share: schema, models, options, versions."""
    suffix: str
    pack: Callable[[T], bytes]
    unpack: Callable[[bytes], T]
    """The inverse of ``pack``; raises ValueError or RecordError where the bytes are damaged."""
    sealed: bool = True
    """Whether the SHA-256 stands at the file's end; False for files that are opened by other means too."""

    def file(self, key: object) -> Path | None:
        """Where the entry with this key lies; None where nothing is kept."""
        if self.folder is None:
            return None
        return self.folder / f"{digest_of([self.key, key])[:32]}{self.suffix}"

    def get(self, key: object) -> T | None:
        """The entry, or None where there is none or it is damaged, which is logged."""
        file = self.file(key)
        return self._read(file) if file is not None else None

    def entries(self) -> Iterator[T]:
        """Every whole entry of a folder that holds no other store's, in the order of the files' names."""
        for file in sorted(self.folder.glob(f"[!.]*{self.suffix}")) if self.folder is not None else ():
            entry = self._read(file)
            if entry is not None:
                yield entry

    def _read(self, file: Path) -> T | None:
        try:
            data = file.read_bytes()
            return self.unpack(_opened(data, file.name) if self.sealed else data)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, RecordError) as error:
            log.warning("%s: damaged (%s); computed again", file, " ".join(str(error).split()))
            return None

    def put(self, key: object, value: T) -> None:
        """Keep an entry. Raises InputError where the folder cannot be written."""
        if (file := self.file(key)) is not None:
            data = self.pack(value)
            write_atomically(file, _sealed(data, file.name) if self.sealed else data)

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
        with locked(file.with_name(f".{file.name}.lock")):
            yield


def arrays_in(folder: Path | None, key: Mapping[str, Any]) -> Store[dict[str, np.ndarray]]:
    """Entries that are named arrays, one ``.arrays`` file each."""
    return Store(folder, key, ".arrays", pack_arrays, unpack_arrays)


def records_in(folder: Path | None, key: Mapping[str, Any], kind: type[T], name: str, schema: int) -> Store[T]:
    """Entries that are dataclasses, one JSON file each, written and checked by ``records.codec``."""
    return Store(
        folder,
        {**key, "schema": schema},
        ".json",
        lambda record: codec.dump(name, schema, record),
        lambda data: codec.parse(kind, data, name, schema),
    )


def pack_arrays(arrays: Mapping[str, np.ndarray]) -> bytes:
    """The arrays in the .safetensors format."""
    from safetensors.numpy import save

    # safetensors writes the memory of a view as it lies: a copy in C order.
    return save({name: np.array(array, order="C") for name, array in arrays.items()})


def unpack_arrays(data: bytes) -> dict[str, np.ndarray]:
    """The inverse of ``pack_arrays``. Raises ValueError for bytes of another format."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        return load(data)
    except SafetensorError as error:
        raise ValueError(str(error)) from error


def _sealed(data: bytes, name: str) -> bytes:
    """``data`` and the SHA-256 of the entry's name and ``data``, in a line of its own."""
    return data + f"sha256 {hashlib.sha256(name.encode() + data).hexdigest()}\n".encode()


def _opened(sealed: bytes, name: str) -> bytes:
    data = sealed[: -len(_sealed(b"", name))]
    if _sealed(data, name) != sealed:
        raise ValueError("its SHA-256 is another than when it was written")
    return data
