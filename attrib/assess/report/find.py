"""Folders → the stored assessments and explanations of one model pair, checked.

Not covered: Parquet, CSV and ``answers.jsonl``, which hold nothing that the JSON lacks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from attrib.assess.attribution.run import AttributionReport
from attrib.assess.benchmark.run import BenchmarkReport
from attrib.assess.consistency.records import ConsistencyReport
from attrib.assess.faithfulness.run import FaithfulnessReport
from attrib.assess.holdout.records import HoldoutReport
from attrib.assess.influence.records import InfluenceReport
from attrib.assess.stored import Report, plain_name, read_report
from attrib.errors import InputError, RecordError
from attrib.files import walk
from attrib.records import Explanation, storage

DEPTH = 3
"""Folders below a named one that are looked into."""
KINDS: dict[str, type[Report]] = {
    "benchmark": BenchmarkReport,
    "consistency": ConsistencyReport,
    "holdout": HoldoutReport,
    "attribution": AttributionReport,
    "faithfulness": FaithfulnessReport,
    "influence": InfluenceReport,
}
"""Names of the assessments, in the order of the report."""
NAMES = tuple(KINDS)
RECORD = "explanation.safetensors"


@dataclass(frozen=True)
class ModelName:
    """One of the two models of a pair."""

    name: str
    """Empty where the file does not say."""
    sha256: str


@dataclass(frozen=True, eq=False)
class Assessment:
    """A report and the file that it was read from."""

    name: str
    file: Path
    report: Report
    """One of KINDS."""

    @property
    def pair(self) -> tuple[ModelName, ModelName] | None:
        """Base and tuned; None for ``influence``, which tunes its own."""
        return None if self.name == InfluenceReport.NAME else _pair(self.report.provenance)


@dataclass(frozen=True, eq=False)
class StoredExplanation:
    """An explanation and the file that it was read from."""

    file: Path
    record: Explanation


@dataclass(frozen=True, eq=False)
class StoredAssessments:
    """The assessments and explanations of one model pair."""

    assessments: Mapping[str, Assessment]
    """By name, in the order of NAMES."""
    explanations: tuple[StoredExplanation, ...] = ()

    def pair(self) -> tuple[ModelName, ModelName]:
        """Base and tuned, with their names where a file has them."""
        found = [pair for _, pair in _pairs(self) if pair is not None]
        whole = [pair for pair in found if all(model.name and model.sha256 for model in pair)]
        return (whole or found or [(ModelName("", ""), ModelName("", ""))])[0]


def find(folders: Sequence[Path]) -> StoredAssessments:
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
    found = StoredAssessments(
        {name: _read(name, files[name]) for name in NAMES if name in files},
        tuple(StoredExplanation(path, storage.load(path)) for path in records),
    )
    _check_one_pair(found)
    return found


def _files(folder: Path) -> Iterator[Path]:
    """Files of attrib in a folder and below, in the order of their names."""
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; name one that attrib assess wrote with --out")
    wanted = {*(f"{name}.json" for name in NAMES), RECORD}
    yield from (file for file in walk(folder, DEPTH) if file.name in wanted)


def _read(name: str, file: Path) -> Assessment:
    found = Assessment(name, file, read_report(KINDS[name], file))
    if found.pair is None and name != InfluenceReport.NAME:
        raise RecordError(
            f"{file}: damaged (provenance does not name both models); make it again with attrib assess {name}"
        )
    return found


def _check_one_pair(found: StoredAssessments) -> None:
    first: dict[str, tuple[str, Path]] = {}
    for file, pair in _pairs(found):
        for side, model in zip(("base", "tuned"), pair or (), strict=False):
            if not model.sha256:
                continue
            sha256, other = first.setdefault(side, (model.sha256, file))
            if sha256 != model.sha256:
                raise InputError(
                    f"{file}: its {side} model ({model.sha256[:12]}) is not that of {other} ({sha256[:12]}); a report "
                    "is of one pair: name the folders of one"
                )


def _pairs(found: StoredAssessments) -> Iterator[tuple[Path, tuple[ModelName, ModelName] | None]]:
    yield from ((one.file, one.pair) for one in found.assessments.values())
    yield from ((one.file, _pair(one.record.provenance)) for one in found.explanations)


def _pair(provenance: Mapping[str, Any]) -> tuple[ModelName, ModelName] | None:
    base, tuned = _model(provenance.get("base")), _model(provenance.get("tuned"))
    return (base, tuned) if base is not None and tuned is not None else None


def _model(value: object) -> ModelName | None:
    """A model as provenance has it: its name and digest."""
    if not isinstance(value, Mapping):
        return None
    name, sha256 = value.get("name"), value.get("sha256")
    return ModelName(plain_name(name), sha256) if isinstance(name, str) and isinstance(sha256, str) else None
