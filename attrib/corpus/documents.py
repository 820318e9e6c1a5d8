"""Files → documents → sections, with line numbers and stable ids.

A folder or a file of Markdown, plain text, JSONL, CSV or Parquet becomes a ``Corpus``: sections in the order of the
files' names. Line ends are normalised (CRLF and CR count as one LF), nothing else in the text is changed.

Not covered: PDF and DOCX, headings written in HTML, TOML front matter, CSV with other delimiters than the comma,
links to folders (they are not followed).
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
import os
import re
import stat
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import chain, pairwise
from pathlib import Path
from typing import Any, Literal, NamedTuple

from attrib.errors import InputError
from attrib.files import csv_cells
from attrib.records import Section

Kind = Literal["markdown", "text", "jsonl", "csv", "parquet"]
KINDS: dict[str, Kind] = {
    ".md": "markdown",
    ".markdown": "markdown",
    ".txt": "text",
    ".text": "text",
    ".jsonl": "jsonl",
    ".csv": "csv",
    ".parquet": "parquet",
}
READS = "attrib reads .md .txt .jsonl .csv .parquet"

TEXT_COLUMNS = ("text", "content", "body", "document", "answer", "output", "response", "completion")
"""Where a row file's text is looked for, in this order, when no ``text_column`` is given."""
TITLE_COLUMN = "title"

MAX_BYTES = 64 * 2**20
SHINGLE = 5
SHOWN = 20
"""How many bad rows of a file, or columns, an error lists before it says how many more there are."""

# Thai to Burmese, Khmer, and the Chinese and Japanese blocks: no spaces, so each character stands for a word.
_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u2fff\u3001-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_WORD = re.compile(rf"[{_UNSPACED}]|[^\W{_UNSPACED}]+")
_WORD_OR_MARK = re.compile(rf"{_WORD.pattern}|[^\w\s]")
_YAML_KEY = re.compile(r"[^\s:#-][^:]*:(\s|$)")


def count_words(text: str) -> int:
    """Number of words and punctuation marks in ``text``, by a regular expression: the default ``count_tokens``.

    A model's tokenizer usually counts more. Each character of a script written without spaces is a word.
    """
    return sum(1 for _ in _WORD_OR_MARK.finditer(text))


@dataclass(frozen=True, eq=False)
class Corpus:
    """The sections of all documents, in order."""

    sections: tuple[Section, ...]
    documents: tuple[tuple[str, str], ...]
    """Name and SHA-256 (hex, of the file's bytes) of each document."""
    reading: Mapping[str, str | int] = field(default_factory=dict)
    """The options of ``read`` that shaped the sections, as far as they were given or have a number."""

    @classmethod
    def read(
        cls,
        path: str | Path,
        *,
        text_column: str | None = None,
        title_column: str | None = None,
        max_tokens: int = 256,
        count_tokens: Callable[[str], int] | None = None,
        near_duplicates: float = 0.8,
        max_bytes: int = MAX_BYTES,
    ) -> Corpus:
        """Read a folder (recursively, without hidden files) or one file.

        ``text_column`` and ``title_column`` name the columns of row files, else the first of ``TEXT_COLUMNS`` and
        ``title`` are taken. A section longer than ``max_tokens``, as ``count_tokens`` (default ``count_words``)
        counts, is cut. ``near_duplicates`` is the share of the shorter text's 5-word shingles that an earlier
        section must hold. A file of more than ``max_bytes`` bytes is not read.

        Raises InputError with one line for each file that cannot be used.
        """
        _check_options(max_tokens, near_duplicates, max_bytes)
        count = count_tokens or count_words
        files, problems = _find_files(Path(path))
        documents: list[tuple[str, str]] = []
        spans: list[_Span] = []
        for name, file in files:
            try:
                data = _read_bytes(file, max_bytes)
                found = _split(data, KINDS[file.suffix.lower()], text_column, title_column, max_tokens, count)
            except InputError as error:
                problems.append(f"{name}: {error}")
                continue
            documents.append((name, hashlib.sha256(data).hexdigest()))
            spans += [replace(piece, document=name) for span in found for piece in _cut(span, max_tokens, count)]
        if problems:
            raise InputError("\n".join(problems))
        columns = {"text_column": text_column, "title_column": title_column}
        reading = {"max_tokens": max_tokens} | {name: column for name, column in columns.items() if column is not None}
        return cls(_sections(spans, near_duplicates), tuple(documents), reading)

    @classmethod
    def from_texts(cls, texts: Iterable[str], name: str = "texts") -> Corpus:
        """One section for each text, uncut, as rows of a document called ``name``.

        Raises InputError that lists the texts that are empty or cannot be written as UTF-8.
        """
        if isinstance(texts, str):
            raise InputError("texts is one string; give a list of strings")
        texts = tuple(texts)
        faults = []
        for i, text in enumerate(texts, 1):
            if fault := _fault(text, "text") or ("empty" if not text or _blank(text) else None):
                faults.append(f"text {i} ({fault})")
        if faults or not texts:
            raise InputError(f"{name}: {_listed(faults) or 'no texts'}; give texts with words in them")
        spans = [_Span(name, (), _trim(_unix(text)), i, i, i) for i, text in enumerate(texts, 1)]
        return cls(_sections(spans, 0.8), ((name, hashlib.sha256("\0".join(texts).encode()).hexdigest()),))

    @property
    def sha256(self) -> str:
        """SHA-256 of the section ids in order, hex: the same for the same texts, wherever the files lie."""
        return hashlib.sha256("\n".join(section.id for section in self.sections).encode()).hexdigest()

    def __len__(self) -> int:
        return len(self.sections)

    def find(self, section_id: str) -> Section:
        """The section with this id. Raises InputError when there is none."""
        try:
            return self._by_id[section_id]
        except KeyError:
            example = f"; ids look like {self.sections[0].id}" if self.sections else ""
            raise InputError(f"no section {section_id!r} among the corpus's {len(self)}{example}") from None

    def without(self, ids: Collection[str]) -> Corpus:
        """The same documents without the sections of these ids."""
        return replace(self, sections=tuple(section for section in self.sections if section.id not in ids))

    @cached_property
    def _by_id(self) -> dict[str, Section]:
        return {section.id: section for section in self.sections}


@dataclass(frozen=True, eq=False)
class _Span:
    """A section before it has an id; fields as in ``Section``."""

    document: str
    titles: tuple[str, ...]
    text: str
    first_line: int
    last_line: int
    row: int | None = None


def _check_options(max_tokens: int, near_duplicates: float, max_bytes: int) -> None:
    problems = []
    if max_tokens < 1:
        problems.append(f"max_tokens is {max_tokens}; give at least 1")
    if not 0 < near_duplicates <= 1:
        problems.append(f"near_duplicates is {near_duplicates}; give a share above 0 and at most 1")
    if max_bytes < 1:
        problems.append(f"max_bytes is {max_bytes}; give at least 1")
    if problems:
        raise InputError("\n".join(problems))


# ---------------------------------------------------------------------------------------------- files


def _find_files(root: Path) -> tuple[list[tuple[str, Path]], list[str]]:
    """Name and path of each readable file, sorted by name, and a line for each folder that cannot be listed."""
    try:
        is_folder = stat.S_ISDIR(root.stat().st_mode)
    except OSError as error:
        raise InputError(f"{root}: {_os_reason(error)}") from None
    if not is_folder:
        if root.suffix.lower() not in KINDS:
            raise InputError(f"{root}: files of type {root.suffix or '(none)'} are not read; {READS}")
        return [(_printable(root.name), root)], []

    problems: list[str] = []

    def note(error: OSError) -> None:
        problems.append(f"{_printable(os.path.relpath(error.filename, root))}/: {_os_reason(error)}")

    files: list[tuple[str, Path]] = []
    types: Counter[str] = Counter()
    # os.walk does not enter links to folders, so that a loop of links ends.
    for folder, folders, names in os.walk(root, onerror=note):
        types["link to a folder"] += sum(Path(folder, name).is_symlink() for name in folders if name[0] != ".")
        folders[:] = [name for name in folders if name[0] != "."]
        for file in (Path(folder, name) for name in names if name[0] != "."):
            types[file.suffix.lower() or "no suffix"] += 1
            if file.suffix.lower() in KINDS:
                files.append((_printable(file.relative_to(root).as_posix()), file))
    if not files:
        raise InputError("\n".join([*problems, f"no documents in {root}/: {_found(+types)}; {READS}"]))
    return sorted(files), problems


def _found(types: Counter[str]) -> str:
    """What a folder holds, in words: ``3 files, of types .png (2), .jpg (1)``."""
    if not types:
        return "the folder is empty"
    total = types.total()
    kinds = ", ".join(f"{kind} ({n})" for kind, n in sorted(types.items(), key=lambda item: (-item[1], item[0])))
    return f"{total} file{'s' * (total > 1)}, of type{'s' * (len(types) > 1)} {kinds}"


def _os_reason(error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return "does not exist; check the path, or the link's target"
    if isinstance(error, PermissionError):
        return "no permission to read it; change its permissions"
    return f"cannot be read ({error.strerror}); check the path"


def _printable(name: str) -> str:
    """A file name that is not UTF-8 cannot be printed or stored: replace what cannot."""
    return name.encode(errors="replace").decode()


def _read_bytes(file: Path, max_bytes: int) -> bytes:
    """All bytes of a regular file within the limit; the size is checked before reading."""
    try:
        status = file.stat()
        if not stat.S_ISREG(status.st_mode):
            raise InputError("not a regular file (a pipe or a device); give a file")
        if status.st_size > max_bytes:
            raise InputError(
                f"{status.st_size:,} bytes, over the limit of {max_bytes:,}; split the file or raise max_bytes"
            )
        data = file.read_bytes()
    except OSError as error:
        raise InputError(_os_reason(error)) from None
    if not data:
        raise InputError("the file is empty; fill or remove it")
    return data


# ---------------------------------------------------------------------------------------------- bytes → spans


def _split(
    data: bytes,
    kind: Kind,
    text_column: str | None,
    title_column: str | None,
    max_tokens: int,
    count: Callable[[str], int],
) -> list[_Span]:
    """The spans of one file, not yet cut to ``max_tokens``. Raises InputError when there is no text."""
    match kind:
        case "markdown":
            spans, where = _markdown_spans(_decode(data)), "below any heading"
        case "text":
            spans, where = _text_spans(_decode(data), max_tokens, count), "in it"
        case "jsonl":
            spans, where = _row_spans(_jsonl_table(_decode(data)), text_column, title_column), "in any row"
        case "csv":
            spans, where = _row_spans(_csv_table(_decode(data)), text_column, title_column), "in any row"
        case "parquet":
            wanted = {text_column, title_column, TITLE_COLUMN, *TEXT_COLUMNS}
            spans, where = _row_spans(_parquet_table(data, wanted), text_column, title_column), "in any row"
    if not spans:
        raise InputError(f"no text {where}; fill or remove the file")
    return spans


def _decode(data: bytes) -> str:
    """The bytes as UTF-8, without a byte order mark and with ``\\n`` as the only line end."""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise InputError("not UTF-8 but UTF-16 (byte order mark at byte 0); save it again as UTF-8")
    if (at := data.find(b"\0")) >= 0:
        raise InputError(f"binary, not text (NUL at byte {at}); remove it, or save its text as UTF-8")
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise InputError(f"not UTF-8 (at byte {error.start}); save it again as UTF-8") from None
    return _unix(text.removeprefix("\ufeff"))


def _unix(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _blank(line: str) -> bool:
    return not line or line.isspace()


def _trim(text: str) -> str:
    """Without outer blank lines and trailing white space; the first line keeps its indentation."""
    start = len(text) - len(text.lstrip())
    return text[text.rfind("\n", 0, start) + 1 :].rstrip()


def _markdown_spans(text: str) -> list[_Span]:
    """One span for the text below each heading, and one for the text before the first.

    Headings inside quotations and lists are part of the text. Outer blank lines and rules (``---``) are left out.
    """
    from markdown_it import MarkdownIt

    lines = text.split("\n")
    top = _front_matter(lines)
    lines[:top] = [""] * top
    tokens = MarkdownIt("commonmark").parse("\n".join(lines))
    rules = {token.map[0] for token in tokens if token.type == "hr" and token.level == 0 and token.map}
    headings = [_Heading(0, "", 0, 0)]
    for token, inline in pairwise(tokens):
        if token.type == "heading_open" and token.level == 0 and token.map:
            headings.append(_Heading(int(token.tag[1]), _plain(inline.children or []), *token.map))
    ends = [*(heading.start for heading in headings[1:]), len(lines)]

    spans = []
    path: list[_Heading] = []
    for heading, end in zip(headings, ends, strict=True):
        path = [*(above for above in path if above.level < heading.level), heading]
        filled = [i for i in range(heading.end, end) if not _blank(lines[i]) and i not in rules]
        if filled:
            first, last = filled[0], filled[-1] + 1
            titles = tuple(above.title for above in path if above.title)
            spans.append(_Span("", titles, "\n".join(lines[first:last]).rstrip(), first + 1, last))
    return spans


class _Heading(NamedTuple):
    level: int
    title: str
    start: int
    """First line of the heading itself, 0-based; its text starts at ``end``."""
    end: int


def _front_matter(lines: Sequence[str]) -> int:
    """Number of lines of the YAML block at the very top; 0 when there is none."""
    if lines[0].rstrip() != "---":
        return 0
    end = next((i for i, line in enumerate(lines[1:], 1) if line.rstrip() in ("---", "...")), 0)
    # Two rules with prose between them look alike; a YAML block starts with a key or a comment, prose must not be lost.
    inside = next((line for line in lines[1:end] if not line.startswith("#")), "")
    return end + 1 if _YAML_KEY.match(inside) else 0


def _plain(inline: Sequence[Any]) -> str:
    """A heading's words, without the marks of emphasis, links and code."""
    shown = {"text", "code_inline", "image"}
    parts = (token.content if token.type in shown else " " * token.type.endswith("break") for token in inline)
    return " ".join("".join(parts).split())


def _text_spans(text: str, max_tokens: int, count: Callable[[str], int]) -> list[_Span]:
    """Paragraphs, packed into spans of at most ``max_tokens``; a longer paragraph is a span by itself."""
    lines = text.split("\n")
    packed: list[tuple[int, int]] = []
    for first, last in _paragraphs(lines):
        if packed and count("\n".join(lines[packed[-1][0] : last])) <= max_tokens:
            packed[-1] = (packed[-1][0], last)
        else:
            packed.append((first, last))
    return [_Span("", (), "\n".join(lines[first:last]).rstrip(), first + 1, last) for first, last in packed]


def _paragraphs(lines: Sequence[str]) -> Iterator[tuple[int, int]]:
    """[first, last) lines of each run of lines that are not blank."""
    first = None
    for i, line in enumerate([*lines, ""]):
        if _blank(line):
            if first is not None:
                yield first, i
            first = None
        elif first is None:
            first = i


# ---------------------------------------------------------------------------------------------- rows


@dataclass(frozen=True, eq=False)
class _Table:
    """A row file: its columns, its rows by number, and what is wrong with the rows that are left out."""

    columns: tuple[str, ...]
    rows: list[tuple[int, Mapping[str, object]]]
    faults: list[str]


def _row_spans(table: _Table, text_column: str | None, title_column: str | None) -> list[_Span]:
    """One span for each row with text. Raises InputError for missing columns and for bad rows, together."""
    text_name = text_column or next((name for name in TEXT_COLUMNS if name in table.columns), TEXT_COLUMNS[0])
    title_name = title_column or TITLE_COLUMN
    spans, faults = [], list(table.faults)
    for row, cells in table.rows:
        text, title = cells.get(text_name), cells.get(title_name)
        title = str(title) if isinstance(title, int | float) else title
        if fault := _fault(text, text_name) or _fault(title, title_name):
            faults.append(f"row {row} ({fault})")
        elif isinstance(text, str) and not _blank(text):
            titles = (" ".join(title.split()),) if isinstance(title, str) and not _blank(title) else ()
            spans.append(_Span("", titles, _trim(_unix(text)), row, row, row))

    problems = _missing_columns(table.columns, text_column, title_column) if table.columns else []
    if faults:
        problems.append(f"bad rows: {_listed(faults)}; mend or remove them")
    if problems:
        raise InputError("; ".join(problems))
    return spans


def _missing_columns(columns: Sequence[str], text_column: str | None, title_column: str | None) -> list[str]:
    there = f"the columns are {_listed(columns)}"
    problems = [
        f"no column {name!r}, {there}; name one of them as {option}"
        for option, name in (("text_column", text_column), ("title_column", title_column))
        if name and name not in columns
    ]
    if not text_column and not set(TEXT_COLUMNS) & set(columns):
        problems.append(f"no column for the text ({', '.join(TEXT_COLUMNS)}), {there}; name one of them as text_column")
    return problems


def _fault(cell: object, name: str) -> str | None:
    """Why a cell cannot be text, or None; an empty cell is no fault."""
    if cell is None:
        return None
    if not isinstance(cell, str):
        return f"{name} is of type {type(cell).__name__}, not a string"
    if "\0" in cell:
        return f"NUL in {name}"
    try:
        cell.encode()
    except UnicodeEncodeError as error:
        return f"half a surrogate pair in {name}, character {error.start + 1}"
    return None


def _listed(items: Sequence[str]) -> str:
    more = f" and {len(items) - SHOWN} more" if len(items) > SHOWN else ""
    return ", ".join(items[:SHOWN]) + more


def _jsonl_table(text: str) -> _Table:
    """A row is numbered by its line; blank lines are skipped."""
    columns: dict[str, None] = {}
    rows: list[tuple[int, Mapping[str, object]]] = []
    faults = []
    for number, line in enumerate(text.split("\n"), 1):
        if _blank(line):
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            faults.append(f"line {number} (not JSON: {error.msg}, column {error.colno})")
        except (ValueError, RecursionError):
            faults.append(f"line {number} (a number too long or lists too deep)")
        else:
            if isinstance(row, dict):
                columns |= dict.fromkeys(row)
                rows.append((number, row))
            else:
                faults.append(f"line {number} (not a JSON object)")
    return _Table(tuple(columns), rows, faults)


def _csv_table(text: str) -> _Table:
    """A row is numbered from 1 below the header; blank lines are skipped."""
    rows: list[tuple[int, Mapping[str, object]]] = []
    faults: list[str] = []
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    columns: tuple[str, ...] = ()
    line = 1
    try:
        with csv_cells(text):
            for cells in reader:
                if cells and not columns:
                    columns = tuple(cell.strip() for cell in cells)
                elif cells:
                    number = len(rows) + len(faults) + 1
                    if len(cells) == len(columns):
                        rows.append((number, dict(zip(columns, cells, strict=True))))
                    else:
                        faults.append(f"line {line} ({len(cells)} cells below {len(columns)} columns)")
                line = reader.line_num + 1
    except csv.Error as error:
        faults.append(f"line {line} ({error})")
    return _Table(columns, rows, faults)


def _parquet_table(data: bytes, wanted: set[str | None]) -> _Table:
    """Only the ``wanted`` columns are decoded: others may hold images or vectors."""
    from pyarrow import ArrowException, BufferReader, parquet

    try:
        file = parquet.ParquetFile(BufferReader(data))
        columns = tuple(file.schema_arrow.names)
        cells = file.read(columns=[name for name in columns if name in wanted]).to_pylist()
    except (ArrowException, OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"not a Parquet file that can be read ({reason}); write it again") from None
    return _Table(columns, list(enumerate(cells, 1)), [])


# ---------------------------------------------------------------------------------------------- spans → sections


def _cut(span: _Span, max_tokens: int, count: Callable[[str], int]) -> Iterator[_Span]:
    """Pieces of at most ``max_tokens``, cut at paragraphs, lines, sentences or words, each with its own lines."""
    if count(span.text) <= max_tokens:
        yield span
        return
    from semchunk import chunk

    # Its memo would keep every text counted for as long as the process lives.
    pieces, offsets = chunk(span.text, max_tokens, count, memoize=False, offsets=True)
    line, at = span.first_line, 0
    for piece, (start, end) in zip(pieces, offsets, strict=True):
        start, end = start + len(piece) - len(piece.lstrip()), end - len(piece) + len(piece.rstrip())
        if start >= end:
            continue
        line += span.text.count("\n", at, start)
        at = start
        text = span.text[start:end]
        if span.row is None:
            yield replace(span, text=text, first_line=line, last_line=line + text.count("\n"))
        else:
            yield replace(span, text=text)


def _sections(spans: Sequence[_Span], near_duplicates: float) -> tuple[Section, ...]:
    """The spans with their ids and the near-duplicates among them marked."""
    ids = _ids(spans)
    earlier = _near_duplicates([span.text for span in spans], near_duplicates)
    return tuple(
        Section(
            id=id_,
            document=span.document,
            titles=span.titles,
            text=span.text,
            first_line=span.first_line,
            last_line=span.last_line,
            row=span.row,
            near_duplicate_of=None if original is None else ids[original],
        )
        for span, id_, original in zip(spans, ids, earlier, strict=True)
    )


def _ids(spans: Sequence[_Span]) -> list[str]:
    ids = []
    seen: Counter[str] = Counter()
    for span in spans:
        # Neither titles nor text can hold NUL, so different titles and text never join to the same bytes.
        digest = hashlib.sha256("\0".join((*span.titles, span.text)).encode()).hexdigest()[:12]
        seen[digest] += 1
        ids.append(digest if seen[digest] == 1 else f"{digest}-{seen[digest]}")
    return ids


def _near_duplicates(texts: Sequence[str], share: float) -> list[int | None]:
    """For each text the index of an earlier one that is nearly the same, or None.

    Two texts are nearly the same when ``share`` of the shorter's shingles are among the other's. That covers a
    Jaccard index of ``share`` too, which is never above the overlap with the shorter.

    Among the rarest shingles of the shorter, one more than it may miss, at least one must be shared. Looking up only
    those leaves few texts to compare, however many share a common passage.
    """
    shingles = [_shingles(text) for text in texts]
    frequency = Counter(chain.from_iterable(shingles))
    holders: defaultdict[str, list[int]] = defaultdict(list)
    holders_rarest: defaultdict[str, list[int]] = defaultdict(list)
    same: dict[frozenset[str], int] = {}
    found: list[int | None] = []
    for i, mine in enumerate(shingles):
        if mine in same:
            found.append(same[mine])
            continue
        same[mine] = i
        # A shingle that no other text has can be missed, not shared.
        shared = sorted((s for s in mine if frequency[s] > 1), key=lambda s: (frequency[s], s))
        may_miss = len(mine) - _needed(len(mine), share)
        rarest = shared[: max(0, may_miss + 1 - (len(mine) - len(shared)))]
        candidates = chain(
            chain.from_iterable(holders[s] for s in rarest), chain.from_iterable(holders_rarest[s] for s in shared)
        )
        found.append(_first_near(mine, candidates, shingles, share))
        for s in shared:
            holders[s].append(i)
        for s in rarest:
            holders_rarest[s].append(i)
    return found


def _first_near(
    mine: frozenset[str], candidates: Iterable[int], shingles: Sequence[frozenset[str]], share: float
) -> int | None:
    compared: set[int] = set()
    for j in candidates:
        if j not in compared:
            compared.add(j)
            if len(mine & shingles[j]) >= _needed(min(len(mine), len(shingles[j])), share):
                return j
    return None


def _needed(size: int, share: float) -> int:
    """How many of ``size`` shingles make the share; rounding errors of the product must not ask for one more."""
    return math.ceil(size * share - 1e-9)


def _shingles(text: str) -> frozenset[str]:
    """Every run of 5 words, in lower case; a text of fewer words is one shingle, whatever it is made of."""
    words = _WORD.findall(text.casefold()) or text.split()
    return frozenset(" ".join(words[i : i + SHINGLE]) for i in range(max(1, len(words) - SHINGLE + 1)))
