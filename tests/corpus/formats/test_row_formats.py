"""Row files: the same rows from every format, refusals with their mend, and no word lost for any mix of columns."""

from __future__ import annotations

import csv
import gzip
import io
import json
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from attrib.corpus.documents import Corpus
from attrib.corpus.shapes.cells import OF_ROWS
from attrib.errors import InputError

ROWS = [{"question": "Who kept it?", "answer": "Ann, alone"}, {"question": "Where; when?", "answer": "Here\nand | now"}]


def read(folder: Path, name: str, data: bytes | str, **options: Any) -> Corpus:
    (folder / name).write_bytes(data.encode() if isinstance(data, str) else data)
    return Corpus.read(folder / name, **options)


def refusal(folder: Path, name: str, data: bytes | str, **options: Any) -> str:
    with pytest.raises(InputError) as caught:
        read(folder, name, data, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def in_csv(rows: list[dict[str, str]], separator: str) -> str:
    file = io.StringIO()
    writer = csv.DictWriter(file, list(rows[0]), delimiter=separator)
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()


def in_parquet(rows: list[dict[str, Any]], **how: Any) -> bytes:
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), file, **how)
    return file.getvalue()


def test_every_format_gives_the_same_sections(tmp_path: Path) -> None:
    lines = "\n".join(map(json.dumps, ROWS))
    files: dict[str, bytes | str] = {
        "a.jsonl": lines,
        "a.json": json.dumps(ROWS, indent=2),
        "lines.json": lines,
        "inside.json": json.dumps({"data": ROWS}),
        "comma.csv": in_csv(ROWS, ","),
        "semicolon.csv": in_csv(ROWS, ";"),
        "tab.csv": in_csv(ROWS, "\t"),
        "bar.csv": in_csv(ROWS, "|"),
        "a.tsv": in_csv(ROWS, "\t"),
        "bom.csv": b"\xef\xbb\xbf" + in_csv(ROWS, ";").encode(),
        "a.parquet": in_parquet(ROWS),
        "groups.parquet": in_parquet(ROWS, row_group_size=1),
        "a.jsonl.gz": gzip.compress(lines.encode()),
        "a.csv.gz": gzip.compress(in_csv(ROWS, ";").encode()),
        "a.parquet.gz": gzip.compress(in_parquet(ROWS)),
    }
    first = read(tmp_path, "first.jsonl", lines)
    for name, data in files.items():
        corpus = read(tmp_path, name, data, strict=True)
        assert [s.turns for s in corpus.sections] == [s.turns for s in first.sections], name
        assert (corpus.sha256, [s.row for s in corpus.sections]) == (first.sha256, [1, 2]), name


def test_json_of_another_form_is_said_in_one_line(tmp_path: Path) -> None:
    first, second = map(json.dumps, ROWS)
    commas = f"{first},\n{second}"
    for data in (commas, f"{commas},"):
        assert refusal(tmp_path, "a.jsonl", data) == (
            "a.jsonl: its lines end with commas; remove them, since JSONL has one object a line and nothing between"
        )
    pretty = "\n".join(json.dumps(row, indent=2) for row in ROWS)
    assert "its objects stand on several lines each; write every object on one line" in refusal(
        tmp_path, "a.jsonl", pretty
    )
    for indent in (None, 2):
        assert "one JSON list, not one object a line; rename the file to .json" in refusal(
            tmp_path, "a.jsonl", json.dumps(ROWS, indent=indent)
        )
    assert refusal(tmp_path, "a.json", '[{"text": "One"},]').startswith("a.json: not JSON: ")
    assert "a number too long or lists too deep" in refusal(tmp_path, "a.json", "[" * 100_000)
    assert "JSON without rows" in refusal(tmp_path, "a.json", '["One", "Two"]')
    assert "JSON without rows" in refusal(tmp_path, "a.json", '{"text": ["One"], "title": ["Two"]}')
    several = json.dumps({"train": ROWS, "test": ROWS})
    assert "JSON with several lists of rows inside (train, test); keep one" in refusal(tmp_path, "a.json", several)
    assert "line 2 (not a JSON object)" in refusal(tmp_path, "a.json", json.dumps([ROWS[0], "One"]))


def test_two_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    assert "two columns are called 'text'; rename one" in refusal(tmp_path, "a.csv", "text,title,text\nOne,Head,Two\n")
    assert "line 1 (two values of 'text')" in refusal(tmp_path, "a.jsonl", '{"text": "One", "text": "Two"}')
    assert "two values of 'text' in one object" in refusal(tmp_path, "a.json", '[{"text": "One", "text": "Two"}]')
    report = read(tmp_path, "b.csv", ",text\nSeven,One\n").report
    assert report.rows[0].unused == ("column 1",)


def test_what_stands_beside_the_rows_of_json_is_named(tmp_path: Path) -> None:
    report = read(tmp_path, "a.json", json.dumps({"version": "Seven", "data": ROWS})).report
    assert report.rows[0].unused == ("version (beside data)",)


def test_json_without_rows_is_no_fault_of_its_folder(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("# One\n\nFirst.\n")
    (tmp_path / "package.json").write_text('{"name": "docs", "scripts": {}}')
    report = Corpus.read(tmp_path).report
    assert report.skipped == {".json without rows": 1}
    assert report.losses == ("not read: 1 file: .json without rows (1)",)
    (tmp_path / "broken.json").write_text('{"name": ')
    with pytest.raises(InputError, match=r"^broken\.json: not JSON: "):
        Corpus.read(tmp_path)


def test_the_separator_is_that_of_the_header(tmp_path: Path) -> None:
    # More cells than any other mark would make, but only one of them is known.
    (section,) = read(tmp_path, "a.csv", "text;title, of, it;url\nOne, two;Head;Where\n").sections
    assert section.text == "One, two"
    (section,) = read(tmp_path, "b.csv", '"text"\n"One; two, three"\n').sections
    assert section.text == "One; two, three"
    assert "may be split at commas or semicolons" in refusal(tmp_path, "c.csv", "ask,reply;mark\nOne,two;three\n")
    (section,) = read(tmp_path, "c.csv", "ask,reply;mark\nOne,two;three\n", columns=["text=ask"]).sections
    assert section.text == "One"
    assert "line 3 (3 cells below 2 columns)" in refusal(tmp_path, "d.csv", "text;title\nOne;Head\nOne;two;Head\n")


def test_parquet_decodes_only_what_a_shape_reads(tmp_path: Path) -> None:
    rows = [{"text": f"Row {i}", "data": {"text": f"Inner {i}", "id": i}, "vector": [0.5] * 3} for i in range(5)]
    file = in_parquet(rows, row_group_size=2)
    corpus = read(tmp_path, "a.parquet", file)
    assert [(s.text, s.row) for s in corpus.sections] == [(f"Row {i}", i + 1) for i in range(5)]
    assert corpus.report.rows[0].unused == ("data", "vector")
    inner = read(tmp_path, "a.parquet", file, columns=["text=data.text"])
    assert [s.text for s in inner.sections] == [f"Inner {i}" for i in range(5)]
    assert inner.report.rows[0].unused == ("text", "data.id", "vector")


@pytest.mark.parametrize("twice", ["text", "vector"])
def test_parquet_and_arrow_with_two_columns_of_one_name_are_refused(twice: str, tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    table = pa.table([["One"], ["Two"], ["Three"]], names=[twice, twice, "text" if twice != "text" else "title"])
    parquet, arrow = io.BytesIO(), io.BytesIO()
    pq.write_table(table, parquet)
    with pa.ipc.new_file(arrow, table.schema) as file:
        file.write_table(table)
    line = f"two columns are called '{twice}'; rename one"
    assert refusal(tmp_path, "a.parquet", parquet.getvalue()) == f"a.parquet: {line}"
    assert refusal(tmp_path, "a.arrow", arrow.getvalue()) == f"a.arrow: {line}"


CELLS = st.dictionaries(
    st.sampled_from((*OF_ROWS, "id", "source", "rejected")),
    st.sampled_from(["text", "messages", "message", "sharegpt", "blank"]),
    min_size=1,
    max_size=6,
)


def filled_in(kinds: dict[str, str]) -> dict[str, Any]:
    """A row whose every cell is of its kind and has a word of its own."""
    row: dict[str, Any] = {}
    ask, answer = {"role": "user"}, {"role": "assistant"}
    for name, kind in kinds.items():
        word = f"w{name.replace('_', '')}w"
        row[name] = {
            "text": word,
            "messages": [{**ask, "content": f"{word}q"}, {**answer, "content": f"{word}a", "name": f"{word}n"}],
            "message": {**answer, "content": word},
            "sharegpt": [{"from": "human", "value": f"{word}q"}, {"from": "gpt", "value": f"{word}a"}],
            "blank": " ",
        }[kind]  # fmt: skip
    return row


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kinds=CELLS)
def test_any_mix_of_columns_is_read_named_or_refused(tmp_path: Path, kinds: dict[str, str]) -> None:
    row = filled_in(kinds)
    try:
        corpus = read(tmp_path, "a.jsonl", json.dumps(row))
    except InputError as error:
        # No known shape, a cell of the wrong kind, or nothing to learn: said by row, or for the file.
        refused = ("a.jsonl: bad rows: row 1 (", "a.jsonl: no columns for", "a.jsonl: no text to learn")
        if not str(error).startswith(refused):
            raise
        return
    (section,) = corpus.sections
    kept = "\n".join((section.full_text, section.tools, *(turn.extra for turn in section.turns)))
    for name, cell in row.items():
        word = f"w{name.replace('_', '')}w"
        whole = json.dumps(cell)
        words = [word + end for end in ("q", "a", "n", "") if f'{word}{end}"' in whole]
        assert name in corpus.report.rows[0].unused or all(one in kept for one in words), name
    assert any(turn.trained for turn in section.turns) or not section.turns


def test_thousands_of_rows_with_one_prompt_take_seconds(tmp_path: Path) -> None:
    """Linear in the rows: a common passage must not make every pair of rows a comparison."""
    passage = " ".join(f"word{i}" for i in range(60))
    rows = ({"question": f"{passage} {i}?", "answer": " ".join(f"a{i}x{j}" for j in range(40))} for i in range(5000))
    data = "\n".join(map(json.dumps, rows))
    started = time.process_time()
    report = read(tmp_path, "a.jsonl", data).report
    assert (report.sections, report.near_duplicates) == (5000, 0)
    assert time.process_time() - started < 20
