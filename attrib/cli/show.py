"""``attrib show``: a record in the terminal, or the options that make it again."""

from __future__ import annotations

from typing import Annotated

import typer

from attrib.cli.common import print_json, show_explanation
from attrib.cli.groups import Json, RecordFile

EXAMPLE = "attrib show figures/explanation.safetensors"


def show(
    file: RecordFile,
    top: Annotated[int, typer.Option(min=1, help="Sections to list with --all.")] = 5,
    everything: Annotated[
        bool, typer.Option("--all", help="Show scores of prompt and sections, p-values and provenance too.")
    ] = False,
    options: Annotated[
        bool, typer.Option("--options", help="Print the options of its run as TOML, for attrib explain --options.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Show a stored explanation; needs no model."""
    from attrib.records import storage
    from attrib.render import command, export

    explanation = storage.load(file)
    if options:
        print(command.options_file(explanation), end="")
    elif as_json:
        print_json(export.summary(explanation, [str(file)]))
    else:
        show_explanation(explanation, top, everything=everything)
