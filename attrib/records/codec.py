"""Dataclasses ↔ JSON, by their annotations: every field is written, and nothing but these fields is read.

A missing field, an unknown one and a value of another type are refused by their path (``rows/3/kind``). Numbers that
are not finite have no JSON: nan is null, which is nan again where a ``float`` is asked for, and infinities are refused.
Arrays become nested lists and are read as float64, int64 or bool; where the caller hands in a dict for them they become
tensors of their own, which JSON names by their path. Fields annotated ``object`` are read as plain JSON: a tuple comes
back as a list.
Not covered: where a file lies, and how it is made again (``store``, ``storage``, ``assess.stored``).
"""

from __future__ import annotations

import json
import math
import sys
import types
from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import numpy as np
from jaxtyping import AbstractArray

from attrib.errors import RecordError
from attrib.files import UNSEALED, is_sealed, seal

T = TypeVar("T")
HEAD = ("attrib", "schema", "sha256")
"""The keys that stand before a record's own: what it is, in which schema, and the SHA-256 of the file, which has zeros
in its place. Files of older versions lack the last."""


# ------------------------------------------------------------------------------------------- writing


def dump(name: str, schema: int, record: object, arrays: MutableMapping[str, np.ndarray] | None = None) -> bytes:
    """A dataclass as one JSON object that says what it is: ``{"attrib": name, "schema": …, field: value …}``.

    A field stands on a line of its own, and so does each item of one that is a list. It is sealed (``files.seal``);
    with ``arrays`` every array goes there, and the whole is the caller's to seal. Raises RecordError as ``to_json``.
    """
    made = content(name, schema, record, arrays)
    made = {"attrib": name, "schema": schema, "sha256": UNSEALED, **made}
    lines = ",\n".join(f"{_text(key)}: {_lines(value)}" for key, value in made.items())
    data = f"{{\n{lines}\n}}\n".encode()
    return seal(data) if arrays is None else data


def content(
    name: str, schema: int, record: object, arrays: MutableMapping[str, np.ndarray] | None = None
) -> dict[str, Any]:
    """The object that ``dump`` writes, without its digest."""
    return {"attrib": name, "schema": schema, **to_json(record, arrays)}


def _lines(value: Any) -> str:
    if not isinstance(value, list) or not value:
        return _text(value)
    items = ",\n ".join(map(_text, value))
    return f"[\n {items}\n]"


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def to_json(value: Any, arrays: MutableMapping[str, np.ndarray] | None = None, where: str = "") -> Any:
    """``value`` as JSON: dataclasses, tuples, lists, mappings, arrays and plain values.

    With ``arrays`` every array goes there under its path, and that path stands in the JSON. Half a surrogate pair,
    which is no character, becomes a question mark. Raises RecordError for a value that could not be read back.
    """
    if isinstance(value, np.ndarray):
        return _array_to_json(value, arrays, where)
    if is_dataclass(value) and not isinstance(value, type):
        return {
            field.name: to_json(getattr(value, field.name), arrays, _path(where, field.name)) for field in fields(value)
        }
    if isinstance(value, Mapping):
        return {str(key): to_json(item, arrays, _path(where, str(key))) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [to_json(item, arrays, _path(where, str(i))) for i, item in enumerate(value)]
    if isinstance(value, np.generic):
        return to_json(value.item(), arrays, where)
    if isinstance(value, float):
        return _number_to_json(value, where)
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if value is None or isinstance(value, int):
        return value
    raise RecordError(f"{where or 'the value'} is a {type(value).__name__}, which JSON cannot hold")


def _array_to_json(array: np.ndarray, arrays: MutableMapping[str, np.ndarray] | None, where: str) -> Any:
    if arrays is None:
        # Nested lists lose the other axes of an array without values.
        empty = array.ndim > 1 and not array.size
        return {"shape": list(array.shape)} if empty else to_json(array.tolist(), None, where)
    # safetensors writes the memory of a view as it lies.
    arrays[where] = np.array(array, order="C")
    return where


def _number_to_json(value: float, where: str) -> float | None:
    if math.isnan(value):
        return None
    if math.isinf(value):
        raise RecordError(f"{where or 'the number'} is infinite, which JSON cannot hold")
    return value


def _path(where: str, name: str) -> str:
    return f"{where}/{name}" if where else name


# ------------------------------------------------------------------------------------------- reading


def parse(
    kind: type[T],
    data: bytes,
    name: str,
    schema: int,
    arrays: Mapping[str, np.ndarray] | None = None,
    *,
    file: bytes | None = None,
) -> T:
    """The dataclass that ``dump`` wrote; ``file``: all bytes, where these are more than ``data``.

    Raises RecordError: no JSON, another record, another schema, changed bytes, a wrong field.
    """
    try:
        content = json.loads(data, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise RecordError(f"damaged ({error})") from error
    if not isinstance(content, dict) or "schema" not in content:
        raise RecordError("not a record of attrib, or one of a version that stored no schema")
    if content.get("attrib", name) != name:
        raise RecordError(f"a record named {content['attrib']!r}, not {name!r}")
    if content["schema"] != schema:
        raise RecordError(f"written with schema {content['schema']}, this attrib reads {schema}")
    if "attrib" not in content:
        raise RecordError("damaged (attrib is missing)")
    try:
        found: T = from_json(kind, {key: value for key, value in content.items() if key not in HEAD}, arrays)
    except (RecordError, RecursionError) as error:
        raise RecordError(f"damaged ({error})") from error
    # Last: a field says more than a digest.
    digest = content.get("sha256", UNSEALED)
    if digest != UNSEALED and not is_sealed(data if file is None else file, digest):
        raise RecordError("damaged (its SHA-256 is another than when it was written)")
    return found


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def from_json(kind: Any, value: Any, arrays: Mapping[str, np.ndarray] | None = None, where: str = "") -> Any:
    """``value`` as a ``kind``, the inverse of ``to_json``. Raises RecordError that names the field."""
    origin, inner = get_origin(kind), get_args(kind)
    if kind is Any or kind is object:
        _check_text(json.dumps(value, ensure_ascii=False), where)
        return value
    if is_dataclass(kind):
        return _dataclass_from_json(kind, value, arrays, where)
    if origin in (Union, types.UnionType):
        return _union_from_json(inner, value, arrays, where)
    if origin is Literal:
        if value not in inner or isinstance(value, bool) is not any(isinstance(one, bool) for one in inner):
            raise _unfit(where, f"is {value!r}, not one of {', '.join(map(repr, inner))}")
        return value
    if origin is tuple:
        return _tuple_from_json(inner, value, arrays, where)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        if not isinstance(value, dict):
            raise _unfit(where, "is not an object")
        return {key: from_json(inner[1], item, arrays, _path(where, key)) for key, item in value.items()}
    if kind is np.ndarray or (isinstance(kind, type) and issubclass(kind, AbstractArray)):
        return _array_from_json(kind, value, arrays, where)
    return _plain_from_json(kind, value, where)


def _dataclass_from_json(kind: Any, value: Any, arrays: Mapping[str, np.ndarray] | None, where: str) -> Any:
    if not isinstance(value, dict):
        raise _unfit(where, "is not an object")
    hints = field_types(kind)
    for name in value:
        if name not in hints:
            raise RecordError(f"{_path(where, name)} is unknown")
    for name in hints:
        if name not in value:
            raise RecordError(f"{_path(where, name)} is missing")
    inner = {name: from_json(hint, value[name], arrays, _path(where, name)) for name, hint in hints.items()}
    try:
        return kind(**inner)
    except (TypeError, ValueError) as error:
        # Of its own checks; RecordErrors pass.
        raise _unfit(where, f"does not fit together: {' '.join(str(error).split())[:200]}") from error


def _union_from_json(inner: tuple[Any, ...], value: Any, arrays: Mapping[str, np.ndarray] | None, where: str) -> Any:
    if value is None and type(None) in inner:
        return None
    faults = []
    for one in inner:
        if one is type(None):
            continue
        try:
            return from_json(one, value, arrays, where)
        except RecordError as error:
            faults.append(error)
    raise faults[-1]


def _tuple_from_json(inner: tuple[Any, ...], value: Any, arrays: Mapping[str, np.ndarray] | None, where: str) -> Any:
    if not isinstance(value, list):
        raise _unfit(where, "is not a list")
    kinds = (inner[0],) * len(value) if inner[-1] is ... else inner
    if len(kinds) != len(value):
        raise _unfit(where, f"has {len(value)} values, not {len(kinds)}")
    return tuple(
        from_json(one, item, arrays, _path(where, str(i)))
        for i, (one, item) in enumerate(zip(kinds, value, strict=True))
    )


def _array_from_json(kind: Any, value: Any, arrays: Mapping[str, np.ndarray] | None, where: str) -> np.ndarray:
    if arrays is not None:
        if not isinstance(value, str) or value not in arrays:
            raise _unfit(where, "has no tensor in the file")
        array = arrays[value]
    else:
        array = _array_of_lists(getattr(kind, "dtypes", ("float64",)), value, where)
    if kind is not np.ndarray and not isinstance(array, kind):
        raise _unfit(where, f"is {array.dtype} of shape {array.shape}, not {kind.__name__}")
    return array


_CELLS: dict[str, tuple[type, ...]] = {"float64": (float, int, type(None)), "int64": (int,), "bool": (bool,)}
"""Types that an inline array is read as, and what its lists may hold."""


def _array_of_lists(dtypes: Sequence[str], value: Any, where: str) -> np.ndarray:
    dtype = next((name for name in _CELLS if name in dtypes), "bool")
    if isinstance(value, dict) and list(value) == ["shape"]:
        shape = from_json(tuple[int, ...], value["shape"], None, _path(where, "shape"))
        if 0 not in shape or min(shape) < 0:
            raise _unfit(where, "has values, but none is given")
        return np.zeros(shape, dtype)
    try:
        cells = np.array(value, object) if isinstance(value, list) else None
        if cells is not None and all(type(cell) in _CELLS[dtype] for cell in cells.ravel()):
            return cells.astype(dtype)
    except (ValueError, OverflowError):
        pass
    raise _unfit(where, f"is not an array of {dtype}")


def _plain_from_json(kind: Any, value: Any, where: str) -> Any:
    if kind is float:
        if value is None:
            return math.nan
        if isinstance(value, float) or (type(value) is int and abs(value) < sys.float_info.max):
            return float(value)
    elif kind is str and isinstance(value, str):
        _check_text(value, where)
        return value
    elif isinstance(value, kind) and (kind is bool or not isinstance(value, bool)):
        return value
    name = {float: "a number", int: "a whole number", str: "a text", bool: "true or false"}.get(kind, kind.__name__)
    raise _unfit(where, f"is not {name}")


def _check_text(text: str, where: str) -> None:
    """Refuse half a character, which JSON can write and which would fail wherever the text goes."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise _unfit(where, "is not whole text") from None


@cache
def field_types(kind: type) -> dict[str, Any]:
    """Type of each field of a dataclass, in order."""
    hints = get_type_hints(kind)
    return {field.name: hints[field.name] for field in fields(kind)}


def _unfit(where: str, fault: str) -> RecordError:
    return RecordError(f"{where or 'the record'} {fault}")
