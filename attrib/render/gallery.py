"""Many explanations → one folder of pages with an index: search, and filters by verdict, section and question kind.

The index lists everything without its script; the script only hides and sorts. Not covered: counts and tests over many
answers (``attrib assess attribution``, ``attrib report``).
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import accumulate
from pathlib import Path

from attrib.errors import ForeignError, InputError, RecordError
from attrib.files import sha256, walk, write_atomically
from attrib.measures import bits
from attrib.progress import Progress
from attrib.records import CALLS, Called, Explanation, storage
from attrib.render import page, view
from attrib.render.payload import BUDGET
from attrib.render.view import HeadlineName

PAGES = "pages"
"""Folder of the single pages beside the index."""
_ANSWERS = "attribution.json"
SHOWN = 400
"""Characters of an answer in the index."""


@dataclass(frozen=True)
class Entry:
    """One explanation in the index."""

    id: str
    """Name of its page: letters, digits and hyphens."""
    path: Path
    kind: str
    """Kind of its question by ``assess attribution``, else its folder below the one that was named."""
    question: str
    answer: str
    source: str
    label: HeadlineName
    """The verdict, mixed where the words disagree."""
    sentence: str
    """Where the answer comes from, in words."""
    runs: tuple[tuple[str, Called], ...]
    """The answer as runs of words with one verdict each, cut to ``SHOWN`` characters."""
    base_answer: str
    """What base says by itself, cut; empty where it is the answer."""
    counts: tuple[int, ...]
    """Words of the answer by CALLS."""
    said: str
    """The same in words: ``10 of 23 words documents, 9 base, 4 neither``."""
    gain_bits: float
    section: str
    """The best section, empty where there is none."""
    document: str

    @property
    def parts(self) -> tuple[tuple[str, int, int], ...]:
        """Label, start and width of each count on a bar as long as the words."""
        return tuple(zip(CALLS, accumulate(self.counts, initial=0), self.counts, strict=False))

    @property
    def words(self) -> int:
        """Words of the answer."""
        return sum(self.counts)


Look = Entry | str | None
"""A file read: an explanation, a line on the problem with it, or None for a file of another kind."""


@dataclass(frozen=True)
class Listing:
    """Explanations found in folders."""

    entries: tuple[Entry, ...]
    problems: tuple[str, ...] = ()
    """One line for each record that cannot be read."""


def find(folders: Sequence[Path]) -> Listing:
    """Every record in the folders and below, in the order of their names; files of other kinds are passed over.

    Raises InputError for a folder that is none, or where no record is found at all.
    """
    looks: list[tuple[Path, Path, Look]] = []
    seen: set[str] = set()
    for folder in folders:
        check_folder(folder)
        for file in records(folder):
            if (real := os.path.realpath(file)) not in seen:
                seen.add(real)
                looks.append((folder, file, look(file)))
    found = listing(looks)
    if not found.entries:
        where = ", ".join(map(str, folders)) or "no folder"
        said = f" ({found.problems[0]})" if found.problems else ""
        raise InputError(f"{where}: no explanation there{said}; make one with attrib explain QUESTION --out FOLDER")
    return found


def look(file: Path) -> Look:
    """Entry of one file in the index; a damaged file is missing alone."""
    try:
        return entry_of(storage.load(file), file, sha256(file))
    except ForeignError:
        return None
    except RecordError as error:
        return _line(str(error))
    except Exception as error:
        return _line(f"{file}: cannot be read ({type(error).__name__}: {error}); write the record again")


def listing(looks: Iterable[tuple[Path, Path, Look]]) -> Listing:
    """Entries and problems of (folder, file below it, its look); a record that lies in two files is listed once."""
    entries: dict[str, Entry] = {}
    problems: list[str] = []
    kinds = cache(_kinds)
    for folder, file, found in looks:
        if isinstance(found, Entry):
            entries.setdefault(found.id, replace(found, kind=_kind(folder, file, found.question, kinds)))
        elif found is not None:
            problems.append(found)
    return Listing(tuple(entries.values()), tuple(problems))


def entry_of(explanation: Explanation, file: Path, digest: str) -> Entry:
    """Entry of one record; ``digest``: its file's SHA-256. Its kind is its folder's, see ``listing``."""
    found = view.headline(explanation)
    best = explanation.sections[found.section] if found.section is not None else None
    return Entry(
        id=_name(explanation.question, digest),
        path=file,
        kind="",
        question=explanation.question,
        answer=explanation.answer.strip(),
        source=explanation.answer_source,
        label=found.called,
        sentence=found.sentence,
        runs=_shortened(view.verdict_spans(explanation)),
        base_answer=view.clipped(explanation.base_answer, SHOWN) if explanation.answer_source != "base" else "",
        counts=tuple(found.counts[called] for called in CALLS),
        said=found.words,
        gain_bits=bits(float(explanation.verdict.gain.sum())),
        section=view.section_label(best) if best is not None else "",
        document=best.document if best is not None else "",
    )


def write(
    folders: Sequence[Path], out: Path, *, budget: int = BUDGET, progress: Progress | None = None
) -> tuple[list[str], tuple[str, ...]]:
    """A page for each record and the index; the files, and a line for each record that cannot be read.

    Every file is whole or absent, and the index comes last, so that it never names a page that is not there.
    """
    found = find(folders)
    files: list[str] = []
    for done, entry in enumerate(found.entries):
        if progress is not None:
            progress("pages", done, len(found.entries))
        file = out / PAGES / f"{entry.id}.html"
        write_atomically(file, page.html(storage.load(entry.path), budget=budget, home="../index.html"))
        files.append(str(file))
    if progress is not None:
        progress("pages", len(found.entries), len(found.entries))
    index = out / "index.html"
    links = {entry.id: f"{PAGES}/{entry.id}.html" for entry in found.entries}
    write_atomically(index, index_html(found, links))
    return [str(index), *files], found.problems


def index_html(found: Listing, links: Mapping[str, str], live: Mapping[str, str] | None = None) -> bytes:
    """The index; ``links``: id → address of its page, ``live``: addresses of a server that answers questions."""
    sections: dict[str, dict[str, int]] = {}
    kinds: dict[str, int] = {}
    for entry in found.entries:
        kinds[entry.kind] = kinds.get(entry.kind, 0) + 1
        if entry.section:
            of_document = sections.setdefault(entry.document, {})
            of_document[entry.section] = of_document.get(entry.section, 0) + 1
    labels = {label: sum(entry.label == label for entry in found.entries) for label in view.HEADLINES}
    return page.document(
        "index.html.jinja", page.INDEX, ("page.css", "index.css"), {"live": dict(live)} if live is not None else {},
        live=live is not None, entries=found.entries, links=links, labels=labels, kinds=kinds, sections=sections,
        problems=found.problems, asks=live is not None and "ask" in live,
    )  # fmt: skip


def check_folder(folder: Path) -> None:
    """InputError for a folder that is none."""
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; name one that attrib explain or attrib assess wrote with --out")


def records(folder: Path) -> Iterator[Path]:
    """Files that may be records, in the order of their names."""
    return (file for file in walk(folder) if file.name.endswith(".safetensors"))


def _shortened(runs: Sequence[tuple[str, Called]]) -> tuple[tuple[str, Called], ...]:
    """The first ``SHOWN`` characters of an answer, an ellipsis where it is cut."""
    found: list[tuple[str, Called]] = []
    room = SHOWN
    for text, called in runs:
        cut = text[:room].rpartition(" ")[0] or text[:room] if len(text) > room else text
        found.append((cut if cut == text else f"{cut} …", called))
        room -= len(text)
        if room <= 0:
            break
    return tuple(found)


def _line(text: str) -> str:
    """Names of files may hold what is no text, and errors several lines."""
    return " ".join(text.encode("utf-8", "replace").decode().split())


def _kind(folder: Path, file: Path, question: str, kinds: Callable[[Path], dict[str, str]]) -> str:
    for parent in (file.parent, file.parent.parent):
        if (kind := kinds(parent / _ANSWERS).get(question)) is not None:
            return kind
    inside = file.relative_to(folder).parts[:-1]
    return _line(inside[0]) if inside and inside != ("records",) else ""


def _kinds(file: Path) -> dict[str, str]:
    """Question → kind, as ``assess attribution`` wrote them; none for a file of another form."""
    try:
        rows = json.loads(file.read_text("utf-8"))["rows"]
        return {str(row["question"]): _line(str(row["kind"])) for row in rows}
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return {}


def _name(question: str, digest: str) -> str:
    """The question's first words and the digest's first digits."""
    words = re.sub(r"[^a-z0-9]+", "-", question.lower()).strip("-")[:40].strip("-")
    return f"{words or 'answer'}-{digest[:8]}"
