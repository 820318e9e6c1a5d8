"""A record comes back as it was, gives the same bytes, and everything else is refused in one line."""

from __future__ import annotations

import json
import pickle
import struct
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save as to_bytes

from attrib.errors import InputError, RecordError
from attrib.records import ControlGroup, Counterpart, Evidence, Explanation, Promise, storage
from attrib.records.storage import SCHEMA, load, save
from tests.make import ODD_TOKENS, make_explanation


def difference(a: Any, b: Any, where: str = "record") -> str | None:
    """Where two records differ first, None where they are equal to the bit, types included."""
    if type(a) is not type(b):
        return f"{where}: {type(a).__name__} and {type(b).__name__}"
    if isinstance(a, np.ndarray):
        same = a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
        return None if same else where
    if is_dataclass(a):
        inner = [(f.name, getattr(a, f.name), getattr(b, f.name)) for f in fields(a)]
    elif isinstance(a, Mapping):
        if list(a) != list(b):
            return f"{where}: keys"
        inner = [(str(key), a[key], b[key]) for key in a]
    elif isinstance(a, tuple | list):
        if len(a) != len(b):
            return f"{where}: length"
        inner = [(str(i), *pair) for i, pair in enumerate(zip(a, b, strict=True))]
    else:
        return None if a == b or (a != a and b != b) else where
    return next((found for name, x, y in inner if (found := difference(x, y, f"{where}.{name}"))), None)


def full(seed: int = 0) -> Explanation:
    """A record with every optional field filled and odd text everywhere."""
    explanation = make_explanation(
        seed,
        answer_texts=ODD_TOKENS,
        titles=["水", "a\tb", '"quoted" \\ \u2028'],
        texts=["🙂\n\nمرحبا", "e\u0301"],
        question="\x00 NUL",
    )
    n, total = len(explanation.answer_tokens), len(explanation.tokens)
    rng = np.random.default_rng(seed)
    tuned = replace(
        explanation.tuned,
        logprob=explanation.tuned.logprob.astype(np.float32),
        heads=rng.random((2, 3, n, total)).astype(np.float32),
        hidden=rng.normal(size=(2, total, 4)).astype(np.float32),
        layers=(1, 2),
    )
    evidence = make_evidence(rng, n, len(explanation.sections))
    sections = (replace(explanation.sections[0], row=3, near_duplicate_of="abc"), *explanation.sections[1:])
    provenance = {
        "list": [1, [2.5, None]],
        "nested": {"shape": "name", "attrib": {"schema": "Token"}},
        "small": 5e-324,
    }
    promise = Promise(0.1, 0.9, 0.2, (ControlGroup("水", 9, 1),), ("\x00",))
    verdict = replace(explanation.verdict, evidence=evidence, promise=promise, said=True, said_gain=0.5)
    return replace(explanation, tuned=tuned, sections=sections, verdict=verdict, provenance=provenance)


def make_evidence(rng: np.random.Generator, answer: int, sections: int, words: int = 3, controls: int = 2) -> Evidence:
    passages = 2 * sections
    return Evidence(
        word_of_token=rng.integers(-1, words, answer),
        word_idf=rng.random(words),
        novel=rng.random(words) < 0.5,
        content=rng.random(words) < 0.5,
        base_says=rng.random(words) < 0.5,
        passage_of=np.arange(passages) // 2,
        covered=rng.random((words, passages)) < 0.5,
        question_cover=rng.random(passages),
        about=rng.random(passages),
        says=rng.random(passages),
        passage_base=-rng.random(passages),
        passage_tuned=-rng.random(passages),
        passage_tokens=rng.integers(0, 9, passages),
        resemblance=rng.random(sections),
        logprob_base=-rng.random(answer),
        logprob_tuned=-rng.random(answer),
        shown=np.arange(2),
        logprob_shown=-rng.random((2, answer)),
        text_base=-rng.random(sections),
        text_tuned=-rng.random(sections),
        text_tokens=rng.integers(2, 9, sections),
        text_form=rng.integers(0, 3, sections),
        control_base=-rng.random(controls),
        control_tuned=-rng.random(controls),
        control_tokens=rng.integers(2, 9, controls),
        control_form=rng.integers(0, 3, controls),
        control_about=rng.random(controls),
        counterpart=Counterpart(
            word_of_token=np.array([0, 1, -1]),
            word_idf=rng.random(2),
            novel=rng.random(2) < 0.5,
            content=rng.random(2) < 0.5,
            covered=rng.random((2, passages)) < 0.5,
            number=rng.random(2) < 0.5,
            said=rng.random(2) < 0.5,
            other_number=True,
            logprob_base=-rng.random(3),
            logprob_tuned=-rng.random(3),
            logprob_told=-rng.random(3),
            logprob_shown=-rng.random((2, 3)),
        ),
    )


@pytest.mark.parametrize("seed", range(4))
def test_what_was_saved_is_loaded_to_the_bit(tmp_path: Path, seed: int) -> None:
    explanation = make_explanation(seed, answer=seed * 5, sections=seed * 4, controls=seed)
    assert difference(explanation, load(save(explanation, tmp_path / "x.safetensors"))) is None


def test_every_optional_field_and_odd_text_comes_back(tmp_path: Path) -> None:
    explanation = full()
    loaded = load(save(explanation, tmp_path / "x"))
    assert difference(explanation, loaded) is None
    assert difference(explanation, full(1)) is not None
    changed = loaded.base.logprob.copy()
    changed[0] = np.nextafter(changed[0], 0)
    other = replace(loaded, base=replace(loaded.base, logprob=changed))
    assert difference(explanation, other) == "record.base.logprob"


def test_provenance_is_what_json_has(tmp_path: Path) -> None:
    provenance = {"tuple": (True, "x", ()), "nan": float("nan"), "of numpy": np.float32(0.5), 3: "three"}
    loaded = load(save(replace(make_explanation(), provenance=provenance), tmp_path / "x"))
    assert loaded.provenance == {"tuple": [True, "x", []], "nan": None, "of numpy": 0.5, "3": "three"}


def test_arrays_that_are_views_keep_their_values(tmp_path: Path) -> None:
    explanation = make_explanation()
    assert explanation.base.attention is not None
    turned = np.asfortranarray(explanation.base.attention)
    explanation = replace(explanation, base=replace(explanation.base, attention=turned))
    np.testing.assert_array_equal(load(save(explanation, tmp_path / "x")).base.attention, turned)


def test_same_record_same_bytes_another_others(tmp_path: Path) -> None:
    files = [save(full(seed), tmp_path / name) for seed, name in ((0, "a"), (0, "b"), (1, "c"))]
    a, b, c = (file.read_bytes() for file in files)
    assert a == b != c
    assert save(load(files[0]), tmp_path / "d").read_bytes() == a


def test_suffix_is_added_only_where_there_is_none(tmp_path: Path) -> None:
    explanation = make_explanation()
    assert save(explanation, tmp_path / "new" / "x").name == "x.safetensors"
    assert save(explanation, tmp_path / "x.record").name == "x.record"
    with pytest.raises(InputError, match="give the record a name"):
        save(explanation, "")


def refuse(file: Path, match: str) -> None:
    with pytest.raises(RecordError, match=match) as refused:
        load(file)
    assert str(file) in str(refused.value)


def rewrite(tmp_path: Path, change: Any) -> Path:
    """A saved record without its digest, whose JSON ``change`` has changed in place."""
    from safetensors import safe_open

    with safe_open(save(make_explanation(), tmp_path / "good"), "np") as opened:
        content = json.loads(opened.metadata()["attrib"])
        arrays = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    del content["sha256"]
    content = change(content) or content
    file = tmp_path / "changed.safetensors"
    file.write_bytes(to_bytes(arrays, metadata={"attrib": json.dumps(content)}))
    return file


def test_a_record_rewritten_without_a_change_is_loaded(tmp_path: Path) -> None:
    assert difference(load(rewrite(tmp_path, lambda content: None)), make_explanation()) is None


def test_no_bit_of_a_record_changes_unseen(tmp_path: Path) -> None:
    data = storage.to_bytes(make_explanation())
    assert difference(storage.from_bytes(data), make_explanation()) is None
    for at in [*range(200), *range(200, len(data), 17), *range(len(data) - 200, len(data))]:
        with pytest.raises(RecordError) as caught:
            storage.from_bytes(data[:at] + bytes([data[at] ^ 1 << at % 8]) + data[at + 1 :])
        assert "\n" not in str(caught.value)


def test_another_schema_is_refused_before_its_content_is_read(tmp_path: Path) -> None:
    def newer(content: dict[str, Any]) -> dict[str, Any]:
        return {"schema": SCHEMA + 1, "record": {"is": "Unheard"}}

    refuse(rewrite(tmp_path, newer), f"schema {SCHEMA + 1}.*reads {SCHEMA}; write it again with attrib explain")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda c: c.pop("schema") and None, "not a record of attrib"),
        (lambda c: c.pop("attrib") and None, "attrib is missing"),
        (lambda c: c.update(attrib="benchmark"), "a record named 'benchmark', not 'explanation'"),
        (lambda c: c.pop("question") and None, "question is missing"),
        (lambda c: c.pop("verbatim") or None, "verbatim is missing"),
        (lambda c: c.update(unheard=1), "unheard is unknown"),
        (lambda c: c["answer_tokens"][1].update(kind=1), "answer_tokens/1/kind is unknown"),
        (lambda c: c.update(base=None), "base is not an object"),
        (lambda c: c.update(ranking="nowhere"), "ranking has no tensor"),
        (lambda c: c.update(ranking="base/attention"), "ranking is float64 of shape"),
        (lambda c: c.update(sections=7), "sections is not a list"),
        (lambda c: [1, 2], "not a record of attrib"),
    ],
)
def test_damaged_content_is_refused(tmp_path: Path, change: Any, says: str) -> None:
    refuse(rewrite(tmp_path, change), f"{says}.*write it again")


CHANGES: tuple[tuple[str, Any], ...] = (
    ("question", 5),
    ("question", "half \ud800"),
    ("answer_source", "nobody"),
    ("sections_total", 1.5),
    ("sections_total", True),
    ("prompt_tokens", ["a", "b"]),
    ("attributions", []),
    ("attributions", {"attention": None}),
    ("mappings", {"bm25": 7}),
    ("ranking", [0, 1]),
    ("ranking", "base/logprob"),
    ("shares", None),
    ("vocabulary", "none"),
    ("provenance", []),
    ("provenance", {"a": ["half \ud800"]}),
)


def test_fields_of_another_type_are_refused_where_no_test_looks_on(tmp_path: Path) -> None:
    # In a process of its own: here the types of all calls are checked.
    files = []
    for number, (name, value) in enumerate(CHANGES):
        changed = rewrite(tmp_path, lambda c, name=name, value=value: c.update({name: value}))
        files.append(changed.rename(tmp_path / f"{number}.safetensors"))
    program = """
import sys
from attrib import errors
from attrib.records import storage
for file in sys.argv[1:]:
    try:
        storage.load(file)
        print("loaded")
    except errors.RecordError as error:
        print("damaged" if ": damaged (" in str(error) else error)
"""
    arguments = [sys.executable, "-c", program, *map(str, files), str(tmp_path / "good.safetensors")]
    done = subprocess.run(arguments, capture_output=True, text=True, cwd=Path(__file__).parents[2], check=True)
    assert done.stdout.split() == ["damaged"] * len(CHANGES) + ["loaded"]


@pytest.mark.parametrize("kind", ["BF16", "F8_E4M3", "nested", "unreadable"])
def test_what_numpy_or_json_cannot_hold_is_refused(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbid(path: Path) -> bool:
        raise PermissionError(13, "Permission denied")

    file = tmp_path / "odd.safetensors"
    if kind == "nested":
        file.write_bytes(to_bytes({}, metadata={"attrib": "[" * 200_000}))
    else:
        content = {"__metadata__": {"attrib": "{}"}, "w": {"dtype": kind, "shape": [1], "data_offsets": [0, 2]}}
        if kind == "F8_E4M3":
            content["w"]["shape"] = [2]
        header = json.dumps(content).encode()
        file.write_bytes(struct.pack("<Q", len(header)) + header + b"\0\0")
    if kind == "unreadable":
        monkeypatch.setattr(Path, "is_file", forbid)
    refuse(file, "write")


def test_files_of_other_programs_are_refused(tmp_path: Path) -> None:
    foreign = tmp_path / "model.safetensors"
    foreign.write_bytes(to_bytes({"w": np.zeros(3)}, metadata={"format": "pt"}))
    refuse(foreign, "not a record of attrib")
    foreign.write_bytes(to_bytes({"w": np.zeros(3)}))
    refuse(foreign, "not a record of attrib")
    # numpy has no bfloat16.
    header = json.dumps({"w": {"dtype": "BF16", "shape": [1], "data_offsets": [0, 2]}}).encode()
    foreign.write_bytes(struct.pack("<Q", len(header)) + header + b"\0\0")
    refuse(foreign, "not a record of attrib")
    foreign.write_bytes(to_bytes({}, metadata={"attrib": "not JSON"}))
    refuse(foreign, "damaged")


def test_a_file_cut_anywhere_or_lengthened_is_refused(tmp_path: Path) -> None:
    data = save(make_explanation(answer=3, sections=2), tmp_path / "x").read_bytes()
    file = tmp_path / "cut.safetensors"
    file.write_bytes(data)
    load(file)
    for size in (0, 1, 8, 9, 200, len(data) // 2, len(data) - 1):
        file.write_bytes(data[:size])
        refuse(file, "not a whole .safetensors file")
    file.write_bytes(data + b"\0")
    refuse(file, "not a whole .safetensors file")


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    refuse(tmp_path / "nothing.safetensors", "no such file")
    refuse(tmp_path, "no such file")


def test_a_pickle_is_never_executed(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (tmp_path / "exploded",)

    file = tmp_path / "x.safetensors"
    file.write_bytes(pickle.dumps(Bomb()))
    refuse(file, "not a whole .safetensors file")
    assert not (tmp_path / "exploded").exists()
    pickle.loads(file.read_bytes())
    assert (tmp_path / "exploded").exists()


def test_a_failed_save_leaves_the_old_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = make_explanation(0)
    file = save(old, tmp_path / "x")

    def no_space(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("os.replace", no_space)
        with pytest.raises(InputError, match="No space left"):
            save(make_explanation(1), tmp_path / "x")
    assert difference(load(file), old) is None
    assert list(tmp_path.iterdir()) == [file]


def test_a_folder_that_cannot_be_written_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(InputError, match="cannot be written") as refused:
        save(make_explanation(), tmp_path / "file" / "x")
    assert "\n" not in str(refused.value)
