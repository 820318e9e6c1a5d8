"""Data sets of the library ``datasets`` → bytes in Arrow's format: folders of ``save_to_disk``, and those of the hub.

A hub data set is named ``hf://OWNER/NAME:SPLIT``, with ``/CONFIGURATION`` after the name and ``@REVISION`` at the end
where needed. Not covered: data sets that need code of their own, which is never run.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from attrib.errors import InputError

ARROW = ".arrow"
"""Suffix of the format that their bytes are of."""
_HUB = re.compile(r"hf:/{1,2}(?P<name>[^:@]+?)(?::(?P<split>[^@]+))?(?:@(?P<revision>.+))?")


def is_hub(path: Path) -> bool:
    """Whether it names a data set of the hub; a ``Path`` has lost one of the two slashes."""
    return path.as_posix() == "hf:" or path.as_posix().startswith("hf:/")


def is_saved(folder: Path) -> bool:
    """Whether the library wrote the folder: one split, or several of them."""
    return (folder / "dataset_dict.json").is_file() or all(
        (folder / name).is_file() for name in ("state.json", "dataset_info.json")
    )


def saved_split(folder: Path) -> tuple[Path, tuple[str, ...]]:
    """The folder of the split to read, and the names of those that are not read: of several ``train`` is.

    Raises InputError where none is called that.
    """
    if not (folder / "dataset_dict.json").is_file():
        return folder, ()
    splits = _json(folder / "dataset_dict.json", "splits")
    if "train" not in splits and len(splits) != 1:
        raise InputError(f"splits {', '.join(map(str, splits))}, none of them train; name the folder of one")
    chosen = "train" if "train" in splits else splits[0]
    return folder / chosen, tuple(name for name in splits if name != chosen)


def saved_files(folder: Path) -> list[Path]:
    """The files of a split, in the order of its rows."""
    folder, _ = saved_split(folder)
    entries = _json(folder / "state.json", "_data_files")
    return [folder / entry["filename"] for entry in entries]


def _json(file: Path, key: str) -> list[Any]:
    try:
        content = json.loads(file.read_bytes())[key]
        if not isinstance(content, list):
            raise TypeError(f"no list of {key}")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"a data set whose {file.name} cannot be read ({error}); save it to disk again") from None
    return content


def hub_bytes(path: Path, max_bytes: int) -> bytes:
    """The rows of a split of a hub data set, from the library's cache where they are in it.

    Raises InputError for an address or split that is not there, a hub that does not answer, and rows beyond the limit.
    """
    address = _HUB.fullmatch(path.as_posix())
    if address is None:
        raise InputError("not the address of a data set; write hf://OWNER/NAME:SPLIT")
    parts = address["name"].split("/")
    name, configuration = "/".join(parts[:2]), "/".join(parts[2:]) or None
    if Path(name).exists():
        raise InputError(
            f"{name} is a folder here too, which would be read instead; leave it, or name it without hf://"
        )
    return _fetched(name, configuration, address["split"], address["revision"], max_bytes)


def _fetched(name: str, configuration: str | None, split: str | None, revision: str | None, max_bytes: int) -> bytes:
    import datasets
    import pyarrow as pa

    datasets.disable_progress_bars()
    try:
        found = datasets.load_dataset(name, configuration, split=split, revision=revision)
    # Errors of the hub, of the network and of every format come from deep inside.
    except Exception as error:
        reason = str(error).strip().split("\n")[0].rstrip(".") or type(error).__name__
        raise InputError(f"the hub does not give it ({reason}); check name, split and network") from None
    if isinstance(found, dict):
        splits = list(found)
        if len(splits) != 1:
            raise InputError(f"splits {', '.join(splits)}; name one, as in hf://{name}:{splits[0]}")
        found = found[splits[0]]
    table = found.data.table
    if table.nbytes > max_bytes:
        raise InputError(f"{table.nbytes:,} bytes, over the limit of {max_bytes:,}; name a part, as in :train[:10%]")
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return bytes(sink.getvalue())
