"""Option dataclasses read as data: their keys, meanings, types and defaults; text into a value of an option's type.

A key is ``group.field``. A dataclass inside another is a group of its own, named by its field. Not covered: whether a
value fits the models (the code that uses it checks that).
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, dataclass, field, fields, is_dataclass, replace
from difflib import get_close_matches
from functools import cache
from itertools import pairwise
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from attrib.errors import InputError


def everyday(
    default: Any,
    panel: str,
    *,
    flag: str = "",
    low: int | float | None = None,
    high: int | float | None = None,
    count: Callable[[int], object] | None = None,
) -> Any:
    """A field that the command line gives a flag of its own, under the heading ``panel``; others are set by key.

    ``count`` makes a value of a whole number that stands alone.
    """
    return field(default=default, metadata={"panel": panel, "flag": flag, "low": low, "high": high, "count": count})


def bounded(default: Any, low: int | float, high: int | float | None = None) -> Any:
    """A number without a flag, within bounds."""
    return field(default=default, metadata={"low": low, "high": high})


def internal(default: Any) -> Any:
    """A field that callers in Python set, and no key does."""
    return field(default=default, metadata={"internal": True})


@dataclass(frozen=True)
class Option:
    """One option, wherever its dataclass stands."""

    group: str
    name: str
    path: tuple[str, ...]
    """Attributes that lead to it from the dataclass that was read."""
    kind: Any
    """Its type."""
    default: object
    """MISSING where one must be given."""
    meaning: str
    """First sentence starts with a noun or a verb; from the docstring under the field."""
    panel: str
    """Heading in the help; empty where it has no flag."""
    flag: str
    low: int | float | None
    high: int | float | None
    count: Callable[[int], object] | None
    """Makes a value of a whole number that stands alone."""

    @property
    def key(self) -> str:
        """``group.field``."""
        return f"{self.group}.{self.name}"

    @property
    def shown(self) -> str:
        """The default as it may be typed."""
        if self.count is not None:
            return next((str(n) for n in range(1, 13) if self.count(n) == self.default), written(self.default))
        return written(self.default)


def options_of(instance: Any, group: str, path: tuple[str, ...] = ()) -> Iterator[Option]:
    """Every option of a dataclass, given as an instance (whose values are the defaults) or as a class."""
    cls = instance if isinstance(instance, type) else type(instance)
    hints, meanings = types_of(cls), meanings_of(cls)
    for one in fields(cls):
        value = getattr(instance, one.name, MISSING)
        if one.metadata.get("internal"):
            continue
        inner = value if value is not MISSING or one.default_factory is MISSING else one.default_factory()
        if is_dataclass(inner):
            yield from options_of(inner, one.name, (*path, one.name))
            continue
        panel = one.metadata.get("panel", "")
        flag = (one.metadata["flag"] or f"--{one.name.replace('_', '-')}") if panel else ""
        low, high, count = (one.metadata.get(name) for name in ("low", "high", "count"))
        meaning = meanings.get(one.name, "")
        yield Option(group, one.name, (*path, one.name), hints[one.name], inner, meaning, panel, flag, low, high, count)


@cache
def types_of(cls: type) -> dict[str, Any]:
    """Types of a dataclass's fields, by name."""
    return get_type_hints(cls)


@cache
def meanings_of(cls: type) -> dict[str, str]:
    """The docstring under each field of a dataclass, on one line; those of its parents too."""
    found: dict[str, str] = {}
    for parent in reversed(cls.__mro__):
        if not is_dataclass(parent):
            continue
        body = ast.parse(inspect.cleandoc(inspect.getsource(parent))).body[0].body  # type: ignore[attr-defined]
        for statement, following in pairwise(body):
            if isinstance(statement, ast.AnnAssign) and isinstance(following, ast.Expr):
                name, text = ast.unparse(statement.target), ast.literal_eval(following.value)
                found[name] = " ".join(text.split()).replace("``", "")
    return found


def with_values(instance: Any, values: Mapping[tuple[str, ...], object]) -> Any:
    """The dataclass with the values at these paths."""
    changes: dict[str, Any] = {}
    inner: dict[str, dict[tuple[str, ...], object]] = {}
    for (name, *rest), value in values.items():
        if rest:
            inner.setdefault(name, {})[tuple(rest)] = value
        else:
            changes[name] = value
    for name, below in inner.items():
        changes[name] = with_values(getattr(instance, name), below)
    return replace(instance, **changes) if changes else instance


def find(key: str, options: Mapping[str, Option]) -> Option:
    """The option of this key. Raises InputError that names the nearest keys."""
    if key in options:
        return options[key]
    near = [other for other in options if other.partition(".")[2] == key.rpartition(".")[2]]
    near = near or get_close_matches(key, options, n=3, cutoff=0.5)
    groups = dict.fromkeys(other.partition(".")[0] for other in options)
    mend = f"did you mean {' or '.join(near)}?" if near else f"keys are GROUP.NAME, with a group of {', '.join(groups)}"
    raise InputError(f"{key}: there is no such option; {mend}")


def parse(text: str, option: Option, name: str = "") -> Any:
    """The text as a value of the option's type. Raises InputError that says what it may be, of the option by ``name``
    (default: its key)."""
    name = name or option.key
    if option.count is not None and text.isascii() and text.isdecimal():
        return option.count(int(text))
    try:
        value = _parsed(text, option.kind)
    except ValueError:
        raise InputError(f"{name} {text!r}: give {described(option.kind)}") from None
    number = isinstance(value, int | float)
    # Not the other way round: nan is neither below nor above.
    if number and option.low is not None and not value >= option.low:
        raise InputError(f"{name} {text!r}: give a number from {option.low:g}")
    if number and option.high is not None and not value <= option.high:
        raise InputError(f"{name} {text!r}: give a number to {option.high:g}")
    return value


def _parsed(text: str, kind: Any) -> Any:
    """Raises ValueError for text of another type."""
    if kind in (str, Path):
        return kind(text)
    origin, inside = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        # A text keeps the blanks around it: an answer may begin with one.
        return _first_that_fits(text, inside)
    text = text.strip()
    if origin is Literal:
        if text not in inside:
            raise ValueError(text)
        return text
    if origin is tuple:
        if get_origin(inside[0]) is tuple:
            raise ValueError(text)
        parts = [_parsed(part.strip(), inside[0]) for part in text.split(",") if part.strip()]
        # A name given twice is one name.
        return tuple(dict.fromkeys(parts) if inside[0] is str or get_origin(inside[0]) is Literal else parts)
    if kind in (NoneType, bool):
        words: dict[str, bool | None] = {"none": None} if kind is NoneType else {"true": True, "false": False}
        if text.lower() not in words:
            raise ValueError(text)
        return words[text.lower()]
    if kind is int and not (text.isascii() and len(text) < 20):
        raise ValueError(text)
    if kind in (int, float):
        return kind(text)
    raise ValueError(text)


def _first_that_fits(text: str, kinds: tuple[Any, ...]) -> Any:
    # Where a text may be, any word is one, none too; elsewhere none is no name of a list.
    for kind in [str] if str in kinds else sorted(kinds, key=lambda one: one is not NoneType):
        try:
            return _parsed(text, kind)
        except ValueError:
            continue
    raise ValueError(text)


def described(kind: Any) -> str:
    """Accepted values in words: ``a whole number or auto``; empty for values that only Python can give."""
    origin, inside = get_origin(kind), get_args(kind)
    if origin is Literal:
        return " or ".join(inside) if len(inside) < 3 else f"{', '.join(inside[:-1])} or {inside[-1]}"
    if origin in (Union, UnionType):
        return " or ".join(said for one in inside if (said := described(one)))
    if origin is tuple:
        several = {int: "whole numbers", float: "numbers", str: "names"}
        choices = f"some of {described(inside[0])}" if get_origin(inside[0]) is Literal else ""
        said = several.get(inside[0], choices)
        return f"{said}, separated by commas" if said else ""
    words = {int: "a whole number", float: "a number", str: "a text", bool: "true or false", Path: "a path"}
    return words.get(kind, "none" if kind is NoneType else "")


def written(value: object) -> str:
    """A value as ``parse`` reads it."""
    if value is None or isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return ",".join(map(str, value))
    return str(value)
