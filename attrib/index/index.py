"""Opening an index and reading from it.

Not covered: making one (``build``), and changing one while it is read (its reader gets an error that says so).
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int

from attrib.corpus.documents import Corpus
from attrib.errors import InputError
from attrib.files import is_sealed, sha256
from attrib.index.blocks import RESERVED, SCHEMA, Block, Text, canonical_json, crc, damaged, read_block
from attrib.index.encoder import Identity


@dataclass(frozen=True, eq=False)
class IndexPart:
    """One encoder's arrays of all texts."""

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
        verify: bool = False,
    ) -> Index:
        """Open the index in the folder ``path``; of its parts nothing but block.json files is read.

        ``corpus``, ``control``: what it must have been made of. ``verify`` reads every byte and compares its SHA-256.

        Raises InputError in one line: no index, unfinished, another schema, a damaged block, other documents.
        """
        path = Path(path)
        about = _read_about(path)
        for wanted, which in ((corpus, "corpus"), (control, "control")):
            if wanted is not None:
                _check_corpus(path, about[which], wanted, which)
        parts = {name: _open_part(path, name, one, verify) for name, one in about["parts"].items()}
        file = path / about["texts"]["file"]
        if not file.is_file() or sha256(file) != about["texts"]["sha256"]:
            raise InputError(f"{file}: missing or damaged; run attrib index again, which keeps the blocks")
        return cls(path, about, parts)

    def check(self, encoders: Iterable[Identity]) -> None:
        """InputError where a part that it has was made by another model or other settings than these."""
        for encoder in encoders:
            if encoder.name in self.parts:
                _check_encoder(self.path, self.parts[encoder.name], encoder)

    def __len__(self) -> int:
        return int(self.about["corpus"]["texts"]) + int(self.about["control"]["texts"])

    @cached_property
    def texts(self) -> tuple[Text, ...]:
        """Sections, then control texts: a text's place here is its number."""
        lines = (self.path / self.about["texts"]["file"]).read_bytes().decode().split("\n")[:-1]
        return tuple(Text(**{"control": False} | json.loads(line)) for line in lines)

    def rows(self, part: str, array: str, i: int) -> np.ndarray:
        """Text ``i``'s rows of an array, memory-mapped and read-only. Raises InputError where they are damaged."""
        if not 0 <= i < len(self):
            raise InputError(f"{self.path}: no text {i} among its {len(self)}")
        starts = self._find(part, array).starts
        number = bisect_right(starts, i) - 1
        row, place = self.parts[part].blocks[number].arrays.index(array), i - starts[number]
        first, end = self._map(part, "offsets", number)[row, place : place + 2]
        rows = self._map(part, array, number)[first:end]
        if crc(rows) != self._map(part, "checks", number)[row, place]:
            raise InputError(damaged(self.parts[part].blocks[number].folder, f"{array} of its text {place}"))
        return rows

    def arrays(self, part: str, i: int) -> dict[str, np.ndarray] | None:
        """Every array of text ``i``, memory-mapped; None where there is no such part."""
        if part not in self.parts:
            return None
        return {name: self.rows(part, name, i) for name in self.parts[part].blocks[0].arrays}

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

        def opened(part: str, name: str, number: int) -> np.ndarray:
            block = parts[part].blocks[number]
            return block.whole(name) if name in RESERVED else block.map(name)

        return lru_cache(maxsize=128)(opened)


def _read_about(path: Path) -> dict[str, Any]:
    """index.json, of this schema."""
    file = path / "index.json"
    again = "run attrib index again"
    try:
        data = file.read_bytes()
        about = json.loads(data)
        schema = about["attrib_index"]
        if schema == SCHEMA and not is_sealed(data, about["sha256"]):
            raise ValueError("its SHA-256 is another")
    except FileNotFoundError:
        if (path / "parts").is_dir():
            raise InputError(f"{path}: the index is not finished; {again}, which goes on where it was") from None
        raise InputError(f"{path}: no index there; make one with attrib index PATH --out {path}") from None
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror}); check the path") from None
    except (ValueError, KeyError, TypeError, RecursionError):
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


def _check_encoder(path: Path, part: IndexPart, encoder: Identity) -> None:
    if part.key == encoder.key:
        return
    made, asked = part.describe, json.loads(canonical_json(encoder.describe))
    differ = [name for name in sorted(made.keys() | asked.keys()) if made.get(name) != asked.get(name)]
    old, new = (", ".join(f"{name} {of.get(name, 'none')}" for name in differ) for of in (made, asked))
    old, new = (old or f"key {part.key[:12]}"), (new or f"key {encoder.key[:12]}")
    raise InputError(
        f"{path}: {encoder.name} was made with another model or other settings ({old}) than now ({new}); give those, "
        "or run attrib index again"
    )


def _open_part(path: Path, name: str, about: Mapping[str, Any], verify: bool) -> IndexPart:
    blocks = []
    for block_name, digest in about["blocks"]:
        folder = path / "parts" / name / block_name
        block = read_block(folder, digest)
        fault = block if isinstance(block, str) else block.fault(verify=verify)
        if isinstance(block, str) or fault:
            raise InputError(damaged(folder, str(fault)))
        blocks.append(block)
    return IndexPart(name, about["key"], about["describe"], tuple(blocks))
