"""Questions from files: what is read, and what is refused in one line."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from attrib.assess.questions import Question, demo_questions, read_questions
from attrib.errors import InputError


def test_jsonl_and_csv_say_the_same(tmp_path: Path) -> None:
    (tmp_path / "q.jsonl").write_text(
        '{"question": "Who?", "answer": "Ann, the \\"first\\"", "kind": "trained"}\n\n{"question": "Why?"}\n', "utf-8"
    )
    (tmp_path / "q.csv").write_text('\ufeffquestion,answer,kind\nWho?,"Ann, the ""first""",trained\nWhy?,,\n', "utf-8")
    want = (Question("Who?", 'Ann, the "first"', "trained"), Question("Why?"))
    # Without an id of its own a row is called by its line.
    for name, lines in (("q.jsonl", ("1", "3")), ("q.csv", ("2", "3"))):
        named = tuple(replace(asked, id=line) for asked, line in zip(want, lines, strict=True))
        assert read_questions(tmp_path / name) == named


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("q.jsonl", "", "the file is empty"),
        ("q.jsonl", "\n", "no questions"),
        ("q.jsonl", '{"question": "Who?"}\n{broken', "line 2: not JSON"),
        ("q.jsonl", '["Who?"]', "line 1: not a JSON object"),
        ("q.jsonl", '{"answer": "Ann"}', "line 1: no text in its column 'question'"),
        ("q.jsonl", '{"question": "Who?", "answer": 3}', "line 1: answer is of type int, not a string"),
        ("q.csv", "ask\nWho?\n", "line 2: no text in its column 'question'"),
        ("q.txt", "Who?", "rows are read from .jsonl .json .csv .tsv .parquet .arrow, each packed as .gz too"),
    ],
)
def test_bad_files_are_refused_in_one_line(tmp_path: Path, name: str, content: str, message: str) -> None:
    (tmp_path / name).write_text(content, "utf-8")
    with pytest.raises(InputError) as caught:
        read_questions(tmp_path / name)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        read_questions(tmp_path / "none.jsonl")


def test_a_few_questions_of_the_demo_are_of_every_kind() -> None:
    few = demo_questions(5)
    assert {asked.kind for asked in few} == {"trained", "rephrased", "held-out", "foundation", "updated"}
    assert all(asked.answer for asked in few)
    assert len(demo_questions()) > 100


def test_a_long_cell_is_no_fault(tmp_path: Path) -> None:
    import csv

    limit = csv.field_size_limit()
    file = tmp_path / "long.csv"
    file.write_text(f"question,answer\nWho?,{'a' * 200_000}\n", "utf-8")
    assert len(read_questions(file)[0].answer or "") == 200_000
    assert csv.field_size_limit() == limit


def test_the_stored_outcomes_of_retraining_are_written_as_they_were_read() -> None:
    from attrib.assess.influence.records import InfluenceReport
    from attrib.assess.stored import read_report, report_bytes

    file = Path(__file__).parents[2] / "figures" / "influence.json"
    assert report_bytes(read_report(InfluenceReport, file)) == file.read_bytes()
