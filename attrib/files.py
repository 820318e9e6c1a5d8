"""Whole files or none."""

from __future__ import annotations

import os
import tempfile
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
        # mkstemp gives 0600; what is written here is for others to read too, as the umask allows.
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)
        os.replace(temporary, file)
        temporary = None
    except OSError as error:
        raise InputError(
            f"{file}: cannot be written ({error.strerror or error}); choose another folder or make room"
        ) from error
    finally:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
