"""Shared steps of the assessment commands: check formats, read questions and documents, handle Ctrl-C."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from attrib.cli.common import check_writable, note, read_asked, read_corpus
from attrib.cli.groups import Given, OptionalResults, Results
from attrib.cli.texts import check_formats
from attrib.errors import InputError
from attrib.options.answers import QuestionOptions
from attrib.options.loading import Documents, Models
from attrib.training.options import check_loading

if TYPE_CHECKING:
    from attrib.assess.questions import Question
    from attrib.corpus.documents import Corpus

DEMO_MODEL = "using the demo's model and documents (name your own with --base, --tuned, --documents)"
DEMO_QUESTIONS = "using the demo's questions (name your own with --questions)"


def check_results(results: Results | OptionalResults) -> None:
    """Everything about files is refused before the work."""
    from attrib.render.figures import width_of

    check_formats(results.formats)
    width_of(results.preset)
    if results.out is not None:
        check_writable(results.out)


def check_tuning(tune: bool, models: Models, given: Given, *groups: str) -> None:
    """Options of tuning must not be given in vain, and none that tuning cannot follow."""
    if tune:
        check_loading(models)
    if tune and models.tuned_revision is not None:
        raise InputError("models.tuned_revision: --tune makes the tuned model; leave it out")
    for key in sorted(given):
        if key.partition(".")[0] in groups and not tune:
            raise InputError(f"{given[key]}: it is for --tune; add that, or leave it out")


@contextmanager
def kept(out: Path) -> Iterator[None]:
    """Say on Ctrl-C where finished work lies."""
    try:
        yield
    except KeyboardInterrupt:
        note(f"finished work is kept in {out}; rerun the same command to resume")
        raise


def read_material(
    models: Models, documents: Documents, questions: QuestionOptions
) -> tuple[Corpus, tuple[Question, ...], bool]:
    """Documents, questions, and whether they are the demo's."""
    from attrib.assess.questions import demo_questions

    corpus, is_demo = read_corpus(models, documents)
    if questions.path is None and not is_demo:
        raise InputError("questions: none named for these documents; add --questions")
    if is_demo:
        note(DEMO_MODEL)
    if questions.path is None:
        note(DEMO_QUESTIONS)
        return corpus, demo_questions(questions.limit), is_demo
    asked, report = read_asked(questions.path, questions.columns, corpus.report, strict=documents.strict)
    return replace(corpus, report=report), asked[: questions.limit], is_demo
