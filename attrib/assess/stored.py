"""Reports of the assessments ↔ JSON files that say what they are and their schema (``records.codec``).

Not covered: finding the files of one model pair (``report.find``), and flat tables (``render.tables``).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from attrib.errors import RecordError
from attrib.records import codec


class Report:
    """Base of the dataclasses with all results of an assessment."""

    NAME: ClassVar[str]
    """Name of the assessment after ``attrib assess``."""
    SCHEMA: ClassVar[int]
    """Raised when a field changes: older files are then refused."""
    provenance: Mapping[str, object]
    """Models, questions, options, seed, versions."""

    @property
    def options(self) -> dict[str, Any]:
        """Options of the run, as stored; empty where the file has none."""
        options = self.provenance.get("options")
        return options if isinstance(options, dict) else {}


R = TypeVar("R", bound=Report)


def report_bytes(report: Report) -> bytes:
    """The report as its JSON file holds it."""
    return codec.dump(report.NAME, report.SCHEMA, report)


def report_content(report: Report) -> dict[str, Any]:
    """The same as one object."""
    return codec.content(report.NAME, report.SCHEMA, report)


def read_report(kind: type[R], file: Path) -> R:
    """The report in ``file``. Raises RecordError, one line: damaged, another assessment's, or of another schema."""
    try:
        return codec.parse(kind, file.read_bytes(), kind.NAME, kind.SCHEMA)
    except (OSError, RecordError) as error:
        why = " ".join(str(error).split())
        raise RecordError(f"{file}: {why}; make it again with attrib assess {kind.NAME}") from error


def plain_name(name: str) -> str:
    """The last part of an absolute path, all else as it is: a report names no machine."""
    windows = len(name) > 2 and name[1] == ":" and name[2] in "\\/"
    if not windows and not name.startswith(("/", "~")):
        return name
    return name.rstrip("\\/").replace("\\", "/").rsplit("/", 1)[-1]
