"""``attrib assess influence``."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from attrib.assess.influence.options import RetrainOptions
from attrib.cli.assess.common import check_results, kept
from attrib.cli.common import console_of, note, print_json, read_asked, read_control, read_documents, show_progress
from attrib.cli.groups import Json, Results
from attrib.cli.texts import parse_ids
from attrib.errors import InputError
from attrib.options.explain import ExplainOptions, HiddenOptions
from attrib.options.fields import everyday
from attrib.options.loading import Control, TunableModel

if TYPE_CHECKING:
    from attrib.assess.questions import Question
    from attrib.corpus.documents import Corpus


@dataclass(frozen=True)
class Taught(Control):
    """Sections, and the questions that they answer."""

    path: Path | None = everyday(None, "Documents", flag="--documents")
    """Folder or file of sections; default: the demo's for retraining."""
    questions: Path | None = everyday(None, "Documents")
    """Row file: question, answer, section (an id), kind (trained, rephrased, held-out)."""
    question_columns: tuple[str, ...] = everyday((), "Documents")
    """Columns of the questions by what they hold, where guessing fails: question=ask,answer=data.reply."""
    decoys: str = everyday("", "Documents")
    """Sections that are not trained: ids, comma-separated, or a file of them."""


@dataclass(frozen=True)
class Intervals:
    """The table's intervals."""

    resamples: int = everyday(1000, "Run", low=1)
    """Bootstrap draws of the intervals."""


def assess_influence(
    models: TunableModel,
    documents: Taught,
    retraining: RetrainOptions,
    hidden: HiddenOptions,
    intervals: Intervals,
    results: Results,
    as_json: Json = False,
) -> None:
    """Check mappers by retraining without sections.

    Adapters are tuned without each section, and on random halves: which mapper predicts the loss of an answer? If
    interrupted, rerun the same command to resume. Without --documents the demo's documents, questions and decoys are
    used. Adapters are tuned in float32; models.dtype is for the model that mappers read.
    """
    from attrib.assess.influence.metrics import table
    from attrib.assess.influence.run import assess_influence as assess
    from attrib.assess.influence.tell import retraining_content, retraining_table, write_retraining
    from attrib.assess.retraining import forecast, plan
    from attrib.corpus import demo
    from attrib.models import bundled
    from attrib.models.sources import DEFAULT
    from attrib.training.options import check_loading, check_options

    if not retraining.seeds:
        raise InputError("seeds: none is given; give whole numbers from 0, separated by commas")
    options = replace(retraining, tune=replace(retraining.tune, seed=retraining.seeds[0]))
    check_options(options.tune)
    check_loading(models)
    corpus, asked, untrained = _material(documents)
    control = read_control(documents) or demo.control()
    trained = [s.id for s in corpus.sections if s.id not in untrained]
    plan(trained, without=options.without, halves=options.halves, seeds=options.seeds, draw=options.draw)
    check_results(results)
    if models.base is None:
        note("using the demo's base model (name your own with --base)")
    with kept(results.out), show_progress() as progress:
        if models.base in (None, DEFAULT):
            # Here rather than inside tuning, to show its progress.
            bundled.get_default_model(lambda line: progress(line, 0, 1))
        found = assess(
            models.base or DEFAULT, corpus, control, asked, untrained, results.out, options=options,
            explain=ExplainOptions(hidden=hidden), loading=models, progress=forecast(note, progress),
        )  # fmt: skip
    rows = table(found, resamples=intervals.resamples)
    files = write_retraining(found, rows, results.out, results.formats, results.preset)
    if as_json:
        print_json({**retraining_content(found, rows), "files": files})
        return
    # Piped, its names and intervals need more than the 80 columns of a file.
    retraining_table(found, rows, console_of(120))
    for name in files:
        print(name)


def _material(documents: Taught) -> tuple[Corpus, tuple[Question, ...], frozenset[str]]:
    """Sections, questions, and the ids of the decoys."""
    from attrib.assess.questions import read_questions
    from attrib.corpus import demo

    if documents.path is None:
        own = (documents.questions, documents.decoys or None, documents.columns or None)
        if own != (None, None, None):
            raise InputError("documents: questions, decoys and columns of your own need --documents of your own")
        note("using the demo's documents for retraining (name your own with --documents and --questions)")
        corpus, file, untrained = demo.retraining()
        return corpus, read_questions(file), untrained
    if documents.questions is None:
        raise InputError("questions: none named for these documents; add --questions with answers and sections")
    corpus = read_documents(documents.path, documents)
    columns = documents.question_columns
    asked, report = read_asked(documents.questions, columns, corpus.report, strict=documents.strict)
    return replace(corpus, report=report), asked, parse_ids(documents.decoys)
