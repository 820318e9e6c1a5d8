"""``attrib index``: what mappers make of every section, kept in a folder."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import typer

from attrib.cli.common import check_placement, load_pair, note, print_json, read_control, read_documents, show_progress
from attrib.cli.groups import DocumentsFolder, Json
from attrib.cli.texts import on_cuda
from attrib.errors import InputError
from attrib.options.chat import TemplateOptions
from attrib.options.explain import HiddenOptions, InfluenceOptions
from attrib.options.fields import everyday
from attrib.options.loading import Control, Models
from attrib.processes import is_first, local_rank

EXAMPLE = "attrib index ./docs --tuned ./adapter --out ./docs-index"


@dataclass(frozen=True)
class IndexParts:
    """Parts of the index."""

    parts: tuple[str, ...] | None = everyday(None, "Output")
    """Parts to store, comma-separated: embedding, hidden, gradients; default: all that the models allow."""


def index(
    path: DocumentsFolder,
    out: Annotated[
        Path,
        typer.Option(help="Folder for the index; only changed texts are read again.", rich_help_panel="Output"),
    ],
    models: Models,
    documents: Control,
    kept: IndexParts,
    hidden: HiddenOptions,
    influence: InfluenceOptions,
    chat: TemplateOptions,
    as_json: Json = False,
) -> None:
    """Store embeddings, hidden states and gradients of every section.

    attrib explain --index uses it. Without --tuned it keeps embeddings alone. If interrupted, rerun the same command to
    resume. Several processes: torchrun --nproc-per-node 2 -m attrib index …
    """
    from attrib.corpus import demo
    from attrib.index.parts import build_index
    from attrib.mapping.reading import mapping_layer

    check_placement(models)
    corpus = read_documents(path, documents)
    control = read_control(documents) or demo.control()
    if models.base is not None and models.tuned is None:
        raise InputError("tuned: a base without a tuned model; add --tuned, or leave --base out for embeddings alone")
    if models.tuned is None and chat != TemplateOptions():
        raise InputError("template: embeddings alone need no prompt; add --tuned, or leave the prompt's options out")
    if local_rank() is not None and on_cuda(models.device):
        models = replace(models, device=f"cuda:{local_rank()}")
    with show_progress() if not local_rank() else nullcontext() as progress:
        pair = None
        if models.tuned is not None:
            pair = load_pair(models, progress or (lambda what, done, total: None), chat)
        layer = mapping_layer(pair, hidden.layer) if pair is not None else 0
        made = build_index(
            pair, corpus, control, out, parts=kept.parts, layer=layer, influence=influence, progress=progress
        )
    if not is_first():
        return
    sizes = {name: made.bytes_per_text(name) for name in made.parts}
    if as_json:
        result = {"index": str(out), "sections": len(corpus), "control": len(control), "bytes_per_text": sizes}
        print_json(result | {"reading": corpus.report.fields()})
        return
    print(f"{out}: {len(corpus)} sections and {len(control)} control texts")
    for name, size in sizes.items():
        print(f"  {name}: {size:,.0f} bytes a text")
    if models.tuned is not None and kept.parts is None and not any(name.startswith("gradients") for name in sizes):
        note("no gradients: the adapter has no checkpoints (attrib tune saves them)")
