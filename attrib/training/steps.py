"""A run of a Trainer while it goes → its steps, what they saw, and the adapter at its checkpoints.

``attrib tune`` and ``attrib.Recorder`` record with the same callback. Each process keeps a journal in the folder of
the unfinished record, a line a step, so that a run that resumes from an earlier step goes on with its record there.
Not covered: optimizer, learning rate and generators, which the Trainer saves itself; models sharded over GPUs.
"""

from __future__ import annotations

import copy
import json
import math
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

from attrib import processes
from attrib.errors import InputError, RecordError
from attrib.files import write_atomically
from attrib.records.codec import from_json, to_json
from attrib.training.items import TrainingExample
from attrib.training.schedule import Schedule, candidate_steps, checkpoint_steps, nearest_steps
from attrib.training.watch import Row, Watch

CHECKPOINTS = "checkpoints"
CANDIDATES = "candidates"
"""Folder of the adapters from which the checkpoints are chosen once the length of the run is known."""


@dataclass(frozen=True)
class TrainedStep:
    """One step as one process saw it."""

    examples: tuple[int, ...]
    """Numbers of the rows."""
    learning_rate: float
    loss: float
    """Mean loss a learned token before the update, nats; nan where it is unknown."""


class StepRecorder:
    """A ``TrainerCallback`` that records steps and saves the adapter after stated shares of them.

    The last checkpoint is the result, which the caller saves.
    """

    def __new__(cls, *given: Any, **named: Any) -> Any:
        """A callback of transformers, which is imported only now."""
        from transformers import TrainerCallback

        return object.__new__(type(cls.__name__, (cls, TrainerCallback), {"__doc__": cls.__doc__}))

    def __init__(
        self, work: Path, shares: Sequence[float], known: Mapping[int, Row] | None = None, *, may_end: bool = False
    ) -> None:
        """``known``: what each row is, by number; without it rows are learned as they come. ``may_end``: the run may
        end before its last planned step; ``choose_checkpoints`` must then be called."""
        self.work, self.shares, self.may_end = work, tuple(shares), may_end
        self.steps: list[TrainedStep] = []
        self.watch = Watch(known)
        self._keeps_rows = known is None

    def on_train_begin(self, args: Any, state: Any, control: Any, **about: Any) -> None:
        self.model = about["model"]
        self.work.mkdir(parents=True, exist_ok=True)
        done = int(state.global_step)
        self._resume(done)
        self._planned = checkpoint_steps(self.shares, state.max_steps)
        self._candidates = candidate_steps(state.max_steps)
        if done == 0 and processes.is_first():
            for name in (CHECKPOINTS, CANDIDATES):
                shutil.rmtree(self.work / name, ignore_errors=True)
            save_adapter(self.model, self.work / CHECKPOINTS / "0")
        loader, accumulated = about["train_dataloader"], args.gradient_accumulation_steps
        skipped = 0
        if done and not args.ignore_data_skip:
            skipped = done % max(1, math.ceil(len(loader) / accumulated)) * accumulated
        self.watch.start(self.model, loader, skipped)

    def on_step_begin(self, args: Any, state: Any, control: Any, **about: Any) -> None:
        # The scheduler has not moved on yet.
        self._rate = float(about["optimizer"].param_groups[0]["lr"])
        self.watch.expect()

    def on_substep_end(self, args: Any, state: Any, control: Any, **about: Any) -> None:
        self.watch.expect()

    def on_step_end(self, args: Any, state: Any, control: Any, **about: Any) -> None:
        rows, loss = self.watch.step()
        self.steps.append(TrainedStep(rows, self._rate, loss))
        if self._keeps_rows:
            # Plain lists: the codec would walk over every token.
            lines = ([number, [[one.ids, one.labels] for one in row]] for number, row in self.watch.fresh.items())
            self._write("rows", *lines)
            self.watch.fresh.clear()
        self._write("steps", to_json(replace(self.steps[-1], loss=loss if math.isfinite(loss) else math.nan)))
        if not processes.is_first():
            return
        if self.may_end:
            if state.global_step in self._candidates:
                save_adapter(self.model, self.work / CANDIDATES / str(state.global_step))
            return
        for number, step in enumerate(self._planned[:-1], 1):
            if state.global_step == step:
                save_adapter(self.model, self.work / CHECKPOINTS / str(number))

    def choose_checkpoints(self) -> list[int]:
        """The steps of the checkpoints, which lie in their folders from now on."""
        if not self.may_end:
            return checkpoint_steps(self.shares, len(self.steps))
        found = nearest_steps(self.shares, len(self.steps), self._candidates)
        if processes.is_first():
            for number, step in enumerate(found[:-1], 1):
                shutil.copytree(
                    self.work / CANDIDATES / str(step), self.work / CHECKPOINTS / str(number), dirs_exist_ok=True
                )
        return found

    def on_train_end(self, args: Any, state: Any, control: Any, **about: Any) -> None:
        self.watch.stop()

    def _write(self, what: str, *lines: object) -> None:
        with _journal(self.work, what).open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(line) + "\n" for line in lines)

    def _resume(self, done: int) -> None:
        """The first ``done`` steps of the journal, which ends there from now on."""
        steps, rows = (_journal(self.work, what) for what in ("steps", "rows"))
        if not done:
            steps.unlink(missing_ok=True)
            rows.unlink(missing_ok=True)
        kept = _lines(steps)[:done]
        try:
            self.steps = [from_json(TrainedStep, json.loads(line)) for line in kept]
            if self._keeps_rows:
                self.watch = Watch(dict(_read_rows(rows)))
        except (ValueError, RecordError, TypeError) as error:
            raise RecordError(
                f"{self.work}: the record of the run is damaged ({error}); delete it and train anew"
            ) from error
        write_atomically(steps, "".join(line + "\n" for line in kept).encode())
        if len(kept) < done:
            # What was seen before cannot be found out any more.
            unknown = TrainedStep((), math.nan, math.nan)
            self.steps = [unknown] * (done - len(kept)) + self.steps
            self.watch.fault = f"its first {done - len(kept)} steps were not recorded"


def read_rows(work: Path) -> dict[int, Row]:
    """What every row was that any process saw, by number. All of it in memory."""
    files = sorted(work.glob("rows-*.jsonl"))
    return dict(sorted(chain.from_iterable(map(_read_rows, files))))


def _read_rows(file: Path) -> Iterator[tuple[int, Row]]:
    for line in _lines(file):
        number, row = json.loads(line)
        yield number, tuple(TrainingExample(tuple(ids), tuple(labels)) for ids, labels in row)


def _journal(work: Path, what: str) -> Path:
    return work / f"{what}-{processes.rank()}.jsonl"


def _lines(file: Path) -> list[str]:
    """The whole lines of a file; a process that was killed may have left half of one."""
    if not file.is_file():
        return []
    return [
        line.removesuffix("\n") for line in file.read_text("utf-8").splitlines(keepends=True) if line.endswith("\n")
    ]


def together(everyone: Sequence[Sequence[TrainedStep]]) -> list[TrainedStep]:
    """The steps of all processes: their rows in the order of the processes, the mean of their losses."""
    steps = []
    for step in zip(*everyone, strict=True):
        rows = tuple(chain(*(one.examples for one in step)))
        loss = math.fsum(one.loss for one in step) / len(step)
        steps.append(TrainedStep(rows, step[0].learning_rate, loss))
    return steps


def schedule_of(steps: Sequence[TrainedStep], checkpoints: Sequence[int]) -> Schedule:
    """The schedule of recorded steps; losses are left out where one is unknown."""
    losses = tuple(step.loss for step in steps)
    return Schedule(
        tuple(checkpoints),
        tuple(step.examples for step in steps),
        tuple(step.learning_rate for step in steps),
        losses if all(map(math.isfinite, losses)) else (),
    )


def save_adapter(model: Any, folder: Path, *, embeddings: bool = False) -> None:
    """Adapter weights in bf16 and their configuration; with ``embeddings`` those of base too, as they are.

    Raises InputError for a model without an adapter.
    """
    import torch
    from peft import get_peft_model_state_dict
    from safetensors.torch import save_file

    name = adapter_name(model)
    folder.mkdir(parents=True, exist_ok=True)
    state = get_peft_model_state_dict(model, adapter_name=name, save_embedding_layers=False)
    weights = {key: tensor.detach().to("cpu", torch.bfloat16).contiguous() for key, tensor in state.items()}
    if embeddings:
        whole = get_peft_model_state_dict(model, adapter_name=name, save_embedding_layers=True)
        # Copied, for safetensors writes no tensors that share memory, as tied ones do.
        weights |= {key: whole[key].detach().to("cpu", copy=True) for key in whole.keys() - state.keys()}
    save_file(weights, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    config = copy.copy(model.peft_config[name])
    config.inference_mode = True
    # A set would be written in another order by every process.
    if isinstance(config.target_modules, set):
        config.target_modules = sorted(config.target_modules)
    config.save_pretrained(str(folder))


def adapter_name(model: Any) -> str:
    """Name of the adapter that is trained. Raises InputError where there is none."""
    from peft import PeftModel

    if not isinstance(model, PeftModel):
        raise InputError(
            "Recorder: the model has no adapter, and checkpoints of a whole model would not be small; train an "
            "adapter (peft), or leave the Recorder out"
        )
    active = model.active_adapter
    return str(active[0] if isinstance(active, list) else active)
