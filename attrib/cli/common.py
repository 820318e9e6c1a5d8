"""Shared by the commands: stdout and stderr, progress, Ctrl-C, loading models and documents.

Heavy imports wait until a command runs.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, Literal

from attrib.errors import InputError
from attrib.options.calibrate import PromiseOptions
from attrib.options.chat import TemplateOptions
from attrib.options.loading import Control, Documents, Loading, Models, ReadingOptions
from attrib.printable import can_print
from attrib.processes import is_first

if TYPE_CHECKING:
    from rich.console import Console

    from attrib.assess.questions import Question
    from attrib.corpus.documents import Corpus
    from attrib.corpus.reading import ReadingReport
    from attrib.index.library import Library
    from attrib.models.pair import ModelPair
    from attrib.progress import Progress
    from attrib.records import Explanation, Promise


class _CtrlC:
    """Whether Ctrl-C was pressed and nothing stopped for it yet."""

    waits = False


def interrupt(number: int, frame: FrameType | None) -> None:
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


def stop_if_asked() -> None:
    """KeyboardInterrupt for a Ctrl-C that waits."""
    if _CtrlC.waits:
        _CtrlC.waits = False
        raise KeyboardInterrupt


@contextmanager
def show_progress() -> Iterator[Progress]:
    """A progress bar on stderr, gone when done; plain lines where stderr is no terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars

    console = Console(stderr=True)
    if not console.is_terminal:
        said: set[str] = set()

        def tell(what: str, done: int, total: int) -> None:
            stop_if_asked()
            if what not in said:
                said.add(what)
                note(what)

        yield tell
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Bars(*columns, console=console, transient=True) as bars:
        tasks: dict[str, Any] = {}

        def advance(what: str, done: int, total: int) -> None:
            stop_if_asked()
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=total)
            bars.update(tasks[what], completed=done, total=total)

        yield advance


def console_of(piped: int = 100) -> Console:
    """As wide as $COLUMNS or the terminal; ``piped`` columns where stdout is no terminal."""
    from rich.console import Console

    columns, lines = shutil.get_terminal_size((piped, 24))
    # Both: else rich takes a dumb terminal for one of 80 columns.
    return Console(width=columns, height=lines)


def print_json(content: dict[str, Any]) -> None:
    text = json.dumps(content, ensure_ascii=False)
    print(text if can_print(text, sys.stdout.encoding) else json.dumps(content))


def note(text: str) -> None:
    print(f"attrib: {text}", file=sys.stderr)


def show_explanation(explanation: Explanation, top: int = 5, *, everything: bool = False) -> None:
    from attrib.render import terminal

    terminal.show(explanation, console_of(), top=top, everything=everything)


def check_writable(folder: Path) -> None:
    """Fail before the work, not after it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise InputError(f"{folder}: cannot be written ({error.strerror}); choose another --out") from error


def check_placement(models: Loading) -> None:
    """InputError where two options say where the model goes."""
    if models.device_map is not None and models.device != Models.device:
        raise InputError("device: models.device_map places the model by itself; leave --device out")


def load_pair(
    models: Models, progress: Progress, chat: TemplateOptions | None = None, corpus: Corpus | None = None
) -> ModelPair:
    """Both models and their prompts, with the demo's fetched first where they are meant.

    Says once what is to be known of the two, and how their prompt differs from rows of chat data in ``corpus``.
    """
    from attrib.models import bundled
    from attrib.models.pair import ModelPair
    from attrib.models.rows import differences
    from attrib.models.sources import DEFAULT

    bundled.check_cache()
    progress("loading models", 0, 1)
    if models.base == DEFAULT or (models.base is None and models.tuned is None):
        # Here rather than inside load, to show its progress.
        bundled.get_default_model(lambda line: progress(line, 0, 1))
    pair = ModelPair.load(**asdict(models), chat=chat)
    progress("loading models", 1, 1)
    for line in (*pair.notes, *differences(pair.chat, corpus.sections if corpus is not None else ())):
        note(line)
    return pair


def read_corpus(models: Models, documents: Documents) -> tuple[Corpus, bool]:
    """The documents, read before any model is loaded, and whether they are the demo's."""
    from attrib.corpus import demo

    if documents.path is None:
        if models.base is None and models.tuned is None:
            if documents.columns:
                raise InputError("documents: the demo's have no columns; name yours with --documents")
            return demo.corpus(documents.max_tokens), True
        raise InputError("documents: none named for these models; add --documents with what the model was tuned on")
    if models.tuned is None:
        raise InputError("tuned: documents without a model that was tuned on them; add --tuned")
    return read_documents(documents.path, documents), False


def read_documents(path: Path, reading: ReadingOptions) -> Corpus:
    """The sections of a folder or file; says what became of all that is there."""
    from attrib.corpus.documents import Corpus

    corpus = Corpus.read(path, columns=reading.columns, **_limits(reading))
    _say_reading("documents", corpus)
    return corpus


def read_control(documents: Control) -> Corpus | None:
    """The control texts that are named; None: those of the package."""
    from attrib.corpus.documents import Corpus

    if documents.control is None:
        return None
    columns = documents.control_columns or documents.columns
    control = Corpus.read(documents.control, columns=columns, **_limits(documents))
    _say_reading("control", control)
    return control


def read_promise(options: PromiseOptions, pair: ModelPair, library: Library) -> Promise | Literal["known"]:
    """The promise of the calibration that is named; "known": the one of the cache, where there is one.

    Raises InputError for one that was made with other models, texts or prompts.
    """
    from attrib.verdict.calibration import Calibration
    from attrib.verdict.pair_calibration import promise_of_file

    if options.calibration is None:
        return "known"
    return promise_of_file(options.calibration, pair, library, Calibration.default())


def read_asked(
    path: Path, columns: Sequence[str], report: ReadingReport, *, strict: bool
) -> tuple[tuple[Question, ...], ReadingReport]:
    """The questions of a row file, and the report of the documents with what became of its rows and columns, which is
    said too. Raises InputError for a loss where it is ``strict``."""
    from attrib.assess.questions import read_question_rows
    from attrib.corpus.reading import ReadingReport, refuse_losses

    asked, rows = read_question_rows(path, columns=columns)
    if is_first():
        note(f"questions: {rows}")
    if strict:
        refuse_losses(ReadingReport(questions=rows).losses)
    return asked, replace(report, questions=rows)


def _limits(reading: ReadingOptions) -> dict[str, Any]:
    """Keywords of ``Corpus.read`` that documents and control texts share."""
    return {"max_tokens": reading.max_tokens, "max_bytes": reading.max_bytes, "strict": reading.strict}


def _say_reading(what: str, corpus: Corpus) -> None:
    """Counts on stderr, by the first of several processes."""
    if is_first():
        for line in corpus.report.lines():
            note(f"{what}: {line}")
