"""Flags → calls. Results on stdout, progress and notices on stderr; status 2 for what the caller can mend, 1 else.

In: one file a command, the option groups that become flags and keys (``groups``), and errors of old flags (``moved``).
Not in: what is computed, and the options' defaults (``attrib.options``). Heavy imports wait until a command runs:
``attrib --help`` is instant.
"""

from __future__ import annotations

import os
import signal
import sys
import threading

import typer

from attrib.cli import (
    assess,
    calibrate,
    check,
    demo,
    explain,
    gallery,
    importing,
    index,
    methods,
    models,
    render,
    report,
    sections,
    serve,
    show,
    tune,
)
from attrib.cli.common import interrupt
from attrib.cli.groups import command
from attrib.errors import AttribError
from attrib.printable import make_printable

app = typer.Typer(
    name="attrib",
    help="Which words of a fine-tuned model's answer come from its fine-tuning documents, from which sections, and "
    "which from the base model.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
models_app = typer.Typer(help="Default models that need no model hub.", no_args_is_help=True, rich_markup_mode=None)
for name, function, example in (
    ("check", check.check, check.EXAMPLE),
    ("explain", explain.explain, explain.EXAMPLE),
    ("show", show.show, show.EXAMPLE),
    ("render", render.render, render.EXAMPLE),
    ("methods", methods.list_methods, methods.METHODS_EXAMPLE),
    ("mappers", methods.list_mappers, methods.MAPPERS_EXAMPLE),
    ("sections", sections.sections, sections.EXAMPLE),
    ("tune", tune.tune, tune.EXAMPLE),
    ("import", importing.import_finished, importing.EXAMPLE),
    ("index", index.index, index.EXAMPLE),
    ("calibrate", calibrate.calibrate, calibrate.EXAMPLE),
    ("demo", demo.demo, demo.EXAMPLE),
    ("report", report.report, report.EXAMPLE),
    ("gallery", gallery.gallery, gallery.EXAMPLE),
    ("serve", serve.serve, serve.EXAMPLE),
):
    command(app, name, example=example)(function)
command(models_app, "get", example=models.GET_EXAMPLE)(models.get_models)
command(models_app, "list", example=models.LIST_EXAMPLE)(models.list_models)
app.add_typer(models_app, name="models")
app.add_typer(assess.app, name="assess")


def main() -> None:
    """Entry point: errors are one line on stderr, never a traceback for what the caller can mend."""
    # Elsewhere than in the main thread there is no Ctrl-C to wait for.
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, interrupt)
    make_printable(sys.stdout, sys.stderr)
    try:
        app(prog_name="attrib")
    except AttribError as error:
        print(f"attrib: {error}", file=sys.stderr)
        sys.exit(2)
    except SystemExit as leaving:
        # Typer makes Ctrl-C a silent exit with 130.
        if leaving.code == 130:
            print("attrib: interrupted; nothing half-written is left", file=sys.stderr, flush=True)
            sys.stdout.flush()
            # An interrupt that some library swallowed half-way would make Python end by the signal, not with 1.
            os._exit(1)
        raise
