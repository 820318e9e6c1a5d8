"""An entry comes back as it was put, or not at all: damage is logged, and the work is done again."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from attrib.errors import InputError
from attrib.store import Store, arrays_in, records_in
from tests.programs import Program, finish

KEY = {"what": "tests", "schema": 1}


@dataclass(frozen=True)
class Row:
    question: str
    score: float


ARRAYS = {"states": np.arange(12, dtype=np.float16).reshape(3, 4).T, "tokens": np.array(3), "none": np.zeros((0, 2))}
ROW = Row("Who keeps the light? — 燈", 0.1 + 0.2)


def arrays(folder: Path | None, **more: object) -> Store[Any]:
    return arrays_in(folder, KEY | more)


def rows(folder: Path | None, **more: object) -> Store[Any]:
    return records_in(folder, KEY | more, Row, "tests.row", 1)


def same(one: Any, two: Any) -> bool:
    if isinstance(one, Row):
        return bool(one == two)
    return one.keys() == two.keys() and all(
        one[name].dtype == two[name].dtype and one[name].shape == two[name].shape and (one[name] == two[name]).all()
        for name in one
    )


KINDS: dict[str, tuple[Callable[..., Store[Any]], Any, Any]] = {
    "arrays": (arrays, ARRAYS, {"states": np.ones(3)}),
    "records": (rows, ROW, Row("Another?", 1.0)),
}


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> tuple[Callable[..., Store[Any]], Any, Any]:
    return KINDS[request.param]


def test_an_entry_comes_back_as_it_was(tmp_path: Path, kind: Any) -> None:
    store, value, other = kind
    store(tmp_path).put("a", value)
    store(tmp_path).put("b", other)
    assert same(store(tmp_path).get("a"), value)
    assert same(store(tmp_path).get("b"), other)
    assert store(tmp_path).get("c") is None


def test_whatever_stands_in_the_key_tells_entries_apart(tmp_path: Path, kind: Any) -> None:
    store, value, _ = kind
    store(tmp_path).put(["text", 1], value)
    assert store(tmp_path, model="tuned").get(["text", 1]) is None
    assert store(tmp_path).get(["text", 2]) is None
    # The order of a key's names does not count.
    store(tmp_path).put({"text": "t", "layer": 3}, value)
    assert store(tmp_path).get({"layer": 3, "text": "t"}) is not None


def test_another_schema_is_another_entry(tmp_path: Path) -> None:
    records_in(tmp_path, {}, Row, "tests.row", 1).put("a", ROW)
    assert records_in(tmp_path, {}, Row, "tests.row", 2).get("a") is None


def test_work_is_done_once(tmp_path: Path, kind: Any) -> None:
    store, value, _ = kind
    made = []

    def make() -> Any:
        made.append(1)
        return value

    for _ in range(2):
        assert same(store(tmp_path).get_or_make("a", make), value)
    assert made == [1]


def test_without_a_folder_nothing_is_kept(tmp_path: Path, kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    store, value, _ = kind
    nothing = store(None)
    nothing.put("a", value)
    assert nothing.get("a") is None
    assert nothing.file("a") is None
    assert nothing.get_or_make("a", lambda: value) is value
    with nothing.locked("a"):
        pass
    assert list(tmp_path.iterdir()) == []


def emptied(data: bytes) -> bytes:
    return b""


def cut(data: bytes) -> bytes:
    return data[: len(data) * 2 // 3]


def flipped(data: bytes) -> bytes:
    """One bit of the last third."""
    at = len(data) * 5 // 6
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def longer(data: bytes) -> bytes:
    return data + b"\0"


@pytest.mark.parametrize("damage", [emptied, cut, flipped, longer])
def test_a_damaged_entry_is_logged_and_made_again(
    tmp_path: Path, kind: Any, damage: Callable[[bytes], bytes], caplog: pytest.LogCaptureFixture
) -> None:
    store, value, _ = kind
    store(tmp_path).put("a", value)
    file = store(tmp_path).file("a")
    file.write_bytes(damage(file.read_bytes()))
    with caplog.at_level(logging.WARNING, "attrib.store"):
        assert same(store(tmp_path).get_or_make("a", lambda: value), value)
    (line,) = [record.getMessage() for record in caplog.records]
    assert str(file) in line
    assert "computed again" in line
    assert "\n" not in line
    caplog.clear()
    assert same(store(tmp_path).get("a"), value)
    assert caplog.records == []


def test_an_entry_in_the_place_of_another_is_made_again(
    tmp_path: Path, kind: Any, caplog: pytest.LogCaptureFixture
) -> None:
    store, value, other = kind
    store(tmp_path).put("a", value)
    store(tmp_path).put("b", other)
    store(tmp_path).file("b").replace(store(tmp_path).file("a"))
    assert same(store(tmp_path).get_or_make("a", lambda: value), value)
    assert "computed again" in caplog.text


def test_a_folder_that_cannot_be_written_is_refused_in_one_line(tmp_path: Path, kind: Any) -> None:
    store, value, _ = kind
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(InputError, match="cannot be written"):
        store(tmp_path / "file").put("a", value)


def test_a_held_entry_is_waited_for(tmp_path: Path) -> None:
    store = rows(tmp_path)
    order = []
    held = threading.Event()

    def second() -> None:
        held.wait(60)
        with store.locked("a"):
            order.append("second")

    waiting = threading.Thread(target=second)
    waiting.start()
    with store.locked("a"):
        held.set()
        waiting.join(0.2)
        order.append("first")
    waiting.join(60)
    assert order == ["first", "second"]
    assert list(tmp_path.iterdir()) == []


def work(folder: str) -> None:
    """What each of two processes does; run by the test below."""
    for number in range(50):
        arrays(Path(folder)).get_or_make(number, lambda number=number: {"number": np.full(1000, number)})  # type: ignore[misc]


def test_two_processes_that_make_the_same_entries_leave_whole_ones(tmp_path: Path) -> None:
    done = finish(*[Program(work, str(tmp_path)) for _ in range(2)])
    assert [status for status, _ in done] == [0, 0], done
    assert len(list(tmp_path.iterdir())) == 50
    for number in range(50):
        found = arrays(tmp_path).get(number)
        assert found is not None
        assert (found["number"] == number).all()
