"""``attrib serve``: the page with a question box, and the explanations that were kept."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from attrib.cli.common import check_placement, check_writable, load_pair, note, read_control, read_corpus, show_progress
from attrib.cli.options import (
    BaseName,
    Candidates,
    ControlTexts,
    Device,
    DeviceMap,
    Dtype,
    IndexFolder,
    KeepHeads,
    MaxTokens,
    Memory,
    Methods,
    Revision,
    TextColumn,
    TitleColumn,
    TrustRemoteCode,
    TunedName,
    TunedOn,
    TunedRevision,
    split_names,
)
from attrib.errors import InputError

if TYPE_CHECKING:
    from attrib.corpus.documents import Corpus
    from attrib.index.library import Library
    from attrib.models.pair import ModelPair
    from attrib.options.explain import ExplainOptions
    from attrib.progress import Progress
    from attrib.records import Explanation


SHOWING = ("folder", "out", "host", "port", "allow_host")
"""Options that mean something without a model."""


class Serve(TyperCommand):
    """The command: what only a model heeds must not be given in vain."""

    def invoke(self, ctx: Any) -> Any:
        given = [n for n in ctx.params if n not in SHOWING and ctx.get_parameter_source(n).name == "COMMANDLINE"]
        if given and not asks(ctx.params["folder"], ctx.params["base"], ctx.params["tuned"], ctx.params["documents"]):
            raise InputError(
                f"--{given[0].replace('_', '-')}: FOLDER alone is shown without a model; name --base, --tuned and "
                "--documents too, or leave it out"
            )
        return super().invoke(ctx)


def asks(folder: Path | None, base: str | None, tuned: str | None, documents: Path | str | None) -> bool:
    """Whether there is a model to ask."""
    return folder is None or (base, tuned, documents) != (None, None, None)


def serve(
    folder: Annotated[
        Path | None,
        typer.Argument(
            metavar="FOLDER",
            help="Show the explanations in this folder. Without a model no question can be asked; with --base, --tuned "
            "and --documents new explanations are kept there too.",
        ),
    ] = None,
    base: BaseName = None,
    tuned: TunedName = None,
    documents: TunedOn = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder that keeps new explanations; default: FOLDER, else a temporary one, gone at the end."
        ),
    ] = None,
    host: Annotated[
        str, typer.Option(help="Address to listen on. Elsewhere than on this machine a token is needed, and printed.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0: any free one.")] = 8000,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(help="Another name that browsers use, of a proxy in front; a token is then needed. Repeatable."),
    ] = None,
    queue: Annotated[int, typer.Option(min=0, max=1000, help="Questions that may wait behind the running one.")] = 16,
    max_question: Annotated[int, typer.Option(min=1, help="Longest question, characters.")] = 2000,
    max_answer: Annotated[int, typer.Option(min=1, help="Longest answer that may be given, characters.")] = 4000,
    max_new_tokens: Annotated[int, typer.Option(min=1, help="Longest answer of a model in tokens.")] = 64,
    methods: Methods = "attention,saliency,input_x_gradient,leave_one_out",
    mappers: Annotated[
        str, typer.Option(help="Section mappers, comma-separated, as in attrib explain.")
    ] = "bm25,verbatim,embedding,hidden,learned,combined",
    index: IndexFolder = None,
    candidates: Candidates = 24,
    heads: KeepHeads = False,
    control: ControlTexts = None,
    text_column: TextColumn = None,
    title_column: TitleColumn = None,
    max_tokens: MaxTokens = 256,
    memory: Memory = 2.0,
    device: Device = "auto",
    dtype: Dtype = "auto",
    device_map: DeviceMap = None,
    revision: Revision = None,
    tuned_revision: TunedRevision = None,
    trust_remote_code: TrustRemoteCode = False,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Seed, stored in every record.")] = 0,
) -> None:
    """Ask questions in the browser: the page of each explanation, live, one question at a time.

    Without FOLDER, --base, --tuned and --documents the demo's model and documents are used. The address is printed on
    stdout when the server answers; Ctrl-C stops it.
    """
    from attrib.explaining import check_options
    from attrib.options.explain import ExplainOptions
    from attrib.server.app import LIVE, Lengths, keep, make_app
    from attrib.server.jobs import Jobs, Limits
    from attrib.server.running import bind, run
    from attrib.server.shelf import Shelf

    model = asks(folder, base, tuned, documents)
    if folder is not None and out is not None:
        raise InputError("out: new explanations are kept in FOLDER already; leave one of the two out")
    check_placement(device, device_map)
    options = ExplainOptions(
        methods=split_names(methods),
        mappers=split_names(mappers),
        candidates=candidates,
        heads=heads,
        max_new_tokens=max_new_tokens,
        memory_gb=memory,
        seed=seed,
    )
    check_options(options)
    place = bind(host, port, tuple(allow_host or ()))
    with ExitStack() as left:
        kept = folder or out or Path(left.enter_context(tempfile.TemporaryDirectory(prefix="attrib-")))
        if out is not None:
            check_writable(out)
        with show_progress() as progress:
            shelf = Shelf(kept, LIVE if model else None, progress)
        if not model and not len(shelf):
            raise InputError(f"{kept}: no explanation there; make one with attrib explain QUESTION --out {kept}")
        jobs = None
        if model:
            check_writable(kept)
            corpus, use_demo = read_corpus(base, tuned, documents, text_column, title_column, max_tokens)
            null = read_control(control, max_tokens)
            if use_demo:
                note("using the demo's model and documents (name your own with --base, --tuned, --documents)")
            if folder is None and out is None:
                note("explanations are gone when the server stops; --out FOLDER keeps them")
            with show_progress() as progress:
                pair = load_pair(
                    base, tuned, device, dtype, device_map, revision, tuned_revision, trust_remote_code, progress
                )
                library = ready_library(pair, corpus, null, index, progress)
            jobs = Jobs(keep(explainer(pair, library, options), shelf), Limits(waiting=queue))
        served = make_app(shelf, jobs, place.hosts, token=place.token, lengths=Lengths(max_question, max_answer))
        run(served, jobs, place, lambda url: print(url, flush=True))
        # A step of the models, and a page in the making, cannot be cut short and are not waited for; a record that is
        # being written becomes whole.
        shelf.writing.acquire()
    sys.stderr.flush()
    os._exit(0)


def ready_library(
    pair: ModelPair, corpus: Corpus, control: Corpus | None, index: Path | None, progress: Progress
) -> Library:
    """Made whole now, so that the first question does not wait for it."""
    from attrib.explaining import make_library
    from attrib.models.bundled import cache_dir

    library = make_library(pair, corpus, control, index, cache_dir(), progress)
    library.resemblance("", "")
    return library


def explainer(
    pair: ModelPair, library: Library, options: ExplainOptions
) -> Callable[[str, str | None, Progress], Explanation]:
    from attrib.explaining import explain

    # Where a model lies on this machine is not a listener's business.
    names = ((pair.base.name, "base"), (pair.tuned.name, "tuned"))

    def explain_one(question: str, answer: str | None, progress: Progress) -> Explanation:
        def tell(what: str, done: int, total: int) -> None:
            for name, side in names:
                if what.startswith(f"{name} "):
                    what = side + what.removeprefix(name)
                elif what.endswith(f", {name}"):
                    what = what.removesuffix(name) + side
            progress(what, done, total)

        return explain(pair, library.corpus, question, answer=answer, options=options, library=library, progress=tell)

    return explain_one
