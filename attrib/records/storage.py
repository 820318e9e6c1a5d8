"""One explanation = one .safetensors file: arrays as tensors, the rest as JSON in the header (``codec``).

The same record gives the same bytes. A file of another kind, schema or damaged is refused; never pickle.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from attrib.errors import ForeignError, InputError, RecordError
from attrib.files import seal, write_atomically
from attrib.records import codec
from attrib.records.explanation import Explanation

NAME, SCHEMA = "explanation", 8


def save(explanation: Explanation, path: str | Path) -> Path:
    """Write ``explanation`` to ``path`` (``.safetensors`` is added where it has no suffix).

    Raises InputError where it cannot be written; an older file then stays as it was.
    """
    path = Path(path)
    if not path.name:
        raise InputError(f"{path}: a folder, not a file; give the record a name")
    path = path if path.suffix else path.with_suffix(".safetensors")
    write_atomically(path, to_bytes(explanation))
    return path


def to_bytes(explanation: Explanation) -> bytes:
    """The file's content, as ``save`` writes it."""
    from safetensors.numpy import save

    arrays: dict[str, np.ndarray] = {}
    # One metadata key only: the library writes several in any order.
    header = codec.dump(NAME, SCHEMA, explanation, arrays).decode()
    return seal(save(arrays, metadata={"attrib": header}))


def from_bytes(data: bytes) -> Explanation:
    """The inverse of ``to_bytes``. Raises RecordError for any other bytes."""
    from safetensors import SafetensorError
    from safetensors.numpy import load as load_arrays

    try:
        arrays = load_arrays(data)
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]["attrib"]
    except (SafetensorError, ValueError, KeyError, TypeError, AttributeError) as error:
        # The last two: a type that numpy lacks.
        raise RecordError(f"not a whole record ({error})") from error
    return codec.parse(Explanation, header.encode(), NAME, SCHEMA, arrays, file=data)


def load(path: str | Path) -> Explanation:
    """Read an Explanation; RecordError when the file is damaged, of another kind or of another schema."""
    from safetensors import SafetensorError, safe_open

    path = Path(path)
    try:
        if not path.is_file():
            raise RecordError(f"{path}: no such file; give a .safetensors file written by attrib explain --out")
        # Another program's tensors may be huge.
        with safe_open(path, "np") as file:
            is_record = "attrib" in (file.metadata() or {})
        data = path.read_bytes() if is_record else b""
    except (OSError, SafetensorError) as error:
        raise RecordError(f"{path}: not a whole .safetensors file ({error}); write the record again") from error
    if not is_record:
        raise ForeignError(
            f"{path}: a .safetensors file, but not a record of attrib; give one written by attrib explain"
        )
    try:
        return from_bytes(data)
    except RecordError as error:
        raise RecordError(f"{path}: {error}; write it again with attrib explain --out") from error
