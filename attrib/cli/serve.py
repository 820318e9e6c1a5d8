"""``attrib serve``: the page with a question box, and the explanations that were kept."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from attrib.cli.common import (
    check_placement,
    check_writable,
    load_pair,
    note,
    read_control,
    read_corpus,
    read_promise,
    show_progress,
)
from attrib.cli.groups import Given
from attrib.errors import InputError
from attrib.options.calibrate import PromiseOptions
from attrib.options.chat import ChatOptions
from attrib.options.explain import ExplainOptions
from attrib.options.fields import bounded, everyday
from attrib.options.loading import IndexedDocuments, Models

if TYPE_CHECKING:
    from attrib.corpus.documents import Corpus
    from attrib.index.library import Library
    from attrib.models.pair import ModelPair
    from attrib.options.explain import ExplainOptions
    from attrib.progress import Progress
    from attrib.records import Explanation, Promise

    Explainer = Callable[[str, str | None, Progress], Explanation]


EXAMPLE = "attrib serve --tuned ./adapter --documents ./docs --out ./explanations"
OFFERED, LONGEST = 4, 90
"""Example questions on the first page, and characters of the longest."""
SHOWING = "server."
"""Group of the options that mean something without a model."""


@dataclass(frozen=True)
class ServerOptions:
    """Where the page is served, and what it accepts."""

    out: Path | None = everyday(None, "Server")
    """Folder that keeps new explanations; default: FOLDER, else a temporary one, gone at the end."""
    host: str = everyday("127.0.0.1", "Server")
    """Address to listen on; beyond this machine a token is needed, and printed."""
    port: int = everyday(8000, "Server", low=0, high=65535)
    """Port to listen on; 0 takes any free one."""
    allow_host: tuple[str, ...] = everyday((), "Server")
    """Other names that browsers use, of a proxy in front, comma-separated; a token is then needed."""


@dataclass(frozen=True)
class Requests:
    """Limits on the requests of visitors."""

    queue: int = bounded(16, low=0, high=1000)
    """Questions that may wait behind the running one."""
    max_question: int = bounded(2000, low=1)
    """Longest question, in characters."""
    max_answer: int = bounded(4000, low=1)
    """Longest answer that may be given, in characters."""


def serve(
    models: Models,
    documents: IndexedDocuments,
    chat: ChatOptions,
    explain: ExplainOptions,
    verdict: PromiseOptions,
    server: ServerOptions,
    requests: Requests,
    given: Given,
    folder: Annotated[
        Path | None,
        typer.Argument(
            metavar="FOLDER",
            help="Show the explanations in this folder. Without a model no question can be asked; with --base, --tuned "
            "and --documents new explanations are kept there too.",
        ),
    ] = None,
) -> None:
    """Ask questions in the browser, one at a time.

    Each answer gets its page. Without FOLDER, --base, --tuned and --documents the demo's model and documents are used.
    The address is printed on stdout when the server answers; Ctrl-C stops it.
    """
    from attrib.explaining import check_options
    from attrib.server.app import LIVE, Lengths, keep, make_app
    from attrib.server.jobs import Jobs, Limits
    from attrib.server.running import bind, run
    from attrib.server.shelf import Shelf

    model = folder is None or (models.base, models.tuned, documents.path) != (None, None, None)
    if not model:
        _refuse_vain(given)
    if folder is not None and server.out is not None:
        raise InputError("out: new explanations are kept in FOLDER already; leave one of the two out")
    check_placement(models)
    check_options(explain)
    endpoint = bind(server.host, server.port, server.allow_host)
    with ExitStack() as left:
        kept = folder or server.out or Path(left.enter_context(tempfile.TemporaryDirectory(prefix="attrib-")))
        if server.out is not None:
            check_writable(server.out)
        with show_progress() as progress:
            shelf = Shelf(kept, LIVE if model else None, progress)
        if not model and not len(shelf):
            raise InputError(f"{kept}: no explanation there; make one with attrib explain QUESTION --out {kept}")
        jobs = None
        if model:
            check_writable(kept)
            gone = folder is None and server.out is None
            explain_one, examples = _ready(models, documents, chat, explain, verdict, gone=gone)
            shelf.live = {**LIVE, "examples": "\n".join(examples)}
            jobs = Jobs(keep(explain_one, shelf), Limits(waiting=requests.queue))
        lengths = Lengths(requests.max_question, requests.max_answer)
        served = make_app(shelf, jobs, endpoint.hosts, token=endpoint.token, lengths=lengths)
        run(served, jobs, endpoint, lambda url: print(url, flush=True))
        # A step of the models, and a page in the making, cannot be cut short and are not waited for; a record that is
        # being written becomes whole.
        shelf.writing.acquire()
    sys.stderr.flush()
    os._exit(0)


def _refuse_vain(given: Given) -> None:
    """Refuse options that need a model where there is none."""
    for key in sorted(given):
        if not key.startswith(SHOWING):
            raise InputError(
                f"{given[key]}: FOLDER alone is shown without a model; name --base, --tuned and --documents too, or "
                "leave it out"
            )


def _ready(
    models: Models,
    documents: IndexedDocuments,
    chat: ChatOptions,
    options: ExplainOptions,
    verdict: PromiseOptions,
    *,
    gone: bool,
) -> tuple[Explainer, tuple[str, ...]]:
    """Models and documents loaded, with everything made that the first question would wait for; example questions."""
    corpus, use_demo = read_corpus(models, documents)
    control = read_control(documents)
    if use_demo:
        note("using the demo's model and documents (name your own with --base, --tuned, --documents)")
    if gone:
        note("explanations are gone when the server stops; --out FOLDER keeps them")
    with show_progress() as progress:
        pair = load_pair(models, progress, chat, corpus)
        library = ready_library(pair, corpus, control, documents.index, progress)
        promise = read_promise(verdict, pair, library)
    return explainer(pair, library, options, promise), example_questions(corpus, demo=use_demo)


def example_questions(corpus: Corpus, *, demo: bool) -> tuple[str, ...]:
    """Questions that the documents answer, one from each part of them: the demo's own, or what a section answers."""
    from attrib.calibrating.controls import own_question
    from attrib.corpus.demo import questions

    if demo:
        asked = [question.question for question in questions("test") if question.kind in ("trained", "updated")]
    else:
        asked = [" ".join(question.split()) for section in corpus.sections if (question := own_question(section))]
    short = [question for question in dict.fromkeys(asked) if len(question) <= LONGEST]
    step = max(1, len(short) // OFFERED)
    return tuple(short[::step][:OFFERED])


def ready_library(
    pair: ModelPair, corpus: Corpus, control: Corpus | None, index: Path | None, progress: Progress
) -> Library:
    """Made whole now, so that the first question does not wait for it."""
    from attrib.index.library import Library

    library = Library.make(corpus, control, index=index, device=pair.device, progress=progress)
    library.resemblance("", "")
    return library


def explainer(
    pair: ModelPair, library: Library, options: ExplainOptions, promise: Promise | Literal["known"] | None = "known"
) -> Explainer:
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

        return explain(pair, library, question, answer=answer, options=options, promise=promise, progress=tell)

    return explain_one
