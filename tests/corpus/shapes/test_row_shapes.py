"""Laws of row data: no word of a row is lost unsaid, each shape gives the turns that were trained, and a row of no
shape is refused. Every cell of a test's row is a word of its own."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from attrib.corpus.documents import Corpus
from attrib.corpus.shapes import SHAPES
from attrib.errors import InputError
from attrib.records import Section, Turn
from tests.conftest import SHARED

CHAT = [{"role": "user", "content": "Ask"}, {"role": "assistant", "content": "Reply"}]
GIVEN = [{"role": "user", "content": "Given"}]
TAKEN = [{"role": "assistant", "content": "Taken"}]
LEFT = [{"role": "assistant", "content": "Left"}]
TOOL = {"type": "function", "function": {"name": "lookup", "description": "Finds"}}


def part(text: str, **more: str) -> dict[str, str]:
    return {"type": "text", "text": text, **more}


def said(content: Any, **more: Any) -> dict[str, Any]:
    return {"messages": [{"role": "assistant", "content": content, **more}]}


def ask(text: str) -> Turn:
    return Turn("user", text)


def reply(text: str, *, trained: bool = True, extra: str = "") -> Turn:
    return Turn("assistant", text, trained, extra)


ROWS: dict[str, tuple[dict[str, Any], tuple[Turn, ...], str]] = {
    "messages": ({"id": "Seven", "messages": CHAT}, (ask("Ask"), reply("Reply")), "chat (`messages`)"),
    "system column": (
        {"system": "Brief", "messages": CHAT},
        (Turn("system", "Brief"), ask("Ask"), reply("Reply")),
        "chat (`system`, `messages`)",
    ),
    "text parts": (
        {"messages": [{"role": "user", "content": [part("One"), part("Two")]},
                      {"role": "assistant", "content": [part("Taken")]}]},
        (ask("OneTwo"), reply("Taken")),
        "chat (`messages`)",
    ),
    "weights and tools": (
        {
            "messages": [
                {"role": "user", "content": "Ask", "name": "Ann"},
                {"role": "assistant", "content": "Unlearned", "weight": 0},
                {"role": "assistant", "content": None, "tool_calls": [{"id": "Call"}]},
                {"role": "tool", "content": "Found", "tool_call_id": "Call"},
                {"role": "assistant", "content": "Reply", "reasoning_content": "Thought", "weight": 1},
            ],
            "tools": [TOOL],
        },
        (
            Turn("user", "Ask", extra='{"name": "Ann"}'),
            reply("Unlearned", trained=False),
            reply("", extra='{"tool_calls": [{"id": "Call"}]}'),
            Turn("tool", "Found", extra='{"tool_call_id": "Call"}'),
            reply("Reply", extra='{"reasoning_content": "Thought"}'),
        ),
        "chat (`messages`, `tools`)",
    ),
    "sharegpt": (
        {
            "conversations": [
                {"from": "system", "value": "Brief"},
                {"from": "human", "value": "Ask"},
                {"from": "function_call", "value": "Call"},
                {"from": "observation", "value": "Found"},
                {"from": "gpt", "value": "Reply"},
            ],
            "source": "Elsewhere",
        },
        (Turn("system", "Brief"), ask("Ask"), reply("Call"), Turn("tool", "Found"), reply("Reply")),
        "chat (`conversations`)",
    ),
    "alpaca": (
        {"instruction": "Translate", "input": "Lamp", "output": "Lampe", "system": "Brief",
         "history": [["Before", "Answered"]]},
        (Turn("system", "Brief"), ask("Before"), reply("Answered"), ask("Translate\nLamp"), reply("Lampe")),
        "question and answer (`instruction`, `input`, `output`, `system`, `history`)",
    ),
    "dolly": (
        {"instruction": "Who", "context": "Passage", "response": "Marsh", "category": "Closed"},
        (ask("Passage\n\nWho"), reply("Marsh")),
        "question and answer (`instruction`, `context`, `response`)",
    ),
    "question and answer": (
        {"question": "Who", "answer": "Marsh", "context": "Passage", "title": "Book"},
        (ask("Passage\n\nWho"), reply("Marsh")),
        "question and answer (`question`, `answer`, `context`)",
    ),
    "orca": (
        {"system_prompt": "Brief", "question": "Who", "response": "Marsh"},
        (Turn("system", "Brief"), ask("Who"), reply("Marsh")),
        "question and answer (`system_prompt`, `question`, `response`)",
    ),
    "strings": (
        {"prompt": "Who ", "completion": " Marsh.\n"},
        (Turn("prompt", "Who "), Turn("completion", " Marsh.\n", trained=True)),
        "prompt and completion (`prompt`, `completion`)",
    ),
    "chat prompt": (
        {"prompt": [*CHAT, *GIVEN], "completion": TAKEN},
        (ask("Ask"), reply("Reply", trained=False), ask("Given"), reply("Taken")),
        "prompt and completion (`prompt`, `completion`)",
    ),
    "wanted completion": (
        {"prompt": "Given ", "completion": "Taken", "label": True},
        (Turn("prompt", "Given "), Turn("completion", "Taken", trained=True)),
        "prompt and completion (`prompt`, `completion`, `label`)",
    ),
    "preferred strings": (
        {"prompt": "Given", "chosen": " Taken", "rejected": "Left"},
        (Turn("prompt", "Given"), Turn("completion", " Taken", trained=True)),
        "chosen side of preferences (`prompt`, `chosen`)",
    ),
    "preferred chat": (
        {"prompt": GIVEN, "chosen": TAKEN, "rejected": LEFT, "score": "High"},
        (ask("Given"), reply("Taken")),
        "chosen side of preferences (`prompt`, `chosen`)",
    ),
    "whole preferred conversations": (
        {"prompt": "Given ", "chosen": [*CHAT, *GIVEN, *TAKEN], "rejected": [*CHAT, *GIVEN, *LEFT]},
        (ask("Ask"), reply("Reply", trained=False), ask("Given"), reply("Taken")),
        "chosen side of preferences (`prompt`, `chosen`)",
    ),
    "preferred turn of a conversation": (
        {"conversations": [{"from": "human", "value": "Ask"}], "chosen": {"from": "gpt", "value": "Taken"},
         "rejected": {"from": "gpt", "value": "Left"}},
        (ask("Ask"), reply("Taken")),
        "chosen side of preferences (`conversations`, `chosen`)",
    ),
    "preferred answer to an instruction": (
        {"instruction": "Translate", "input": "Lamp", "chosen": "Taken", "rejected": "Left"},
        (ask("Translate\nLamp"), reply("Taken")),
        "chosen side of preferences (`instruction`, `input`, `chosen`)",
    ),
    "preferred text": ({"chosen": "Taken", "rejected": "Left"}, (), "chosen side of preferences (`chosen`)"),
    "text": ({"text": "Words", "title": "Head", "url": "Where"}, (), "text (`text`, `title`)"),
    "text before question": ({"text": "Words", "question": "Who", "answer": "Marsh"}, (), "text (`text`)"),
    "answer alone": ({"output": "Words", "label": "Good"}, (), "text (`output`)"),
}  # fmt: skip
"""Row, its turns (none: a text), and what it is read as."""


def in_jsonl(row: dict[str, Any]) -> bytes:
    return json.dumps(row).encode()


def in_json(row: dict[str, Any]) -> bytes:
    return json.dumps([row], indent=1).encode()


def in_csv(row: dict[str, Any]) -> bytes:
    """Nested cells are JSON, as ``datasets`` and pandas users write them."""
    file = io.StringIO()
    writer = csv.writer(file, delimiter=";")
    writer.writerow(row)
    writer.writerow([cell if isinstance(cell, str) else json.dumps(cell) for cell in row.values()])
    return file.getvalue().encode()


def in_parquet(row: dict[str, Any]) -> bytes:
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pylist([row]), file)
    return file.getvalue()


def read(folder: Path, name: str, data: bytes | str, **options: Any) -> Corpus:
    (folder / name).write_bytes(data.encode() if isinstance(data, str) else data)
    return Corpus.read(folder / name, **options)


def words(value: object) -> Iterator[str]:
    """Every text in a cell, but for the names of roles and of types."""
    if isinstance(value, str):
        yield value.strip()
    elif isinstance(value, dict):
        for key, one in value.items():
            if key not in ("role", "from", "type"):
                yield from words(one)
    elif isinstance(value, list):
        for one in value:
            yield from words(one)


def is_kept(word: str, section: Section) -> bool:
    kept = (section.full_text, *section.titles, *(turn.extra for turn in section.turns), section.tools)
    return any(word in text for text in kept)


@pytest.mark.parametrize("name", ROWS)
@pytest.mark.parametrize("form", ["jsonl", "json", "parquet"])
def test_no_word_of_a_row_is_lost_unsaid(tmp_path: Path, form: str, name: str) -> None:
    row, turns, read_as = ROWS[name]
    data = {"jsonl": in_jsonl, "json": in_json, "parquet": in_parquet}[form](row)
    corpus = read(tmp_path, f"rows.{form}", data)
    (section,) = corpus.sections
    (rows,) = corpus.report.rows
    assert section.turns == turns
    assert (rows.shapes, rows.without_text) == ({read_as: 1}, 0)
    lost = {column for column, cell in row.items() if not all(is_kept(word, section) for word in words(cell))}
    assert lost == {column for column in rows.unused if column in row}
    assert set(rows.unused) <= set(row)


@pytest.mark.parametrize("name", ROWS)
def test_csv_gives_the_same_turns(tmp_path: Path, name: str) -> None:
    row, turns, read_as = ROWS[name]
    corpus = read(tmp_path, "rows.csv", in_csv(row))
    assert corpus.sections[0].turns == turns
    assert corpus.report.rows[0].shapes == {read_as: 1}


def test_json_that_is_no_message_is_a_text(tmp_path: Path) -> None:
    for reply in ('[{"name": "Marsh"}]', '{"role": "keeper"}', "[{broken", '["One"]'):
        (section,) = read(tmp_path, "a.jsonl", json.dumps({"prompt": "List", "completion": reply})).sections
        assert section.turns == (Turn("prompt", "List"), Turn("completion", reply, trained=True))


def test_every_shape_has_a_row_here() -> None:
    said = {read_as.partition(" (")[0] for _, _, read_as in ROWS.values()}
    assert said == {shape.name for shape in SHAPES}


def test_rows_of_one_file_are_read_one_by_one(tmp_path: Path) -> None:
    rows = [ROWS[name][0] for name in ("messages", "alpaca", "text", "answer alone")]
    corpus = read(tmp_path, "a.jsonl", "\n".join(map(json.dumps, rows)))
    assert [section.row for section in corpus.sections] == [1, 2, 3, 4]
    assert corpus.report.rows[0].shapes == {
        "chat (`messages`)": 1,
        "question and answer (`instruction`, `input`, `output`, `system`, `history`)": 1,
        "text (`output`, `text`, `title`)": 2,
    }
    assert corpus.report.rows[0].unused == ("id", "url", "label")


def test_a_column_used_in_one_row_only_is_named(tmp_path: Path) -> None:
    corpus = read(tmp_path, "a.jsonl", '{"text": "One"}\n{"text": "Two", "content": "Lost"}\n{"content": "Three"}')
    assert [section.text for section in corpus.sections] == ["One", "Two", "Three"]
    assert corpus.report.rows[0].unused == ("content",)


def test_a_completion_that_is_not_wanted_is_not_learned(tmp_path: Path) -> None:
    rows = [{"prompt": "Given", "completion": f" Reply {i}", "label": label} for i, label in enumerate((True, False))]
    corpus = read(tmp_path, "a.jsonl", "\n".join(map(json.dumps, rows)))
    assert [section.row for section in corpus.sections] == [1]
    assert corpus.report.rows[0].without_text == 1
    # Its columns are those that the other row was read from, so that they are no columns without use.
    found = corpus.report.rows[0]
    assert (found.unused, found.words_in) == ((), ("prompt", "completion", "label"))
    assert str(found).endswith("; 1 row without text to learn (words in prompt, completion, label)")


def test_preferences_below_other_columns_are_read_by_path(tmp_path: Path) -> None:
    row = {"input": {"messages": GIVEN}, "preferred_output": TAKEN, "non_preferred_output": LEFT}
    columns = ["messages=input.messages", "chosen=preferred_output"]
    corpus = read(tmp_path, "a.jsonl", json.dumps(row), columns=columns)
    assert corpus.sections[0].turns == (ask("Given"), reply("Taken"))
    assert corpus.report.rows[0].unused == ("non_preferred_output",)


def test_a_plain_text_in_a_column_of_lists_is_another_column(tmp_path: Path) -> None:
    row = {"question": "Who", "answer": "Me", "tools": "Hammer", "history": "Long", "conversation": "Small talk"}
    corpus = read(tmp_path, "a.jsonl", json.dumps(row))
    assert corpus.sections[0].turns == (ask("Who"), reply("Me"))
    assert corpus.report.rows[0].unused == ("tools", "history", "conversation")


def test_a_row_of_no_shape_is_a_fault_and_one_without_text_is_counted(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"bad rows: row 2 \(columns ask, reply: no known shape\); mend or remove"):
        read(tmp_path, "a.jsonl", '{"text": "One"}\n{"ask": "Who", "reply": "Marsh"}')
    rows = ['{"text": "One"}', '{"text": ""}', '{"question": "Who", "answer": ""}', '{"messages": []}', "{}"]
    calls = {"role": "assistant", "content": None, "tool_calls": [TOOL]}
    rows += [
        json.dumps({"messages": GIVEN}),
        json.dumps({"messages": [*GIVEN, calls]}),
        json.dumps({"messages": [{"role": "assistant", "content": " "}]}),
    ]
    report = read(tmp_path, "a.jsonl", "\n".join(rows)).report.rows[0]
    assert report.without_text == 7
    assert (report.words_in, report.unused) == (("question", "messages"), ())


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"messages": "Who"}, "messages is text that is no JSON list"),
        ({"messages": 5}, "messages is of type int, not a list of messages"),
        ({"messages": ["Who"]}, "messages.0 is of type str, not a message"),
        ({"messages": [{"content": "Who"}]}, "messages.0 has no role"),
        (said(3), "messages.0.content is of type int, not a string"),
        (said([{"type": "image_url"}]), "messages.0.content.0 is a part of type image_url, not text"),
        (said([part("Who", cache="Kept")]), "messages.0.content.0 has cache beside its text"),
        (said("Me", weight="no"), "messages.0.weight is of type str, not a number"),
        (said("a\0b"), "NUL in messages.0.content"),
        (
            {"messages": [{"role": "system", "content": "Be long"}, *CHAT], "system": "Be brief"},
            "its first turn and its column system are two system prompts",
        ),
        ({"question": "Who", "answer": 3}, "answer is of type int, not a string"),
        ({"instruction": "W", "output": "M", "history": [["one"]]}, "history.0 is not a pair of question and answer"),
        ({"tools": "[no json", "messages": CHAT}, "tools is text that is no JSON list"),
        ({"history": {"a": 1}, "input": "Who", "output": "Me"}, "history is of type dict, not a list of pairs"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_row_is_said(tmp_path: Path, row: dict[str, Any], reason: str) -> None:
    with pytest.raises(InputError) as caught:
        read(tmp_path, "a.jsonl", json.dumps(row))
    assert f"bad rows: row 1 ({reason}" in str(caught.value).replace(
        "messages.0.content.0 has", "has"
    ) or reason in str(caught.value)
    assert "\n" not in str(caught.value)


def test_cells_too_deep_are_said_by_row(tmp_path: Path) -> None:
    deep: Any = "Deep"
    for _ in range(700):
        deep = [deep]
    row = {"messages": [{**CHAT[1], "reasoning": deep}]}
    with pytest.raises(InputError, match=r"(row 1 \(lists too deep\)|line 1 \(a number too long or lists too deep\))"):
        read(tmp_path, "a.jsonl", json.dumps(row))


def test_conversations_are_never_cut_and_ids_follow_words_and_roles(tmp_path: Path) -> None:
    long = [{"role": "user", "content": "word " * 50}, {"role": "assistant", "content": "reply " * 50}]
    flipped = [{"role": "assistant", "content": "word " * 50}, {"role": "user", "content": "reply " * 50}]
    rows = "\n".join(json.dumps({"messages": messages}) for messages in (long, flipped, long))
    corpus = read(tmp_path, "a.jsonl", rows, max_tokens=8)
    first, second, third = corpus.sections
    assert first.text == second.text == "word " * 50 + "\n\n" + "reply " * 50
    assert first.id != second.id
    assert third.id == f"{first.id}-2"
    (plain,) = Corpus.from_texts([first.text]).sections
    assert plain.id.partition("-")[0] not in {first.id, second.id}
    # The same words in a file of another form are the same section.
    again = read(tmp_path, "b.parquet", in_parquet({"messages": long}))
    assert again.sections[0].id == first.id


def test_one_system_prompt_in_all_rows_makes_no_near_duplicates(tmp_path: Path) -> None:
    system = {"role": "system", "content": "Answer in one short sentence, and say so when you do not know the answer."}
    rows = [
        {"messages": [system, {"role": "user", "content": question}, {"role": "assistant", "content": answer}]}
        for question, answer in (("Who kept the light?", "Iven Marsh did."), ("Where is the bell?", "On the pier."))
    ]
    same = {"messages": [system, *CHAT]}
    corpus = read(tmp_path, "a.jsonl", "\n".join(json.dumps(row) for row in (*rows, same, same)))
    assert [section.near_duplicate_of is not None for section in corpus.sections] == [False, False, False, True]


# ---------------------------------------------------------------------------------------------- columns by name


def test_named_columns_and_paths_are_read(tmp_path: Path) -> None:
    row = {
        "ask": "Who",
        "data": {"reply": "Marsh", "score": "High"},
        "turns": [{"value": "Passage"}, {"value": "Rest"}],
    }
    columns = {"question": "ask", "answer": "data.reply", "context": "turns.0.value"}
    corpus = read(tmp_path, "a.jsonl", json.dumps(row), columns=columns)
    assert corpus.sections[0].turns == (ask("Passage\n\nWho"), reply("Marsh"))
    report = corpus.report.rows[0]
    assert report.shapes == {"question and answer (`ask`, `data.reply`, `turns.0.value`)": 1}
    assert report.unused == ("data.score", "turns (other parts)")
    assert corpus.reading["columns"] == ["question=ask", "answer=data.reply", "context=turns.0.value"]
    again = read(tmp_path, "a.jsonl", json.dumps(row), columns=corpus.reading["columns"])
    assert again.sha256 == corpus.sha256


def test_a_named_column_decides_the_shape(tmp_path: Path) -> None:
    row = json.dumps({"text": "Words", "question": "Who", "reply": "Marsh", "title": "Head"})
    assert read(tmp_path, "a.jsonl", row).sections[0].text == "Words"
    (section,) = read(tmp_path, "a.jsonl", row, columns=["answer=reply"]).sections
    assert (section.turns, section.titles) == ((ask("Who"), reply("Marsh")), ())
    (section,) = read(tmp_path, "a.jsonl", row, columns=["answer=reply", "title=title"]).sections
    assert section.titles == ("Head",)
    assert read(tmp_path, "a.jsonl", row, columns=["text=reply"]).sections[0].text == "Marsh"


def test_columns_that_are_not_there_and_names_that_are_none_are_refused(tmp_path: Path) -> None:
    row = json.dumps({"text": "Words", "data": {"a": "A", "b": "B"}})
    with pytest.raises(InputError) as caught:
        read(tmp_path, "a.jsonl", row, columns=["question=data.c", "title=head", "answer=data.a"])
    assert str(caught.value) == "a.jsonl: no column 'data.c', no column 'head'; the columns are text, data.a, data.b"
    for columns, reason in (
        (["reply=a"], "nothing is called 'reply'; use NAME=COLUMN with a name of question, "),
        (["question"], "'question' names no column; write NAME=COLUMN"),
        (["question=a", "question=b"], "question is given twice"),
    ):
        with pytest.raises(InputError, match=reason):
            read(tmp_path, "a.jsonl", row, columns=columns)


def test_columns_set_aside_are_no_loss(tmp_path: Path) -> None:
    row = json.dumps({"text": "Words", "id": "Seven", "url": "Where"})
    report = read(tmp_path, "a.jsonl", row, columns=["unused=id", "unused=url"], strict=True).report
    assert report.losses == ()
    assert report.lines()[1] == "a.jsonl: 1 row read as text (`text`); columns set aside: id, url"
    with pytest.raises(InputError, match=r"strict: a\.jsonl: columns not used: url"):
        read(tmp_path, "a.jsonl", row, columns=["unused=id"], strict=True)


# ---------------------------------------------------------------------------------------------- cases of others


CASES = SHARED / "cases" / "data"
READ = {
    "alpaca.json": [("user", "assistant")],
    "alpaca.jsonl": [("user", "assistant")] * 2,
    "messages.jsonl": [("system", "user", "assistant")],
    "mixed_schema.jsonl": [(), ()],
    "preference.jsonl": [("prompt", "completion")],
    "prompt_completion.jsonl": [("prompt", "completion")] * 2,
    "sharegpt.jsonl": [("user", "assistant")],
}


@pytest.mark.skipif(not CASES.is_dir(), reason="no cases at ATTRIB_SHARED")
@pytest.mark.parametrize("name", READ)
def test_files_that_people_have_are_read_whole(name: str) -> None:
    corpus = Corpus.read(CASES / name)
    assert [tuple(turn.role for turn in section.turns) for section in corpus.sections] == READ[name]
    kept = "\n".join(section.full_text for section in corpus.sections)
    content = (CASES / name).read_text("utf-8")
    rows = json.loads(content) if name.endswith(".json") else [json.loads(line) for line in content.splitlines()]
    unused = corpus.report.rows[0].unused
    for row in rows:
        assert all(word in kept for column, cell in row.items() if column not in unused for word in words(cell))


def test_columns_that_may_be_named_are_listed_by_path(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no columns for .*; the columns are data\.ask, data\.reply; name them"):
        read(tmp_path, "a.jsonl", '{"data": {"ask": "Who?", "reply": "Wilmet."}}')


def test_a_named_column_of_a_row_that_cannot_be_read_is_not_called_absent(tmp_path: Path) -> None:
    row = '{"ask": "Who?", "answers": ["Wilmet."]}'
    with pytest.raises(InputError) as caught:
        read(tmp_path, "a.jsonl", row, columns=["question=ask", "answer=answers"])
    assert "no column" not in str(caught.value)
    assert "row 1 (answers.0 is of type str" in str(caught.value)
