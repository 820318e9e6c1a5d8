"""What influence can use of a training run: files beside the adapter, or the final model alone.

Not covered: whether the files are those of this adapter, beyond its checkpoints' layers (``mapping.influence``).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from attrib.errors import AttribError
from attrib.models.adapters import beside_lora, live_weights
from attrib.models.pair import ModelPair
from attrib.training.recording import MANIFEST, read_recording
from attrib.training.schedule import checkpoint_folders, read_schedule
from attrib.training.trained import TRAINED, read_trained

FINAL = "-o influence.checkpoints=final"
RECORD = "the next run can be recorded with attrib.Recorder, or made with attrib tune"


@dataclass(frozen=True)
class RunRecord:
    """What is known of the run that made the tuned model."""

    usable: bool
    """Whether the mapper ``influence`` works with it as it is."""
    checkpoints: int
    steps: int | None
    """None where no schedule says it."""
    items: int | None
    """What was trained; None where it is unknown."""
    in_documents: int | None
    """Items that are sections of the documents, or teach one."""
    said: tuple[str, ...]
    """The same in sentences, with the mend for what is missing."""


def read_run(pair: ModelPair, ids: Collection[str]) -> RunRecord:
    """The run behind the tuned model; ``ids``: the documents' sections. A damaged file is said, not raised."""
    tuned = pair.tuned
    if tuned.adapter is None:
        return _without(f"a full fine-tune has no checkpoints here: influence takes the final weights alone ({FINAL})")
    if tuned.folder is None:
        return _without(
            f"the adapter comes from the hub: influence takes the final weights alone ({FINAL}); where checkpoints are "
            "among its files, copy them to a folder"
        )
    if other := beside_lora(live_weights(tuned.adapter)):
        return _without(f"influence needs plain LoRA, whose weights before tuning are known; {other[0]} is none")
    checkpoints = len(checkpoint_folders(tuned.folder))
    if not checkpoints:
        return _without(f"no checkpoints: influence takes the final weights alone ({FINAL}); {_mend(tuned.folder)}")
    try:
        schedule = read_schedule(tuned.folder) if (tuned.folder / "schedule.json").is_file() else None
        items = read_trained(tuned.folder) if (tuned.folder / TRAINED).is_file() else None
        recorded = read_recording(tuned.folder) if (tuned.folder / MANIFEST).is_file() else None
    except AttribError as error:
        return _without(str(error))
    inside = None if items is None else sum(item.section in ids for item in items)
    # Its steps are empty where their order is unknown.
    steps = None if schedule is None else schedule.checkpoints[-1]
    # The result itself is the last checkpoint.
    lines = [f"{checkpoints + 1} checkpoints" + (f" over {steps:,} steps" if steps is not None else "")]
    if schedule is None:
        lines.append("no schedule.json: every checkpoint counts alike")
    if items is None:
        lines.append(f"no {TRAINED}: questions that taught a section are unknown")
    else:
        lines.append(f"{len(items):,} items trained, {inside:,} of them sections of these documents or their questions")
    if recorded is not None:
        lines += [
            f"run by another program, from {recorded.recorded_by}",
            *(f"missing: {one}" for one in recorded.missing),
        ]
    return RunRecord(True, checkpoints + 1, steps, None if items is None else len(items), inside, tuple(lines))


def trained_ids(pair: ModelPair) -> frozenset[str] | None:
    """Ids of the sections that were trained, or that a trained question teaches; None where no file says it."""
    folder = pair.tuned.folder
    if folder is None or not (folder / TRAINED).is_file():
        return None
    return frozenset(item.section for item in read_trained(folder) if item.section is not None)


def _without(line: str) -> RunRecord:
    return RunRecord(False, 0, None, None, None, (line,))


def _mend(folder: Path) -> str:
    """How to get what is missing: from the saves of the run where they lie around, else from the next run."""
    for run in (folder, folder.parent):
        if any(run.glob("checkpoint-*/adapter_model.safetensors")):
            return f"the saves of its run lie in {run}: attrib import with --data and --out makes of them what it needs"
    return RECORD
