"""Finding and reading the files of a folder; a ``.gz`` file is read as what it packs.

Not covered: links to folders (they are not followed, but counted).
"""

from __future__ import annotations

import gzip
import os
import stat
import zlib
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from attrib.corpus.formats import EXTRA, FORMATS, Format
from attrib.errors import InputError


def _readable() -> str:
    """The suffixes that are read, one for each format."""
    first: dict[Format, str] = {}
    for suffix, kind in FORMATS.items():
        first.setdefault(kind, suffix)
    return f"attrib reads {' '.join(first.values())}"


@dataclass(eq=False)
class Finding:
    """The files of a folder."""

    files: list[tuple[str, Path]]
    """Name and path of each readable file, sorted by name."""
    problems: list[str] = field(default_factory=list)
    """A line for each folder that cannot be listed."""
    skipped: Counter[str] = field(default_factory=Counter)
    """Files of no format, by suffix, and links to folders."""
    hidden: int = 0
    """Files and folders whose name starts with a dot."""


def suffix_of(file: Path) -> str:
    """Suffix that selects the format, in lower case; that of the packed file where the last one is ``.gz``."""
    last = file.suffix.lower()
    return Path(file.stem).suffix.lower() if last == ".gz" else last


def find_files(root: Path) -> Finding:
    """The readable files below ``root``, or ``root`` itself. Raises InputError where there is none."""
    try:
        is_folder = stat.S_ISDIR(root.stat().st_mode)
    except OSError as error:
        raise InputError(f"{root}: {_os_reason(error)}") from None
    if not is_folder:
        if suffix_of(root) not in FORMATS:
            raise InputError(f"{root}: files of type {root.suffix or '(none)'} are not read; {_readable()}")
        if FORMATS[suffix_of(root)].is_missing:
            raise InputError(f"{root}: reading {suffix_of(root)} needs more packages; {EXTRA}")
        return Finding([(_printable(root.name), root)])

    found = Finding([])

    def note(error: OSError) -> None:
        found.problems.append(f"{_printable(os.path.relpath(error.filename, root))}/: {_os_reason(error)}")

    # os.walk does not enter links to folders, so that a loop of links ends.
    for folder, folders, names in os.walk(root, onerror=note):
        found.skipped["link to a folder"] += sum(Path(folder, name).is_symlink() for name in folders if name[0] != ".")
        found.hidden += sum(name[0] == "." for name in (*folders, *names))
        folders[:] = [name for name in folders if name[0] != "."]
        for file in (Path(folder, name) for name in names if name[0] != "."):
            kind = FORMATS.get(suffix_of(file))
            if kind is not None and not kind.is_missing:
                found.files.append((_printable(file.relative_to(root).as_posix()), file))
            else:
                needed = f" needing {EXTRA}" if kind is not None else ""
                found.skipped[(file.suffix.lower() or "no suffix") + needed] += 1
    found.skipped = +found.skipped
    found.files.sort()
    if not found.files:
        types = _found(found.skipped)
        raise InputError("\n".join([*found.problems, f"no documents in {root}/: {types}; {_readable()}"]))
    return found


def _found(types: Counter[str]) -> str:
    """Contents of a folder in words: ``3 files, of types .png (2), .jpg (1)``."""
    if not types:
        return "the folder is empty"
    total = types.total()
    kinds = ", ".join(f"{kind} ({n})" for kind, n in sorted(types.items(), key=lambda item: (-item[1], item[0])))
    return f"{total} file{'s' * (total > 1)}, of type{'s' * (len(types) > 1)} {kinds}"


def _os_reason(error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return "does not exist; check the path, or the link's target"
    if isinstance(error, PermissionError):
        return "no permission to read it; change its permissions"
    return f"cannot be read ({error.strerror}); check the path"


def _printable(name: str) -> str:
    """A file name that is not UTF-8 cannot be printed or stored: replace what cannot."""
    return name.encode(errors="replace").decode()


def read_bytes(file: Path, max_bytes: int) -> bytes:
    """All bytes of a regular file within the limit, unpacked where it is a ``.gz``; the size is checked before
    reading."""
    try:
        status = file.stat()
        if not stat.S_ISREG(status.st_mode):
            raise InputError("not a regular file (a pipe or a device); give a file")
        if status.st_size > max_bytes:
            raise InputError(f"{status.st_size:,} bytes, {_over(max_bytes)}")
        data = _unpacked(file, max_bytes) if file.suffix.lower() == ".gz" else file.read_bytes()
    except OSError as error:
        raise InputError(_os_reason(error)) from None
    if not data:
        raise InputError("the file is empty; fill or remove it")
    return data


def _unpacked(file: Path, max_bytes: int) -> bytes:
    """Never more than the limit is unpacked: a small file can hold gigabytes."""
    try:
        with gzip.open(file) as packed:
            data = packed.read(max_bytes + 1)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InputError(f"not a whole gzip file ({error}); pack it again") from None
    if len(data) > max_bytes:
        raise InputError(f"more than {max_bytes:,} bytes when unpacked, {_over(max_bytes)}")
    return data


def _over(max_bytes: int) -> str:
    return f"over the limit of {max_bytes:,}; split the file or raise max_bytes"
