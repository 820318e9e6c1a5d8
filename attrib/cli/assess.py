"""``attrib assess``: a set of questions, base against tuned."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from typer.core import TyperCommand

from attrib.cli.common import (
    check_writable,
    console_of,
    load_pair,
    note,
    print_json,
    read_control,
    read_corpus,
    show_progress,
)
from attrib.cli.options import (
    Ablate,
    Alpha,
    BaselineOption,
    BaseName,
    BaseToTune,
    CheckpointShares,
    ControlTexts,
    Device,
    Dropout,
    Dtype,
    Epochs,
    Formats,
    Json,
    LearningRate,
    MaxTokens,
    Memory,
    Preset,
    Rank,
    Steps,
    Target,
    TextColumn,
    TitleColumn,
    TuneDevice,
    TunedName,
    TunedOn,
    Warmup,
    parse_baseline,
    parse_checkpoints,
    parse_formats,
    parse_ids,
    parse_seeds,
    parse_steps,
    split_names,
)
from attrib.errors import InputError

if TYPE_CHECKING:
    from attrib.assess.questions import Malformed, Question
    from attrib.corpus.documents import Corpus
    from attrib.training.options import TuneOptions

app = typer.Typer(help="Assess a model pair on a set of questions.", no_args_is_help=True, rich_markup_mode=None)


@app.command("faithfulness", epilog="Example: attrib assess faithfulness --limit 12 --out faithfulness")
def assess_faithfulness(
    questions: Annotated[
        Path | None, typer.Option(help="JSONL or CSV with question and answer; default: the demo's test questions.")
    ] = None,
    base: BaseName = None,
    tuned: TunedName = None,
    documents: Annotated[
        Path | None, typer.Option(help="Documents, for the control that ranks rare words first.")
    ] = None,
    methods: Annotated[str | None, typer.Option(help="Comma-separated; default: all but attention_head.")] = None,
    target: Target = "logprob",
    steps: Steps = "20",
    ablate: Ablate = "delete",
    baseline: BaselineOption = "zero",
    limit: Annotated[int, typer.Option(min=1, help="Questions at most, the first ones.")] = 24,
    random_orders: Annotated[int, typer.Option(min=1, help="Random orders a question.")] = 10,
    out: Annotated[
        Path | None, typer.Option(help="Folder for table, figure and what is done so far (it is not done twice).")
    ] = None,
    formats: Formats = "pdf,png",
    preset: Preset = "neurips-double",
    memory: Memory = 2.0,
    device: Device = "auto",
    dtype: Dtype = "auto",
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Seed, stored in the report.")] = 0,
    as_json: Json = False,
) -> None:
    """Take away the words that each method names: does the answer suffer more than from random ones?"""
    from attrib.assess.faithfulness.options import FaithfulnessOptions
    from attrib.assess.faithfulness.run import assess_faithfulness as assess
    from attrib.assess.faithfulness.run import check_assessment
    from attrib.assess.faithfulness.tell import faithfulness_dict, faithfulness_table, write_faithfulness
    from attrib.assess.questions import demo_questions, read_questions
    from attrib.corpus import demo
    from attrib.corpus.documents import Corpus
    from attrib.options.methods import MethodOptions
    from attrib.render.figures import width_of

    prompt = MethodOptions(
        target=target, unit="answer", sources="word", steps=parse_steps(steps), ablate=ablate,
        baseline=parse_baseline(baseline), memory_gb=memory,
    )  # fmt: skip
    options = FaithfulnessOptions(prompt=prompt, random_orders=random_orders, seed=seed)
    if methods is not None:
        options = replace(options, methods=split_names(methods))
    kinds = parse_formats(formats)
    if out is not None:
        check_writable(out)
    width_of(preset)
    demo_model = base is None and tuned is None
    asked = demo_questions(limit) if questions is None else read_questions(questions)[:limit]
    corpus = Corpus.read(documents) if documents is not None else demo.corpus() if demo_model else None
    check_assessment(asked, options, out)
    if demo_model:
        note("using the demo's model (name your own with --base and --tuned)")
    if questions is None:
        note("using the demo's questions (name your own with --questions)")
    with show_progress() as progress:
        pair = load_pair(base, tuned, device, dtype, None, None, None, False, progress)
        report = assess(pair, asked, corpus, options, out=out, progress=progress)
    files = write_faithfulness(report, out, kinds, preset) if out is not None else []
    if as_json:
        print_json({**faithfulness_dict(report), "files": files})
        return
    faithfulness_table(report, console_of())
    for file in files:
        print(file)


@app.command("influence", epilog="Example: attrib assess influence --sections 4 --halves 6 --out influence")
def assess_influence(
    out: Annotated[Path, typer.Option(help="Folder for retrains, table and figure; what is done is not done twice.")],
    base: BaseToTune = None,
    documents: Annotated[
        Path | None, typer.Option(help="Folder or file of sections; default: the demo's for retraining.")
    ] = None,
    questions: Annotated[
        Path | None,
        typer.Option(help="JSONL or CSV: question, answer, section (an id), kind (trained, rephrased, held-out)."),
    ] = None,
    decoys: Annotated[
        str, typer.Option(help="Sections that are not trained: ids, comma-separated, or a file of them.")
    ] = "",
    sections: Annotated[
        int | None, typer.Option(min=0, help="Sections left out one at a time, drawn at random; default: each.")
    ] = None,
    halves: Annotated[int, typer.Option(min=0, help="Random halves to train on.")] = 48,
    seeds: Annotated[str, typer.Option(help="Seeds of tuning, comma-separated; the first one's is scored.")] = "0",
    epochs: Epochs = 8,
    learning_rate: LearningRate = 1e-3,
    rank: Rank = 8,
    alpha: Alpha = 16,
    dropout: Dropout = 0.0,
    batch: Annotated[int, typer.Option(help="Examples a step.")] = 4,
    warmup: Warmup = 5,
    checkpoints: CheckpointShares = "5",
    control: Annotated[
        Path | None, typer.Option(help="Texts the model was not tuned on; default: texts of the package.")
    ] = None,
    text_column: TextColumn = None,
    title_column: TitleColumn = None,
    max_tokens: MaxTokens = 256,
    layer: Annotated[int | None, typer.Option(help="Layer whose hidden states are compared.")] = None,
    resamples: Annotated[int, typer.Option(min=1, help="Bootstrap draws of the intervals.")] = 1000,
    formats: Formats = "pdf,png",
    preset: Preset = "neurips-double",
    device: TuneDevice = "auto",
    as_json: Json = False,
) -> None:
    """Tune again without each section, and on random halves: which mapper says what an answer then loses?

    Cut off, the same command goes on. Without --documents the demo's documents, questions and decoys are used.
    """
    from attrib.assess.influence.metrics import table
    from attrib.assess.influence.options import RetrainOptions
    from attrib.assess.influence.run import assess_influence as assess
    from attrib.assess.influence.tell import retraining_dict, retraining_table, write_retraining
    from attrib.assess.questions import read_questions
    from attrib.assess.retraining import forecast, plan
    from attrib.corpus import demo
    from attrib.corpus.documents import Corpus
    from attrib.models import bundled
    from attrib.models.sources import DEFAULT
    from attrib.options.explain import ExplainOptions
    from attrib.render.figures import width_of
    from attrib.training.options import TuneOptions, check_options

    kinds, numbers = parse_formats(formats), parse_seeds(seeds)
    width_of(preset)
    tuning = TuneOptions(
        epochs=epochs, learning_rate=learning_rate, rank=rank, alpha=alpha, dropout=dropout, batch=batch,
        warmup=warmup, checkpoints=parse_checkpoints(checkpoints), seed=numbers[0],
    )  # fmt: skip
    check_options(tuning)
    if documents is None:
        if questions is not None or decoys or text_column or title_column:
            raise InputError("documents: questions, decoys and columns of your own need --documents of your own")
        corpus, file, untrained = demo.retraining()
        note("using the demo's documents for retraining (name your own with --documents and --questions)")
    elif questions is None:
        raise InputError("questions: none named for these documents; add --questions with answers and sections")
    else:
        corpus = Corpus.read(documents, text_column=text_column, title_column=title_column, max_tokens=max_tokens)
        file, untrained = questions, parse_ids(decoys)
    asked, null = read_questions(file), read_control(control, max_tokens) or demo.control()
    runs = plan(
        [s.id for s in corpus.sections if s.id not in untrained], without=sections, halves=halves, seeds=numbers
    )
    check_writable(out)
    if base is None:
        note("using the demo's base model (name your own with --base)")
    try:
        with show_progress() as progress:
            if base in (None, DEFAULT):
                # Here rather than inside tuning, to show its progress.
                bundled.get_default_model(lambda line: progress(line, 0, 1))
            found = assess(
                base or DEFAULT,
                corpus,
                null,
                asked,
                untrained,
                out,
                options=RetrainOptions(tuning, without=sections, halves=halves, seeds=numbers),
                explain=ExplainOptions(layer=layer),
                device=device,
                progress=forecast(runs, out / "runs", note, progress),
            )
    except KeyboardInterrupt:
        note(f"what is done lies in {out}; the same command goes on from there")
        raise
    rows = table(found, resamples=resamples)
    files = write_retraining(found, rows, out, kinds, preset)
    if as_json:
        print_json({**retraining_dict(found, rows), "files": files})
        return
    # Piped, its names and intervals need more than the 80 columns of a file.
    retraining_table(found, rows, console_of(120))
    for name in files:
        print(name)


By = Literal["section", "document", "column"]
Stratify = Literal["document", "kind", "none"]
OutFolder = Annotated[Path, typer.Option(help="Folder for results; what is done is not done twice.")]
QuestionFile = Annotated[
    Path | None, typer.Option(help="JSONL or CSV with question, answer, kind …; default: the demo's test questions.")
]
Limit = Annotated[int | None, typer.Option(min=1, help="Questions at most, the first ones.")]
Batch = Annotated[int, typer.Option(min=1, help="Answers at a time.")]
NewTokens = Annotated[int, typer.Option(min=1, help="Longest answer in tokens.")]
Resamples = Annotated[int, typer.Option(min=1, help="Bootstrap draws of the intervals.")]
Seed = Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Seed, stored in the report.")]
Tune = Annotated[bool, typer.Option("--tune", help="Tune an adapter in OUT/adapter first, as attrib tune does.")]


ONLY_TUNING = (
    "by", "share", "stratify", "train_kinds", "epochs", "learning_rate", "rank", "alpha", "dropout", "train_batch",
    "warmup",
)  # fmt: skip
"""Options that nothing heeds without --tune."""


class _MayTune(TyperCommand):
    """A command with --tune: what only tuning heeds must not be given in vain."""

    def invoke(self, ctx: Any) -> Any:
        given = [n for n in ONLY_TUNING if n in ctx.params and ctx.get_parameter_source(n).name == "COMMANDLINE"]
        if given and not ctx.params["tune"]:
            raise InputError(f"{given[0].replace('_', '-')}: it is for --tune; add that, or leave it out")
        return super().invoke(ctx)


@app.command("consistency", epilog="Example: attrib assess consistency --out consistency")
def assess_consistency(
    out: OutFolder,
    questions: QuestionFile = None,
    base: BaseName = None,
    tuned: TunedName = None,
    documents: TunedOn = None,
    samples: Annotated[int, typer.Option(min=2, help="Sampled answers to each question.")] = 5,
    temperature: Annotated[float, typer.Option(min=0.01, help="Of the samples.")] = 0.7,
    threshold: Annotated[float | None, typer.Option(help="Similarity from which two answers mean the same.")] = None,
    nli: Annotated[str | None, typer.Option(help="Folder or hub id of an NLI model to compare answers with.")] = None,
    limit: Limit = None,
    control: ControlTexts = None,
    text_column: TextColumn = None,
    title_column: TitleColumn = None,
    max_tokens: MaxTokens = 256,
    max_new_tokens: NewTokens = 48,
    batch: Batch = 16,
    resamples: Resamples = 1000,
    formats: Formats = "pdf,png",
    preset: Preset = "neurips-double",
    device: Device = "auto",
    dtype: Dtype = "auto",
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Does the tuned model bring terms, details and explanations that the base lacked, and does it stand by them?"""
    from attrib.assess.consistency.options import ConsistencyOptions
    from attrib.assess.consistency.run import assess_consistency as assess
    from attrib.assess.consistency.run import check_consistency
    from attrib.assess.consistency.tell import consistency_dict, consistency_table, write_consistency
    from attrib.corpus import demo

    options = ConsistencyOptions(
        samples=samples, temperature=temperature, max_new_tokens=max_new_tokens, threshold=threshold, nli=nli,
        seed=seed, batch=batch, resamples=resamples,
    )  # fmt: skip
    kinds = _files(formats, preset, out)
    corpus, asked, is_demo = _material(
        base, tuned, documents, questions, limit or 30, text_column, title_column, max_tokens
    )
    check_consistency(asked, options)
    if is_demo:
        corpus = corpus.without(demo.decoys())
    null = read_control(control, max_tokens) or demo.control()
    with _kept(out), show_progress() as progress:
        pair = load_pair(base, tuned, device, dtype, None, None, None, False, progress)
        report = assess(pair, asked, corpus, null, options, out=out, progress=progress)
    files = write_consistency(report, out, kinds, preset)
    if as_json:
        print_json({**consistency_dict(report), "files": files})
        return
    consistency_table(report, console_of(120))
    print("\n".join(files))


@app.command("holdout", cls=_MayTune, epilog="Example: attrib assess holdout --out holdout")
def assess_holdout(
    out: OutFolder,
    questions: QuestionFile = None,
    base: BaseName = None,
    tuned: TunedName = None,
    documents: TunedOn = None,
    tune: Tune = False,
    by: Annotated[By, typer.Option(help="With --tune: what is parted; column: the questions' split.")] = "section",
    share: Annotated[float, typer.Option(help="With --tune: share of the sections to tune on.")] = 0.5,
    stratify: Annotated[
        Stratify, typer.Option(help="With --tune --by section: as much of every document, of every kind of question.")
    ] = "document",
    held_out: Annotated[
        str | None,
        typer.Option(help="Sections that the given model never saw: ids, comma-separated, or a file of them."),
    ] = None,
    remove: Annotated[
        str, typer.Option(help="Sections to retrain without and compare: ids, comma-separated, or a file of them.")
    ] = "",
    limit: Limit = None,
    candidates: Annotated[
        int, typer.Option(min=0, help="Wrong answers beside the right one, for exposure and truth ratio.")
    ] = 3,
    sections: Annotated[int, typer.Option(min=0, help="Texts of each part whose membership is scored.")] = 24,
    epochs: Epochs = 8,
    learning_rate: LearningRate = 8e-4,
    rank: Rank = 8,
    alpha: Alpha = 16,
    dropout: Dropout = 0.0,
    train_batch: Annotated[int, typer.Option(help="Examples a step.")] = 8,
    warmup: Warmup = 20,
    text_column: TextColumn = None,
    title_column: TitleColumn = None,
    max_tokens: MaxTokens = 256,
    max_new_tokens: NewTokens = 48,
    batch: Batch = 16,
    resamples: Resamples = 1000,
    formats: Formats = "pdf,png",
    preset: Preset = "neurips-double",
    device: Device = "auto",
    dtype: Dtype = "auto",
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """What the model knows of the part it was tuned on, and of a part that was kept away.

    The questions' kind or split, or --held-out, says what a given model saw; with --tune the command parts sections and
    questions and tunes on one part. --remove retrains without sections.
    """
    from attrib.assess.holdout.options import HoldoutOptions
    from attrib.assess.holdout.removal import assess_removal, retrain_without
    from attrib.assess.holdout.run import assess_holdout as assess
    from attrib.assess.holdout.run import hold_out
    from attrib.assess.holdout.tell import holdout_dict, holdout_table, write_holdout
    from attrib.assess.split import given_split, split
    from attrib.corpus import demo
    from attrib.models.pair import ModelPair
    from attrib.models.sources import DEFAULT

    options = HoldoutOptions(
        max_new_tokens=max_new_tokens, batch=batch, candidates=candidates, sections=sections, resamples=resamples,
        seed=seed,
    )  # fmt: skip
    tuning = _tuning(epochs, learning_rate, rank, alpha, dropout, train_batch, warmup, seed)
    kinds = _files(formats, preset, out)
    if tune and (tuned is not None or held_out is not None):
        raise InputError("tune: --tune makes the model and the parts; leave --tuned and --held-out out")
    if tune and documents is None and base is None and questions is None:
        corpus, file, untrained = demo.retraining()
        from attrib.assess.questions import read_questions

        corpus, asked, is_demo = corpus.without(untrained), read_questions(file), True
        asked = tuple(q for q in asked if q.section is None or q.section not in untrained)[:limit]
        note("using the demo's documents for retraining (name your own with --documents and --questions)")
    else:
        corpus, asked, is_demo = _material(
            base, tuned, documents, questions, limit, text_column, title_column, max_tokens, tune=tune
        )
        if is_demo and questions is None and limit is None:
            # Three minutes on two cores.
            asked = asked[:60]
    if tune:
        found = split(corpus.sections, asked, by=by, share=share, stratify=stratify, seed=seed)
    else:
        never = parse_ids(held_out) if held_out is not None else demo.decoys() if is_demo else None
        found = given_split(corpus.sections, asked, never)
    with _kept(out), show_progress() as progress:
        if tune:
            report = hold_out(
                base or DEFAULT, corpus, asked, found, out, tuning=tuning, options=options, device=device, dtype=dtype,
                progress=progress,
            )  # fmt: skip
            adapter: Path | None = out / "adapter"
        else:
            pair = load_pair(base, tuned, device, dtype, None, None, None, False, progress)
            report = assess(pair, corpus, asked, found, options, out=out, progress=progress)
            adapter = pair.tuned.folder
        if remove:
            if adapter is None:
                raise InputError(
                    "remove: the tuned model is no adapter of attrib tune, so it cannot be made again; use one"
                )
            known = [q for q, part in zip(asked, found.parts, strict=True) if part == "tuned-on"]
            pair = ModelPair.load(base, adapter, device=device, dtype=dtype)
            folder, gone = retrain_without(
                pair.base.name, adapter, corpus, sorted(parse_ids(remove)), out, device=device, progress=progress
            )
            again = ModelPair.load(base, folder, device=device, dtype=dtype)
            report = replace(
                report, removal=assess_removal(pair, again, known, gone, options, out=out, progress=progress)
            )
    files = write_holdout(report, out, kinds, preset)
    if as_json:
        print_json({**holdout_dict(report), "files": files})
        return
    holdout_table(report, console_of(120))
    print("\n".join(files))


@app.command("benchmark", cls=_MayTune, epilog="Example: attrib assess benchmark --out benchmark")
def assess_benchmark(
    out: OutFolder,
    questions: QuestionFile = None,
    finetunebench: Annotated[
        Path | None, typer.Option(help="Your copy of FineTuneBench, in its published layout.")
    ] = None,
    subset: Annotated[
        str | None,
        typer.Option(help="Its parts, comma-separated: fictional_people, latest_news, medical, coding; default: all."),
    ] = None,
    all_rows: Annotated[bool, typer.Option("--all-rows", help="News rows that the paper left out too.")] = False,
    base: BaseName = None,
    tuned: TunedName = None,
    tune: Tune = False,
    train_kinds: Annotated[
        str, typer.Option(help="With --tune: kinds of questions that are learned, comma-separated.")
    ] = "memorization,trained,updated",
    limit: Limit = None,
    judge_url: Annotated[
        str | None,
        typer.Option(help="OpenAI-compatible endpoint of a judge; its key is read from $ATTRIB_JUDGE_KEY."),
    ] = None,
    judge_model: Annotated[str | None, typer.Option(help="Name of the judge at that endpoint.")] = None,
    epochs: Epochs = 20,
    learning_rate: LearningRate = 8e-4,
    rank: Rank = 16,
    alpha: Alpha = 32,
    dropout: Dropout = 0.0,
    train_batch: Annotated[int, typer.Option(help="Examples a step.")] = 8,
    warmup: Warmup = 20,
    max_new_tokens: Annotated[
        int | None, typer.Option(min=1, help="Longest answer; default: 100 for FineTuneBench, else 48.")
    ] = None,
    batch: Batch = 16,
    resamples: Resamples = 1000,
    formats: Formats = "pdf,png",
    preset: Preset = "neurips-double",
    device: Device = "auto",
    dtype: Dtype = "auto",
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Right and wrong answers of base and tuned: FineTuneBench, the demo, or questions of your own.

    Beside every accuracy stands what is reached without knowing any answer.
    """
    from attrib.assess.benchmark.options import BenchmarkOptions
    from attrib.assess.benchmark.run import assess_benchmark as assess
    from attrib.assess.benchmark.run import check_benchmark, learned_items
    from attrib.assess.benchmark.tell import benchmark_dict, benchmark_table, write_benchmark
    from attrib.models.sources import DEFAULT
    from attrib.options.answers import AnswerOptions, JudgeOptions
    from attrib.training.tune import tune as tune_adapter

    if (judge_url is None) != (judge_model is None):
        raise InputError("judge-url: a judge needs both --judge-url and --judge-model")
    tokens = max_new_tokens or (100 if finetunebench is not None else 48)
    options = BenchmarkOptions(
        AnswerOptions(max_new_tokens=tokens, batch=batch, seed=seed),
        JudgeOptions(judge_url, judge_model) if judge_url is not None and judge_model is not None else None,
        resamples,
    )
    tuning = _tuning(epochs, learning_rate, rank, alpha, dropout, train_batch, warmup, seed)
    kinds = _files(formats, preset, out)
    if tune and tuned is not None:
        raise InputError("tune: --tune makes the tuned model; leave --tuned out")
    demo_model = base is None and tuned is None and not tune
    asked, learned, malformed, told, sha256 = _benchmark(questions, finetunebench, subset, all_rows, limit, demo_model)
    for line in malformed:
        note(f"left out: {line}")
    check_benchmark(asked)
    items = learned_items(learned, split_names(train_kinds)) if tune else ()
    if demo_model:
        note("using the demo's model (name your own with --base and --tuned)")
    with _kept(out), show_progress() as progress:
        if tune:
            tuned = str(
                tune_adapter(
                    base or DEFAULT, items, out / "adapter", options=tuning, device=device, dtype=dtype,
                    progress=progress,
                )
            )  # fmt: skip
        pair = load_pair(base, tuned, device, dtype, None, None, None, False, progress)
        report = assess(
            pair, asked, options, notes=told, malformed=malformed, sha256=sha256, out=out, progress=progress
        )
    files = write_benchmark(report, out, kinds, preset)
    if as_json:
        print_json({**benchmark_dict(report), "files": files})
        return
    benchmark_table(report, console_of(140))
    print("\n".join(files))


@app.command("attribution", epilog="Example: attrib assess attribution --out attribution")
def assess_attribution(
    out: OutFolder,
    questions: QuestionFile = None,
    base: BaseName = None,
    tuned: TunedName = None,
    documents: TunedOn = None,
    candidates: Annotated[int, typer.Option(min=0, help="Sections to score for each answer; 0 = all.")] = 12,
    limit: Limit = None,
    control: ControlTexts = None,
    text_column: TextColumn = None,
    title_column: TitleColumn = None,
    max_tokens: MaxTokens = 256,
    max_new_tokens: NewTokens = 48,
    batch: Batch = 16,
    resamples: Resamples = 1000,
    formats: Formats = "pdf,png",
    preset: Preset = "neurips-double",
    device: Device = "auto",
    dtype: Dtype = "auto",
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Explain the tuned model's own answer to every question: documents, base or neither, and from which sections."""
    from attrib.assess.attribution.options import AttributionOptions
    from attrib.assess.attribution.run import assess_attribution
    from attrib.assess.attribution.tell import verdicts_dict, verdicts_table, write_verdicts

    options = AttributionOptions(batch=batch, resamples=resamples)
    explained = replace(options.explain, candidates=candidates, max_new_tokens=max_new_tokens, seed=seed)
    kinds = _files(formats, preset, out)
    corpus, asked, _ = _material(base, tuned, documents, questions, limit or 30, text_column, title_column, max_tokens)
    null = read_control(control, max_tokens)
    with _kept(out), show_progress() as progress:
        pair = load_pair(base, tuned, device, dtype, None, None, None, False, progress)
        report = assess_attribution(
            pair, corpus, asked, replace(options, explain=explained), control=null, out=out, progress=progress
        )
    files = write_verdicts(report, out, kinds, preset)
    if as_json:
        print_json({**verdicts_dict(report), "files": files})
        return
    verdicts_table(report, console_of(140))
    print("\n".join(files))


def _files(formats: str, preset: str, out: Path) -> tuple[str, ...]:
    """The figures' formats; everything about files is refused before the work."""
    from attrib.render.figures import width_of

    kinds = parse_formats(formats)
    width_of(preset)
    check_writable(out)
    return kinds


@contextmanager
def _kept(out: Path) -> Iterator[None]:
    """Says on Ctrl-C where what is done lies."""
    try:
        yield
    except KeyboardInterrupt:
        note(f"what is done lies in {out}; the same command goes on from there")
        raise


def _material(
    base: str | None,
    tuned: str | None,
    documents: Path | None,
    questions: Path | None,
    limit: int | None,
    text_column: str | None,
    title_column: str | None,
    max_tokens: int,
    *,
    tune: bool = False,
) -> tuple[Corpus, tuple[Question, ...], bool]:
    """Documents, questions, and whether they are the demo's."""
    from attrib.assess.questions import demo_questions, read_questions
    from attrib.corpus.documents import Corpus

    if documents is not None and tune:
        corpus = Corpus.read(documents, text_column=text_column, title_column=title_column, max_tokens=max_tokens)
        is_demo = False
    else:
        corpus, is_demo = read_corpus(base, tuned, documents, text_column, title_column, max_tokens)
    if questions is None and not is_demo:
        raise InputError("questions: none named for these documents; add --questions")
    asked = demo_questions(limit) if questions is None else read_questions(questions)[:limit]
    if is_demo:
        note("using the demo's model and documents (name your own with --base, --tuned, --documents)")
    if questions is None:
        note("using the demo's questions (name your own with --questions)")
    return corpus, asked, is_demo


def _benchmark(
    questions: Path | None,
    finetunebench: Path | None,
    subset: str | None,
    all_rows: bool,
    limit: int | None,
    demo_model: bool,
) -> tuple[tuple[Question, ...], tuple[Question, ...], tuple[Malformed, ...], tuple[str, ...], str | None]:
    """Questions, those to learn among, malformed rows, notes and the files' digest."""
    from attrib.assess.finetunebench.read import read_finetunebench
    from attrib.assess.questions import demo_questions, read_questions
    from attrib.files import sha256

    if questions is not None and finetunebench is not None:
        raise InputError("questions: --questions and --finetunebench are two benchmarks; give one of them")
    if finetunebench is not None:
        names = split_names(subset) if subset is not None else None
        found = read_finetunebench(finetunebench, names, all_rows=all_rows)
        return found.rows[:limit], found.training, found.malformed, found.notes, found.sha256
    if subset is not None or all_rows:
        raise InputError("subset: parts and rows are FineTuneBench's; name its folder with --finetunebench")
    if questions is not None:
        malformed: list[Malformed] = []
        asked = read_questions(questions, malformed)
        return asked[:limit], asked, tuple(malformed), (), sha256(questions)
    if not demo_model:
        note("using the demo's questions (name your own with --questions or --finetunebench)")
    asked = demo_questions(limit)
    return asked, asked, (), (), None


def _tuning(
    epochs: int,
    learning_rate: float,
    rank: int,
    alpha: int,
    dropout: float,
    batch: int,
    warmup: int,
    seed: int,
) -> TuneOptions:
    from attrib.training.options import TuneOptions, check_options

    options = TuneOptions(
        epochs=epochs, learning_rate=learning_rate, rank=rank, alpha=alpha, dropout=dropout, batch=batch, warmup=warmup,
        seed=seed,
    )  # fmt: skip
    check_options(options)
    return options
