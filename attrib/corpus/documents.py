"""Files → documents → sections, with line numbers and stable ids.

A folder or a file of one of the formats (``FORMATS``) becomes a ``Corpus``: sections in the order of the files' names,
with a report of all that the reading met. Line ends are normalised (CRLF and CR count as one LF), nothing else in the
text is changed.

Not covered: archives (zip, tar).
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from attrib.corpus.faults import fault
from attrib.corpus.files import find_files, read_bytes
from attrib.corpus.formats import Format
from attrib.corpus.formats.json import NoRowsError
from attrib.corpus.reading import LeftOut, ReadingReport, RowsRead, by_frequency, listed, places, refuse_losses
from attrib.corpus.sections import count_words, cut, exact_duplicates, make_sections
from attrib.corpus.shapes.cells import Columns
from attrib.corpus.spans import Found, ReadOptions, Span, blank, trim, unix
from attrib.errors import InputError
from attrib.options.loading import ReadingOptions
from attrib.records import Section


@dataclass(frozen=True, eq=False)
class Corpus:
    """The sections of all documents, in order."""

    sections: tuple[Section, ...]
    documents: tuple[tuple[str, str], ...]
    """Name and SHA-256 (hex, of the file's bytes, unpacked) of each document."""
    reading: Mapping[str, int | list[str]] = field(default_factory=dict)
    """The options of ``read`` that shaped the sections, as far as they were given or have a number."""
    report: ReadingReport = field(default_factory=ReadingReport)
    """What became of all files, rows and columns."""

    @classmethod
    def read(
        cls,
        path: str | Path,
        *,
        columns: Mapping[str, str] | Sequence[str] = (),
        max_tokens: int = ReadingOptions.max_tokens,
        count_tokens: Callable[[str], int] | None = None,
        near_duplicates: float = 0.8,
        max_bytes: int = ReadingOptions.max_bytes,
        strict: bool = False,
    ) -> Corpus:
        """Read a folder (recursively, without hidden files), one file, or a data set of the hub (``hf://NAME:SPLIT``).

        The rows of a row file are recognised by their columns; where these have other names, ``columns`` says which
        is meant: ``{"question": "ask", "answer": "data.reply"}``, or ``["question=ask", …]``. A section longer than
        ``max_tokens``, as ``count_tokens`` (default ``count_words``) counts, is cut, but for conversations.
        ``near_duplicates`` is the share of the shorter text's 5-word shingles that an earlier
        section must hold. A file of more than ``max_bytes`` bytes is not read.

        Raises InputError with one line for each file that cannot be used; with ``strict`` for each loss too
        (``report.losses``).
        """
        _check_options(max_tokens, near_duplicates, max_bytes)
        count = count_tokens or count_words
        options = ReadOptions(Columns.of(columns), max_tokens, count)
        finding = find_files(Path(path))
        documents: list[tuple[str, str]] = []
        spans: list[Span] = []
        found: dict[str, Found] = {}
        for name, file, kind in finding.files:
            try:
                data = read_bytes(file, max_bytes)
                found[name] = _read_file(data, kind, options)
            except NoRowsError as error:
                if not Path(path).is_dir():
                    raise InputError(f"{name}: {error}") from None
                finding.skipped[f"{file.suffix} without rows"] += 1
                continue
            except InputError as error:
                finding.problems.append(f"{name}: {error}")
                continue
            documents.append((name, hashlib.sha256(data).hexdigest()))
            spans += [replace(p, document=name) for span in found[name].spans for p in cut(span, max_tokens, count)]
        if finding.problems:
            raise InputError("\n".join(finding.problems))
        sections = make_sections(spans, near_duplicates)
        formats = {name: kind.name for name, _, kind in finding.files}
        skipped = by_frequency(finding.skipped)
        report = _report(formats, found, sections)
        left_out = (*finding.left_out, *report.left_out)
        report = replace(report, skipped=skipped, hidden=finding.hidden, left_out=left_out)
        if strict:
            refuse_losses(report.losses)
        reading: dict[str, int | list[str]] = {"max_tokens": max_tokens}
        if columns:
            reading["columns"] = options.columns.pairs
        if max_bytes != ReadingOptions.max_bytes:
            reading["max_bytes"] = max_bytes
        return cls(sections, tuple(documents), reading, report)

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
            if problem := fault(text, "text") or ("empty" if not text or blank(text) else None):
                faults.append(f"text {i} ({problem})")
        if faults or not texts:
            raise InputError(f"{name}: {listed(faults) or 'no texts'}; give texts with words in them")
        spans = [Span(name, (), trim(unix(text)), i, i, i) for i, text in enumerate(texts, 1)]
        document = (name, hashlib.sha256("\0".join(texts).encode()).hexdigest())
        sections = make_sections(spans, 0.8)
        found = Found(spans, RowsRead(name, {"text": len(spans)}))
        return cls(sections, (document,), report=_report({name: "list of texts"}, {name: found}, sections))

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


def _read_file(data: bytes, kind: Format, options: ReadOptions) -> Found:
    """The spans of one file, not yet cut. Raises InputError when there is no text."""
    found = kind.read(data, options)
    if not found.spans:
        raise InputError(f"no text {kind.place}; fill or remove the file")
    return found


def _report(formats: Mapping[str, str], found: Mapping[str, Found], sections: Sequence[Section]) -> ReadingReport:
    """Counts of the files that were read, by name; ``formats`` are the names of theirs."""
    exact = exact_duplicates(sections)
    amounts: Counter[str] = Counter()
    left_out, remarks = defaultdict(list), defaultdict(list)
    for name, one in found.items():
        amounts.update(one.left_out)
        for what in one.left_out:
            left_out[what].append(name)
        for remark in one.remarks:
            remarks[remark].append(name)
    return ReadingReport(
        sections=len(sections),
        files=by_frequency(Counter(formats[name] for name in found)),
        rows=tuple(replace(one.rows, document=name) for name, one in found.items() if one.rows is not None),
        left_out=tuple(LeftOut(what, amounts[what], tuple(names)) for what, names in left_out.items()),
        remarks=tuple(f"{places(names)}: {remark}" for remark, names in remarks.items()),
        headings=sum(span.heading for one in found.values() for span in one.spans),
        exact_duplicates=exact,
        near_duplicates=sum(section.near_duplicate_of is not None for section in sections) - exact,
    )
