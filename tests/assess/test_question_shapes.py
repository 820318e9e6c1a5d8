"""Questions of every shape of row data: the last turn that asks, its answer, and what comes before."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from attrib.assess.questions import Question, read_question_rows, read_questions
from attrib.corpus.documents import Corpus
from attrib.errors import InputError
from attrib.records import Turn

CHAT = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Who?"},
    {"role": "assistant", "content": "Ann."},
    {"role": "user", "content": "And then?"},
    {"role": "assistant", "content": "Bob."},
]
EARLIER = (Turn("system", "Be brief."), Turn("user", "Who?"), Turn("assistant", "Ann.", trained=True))
SHAREGPT = [{"from": "human", "value": "Who?"}, {"from": "gpt", "value": "Ann."}]


def in_one_row(folder: Path, row: dict[str, Any], **options: Any) -> Question:
    (folder / "q.jsonl").write_text(json.dumps(row), "utf-8")
    (asked,) = read_questions(folder / "q.jsonl", **options)
    return replace(asked, id="")


@pytest.mark.parametrize(
    ("row", "question"),
    [
        ({"messages": CHAT}, Question("And then?", "Bob.", turns=EARLIER)),
        ({"messages": CHAT[:4]}, Question("And then?", turns=EARLIER)),
        ({"messages": CHAT[1:3], "tools": [{"name": "f"}]}, Question("Who?", "Ann.", tools='[{"name": "f"}]')),
        ({"conversations": SHAREGPT}, Question("Who?", "Ann.")),
        ({"instruction": "Translate.", "input": "lamp", "output": "Lampe"}, Question("Translate.\nlamp", "Lampe")),
        ({"question": "Who?", "context": "Ann kept it.", "answer": "Ann"}, Question("Ann kept it.\n\nWho?", "Ann")),
        ({"prompt": "Who? ", "completion": " Ann"}, Question("Who? ", " Ann", raw=True)),
        ({"prompt": "Who?"}, Question("Who?")),
        ({"prompt": CHAT[:2], "completion": CHAT[2:3]}, Question("Who?", "Ann.", turns=EARLIER[:1])),
        ({"prompt": "Who?", "chosen": "Ann", "rejected": "Bob"}, Question("Who?", "Ann", raw=True)),
        ({"text": "Not asked.", "question": "Who?", "accept": ["A", "B"]}, Question("Who?", accept=("A", "B"))),
    ],
)
def test_every_shape_gives_its_question(tmp_path: Path, row: dict[str, Any], question: Question) -> None:
    assert in_one_row(tmp_path, row) == question


def test_the_item_of_a_question_is_the_row_that_taught_it(tmp_path: Path) -> None:
    for row in (
        {"messages": CHAT},
        {"prompt": "Who? ", "completion": " Ann"},
        {"instruction": "Go.", "output": "Went"},
    ):
        asked = in_one_row(tmp_path, row)
        (section,) = Corpus.read(tmp_path / "q.jsonl").sections
        assert asked.item("i").turns == section.turns
    with pytest.raises(InputError, match="has no answer to learn"):
        in_one_row(tmp_path, {"question": "Who?"}).item("i")


def test_questions_come_in_every_row_format_and_are_counted(tmp_path: Path) -> None:
    row = {"ask": "Who?", "data": {"reply": "Ann"}, "source": "Book"}
    columns = {"question": "ask", "answer": "data.reply"}
    (tmp_path / "q.json").write_text(json.dumps({"version": 1, "rows": [row]}))
    (tmp_path / "q.jsonl.gz").write_bytes(gzip.compress(json.dumps(row).encode()))
    for name, unused in (("q.json", ("source", "version (beside rows)")), ("q.jsonl.gz", ("source",))):
        (asked,), read = read_question_rows(tmp_path / name, columns=columns)
        assert asked == Question("Who?", "Ann", id="1")
        assert read.shapes == {"question and answer (`ask`, `data.reply`)": 1}
        assert read.unused == unused
    (tmp_path / "q.tsv").write_text("question\tanswer\nWho, where?\tAnn\n")
    assert read_questions(tmp_path / "q.tsv") == (Question("Who, where?", "Ann", id="2"),)
    with pytest.raises(InputError, match=r"q\.json: no column 'nope'; the columns are ask, data, source"):
        read_questions(tmp_path / "q.json", columns={"question": "nope"})


def test_an_answer_of_several_turns_is_refused_by_line(tmp_path: Path) -> None:
    tool = [*CHAT, {"role": "tool", "content": "Found."}, {"role": "assistant", "content": "Cid."}]
    with pytest.raises(InputError, match="line 1: its last question is followed by 3 turns, not by one answer; mend"):
        in_one_row(tmp_path, {"messages": tool})
    with pytest.raises(InputError, match="line 1: no turn in it asks anything"):
        in_one_row(tmp_path, {"messages": CHAT[:1]})
