"""The questions that ship as controls: general knowledge, and one question on each control text."""

from __future__ import annotations

import json
from typing import Any

from attrib.corpus import demo
from attrib.text.words import keys
from attrib.training.rehearsal import general

DATA = demo.CONTROL.parent
FIELDS = {"foundation": {"id", "question", "answer", "accept"}, "control": {"id", "question", "answer", "heading"}}

Row = dict[str, Any]


def rows_of(name: str) -> list[Row]:
    return [json.loads(line) for line in (DATA / f"{name}.jsonl").read_text("utf-8").splitlines()]


def test_every_row_has_an_id_of_its_own_and_all_fields() -> None:
    for name, count in {"foundation": 80, "control": 40}.items():
        rows = rows_of(name)
        assert len(rows) == count
        assert len({row["id"] for row in rows}) == count
        assert len({tuple(keys(row["question"])) for row in rows}) == count
        for row in rows:
            assert set(row) == FIELDS[name], row["id"]
            assert all(row.values()), row["id"]


def test_no_question_is_one_of_the_demo() -> None:
    demos = {tuple(keys(text)) for text in (*(q.question for q in demo.questions()), *general())}
    for row in rows_of("foundation") + rows_of("control"):
        assert tuple(keys(row["question"])) not in demos, row["id"]


def test_answers_of_general_questions_are_short_and_not_in_the_question() -> None:
    for row in rows_of("foundation"):
        assert len(keys(row["answer"])) <= 3, row["id"]
        assert not set(keys(row["answer"])) <= set(keys(row["question"])), row["id"]


def test_each_control_text_has_one_question_whose_answer_stands_in_it() -> None:
    texts = {section.titles[-1]: section.text for section in demo.control().sections}
    rows = rows_of("control")
    assert [row["heading"] for row in rows] == list(texts)
    for row in rows:
        others = [text for heading, text in texts.items() if heading != row["heading"]]
        assert row["answer"] in texts[row["heading"]], row["id"]
        assert not any(row["answer"] in text for text in others), row["id"]
        assert len(keys(row["answer"])) <= 5, row["id"]
