"""A user's copy of FineTuneBench (Wu, Wu, Zou 2024, arXiv 2411.05059) → questions, in its published layout.

    FOLDER/fictional_people/fictional_people_{memorization,rephrased,secondary,comparison}.csv
    FOLDER/latest_news/latest_news_{memorization,rephrased,date_changed}.csv
    FOLDER/medical/medical_{memorization,generalization}.csv
    FOLDER/coding/coding_{memorization,generalization}.csv          (of coding only the second has been published)

A repository's root with these folders under ``datasets`` will do, and so will some of the files. The protocol tunes on
the memorization rows and asks all of them. The published comparison labels follow from weight whatever is asked:
``check_comparison`` computes them again from the facts.

Not covered: the published answers of commercial models; the training files, which were announced only.
"""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from attrib.assess.finetunebench.comparisons import (
    CODING,
    MEDICAL,
    NEWS,
    PEOPLE,
    Relabelled,
    _is_fact,
    check_comparison,
)
from attrib.assess.questions import Malformed, Question
from attrib.errors import InputError
from attrib.files import csv_cells

SUBSETS: dict[str, dict[str, str]] = {
    PEOPLE: {name: name for name in ("memorization", "rephrased", "secondary", "comparison")},
    NEWS: {name: name for name in ("memorization", "rephrased", "date_changed")},
    MEDICAL: {"memorization": "memorization", "generalization": "vignette"},
    CODING: {"memorization": "memorization", "generalization": "generalization"},
}
"""Subset → ending of a file's name → kind of its questions."""
_UPDATED = (MEDICAL, CODING)
_ASKED = ("question", "rephrased_question", "date_changed_question")
"""Columns with the question alone, without the instruction that comes before it in the prompt."""


@dataclass(frozen=True)
class FineTuneBench:
    """Questions of a folder in FineTuneBench's layout."""

    rows: tuple[Question, ...]
    """All questions, by subset and kind in the order of ``SUBSETS``, rows in the order of their file."""
    training: tuple[Question, ...]
    """The ``rows`` that the protocol tunes on: memorization."""
    malformed: tuple[Malformed, ...]
    notes: tuple[str, ...]
    """Omissions, changes and faults of the files, as sentences."""
    sha256: str
    """Digest of the files' names and contents."""
    relabelled: tuple[Relabelled, ...] = ()
    """Comparison questions of ``rows``: the published label and the right one."""


@dataclass(frozen=True)
class _CsvRow:
    line: int
    number: int
    """Number among all rows of its file, from 1."""
    cells: dict[str, str]


def read_finetunebench(folder: Path, subsets: Sequence[str] | None = None, *, all_rows: bool = False) -> FineTuneBench:
    """The questions of ``folder``, of some ``subsets`` only where they are given.

    News rows whose ``used_in_analysis`` is false are left out unless ``all_rows``. Prompts are stripped of outer
    blanks. Rows that cannot be used are listed, not raised.

    Raises InputError in one line for a folder, file or subset that is not there, for a file without the columns of its
    kind, and for one without a usable row.
    """
    root = _root(folder, _known(subsets))
    rows: list[Question] = []
    malformed: list[Malformed] = []
    notes: list[str] = []
    digest = hashlib.sha256()
    for subset in _known(subsets):
        if subsets is not None or (root / subset).is_dir():
            rows += _subset_questions(root / subset, malformed, notes, digest, all_rows)
    questions, relabelled = _with_right_labels(rows, notes)
    training = tuple(row for row in questions if row.kind == "memorization")
    for subset in dict.fromkeys(row.subset for row in questions):
        if all(row.subset != subset for row in training):
            notes.append(f"{subset}: there are no memorization rows, so nothing of it can be tuned on.")
    return FineTuneBench(tuple(questions), training, tuple(malformed), tuple(notes), digest.hexdigest(), relabelled)


def _subset_questions(
    folder: Path, malformed: list[Malformed], notes: list[str], digest: hashlib._Hash, all_rows: bool
) -> list[Question]:
    """Questions of one subset's files; ``malformed``, ``notes`` and ``digest`` take what the files bring."""
    subset = folder.name
    facts: dict[tuple[str, str], str] = {}
    names: set[str] = set()
    questions: list[Question] = []
    for ending, file in _files(folder, notes).items():
        content = _content(file)
        digest.update(f"{file.name} {hashlib.sha256(content).hexdigest()}\n".encode())
        read = list(_rows(file, content, subset, malformed))
        questions += _asked(file, subset, SUBSETS[subset][ending], read, facts, names, notes, all_rows)
    return questions


def _files(folder: Path, notes: list[str]) -> dict[str, Path]:
    """Ending → file, of those that are there; a note says which are not. Raises InputError where none is."""
    subset = folder.name
    files = {ending: folder / f"{subset}_{ending}.csv" for ending in SUBSETS[subset]}
    there = {ending: file for ending, file in files.items() if file.is_file()}
    if not there:
        raise InputError(f"{folder}: it has none of {', '.join(f.name for f in files.values())}; give a copy of them")
    missing = [file.name for ending, file in files.items() if ending not in there]
    if missing:
        notes.append(f"{subset}: {_and(missing)} {'is' if len(missing) == 1 else 'are'} not in the folder.")
    return there


def _with_right_labels(rows: list[Question], notes: list[str]) -> tuple[list[Question], tuple[Relabelled, ...]]:
    """``rows`` with comparison labels computed from the facts, without the comparisons that these do not decide."""
    comparisons = [row for row in rows if row.subset == PEOPLE and row.kind == "comparison"]
    if not comparisons:
        return rows, ()
    checked = check_comparison(comparisons, [row for row in rows if _is_fact(row)])
    notes += checked.notes
    right = {row.id: row for row in checked.rows}
    return [right.get(row.id, row) for row in rows if row.id not in checked.undecided], checked.relabelled


def template_of(question: str, names: Collection[str]) -> str:
    """``question`` with NAME for each of ``names`` (whole words; the longest first) and N for each number."""
    if names:
        longest_first = sorted(names, key=lambda name: (-len(name), name))
        question = re.sub(rf"(?<!\w)(?:{'|'.join(map(re.escape, longest_first))})(?!\w)", "NAME", question)
    return re.sub(r"\d+(?:[.,]\d+)*", "N", question)


# ------------------------------------------------------------------------------------------- files


def _known(subsets: Sequence[str] | None) -> tuple[str, ...]:
    if subsets is not None and not subsets:
        raise InputError(f"subsets: none is given; give some of {', '.join(SUBSETS)}")
    unknown = [name for name in subsets or () if name not in SUBSETS]
    if unknown:
        raise InputError(f"subset {unknown[0]!r}: FineTuneBench has {', '.join(SUBSETS)}; give one of them")
    return tuple(name for name in SUBSETS if subsets is None or name in subsets)


def _root(folder: Path, subsets: Sequence[str]) -> Path:
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; give a copy of FineTuneBench's datasets")
    for root in (folder, folder / "datasets"):
        if any((root / subset).is_dir() for subset in subsets):
            return root
    raise InputError(
        f"{folder}: not in FineTuneBench's layout; expected a folder {_and(subsets, 'or')} with files such as "
        f"{subsets[0]}/{subsets[0]}_{next(iter(SUBSETS[subsets[0]]))}.csv"
    )


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror}); make it readable") from error


def _needed(subset: str) -> tuple[str, ...]:
    columns: tuple[str, ...] = ("id", "prompt", "answer")
    if subset in _UPDATED:
        columns += ("answer_before",)
    if subset == PEOPLE:
        columns += ("fact",)
    return columns + (("used_in_analysis",) if subset == NEWS else ())


def _rows(file: Path, content: bytes, subset: str, malformed: list[Malformed]) -> Iterator[_CsvRow]:
    """Usable rows of a file; the others are appended to ``malformed``."""
    name = f"{subset}/{file.name}"
    parsed = _parsed(content.decode("utf-8-sig", "surrogateescape"))
    header = parsed[0][1] if parsed and isinstance(parsed[0][1], list) else []
    missing = [column for column in _needed(subset) if column not in header]
    if missing:
        raise InputError(
            f"{file}: it has no column {', '.join(map(repr, missing))}; expected {', '.join(_needed(subset))}"
        )
    seen: dict[tuple[str, str], int] = {}
    bad: list[Malformed] = []
    good = 0
    for number, (line, cells) in enumerate(parsed[1:], 1):
        reason = cells if isinstance(cells, str) else _wrong(header, cells, subset)
        if reason is None:
            row = dict(zip(header, cells, strict=True))
            # A person has several rows under one id.
            key = (row["id"], row["prompt"] if subset in (PEOPLE, NEWS) else "")
            first = seen.setdefault(key, line)
            reason = None if first == line else f"the same as line {first} asks (id {row['id']!r})"
        if reason is not None:
            bad.append(Malformed(name, line, reason))
            continue
        good += 1
        yield _CsvRow(line, number, row)
    malformed += bad
    if not good:
        why = f" ({bad[0]})" if bad else ""
        raise InputError(f"{file}: it has no usable row{why}; mend the file")


def _parsed(text: str) -> list[tuple[int, list[str] | str]]:
    """First line and cells of each record, the header first, or what is wrong with it; empty lines are no records."""
    records: list[tuple[int, list[str] | str]] = []
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    before = 0
    try:
        with csv_cells(text):
            for cells in reader:
                if cells:
                    records.append((before + 1, cells))
                before = reader.line_num
    except csv.Error as error:
        # Where a quote is wrong nothing after it can be trusted.
        records.append((before + 1, f"not CSV ({error}); what follows it was not read"))
    return records


def _wrong(header: Sequence[str], cells: Sequence[str], subset: str) -> str | None:
    """Why a row cannot be used; None where it can."""
    if len(cells) != len(header):
        return f"it has {len(cells)} cells, the header has {len(header)}"
    row = dict(zip(header, cells, strict=True))
    # Bytes that are no UTF-8 were read as lone surrogates.
    if any("\udc80" <= sign <= "\udcff" for cell in cells for sign in cell):
        return "it is not UTF-8"
    empty = [name for name in _needed(subset) if not row[name].strip()]
    if empty:
        return f"nothing in its column {empty[0]!r}"
    if subset == NEWS and row["used_in_analysis"].strip().lower() not in ("true", "false"):
        return f"its used_in_analysis is {row['used_in_analysis']!r}, neither True nor False"
    return None


def _asked(
    file: Path,
    subset: str,
    kind: str,
    rows: Sequence[_CsvRow],
    facts: dict[tuple[str, str], str],
    names: set[str],
    notes: list[str],
    all_rows: bool,
) -> list[Question]:
    """Questions of one file; ``facts`` (what rows of a fact share → its key) and ``names`` grow."""
    kept = [row for row in rows if all_rows or row.cells.get("used_in_analysis", "true").strip().lower() == "true"]
    if len(kept) < len(rows):
        notes.append(
            f"{file.name}: {len(rows) - len(kept)} of {len(rows)} rows were not used in the paper and are left out."
        )
    blank = sum(row.cells["prompt"] != row.cells["prompt"].strip() for row in kept)
    if blank:
        notes.append(f"{file.name}: blanks around {blank} of {len(kept)} prompts are left out.")
    if subset == PEOPLE:
        names |= _names(row.cells for row in kept)
    asked: list[Question] = []
    for row in kept:
        cells = row.cells
        alone = next((cells[column] for column in _ASKED if cells.get(column, "").strip()), cells["prompt"])
        asked.append(
            Question(
                cells["prompt"].strip(),
                cells["answer"].strip(),
                kind,
                id=f"{subset}/{kind}/{row.number}",
                answer_before=cells["answer_before"].strip() if subset in _UPDATED else None,
                fact=facts.setdefault(_shared(cells, subset), f"{subset}/{len(facts) + 1}"),
                subset=subset,
                knowledge="updated" if subset in _UPDATED else "new",
                template=template_of(alone.strip(), names) if subset == PEOPLE else "",
            )
        )
    return asked


def _shared(cells: dict[str, str], subset: str) -> tuple[str, str]:
    """Key shared by the rows of one fact: id and statement, or the id alone."""
    return cells["id"], "" if subset in _UPDATED else cells.get("fact", "").strip()


def _names(rows: Iterable[dict[str, str]]) -> frozenset[str]:
    """First and full names in statements of facts ("Ada Byron weighs 126 pounds. …")."""
    names: set[str] = set()
    for cells in rows:
        for first, last in re.findall(r"(?:^|[.] )(\w+) (\w+)(?='s| (?:weighs|is|works|lives) )", cells["fact"]):
            names |= {first, f"{first} {last}"}
    return frozenset(names)


def _and(names: Sequence[str], word: str = "and") -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} {word} {names[-1]}"
