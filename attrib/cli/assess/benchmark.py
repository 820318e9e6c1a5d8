"""``attrib assess benchmark``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from attrib.assess.benchmark.options import FINETUNEBENCH_TOKENS, TUNING, BenchmarkOptions
from attrib.cli.assess.common import DEMO_QUESTIONS, check_results, check_tuning, kept
from attrib.cli.common import check_placement, console_of, load_pair, note, print_json, show_progress
from attrib.cli.groups import Given, Json, Results
from attrib.errors import InputError
from attrib.options.answers import JudgeOptions, QuestionOptions
from attrib.options.chat import ChatOptions
from attrib.options.fields import everyday
from attrib.options.loading import Models
from attrib.training.options import TuneOptions

if TYPE_CHECKING:
    from attrib.assess.benchmark.questions import BenchmarkQuestions
    from attrib.progress import Progress
    from attrib.records import Item


@dataclass(frozen=True)
class Sources(QuestionOptions):
    """The questions of a benchmark, and what is learned of them."""

    finetunebench: Path | None = everyday(None, "Questions")
    """FineTuneBench in its published layout: your own copy's folder."""
    subset: tuple[str, ...] | None = everyday(None, "Questions")
    """Parts of FineTuneBench, comma-separated: fictional_people, latest_news, medical, coding; default: all."""
    all_rows: bool = everyday(False, "Questions")
    """Keep the news rows that FineTuneBench's paper left out."""
    strict: bool = everyday(False, "Questions")
    """Refuse questions of which anything is not read: malformed rows, unused columns."""


@dataclass(frozen=True)
class JudgeName:
    """A model that judges answers."""

    url: str | None = everyday(None, "Judge", flag="--judge-url")
    """OpenAI-compatible endpoint of a judge; its key is read from $ATTRIB_JUDGE_KEY."""
    model: str | None = everyday(None, "Judge", flag="--judge-model")
    """Name of the judge at that endpoint."""


@dataclass(frozen=True)
class Learning:
    """Whether an adapter is tuned first, and what it learns."""

    tune: bool = everyday(False, "Adapter")
    """Tune an adapter in OUT/adapter first, as attrib tune does."""
    kinds: tuple[str, ...] = ("memorization", "trained", "updated")
    """Kinds of questions that --tune learns, comma-separated."""


def assess_benchmark(
    models: Models,
    questions: Sources,
    benchmark: BenchmarkOptions,
    judge: JudgeName,
    chat: ChatOptions,
    results: Results,
    given: Given,
    learning: Learning,
    adapter: TuneOptions = TUNING,
    as_json: Json = False,
) -> None:
    """Score right and wrong answers of base and tuned.

    Questions are FineTuneBench's, the demo's or your own. Every accuracy comes with baselines that know no answer.
    """
    from attrib.assess.benchmark.run import assess_benchmark as assess
    from attrib.assess.benchmark.run import check_benchmark, learned_items
    from attrib.assess.benchmark.tell import benchmark_table, write_benchmark
    from attrib.assess.stored import report_content
    from attrib.models.chat import PromptForm
    from attrib.training.options import check_options

    tune = learning.tune
    check_tuning(tune, models, given, "adapter", "learning")
    benchmark = _with_defaults(benchmark, judge, questions, given)
    tuning = replace(adapter, seed=benchmark.answers.seed)
    check_options(tuning)
    check_results(results)
    check_placement(models)
    if tune and models.tuned is not None:
        raise InputError("tune: --tune makes the tuned model; leave --tuned out")
    found = _read(questions)
    _say(questions, models, tune)
    check_benchmark(found.rows)
    items = learned_items(found.learned, learning.kinds, PromptForm.of(chat).earlier) if tune else ()
    with kept(results.out), show_progress() as progress:
        if tune:
            models = replace(models, tuned=_tuned(models, items, tuning, chat, results.out / "adapter", progress))
        pair = load_pair(models, progress, chat)
        report = assess(
            pair, found.rows, benchmark, notes=found.notes, malformed=found.malformed, sha256=found.sha256,
            reading=found.reading, out=results.out, progress=progress,
        )  # fmt: skip
    files = write_benchmark(report, results.out, results.formats, results.preset)
    if as_json:
        print_json({**report_content(report), "files": files})
        return
    benchmark_table(report, console_of(140))
    print("\n".join(files))


def _read(questions: Sources) -> BenchmarkQuestions:
    """The questions, and on stderr what became of all that is there."""
    from attrib.assess.benchmark.questions import read_benchmark
    from attrib.corpus.reading import refuse_losses

    found = read_benchmark(
        questions.path,
        questions.finetunebench,
        questions.subset,
        all_rows=questions.all_rows,
        limit=questions.limit,
        columns=questions.columns,
    )
    if found.read is not None:
        note(f"questions: {found.read}")
    for line in found.malformed:
        note(f"left out: {line}")
    if questions.strict:
        refuse_losses(found.losses)
    return found


def _tuned(
    models: Models, items: Sequence[Item], options: TuneOptions, chat: ChatOptions, out: Path, progress: Progress
) -> str:
    """Folder of the adapter that learned the items."""
    from attrib.models.sources import DEFAULT
    from attrib.training.tune import tune

    return str(tune(models.base or DEFAULT, items, out, options=options, loading=models, chat=chat, progress=progress))


def _with_defaults(benchmark: BenchmarkOptions, judge: JudgeName, questions: Sources, given: Given) -> BenchmarkOptions:
    """The options with a judge, and with the answers' length that FineTuneBench's paper allows."""
    if (judge.url is None) != (judge.model is None):
        raise InputError("judge-url: a judge needs both --judge-url and --judge-model")
    if judge.url is not None and judge.model is not None:
        benchmark = replace(benchmark, judge=JudgeOptions(judge.url, judge.model))
    if questions.finetunebench is not None and "answers.max_new_tokens" not in given:
        answers = replace(benchmark.answers, max_new_tokens=FINETUNEBENCH_TOKENS)
        benchmark = replace(benchmark, answers=answers)
    return benchmark


def _say(questions: Sources, models: Models, tune: bool) -> None:
    """Notices about what of the demo is used."""
    if models.base is None and models.tuned is None and not tune:
        note("using the demo's model (name your own with --base and --tuned)")
    elif questions.path is None and questions.finetunebench is None:
        note(f"{DEMO_QUESTIONS.removesuffix(')')} or --finetunebench)")
