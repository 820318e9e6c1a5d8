"""``attrib calibrate``: which error the verdict can promise for this pair and these documents."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from attrib.cli.common import (
    check_placement,
    load_pair,
    note,
    print_json,
    read_asked,
    read_control,
    read_corpus,
    show_progress,
)
from attrib.cli.groups import Json
from attrib.errors import InputError
from attrib.options.calibrate import CalibrateOptions, ControlQuestions
from attrib.options.chat import ChatOptions
from attrib.options.loading import ControlledDocuments, Models

if TYPE_CHECKING:
    from attrib.assess.questions import Question

EXAMPLE = "attrib calibrate --tuned ./adapter --documents ./docs --questions questions.jsonl"


def calibrate(
    models: Models,
    documents: ControlledDocuments,
    questions: ControlQuestions,
    controls: CalibrateOptions,
    chat: ChatOptions,
    out: Annotated[
        Path | None,
        typer.Option(help="JSON file for the calibration too, for --calibration.", rich_help_panel="Output"),
    ] = None,
    as_json: Json = False,
) -> None:
    """Measure the error that the verdict «documents» can promise.

    Judges answers that do not come from the documents: to general questions, to questions on held-out sections and on
    control texts, and answers of other sections. Afterwards attrib explain, serve and assess say which error holds, and
    call an answer documents only above the threshold that keeps it. If interrupted, rerun the same command to resume.
    """
    from attrib.calibrating.run import calibrate as calibrate_pair
    from attrib.index.library import Library
    from attrib.records import codec
    from attrib.render.view import promise_lines
    from attrib.training.workfolder import held_out_of

    check_placement(models)
    if out is not None and out.is_dir():
        raise InputError(f"{out}: a folder; give --out a file, such as {out / 'calibration.json'}")
    corpus, use_demo = read_corpus(models, documents)
    control = read_control(documents)
    report = corpus.report
    asked, given = (
        read_asked(path, (), report, strict=documents.strict)[0] if path is not None else ()
        for path in (questions.questions, questions.control_questions)
    )
    if use_demo:
        note("using the demo's model and documents (name your own with --base, --tuned, --documents)")
        asked = asked or _of_demo()
    with show_progress() as progress:
        pair = load_pair(models, progress, chat, corpus)
        library = Library.make(corpus, control, device=pair.device, progress=progress)
        held_out = held_out_of(pair.tuned.folder, [section.id for section in corpus.sections])
        found = calibrate_pair(pair, library, controls, held_out=held_out, asked=asked, given=given, progress=progress)
    if out is not None:
        found.save(out)
    promise = found.promise()
    if as_json:
        print_json({"promise": codec.to_json(promise), "file": str(out) if out is not None else None})
        return
    for line in promise_lines(promise):
        print(line)
    if out is not None:
        print(out)


def _of_demo() -> tuple[Question, ...]:
    """The demo's questions on its decoys, but none of the test's."""
    from attrib.assess.questions import of_demo
    from attrib.corpus import demo

    return tuple(of_demo(row) for row in demo.questions("calibration") if row.kind == "held-out")
