"""Row files → questions with their answers, where they have one.

Every shape of row data is read: the question is the last turn that asks, the turns before it are its context.
Not covered: a question whose answer takes several turns, such as calls of tools.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from attrib.corpus import demo
from attrib.corpus.formats.rows import TableRow, Tally, missing_columns
from attrib.corpus.reading import RowsRead
from attrib.corpus.shapes import QUESTIONS, read_row, shape_of
from attrib.corpus.shapes.cells import Cells, Columns, RowError
from attrib.corpus.tables import read_table
from attrib.errors import InputError
from attrib.records import PROMPT, Item, Turn
from attrib.records.item import ANSWERING, ASKING, CHAT_ROLES, RAW_ROLES


@dataclass(frozen=True)
class Question:
    """One question of a set."""

    question: str
    """As the model is asked."""
    answer: str | None = None
    """The right answer. None: the tuned model's own is taken where one is needed."""
    kind: str = ""
    id: str = ""
    section: str | None = None
    """Id of the gold section, where it is known."""
    split: str = ""
    accept: tuple[str, ...] = ()
    """Other right answers."""
    answer_before: str | None = None
    """Right answer before the knowledge was updated."""
    accept_before: tuple[str, ...] = ()
    """Other answers that were right then."""
    fact: str = ""
    """Key of the fact asked for: a question and its rephrasings share it."""
    subset: str = ""
    """Part of a benchmark that it belongs to."""
    knowledge: str = ""
    """new or updated, where it is known."""
    template: str = ""
    """The question without its names and numbers, for baselines by template."""
    turns: tuple[Turn, ...] = ()
    """Turns before the question: a system prompt, earlier questions with their answers."""
    tools: str = ""
    """Tools offered in the conversation, as JSON; empty without."""
    raw: bool = False
    """Whether the answer follows the question directly, without a chat template."""

    @property
    def asked(self) -> list[object]:
        """All that is asked, as keys of stores hold it."""
        return [self.question, [asdict(turn) for turn in self.turns], self.raw]

    def item(self, id: str) -> Item:
        """The conversation, its answer trained. Raises InputError without an answer."""
        if self.answer is None:
            raise InputError(f"questions: {self.id!r} has no answer to learn; add one or remove the row")
        asking, answering = RAW_ROLES if self.raw else CHAT_ROLES
        turns = (*self.turns, Turn(asking, self.question), Turn(answering, self.answer, trained=True))
        return Item(id, turns, self.tools, self.section)


@dataclass(frozen=True)
class Malformed:
    """A row that cannot be used, and why."""

    file: str
    line: int
    """From 1, the row's first."""
    reason: str

    def __str__(self) -> str:
        return f"{self.file}, line {self.line}: {self.reason}"


def check_questions(asked: Sequence[Question], *, answered: bool = False) -> None:
    """InputError where there is no question, or, with ``answered``, where one has no right answer."""
    if not asked:
        raise InputError("questions: none was given; give at least one")
    for question in asked:
        if answered and question.answer is None:
            raise InputError(f"question {question.id!r}: it has no right answer to score by; add one or leave it out")


def read_questions(
    path: Path, malformed: list[Malformed] | None = None, columns: Mapping[str, str] | Sequence[str] = ()
) -> tuple[Question, ...]:
    """The questions of ``read_question_rows`` without their counts."""
    return read_question_rows(path, malformed, columns)[0]


def read_question_rows(
    path: Path, malformed: list[Malformed] | None = None, columns: Mapping[str, str] | Sequence[str] = ()
) -> tuple[tuple[Question, ...], RowsRead]:
    """The question of each row with the other fields of ``Question``, and what was read; ``columns`` as in
    ``Corpus.read``. ``accept`` and ``accept_before`` are lists, or texts with ``|`` between the answers.

    Raises InputError, one line, for another kind of file, for a file without a usable row and for ids given twice.
    A row that is not so is an InputError too, by line, or is appended to ``malformed`` and left out where that is
    given.
    """
    tally = Tally(Columns.of(columns))
    try:
        table = read_table(path, tally.columns)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    rows: list[Question] = []
    wrong: list[tuple[int, str]] = []
    first: dict[str, int] = {}
    for row in table.rows:
        cells = Cells(row.cells, tally.columns)
        try:
            asked = _asked(row, cells, tally)
            if first.setdefault(asked.id, row.line) != row.line:
                raise RowError(f"its id {asked.id!r} is that of line {first[asked.id]} too; give each row its own")
        except RowError as error:
            wrong.append((row.line, str(error)))
        else:
            rows.append(asked)
    wrong = sorted([*wrong, *((line, f"{reason}; mend the row") for line, reason in table.faults)])
    if problems := missing_columns(tally, table.columns) if table.columns else []:
        raise InputError(f"{path}: {problems[0]}")
    if wrong and malformed is None:
        raise InputError(f"{path}, line {wrong[0][0]}: {wrong[0][1]}")
    if malformed is not None:
        malformed += [Malformed(str(path), line, reason) for line, reason in wrong]
    if not rows:
        raise InputError(f"{path}: it has no questions; give at least one")
    return tuple(rows), replace(tally.rows_read(table), document=path.name)


def demo_questions(limit: int | None = None) -> tuple[Question, ...]:
    """The demo's test questions with their right answers, kinds taken in turn so that a few are of every kind."""
    by_kind: dict[str, list[Question]] = {}
    for row in demo.questions("test"):
        by_kind.setdefault(row.kind, []).append(of_demo(row))
    longest = max(len(rows) for rows in by_kind.values())
    mixed = [rows[i] for i in range(longest) for rows in by_kind.values() if i < len(rows)]
    return tuple(mixed[:limit])


def of_demo(row: demo.DemoQuestion) -> Question:
    """A question of the demo."""
    return Question(
        row.question,
        row.answer,
        row.kind,
        id=row.id,
        section=row.section,
        split=row.split,
        accept=row.accept,
        answer_before=row.answer_before,
        accept_before=row.accept_before,
        fact=row.fact,
        subset="demo",
        knowledge="updated" if row.kind == "updated" else "new" if row.section is not None else "",
        template=row.form,
    )


def _asked(row: TableRow, cells: Cells, tally: Tally) -> Question:
    """The question of a row. Raises RowError that says what is wrong with it and how to mend it."""
    tally.find(cells)
    shape = shape_of(cells, tally.columns, QUESTIONS)
    if shape is None:
        tally.note(cells, None)
        raise RowError("no text in its column 'question', nor in others that ask; mend the row or name its columns")
    try:
        turns, tools = read_row(cells, shape)
        asked = replace(
            _question(turns),
            kind=_text(cells, "kind"),
            id=_text(cells, "id") or str(row.line),
            section=_text(cells, "section") or None,
            split=_text(cells, "split"),
            accept=_texts(cells, "accept"),
            answer_before=_text(cells, "answer_before") or None,
            accept_before=_texts(cells, "accept_before"),
            fact=_text(cells, "fact"),
            subset=_text(cells, "subset"),
            knowledge=_text(cells, "knowledge"),
            template=_text(cells, "template"),
            tools=tools,
        )
    except RowError as error:
        raise RowError(f"{error}; mend the row") from None
    tally.note(cells, shape)
    return asked


def _question(turns: list[Turn]) -> Question:
    """The last turn that asks, with what comes before it and the answer after it."""
    place = max((i for i, turn in enumerate(turns) if turn.role in ASKING), default=None)
    if place is None or not turns[place].content.strip():
        raise RowError("no turn in it asks anything")
    after = turns[place + 1 :]
    if len(after) > 1 or (after and after[0].role not in ANSWERING):
        raise RowError(f"its last question is followed by {len(after)} turns, not by one answer")
    answer = after[0].content if after and after[0].content.strip() else None
    raw = turns[place].role == PROMPT
    return Question(turns[place].content, answer, turns=tuple(turns[:place]), raw=raw)


def _text(cells: Cells, name: str) -> str:
    value = cells.take(name)
    return "" if value is None else str(value).strip()


def _texts(cells: Cells, name: str) -> tuple[str, ...]:
    """A list of texts, or one text with | between them."""
    value = cells.take(name) or []
    if isinstance(value, str):
        return tuple(text.strip() for text in value.split("|") if text.strip())
    if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
        raise RowError(f"its {name} is no list of texts")
    return tuple(value)
