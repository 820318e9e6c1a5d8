"""Rows as JSON, CSV and Parquet: what they hold comes back, what they cannot hold is null."""

from __future__ import annotations

import csv
import io
import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attrib.errors import InputError
from attrib.render.tables import csv_bytes, flat, interval, jsonl_bytes, parquet_bytes, plain, write_files

ROWS: list[dict[str, Any]] = [
    {"name": 'a "b", c\nd', "n": 1, "x": 0.1, "ok": True, "ids": ["a", "b"]},
    {"name": "水 \ud83d\x00", "n": None, "x": math.nan, "ok": None, "ids": []},
    {"name": None, "x": -math.inf, "other": 3},
]
TYPES = {"name": "string", "n": "int64", "x": "float64", "ok": "bool_", "ids": "list<string>"}

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text(), inner),
    max_leaves=12,
)


@given(st.lists(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), values), max_size=4))
def test_lines_are_one_object_each(rows: list[dict[str, Any]]) -> None:
    lines = jsonl_bytes(rows).decode().split("\n")
    assert lines[-1] == ""
    assert [json.loads(line) for line in lines[:-1]] == [json.loads(json.dumps(plain(row))) for row in rows]


def test_plain_keeps_numbers_and_booleans_and_makes_the_rest_fit() -> None:
    assert plain({1: (True, 2, 0.1, math.inf, "a\ud800b")}) == {"1": [True, 2, 0.1, None, "a?b"]}
    assert plain(0.1) == 0.1
    assert plain(plain({"a": (math.nan,)})) == plain({"a": (math.nan,)})
    with pytest.raises(TypeError):
        jsonl_bytes([{"a": object()}])


def test_csv_has_the_columns_asked_for_and_blanks() -> None:
    made = csv_bytes(ROWS, ["x", "name", "n"]).decode()
    assert made.startswith("x,name,n\n")
    assert "\r" not in made
    assert "nan" not in made
    rows = list(csv.DictReader(io.StringIO(made, newline="")))
    assert rows[0] == {"x": "0.1", "name": 'a "b", c\nd', "n": "1"}
    assert rows[1] == {"x": "", "name": "水 ?\x00", "n": ""}
    assert rows[2] == {"x": "", "name": "", "n": ""}
    assert csv_bytes([], ["a", "b"]) == b"a,b\n"


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_row_of_csv_stays_one_whatever_its_text(end: str) -> None:
    odd = [{"a": "x\ry", "b": 1.5}, {"a": "x\ny\r\nz", "b": -2.0}, {"a": "x\r", "b": None}]
    made = csv_bytes(odd, ["a", "b"], end=end)
    assert pd.read_csv(io.BytesIO(made), lineterminator=None)["b"].tolist()[:2] == [1.5, -2.0]
    assert [row[0] for row in csv.reader(io.StringIO(made.decode(), newline=""))] == ["a", *(row["a"] for row in odd)]


def test_text_is_no_formula_and_a_number_no_text() -> None:
    texts = ["=HYPERLINK(1)", "+1", "-1", "@SUM(1)", "a=1", "'"]
    rows = list(csv.reader(io.StringIO(csv_bytes([{"t": text, "n": -1.5} for text in texts], ["t", "n"]).decode())))
    assert [row[0] for row in rows[1:]] == [f"'{text}" for text in texts[:4]] + texts[4:]
    assert {row[1] for row in rows[1:]} == {"-1.5"}


def test_parquet_has_its_types_and_what_went_in_comes_out() -> None:
    table = pq.read_table(io.BytesIO(parquet_bytes(ROWS, TYPES)))
    assert [(field.name, str(field.type)) for field in table.schema][:4] == [
        ("name", "string"), ("n", "int64"), ("x", "double"), ("ok", "bool"),
    ]  # fmt: skip
    assert table.schema.field("ids").type.value_type == "string"
    assert table.to_pylist() == [
        {"name": 'a "b", c\nd', "n": 1, "x": 0.1, "ok": True, "ids": ["a", "b"]},
        {"name": "水 ?\x00", "n": None, "x": None, "ok": None, "ids": []},
        {"name": None, "n": None, "x": None, "ok": None, "ids": None},
    ]
    assert parquet_bytes(ROWS, TYPES) == parquet_bytes(ROWS, TYPES)
    # Columns that are null throughout keep their type, also without a row.
    for rows in ([], [{"name": None}]):
        empty = pq.read_table(io.BytesIO(parquet_bytes(rows, TYPES)))
        assert empty.schema == table.schema
        assert empty.num_rows == len(rows)


@dataclass(frozen=True)
class Line:
    name: str
    side: Literal["base", "tuned"]
    n: int | None
    scores: Mapping[str, float | None]
    tops: Mapping[str, str] | None
    ids: tuple[str, ...]
    ok: bool
    nested: tuple[Line, ...] = ()

    @property
    def long(self) -> bool:
        return len(self.name) > 2


LINES = (
    Line("a", "base", 1, {"x": 0.5, "y": None}, None, ("s", "t"), True),
    Line("abc", "tuned", None, {"x": 2.0}, {"z": "w"}, (), False),
)


def test_dataclasses_are_flat_rows_fields_in_order_and_mappings_spread() -> None:
    table = flat(Line, LINES, "long")
    assert list(table.types.items()) == [
        ("name", "string"), ("side", "string"), ("n", "int64"), ("scores_x", "float64"), ("scores_y", "float64"),
        ("tops_z", "string"), ("ids", "list<string>"), ("ok", "bool_"), ("long", "bool_"),
    ]  # fmt: skip
    assert table.csv().decode() == (
        "name,side,n,scores_x,scores_y,tops_z,ids,ok,long\n"
        "a,base,1,0.5,,,\"['s', 't']\",True,False\nabc,tuned,,2.0,,w,[],False,True\n"
    )
    assert pq.read_table(io.BytesIO(table.parquet())).to_pylist()[1] == {
        "name": "abc", "side": "tuned", "n": None, "scores_x": 2.0, "scores_y": None, "tops_z": "w", "ids": [],
        "ok": False, "long": True,
    }  # fmt: skip
    assert list(flat(Line, ()).types) == ["name", "side", "n", "ids", "ok"]


def test_intervals_are_two_decimals_and_none_is_said() -> None:
    assert interval(-0.5, -1.0, -0.001, signed=True) == "−0.50 [−1.00, 0.00]"
    assert interval(0.5, math.nan, math.nan) == "0.50"
    assert interval(math.nan, math.nan, math.nan, none="–") == "–"


def test_files_are_written_whole_and_what_cannot_be_is_refused(tmp_path: Path) -> None:
    names = write_files(tmp_path / "deep/er", {"a.json": b"1", "b.csv": b"2"})
    assert [Path(name).read_bytes() for name in names] == [b"1", b"2"]
    assert sorted(os.listdir(tmp_path / "deep/er")) == ["a.json", "b.csv"]
    with pytest.raises(InputError, match="cannot be written") as caught:
        write_files(Path(names[0]), {"a.json": b""})
    assert "\n" not in str(caught.value)
