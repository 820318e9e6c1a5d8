"""Building an index: by blocks, by several processes, and only where something changed.

A build adds missing blocks beside the old ones, moves the new index.json into place, and then removes what that does
not name: at every moment the old index or the new one is whole, and a build that was killed resumes. After a change an
index has the bytes of one that is built at once, if the encoder keeps its promise that a text's arrays do not depend on
the texts beside it.
Not covered: the format (``blocks``), and which encoders there are (``parts``).
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from attrib import processes
from attrib.corpus.documents import Corpus
from attrib.errors import InputError
from attrib.files import UNSEALED, locked, seal, sha256, write_atomically
from attrib.index.blocks import RESERVED, SCHEMA, Block, Text, canonical_json, crc, read_block, write_block, writing
from attrib.index.encoder import Encoder, Identity, content_digest
from attrib.index.index import Index
from attrib.models.fingerprint import versions
from attrib.progress import Progress
from attrib.records import Section

BLOCK = 256
"""Texts of a block."""
LINES = re.compile(r"sections-[0-9a-f]{12}\.jsonl")


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
    digests = [content_digest(section) for section in sections]
    spans = {encoder.name: _spans(encoder, digests, len(corpus), block) for encoder in encoders}
    with writing(out):
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
    canonical_json([dict(options), *(dict(encoder.describe) for encoder in encoders)])
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
        head = canonical_json([SCHEMA, encoder.name, encoder.key]).encode()
        name = hashlib.sha256(head + b"\0" + b"".join(digests[first:end])).hexdigest()[:24]
        spans.append(_Span(name, first, end))
    return spans


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
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
        distinct = list({span.name: span for span in spans[encoder.name]}.values())
        mine = distinct[(rank - turn) % world :: world]
        turn += len(distinct)
        known = _Known(folder, encoder)
        done, total = 0, sum(span.end - span.first for span in mine)
        for span in mine:
            if progress is not None:
                progress(f"index: {encoder.name}", done, total)
            there = read_block(folder / span.name)
            if isinstance(there, str) or there.fault(verify=True):
                chosen = sections[span.first : span.end]
                _make_block(encoder, chosen, digests[span.first : span.end], folder / span.name, known)
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
            block = read_block(folder)
            if isinstance(block, str) or block.key != self.key or block.fault(verify=False):
                continue
            for i, digest in enumerate(block.map("texts")):
                places[digest.tobytes()] = block, i
        return places

    def _check(self, folder: Path) -> bool:
        """Whether the bytes are those that were written: damage must not spread."""
        block = read_block(folder)
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


def _make_block(
    encoder: Encoder, sections: Sequence[Section], digests: Sequence[bytes], folder: Path, known: _Known
) -> None:
    """Encode what is new of ``sections``, copy the rest, and write the block."""
    found = {digest: arrays for digest in digests if (arrays := known.find(digest)) is not None}
    new = {digest: section for digest, section in zip(digests, sections, strict=True) if digest not in found}
    if new:
        made = encoder.encode(list(new.values()))
        if len(made) != len(new):
            raise InputError(f"index: {encoder.name} made arrays of {len(made)} sections instead of {len(new)}")
        found |= dict(zip(new, made, strict=True))
    rows = [found[digest] for digest in digests]
    _check_rows(encoder.name, rows, [section.full_text for section in sections])
    names = sorted(rows[0])
    arrays = {name: np.concatenate([row[name] for row in rows]) for name in names}
    lengths = np.array([[len(row[name]) for row in rows] for name in names], np.int64)
    offsets = np.concatenate([np.zeros((len(names), 1), np.int64), lengths.cumsum(1)], 1)
    checks = np.array([[crc(row[name]) for row in rows] for name in names], np.uint32)
    hashes = np.frombuffer(b"".join(digests), np.uint8).reshape(len(digests), 32)
    write_block(encoder, arrays | {"texts": hashes, "offsets": offsets, "checks": checks}, len(sections), folder)


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
        "sha256": UNSEALED,
    }
    write_atomically(out / sections, lines)
    write_atomically(out / "index.json", seal((canonical_json(about, indent=1) + "\n").encode()))
    with writing(out):
        _sweep(out.glob("sections-*.jsonl"), {sections})
        # Temporary files of a killed write_atomically.
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
        block = read_block(folder)
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
