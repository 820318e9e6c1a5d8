"""One record = one .safetensors file: arrays as tensors, the rest as JSON in the header.

The same record gives the same bytes. A file of another kind, schema or damaged is refused; never pickle.
"""

from __future__ import annotations

import json
import types
from collections.abc import Mapping as MappingABC
from dataclasses import fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import numpy as np

from attrib import records
from attrib.errors import ForeignError, InputError, RecordError
from attrib.files import write_atomically
from attrib.records import Explanation

SCHEMA = 2
RECORDS: dict[str, type] = {
    name: getattr(records, name)
    for name in (
        "Attribution", "Capture", "Evidence", "Explanation", "Mapping", "MappingSide", "Phrase", "Section", "Token",
        "Verbatim", "Verdict", "Vocabulary", "VocabularyShare",
    )
}  # fmt: skip


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
    """What ``save`` writes."""
    from safetensors.numpy import save

    arrays: dict[str, np.ndarray] = {}
    tree = _pack(explanation, "", arrays)
    # One metadata key only: the library writes several in any order.
    header = json.dumps({"schema": SCHEMA, "record": tree}, ensure_ascii=False, sort_keys=True)
    return save(arrays, metadata={"attrib": header})


def load(path: str | Path) -> Explanation:
    """Read an Explanation; RecordError when the file is damaged, of another kind or of another schema."""
    from safetensors import SafetensorError, safe_open

    path = Path(path)
    try:
        if not path.is_file():
            raise RecordError(f"{path}: no such file; give a .safetensors file written by attrib explain --out")
        with safe_open(path, "np") as file:
            header = (file.metadata() or {}).get("attrib")
            # Another program's tensors may be huge, or of a type that numpy lacks.
            names = file.keys() if header is not None else ()
            arrays = {name: file.get_tensor(name) for name in names}
    except (OSError, SafetensorError, AttributeError, TypeError) as error:
        # The last two: a type that numpy lacks.
        raise RecordError(f"{path}: not a whole .safetensors file ({error}); write the record again") from error
    if header is None:
        raise ForeignError(
            f"{path}: a .safetensors file, but not a record of attrib; give one written by attrib explain"
        )
    try:
        content = json.loads(header)
        schema = content["schema"]
        record = _unpack(content["record"], arrays) if schema == SCHEMA else None
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError, RecordError) as error:
        raise RecordError(f"{path}: the record is damaged ({error}); write it again") from error
    if schema != SCHEMA:
        raise RecordError(f"{path}: written with schema {schema}, this attrib reads {SCHEMA}; explain again")
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
        items = [_pack(item, f"{name}/{i}", arrays) for i, item in enumerate(value)]
        return {"tuple": items} if isinstance(value, tuple) else items
    if isinstance(value, np.generic):
        return value.item()
    return value


def _unpack(value: Any, arrays: dict[str, np.ndarray]) -> Any:
    if isinstance(value, list):
        return [_unpack(item, arrays) for item in value]
    if isinstance(value, str):
        # Half a character, which JSON can write, would fail wherever the text goes.
        value.encode()
    if not isinstance(value, dict):
        return value
    if "array" in value:
        return arrays[value["array"]]
    if "is" in value:
        kind = RECORDS[value["is"]]
        inner = {key: _unpack(item, arrays) for key, item in value["fields"].items()}
        for name, hint in _hints(kind).items():
            if name in inner and not _fits(inner[name], hint):
                raise RecordError(f"{kind.__name__}.{name} is a {type(inner[name]).__name__} of another form")
        return kind(**inner)
    if "dict" in value:
        return {key: _unpack(item, arrays) for key, item in value["dict"]}
    return tuple(_unpack(item, arrays) for item in value["tuple"])


@cache
def _hints(kind: type) -> dict[str, Any]:
    """The annotations of a record's fields."""
    hints = get_type_hints(kind)
    return {field.name: hints[field.name] for field in fields(kind)}


def _fits(value: Any, hint: Any) -> bool:
    """Whether a field may hold ``value``; arrays by type and number of axes."""
    outer, inner = get_origin(hint), get_args(hint)
    if outer is types.UnionType:
        return any(_fits(value, one) for one in inner)
    if outer is Literal:
        return value in inner
    if outer is tuple:
        return isinstance(value, tuple) and all(_fits(item, inner[0]) for item in value)
    if outer is MappingABC:
        return isinstance(value, dict) and all(isinstance(k, inner[0]) and _fits(v, inner[1]) for k, v in value.items())
    if hint is float:
        return type(value) in (int, float)
    return type(value) is int if hint is int else isinstance(value, hint)
