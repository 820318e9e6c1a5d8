"""The saves of an unfinished run: on the disk before they count, and checked before a run goes on from one.

A save is a folder of the Trainer's and ``saved`` in it, written last: the SHA-256 of everything that going on from
there needs, which is the Trainer's files, the adapters saved so far, and the journals up to that step.
Not covered: what is in these files (``trainer``, ``steps``).
"""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from itertools import zip_longest
from pathlib import Path
from typing import Any

from attrib import processes
from attrib.files import settled, write_atomically
from attrib.training.steps import CANDIDATES, CHECKPOINTS

SETTINGS, SAVED = "settings.json", "saved"
KEPT = 2
"""Saves that are kept, so that there is one before a damaged one."""
log = logging.getLogger("attrib.tune")


def seal_save(save: Path, work: Path) -> None:
    """Make the save in ``save`` count, and remove those before the last two. Every process calls it."""
    # Every process has written its part before the first one looks at it.
    journals = processes.gather([_journal(file) for file in _own_journals(work)])
    if not processes.is_first():
        return
    files = {str(file.relative_to(work)): settled(file) for file in _files(save, work)}
    content = {
        "settings": settings_in(work / SETTINGS),
        "files": files,
        "journals": [one for some in journals for one in some],
    }
    write_atomically(save / SAVED, json.dumps(content).encode())
    number = number_of(save)
    earlier = [one for one in saves(save.parent) if number_of(one) <= number]
    for other in save.parent.glob("checkpoint-*"):
        if other not in earlier[:KEPT]:
            shutil.rmtree(other, ignore_errors=True)


def saves(trainer: Path) -> list[Path]:
    """Folders of the saves below the Trainer's folder, the last one first."""
    return sorted((file.parent for file in trainer.glob(f"checkpoint-*/{SAVED}")), key=number_of, reverse=True)


def last_whole(work: Path) -> Path | None:
    """The last save with every byte as it was written; None where there is none. The log names damaged ones."""
    found = saves(work / "trainer")
    for save, before in zip_longest(found, found[1:]):
        fault = _fault(save, work)
        if fault is None:
            return save
        mend = f"trying the save after step {number_of(before)}" if before is not None else "starting anew"
        log.warning("%s: the save after step %d is damaged (%s); %s", work, number_of(save), fault, mend)
    return None


def settings_of(work: Path) -> object:
    """Digest of the settings of the unfinished run in ``work``: those of its last save where its own are damaged."""
    known = (_read(save / SAVED).get("settings") for save in saves(work / "trainer"))
    return settings_in(work / SETTINGS) or next((one for one in known if one), None)


def settings_in(file: Path) -> object:
    """Digest of the settings in a JSON file of a run or of an adapter; None where there is none."""
    return _read(file).get("settings")


def number_of(save: Path) -> int:
    """Step of a save."""
    return int(save.name.split("-")[1])


def _fault(save: Path, work: Path) -> str | None:
    content = _read(save / SAVED)
    try:
        for name, digest in content["files"].items():
            if not (work / name).is_file() or hashlib.sha256((work / name).read_bytes()).hexdigest() != digest:
                return f"{name} is not what was written"
        for name, size, digest in content["journals"]:
            with (work / name).open("rb") as file:
                if hashlib.sha256(file.read(size)).hexdigest() != digest:
                    return f"{name} is not what was written"
    except OSError as error:
        return f"{error.filename}: {error.strerror}"
    except (KeyError, TypeError, ValueError, AttributeError):
        return f"{SAVED} is not what was written"
    return None


def _read(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _files(save: Path, work: Path) -> list[Path]:
    folders = (save, work / CHECKPOINTS, work / CANDIDATES)
    return sorted(file for folder in folders for file in folder.rglob("*") if file.is_file() and file.name != SAVED)


def _own_journals(work: Path) -> list[Path]:
    return sorted(work.glob(f"*-{processes.rank()}.jsonl"))


def _journal(file: Path) -> tuple[str, int, str]:
    digest = settled(file)
    return file.name, file.stat().st_size, digest
