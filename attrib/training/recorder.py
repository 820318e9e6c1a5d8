"""Record of a run of tuning while it goes: its steps, the order of its epoch, and the adapter at its checkpoints.

The journal lies beside each save of the Trainer and holds what the Trainer does not keep.
Not covered: optimizer, learning rate and generators, which the Trainer saves itself.
"""

from __future__ import annotations

import copy
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from attrib import processes
from attrib.errors import RecordError
from attrib.files import write_atomically
from attrib.records.codec import from_json, to_json


@dataclass(frozen=True)
class TrainedStep:
    """One step as one process saw it."""

    examples: tuple[int, ...]
    """Their numbers."""
    learning_rate: float
    loss: float
    """Mean loss a learned token before the update, nats."""


@dataclass(frozen=True)
class Journal:
    """``journal.json`` beside a save of the Trainer."""

    processes: tuple[tuple[TrainedStep, ...], ...]
    """The steps of every process so far."""
    order: str | None
    """State of torch's generator from which the epoch's order was drawn, base64."""
    replay: bool
    """Whether the save lies within an epoch, so that its order is to be drawn from that state again."""


class Recorder:
    """The steps of this process, which grow while it trains."""

    def __init__(self) -> None:
        self.steps: list[TrainedStep] = []
        self.order: str | None = None
        self.replay = False
        self.resume_from: Path | None = None
        """The save of the Trainer to resume from; None for a run from the start."""

    @classmethod
    def resume(cls, trainer: Path) -> Recorder:
        """The state of the last save below ``trainer``, or of a run from the start. Called in every process."""
        recorder = cls()
        newest = processes.on_first(lambda: _newest(trainer))
        if newest is not None:
            recorder.resume_from, journal = newest
            recorder.steps = list(journal.processes[processes.rank()])
            recorder.order, recorder.replay = journal.order, journal.replay
        return recorder

    def save(self, folder: Path, *, within_epoch: bool) -> None:
        """Write the journal into a save of the Trainer, then remove older saves. Called in every process."""
        everyone = processes.gather(tuple(self.steps))
        if processes.is_first():
            journal = Journal(tuple(everyone), self.order, within_epoch)
            write_atomically(folder / "journal.json", (json.dumps(to_json(journal)) + "\n").encode())
            for other in folder.parent.glob("checkpoint-*"):
                if other != folder:
                    shutil.rmtree(other, ignore_errors=True)


def _newest(trainer: Path) -> tuple[Path, Journal] | None:
    """The last complete save: its journal is written last."""
    files = sorted(trainer.glob("checkpoint-*/journal.json"), key=lambda file: int(file.parent.name.split("-")[1]))
    if not files:
        return None
    try:
        return files[-1].parent, from_json(Journal, json.loads(files[-1].read_text("utf-8")))
    except (OSError, ValueError, RecordError) as error:
        raise RecordError(f"{files[-1]}: damaged ({error}); delete {trainer.parent} and start again") from error


def save_adapter(model: Any, folder: Path) -> None:
    """Adapter weights in bf16 and their configuration."""
    import torch
    from peft import get_peft_model_state_dict
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    state = get_peft_model_state_dict(model, save_embedding_layers=False)
    weights = {name: tensor.detach().to("cpu", torch.bfloat16).contiguous() for name, tensor in state.items()}
    save_file(weights, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    config = copy.copy(model.peft_config["default"])
    config.inference_mode = True
    # A set would be written in another order by every process.
    config.target_modules = sorted(config.target_modules)
    config.save_pretrained(str(folder))
