"""Finding and reading the files of a folder.

Not covered: links to folders (they are not followed).
"""

from __future__ import annotations

import os
import stat
from collections import Counter
from pathlib import Path

from attrib.corpus.formats import FORMATS, Format
from attrib.errors import InputError


def _readable() -> str:
    """The suffixes that are read, one for each format."""
    first: dict[Format, str] = {}
    for suffix, kind in FORMATS.items():
        first.setdefault(kind, suffix)
    return f"attrib reads {' '.join(first.values())}"


def find_files(root: Path) -> tuple[list[tuple[str, Path]], list[str]]:
    """Name and path of each readable file, sorted by name, and a line for each folder that cannot be listed."""
    try:
        is_folder = stat.S_ISDIR(root.stat().st_mode)
    except OSError as error:
        raise InputError(f"{root}: {_os_reason(error)}") from None
    if not is_folder:
        if root.suffix.lower() not in FORMATS:
            raise InputError(f"{root}: files of type {root.suffix or '(none)'} are not read; {_readable()}")
        return [(_printable(root.name), root)], []

    problems: list[str] = []

    def note(error: OSError) -> None:
        problems.append(f"{_printable(os.path.relpath(error.filename, root))}/: {_os_reason(error)}")

    files: list[tuple[str, Path]] = []
    types: Counter[str] = Counter()
    # os.walk does not enter links to folders, so that a loop of links ends.
    for folder, folders, names in os.walk(root, onerror=note):
        types["link to a folder"] += sum(Path(folder, name).is_symlink() for name in folders if name[0] != ".")
        folders[:] = [name for name in folders if name[0] != "."]
        for file in (Path(folder, name) for name in names if name[0] != "."):
            types[file.suffix.lower() or "no suffix"] += 1
            if file.suffix.lower() in FORMATS:
                files.append((_printable(file.relative_to(root).as_posix()), file))
    if not files:
        raise InputError("\n".join([*problems, f"no documents in {root}/: {_found(+types)}; {_readable()}"]))
    return sorted(files), problems


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
    """All bytes of a regular file within the limit; the size is checked before reading."""
    try:
        status = file.stat()
        if not stat.S_ISREG(status.st_mode):
            raise InputError("not a regular file (a pipe or a device); give a file")
        if status.st_size > max_bytes:
            raise InputError(
                f"{status.st_size:,} bytes, over the limit of {max_bytes:,}; split the file or raise max_bytes"
            )
        data = file.read_bytes()
    except OSError as error:
        raise InputError(_os_reason(error)) from None
    if not data:
        raise InputError("the file is empty; fill or remove it")
    return data
