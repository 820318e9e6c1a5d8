"""Files written whole or not at all, lock files, digests, and CSV cells of any length."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from attrib.errors import InputError


def write_atomically(file: Path, data: bytes) -> None:
    """Write through a temporary file in the same folder; the old file stays until the new one is whole.

    Raises InputError in one line where the folder cannot be written.
    """
    temporary: str | None = None
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=f".{file.name}-", dir=file.parent)
        with os.fdopen(handle, "wb") as out:
            out.write(data)
            out.flush()
            # Else a power cut may leave an empty file under the new name.
            os.fsync(out.fileno())
        open_up(Path(temporary), 0o666)
        os.replace(temporary, file)
        temporary = None
    except OSError as error:
        raise InputError(
            f"{file}: cannot be written ({error.strerror or error}); choose another folder or make room"
        ) from error
    finally:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)


def walk(folder: Path, depth: int | None = None) -> Iterator[Path]:
    """Files in a folder and at most ``depth`` below, without hidden folders, in the order of their names."""
    for here, folders, names in os.walk(folder):
        deeper = depth is None or len(Path(here).relative_to(folder).parts) < depth
        folders[:] = sorted(name for name in folders if not name.startswith(".")) if deeper else []
        yield from (Path(here) / name for name in sorted(names))


def open_up(path: Path, mode: int) -> None:
    """Give ``path`` the permissions ``mode`` less the umask; mkstemp, mkdtemp and safetensors leave it to its owner."""
    umask = os.umask(0)
    os.umask(umask)
    os.chmod(path, mode & ~umask)


def sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def settled(path: Path) -> str:
    """SHA-256 of a file's bytes, hex, once they are on the disk."""
    with path.open("rb") as file:
        # Not every system writes back what a handle can only read.
        with suppress(OSError):
            os.fsync(file.fileno())
        return hashlib.file_digest(file, "sha256").hexdigest()


UNSEALED = "0" * 64
"""Stands in JSON where its own SHA-256 is to come."""


def seal(data: bytes) -> bytes:
    """``data`` with its own SHA-256 in place of the first ``UNSEALED``."""
    return data.replace(UNSEALED.encode(), hashlib.sha256(data).hexdigest().encode(), 1)


def is_sealed(data: bytes, digest: object) -> bool:
    """Whether ``data`` is what ``seal`` gave, with ``digest`` as the SHA-256 that it names."""
    if not isinstance(digest, str) or len(digest) != len(UNSEALED):
        return False
    return seal(data.replace(digest.encode("utf-8", "replace"), UNSEALED.encode(), 1)) == data


DIGESTS = "sha256.json"
"""Beside files that were written together: the SHA-256 of each."""


def write_digests(folder: Path, files: Iterable[Path], later: Mapping[str, bytes]) -> None:
    """Note the SHA-256 of ``files`` below ``folder``, which are on the disk then, and of files that come ``later``."""
    digests = {file.relative_to(folder).as_posix(): settled(file) for file in files}
    digests |= {name: hashlib.sha256(data).hexdigest() for name, data in later.items()}
    content = {"sha256": UNSEALED, "files": digests}
    write_atomically(folder / DIGESTS, seal(json.dumps(content, indent=1).encode()))


def damaged_file(folder: Path, *names: str) -> str | None:
    """The first of the files ``names``, by default of all that are noted, that is not what was written.

    None where all are, and for a folder in which nothing was noted.
    """
    try:
        data = (folder / DIGESTS).read_bytes()
        content = json.loads(data)
        noted: dict[str, str] = content["files"]
        if not is_sealed(data, content["sha256"]):
            return DIGESTS
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return DIGESTS
    for name in names or noted:
        try:
            if name in noted and sha256(folder / name) != noted[name]:
                return name
        except OSError:
            return name
    return None


def digest_of(content: object) -> str:
    """SHA-256 of what JSON can hold, hex; the order of keys does not count."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


@contextmanager
def csv_cells(text: str) -> Iterator[None]:
    """Cells as long as ``text`` are read: Python's own limit of 131,072 characters is no fault of a file's.

    The limit is the process's, so that all rows have to be read before leaving.
    """
    before = csv.field_size_limit(max(len(text), 1))
    try:
        yield
    finally:
        csv.field_size_limit(before)


def digest(text: str) -> str:
    """Hash of a text, as a file's name."""
    return hashlib.sha256(text.encode()).hexdigest()[:24]


@contextmanager
def locked(file: Path, *, busy: str | None = None, on_wait: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold the lock file ``file``; the system frees it when its holder dies, and it is removed at the end.

    Where another process holds it, raises InputError ``busy``, or without ``busy`` calls ``on_wait`` and waits.
    Raises InputError in one line where the folder cannot be written.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(file)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout:
        if busy is not None:
            raise InputError(busy) from None
        on_wait()
        lock.acquire()
    except OSError as error:
        raise InputError(
            f"{file.parent}: cannot be written ({error.strerror or error}); choose another folder or make room"
        ) from error
    try:
        yield
    finally:
        # Before it is released: a process that has opened the file finds it gone and tries again. Windows forbids it.
        with suppress(OSError):
            file.unlink()
        lock.release()
