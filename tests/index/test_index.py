"""The index on disk: what goes in comes out, whoever built it and however often it was killed; all else is refused."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from attrib.corpus.documents import Corpus
from attrib.errors import InputError
from attrib.index.build import build
from attrib.index.encoder import Encoder
from attrib.index.index import Index
from attrib.records import Section
from tests.programs import ROOT, Program, run

WORDS = ("pump", "light", "keeper", "year", "month", "tower", "metre", "stone", "lamp", "oil", "glass", "door", "bell")


@dataclass
class Fake:
    """Numbers that only the text and the key decide; remembers what it was asked."""

    name: str = "embedding"
    key: str = "k1"
    settings: dict[str, object] = field(default_factory=lambda: {"model": "tiny-1", "layer": 2})
    asked: list[str] = field(default_factory=list)
    during: Callable[[], None] = lambda: None

    @property
    def describe(self) -> Mapping[str, object]:
        return self.settings

    def encode(self, sections: Sequence[Section]) -> list[dict[str, np.ndarray]]:
        self.during()
        texts = [section.full_text for section in sections]
        self.asked += texts
        return [self.arrays(text) for text in texts]

    def arrays(self, text: str) -> dict[str, np.ndarray]:
        seed = hashlib.sha256((self.name + self.key + text).encode()).digest()
        rng = np.random.default_rng(int.from_bytes(seed[:8], "little"))
        words = len(text.split())
        return {
            "states": rng.normal(size=(words, 6)).astype(np.float16),
            "spans": rng.integers(0, 99, (words, 2)).astype(np.int32),
            # Short texts have no rows at all.
            "vectors": rng.normal(size=(max(0, words // 4 - 1), 3)).astype(np.float16),
            "gain": rng.normal(size=1),
        }


class Odd(Fake):
    """Makes what it is told to."""

    def __init__(self, make: Callable[[str, int], dict[str, np.ndarray]]) -> None:
        super().__init__()
        self.make = make

    def encode(self, sections: Sequence[Section]) -> list[dict[str, np.ndarray]]:
        return [self.make(section.full_text, i) for i, section in enumerate(sections)]


def sentences(n: int, seed: int = 0) -> list[str]:
    rng = np.random.default_rng(seed)
    return [f"{i}-{seed} " + " ".join(rng.choice(WORDS, rng.integers(2, 16))) for i in range(n)]


def made(n: int = 23, seed: int = 0) -> Corpus:
    return Corpus.from_texts(sentences(n, seed), "made.txt")


CONTROL = Corpus.from_texts(sentences(5, seed=9), "control.txt")


def files(folder: Path) -> dict[str, bytes]:
    """Every file but the locks."""
    found = (file for file in folder.rglob("*") if file.is_file() and not file.name.startswith(".lock-"))
    return {str(file.relative_to(folder)): file.read_bytes() for file in found}


def blocks(folder: Path, part: str = "embedding") -> list[Path]:
    return sorted((folder / "parts" / part).glob("[!.]*"))


def check(index: Index, corpus: Corpus, control: Corpus | None, encoder: Fake) -> None:
    """Every text has its own arrays, and all arrays in a row are those of all texts in a row."""
    sections = (*corpus.sections, *(control.sections if control else ()))
    assert len(index) == len(sections) == len(index.texts)
    wanted = [encoder.arrays(section.full_text) for section in sections]
    for i, arrays in enumerate(wanted):
        for name, array in arrays.items():
            found = index.rows(encoder.name, name, i)
            assert found.dtype == array.dtype
            np.testing.assert_array_equal(found, array)
    for name in wanted[0]:
        every = np.concatenate([arrays[name] for arrays in wanted])
        at = 0
        for first, rows in index.array(encoder.name, name):
            assert first == at
            np.testing.assert_array_equal(rows, every[at : at + len(rows)])
            at += len(rows)
        assert at == len(every)
        owners = np.repeat(np.arange(len(wanted)), [len(arrays[name]) for arrays in wanted])
        np.testing.assert_array_equal(index.owners(encoder.name, name), owners)


# ---------------------------------------------------------------------------------------------- what comes out


@pytest.mark.parametrize("block", [1, 4, 256])
def test_what_goes_in_comes_out(tmp_path: Path, block: int) -> None:
    corpus, one, two = made(), Fake(), Fake("hidden-base", "k2")
    build(corpus, [one, two], tmp_path / "index", control=CONTROL, block=block)
    index = Index.open(tmp_path / "index", corpus=corpus, control=CONTROL, verify=True)
    index.check([two, one])
    for encoder in (one, two):
        check(index, corpus, CONTROL, encoder)
        assert len(encoder.asked) == 28
    # Sections and control texts have blocks of their own.
    assert len(blocks(tmp_path / "index")) == -(-23 // block) + -(-5 // block)
    text = index.texts[3]
    assert (text.id, text.document, text.lines, text.control) == (corpus.sections[3].id, "made.txt", "row 4", False)
    assert text.sha256 == hashlib.sha256(corpus.sections[3].full_text.encode()).hexdigest()
    assert [text.control for text in index.texts] == [False] * 23 + [True] * 5


def test_arrays_are_mapped_and_cannot_be_written(tmp_path: Path) -> None:
    index = build(made(), [Fake()], tmp_path)
    # No copy in memory: what is written to the file shows.
    block = index.parts["embedding"].blocks[0]
    for rows in (index.rows("embedding", "gain", 22), block.map("gain")):
        assert rows[-1] == np.load(block.folder / "gain.npy")[-1]
        with (block.folder / "gain.npy").open("r+b") as file:
            file.seek(-8, os.SEEK_END)
            file.write(np.random.default_rng().random(1).tobytes())
        assert rows[-1] == np.load(block.folder / "gain.npy")[-1]
    for rows in (index.rows("embedding", "states", 0), block.map("states")):
        with pytest.raises(ValueError, match="read-only"):
            rows[:] = 0
    # numpy itself reads the same.
    np.testing.assert_array_equal(np.load(block.folder / "states.npy", allow_pickle=False), block.map("states"))


def test_few_files_are_open_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    resource = pytest.importorskip("resource")
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    corpus = made(400)
    index = build(corpus, [Odd(lambda text, i: {"a": np.array([len(text)])})], tmp_path, block=1)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    try:
        lengths = [len(section.full_text) for section in corpus.sections]
        assert [index.rows("embedding", "a", i)[0] for i in range(400)] == lengths
        for _ in range(2):
            assert [int(rows[0]) for _, rows in index.array("embedding", "a")] == lengths
        with pytest.raises(InputError, match="Too many open files"):
            [block.map("a") for block in index.parts["embedding"].blocks]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_titles_with_odd_line_ends_are_one_line_each(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/a.md").write_text("# Pump\u2028and \x85 light\n\nThe pump is warm.\n\n# Two\n\nMore.\n", "utf-8")
    corpus = Corpus.read(tmp_path / "docs")
    index = build(corpus, [Fake()], tmp_path / "index")
    assert [text.title for text in index.texts] == [section.title for section in corpus.sections]


def test_the_index_says_what_it_is_and_how_large(tmp_path: Path) -> None:
    corpus = made()
    index = build(corpus, [Fake()], tmp_path, control=CONTROL, block=8, options={"max_tokens": 256})
    about = json.loads((tmp_path / "index.json").read_text("utf-8"))
    assert about["corpus"]["sha256"] == corpus.sha256
    assert about["corpus"]["documents"] == [list(one) for one in corpus.documents]
    assert about["options"] == {"max_tokens": 256}
    assert about["parts"]["embedding"]["describe"] == {"model": "tiny-1", "layer": 2}
    assert about["parts"]["embedding"]["arrays"]["states"] == {"dtype": "<f2", "row": [6]}
    assert "numpy" in about["versions"]
    size = sum(file.stat().st_size for file in tmp_path.rglob("*.npy"))
    assert about["parts"]["embedding"]["bytes"] == index.parts["embedding"].bytes == size
    assert index.bytes_per_text("embedding") == size / 28
    assert str(tmp_path) not in json.dumps(about)


def test_texts_that_repeat_are_encoded_once_a_block(tmp_path: Path) -> None:
    corpus, encoder = Corpus.from_texts(["the same text again"] * 12), Fake()
    index = build(corpus, [encoder], tmp_path, block=4)
    assert encoder.asked == ["the same text again"]
    assert len(blocks(tmp_path)) == 1
    check(index, corpus, None, encoder)


# ---------------------------------------------------------------------------------------------- changes


def build_fresh(tmp_path: Path, corpus: Corpus, *encoders: Encoder) -> dict[str, bytes]:
    fresh = tmp_path / "fresh"
    build(corpus, encoders or [Fake()], fresh, control=CONTROL, block=4)
    return files(fresh)


TEXTS = sentences(23)
CHANGES = {
    "one changed": [*TEXTS[:7], "something else altogether", *TEXTS[8:]],
    "one in front": ["something else altogether", *TEXTS],
    "one gone": TEXTS[1:],
    "other order": TEXTS[::-1],
    "one at the end": [*TEXTS, "something else altogether"],
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_corpus_costs_its_changes_and_gives_the_bytes_of_a_fresh_build(tmp_path: Path, change: str) -> None:
    out, after, encoder = tmp_path / "index", Corpus.from_texts(CHANGES[change], "made.txt"), Fake()
    build(Corpus.from_texts(TEXTS, "made.txt"), [Fake()], out, control=CONTROL, block=4)
    index = build(after, [encoder], out, control=CONTROL, block=4)
    assert encoder.asked == [text for text in CHANGES[change] if text not in TEXTS]
    check(index, after, CONTROL, encoder)
    assert files(out) == build_fresh(tmp_path, after)


def test_another_block_size_copies_every_row(tmp_path: Path) -> None:
    out, encoder = tmp_path / "index", Fake()
    build(made(), [Fake()], out, control=CONTROL, block=7)
    build(made(), [encoder], out, control=CONTROL, block=4)
    assert encoder.asked == []
    assert files(out) == build_fresh(tmp_path, made())


def test_another_key_encodes_all_anew_and_other_parts_stay(tmp_path: Path) -> None:
    out, kept, new = tmp_path / "index", Fake("hidden-base"), Fake(key="k2")
    build(made(), [Fake(), Fake("hidden-base"), Fake("gone")], out, control=CONTROL, block=4)
    index = build(made(), [new, kept], out, control=CONTROL, block=4)
    assert len(new.asked) == 28
    assert kept.asked == []
    check(index, made(), CONTROL, new)
    assert files(out) == build_fresh(tmp_path, made(), Fake(key="k2"), Fake("hidden-base"))


def test_the_old_index_can_be_read_until_the_new_one_is_there(tmp_path: Path) -> None:
    before, after = made(), made(seed=1)
    build(before, [Fake()], tmp_path, block=4)
    seen = []

    def during() -> None:
        check(Index.open(tmp_path, corpus=before, verify=True), before, None, Fake())
        seen.append(len(blocks(tmp_path)))

    open_before = Index.open(tmp_path)
    index = build(after, [Fake(during=during)], tmp_path, block=4)
    # New blocks were added beside the old ones.
    assert seen == [6, 7, 8, 9, 10, 11]
    assert len(blocks(tmp_path)) == 6
    check(index, after, None, Fake())
    with pytest.raises(InputError, match="built anew or moved, open it again"):
        open_before.rows("embedding", "states", 0)


class Killed(BaseException):
    pass


def killed_at(calls: int) -> Callable[[], None]:
    """Something that ends the build at a call, as Ctrl-C does."""
    left = [calls]

    def during() -> None:
        left[0] -= 1
        if left[0] < 0:
            raise Killed

    return during


def test_a_killed_build_goes_on_where_it_was(tmp_path: Path) -> None:
    out, encoder = tmp_path / "index", Fake(during=killed_at(3))
    with pytest.raises(Killed):
        build(made(), [encoder], out, control=CONTROL, block=4)
    assert len(encoder.asked) == 12
    with pytest.raises(InputError, match="not finished; run attrib index again"):
        Index.open(out)
    rest = Fake()
    build(made(), [rest], out, control=CONTROL, block=4)
    assert len(rest.asked) == 28 - 12
    assert files(out) == build_fresh(tmp_path, made())


def test_a_killed_change_leaves_the_old_index_and_goes_on(tmp_path: Path) -> None:
    out, before, after = tmp_path / "index", made(), made(seed=1)
    build(before, [Fake()], out, control=CONTROL, block=4)
    old = files(out)
    with pytest.raises(Killed):
        build(after, [Fake(during=killed_at(3))], out, control=CONTROL, block=4)
    assert files(out).items() >= old.items()
    check(Index.open(out, corpus=before, verify=True), before, CONTROL, Fake())
    # The documents change once more before it is finished: what is encoded serves all the same.
    again = Corpus.from_texts(["in front of all", *sentences(23, seed=1)], "made.txt")
    rest = Fake()
    build(again, [rest], out, control=CONTROL, block=4)
    assert len(rest.asked) == 24 - 12
    assert files(out) == build_fresh(tmp_path, again)


def test_what_a_kill_leaves_behind_is_swept_and_what_is_not_ours_is_kept(tmp_path: Path) -> None:
    out = tmp_path / "index"
    (out / "parts/embedding/.new-abc").mkdir(parents=True)
    (out / "parts/embedding/.new-abc/states.npy").write_bytes(b"half")
    (out / ".index.json-xyz").write_bytes(b"half")
    (out / ".gitignore").write_bytes(b"*")
    build(made(), [Fake()], out, control=CONTROL, block=4)
    assert files(out) == build_fresh(tmp_path, made()) | {".gitignore": b"*"}


def flip(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)


@pytest.mark.parametrize("name", ["states.npy", "texts.npy", "offsets.npy", "checks.npy", "block.json"])
def test_damage_is_found_and_mended_by_the_same_command(tmp_path: Path, name: str) -> None:
    out = tmp_path / "index"
    build(made(), [Fake()], out, control=CONTROL, block=4)
    whole = files(out)
    file = next(block for block in blocks(out) if len(np.load(block / "texts.npy")) == 4) / name
    flip(file)
    with pytest.raises(InputError, match=r"damaged block \(.*; run attrib index again"):
        Index.open(out, verify=True)
    encoder = Fake()
    build(made(), [encoder], out, control=CONTROL, block=4)
    assert files(out) == whole
    assert len(encoder.asked) == 4


def damages(data: bytes) -> list[bytes]:
    """Cut, emptied, and flipped at every 40th byte."""
    flipped = [data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :] for at in range(0, len(data), 40)]
    return [b"", data[:-1], *flipped]


def test_nothing_damaged_is_read(tmp_path: Path) -> None:
    """Every file of an index in every way: opening or reading refuses it in one line.

    But for texts.npy, which only building reads, and the headers of arrays, which block.json repeats.
    """
    out = tmp_path / "index"
    build(made(), [Fake()], out, control=CONTROL, block=4)
    exchanged, whole = blocks(out)[1], read_all(Index.open(out))
    cases = 0
    for file in [file for file in sorted(out.rglob("*")) if file.is_file() and file.name != ".gitignore"]:
        data = file.read_bytes()
        other = exchanged / file.name
        more = [other.read_bytes()] if other.is_file() and other.read_bytes() != data else []
        for damaged in damages(data) + more:
            file.write_bytes(damaged)
            cases += 1
            found: list[bytes] | str
            try:
                found = read_all(Index.open(out))
            except InputError as error:
                found = str(error)
            if isinstance(found, str):
                assert "\n" not in found
            else:
                assert found == whole
                assert file.name == "texts.npy" or (file.suffix, damaged[128:]) == (".npy", data[128:]), file
        file.write_bytes(data)
    assert cases > 400


def read_all(index: Index) -> list[bytes]:
    found = [repr(index.texts).encode()]
    for array in ("gain", "spans", "states", "vectors"):
        found += [index.rows("embedding", array, i).tobytes() for i in range(len(index))]
        found += [rows.tobytes() for _, rows in index.array("embedding", array)]
    return found


def test_damage_does_not_spread_into_a_changed_index(tmp_path: Path) -> None:
    out, after = tmp_path / "index", Corpus.from_texts(CHANGES["one in front"], "made.txt")
    build(Corpus.from_texts(TEXTS, "made.txt"), [Fake()], out, control=CONTROL, block=4)
    flip(blocks(out)[0] / "states.npy")
    index = build(after, [Fake()], out, control=CONTROL, block=4)
    check(index, after, CONTROL, Fake())


# ---------------------------------------------------------------------------------------------- refusals of open


@pytest.fixture
def ready(tmp_path: Path) -> Path:
    build(made(), [Fake()], tmp_path / "index", control=CONTROL, block=4)
    return tmp_path / "index"


def refused(match: str, *args: Any, **options: Any) -> None:
    with pytest.raises(InputError, match=match) as error:
        Index.open(*args, **options)
    assert "\n" not in str(error.value)


def test_what_fits_is_not_refused(ready: Path) -> None:
    # A part that it lacks is no fault.
    Index.open(ready, corpus=made(), control=CONTROL, verify=True).check([Fake(), Fake("hidden-base")])


def test_no_index_is_refused(ready: Path, tmp_path: Path) -> None:
    refused("no index there; make one", tmp_path / "nowhere")
    refused("no index there", tmp_path)
    refused("cannot be read", ready / "index.json")


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", "null", "\xff"])
def test_a_damaged_index_json_is_refused(ready: Path, content: str) -> None:
    (ready / "index.json").write_text(content, "latin-1")
    refused("damaged, or not of an index", ready)


def test_another_schema_is_refused(ready: Path) -> None:
    about = json.loads((ready / "index.json").read_text("utf-8"))
    (ready / "index.json").write_text(json.dumps(about | {"attrib_index": 99}), "utf-8")
    refused("an index of schema 99, this attrib reads 3", ready)


def test_other_documents_are_refused_by_name(ready: Path) -> None:
    refused(r"other documents \(23 sections, now 23: made.txt changed\)", ready, corpus=made(seed=1))
    refused(r"other control texts \(5 sections, now 4: control.txt changed", ready, control=CONTROL_SHORT)


CONTROL_SHORT = Corpus.from_texts(sentences(4, seed=9), "control.txt")


def test_the_same_files_cut_otherwise_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(" ".join(WORDS * 20), "utf-8")
    corpus = Corpus.read(tmp_path / "a.txt", max_tokens=64)
    build(corpus, [Fake()], tmp_path / "index")
    refused("the same files, cut into other", tmp_path / "index", corpus=Corpus.read(tmp_path / "a.txt", max_tokens=32))


def test_another_model_is_refused_and_both_are_named(ready: Path) -> None:
    other = Fake(key="k2", settings={"model": "tiny-2", "layer": 2})
    for encoder, match in (
        (other, r"other settings \(model tiny-1\) than now \(model tiny-2\)"),
        (Fake(key="k2"), r"\(key k1\) than now \(key k2\)"),
    ):
        with pytest.raises(InputError, match=match) as error:
            Index.open(ready).check([encoder])
        assert "\n" not in str(error.value)


def test_a_missing_block_or_a_short_file_is_refused_without_verify(ready: Path) -> None:
    file = blocks(ready)[1] / "states.npy"
    data = file.read_bytes()
    file.write_bytes(data[:-2])
    refused(r"states.npy has [\d,]+ bytes instead of", ready)
    file.unlink()
    refused("states.npy cannot be read", ready)
    file.write_bytes(data)
    Index.open(ready)
    (file.parent / "block.json").unlink()
    refused("block.json cannot be read", ready)


def test_another_block_in_the_place_of_one_is_refused(ready: Path) -> None:
    first, second = blocks(ready)[:2]
    for file in second.iterdir():
        (first / file.name).write_bytes(file.read_bytes())
    refused("block.json has another SHA-256", ready)


def test_missing_lines_are_refused_and_mended(ready: Path) -> None:
    next(ready.glob("sections-*.jsonl")).unlink()
    refused("missing or damaged", ready)
    build(made(), [Fake()], ready, control=CONTROL, block=4)
    assert Index.open(ready).texts[0].lines == "row 1"


def test_what_is_not_there_is_refused_by_name(ready: Path) -> None:
    index = Index.open(ready)
    for ask in (lambda: index.rows("hidden", "states", 0), lambda: index.bytes_per_text("hidden")):
        with pytest.raises(InputError, match="no part 'hidden'; it has embedding"):
            ask()
    with pytest.raises(InputError, match="no array 'heads'; it has gain, spans, states, vectors"):
        index.rows("embedding", "heads", 0)
    for i in (-1, 28):
        with pytest.raises(InputError, match=f"no text {i} among its 28"):
            index.rows("embedding", "states", i)


# ---------------------------------------------------------------------------------------------- refusals of build


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work", "utf-8")
    with pytest.raises(InputError, match=r"holds thesis\.txt, which is not of an index"):
        build(made(), [Fake()], tmp_path)
    with pytest.raises(InputError, match="a file; name a folder"):
        build(made(), [Fake()], tmp_path / "thesis.txt")
    assert [file.name for file in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize(
    ("encoders", "options", "match"),
    [
        ([], {}, "encoders are none"),
        ([Fake(), Fake()], {}, "each name once"),
        ([Fake("../up")], {}, "cannot be a folder"),
        ([Fake("Big")], {}, "cannot be a folder"),
        ([Fake()], {"block": 0}, "block 0"),
    ],
)
def test_options_that_cannot_be_are_refused(
    tmp_path: Path, encoders: list[Fake], options: dict[str, int], match: str
) -> None:
    with pytest.raises(InputError, match=match):
        build(made(), encoders, tmp_path, **options)


def test_settings_that_json_cannot_write_are_refused_before_the_work(tmp_path: Path) -> None:
    encoder = Fake(settings={"layer": np.int64(3)})
    with pytest.raises(TypeError):
        build(made(), [encoder], tmp_path)
    assert encoder.asked == []


GOOD = np.ones((2, 3), np.float16)
ODD: dict[str, tuple[Callable[[str, int], dict[str, np.ndarray]], str]] = {
    "names": (lambda text, i: {"a" if i else "b": GOOD}, r"arrays \['a'\] instead of \['b'\]"),
    "none": (lambda text, i: {}, r"arrays \[\] instead"),
    "reserved": (lambda text, i: {"offsets": GOOD}, "makes an array 'offsets'"),
    "path": (lambda text, i: {"../a": GOOD}, "makes an array '../a'"),
    "dtype": (lambda text, i: {"a": GOOD if i else GOOD.astype(np.float32)}, "is float16 of shape .*elsewhere float32"),
    "width": (lambda text, i: {"a": GOOD[:, : 1 + (i > 2)]}, "only the first axis may differ"),
    "scalar": (lambda text, i: {"a": np.array(1.0)}, r"give numbers, \[1\] for one"),
    "objects": (lambda text, i: {"a": np.array([text], dtype=object)}, "give numbers"),
    "strings": (lambda text, i: {"a": np.array([text])}, "give numbers"),
    "overflow": (lambda text, i: {"a": np.array([1e6]).astype(np.float16)}, "not finite; use a wider dtype"),
    "nan": (lambda text, i: {"a": np.array([np.nan if i == 3 else 1.0])}, "not finite"),
}


@pytest.mark.filterwarnings("ignore:overflow")
@pytest.mark.parametrize("case", ODD)
def test_arrays_that_cannot_be_kept_are_refused(tmp_path: Path, case: str) -> None:
    make, match = ODD[case]
    with pytest.raises(InputError, match=match):
        build(made(), [Odd(make)], tmp_path)
    assert blocks(tmp_path) == []


def test_too_few_answers_are_refused(tmp_path: Path) -> None:
    encoder = Fake()
    encoder.encode = lambda texts: []  # type: ignore[method-assign]
    with pytest.raises(InputError, match="made arrays of 0 sections instead of 23"):
        build(made(), [encoder], tmp_path)


def test_a_full_disk_is_one_line_and_keeps_what_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, left = os.fsync, [17]

    def fsync(descriptor: int) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(InputError, match=r"cannot be written \(No space left on device\); make room") as error:
        build(made(), [Fake()], tmp_path, block=4)
    assert "\n" not in str(error.value)
    assert len(blocks(tmp_path)) == 2
    assert list((tmp_path / "parts/embedding").glob(".*")) == []


def test_an_error_of_the_encoder_is_its_own(tmp_path: Path) -> None:
    def fail() -> None:
        raise FileNotFoundError("model.safetensors")

    with pytest.raises(FileNotFoundError):
        build(made(), [Fake(during=fail)], tmp_path)


def test_progress_counts_the_texts_of_each_part(tmp_path: Path) -> None:
    said: list[tuple[str, int, int]] = []
    build(made(), [Fake()], tmp_path, block=10, progress=lambda *what: said.append(what))
    assert said == [("index: embedding", n, 23) for n in (0, 10, 20, 23)]


# ---------------------------------------------------------------------------------------------- several processes


def work(out: str, slow: str = "", dies: str = "", texts: str = "23") -> None:
    """What one process does; run by the tests below."""
    rank = os.environ.get("RANK", "0")

    def during() -> None:
        if rank == slow:
            time.sleep(1)
        if rank == dies:
            os._exit(9)

    try:
        index = build(made(int(texts)), [Fake(during=during), Fake("hidden-base")], out, control=CONTROL, block=4)
    except InputError as error:
        sys.exit(str(error))
    # One write: two processes share the pipe.
    sys.stdout.write(f"whole {len(index)}\n")


@pytest.fixture(scope="module")
def single(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    out = tmp_path_factory.mktemp("single") / "index"
    build(made(), [Fake(), Fake("hidden-base")], out, control=CONTROL, block=4)
    return files(out)


def test_two_processes_of_torchrun_give_the_bytes_of_one(tmp_path: Path, single: dict[str, bytes]) -> None:
    script = tmp_path / "work.py"
    script.write_text(
        f"import sys; sys.path.insert(0, {str(ROOT)!r})\nfrom tests.index.test_index import work\nwork(sys.argv[1])"
    )
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [sys.executable, *torchrun, str(script), str(tmp_path / "index")], capture_output=True, text=True, cwd=ROOT,
        timeout=900,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("whole 28") == 2
    assert files(tmp_path / "index") == single


def test_a_process_that_dies_is_told_from_a_slow_one_and_nothing_is_lost(
    tmp_path: Path, single: dict[str, bytes]
) -> None:
    out = tmp_path / "index"
    (status, said), (died, _) = run(*[(work, str(out), "", "1")] * 2)
    assert (status, died) == (1, 9)
    assert "another of the 2 processes ended before it was done" in said
    assert len(said.strip().splitlines()) == 1
    assert len(blocks(out)) == 4
    refused("not finished", out)
    # Each block of process 1 takes a second: process 0 waits.
    again = run(*[(work, str(out), "1", "")] * 2)
    assert [status for status, _ in again] == [0, 0], again
    assert files(out) == single


def test_processes_that_were_asked_for_different_things_are_refused(tmp_path: Path) -> None:
    (status, said), _ = run((work, str(tmp_path)), (work, str(tmp_path), "", "", "11"))
    assert status == 1
    assert "start all processes with the same documents" in said
    assert not (tmp_path / "index.json").exists()


def test_a_block_that_another_process_put_there_meanwhile_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace = os.replace

    def overtaken(source: str | Path, target: str | Path) -> None:
        if Path(source).is_dir():
            shutil.copytree(source, target)
        replace(source, target)

    monkeypatch.setattr(os, "replace", overtaken)
    build(made(), [Fake()], tmp_path)
    check(Index.open(tmp_path), made(), None, Fake())
    assert not list(tmp_path.rglob(".new-*"))


def test_several_processes_without_an_address_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MASTER_ADDR", raising=False)
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(InputError, match="rank 0 of 2 cannot find the others; start them with torchrun"):
        build(made(), [Fake()], tmp_path)


def test_a_second_build_in_the_same_folder_is_refused_while_the_first_goes_on(tmp_path: Path) -> None:
    second: list[str] = []

    def during() -> None:
        program = Program(work, str(tmp_path))
        program.wait()
        second.append(program.err)

    build(made(), [Fake(during=during)], tmp_path)
    assert "another process is building it" in second[0]
    check(Index.open(tmp_path), made(), None, Fake())
