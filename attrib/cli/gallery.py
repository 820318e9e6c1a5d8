"""``attrib gallery``: the pages of many explanations with an index."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from attrib.cli.common import check_writable, note, show_progress
from attrib.cli.groups import Budget, Json
from attrib.cli.texts import megabytes

EXAMPLE = "attrib gallery attrib-demo --out attrib-demo/gallery"


def gallery(
    folders: Annotated[
        list[Path], typer.Argument(help="Folders with records of explain, demo or assess attribution, at any depth.")
    ],
    out: Annotated[Path, typer.Option(help="Folder for index.html and the pages.")],
    budget: Budget = 10.0,
    as_json: Json = False,
) -> None:
    """Write a page for each record and an index; needs no model."""
    from attrib.render import gallery as pages

    for folder in folders:
        pages.check_folder(folder)
    check_writable(out)
    with show_progress() as progress:
        files, problems = pages.write(folders, out, budget=megabytes(budget), progress=progress)
    for line in problems:
        note(line)
    print(json.dumps({"files": files, "problems": problems}) if as_json else "\n".join(files))
