"""Finding and reading the files of a folder; a ``.gz`` file is read as what it packs, a data set of the library
``datasets`` as one file.

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
from attrib.corpus.reading import LeftOut
from attrib.corpus.saved import ARROW, hub_bytes, is_hub, is_saved, saved_files, saved_split
from attrib.errors import InputError

READABLE = f"attrib reads {' '.join(FORMATS)}, each packed as .gz too"


@dataclass(eq=False)
class Finding:
    """The files of a folder."""

    files: list[tuple[str, Path, Format]]
    """Name, path and format of each readable file, sorted by name."""
    problems: list[str] = field(default_factory=list)
    """A line for each folder that cannot be listed."""
    skipped: Counter[str] = field(default_factory=Counter)
    """Files of no format, by suffix, and links to folders."""
    hidden: int = 0
    """Files and folders whose name starts with a dot."""
    left_out: list[LeftOut] = field(default_factory=list)
    """Splits of data sets that are not read."""


def suffix_of(file: Path) -> str:
    """Suffix that selects the format, in lower case; that of the packed file where the last one is ``.gz``."""
    if is_hub(file) or is_saved(file):
        return ARROW
    last = file.suffix.lower()
    return Path(file.stem).suffix.lower() if last == ".gz" else last


def find_files(root: Path) -> Finding:
    """The readable files below ``root``, or ``root`` itself. Raises InputError where there is none."""
    if is_hub(root):
        return Finding([(root.as_posix().removeprefix("hf:").lstrip("/"), root, FORMATS[ARROW])])
    try:
        is_folder = stat.S_ISDIR(root.stat().st_mode)
    except OSError as error:
        raise InputError(f"{root}: {_os_reason(error)}") from None
    if not is_folder:
        suffix = suffix_of(root)
        if suffix not in FORMATS:
            raise InputError(f"{root}: files of type {root.suffix or '(none)'} are not read; {READABLE}")
        if FORMATS[suffix].is_missing:
            raise InputError(f"{root}: reading {suffix} needs more packages; {EXTRA}")
        return Finding([(_printable(root.name), root, FORMATS[suffix])])

    found = Finding([])

    def note(error: OSError) -> None:
        found.problems.append(f"{_printable(os.path.relpath(error.filename, root))}/: {_os_reason(error)}")

    # os.walk does not enter links to folders, so that a loop of links ends.
    for folder, folders, names in os.walk(root, onerror=note):
        if is_saved(Path(folder)):
            folders.clear()
            _add_data_set(found, root, Path(folder))
            continue
        found.skipped["link to a folder"] += sum(Path(folder, name).is_symlink() for name in folders if name[0] != ".")
        found.hidden += sum(name[0] == "." for name in (*folders, *names))
        folders[:] = [name for name in folders if name[0] != "."]
        for file in (Path(folder, name) for name in names if name[0] != "."):
            kind = FORMATS.get(suffix_of(file))
            if kind is not None and not kind.is_missing:
                found.files.append((_printable(file.relative_to(root).as_posix()), file, kind))
            else:
                needed = f" needing {EXTRA}" if kind is not None else ""
                found.skipped[(file.suffix.lower() or "no suffix") + needed] += 1
    found.skipped = +found.skipped
    found.files.sort(key=lambda file: file[:2])
    if not found.files:
        types = _found(found.skipped)
        raise InputError("\n".join([*found.problems, f"no documents in {root}/: {types}; {READABLE}"]))
    return found


def _add_data_set(found: Finding, root: Path, folder: Path) -> None:
    name = _printable(root.resolve().name if folder == root else folder.relative_to(root).as_posix())
    try:
        split, others = saved_split(folder)
    except InputError as error:
        found.problems.append(f"{name}: {error}")
        return
    found.files.append((name if split == folder else f"{name}/{split.name}", split, FORMATS[ARROW]))
    if others:
        found.left_out.append(LeftOut(f"splits beside {split.name}: {', '.join(others)}", len(others), (name,)))


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
    if is_hub(file):
        return hub_bytes(file, max_bytes)
    if is_saved(file):
        return _joined(saved_files(file), max_bytes)
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


def _joined(files: list[Path], max_bytes: int) -> bytes:
    """All files of a data set, whose bytes together are within the limit."""
    parts: list[bytes] = []
    for file in files:
        try:
            parts.append(read_bytes(file, max_bytes))
        except InputError as error:
            raise InputError(f"{file.name}: {error}") from None
        if (size := sum(map(len, parts))) > max_bytes:
            raise InputError(f"more than {size:,} bytes, over the limit of {max_bytes:,}; save a part of it")
    return b"".join(parts)


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
