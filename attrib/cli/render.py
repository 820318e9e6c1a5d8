"""``attrib render``: figures and page of a record."""

from __future__ import annotations

import json
from dataclasses import replace

from attrib.cli.common import check_writable
from attrib.cli.groups import Budget, Json, Output, RecordFile
from attrib.cli.texts import EXPLANATION_FORMATS, check_formats, megabytes
from attrib.errors import InputError
from attrib.options.figures import FIGURE_KINDS, FigureOptions

EXAMPLE = "attrib render figures/explanation.safetensors --format pdf --preset icml-double"


def render(
    file: RecordFile,
    figures: FigureOptions,
    output: Output,
    budget: Budget = 10.0,
    as_json: Json = False,
) -> None:
    """Draw figures and page of a record again; needs no model."""
    from attrib.records import storage
    from attrib.render import export

    kinds = check_formats(output.formats, EXPLANATION_FORMATS)
    if figures.kinds is not None:
        if not figures.kinds:
            raise InputError(f"--figure '': use {', '.join(FIGURE_KINDS)}, separated by commas")
        figures = replace(figures, kinds=tuple(kind for kind in FIGURE_KINDS if kind in figures.kinds))
    if figures.kinds is not None and kinds == ("html",):
        raise InputError("--figure: no picture's format is asked for; add one to --format, such as pdf")
    explanation = storage.load(file)
    folder = output.out if output.out is not None else file.parent
    check_writable(folder)
    files = export.figures(explanation, folder, kinds, figures)
    if "html" in kinds:
        files.append(export.page(explanation, folder / f"{file.stem}.html", budget=megabytes(budget)))
    print(json.dumps({"files": files}) if as_json else "\n".join(files))
