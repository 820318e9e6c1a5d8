"""``trained.jsonl``: what is written is read, recorded ids included, and lines of earlier versions still are."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from attrib.errors import RecordError
from attrib.models.chat import Chat
from attrib.models.rendering import IGNORED
from attrib.records import Item, Turn
from attrib.training.items import TrainingExample, example_of
from attrib.training.trained import read_trained, write_trained
from tests.conftest import tiny_tokenizer

TALK = (Turn("system", "Be short."), Turn("user", "Who?"), Turn("assistant", "Wilmet.", trained=True))
ITEMS = (
    Item.plain("a", "The light is \u201cred\u201d.", "a"),
    Item.answered("q:1", "Who?", "Wilmet", "a"),
    Item("c", TALK, '[{"name": "look"}]', "c"),
    Item("d", TALK, section="d", ids=(4, 5, 6), labels=(IGNORED, IGNORED, 6)),
)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    write_trained(tmp_path, ITEMS)
    assert read_trained(tmp_path) == ITEMS
    lines = [json.loads(line) for line in (tmp_path / "trained.jsonl").read_text("utf-8").splitlines()]
    assert ["ids" in line for line in lines] == [False, False, False, True]


def test_lines_of_earlier_versions_are_read(tmp_path: Path) -> None:
    lines = [
        {"id": "a", "text": ITEMS[0].turns[0].content, "question": None, "section": "a"},
        {"id": "q:1", "text": "Wilmet", "question": "Who?", "section": "a"},
    ]
    (tmp_path / "trained.jsonl").write_text("\n".join(map(json.dumps, lines)), "utf-8")
    assert read_trained(tmp_path) == ITEMS[:2]


def test_recorded_ids_are_what_was_learned() -> None:
    chat = Chat(tiny_tokenizer())
    assert example_of(chat, ITEMS[3]) == TrainingExample((4, 5, 6), (IGNORED, IGNORED, 6))
    # Without them the text decides.
    assert example_of(chat, ITEMS[0]).ids != ()


def test_ids_without_their_labels_are_refused() -> None:
    with pytest.raises(RecordError, match="item d: 2 ids, 1 labels"):
        Item("d", TALK, ids=(4, 5), labels=(4,))
