"""One record = one .safetensors file: arrays as tensors, the rest as JSON in the header.

The same record gives the same bytes. A file of another kind, schema or damaged is refused; never pickle.
"""

from __future__ import annotations

import json
from collections.abc import Mapping as MappingABC
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

from attrib import records
from attrib.errors import RecordError
from attrib.files import write_atomically
from attrib.records import Explanation

SCHEMA = 1
RECORDS: dict[str, type] = {
    name: getattr(records, name)
    for name in (
        "Attribution", "Capture", "Explanation", "Mapping", "MappingSide", "Section", "Token", "Verdict",
    )
}  # fmt: skip


def save(explanation: Explanation, path: str | Path) -> Path:
    """Write ``explanation`` to ``path`` (``.safetensors`` is added where it has no suffix); the file is whole or absent."""
    from safetensors.numpy import save as to_bytes

    path = Path(path)
    path = path if path.suffix else path.with_suffix(".safetensors")
    arrays: dict[str, np.ndarray] = {}
    tree = _pack(explanation, "", arrays)
    # One metadata key only: the library writes several in any order.
    header = json.dumps({"schema": SCHEMA, "record": tree}, ensure_ascii=False, sort_keys=True)
    write_atomically(path, to_bytes(arrays, metadata={"attrib": header}))
    return path


def load(path: str | Path) -> Explanation:
    """Read an Explanation; RecordError when the file is damaged, of another kind or of another schema."""
    from safetensors import SafetensorError, safe_open

    path = Path(path)
    if not path.is_file():
        raise RecordError(f"{path}: no such file; give a .safetensors file written by attrib explain --out")
    try:
        with safe_open(path, "np") as file:
            header = (file.metadata() or {}).get("attrib")
            arrays = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise RecordError(f"{path}: not a whole .safetensors file ({error}); write the record again") from error
    if header is None:
        raise RecordError(
            f"{path}: a .safetensors file, but not a record of attrib; give one written by attrib explain"
        )
    try:
        content = json.loads(header)
        schema = content["schema"]
        if schema != SCHEMA:
            raise RecordError(f"{path}: written with schema {schema}, this attrib reads {SCHEMA}; explain again")
        record = _unpack(content["record"], arrays)
    except (KeyError, TypeError, ValueError) as error:
        raise RecordError(f"{path}: the record is damaged ({error}); write it again") from error
    if not isinstance(record, Explanation):
        raise RecordError(f"{path}: holds a {type(record).__name__}, not an explanation; give another file")
    return record


def _pack(value: Any, name: str, arrays: dict[str, np.ndarray]) -> Any:
    """JSON for ``value``; its arrays go into ``arrays`` under their path."""
    if isinstance(value, np.ndarray):
        arrays[name] = np.ascontiguousarray(value)
        return {"array": name}
    if is_dataclass(value) and not isinstance(value, type):
        inner = {
            f.name: _pack(getattr(value, f.name), f"{name}/{f.name}" if name else f.name, arrays) for f in fields(value)
        }
        return {"is": type(value).__name__, "fields": inner}
    if isinstance(value, MappingABC):
        return {"dict": [[str(key), _pack(item, f"{name}/{key}", arrays)] for key, item in value.items()]}
    if isinstance(value, tuple | list):
        return {"tuple": [_pack(item, f"{name}/{i}", arrays) for i, item in enumerate(value)]}
    if isinstance(value, np.generic):
        return value.item()
    return value


def _unpack(value: Any, arrays: dict[str, np.ndarray]) -> Any:
    if not isinstance(value, dict):
        return value
    if "array" in value:
        return arrays[value["array"]]
    if "is" in value:
        inner = {key: _unpack(item, arrays) for key, item in value["fields"].items()}
        return RECORDS[value["is"]](**inner)
    if "dict" in value:
        return {key: _unpack(item, arrays) for key, item in value["dict"]}
    return tuple(_unpack(item, arrays) for item in value["tuple"])
