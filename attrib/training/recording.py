"""What is left beside an adapter that another program trained: ``attrib.json`` says how far it can be trusted.

The folder is that of ``attrib tune`` (see ``tune``); the run's tokenizer is added where it had one.
Not covered: how steps are recorded (``recorder``) or read from a finished run (``imported``).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from attrib.errors import RecordError
from attrib.files import DIGESTS, write_atomically, write_digests
from attrib.records.codec import from_json, to_json
from attrib.training.trained import read_training_file

MANIFEST = "attrib.json"
"""Written last: where it is, the adapter is whole."""
PASSING = ("trainer", "candidates", "settings.json", "rehearsal", "steps-*.jsonl", "rows-*.jsonl", ".*")
"""Files and folders of a run that its result does without."""


@dataclass(frozen=True)
class Recording:
    """``attrib.json`` beside the adapter of a recorded or imported run."""

    recorded_by: Literal["attrib.Recorder", "attrib import"]
    base: str
    base_fingerprint: str | None
    """Digest of the base's weights; None where they were not at hand."""
    data: str | None
    """The file or folder whose rows were named; None without one."""
    order: Literal["recorded", "by seed", "unknown"]
    """Whether the schedule's order was seen, was drawn again from a seed, or is unknown."""
    missing: tuple[str, ...]
    """What is not known, and what that costs in trust, a sentence each."""
    arguments: Mapping[str, object]
    """The trainer's own settings, as far as they are known."""
    versions: Mapping[str, str]
    items: int
    steps: int
    loss: float
    """Mean loss a learned token over the last tenth of the steps, nats; nan where it is unknown."""


def write_recording(folder: Path, recording: Recording) -> None:
    """Write ``attrib.json``."""
    write_manifest(folder, to_json(recording))


def write_manifest(folder: Path, content: object) -> None:
    """Write ``attrib.json``, last of all, and before it the SHA-256 of everything that stays in ``folder``."""
    data = (json.dumps(content, indent=1) + "\n").encode()
    gone = set(passing(folder))
    stays = (file for file in sorted(folder.rglob("*")) if not gone & {file, *file.parents})
    write_digests(folder, (file for file in stays if file.is_file() and file.name != DIGESTS), {MANIFEST: data})
    write_atomically(folder / MANIFEST, data)


def passing(folder: Path) -> list[Path]:
    """What only the run itself needs of all that lies in its folder."""
    return [path for name in PASSING for path in folder.glob(name)]


def read_recording(folder: Path) -> Recording | None:
    """How the run in ``folder`` was recorded; None for an adapter of ``attrib tune``.

    Raises InputError for an adapter of another program, RecordError for a damaged file.
    """
    file = folder / MANIFEST
    text = read_training_file(file)
    try:
        content = json.loads(text)
        if not isinstance(content, dict) or "recorded_by" not in content:
            return None
        recording: Recording = from_json(Recording, content)
    except (ValueError, RecordError) as error:
        raise RecordError(f"{file}: damaged ({error}); record or import the run again") from error
    return recording


def tail_loss(losses: tuple[float, ...]) -> float:
    """Mean of the last tenth; nan for none."""
    tail = losses[-max(1, len(losses) // 10) :]
    return sum(tail) / len(tail) if tail else float("nan")
