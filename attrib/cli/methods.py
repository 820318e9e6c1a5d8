"""``attrib methods`` and ``attrib mappers``: what can be computed, with every knob."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from attrib.cli.common import print_json
from attrib.cli.groups import Json
from attrib.options.explain import ExplainOptions
from attrib.options.fields import options_of

if TYPE_CHECKING:
    from attrib.records.kind import ScoreKind

METHODS_EXAMPLE, MAPPERS_EXAMPLE = "attrib methods", "attrib mappers"
EXPLAIN = ExplainOptions()


@dataclass(frozen=True)
class Knob:
    """An option of a method or mapper."""

    key: str
    default: str
    meaning: str


@dataclass(frozen=True)
class Row:
    """One method or mapper."""

    name: str
    default: bool
    """Whether it runs where none is named."""
    meaning: str
    cost: str
    knobs: tuple[Knob, ...]


def list_methods(as_json: Json = False) -> None:
    """List attribution methods with their knobs and cost."""
    from attrib.attribution import METHODS

    rows = [
        Row(name, name in EXPLAIN.methods, _meaning(method.kind), method.cost, knobs(method.knobs))
        for name, method in METHODS.items()
    ]
    if as_json:
        print_json({"methods": [asdict(row) for row in rows], "shared": [asdict(knob) for knob in knobs(("prompt",))]})
        return
    _print(rows)
    print("every method")
    _print_knobs(knobs(("prompt",)))
    print("\nCost by forward (F) and backward (B) passes over prompt and answer. Set a knob with -o KEY=VALUE.")


def list_mappers(as_json: Json = False) -> None:
    """List section mappers with their knobs and cost."""
    from attrib.mapping import MAPPERS, NAMES, mapper_kind

    rows = []
    for name in NAMES:
        mapper = MAPPERS.get(name)
        cost = mapper.cost if mapper is not None else "the mappers that it is made of"
        own = knobs(mapper.knobs) if mapper is not None else ()
        rows.append(Row(name, name in EXPLAIN.mappers, _meaning(mapper_kind(name)), cost, own))
    if as_json:
        print_json({"mappers": [asdict(row) for row in rows]})
        return
    _print(rows)
    print(
        "Cost by forward (F) and backward (B) passes; what is read of a section is kept. Set a knob with -o KEY=VALUE."
    )


def _meaning(kind: ScoreKind) -> str:
    return kind.meaning.replace("{target}", "target")


def knobs(groups: Sequence[str]) -> tuple[Knob, ...]:
    """The options of these groups, with their defaults."""
    found = [option for option in options_of(EXPLAIN, "explain") if option.group in groups]
    return tuple(Knob(option.key, option.shown, option.meaning) for option in found)


def _print(rows: Sequence[Row]) -> None:
    for row in rows:
        print(f"{row.name}{' (default)' if row.default else ''}\n    {row.meaning}\n    cost: {row.cost}")
        _print_knobs(row.knobs)
        print()


def _print_knobs(found: Sequence[Knob]) -> None:
    for knob in found:
        print(f"    {knob.key}={knob.default}: {knob.meaning}")
