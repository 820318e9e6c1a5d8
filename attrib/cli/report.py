"""``attrib report``: one page from the assessments of a model pair."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from attrib.cli.common import check_writable
from attrib.cli.groups import Json

EXAMPLE = "attrib report work --out work/report"


def report(
    folders: Annotated[
        list[Path], typer.Argument(help="Folders that assessments and explanations were written into, or one above.")
    ],
    out: Annotated[Path, typer.Option(help="Folder for report.html, report.md and their figures.")],
    as_json: Json = False,
) -> None:
    """Write one page from the assessments of a model pair.

    The page answers: did the tuned model learn, what do its answers rest on, what was forgotten?
    """
    from attrib.assess.report.find import find
    from attrib.assess.report.report import write_report

    found = find(folders)
    check_writable(out)
    files = write_report(found, out)
    print(json.dumps({"files": files}) if as_json else "\n".join(files))
