"""``attrib import``: a finished run of another program, with what influence needs of it."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from attrib.cli.common import note, print_json, read_documents
from attrib.cli.groups import Json
from attrib.errors import InputError
from attrib.options.fields import everyday
from attrib.options.loading import ReadingOptions

if TYPE_CHECKING:
    from attrib.training.recording import Recording

EXAMPLE = "attrib import ./output --data train.jsonl --seed 42 --out ./adapter"


@dataclass(frozen=True)
class TrainedData(ReadingOptions):
    """The data that the run was trained on."""

    data: Path | None = everyday(None, "Documents")
    """File whose rows were trained, all of them and in this order."""


def import_finished(
    run: Annotated[Path, typer.Argument(help="Output folder of the run, with its checkpoint-* folders.")],
    documents: TrainedData,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for the adapter; it appears when all is done.", rich_help_panel="Output"),
    ] = None,
    base: Annotated[
        str | None,
        typer.Option(
            help="The base's name or folder, where the adapter names another place.", rich_help_panel="Models"
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(help="The trainer's seed, to draw the order of the data again.", rich_help_panel="Models"),
    ] = None,
    as_json: Json = False,
) -> None:
    """Import a finished run of another program, for influence.

    Reads its checkpoint-* folders, trainer_state.json and data; training_args.bin, a pickle, is never read. Says what
    is missing, and what that costs in trust. attrib.Recorder, a callback for the trainer, misses nothing.
    """
    from attrib.training.imported import check_import, import_run

    if documents.data is None:
        raise InputError("data: no data is named; add --data with the file that was trained")
    if out is None:
        raise InputError("out: no folder for the adapter; add --out")
    check_import(run, out, base=base, seed=seed)
    corpus = read_documents(documents.data, documents)
    in_rows = [section.row for section in corpus.sections] == list(range(1, len(corpus.sections) + 1))
    recording = import_run(
        run,
        [section.item for section in corpus.sections],
        out,
        base=base,
        data=str(documents.data),
        seed=seed,
        in_rows=in_rows,
    )
    _tell(out, recording, documents.data, as_json)


def _tell(out: Path, recording: Recording, data: Path, as_json: bool) -> None:
    """Summary of the import, what is missing, and the next command."""
    from attrib.corpus.reading import count
    from attrib.training.schedule import read_schedule

    done = read_schedule(out).checkpoints
    if as_json:
        print_json(
            {
                "adapter": str(out),
                "base": recording.base,
                "items": recording.items,
                "steps": recording.steps,
                "checkpoints": done,
                "order": recording.order,
                "missing": recording.missing,
            }
        )
        return
    for sentence in recording.missing:
        note(f"missing: {sentence}")
    print(f"{out}: adapter of {recording.base}, {recording.items} items, {count(recording.steps, 'step')}")
    print(f"checkpoints after {', '.join(map(str, done))} (the result); order of the data: {recording.order}")
    words = ["--tuned", str(out), "--documents", str(data), "--mappers", "influence,combined"]
    print(f'next: attrib explain "QUESTION" {shlex.join(words)}')
