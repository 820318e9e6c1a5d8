"""Dataclasses come back from JSON as they were, and everything else is refused by its path."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jaxtyping import Bool, Float, Int

from attrib.errors import RecordError
from attrib.records import codec


@dataclass(frozen=True)
class Leaf:
    name: str
    size: int
    share: float
    whole: bool
    kind: Literal["a", "b", 3] = "a"


@dataclass(frozen=True)
class Tree:
    leaves: tuple[Leaf, ...]
    pair: tuple[int, str]
    by_name: Mapping[str, float | None]
    nested: dict[str, tuple[Leaf, ...]]
    note: str | None = None
    first: Leaf | None = None
    free: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Arrays:
    scores: Float[np.ndarray, "row column"]
    chosen: Bool[np.ndarray, " row"]
    counts: Int[np.ndarray, " row"] | None
    by_name: dict[str, Float[np.ndarray, " row"]]


TEXTS = st.text(st.characters(exclude_categories=("Cs",)))
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
LEAVES = st.builds(Leaf, TEXTS, st.integers(), NUMBERS, st.booleans(), st.sampled_from(["a", "b", 3]))
TREES = st.builds(
    Tree,
    st.lists(LEAVES, max_size=3).map(tuple),
    st.tuples(st.integers(), TEXTS),
    st.dictionaries(TEXTS, NUMBERS | st.none(), max_size=3),
    st.dictionaries(TEXTS, st.lists(LEAVES, max_size=2).map(tuple), max_size=2),
    TEXTS | st.none(),
    LEAVES | st.none(),
    st.dictionaries(TEXTS, JSON, max_size=2),
)


@given(TREES)
@settings(max_examples=150, deadline=None)
def test_what_was_written_is_read(tree: Tree) -> None:
    data = codec.dump("tree", 4, tree)
    read = codec.parse(Tree, data, "tree", 4)
    assert read == tree
    assert codec.dump("tree", 4, read) == data
    digest = sha256(data.replace(json.loads(data)["sha256"].encode(), b"0" * 64, 1)).hexdigest()
    assert json.loads(data) == {"attrib": "tree", "schema": 4, "sha256": digest, **json.loads(json.dumps(asdict(tree)))}


def test_no_bit_changes_unseen() -> None:
    data = codec.dump("tree", 4, Tree((leaf(), leaf()), (1, "x"), {"a": 1.0}, {}))
    assert codec.parse(Tree, data, "tree", 4)
    for at in range(len(data)):
        for bit in range(8):
            with pytest.raises(RecordError):
                codec.parse(Tree, data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :], "tree", 4)


def test_files_of_older_versions_have_no_digest() -> None:
    tree = Tree((leaf(),), (1, "x"), {"a": 1.0}, {})
    made = json.loads(codec.dump("tree", 4, tree))
    del made["sha256"]
    assert codec.parse(Tree, json.dumps(made).encode(), "tree", 4) == tree


def test_a_field_and_an_item_stand_on_lines_of_their_own() -> None:
    tree = Tree((leaf(), leaf()), (1, "x"), {"a": 1.0}, {})
    lines = codec.dump("tree", 1, tree).decode().split("\n")
    assert lines[:3] == ["{", '"attrib": "tree",', '"schema": 1,']
    assert [line.startswith(' {"name": "oak"') for line in lines].count(True) == 2
    assert '"by_name": {"a": 1.0},' in lines


def leaf(**changes: Any) -> Leaf:
    return Leaf(**{"name": "oak", "size": 2, "share": 0.5, "whole": True, **changes})


# ------------------------------------------------------------------------------------------- what is refused


def content() -> dict[str, Any]:
    """A tree with everything filled, as JSON has it."""
    tree = Tree((leaf(), leaf()), (1, "x"), {"a": 1.0, "b": None}, {"k": (leaf(),)}, "note", leaf(), {"x": [1]})
    made: dict[str, Any] = json.loads(codec.dump("tree", 1, tree))
    return made


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of every value inside a JSON value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place for key, one in inner for place in ((*path, key), *places(one, (*path, key)))]


TYPED = [place for place in places(content()) if place[0] not in ("attrib", "schema", "sha256", "free")]
OF_DATACLASSES = [place for place in TYPED if isinstance(place[-1], str) and place[0] != "by_name"]


def holder(made: Any, place: tuple[Any, ...]) -> Any:
    for key in place[:-1]:
        made = made[key]
    return made


def refused(made: Any, kind: Any = Tree) -> str:
    with pytest.raises(RecordError) as error:
        codec.parse(kind, json.dumps(made), "tree", 1)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("place", [place for place in OF_DATACLASSES if place != ("nested", "k")])
def test_a_missing_field_is_refused_by_its_path(place: tuple[Any, ...]) -> None:
    made = content()
    del holder(made, place)[place[-1]]
    assert refused(made) == f"damaged ({'/'.join(map(str, place))} is missing)"


@pytest.mark.parametrize("place", [place for place in OF_DATACLASSES if place != ("nested", "k")])
def test_an_unknown_field_is_refused_by_its_path(place: tuple[Any, ...]) -> None:
    made = content()
    holder(made, place)["unheard"] = 1
    assert refused(made) == f"damaged ({'/'.join(map(str, (*place[:-1], 'unheard')))} is unknown)"


@pytest.mark.parametrize("place", TYPED)
@pytest.mark.parametrize("wrong", [{"no": ["such"]}, [[], {}], "half \ud800"])
def test_a_value_of_another_type_is_refused_by_its_path(place: tuple[Any, ...], wrong: Any) -> None:
    made = content()
    holder(made, place)[place[-1]] = wrong
    assert refused(made).startswith(f"damaged ({'/'.join(map(str, place))}")


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("size", True, "is not a whole number"),
        ("size", 1.0, "is not a whole number"),
        ("size", None, "is not a whole number"),
        ("share", True, "is not a number"),
        ("share", "0.5", "is not a number"),
        ("share", 10**400, "is not a number"),
        ("whole", 1, "is not true or false"),
        ("name", 7, "is not a text"),
        ("kind", "c", "is 'c', not one of 'a', 'b', 3"),
        ("kind", True, "is True, not one of"),
    ],
)
def test_numbers_texts_and_truth_are_told_apart(name: str, value: Any, says: str) -> None:
    made = content()
    made["leaves"][1][name] = value
    assert f"leaves/1/{name} {says}" in refused(made)


def test_lists_of_another_length_are_refused() -> None:
    assert "pair has 3 values, not 2" in refused({**content(), "pair": [1, "x", "y"]})


def test_what_was_written_as_something_else_is_refused() -> None:
    data = codec.dump("tree", 1, Tree((), (1, "x"), {}, {}))
    for name, schema, says in (("oak", 1, "a record named 'tree', not 'oak'"), ("tree", 2, "schema 1, .* reads 2")):
        with pytest.raises(RecordError, match=says):
            codec.parse(Tree, data, name, schema)
    assert "attrib is missing" in refused({"schema": 1})
    assert "written with schema 7, this attrib reads 1" in refused({"schema": 7, "rows": []})
    for other in ({}, {"attrib": "tree"}, [], None, "tree", 3):
        assert "not a record of attrib" in refused(other)
    for text in (b"", data[: len(data) // 2], b"\xff", b"[" * 100_000, b'{"schema": NaN}'):
        with pytest.raises(RecordError, match="damaged"):
            codec.parse(Tree, text, "tree", 1)


# ------------------------------------------------------------------------------------------- numbers and texts


def test_nan_is_null_and_nan_again_where_a_number_is_asked_for() -> None:
    data = codec.dump("tree", 1, Tree((leaf(share=math.nan),), (1, "x"), {"a": math.nan}, {}, free={"b": math.nan}))
    assert b"NaN" not in data
    read = codec.parse(Tree, data, "tree", 1)
    assert math.isnan(read.leaves[0].share)
    # Where nothing is allowed too, nothing is what null says.
    assert (read.by_name, read.free) == ({"a": None}, {"b": None})


@pytest.mark.parametrize("value", [math.inf, -math.inf])
def test_infinity_is_refused_by_its_path_when_it_is_written(value: float) -> None:
    with pytest.raises(RecordError, match="leaves/1/share is infinite"):
        codec.dump("tree", 1, Tree((leaf(), leaf(share=value)), (1, "x"), {}, {}))


def test_what_json_lacks_is_refused_when_it_is_written() -> None:
    with pytest.raises(RecordError, match="free/a/0 is a object, which JSON cannot hold"):
        codec.dump("tree", 1, Tree((), (1, "x"), {}, {}, free={"a": [object()]}))


def test_half_a_character_becomes_a_question_mark() -> None:
    read = codec.parse(Tree, codec.dump("tree", 1, Tree((), (1, "half \ud83d"), {}, {})), "tree", 1)
    assert read.pair == (1, "half ?")


def test_numbers_of_numpy_are_numbers() -> None:
    made: Any = {"a": np.float64(0.5), "b": np.int32(3), "c": np.bool_(True), "d": np.float32(math.nan)}
    assert codec.to_json(made) == {"a": 0.5, "b": 3, "c": True, "d": None}


# ------------------------------------------------------------------------------------------- arrays


def arrays(rows: int = 2, columns: int = 3) -> Arrays:
    scores = np.arange(rows * columns, dtype=np.float64).reshape(rows, columns) / 3
    scores[:1, :1] = np.nan
    return Arrays(scores, np.arange(rows) % 2 == 0, np.arange(rows), {"x": scores[:, 0] if columns else np.ones(rows)})


@pytest.mark.parametrize(("rows", "columns"), [(2, 3), (1, 1), (0, 3), (2, 0), (0, 0)])
@pytest.mark.parametrize("inline", [True, False])
def test_arrays_come_back_inline_and_as_tensors(rows: int, columns: int, inline: bool) -> None:
    made = arrays(rows, columns)
    tensors: dict[str, np.ndarray] | None = None if inline else {}
    read = codec.parse(Arrays, codec.dump("arrays", 1, made, tensors), "arrays", 1, tensors)
    for one, other in (
        (made.scores, read.scores),
        (made.chosen, read.chosen),
        (made.counts, read.counts),
        (made.by_name["x"], read.by_name["x"]),
    ):
        assert one is not None
        assert other is not None
        assert (one.dtype, one.shape) == (other.dtype, other.shape)
        np.testing.assert_array_equal(one, other)
    if tensors is not None:
        assert set(tensors) == {"scores", "chosen", "counts", "by_name/x"}
        assert codec.parse(Arrays, codec.dump("arrays", 1, read, {}), "arrays", 1, tensors).counts is not None


def test_tensors_keep_their_type_and_are_no_views() -> None:
    tensors: dict[str, np.ndarray] = {}
    made = Arrays(np.ones((3, 2), np.float32).T, np.ones(2, bool), None, {})
    codec.dump("arrays", 1, made, tensors)
    assert tensors["scores"].dtype == np.float32
    assert tensors["scores"].flags.c_contiguous


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("scores", [1.0, 2.0]), ("scores", [[1.0], [2.0, 3.0]]), ("scores", [["1"]]), ("scores", [[True]]),
        ("scores", "scores"), ("scores", None), ("scores", {"shape": [2, 3]}), ("scores", {"shape": [0, -1]}),
        ("scores", {"shape": "no"}), ("scores", [[10**400]]), ("chosen", [1, 0]), ("chosen", [None]),
        ("counts", [1.5]), ("counts", [2**70]), ("counts", [None]), ("by_name", {"x": [[1.0]]}),
    ],
)  # fmt: skip
def test_lists_that_are_no_such_array_are_refused(name: str, value: Any) -> None:
    made = {**json.loads(codec.dump("tree", 1, arrays())), name: value}
    assert name in refused(made, Arrays)


@pytest.mark.parametrize("value", ["nowhere", 3, None, [[1.0]]])
def test_an_array_without_its_tensor_is_refused(value: Any) -> None:
    tensors: dict[str, np.ndarray] = {}
    made = {**json.loads(codec.dump("tree", 1, arrays(), tensors)), "scores": value}
    with pytest.raises(RecordError, match="scores has no tensor"):
        codec.parse(Arrays, json.dumps(made), "tree", 1, tensors)
    made["scores"] = "counts"
    with pytest.raises(RecordError, match=r"scores is int64 of shape \(2,\)"):
        codec.parse(Arrays, json.dumps(made), "tree", 1, tensors)
