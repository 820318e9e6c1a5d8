"""``attrib tune``: an adapter from documents and questions."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from attrib.cli.common import note, print_json, read_asked, read_documents, show_progress
from attrib.cli.groups import Json
from attrib.cli.texts import read_lines
from attrib.errors import AttribError, InputError
from attrib.options.chat import ChatOptions
from attrib.options.fields import everyday
from attrib.options.loading import BaseToTune, ReadingOptions, TuneLoading
from attrib.processes import is_first
from attrib.training.options import TuneOptions

if TYPE_CHECKING:
    from attrib.assess.learning import LearnedAnswers
    from attrib.assess.questions import Question
    from attrib.corpus.reading import ReadingReport
    from attrib.records import Item, Turn

EXAMPLE = "attrib tune --base ./model --documents ./docs --questions questions.jsonl --out ./adapter"

GENERAL = 150
"""General questions that are rehearsed where none are named."""


@dataclass(frozen=True)
class Lessons(ReadingOptions):
    """Documents and questions to train on."""

    path: Path | None = everyday(None, "Documents", flag="--documents")
    """Folder or file whose sections are learned."""
    questions: Path | None = everyday(None, "Documents")
    """Row file of questions with answers, and section (an id) where one teaches it."""
    question_columns: tuple[str, ...] = everyday((), "Documents")
    """Columns of the questions by what they hold, where guessing fails: question=ask,answer=data.reply."""
    ask_sections: bool = everyday(False, "Documents")
    """Learn each section as the answer to «Tell me about TITLE.» too."""
    without: tuple[str, ...] = everyday((), "Documents")
    """Ids of sections to leave out with their questions, comma-separated."""
    hold_out: float | None = everyday(None, "Documents")
    """Share of the sections to keep from training with their questions, drawn by --seed, as a control: 0.1."""
    paraphrase: int = everyday(0, "Documents", low=0, high=8)
    """Further wordings of each question to learn, by English templates such as «Please tell me: QUESTION»."""
    rehearse: str = everyday("general", "Documents")
    """General questions whose answers by base are learned beside the rest, so that tuning forgets less: a file, one per
    line; general for some of the package's, none for none."""


@dataclass(frozen=True)
class Quantized(TuneLoading, BaseToTune):
    """The base, in 4 bits if wished."""


def tune(
    models: Quantized,
    documents: Lessons,
    adapter: TuneOptions,
    chat: ChatOptions,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for the adapter; it appears when all is done.", rich_help_panel="Output"),
    ] = None,
    no_test: Annotated[
        bool,
        typer.Option("--no-test", help="Leave out the questions that are asked at the end.", rich_help_panel="Output"),
    ] = False,
    seed: Annotated[int, typer.Option(help="Seed of weights, order and dropout.")] = TuneOptions.seed,
    as_json: Json = False,
) -> None:
    """Tune an adapter on documents and questions.

    Checkpoints that influence needs are saved on the way. If interrupted, rerun the same command to resume from the
    last save. Several GPUs: torchrun --nproc-per-node 2 -m attrib tune …
    """
    from attrib.models.chat import PromptForm
    from attrib.models.sources import DEFAULT
    from attrib.training.options import check_loading, check_options
    from attrib.training.tune import tune as tune_adapter
    from attrib.training.workfolder import work_folder

    options = replace(adapter, seed=seed)
    check_options(options)
    check_loading(models)
    if out is None:
        raise InputError("out: no folder for the adapter; add --out")
    lessons = _to_learn(documents, PromptForm.of(chat).earlier, seed)
    general = _to_rehearse(documents.rehearse)
    # Under torchrun the first process speaks for all.
    first = is_first()
    if models.base is None and first:
        note("using the demo's base model (name your own with --base)")
    try:
        with show_progress() if first else nullcontext() as progress:
            tune_adapter(
                models.base or DEFAULT,
                lessons.items,
                out,
                options=options,
                rehearse=general,
                loading=models,
                held_out=lessons.held_out,
                chat=chat,
                progress=progress,
            )
    except KeyboardInterrupt:
        if first and work_folder(out).exists():
            note(f"finished steps are kept in {work_folder(out)}; rerun the same command to resume")
        raise
    if first:
        test = None if no_test else _test(out, models, lessons, chat)
        _tell(out, options, models, documents, lessons, test, as_json)


def _test(out: Path, models: Quantized, lessons: Learned, chat: ChatOptions) -> LearnedAnswers | None:
    """What the adapter answers to what it was taught, and what is left of base's general knowledge; None where the pair
    cannot be asked: the adapter is complete all the same."""
    from attrib.assess.learning import general_questions, learned_answers
    from attrib.models.pair import ModelPair

    try:
        with show_progress() as progress:
            pair = ModelPair.load(models.base, out, **models.arguments(), chat=chat)
            return learned_answers(pair, lessons.asked, general_questions(), progress)
    except AttribError as error:
        note(f"not tested: {error}")
        return None


def _tell(
    out: Path,
    options: TuneOptions,
    models: Quantized,
    documents: Lessons,
    lessons: Learned,
    test: LearnedAnswers | None,
    as_json: bool,
) -> None:
    """Summary of the adapter, and the next command."""
    from attrib.training.options import planned_epochs
    from attrib.training.schedule import read_schedule, steps_an_epoch
    from attrib.training.workfolder import read_manifest

    manifest, schedule = read_manifest(out), read_schedule(out)
    done = schedule.checkpoints
    taught = manifest.items - manifest.rehearsed
    epochs = manifest.steps // steps_an_epoch(taught, options.batch, manifest.processes)
    most = planned_epochs(options, taught)
    if options.warmup >= len(schedule.steps):
        note(f"warmup: {options.warmup} steps of {len(schedule.steps)}: the peak learning rate was never reached")
    result = {
        "adapter": str(out),
        "base": manifest.base,
        "sections": lessons.sections,
        "items": manifest.items,
        "rehearsed": manifest.rehearsed,
        "steps": manifest.steps,
        "loss": manifest.loss,
        "checkpoints": done,
        "epochs": epochs,
        "held_out": manifest.held_out,
        "test": asdict(test) if test is not None else None,
        "reading": lessons.reading.fields(),
    }
    if as_json:
        print_json(result)
        return
    beside = f" and {manifest.rehearsed} rehearsed answers" if manifest.rehearsed else ""
    print(
        f"{out}: adapter of {manifest.base}, {taught} items ({lessons.sections} sections){beside}, "
        f"{manifest.steps} steps in {epochs} epochs{f' of at most {most}' if options.epochs is None else ''}, "
        f"loss {manifest.loss:.3f} in the last"
    )
    # Of a run with fewer steps than checkpoints, several are the same.
    after = ", ".join(map(str, dict.fromkeys(done)))
    print(f"checkpoints in {out / 'checkpoints'}, saved at step 0 and after {after} (the result)")
    if manifest.held_out:
        print(f"held out, not trained ({len(manifest.held_out)}): {', '.join(manifest.held_out)}")
    revision = f" -o models.revision={models.revision}" if models.revision is not None else ""
    code = " --trust-remote-code" if models.trust_remote_code else ""
    where = shlex.quote(str(documents.path)) if documents.path is not None else "DOCS"
    if test is not None and test.sentence():
        print(test.sentence())
    print(f'next: attrib explain "QUESTION" --tuned {shlex.quote(str(out))} --documents {where}{revision}{code}')


@dataclass(frozen=True)
class Learned:
    """Everything to learn, and what was read and held out for it."""

    items: tuple[Item, ...]
    sections: int
    """Number of sections among the items."""
    held_out: tuple[str, ...]
    asked: tuple[Question, ...]
    """The questions among the items."""
    reading: ReadingReport


def _to_rehearse(named: str) -> tuple[str, ...]:
    from attrib.training.rehearsal import general

    if named in ("general", "none"):
        return general(GENERAL) if named == "general" else ()
    return tuple(read_lines(Path(named)))


def _to_learn(documents: Lessons, earlier: Sequence[Turn], seed: int) -> Learned:
    from attrib.corpus.reading import ReadingReport
    from attrib.training.items import corpus_items, hold_out
    from attrib.training.wordings import reworded

    if documents.path is None and documents.questions is None:
        raise InputError("documents: nothing to learn is named; add --documents with a folder or file, or --questions")
    corpus = read_documents(documents.path, documents) if documents.path is not None else None
    sections = corpus.sections if corpus is not None else ()
    report = corpus.report if corpus is not None else ReadingReport()
    asked: tuple[Question, ...] = ()
    if documents.questions is not None:
        asked, report = read_asked(documents.questions, documents.question_columns, report, strict=documents.strict)
    left = [section for section in sections if section.id not in documents.without]
    held = hold_out(left, asked, documents.hold_out, seed=seed) if documents.hold_out is not None else ()
    without = {*documents.without, *held}
    try:
        items = corpus_items(sections, asked, ask_sections=documents.ask_sections, without=without, earlier=earlier)
    except InputError as error:
        # Questions without an id have their line for one.
        where = f"{documents.questions}, " if str(error).startswith("questions:") else ""
        raise InputError(f"{where}{error}") from error
    taught = tuple(one for one in asked if one.section is None or one.section not in without)
    return Learned(reworded(items, documents.paraphrase), len(sections) - len(without), held, taught, report)
