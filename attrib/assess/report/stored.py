"""Folders → the stored assessments of one model pair, checked.

Every JSON is read into the dataclasses that wrote it, so that what is missing or of another kind is refused here, in
one line that names the file. Numbers that are null there are nan.
Not covered: Parquet, CSV and ``answers.jsonl``, which hold nothing that the JSON lacks.
"""

from __future__ import annotations

import json
import math
import sys
import types
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from attrib.assess.attribution import run as verdicts
from attrib.assess.benchmark.run import BenchmarkSummary as BenchmarkSummary
from attrib.assess.consistency.records import SummaryRow
from attrib.assess.faithfulness import run as faithfulness
from attrib.assess.holdout import records as holdout
from attrib.assess.holdout.blind import Blind
from attrib.assess.holdout.membership import Auc
from attrib.assess.influence.records import InfluenceReport
from attrib.assess.questions import Malformed
from attrib.errors import InputError, RecordError
from attrib.files import walk
from attrib.records import Explanation, storage

SCHEMA = 1
DEPTH = 3
"""Folders below a named one that are looked into."""
NAMES = ("benchmark", "consistency", "holdout", "attribution", "faithfulness", "influence")
RECORD = "explanation.safetensors"
_PLAIN = ("faithfulness", "influence")
"""Their JSON says neither what it is nor which schema it has."""

T = TypeVar("T")


@dataclass(frozen=True)
class ModelName:
    """One of the two models of a pair."""

    name: str
    """Empty where the file does not say."""
    sha256: str


@dataclass(frozen=True)
class Provenance:
    """What an assessment was made from."""

    base: ModelName | None
    """None where it is not of a pair of ours: ``influence`` tunes its own."""
    tuned: ModelName | None
    content: Mapping[str, Any]
    """As it is stored."""


@dataclass(frozen=True)
class StoredBenchmarkRow:
    """One question under one model."""

    id: str
    subset: str
    kind: str
    side: str
    question: str
    answer: str
    prediction: str
    accuracy: float


@dataclass(frozen=True)
class Benchmark:
    """``benchmark.json``."""

    summary: tuple[BenchmarkSummary, ...]
    rows: tuple[StoredBenchmarkRow, ...]
    malformed: tuple[Malformed, ...]


@dataclass(frozen=True)
class StoredRemoval:
    """What a model tuned again without some sections knows."""

    sections: tuple[str, ...]
    questions: tuple[str, ...]
    quantities: tuple[holdout.HoldoutQuantity, ...]
    forget_quality: tuple[holdout.ForgetQuality, ...]


@dataclass(frozen=True)
class HoldoutSummary:
    """The summary of ``holdout.json``."""

    quantities: tuple[holdout.HoldoutQuantity, ...]
    membership: tuple[Auc, ...]
    blind: tuple[Blind, ...]
    removal: StoredRemoval | None

    def quantity(self, measure: str, part: str, side: str, kind: str = "all") -> holdout.HoldoutQuantity | None:
        """One number of the summary, if it is there."""
        key = (measure, part, side, kind)
        return next((q for q in self.quantities if (q.measure, q.part, q.side, q.kind) == key), None)


@dataclass(frozen=True)
class StoredHoldoutRow:
    """One question under one model."""

    id: str
    question: str
    answer: str
    kind: str
    part: str
    side: str
    reply: str
    accuracy: float


@dataclass(frozen=True)
class Holdout:
    """``holdout.json``."""

    summary: HoldoutSummary
    rows: tuple[StoredHoldoutRow, ...]


@dataclass(frozen=True)
class Said:
    """A text that a model said."""

    text: str


@dataclass(frozen=True)
class SideAnswers:
    """What one model said to one question."""

    greedy: Said


@dataclass(frozen=True)
class Place:
    """A section that holds a term."""

    title: str
    document: str
    lines: str


@dataclass(frozen=True)
class Term:
    """A term of the tuned answer that no answer of the base has."""

    term: str
    spans: tuple[tuple[int, int], ...]
    sections: tuple[Place, ...]
    held_by: int


@dataclass(frozen=True)
class ConsistencyRow:
    """One question."""

    id: str
    question: str
    answer: str | None
    kind: str
    base: SideAnswers
    tuned: SideAnswers
    new_terms: tuple[Term, ...]


@dataclass(frozen=True)
class Consistency:
    """``consistency.json``."""

    summary: tuple[SummaryRow, ...]
    rows: tuple[ConsistencyRow, ...]

    def row(self, quantity: str, kind: str = "all") -> SummaryRow | None:
        """One row of the summary, if it is there."""
        return next((r for r in self.summary if (r.quantity, r.kind) == (quantity, kind)), None)


@dataclass(frozen=True)
class JudgedToken:
    """A token of the tuned model's answer."""

    text: str
    verdict: Literal["documents", "base", "neither"]


@dataclass(frozen=True)
class StoredAttributionRow:
    """One answer of the tuned model."""

    id: str
    kind: str
    question: str
    right_answer: str | None
    answer: str
    base_answer: str
    label: Literal["documents", "base", "neither", ""]
    sections: tuple[verdicts.Backing, ...]
    tokens: tuple[JudgedToken, ...]


@dataclass(frozen=True)
class Attribution:
    """``attribution.json``."""

    summary: tuple[verdicts.AttributionSummary, ...]
    rows: tuple[StoredAttributionRow, ...]


@dataclass(frozen=True)
class Faithfulness:
    """``faithfulness.json``."""

    rows: tuple[faithfulness.FaithfulnessRow, ...]


Told = Benchmark | Holdout | Consistency | Attribution | Faithfulness | InfluenceReport


@dataclass(frozen=True, eq=False)
class Assessment:
    """One JSON file and what stands beside it."""

    name: str
    file: Path
    told: Told
    notes: tuple[str, ...]
    """Plain sentences: warnings and defects."""
    provenance: Provenance


@dataclass(frozen=True, eq=False)
class Explained:
    """One stored explanation."""

    file: Path
    record: Explanation


@dataclass(frozen=True, eq=False)
class Found:
    """The assessments and explanations of one model pair."""

    assessments: Mapping[str, Assessment]
    """By name, in the order of NAMES."""
    explanations: tuple[Explained, ...] = ()

    @property
    def benchmark(self) -> Benchmark | None:
        return self._told("benchmark", Benchmark)

    @property
    def holdout(self) -> Holdout | None:
        return self._told("holdout", Holdout)

    @property
    def consistency(self) -> Consistency | None:
        return self._told("consistency", Consistency)

    @property
    def attribution(self) -> Attribution | None:
        return self._told("attribution", Attribution)

    @property
    def faithfulness(self) -> Faithfulness | None:
        return self._told("faithfulness", Faithfulness)

    @property
    def influence(self) -> InfluenceReport | None:
        return self._told("influence", InfluenceReport)

    def pair(self) -> tuple[ModelName, ModelName]:
        """Base and tuned, with their names where a file has them."""
        found = [
            (a.provenance.base, a.provenance.tuned)
            for a in self.assessments.values()
            if a.provenance.base is not None and a.provenance.tuned is not None
        ]
        found += [pair for one in self.explanations if (pair := _explained_pair(one)) is not None]
        whole = [(base, tuned) for base, tuned in found if base.name and tuned.name and base.sha256 and tuned.sha256]
        return (whole or found or [(ModelName("", ""), ModelName("", ""))])[0]

    def _told(self, name: str, kind: type[T]) -> T | None:
        one = self.assessments.get(name)
        return one.told if one is not None and isinstance(one.told, kind) else None


# ------------------------------------------------------------------------------------------- finding


def find(folders: Sequence[Path]) -> Found:
    """Look into each folder, at most DEPTH deep, for the JSON of every assessment and for explanation records.

    Raises InputError, one line, for folders that are none or hold nothing, for two files of one assessment, and for
    assessments of different model pairs; RecordError for a file that is damaged or of another schema.
    """
    files: dict[str, Path] = {}
    records: list[Path] = []
    seen: set[Path] = set()
    for path in (path for folder in folders for path in _files(folder)):
        if (real := path.resolve()) in seen:
            continue
        seen.add(real)
        if path.name == RECORD:
            records.append(path)
        elif (other := files.setdefault(path.stem, path)) != path:
            raise InputError(
                f"{path}: a second {path.stem} assessment beside {other}; name folders that hold one of each"
            )
    if not files and not records:
        where = ", ".join(map(str, folders)) or "no folder"
        raise InputError(
            f"{where}: no assessment there; run attrib assess benchmark, holdout, consistency or attribution with "
            "--out, and name its folder"
        )
    found = Found(
        {name: _read(name, files[name]) for name in NAMES if name in files},
        tuple(Explained(path, storage.load(path)) for path in records),
    )
    _refuse_mixed(found)
    return found


def _files(folder: Path) -> Iterator[Path]:
    """Files of ours in a folder and below, in the order of their names."""
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; name one that attrib assess wrote with --out")
    wanted = {*(f"{name}.json" for name in NAMES), RECORD}
    yield from (file for file in walk(folder, DEPTH) if file.name in wanted)


def _refuse_mixed(found: Found) -> None:
    first: dict[str, tuple[str, Path]] = {}
    pairs: list[tuple[Path, ModelName | None, ModelName | None]] = [
        (a.file, a.provenance.base, a.provenance.tuned) for a in found.assessments.values()
    ]
    pairs += [(one.file, *(_explained_pair(one) or (None, None))) for one in found.explanations]
    for file, base, tuned in pairs:
        for side, model in (("base", base), ("tuned", tuned)):
            if model is None or not model.sha256:
                continue
            sha256, other = first.setdefault(side, (model.sha256, file))
            if sha256 != model.sha256:
                raise InputError(
                    f"{file}: its {side} model ({model.sha256[:12]}) is not that of {other} ({sha256[:12]}); a report "
                    "is of one pair: name the folders of one"
                )


def _explained_pair(one: Explained) -> tuple[ModelName, ModelName] | None:
    content = one.record.provenance
    base, tuned = (_model(content.get(side)) for side in ("base", "tuned"))
    return (base, tuned) if base is not None and tuned is not None else None


# ------------------------------------------------------------------------------------------- reading


def _read(name: str, file: Path) -> Assessment:
    try:
        content = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise RecordError(
            f"{file}: cannot be read ({_line(error)}); make it again with attrib assess {name}"
        ) from error
    if not isinstance(content, dict):
        raise RecordError(f"{file}: no object of an assessment; make it again with attrib assess {name}")
    if name not in _PLAIN and content.get("assessment") != name:
        raise RecordError(f"{file}: not the file of attrib assess {name} that its name says; name another folder")
    if name not in _PLAIN and content.get("schema") != SCHEMA:
        raise RecordError(
            f"{file}: written with schema {content.get('schema')}, this attrib reads {SCHEMA}; make it again with "
            f"attrib assess {name}"
        )
    try:
        told = _told(name, content)
        notes = rebuild(tuple[str, ...], content.get("notes", []), "notes")
        provenance = _provenance(name, content.get("provenance"))
    except (ValueError, AttributeError, OverflowError, RecordError) as error:
        raise RecordError(f"{file}: damaged ({_line(error)}); make it again with attrib assess {name}") from error
    return Assessment(name, file, told, notes, provenance)


_KINDS: dict[str, type[Told]] = {
    "benchmark": Benchmark, "holdout": Holdout, "consistency": Consistency, "attribution": Attribution,
    "faithfulness": Faithfulness,
}  # fmt: skip


def _told(name: str, content: dict[str, Any]) -> Told:
    """Raises ValueError for what is missing or of another kind."""
    if name == "influence":
        return InfluenceReport.from_json(json.dumps(content))
    if name == "consistency":
        summary = rebuild(dict[str, dict[str, dict[str, Any]]], content.get("summary"), "summary")
        rows = [{**row, "kind": kind} for kind, group in summary.items() for row in group.values()]
        content = {**content, "summary": rows}
    told: Told = rebuild(_KINDS[name], content, "")
    return told


def _provenance(name: str, content: object) -> Provenance:
    if not isinstance(content, dict):
        raise ValueError("provenance is missing")
    if name == "influence":
        return Provenance(None, None, content)
    base, tuned = (_model(content.get(side)) for side in ("base", "tuned"))
    if base is None or tuned is None:
        raise ValueError("provenance does not name both models")
    return Provenance(base, tuned, content)


def _model(value: object) -> ModelName | None:
    """A model as an assessment names it: its name and digest, or one of them alone."""
    if isinstance(value, str):
        is_digest = len(value) >= 12 and not set(value) - set("0123456789abcdef")
        return ModelName("", value) if is_digest else ModelName(plain_name(value), "")
    if not isinstance(value, Mapping):
        return None
    name, sha256 = value.get("name", ""), value.get("sha256", "")
    return ModelName(plain_name(name), sha256) if isinstance(name, str) and isinstance(sha256, str) else None


def plain_name(name: str) -> str:
    """The last part of an absolute path, all else as it is: where something lay says nothing."""
    windows = len(name) > 2 and name[1] == ":" and name[2] in "\\/"
    if not windows and not name.startswith(("/", "~")):
        return name
    return name.rstrip("\\/").replace("\\", "/").rsplit("/", 1)[-1]


def _line(error: Exception) -> str:
    return " ".join(str(error).split())


# ------------------------------------------------------------------------------------------- values


_hints = cache(get_type_hints)
"""Once a class, not once an object."""


def rebuild(kind: Any, value: Any, where: str) -> Any:
    """``value`` from JSON as a ``kind``: dataclasses, tuples, mappings, unions and literals of plain values.

    Numbers that are null become nan; keys that a dataclass lacks are ignored, so that files may say more. Raises
    ValueError that says where something is missing or of another kind.
    """
    name = where or "it"
    if kind is Any:
        return value
    if is_dataclass(kind):
        return _dataclass(kind, value, where)
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        if value is None and type(None) in inner:
            return None
        return rebuild(next(one for one in inner if one is not type(None)), value, where)
    if origin is Literal:
        if value not in inner:
            raise ValueError(f"{name} is {value!r}, not one of {', '.join(map(repr, inner))}")
        return value
    if origin is tuple:
        return _tuple(inner, value, name)
    if origin is not None:
        if not isinstance(value, dict):
            raise ValueError(f"{name} is no object")
        return {key: rebuild(inner[1], one, f"{where}.{key}".lstrip(".")) for key, one in value.items()}
    if kind is float:
        if value is None:
            return math.nan
        if isinstance(value, float) or (type(value) is int and abs(value) < sys.float_info.max):
            return float(value)
    elif isinstance(value, kind) and (kind is bool or not isinstance(value, bool)):
        return value
    raise ValueError(f"{name} is no {'number' if kind in (int, float) else 'text' if kind is str else kind.__name__}")


def _dataclass(kind: Any, value: Any, where: str) -> Any:
    if not isinstance(value, dict):
        raise ValueError(f"{where or 'it'} is no object")
    hints, found = _hints(kind), {}
    for field in fields(kind):
        place = f"{where}.{field.name}".lstrip(".")
        if field.name in value:
            found[field.name] = rebuild(hints[field.name], value[field.name], place)
        elif field.default is MISSING and field.default_factory is MISSING:
            raise ValueError(f"{place} is missing")
    return kind(**found)


def _tuple(inner: tuple[Any, ...], value: Any, name: str) -> tuple[Any, ...]:
    if not isinstance(value, list):
        raise ValueError(f"{name} is no list")
    if inner[-1] is ...:
        return tuple(rebuild(inner[0], one, f"{name}[{i}]") for i, one in enumerate(value))
    if len(value) != len(inner):
        raise ValueError(f"{name} has {len(value)} values, not {len(inner)}")
    return tuple(rebuild(one, v, f"{name}[{i}]") for i, (one, v) in enumerate(zip(inner, value, strict=True)))
