"""Flags that commands share, and what their texts mean.

Heavy imports wait until a flag needs them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from attrib.errors import InputError

if TYPE_CHECKING:
    from attrib.options.explain import InfluenceOptions
    from attrib.options.figures import Kind as FigureKind

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
TunedOn = Annotated[Path | None, typer.Option(help="Folder or file that the model was tuned on.")]
IndexFolder = Annotated[Path | None, typer.Option(help="Folder made by attrib index of the same documents.")]
Candidates = Annotated[int, typer.Option(min=0, help="Sections to score; 0 = all.")]
KeepHeads = Annotated[bool, typer.Option("--heads", help="Keep the attention of every layer and head.")]
DeviceMap = Annotated[str | None, typer.Option(help="Handed to transformers, for models beyond one GPU.")]
Revision = Annotated[str | None, typer.Option(help="Revision of the base model on the hub.")]
TunedRevision = Annotated[str | None, typer.Option(help="Revision of the tuned model on the hub.")]
TrustRemoteCode = Annotated[bool, typer.Option("--trust-remote-code", help="Run code that a model brings.")]
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
Formats = Annotated[
    str,
    typer.Option(
        "--format",
        help="Figure formats, comma-separated: pdf, svg, png. Caption, LaTeX snippet and numbers (CSV) come with them.",
    ),
]
ExplanationFormats = Annotated[
    str,
    typer.Option(
        "--format",
        help="Formats, comma-separated: html (the page), pdf, svg, png (figures; caption, LaTeX snippet and numbers "
        "come with them).",
    ),
]
Figures = Annotated[
    str | None,
    typer.Option(
        "--figure",
        help="What is drawn, comma-separated: sections, prompt, comparison, heads, strip, track; default: all that the "
        "record can have.",
    ),
]
Budget = Annotated[float, typer.Option(min=0.1, help="Size of a page in MB; beyond it detail is dropped, and said.")]
Preset = Annotated[str, typer.Option(help="Column width: neurips-double, icml-single, acl-double, nature-single …")]
Top = Annotated[int, typer.Option(min=1, help="How many sections are drawn or listed.")]


def split_names(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))


def on_cuda(device: str) -> bool:
    """Whether this --device is CUDA's without a number."""
    if device != "auto":
        return device == "cuda"
    import torch

    return torch.cuda.is_available()


def is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 10


def parse_steps(text: str) -> int | Literal["auto"]:
    if text == "auto":
        return "auto"
    if not is_number(text) or int(text) < 1:
        raise InputError(f"steps {text!r}: give a number of points from 1, or auto")
    return int(text)


def parse_influence(form: Form, checkpoints: Checkpoints, layers: str | None) -> InfluenceOptions:
    from attrib.options.explain import GradientOptions, InfluenceOptions

    try:
        chosen = tuple(int(layer) for layer in split_names(layers)) if layers is not None else None
    except ValueError:
        raise InputError(f"influence-layers {layers!r}: give numbers of blocks, separated by commas") from None
    return InfluenceOptions(form=form, checkpoints=checkpoints, gradients=GradientOptions(layers=chosen))


def parse_baseline(text: str) -> Literal["zero", "pad", "unk", "eos", "mean"] | int:
    if is_number(text):
        return int(text)
    if text in ("zero", "pad", "unk", "eos", "mean"):
        return text  # type: ignore[return-value]
    raise InputError(f"baseline {text!r}: use zero, mean, pad, unk, eos, or a token's id")


def parse_checkpoints(text: str) -> tuple[float, ...]:
    from attrib.training.options import spaced

    if is_number(text):
        return spaced(int(text))
    try:
        return tuple(float(share) for share in text.split(","))
    except ValueError:
        raise InputError(f"checkpoints {text!r}: give how many, or shares of all steps such as 0.1,0.3,1") from None


def parse_seeds(text: str) -> tuple[int, ...]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names or not all(map(is_number, names)):
        raise InputError(f"seeds {text!r}: give whole numbers from 0, separated by commas")
    return tuple(map(int, names))


def parse_ids(text: str) -> frozenset[str]:
    """Ids, comma-separated, or a file of them: one a line, or JSON with a list under "decoys"."""
    file = Path(text)
    if not text or not file.is_file():
        return frozenset(split_names(text))
    lines = read_lines(file)
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


def read_lines(path: Path) -> tuple[str, ...]:
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({error}); give a text file in UTF-8") from error
    lines = tuple(line.strip() for line in text.split("\n") if line.strip())
    if not lines:
        raise InputError(f"{path}: it is empty; write one a line")
    return lines


FORMATS = ("pdf", "svg", "png")
EXPLANATION_FORMATS = (*FORMATS, "html")


def parse_formats(formats: str, known: tuple[str, ...] = FORMATS) -> tuple[str, ...]:
    """Names of ``known``. Raises InputError for others and for none."""
    names = split_names(formats)
    if not names or not set(names) <= set(known):
        raise InputError(f"format {formats!r}: use {', '.join(known)}, separated by commas")
    return names


def megabytes(size: float) -> int:
    """Bytes."""
    return int(size * 1e6)


def parse_figures(kinds: str | None) -> tuple[FigureKind, ...] | None:
    """Kinds of figures; None, which is all that there can be, where none is named. Raises InputError for others."""
    from attrib.options.figures import KINDS

    if kinds is None:
        return None
    names = split_names(kinds)
    if not names or not set(names) <= set(KINDS):
        raise InputError(f"figure {kinds!r}: use {', '.join(KINDS)}, separated by commas")
    return tuple(kind for kind in KINDS if kind in names)
