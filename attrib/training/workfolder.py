"""The folder of an unfinished run, which becomes the adapter's folder when all of it is done.

While a run for ``NAME`` goes, its files lie in ``.NAME-work`` beside it with the Trainer's own state in ``trainer``;
``settings.json`` holds the digest of everything that decides the result, so that only the same run resumes there.
The adapter's own folder ends with the SHA-256 of all its files (``files.DIGESTS``).
Not covered: a file system that the processes of a run do not share.
"""

from __future__ import annotations

import json
import logging
import math
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from attrib import files, processes
from attrib.errors import InputError, RecordError
from attrib.files import damaged_file, digest_of, open_up, write_atomically
from attrib.models.chat import Chat
from attrib.models.fingerprint import versions
from attrib.models.tuned_prompt import write_prompt
from attrib.records import Item
from attrib.records.codec import from_json, to_json
from attrib.training.options import TuneOptions
from attrib.training.recording import MANIFEST, passing, read_recording, write_manifest
from attrib.training.saves import SAVED, SETTINGS, settings_in, settings_of
from attrib.training.schedule import steps_an_epoch, write_schedule
from attrib.training.steps import save_adapter
from attrib.training.trained import read_training_file, write_trained
from attrib.training.trainer import TrainedAdapter

OPTIONAL: dict[str, Any] = {"loading": {}, "prompt": "", "compute": "", "held_out": [], "rehearsed": 0}
"""Fields that are not written where they are empty."""
log = logging.getLogger("attrib.tune")


@dataclass(frozen=True)
class Setup:
    """Everything besides the texts that decides an adapter."""

    base: str
    base_fingerprint: str
    options: TuneOptions
    processes: int
    device: str
    """cpu or cuda."""
    dtype: str
    """dtype of the frozen base."""
    four_bit: bool
    loading: Mapping[str, str | bool]
    """Revision and remote code of the base, those that were given; not written where there are none."""
    prompt: str
    """``Chat.identity`` of the prompts; empty, and not written, for the base's chat template alone."""
    compute: str
    """float32 or bfloat16, that of the products; empty, and not written, where the options name it (``bf16``)."""
    held_out: tuple[str, ...]
    """Ids of the sections that were kept from training as a control; not written where there are none."""

    @property
    def fitted(self) -> TuneOptions:
        """The options with the number format that was chosen for them."""
        return replace(self.options, bf16=self.compute == "bfloat16") if self.compute else self.options

    def digest(self, items: Sequence[Item], rehearse: Sequence[str]) -> str:
        """SHA-256 of the setup with what is learned."""
        parts = [_without_defaults(asdict(self)), [asdict(item) for item in items], list(rehearse)]
        # What was rehearsed as items like others is another adapter.
        return digest_of([*parts, "beside"] if rehearse else parts)


def _without_defaults(setup: dict[str, Any]) -> dict[str, Any]:
    """The fields of a setup; a base loaded by its name alone has no ``loading``, its own template no ``prompt``."""
    return {name: value for name, value in setup.items() if name not in OPTIONAL or value}


@dataclass(frozen=True)
class Manifest(Setup):
    """``attrib.json`` beside an adapter: how it was made, and what came out."""

    versions: Mapping[str, str]
    threads: int
    items: int
    """Number of items, rehearsed answers included."""
    rehearsed: int
    """Number of rehearsed answers that were learned beside the other items, the last of all; not written where there
    are none, and 0 where an older version learned them like other items."""
    steps: int
    loss: float
    """Mean loss a learned token in the last epoch, nats."""
    settings: str
    """Digest of the setup and what was learned."""


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest of the adapter in ``folder``.

    Raises InputError for an adapter of another program, recorded or not, RecordError for a damaged file.
    """
    file = folder / MANIFEST
    text = read_training_file(file)
    if read_recording(folder) is not None:
        raise InputError(
            f"{folder}: another program trained it, so that it cannot be trained again; tune one with attrib tune"
        )
    try:
        content = json.loads(text)
        if isinstance(content, dict):
            content = OPTIONAL | content
        manifest: Manifest = from_json(Manifest, content)
    except (ValueError, RecordError) as error:
        raise RecordError(f"{file}: damaged ({error}); tune again") from error
    return manifest


def held_out_of(folder: Path | None, sections: Iterable[str]) -> frozenset[str]:
    """Ids among ``sections`` that were kept from training the adapter in ``folder``; none without a folder."""
    return frozenset(read_held_out(folder) if folder is not None else ()) & frozenset(sections)


def read_held_out(folder: Path) -> tuple[str, ...]:
    """Ids of the sections that were kept from training the adapter in ``folder`` (``--hold-out``).

    Empty where none were or where it is unknown: for adapters of other programs and older versions, and for folders
    without a manifest. Raises RecordError for a damaged one.
    """
    file = folder / MANIFEST
    if not file.is_file():
        return ()
    try:
        found = json.loads(file.read_text("utf-8")).get("held_out", [])
        held: tuple[str, ...] = from_json(tuple[str, ...], found)
    except (ValueError, AttributeError, RecordError) as error:
        raise RecordError(f"{file}: damaged ({error}); tune again") from error
    return held


def work_folder(out: Path) -> Path:
    """Folder of an unfinished run for ``out``."""
    out = out.absolute()
    return out.with_name(f".{out.name}-work")


@contextmanager
def locked(out: Path) -> Iterator[None]:
    """One run a folder at a time: the first process holds the lock for all. Raises InputError where it is taken."""
    file = out.absolute().with_name(f".{out.absolute().name}-lock")
    busy = f"{out}: another process is tuning it; wait for it or name another folder"
    with ExitStack() as held:
        processes.on_first(lambda: held.enter_context(files.locked(file, busy=busy)))
        yield


def is_finished(out: Path, digest: str) -> bool:
    """Whether ``out`` is the adapter of this very run, whole."""
    return not work_folder(out).exists() and settings_in(out / MANIFEST) == digest and _is_whole(out)


def is_known(work: Path, out: Path, digest: str) -> bool:
    """Whether a run with this digest is under way in ``work`` or finished in ``out``."""
    return digest in (settings_of(work), settings_in(work / MANIFEST), settings_in(out / MANIFEST))


def claim(work: Path, digest: str) -> bool:
    """Make ``work`` or resume there; returns whether only its move is left.

    What another run left there goes aside, so that a failed or interrupted command never stands in the way of another;
    where that one has finished steps, the log says so.
    """
    done = work / MANIFEST
    if settings_in(done) == digest:
        if _is_whole(work):
            return True
        done.unlink()
    if work.is_dir() and any(work.iterdir()) and settings_of(work) != digest:
        put_aside(work)
    work.mkdir(parents=True, exist_ok=True)
    write_atomically(work / SETTINGS, (json.dumps({"settings": digest}) + "\n").encode())
    return False


def put_aside(work: Path) -> None:
    """Out of the way, or away where no step of it was saved; rows are those of an ``attrib.Recorder``."""
    saved = (MANIFEST, f"trainer/checkpoint-*/{SAVED}", "rows-*.jsonl")
    if not any(any(work.glob(name)) for name in saved):
        shutil.rmtree(work)
        return
    number = 1
    while (old := work.with_name(f"{work.name}-old-{number}")).exists():
        number += 1
    os.replace(work, old)
    log.warning("another run was interrupted here; its finished steps are now in %s", old)


def _is_whole(folder: Path) -> bool:
    """Whether all files of an adapter are as they were written; the log names one that is not."""
    fault = damaged_file(folder)
    if fault is not None:
        log.warning("%s: damaged; trained again", folder / fault)
    return fault is None


def write_result(
    trained: TrainedAdapter,
    items: Sequence[Item],
    rehearsed: int,
    setup: Setup,
    digest: str,
    work: Path,
    prompts: Chat,
) -> None:
    """The result beside its checkpoints; the manifest last."""
    import torch

    save_adapter(trained.model, work)
    schedule = trained.schedule
    steps = len(schedule.steps)
    last_epoch = schedule.losses[-steps_an_epoch(len(items) - rehearsed, setup.options.batch, setup.processes) :]
    manifest = Manifest(
        **vars(setup),
        versions=versions(),
        threads=torch.get_num_threads(),
        items=len(items),
        rehearsed=rehearsed,
        steps=steps,
        loss=math.fsum(last_epoch) / len(last_epoch),
        settings=digest,
    )
    write_trained(work, items)
    write_prompt(prompts, work)
    write_schedule(work, schedule)
    write_manifest(work, _without_defaults(to_json(manifest)))


def finish(work: Path, out: Path) -> None:
    """``work``, without what only the run needed, becomes ``out``.

    An older one goes aside first, at no moment are both gone.
    """
    for path in passing(work):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    open_up(work, 0o777)
    for file in work.rglob("*.safetensors"):
        open_up(file, 0o666)
    old = work.with_name(f"{work.name}-old")
    if out.exists():
        shutil.rmtree(old, ignore_errors=True)
        os.replace(out, old)
    os.replace(work, out)
    shutil.rmtree(old, ignore_errors=True)
