"""``attrib assess holdout``."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from attrib.assess.holdout.options import TUNING, HoldoutOptions, SplitOptions
from attrib.cli.assess.common import check_results, check_tuning, kept, read_material
from attrib.cli.common import (
    check_placement,
    console_of,
    load_pair,
    note,
    print_json,
    read_asked,
    read_documents,
    show_progress,
)
from attrib.cli.groups import Given, Json, Results
from attrib.cli.texts import parse_ids
from attrib.errors import InputError
from attrib.options.answers import QuestionOptions
from attrib.options.chat import ChatOptions
from attrib.options.fields import everyday
from attrib.options.loading import Documents, Models
from attrib.training.options import TuneOptions

if TYPE_CHECKING:
    from attrib.assess.holdout.records import HoldoutReport
    from attrib.assess.questions import Question
    from attrib.assess.split import Split
    from attrib.corpus.documents import Corpus
    from attrib.progress import Progress

SPLIT = SplitOptions()
DEMO_LIMIT = 60
"""Questions of the demo that are asked by default: three minutes on two cores."""


@dataclass(frozen=True)
class HeldOut:
    """Which sections are held out, and which removed."""

    tune: bool = everyday(False, "Adapter")
    """Tune an adapter in OUT/adapter first, as attrib tune does."""
    held_out: str | None = everyday(None, "Split")
    """Sections that the given model never saw: ids, comma-separated, or a file of them."""
    remove: str = everyday("", "Split")
    """Sections to retrain without and compare: ids, comma-separated, or a file of them."""
    chat: ChatOptions = field(default_factory=ChatOptions)
    """How questions become prompts."""


def assess_holdout(
    models: Models,
    documents: Documents,
    questions: QuestionOptions,
    holdout: HoldoutOptions,
    parts: HeldOut,
    results: Results,
    given: Given,
    split: SplitOptions = SPLIT,
    adapter: TuneOptions = TUNING,
    as_json: Json = False,
) -> None:
    """Compare the tuned-on part with the held-out part.

    The questions' kind or split, or --held-out, names the part that a given model saw; with --tune the command splits
    sections and questions and tunes on one part. --remove retrains without sections.
    """
    from attrib.assess.holdout.tell import holdout_table, write_holdout
    from attrib.assess.split import given_split
    from attrib.assess.split import split as split_sections
    from attrib.assess.stored import report_content
    from attrib.corpus import demo
    from attrib.training.options import check_loading, check_options

    check_tuning(parts.tune, models, given, "adapter", "split")
    if parts.remove:
        check_loading(models)
    tuning = replace(adapter, seed=holdout.seed)
    check_options(tuning)
    check_results(results)
    check_placement(models)
    if parts.tune and (models.tuned is not None or parts.held_out is not None):
        raise InputError("tune: --tune makes the model and the parts; leave --tuned and --held-out out")
    corpus, asked, is_demo = _material(models, documents, questions, parts.tune)
    if parts.tune:
        found = split_sections(
            corpus.sections, asked, by=split.by, share=split.share, stratify=split.stratify, seed=holdout.seed
        )
    else:
        never = demo.decoys() if is_demo else None
        named = parse_ids(parts.held_out) if parts.held_out is not None else never
        found = given_split(corpus.sections, asked, named)
    with kept(results.out), show_progress() as progress:
        report = _measured(models, (corpus, asked, found), parts, holdout, tuning, results.out, progress)
    files = write_holdout(report, results.out, results.formats, results.preset)
    if as_json:
        print_json({**report_content(report), "files": files})
        return
    holdout_table(report, console_of(120))
    print("\n".join(files))


def _measured(
    models: Models,
    material: tuple[Corpus, tuple[Question, ...], Split],
    parts: HeldOut,
    holdout: HoldoutOptions,
    tuning: TuneOptions,
    out: Path,
    progress: Progress,
) -> HoldoutReport:
    """The report on a given model or on one that is tuned first, with what removing sections changes."""
    from attrib.assess.holdout.removal import removal_by_retraining
    from attrib.assess.holdout.run import assess_holdout as assess
    from attrib.assess.holdout.run import hold_out
    from attrib.models.pair import ModelPair
    from attrib.models.sources import DEFAULT

    corpus, asked, found = material
    if parts.tune:
        report = hold_out(
            models.base or DEFAULT, corpus, asked, found, out, tuning=tuning, options=holdout, loading=models,
            chat=parts.chat, progress=progress,
        )  # fmt: skip
        adapter: Path | None = out / "adapter"
    else:
        pair = load_pair(models, progress, parts.chat, corpus)
        report = assess(pair, corpus, asked, found, holdout, out=out, progress=progress)
        adapter = pair.tuned.folder
    if not parts.remove:
        return report
    removal = removal_by_retraining(
        adapter, corpus, asked, found, parse_ids(parts.remove), out,
        load=lambda folder: ModelPair.load(**asdict(replace(models, tuned=str(folder))), chat=parts.chat),
        options=holdout, loading=models, progress=progress,
    )  # fmt: skip
    return replace(report, removal=removal)


def _material(
    models: Models, documents: Documents, questions: QuestionOptions, tune: bool
) -> tuple[Corpus, tuple[Question, ...], bool]:
    """Documents, questions, and whether they are the demo's."""
    from attrib.assess.questions import read_questions
    from attrib.corpus import demo

    limit = questions.limit
    if not tune:
        if (models, documents.path, questions) == (replace(models, base=None, tuned=None), None, QuestionOptions()):
            questions = replace(questions, limit=DEMO_LIMIT)
        return read_material(models, documents, questions)
    if (documents.path, models.base, questions.path) == (None, None, None):
        note("using the demo's documents for retraining (name your own with --documents and --questions)")
        corpus, file, untrained = demo.retraining()
        learned = tuple(q for q in read_questions(file) if q.section is None or q.section not in untrained)
        return corpus.without(untrained), learned[:limit], True
    if documents.path is None:
        return read_material(models, documents, questions)
    corpus = read_documents(documents.path, documents)
    if questions.path is None:
        raise InputError("questions: none named for these documents; add --questions")
    asked, report = read_asked(questions.path, questions.columns, corpus.report, strict=documents.strict)
    return replace(corpus, report=report), asked[:limit], False
