"""The format of an index on disk, and the reading and writing of its blocks.

    OUT/
      index.json                what it is, of which documents, by which models; written last, in one move
      sections-<hash>.jsonl     one text a line, in the order of the numbers
      parts/<encoder>/<block>/  block.json, texts.npy (SHA-256 of each text), offsets.npy, checks.npy, and one file an
                                array

A block holds the arrays of up to 256 consecutive texts, one after the other along the first axis; its text ``i`` owns
the rows from ``offsets[array, i]`` to ``offsets[array, i + 1]`` (arrays by name), whose CRC-32 is ``checks[array, i]``:
what is read of a block is checked without reading the rest. Control texts have blocks of their
own. The name of a block's folder is a hash of its texts and of the encoder's key: a block with the right name is the
right block, whoever made it and when.
Not covered: byte orders other than little-endian.
"""

from __future__ import annotations

import hashlib
import json
import math
import mmap
import os
import shutil
import tempfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO, FileIO
from pathlib import Path
from typing import Any

import numpy as np

from attrib.errors import InputError
from attrib.files import open_up, sha256
from attrib.index.encoder import Identity

SCHEMA = 3
"""Raised when the format changes: older blocks are then made again."""
RESERVED = ("texts", "offsets", "checks")
"""Arrays that every block has beside its encoder's."""


@dataclass(frozen=True)
class Text:
    """One line of sections.jsonl."""

    id: str
    sha256: str
    """SHA-256 of the section's ``full_text``; of a conversation with its turns and tools."""
    document: str
    title: str
    lines: str
    control: bool


@dataclass(frozen=True, eq=False)
class Block:
    """The arrays of consecutive texts, as block.json describes them."""

    folder: Path
    key: str
    """The encoder's."""
    texts: int
    files: Mapping[str, Mapping[str, Any]]
    """File name without ``.npy`` → its ``dtype``, ``shape``, ``bytes`` and ``sha256``."""

    @cached_property
    def arrays(self) -> tuple[str, ...]:
        """Names of the arrays, in the order of ``offsets``."""
        return tuple(sorted(set(self.files) - set(RESERVED)))

    @property
    def bytes(self) -> int:
        """Size of all files but block.json."""
        return sum(int(file["bytes"]) for file in self.files.values())

    def map(self, name: str) -> np.ndarray:
        """An array, memory-mapped and read-only. Raises InputError where the file is gone."""
        with self._opened(name) as (file, dtype, shape, start):
            pages = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            # As numpy.load, without the header, which block.json repeats: a fifth of its time.
            return np.frombuffer(pages, dtype, math.prod(shape), start).reshape(shape)

    def whole(self, name: str) -> np.ndarray:
        """As ``map``, once its bytes are those that were written. Raises InputError where they are not."""
        with self._opened(name):
            digest = sha256(self._file(name))
        self._check(name, digest)
        return self.map(name)

    def _check(self, name: str, digest: str) -> None:
        if digest != self.files[name]["sha256"]:
            raise InputError(damaged(self.folder, f"{name}.npy has another SHA-256 than when it was written"))

    def read(self, name: str) -> np.ndarray:
        """The array in memory: copying a small file costs less than mapping its pages one by one.

        Raises InputError where its bytes are not those that were written.
        """
        with self._opened(name) as (file, dtype, shape, start):
            array = np.empty(shape, dtype)
            left = array.reshape(-1).view(np.uint8).data
            found = hashlib.sha256(file.read(start))
            while left:
                got = file.readinto(left)
                if not got:
                    raise ValueError("it is too short")
                left = left[got:]
            found.update(array.reshape(-1).view(np.uint8).data)
            self._check(name, found.hexdigest())
            return array

    @contextmanager
    def _opened(self, name: str) -> Iterator[tuple[FileIO, np.dtype[Any], tuple[int, ...], int]]:
        """The file with its dtype, its shape, and where its numbers start."""
        about = self.files[name]
        shape, dtype = tuple(about["shape"]), np.dtype(about["dtype"])
        try:
            with FileIO(self._file(name)) as file:
                yield file, dtype, shape, int(about["bytes"]) - math.prod(shape) * dtype.itemsize
        except (OSError, ValueError) as error:
            raise InputError(
                f"{self._file(name)}: cannot be read ({error}); if the index was built anew or moved, open it again"
            ) from None

    def fault(self, *, verify: bool) -> str | None:
        """Fault in its files, None without one: their size, and with ``verify`` their SHA-256."""
        for name, about in self.files.items():
            file = self._file(name)
            try:
                if (size := file.stat().st_size) != about["bytes"]:
                    return f"{file.name} has {size:,} bytes instead of {about['bytes']:,}"
                if verify and sha256(file) != about["sha256"]:
                    return f"{file.name} has another SHA-256 than when it was written"
            except OSError as error:
                return f"{file.name} cannot be read ({error.strerror})"
        return None

    def _file(self, name: str) -> Path:
        return self.folder / f"{name}.npy"


def read_block(folder: Path, wanted: str | None = None) -> Block | str:
    """The block in ``folder``, or what is wrong; ``wanted``: SHA-256 of its block.json."""
    try:
        data = (folder / "block.json").read_bytes()
        about = json.loads(data)
        block = Block(folder, about["key"], int(about["texts"]), about["files"])
        if about["schema"] != SCHEMA or not set(RESERVED) <= set(block.files):
            return f"block.json is of schema {about['schema']}"
    except OSError as error:
        return f"block.json cannot be read ({error.strerror})"
    except (ValueError, KeyError, TypeError):
        return "block.json is damaged"
    if wanted is not None and hashlib.sha256(data).hexdigest() != wanted:
        return "block.json has another SHA-256 than index.json says"
    return block


def damaged(folder: Path, fault: str) -> str:
    """A damaged block in one line."""
    return f"{folder}: damaged block ({fault}); run attrib index again, which makes it anew"


def crc(rows: np.ndarray) -> int:
    """What ``checks`` has of a text's rows."""
    return zlib.crc32(np.ascontiguousarray(rows).reshape(-1).view(np.uint8).data)


@contextmanager
def writing(place: Path) -> Iterator[None]:
    """Turns an error of the system into an InputError of one line."""
    try:
        yield
    except OSError as error:
        raise InputError(
            f"{place}: cannot be written ({error.strerror or error}); make room or choose another folder, then run the "
            "same command: finished blocks are kept"
        ) from error


def write_block(encoder: Identity, arrays: Mapping[str, np.ndarray], texts: int, folder: Path) -> None:
    """All files under a temporary name, then one rename: a block that is there is whole."""
    work = None
    with writing(folder):
        try:
            work = Path(tempfile.mkdtemp(prefix=".new-", dir=folder.parent))
            files = {}
            for name, array in sorted(arrays.items()):
                raw = BytesIO()
                np.save(raw, np.ascontiguousarray(array), allow_pickle=False)
                data = raw.getbuffer()
                _write(work / f"{name}.npy", data)
                about = {"dtype": array.dtype.str, "shape": list(array.shape), "bytes": len(data)}
                files[name] = about | {"sha256": hashlib.sha256(data).hexdigest()}
            about = {"schema": SCHEMA, "part": encoder.name, "key": encoder.key, "texts": texts, "files": files}
            _write(work / "block.json", (canonical_json(about) + "\n").encode())
            open_up(work, 0o777)
            # One of that name was found damaged.
            shutil.rmtree(folder, ignore_errors=True)
            try:
                os.replace(work, folder)
            except OSError:
                # A process that was asked for something else may have put the same block there meanwhile.
                if isinstance(read_block(folder), str):
                    raise
        finally:
            if work is not None:
                shutil.rmtree(work, ignore_errors=True)


def _write(file: Path, data: bytes | memoryview) -> None:
    """Onto the disk, so that a power cut cannot leave a renamed folder of empty files."""
    with file.open("wb") as out:
        out.write(data)
        out.flush()
        os.fsync(out.fileno())


def canonical_json(value: object, indent: int | None = None) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, indent=indent, allow_nan=False)
