"""What encoders make of every section, kept on disk: built by blocks, by several processes, and only where it changed.

    OUT/
      index.json                what it is, of which documents, by which models; written last, in one move
      sections-<hash>.jsonl     one text a line, in the order of the numbers
      parts/<encoder>/<block>/  block.json, texts.npy (SHA-256 of each text), offsets.npy, and one file an array

A block is the arrays of up to 256 consecutive texts, one after the other along the first axis; its text ``i`` owns the
rows from ``offsets[array, i]`` to ``offsets[array, i + 1]`` (arrays by name). The name of a block's folder is a hash of
its texts and of the encoder's key, so a block that is there is the one that is asked for, whoever made it and when. A
build adds what is missing beside what is there, moves the new index.json into place, and then removes what that does
not name: at every moment the old index or the new one is whole, and a build that was killed goes on where it was.

Built anew after a change, an index has the bytes of one that is built at once, if the encoder keeps its promise that a
text's arrays do not depend on the texts beside it. Control texts have blocks of their own.
Not covered: changing an index while it is searched (its reader is told to open it again), and byte order other than
little-endian.
"""

from __future__ import annotations

import hashlib
import json
import math
import mmap
import os
import re
import shutil
import tempfile
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property, lru_cache
from io import BytesIO, FileIO
from itertools import accumulate
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Int

from attrib import processes
from attrib.corpus.documents import Corpus
from attrib.errors import InputError
from attrib.files import locked, open_up, sha256, write_atomically
from attrib.models.fingerprint import versions
from attrib.progress import Progress
from attrib.records import Section

SCHEMA = 1
"""Raised when the format changes: older blocks are then made again."""
BLOCK = 256
"""Texts of a block."""
LINES = re.compile(r"sections-[0-9a-f]{12}\.jsonl")
RESERVED = ("texts", "offsets")


@runtime_checkable
class Identity(Protocol):
    """What tells one encoder from another."""

    @property
    def name(self) -> str:
        """Name of its part of the index: lower-case letters, digits, ``-``, ``_``, ``.``."""

    @property
    def key(self) -> str:
        """Hash of ALL that changes the numbers: fingerprint of the model, layer, dtype, device, cutting of texts …"""

    @property
    def describe(self) -> Mapping[str, object]:
        """The same as plain settings, for index.json and for errors."""


@runtime_checkable
class Encoder(Identity, Protocol):
    """Turns texts into arrays."""

    def encode(self, texts: Sequence[str]) -> list[dict[str, np.ndarray]]:
        """One dict of arrays a text; the first axis of an array may differ from text to text, the others may not.

        A text's arrays must not depend, by a single bit, on which other texts are in the call: only then is an index
        that was changed the same as one built at once. Scalars are arrays of shape [1].
        """


@dataclass(frozen=True)
class Text:
    """One line of sections.jsonl."""

    id: str
    sha256: str
    """Of the section's ``full_text``."""
    document: str
    title: str
    lines: str
    control: bool


@dataclass(frozen=True, eq=False)
class Block:
    """The arrays of consecutive texts, as block.json tells of them."""

    folder: Path
    key: str
    """The encoder's."""
    texts: int
    files: Mapping[str, Mapping[str, Any]]
    """File name without ``.npy`` → its ``dtype``, ``shape``, ``bytes`` and ``sha256``."""

    @cached_property
    def arrays(self) -> tuple[str, ...]:
        """Names of the arrays, in the order of ``offsets``."""
        return tuple(sorted(set(self.files) - set(RESERVED)))

    @property
    def bytes(self) -> int:
        """Of all files, block.json left out."""
        return sum(int(file["bytes"]) for file in self.files.values())

    def map(self, name: str) -> np.ndarray:
        """An array, memory-mapped and read-only. Raises InputError where the file is gone."""
        with self._opened(name) as (file, dtype, shape, start):
            pages = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            # What numpy.load does, without the header, which block.json repeats: a fifth of its time.
            return np.frombuffer(pages, dtype, math.prod(shape), start).reshape(shape)

    def read(self, name: str) -> np.ndarray:
        """The same array in memory: to bring in a small file's pages one by one costs more than to copy them."""
        with self._opened(name) as (file, dtype, shape, start):
            array = np.empty(shape, dtype)
            left = array.reshape(-1).view(np.uint8).data
            file.seek(start)
            while left:
                got = file.readinto(left)
                if not got:
                    raise ValueError("it is too short")
                left = left[got:]
            return array

    @contextmanager
    def _opened(self, name: str) -> Iterator[tuple[FileIO, np.dtype[Any], tuple[int, ...], int]]:
        """The file with its dtype, its shape, and where its numbers start."""
        about = self.files[name]
        shape, dtype = tuple(about["shape"]), np.dtype(about["dtype"])
        try:
            with FileIO(self._file(name)) as file:
                yield file, dtype, shape, int(about["bytes"]) - math.prod(shape) * dtype.itemsize
        except (OSError, ValueError) as error:
            raise InputError(
                f"{self._file(name)}: cannot be read ({error}); if the index was built anew or moved, open it again"
            ) from None

    def fault(self, *, verify: bool) -> str | None:
        """What is wrong with its files: their size, and with ``verify`` their SHA-256."""
        for name, about in self.files.items():
            file = self._file(name)
            try:
                if (size := file.stat().st_size) != about["bytes"]:
                    return f"{file.name} has {size:,} bytes instead of {about['bytes']:,}"
                if verify and sha256(file) != about["sha256"]:
                    return f"{file.name} has another SHA-256 than when it was written"
            except OSError as error:
                return f"{file.name} cannot be read ({error.strerror})"
        return None

    def _file(self, name: str) -> Path:
        return self.folder / f"{name}.npy"


def _read_block(folder: Path, wanted: str | None = None) -> Block | str:
    """The block in ``folder``, or what is wrong; ``wanted``: SHA-256 of its block.json."""
    try:
        data = (folder / "block.json").read_bytes()
        about = json.loads(data)
        block = Block(folder, about["key"], int(about["texts"]), about["files"])
        if about["schema"] != SCHEMA or not set(RESERVED) <= set(block.files):
            return f"block.json is of schema {about['schema']}"
    except OSError as error:
        return f"block.json cannot be read ({error.strerror})"
    except (ValueError, KeyError, TypeError):
        return "block.json is damaged"
    if wanted is not None and hashlib.sha256(data).hexdigest() != wanted:
        return "block.json has another SHA-256 than index.json says"
    return block


# ---------------------------------------------------------------------------------------------- open


@dataclass(frozen=True, eq=False)
class IndexPart:
    """What one encoder made of all texts."""

    name: str
    key: str
    describe: Mapping[str, object]
    blocks: tuple[Block, ...]

    @cached_property
    def starts(self) -> tuple[int, ...]:
        """Number of the first text of each block, and of all texts."""
        return tuple(accumulate((block.texts for block in self.blocks), initial=0))

    @property
    def bytes(self) -> int:
        """Size on disk; a block that stands for two equal runs of texts counts once."""
        return sum(block.bytes for block in {block.folder: block for block in self.blocks}.values())


@dataclass(frozen=True, eq=False)
class Index:
    """An index on disk, complete and of the models and documents that were asked for."""

    path: Path
    about: Mapping[str, Any]
    """index.json."""
    parts: Mapping[str, IndexPart]

    @classmethod
    def open(
        cls,
        path: str | Path,
        *,
        corpus: Corpus | None = None,
        control: Corpus | None = None,
        encoders: Sequence[Identity] | None = None,
        verify: bool = False,
    ) -> Index:
        """Open the index in the folder ``path``; nothing but block.json files is read.

        ``corpus``, ``control``, ``encoders``: what it must have been made of; it may hold more parts. ``verify`` reads
        every byte and compares its SHA-256.

        Raises InputError in one line: no index, unfinished, another schema, a damaged block, other documents, another
        model.
        """
        path = Path(path)
        about = _read_about(path)
        for wanted, which in ((corpus, "corpus"), (control, "control")):
            if wanted is not None:
                _check_corpus(path, about[which], wanted, which)
        _check_encoders(path, about["parts"], encoders or ())
        parts = {name: _open_part(path, name, one, verify) for name, one in about["parts"].items()}
        file = path / about["texts"]["file"]
        if not file.is_file() or (verify and sha256(file) != about["texts"]["sha256"]):
            raise InputError(f"{file}: missing or damaged; run attrib index again, which keeps the blocks")
        return cls(path, about, parts)

    def check(self, encoders: Iterable[Identity]) -> None:
        """InputError where one of its parts is not what one of ``encoders`` makes; nothing is read."""
        _check_encoders(self.path, self.about["parts"], encoders)

    def __len__(self) -> int:
        return int(self.about["corpus"]["texts"]) + int(self.about["control"]["texts"])

    @cached_property
    def texts(self) -> tuple[Text, ...]:
        """Sections, then control texts: a text's place here is its number."""
        lines = (self.path / self.about["texts"]["file"]).read_bytes().decode().split("\n")[:-1]
        return tuple(Text(**{"control": False} | json.loads(line)) for line in lines)

    def rows(self, part: str, array: str, i: int) -> np.ndarray:
        """Text ``i``'s rows of an array, memory-mapped and read-only."""
        if not 0 <= i < len(self):
            raise InputError(f"{self.path}: no text {i} among its {len(self)}")
        starts = self._find(part, array).starts
        number = bisect_right(starts, i) - 1
        first, end = self._bounds(part, array, number)[i - starts[number] :][:2]
        return self._map(part, array, number)[first:end]

    def array(self, part: str, array: str) -> Iterator[tuple[int, np.ndarray]]:
        """Block after block: the number of its first row (of all rows of the array), and its rows, in memory."""
        first = 0
        for block in self._find(part, array).blocks:
            rows = block.read(array)
            yield first, rows
            first += len(rows)

    def owners(self, part: str, array: str) -> Int[np.ndarray, " row"]:
        """Number of the text that each row of an array belongs to."""
        counts = [np.diff(self._bounds(part, array, n)) for n in range(len(self._find(part, array).blocks))]
        return np.repeat(np.arange(len(self)), np.concatenate(counts))

    def bytes_per_text(self, part: str) -> float:
        """Size of a part on disk, block.json files left out, by the number of texts."""
        return self._find(part).bytes / len(self)

    def _find(self, part: str, array: str | None = None) -> IndexPart:
        if part not in self.parts:
            raise InputError(f"{self.path}: no part {part!r}; it has {', '.join(self.parts)}")
        found = self.parts[part]
        if array is not None and array not in found.blocks[0].arrays:
            raise InputError(f"{self.path}: {part} has no array {array!r}; it has {', '.join(found.blocks[0].arrays)}")
        return found

    def _bounds(self, part: str, array: str, number: int) -> np.ndarray:
        """First rows of the texts of a block, and the end."""
        return np.asarray(self._map(part, "offsets", number)[self.parts[part].blocks[number].arrays.index(array)])

    @cached_property
    def _map(self) -> Callable[[str, str, int], np.ndarray]:
        """Few files are kept open: many systems allow a process a thousand."""
        # Not of self: the files of an index that nobody holds would stay open until a cycle is looked for.
        parts = self.parts
        return lru_cache(maxsize=128)(lambda part, name, number: parts[part].blocks[number].map(name))


def _read_about(path: Path) -> dict[str, Any]:
    """index.json, of this schema."""
    file = path / "index.json"
    again = "run attrib index again"
    try:
        about = json.loads(file.read_bytes())
        schema = about["attrib_index"]
    except FileNotFoundError:
        if (path / "parts").is_dir():
            raise InputError(f"{path}: the index is not finished; {again}, which goes on where it was") from None
        raise InputError(f"{path}: no index there; make one with attrib index PATH --out {path}") from None
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror}); check the path") from None
    except (ValueError, KeyError, TypeError):
        raise InputError(f"{file}: damaged, or not of an index; {again}, which keeps the blocks") from None
    if schema != SCHEMA:
        raise InputError(f"{path}: an index of schema {schema}, this attrib reads {SCHEMA}; {again}")
    return dict(about)


def _check_corpus(path: Path, about: Mapping[str, Any], wanted: Corpus, which: str) -> None:
    if about["sha256"] == wanted.sha256:
        return
    before, now = (dict(documents) for documents in (about["documents"], wanted.documents))
    changed = sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))
    what = f"{', '.join(changed[:3])}{f' and {len(changed) - 3} more' if len(changed) > 3 else ''} changed"
    reason = what if changed else "the same files, cut into other sections"
    of = "documents" if which == "corpus" else "control texts"
    raise InputError(
        f"{path}: made of other {of} ({about['texts']} sections, now {len(wanted)}: {reason}); run attrib index again"
    )


def _check_encoders(path: Path, parts: Mapping[str, Any], encoders: Iterable[Identity]) -> None:
    for encoder in encoders:
        _check_encoder(path, parts, encoder)


def _check_encoder(path: Path, parts: Mapping[str, Any], encoder: Identity) -> None:
    if encoder.name not in parts:
        raise InputError(f"{path}: no part {encoder.name}, it has {', '.join(parts)}; run attrib index with it")
    part = parts[encoder.name]
    if part["key"] == encoder.key:
        return
    made, asked = part["describe"], json.loads(_json(encoder.describe))
    differ = [name for name in sorted(made.keys() | asked.keys()) if made.get(name) != asked.get(name)]
    old, new = (", ".join(f"{name} {of.get(name, 'none')}" for name in differ) for of in (made, asked))
    old, new = (old or f"key {part['key'][:12]}"), (new or f"key {encoder.key[:12]}")
    raise InputError(
        f"{path}: {encoder.name} was made with another model or other settings ({old}) than now ({new}); give those, "
        "or run attrib index again"
    )


def _open_part(path: Path, name: str, about: Mapping[str, Any], verify: bool) -> IndexPart:
    blocks = []
    for block_name, digest in about["blocks"]:
        folder = path / "parts" / name / block_name
        block = _read_block(folder, digest)
        fault = block if isinstance(block, str) else block.fault(verify=verify)
        if isinstance(block, str) or fault:
            raise InputError(f"{folder}: damaged block ({fault}); run attrib index again, which makes it anew")
        blocks.append(block)
    return IndexPart(name, about["key"], about["describe"], tuple(blocks))


# ---------------------------------------------------------------------------------------------- build


@dataclass(frozen=True)
class _Span:
    """The texts of one block, before it is made."""

    name: str
    first: int
    end: int


def build(
    corpus: Corpus,
    encoders: Sequence[Encoder],
    out: str | Path,
    *,
    control: Corpus | None = None,
    block: int = BLOCK,
    options: Mapping[str, object] | None = None,
    progress: Progress | None = None,
) -> Index:
    """Make or bring up to date the index of ``corpus`` and ``control`` in the folder ``out``, and open it.

    Several processes (``attrib.processes``) share the blocks, and the first finishes; the bytes are those of one
    process. Blocks that are whole are kept; rows of texts that were encoded before, with the same key, are copied.
    ``options`` are noted in index.json. Parts of an older index that are not among ``encoders`` are removed.

    Raises InputError for a folder that holds something else, for one that another process builds in, for arrays that
    cannot be kept, and where one of the processes ended early.
    """
    out = Path(out)
    rank, world = processes.rank(), processes.world()
    sections = (*corpus.sections, *(control.sections if control is not None else ()))
    _check_build(corpus, encoders, out, block, options or {})
    digests = [hashlib.sha256(section.full_text.encode()).digest() for section in sections]
    spans = {encoder.name: _spans(encoder, digests, len(corpus), block) for encoder in encoders}
    with _writing(out):
        out.mkdir(parents=True, exist_ok=True)
    busy = f"{out}: another process is building it; wait for it or choose another folder"
    with locked(out / f".lock-{rank}", busy=busy), processes.meeting("index") as barrier:
        _make_blocks(sections, digests, encoders, spans, out, rank, world, progress)
        barrier()
        if rank == 0:
            _finish(out, corpus, control, digests, encoders, spans, block, options or {})
        barrier()
    return Index.open(out)


def _check_build(
    corpus: Corpus,
    encoders: Sequence[Encoder],
    out: Path,
    block: int,
    options: Mapping[str, object],
) -> None:
    names = [encoder.name for encoder in encoders]
    if not corpus.sections:
        raise InputError("documents: they hold no sections; give documents with text")
    if not names or len(set(names)) < len(names):
        raise InputError(f"index: encoders are {', '.join(names) or 'none'}; give one or more, each name once")
    if bad := [name for name in names if not re.fullmatch(r"[a-z0-9][a-z0-9._-]*", name)]:
        raise InputError(f"index: {bad[0]!r} cannot be a folder; name encoders with a-z, 0-9, '-', '_' and '.'")
    if block < 1:
        raise InputError(f"index: block {block}; give 1 or more")
    # Hours later would be too late to learn that they cannot be written.
    _json([dict(options), *(dict(encoder.describe) for encoder in encoders)])
    if out.exists() and not out.is_dir():
        raise InputError(f"{out}: a file; name a folder for the index")
    names_there = sorted(file.name for file in out.iterdir()) if out.exists() else []
    foreign = [n for n in names_there if n[0] != "." and n not in ("index.json", "parts") and not LINES.fullmatch(n)]
    if foreign:
        raise InputError(f"{out}: holds {foreign[0]}, which is not of an index; name a new folder")


def _spans(encoder: Identity, digests: Sequence[bytes], sections: int, block: int) -> list[_Span]:
    """The blocks of a part, in order; the control texts, from number ``sections`` on, start a new one."""
    bounds = [*range(0, sections, block), *range(sections, len(digests), block)]
    spans = []
    for first, end in zip(bounds, [*bounds[1:], len(digests)], strict=True):
        head = _json([SCHEMA, encoder.name, encoder.key]).encode()
        name = hashlib.sha256(head + b"\0" + b"".join(digests[first:end])).hexdigest()[:24]
        spans.append(_Span(name, first, end))
    return spans


@contextmanager
def _writing(place: Path) -> Iterator[None]:
    """What the system refuses, in one line."""
    try:
        yield
    except OSError as error:
        raise InputError(
            f"{place}: cannot be written ({error.strerror or error}); make room or choose another folder, then run the "
            "same command: finished blocks are kept"
        ) from error


def _make_blocks(
    sections: Sequence[Section],
    digests: Sequence[bytes],
    encoders: Sequence[Encoder],
    spans: Mapping[str, Sequence[_Span]],
    out: Path,
    rank: int,
    world: int,
    progress: Progress | None,
) -> None:
    """This process's blocks. Equal blocks (of texts that repeat) are made once."""
    turn = 0
    for encoder in encoders:
        folder = out / "parts" / encoder.name
        with _writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
        distinct = list({span.name: span for span in spans[encoder.name]}.values())
        mine = distinct[(rank - turn) % world :: world]
        turn += len(distinct)
        known = _Known(folder, encoder)
        done, total = 0, sum(span.end - span.first for span in mine)
        for span in mine:
            if progress is not None:
                progress(f"index: {encoder.name}", done, total)
            there = _read_block(folder / span.name)
            if isinstance(there, str) or there.fault(verify=True):
                texts = [section.full_text for section in sections[span.first : span.end]]
                _make_block(encoder, texts, digests[span.first : span.end], folder / span.name, known)
            done += span.end - span.first
        if progress is not None and mine:
            progress(f"index: {encoder.name}", done, total)


class _Known:
    """Rows of texts that the same encoder has made before, in whatever block."""

    def __init__(self, folder: Path, encoder: Identity) -> None:
        self.folder, self.key = folder, encoder.key
        self._checked = lru_cache(maxsize=8)(self._check)

    @cached_property
    def _places(self) -> dict[bytes, tuple[Block, int]]:
        """SHA-256 of a text → a block that has it, and where; found only when something must be made."""
        places: dict[bytes, tuple[Block, int]] = {}
        for folder in sorted(self.folder.glob("[!.]*")):
            block = _read_block(folder)
            if isinstance(block, str) or block.key != self.key or block.fault(verify=False):
                continue
            for i, digest in enumerate(block.map("texts")):
                places[digest.tobytes()] = block, i
        return places

    def _check(self, folder: Path) -> bool:
        """Whether the bytes are those that were written: damage must not spread."""
        block = _read_block(folder)
        return not isinstance(block, str) and block.fault(verify=True) is None

    def find(self, digest: bytes) -> dict[str, np.ndarray] | None:
        """The arrays of the text with this SHA-256, if they are there."""
        block, i = self._places.get(digest, (None, 0))
        if block is None or not self._checked(block.folder):
            return None
        bounds = block.map("offsets")[:, i : i + 2]
        return {
            name: np.array(block.map(name)[first:end])
            for name, (first, end) in zip(block.arrays, bounds.tolist(), strict=True)
        }


def _make_block(encoder: Encoder, texts: Sequence[str], digests: Sequence[bytes], folder: Path, known: _Known) -> None:
    """Encode what is new of ``texts``, copy the rest, and write the block."""
    found = {digest: arrays for digest in digests if (arrays := known.find(digest)) is not None}
    new = {digest: text for digest, text in zip(digests, texts, strict=True) if digest not in found}
    if new:
        made = encoder.encode(list(new.values()))
        if len(made) != len(new):
            raise InputError(f"index: {encoder.name} made arrays of {len(made)} texts instead of {len(new)}")
        found |= dict(zip(new, made, strict=True))
    rows = [found[digest] for digest in digests]
    _check_rows(encoder.name, rows, texts)
    names = sorted(rows[0])
    arrays = {name: np.concatenate([row[name] for row in rows]) for name in names}
    lengths = np.array([[len(row[name]) for row in rows] for name in names], np.int64)
    offsets = np.concatenate([np.zeros((len(names), 1), np.int64), lengths.cumsum(1)], 1)
    hashes = np.frombuffer(b"".join(digests), np.uint8).reshape(len(digests), 32)
    _write_block(encoder, arrays | {"texts": hashes, "offsets": offsets}, len(texts), folder)


def _check_rows(name: str, rows: Sequence[Mapping[str, np.ndarray]], texts: Sequence[str]) -> None:
    """Refuse what cannot be kept, or not be found again; names the text."""
    first = rows[0]
    if bad := [key for key in first if not re.fullmatch(r"[a-z][a-z0-9_]*", key) or key in RESERVED]:
        raise InputError(f"index: {name} makes an array {bad[0]!r}; name it with a-z, 0-9 and '_', not {RESERVED}")
    for row, text in zip(rows, texts, strict=True):
        where = f"index: {name}, of the text {text[:40]!r}:"
        if row.keys() != first.keys() or not row:
            raise InputError(f"{where} arrays {sorted(row)} instead of {sorted(first)}; give the same of every text")
        for key, array in row.items():
            like = first[key]
            if array.dtype.kind not in "fiub" or array.ndim < 1:
                raise InputError(f"{where} {key} is {array.dtype} of shape {array.shape}; give numbers, [1] for one")
            if (array.dtype, array.shape[1:]) != (like.dtype, like.shape[1:]):
                raise InputError(
                    f"{where} {key} is {array.dtype} of shape {array.shape}, elsewhere {like.dtype} of {like.shape}; "
                    "only the first axis may differ"
                )
            if array.dtype.kind == "f" and not np.isfinite(array).all():
                raise InputError(f"{where} {key} holds values that are not finite; use a wider dtype or scale them")


def _write_block(encoder: Identity, arrays: Mapping[str, np.ndarray], texts: int, folder: Path) -> None:
    """All files under a temporary name, then one rename: a block that is there is whole."""
    work = None
    with _writing(folder):
        try:
            work = Path(tempfile.mkdtemp(prefix=".new-", dir=folder.parent))
            files = {}
            for name, array in sorted(arrays.items()):
                raw = BytesIO()
                np.save(raw, np.ascontiguousarray(array), allow_pickle=False)
                data = raw.getbuffer()
                _write(work / f"{name}.npy", data)
                about = {"dtype": array.dtype.str, "shape": list(array.shape), "bytes": len(data)}
                files[name] = about | {"sha256": hashlib.sha256(data).hexdigest()}
            about = {"schema": SCHEMA, "part": encoder.name, "key": encoder.key, "texts": texts, "files": files}
            _write(work / "block.json", (_json(about) + "\n").encode())
            open_up(work, 0o777)
            # One of that name was found damaged.
            shutil.rmtree(folder, ignore_errors=True)
            try:
                os.replace(work, folder)
            except OSError:
                # A process that was asked for something else may have put the same block there meanwhile.
                if isinstance(_read_block(folder), str):
                    raise
        finally:
            if work is not None:
                shutil.rmtree(work, ignore_errors=True)


def _write(file: Path, data: bytes | memoryview) -> None:
    """Onto the disk, so that a power cut cannot leave a renamed folder of empty files."""
    with file.open("wb") as out:
        out.write(data)
        out.flush()
        os.fsync(out.fileno())


def _finish(
    out: Path,
    corpus: Corpus,
    control: Corpus | None,
    digests: Sequence[bytes],
    encoders: Sequence[Encoder],
    spans: Mapping[str, Sequence[_Span]],
    block: int,
    options: Mapping[str, object],
) -> None:
    """index.json, when all blocks are there; then away with what it does not name."""
    lines = _lines(corpus, control, digests)
    sections = f"sections-{hashlib.sha256(lines).hexdigest()[:12]}.jsonl"
    about = {
        "attrib_index": SCHEMA,
        "what": "an index of attrib: embeddings, hidden states and gradients of every section and control text",
        "corpus": _about_corpus(corpus),
        "control": _about_corpus(control or Corpus((), ())),
        "texts": {"file": sections, "sha256": hashlib.sha256(lines).hexdigest()},
        "block": block,
        "parts": {encoder.name: _about_part(out, encoder, spans[encoder.name]) for encoder in encoders},
        "versions": versions(),
        "options": dict(options),
    }
    write_atomically(out / sections, lines)
    write_atomically(out / "index.json", (_json(about, indent=1) + "\n").encode())
    with _writing(out):
        _sweep(out.glob("sections-*.jsonl"), {sections})
        # What write_atomically left where it was killed.
        _sweep((file for start in ("index.json", "sections") for file in out.glob(f".{start}-*")), set())
        _sweep((out / "parts").iterdir(), set(spans))
        for name, those in spans.items():
            _sweep((out / "parts" / name).iterdir(), {span.name for span in those})


def _lines(corpus: Corpus, control: Corpus | None, digests: Sequence[bytes]) -> bytes:
    """sections.jsonl."""
    lines = []
    sections = (*corpus.sections, *(control.sections if control is not None else ()))
    for number, (section, digest) in enumerate(zip(sections, digests, strict=True)):
        text = Text(
            section.id, digest.hex(), section.document, section.title, section.lines, control=number >= len(corpus)
        )
        about = asdict(text)
        if not text.control:
            del about["control"]
        lines.append(json.dumps(about, ensure_ascii=False))
    return ("\n".join(lines) + "\n").encode()


def _about_corpus(corpus: Corpus) -> dict[str, Any]:
    return {"texts": len(corpus), "sha256": corpus.sha256, "documents": [list(one) for one in corpus.documents]}


def _about_part(out: Path, encoder: Identity, spans: Sequence[_Span]) -> dict[str, Any]:
    """A part's entry. Raises InputError where blocks are missing: a process was asked for something else."""
    blocks: dict[str, Block] = {}
    for span in spans:
        folder = out / "parts" / encoder.name / span.name
        block = _read_block(folder)
        if isinstance(block, str):
            raise InputError(
                f"{folder}: no block there ({block}); start all processes with the same documents, models and options"
            )
        blocks[span.name] = block
    kinds = {
        (name, block.files[name]["dtype"], *block.files[name]["shape"][1:])
        for block in blocks.values()
        for name in block.arrays
    }
    arrays = {name: {"dtype": dtype, "row": row} for name, dtype, *row in sorted(kinds, key=str)}
    if len(arrays) < len(kinds):
        raise InputError(f"index: {encoder.name} makes arrays of different widths: {sorted(map(str, kinds))}")
    return {
        "key": encoder.key,
        "describe": dict(encoder.describe),
        "bytes": sum(block.bytes for block in blocks.values()),
        "arrays": arrays,
        "blocks": [[span.name, sha256(blocks[span.name].folder / "block.json")] for span in spans],
    }


def _sweep(entries: Iterable[Path], keep: set[str]) -> None:
    """Remove what is not in ``keep``: blocks of earlier documents or models, and what killed builds left."""
    for entry in [entry for entry in entries if entry.name not in keep]:
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry, ignore_errors=True)
        else:
            entry.unlink(missing_ok=True)


def _json(value: object, indent: int | None = None) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, indent=indent, allow_nan=False)
